"""How weights begin, and how they move.

A schedule maps the fraction of the run that is used, in [0, 1], to a factor of the learning rate;
whether a run is measured in steps or in seconds is not its business.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Generator, Tensor, nn

from . import scratch

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)

Unit = Annotated[float, Field(ge=0, lt=1)]
Decay = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, config=STRICT)
class Adam:
    """Adam (Kingma & Ba 2015)."""

    beta1: Unit = 0.9
    """memory of the gradient's mean"""
    beta2: Unit = 0.99
    """memory of its square; 0.99 as in Noise2Noise (appendix A.1)"""
    kind: Literal["adam"] = "adam"

    def __call__(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=lr, betas=(self.beta1, self.beta2), eps=1e-8)


@dataclass(frozen=True, config=STRICT)
class AdamW:
    """Adam with decay of the weights themselves (Loshchilov & Hutter 2019)."""

    weight_decay: Decay = 0.01
    """share of a weight that is taken off, times the learning rate, at each step"""
    beta1: Unit = 0.9
    """memory of the gradient's mean"""
    beta2: Unit = 0.99
    """memory of its square"""
    kind: Literal["adamw"] = "adamw"

    def __call__(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.AdamW(parameters, lr=lr, betas=betas, weight_decay=self.weight_decay)


@dataclass(frozen=True, config=STRICT)
class SGD:
    """Gradient descent with momentum (Sutskever et al. 2013, section 2)."""

    momentum: Unit = 0.9
    """share of the last step that the next one keeps"""
    nesterov: bool = True
    """take the slope where the momentum leads to, instead of where the weights are"""
    weight_decay: Decay = 0.0
    """this times a weight is added to its slope"""
    kind: Literal["sgd"] = "sgd"

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum == 0:
            raise ValueError(
                "nesterov=true looks ahead along the momentum, and momentum is 0."
                " Give a momentum such as 0.9, or nesterov=false."
            )

    def __call__(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            parameters, lr=lr, momentum=self.momentum,
            nesterov=self.nesterov, weight_decay=self.weight_decay,
        )  # fmt: skip


@dataclass(frozen=True, config=STRICT)
class Adagrad:
    """Steps divided by the root of all squared slopes so far (Duchi et al. 2011, section 1.1)."""

    kind: Literal["adagrad"] = "adagrad"

    def __call__(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        return torch.optim.Adagrad(parameters, lr=lr)


@dataclass(frozen=True, config=STRICT)
class RMSprop:
    """Steps divided by the root of the slope's mean square (Hinton 2012, lecture 6e)."""

    alpha: Unit = 0.99
    """memory of the slope's square"""
    momentum: Unit = 0.0
    """share of the last step that the next one keeps"""
    kind: Literal["rmsprop"] = "rmsprop"

    def __call__(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, lr=lr, alpha=self.alpha, momentum=self.momentum)


@dataclass(frozen=True, config=STRICT)
class Adadelta:
    """Steps in the unit of the weights, hence made for lr=1 (Zeiler 2012, algorithm 1)."""

    rho: Unit = 0.9
    """memory of the squares of slopes and of steps"""
    kind: Literal["adadelta"] = "adadelta"

    def __call__(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        return torch.optim.Adadelta(parameters, lr=lr, rho=self.rho)


Optimizer = Adam | AdamW | SGD | Adagrad | RMSprop | Adadelta
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "sgd": SGD,
    "adagrad": Adagrad,
    "rmsprop": RMSprop,
    "adadelta": Adadelta,
}

Schedule = Callable[[float], float]


def constant(used: float) -> float:
    """The same learning rate to the end."""
    return 1.0


def cosine(used: float) -> float:
    """Up in the first 3 % of the run, then down along half a cosine to zero.

    >>> [round(cosine(used), 2) for used in (0.0, 0.015, 0.03, 0.515, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    warm = 0.03
    if used < warm:
        return used / warm
    return 0.5 + 0.5 * math.cos(math.pi * (min(used, 1) - warm) / (1 - warm))


def rampdown(used: float) -> float:
    """Constant for 70 % of the run, then down in a straight line to zero (report 000, III.D).

    >>> [round(rampdown(used), 2) for used in (0.0, 0.7, 0.85, 1.0)]
    [1.0, 1.0, 0.5, 0.0]
    """
    return min(1.0, max(0.0, 1 - used) / 0.3)


def warmup(used: float) -> float:
    """Up in a straight line in the first 3 % of the run, then constant.

    >>> [round(warmup(used), 2) for used in (0.0, 0.015, 0.03, 1.0)]
    [0.0, 0.5, 1.0, 1.0]
    """
    return min(1.0, used / 0.03)


SCHEDULES: Mapping[str, Schedule] = {
    "constant": constant,
    "cosine": cosine,
    "rampdown": rampdown,
    "warmup": warmup,
}

Convolution = nn.Conv2d | nn.ConvTranspose2d


def convolutions(network: nn.Module) -> Iterator[Convolution]:
    """What an initialisation draws; normalisations begin as torch makes them, with 1 and 0."""
    return (layer for layer in network.modules() if isinstance(layer, Convolution))


def no_bias(network: nn.Module) -> None:
    """The biases of all convolutions to 0."""
    for layer in convolutions(network):
        if layer.bias is not None:
            layer.bias.zero_()


def fans(layer: Convolution) -> tuple[float, float]:
    """How many weights one value of the output adds up, and how many one of the input goes to.

    A transposed convolution is a convolution read backwards. With a stride the finer side of the
    two meets only every stride-th weight in each direction.
    """
    weights, stride = math.prod(layer.kernel_size) / layer.groups, math.prod(layer.stride)
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.in_channels * weights / stride, layer.out_channels * weights
    return layer.in_channels * weights, layer.out_channels * weights / stride


def draw(weight: Tensor, std: float, uniform: bool, rng: Generator) -> None:
    """Independent values of mean 0 and deviation `std`: a box reaches to √3 of it."""
    if uniform:
        weight.uniform_(-math.sqrt(3) * std, math.sqrt(3) * std, generator=rng)
    else:
        weight.normal_(0, std, generator=rng)


@dataclass(frozen=True, config=STRICT)
class Kaiming:
    """Keeps variance through LeakyReLU: 2 / (1 + slope²) / fan-in (He et al. 2015, eq. 14)."""

    uniform: bool = False
    """from a box instead of a bell: bound = gain · √(3 / fan-in) (report 000, eq. 4)"""
    kind: Literal["kaiming"] = "kaiming"

    @torch.no_grad()
    def __call__(self, network: nn.Module, rng: Generator, slope: float) -> None:
        gain = math.sqrt(2 / (1 + slope**2))
        for layer in convolutions(network):
            draw(layer.weight, gain / math.sqrt(fans(layer)[0]), self.uniform, rng)
        no_bias(network)


@dataclass(frozen=True, config=STRICT)
class Xavier:
    """Variance 2 / (fan-in + fan-out), whatever the slope (Glorot & Bengio 2010, eq. 12, 16)."""

    uniform: bool = True
    """from a box instead of a bell"""
    kind: Literal["xavier"] = "xavier"

    @torch.no_grad()
    def __call__(self, network: nn.Module, rng: Generator, slope: float) -> None:
        for layer in convolutions(network):
            draw(layer.weight, math.sqrt(2 / sum(fans(layer))), self.uniform, rng)
        no_bias(network)


@dataclass(frozen=True, config=STRICT)
class Normal:
    """The same deviation in every layer."""

    std: Annotated[float, Field(gt=0, le=10)] = 0.02
    """deviation of the weights; 0.02 as in DCGAN (Radford et al. 2016, section 4)"""
    kind: Literal["normal"] = "normal"

    @torch.no_grad()
    def __call__(self, network: nn.Module, rng: Generator, slope: float) -> None:
        for layer in convolutions(network):
            draw(layer.weight, self.std, False, rng)
        no_bias(network)


@dataclass(frozen=True, config=STRICT)
class Constant:
    """All weights equal: the units of a layer then stay equal, which is what there is to see."""

    value: Annotated[float, Field(ge=-10, le=10)] = 0.01
    """of every weight"""
    kind: Literal["constant"] = "constant"

    @torch.no_grad()
    def __call__(self, network: nn.Module, rng: Generator, slope: float) -> None:
        for layer in convolutions(network):
            layer.weight.fill_(self.value)
        no_bias(network)


@dataclass(frozen=True, config=STRICT)
class Sparse:
    """Most weights 0, and as many others for each unit of a layer (Martens 2010, section 5)."""

    sparsity: Unit = 0.9
    """share of a unit's weights that is 0; at least one is not"""
    std: Annotated[float, Field(gt=0, le=10)] = 0.05
    """deviation of the others"""
    kind: Literal["sparse"] = "sparse"

    @torch.no_grad()
    def __call__(self, network: nn.Module, rng: Generator, slope: float) -> None:
        for layer in convolutions(network):
            turned = isinstance(layer, nn.ConvTranspose2d)
            weight = layer.weight.transpose(0, 1) if turned else layer.weight  # (out, in, K, K)
            draw(weight, self.std, False, rng)
            # Not nn.init.sparse_: its zeros come from the global generator, and its rounding
            # leaves a 3×3 filter of one plane without any weight.
            fan = weight[0].numel()
            kept = max(1, round((1 - self.sparsity) * fan))
            keys = torch.rand(len(weight), fan, generator=rng, device=weight.device)
            weight.mul_((keys.argsort(dim=1) < kept).view(weight.shape))
        no_bias(network)


@dataclass(frozen=True, config=STRICT)
class Orthogonal:
    """Keeps lengths from a window to its outputs, but for gains (Saxe et al. 2014, section 3).

    They are that of LeakyReLU and our own. A transposed convolution is the adjoint of one, and the
    adjoint of such a matrix keeps lengths too: both are drawn as torch stores them.
    """

    gain: Annotated[float, Field(gt=0, le=100)] = 1.0
    """factor of all weights, besides that of LeakyReLU"""
    kind: Literal["orthogonal"] = "orthogonal"

    @torch.no_grad()
    def __call__(self, network: nn.Module, rng: Generator, slope: float) -> None:
        gain = self.gain * math.sqrt(2 / (1 + slope**2))
        for layer in convolutions(network):
            nn.init.orthogonal_(layer.weight, gain, generator=rng)
        no_bias(network)


Init = Kaiming | Xavier | Normal | Constant | Sparse | Orthogonal
INITS: dict[str, type[Init]] = {
    "kaiming": Kaiming,
    "xavier": Xavier,
    "normal": Normal,
    "constant": Constant,
    "sparse": Sparse,
    "orthogonal": Orthogonal,
}


# — by hand —

BY_HAND_INITS = ("kaiming", "xavier", "normal", "constant")


def begin_by_hand(init: Init, network: scratch.Module, rng: Generator, slope: float) -> None:
    """What `init` does to a torch network, done to one of scratch: the same rng, equal weights."""
    settings = {
        "kaiming": {"uniform": getattr(init, "uniform", None), "slope": slope},
        "xavier": {"uniform": getattr(init, "uniform", None)},
        "normal": {"std": getattr(init, "std", None)},
        "constant": {"std": getattr(init, "value", None)},
    }[init.kind]
    scratch.begin(network, init.kind, generator=rng, **settings)  # type: ignore[arg-type]


def optimizer_by_hand(settings: Optimizer, network: scratch.Module, lr: float) -> scratch.Optimizer:
    """Adam or SGD of scratch; its `lr` may be set at each step."""
    if isinstance(settings, Adam):
        return scratch.Adam(network.param(), lr, (settings.beta1, settings.beta2))
    assert isinstance(settings, SGD), "the recipe refuses others"
    return scratch.SGD(
        network.param(), lr, settings.momentum,
        weight_decay=settings.weight_decay, nesterov=settings.nesterov,
    )  # fmt: skip
