"""Pixels that are lost altogether, each by itself and in all its planes."""

from typing import ClassVar, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Generator, Tensor

from ._model import STRICT, Model, Share, per_pixel, uniform


@dataclass(frozen=True, config=STRICT)
class Bernoulli(Model):
    """Dropped pixels: y = 0 with probability p, else x / (1 − p); of variance x² p / (1 − p).

    Zero-mean by that division. Clipped at 1 it is not wherever x > 1 − p. Lehtinen et al. do not
    divide: they leave dropped pixels out of the loss.
    """

    p: Share = 0.5
    """share of pixels that are dropped, 0 to 1"""
    kind: Literal["bernoulli"] = "bernoulli"

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        kept = per_pixel(clean, rng) >= self.p
        return clean / (1 - self.p) * kept


@dataclass(frozen=True, config=STRICT)
class SaltPepper(Model):
    """Dead pixels: y = 0 or 1 with probability p / 2 each, else x.

    Not zero-mean: E[y | x] = (1 − p) x + p / 2. The median is x, and l1 finds it. Clipping changes
    nothing.
    """

    p: Share = 0.1
    """share of pixels that become black or white, 0 to 1"""
    kind: Literal["salt_pepper"] = "salt_pepper"
    zero_mean: ClassVar[bool] = False
    loss: ClassVar[str] = "l1"

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        drawn = per_pixel(clean, rng)
        white = (drawn < self.p / 2).to(clean.dtype)
        return torch.where(drawn < self.p, white, clean)

    def mean(self, clean: Tensor) -> Tensor:
        return (1 - self.p) * clean + self.p / 2


@dataclass(frozen=True, config=STRICT)
class Impulse(Model):
    """y = a colour drawn uniformly from [0, 1]ᶜ with probability p, else x.

    Not zero-mean: E[y | x] = (1 − p) x + p / 2. Only the mode is x whatever p, and l0 finds it.
    Clipping changes nothing.
    """

    p: Share = 0.5
    """share of pixels that become a random colour, 0 to 1"""
    kind: Literal["impulse"] = "impulse"
    zero_mean: ClassVar[bool] = False
    loss: ClassVar[str] = "l0"

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        colours = uniform(clean.shape, clean, rng)
        return torch.where(per_pixel(clean, rng) < self.p, colours, clean)

    def mean(self, clean: Tensor) -> Tensor:
        return (1 - self.p) * clean + self.p / 2
