"""A U-Net for pictures of any size, in the two forms that the field uses.

    noise2noise (Lehtinen et al. 2018, appendix A.1)      classic (Ronneberger et al. 2015)
    down    conv ↓ a level, a further conv at full size   conv … ↓ a level but the last
    bottom  conv                                          conv …
    up      ↑ ‖ what entered the level, conv …            ↑ ‖ what left the level, conv …
    leave   conv, linear                                  conv, linear

Convolutions are 3×3 with zero padding, each followed by [batch norm,] (Leaky)ReLU [, dropout of
whole channels]; ↓ is 2×2 pooling, ↑ repeats every pixel 2×2, ‖ joins channels, the picture itself
being what enters the first level. NOISE2NOISE is the authors' network, with 991,203 parameters for
3 planes; the default is smaller, shallower and learns faster from a cold start (docs/results.md).

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

Width = Annotated[int, Field(ge=1, le=4096)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class UNet:
    """Settings of a U-Net."""

    channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)] = (32, 64, 128)
    """channels of each level, the first at full size; their number is the depth"""
    head: Annotated[tuple[Width, ...], Field(min_length=1, max_length=4)] = (32,)
    """channels of the last convolutions at full size, before the one that leaves"""
    form: Literal["classic", "noise2noise"] = "classic"
    """classic: joins what leaves a level; noise2noise: what enters it, and widens on the way up"""
    convs: Literal[1, 2] = 1
    """convolutions a level: on the way up and, in the classic form, on both ways"""
    skips: bool = True
    """join the levels of both ways; without, the network is an autoencoder"""
    pool: Literal["max", "average"] = "average"
    """how 2×2 pixels become one: max, average"""
    up: Literal["nearest", "transposed"] = "nearest"
    """how a pixel becomes 2×2: nearest repeats it, transposed is a learned convolution"""
    norm: Literal["batch"] | None = None
    """none, or batch: shift and scale by the mean and deviation of each channel in a batch"""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of whole channels that is dropped after each convolution in training"""
    slope: Annotated[float, Field(ge=0, le=1)] = 0.1
    """of the activation below zero; 0 is ReLU, with which short runs may die"""
    output: Literal["linear", "leaky", "sigmoid"] = "linear"
    """what follows the last convolution: nothing, LeakyReLU(0.1) or a sigmoid"""
    residual: bool = True
    """predict the noise, and subtract it, instead of the picture"""
    unshuffle: Literal[1, 2, 4] = 1
    """begin and end at 1/2 or 1/4 of the size, the pixels of a square in channels of their own"""
    kind: Literal["unet"] = "unet"

    def __post_init__(self) -> None:
        if self.residual and self.output != "linear":
            raise ValueError(
                f"network.output={self.output} bounds a picture, and network.residual predicts"
                " noise, which has both signs. Set network.residual to false, or output to linear."
            )

    def __call__(self, planes: int) -> "UNetModule":
        return UNetModule(self, planes)

    def widths(self) -> tuple[list[list[int]], list[int], list[list[int]]]:
        """Channels of all convolutions: down from full size, at the bottom, up to full size."""
        widths, head = self.channels, list(self.head)
        if self.form == "classic":
            *down, bottom = ([width] * self.convs for width in widths)
            if not down:  # one level is a row of convolutions
                return [], bottom + head, []
            return down, bottom, [*down[:0:-1], head]
        down = [[widths[0], widths[0]], *([width] for width in widths[1:])]
        up = [[2 * width] * self.convs for width in widths[-2::-1]]
        return down, [widths[-1]], [*up, head]


NOISE2NOISE = UNet(
    channels=(48,) * 5, head=(64, 32), form="noise2noise", convs=2, pool="max", slope=0.1,
    residual=False,
)  # fmt: skip


