"""What a network costs and sees, worked out without a picture.

A convolution O×I×K×K takes O·I·K² multiply-adds for each pixel that it puts out. They are counted
as they are carried out, on tensors that have a shape and no values: at two sizes, and the
difference is divided by the difference in pixels, so that work done once a call does not count.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Facts:
    """Of a network for pictures of some number of planes."""

    parameters: int
    """numbers that training changes"""
    multiply_adds: float
    """for each pixel of a picture, in convolutions and matrix products"""
    radius: int
    """pixels to each side that an output pixel can depend on"""
    multiple: int
    """side in pixels of the grid of pooling"""

    @property
    def receptive_field(self) -> int:
        """Side, in pixels, of the square that an output pixel can depend on."""
        return 2 * self.radius + 1


def facts(network: nn.Module, planes: int) -> Facts:
    """The facts of `network`, which is left as it is.

    What is carried out counts, not what an equation would take: the U-Net's convolution of a
    repeated picture does 4/9 of the nominal work (`unet`).
    """
    side = int(network.multiple)  # type: ignore[arg-type]
    ghost = deepcopy(network).eval().to("meta")
    small, large = (operations(ghost, planes, side, width) for width in (side, 2 * side))
    return Facts(
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        multiply_adds=(large - small) / 2 / side**2,  # an operation is a product or a sum
        radius=int(network.radius),  # type: ignore[arg-type]
        multiple=side,
    )


@torch.no_grad()
def operations(ghost: nn.Module, planes: int, height: int, width: int) -> int:
    """Products and sums on the way through; `ghost` is on the meta device."""
    with FlopCounterMode(display=False) as counter:
        ghost(torch.empty(1, planes, height, width, device="meta"))
    return counter.get_total_flops()
