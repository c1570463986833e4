"""The denoisers of patches that the course EE3-25 (Imperial College, 2019) and a report on it had.

    down   conv …, ↓        a level
    bottom conv …
    up     ↑, conv 2×2, ‖ what left the level, conv …
    leave  conv

Convolutions are 3×3 with zero padding, each followed by (Leaky)ReLU but the last; ↓ is 2×2 max
pooling, ↑ repeats every pixel 2×2, ‖ joins channels, the skip first. The 2×2 convolution after ↑
sees a pixel, the one to its right and those below both: Keras pads at that side.

`shallow` is the course's own, with 59,777 parameters. Report 004 tried a U-Net of 16 layers and an
autoencoder of 10 and its drawings of them are lost: `unet-16` and `autoencoder-10` have as many
convolutions, and how they are arranged is our choice.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from ..shapes import Batch
from .dncnn import activation
from .unet import pad


class Design(NamedTuple):
    """Channels of all convolutions but the one that leaves."""

    down: tuple[tuple[int, ...], ...]
    bottom: tuple[int, ...]
    up: tuple[tuple[int, ...], ...]
    """the first of each is the 2×2 convolution"""
    joins: bool
    """whether both ways are joined; else the network is an autoencoder"""


DESIGNS: Mapping[str, Design] = {
    "shallow": Design(((16,),), (32,), ((64, 64),), True),
    "unet-16": Design(
        ((16, 16), (32, 32), (64, 64)), (128, 128), ((64, 64), (32, 32), (16, 16, 16)), True
    ),
    "autoencoder-10": Design(((16, 16), (32, 32)), (64,), ((32, 32), (16, 16)), False),
}


@dataclass(frozen=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class PatchNet:
    """Settings of a denoiser of patches."""

    design: Literal["shallow", "unet-16", "autoencoder-10"] = "shallow"
    """which of the report's: shallow, unet-16, autoencoder-10"""
    slope: Annotated[float, Field(ge=0, le=1)] = 0.0
    """of the activation below zero; 0 is ReLU"""
    white: Annotated[float, Field(gt=0, le=65535)] = 255.0
    """what white is inside: the course's networks saw grey levels, 0 to 255"""
    kind: Literal["patch"] = "patch"

    def __call__(self, planes: int) -> "PatchNetModule":
        return PatchNetModule(self, planes)


class PatchNetModule(nn.Module):
    """The network that `PatchNet` describes, for pictures of `planes` colour planes."""

    def __init__(self, settings: PatchNet, planes: int):
        super().__init__()
        design = DESIGNS[settings.design]
        self.slope, self.white, self.joins = settings.slope, settings.white, design.joins
        self.multiple = 2 ** len(design.down)
        self.radius, self.bytes_a_pixel = radius(design), peak_bytes(design)
        self.down, self.grow, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        below = planes
        for widths in design.down:
            self.down.append(row(below, widths, self.slope))
            below = widths[-1]
        self.bottom = row(below, design.bottom, self.slope)
        below = design.bottom[-1]
        for (first, *rest), skip in zip(design.up, reversed(design.down), strict=True):
            self.grow.append(nn.Conv2d(below, first, 2))
            self.up.append(row(first + skip[-1] * design.joins, tuple(rest), self.slope))
            below = rest[-1]
        self.leave = nn.Conv2d(below, planes, 3, padding=1)

    def forward(self, noisy: Batch) -> Batch:
        height, width = noisy.shape[2:]
        h = pad(noisy, self.multiple) * self.white
        skips: list[Tensor] = []
        for level in self.down:
            h = level(h)
            skips.append(h)
            h = F.max_pool2d(h, 2)
        h = self.bottom(h)
        for grow, level in zip(self.grow, self.up, strict=True):
            large = F.pad(F.interpolate(h, scale_factor=2), (0, 1, 0, 1))
            h = F.leaky_relu_(grow(large), self.slope)
            skip = skips.pop()
            h = level(torch.cat([skip, h], 1) if self.joins else h)
        return self.leave(h)[..., :height, :width] / self.white


def row(channels_in: int, widths: tuple[int, ...], slope: float) -> nn.Sequential:
    """Convolutions 3×3 one after the other, each with its activation."""
    layers: list[nn.Module] = []
    for i, o in zip((channels_in, *widths), widths, strict=False):
        layers += [nn.Conv2d(i, o, 3, padding=1), activation(slope)]
    return nn.Sequential(*layers)


def peak_bytes(design: Design) -> int:
    """Memory at the peak for each pixel, float32: the last level up, joined beside its parts."""
    first, below = design.up[-1][0], design.up[-2][-1] if len(design.up) > 1 else design.bottom[-1]
    joined = 2 * (first + design.down[0][-1]) if design.joins else 0
    return 4 * max(joined, 2 * below + first, 2 * first) + 48


def radius(design: Design) -> int:
    """How far, in pixels, an output pixel can see, in the worst phase of the pooling grid."""
    farthest = 0
    for pixel in range(2 ** len(design.down)):
        low, high = pixel - 1, pixel + 1  # leave
        for _, *rest in reversed(design.up):
            low, high = low - len(rest), high + len(rest) + 1  # the 2×2 convolution sees one more
            low, high = low // 2, high // 2  # ↑ repeats
        low, high = low - len(design.bottom), high + len(design.bottom)
        for widths in reversed(design.down):
            low, high = 2 * low - len(widths), 2 * high + 1 + len(widths)  # ↓ sees two pixels
        farthest = max(farthest, pixel - low, high - pixel)
    return farthest
