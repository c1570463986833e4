"""Who learns from a batch: torch with autograd, or noisepair.scratch with gradients by hand.

The training loop asks the same four things of both (`Learner`): a step, a picture denoised, its
weights, and a state that a run can go on from.
"""

import contextlib
import copy
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from . import checkpoint, hardware, scratch
from .losses import Loss
from .models import by_hand, plainly
from .noise import generator
from .optim import SCHEDULES, Schedule, begin_by_hand, optimizer_by_hand
from .pairs import Pair, TwoShots
from .recipe import Recipe
from .shapes import Batch, Scalar


@runtime_checkable
class Learner(Protocol):
    """Learns from a batch. How — autograd, or gradients written by hand — is its own business."""

    def step(self, pair: Pair, used: float) -> Scalar:
        """Improve on one batch, `used` of the run being over; the loss before that, detached."""
        ...

    def denoise(self, noisy: Batch) -> Batch:
        """What the network makes of a batch now."""
        ...


class AutogradLearner:
    """A torch network, its optimizer, a loss and a schedule.

    `model` is what comes of it: the network or, with `ema`, the running mean of its weights.
    """

    def __init__(self, recipe: Recipe, planes: int, device: torch.device):
        network: nn.Module = recipe.network(planes)
        slope = getattr(network, "slope", 0.0)
        recipe.init(network, torch.Generator().manual_seed(recipe.seed), slope)
        getattr(network, "begin", lambda: None)()
        quieten(network, recipe)
        self.plain = recipe.engine == "plain"
        if self.plain:
            plainly(network)
        order = torch.contiguous_format if self.plain else torch.channels_last
        self.network = network.to(device, memory_format=order)  # type: ignore[call-overload]
        self.model = copy.deepcopy(self.network) if recipe.ema else self.network
        self.loss = Loss.of(recipe.loss)
        self.schedule: Schedule = SCHEDULES[recipe.schedule]
        self.optimizer = recipe.optimizer(self.network.parameters(), recipe.lr)
        self.lr, self.clip, self.ema = recipe.lr, recipe.clip, recipe.ema
        self.seed, self.device = recipe.seed, device
        self.draws = bool(getattr(recipe.network, "dropout", 0))
        self.precision = "float32" if self.plain else hardware.resolve(recipe.precision, device)

    def step(self, pair: Pair, used: float) -> Scalar:
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * self.schedule(used)
        self.network.train()
        with self.drawing(used):
            loss = pair.loss(self.learnt, self.loss, used)
        self.optimizer.zero_grad()
        loss.backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimizer.step()
        if self.ema:
            self.remember(used)
        return loss.detach()

    def learnt(self, noisy: Batch) -> Batch:
        """What the network makes of a batch, its slopes kept."""
        return self.forward(self.network, noisy)

    def forward(self, network: nn.Module, noisy: Batch) -> Batch:
        if self.plain:
            return network(noisy.contiguous())
        with hardware.autocast(self.precision, self.device):
            return network(noisy).float()

    @contextlib.contextmanager
    def drawing(self, used: float) -> Iterator[None]:
        """Dropout draws from torch's own generator: give it a state of this step alone."""
        if not self.draws:
            yield
            return
        with torch.random.fork_rng():
            torch.manual_seed(generator(self.seed, 6, round(used * 2**40)).initial_seed())
            yield

    def remember(self, used: float) -> None:
        """Move the mean towards the weights; in the first 1 % of a run it is the weights."""
        keep = self.ema if used > 0.01 else 0.0
        now = self.network.state_dict()
        for name, mean in self.model.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(now[name], 1 - keep)
            else:
                mean.copy_(now[name])

    @torch.no_grad()
    def denoise(self, noisy: Batch) -> Batch:
        return self.forward(self.model.eval(), noisy)

    def begin(self, weights: checkpoint.Tensors) -> None:
        """Begin at weights that another run ended with."""
        self.network.load_state_dict(weights)
        self.model.load_state_dict(weights)

    def state(self) -> checkpoint.Tensors:
        """Weights, their mean and the optimizer's memory under flat names."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        if self.ema:
            tensors |= {f"mean.{name}": value for name, value in self.model.state_dict().items()}
        for number, memory in self.optimizer.state_dict()["state"].items():
            kept = {name: value for name, value in memory.items() if value is not None}
            tensors |= {f"optimizer.{number}.{name}": value for name, value in kept.items()}
        return tensors

    def restore(self, tensors: checkpoint.Tensors) -> None:
        """Go on from `state`."""
        memory: dict[int, dict[str, torch.Tensor]] = {}
        weights: dict[str, dict[str, torch.Tensor]] = {"network": {}, "mean": {}}
        for name, value in tensors.items():
            owner, _, rest = name.partition(".")
            if owner in weights:
                weights[owner][rest] = value
            else:
                number, _, key = rest.partition(".")
                memory.setdefault(int(number), {})[key] = value
        self.network.load_state_dict(weights["network"])
        if self.ema:
            self.model.load_state_dict(weights["mean"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": memory, "param_groups": groups})

    def snapshot(self) -> nn.Module:
        """The model as it is now, as torch runs it."""
        return copy.deepcopy(self.model)


class ScratchLearner:
    """The same with noisepair.scratch: gradients by hand, no graph.

    The same recipe begins with the same weights; what it learns, torch can run.
    """

    precision = "float32"

    def __init__(self, recipe: Recipe, planes: int, device: torch.device):
        self.recipe, self.planes, self.device = recipe, planes, device
        self.network = by_hand(recipe.network, planes)
        rng = torch.Generator().manual_seed(recipe.seed)
        begin_by_hand(recipe.init, self.network, rng, getattr(recipe.network, "slope", 0.0))
        quieten(self.network, recipe)
        self.network.to(device)
        self.model = copy.deepcopy(self.network) if recipe.ema else self.network
        self.loss = Loss.of(recipe.loss)
        self.losses = [(weight, SCRATCH_LOSSES[name]()) for weight, name in self.loss.terms]
        self.schedule: Schedule = SCHEDULES[recipe.schedule]
        self.optimizer = optimizer_by_hand(recipe.optimizer, self.network, recipe.lr)
        self.lr, self.ema = recipe.lr, recipe.ema
        self.arena = scratch.Arena()

    @torch.no_grad()
    def step(self, pair: Pair, used: float) -> Scalar:
        assert isinstance(pair, TwoShots), "the recipe refuses other pairings without autograd"
        noisy, target = pair
        self.optimizer.lr = self.lr * self.schedule(used)
        self.network.train()
        with scratch.reusing(self.arena):
            self.optimizer.zero_grad()
            denoised = self.network.forward(noisy)
            loss = torch.stack([w * one.forward(denoised, target) for w, one in self.losses]).sum()
            slopes = [one.backward(weight) for weight, one in self.losses]
            self.network.backward(sum(slopes[1:], start=slopes[0]))
            self.optimizer.step()
        if self.ema:
            self.remember(used)
        return loss

    def remember(self, used: float) -> None:
        """Move the mean towards the weights; in the first 1 % of a run it is the weights."""
        keep = self.ema if used > 0.01 else 0.0
        for (mean, _), (now, _) in zip(self.model.param(), self.network.param(), strict=True):
            mean.lerp_(now, 1 - keep)

    @torch.no_grad()
    def denoise(self, noisy: Batch) -> Batch:
        return self.model.eval().forward(noisy)

    @torch.no_grad()
    def begin(self, weights: checkpoint.Tensors) -> None:
        """Begin at weights that another run ended with."""
        self.network.load_state_dict(weights)
        self.model.load_state_dict(weights)

    def state(self) -> checkpoint.Tensors:
        """Weights, their mean and the optimizer's memory under flat names."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        if self.ema:
            tensors |= {f"mean.{name}": value for name, value in self.model.state_dict().items()}
        for name, memory in self.optimizer.memory.items():
            tensors |= {f"optimizer.{name}.{i}": value for i, value in enumerate(memory)}
        return tensors | {"optimizer.steps": torch.tensor(self.optimizer.steps)}

    @torch.no_grad()
    def restore(self, tensors: checkpoint.Tensors) -> None:
        """Go on from `state`."""
        weights: dict[str, dict[str, torch.Tensor]] = {"network": {}, "mean": {}}
        for name, value in tensors.items():
            owner, _, rest = name.partition(".")
            if owner in weights:
                weights[owner][rest] = value
            elif rest == "steps":
                self.optimizer.steps = int(value)
            else:
                memory, _, number = rest.partition(".")
                self.optimizer.remembered(memory)[int(number)].copy_(value)
        self.network.load_state_dict(weights["network"])
        if self.ema:
            self.model.load_state_dict(weights["mean"])

    def snapshot(self) -> nn.Module:
        """The model as it is now, as torch runs it."""
        network: nn.Module = self.recipe.network(self.planes)
        network.load_state_dict(self.model.state_dict())
        return network.to(self.device)


def quieten(network: nn.Module | scratch.Module, recipe: Recipe) -> None:
    """Of one shot, let a network that predicts noise begin with predicting none.

    A drawn last layer predicts noise as strong as the picture. In a run on thousands of pictures
    that is soon unlearnt; half a minute on one picture ended 2.7 dB lower (docs/one-picture.md).
    """
    weights = network.state_dict()
    if recipe.pairs != "shots" and getattr(recipe.network, "residual", False):
        network.load_state_dict({**weights, "leave.weight": 0 * weights["leave.weight"]})


SCRATCH_LOSSES = {"l2": scratch.MSE, "l1": scratch.L1}
StoredLearner = AutogradLearner | ScratchLearner


def learner_for(recipe: Recipe, planes: int, device: torch.device) -> StoredLearner:
    """Who the recipe's engine says."""
    kind = ScratchLearner if recipe.engine == "scratch" else AutogradLearner
    return kind(recipe, planes, device)
