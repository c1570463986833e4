"""Modules made of modules: the chain rule for the three ways in which layers meet.

    one after the other    y = g(f(x))           d_x = Jfᵀ (Jgᵀ d_y)
    side by side           y = (f(x), g(x))      d_x = Jfᵀ d_y₁ + Jgᵀ d_y₂
    x added                y = x ± f(x)          d_x = d_y ± Jfᵀ d_y

Where a value is used twice, its gradient is the sum of both uses; where channels are joined, the
gradient is cut at the same place. With these three a U-Net needs no graph: a level holds the
levels below it, and passes gradients back the way the values came.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor, cat

from ..errors import InputError
from .conv import Conv2d
from .module import Module, count
from .upsampling import Joined

Pictures = Float[Tensor, "B C H W"]


class Sequential(Module):
    """One module after the other; parts are named 0, 1, 2, … as torch names them."""

    def __init__(self, *modules: Any):
        if not modules:
            raise InputError("Sequential takes one module or more, and got none.")
        for number, module in enumerate(modules):
            part_of("Sequential", number, module)
        self.chain = list(modules)

    def forward(self, x: Tensor) -> Tensor:
        for module in self.chain:
            x = module.forward(x)
        return x

    def backward(self, d_out: Tensor) -> Tensor | None:
        d_x: Tensor | None = d_out
        for module in reversed(self.chain):
            d_x = module.backward(d_x)
        return d_x

    def parts(self) -> Iterator[tuple[str, Module]]:
        for number, module in enumerate(self.chain):
            yield str(number), module

    def __len__(self) -> int:
        return len(self.chain)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.chain)

    def __getitem__(self, number: int) -> Module:
        return self.chain[number]

    def settings(self) -> str:
        return ", ".join(str(module) for module in self.chain)


class Residual(Module):
    """x + inner(x) (He et al. 2016), or x − inner(x): a network that predicts the noise."""

    def __init__(self, inner: Any, subtract: bool = False):
        part_of("Residual", 0, inner)
        self.inner, self.subtract = inner, subtract

    def forward(self, x: Tensor) -> Pictures:
        change = self.inner.forward(spared(self.inner, x))
        if change.shape != x.shape:
            raise InputError(
                f"Residual: {self.inner} makes {tuple(change.shape)} of {tuple(x.shape)}, and only"
                " the same shape can be added."
            )
        return x - change if self.subtract else x + change

    def backward(self, d_out: Pictures) -> Pictures | None:
        # A copy: the last layer inside may work in place, and d_out is needed after it.
        d_x = self.inner.backward(-d_out if self.subtract else d_out.clone())
        return None if d_x is None else d_out + d_x

    def settings(self) -> str:
        return f"{self.inner}, subtract=True" if self.subtract else f"{self.inner}"


class Concat(Module):
    """The outputs of modules that see the same input, their channels one after the other."""

    def __init__(self, *branches: Any):
        if not branches:
            raise InputError("Concat takes one module or more, and got none.")
        for number, branch in enumerate(branches):
            part_of("Concat", number, branch)
        self.branches = list(branches)

    def forward(self, x: Tensor) -> Pictures:
        outs = [branch.forward(spared(branch, x)) for branch in self.branches]
        sizes = {tuple(out.shape[2:]) for out in outs}
        if len(sizes) > 1:
            raise InputError(
                f"Concat: its branches make pictures of {' and '.join(map(str, sorted(sizes)))}"
                " pixels, and only the same size can be joined."
            )
        return self.save(cat(outs, 1), [out.shape[1] for out in outs])

    def backward(self, d_out: Float[Tensor, "B O P Q"]) -> Pictures:
        (widths,) = self.recall(d_out)
        parts = zip(self.branches, d_out.split(widths, 1), strict=True)
        first, *others = [branch.backward(part) for branch, part in parts]
        return sum(others, start=first)

    def settings(self) -> str:
        return ", ".join(str(branch) for branch in self.branches)


class UNetLevel(Module):
    """One level of a U-Net (Ronneberger et al. 2015, figure 1), and in it all levels below.

        h = encode(x)        low = inner(pool(h))        out = decode(join(low, h))

    `join` (see `Joined`) takes the low picture and the skip to one at full size. The skip is what
    leaves `encode` or, with `entering`, what enters it (Lehtinen et al. 2018, appendix A.1).
    """

    def __init__(
        self,
        encode: Module,
        pool: Module,
        inner: Module,
        join: Joined,
        decode: Module,
        entering: bool = False,
    ):
        self.encode, self.pool, self.inner = encode, pool, inner
        self.join, self.decode, self.entering = join, decode, entering

    def forward(self, x: Tensor) -> Float[Tensor, "B O H W"]:
        h = self.encode.forward(spared(self.encode, x) if self.entering else x)
        low = self.inner.forward(self.pool.forward(h))
        return self.decode.forward(self.join.forward(low, x if self.entering else h))

    def backward(self, d_out: Float[Tensor, "B O H W"]) -> Pictures | None:
        d_low, d_skip = self.join.backward(self.decode.backward(d_out))
        d_h = self.pool.backward(self.inner.backward(d_low))
        if not self.entering:
            return self.encode.backward(d_h + d_skip)
        d_x = self.encode.backward(d_h)
        return None if d_x is None else d_x + d_skip


class Padded(Module):
    """`inner` of a picture whose last row and column are repeated up to a multiple of a size.

    What is added is cut off again. Repeating rows is linear, so the gradient of the last row is the
    sum of those of its copies.
    """

    def __init__(self, inner: Module, multiple: int):
        self.inner, self.multiple = inner, count("Padded", "multiple", multiple)

    def forward(self, x: Tensor) -> Float[Tensor, "B O H W"]:
        self.refuse(x)
        height, width = x.shape[2:]
        rows, columns = -height % self.multiple, -width % self.multiple
        if rows:
            x = cat((x, x[:, :, -1:].expand(-1, -1, rows, -1)), 2)
        if columns:
            x = cat((x, x[:, :, :, -1:].expand(-1, -1, -1, columns)), 3)
        out = self.inner.forward(x)
        if out.shape[2:] != x.shape[2:]:
            raise InputError(
                f"Padded: {self.inner} makes {tuple(out.shape[2:])} of {tuple(x.shape[2:])} pixels,"
                " and what is added can be cut off the same size only."
            )
        return self.save(out[:, :, :height, :width], out.shape)

    def backward(self, d_out: Float[Tensor, "B O H W"]) -> Pictures | None:
        (shape,) = self.recall(d_out)
        height, width = d_out.shape[2:]
        if d_out.shape != shape:
            whole = d_out.new_zeros(shape)
            whole[:, :, :height, :width] = d_out
            d_out = whole
        d_x: Pictures | None = self.inner.backward(d_out)
        if d_x is None or d_x.shape[2:] == (height, width):
            return d_x
        d_x[:, :, height - 1] += d_x[:, :, height:].sum(2)
        d_x[:, :, :, width - 1] += d_x[:, :, :, width:].sum(3)
        return d_x[:, :, :height, :width]

    def settings(self) -> str:
        return f"{self.inner}, {self.multiple}"


class Named(Module):
    """A network whose layers have other names: those that a torch network gives to the same."""

    def __init__(self, inner: Module, names: Mapping[str, Module]):
        self.inner, self.names = inner, dict(names)

    def forward(self, x: Tensor) -> Pictures:
        return self.inner.forward(x)

    def backward(self, d_out: Pictures) -> Pictures | None:
        d_x: Pictures | None = self.inner.backward(d_out)
        return d_x

    def modules(self, name: str = "") -> Iterator[tuple[str, Module]]:
        """The named ones in the order of their names, then all others."""
        yield name, self
        known = [one for name, module in self.names.items() for one in module.modules(name)]
        yield from known
        named = {id(module) for _, module in known}
        others = self.inner.modules("inner")
        yield from ((other, module) for other, module in others if id(module) not in named)

    def settings(self) -> str:
        return f"{self.inner}"


def without_first_gradient(model: Module) -> None:
    """Let the layers that see the data itself skip the gradient that nobody asks for."""
    layer: Module | None = model
    while isinstance(layer, Sequential | UNetLevel | Residual | Padded | Named):
        if isinstance(layer, UNetLevel) and layer.entering:
            return  # the data goes on to a join, whose gradient is asked for
        layer = entry(layer)
    if isinstance(layer, Conv2d):
        layer.first = True


def part_of(owner: str, number: int, module: Any) -> None:
    """Say no to what is not one of ours."""
    if not isinstance(module, Module):
        raise InputError(
            f"{owner} takes modules of noisepair.scratch, and number {number} is a"
            f" {type(module).__name__}."
        )


def entry(module: Module) -> Module:
    """What sees the input of a module of modules."""
    if isinstance(module, Sequential):
        return module.chain[0]
    if isinstance(module, UNetLevel):
        return module.encode
    return module.inner if isinstance(module, Residual | Padded | Named) else module


def spared(module: Module, x: Pictures) -> Pictures:
    """x, or a copy where the first layer would work in place on what is needed once more."""
    layer = module
    while entry(layer) is not layer:
        layer = entry(layer)
    return x.clone() if getattr(layer, "inplace", False) else x
