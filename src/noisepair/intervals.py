"""95 % intervals: of a pooled ratio over units, and of a PSNR or a gain in decibel.

Two questions have two intervals. *Of these pictures*: what would other noise on them have given?
Neighbouring blocks of a picture stand in for each other, so that its own variety is not counted as
doubt. *Of scenes like these*: what would other scenes have given? Scenes are drawn again
(bootstrap-t, Efron & Tibshirani 1993, section 12.5, on the scale of decibels); below 8 scenes there
is no such interval.
"""

import math
from dataclasses import dataclass

import numpy as np

SCENES = 8  # below that many scenes, they are too few to stand for others
DRAWS = 2000  # of the bootstrap: its own error is then a hundredth of a decibel's interval
MANY = 500  # units that are drawn again one by one
NORMAL = 1.959964  # half the width of 95 % of a normal distribution, in standard deviations


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; nan and infinity where one is not known or has no end."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float | None]:
        """The three by name; null for what is not known or has no end."""
        return {name: none_of_nan(value) for name, value in vars(self).items()}

    def __contains__(self, value: float | int) -> bool:
        return bool(self.low <= value <= self.high)

    def text(self, digits: int = 2, *, sign: bool = False) -> str:
        """The figure as people read it.

        >>> Estimate(5.217, 5.1, 5.33).text(), Estimate(-0.2, -0.31, -0.1).text(1, sign=True)
        ('5.22 (5.10 to 5.33)', '−0.2 (−0.3 to −0.1)')
        """
        form = f"{'+' if sign else ''}.{digits}f"
        one, two, three = (format(v, form).replace("-", "−") for v in vars(self).values())
        if math.isfinite(self.low) and math.isfinite(self.high):
            return f"{one} ({two} to {three})"
        if math.isfinite(self.low):
            return f"{one} (at least {two})" if math.isfinite(self.value) else f"at least {two}"
        return f"{one} (how surely is unknown)" if math.isfinite(self.value) else "unknown"


def none_of_nan(value: float) -> float | None:
    """For JSON, which has no number that is none."""
    return float(value) if math.isfinite(value) else None


UNKNOWN = Estimate(math.nan, -math.inf, math.inf)


@dataclass(frozen=True)
class Units:
    """Sums over each scene: how many values (k,), squared errors before and after (k, 2), and how
    these scatter over the noise (k, 2, 2), from differences of neighbouring blocks."""

    count: np.ndarray
    errors: np.ndarray
    scatter: np.ndarray

    def psnr(self, which: int, *, of_scenes: bool) -> Estimate:
        """PSNR of the pooled error before (0) or after (1) denoising, value range 1."""
        flat = np.stack([self.count.astype(float), self.errors[:, which]], 1)
        scatter = np.zeros_like(self.scatter)
        scatter[:, 1, 1] = self.scatter[:, which, which]
        return decibels(flat, scatter, of_scenes=of_scenes)

    def gain(self, *, of_scenes: bool) -> Estimate:
        """By how much the PSNR rises, scene by scene: sharper than the difference of the two."""
        return decibels(self.errors, self.scatter, of_scenes=of_scenes)

    @property
    def many(self) -> bool:
        """Whether there are scenes enough to speak of others."""
        return len(self.count) >= SCENES


@dataclass(frozen=True)
class Solved:
    """The solution of a pooled least-squares problem, with the scatter of its units.

    `values` (p,), `errors` (p,) standard errors, `units` how many took part.
    """

    values: np.ndarray
    errors: np.ndarray
    units: int

    def estimate(self, place: int = 0) -> Estimate:
        """One of the values with Student's interval; unknown where there was one unit."""
        value = float(self.values[place])
        if self.units < 2 or not math.isfinite(value):
            return UNKNOWN if not math.isfinite(value) else Estimate(value, -math.inf, math.inf)
        half = student(self.units - 1) * float(self.errors[place])
        return Estimate(value, value - half, value + half)

    def pull(self, place: int = 0) -> float:
        """How many standard errors a value is from 0, as if there were many units."""
        if self.units < 2 or not self.errors[place] > 0:
            return 0.0
        from scipy.stats import norm, t

        raw = float(self.values[place] / self.errors[place])
        tail = float(t.logsf(abs(raw), self.units - 1))
        return math.copysign(-float(norm.ppf(math.exp(max(tail, -700.0)))), raw)


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t.

    >>> round(student(9), 3)
    2.262
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def solve(matrices: np.ndarray, vectors: np.ndarray) -> Solved:
    """x of Σ A x = Σ b over units, (k, p, p) and (k, p), with errors from how units scatter.

    The sandwich A⁻¹ Σ u uᵀ A⁻¹, u = b − A x, times k / (k − 1): no assumption of how the noise is
    distributed or correlated within a unit (White 1980, "A heteroskedasticity-consistent
    covariance matrix estimator"). For p = 1 it is the ratio of two sums.

    >>> one = solve(np.ones((4, 1, 1)), np.array([[1.0], [2.0], [3.0], [4.0]]))
    >>> float(one.values[0]), round(float(one.errors[0]), 4)
    (2.5, 0.6455)
    """
    used = np.isfinite(matrices).all((1, 2)) & np.isfinite(vectors).all(1) & matrices.any((1, 2))
    matrices, vectors, count = matrices[used], vectors[used], int(used.sum())
    size = vectors.shape[1]
    whole = matrices.sum(0) if count else np.zeros((size, size))
    if not count or np.linalg.matrix_rank(whole) < size:
        return Solved(np.full(size, np.nan), np.full(size, np.nan), count)
    inverse = np.linalg.inv(whole)
    values = inverse @ vectors.sum(0)
    left = (vectors - matrices @ values) @ inverse.T
    scatter = np.square(left).sum(0) * (count / max(1, count - 1))
    return Solved(values, np.sqrt(scatter), count)


