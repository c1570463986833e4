"""The U-Net of Noise2Noise (Lehtinen et al. 2018, appendix A.1), for pictures of any size.

    enter     conv conv ↓              c₀ channels, two convolutions at full size
    encode    conv ↓                   once a level, 2×2 max pooling
    bottom    conv
    decode    ↑ ‖ skip, conv conv      2·c channels, once a level but the last
    leave     ↑ ‖ picture, conv conv conv      two convolutions of `head` channels, one linear

All convolutions are 3×3 with zero padding and LeakyReLU(0.1), ↑ repeats every pixel 2×2, ‖ joins
channels. NOISE2NOISE is the authors' network, with 991,203 parameters for 3 planes; the default is
smaller and shallower and learns faster from a cold start (docs/results.md).

The join and the repetition are never carried out: a convolution of joined channels is a sum of two,

    W * (↑h ‖ s) = W_h * ↑h + W_s * s,

and a 3×3 convolution of a picture repeated 2×2 is a 4×4 transposed convolution with stride 2 of the
picture itself, its kernel a sum of the 3×3 taps that fall on the same pixel. The same function with
4/9 of the multiplications where it stands (benchmarks/train_step.py, benchmarks/inference.py).
"""

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from ..shapes import Batch

SLOPE = 0.1  # of LeakyReLU below zero, as in the authors' code

Width = Annotated[int, Field(ge=1, le=4096)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class UNet:
    """Settings of a U-Net."""

    channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)] = (32, 48, 64, 64)
    """channels of each encoder level, the first at full size; their number is the depth"""
    head: tuple[Width, Width] = (32, 32)
    """channels of the last two convolutions at full size"""
    residual: bool = True
    """predict the noise, and subtract it, instead of the picture"""
    kind: Literal["unet"] = "unet"

    def __call__(self, planes: int) -> "UNetModule":
        return UNetModule(self, planes)


NOISE2NOISE = UNet(channels=(48,) * 5, head=(64, 32), residual=False)


class Conv(nn.Conv2d):
    """3×3, zero padding, LeakyReLU."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(channels_in, channels_out, 3, padding=1)

    def forward(self, x: Float[Tensor, "B I H W"]) -> Float[Tensor, "B O H W"]:
        return F.leaky_relu_(super().forward(x), SLOPE)


class UpConv(nn.Conv2d):
    """3×3 convolution, LeakyReLU, of a picture repeated 2×2 and joined with a skip connection.

    Its weight is that of the convolution of the joined channels: those from below come first.
    """

    def __init__(self, channels_below: int, channels_skip: int, channels_out: int):
        super().__init__(channels_below + channels_skip, channels_out, 3, padding=1)
        self.channels_below = channels_below

    def forward(  # type: ignore[override]
        self, below: Float[Tensor, "B I h w"], skip: Float[Tensor, "B S H W"]
    ) -> Float[Tensor, "B O H W"]:
        taps_below = self.weight[:, : self.channels_below]
        taps_skip = self.weight[:, self.channels_below :]
        out = F.conv2d(skip, taps_skip, self.bias, padding=1)
        out += F.conv_transpose2d(below, repeated(taps_below), stride=2, padding=1)
        return F.leaky_relu_(out, SLOPE)


class Decode(nn.Module):
    """One level up: ↑ ‖ skip, conv conv."""

    def __init__(self, channels_below: int, channels_skip: int, channels_out: int):
        super().__init__()
        self.up = UpConv(channels_below, channels_skip, channels_out)
        self.conv = Conv(channels_out, channels_out)

    def forward(
        self, below: Float[Tensor, "B I h w"], skip: Float[Tensor, "B S H W"]
    ) -> Float[Tensor, "B O H W"]:
        return self.conv(self.up(below, skip))


def repeated(taps: Float[Tensor, "O I 3 3"]) -> Float[Tensor, "I O 4 4"]:
    """The transposed kernel, stride 2, that equals `taps` after repeating every pixel 2×2.

    Along one axis, output 2i sees tap 0 on pixel i−1 and taps 1, 2 on pixel i; output 2i+1 sees
    taps 0, 1 on pixel i and tap 2 on pixel i+1.
    """
    sums = taps.new_tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])
    return torch.einsum("oikl,tk,sl->iots", taps, sums, sums)


class UNetModule(nn.Module):
    """The network that `UNet` describes, for pictures of `planes` colour planes."""

    def __init__(self, settings: UNet, planes: int):
        super().__init__()
        widths = settings.channels
        self.residual = settings.residual
        self.multiple = 2 ** len(widths)
        self.radius = radius(len(widths))
        self.bytes_a_pixel = peak_bytes(settings)
        self.enter = Conv(planes, widths[0])
        ins = (widths[0], *widths[:-1])
        self.encode = nn.ModuleList(Conv(i, o) for i, o in zip(ins, widths, strict=True))
        self.bottom = Conv(widths[-1], widths[-1])
        self.decode = nn.ModuleList()
        below = widths[-1]
        for skip in widths[-2::-1]:
            self.decode.append(Decode(below, skip, 2 * skip))
            below = 2 * skip
        self.leave_a = UpConv(below, planes, settings.head[0])
        self.leave_b = Conv(*settings.head)
        self.leave_c = nn.Conv2d(settings.head[1], planes, 3, padding=1)

    def forward(self, noisy: Batch) -> Batch:
        height, width = noisy.shape[2:]
        picture = pad(noisy, self.multiple)
        h = self.enter(picture)
        skips = [picture]
        for conv in self.encode:
            h = F.max_pool2d(conv(h), 2)
            skips.append(h)
        skips.pop()
        h = self.bottom(h)
        for decode in self.decode:
            h = decode(h, skips.pop())
        h = self.leave_b(self.leave_a(h, skips.pop()))
        out = self.leave_c(h)[..., :height, :width]
        return noisy - out if self.residual else out


def pad(picture: Batch, multiple: int) -> Float[Tensor, "B C Y X"]:
    """Repeat the last row and column until both sides are multiples of `multiple`."""
    height, width = picture.shape[2:]
    more = (0, -width % multiple, 0, -height % multiple)
    return F.pad(picture, more, mode="replicate") if any(more) else picture


def peak_bytes(settings: UNet) -> int:
    """Memory at the peak for each pixel, float32: entering and leaving, or a wide level below.

    Measured 960 for NOISE2NOISE, where this gives 1,008 (resident memory, tiles of 892 pixels).
    """
    full = settings.channels[0] + settings.head[0]
    below = (24 * width / 4**level for level, width in enumerate(settings.channels) if level)
    return round(max([9 * full, *below]))


def radius(levels: int) -> int:
    """How far, in pixels, an output pixel can see: along the deepest path, in the worst phase."""
    farthest = 0
    for pixel in range(2**levels):
        low = high = pixel
        low, high = low - 3, high + 3  # leave
        for level in range(levels):
            low, high = low // 2, high // 2  # ↑ repeats
            grow = 1 if level == levels - 1 else 2  # bottom, or decode
            low, high = low - grow, high + grow
        for _ in range(levels):
            low, high = (
                2 * low - 1,
                2 * high + 2,
            )  # ↓ sees two pixels, the convolution before it one more
        low, high = low - 1, high + 1  # enter
        farthest = max(farthest, pixel - low, high - pixel)
    return farthest
