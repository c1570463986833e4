"""How far does a 10-minute budget on two CPU cores go on the EE-559 course's data?

    python studies/course.py FOLDER [--budget 10m] [--seeds 0 1 2]

FOLDER holds train_data.pkl (50,000 noisy pairs, 32×32 RGB) and val_data.pkl (1,000 with clean).
Training sees the noisy pairs alone, 2 % of them held out to choose the weights by. Scored on all of
val_data: whole pictures, rounded to 8 bits, value range 255, PSNR pooled and per image.
Measured figures stand in docs/results.md.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import noisepair
from noisepair.evaluate import evaluate


def pictures(path: Path) -> list[np.ndarray]:
    """Noisy and clean pictures (N, 32, 32, 3), read as tensors only."""
    pair = torch.load(path, weights_only=True)
    return [np.ascontiguousarray(side.permute(0, 2, 3, 1).numpy()) for side in pair]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    noisy, clean = pictures(args.folder / "val_data.pkl")
    for seed in args.seeds:
        recipe = noisepair.Recipe(budget=args.budget, seed=seed, holdout=0.02)
        denoiser = noisepair.train(args.folder / "train_data.pkl", recipe=recipe)
        done = denoiser(noisy, channel_axis=-1)
        scores = evaluate(list(noisy), list(clean), list(done)).summary()
        run = denoiser.card.provenance["result"]
        print(json.dumps({"seed": seed, **scores, "steps": run["steps"], "seconds": run["seconds"],
                          "estimated_gain_db": run["gain_db"]}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
