"""A denoiser behind the interface of EE-559's first mini-project, made of noisepair.

Pictures come and go as tensors (N, C, H, W) of values 0 to 255, of any size, type and device.
`noisepair course` writes this file beside bestmodel.pth, which holds the weights and, as JSON text,
the card that says how they are used: data, in which nothing can run.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

import noisepair
from noisepair.checkpoint import Card
from noisepair.models import Scale

BEST = Path(__file__).parent / "bestmodel.pth"
HOLDOUT = 0.02  # of the course's 50,000 pairs; 1,000 rank weights as well as more would


class Model:
    """A denoiser; until it is trained or loaded it hands every picture back as it came."""

    def __init__(self) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.denoiser: noisepair.Denoiser | None = None

    def load_pretrained_model(self) -> None:
        """Take the weights in bestmodel.pth."""
        self.denoiser = unpack(BEST, self.device)

    def train(self, train_input: Tensor, train_target: Tensor, num_epochs: float | int = 1) -> None:
        """Learn from two noisy versions of each picture, anew, in `num_epochs` passes over them."""
        recipe = noisepair.Recipe(epochs=num_epochs, holdout=HOLDOUT)
        shots = [stored(side).numpy() for side in (train_input, train_target)]
        with torch.enable_grad():  # whoever calls may have switched it off
            self.denoiser = noisepair.train(*shots, recipe=recipe, device=self.device)

    def predict(self, test_input: Tensor) -> Tensor:
        """The pictures without their noise: float32, values 0 to 255, where the input lies."""
        noisy = test_input.detach().float()
        if self.denoiser:
            noisy = 255 * self.denoiser(noisy / 255, channel_axis=1)
        return noisy.clamp(0, 255)


def stored(pictures: Tensor) -> Tensor:
    """Values 0 to 255 as the course stores them, in bytes."""
    return pictures.detach().cpu().round().clamp(0, 255).to(torch.uint8)


def unpack(path: Path, device: str | torch.device) -> noisepair.Denoiser:
    """The denoiser in a bestmodel.pth."""
    file = torch.load(path, map_location="cpu", weights_only=True)
    said = json.loads(file["card"])
    recipe = noisepair.Recipe.of(said["recipe"])
    card = Card(recipe, said["planes"], Scale(**said["normalisation"]), said["provenance"])
    network = recipe.network(card.planes)
    network.load_state_dict(file["weights"])
    return noisepair.Denoiser(network, card, device)
