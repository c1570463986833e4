"""Which key points of two pictures are the same places, and whether any are at all.

    nearest neighbours, each of the other  →  ratio test, both ways  →  geometry  →  verdict

A match is kept where its distance is at most `ratio` of that to the second nearest, seen from
either picture (Lowe 2004, section 7.1); which picture comes first makes no difference. Two pictures
match reliably where accident would give such a geometry less than once in 10^6 pairs of pictures
(two_views has how that is counted).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from ..errors import InputError, choose
from .features import Features
from .two_views import Geometry, Kind, fit

Asked = Literal["auto", "homography", "fundamental"]

RATIO = 0.9
THRESHOLD = 3.0  # pixels
SURE = -6.0  # log10 of the false alarms that a reliable match may have
BLOCK = 512  # vectors at once: 8 MB against 2,000


@dataclass(frozen=True)
class Correspondence:
    """What came of two pictures: matches, and what most of them obey."""

    pairs: Int[np.ndarray, "M 2"]
    """rows of the first picture's key points and of the second's"""
    distances: Float[np.ndarray, " M"]
    """between the vectors of a match"""
    geometry: Geometry | None
    """the best that was found, reliable or not"""

    @property
    def reliable(self) -> bool:
        return self.geometry is not None and self.geometry.false_alarms <= SURE


def correspond(
    one: Features,
    two: Features,
    *,
    ratio: float = RATIO,
    geometry: Asked = "auto",
    threshold: float = THRESHOLD,
) -> Correspondence:
    """Match two pictures that were described alike.

    `geometry` auto fits both and takes the one that accident explains less. `threshold`: pixels.
    Raises InputError for vectors of different descriptors, NaN among them, a ratio outside (0, 1]
    and a threshold that is none.
    """
    choose("geometry", geometry, dict.fromkeys(get_args(Asked)))
    if not 0 < threshold < np.inf:
        raise InputError(
            f"A threshold of {threshold:g} pixels has no inliers. Give more than 0; 3 is usual."
        )
    if one.method != two.method:
        raise InputError(
            f"One picture is described by {one.method}, the other by {two.method}: their vectors"
            " have nothing in common. Describe both by one."
        )
    pairs, distances = mutual(one.vectors, two.vectors, ratio)
    here, there = one.xy[pairs[:, 0]].astype(float), two.xy[pairs[:, 1]].astype(float)
    kinds: tuple[Kind, ...] = get_args(Kind) if geometry == "auto" else (geometry,)
    found = [fit(kind, here, there, (one.size, two.size), threshold) for kind in kinds]
    known = [each for each in found if each is not None]
    best = min(known, key=lambda each: each.false_alarms, default=None)
    return Correspondence(pairs, distances, best)


def mutual(
    one: Float32[np.ndarray, "N D"], two: Float32[np.ndarray, "M E"], ratio: float = RATIO
) -> tuple[Int[np.ndarray, "K 2"], Float[np.ndarray, " K"]]:
    """Rows that are nearest to each other, and how far apart; in the order of `one`.

    With a ratio of 1 nothing is asked of the second nearest. Raises InputError for vectors of
    different lengths, NaN or infinity among them, and a ratio outside (0, 1].
    """
    if not 0 < ratio <= 1:
        raise InputError(
            f"A ratio of {ratio:g} is not possible. Give more than 0 and at most 1, which keeps all"
            f" mutual neighbours; {RATIO:g} is usual."
        )
    for vectors in (one, two):
        if not np.isfinite(vectors).all():
            raise InputError(
                "Some vectors hold NaN or infinity, which have no neighbours. Describe the pictures"
                " again, by weights that did not diverge."
            )
    if one.shape[1] != two.shape[1]:
        raise InputError(
            f"Vectors of {one.shape[1]} and of {two.shape[1]} numbers cannot be compared. Describe"
            " both pictures by the same descriptor."
        )
    if not len(one) or not len(two):
        return np.empty((0, 2), int), np.empty(0)
    there, gaps = nearest(one, two)
    back, gaps_back = nearest(two, one)
    kept = back[there] == np.arange(len(one))
    if ratio < 1:
        kept &= clear(gaps, ratio) & clear(gaps_back, ratio)[there]
    rows = np.nonzero(kept)[0]
    return np.stack([rows, there[rows]], 1), gaps[rows, 0]


def clear(gaps: Float[np.ndarray, "N 2"], ratio: float) -> Bool[np.ndarray, " N"]:
    """Whether the nearest is clearly nearer than the second, which another equal one is not."""
    return (gaps[:, 0] <= ratio * gaps[:, 1]) & (gaps[:, 1] > 0)


def nearest(
    here: Float32[np.ndarray, "N D"], there: Float32[np.ndarray, "M D"]
) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, "N 2"]]:
    """For each row the nearest of `there`, and the distances to it and to the second nearest.

    Candidates are found by |a − b|² = |a|² + |b|² − 2 a·b in float64, and their distances computed
    again from the differences, which do not cancel. Where there is no second, it is infinitely far.
    """
    wide = there.astype(float)
    squares = (wide**2).sum(1)
    index = np.empty(len(here), int)
    gaps = np.full((len(here), 2), np.inf)
    for first in range(0, len(here), BLOCK):
        rows = here[first : first + BLOCK].astype(float)
        far = squares - 2 * rows @ wide.T
        two = np.argpartition(far, min(1, len(there) - 1), axis=1)[:, :2]
        exact = np.linalg.norm(rows[:, None] - wide[two], axis=2)
        order = np.lexsort((two, exact), axis=1)  # of two equals the first
        block = slice(first, first + len(rows))
        index[block] = np.take_along_axis(two, order, 1)[:, 0]
        gaps[block, : two.shape[1]] = np.take_along_axis(exact, order, 1)
    return index, gaps
