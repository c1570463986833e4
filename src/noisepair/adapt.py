"""Weights that go on learning from the very picture that they are to denoise.

The bundled weights know noise of single pixels, nearly Gaussian. Photons that can be counted,
speckle, a camera's own process are something else, and the picture itself shows what: two noisy
shots are found in it (`pairs.recorrupted` where the noise does not depend on brightness, else
`pairs.neighbor2neighbor`), as the weights are shown it. The picture is cut into tiles; those that
are held out choose the best weights, the first ones among them. If those are the best, adapting
does not help, and that is said.

Assumes noise of mean zero that is independent from pixel to pixel. Neighbours choose at half the
size, which is not quite what is asked, so a gain there counts from `LEAST` on only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from . import images
from .blind import shown
from .denoise import Denoiser
from .errors import InputError
from .noise.estimate import Level
from .recipe import Recipe
from .sources import open_source
from .train import Diverged, Progress, train

SIDE, MOST = 96, 6  # pixels of a tile at least, and tiles along a side at most
FEWEST, HELD_OUT = 4, 0.2  # tiles that it takes, and the share of them that is held out
SHORTEST = 3.0  # seconds: the first step alone, and looking at what is held out, take one
# Of what held-out pixels are missed by. Of nine pictures five gained less than this: -0.43 to
# +0.03 dB at full size. Four gained more: three real shots won 0.2 to 1.0 dB, and
# one speckled photograph lost 0.3.
LEAST = 0.02
RATE = 2e-4  # a tenth of what the bundled weights were trained with

Tell = Callable[[str], None]
Watch = Callable[[float], None]  # the share of the budget that is used


@dataclass(frozen=True)
class Adapted:
    """What came of it: a denoiser, or none where the weights are better as they were."""

    denoiser: Denoiser | None
    sentence: str


def adapt(
    noisy: np.ndarray,
    level: Level,
    budget: float,
    *,
    begin: str | Path = "bundled",
    device: str | torch.device = "cpu",
    watch: Watch | None = None,
) -> Adapted:
    """Train the weights of `begin` for `budget` seconds on pages (N, H, W, C) of one picture.

    `level`: the noise that was measured in it. Raises InputError for a budget in which nothing can
    be learnt.
    """
    if not SHORTEST <= budget < math.inf:
        raise InputError(
            f"{budget:g} seconds are too few to adapt in: the first steps take as long. Give"
            f" {SHORTEST:g}s or more; 30s is usual."
        )
    if not level.white:
        right, down = level.correlation
        return Adapted(
            None,
            "not adapted: it would learn from neighbouring pixels, and they share noise"
            f" ({right:.2f} to the right, {down:.2f} down)",
        )
    tiles = cut(noisy, level)
    if len(tiles) < FEWEST or min(noisy.shape[1:3]) < SIDE:
        return Adapted(None, f"not adapted: it is too small to cut {FEWEST} tiles of {SIDE} pixels")
    recipe = Recipe.of(
        {"pairs": pairing(level), "budget": budget, "lr": RATE, "holdout": HELD_OUT,
         "validations": 8, "schedule": "cosine", "clip": 0.02, "loss": "rmse", "crop": 64,
         "batch": 4}
    )  # fmt: skip

    def seen(progress: Progress) -> None:
        if watch:
            watch(progress.used)

    shots = open_source(tiles, single=True)
    try:
        denoiser = train(shots, recipe=recipe, begin=begin, device=device, watch=seen)
    except Diverged:
        return Adapted(None, "not adapted: learning from it leapt away from any picture")
    came = denoiser.card.provenance["result"]
    gain = 1 - came["held_out_l2"] / came["held_out_l2_at_first"]
    if gain < LEAST:
        made = f"not adapted: {came['steps']} steps on it made the weights"
        parts = "for the parts of it that were held out"
        if not came["best_step"]:
            return Adapted(None, f"{made} no better {parts}")
        few = f"and what is gained below {LEAST:.0%} is lost in the whole picture"
        return Adapted(None, f"{made} {gain:.1%} better {parts}, {few}")
    return Adapted(denoiser, f"adapted in {came['best_step']} of {came['steps']} steps")


def pairing(level: Level) -> str:
    """What finds two shots in one: of Gaussian noise at the full size, of any other at half."""
    return "neighbor2neighbor" if level.dependent else "recorrupted"


def cut(noisy: np.ndarray, level: Level) -> list[np.ndarray]:
    """Tiles (1, h, w, C) of all pages as the weights are to be shown them, float32."""
    unit = images.to_unit(noisy)
    if scale := shown(noisy, level):
        unit = scale.into(torch.from_numpy(unit)).numpy()
    rows, columns = (
        np.linspace(0, size, min(MOST, max(1, size // SIDE)) + 1).astype(int)
        for size in unit.shape[1:3]
    )
    return [
        page[None, top:bottom, left:right]
        for page in unit
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]
