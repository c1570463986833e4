"""What `noisepair denoise` makes of real noise, against the mean of many shots: is any harmed?

PolyU and confocal of NOISEPAIR_DATA/real, 8 bits in and out, as the command line does it with the
bundled weights: noise measured, no more taken off. PSNR of each picture, range 255, whole.
"""

import os
from pathlib import Path

import numpy as np

from noisepair import images
from noisepair.blind import Blind
from noisepair.denoise import Denoiser
from noisepair.metrics import psnr

SETS = {"polyu": ("_real", "_mean"), "confocal": ("_noisy", "_mean")}


def main() -> None:
    weights = {3: Blind(Denoiser.load("colour")), 1: Blind(Denoiser.load("grey"))}
    for name, (noisy_word, clean_word) in SETS.items():
        rows = []
        for path in sorted((Path(os.environ["NOISEPAIR_DATA"]) / "real" / name).iterdir()):
            if noisy_word not in path.name:
                continue
            noisy = images.read(path).pixels
            clean = images.read(path.with_name(path.name.replace(noisy_word, clean_word))).pixels
            done, _ = weights[noisy.shape[-1]].pages(noisy)
            rows.append([float(psnr(one, clean, data_range=255)) for one in (noisy, done)])
        before, after = np.array(rows).T
        print(
            f"{name}: {len(rows)} pictures, {before.mean():.2f} to {after.mean():.2f} dB, gains"
            f" {(after - before).min():+.2f} to {(after - before).max():+.2f} dB,"
            f" {(after < before).sum()} worse than before"
        )


if __name__ == "__main__":
    main()
