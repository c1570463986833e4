"""The noise itself: its variance against the level, what is clipped, what every picture carries."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import ndtri

from ..intervals import Solved, solve
from ._measure import Pair

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
        both = (unit.one + unit.two) / 2
        around = (9 * ndimage.uniform_filter(both, (3, 3, 1), mode="reflect") - both) / 8
        d = unit.one - unit.two
        levels.append(around.ravel()[::every])
        squares.append(np.square(d - d.mean((0, 1))).ravel()[::every] / 2)
        masks.append(~unit.clipped.ravel()[::every])
        for side, found in enumerate(cut):
            found.append(share(unit, upper=bool(side)).ravel()[::every])
    level, half, good = map(np.concatenate, (levels, squares, masks))
    edges = np.unique(
        np.quantile(level[:: max(1, len(level) // 400_000)], np.linspace(0, 1, LEVELS))
    )
    place = np.clip(np.searchsorted(edges, level, "right") - 1, 0, max(0, len(edges) - 2))
    count = np.bincount(place, minlength=max(1, len(edges) - 1)).astype(float)
    size = np.maximum(count, 1)
    variance = np.bincount(place, half, len(count)) / size
    mean = np.bincount(place, level, len(count)) / size
    middle = np.maximum(
        medians(half, place, len(count)) / 0.4549, variance / 10
    )  # of χ², 1 freedom
    beyond = half > FAR**2 * middle[place]
    far = float(beyond[good].mean()) if good.any() else 0.0
    kept = np.bincount(place, ~beyond, len(count))
    variance = np.bincount(place, np.where(beyond, 0, half), len(count)) / np.maximum(kept, 1)
    masks = [
        mask & (squared <= FAR**2 * middle[place[at : at + len(mask)]])
        for mask, squared, at in zip(masks, squares, starts(masks), strict=True)
    ]
    ends = [np.bincount(place, np.concatenate(one), len(count)) / size for one in cut]
    whole = (count > 100) & (ends[0] + ends[1] < 0.01)  # more clipped narrows the noise
    if whole.sum() < 3:  # then where least is clipped
        whole = (count > 0) & (
            ends[0] + ends[1] <= np.quantile((ends[0] + ends[1])[count > 0], 0.2)
        )
    weight = np.where(whole, 1 / np.maximum(variance, 1e-12) ** 2, 0)
    line = fitted(levels, squares, masks, place, weight)
    sigma = np.sqrt(np.maximum(line.values[0] + line.values[1] * mean, 0))
    sigma = np.where(np.isfinite(sigma), sigma, variance**0.5)
    bias = clip_bias(ends[0], sigma) + clip_bias(ends[1], sigma)
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


def share(unit: Pair, *, upper: bool) -> np.ndarray:
    """Of each pixel, which part of its two shots is at this end of the range: 0, ½ or 1."""
    both = np.stack([unit.one, unit.two])
    return np.asarray((both >= unit.high if upper else both <= unit.low).mean(0))


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


def clip_bias(clipped: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """|E[clip(x + n)] − x| where a share of Gaussian noise is cut off at one end.

    With t = −Φ⁻¹(share) standard deviations to the end: σ (φ(t) − t Φ(−t)).

    >>> float(clip_bias(np.array([0.5]), np.array([1.0]))[0].round(4))
    0.3989
    """
    some = np.clip(clipped, 0.0, 0.9999)
    t = -ndtri(np.maximum(some, 1e-300))
    bias = sigma * (np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi) - t * some)
    return np.where(some > 0, bias, 0.0)


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
