"""Noise of every pixel and plane by itself: light, electronics, interference."""

import math
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, ValidationError, WrapValidator
from pydantic.dataclasses import dataclass
from torch import Generator, Tensor

from ._model import STRICT, Model, Sigma, between, normal, uniform

Lowest = Annotated[float, Field(ge=0, le=1)]
Gain = Annotated[float, Field(ge=1e-6, le=1)]


def one_or_range(given: Any, handler: Any) -> float | tuple[float, float]:
    try:
        found = handler(given)
    except ValidationError:
        found = (1, 0)
    if isinstance(found, tuple) and found[0] > found[1]:
        raise ValueError("should be above 0 and at most 1, or two such numbers, the lowest first")
    return found


def levels(value: float | tuple[float, float], like: Tensor, rng: Generator) -> float | Tensor:
    """The value or, of a range, one for each picture (…, 1, 1, 1)."""
    if isinstance(value, float):
        return value
    low, high = value
    return low + (high - low) * uniform((*like.shape[:-3], 1, 1, 1), like, rng)


@dataclass(frozen=True, config=STRICT)
class Gaussian(Model):
    """y = x + n, n ~ N(0, sigma²), independent per pixel and plane.

    Zero-mean. Clipped it is not: at black and at white the mean moves inwards by 0.4 sigma.
    """

    sigma: Annotated[Sigma | tuple[Lowest, Sigma], WrapValidator(one_or_range)] = 25 / 255
    """standard deviation in picture units, 0 to 1: write 25/255; two: between them, per picture"""
    kind: Literal["gaussian"] = "gaussian"
    signed: ClassVar[bool] = True

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        return clean + levels(self.sigma, clean, rng) * normal(clean, rng)

    def settled(self, rng: Generator) -> "Gaussian":
        return self if isinstance(self.sigma, float) else Gaussian(between(*self.sigma, rng))


@dataclass(frozen=True, config=STRICT)
class Poisson(Model):
    """Photons: y = k / peak, k ~ Poisson(peak · x), of variance x / peak; x below 0 counts as 0.

    Zero-mean. Clipped at 1 it is not: white falls by 0.4 / √peak.
    """

    peak: Annotated[float, Field(gt=0, le=1e6)] = 30.0
    """photons that make a pixel of value 1.0"""
    kind: Literal["poisson"] = "poisson"
    straight_from: ClassVar[float] = 0.0

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        return torch.poisson(clean.clamp(min=0) * self.peak, generator=rng) / self.peak

    def mean(self, clean: Tensor) -> Tensor:
        return clean.clamp(min=0)


@dataclass(frozen=True, config=STRICT)
class PoissonGaussian(Model):
    """A camera: y = gain · k + n, k ~ Poisson(x / gain), n ~ N(0, read²).

    Of variance gain · x + read². Zero-mean. Clipped it is not, neither at black nor at white.
    """

    gain: Annotated[Gain | tuple[Gain, Gain], WrapValidator(one_or_range)] = 1 / 30
    """value of one photon in picture units, 0 to 1; two: between them, per picture"""
    read: Annotated[Sigma | tuple[Lowest, Sigma], WrapValidator(one_or_range)] = 0.02
    """deviation of the read noise in picture units, 0 to 1: write 5/255; two: between them"""
    kind: Literal["poisson_gaussian"] = "poisson_gaussian"
    signed: ClassVar[bool] = True
    straight_from: ClassVar[float] = 0.0

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        gain = levels(self.gain, clean, rng)
        photons = torch.poisson(clean.clamp(min=0) / gain, generator=rng)
        return gain * photons + levels(self.read, clean, rng) * normal(clean, rng)

    def settled(self, rng: Generator) -> "PoissonGaussian":
        gain, read = (
            value if isinstance(value, float) else between(*value, rng)
            for value in (self.gain, self.read)
        )
        return PoissonGaussian(gain, read)

    def mean(self, clean: Tensor) -> Tensor:
        return clean.clamp(min=0)


@dataclass(frozen=True, config=STRICT)
class Speckle(Model):
    """y = x · (1 + n), n ~ N(0, sigma²), as in radar and ultrasound.

    Zero-mean. Clipped at 1 it is not: white falls by 0.4 sigma; black stays black.
    """

    sigma: Sigma = 0.2
    """standard deviation as a share of the pixel's value, 0 to 1"""
    kind: Literal["speckle"] = "speckle"
    signed: ClassVar[bool] = True

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        return clean * (1 + self.sigma * normal(clean, rng))


@dataclass(frozen=True, config=STRICT)
class Rician(Model):
    """y = √((x + n₁)² + n₂²), n₁, n₂ ~ N(0, sigma²): the magnitude that an MR scanner shows; x ≥ 0.

    Not zero-mean: black becomes 1.25 sigma, and x far above sigma rises by sigma² / 2x. No loss
    finds x; l2 learns `mean`, which grows with x and can be inverted afterwards.
    """

    sigma: Sigma = 25 / 255
    """standard deviation of both components in picture units, 0 to 1: write 25/255"""
    kind: Literal["rician"] = "rician"
    zero_mean: ClassVar[bool] = False
    straight_from: ClassVar[float] = math.inf

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        real, imaginary = (self.sigma * normal(clean, rng) for _ in range(2))
        return torch.hypot(clean + real, imaginary)

    def mean(self, clean: Tensor) -> Tensor:
        """sigma √(π/2) · L(−t), t = x² / 2 sigma², L(−t) = e^(−t/2) [(1+t) I₀(t/2) + t I₁(t/2)].

        L is the Laguerre function of order 1/2, I the modified Bessel functions.
        """
        t = clean.square() / (2 * self.sigma**2)
        laguerre = (1 + t) * torch.special.i0e(t / 2) + t * torch.special.i1e(t / 2)
        return self.sigma * math.sqrt(math.pi / 2) * laguerre
