"""Noise2Noise (Lehtinen et al. 2018): the target is another noisy shot of the same place.

    y₁ = x + n₁,  y₂ = x + n₂:    E|f(y₁) − y₂|² = E|f(y₁) − x|² + E|n₂|²

for noises that know nothing of one another and average to zero. Nothing is asked of the noise
within a shot.
"""

from typing import NamedTuple

from ..losses import Loss
from ..shapes import Batch, Scalar
from .pair import Denoise


class TwoShots(NamedTuple):
    """Two shots of the same place, or a shot and what else stands for the clean picture."""

    noisy: Batch
    target: Batch

    def loss(self, denoise: Denoise, loss: Loss, used: float) -> Scalar:
        """l(f(y₁), y₂)."""
        return loss(denoise(self.noisy), self.target, used)
