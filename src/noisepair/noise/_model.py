"""What all noises share: what holds unless they say otherwise, and how they draw."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import ConfigDict, Field
from torch import Generator, Tensor

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)

Share = Annotated[float, Field(gt=0, lt=1)]
Sigma = Annotated[float, Field(gt=0, le=1)]


class Model:
    """What holds for a noise unless it says otherwise."""

    zero_mean: ClassVar[bool] = True
    """whether E[y | x] = x"""
    loss: ClassVar[str] = "l2"
    """the loss that finds x from noisy targets"""
    signed: ClassVar[bool] = False
    """whether y may lie below 0"""
    straight_from: ClassVar[float] = -math.inf
    """from which x on the mean is a straight line of x"""

    @property
    def shrinks(self) -> int:
        """Pixels on a side of the picture that become one."""
        return 1

    def settled(self, rng: Generator) -> Any:
        """The same with every range drawn: what all shots of one picture have in common."""
        return self

    def clean(self, picture: Tensor) -> Tensor:
        """The clean picture that the noisy one is a version of."""
        return picture

    def mean(self, clean: Tensor) -> Tensor | None:
        """E[y | x], of what a call would spoil; none where no formula is known."""
        return self.clean(clean)

    def __str__(self) -> str:
        return as_text(self)


def as_text(noise: object) -> str:
    """The text that `from_text` reads back, to the last digit.

    >>> from noisepair.noise import Gaussian
    >>> as_text(Gaussian(0.1)), as_text(Gaussian((0.1, 0.2)))
    ('gaussian sigma=0.1', 'gaussian sigma=0.1:0.2')
    """
    settings = dict(vars(noise))
    words = [settings.pop("kind")]
    for name, value in settings.items():
        values = value if isinstance(value, tuple) else (value,)
        words.append(f"{name}={':'.join(map(str, values))}")
    return " ".join(words)


def normal(like: Tensor, rng: Generator) -> Tensor:
    """N(0, 1), of the shape, type and device of `like`."""
    return torch.randn(like.shape, generator=rng, dtype=like.dtype, device=like.device)


def uniform(shape: Sequence[int], like: Tensor, rng: Generator) -> Tensor:
    """U[0, 1), of the type and device of `like`."""
    return torch.rand(shape, generator=rng, dtype=like.dtype, device=like.device)


def between(low: float, high: float, rng: Generator) -> float:
    """One number of a range, none below 1e-6."""
    share = torch.rand((), generator=rng, dtype=torch.float64, device=rng.device)
    return max(1e-6, low + (high - low) * float(share))


def per_pixel(like: Tensor, rng: Generator) -> Tensor:
    """U[0, 1), one for all planes of a pixel, (…, H, W, 1)."""
    return uniform((*like.shape[:-1], 1), like, rng)
