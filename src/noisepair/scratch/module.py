"""What every layer is: something that maps forward, and carries gradients backward.

For a layer y = f(x; w) and a loss L, write d_thing for ∂L/∂thing, which has the shape of thing.

    forward    x ↦ y, and remembers what backward will need
    backward   d_y ↦ d_x = Jₓᵀ d_y, and adds J_wᵀ d_y to d_w

Jₓᵀ is the adjoint: ⟨Jₓ v, u⟩ = ⟨v, Jₓᵀ u⟩ for all v and u. That one line is what backpropagation is
(Rumelhart et al. 1986), and what `check` tests. Gradients of parameters add up until `zero_grad`;
what forward remembers, backward takes, once.
"""

from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any, TypeVar

from torch import Tensor, empty, inference_mode, no_grad
from torch import device as Device
from torch import dtype as Dtype

from ..errors import InputError

Pair = tuple[int, int]  # along rows, along columns
Own = TypeVar("Own", bound="Module")


class Module:
    """A layer, or layers put together.

    A layer names its parameters in `weights`: `("weight",)` says that the tensor `weight` has its
    gradient in `d_weight`. Modules that are attributes, or in a list, are its parts. `fast`: which
    of two equal implementations runs, where there are two. `training`: whether forward remembers.
    Nothing of it is recorded by autograd, whether that is on or off.
    """

    weights: tuple[str, ...] = ()
    fast = True
    training = True
    transposed = False  # whether `weight` has the planes in first
    memory: tuple[Any, ...] | None = None  # the shape of the output, and what backward needs

    def __init_subclass__(cls) -> None:
        for name in ("forward", "backward"):
            if name in vars(cls):
                setattr(cls, name, no_grad()(vars(cls)[name]))

    def forward(self, *inputs: Any, **settings: Any) -> Any:
        raise NotImplementedError

    def backward(self, *gradients: Any, **settings: Any) -> Any:
        raise NotImplementedError

    def __call__(self, *inputs: Tensor) -> Tensor:
        out: Tensor = self.forward(*inputs)
        return out

    # — what forward leaves for backward —

    def save(self, out: Tensor, *needed: Any) -> Tensor:
        """Remember `needed`, and the shape that the gradient of `out` must have; return `out`."""
        self.memory = (tuple(out.shape), out.dtype, *needed) if self.training else None
        return out

    def recall(self, d_out: Tensor) -> tuple[Any, ...]:
        """What forward saved, which is then gone."""
        if self.memory is None:
            why = "" if self.training else ", in train() mode: eval() remembers nothing"
            raise InputError(
                f"{self}: backward() needs a forward() of its own before it{why}. Call forward,"
                " then backward once; in a network, give each place a layer of its own."
            )
        shape, dtype, *needed = self.memory
        if not isinstance(d_out, Tensor) or d_out.dtype != dtype:
            came = d_out.dtype if isinstance(d_out, Tensor) else f"a {type(d_out).__name__}"
            raise InputError(f"{self}: the gradient is {came}, and must be a tensor of {dtype}.")
        if tuple(d_out.shape) != shape:
            raise InputError(
                f"{self}: the gradient has the shape {tuple(d_out.shape)}, and the output had"
                f" {shape}. Give one of that shape."
            )
        self.memory = None
        return tuple(needed)

    def refuse(self, x: Tensor, channels: int | None = None, like: Tensor | None = None) -> None:
        """Say no to what is no batch of pictures that this layer, of weights `like`, can take."""
        came: object = tuple(x.shape) if isinstance(x, Tensor) else f"a {type(x).__name__}"
        if not isinstance(x, Tensor):
            takes = "a tensor of pictures"
        elif x.ndim != 4:
            takes = "(batch, channels, height, width)"
        elif not x.is_floating_point():
            takes, came = "floating-point values: try x.float() / 255", x.dtype
        elif channels is not None and x.shape[1] != channels:
            takes, came = f"{channels} channels", f"{x.shape[1]} in {tuple(x.shape)}"
        elif not x.numel():
            takes = "one picture or more, with pixels"
        elif like is not None and (x.dtype, x.device) != (like.dtype, like.device):
            takes, came = (
                f"{like.dtype} on {like.device} as its weights are",
                f"{x.dtype} on {x.device}",
            )
        else:
            return
        raise InputError(f"{self} takes {takes}, and got {came}.")

    # — parts and parameters —

    def parts(self) -> Iterator[tuple[str, "Module"]]:
        """Modules that this one is made of, by name: `up`, or `levels.0` in a list."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list):
                numbered = enumerate(value)
                yield from ((f"{name}.{i}", one) for i, one in numbered if isinstance(one, Module))

    def modules(self, name: str = "") -> Iterator[tuple[str, "Module"]]:
        """This module and all in it, with dotted names; this one's is empty."""
        yield name, self
        for part, module in self.parts():
            yield from module.modules(f"{name}.{part}" if name else part)

    def parameters(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Name, parameter and gradient, live: to change one is to change the module."""
        for name, module in self.modules():
            for weight in module.weights:
                value = getattr(module, weight)
                if value is not None:
                    dotted = f"{name}.{weight}" if name else weight
                    yield dotted, value, getattr(module, f"d_{weight}")

    def param(self) -> list[tuple[Tensor, Tensor]]:
        """Parameters with their gradients; [] for a layer that has none."""
        return [(value, gradient) for _, value, gradient in self.parameters()]

    def zero_grad(self) -> None:
        """Set all gradients to zero, those of the parts included."""
        for _, gradient in self.param():
            gradient.zero_()

    def state_dict(self) -> dict[str, Tensor]:
        """The parameters by name, as torch names them; they are live."""
        return {name: value for name, value, _ in self.parameters()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copy values in. Raises InputError where names or shapes are not this module's."""
        mine = self.state_dict()
        for name in sorted(mine.keys() ^ state.keys()):
            lacks = "lacks" if name in mine else "has"
            raise InputError(
                f"The state {lacks} {name}, and {self} has {', '.join(mine) or 'none'}."
            )
        for name, value in mine.items():
            if not isinstance(state[name], Tensor) or not state[name].is_floating_point():
                raise InputError(
                    f"{name} is a {type(state[name]).__name__} in the state, and must be a tensor"
                    " of floating-point values."
                )
            if state[name].shape != value.shape:
                raise InputError(
                    f"{name} has the shape {tuple(state[name].shape)} in the state, and"
                    f" {tuple(value.shape)} in {self}."
                )
        for name, value in mine.items():
            value.copy_(state[name])

    # — modes —

    def train(self: Own, mode: bool = True) -> Own:
        """Remember in forward what backward needs, or (`eval`) nothing, which saves memory."""
        return self.set("training", mode)

    def eval(self: Own) -> Own:
        return self.train(False)

    def use(self: Own, path: str) -> Own:
        """`fast`, or `reference`: the same values from the shortest code."""
        if path not in ("fast", "reference"):
            raise InputError(f"Unknown path {path!r}. Available: fast, reference.")
        return self.set("fast", path == "fast")

    def set(self: Own, name: str, value: bool) -> Own:
        for _, module in self.modules():
            setattr(module, name, value)
            module.memory = None
        return self

    def to(self: Own, place: Device | str | None = None, dtype: Dtype | None = None) -> Own:
        """Move parameters and gradients to a device or another type of float; they stay live."""
        if dtype is not None and not dtype.is_floating_point:
            raise InputError(f"{self} cannot compute in {dtype}. Give a type of float.")
        for _, module in self.modules():
            module.memory = None
        for pair in self.param():
            for tensor in pair:
                tensor.data = tensor.to(device=place or tensor.device, dtype=dtype)
        return self

    def double(self: Own) -> Own:
        from torch import float64

        return self.to(dtype=float64)

    # — what it is called —

    def settings(self) -> str:
        """What stands in the brackets of its name."""
        return ""

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.settings()})"

    __repr__ = __str__


