"""A picture of a patch set to look at: a row a place, a column a sheet, noisy copies below."""

from pathlib import Path

import cv2
import numpy as np

from ..files import write
from ..hpatches.layout import LEVELS, SHEETS, read_sheet, sheet_path
from ..hpatches.make import LARGE, SMALL, Made

PLACES = 8  # rows
GAP, BETWEEN, HEAD = 2, 10, 14  # pixels: between patches, between levels, a line of text
WHITE, BLACK = 255, 0


def write_contact_sheet(made: Made, sides: tuple[int, ...]) -> Path:
    """sheet.png in the set's folder: places of several sequences, taken evenly."""
    chosen = evenly(list(made.counts))
    rows = []
    for n, name in enumerate(chosen):
        place = int((n + 0.5) / PLACES * made.counts[name])
        rows.append(label(f"{name}, patch {place}"))
        rows += [line(made.out / str(side), name, place, noisy=False) for side in sides[:1]]
        if SMALL in sides:
            rows.append(line(made.out / str(SMALL), name, place, noisy=True))
    picture = np.concatenate([heads(), *rows])
    path = made.out / "sheet.png"
    write(path, bytes(cv2.imencode(".png", picture)[1]))
    return path


def evenly(names: list[str]) -> list[str]:
    """PLACES of them, from the whole list, v_ and i_ by turns where there are both."""
    kinds = [[name for name in names if name.startswith(kind)] for kind in ("v_", "i_")]
    kinds = [kind for kind in kinds if kind]
    each = PLACES // len(kinds)
    return [kind[n * len(kind) // each] for n in range(each) for kind in kinds]


def line(folder: Path, name: str, place: int, *, noisy: bool) -> np.ndarray:
    """One place in all sheets, (65 + GAP, width) uint8; 32×32 are drawn with doubled pixels."""
    row = np.full((LARGE + GAP, columns()[-1] + LARGE), WHITE, np.uint8)
    for sheet, x in zip(SHEETS, columns(), strict=True):
        patch = read_sheet(sheet_path(folder, name, sheet, noisy=noisy))[place]
        times = LARGE // len(patch)
        shown = np.repeat(np.repeat(patch, times, 0), times, 1)
        row[: len(shown), x : x + len(shown)] = shown
    return row


def columns() -> list[int]:
    """Where each sheet begins: pixels from the left."""
    found, x = [], 0
    for sheet in SHEETS:
        x += BETWEEN if sheet != "ref" and sheet[1:] == "1" else 0
        found.append(x)
        x += LARGE + GAP
    return found


def heads() -> np.ndarray:
    row = label("")
    for sheet, x in zip(SHEETS, columns(), strict=True):
        text(row, f"{LEVELS.get(sheet[0], '')} {sheet}" if sheet != "ref" else sheet, x)
    return row


def label(words: str) -> np.ndarray:
    row = np.full((HEAD, columns()[-1] + LARGE), WHITE, np.uint8)
    text(row, words, 0)
    return row


def text(row: np.ndarray, words: str, x: int) -> None:
    cv2.putText(row, words, (x, HEAD - 3), cv2.FONT_HERSHEY_PLAIN, 0.8, BLACK, 1, cv2.LINE_AA)
