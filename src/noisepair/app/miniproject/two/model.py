"""A denoiser without autograd behind the interface of EE-559's second mini-project.

Layers, loss and optimizer are those of noisepair.scratch, each with its backward pass written by
hand; torch serves as arrays. Pictures come and go as tensors (N, 3, H, W) of values 0 to 255, of
any size, type and device. `noisepair course` writes this file beside bestmodel.pth, which holds the
weights and, as JSON text, the card that says how they are used: data, in which nothing can run.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisepair import InputError, Recipe
from noisepair.models import Scale, by_hand
from noisepair.optim import SCHEDULES
from noisepair.scratch import (
    L1,
    MSE,
    SGD,
    Adam,
    Arena,
    AvgPool2d,
    Conv2d,
    LeakyReLU,
    MaxPool2d,
    Module,
    NearestUpsampling,
    Padded,
    ReLU,
    Sequential,
    Sigmoid,
    TransposeConv2d,
    Upsampling,
    begin,
    reusing,
    without_first_gradient,
)

__all__ = [
    "L1",
    "MSE",
    "SGD",
    "Adam",
    "AvgPool2d",
    "Conv2d",
    "LeakyReLU",
    "MaxPool2d",
    "Model",
    "Module",
    "NearestUpsampling",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "TransposeConv2d",
    "Upsampling",
]

BEST = Path(__file__).parent / "bestmodel.pth"
PLANES = 3
LATER = 0.1  # of the learning rate, for weights that have learnt: at all of it they would unlearn
RECIPE: dict[str, Any] = {  # of `noisepair course --data`; `train` takes its numbers
    "engine": "scratch",
    "network": "strided",
    "network.channels": (64, 96, 48),
    "optimizer": "sgd",
    "optimizer.momentum": 0.9,
    "optimizer.nesterov": True,
    "lr": 0.5,
    "schedule": "cosine",
    "batch": 8,
    "holdout": 0.02,
}


class Model:
    """A denoiser; until it is trained or loaded its weights are random, the same in every one."""

    def __init__(self) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.scale = Scale()
        self.lr: float = RECIPE["lr"]
        self.network: Module = prescribed(*RECIPE["network.channels"])
        begin(self.network, "kaiming", generator=torch.Generator().manual_seed(0))
        self.network.to(self.device)

    def load_pretrained_model(self, path: Path = BEST) -> None:
        """Take the weights in bestmodel.pth."""
        file = torch.load(path, map_location="cpu", weights_only=True)
        card = json.loads(file["card"])
        self.scale = Scale(**card["normalisation"])
        self.network = by_hand(Recipe.of(card["recipe"]).network, PLANES)
        self.network.load_state_dict(file["weights"])
        self.network.to(self.device)
        self.lr = RECIPE["lr"] * LATER

    def train(self, train_input: Tensor, train_target: Tensor, num_epochs: int = 1) -> None:
        """Learn from two noisy versions of each picture, in `num_epochs` passes over them.

        It goes on from the weights that are there, gently where they have learnt already.
        """
        shots = [side.detach().to(self.device) for side in (train_input, train_target)]
        network, loss, memory = self.network.train(), MSE(), Arena()
        momentum, nesterov = RECIPE["optimizer.momentum"], RECIPE["optimizer.nesterov"]
        optimizer = SGD(network.param(), self.lr, momentum, nesterov=nesterov)
        for used, noisy, target in batches(shots, num_epochs):
            optimizer.lr = self.lr * SCHEDULES[RECIPE["schedule"]](used)
            with reusing(memory):
                optimizer.zero_grad()
                loss.forward(network.forward(self.seen(noisy)), self.seen(target))
                network.backward(loss.backward())
                optimizer.step()
        self.lr = RECIPE["lr"] * LATER

    def predict(self, test_input: Tensor) -> Tensor:
        """The pictures without their noise: float32, values 0 to 255, where the input lies."""
        network = self.network.eval()
        parts = test_input.detach().to(self.device).split(100)
        denoised = torch.cat([network.forward(self.seen(part)) for part in parts])
        return (255 * self.scale.back(denoised)).clamp(0, 255).to(test_input.device)

    def seen(self, pictures: Tensor) -> Tensor:
        """Values 0 to 255 as the network takes them."""
        return self.scale.into(pictures.float() / 255)


def prescribed(one: int, two: int, three: int) -> Module:
    """The network that the course asks for, with so many channels between its convolutions."""
    chain = Sequential(
        Conv2d(PLANES, one, 3, stride=2, padding=1), ReLU(inplace=True),
        Conv2d(one, two, 3, stride=2, padding=1), ReLU(inplace=True),
        Upsampling(two, three, 3, padding=1), ReLU(inplace=True),
        Upsampling(three, PLANES, 3, padding=1), Sigmoid(),
    )  # fmt: skip
    without_first_gradient(chain)
    return Padded(chain, 4)  # pictures of any size


def batches(shots: list[Tensor], epochs: int) -> Iterator[tuple[float, Tensor, Tensor]]:
    """How much of the training is used, and pairs: each shot of a picture is input or target.

    Raises InputError for what are no pairs.
    """
    one, two = shots
    if one.shape != two.shape or one.ndim != 4 or one.shape[1] != PLANES or not len(one):
        raise InputError(
            f"train() takes two noisy versions of the same pictures, (N, {PLANES}, H, W) each, and"
            f" got {tuple(one.shape)} and {tuple(two.shape)}."
        )
    rng = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(one), generator=rng) for _ in range(epochs)]
    every = [picked for order in orders for picked in order.split(RECIPE["batch"])]
    for step, picked in enumerate(every):
        swap = (torch.rand(len(picked), 1, 1, 1, generator=rng) < 0.5).to(one.device)
        here = picked.to(one.device)
        noisy, target = one[here], two[here]
        yield (step + 0.5) / len(every), noisy.where(swap, target), target.where(swap, noisy)
