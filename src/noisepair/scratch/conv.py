"""Convolution in two dimensions, forward and backward.

Letters: B pictures, C planes in, O planes out, H×W pixels in, P×Q pixels out, a K×K kernel.

unfold lays every K×K neighbourhood out as a column, and the convolution becomes a matrix product:

    cols = unfold(x)              (B, C·K·K, P·Q)
    out  = W @ cols + bias        W is the weight seen as (O, C·K·K)

Its derivatives are those of a product and of unfold, whose adjoint is fold, ⟨unfold x, c⟩ =
⟨x, fold c⟩, which adds up what the columns hold of one pixel:

    d_bias = Σ d_out        d_W = Σ_B d_out @ colsᵀ        d_x = fold(Wᵀ @ d_out)
"""

from jaxtyping import Float
from torch import Generator, Tensor, float32
from torch import device as Device
from torch import dtype as Dtype
from torch.nn.functional import fold, unfold

from . import fast
from .init import kaiming_
from .module import Module, Pair, count, learned
from .window import Window


class Conv2d(Module):
    """Slide `out_channels` filters over a picture; arguments and layout are torch's, but groups.

    weight (out_channels, in_channels, kernel rows, kernel columns), bias (out_channels) or None.
    Begins as Kaiming's (He et al. 2015) with no bias, unlike torch: see `init`. `first`: nobody
    asks for the gradient of the input, and backward returns none.
    """

    weights = ("weight", "bias")
    first = False

    def __init__(  # noqa: PLR0913  as torch has them
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        bias: bool = True,
        *,
        generator: Generator | None = None,
        device: Device | str | None = None,
        dtype: Dtype = float32,
    ):
        self.in_channels = count("Conv2d", "in_channels", in_channels)
        self.out_channels = count("Conv2d", "out_channels", out_channels)
        self.window = Window.of("Conv2d", kernel_size, stride, padding, dilation)
        shape = (self.out_channels, self.in_channels, *self.window.kernel_size)
        like = {"device": device, "dtype": dtype}
        made = learned("Conv2d", shape, self.out_channels, bias, like)
        self.weight, self.bias, self.d_weight, self.d_bias = made
        kaiming_(self.weight, generator=generator)

    def forward(self, x: Tensor) -> Float[Tensor, "B O P Q"]:
        self.refuse(x, self.in_channels, self.weight)
        size = self.window.size_out(x.shape[2:], self)
        if self.fast:
            keep = self.training
            out, kept = fast.conv(x, self.weight, self.bias, self.window, size, keep)
            return self.save(out, x, kept)
        cols = unfold(x, **self.window._asdict())  # (B, C·K·K, P·Q)
        out = self.weight.flatten(1) @ cols
        if self.bias is not None:
            out += self.bias[:, None]
        return self.save(out.unflatten(2, size), x, cols)

    def backward(self, d_out: Float[Tensor, "B O P Q"]) -> Float[Tensor, "B C H W"] | None:
        x, kept = self.recall(d_out)
        if self.d_bias is not None:
            self.d_bias += d_out.sum((0, 2, 3))
        if self.fast:
            d_x, d_weight = fast.conv_backward(d_out, x, kept, self.weight, self.window, self.first)
            self.d_weight += d_weight
            return d_x
        columns = d_out.flatten(2)  # (B, O, P·Q)
        self.d_weight += (columns @ kept.mT).sum(0).view(self.weight.shape)
        if self.first:
            return None
        d_cols = self.weight.flatten(1).T @ columns  # (B, C·K·K, P·Q)
        return fold(d_cols, x.shape[2:], **self.window._asdict())

    def settings(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, {self.window.text()}"
