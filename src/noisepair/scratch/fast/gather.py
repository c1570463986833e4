"""A convolution as one matrix product of gathered windows, backward included.

With cols the windows of x, a row of K·K·C values for each output pixel, and W as (K·K·C, O):

    out = cols @ W + bias        d_W = colsᵀ @ d_out

The gradient of the input is a convolution too. For stride 1 it is one of d_out, with W turned by
180° and its planes exchanged, and the windows of d_out that it gathers serve d_W as well,

    d_x = windows(d_out) @ W′        d_W′ = xᵀ @ windows(d_out),

so backward gathers once. Other strides go by spread.py, and d_W by the windows that forward keeps.
"""

from jaxtyping import Float
from torch import Tensor

from ..module import Pair
from ..window import Window
from . import blocks, winograd
from .memory import columns_of, fresh, pieces
from .spread import spread


def conv(
    x: Float[Tensor, "B C H W"],
    weight: Float[Tensor, "O C K L"],
    bias: Float[Tensor, "O"] | None,
    window: Window,
    size: Pair,
    keep: bool,
    onto: Float[Tensor, "B O P Q"] | None = None,
) -> tuple[Float[Tensor, "B O P Q"], Tensor | None]:
    """The convolution, and what backward needs besides x: its windows, where it reads them.

    `onto`: channels-last memory that the result is added to, in place of bias.
    """
    if winograd.fits(weight, window, size):
        out, kept = winograd.conv(x, weight, bias, keep)
        return (out if onto is None else onto.add_(out)), kept
    if blocks.fits(weight, window, size) and turnable(window) and onto is None:
        return blocks.conv(x, weight, bias, window, size), None
    many, planes_out = len(x), len(weight)
    table = weight.permute(2, 3, 1, 0).reshape(-1, planes_out)  # (K·L·C, O)
    out = fresh((many, *size, planes_out), x) if onto is None else onto.permute(0, 2, 3, 1)
    keep = keep and not turnable(window)
    kept = fresh((many * size[0] * size[1], len(table)), x) if keep else None
    for piece in pieces(many, size[0] * size[1] * len(table), x):
        rows = columns_of(x[piece], window, size, kept, piece)
        product(out[piece].view(-1, planes_out), rows, table, bias, beta=float(onto is not None))
    return out.permute(0, 3, 1, 2), kept


def conv_backward(
    d_out: Float[Tensor, "B O P Q"],
    x: Float[Tensor, "B C H W"],
    kept: Tensor | None,
    weight: Float[Tensor, "O C K L"],
    window: Window,
    first: bool,
) -> tuple[Float[Tensor, "B C H W"] | None, Float[Tensor, "O C K L"]]:
    """d_x, unless nobody asks for it, and d_weight."""
    if winograd.fits(weight, window, tuple(d_out.shape[2:])):
        return winograd.conv_backward(d_out, x, kept, weight, first)
    planes_out, planes_in, *kernel = weight.shape
    if kept is None and first:
        return None, of_weight_alone(d_out, x, weight, window)
    if kept is None:
        return by_turning(d_out, x, weight, window)
    flat = d_out.permute(0, 2, 3, 1).reshape(-1, planes_out)
    d_table = kept.T @ flat  # (K·L·C, O)
    d_weight = d_table.view(*kernel, planes_in, planes_out).permute(3, 2, 0, 1)
    d_x = None if first else spread(d_out, weight, None, window, (x.shape[2], x.shape[3]))
    return d_x, d_weight


def of_weight_alone(
    d_out: Float[Tensor, "B O P Q"],
    x: Float[Tensor, "B C H W"],
    weight: Float[Tensor, "O C K L"],
    window: Window,
) -> Float[Tensor, "O C K L"]:
    """Of the first layer: to gather its few planes once more takes less than to keep them."""
    planes_out, planes_in, *kernel = weight.shape
    size = (d_out.shape[2], d_out.shape[3])
    d_table = x.new_zeros(kernel[0] * kernel[1] * planes_in, planes_out)
    flat = d_out.permute(0, 2, 3, 1)
    for piece in pieces(len(x), size[0] * size[1] * len(d_table), x):
        rows = columns_of(x[piece], window, size)
        d_table.addmm_(rows.T, flat[piece].reshape(-1, planes_out))
    return d_table.view(*kernel, planes_in, planes_out).permute(3, 2, 0, 1)


def by_turning(
    d_out: Float[Tensor, "B O P Q"],
    x: Float[Tensor, "B C H W"],
    weight: Float[Tensor, "O C K L"],
    window: Window,
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "O C K L"]]:
    """Stride 1: both gradients from one gathering of d_out."""
    planes_out, planes_in, *kernel = weight.shape
    many, size = len(x), (x.shape[2], x.shape[3])
    border = zip(window.reach, window.padding, strict=True)
    rows, columns = (span - 1 - padding for span, padding in border)
    turned = Window(window.kernel_size, (1, 1), (rows, columns), window.dilation)
    table = weight.flip(2, 3).permute(2, 3, 0, 1).reshape(-1, planes_in)  # (K·L·O, C)
    d_x = fresh((many, *size, planes_in), x)
    d_table = x.new_zeros(planes_in, len(table))
    flat = x.permute(0, 2, 3, 1)
    for piece in pieces(many, size[0] * size[1] * len(table), x):
        windows = columns_of(d_out[piece], turned, size)
        d_table.addmm_(flat[piece].reshape(-1, planes_in).T, windows)
        product(d_x[piece].view(-1, planes_in), windows, table, None)
    d_weight = d_table.view(planes_in, *kernel, planes_out).flip(1, 2).permute(3, 0, 1, 2)
    return d_x.permute(0, 3, 1, 2), d_weight


def turnable(window: Window) -> bool:
    """Whether the gradient of the input is a convolution with a border of 0 or more."""
    inside = all(p < span for p, span in zip(window.padding, window.reach, strict=True))
    return window.stride == (1, 1) and inside


def product(
    out: Float[Tensor, "N O"],
    rows: Float[Tensor, "N K"],
    table: Float[Tensor, "K O"],
    bias: Tensor | None,
    beta: float = 0.0,
) -> None:
    """out = rows @ table + bias, or + beta · out, into memory that is there."""
    if bias is None:
        out.addmm_(rows, table, beta=beta)
    else:
        out.copy_(bias)
        out.addmm_(rows, table)
