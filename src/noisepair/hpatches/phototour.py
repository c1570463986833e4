"""Photo Tour (Winder and Brown 2007): patches of three landmarks, and pairs of them to tell apart.

    FOLDER/patches0000.bmp …   1024×1024 grey, 16×16 patches of 64×64, row by row
    FOLDER/info.txt            a line a patch: the number of the 3-D point it shows, and another
    FOLDER/m50_100000_100000_0.txt   a line a pair: patch, point, _, patch, point, _, _

100,000 pairs, half of them right: both patches show one point. The figure is FPR95, the share of
wrong pairs that are let through where 95 % of the right ones are; smaller is better.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import images
from ..errors import InputError
from ..files import said
from ._near import between
from .describe import Model, vectors
from .precision import fpr95

Watch = Callable[[float], None]  # watch(share done)
SIDE = 64  # of a patch, pixels
ACROSS = 16  # patches along each side of a sheet
PAIRS = "m50_100000_100000_0.txt"
PIECE = 4096  # patches that are held in memory at a time


@dataclass(frozen=True)
class PhotoTour:
    """A landmark on disk: `points` (n,), the 3-D point that each patch shows."""

    folder: Path
    points: np.ndarray
    sheets: tuple[Path, ...]

    def patches(self, which: np.ndarray) -> np.ndarray:
        """Some patches by number, (k, 64, 64) uint8; every sheet is read once."""
        found = np.empty((len(which), SIDE, SIDE), np.uint8)
        sheet, place = np.divmod(which, ACROSS**2)
        for number in np.unique(sheet).tolist():
            mine = sheet == number
            found[mine] = read_sheet(self.sheets[number])[place[mine]]
        return found


def open_tour(folder: Path) -> PhotoTour:
    """A landmark's folder; InputError where info.txt or a sheet is missing."""
    points = _columns(folder / "info.txt", 2)[:, 0]
    wanted = -(-len(points) // ACROSS**2)
    sheets = tuple(folder / f"patches{number:04}.bmp" for number in range(wanted))
    missing = [path for path in sheets if not path.is_file()]
    if missing:
        raise InputError(
            f"{missing[0]} is missing: info.txt tells of {len(points)} patches, which are {wanted} "
            f"sheets of {ACROSS**2}. Unpack the landmark again."
        )
    return PhotoTour(folder, points, sheets)


def read_sheet(path: Path) -> np.ndarray:
    """The 256 patches of a sheet, (256, 64, 64) uint8."""
    pixels = images.read(path).pixels
    whole = SIDE * ACROSS
    if pixels.shape[:3] != (1, whole, whole) or pixels.dtype != np.uint8:
        raise InputError(
            f"{path} is {pixels.shape[2]}×{pixels.shape[1]} {pixels.dtype}. A sheet is "
            f"{whole}×{whole} with 8 bits. Unpack the landmark again."
        )
    cells = pixels[0, :, :, 0].reshape(ACROSS, SIDE, ACROSS, SIDE)
    return cells.swapaxes(1, 2).reshape(-1, SIDE, SIDE)


def read_pairs(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of two patches, (n, 2), and whether they show one point, (n,) bool."""
    rows = _columns(path, 5)
    return rows[:, [0, 3]], rows[:, 1] == rows[:, 4]


def _columns(path: Path, least: int) -> np.ndarray:
    """Whole numbers, (lines, columns) int64."""
    with said(f"read {path}"):
        text = path.read_bytes()
    try:
        rows = np.loadtxt(io.BytesIO(text.strip() or b"0"), np.int64, ndmin=2)
    except ValueError:
        rows = np.empty((0, 0), np.int64)
    if rows.shape[1] < least:
        raise InputError(
            f"{path} is no table of whole numbers with {least} columns or more. It is one of the "
            "landmark's text files: unpack it again."
        )
    return rows


def evaluate(tour: PhotoTour, pairs: Path, model: Model, watch: Watch | None = None) -> float:
    """FPR95 of `model` (describe.py) on a list of pairs."""
    which, right = read_pairs(pairs)
    used, places = np.unique(which, return_inverse=True)
    if used[0] < 0 or used[-1] >= len(tour.points) or right.all() or not right.any():
        raise InputError(
            f"{pairs} has {right.sum()} right pairs of {len(right)}, of patches {used[0]} to "
            f"{used[-1]}. Both kinds are needed, of the {len(tour.points)} patches of "
            f"{tour.folder}: give the list of this landmark."
        )
    parts = []
    for start in range(0, len(used), PIECE):
        parts.append(vectors(tour.patches(used[start : start + PIECE]), model))
        if watch:
            watch(min(1.0, (start + PIECE) / len(used)))
    one, other = places.reshape(which.shape).T
    apart = between(np.concatenate(parts), one, other)
    wrong = np.sort(apart[~right])
    return fpr95(np.searchsorted(wrong, np.sort(apart[right]), "right"), len(wrong))
