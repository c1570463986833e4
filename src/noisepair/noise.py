"""How a picture is spoilt: noise models as values with units.

Each maps a clean batch to a noisy one of the same shape and is drawn anew at each call. Values are
in picture units, 1.0 being full scale: write `25 / 255`, not 25. Nothing is clipped, because
clipping gives the noise a mean (at sigma 50/255 black pixels would rise by 0.08 on average) and
Noise2Noise learns the mean.
"""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Generator, Tensor

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True, config=STRICT)
class Gaussian:
    """n ~ N(0, sigma²), independent per pixel and plane. Zero-mean."""

    sigma: Annotated[float, Field(gt=0, le=1)] = 25 / 255
    """standard deviation in picture units, 0 to 1: write 25/255"""
    kind: Literal["gaussian"] = "gaussian"

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        return clean + self.sigma * torch.randn(
            clean.shape, generator=rng, dtype=clean.dtype, device=clean.device
        )


@dataclass(frozen=True, config=STRICT)
class Poisson:
    """Photons: noisy = k / peak, k ~ Poisson(peak · clean). Zero-mean, of variance clean / peak."""

    peak: Annotated[float, Field(gt=0, le=1e6)] = 30.0
    """photons that make a pixel of value 1.0"""
    kind: Literal["poisson"] = "poisson"

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        return torch.poisson(clean.clamp(min=0) * self.peak, generator=rng) / self.peak


def generator(*numbers: int, device: str | torch.device = "cpu") -> Generator:
    """Draws that depend on all of `numbers`.

    They are mixed first: of a seed itself, torch heeds no more than the low 32 bits on a CPU.
    """
    mixed = np.random.SeedSequence(numbers).generate_state(1)
    return Generator(device).manual_seed(int(mixed[0]))


Noise = Gaussian | Poisson
NOISES: dict[str, type[Gaussian] | type[Poisson]] = {"gaussian": Gaussian, "poisson": Poisson}
