"""Why does report 001 get 15.99 dB with batch norm, and 24.31 dB with one convolution a level?

    python studies/seeds/why_batch_norm.py FOLDER [--steps 400] [--seeds 0 1 2]

A guess that fits all its rows: one batch-norm layer for both convolutions of a level. In training
it uses the batch's own mean and deviation and nothing is wrong; its running mean and deviation,
which replace them in use, are those of two kinds of features mixed. With one convolution a level
there is nothing to mix. Here the same network is trained both ways, and scored both ways. FOLDER
holds the stand-in of the course's data. Figures stand in docs/seeds/README.md.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from noisepair.learners import AutogradLearner
from noisepair.models import PRESETS, Scale, UNet, UNetModule
from noisepair.models.unet import Conv, UpConv
from noisepair.pairs import Pairs
from noisepair.recipe import Recipe
from noisepair.sources import noisy_and_clean, open_source

CPU = torch.device("cpu")


def share_norms(network: nn.Module) -> None:
    """One batch-norm layer a level, wherever two convolutions of a level are equally wide."""
    assert isinstance(network, UNetModule)
    levels = [*network.encode, network.bottom]
    groups = [list(level.modules()) for level in (*levels, *network.decode)]
    for group in groups:
        first, *others = [conv for conv in group if isinstance(conv, Conv | UpConv)]
        for conv in others:
            conv.finish.norm = first.finish.norm


def psnr(denoised: Tensor, clean: Tensor) -> float:
    """Per image, then the mean; in 8 bits."""
    error = (denoised.clamp(0, 1).mul(255).round() / 255 - clean).square().flatten(1).mean(1)
    return float((-10 * error.log10()).mean())


@torch.no_grad()
def scored(network: nn.Module, noisy: Tensor, clean: Tensor, *, batch_statistics: bool) -> float:
    """With the running statistics as one uses a network, or with those of each batch of 50."""
    network.train(batch_statistics)
    out = torch.cat([network(part) for part in noisy.split(50)])
    return psnr(out, clean)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    small = PRESETS["small-unet"]
    assert isinstance(small, UNet)
    settings = {**vars(small), "convs": 2, "head": (16, 16), "norm": "batch"}
    source = open_source(args.folder / "train_data.pkl")
    pages = [np.ascontiguousarray(side) for side in noisy_and_clean(args.folder / "val_data.pkl")]
    noisy, clean = (torch.from_numpy(side).permute(0, 3, 1, 2).float() / 255 for side in pages)
    print("seed  batch norm          in use   with the batch's own statistics")
    for seed in args.seeds:
        for shared in (False, True):
            recipe = Recipe.of({
                "network": settings, "optimizer": "sgd", "optimizer.nesterov": False, "lr": 0.01,
                "schedule": "constant", "batch": 50, "crop": 32, "augment": ["exchange"],
                "steps": args.steps, "seed": seed, "precision": "float32",
            })  # fmt: skip
            learner = AutogradLearner(recipe, 3, CPU)
            if shared:
                share_norms(learner.network)
            pairs = Pairs(source.scenes, recipe, Scale(), CPU)
            for step in range(args.steps):
                learner.step(pairs.batch(step), step / args.steps)
            network = learner.network
            use = scored(network, noisy, clean, batch_statistics=False)
            own = scored(network, noisy, clean, batch_statistics=True)
            name = "one for both" if shared else "one for each"
            print(f"{seed:4}  {name:14}  {use:7.2f} dB  {own:7.2f} dB", flush=True)


if __name__ == "__main__":
    main()
