"""DRUNet (Zhang et al. 2022, "Plug-and-Play Image Restoration with Deep Denoiser Prior", fig. 3).

    enter   conv                                   of 2×2 pixels in channels of their own
    down    blocks, 2×2 convolution of stride 2    a level
    bottom  blocks
    up      2×2 transposed convolution, + what left the level, blocks
    leave   conv                                   the noise, subtracted from the picture

A block is x + conv(ReLU(conv x)). Convolutions are 3×3 with zero padding, without activation but
for the one in a block, so whatever enters a level can leave it unchanged. Differences to the paper:
blind (no map of the noise level enters), begun at half the size, and far narrower (the paper has
64, 128, 256, 512 channels and 4 blocks a level: 32.6 million parameters).
"""

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from ..shapes import Batch
from .unet import Width, pad


@dataclass(frozen=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class DRUNet:
    """Settings of a DRUNet."""

    channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)] = (32, 64, 128, 192)
    """channels of each level, the first at the largest size; their number is the depth"""
    blocks: tuple[Annotated[int, Field(ge=0, le=64)], ...] = (1, 1, 1, 1)
    """residual blocks of each level, on the way down and again on the way up; of the last once"""
    unshuffle: Literal[1, 2, 4] = 2
    """begin and end at 1/2 or 1/4 of the size, the pixels of a square in channels of their own"""
    kind: Literal["drunet"] = "drunet"

    def __post_init__(self) -> None:
        if len(self.blocks) != len(self.channels):
            raise ValueError(
                f"network.blocks has {len(self.blocks)} numbers and network.channels"
                f" {len(self.channels)}. Give a number of blocks for each level."
            )

    def __call__(self, planes: int) -> "DRUNetModule":
        return DRUNetModule(self, planes)


class Block(nn.Module):
    """x + conv(ReLU(conv x))."""

    def __init__(self, width: int):
        super().__init__()
        self.one = nn.Conv2d(width, width, 3, padding=1)
        self.two = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x + self.two(F.relu_(self.one(x)))


class DRUNetModule(nn.Module):
    """The network that `DRUNet` describes, for pictures of `planes` colour planes."""

    slope = 0.0

    def __init__(self, settings: DRUNet, planes: int):
        super().__init__()
        widths, counts = settings.channels, settings.blocks
        self.fold, inside = settings.unshuffle, planes * settings.unshuffle**2
        self.multiple = self.fold * 2 ** (len(widths) - 1)
        self.radius = radius(settings)
        self.bytes_a_pixel = 36 * widths[0] // self.fold**2 + 48
        self.enter = nn.Conv2d(inside, widths[0], 3, padding=1)
        steps = list(zip(widths, widths[1:], counts, strict=False))  # all levels but the last
        self.down = nn.ModuleList(level(above, count) for above, _, count in steps)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b, _ in steps)
        self.bottom = level(widths[-1], counts[-1])
        self.grow = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b, _ in steps[::-1])
        self.up = nn.ModuleList(level(above, count) for above, _, count in steps[::-1])
        self.leave = nn.Conv2d(widths[0], inside, 3, padding=1)

    @torch.no_grad()
    def begin(self) -> None:
        """After weights were drawn as He et al. (2015) say: take off what they draw too much here.

        Their factor 2 is for a ReLU before each convolution, and few have one. Branches begin at a
        quarter, or the variance would double at each block; what leaves at nothing: no noise.
        """
        for layer in (self.enter, *self.shrink, *self.grow):
            layer.weight.mul_(0.5**0.5)
        for layer in self.modules():
            if isinstance(layer, Block):
                layer.two.weight.mul_(0.25)
        self.leave.weight.zero_()

    def forward(self, noisy: Batch) -> Batch:
        height, width = noisy.shape[2:]
        h = self.enter(F.pixel_unshuffle(pad(noisy, self.multiple), self.fold))
        skips = []
        for down, shrink in zip(self.down, self.shrink, strict=True):
            h = down(h)
            skips.append(h)
            h = shrink(h)
        h = self.bottom(h)
        for grow, up in zip(self.grow, self.up, strict=True):
            h = up(grow(h) + skips.pop())
        noise = F.pixel_shuffle(self.leave(h), self.fold)[..., :height, :width]
        return noisy - noise


def level(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(Block(width) for _ in range(blocks)))


def radius(settings: DRUNet) -> int:
    """How far, in pixels, an output pixel can see, in the worst phase of the pooling grid."""
    *counts, bottom = settings.blocks
    fold, farthest = settings.unshuffle, 0
    for pixel in range(fold * 2 ** len(counts)):
        low = high = pixel // fold
        low, high = low - 1, high + 1  # leave
        for count in counts:
            low, high = (low - 2 * count) // 2, (high + 2 * count) // 2  # blocks, then ↑
        low, high = low - 2 * bottom, high + 2 * bottom
        for count in reversed(counts):
            low, high = 2 * low - 2 * count, 2 * high + 1 + 2 * count  # ↓, then blocks
        low, high = low - 1, high + 1  # enter
        farthest = max(farthest, pixel - fold * low, fold * high + fold - 1 - pixel)
    return farthest
