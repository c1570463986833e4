"""Upsampling with weights: nearest, then a convolution; and the same joined with a skip.

Of an upsampled picture a K×K kernel sees α×α copies of each pixel, so several of its taps meet the
same value. Summed first, they are a larger kernel that never sees a copy: with S the matrix that
has S[m, k] = 1 where 0 ≤ m + k − (K − 1) < α, of α + K − 1 rows and K columns,

    conv(up(x); W) = TransposeConv(x; V),   V = S W Sᵀ on each pair of planes, stride α,

a transposed convolution: the two upsamplings of the course are one family. For α = 2, K = 3 it has
4×4 taps in place of 9 for each of 4 pixels: 16 products a low pixel instead of 36, and the large
picture is never made. W ↦ S W Sᵀ is linear, and d_W = Sᵀ d_V S.
"""

from collections.abc import Iterator

from jaxtyping import Float
from torch import Generator, Tensor, cat, float32
from torch import device as Device
from torch import dtype as Dtype

from ..errors import InputError
from . import fast
from .conv import Conv2d
from .module import Module, Pair, count
from .resample import NearestUpsampling
from .window import Window

Pictures = Float[Tensor, "B C H W"]


class Upsampling(Module):
    """NearestUpsampling(scale_factor), then Conv2d with stride 1.

    Its parts are named 0 and 1: torch's Sequential(Upsample(scale_factor=…), Conv2d(…)) has the
    same state dict.
    """

    def __init__(  # noqa: PLR0913  as torch has them
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        scale_factor: int | Pair = 2,
        padding: int | Pair = 0,
        bias: bool = True,
        *,
        generator: Generator | None = None,
        device: Device | str | None = None,
        dtype: Dtype = float32,
    ):
        self.nearest = NearestUpsampling(scale_factor)
        self.conv = Conv2d(
            in_channels, out_channels, kernel_size, 1, padding, 1, bias,
            generator=generator, device=device, dtype=dtype,
        )  # fmt: skip

    def parts(self) -> Iterator[tuple[str, Module]]:
        yield "0", self.nearest
        yield "1", self.conv

    @property
    def weight(self) -> Tensor:
        return self.conv.weight

    @property
    def bias(self) -> Tensor | None:
        return self.conv.bias

    def forward(self, x: Tensor) -> Float[Tensor, "B O P Q"]:
        conv, scale = self.conv, self.nearest.scale_factor
        window = summed(self.conv.window, scale)
        if not self.fast or window is None:
            return self.save(conv.forward(self.nearest.forward(x)), None)
        conv.refuse(x, conv.in_channels, conv.weight)
        height, width = x.shape[2] * scale[0], x.shape[3] * scale[1]
        size = conv.window.size_out((height, width), self)
        kernel = spread_taps(conv.weight, scale)
        return self.save(fast.spread(x, kernel, conv.bias, window, size), (x, kernel, window))

    def backward(self, d_out: Float[Tensor, "B O P Q"]) -> Pictures:
        (kept,) = self.recall(d_out)
        if kept is None:
            d_large = self.conv.backward(d_out)
            assert d_large is not None, "an upsampling is never first"
            return self.nearest.backward(d_large)
        x, kernel, window = kept
        if self.conv.d_bias is not None:
            self.conv.d_bias += d_out.sum((0, 2, 3))
        d_x, d_kernel = fast.spread_backward(d_out, x, kernel, window)
        self.conv.d_weight += gathered_taps(d_kernel, self.nearest.scale_factor)
        return d_x

    def settings(self) -> str:
        return f"{self.conv.settings()}, scale_factor={self.nearest.settings()}"


