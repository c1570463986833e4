"""Noise2Void (Krull et al. 2019): a pixel is told from all pixels around it but itself.

One pixel of every cell is hidden: another pixel from the 5×5 around it stands in its place. The
network, which cannot see the hidden value, can predict of it only what its surroundings say, and
that is the scene:

    l(f(hidden y), y)    at the hidden pixels alone (their section 3).

Assumes noise of mean zero that is independent from pixel to pixel; else the surroundings tell the
noise too. What only the pixel itself knew of the scene is lost: fine detail is softer than with
two shots.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..losses import Loss
from ..shapes import Batch, Scalar
from .pair import Denoise

CELL = 8  # one pixel of 8×8 is hidden: 64 of 64×64, as theirs
REACH = 2  # pixels to each side from which what stands in its place is taken


class Hidden(NamedTuple):
    """Crops, the pixels that are hidden, and those that stand in their places, by number."""

    noisy: Batch
    places: Int[Tensor, "B K"]  # row · W + column, cell after cell
    others: Int[Tensor, "B K"]

    @classmethod
    def of(cls, noisy: Batch, rng: torch.Generator) -> "Hidden":
        """A place in each cell, and one of the 24 others around it; beyond the border, mirrored."""
        count, (height, width), where = len(noisy), noisy.shape[2:], noisy.device

        def drawn(end: int) -> Int[Tensor, "B h w"]:
            shape = (count, height // CELL, width // CELL)
            return torch.randint(end, shape, generator=rng, device=where)

        around = (2 * REACH + 1) ** 2
        place, other = drawn(CELL**2), drawn(around - 1)
        other = other + (other >= around // 2)  # never itself
        ways = (other // (2 * REACH + 1) - REACH, other % (2 * REACH + 1) - REACH)
        corners = (
            CELL * torch.arange(height // CELL, device=where)[:, None],
            CELL * torch.arange(width // CELL, device=where),
        )
        row, column = (at + corner for at, corner in zip(divided(place), corners, strict=True))
        near = [
            torch.where((at + way < 0) | (at + way >= end), at - way, at + way)
            for at, way, end in zip((row, column), ways, (height, width), strict=True)
        ]
        numbers = (row * width + column, near[0] * width + near[1])
        return cls(noisy, *(number.flatten(1) for number in numbers))

    @property
    def seen(self) -> Batch:
        """What the network sees: the crops, other pixels in the hidden places."""
        pixels = self.noisy.flatten(2)
        planes = (-1, pixels.shape[1], -1)
        stand_ins = pixels.gather(2, self.others[:, None].expand(planes))
        hidden = pixels.scatter(2, self.places[:, None].expand(planes), stand_ins)
        return hidden.view(self.noisy.shape)

    def at_places(self, pictures: Batch) -> Float[Tensor, "B C h w"]:
        """The hidden pixels of `pictures`, as small pictures: a pixel a cell."""
        pixels = pictures.flatten(2)
        found = pixels.gather(2, self.places[:, None].expand(-1, pixels.shape[1], -1))
        return found.unflatten(2, (self.noisy.shape[2] // CELL, self.noisy.shape[3] // CELL))

    def loss(self, denoise: Denoise, loss: Loss, used: float) -> Scalar:
        """l at the hidden pixels. A loss of windows finds none there: the recipe refuses ssim."""
        return loss(self.at_places(denoise(self.seen)), self.at_places(self.noisy), used)


def divided(place: Int[Tensor, "B h w"]) -> tuple[Int[Tensor, "B h w"], Int[Tensor, "B h w"]]:
    """Row and column within a cell."""
    return place // CELL, place % CELL
