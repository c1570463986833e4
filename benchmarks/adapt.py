"""What `noisepair denoise X --adapt 30s` gains on noise that the bundled weights were not made for.

    python benchmarks/adapt.py        three kinds of noise on four Kodak pictures, real shots
    python benchmarks/adapt.py --seconds 60 --every 3

Each picture is spoilt once (a generator seeded with its place in the set), written as floats,
neither clipped nor rounded, and denoised twice by the command itself: with the bundled weights as
they are, and with `--adapt`. What comes back is clipped to [0, 1] and compared with the clean
picture, PSNR over all planes, per picture; of point sampling the clean picture is the mean of each
cell, half as large. Real shots of a confocal microscope are compared with the mean of many.
Pictures come from benchmark/Kodak24 and real/confocal in the folder that NOISEPAIR_DATA names.

Aim: half a decibel, or the command says that it will not help. Results: docs/one-picture.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from _tables import table

from noisepair import images
from noisepair.metrics import psnr
from noisepair.noise import PointSampling, Poisson, Speckle

NOISES: dict[str, Poisson | Speckle | PointSampling] = {
    "Poisson, peak 5": Poisson(5.0),
    "speckle 0.3": Speckle(0.3),
    "point sampling, cells of 2×2": PointSampling(2),
}
REAL = "confocal, real"


def spoilt(picture: np.ndarray, name: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy and clean of a picture (H, W, 3) in [0, 1], frozen by its number, float32."""
    noise, whole = NOISES[name], torch.from_numpy(picture)
    rng = torch.Generator().manual_seed(number)
    return noise(whole, rng).numpy(), noise.clean(whole).numpy()


def denoised(picture: Path, out: Path, *more: str) -> tuple[np.ndarray, str]:
    """What the command makes of a file, and what it says of it last."""
    command = [sys.executable, "-m", "noisepair", "denoise", str(picture), "--out", str(out)]
    done = subprocess.run([*command, "--json", *more], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    (said,) = json.loads(done.stdout)["written"]
    return np.load(out / picture.name), said["notes"][-1]


def kodak(name: str, every: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Names, noisy and clean."""
    folder = Path(os.environ["NOISEPAIR_DATA"]) / "benchmark" / "Kodak24"
    for number, path in list(enumerate(images.find([str(folder)])))[::every]:
        picture = images.to_unit(images.read(path).pixels[0]).astype(np.float32)
        yield path.stem, *spoilt(picture, name, number)


def confocal() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Real shots, and the mean of many."""
    folder = Path(os.environ["NOISEPAIR_DATA"]) / "real" / "confocal"
    for path in sorted(folder.glob("*_noisy.tif")):
        mean = path.with_name(path.name.replace("_noisy", "_mean"))
        noisy, clean = (images.to_unit(images.read(one).pixels[0]) for one in (path, mean))
        yield path.stem, noisy.astype(np.float32)[..., 0], clean.astype(np.float32)[..., 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--every", type=int, default=6, help="each so manyth Kodak picture")
    parser.add_argument("--noises", nargs="+", choices=(*NOISES, REAL), default=(*NOISES, REAL))
    asked = parser.parse_args()
    rows = []
    for name in asked.noises:
        found = []
        for stem, noisy, clean in confocal() if name == REAL else kodak(name, asked.every):
            with tempfile.TemporaryDirectory() as work:
                file = Path(work) / "in" / f"{stem}.npy"
                file.parent.mkdir()
                np.save(file, noisy)
                before, _ = denoised(file, Path(work) / "a")
                after, said = denoised(file, Path(work) / "b", "--adapt", f"{asked.seconds}s")
            scores = [
                float(psnr(np.clip(one, 0, 1).astype(np.float64), clean.astype(np.float64), 1.0))
                for one in (noisy, before, after)
            ]
            print(f"{name}  {stem}  {scores}  {said}", flush=True)
            found.append((*scores, "not adapted" not in said))
        gains = [after - before for _, before, after, _ in found]
        rows.append(
            [name, *(f"{fmean(column):.2f}" for column in list(zip(*found, strict=True))[:3]),
             f"{fmean(gains):+.2f} ({min(gains):+.2f} to {max(gains):+.2f})",
             f"{sum(one[3] for one in found)} of {len(found)}"]
        )  # fmt: skip
    print(table(["noise", "noisy", "bundled", "adapted", "gain (range)", "adapted at all"], rows))


if __name__ == "__main__":
    main()
