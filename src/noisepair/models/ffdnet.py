"""FFDNet (Zhang, Zuo & Zhang 2018): convolutions at half size, told how strong the noise is.

    denoised = ↑(conv ReLU, (depth − 2) × (conv norm ReLU), conv)(↓noisy ‖ M)

↓ deals the pixels of each 2×2 cell out to four planes, ↑ puts them back, ‖ joins planes, M is the
noise level at each cell (their section III). It predicts the picture itself, not the noise. The
paper has 12 layers of 96 channels for colour and 15 of 64 for grey, with batch normalisation.

Where no level is given, M is estimated from the cells' diagonal Haar coefficients

    d = (a − b − c + e) / 2        for the cell  a b / c e
    M = √(π/2) · mean |d|          over all planes and the cells around, `WINDOW` to each side

For Gaussian noise of deviation σ, d ~ N(0, σ²) in a smooth picture and E|d| = √(2/π) σ, so there
E M = σ. Texture adds to it (tests: photographs without noise read as 5/255, with 25/255 as 26/255).
M sees a window only, so that tiles agree with the whole picture.
"""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from ..shapes import Batch
from .dncnn import Depth, Norm, Width, stack

WINDOW = 8  # cells: 17×17 of three planes give the level to 2.6 %, of one to 4.4 %


@dataclass(frozen=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class FFDNet:
    """Settings of an FFDNet."""

    depth: Depth = 12
    """number of convolutions; 15 in the paper for grey pictures"""
    width: Width = 96
    """channels between the convolutions; 64 in the paper for grey pictures"""
    norm: Norm = None
    """after all convolutions but the first and the last: none, batch (as in the paper)"""
    sigma: Annotated[float, Field(ge=0, le=1)] | None = None
    """noise level in picture units, 0 to 1: write 25/255; none: estimated around each pixel"""
    kind: Literal["ffdnet"] = "ffdnet"

    def __call__(self, planes: int) -> "FFDNetModule":
        return FFDNetModule(self, planes)


class FFDNetModule(nn.Module):
    """The network that `FFDNet` describes, for pictures of `planes` colour planes."""

    multiple = 2
    slope = 0.0

    def __init__(self, settings: FFDNet, planes: int):
        super().__init__()
        self.sigma = settings.sigma
        cells = settings.depth + (WINDOW if settings.sigma is None else 0)
        self.radius = 2 * cells + 1  # the farther pixel of a cell
        self.bytes_a_pixel = 2 * settings.width + 24 * planes  # of 264, 239 were measured
        self.clean = stack(
            4 * planes + 1, 4 * planes, settings.depth, settings.width, settings.norm
        )

    def forward(self, noisy: Batch) -> Batch:
        height, width = noisy.shape[2:]
        level = noise_level(noisy) if self.sigma is None else constant_level(noisy, self.sigma)
        more = (0, width % 2, 0, height % 2)
        even = F.pad(noisy, more, mode="replicate") if any(more) else noisy
        parts = torch.cat([F.pixel_unshuffle(even, 2), level], 1)  # (B, 4C+1, H/2, W/2)
        return F.pixel_shuffle(self.clean(parts), 2)[..., :height, :width]


def constant_level(noisy: Batch, sigma: float) -> Float[Tensor, "B 1 h w"]:
    """The same level at each cell, the half ones at odd edges too."""
    count, _, height, width = noisy.shape
    return noisy.new_full((count, 1, (height + 1) // 2, (width + 1) // 2), sigma)


def noise_level(noisy: Batch) -> Float[Tensor, "B 1 h w"]:
    """The deviation of the noise around each 2×2 cell, estimated; 0 where no cell is whole.

    The half cells at odd edges get a level from the whole cells near them and do not count.
    """
    half = (0, noisy.shape[3] % 2, 0, noisy.shape[2] % 2)
    whole = noisy[..., : noisy.shape[2] // 2 * 2, : noisy.shape[3] // 2 * 2]
    a, b, c, e = (whole[..., row::2, column::2] for row in (0, 1) for column in (0, 1))
    size = (a - b - c + e).abs().mean(1, keepdim=True) / 2
    counted = F.pad(torch.ones_like(size[:1]), half)
    mean = window_sum(F.pad(size, half)) / window_sum(counted).clamp(min=1)
    return math.sqrt(math.pi / 2) * mean


def window_sum(cells: Float[Tensor, "B 1 h w"]) -> Float[Tensor, "B 1 h w"]:
    """Over `WINDOW` cells to each side, nothing beyond the edge."""
    side = 2 * WINDOW + 1
    rows = F.avg_pool2d(cells, (side, 1), 1, (WINDOW, 0))
    return side**2 * F.avg_pool2d(rows, (1, side), 1, (0, WINDOW))
