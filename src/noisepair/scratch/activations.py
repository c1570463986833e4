"""Activations: functions of one value, applied to each. The adjoint of such a map is itself,

    d_x = f′(x) · d_out

so backward multiplies by the slope. Where a slope can be read from the output, the output is kept.
"""

from jaxtyping import Float
from torch import Tensor

from ..errors import InputError
from .module import Module

Values = Float[Tensor, "..."]


class ReLU(Module):
    """max(0, x) (Nair & Hinton 2010). Slope 1 where the output is above 0, else 0; at 0, 0.

    `inplace`: the output takes the place of the input, and the gradient passed back that of the
    gradient passed in, which saves memory and time where nobody else needs them.
    """

    def __init__(self, inplace: bool = False):
        self.inplace = inplace

    def forward(self, x: Tensor) -> Values:
        refuse_whole(self, x)
        out = x.clamp_(min=0) if self.inplace else x.clamp(min=0)
        return self.save(out, out)

    def backward(self, d_out: Values) -> Values:
        (out,) = self.recall(d_out)
        steep = out.sign()  # of what is never negative: 0 or 1
        return d_out.mul_(steep) if self.inplace else steep.mul_(d_out)

    def settings(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """x above 0, negative_slope · x below (Maas et al. 2013, section 2)."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        if not isinstance(negative_slope, float | int) or not 0 <= negative_slope <= 1:
            raise InputError(
                f"LeakyReLU: negative_slope={negative_slope!r} is not possible. It takes a number"
                " from 0 to 1."
            )
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, x: Tensor) -> Values:
        refuse_whole(self, x)
        low = x * self.negative_slope
        # slope ≤ 1: of x and slope · x, the larger is the output on both sides of 0.
        out = x.copy_(x.maximum(low)) if self.inplace else x.maximum(low)
        return self.save(out, out)

    def backward(self, d_out: Values) -> Values:
        (out,) = self.recall(d_out)
        steep = (out > 0).to(out.dtype).mul_(1 - self.negative_slope).add_(self.negative_slope)
        return d_out.mul_(steep) if self.inplace else steep.mul_(d_out)

    def settings(self) -> str:
        return f"{self.negative_slope}"


class Sigmoid(Module):
    """σ(x) = 1 / (1 + e⁻ˣ), in (0, 1). σ′ = σ (1 − σ): at most 1/4, and 0.000045 at |x| = 10."""

    def forward(self, x: Tensor) -> Values:
        refuse_whole(self, x)
        out = x.sigmoid()
        return self.save(out, out)

    def backward(self, d_out: Values) -> Values:
        (out,) = self.recall(d_out)
        return (1 - out).mul_(out).mul_(d_out)


class Identity(Module):
    """x. One way round a `Concat`; a copy, so that what follows may work in place."""

    def forward(self, x: Tensor) -> Values:
        refuse_whole(self, x)
        return self.save(x.clone())

    def backward(self, d_out: Values) -> Values:
        self.recall(d_out)
        return d_out


def refuse_whole(module: Module, x: Tensor) -> None:
    """An activation takes any shape, but floats."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or not x.numel():
        came: object = f"a {type(x).__name__}"
        if isinstance(x, Tensor):
            came = x.dtype if x.numel() else f"no value in {tuple(x.shape)}"
        raise InputError(f"{module} takes one floating-point value or more, and got {came}.")
