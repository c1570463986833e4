"""What other sequences would have given: figures of sequences drawn again, and their intervals.

The sequences are the units: patches of one scene stand or fall together. They are drawn again with
putting back (bootstrap, Efron and Tibshirani 1993), all figures from the same draws, so that means
of figures are means of draws. The interval lies between percentiles of the draws, a little farther
out than 2.5 and 97.5, as Student's t asks for few units: at Φ(±t √(n / (n − 1))) (Hesterberg 2015,
"What teachers should know about the bootstrap", expanded percentiles). Below 8 units there is none.

A pair of patches is in a draw as often as both its sequences are. Queries of retrieval are drawn
with their sequence; the distractors stay.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..intervals import DRAWS, SCENES, Estimate, student
from .verification import Counted

PIECE = 250  # draws at a time


@dataclass(frozen=True)
class Drawn:
    """A figure, what it is in each draw, (DRAWS,), and how many units were drawn."""

    value: float
    draws: np.ndarray
    units: int

    def estimate(self) -> Estimate:
        """With the 95 % interval."""
        if self.units < SCENES or not np.isfinite(self.draws).all():
            return Estimate(self.value, -math.inf, math.inf)
        from scipy.special import ndtr

        out = float(ndtr(-student(self.units - 1) * math.sqrt(self.units / (self.units - 1))))
        low, high = np.quantile(self.draws, [out, 1 - out])
        return Estimate(self.value, float(low), float(high))


def mean(figures: Iterable[Drawn]) -> Drawn:
    """A mean of figures is drawn as they are."""
    every = list(figures)
    draws = np.mean([one.draws for one in every], 0)
    return Drawn(float(np.mean([one.value for one in every])), draws, every[0].units)


def weights(used: np.ndarray) -> np.ndarray:
    """How often each sequence is in each draw, (DRAWS, S), of those that `used` (S,) allows."""
    found = np.zeros((DRAWS, len(used)))
    found[:, used] = _drawn(int(used.sum()))
    return found


@lru_cache(maxsize=4)
def _drawn(count: int) -> np.ndarray:
    rng = np.random.default_rng(count)  # the same data give the same interval
    return rng.multinomial(count, np.full(count, 1 / count), DRAWS)


def ratio(over: np.ndarray, under: np.ndarray, used: np.ndarray) -> Drawn:
    """Σ over / Σ under, both (S,), over the sequences that `used` (S,) bool allows."""
    w = weights(used)
    with np.errstate(invalid="ignore"):  # no query in a draw: unknown
        draws = (w @ over) / (w @ under)
    return Drawn(float(over[used].sum() / under[used].sum()), draws, int(used.sum()))


def curve(counted: Counted, used: np.ndarray, precision: float, roc: float) -> tuple[Drawn, Drawn]:
    """Average precision and area under ROC, of the pairs that begin in a sequence of `used`.

    Their values, `precision` and `roc`, are known exactly. Cells coarsen the draws a little; what
    they shift the value by is taken off again.
    """
    w = weights(used)
    parts = [_figures(counted, part, used) for part in np.array_split(w, len(w) // PIECE)]
    shift = np.array([[precision], [roc]]) - _figures(counted, used[None].astype(float), used)
    of_precision, of_roc = np.concatenate(parts, 1) + shift
    units = int(used.sum())
    return Drawn(precision, of_precision, units), Drawn(roc, of_roc, units)


def _figures(counted: Counted, w: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Average precision and area under ROC with sequences as often as `w` (n, S) says: (2, n)."""
    w = w.astype(np.float32)
    few, right = w @ counted.few, w @ counted.right  # (n, C)
    if counted.wrong.ndim == 2:
        wrong = w @ counted.wrong
    else:
        anywhere = np.where(used, w, np.float32(1))  # the other end of a pair is in any sequence
        both = w[:, :, None] * anywhere[:, None, :]
        same = np.arange(w.shape[1])
        both[:, same, same] = w
        wrong = both.reshape(len(w), -1) @ counted.wrong.reshape(-1, counted.wrong.shape[-1])
    tp, fp = np.cumsum(few, 1, dtype=float), np.cumsum(wrong, 1, dtype=float)
    precision = np.where(tp + fp > 0, tp / np.maximum(tp + fp, 1), 1)
    ahead = np.concatenate([np.ones((len(w), 1)), precision[:, :-1]], 1)
    beyond = fp[:, -1:] - fp + wrong / 2
    with np.errstate(invalid="ignore"):  # no pair of a kind in a draw: unknown
        area = (few * (precision + ahead)).sum(1) / 2 / tp[:, -1]
        return np.stack([area, (right * beyond).sum(1) / right.sum(1) / fp[:, -1]])
