"""A transposed convolution without adding up: every output pixel gathers what reaches it.

Along one axis, with stride s, padding P, gaps d and taps V,

    out[o] = Σ V[k] x[i]     over all i, k with   s·i + d·k = o + P.

Cut the output into blocks of s pixels, the first begun e pixels before the picture: o = s·q + a − e
with a phase a in 0 … s − 1. Then i = q + (a + P − e − d·k) / s where that is whole: each phase
reads a fixed few pixels around q. Hence *one* product serves all phases,

    out blocks = windows(x) @ table        rows: blocks;   columns: (phase, phase, plane),

its table holding a tap where one belongs and 0 elsewhere; the blocks are then laid out as pixels.
e is chosen so that the table and the number of blocks are smallest. It serves as forward of
TransposeConv2d and Upsampling and as d_x of a strided Conv2d: for stride 2 and 3×3 taps, 2×2
windows in place of a fold that adds 9 times. Backward is a convolution, its windows shared.
"""

from functools import lru_cache
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from ..module import Pair
from ..window import Window
from .memory import buffer, columns_of, framed, fresh, pieces


class Axis(NamedTuple):
    """How one axis is cut; `taps`: phase, tap and the place in the window of what it meets."""

    shift: int  # e
    blocks: int
    first: int  # the window of block q begins at the input q + first
    span: int  # and has that many pixels
    taps: tuple[tuple[int, int, int], ...]


@lru_cache(maxsize=256)
def cut(kernel: int, stride: int, padding: int, dilation: int, size: int) -> Axis:
    """The cut with the fewest products for `size` pixels out."""

    def begun(shift: int) -> Axis:
        met = [
            (phase, tap, (phase + padding - shift - dilation * tap) // stride)
            for phase in range(stride)
            for tap in range(kernel)
            if (phase + padding - shift - dilation * tap) % stride == 0
        ]
        first = min(place for _, _, place in met)
        span = max(place for _, _, place in met) - first + 1
        taps = tuple((phase, tap, place - first) for phase, tap, place in met)
        return Axis(shift, -(-(size + shift) // stride), first, span, taps)

    return min(map(begun, range(stride)), key=lambda axis: (axis.blocks * axis.span, axis.shift))


def cuts(window: Window, size: Pair) -> tuple[Axis, Axis]:
    """Both axes."""
    sizes = zip(*window, size, strict=True)
    rows, columns = (cut(k, step, p, gap, n) for k, step, p, gap, n in sizes)
    return rows, columns


def spread(
    x: Float[Tensor, "B C H W"],
    weight: Float[Tensor, "C O K L"],
    bias: Float[Tensor, "O"] | None,
    window: Window,
    size: Pair,
) -> Float[Tensor, "B O P Q"]:
    """The transposed convolution to `size` pixels."""
    rows, columns = cuts(window, size)
    (down, right), planes = window.stride, weight.shape[1]
    table = table_of(weight, rows, columns, window.stride)
    before = (-rows.first, -columns.first)
    after = tuple(
        axis.blocks - 1 + axis.first + axis.span - n
        for axis, n in zip((rows, columns), x.shape[2:], strict=True)
    )
    seen = Window((rows.span, columns.span))
    blocks = (rows.blocks, columns.blocks)
    out = fresh((len(x), *size, planes), x)
    biases = None if bias is None else bias.repeat(down * right)
    per_picture = blocks[0] * blocks[1] * max(table.shape)
    for piece in pieces(len(x), per_picture, x):
        frame = fitted(x[piece], before, (after[0], after[1]))
        windows = columns_of(frame, seen, blocks)
        made = buffer("blocks", len(windows) * table.shape[1], x).view(-1, table.shape[1])
        if biases is None:
            made.addmm_(windows, table, beta=0)
        else:
            made.copy_(biases)
            made.addmm_(windows, table)
        phases = made.view(-1, *blocks, down, right * planes).transpose(2, 3)
        whole = (blocks[0] * down, blocks[1] * right)
        if whole == size:
            out[piece].view(phases.shape).copy_(phases)
            continue
        pixels = buffer("pixels", made.numel(), x).view(phases.shape)
        pixels.copy_(phases)
        top, left = rows.shift, columns.shift
        out[piece] = pixels.view(-1, *whole, planes)[:, top : top + size[0], left : left + size[1]]
    return out.permute(0, 3, 1, 2)


def spread_backward(
    d_out: Float[Tensor, "B O P Q"],
    x: Float[Tensor, "B C H W"],
    weight: Float[Tensor, "C O K L"],
    window: Window,
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "C O K L"]]:
    """Both gradients from the same windows of d_out."""
    planes_in, planes_out, *kernel = weight.shape
    size = (x.shape[2], x.shape[3])
    table = weight.permute(2, 3, 1, 0).reshape(-1, planes_in)  # (K·L·O, C)
    d_x = fresh((len(x), *size, planes_in), x)
    d_table = x.new_zeros(planes_in, len(table))
    flat = x.permute(0, 2, 3, 1)
    for piece in pieces(len(x), size[0] * size[1] * len(table), x):
        windows = columns_of(d_out[piece], window, size)
        d_table.addmm_(flat[piece].reshape(-1, planes_in).T, windows)
        d_x[piece].view(-1, planes_in).addmm_(windows, table, beta=0)
    d_weight = d_table.view(planes_in, *kernel, planes_out).permute(0, 3, 1, 2)
    return d_x.permute(0, 3, 1, 2), d_weight


def table_of(
    weight: Float[Tensor, "C O K L"], rows: Axis, columns: Axis, stride: Pair
) -> Float[Tensor, "N M"]:
    """(window pixels · C, phases · O): each tap where its phase meets it."""
    planes_in, planes_out = weight.shape[:2]
    table = weight.new_zeros(rows.span, columns.span, planes_in, *stride, planes_out)
    taps = weight.permute(2, 3, 0, 1)
    for down, k, row in rows.taps:
        for right, one, column in columns.taps:
            table[row, column, :, down, right] = taps[k, one]
    return table.view(rows.span * columns.span * planes_in, -1)


def fitted(x: Float[Tensor, "B C H W"], before: Pair, after: Pair) -> Float[Tensor, "B C Y X"]:
    """Zeros added where the numbers are positive, rows and columns left out where negative."""
    top, left = (max(0, -n) for n in before)
    height, width = (n + min(0, more) for n, more in zip(x.shape[2:], after, strict=True))
    inner = x[:, :, top:height, left:width]
    rows, columns = (max(0, n) for n in before)
    more_rows, more_columns = (max(0, n) for n in after)
    return framed(inner, (rows, columns), (more_rows, more_columns)).permute(0, 3, 1, 2)
