"""Memory to denoise a 100-megapixel RGB picture (10,000×10,000, uint8) with the 991k U-Net.

The command `noisepair denoise` runs in a process of its own on an uncompressed TIFF; its peak
resident memory, less input and output (300 MB each), is compared with 1 GiB. Everything counts:
Python, torch, weights, tiles. Ends within ten minutes on 2 cores.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import torch
from _rows import Row, show

from noisepair import checkpoint
from noisepair.checkpoint import Card
from noisepair.models import NOISE2NOISE, Scale
from noisepair.recipe import Recipe

SIDE = 10_000


def write_model(folder: Path) -> None:
    """Untrained weights: memory and time do not know the difference."""
    checkpoint.create(folder)
    checkpoint.write_card(folder, Card(Recipe(steps=1, network=NOISE2NOISE), 3, Scale(), {}))
    torch.manual_seed(0)
    checkpoint.save_tensors(folder / checkpoint.WEIGHTS, NOISE2NOISE(3).state_dict(), {})


def write_picture(path: Path) -> None:
    """Noise row by row: this process must stay small, its children's peak is what is read."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (SIDE // 100, SIDE, 3), dtype=np.uint8)
    with tifffile.TiffWriter(path) as file:
        strips = (rows for _ in range(100))
        file.write(strips, shape=(SIDE, SIDE, 3), dtype=np.uint8, photometric="rgb",
                   rowsperstrip=SIDE // 100)  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model")
        write_picture(folder / "big.tif")
        command = [sys.executable, "-m", "noisepair", "denoise", str(folder / "big.tif"),
                   "--model", str(folder / "model"), "--out", str(folder / "out"),
                   "--device", "cpu", "--quiet"]  # fmt: skip
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    over = peak - 2 * 3 * SIDE**2
    more = {"peak": f"{peak / 2**30:.2f} GiB", "over input and output": f"{over / 2**30:.2f} GiB",
            "seconds": round(seconds), "MPix/s": round(SIDE**2 / 1e6 / seconds, 2)}  # fmt: skip
    show(
        "100 megapixels",
        [Row("peak over input and output / 1 GiB", over / 2**30, "lower", 1.0, more)],
    )


if __name__ == "__main__":
    main()
