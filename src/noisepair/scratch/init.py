"""How weights begin, and why it decides whether anything is learnt.

An output of a layer is a sum of fan-in products. With independent weights of deviation s and inputs
of mean square v it has the variance fan-in · s² · v: N(0, 1) weights multiply the spread by √fan-in
a layer, tiny ones divide it, and a few layers later a sigmoid is saturated or sees nothing. A
ReLU halves the mean square, so s² = 2 / fan-in keeps it from layer to layer (He et al. 2015,
eq. 10). The drawing is that of noisepair's recipes: the same generator gives the same weights.
"""

from math import inf, prod, sqrt

from torch import Generator, Tensor

from ..errors import InputError, choose
from .module import Module, Pair


def fans(weight: Tensor, stride: Pair = (1, 1), transposed: bool = False) -> tuple[float, float]:
    """How many values feed one output, and how many outputs one value feeds.

    A transposed convolution of stride s feeds each output from 1/s² of its taps; a strided one is
    read by as few.
    """
    one, two, *kernel = weight.shape  # (O, C, …), transposed: (C, O, …)
    taps, skipped = prod(kernel), prod(stride)
    if transposed:
        return one * taps / skipped, float(two * taps)
    return float(two * taps), one * taps / skipped


def kaiming_(
    weight: Tensor,
    slope: float = 0.0,
    *,
    stride: Pair = (1, 1),
    transposed: bool = False,
    generator: Generator | None = None,
) -> None:
    """N(0, 2 / (1 + slope²) / fan-in), for (Leaky)ReLU: He et al. 2015, eq. 14."""
    std = sqrt(2 / (1 + slope**2) / fans(weight, stride, transposed)[0])
    draw_(weight, std, False, generator)


def draw_(weight: Tensor, std: float, uniform: bool, generator: Generator | None) -> None:
    """Independent values of mean 0 and deviation `std`; a box reaches to √3 of it."""
    if uniform:
        weight.uniform_(-sqrt(3) * std, sqrt(3) * std, generator=generator)
    else:
        weight.normal_(0, std, generator=generator)


def begin(
    model: Module,
    how: str = "kaiming",
    *,
    slope: float = 0.0,
    uniform: bool | None = None,
    std: float = 1.0,
    generator: Generator | None = None,
) -> None:
    """Draw all weights of a model anew, layer by layer, and set its biases to zero.

    `how`: kaiming, as above; xavier, variance 2 / (fan-in + fan-out) (Glorot & Bengio 2010, eq. 12
    and 16); normal (N(0, std²) in every layer, as one would write it first) or
    constant (all weights `std`: units that begin equal stay equal). `uniform`: from a box instead
    of a bell; of itself xavier's are. Raises InputError for another `how`.
    """
    least = -inf if how == "constant" else 0.0
    if not least <= std < inf or not 0 <= slope < inf:
        raise InputError(f"begin: std={std!r} and slope={slope!r} must be numbers from 0 on.")
    choose("initialisation", how, dict.fromkeys(("kaiming", "xavier", "normal", "constant")))
    for _, module in model.modules():
        for name in module.weights:
            value = getattr(module, name)
            if value is None:
                continue
            if name == "bias":
                value.zero_()
            elif how == "normal":
                draw_(value, std, False, generator)
            elif how == "constant":
                value.fill_(std)
            else:
                window = getattr(module, "window", None)
                fan = fans(value, window.stride if window else (1, 1), module.transposed)
                gain = 2 / (1 + slope**2) / fan[0] if how == "kaiming" else 2 / sum(fan)
                box = how == "xavier" if uniform is None else uniform
                draw_(value, sqrt(gain), box, generator)
