"""Transposed convolution: the adjoint of a convolution, used forward.

Letters as in conv.py, the other way round: C planes in on H×W pixels, O planes out on P×Q, and a
window that would take P×Q pixels to H×W. Every input pixel lays its kernel down, and fold adds up:

    out = fold(Wᵀ @ x) + bias         W is the weight seen as (C, O·K·K)

What was the adjoint forward is the convolution backward (Dumoulin & Visin 2016, chapter 4):

    d_bias = Σ d_out      cols = unfold(d_out)      d_W = Σ_B x @ colsᵀ      d_x = W @ cols
"""

from jaxtyping import Float
from torch import Generator, Tensor, float32
from torch import device as Device
from torch import dtype as Dtype
from torch.nn.functional import fold, unfold

from ..errors import InputError
from . import fast
from .init import kaiming_
from .module import Module, Pair, count, learned, pair
from .window import Window


class TransposeConv2d(Module):
    """torch's ConvTranspose2d: weight (in_channels, out_channels, kernel rows, kernel columns).

    `output_padding` adds rows and columns at the end, below the stride, where the size of the
    picture that a convolution would have taken is not clear from what it made of it.
    """

    weights = ("weight", "bias")
    transposed = True

    def __init__(  # noqa: PLR0913  as torch has them
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        output_padding: int | Pair = 0,
        bias: bool = True,
        dilation: int | Pair = 1,
        *,
        generator: Generator | None = None,
        device: Device | str | None = None,
        dtype: Dtype = float32,
    ):
        self.in_channels = count("TransposeConv2d", "in_channels", in_channels)
        self.out_channels = count("TransposeConv2d", "out_channels", out_channels)
        self.window = Window.of("TransposeConv2d", kernel_size, stride, padding, dilation)
        self.more = pair("TransposeConv2d", "output_padding", output_padding, 0)
        if any(more >= step for more, step in zip(self.more, self.window.stride, strict=True)):
            raise InputError(
                f"TransposeConv2d: output_padding={output_padding!r} is not possible. It takes less"
                f" than the stride, {stride!r}."
            )
        shape = (self.in_channels, self.out_channels, *self.window.kernel_size)
        like = {"device": device, "dtype": dtype}
        made = learned("TransposeConv2d", shape, self.out_channels, bias, like)
        self.weight, self.bias, self.d_weight, self.d_bias = made
        kaiming_(self.weight, stride=self.window.stride, transposed=True, generator=generator)

    def forward(self, x: Tensor) -> Float[Tensor, "B O P Q"]:
        self.refuse(x, self.in_channels, self.weight)
        size = self.size_out(x)
        if self.fast:
            out = fast.spread(x, self.weight, self.bias, self.window, size)
            return self.save(out, x)
        d_cols = self.weight.flatten(1).T @ x.flatten(2)  # (B, O·K·K, H·W)
        out = fold(d_cols, size, **self.window._asdict())
        if self.bias is not None:
            out += self.bias[:, None, None]
        return self.save(out, x)

    def backward(self, d_out: Float[Tensor, "B O P Q"]) -> Float[Tensor, "B C H W"]:
        (x,) = self.recall(d_out)
        if self.d_bias is not None:
            self.d_bias += d_out.sum((0, 2, 3))
        if self.fast:
            d_x, d_weight = fast.spread_backward(d_out, x, self.weight, self.window)
            self.d_weight += d_weight
            return d_x
        cols = unfold(d_out, **self.window._asdict())  # (B, O·K·K, H·W)
        self.d_weight += (x.flatten(2) @ cols.mT).sum(0).view(self.weight.shape)
        return (self.weight.flatten(1) @ cols).view(x.shape)

    def size_out(self, x: Tensor) -> Pair:
        rows, columns = self.window.size_in(x.shape[2:])
        size = (rows + self.more[0], columns + self.more[1])
        if min(size) < 1:
            raise InputError(
                f"{self}: a picture of {x.shape[2]}×{x.shape[3]} would become {size[0]}×{size[1]}."
                " Give a larger picture, or less padding."
            )
        return size

    def settings(self) -> str:
        more = f", output_padding={self.more}" if any(self.more) else ""
        return f"{self.in_channels}, {self.out_channels}, {self.window.text()}{more}"
