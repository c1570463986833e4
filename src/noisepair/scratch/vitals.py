"""What every layer does with one batch: forward, back, and one step of the optimizer, on a copy.

    signal      deviation within a channel, over pictures and pixels: what tells pictures apart
    spread      deviation of all values that a layer makes: what its activation sees
    saturated   share of a sigmoid's outputs within 1 % of 0 or 1, where its slope is below 0.01
    dead        share of a ReLU's channels that are 0 on the whole batch: they pass nothing back
    arriving    root mean square of the gradient of the layer's output
    gradient    norm of the gradient of its weight
    update      ‖step of the optimizer‖ / ‖weight‖

A layer here is what has a weight, together with the activation that follows it. Values are looked
at when they pass, for an activation in place writes over them.
"""

from collections.abc import Iterator
from copy import copy, deepcopy
from dataclasses import dataclass
from math import isfinite, prod, sqrt
from typing import Any

from torch import Generator, Tensor

from ..errors import InputError
from .activations import LeakyReLU, ReLU, Sigmoid
from .init import fans
from .module import Module
from .optim import Optimizer
from .upsampling import Joined, Upsampling

EDGE = 0.01  # from 0 or 1: there a sigmoid's slope, σ (1 − σ), is below 0.01
PICTURES = 2  # that slopes are measured on
STEP = 1e-6  # of a weight's size, for them
EPSILON = 2.0**-52  # of float64

Pair = tuple[Tensor, Tensor]  # noisy, target


@dataclass(frozen=True)
class Vitals:
    """One layer that learns, and the activation behind it; None where there is nothing to say."""

    name: str
    layer: str
    activation: str | None
    fan_in: float  # values that feed one output
    weight: float  # deviation of the weights
    signal: float
    spread: float
    saturated: float | None
    dead: float | None
    arriving: float
    gradient: float
    update: float | None

    @property
    def kaiming(self) -> float:
        """The deviation that keeps the mean square through a ReLU (He et al. 2015, eq. 10)."""
        return sqrt(2 / self.fan_in)


@dataclass(frozen=True)
class Slope:
    """Along two directions of one parameter: what backward says of the loss, and what it does."""

    name: str
    said: tuple[float, float]
    true: tuple[float, float]
    size: float  # of both, as a rule
    doubt: float  # of `true`, by rounding

    @property
    def wrong(self) -> bool:
        worst = max(abs(a - b) for a, b in zip(self.said, self.true, strict=True))
        return worst > 0.02 * self.size + 20 * self.doubt

    @property
    def factor(self) -> float | None:
        """Which part of the true gradient it is, where it is one in both directions."""
        one, two = (a / b if b else 0.0 for a, b in zip(self.said, self.true, strict=True))
        return one if abs(one - two) <= 0.02 * abs(one) else None


@dataclass(frozen=True)
class Facts:
    """All that was seen of a model and a batch."""

    loss: float
    before: float  # signal of the batch itself
    layers: tuple[Vitals, ...]
    reads: float  # share of the pixels that anything is computed from
    looks: bool  # whether any layer sees more than one pixel at once
    expected: float  # share of the target within 1 % of 0 or 1
    step: int  # how many were taken before
    kept: tuple[str, ...]  # parameters whose gradient zero_grad leaves as it is
    slopes: tuple[Slope, ...]


class Watched:
    """A layer of the copy. Its forward and backward pass through here, and are looked at."""

    def __init__(self, name: str, module: Module, passed: list["Watched"]):
        self.name, self.module, self.passed = name, module, passed
        self.seen: dict[str, float] = {}
        self.forward, self.backward = module.forward, module.backward
        module.forward, module.backward = self.forth, self.back  # type: ignore[method-assign]

    def forth(self, *inputs: Tensor, **settings: Any) -> Tensor:
        self.passed.append(self)
        out: Tensor = self.forward(*inputs, **settings)
        self.seen |= {"spread": deviation(out), "signal": within_channels(out)}
        if isinstance(self.module, Sigmoid):
            self.seen["saturated"] = near_the_ends(out)
        if isinstance(self.module, ReLU) and out.ndim > 1:
            silent = (out == 0).transpose(0, 1).flatten(1).all(1)
            self.seen["dead"] = float(silent.double().mean())
        return out

    def back(self, *gradients: Tensor, **settings: Any) -> Any:
        self.seen["arriving"] = float(gradients[0].double().square().mean().sqrt())
        return self.backward(*gradients, **settings)


