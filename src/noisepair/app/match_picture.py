"""A picture of matches to look at: both pictures side by side, inliers joined by lines.

A line's colour is its match's error: blue none, yellow half the threshold, red all of it. There are
at most LINES, one for each part of the first picture; every other inlier is a dot in both. Where
no match is reliable there are grey lines and the words that say so.
"""

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from ..descriptors.correspondence import Correspondence

SIDE = 900  # pixels of the longer side of a picture, at most
LINES = 100
PARTS = 10  # of a side of the first picture, for as many lines
GAP, HEAD = 8, 30  # pixels: between the pictures, above them
WHITE, BLACK, GREY = (255, 255, 255), (0, 0, 0), (160, 160, 160)
COLOURS = np.array([(0, 190, 255), (255, 225, 0), (255, 40, 0)], float)  # none, half, all
NAMES = {"homography": "homography", "fundamental": "fundamental matrix"}

Colour = UInt8[np.ndarray, "_ _ 3"]
Points = Float[np.ndarray, "M 2"]


def drawn(
    one: Colour, two: Colour, here: Points, there: Points, found: Correspondence, threshold: float
) -> Colour:
    """`here` and `there`: places of the matches in each picture, pixels of each."""
    factor = min(1.0, SIDE / max(*one.shape[:2], *two.shape[:2]))
    left, right = smaller(one, factor), smaller(two, factor)
    height = max(len(left), len(right))
    beyond = left.shape[1] + GAP
    sheet = np.full((HEAD + height, beyond + right.shape[1], 3), WHITE, np.uint8)
    sheet[HEAD : HEAD + len(left), : left.shape[1]] = left
    sheet[HEAD : HEAD + len(right), beyond:] = right
    ends = placed(here, factor, 0), placed(there, factor, beyond)
    if found.reliable and found.geometry is not None:
        inliers = np.nonzero(found.geometry.inliers)[0]
        colours = coloured(found.geometry.errors / threshold)
        for inlier in inliers:
            for end in ends:
                cv2.circle(sheet, end[inlier], 2, colours[inlier], -1, cv2.LINE_AA)
        shown = spread(here, inliers, one.shape[:2])
    else:
        colours = [GREY] * len(here)
        shown = spread(here, np.arange(len(here)), one.shape[:2])
    for row in shown:
        cv2.line(sheet, ends[0][row], ends[1][row], colours[row], 1, cv2.LINE_AA)
    headed(sheet, found, threshold)
    return sheet


def smaller(picture: Colour, factor: float) -> Colour:
    if factor == 1:
        return picture
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def placed(points: Points, factor: float, beyond: int) -> list[tuple[int, int]]:
    """Pixels of the sheet."""
    whole = np.rint((points + 0.5) * factor - 0.5).astype(int).tolist()
    return [(x + beyond, y + HEAD) for x, y in whole]


def spread(points: Points, rows: Int[np.ndarray, " K"], size: tuple[int, ...]) -> list[int]:
    """Of the rows in each part of a picture the first, and no more than LINES."""
    parts: dict[tuple[int, int], int] = {}
    for row in rows.tolist():
        x, y = points[row]
        parts.setdefault((int(PARTS * x / size[1]), int(PARTS * y / size[0])), row)
    return list(parts.values())[:LINES]


def coloured(shares: Float[np.ndarray, " M"]) -> list[tuple[int, ...]]:
    """Red, green and blue for shares of the threshold; beyond it as at it."""
    at = np.minimum(shares, 1)
    planes = [np.interp(at, (0, 0.5, 1), COLOURS[:, plane]) for plane in range(3)]
    return [tuple(int(value) for value in colour) for colour in np.stack(planes, 1)]


def headed(sheet: Colour, found: Correspondence, threshold: float) -> None:
    """What the lines are, in the space above the pictures."""
    if not found.reliable or found.geometry is None:
        write(sheet, f"no reliable match ({len(found.pairs)} nearest neighbours in grey)", 6)
        return
    inliers, kind = int(found.geometry.inliers.sum()), NAMES[found.geometry.kind]
    write(sheet, f"{inliers} of {len(found.pairs)} matches obey a {kind}", 6)
    bar, begin = 90, sheet.shape[1] - 190
    if begin > 400:  # there is room for what the colours mean
        colours = coloured(np.linspace(0, 1, bar))
        write(sheet, "0", begin - 16)
        sheet[9:21, begin : begin + bar] = np.array(colours, np.uint8)
        write(sheet, f"{threshold:g} px", begin + bar + 6)


def write(sheet: Colour, words: str, x: int) -> None:
    cv2.putText(sheet, words, (x, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, BLACK, 1, cv2.LINE_AA)
