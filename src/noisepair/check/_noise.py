"""The noise itself: its variance against the level, what is clipped, what every picture carries."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import ndtri

from ..intervals import Solved, solve
from ._measure import Pair, neighbours

VALUES = 4_000_000  # that the curve is drawn from, at most
LEVELS = 48  # bins of brightness, as many values in each
FAR = 6.0  # standard deviations of a difference: of Gaussian noise 2 in a thousand million
ROLLS = 16  # draws of how much the pictures would agree by chance


@dataclass(frozen=True)
class Curve:
    """The photon-transfer curve: variance of one shot against the level, both in picture units.

    `line`: variance = line[0] + line[1] · level, with errors. `far`: the share of differences
    beyond 6 standard deviations. `bias`: |E[y] − x| that clipping leaves at each level, and
    `clip_bias` its root mean square over all values.
    """

    level: np.ndarray
    variance: np.ndarray
    bias: np.ndarray
    line: Solved
    far: float
    low: float  # share of values at the lower end, and at the upper
    high: float
    clip_bias: float

    @property
    def kind(self) -> str:
        """gaussian, poisson, or both: which parts of the line are beyond doubt."""
        if not np.isfinite(self.line.values).all():
            return "unknown"
        middle = float(np.average(self.level))
        slope = self.line.values[1] * middle
        whole = max(self.line.values[0] + slope, 1e-30)
        rises = self.line.pull(1) > 4 and slope > 0.05 * whole
        reads = self.line.pull(0) > 4 and self.line.values[0] > 0.02 * whole
        return "both" if rises and reads else "poisson" if rises else "gaussian"


def curve(units: Sequence[Pair]) -> Curve:
    """Photon-transfer curve of all pairs together: no dark frame, no flat field, no model.

    The level of a pixel is the mean of its eight neighbours in both shots, which do not know the
    noise at the pixel, so a bright accident does not choose its own bin (Janesick 2007, "Photon
    transfer", chapter 5, with pairs in place of flat fields).
    """
    levels, squares, masks = [], [], []
    cut: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    every = math.ceil(sum(unit.one.size for unit in units) / VALUES)
    for unit in units:
        around = neighbours((unit.one + unit.two) / 2)
        d = unit.one - unit.two
        levels.append(around.ravel()[::every])
        squares.append(np.square(d - d.mean((0, 1))).ravel()[::every] / 2)
        masks.append(~unit.clipped.ravel()[::every])
        for side, found in enumerate(cut):
            found.append(cut_off(unit, upper=bool(side))[:, ::every])
    level, half, good = map(np.concatenate, (levels, squares, masks))
    edges = np.unique(
        np.quantile(level[:: max(1, len(level) // 400_000)], np.linspace(0, 1, LEVELS))
    )
    place = np.clip(np.searchsorted(edges, level, "right") - 1, 0, max(0, len(edges) - 2))
    count = np.bincount(place, minlength=max(1, len(edges) - 1)).astype(float)
    size = np.maximum(count, 1)
    variance = np.bincount(place, half, len(count)) / size
    mean = np.bincount(place, level, len(count)) / size
    # 0.4549 is the median of χ² with one degree of freedom
    middle = np.maximum(medians(half, place, len(count)) / 0.4549, variance / 10)
    beyond = half > FAR**2 * middle[place]
    far = float(beyond[good].mean()) if good.any() else 0.0
    kept = np.bincount(place, ~beyond, len(count))
    variance = np.bincount(place, np.where(beyond, 0, half), len(count)) / np.maximum(kept, 1)
    masks = [
        mask & (squared <= FAR**2 * middle[place[at : at + len(mask)]])
        for mask, squared, at in zip(masks, squares, starts(masks), strict=True)
    ]
    ends, lone = [], []
    for found in cut:
        both = np.concatenate(found, 1)
        ends.append(np.bincount(place, both.mean(0), len(count)) / size)
        lone.append(np.bincount(place, both[0] != both[1], len(count)) / size)
    whole = (count > 100) & (ends[0] + ends[1] < 0.01)  # more clipped narrows the noise
    if whole.sum() < 3:  # then where least is clipped
        whole = (count > 0) & (
            ends[0] + ends[1] <= np.quantile((ends[0] + ends[1])[count > 0], 0.2)
        )
    weight = np.where(whole, 1 / np.maximum(variance, 1e-12) ** 2, 0)
    line = fitted(levels, squares, masks, place, weight)
    bias = clip_bias(lone[0], variance) + clip_bias(lone[1], variance)
    total = max(1.0, count.sum())
    return Curve(
        mean[count > 0], variance[count > 0], bias[count > 0], line, far,
        float((ends[0] * count).sum() / total), float((ends[1] * count).sum() / total),
        math.sqrt(float((np.square(bias) * count).sum() / total)),
    )  # fmt: skip


def medians(values: np.ndarray, place: np.ndarray, count: int) -> np.ndarray:
    """The middle value in each bin; 0 in an empty one."""
    order = np.argsort(place, kind="stable")
    cuts = np.searchsorted(place[order], np.arange(1, count))
    return np.array([np.median(one) if one.size else 0.0 for one in np.split(values[order], cuts)])


def starts(parts: Sequence[np.ndarray]) -> list[int]:
    return [0, *np.cumsum([len(part) for part in parts])[:-1].tolist()]


def cut_off(unit: Pair, *, upper: bool) -> np.ndarray:
    """Of each shot, which values are at this end of the range, (2, values)."""
    both = np.stack([unit.one, unit.two]).reshape(2, -1)
    return np.asarray(both >= unit.high if upper else both <= unit.low)


def fitted(
    levels: Sequence[np.ndarray],
    squares: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    place: np.ndarray,
    weight: np.ndarray,
) -> Solved:
    """The straight line through squared half differences, weighted by what is known of each."""
    matrices, vectors, at = [], [], 0
    for level, half, good in zip(levels, squares, masks, strict=True):
        w = weight[place[at : at + len(level)]] * good
        at += len(level)
        x = level.astype(np.float64)
        off = w @ x
        matrices.append([[w.sum(), off], [off, (w * x) @ x]])
        vectors.append([w @ half, (w * x) @ half])
    return solve(np.array(matrices), np.array(vectors))


def clip_bias(lone: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """|E[y] − x| where Gaussian noise is cut off at one end, by level.

    `lone`: the share of pixels of which one shot is cut off and the other is not, 2 p (1 − p);
    where the scene itself is white both are, and nothing is bent. With a = Φ⁻¹(p) the end lies a
    standard deviations from x; what is left of the noise has the mean m = a p + φ(a), and its
    variance, which was measured, tells σ.

    >>> clip_bias(np.array([0.5]), np.array([0.5 - 1 / (2 * math.pi)])).round(4).tolist()
    [0.3989]
    """
    p = (1 - np.sqrt(np.maximum(0.0, 1 - 2 * np.clip(lone, 0.0, 0.5)))) / 2
    a = ndtri(np.maximum(p, 1e-300))
    bell = np.exp(-(a**2) / 2) / math.sqrt(2 * math.pi)
    mean = a * p + bell
    left = a**2 * p + (1 - p) + a * bell - mean**2
    return np.where(p > 0, np.sqrt(variance / left) * mean, 0.0)


@dataclass(frozen=True)
class Pattern:
    """What all pictures carry at the same place: its standard deviation, and how sure that is."""

    sigma: float
    pull: float


def fixed_pattern(pictures: Sequence[np.ndarray]) -> Pattern | None:
    """The noise that the mean pictures of different scenes share; none of too few of one size.

    Products of different scenes at one place: only a pattern of the camera survives their mean.
    What chance would leave is measured by rolling each picture by its own distance.
    """
    shapes = [picture.shape for picture in pictures]
    common = max(set(shapes), key=shapes.count)
    fine = [grain(picture) for picture in pictures if picture.shape == common]
    if len(fine) < 8 or min(common[:2]) < 16:
        return None
    rng = np.random.default_rng(0)
    found = agreement(fine)
    chance = []
    for _ in range(ROLLS):
        moves = rng.integers(0, common[:2], (len(fine), 2))
        rolled = (np.roll(f, tuple(by), (0, 1)) for f, by in zip(fine, moves, strict=True))
        chance.append(agreement(rolled))
    doubt = max(float(np.std(chance)), 1e-300)
    return Pattern(math.sqrt(max(0.0, found)), found / doubt)


def grain(picture: np.ndarray) -> np.ndarray:
    """Without what is large; strong edges cut down, so that none decides alone."""
    fine = picture - ndimage.gaussian_filter(picture, (2, 2, 0))
    most = 3 * 1.4826 * float(np.median(np.abs(fine)))
    return np.clip(fine, -most, most) - np.clip(fine, -most, most).mean()


def agreement(fine: object) -> float:
    """Mean product of two different pictures at one place."""
    total, own, count = 0.0, 0.0, 0
    for one in fine:  # type: ignore[attr-defined]
        total, own, count = total + one, own + float(np.vdot(one, one)), count + 1
    whole = float(np.vdot(total, total))
    return (whole - own) / (count * (count - 1) * np.size(total))
