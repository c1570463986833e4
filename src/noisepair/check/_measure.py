"""What a pair of shots gives away, as sums that can be pooled over units.

y₁ = x + n₁ and y₂ = x + n₂ differ by noise alone, d = y₁ − y₂, if the pair is sound. Everything
here asks d, or what the two shots share, whether that is so. Values in picture units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

LAGS = 8  # pixels, to the right and down
SMOOTH = 1.5  # sigma in pixels of the pictures whose slopes tell a shift: above most of the noise
GRAIN = (
    np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / 70**0.5
)  # the finest grain; white noise keeps its σ²
# Standard deviation of the correlation of two such grains over one value, if they are independent:
# products of neighbours are alike, by the square of the filter's own autocorrelation.
GRAIN_DOUBT = float(np.square(np.correlate(GRAIN, GRAIN, "full")).sum())
FLAT, FLATTEST = 16, 0.2  # side of the squares, and the share of them, that count as flat
Sums = dict[str, np.ndarray]


@dataclass(frozen=True)
class Pair:
    """Two shots of one scene, (H, W, C) float32 in picture units; `low`, `high` where they clip."""

    scene: int
    one: np.ndarray
    two: np.ndarray
    low: float = -np.inf
    high: float = np.inf
    frame: tuple[int, int, int, int] | None = None  # top and left in a picture so high and wide

    @property
    def clipped(self) -> np.ndarray:
        """Where either shot is at an end of its range."""
        both = np.stack([self.one, self.two])
        return np.asarray(((both <= self.low) | (both >= self.high)).any(0))

    def laid(self, right: int, down: int) -> "Pair":
        """What both show, the second shot moved back by so many pixels."""
        height, width = self.one.shape[:2]
        rows = slice(max(0, -down), min(height, height - down))
        columns = slice(max(0, -right), min(width, width - right))
        back = np.s_[
            rows.start + down : rows.stop + down, columns.start + right : columns.stop + right
        ]
        return Pair(self.scene, self.one[rows, columns], self.two[back], self.low, self.high)

    def window(self, rows: slice, columns: slice) -> "Pair":
        one, two = self.one[rows, columns], self.two[rows, columns]
        frame = (rows.start, columns.start, *self.one.shape[:2])
        return Pair(self.scene, one, two, self.low, self.high, frame)


def tiled(pair: Pair, side: int) -> list[Pair]:
    """Squares of `side` pixels; of a smaller picture all of it. What is over is left out."""
    height, width = pair.one.shape[:2]
    down, across = min(side, height), min(side, width)
    return [
        pair.window(slice(top, top + down), slice(left, left + across))
        for top in range(0, height - down + 1, down)
        for left in range(0, width - across + 1, across)
    ]


def together(each: Sequence[Sums], scenes: Sequence[int], *, by_scene: bool) -> Sums:
    """The sums of every unit by name, (units, …); those of a scene added up if asked."""
    rows = {name: np.stack([one[name] for one in each]) for name in each[0]}
    if not by_scene:
        return rows
    known, place = np.unique(scenes, return_inverse=True)
    whole = {name: np.zeros((len(known), *values.shape[1:])) for name, values in rows.items()}
    for name, values in rows.items():
        np.add.at(whole[name], place, values)
    return whole


def measured(pair: Pair) -> Sums:
    """All sums of one pair."""
    d = pair.one - pair.two
    ends = pair.clipped.mean()
    return {
        "clipped": np.array([ends, 1.0]), "step": np.array([d.sum(), d.size], float),
        **of_noise(d - d.mean((0, 1))), **of_shift(pair), **of_light(pair), **of_grain(pair),
        "unequal": of_inequality(pair),
    }  # fmt: skip


def of_noise(d: np.ndarray) -> Sums:
    """Products of the difference with itself, displaced; of whole lines; in a grid of 8."""
    found = {"values": np.array(float(d.size)), "d2": np.vdot(d, d)}
    for axis, name in ((1, "right"), (0, "down")):
        at = np.moveaxis(d, axis, 0)
        length = len(at)
        lags = range(1, LAGS + 1)
        # per product that exists: a lag loses `lag` of `length`
        found[name] = np.array(
            [np.vdot(at[:-g], at[g:]) * length / (length - g) if g < length else 0.0 for g in lags]
        )
        near = (at[:-1] * at[1:]).reshape(length - 1, d.size // length).sum(1, dtype=np.float64)
        phases = np.bincount(np.arange(length - 1) % 8, near, 8)
        counts = np.maximum(np.bincount(np.arange(length - 1) % 8, minlength=8), 1)
        found[f"grid {name}"] = phases / counts * (length / 8)
        lines = d.mean(axis, dtype=np.float64)
        found[f"lines {name}"] = np.square(lines).sum() * length * length
    return {name: np.asarray(value, float) for name, value in found.items()}


def of_inequality(pair: Pair) -> np.ndarray:
    """(y₁ − c)² − (y₂ − c)² with the mean c of the pixels around: σ₁² − σ₂², if noise is white."""
    both = (pair.one + pair.two) / 2
    return np.array(np.vdot(pair.one - pair.two, 2 * (both - neighbours(both))), float)


def neighbours(picture: np.ndarray) -> np.ndarray:
    """The mean of the eight pixels around each, (H, W, C): it shares no white noise with it."""
    return (9 * ndimage.uniform_filter(picture, (3, 3, 1), mode="reflect") - picture) / 8


def of_shift(pair: Pair) -> Sums:
    """Least squares of d on the slopes of the scene (Lucas & Kanade 1981): y₂(p) = x(p − s).

    Six unknowns: the shift to the right and down, and how both change to the right and down.
    """
    one, two = (ndimage.gaussian_filter(y.mean(-1), SMOOTH) for y in (pair.one, pair.two))
    d = one - two
    top, left, height, width = pair.frame or (0, 0, *d.shape)
    y, x = np.mgrid[top : top + d.shape[0], left : left + d.shape[1]]
    y, x = (y - (height - 1) / 2) / height, (x - (width - 1) / 2) / width
    rim = 4 if min(d.shape) > 24 else 0  # the filter repeats the rim, and a scene moves there too
    window = np.s_[rim : d.shape[0] - rim, rim : d.shape[1] - rim]
    sides = []
    for smooth in (one, two):
        down, right = np.gradient(smooth) if min(d.shape) > 1 else (d * 0, d * 0)
        terms = [g * place for place in (np.ones_like(x), x, y) for g in (right, down)]
        sides.append(np.stack([term[window].ravel() for term in terms]))
    # slopes of one shot times those of the other: where there is noise alone, that is nothing, and
    # no shift can be told; slopes times themselves would call it well known, and none
    matrix = sides[0] @ sides[1].T
    matrix = (matrix + matrix.T) / 2
    vector = (sides[0] + sides[1]) @ (d - d.mean())[window].ravel() / 2
    sharp = [
        np.vdot(np.diff(pair.one, axis=axis), np.diff(pair.two, axis=axis)) / pair.one.shape[-1]
        for axis in (1, 0)
    ]
    return {"slopes": matrix, "moved": vector, "sharp": np.array(sharp, float)}


def of_light(pair: Pair) -> Sums:
    """Moments of the brightness of cells of 8×8 pixels, none of them clipped: n, Σa, Σb, Σa² …"""
    cell = min(8, *pair.one.shape[:2])
    one, two, spoilt = (
        cells(values, cell) for values in (pair.one, pair.two, pair.clipped.astype(np.float32))
    )
    one, two = one[spoilt == 0], two[spoilt == 0]
    moments = [len(one), one.sum(), two.sum(), one @ one, two @ two, one @ two]
    return {"light": np.array(moments, float)}


def cells(values: np.ndarray, side: int) -> np.ndarray:
    """Means over squares of `side` pixels and all planes, one axis.

    >>> cells(np.arange(16.0).reshape(4, 4, 1), 2).tolist()
    [2.5, 4.5, 10.5, 12.5]
    """
    rows, columns = (size // side for size in values.shape[:2])
    whole = values[: rows * side, : columns * side]
    return whole.reshape(rows, side, columns, -1).mean((1, 3), dtype=np.float64).ravel()


def of_grain(pair: Pair) -> Sums:
    """The finest grain that both shots share, where the scene is flattest; and all of it there."""
    fine = [
        ndimage.convolve1d(ndimage.convolve1d(y, GRAIN, 0), GRAIN, 1) for y in (pair.one, pair.two)
    ]
    side = min(FLAT, *pair.one.shape[:2])
    smooth = ndimage.gaussian_filter((pair.one + pair.two).mean(-1), 2)
    slope = sum(np.square(g) for g in np.gradient(smooth)) if min(smooth.shape) > 1 else smooth * 0
    flatness = cells(np.asarray(slope)[..., None], side)
    flat = flatness <= np.quantile(flatness, FLATTEST)
    flat &= cells(pair.clipped.astype(np.float32), side) < 0.01
    shared = cells(fine[0] * fine[1], side)[flat].sum()
    whole = cells((fine[0] ** 2 + fine[1] ** 2) / 2, side)[flat].sum()
    area = float(flat.sum()) * side * side * pair.one.shape[-1]
    return {"shared": np.array(shared), "grain": np.array(whole), "flat area": np.array(area)}
