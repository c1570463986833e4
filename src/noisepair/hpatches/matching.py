"""Matching: is the nearest patch of another picture of the sequence the right one?

For a sequence, a level and one of five pictures, each reference patch a takes the nearest b of that
sheet, first of equals. Right is the one of its own number. Sorted by distance the answers have an
average precision, over N right answers that there are; the wrong ones are never found. The
benchmark's figure is the mean over sequences, levels and pictures.

The nearest is the largest a·b − |b|²/2. Products in float32 find it where it leads by more than
they can be wrong by; where it does not, all distances of that patch are taken again in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ._near import Ruler, between, products
from .described import Described
from .layout import LEVELS, OTHERS
from .precision import Ties, expected_of_labels, of_labels

Watch = Callable[[float], None]  # watch(share done)
ROWS = 1024  # patches at a time: their products with a sheet take 8 MB


@dataclass(frozen=True)
class Matching:
    """Of each sequence, level and picture, (S, 3, 5): average precision, share of right answers,
    and share of patches that have more than one nearest."""

    precision: np.ndarray
    right: np.ndarray
    tied: np.ndarray


def match(described: Described, *, ties: Ties = "official", watch: Watch | None = None) -> Matching:
    """All sequences of `described`."""
    ruler = Ruler.of(described)
    found = np.zeros((3, len(described.counts), len(LEVELS), OTHERS))
    work = np.cumsum(np.square(list(described.counts.values()), dtype=float))
    for s in range(len(described.counts)):
        sheets = described.sheets(s)
        centred = sheets - ruler.centre
        for number in range(1, len(sheets)):
            with np.errstate(over="ignore", invalid="ignore"):  # then it is not sure
                nearest, sure = _nearest(centred[0], centred[number])
            level, picture = divmod(number - 1, OTHERS)
            answers = judge(sheets[0], sheets[number], nearest, sure, ruler, ties)
            found[:, s, level, picture] = answers
        if watch:
            watch(work[s] / work[-1])
    return Matching(*found)


def judge(
    ref: np.ndarray,
    sheet: np.ndarray,
    nearest: np.ndarray,
    sure: np.ndarray,
    ruler: Ruler,
    ties: Ties,
) -> tuple[float, float, float]:
    """Average precision, share right, share tied, of two sheets (N, D) and the `nearest` (N,).

    Where these are not `sure`, all distances are taken again.
    """
    count = len(ref)
    chance = (nearest == np.arange(count)).astype(float)
    tied = 0
    doubtful = np.flatnonzero(~sure)
    for start in range(0, len(doubtful), ROWS):
        rows = doubtful[start : start + ROWS]
        apart = products(ruler.centred(ref[rows]), ruler.centred(sheet))
        close = apart <= apart.min(1, keepdims=True) + ruler.same
        level = close.sum(1)
        own = close[np.arange(len(rows)), rows]
        nearest[rows] = close.argmax(1)
        tied += int((level > 1).sum())
        if ties == "official":
            chance[rows] = nearest[rows] == rows
        elif ties == "expected":
            chance[rows] = own / level
        else:
            chance[rows] = own & (level == 1)
    both = np.concatenate([ref, sheet])
    apart = between(both, np.arange(count), nearest + count)
    if ties == "expected":
        precision = expected_of_labels(apart, chance, count, ruler.same)
    else:
        precision = of_labels(chance[_order(apart, chance, ruler.same, ties)] > 0, count)
    return precision, float(chance.mean()), tied / count


def _order(apart: np.ndarray, chance: np.ndarray, same: float, ties: Ties) -> np.ndarray:
    """The list by distance; of equals the first first, or else the wrong."""
    order = np.argsort(apart, kind="stable")
    group = np.empty(len(apart), int)
    group[order] = np.cumsum(np.diff(apart[order], prepend=-np.inf) > same)
    second = np.arange(len(apart)) if ties == "official" else chance
    return np.lexsort((second, group))


def _nearest(ref: np.ndarray, sheet: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest row of `sheet` for each of `ref`, and whether float32 could tell it: (N,) each.

    Both are centred, (N, D) float32.
    """
    half = np.einsum("ij,ij->i", sheet, sheet) / 2
    longest = float(np.sqrt(2 * half.max()))
    lengths = np.sqrt(np.einsum("ij,ij->i", ref, ref))
    # what D products and sums in float32 can be wrong by, twice
    wrong = 2 * (ref.shape[1] + 4) * np.finfo(np.float32).eps * (lengths + longest) * longest
    ones = np.ones((len(ref), 1), np.float32)
    ref, sheet = np.concatenate([ref, ones], 1), np.concatenate([sheet, -half[:, None]], 1)
    nearest, sure = np.empty(len(ref), int), np.empty(len(ref), bool)
    buffer = np.empty((min(ROWS, len(ref)), len(sheet)), np.float32)  # new memory is slow memory
    for start in range(0, len(ref), ROWS):
        part = slice(start, start + ROWS)
        score = buffer[: len(ref[part])]
        np.matmul(ref[part], sheet.T, out=score)  # a·b − |b|²/2
        each = np.arange(len(score))
        nearest[part] = first = score.argmax(1)
        best = score[each, first]
        score[each, first] = -np.inf
        sure[part] = best - score.max(1) > wrong[part]
    return nearest, sure