def whole(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def count(owner: str, name: str, value: int) -> int:
    """A number of channels. Raises InputError below 1, and for what is not whole."""
    if not whole(value, 1):
        raise InputError(
            f"{owner}: {name}={value!r} is not possible. It takes a whole number from 1."
        )
    return int(value)


def learned(
    owner: str, shape: tuple[int, ...], channels: int, bias: bool, like: dict[str, Any]
) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
    """weight, bias, d_weight and d_bias of a layer; `like`: device and dtype."""
    if type(bias) is not bool:
        raise InputError(
            f"{owner}: bias={bias!r} is not possible: True or False; it has no groups."
        )
    if not like["dtype"].is_floating_point:
        raise InputError(f"{owner}: dtype={like['dtype']} is not possible. Give a type of float.")
    with inference_mode(False):  # else they could not be changed outside of it
        weight = empty(shape, **like)
        first, second = (weight.new_zeros(channels) if bias else None for _ in range(2))
        return weight, first, weight.new_zeros(shape), second


def pair(owner: str, name: str, value: int | Pair, least: int) -> Pair:
    """A size for both axes. Raises InputError below `least`, and for what is not whole."""
    both = value if isinstance(value, tuple) else (value, value)
    if len(both) != 2 or not all(whole(one, least) for one in both):
        raise InputError(
            f"{owner}: {name}={value!r} is not possible. It takes a whole number from {least} on,"
            " or a pair of them (rows, columns)."
        )
    return int(both[0]), int(both[1])
