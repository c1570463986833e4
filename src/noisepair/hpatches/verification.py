"""Verification: does a distance tell two views of a place from two different places?

Right pairs are two views of a patch, wrong ones two patches of a sequence (intra) or of any two
sequences (inter); a million of each. For each level and kind of wrong pair

    balanced     all of both: area under the ROC curve
    imbalanced   all wrong ones and the first fifth of the right: average precision

The benchmark's figure is the mean of the six average precisions. Wrong pairs stand first, so that
equal distances are against the descriptor. Also told: how many wrong pairs pass where 95 % of the
right ones do (FPR95).

Sorted alone, right and wrong distances say by binary search how many wrong pairs precede a right.
For the doubt over sequences the pairs of each are counted in cells that hold equally many right
pairs: sequences can then be drawn again without sorting again.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from ..errors import InputError
from ._near import Ruler, between
from .described import Described
from .layout import LEVELS
from .precision import Ties, area_under_roc, by_counts, expected_by_counts, fpr95
from .tasks import NEGATIVES, Pairs, Verification

Watch = Callable[[float], None]  # watch(share done)
IMBALANCE = 0.2  # share of the right pairs that is kept
CELLS = 128


@dataclass(frozen=True)
class Curve:
    """What one list comes to."""

    precision: float  # imbalanced
    roc: float  # balanced
    fpr95: float
    tied: float  # share of the right pairs at the distance of a wrong one


@dataclass(frozen=True)
class Counted:
    """Pairs by sequence and distance, in C cells: imbalanced right ones (S, C), all right ones
    (S, C), and wrong ones, (S, C) within sequences and (S, S, C) between them."""

    few: np.ndarray
    right: np.ndarray
    wrong: np.ndarray


@dataclass(frozen=True)
class Verified:
    """By level and kind of wrong pair: the curve of the pairs that begin in a part's sequences; the
    average precision of those that begin in each sequence, (S,); and the counts."""

    curves: Mapping[tuple[str, str], Mapping[str, Curve]]
    sequences: Mapping[tuple[str, str], np.ndarray]
    counted: Mapping[tuple[str, str], Counted]


@dataclass(frozen=True)
class Runs:
    """Squared distances of pairs, sorted within each sequence: of s from ends[s] to ends[s + 1]."""

    values: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, first: np.ndarray, count: int) -> "Runs":
        """From distances in the order of the sequence of their first patch."""
        runs = cls(values.copy(), np.searchsorted(first, np.arange(count + 1)))
        for s in range(count):
            runs.run(s).sort()
        return runs

    def run(self, s: int) -> np.ndarray:
        """A sequence's own, a view."""
        return self.values[self.ends[s] : self.ends[s + 1]]

    def among(self, used: np.ndarray) -> np.ndarray:
        """All of the sequences that `used` (S,) bool allows, sorted."""
        runs = [self.run(s) for s in np.flatnonzero(used).tolist()]
        return np.sort(np.concatenate(runs), kind="stable")  # which merges what is in runs


@dataclass(frozen=True)
class Level:
    """The pairs of a level by kind, in the order of their first patch's sequence.

    `apart` (n,) squared distances, `sequences` (n, 2) of both patches; `few` (n,) bool: the right
    pairs that are imbalanced ones.
    """

    apart: Mapping[str, np.ndarray]
    sequences: Mapping[str, np.ndarray]
    few: np.ndarray


def verify(
    described: Described,
    lists: Verification,
    *,
    parts: Mapping[str, np.ndarray],
    ties: Ties = "official",
    watch: Watch | None = None,
) -> Verified:
    """All three levels, against both kinds of wrong pairs. `parts`: (S,) bool, by name."""
    same, count = Ruler.of(described).same, len(described.counts)
    curves: dict[tuple[str, str], dict[str, Curve]] = {
        key: {} for key in product(LEVELS, NEGATIVES)
    }
    sequences, counted = {}, {}
    for name, level in zip(LEVELS, levels(described, lists, watch), strict=True):
        cells = Cells.of(level, count)
        first = level.sequences["pos"][:, 0]
        right = Runs.of(level.apart["pos"], first, count)
        few = Runs.of(level.apart["pos"][level.few], first[level.few], count)
        for kind in NEGATIVES:
            wrong = Runs.of(level.apart[kind], level.sequences[kind][:, 0], count)
            for part, used in parts.items():
                all_right, all_few, all_wrong = (runs.among(used) for runs in (right, few, wrong))
                curves[name, kind][part] = curve(all_right, all_few, all_wrong, same, ties)
            sequences[name, kind] = np.array([
                average_precision(few.run(s), wrong.run(s), same, ties) for s in range(count)
            ])  # fmt: skip
            counted[name, kind] = cells.counted(level, kind)
    return Verified(curves, sequences, counted)