def measured(
    model: Module, batch: Pair, loss: Module, optimizer: Optimizer | None, slopes: bool, step: int
) -> Facts:
    """Look at `model`; it, the loss and the optimizer stay as they are."""
    noisy, target = batch
    trial, criterion = copy_of(model), deepcopy(loss)
    passed: list[Watched] = []
    for name, module in list(layers_of(trial)):
        Watched(name, module, passed)
    clear(trial)
    value = float(criterion.forward(trial.forward(noisy.clone()), target))
    trial.backward(criterion.backward())
    gradients = {id(weight): norm(gradient) for weight, gradient in trial.param()}
    before = {id(weight): weight.clone() for weight, _ in trial.param()}
    updates: dict[int, float] = {}
    if optimizer is not None:
        on_copy(optimizer, model, trial).step()
        updates = {
            id(weight): norm(weight - before[id(weight)]) / norm(before[id(weight)])
            for weight, _ in trial.param()
            if before[id(weight)].any()
        }
    rows = tuple(rows_of(list(dict.fromkeys(passed)), before, gradients, updates))
    if not rows:
        raise InputError(f"{model} has no layer with a weight: there is nothing that could learn.")
    trial.zero_grad()
    kept = [name for name, _, gradient in trial.parameters() if gradient.any()]
    reads, looks = windows([one.module for one in passed])
    return Facts(
        loss=value,
        before=within_channels(noisy),
        layers=rows,
        reads=reads,
        looks=looks,
        expected=near_the_ends(target),
        step=step,
        kept=tuple(kept),
        slopes=tuple(slopes_of(model, batch, loss)) if slopes and isfinite(value) else (),
    )


def copy_of(model: Module) -> Module:
    """The model in training mode, without what its last forward left."""
    left: dict[int, Any] = {id(one.memory): () for _, one in model.modules() if one.memory}
    return deepcopy(model, left).train()


def clear(model: Module) -> None:
    """All gradients to zero, whatever the model's own zero_grad does."""
    for _, gradient in model.param():
        gradient.zero_()


def on_copy(optimizer: Optimizer, model: Module, trial: Module) -> Optimizer:
    """The same optimizer, with all that it remembers, for the parameters of a copy of the model."""
    places = {id(weight): number for number, (weight, _) in enumerate(model.param())}
    if any(id(weight) not in places for weight, _ in optimizer.pairs):
        raise InputError(
            f"The {type(optimizer).__name__} holds parameters that are not of this model. Make it"
            " with model.param()."
        )
    pairs, mine = trial.param(), copy(optimizer)
    mine.pairs = [pairs[places[id(weight)]] for weight, _ in optimizer.pairs]
    mine.memory = deepcopy(optimizer.memory)
    return mine


def layers_of(model: Module) -> Iterator[tuple[str, Module]]:
    """What is looked at, by name: all but modules made of others. An Upsampling is one layer."""
    names = {id(module): name for name, module in model.modules()}
    inside: set[int] = set()
    for name, module in model.modules():
        if not isinstance(module, Upsampling | Joined):
            continue
        own = names[id(module.conv)] if isinstance(module, Upsampling) else name
        yield (name if own.startswith(name) else own), module  # `Named` may know only the inner
        inside |= {id(one) for _, one in module.modules()}
    for name, module in model.modules():
        if id(module) not in inside and (module.weights or not list(module.parts())):
            yield name, module


def weight_of(module: Module) -> Tensor | None:
    """The tensor that a layer multiplies with."""
    names = ("weight",) if isinstance(module, Upsampling) else module.weights
    values = (getattr(module, name) for name in names)
    return next((value for value in values if value is not None and value.ndim > 1), None)


