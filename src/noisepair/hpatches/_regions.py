"""Where patches are taken: Hessian, Harris and DoG points of the reference, as HPatches has them.

A region is a disc with a direction, a row (x, y, radius, angle): pixels, pixel centres at whole
numbers, y down, radians. Its radius is 5 times the scale σ at which its point was found, and its
angle that of the strongest gradient (Lowe 2004, section 5; one a point). Nothing is fitted to its
shape: a patch is the square around the disc, turned by the angle.

    Hessian   largest σ⁴ (Lxx Lyy − Lxy²) among its 26 neighbours in place and scale
    Harris    largest det M − 0.06 tr² M in place, where σ² |Lxx + Lyy| is largest in scale
    DoG       OpenCV's SIFT
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from ._sample import inside, patches

MAGNIFIED = 5.0  # radius of a region over the scale of its point (HPatches, README)
SMALLEST = 8.0  # pixels; below, a patch of 65 pixels would show interpolation rather than picture
ALIKE = 0.5  # overlap of two discs above which one of the two goes (HPatches, README)
SPREAD = 5.0  # grey levels of 255: flatter patches go (K. Lenc, hpatches-benchmark issue 13)
STEPS = 3  # scales an octave
BINS = 36  # directions
BIN = 2 * np.pi / BINS
FINEST = 1.6  # σ of the first scale that is searched: radius 8
SAME, SLOPE, CURVE = np.array([[0, 1, 0], [-0.5, 0, 0.5], [1, -2, 1]])
HESSIAN, HARRIS, DOG = 4e-4, 1e-5, 0.013  # least answers; pictures in [0, 1]

Regions = Float[np.ndarray, "N 4"]


def find(grey: UInt8[np.ndarray, "H W"], rng: np.random.Generator) -> Regions:
    """All regions that lie in the picture with their whole square, no two nearly the same.

    Of those that overlap by more than half one is kept at random. In the order of that draw.
    """
    points = np.concatenate([hessian_and_harris(grey), dog(grey)])
    points = points[np.lexsort(points.T)]  # whatever order they were found in
    upright = np.pad(points * (1, 1, MAGNIFIED), ((0, 0), (0, 1)))
    upright = upright[(upright[:, 2] >= SMALLEST) & within(upright, grey)]
    kept = apart(upright[rng.permutation(len(upright))])
    kept[:, 3] = directions(grey, kept)
    return kept[within(kept, grey)]


# ---- points


@dataclass(frozen=True)
class Scale:
    """What one scale of an octave answers. All float32, (H, W)."""

    sigma: float  # pixels of the octave
    hessian: np.ndarray
    harris: np.ndarray
    laplace: np.ndarray


def hessian_and_harris(grey: UInt8[np.ndarray, "H W"]) -> Float[np.ndarray, "N 3"]:
    """Points (x, y, σ)."""
    found = [np.empty((0, 3))]
    for octave, scales in enumerate(octaves(grey)):
        for below, here, above in zip(scales, scales[1:], scales[2:], strict=False):
            for rows, cols in (blobs(below, here, above), corners(below, here, above)):
                sigma = np.full(len(rows), here.sigma)
                found.append(np.stack([cols, rows, sigma], 1) * 2**octave)
    return np.concatenate(found)


def octaves(grey: UInt8[np.ndarray, "H W"]) -> Iterator[list[Scale]]:
    """Scales from one below the first searched to one above the last; each octave half as large."""
    step = 2 ** (1 / STEPS)
    sigmas = [FINEST * step**k for k in range(-1, STEPS + 1)]
    picture = cv2.GaussianBlur(np.float32(grey) / 255, (0, 0), more(sigmas[0], 0.5))
    while min(picture.shape) > 2 * MAGNIFIED * FINEST:
        levels = [picture]
        for before, after in pairwise(sigmas):
            levels.append(cv2.GaussianBlur(levels[-1], (0, 0), more(after, before)))
        yield [answers(level, sigma) for level, sigma in zip(levels, sigmas, strict=True)]
        picture = levels[STEPS][::2, ::2].copy()  # twice sigmas[0], so sigmas[0] again


def more(wanted: float, there: float) -> float:
    """The blur that makes `wanted` of `there`."""
    return float(np.sqrt(wanted**2 - there**2))


def answers(level: np.ndarray, sigma: float) -> Scale:
    """Derivatives are central differences; σ makes them comparable between scales."""
    dx, dy = sigma * differ(level, SLOPE, SAME), sigma * differ(level, SAME, SLOPE)
    dxx, dyy = (sigma**2 * differ(level, *two) for two in ((CURVE, SAME), (SAME, CURVE)))
    dxy = sigma**2 * differ(level, SLOPE, SLOPE)
    xx, xy, yy = (cv2.GaussianBlur(d, (0, 0), 1.4 * sigma) for d in (dx * dx, dx * dy, dy * dy))
    harris = xx * yy - xy * xy - 0.06 * (xx + yy) ** 2
    return Scale(sigma, dxx * dyy - dxy * dxy, harris, np.abs(dxx + dyy))


def differ(level: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    return cv2.sepFilter2D(level, cv2.CV_32F, across, down)


def blobs(below: Scale, here: Scale, above: Scale) -> tuple[np.ndarray, ...]:
    highest = np.maximum.reduce([around(scale.hessian) for scale in (below, here, above)])
    return np.nonzero((here.hessian >= highest) & (here.hessian > HESSIAN))


def corners(below: Scale, here: Scale, above: Scale) -> tuple[np.ndarray, ...]:
    highest = np.maximum(below.laplace, above.laplace)
    peak = (here.harris >= around(here.harris)) & (here.harris > HARRIS)
    return np.nonzero(peak & (here.laplace >= highest))


def around(values: np.ndarray) -> np.ndarray:
    """The largest of each pixel and its eight neighbours."""
    return cv2.dilate(values, np.ones((3, 3), np.uint8))


def dog(grey: UInt8[np.ndarray, "H W"]) -> Float[np.ndarray, "N 3"]:
    """Points (x, y, σ); OpenCV's size is 2 σ, and a point comes once for each of its directions."""
    # without precise upscaling all its points lie a quarter of a pixel to the lower right
    sift = cv2.SIFT_create(contrastThreshold=STEPS * DOG, enable_precise_upscale=True)
    points = [(*point.pt, point.size / 2) for point in sift.detect(grey, None)]
    return np.unique(np.reshape(points, (-1, 3)).astype(float), axis=0)


