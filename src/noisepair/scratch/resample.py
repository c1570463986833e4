"""Larger and smaller pictures: nearest upsampling, maximum and average pooling.

Nearest upsampling by α is a product with two matrices, as report 003 writes it (its eq. 1): with
E_N the N×N identity whose rows are repeated α times,

    up(X) = E_M X E_Nᵀ            rows of X: M, columns: N

The adjoint of X ↦ A X B is D ↦ Aᵀ D Bᵀ, so the gradient is E_Mᵀ d_out E_N: the *sum* over each
α×α block. (The report divides by α², since E_Nᵀ E_N = α I and that undoes the upsampling. To undo
is not to be adjoint: its gradient is α² too small a layer, and two layers lose a factor of 16.)

Below no matrix is made: repeating is a view of the picture in which a step has the length 0.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import fold, unfold

from ..errors import InputError
from .fast import fresh
from .module import Module, Pair, pair
from .window import Window

Pictures = Float[Tensor, "B C H W"]


class NearestUpsampling(Module):
    """Every pixel becomes `scale_factor` × `scale_factor` of them."""

    def __init__(self, scale_factor: int | Pair = 2):
        self.scale_factor = pair("NearestUpsampling", "scale_factor", scale_factor, 1)

    def forward(self, x: Tensor) -> Float[Tensor, "B C P Q"]:
        self.refuse(x)
        rows, columns = self.scale_factor
        repeated = x[:, :, :, None, :, None].expand(-1, -1, -1, rows, -1, columns)
        out = repeated.reshape(*x.shape[:2], rows * x.shape[2], columns * x.shape[3])
        return self.save(out if rows * columns > 1 else out.clone())

    def backward(self, d_out: Float[Tensor, "B C P Q"]) -> Pictures:
        self.recall(d_out)
        return blocks(d_out, self.scale_factor).sum((3, 5))

    def settings(self) -> str:
        rows, columns = self.scale_factor
        return f"{rows}" if rows == columns else f"{self.scale_factor}"


class Pool(Module):
    """What both poolings share: where they look. By default their windows tile the picture."""

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0
    ):
        name = type(self).__name__
        step = kernel_size if stride is None else stride
        self.window = Window.of(name, kernel_size, step, padding)
        sizes = zip(self.window.padding, self.window.kernel_size, strict=True)
        if any(2 * border > kernel for border, kernel in sizes):
            raise InputError(
                f"{name}: padding={padding!r} is not possible. It takes half of the kernel's size"
                f" {kernel_size!r} at most."
            )

    def tiles(self, x: Pictures) -> bool:
        """Whether each pixel is in one window, and views will do."""
        kernel, stride, padding, _ = self.window
        whole = all(n % k == 0 for n, k in zip(x.shape[2:], kernel, strict=True))
        return self.fast and stride == kernel and not any(padding) and whole

    def columns(self, x: Pictures, border: float) -> Float[Tensor, "B C K PQ"]:
        """The windows, one a column; beyond the picture stands `border`."""
        rows, columns = self.window.padding
        if rows or columns:
            height, width = x.shape[2:]
            framed = x.new_full((*x.shape[:2], height + 2 * rows, width + 2 * columns), border)
            framed[:, :, rows : rows + height, columns : columns + width] = x
            x = framed
        kernel, stride = self.window[:2]
        return unfold(x, kernel, stride=stride).unflatten(1, (x.shape[1], -1))

    def folded(self, d_cols: Float[Tensor, "B C K PQ"], size: Pair) -> Pictures:
        return fold(d_cols.flatten(1, 2), size, **self.window._asdict())

    def settings(self) -> str:
        return self.window.text()


class MaxPool2d(Pool):
    """The largest value of each window; its gradient goes to that pixel, of equals to the first."""

    def forward(self, x: Tensor) -> Float[Tensor, "B C P Q"]:
        self.refuse(x)
        size = self.window.size_out(x.shape[2:], self)
        if self.tiles(x):
            return self.save(largest(x, self.window.kernel_size), x, None)
        out, where = self.columns(x, float("-inf")).max(2)
        return self.save(out.unflatten(2, size), x, where)

    def backward(self, d_out: Float[Tensor, "B C P Q"]) -> Pictures:
        x, kept = self.recall(d_out)
        if self.tiles(x):
            return self.to_the_first(d_out, x)
        taps = self.window.kernel_size[0] * self.window.kernel_size[1]
        flat = d_out.flatten(2)[:, :, None]  # (B, C, 1, P·Q)
        d_cols = d_out.new_zeros(*flat.shape[:2], taps, flat.shape[3])
        d_cols.scatter_(2, kept[:, :, None], flat)
        return self.folded(d_cols, x.shape[2:])

    def to_the_first(self, d_out: Tensor, x: Pictures) -> Pictures:
        """Tap by tap: who is as large as the window's largest, and was not preceded by another.

        The largest are looked for again: the layer that follows may have worked in place on them.
        """
        out = largest(x, self.window.kernel_size)
        many, planes, height, width = x.shape
        d_x = pixels_last((many, height, width, planes), x)
        rest = d_out
        places = zip(
            taps(x, self.window.kernel_size), taps(d_x, self.window.kernel_size), strict=True
        )
        for value, d_value in places:
            here = ((value == out) | ((value != value) & (out != out))).to(x.dtype)  # or both NaN
            d_value.copy_(here).mul_(rest)
            rest = rest * (1 - here)
        return d_x


class AvgPool2d(Pool):
    """The mean of each window, zeros of the padding counted in; each pixel takes its share back."""

    def forward(self, x: Tensor) -> Float[Tensor, "B C P Q"]:
        self.refuse(x)
        size = self.window.size_out(x.shape[2:], self)
        if self.tiles(x):
            rows, columns = self.window.kernel_size
            out = pixels_last((len(x), *size, x.shape[1]), x).zero_()
            for tap in taps(x, self.window.kernel_size):
                out.add_(tap, alpha=1 / (rows * columns))
            return self.save(out, x.shape[2:], True)
        out = self.columns(x, 0.0).mean(2)
        return self.save(out.unflatten(2, size), x.shape[2:], False)

    def backward(self, d_out: Float[Tensor, "B C P Q"]) -> Pictures:
        size, tiled = self.recall(d_out)
        rows, columns = self.window.kernel_size
        share = d_out / (rows * columns)
        if tiled:
            d_x = pixels_last((len(d_out), *size, d_out.shape[1]), d_out)
            for d_tap in taps(d_x, self.window.kernel_size):
                d_tap.copy_(share)
            return d_x
        d_cols = share.flatten(2)[:, :, None].expand(-1, -1, rows * columns, -1)
        return self.folded(d_cols, size)


def taps(x: Pictures, size: Pair) -> list[Float[Tensor, "B C P Q"]]:
    """The first pixels of all blocks of `size`, then the second, …; no copy."""
    rows, columns = size
    return [x[:, :, row::rows, column::columns] for row in range(rows) for column in range(columns)]


def largest(x: Pictures, size: Pair) -> Float[Tensor, "B C P Q"]:
    """Of each block."""
    first, *others = taps(x, size)
    out = first.clone()
    for other in others:
        out = out.maximum(other)
    return out


def pixels_last(shape: tuple[int, ...], like: Tensor) -> Pictures:
    """New pictures (B, C, H, W) in memory as the fast path has them, whose order `shape` has."""
    return fresh(shape, like).permute(0, 3, 1, 2)


def blocks(x: Pictures, size: Pair) -> Float[Tensor, "B C P h Q w"]:
    """The picture seen as blocks of `size`; no copy."""
    return x.unflatten(3, (-1, size[1])).unflatten(2, (-1, size[0]))
