"""What `noisepair denoise` makes of real noise and of clean pictures: is any harmed?

    python benchmarks/real_noise.py

PolyU and confocal of NOISEPAIR_DATA/real against the mean of many shots, and the test sets of
NOISEPAIR_DATA/benchmark as they are against themselves; 8 bits in and out, as the command does it
with the bundled weights: noise measured, no more taken off. PSNR of each picture, range 255, whole.
A picture that comes back bit for bit counts as 99 dB.
"""

import os
from pathlib import Path

import numpy as np

from noisepair import images
from noisepair.blind import Blind
from noisepair.denoise import Denoiser
from noisepair.metrics import psnr

REAL = {"polyu": ("_real", "_mean"), "confocal": ("_noisy", "_mean")}
CLEAN = ("CBSD68", "Kodak24", "Set14", "BSD68", "Set12")
SAME, GENTLE = 99.0, 42.0  # dB: of no difference at all, and what a clean picture is to keep


def main() -> None:
    data = Path(os.environ["NOISEPAIR_DATA"])
    weights = {3: Blind(Denoiser.load("colour")), 1: Blind(Denoiser.load("grey"))}

    def done(pixels: np.ndarray) -> np.ndarray:
        return weights[pixels.shape[-1]].pages(pixels)[0]

    for name, (noisy_word, clean_word) in REAL.items():
        rows = []
        for path in sorted((data / "real" / name).iterdir()):
            if noisy_word not in path.name:
                continue
            noisy = images.read(path).pixels
            clean = images.read(path.with_name(path.name.replace(noisy_word, clean_word))).pixels
            rows.append([float(psnr(one, clean, data_range=255)) for one in (noisy, done(noisy))])
        before, after = np.array(rows).T
        print(
            f"{name}: {len(rows)} pictures, {before.mean():.2f} to {after.mean():.2f} dB, gains"
            f" {(after - before).min():+.2f} to {(after - before).max():+.2f} dB,"
            f" {(after < before).sum()} worse than before",
            flush=True,
        )
    for name in CLEAN:
        pictures = [images.read(path).pixels for path in images.find([data / "benchmark" / name])]
        kept = np.array([min(SAME, float(psnr(done(one), one, 255))) for one in pictures])
        print(
            f"{name}, clean: {len(kept)} pictures, mean {kept.mean():.1f} dB, lowest"
            f" {kept.min():.1f} dB, {(kept < GENTLE).sum()} below {GENTLE:.0f} dB",
            flush=True,
        )


if __name__ == "__main__":
    main()
