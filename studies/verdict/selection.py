"""Choosing a checkpoint by noisy pairs: what is lost against choosing by clean pictures?

    python studies/verdict/selection.py OUT

20 checkpoints of a run at a learning rate that does not fade (so that they differ), for three
noises and three seeds; trained on BSDS500 (train), judged on 24 pictures of its val set, 192×192.
The pick by noisy pairs is the checkpoint of the highest estimated PSNR; lost is the true PSNR of
the best checkpoint less that of the pick. Needs NOISEPAIR_DATA.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from _pictures import DATA, decibel, pictures, scenes, table, write

from noisepair import Denoiser, Recipe, checkpoint, train
from noisepair.noise import Gaussian, Noise, Poisson
from noisepair.sources import Source
from noisepair.verdict import TILE, error_maps, summed, taken, units

NOISES: dict[str, Noise] = {
    "Gaussian 25/255": Gaussian(25 / 255), "Gaussian 50/255": Gaussian(50 / 255),
    "Poisson, peak 30": Poisson(30),
}  # fmt: skip


def judge(source: Source, clean: list[np.ndarray], denoiser: Denoiser) -> dict[str, float]:
    """PSNR by noisy pairs, and by clean pictures."""
    sums, errors = [], []
    for scene, truth in zip(source.scenes, clean, strict=True):
        [shots] = taken(scene, denoiser.pages)
        sums.append(summed(error_maps(shots), TILE))
        errors.append(np.mean([np.square(one - truth[0]).mean() for one in shots.denoised]))
    return {
        "estimated": units(sums).psnr(1, of_scenes=False).value,
        "true": decibel(float(np.mean(errors))),
    }


def main(out: Path) -> None:
    clean = pictures("train/BSDS500/val", 24, 192)
    rows = []
    for name, noise in NOISES.items():
        for seed in range(3):
            source = scenes(clean, noise, seed=100 + seed)
            lines = {"noise": noise, "steps": 800, "validations": 20, "schedule": "constant",
                     "lr": 0.006, "seed": seed}  # fmt: skip

            def score(denoiser: Denoiser, source: Source = source) -> Mapping[str, float]:
                return judge(source, clean, denoiser)

            folder = out / "runs" / f"{noise.kind}-{name.split()[-1].replace('/', '-')}-{seed}"
            if not (folder / checkpoint.SEEN).exists():
                train(DATA / "train" / "BSDS500" / "train", out=folder, score=score,
                      recipe=Recipe(**lines))  # type: ignore[arg-type]  # fmt: skip
            history = [line["scores"] for line in checkpoint.read_history(folder)][1:]
            true = np.array([line["true"] for line in history])
            pick = int(np.argmax([line["estimated"] for line in history]))
            rows.append([name, seed, len(history), float(true.min()), float(true.max()),
                         float(true.max() - true[pick])])  # fmt: skip
            print(rows[-1], flush=True)
    words = [[*r[:3], f"{r[3]:.2f} to {r[4]:.2f}", f"{r[5]:.3f}"] for r in rows]
    header = ["noise", "seed", "checkpoints", "their true PSNR, dB", "lost by the pick, dB"]
    write(out / "selection", table(header, words), rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
