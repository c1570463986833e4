"""Neighbor2Neighbor (Huang et al. 2021): two neighbouring pixels are nearly two shots of one place.

In every cell of 2×2 pixels two that share a side are drawn. The first of each make the picture
g₁(y), of half the size, the second g₂(y). The scene differs a little from pixel to pixel, and a
network that learnt g₂(y) from g₁(y) alone would blur that away; so what the network itself finds
to differ is taken off (eq. 6 to 8),

    |f(g₁ y) − g₂ y|² + γ |f(g₁ y) − g₂ y − (g₁ f(y) − g₂ f(y))|²,

where f(y) is taken as given: no slope runs through it. γ rises from 0 to 2 over the run, as in the
authors' program.

Assumes noise of mean zero that is independent from pixel to pixel. Where neighbours share noise,
g₁ y tells the noise of g₂ y, and what they share is kept as if it were scene.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from ..losses import Loss
from ..shapes import Batch, Scalar
from .pair import Denoise

Half = Float[Tensor, "B C h w"]  # h = H // 2, w = W // 2
GAMMA = 2.0  # of the regulariser, at the end of a run
SIDES = ((0, 1), (1, 0), (0, 2), (2, 0), (1, 3), (3, 1), (2, 3), (3, 2))
# of a cell of 2×2, counted by rows: 0 1
#                                    2 3


class Neighbors(NamedTuple):
    """Crops, and which two pixels of each cell are the two shots."""

    noisy: Batch
    first: Int[Tensor, "B h w"]
    second: Int[Tensor, "B h w"]

    @classmethod
    def of(cls, noisy: Batch, rng: torch.Generator) -> "Neighbors":
        """Every ordered pair of pixels that share a side is drawn alike."""
        count, (height, width) = len(noisy), noisy.shape[2:]
        shape = (count, height // 2, width // 2)
        which = torch.randint(len(SIDES), shape, generator=rng, device=noisy.device)
        first, second = torch.tensor(SIDES, device=noisy.device)[which].unbind(-1)
        return cls(noisy, first, second)

    def halves(self, pictures: Batch) -> tuple[Half, Half]:
        """g₁ and g₂ of `pictures`; an odd last row or column is left out."""
        height, width = self.first.shape[1:]
        cells = F.pixel_unshuffle(pictures[..., : 2 * height, : 2 * width], 2)
        cells = cells.unflatten(1, (-1, 4))  # (B, C, 4, h, w)
        wanted = torch.stack([self.first, self.second], 1)[:, None]  # (B, 1, 2, h, w)
        halves = cells.gather(2, wanted.expand(-1, cells.shape[1], -1, -1, -1))
        return halves[:, :, 0], halves[:, :, 1]

    def loss(self, denoise: Denoise, loss: Loss, used: float) -> Scalar:
        """The two terms above; `loss` is what the first is measured by, the second is squared."""
        one, two = self.halves(self.noisy)
        with torch.no_grad():
            left, right = self.halves(denoise(self.noisy))
        denoised = denoise(one)
        differing = (denoised - two - (left - right)).square().mean()
        return loss(denoised, two, used) + GAMMA * used * differing