def ratio(over: np.ndarray, under: np.ndarray) -> Solved:
    """Σ over / Σ under over units, one axis each."""
    return solve(under[:, None, None], over[:, None])


def decibels(sums: np.ndarray, scatter: np.ndarray, *, of_scenes: bool) -> Estimate:
    """10 log10(Σ a / Σ b) of the two columns of `sums`, and its interval."""
    if of_scenes:
        return drawn_again(*sums.T) if len(sums) >= SCENES else UNKNOWN
    a, b = sums.sum(0)
    (aa, ab), (_, bb) = scatter.sum(0)
    if a <= 0:
        return UNKNOWN
    if not (aa > 0 or bb > 0):  # one block, or values that do not differ: no error can be known
        return Estimate(10 * math.log10(a / b) if b > 0 else math.inf, -math.inf, math.inf)
    if b - 3 * math.sqrt(bb) <= 0:
        return unbounded(a, b, b + NORMAL * math.sqrt(bb))
    error = math.sqrt(max(0.0, aa / a**2 - 2 * ab / (a * b) + bb / b**2))
    value, half = 10 * math.log10(a / b), NORMAL * 10 / math.log(10) * error
    return Estimate(value, value - half, value + half)


def drawn_again(over: np.ndarray, under: np.ndarray) -> Estimate:
    """Bootstrap-t of 10 log10(Σ over / Σ under) over independent units."""
    over, under = gathered(over), gathered(under)
    n = len(over)
    a, b = float(over.sum()), float(under.sum())
    if a <= 0:
        return UNKNOWN
    slack = math.sqrt(n) * float(under.std(ddof=1))
    if b - 3 * slack <= 0:
        return unbounded(a, b, b + NORMAL * slack)
    rng = np.random.default_rng(n)  # the same data give the same interval
    weights = rng.multinomial(n, np.full(n, 1 / n), DRAWS).astype(float)
    sums = weights @ np.stack([over, under, over * over, over * under, under * under], 1)
    sums = sums[(sums[:, 0] > 0) & (sums[:, 1] > 0)]
    x, y, xx, xy, yy = sums.T
    errors = np.sqrt(np.maximum(xx / x**2 - 2 * xy / (x * y) + yy / y**2, 1e-30))
    value = math.log(a / b)
    pulls = (np.log(x / y) - value) / errors
    low, high = (float(q) for q in np.quantile(pulls, [0.025, 0.975]))
    error = float(np.square(over / a - under / b).sum() ** 0.5) * math.sqrt(n / (n - 1))
    to = 10 / math.log(10)
    return Estimate(to * value, to * (value - high * error), to * (value - low * error))


def gathered(sums: np.ndarray) -> np.ndarray:
    """Of very many units, sums over groups of them: 500 tell as much of the spread."""
    if len(sums) <= MANY:
        return sums
    return np.add.reduceat(sums, np.linspace(0, len(sums), MANY + 1).astype(int)[:-1])


def unbounded(over: float, under: float, most: float) -> Estimate:
    """Where the error is too small to be told from none: only how good it is at the least."""
    value = 10 * math.log10(over / under) if under > 0 else math.inf
    low = 10 * math.log10(over / most) if most > 0 else -math.inf
    return Estimate(value, min(low, value), math.inf)