class Joined(Conv2d):
    """Conv2d of a low picture made `scale_factor` times as large, joined with a skip.

    A convolution of joined channels is a sum of two, W * (up(low) ‖ skip) = Wₗ * up(low) + Wₛ *
    skip, so nothing is ever joined. Weight as torch's Conv2d has it, low channels first.
    """

    def __init__(  # noqa: PLR0913  as torch has them
        self,
        low_channels: int,
        skip_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        scale_factor: int | Pair = 2,
        padding: int | Pair = 0,
        bias: bool = True,
        *,
        generator: Generator | None = None,
        device: Device | str | None = None,
        dtype: Dtype = float32,
    ):
        low = count("Joined", "low_channels", low_channels)
        skip = count("Joined", "skip_channels", skip_channels)
        super().__init__(
            low + skip, out_channels, kernel_size, 1, padding, 1, bias,
            generator=generator, device=device, dtype=dtype,
        )  # fmt: skip
        self.low_channels, self.skip_channels = low, skip
        self.nearest = NearestUpsampling(scale_factor)

    def forward(  # type: ignore[override]
        self, low: Tensor, skip: Tensor
    ) -> Float[Tensor, "B O P Q"]:
        self.refuse(low, self.low_channels, self.weight)
        self.refuse(skip, self.skip_channels, self.weight)
        rows, columns = self.nearest.scale_factor
        large = (rows * low.shape[2], columns * low.shape[3])
        if len(low) != len(skip):
            raise InputError(f"{self} got {len(low)} low pictures and {len(skip)} skips.")
        if tuple(skip.shape[2:]) != large:
            raise InputError(
                f"{self}: the low picture becomes {large[0]}×{large[1]} pixels, and the skip has"
                f" {skip.shape[2]}×{skip.shape[3]}. They must be the same."
            )
        window = summed(self.window, self.nearest.scale_factor)
        if not self.fast or window is None:
            joined = cat((self.nearest.forward(low), skip), 1)
            out = super().forward(joined)
            return self.save(out, None, self.memory)
        size = self.window.size_out(large, self)
        kernel = spread_taps(self.weight[:, : self.low_channels], self.nearest.scale_factor)
        out = fast.spread(low, kernel, self.bias, window, size)
        taps = self.weight[:, self.low_channels :]
        out, kept = fast.conv(skip, taps, None, self.window, size, self.training, onto=out)
        return self.save(out, (low, kernel, window), (skip, taps, kept))

    def backward(  # type: ignore[override]
        self, d_out: Float[Tensor, "B O P Q"]
    ) -> tuple[Float[Tensor, "B L h w"], Float[Tensor, "B S H W"]]:
        way, kept_skip = self.recall(d_out)
        if way is None:
            self.memory = kept_skip
            d_joined = super().backward(d_out)
            assert d_joined is not None, "a join is never first"
            d_large, d_skip = d_joined.split((self.low_channels, self.skip_channels), 1)
            return self.nearest.backward(d_large), d_skip
        if self.d_bias is not None:
            self.d_bias += d_out.sum((0, 2, 3))
        (low, kernel, window), (skip, taps, kept) = way, kept_skip
        d_low, d_kernel = fast.spread_backward(d_out, low, kernel, window)
        d_skip, d_taps = fast.conv_backward(d_out, skip, kept, taps, self.window, False)
        self.d_weight[:, : self.low_channels] += gathered_taps(d_kernel, self.nearest.scale_factor)
        self.d_weight[:, self.low_channels :] += d_taps
        assert d_skip is not None, "asked for"
        return d_low, d_skip

    def settings(self) -> str:
        return (
            f"{self.low_channels}, {self.skip_channels}, {self.out_channels}, {self.window.text()}"
        )


def summed(window: Window, scale: Pair) -> Window | None:
    """The window of the transposed convolution; None where padding exceeds its border."""
    sizes = tuple(zip(window.kernel_size, scale, window.padding, strict=True))
    border = [kernel - 1 - padding for kernel, _, padding in sizes]
    if min(border) < 0:
        return None
    rows, columns = (kernel + factor - 1 for kernel, factor, _ in sizes)
    return Window((rows, columns), scale, (border[0], border[1]))


def overlaps(taps: int, factor: int, like: Tensor) -> Float[Tensor, "M K"]:
    """S: which of the summed taps each tap adds to."""
    ones = like.new_zeros(taps + factor - 1, taps)
    for k in range(taps):
        ones[taps - 1 - k : taps - 1 - k + factor, k] = 1
    return ones


def spread_taps(weight: Float[Tensor, "O C K L"], scale: Pair) -> Float[Tensor, "C O M N"]:
    """V = S W Sᵀ, planes in first as a transposed convolution has them."""
    rows, columns = (
        overlaps(k, factor, weight) for k, factor in zip(weight.shape[2:], scale, strict=True)
    )
    return (rows @ weight @ columns.T).transpose(0, 1)


def gathered_taps(d_kernel: Float[Tensor, "C O M N"], scale: Pair) -> Float[Tensor, "O C K L"]:
    """d_W = Sᵀ d_V S."""
    sizes = zip(d_kernel.shape[2:], scale, strict=True)
    rows, columns = (overlaps(m - factor + 1, factor, d_kernel) for m, factor in sizes)
    return (rows.T @ d_kernel @ columns).transpose(0, 1)
