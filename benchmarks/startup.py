"""What `import noisepair` and `noisepair --help` take beyond Python itself; the limit is 0.3 s.

Whole processes in turn, medians of nine.
"""

import subprocess
import sys

from _rows import Row, interleaved, milliseconds, show

LIMIT = 0.3


def process(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    taken = interleaved(
        {
            "python": lambda: process("-c", "pass"),
            "import noisepair": lambda: process("-c", "import noisepair"),
            "noisepair --help": lambda: process("-m", "noisepair", "--help"),
            "noisepair train --help": lambda: process("-m", "noisepair", "train", "--help"),
        },
        rounds=9,
    )
    bare = taken.pop("python")
    rows = [
        Row(f"{name}, time over Python's own / 0.3 s", (seconds - bare) / LIMIT, "lower",
            None if "train" in name else 1.0,
            {"whole": milliseconds(seconds), "Python": milliseconds(bare)})
        for name, seconds in taken.items()
    ]  # fmt: skip
    show("Starting", rows)


if __name__ == "__main__":
    main()
