"""The folders that `noisepair course` writes: `one` as Miniproject_1, `two` as Miniproject_2."""