def levels(
    described: Described, lists: Verification, watch: Watch | None = None
) -> Iterator[Level]:
    """Easy, hard and tough, one after the other."""
    ordered, total = {}, 0
    for kind in ("pos", *NEGATIVES):
        pairs: Pairs = getattr(lists, kind)
        for side in ("first", "second"):
            places = getattr(pairs, side)
            described.holds(pairs.names, places, f"The list of {kind} pairs, {side} patches")
        # what lies together is asked for together, which is twice as fast; int16 sorts by digits
        order = np.argsort(pairs.first[:, 0].astype(np.int16), kind="stable")
        ordered[kind] = pairs.first[order], pairs.second[order]
        total += len(LEVELS) * len(order)
        if kind == "pos":
            few = order < int(IMBALANCE * len(order))
            if not few.any():
                raise InputError(
                    f"The list of right pairs has {len(order)}. Their first fifth is scored, so it "
                    "takes five and more. Give a longer list."
                )
    whose = {kind: np.stack([one[:, 0], two[:, 0]], 1) for kind, (one, two) in ordered.items()}
    done = 0
    for number in range(len(LEVELS)):
        apart = {}
        for kind, patches in ordered.items():
            first, second = (described.rows(side, number) for side in patches)
            apart[kind] = between(described.values, first, second, rounded=True)
            done += len(apart[kind])
            if watch:
                watch(done / total)
        yield Level(apart, whose, few)


def curve(right: np.ndarray, few: np.ndarray, wrong: np.ndarray, same: float, ties: Ties) -> Curve:
    """The figures of right pairs, of which `few` are imbalanced, among wrong ones; all sorted."""
    if not len(right) or not len(wrong):
        return Curve(math.nan, math.nan, math.nan, math.nan)
    closer, equal = _before(right, wrong, same)
    return Curve(
        precision=average_precision(few, wrong, same, ties),
        roc=area_under_roc(closer, equal, len(wrong), ties),
        fpr95=fpr95(closer + equal, len(wrong)),
        tied=float((equal > 0).mean()),
    )


def average_precision(right: np.ndarray, wrong: np.ndarray, same: float, ties: Ties) -> float:
    """Of right distances among wrong ones, both sorted; nan where there are none of either."""
    if not len(right) or not len(wrong):
        return math.nan
    closer, equal = _before(right, wrong, same)
    if ties != "expected":
        return float(by_counts(closer + equal))
    first = np.searchsorted(right, right - same, "left")
    tied = np.searchsorted(right, right + same, "right") - first
    return float(expected_by_counts(closer, equal, first, tied))


def _before(right: np.ndarray, wrong: np.ndarray, same: float) -> tuple[np.ndarray, np.ndarray]:
    """Wrong pairs closer than each right one, and as far; both sorted."""
    closer = np.searchsorted(wrong, right - same, "left")
    equal = np.zeros_like(closer)
    tied = wrong[np.minimum(closer, len(wrong) - 1)] <= right + same
    tied &= closer < len(wrong)
    equal[tied] = np.searchsorted(wrong, right[tied] + same, "right") - closer[tied]
    return closer, equal


@dataclass(frozen=True)
class Cells:
    """Cells between quantiles of the imbalanced right distances, and one beyond; right pairs."""

    count: int
    edges: np.ndarray
    few: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, level: Level, count: int) -> "Cells":
        """Those of a level."""
        apart, first = level.apart["pos"], level.sequences["pos"][:, 0]
        few = np.sort(apart[level.few])
        edges = few[np.arange(1, CELLS + 1) * len(few) // CELLS - 1]
        cell = np.searchsorted(edges, apart)
        return cls(
            count,
            edges,
            _table(first[level.few], cell[level.few], count),
            _table(first, cell, count),
        )

    def counted(self, level: Level, kind: str) -> Counted:
        """With the wrong pairs of a kind."""
        one, other = level.sequences[kind].T
        cell = np.searchsorted(self.edges, level.apart[kind])
        if kind == "intra":
            return Counted(self.few, self.right, _table(one, cell, self.count))
        wrong = _table(one * self.count + other, cell, self.count**2)
        return Counted(self.few, self.right, wrong.reshape(self.count, self.count, -1))


def _table(owner: np.ndarray, cell: np.ndarray, count: int) -> np.ndarray:
    """How many pairs each owner has in each cell, (count, C)."""
    flat = np.bincount(owner * (CELLS + 1) + cell, minlength=count * (CELLS + 1))
    return flat.reshape(count, -1).astype(np.float32)
