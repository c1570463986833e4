"""Who learns from a batch of views: a network, what stands in front of it, and who teaches it.

    loss = triplet · (of the descriptors)                                  losses.py
         + |described(seen) − teacher(clean)|²  + relational · …           with a teacher
         + pixels · pixel_loss(denoised, clean or other noise)             where the denoiser learns

The last, with the same patch under other noise as its target, is Noise2Noise (Lehtinen et al.
2018): against zero-mean noise l2 is least where a clean target would put it.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .. import checkpoint, hardware
from ..errors import InputError
from ..losses import Loss as PixelLoss
from ..models import Network as DenoiserNetwork
from ..models import Scale
from ..noise import generator
from ..optim import SCHEDULES, Init, Kaiming, Schedule
from ..shapes import Scalar
from .descriptor import CARD, Chain, Descriptor, DescriptorCard, read_card
from .losses import Described, taught
from .networks import Patches, Vectors
from .recipe import DescriptorRecipe
from .views import Places, Views

WEIGHTS, FRONT, DROPPED = range(45, 48)  # what a generator is for


def linear(used: float) -> float:
    """In a straight line to zero, as HardNet's learning rate goes.

    >>> linear(0.0), linear(0.25), linear(1.0)
    (1.0, 0.75, 0.0)
    """
    return 1 - min(1.0, used)


class Pupil:
    """A chain that learns, its optimizer, a schedule and perhaps a teacher."""

    def __init__(self, recipe: DescriptorRecipe, card: DescriptorCard, device: torch.device):
        self.recipe, self.device = recipe, device
        self.precision = hardware.resolve(recipe.precision, device)
        chain = Chain(card)
        begin(chain, recipe)
        if recipe.denoiser is not None:
            assert chain.front is not None, "the card has what the recipe asks for"
            path, tensors = Denoising.of(recipe.denoiser).weights()
            checkpoint.fit_into(path, chain.front.network, tensors)
        self.chain = chain.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.teacher: Descriptor | None = None
        if recipe.teacher is not None:
            self.teacher = Descriptor.load(recipe.teacher, device, recipe.precision)
        self.schedule: Schedule = (
            linear if recipe.schedule == "linear" else SCHEDULES[recipe.schedule]
        )
        learning = self.chain if recipe.joint else self.chain.network
        self.optimizer = recipe.optimizer(learning.parameters(), recipe.lr)
        self.pixel_loss = PixelLoss.of(recipe.pixel_loss)
        self.denoised = False  # whether views come denoised

    def step(self, views: Views, used: float, number: int) -> Scalar:
        """Improve on one batch, `used` of the run being over; the loss before that, detached."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr * self.schedule(used)
        self.chain.train()
        if self.chain.front is not None and not self.recipe.joint:
            self.chain.front.eval()
        with self.drawing(number):
            loss = self.loss(views, used)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def loss(self, views: Views, used: float = 0.0) -> Scalar:
        """Of one batch, `used` of the run being over."""
        recipe, terms = self.recipe, []
        shown = views.seen
        if self.chain.front is not None and not self.denoised:
            with torch.set_grad_enabled(recipe.joint), self.autocast():
                unclipped = self.chain.front.unclipped(views.seen)
            shown = unclipped.clamp(0, 1)
            if recipe.joint and recipe.pixels:
                target = views.again if recipe.target == "noisy" else views.clean
                terms.append(recipe.pixels * self.pixel_loss(unclipped, target, used))
        if recipe.describes:
            with self.autocast():
                raw = self.chain.network.raw(shown)
            vectors = self.chain.network.finished(raw)
            if recipe.triplet:
                anchors, positives = vectors.chunk(2)
                lengths = raw.square().sum(1).add(1e-12).sqrt().unflatten(0, (2, -1))
                batch = Described(anchors, positives, lengths, views.others)
                terms.append(recipe.triplet * recipe.loss(batch))
            if self.teacher is not None:
                with torch.no_grad():
                    wanted = self.teacher(views.clean)
                terms.append(taught(vectors, wanted, recipe.relational))
        return torch.stack(terms).sum()

    @contextlib.contextmanager
    def drawing(self, number: int) -> Iterator[None]:
        """Dropout draws from torch's own generator: give it a state of this step alone."""
        with torch.random.fork_rng():
            torch.manual_seed(generator(self.recipe.seed, DROPPED, number).initial_seed())
            yield

    def autocast(self) -> contextlib.AbstractContextManager:
        return hardware.autocast(self.precision, self.device)

    @torch.no_grad()
    def describe(self, patches: Patches) -> Vectors:
        """What the chain makes of patches now, as in use."""
        self.chain.eval()
        with self.autocast():
            return self.chain(patches)

    @torch.no_grad()
    def denoise(self, patches: Patches) -> Patches:
        """What stands in front makes of patches now, as in use; without one, the patches."""
        self.chain.eval()
        with self.autocast():
            return patches if self.chain.front is None else self.chain.front(patches)

    def denoise_once(self, places: Places) -> None:
        """Where the same patch always looks the same and the denoiser stays, denoise it once."""
        front = self.chain.front
        if front is None or self.recipe.joint or not places.fixed:
            return
        front.eval()
        with torch.no_grad(), self.autocast():
            places.denoise(front)
        self.denoised = True

    def state(self) -> checkpoint.Tensors:
        """Weights and the optimizer's memory under flat names."""
        tensors = {f"chain.{name}": value for name, value in self.chain.state_dict().items()}
        for number, memory in self.optimizer.state_dict()["state"].items():
            kept = {name: value for name, value in memory.items() if value is not None}
            tensors |= {f"optimizer.{number}.{name}": value for name, value in kept.items()}
        return tensors

    def restore(self, tensors: checkpoint.Tensors) -> None:
        """Go on from `state`."""
        memory: dict[int, dict[str, Tensor]] = {}
        weights: dict[str, Tensor] = {}
        for name, value in tensors.items():
            owner, _, rest = name.partition(".")
            if owner == "chain":
                weights[rest] = value
            else:
                number, _, key = rest.partition(".")
                memory.setdefault(int(number), {})[key] = value
        self.chain.load_state_dict(weights)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": memory, "param_groups": groups})


