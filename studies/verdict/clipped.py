"""Clipped noise: does l1 undo what l2 learns wrong, as `noisepair check` advises?

    python studies/verdict/clipped.py OUT

60 pictures of BSDS500 (train), Gaussian noise of 50/255, frozen, cut off at 0 and 1, two shots of
each; 700 steps of the default recipe with l2 and with l1, two seeds. Scored on 30 of CBSD68
with such noise: PSNR pooled, value range 1, and the mean error in the dark (clean below 0.08), the
bright (above 0.92) and the middle. Needs NOISEPAIR_DATA.
"""

import sys
from pathlib import Path

import numpy as np
from _pictures import decibel, pictures, table, write

from noisepair import Recipe, train


def main(out: Path) -> None:
    rng = np.random.default_rng(0)

    def noisy(clean: np.ndarray) -> np.ndarray:
        return np.clip(clean + 50 / 255 * rng.normal(size=clean.shape), 0, 1).astype(np.float32)

    taught, clean = (
        lying(pictures(*of)) for of in (("train/BSDS500/train", 60), ("benchmark/CBSD68", 30))
    )
    first, second, shots = noisy(taught), noisy(taught), noisy(clean)
    places = {"dark": clean < 0.08, "bright": clean > 0.92, "middle": abs(clean - 0.5) < 0.1}
    rows = []
    for seed in (0, 1):
        for loss in ("l2", "l1"):
            denoiser = train(first, second, recipe=Recipe(loss=loss, steps=700, seed=seed))
            error = denoiser.pages(shots) - clean
            bias = [float(error[place].mean()) for place in places.values()]
            rows.append([loss, seed, decibel(float(np.mean(np.square(error)))), *bias])
            print(rows[-1], flush=True)
    words = [[*r[:2], f"{r[2]:.2f}", *(f"{b:+.3f}" for b in r[3:])] for r in rows]
    write(out / "clipped", table(["loss", "seed", "PSNR, dB", *places], words), rows)


def lying(found: list[np.ndarray]) -> np.ndarray:
    """All pictures with the long side across, (N, H, W, 3)."""
    turned = (one if one.shape[1] < one.shape[2] else one.transpose(0, 2, 1, 3) for one in found)
    return np.concatenate(list(turned))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