class Finish(nn.Module):
    """What follows a convolution: [batch norm,] (Leaky)ReLU [, dropout of whole channels]."""

    def __init__(self, settings: UNet, channels: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels) if settings.norm == "batch" else None
        self.slope, self.dropout = settings.slope, settings.dropout

    def forward(self, x: Float[Tensor, "B O H W"]) -> Float[Tensor, "B O H W"]:
        if self.norm is not None:
            x = self.norm(x)
        x = F.leaky_relu_(x, self.slope) if self.slope else F.relu_(x)
        return F.dropout2d(x, self.dropout) if self.dropout and self.training else x


class Conv(nn.Conv2d):
    """3×3, zero padding, finished."""

    def __init__(self, settings: UNet, channels_in: int, channels_out: int):
        bias = settings.norm is None  # batch norm has its own
        super().__init__(channels_in, channels_out, 3, padding=1, bias=bias)
        self.finish = Finish(settings, channels_out)

    def forward(self, x: Float[Tensor, "B I H W"]) -> Float[Tensor, "B O H W"]:
        return self.finish(super().forward(x))


class UpConv(nn.Conv2d):
    """A finished 3×3 convolution of a picture made twice as large and joined with a skip.

    Its weight is that of the convolution of the joined channels: those from below come first.
    `plain` carries join and repetition out, as one would write them first: for comparison.
    """

    plain = False

    def __init__(self, settings: UNet, channels_below: int, channels_skip: int, channels_out: int):
        bias = settings.norm is None
        super().__init__(channels_below + channels_skip, channels_out, 3, padding=1, bias=bias)
        self.channels_below = channels_below
        self.grow = None
        if settings.up == "transposed":
            self.grow = nn.ConvTranspose2d(channels_below, channels_below, 2, stride=2)
        self.finish = Finish(settings, channels_out)

    def forward(  # type: ignore[override]
        self, below: Float[Tensor, "B I h w"], skip: Float[Tensor, "B S H W"] | None
    ) -> Float[Tensor, "B O H W"]:
        if self.plain:
            large = F.interpolate(below, scale_factor=2) if self.grow is None else self.grow(below)
            joined = large if skip is None else torch.cat([large, skip], 1)
            return self.finish(super().forward(joined))
        taps_below = self.weight[:, : self.channels_below]
        if self.grow is None:
            kernel = repeated(taps_below)
            bias = self.bias if skip is None else None
            out = F.conv_transpose2d(below, kernel, bias, stride=2, padding=1)
        else:
            bias = self.bias if skip is None else None
            out = F.conv2d(self.grow(below), taps_below, bias, padding=1)
        if skip is not None:
            taps_skip = self.weight[:, self.channels_below :]
            out = F.conv2d(skip, taps_skip, self.bias, padding=1).add_(out)
        return self.finish(out)


class Level(nn.Sequential):
    """Convolutions one after the other, each as wide as `widths` says."""

    def __init__(self, settings: UNet, channels_in: int, widths: list[int]):
        ins = (channels_in, *widths[:-1])
        super().__init__(*(Conv(settings, i, o) for i, o in zip(ins, widths, strict=False)))