def begin(chain: Chain, recipe: DescriptorRecipe) -> None:
    """Draw all weights; a trained denoiser's are put in their place afterwards."""
    init = recipe.init or type(recipe.network).begins
    draw(chain.network, init, generator(recipe.seed, WEIGHTS))
    if chain.front is not None:
        draw(chain.front.network, recipe.init or Kaiming(), generator(recipe.seed, FRONT))


def draw(network: nn.Module, init: Init, rng: torch.Generator) -> None:
    init(network, rng, float(getattr(network, "slope", 0.0)))
    getattr(network, "begin", lambda: None)()


class Denoising(NamedTuple):
    """A trained denoiser of grey pictures, in the folder that it is kept in."""

    network: DenoiserNetwork
    scale: Scale
    path: Path
    """of its weights"""
    prefix: str
    """of their names there"""

    @classmethod
    def of(cls, model: str) -> "Denoising":
        """Of a denoiser's folder, or a descriptor's with one in front; InputError for others."""
        folder = checkpoint.located(model, 1)
        if (folder / CARD).is_file():
            card = read_card(folder)
            if card.front is None:
                raise InputError(
                    f"The descriptor {folder} has no denoiser in front. Give the folder of one that"
                    " has, or of a denoiser."
                )
            return cls(card.front, card.scale, folder / checkpoint.WEIGHTS, "front.network.")
        known = checkpoint.read_card(folder)
        if known.planes != 1:
            raise InputError(
                f"{folder} denoises pictures of {known.planes} planes, and patches are grey. Give a"
                " denoiser that was trained on grey pictures."
            )
        return cls(known.recipe.network, known.scale, folder / checkpoint.WEIGHTS, "")

    def weights(self) -> tuple[Path, checkpoint.Tensors]:
        tensors, _ = checkpoint.load_tensors(self.path)
        named = {name: value for name, value in tensors.items() if name.startswith(self.prefix)}
        return self.path, {name.removeprefix(self.prefix): value for name, value in named.items()}


def card_for(recipe: DescriptorRecipe, provenance: dict[str, Any]) -> DescriptorCard:
    """The card of what the recipe asks for; InputError for a denoiser that does not fit."""
    if recipe.denoiser is None:
        return DescriptorCard(recipe.network, recipe.front, Scale(), provenance)
    front = Denoising.of(recipe.denoiser)
    return DescriptorCard(recipe.network, front.network, front.scale, provenance)
