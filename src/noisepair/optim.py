"""How weights begin, and how they move.

A schedule maps the fraction of the run that is used, in [0, 1], to a factor of the learning rate;
whether a run is measured in steps or in seconds is not its business.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Generator, nn

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


Optimizer = Adam | AdamW
OPTIMIZERS: dict[str, type[Adam] | type[AdamW]] = {"adam": Adam, "adamw": AdamW}

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


SCHEDULES: Mapping[str, Schedule] = {"constant": constant, "cosine": cosine}


@torch.no_grad()
def kaiming(network: nn.Module, rng: Generator, slope: float = 0.1) -> None:
    """Normal weights that keep variance through LeakyReLU (He et al. 2015, eq. 14); biases 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, a=slope, generator=rng)
            if layer.bias is not None:
                layer.bias.zero_()
