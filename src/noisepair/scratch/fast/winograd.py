"""Winograd's F(4×4, 3×3): wide 3×3 convolutions with a quarter of the products.

A 4×4 tile of the output depends on a 6×6 tile d of the input. With matrices B, G, A of small whole
numbers and fractions (Lavin & Gray 2016, section 4.2),

    y = Aᵀ [ Σ_C (G w Gᵀ) ⊙ (Bᵀ d B) ] A        ⊙: 36 products in place of 144

All tiles at once, the middle is 36 matrix products (tiles × C) @ (C × O). Backward transposes each
factor, and d_W needs no 3×3 windows: d_W = Gᵀ [ (Bᵀ d B)ᵀ @ (A d_y Aᵀ) ] G; d_x is the convolution
of d_out with the turned kernel. The transforms cost a fixed amount for each channel and the
products grow with C·O, so it pays from 48 planes on. In float32 the largest error grows from about
1e-6 to 1e-5 of the largest value; `use("reference")` does without.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..window import Window
from .memory import buffer, framed, fresh

LEAST = 48  # planes on both sides from which it is the faster one
PIECE = 3 * 2**20  # bytes of one transformed piece

B = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
G = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
A = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)

Planes = Float[Tensor, "T T N"]  # a tile's rows and columns, then all tiles and planes


def fits(weight: Tensor, window: Window, size: tuple[int, ...]) -> bool:
    """3×3, stride 1, a border of one pixel, sizes that 4×4 tiles fill, and enough planes."""
    usual = Window((3, 3), (1, 1), (1, 1), (1, 1))
    tiled = not any(n % 4 for n in size)
    return (
        window == usual and tiled and min(weight.shape[:2]) >= LEAST and weight.is_floating_point()
    )


def conv(
    x: Float[Tensor, "B C H W"],
    weight: Float[Tensor, "O C 3 3"],
    bias: Float[Tensor, "O"] | None,
    keep: bool,
) -> tuple[Float[Tensor, "B O H W"], Tensor | None]:
    """The convolution, and the transformed tiles for backward."""
    planes_out, planes_in = weight.shape[:2]
    size = (x.shape[2], x.shape[3])
    kernel = both(matrix(G, x), weight.permute(2, 3, 1, 0).reshape(3, 3, -1), "kernel")
    table = kernel.reshape(36, planes_in, planes_out)
    out = fresh((len(x), *size, planes_out), x)
    tiles = size[0] * size[1] // 16
    kept = fresh((36, len(x) * tiles, planes_in), x) if keep else None
    for piece in pieces(len(x), tiles * max(planes_in, planes_out), x):
        part = slice(piece.start * tiles, piece.stop * tiles)
        known = transformed(x[piece], None if kept is None else kept[:, part])
        many = known.shape[1]
        sums = buffer("sums", 36 * many * planes_out, x).view(36, many, planes_out)
        sums.baddbmm_(known, table, beta=0)
        made = both(matrix(A, x), sums.view(6, 6, -1), "made")
        laid_out(made, out[piece])
        if bias is not None:
            out[piece].add_(bias)
    return out.permute(0, 3, 1, 2), kept


def conv_backward(
    d_out: Float[Tensor, "B O H W"],
    x: Float[Tensor, "B C H W"],
    kept: Tensor | None,
    weight: Float[Tensor, "O C 3 3"],
    first: bool,
) -> tuple[Float[Tensor, "B C H W"] | None, Float[Tensor, "O C 3 3"]]:
    planes_out, planes_in = weight.shape[:2]
    assert kept is not None, "forward keeps them where backward may come"
    tiles = x.shape[2] * x.shape[3] // 16
    d_table = x.new_zeros(36, planes_in, planes_out)
    upright = matrix(A, x).T
    for piece in pieces(len(x), tiles * max(planes_in, planes_out), x):
        cut = d_out[piece].permute(0, 2, 3, 1).unflatten(2, (-1, 4)).unflatten(1, (-1, 4))
        cut = cut.permute(2, 4, 0, 1, 3, 5)  # (4, 4, b, H/4, W/4, O)
        flat = buffer("cut", cut.numel(), x).view(cut.shape)
        flat.copy_(cut)
        d_sums = both(upright, flat.view(4, 4, -1), "d_sums").view(36, -1, planes_out)
        known = kept[:, piece.start * tiles : piece.stop * tiles]
        d_table.baddbmm_(known.transpose(1, 2), d_sums)
    d_weight = both(matrix(G, x).T, d_table.view(6, 6, -1), "d_kernel")
    d_weight = d_weight.reshape(3, 3, planes_in, planes_out).permute(3, 2, 0, 1).clone()
    if first:
        return None, d_weight
    turned = weight.flip(2, 3).transpose(0, 1)
    return conv(d_out, turned, None, keep=False)[0], d_weight


def transformed(
    x: Float[Tensor, "b C H W"], into: Float[Tensor, "36 n C"] | None
) -> Float[Tensor, "36 n C"]:
    """Bᵀ d B of all 6×6 tiles, which overlap by two pixels; into memory that is kept, or not."""
    frame = framed(x, (1, 1), (1, 1))
    many, rows, columns, planes = frame.shape
    whole, row, pixel, _ = frame.stride()
    shape = (6, 6, many, (rows - 2) // 4, (columns - 2) // 4, planes)
    tiles = buffer("tiles", 36 * many * shape[3] * shape[4] * planes, x).view(shape)
    tiles.copy_(frame.as_strided(shape, (row, pixel, whole, 4 * row, 4 * pixel, 1)))
    if into is None:
        return both(matrix(B, x), tiles.view(6, 6, -1), "known").view(36, -1, planes)
    both(matrix(B, x), tiles.view(6, 6, -1), "known", into.unflatten(0, (6, 6)).flatten(2))
    return into


def both(
    left: Float[Tensor, "S T"],
    tiles: Planes,
    name: str,
    out: Float[Tensor, "S S N"] | None = None,
) -> Float[Tensor, "S S N"]:
    """left @ tile @ leftᵀ for all tiles."""
    size_out, size_in = left.shape
    numbers = tiles.shape[2]
    half = buffer(f"{name} rows", size_out * size_in * numbers, tiles)
    half = half.view(size_out, size_in * numbers)
    half.addmm_(left, tiles.reshape(size_in, -1), beta=0)
    if out is None:
        out = buffer(name, size_out * size_out * numbers, tiles).view(size_out, size_out, numbers)
    half = half.view(size_out, size_in, numbers)
    return out.baddbmm_(left.expand(size_out, -1, -1), half, beta=0)


def laid_out(made: Planes, out: Float[Tensor, "b H W O"]) -> None:
    """4×4 tiles as the pixels of pictures."""
    many, rows, columns, planes = out.shape
    tiles = made.view(4, 4, many, rows // 4, columns // 4, planes)
    out.view(many, rows // 4, 4, columns // 4, 4, planes).copy_(tiles.permute(2, 3, 0, 4, 1, 5))


def matrix(numbers: tuple[Any, ...], like: Tensor) -> Float[Tensor, "S T"]:
    return like.new_tensor(numbers)


def pieces(many: int, numbers: int, like: Tensor) -> list[slice]:
    """A batch in slices of PIECE bytes once transformed, 36 numbers for each tile and plane."""
    step = max(1, min(many, PIECE // (36 * numbers * like.element_size())))
    return [slice(start, min(start + step, many)) for start in range(0, many, step)]
