"""Zero-shot Noise2Noise (Mansour and Heckel 2023): the two diagonals of a cell are the two shots.

Of every cell of 2×2 pixels, D₁ keeps the mean of one diagonal and D₂ that of the other: two
pictures of half the size, at the same place, whose noises share no pixel. Each is learnt from the
other, and what is learnt at half the size must hold at full size (their section 3, with f the
denoised picture where they write y − f(y)):

    ½ ( |f(D₁ y) − D₂ y|² + |f(D₂ y) − D₁ y|² ) + ½ ( |f(D₁ y) − D₁ f(y)|² + |f(D₂ y) − D₂ f(y)|² ).

Assumes noise of mean zero that is independent from pixel to pixel. Nothing is drawn; flips and
turns of the crops are ours.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..losses import Loss
from ..shapes import Batch, Scalar
from .pair import Denoise

Half = Float[Tensor, "B C h w"]  # h = H // 2, w = W // 2


class Diagonals(NamedTuple):
    """Crops of one shot."""

    noisy: Batch

    @classmethod
    def of(cls, noisy: Batch, rng: torch.Generator) -> "Diagonals":
        """Nothing is drawn."""
        return cls(noisy)

    def loss(self, denoise: Denoise, loss: Loss, used: float) -> Scalar:
        """Both terms above; `loss` is what the first is measured by, the second is squared."""
        one, two = halves(self.noisy)
        both = torch.cat([one, two])
        denoised = denoise(both)
        same = torch.cat(halves(denoise(self.noisy)))
        return loss(denoised, torch.cat([two, one]), used) + (denoised - same).square().mean()


def halves(pictures: Batch) -> tuple[Half, Half]:
    """D₁ and D₂ of `pictures`; an odd last row or column is left out."""
    height, width = pictures.shape[2:]
    even = pictures[..., : height // 2 * 2, : width // 2 * 2]
    cells = F.pixel_unshuffle(even, 2).unflatten(1, (-1, 4))
    above, right, left, below = cells.unbind(2)  # of a cell, by rows
    return (right + left) / 2, (above + below) / 2
