"""Noise that grows with brightness, made alike everywhere: the generalised Anscombe transform.

    y = gain · Poisson((x − black) / gain) + black + N(0, read²)
    f(y) = 2/gain · √(gain · (y − black) + 3/8 gain² + read²)        0 where the root has none

f(y) has noise of deviation 1, nearly, whatever x (Starck, Murtagh & Bijaoui 1998, equation 2). A
denoiser gives the mean of f(y), which is not f of the mean. What leads back is the inverse of

    x ↦ E[f(y) | x]

the *exact unbiased* inverse (Mäkitalo & Foi 2013, IEEE TIP 22, equation 6): here by numerical
integration, in a table for each read / gain. Where photons or read noise are many it goes over into
their asymptotic inverse, x = gain · (f²/4 − 1/8) − read² / gain + black. The algebraic inverse of f
has 3/8 in place of 1/8, and is too dark by a quarter of a photon.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from scipy.special import gammaln, xlogy
from torch import Tensor, from_numpy

from ..errors import InputError

AnyArray = TypeVar("AnyArray", np.ndarray, Tensor)
Values = np.ndarray | np.float64  # NumPy makes the latter of an array without axes

STRONGEST = 50 / 255  # that a network should see: ours are trained up to 55/255
MANY = 100.0  # photons, or squared read noise in photons, from which on no table is needed
SAMPLES = 1_000_000  # values that the range of a picture is told from


@dataclass(frozen=True)
class Anscombe:
    """The transform for one camera and one range of values, all in picture units.

    `into` takes `low` to `high` to [0, 1], with noise of deviation `sigma` everywhere; where that
    were above 50/255, to less, around mid-grey. No value is clipped but those that read noise has
    put below what the root can take. For gain 0 it is the identity, up to scale and offset.

    Raises InputError for a gain or read below 0, both 0, or a range that is none.
    """

    gain: float
    read: float
    black: float = 0.0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        numbers = (self.gain, self.read, self.black, self.low, self.high)
        if not all(map(math.isfinite, numbers)) or min(self.gain, self.read) < 0:
            raise InputError(
                f"gain={self.gain}, read={self.read} are not a noise. Give numbers of at least 0,"
                " in picture units: variance = gain · level + read²."
            )
        if self.gain == self.read == 0:
            raise InputError(
                "gain=0 and read=0 mean no noise, and there is nothing to stabilise. Leave the"
                " transform out."
            )
        if self.high <= max(self.low, self.least):
            raise InputError(
                f"A range from {self.low} to {self.high} holds no picture with black at"
                f" {self.black}. Give low below high, and high above black."
            )

    @classmethod
    def over(cls, picture: np.ndarray, gain: float, read: float, black: float = 0.0) -> "Anscombe":
        """That for the range of a picture of floats, of any shape: 0.1 % to 99.9 % of its values.

        A picture darker than `black` throughout gets the range of one photon or of its read noise.
        """
        stride = max(1, picture.size // SAMPLES) | 1
        low, high = np.quantile(picture.reshape(-1)[::stride], (0.001, 0.999)).tolist()
        low = max(low, black)
        return cls(gain, read, black, low, max(high, low + gain, low + read))

    @property
    def least(self) -> float:
        """The value at which the root is 0; below, `into` is constant."""
        return self.black - self.read**2 / self.gain - 3 / 8 * self.gain if self.gain else -math.inf

    @property
    def start(self) -> float:
        """`low`, or the least value that the root can take."""
        return max(self.low, self.least)

    @property
    def span(self) -> float:
        """f(high) − f(low): how many standard deviations the range is wide."""
        return float(self.stretched(np.float64(self.high)))

    @property
    def sigma(self) -> float:
        """The deviation of the noise that a network sees."""
        return min(STRONGEST, 1 / self.span)

    @property
    def offset(self) -> float:
        """Where `low` comes to lie: at 0, or higher where all is brought nearer to mid-grey."""
        return (1 - self.sigma * self.span) / 2

    def into(self, values: AnyArray) -> AnyArray:
        """What a network sees of picture values, of the same type and shape."""
        if isinstance(values, Tensor):
            return from_numpy(self.into(values.detach().cpu().numpy())).to(values)
        seen = self.offset + self.sigma * self.stretched(values)
        return np.asarray(seen, values.dtype)

    def back(self, seen: AnyArray) -> AnyArray:
        """Picture values whose noisy versions `into` takes to `seen` on average."""
        if isinstance(seen, Tensor):
            return from_numpy(self.back(seen.detach().cpu().numpy())).to(seen)
        d = (np.asarray(seen, np.float64) - self.offset) / self.sigma  # f − f(low)
        root = float(self.root(np.float64(self.start)))
        # f² / 4 is written out: the squares of f(low) and of read, which may be millions of
        # photons, cancel on paper and not in floating point
        found = self.start + d * root + self.gain * (d**2 + 1) / 4
        if self.gain > 0 and self.read < math.sqrt(MANY) * self.gain:
            found += self.gain * correction(self.read / self.gain, d + 2 * root / self.gain)
        return np.asarray(found, seen.dtype)

    def root(self, values: Values) -> Values:
        """√(gain · (y − black) + 3/8 gain² + read²): gain/2 · f."""
        inside = self.gain * (values - self.black) + 3 / 8 * self.gain**2 + self.read**2
        return np.sqrt(np.maximum(inside, 0))

    def stretched(self, values: Values) -> Values:
        """f(y) − f(low), as 2 (y − low) / (root(y) + root(low)), which holds for gain 0 too."""
        y = np.maximum(np.asarray(values, np.float64), self.least)
        total = self.root(y) + self.root(np.float64(self.start))
        return 2 * (y - self.start) / np.maximum(total, np.finfo(np.float64).tiny)


def correction(read: float, f: Values) -> np.ndarray:
    """What the exact unbiased inverse adds to the asymptotic one; read and the result in photons.

    Below what black becomes on average it goes on as a straight line, as does the noise.
    """
    means, added, slope = table(read)
    inside = np.interp(f, means, added)
    beyond = added[-1] * np.square(means[-1] / np.maximum(f, means[-1]))
    below = slope * (f - means[0]) - (f**2 / 4 - 1 / 8 - read**2)
    return np.where(f < means[0], below, np.where(f > means[-1], beyond, inside))


@lru_cache(maxsize=16)
def table(read: float) -> tuple[np.ndarray, np.ndarray, float]:
    """E[f(y) | x], what x is above the asymptotic inverse of it, and dx/dE at black.

    For x from 0 to MANY photons: finer near 0, where all of the bend is.
    """
    photons = MANY * np.linspace(0, 1, 600) ** 2
    means = mean_of_f(photons, read)
    added = photons - (means**2 / 4 - 1 / 8 - read**2)
    step = mean_of_f(np.array([0.0, 1e-4]), read)
    return means, added, float(1e-4 / (step[1] - step[0]))


def mean_of_f(photons: np.ndarray, read: float) -> np.ndarray:
    """E[f(y) | x] for gain 1, (N,): a sum over counts of an integral over the read noise."""
    most = float(photons.max())
    counts = np.arange(math.ceil(most + 12 * math.sqrt(most) + 30))
    noise = np.linspace(-8.5, 8.5, 2001)
    weight = np.exp(-(noise**2) / 2)
    inside = counts[:, None] + read * noise + 3 / 8 + read**2
    of_count = 2 * np.sqrt(np.maximum(inside, 0)) @ (weight / weight.sum())
    mean = photons[:, None]  # scipy.stats has this chance too, and takes half a second to import
    chance = np.exp(xlogy(counts, mean) - gammaln(counts + 1.0) - mean)
    return np.asarray(chance @ of_count)