class Decode(nn.Module):
    """One level up: ↑ ‖ skip, conv …"""

    def __init__(self, settings: UNet, channels_below: int, channels_skip: int, widths: list[int]):
        super().__init__()
        self.up = UpConv(settings, channels_below, channels_skip, widths[0])
        self.convs = Level(settings, widths[0], widths[1:])

    def forward(
        self, below: Float[Tensor, "B I h w"], skip: Float[Tensor, "B S H W"] | None
    ) -> Float[Tensor, "B O H W"]:
        return self.convs(self.up(below, skip))


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
        self.settings, self.slope = settings, settings.slope
        self.fold = settings.unshuffle
        down, bottom, up = settings.widths()
        self.multiple = self.fold * 2 ** len(down)
        self.radius = radius(settings)
        self.bytes_a_pixel = peak_bytes(settings)
        entering = [planes * self.fold**2, *(widths[-1] for widths in down)]
        leaving = [widths[-1] for widths in down]
        skips = entering[:-1] if settings.form == "noise2noise" else leaving
        self.encode = nn.ModuleList(
            Level(settings, i, widths) for i, widths in zip(entering, down, strict=False)
        )
        self.bottom = Level(settings, entering[-1], bottom)
        self.decode = nn.ModuleList()
        below = bottom[-1]
        for skip, widths in zip(reversed(skips), up, strict=True):
            self.decode.append(Decode(settings, below, skip * settings.skips, widths))
            below = widths[-1]
        self.leave = nn.Conv2d(below, entering[0], 3, padding=1)

    def forward(self, noisy: Batch) -> Batch:
        height, width = noisy.shape[2:]
        h = F.pixel_unshuffle(pad(noisy, self.multiple), self.fold)
        pool = F.max_pool2d if self.settings.pool == "max" else F.avg_pool2d
        skips: list[Tensor | None] = []
        for encode in self.encode:
            entered, h = h, encode(h)
            joined = entered if self.settings.form == "noise2noise" else h
            skips.append(joined if self.settings.skips else None)
            h = pool(h, 2)
        h = self.bottom(h)
        for decode in self.decode:
            h = decode(h, skips.pop())
        out = F.pixel_shuffle(self.leave(h), self.fold)[..., :height, :width]
        if self.settings.residual:
            return noisy - out
        if self.settings.output == "leaky":
            return F.leaky_relu(out, 0.1)
        return out.sigmoid() if self.settings.output == "sigmoid" else out


def plainly(network: nn.Module) -> None:
    """Let `network` carry out all its joins and repetitions."""
    for layer in network.modules():
        if isinstance(layer, UpConv):
            layer.plain = True


def pad(picture: Batch, multiple: int) -> Float[Tensor, "B C Y X"]:
    """Repeat the last row and column until both sides are multiples of `multiple`."""
    height, width = picture.shape[2:]
    rows, columns = ((side + multiple - 1) // multiple * multiple for side in (height, width))
    exporting = torch.compiler.is_exporting()  # what is compared then holds for all sizes
    if not exporting and (rows, columns) == (height, width):
        return picture
    return F.pad(picture, (0, columns - width, 0, rows - height), mode="replicate")


def peak_bytes(settings: UNet) -> int:
    """Memory at the peak for each pixel, float32: entering and leaving, or a wide level below.

    Measured 960 for NOISE2NOISE, where this gives 1,056 (resident memory, tiles of 892 pixels).
    """
    down, bottom, up = settings.widths()
    full = max(down[0]) + max(up[-1]) if up else 2 * max(bottom)
    if up and settings.up == "transposed":
        full += up[-2][-1] if len(up) > 1 else bottom[-1]
    below = (24 * widths[-1] / 4**level for level, widths in enumerate([*down, bottom]) if level)
    norm = 1.5 if settings.norm == "batch" else 1.0  # its result stands beside what it is made of
    return round(max([9 * full * norm, *below]) / settings.unshuffle**2) + 48


def radius(settings: UNet) -> int:
    """How far, in pixels, an output pixel can see: along the deepest path, in the worst phase."""
    down, bottom, up = settings.widths()
    fold, farthest = settings.unshuffle, 0
    for pixel in range(fold * 2 ** len(down)):
        low = high = pixel // fold
        low, high = low - 1, high + 1  # leave
        for widths in reversed(up):
            low, high = low - len(widths), high + len(widths)
            low, high = low // 2, high // 2  # ↑ repeats
        low, high = low - len(bottom), high + len(bottom)
        for widths in reversed(down):
            low, high = 2 * low, 2 * high + 1  # ↓ sees two pixels
            low, high = low - len(widths), high + len(widths)
        farthest = max(farthest, pixel - fold * low, fold * high + fold - 1 - pixel)
    return farthest