# ---- one of each, and its direction


def apart(regions: Regions) -> Float[np.ndarray, "M 4"]:
    """The first of those that overlap by more than ALIKE, and so on down the list."""
    places, radii = regions[:, :2], regions[:, 2]
    if not len(regions):
        return regions
    near = cKDTree(places).query_ball_point(places, 0.54 * radii)  # equal discs: half at 0.53 r
    larger = np.repeat(np.arange(len(regions)), [len(one) for one in near])
    other = np.concatenate(near).astype(int)
    distance = np.hypot(*(places[larger] - places[other]).T)
    alike = overlap(radii[larger], radii[other], distance) > ALIKE
    rivals: dict[int, set[int]] = {}
    for one, two in zip(larger[alike].tolist(), other[alike].tolist(), strict=True):
        rivals.setdefault(one, set()).add(two)
        rivals.setdefault(two, set()).add(one)
    gone = set[int]()
    kept = []
    for n in range(len(regions)):
        if n not in gone:
            kept.append(n)
            gone |= rivals[n]
    return regions[kept]


def overlap(r: np.ndarray, s: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Shared over joint area of discs of radii r and s."""
    d = np.maximum(distance, 1e-9)
    # half the angles of the two segments; 0 or π where one disc holds the other
    a = np.arccos(np.clip((d**2 + r**2 - s**2) / (2 * d * r), -1, 1))
    b = np.arccos(np.clip((d**2 + s**2 - r**2) / (2 * d * s), -1, 1))
    shared = r**2 * (a - np.sin(2 * a) / 2) + s**2 * (b - np.sin(2 * b) / 2)
    return shared / (np.pi * (r**2 + s**2) - shared)


def directions(grey: UInt8[np.ndarray, "H W"], regions: Regions) -> np.ndarray:
    """The strongest direction of the gradient in each region, radians.

    Lowe 2004: at the scale of the point, 36 bins, weighed with a Gaussian of 1.5 σ, smoothed, and a
    parabola through the highest bin and its neighbours.
    """
    side = 33
    sigma = side / 2 / MAGNIFIED  # of the point, in pixels of the patch
    views = patches(grey, frames(regions * (1, 1, 1, 0)), np.eye(3), side).astype(np.float32)
    dy, dx = np.gradient(gaussian_filter(views, (0, sigma, sigma)), axis=(1, 2))
    off = np.arange(side) - side // 2.0
    weight = np.exp(-(off**2 + off[:, None] ** 2) / (2 * (1.5 * sigma) ** 2))
    bins = np.round(np.arctan2(dy, dx) / BIN).astype(int) % BINS
    bins += BINS * np.arange(len(views))[:, None, None]
    size = BINS * len(views)
    counted = np.bincount(bins.ravel(), (weight * np.hypot(dx, dy)).ravel(), minlength=size)
    strength: np.ndarray = counted.reshape(-1, BINS)
    for _ in range(6):
        strength = (np.roll(strength, 1, 1) + strength + np.roll(strength, -1, 1)) / 3
    best = strength.argmax(1)
    left, mid, right = (strength[np.arange(len(best)), (best + k) % BINS] for k in (-1, 0, 1))
    curve = np.minimum(left - 2 * mid + right, -1e-12)
    return (best + (left - right) / (2 * curve)) * BIN


def within(regions: Regions, grey: UInt8[np.ndarray, "H W"]) -> np.ndarray:
    return inside(frames(regions), np.eye(3), grey.shape)


def frames(regions: Regions) -> Float[np.ndarray, "N 2 3"]:
    """Affine maps of the square [−1, 1]² onto the regions; its x axis becomes their direction."""
    x, y, radius, angle = regions.T
    c, s = radius * np.cos(angle), radius * np.sin(angle)
    return np.stack([np.stack([c, -s, x], -1), np.stack([s, c, y], -1)], -2)
