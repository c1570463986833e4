"""A convolution to few planes, such as the three of a picture: a row of the product is a block.

A product with 3 columns leaves most of the machine idle. So T×U neighbouring outputs are made by
one row: it holds the (T+K−1)×(U+L−1) pixels that they see together, and the table holds each tap
once for each of the T·U outputs, 0 elsewhere,

    out block = window @ table        table ((T+K−1)·(U+L−1)·C, T·U·O)

For 2×4 outputs of 3×3 taps these are 24 columns for each plane's 3, a third fewer values to gather
than 9 for each output, and 24/9 of the multiplications: still the faster one below `FEW` planes.
"""

from jaxtyping import Float
from torch import Tensor

from ..module import Pair
from ..window import Window
from .memory import buffer, columns_of, fresh, pieces

FEW = 8  # planes out, up to which a block is the faster one
BLOCK = (2, 4)


def fits(weight: Tensor, window: Window, size: Pair) -> bool:
    """Stride 1, no gaps, few planes, and sizes that whole blocks fill."""
    plain = window.stride == (1, 1) and window.dilation == (1, 1)
    whole = not any(n % side for n, side in zip(size, BLOCK, strict=True))
    return plain and whole and len(weight) <= FEW and weight[0].numel() > 9 * FEW


def conv(
    x: Float[Tensor, "B C H W"],
    weight: Float[Tensor, "O C K L"],
    bias: Float[Tensor, "O"] | None,
    window: Window,
    size: Pair,
) -> Float[Tensor, "B O P Q"]:
    planes, (down, right) = len(weight), BLOCK
    table = table_of(weight)
    rows, columns = window.kernel_size
    seen = Window((rows + down - 1, columns + right - 1), BLOCK, window.padding)
    blocks = (size[0] // down, size[1] // right)
    out = fresh((len(x), *size, planes), x)
    for piece in pieces(len(x), blocks[0] * blocks[1] * len(table), x):
        windows = columns_of(x[piece], seen, blocks)
        made = buffer("blocks", len(windows) * table.shape[1], x).view(-1, table.shape[1])
        made.addmm_(windows, table, beta=0)
        if bias is not None:
            made.add_(bias.repeat(down * right))
        lines = made.view(-1, *blocks, down, right * planes).transpose(2, 3)
        out[piece].view(lines.shape).copy_(lines)
    return out.permute(0, 3, 1, 2)


def table_of(weight: Float[Tensor, "O C K L"]) -> Float[Tensor, "N M"]:
    """Each tap where an output of the block has it."""
    planes_out, planes_in, rows, columns = weight.shape
    down, right = BLOCK
    seen = (rows + down - 1, columns + right - 1)
    table = weight.new_zeros(*seen, planes_in, down, right, planes_out)
    taps = weight.permute(2, 3, 1, 0)
    for row in range(down):
        for column in range(right):
            table[row : row + rows, column : column + columns, :, row, column] = taps
    return table.view(seen[0] * seen[1] * planes_in, -1)