def rows_of(
    passed: list[Watched],
    weights: dict[int, Tensor],
    gradients: dict[int, float],
    updates: dict[int, float],
) -> Iterator[Vitals]:
    """A row a layer, in the order of forward, with the activation that comes before the next."""
    values = [weight_of(one.module) for one in passed]
    places = [number for number, value in enumerate(values) if value is not None]
    for start, end in zip(places, [*places[1:], len(passed)], strict=False):
        one, value = passed[start], values[start]
        assert value is not None, "that is how places were found"
        follow = (n for n in passed[start:end] if isinstance(n.module, ReLU | LeakyReLU | Sigmoid))
        behind = next(follow, None)
        window = getattr(one.module, "window", None)
        fan_in, _ = fans(value, window.stride if window else (1, 1), one.module.transposed)
        yield Vitals(
            name=one.name or type(one.module).__name__,
            layer=str(one.module),
            activation=type(behind.module).__name__ if behind else None,
            fan_in=float(fan_in),
            weight=deviation(weights[id(value)]),
            signal=one.seen["signal"],
            spread=one.seen["spread"],
            saturated=behind.seen.get("saturated") if behind else None,
            dead=behind.seen.get("dead") if behind else None,
            arriving=one.seen.get("arriving", 0.0),
            gradient=gradients[id(value)],
            update=updates.get(id(value)),
        )


def windows(layers: list[Module]) -> tuple[float, bool]:
    """The share of the pixels that is read, and whether any layer sees two at once."""
    reads, looks = 1.0, False
    for layer in layers:
        inner = layer.conv if isinstance(layer, Upsampling) else layer
        window = getattr(inner, "window", None)
        if window is None:
            continue
        least = window.stride if inner.transposed else (1, 1)  # taps that meet one pixel alone
        looks |= any(span > one for span, one in zip(window.reach, least, strict=True))
        if not inner.transposed:
            ways = zip(window.kernel_size, window.stride, strict=True)
            reads *= prod(min(1.0, taps / step) for taps, step in ways)
    return reads, looks


def slopes_of(model: Module, batch: Pair, loss: Module) -> Iterator[Slope]:
    """Central differences in float64, parameter by parameter, along two random directions.

    (L(w + h v) − L(w − h v)) / 2h is ⟨d_w, v⟩ if backward is right (see `check`).
    """
    noisy, target = (side[:PICTURES].double() for side in batch)
    exact, criterion = copy_of(model).double(), deepcopy(loss)
    off_the_kinks(exact, noisy)
    passed: list[Watched] = []
    for name, module in list(layers_of(exact)):
        Watched(name, module, passed)
    clear(exact)

    def lost() -> float:
        return float(criterion.forward(exact.forward(noisy.clone()), target))

    value = lost()
    exact.backward(criterion.backward())
    # A bias moves what its layer makes, and must move it by little: else ReLUs open and close.
    makes = {id(getattr(one.module, "bias", None)): one.seen["spread"] for one in passed}
    rng = Generator().manual_seed(0)
    gradients = [gradient.clone() for _, gradient in exact.param()]
    for (name, weight, _), gradient in zip(exact.parameters(), gradients, strict=True):
        size = makes.get(id(weight)) or float(weight.square().mean().sqrt()) or 1.0
        step, kept = STEP * size, weight.clone()
        said, true = [], []
        for _ in range(2):
            drawn = weight.new_empty(weight.shape, device="cpu").normal_(generator=rng)
            way = drawn.to(weight.device)
            weight.add_(way, alpha=step)
            above = lost()
            weight.copy_(kept).sub_(way, alpha=step)
            below = lost()
            weight.copy_(kept)
            said.append(float((gradient * way).sum()))
            true.append((above - below) / (2 * step))
        doubt = EPSILON * abs(value) / step
        size = max(norm(gradient), *map(abs, true))
        yield Slope(name, (said[0], said[1]), (true[0], true[1]), size, doubt)


def off_the_kinks(model: Module, noisy: Tensor) -> None:
    """Move biases and pixels a little, at random: black areas lie where ReLU has no slope."""
    rng = Generator().manual_seed(1)
    for tensor in (noisy, *(value for value, _ in model.param() if value.ndim == 1)):
        size = deviation(tensor) or 1.0
        drawn = tensor.new_empty(tensor.shape, device="cpu").normal_(generator=rng)
        tensor.add_(drawn.to(tensor.device), alpha=size / 20)


# — numbers of a tensor —


def norm(values: Tensor) -> float:
    return float(values.double().square().sum().sqrt())


def deviation(values: Tensor) -> float:
    return float(values.double().var(correction=0).sqrt())


def within_channels(values: Tensor) -> float:
    """Root mean square over channels of the deviation within each."""
    if values.ndim < 2:
        return deviation(values)
    channels = values.double().transpose(0, 1).flatten(1)
    return float(channels.var(1, correction=0).mean().sqrt())


def near_the_ends(values: Tensor) -> float:
    return float(((values <= EDGE) | (values >= 1 - EDGE)).double().mean())
