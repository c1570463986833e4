"""One training step of the 991,203-parameter U-Net, batch 100 of 32×32 RGB; feeding; end PSNR.

The other: eager PyTorch, NCHW, float32, DataLoader (_plain.py). Same weights and batch size,
interleaved in one process, medians. Floor: 173,945 multiply-adds a pixel forward and twice that
backward, on 102,400 pixels: 107 GFLOP a step, of which ours needs 79 (128,015 a pixel).

End PSNR: both train 150 steps on the same frozen pairs (sigma 25/255, photographs of scikit-image),
three seeds, cosine, then denoise the same 200 held-out crops; neither clamped nor
rounded, pooled. Ends within ten minutes on 2 cores.
"""

import math

import numpy as np
import torch
from _plain import PlainTraining
from _rows import Row, amx, interleaved, milliseconds, show
from skimage import data
from torch import Tensor

from noisepair.learners import AutogradLearner
from noisepair.metrics import psnr_from_mse
from noisepair.models import NOISE2NOISE, Scale
from noisepair.noise import Gaussian
from noisepair.optim import cosine
from noisepair.pairs import Pairs
from noisepair.recipe import Recipe
from noisepair.sources import Scene

CPU = torch.device("cpu")
BATCH, SIDE, STEPS, SEEDS = 100, 32, 150, (0, 1, 2)
LR = 1e-3


def crops(names: tuple[str, ...], count: int, seed: int) -> Tensor:
    """Clean crops (count, 3, 32, 32) uint8 of scikit-image's photographs."""
    rng = np.random.default_rng(seed)
    pictures = [getattr(data, name)() for name in names]
    out = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for n in range(count):
        picture = pictures[n % len(pictures)]
        top, left = (rng.integers(0, size - SIDE + 1) for size in picture.shape[:2])
        out[n] = picture[top : top + SIDE, left : left + SIDE]
    return torch.from_numpy(out).permute(0, 3, 1, 2)


def shots(clean: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Two noisy shots, rounded to uint8 as cameras do (and clipped alike for both contenders)."""
    rng = torch.Generator().manual_seed(seed)
    unit = clean.float() / 255
    one, two = (
        (Gaussian(25 / 255)(unit, rng) * 255).round().clamp(0, 255).byte() for _ in range(2)
    )
    return one, two


def our_pairs(one: Tensor, two: Tensor, recipe: Recipe) -> Pairs:
    sides = [side.permute(0, 2, 3, 1).contiguous().numpy() for side in (one, two)]
    scenes = [
        Scene(f"{n}", (sides[0][n : n + 1], sides[1][n : n + 1]), ("one", "two"))
        for n in range(len(one))
    ]
    return Pairs(scenes, recipe, Scale(), CPU)


def speed(one: Tensor, two: Tensor) -> list[Row]:
    recipe = Recipe(steps=1, batch=BATCH, crop=SIDE, network=NOISE2NOISE)
    learner, pairs = AutogradLearner(recipe, 3, CPU), our_pairs(one, two, recipe)
    plain = PlainTraining(one, two, BATCH, LR)
    count = iter(range(10**9))
    exact = AutogradLearner(Recipe(steps=1, precision="float32", network=NOISE2NOISE), 3, CPU)
    taken = interleaved(
        {
            "plain": plain.step,
            "ours": lambda: learner.step(pairs.batch(next(count)), 0.5),
            "ours in float32": lambda: exact.step(pairs.batch(next(count)), 0.5),
            "feeding": lambda: pairs.batch(next(count)),
        },
        rounds=15,
    )
    times = {name: milliseconds(seconds) for name, seconds in taken.items()}
    wait = taken["feeding"] / taken["ours"]
    return [
        Row("training step, plain / ours", taken["plain"] / taken["ours"], "higher",
            3.5 if amx() else 1.25, times | {"precision": learner.precision}),
        Row("training step, plain / ours in float32", taken["plain"] / taken["ours in float32"],
            "higher", None),
        Row("waiting for data, share of a step", wait, "lower", 0.03),
    ]  # fmt: skip


def end_psnr(one: Tensor, two: Tensor) -> Row:
    """Mean squared error at the end of the same training, ours to plain; 0.03 dB are 1.0069."""
    clean = crops(("coffee", "cat"), 200, seed=9)
    noisy = shots(clean, seed=8)[0].float() / 255
    truth = clean.float() / 255
    ratios, ours_db, plain_db = [], [], []
    for seed in SEEDS:
        recipe = Recipe(
            steps=STEPS, batch=BATCH, crop=SIDE, lr=LR, seed=seed, augment=(), network=NOISE2NOISE
        )
        learner = AutogradLearner(recipe, 3, CPU)
        plain = PlainTraining(one, two, BATCH, LR, seed)
        plain.network.copy_weights(learner.network)
        pairs = our_pairs(one, two, recipe)
        for step in range(STEPS):
            learner.step(pairs.batch(step), step / STEPS)
            for group in plain.optimizer.param_groups:
                group["lr"] = LR * cosine(step / STEPS)
            plain.step()
        with torch.no_grad():
            errors = [
                float((out - truth).square().mean())
                for out in (learner.denoise(noisy), plain.network(noisy))
            ]
        ratios.append(errors[0] / errors[1])
        ours_db.append(round(psnr_from_mse(errors[0], 1.0), 3))
        plain_db.append(round(psnr_from_mse(errors[1], 1.0), 3))
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    difference = f"{-10 * math.log10(mean):+.3f} dB"
    return Row(
        f"squared error after {STEPS} steps, ours / plain, {len(SEEDS)} seeds", mean, "lower",
        10**0.003, {"ours": ours_db, "plain": plain_db, "PSNR difference": difference},
    )  # fmt: skip


if __name__ == "__main__":
    clean = crops(("astronaut", "rocket", "immunohistochemistry", "hubble_deep_field"), 5000, 0)
    pair = shots(clean, seed=1)
    show("Training step, 991,203 parameters, batch 100 of 32×32", [*speed(*pair), end_psnr(*pair)])
