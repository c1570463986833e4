"""A copy of the module in float64, and how it is run: on new memory, for every question anew."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Generator, Tensor

from ...errors import InputError
from ..module import Module
from ._judged import Values


@contextmanager
def laboratory() -> Iterator[None]:
    """Gradients off, floats of 64 bits, a random state of its own; all put back afterwards."""
    floats = torch.get_default_dtype()
    with torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.set_default_dtype(torch.float64)  # for modules that make tensors as they run
        try:
            yield
        finally:
            torch.set_default_dtype(floats)


def prepared(module: Any, rng: Generator) -> Any:
    """A copy in float64 that remembers, with parameters off their kinks and gradients at zero."""
    try:
        copy = deepcopy(module)
    except (TypeError, RuntimeError) as error:
        raise InputError(
            f"check works on a copy, and {type(module).__name__} cannot be copied: {error}."
            " Give one that has not run yet."
        ) from error
    if isinstance(copy, Module):
        copy.train()
    in_float64(copy)
    for value, gradient in pairs(copy).values():
        value.copy_(jittered(value, rng))
        if gradient is not None:
            gradient.zero_()
    return copy


def in_float64(module: Any) -> None:
    """All tensors that are found, in place: views of one memory are views of one afterwards."""
    flat: dict[tuple[int, torch.dtype], Tensor] = {}
    for tensor in tensors([module, module.param()], set()):
        if tensor.is_floating_point() and tensor.dtype != torch.float64:
            memory = tensor.untyped_storage()
            key = (memory.data_ptr(), tensor.dtype)
            if key not in flat:
                flat[key] = tensor.detach().new_empty(0).set_(memory).double()
            place = (tensor.size(), tensor.stride(), tensor.storage_offset())
            tensor.data = flat[key].as_strided(*place)


def tensors(thing: Any, seen: set[int]) -> Iterator[Tensor]:
    """Those in lists, tables, and the attributes of whatever has a forward."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, list | tuple):
        for one in thing:
            yield from tensors(one, seen)
    elif isinstance(thing, Mapping):
        yield from tensors(list(thing.values()), seen)
    elif hasattr(thing, "forward") and not isinstance(thing, type):
        yield from tensors(getattr(thing, "__dict__", {}), seen)


def parts(module: Any) -> list[Any]:
    """Of one of ours with itself; of others itself alone."""
    return [part for _, part in module.modules()] if isinstance(module, Module) else [module]


def pairs(module: Any) -> dict[str, tuple[Tensor, Tensor | None]]:
    """What param() returns, by name. Raises InputError where that is not pairs of tensors."""
    found = list(module.param())
    for one in found:
        whole = isinstance(one, list | tuple) and len(one) == 2
        if not whole or not isinstance(one[0], Tensor) or not isinstance(one[1], Tensor | None):
            raise InputError(
                f"{type(module).__name__}: param() has {one!r}. It takes pairs of a parameter and"
                " its gradient, both tensors."
            )
    names = [f"parameter {number}" for number in range(len(found))]
    if isinstance(module, Module):
        ours = [name for name, _, _ in module.parameters()]
        names = ours if len(ours) == len(found) else names
    return {name: (value, gradient) for name, (value, gradient) in zip(names, found, strict=True)}


def d_(name: str) -> str:
    """The gradient of a thing by name: 0.weight, 0.d_weight."""
    where, dot, last = name.rpartition(".")
    return f"{where}{dot}d_{last}"


def gradients(module: Any) -> Values:
    """Of the parameters, as they stand."""
    return {
        d_(name): value.new_zeros(value.shape) if gradient is None else gradient.clone()
        for name, (value, gradient) in pairs(module).items()
    }


def size(x: Tensor) -> float:
    """Root of the mean square; 1 for what is zero everywhere."""
    return float(x.square().mean().sqrt()) or 1.0


def normal(like: Tensor, rng: Generator) -> Tensor:
    """N(0, 1). Drawn where the generator lives, so that a GPU sees what a CPU does."""
    return torch.randn(like.shape, generator=rng, dtype=torch.float64).to(like.device)


def jittered(x: Tensor, rng: Generator) -> Tensor:
    return x + size(x) / 10 * normal(x, rng)


def spaced(x: Tensor) -> Tensor:
    """The same values with gaps along every axis, and in the gaps what would be noticed."""
    wide = x.new_full([2 * n for n in x.shape], math.nan)[(slice(None, None, 2),) * x.ndim]
    return wide.copy_(x)


Lay = Callable[[Tensor], Tensor]


class Case:
    """A module that is copied for every question, where it is asked, and what it makes there."""

    def __init__(self, module: Any, inputs: tuple[Tensor, ...], rng: Generator):
        self.module, self.inputs, self.rng = module, inputs, rng
        self.names = names_of(module, len(inputs))
        self.out = self.forward(self.copy()).clone()
        self.mover = self.copy()  # runs forward only, and gets its parameters back
        self.movable = {name: value for name, (value, _) in pairs(self.mover).items()}
        self.still = {
            n for n, w in self.movable.items() if self.unmoved(n, size(w) * normal(w, rng))
        }

    def copy(self) -> Any:
        return deepcopy(self.module)

    def weights(self) -> Tensor:
        """u: how much each output counts; 1 where backward is not told."""
        told = not begins(self.module, self.out)
        return normal(self.out, self.rng) if told else torch.ones_like(self.out)

    def forward(self, module: Any, lay: Lay = Tensor.clone) -> Tensor:
        """Always on new memory: an activation may work in place."""
        out = module.forward(*(lay(x) for x in self.inputs))
        if not isinstance(out, Tensor):
            raise InputError(
                f"check: forward of {type(module).__name__} returns a {type(out).__name__}, and"
                " must return one tensor."
            )
        return out

    def run(self, module: Any, u: Tensor, lay: Lay = Tensor.clone) -> Values:
        """Forward and backward: the output, the gradients of the inputs, and those that add up."""
        values = {"out": self.forward(module, lay).clone()}
        given = backward(module, lay(u))
        for name, gradient in zip(self.names, given, strict=False):
            if gradient is not None:
                values[d_(name)] = gradient.clone()
        return values | gradients(module)

    def moved(self, name: str, by: Tensor) -> Tensor:
        """The output where one input or one parameter is another."""
        inputs = {n: x.clone() for n, x in zip(self.names, self.inputs, strict=True)}
        place = inputs[name] if name in inputs else self.movable[name]
        before = place.clone()
        place.add_(by)
        out = self.mover.forward(*inputs.values()).clone()
        place.copy_(before)
        return out

    def unmoved(self, name: str, by: Tensor) -> bool:
        return torch.equal(self.moved(name, by), self.out)


def names_of(module: Any, many: int) -> list[str]:
    """Of the inputs, as forward calls them; where it says *inputs, x or a number."""
    called = inspect.signature(module.forward).parameters.values()
    names = [one.name for one in called if one.kind is one.POSITIONAL_OR_KEYWORD][:many]
    if len(names) == many:
        return names
    return ["x"] if many == 1 else [f"input {number}" for number in range(many)]


def begins(module: Any, out: Tensor) -> bool:
    """Whether it is a loss of another house, whose backward takes no gradient; ours may."""
    return out.ndim == 0 and not isinstance(module, Module)


def backward(module: Any, u: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of the inputs."""
    given = module.backward() if begins(module, u) else module.backward(u)
    return tuple(given) if isinstance(given, list | tuple) else (given,)
