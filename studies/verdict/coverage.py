"""Do the 95 % intervals hold the truth 95 times in 100? 400 trials of each kind.

    python studies/verdict/coverage.py MODEL OUT

*Of these pictures*: four crops of CBSD68 of 128 pixels, new noise in each trial; the truth is their
error, averaged over the noise of all trials. *Of scenes like these*: in each trial 50 crops
of 64 pixels, drawn anew out of 480 of BSDS500 (test) and Kodak24, with new noise; the truth is the
error over all 480. Needs NOISEPAIR_DATA; models as in truth.py. No trial sees a clean picture.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from _pictures import as_seen, decibel, models, pictures, scenes, table, write

from noisepair.noise import Gaussian, Noise, Poisson
from noisepair.verdict import TILE, error_maps, figures, summed, taken, units

TRIALS = 400
NOISES: dict[str, Noise] = {"Gaussian 25/255": Gaussian(25 / 255), "Poisson, peak 20": Poisson(20)}


def main(model: Path, out: Path) -> None:
    few: list[np.ndarray] = pictures("benchmark/CBSD68", 4, 128)
    large = [*pictures("train/BSDS500/test", 200), *pictures("benchmark/Kodak24", 24)]
    rng = np.random.default_rng(0)
    many = [crop(large[n % len(large)], rng) for n in range(480)]
    rows: list[list[Any]] = []
    for noise_name, noise in NOISES.items():
        for model_name, denoise in models(model).items():
            for of, clean, each in (("these pictures", few, 4), ("scenes like these", many, 50)):
                rows.append([noise_name, model_name, of, *trials(clean, each, noise, denoise)])
                print(rows[-1], flush=True)
    words = [[*r[:3], *(f"{100 * v:.1f} %" for v in r[3:6]), f"{r[6]:.3f}"] for r in rows]
    header = ["noise", "model", "interval of", "noisy", "denoised", "gain", "its width, dB"]
    write(out / "coverage", table(header, words), rows)


def crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    top, left = (int(rng.integers(0, size - 63)) for size in picture.shape[1:3])
    return picture[:, top : top + 64, left : left + 64]


def trials(clean: list[np.ndarray], each: int, noise: Noise, denoise) -> tuple[float, ...]:  # type: ignore[no-untyped-def]
    """How often the three intervals hold the truth, and how wide that of the denoised PSNR is."""
    rng, found = np.random.default_rng(1), []
    truth = as_seen(clean, noise)
    errors: list[list[float]] = []
    for trial in range(TRIALS):
        of_scenes = each != len(clean)
        chosen = rng.integers(0, len(clean), each) if of_scenes else np.arange(each)
        source = scenes([clean[n] for n in chosen], noise, seed=trial)
        sums = []
        for n, scene in zip(chosen, source.scenes, strict=True):
            [shots] = taken(scene, denoise)
            sums.append(summed(error_maps(shots), TILE))
            pairs = zip(shots.noisy, shots.denoised, strict=True)
            squares = [[np.square(one - truth[n][0]).mean() for one in pair] for pair in pairs]
            errors.append([float(n), *np.mean(squares, 0)])
        found.append(figures(units(sums), of_scenes=of_scenes))
    table = np.array(errors)
    by_scene = np.array([table[table[:, 0] == n, 1:].mean(0) for n in np.unique(table[:, 0])])
    before, after = (decibel(v) for v in by_scene.mean(0))
    truths = (before, after, after - before)
    covered = np.array(
        [[t in one for t, one in zip(truths, three, strict=True)] for three in found]
    )
    width = float(np.mean([three[1].high - three[1].low for three in found]))
    return (*(float(v) for v in covered.mean(0)), width)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
