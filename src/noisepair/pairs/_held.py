"""Pairs that are not trained on: a fixed look at scenes that were spared."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from ..models import Scale
from ..noise import generator
from ..recipe import Recipe
from ..shapes import Batch
from ..sources import Scene, made_shots
from ._crops import Values
from .neighbor2neighbor import Neighbors
from .two_shots import TwoShots

HELD_OUT_SIDE = 256  # pixels of a held-out picture's middle that are looked at, a side
HELD_OUT_PIXELS = 250_000  # altogether, each shot: their cost is that of a few training steps


def held_out(
    scenes: Sequence[Scene], recipe: Recipe, scale: Scale, device: torch.device
) -> list[TwoShots]:
    """Fixed pairs of held-out scenes, in batches of equal size, as the network sees them.

    The middle of every two shots of each scene, no shot twice; of many pairs evenly spaced ones.
    Of a scene with one shot, neighbouring pixels of its middle: two pictures of half the size.
    """
    groups: dict[tuple[int, int], list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    middles = [
        middle(scene, recipe, n, first)
        for n, scene in enumerate(scenes)
        for first in range(0, max(1, len(scene.shots) - 1), 2)
    ]
    pixels = sum(one.shape[0] * one.shape[1] for one, _ in middles)
    for one, two in middles[:: max(1, math.ceil(pixels / HELD_OUT_PIXELS))]:
        groups[one.shape[:2]].append((one, two))
    pairs = []
    for (height, width), group in groups.items():
        count = max(1, HELD_OUT_SIDE**2 // (height * width))
        for n in range(0, len(group), count):
            one, two = (np.stack(side) for side in zip(*group[n : n + count], strict=True))
            pair = TwoShots(as_batch(one, scale, device), as_batch(two, scale, device))
            pairs.append(pair if recipe.pairs == "shots" else neighbours(pair, recipe, n))
    return pairs


def neighbours(pair: TwoShots, recipe: Recipe, number: int) -> TwoShots:
    """Two pictures of half the size of one shot."""
    rng = generator(recipe.seed, 9, number, device=pair.noisy.device)
    return TwoShots(*Neighbors.of(pair.noisy, rng).halves(pair.noisy))


def as_batch(pictures: np.ndarray, scale: Scale, device: torch.device) -> Batch:
    """(B, H, W, C) of any kept type as the network sees it, (B, C, H, W)."""
    values = Values(pictures.dtype, scale)
    raw = torch.from_numpy(values.bits(pictures)).to(device)
    return values.seen(raw.permute(0, 3, 1, 2))


def middle(
    scene: Scene, recipe: Recipe, number: int, first: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The middle square of two shots from `first` on; with fresh noise, of two drawn once.

    Of one shot alone, that shot twice.
    """
    shots = [shot[len(shot) // 2] for shot in scene.shots[first : first + 2]]
    height, width, _ = shots[0].shape
    top, left = max(0, height - HELD_OUT_SIDE) // 2, max(0, width - HELD_OUT_SIDE) // 2
    window = np.s_[top : top + HELD_OUT_SIDE, left : left + HELD_OUT_SIDE]
    if recipe.fresh_noise and recipe.noise is not None:
        one, two = made_shots(shots[0][window][None], recipe.noise, recipe.seed, number)
        return one[0], two[0]
    return shots[0][window], shots[-1][window]
