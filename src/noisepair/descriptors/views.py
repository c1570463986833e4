"""Pairs of views: P places a batch, each seen in two different sheets of its sequence.

    pictures   (T, 16, 32, 32) uint8    T places of all sequences, their 16 sheets
    a batch    anchors, then positives: (2P, 1, 32, 32) float, values in [0, 1]

In an epoch every place comes once, in an order of its own, so none is twice in a batch. Noise is
drawn by itself for each view, anew at every step or, frozen, once for all. What is turned or
flipped is turned or flipped in both views.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Generator, Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..hpatches.layout import SHEETS, PatchSet, halved
from ..noise import Noise, generator
from .networks import PATCH, Patches
from .recipe import DescriptorRecipe

Sheets = Mapping[str, np.ndarray]  # sequence → (16, N, 32, 32) uint8, in the order of SHEETS
Levels = UInt8[Tensor, "*places 32 32"]
ORDER, VIEWS, NOISE, FROZEN = range(40, 44)  # what a generator is for


class Views(NamedTuple):
    """A batch."""

    seen: Patches
    """what the descriptor is to describe: noisy where noise was asked for"""
    again: Patches
    """the same patches with other noise, where it is wanted twice"""
    clean: Patches
    others: Int[Tensor, "P"]
    """for each place another of the batch"""


def sheets_of(patches: PatchSet) -> dict[str, np.ndarray]:
    """All patches of a set, in memory: 16 kB a place. Those of 65×65 become 32×32."""
    return {
        name: np.stack([read(patches, name, sheet) for sheet in SHEETS]) for name in patches.counts
    }


def read(patches: PatchSet, sequence: str, sheet: str) -> np.ndarray:
    return np.rint(halved(patches.sheet(sequence, sheet))).clip(0, 255).astype(np.uint8)


def refuse_wrong(sheets: Sheets) -> None:
    """InputError for what is no set of patches."""
    for name, found in sheets.items():
        shape = found.shape
        if found.dtype != np.uint8 or len(shape) != 4 or (shape[0], *shape[2:]) != (16, 32, 32):
            raise InputError(
                f"The patches of {name} are {found.dtype} of shape {shape}. Give 8-bit arrays of"
                " shape (16, N, 32, 32): the sheets ref, e1 to e5, h1 to h5, t1 to t5."
            )


class Places:
    """All places, and batches of their views.

    `noisy`: the same sheets with noise of their own, in place of noise that is drawn. InputError
    where there are fewer places than a batch asks for, or the two differ in sequences or size.
    """

    def __init__(
        self,
        clean: Sheets,
        wanted: DescriptorRecipe,
        device: torch.device,
        noisy: Sheets | None = None,
    ):
        refuse_wrong(clean)
        self.wanted, self.device = wanted, device
        self.clean = stacked(clean).to(device)
        if len(self.clean) < wanted.batch:
            raise InputError(
                f"There are {len(self.clean)} places, and batch={wanted.batch} asks for as many"
                f" different ones. Give batch={max(2, len(self.clean) // 2)} or less, or more"
                " places."
            )
        self.seen: Tensor | None = None  # noisy, where noise is frozen
        if noisy is not None:
            refuse_wrong(noisy)
            if {n: x.shape for n, x in noisy.items()} != {n: x.shape for n, x in clean.items()}:
                raise InputError(
                    "The noisy sheets are of other sequences or sizes than the clean ones. Give the"
                    " same patches, with noise and without."
                )
            self.seen = stacked({name: noisy[name] for name in clean}).to(device)
        elif wanted.noise is not None and not wanted.fresh_noise:
            rng = generator(wanted.seed, FROZEN, device=device)
            self.seen = frozen(self.clean, wanted.noise, rng)

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def fixed(self) -> bool:
        """Whether a patch always looks the same."""
        return self.seen is not None or self.wanted.noise is None

    def denoise(self, front: Callable[[Patches], Patches]) -> None:
        """Put what `front` makes of all patches in their place, kept in 8 bits."""
        parts = []
        for part in (self.clean if self.seen is None else self.seen).split(64):
            parts.append((front(unit(part)) * 255).round().to(torch.uint8).view(part.shape))
        self.seen = torch.cat(parts)

    def batches(self, step: int = 0) -> Iterator[Views]:
        """From batch number `step` on, without end; the same number is the same batch."""
        epoch, at = divmod(step, len(self) // self.wanted.batch)
        while True:
            order = torch.randperm(len(self), generator=generator(self.wanted.seed, ORDER, epoch))
            rows = order.split(self.wanted.batch)[: len(self) // self.wanted.batch]
            for number, places in enumerate(rows[at:], at):
                yield self.views(places, epoch * len(rows) + number)
            epoch, at = epoch + 1, 0

    def views(self, places: Int[Tensor, "P"], step: int) -> Views:
        """Two views of each of `places`."""
        rng = generator(self.wanted.seed, VIEWS, step)
        count = len(places)
        one = torch.randint(len(SHEETS), (count,), generator=rng)
        two = (one + torch.randint(1, len(SHEETS), (count,), generator=rng)) % len(SHEETS)
        others = (torch.arange(count) + torch.randint(1, count, (), generator=rng)) % count
        index = places.repeat(2).to(self.device), torch.cat([one, two]).to(self.device)
        clean = unit(self.clean[index])
        seen = again = clean
        if self.seen is not None:
            seen = again = unit(self.seen[index])
        elif self.wanted.noise is not None:
            noise = generator(self.wanted.seed, NOISE, step, device=self.device)
            seen = again = self.spoilt(clean, noise)
            if self.wanted.twice:
                again = self.spoilt(clean, noise)
        turn = turning(count, self.wanted.augment, rng)
        return Views(turn(seen), turn(again), turn(clean), others.to(self.device))

    def spoilt(self, clean: Patches, rng: Generator) -> Patches:
        assert self.wanted.noise is not None, "asked for with noise only"
        noisy = self.wanted.noise(clean.movedim(1, -1), rng).movedim(-1, 1)
        if self.wanted.grain > 1:
            times = torch.rand(len(clean), generator=rng, device=self.device)
            times = self.wanted.grain ** (2 * times - 1).clamp(min=0)
            noisy = clean + enlarged(noisy - clean, times)
        return digital(noisy) if self.wanted.digital else noisy


def stacked(sheets: Sheets) -> UInt8[Tensor, "T 16 32 32"]:
    """The places of all sequences, one after the other."""
    return torch.cat([torch.from_numpy(x).transpose(0, 1) for x in sheets.values()]).contiguous()


def unit(levels: Levels) -> Patches:
    """8 bits as values in [0, 1], one plane."""
    return levels.reshape(-1, 1, PATCH, PATCH).float() / 255


def enlarged(noise: Patches, times: Float[Tensor, "B"]) -> Patches:
    """The middle of each patch, `times` as large, between its pixels linearly."""
    turn = torch.zeros((len(noise), 2, 3), device=noise.device)
    turn[:, 0, 0] = turn[:, 1, 1] = 1 / times
    grid = F.affine_grid(turn, list(noise.shape), align_corners=False)
    return F.grid_sample(noise, grid, mode="bilinear", align_corners=False)


def digital(noisy: Float[Tensor, "B 1 32 32"]) -> Patches:
    """As a file of 8 bits would hold it: clipped and rounded, which N-HPatches is."""
    return (noisy * 255).round().clamp(0, 255) / 255


def frozen(clean: Levels, noise: Noise, rng: Generator) -> Levels:
    """Noise drawn once, kept in 8 bits; a part at a time, for floats take four times the room."""
    parts = []
    for part in clean.split(1024):
        noisy = noise(unit(part).movedim(1, -1), rng).movedim(-1, 1)
        parts.append((noisy * 255).round().clamp(0, 255).to(torch.uint8).view(part.shape))
    return torch.cat(parts)


class Turn(NamedTuple):
    """A flip and quarter turns for each pair."""

    flipped: Tensor
    turns: Int[Tensor, "P"]

    def __call__(self, both: Patches) -> Patches:
        """The same for anchor and positive."""
        pairs = both.unflatten(0, (2, -1))  # (2, P, 1, 32, 32)
        flipped = self.flipped.to(both.device)[None, :, None, None, None]
        pairs = torch.where(flipped, pairs.flip(-1), pairs)
        for count in (1, 2, 3):
            index = (self.turns == count).nonzero()[:, 0].to(both.device)
            if len(index):
                pairs[:, index] = pairs[:, index].rot90(count, (-2, -1))
        return pairs.flatten(0, 1)


def turning(count: int, augment: tuple[str, ...], rng: Generator) -> Turn:
    """Draws for `count` pairs; what is not asked for is not done."""
    flipped = torch.rand(count, generator=rng) < 0.5
    turns = torch.randint(4, (count,), generator=rng)
    return Turn(flipped & ("flips" in augment), turns * ("turns" in augment))
