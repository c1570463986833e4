"""How gradients move parameters. Names, defaults and arithmetic are those of torch.optim.

An optimizer takes the pairs of `Module.param()`, which are live, and changes the parameters in
place. It never changes a gradient.
"""

from collections.abc import Iterable
from math import sqrt

from torch import Tensor

from ..errors import InputError

Pairs = Iterable[tuple[Tensor, Tensor]]


class Optimizer:
    """Parameters, their gradients, and what is remembered of past ones."""

    def __init__(self, parameters: Pairs, lr: float):
        try:
            given = list(parameters)
            self.pairs = [(value, gradient) for value, gradient in given]
            fine = all(isinstance(one, tuple | list) for one in given) and all(
                value.shape == gradient.shape for value, gradient in self.pairs
            )
        except (TypeError, ValueError, AttributeError):
            fine = False
        if not fine:
            raise InputError(
                f"{type(self).__name__} takes pairs of a parameter and its gradient, as"
                " model.param() gives them."
            )
        if not self.pairs:
            raise InputError(
                f"{type(self).__name__} got no parameters. Give model.param() of a model with"
                " layers that learn."
            )
        self.lr = above(self, "lr", lr)
        self.steps = 0
        self.memory: dict[str, list[Tensor]] = {}

    def step(self) -> None:
        raise NotImplementedError

    def zero_grad(self) -> None:
        for _, gradient in self.pairs:
            gradient.zero_()

    def remembered(self, name: str) -> list[Tensor]:
        """One tensor a parameter, zero at first."""
        if name not in self.memory:
            self.memory[name] = [value.new_zeros(value.shape) for value, _ in self.pairs]
        return self.memory[name]


class SGD(Optimizer):
    """Gradient descent with momentum (Sutskever et al. 2013, section 2), as torch writes it:

        g = d_w + weight_decay · w        v ← momentum · v + g        w ← w − lr · v

    and with `nesterov` w ← w − lr · (g + momentum · v).
    """

    def __init__(
        self,
        parameters: Pairs,
        lr: float = 1e-3,
        momentum: float = 0.0,
        *,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__(parameters, lr)
        self.momentum = above(self, "momentum", momentum, least=0.0)
        self.weight_decay = above(self, "weight_decay", weight_decay, least=0.0)
        self.nesterov = nesterov
        if nesterov and not momentum:
            raise InputError("SGD: nesterov looks ahead along the momentum, which is 0. Give one.")

    def step(self) -> None:
        self.steps += 1
        velocities = self.remembered("velocity") if self.momentum else [None] * len(self.pairs)
        for (value, gradient), velocity in zip(self.pairs, velocities, strict=True):
            slope = gradient.add(value, alpha=self.weight_decay) if self.weight_decay else gradient
            if velocity is None:
                value.sub_(slope, alpha=self.lr)
                continue
            velocity.mul_(self.momentum).add_(slope)
            if self.nesterov:
                value.sub_(slope.add(velocity, alpha=self.momentum), alpha=self.lr)
            else:
                value.sub_(velocity, alpha=self.lr)


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1; the fraction as torch computes it):

    m ← β₁ m + (1 − β₁) g          v ← β₂ v + (1 − β₂) g²
    w ← w − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
    """

    def __init__(
        self,
        parameters: Pairs,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, lr)
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise InputError(f"Adam: betas={betas!r} is not possible: two numbers in [0, 1).")
        self.betas, self.eps = betas, above(self, "eps", eps)
        self.weight_decay = above(self, "weight_decay", weight_decay, least=0.0)

    def step(self) -> None:
        self.steps += 1
        beta1, beta2 = self.betas
        memories = zip(self.pairs, self.remembered("mean"), self.remembered("square"), strict=True)
        for (value, gradient), mean, square in memories:
            slope = gradient.add(value, alpha=self.weight_decay) if self.weight_decay else gradient
            mean.lerp_(slope, 1 - beta1)
            square.mul_(beta2).addcmul_(slope, slope, value=1 - beta2)
            below = square.sqrt().div_(sqrt(1 - beta2**self.steps)).add_(self.eps)
            value.addcdiv_(mean, below, value=-self.lr / (1 - beta1**self.steps))


def above(owner: Optimizer, name: str, value: float, least: float | None = None) -> float:
    """A number above zero, or from `least` on."""
    number = isinstance(value, float | int) and not isinstance(value, bool)
    fits = number and (value > 0 if least is None else value >= least)
    if not fits or value == float("inf"):
        rule = "above 0" if least is None else f"from {least} on"
        raise InputError(
            f"{type(owner).__name__}: {name}={value!r} is not possible: a number {rule}."
        )
    return value
