"""A set of patches as vectors: one table of all rows, read from disk.

    read_csv     a folder in the benchmark's layout, DESCRIPTORS/v_wall/e1.csv: N rows of D numbers
    read_npz     an .npz with an array (N, D) under v_wall/e1, for each sheet

The third way, by a model from sheets of patches, is in describe.py. Rows are float32, as in the
benchmark's program; what float64 tells apart within float32's rounding is equal here. In memory lie
16 sheets of a sequence, then those of the next, in the order of the test split: 512 bytes a patch
for 128 numbers.
"""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import said
from .layout import OTHERS, SHEETS

Load = Callable[[str, str], np.ndarray]  # load(sequence, sheet): (N, D)
Watch = Callable[[float], None]  # watch(share done)


@dataclass(frozen=True)
class Described:
    """`values` (rows, D) float32; `counts`: sequence → N; `starts` (S,): row of ref's patch 0."""

    values: np.ndarray
    counts: Mapping[str, int]
    starts: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """The sequences, in their order."""
        return tuple(self.counts)

    @property
    def dims(self) -> int:
        """D: how many numbers describe a patch."""
        return int(self.values.shape[1])

    def sheets(self, sequence: int) -> np.ndarray:
        """All of a sequence, (16, N, D): a view; sheets in the order of SHEETS."""
        count = list(self.counts.values())[sequence]
        start = int(self.starts[sequence])
        rows = self.values[start : start + len(SHEETS) * count]
        return rows.reshape(len(SHEETS), count, self.dims)

    def rows(self, patches: np.ndarray, level: int) -> np.ndarray:
        """Rows of patches (sequence, picture, index), (n, 3), at a level: 0 easy, 1 hard, 2 tough.

        Picture 0 is the reference at each level.
        """
        sequence, picture, index = patches.T
        size = np.array(list(self.counts.values()))
        sheet = np.where(picture == 0, 0, OTHERS * level + picture)
        return self.starts[sequence] + sheet * size[sequence] + index

    def holds(self, names: Sequence[str], patches: np.ndarray, what: str) -> None:
        """InputError where a list of sequences `names` asks for a patch, (n, 3), not there."""
        if tuple(names) != self.names:
            raise InputError(
                f"{what} is of {len(names)} sequences, the first {names[0]}, and the descriptors "
                f"of {len(self.names)}, the first {self.names[0]}. Both go through the same "
                "sequences in the same order. Read or make the list for these."
            )
        sequence, picture, index = patches.T
        size = np.array(list(self.counts.values()))[sequence]
        bad = np.flatnonzero((index < 0) | (index >= size) | (picture < 0) | (picture > OTHERS))
        if len(bad):
            s, t, i = patches[bad[0]].tolist()
            name = self.names[s]
            raise InputError(
                f"{what}, row {bad[0] + 1}: patch {i} of picture {t} of {name}, which has patches "
                f"0 to {self.counts[name] - 1} of pictures 0 to {OTHERS}. "
                "The list belongs to other patches: give the one of this set, or none."
            )


def collect(names: Sequence[str], load: Load, watch: Watch | None = None) -> Described:
    """All sheets of the sequences `names` through `load`, checked: sizes, and no nan or infinity.

    InputError where sheets of a sequence have different counts, or rows different lengths.
    """
    refs = {name: _checked(load(name, "ref"), name, "ref") for name in names}
    counts = {name: len(ref) for name, ref in refs.items()}
    dims = next(iter(refs.values())).shape[1]
    starts = np.concatenate([[0], np.cumsum([len(SHEETS) * n for n in counts.values()])])
    whole = Described(np.empty((starts[-1], dims), np.float32), counts, starts[:-1])
    for number, name in enumerate(names):
        place = whole.sheets(number)
        for at, sheet in enumerate(SHEETS):
            rows = refs.pop(name) if at == 0 else _checked(load(name, sheet), name, sheet)
            if rows.shape != place.shape[1:]:
                raise InputError(
                    f"{name}/{sheet} has {rows.shape[0]} descriptors of {rows.shape[1]} numbers, "
                    f"where {place.shape[1]} of {dims} belong: as many as {name}/ref, as long as "
                    f"{names[0]}/ref. Write this sheet's descriptors again."
                )
            place[at] = rows
            if watch:
                watch((number * len(SHEETS) + at + 1) / (len(names) * len(SHEETS)))
    return whole


def _checked(rows: np.ndarray, sequence: str, sheet: str) -> np.ndarray:
    """(N, D) of finite numbers, as float32."""
    if rows.ndim != 2 or not rows.size or rows.dtype.kind not in "fiub":
        raise InputError(
            f"{sequence}/{sheet} is an array of shape {rows.shape} and type {rows.dtype}. A sheet "
            "is described by N rows of D numbers, (N, D). Write it in that shape."
        )
    rows = rows.astype(np.float32, copy=False)
    bad = np.flatnonzero(~np.isfinite(rows).all(1))
    if len(bad):
        raise InputError(
            f"{sequence}/{sheet}: {len(bad)} of {len(rows)} descriptors hold nan or infinity, the "
            f"first that of patch {bad[0]}. Distances to these are no numbers. Mend what made "
            "them: a division by the deviation of a flat patch is the usual cause."
        )
    return rows


def read(path: Path, names: Sequence[str], watch: Watch | None = None) -> Described:
    """Descriptors of the sequences `names` from a folder of CSV files or an .npz."""
    if path.is_dir():
        return read_csv(path, names, watch)
    if path.suffix.lower() == ".npz" and path.exists():
        return read_npz(path, names, watch)
    raise InputError(
        f"{path} holds no descriptors. Accepted: a folder of CSV files, DESCRIPTORS/i_dome/e1.csv "
        "and so on, or an .npz of arrays (N, D) called i_dome/e1 and so on. Name one of these."
    )


def read_csv(folder: Path, names: Sequence[str], watch: Watch | None = None) -> Described:
    """The benchmark's layout: no header, `,` or `;` or blanks between numbers."""
    return collect(names, lambda name, sheet: _csv(folder / name / f"{sheet}.csv"), watch)


def _csv(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(
            f"{path} is missing. Descriptors are 16 files a sequence, ref.csv, e1.csv to t5.csv. "
            "Write it too, or choose a --split that does not test this sequence."
        )
    with said(f"read {path}"):
        text = path.read_bytes()
    first = text.partition(b"\n")[0]
    mark = next((mark for mark in (";", ",") if mark.encode() in first), None)
    try:
        if not text.strip():
            raise ValueError("it is empty")
        return np.loadtxt(io.BytesIO(text), np.float32, delimiter=mark, comments=None, ndmin=2)
    except ValueError as error:
        raise InputError(
            f"{path} is no table of numbers: {str(error).rstrip('.')}. Every line has as many "
            "numbers as the first, with , or ; between them. Write it again."
        ) from error


def read_npz(path: Path, names: Sequence[str], watch: Watch | None = None) -> Described:
    """An array (N, D) for each sheet, `v_wall/e1`; read one at a time."""
    try:
        with np.load(path) as file:

            def load(name: str, sheet: str) -> np.ndarray:
                if f"{name}/{sheet}" not in file:
                    raise InputError(
                        f"{path} has no array {name}/{sheet}. Descriptors are 16 arrays a sequence,"
                        " ref, e1 to e5, h1 to h5, t1 to t5. Add it, or choose a --split that does"
                        " not test this sequence."
                    )
                return file[f"{name}/{sheet}"]

            return collect(names, load, watch)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"{path} cannot be read as .npz: {reason}. Accepted: plain arrays, as numpy.savez "
            "writes them. Write it again."
        ) from error
