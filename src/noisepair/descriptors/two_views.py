"""The geometry of two pictures: what most matches obey, and whether accident would do as well.

    homography           x₂ ~ H x₁       a plane, or a camera that turned and did not move
    fundamental matrix   x₂ᵀ F x₁ = 0    any scene that stood still

The error of a match is its distance from where the matrix puts its point, or from the line on which
it puts it: pixels, the mean of both pictures. Inliers have no more than `threshold`.

Matches by accident obey some matrix too. Of n of them, each within the threshold with probability
α, so many matrices with k inliers are expected (Moisan and Stival 2004, "A probabilistic criterion
to detect rigid point matches between two images", section 3; the number of false alarms):

    NFA = m (n − s) C(n, k) C(k, s) α^(k − s)

s is how many matches give a matrix, m how many matrices they give. α is the share of a picture that
lies within the threshold of a point, or of a line, in one picture or the other. Inliers that share
a place are one: a corner is found at several sizes, which is no evidence beyond the first.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeGuard

import cv2
import numpy as np
from jaxtyping import Bool, Float

Kind = Literal["homography", "fundamental"]
Points = Float[np.ndarray, "M 2"]  # pixels, pixel centres at whole numbers
Errors = Float[np.ndarray, " M"]  # pixels
Matrix = Float[np.ndarray, "3 3"]
Size = tuple[int, int]  # height, width

SEEDS = 16  # of searches: a single one stops early now and then where few matches are right
SAMPLES, CONFIDENCE = 10_000, 0.9999  # of one: at most so many, or when one was surely of inliers
ROUNDS = 4  # of least squares over the inliers, which may bring in more


@dataclass(frozen=True)
class Geometry:
    """A matrix, how far each match is from it, and whether accident gives such matrices."""

    kind: Kind
    matrix: Matrix
    errors: Errors
    """infinite where a homography turns a point over, or sends it behind the camera"""
    inliers: Bool[np.ndarray, " M"]
    false_alarms: float
    """log10 of how many such matrices accident would give; infinite where nothing is left to
    judge by"""


def fit(
    kind: Kind, one: Points, two: Points, sizes: tuple[Size, Size], threshold: float
) -> Geometry | None:
    """The matrix with the most inliers among those that were found; None where there is none.

    The same matches in the same order give the same matrix.
    """
    model = MODELS[kind]
    if len(one) <= model.sample:
        return None
    found = [model.polished(m, one, two, threshold) for m in model.searched(one, two, threshold)]
    if not found:
        return None
    best = max(found, key=lambda matrix: rank(model.errors(matrix, one, two), threshold))
    errors = model.errors(best, one, two)
    inliers = errors <= threshold
    places = min(distinct(one[inliers], threshold), distinct(two[inliers], threshold))
    chance = min(1.0, sum(model.area(threshold, height, width) for height, width in sizes))
    alarms = false_alarms(len(one), places, model.sample, model.matrices, chance)
    return Geometry(kind, best, errors, inliers, alarms)


def rank(errors: Errors, threshold: float) -> tuple[int, float]:
    """More inliers are better; of as many, those with smaller errors."""
    inliers = errors[errors <= threshold]
    return len(inliers), -float(inliers.sum())


def distinct(points: Points, side: float) -> int:
    """How many squares of that side, of a grid, have a point."""
    return len(np.unique(np.floor(points / side), axis=0))


def false_alarms(matches: int, inliers: int, sample: int, matrices: int, chance: float) -> float:
    """log10 of NFA; infinite where there are no inliers but the sample, which always fits.

    >>> round(false_alarms(10, 10, 4, 1, 1e-4), 2)  # 6 · 1 · 210 · 1e-24
    -20.9
    """
    if inliers <= sample:
        return math.inf
    return (
        math.log10(matrices * (matches - sample))
        + log10_choices(matches, inliers)
        + log10_choices(inliers, sample)
        + (inliers - sample) * math.log10(chance)
    )


def log10_choices(of: int, many: int) -> float:
    """log10 of C(of, many)."""
    gammas = math.lgamma(of + 1) - math.lgamma(many + 1) - math.lgamma(of - many + 1)
    return gammas / math.log(10)


# — what a matrix says of a match —


def homography_errors(matrix: Matrix, one: Points, two: Points) -> Errors:
    """Mean of |H x₁ − x₂| and |H⁻¹ x₂ − x₁|.

    The sign of H in which det H > 0 has a positive third coordinate exactly where H turns nothing
    over, as no view of a surface does, and leaves it before the camera.
    """
    there = matrix * np.sign(np.linalg.det(matrix))
    try:
        back = np.linalg.inv(there)
    except np.linalg.LinAlgError:  # it makes a line of the picture
        return np.full(len(one), np.inf)
    return (distances(there, one, two) + distances(back, two, one)) / 2


def distances(matrix: Matrix, here: Points, there: Points) -> Errors:
    moved = with_one(here) @ matrix.T
    before = moved[:, 2] > 0
    places = np.full(here.shape, np.inf)
    places[before] = moved[before, :2] / moved[before, 2:]
    return np.hypot(*(places - there).T)


def fundamental_errors(matrix: Matrix, one: Points, two: Points) -> Errors:
    """Mean distance of x₂ from the line F x₁ and of x₁ from the line Fᵀ x₂."""
    lines_two, lines_one = with_one(one) @ matrix.T, with_one(two) @ matrix
    off = np.abs((with_one(two) * lines_two).sum(1))
    slopes = np.hypot(*lines_one[:, :2].T), np.hypot(*lines_two[:, :2].T)
    known = np.minimum(*slopes) > 0  # an epipole has no line
    errors = np.full(len(one), np.inf)
    errors[known] = off[known] * (1 / slopes[0][known] + 1 / slopes[1][known]) / 2
    return errors


def with_one(points: Points) -> Float[np.ndarray, "M 3"]:
    return np.column_stack([points, np.ones(len(points))])


def corner_error(matrix: Matrix, truth: Matrix, size: Size) -> float:
    """Mean distance, in the second picture, of where two homographies put the first one's corners.

    Pixels, of the centres of the corner pixels; infinite where one has a corner at infinity.
    """
    height, width = size
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [width - 1, height - 1, 1],
                        [0, height - 1, 1]], float)  # fmt: skip
    mine, right = corners @ matrix.T, corners @ truth.T
    if not np.all(mine[:, 2]) or not np.all(right[:, 2]):
        return math.inf
    gaps = mine[:, :2] / mine[:, 2:] - right[:, :2] / right[:, 2:]
    return float(np.hypot(*gaps.T).mean())


# — how matrices are found —


@dataclass(frozen=True)
class Model:
    """What there is to know of a kind of matrix."""

    sample: int  # matches that give one
    matrices: int  # or so many, at most
    find: Callable[..., tuple[np.ndarray | None, np.ndarray]]
    all_of: int  # OpenCV's flag for least squares
    errors: Callable[[Matrix, Points, Points], Errors]
    area: Callable[[float, int, int], float]
    """share of a picture within a threshold, by threshold, height and width"""

    def searched(self, one: Points, two: Points, threshold: float) -> list[Matrix]:
        """What OpenCV's MAGSAC finds (Barath et al. 2020), from each of SEEDS."""
        asked = cv2.UsacParams()
        asked.sampler, asked.score = cv2.SAMPLING_UNIFORM, cv2.SCORE_METHOD_MAGSAC
        asked.loMethod, asked.final_polisher = cv2.LOCAL_OPTIM_SIGMA, cv2.MAGSAC
        asked.threshold, asked.confidence, asked.maxIterations = threshold, CONFIDENCE, SAMPLES
        found = []
        for seed in range(SEEDS):
            asked.randomGeneratorState = seed
            found.append(self.find(one, two, asked)[0])
        return [matrix for matrix in found if usable(matrix)]

    def polished(self, matrix: Matrix, one: Points, two: Points, threshold: float) -> Matrix:
        """By least squares over all inliers, again and again while that loses none."""
        before = rank(self.errors(matrix, one, two), threshold)
        for _ in range(ROUNDS):
            inliers = self.errors(matrix, one, two) <= threshold
            if inliers.sum() <= self.sample:
                break
            finer = self.find(one[inliers], two[inliers], self.all_of)[0]
            if not usable(finer):
                break
            after = rank(self.errors(finer, one, two), threshold)
            if after <= before:
                break
            matrix, before = finer, after
        return matrix


def usable(matrix: np.ndarray | None) -> TypeGuard[np.ndarray]:
    return matrix is not None and matrix.shape == (3, 3) and bool(np.isfinite(matrix).all())


MODELS: dict[Kind, Model] = {
    "homography": Model(
        4, 1, cv2.findHomography, 0, homography_errors,
        lambda near, height, width: math.pi * near**2 / (height * width),
    ),
    "fundamental": Model(
        7, 3, cv2.findFundamentalMat, cv2.FM_8POINT, fundamental_errors,
        lambda near, height, width: 2 * near * math.hypot(height, width) / (height * width),
    ),
}  # fmt: skip
