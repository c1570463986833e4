"""What does a network score that has died, and outputs one colour?

    python studies/seeds/one_colour.py VAL [VAL …]

VAL holds noisy and clean pictures, as `noisepair evaluate` reads them. The best one colour is the
mean of all clean pictures; its PSNR, pooled and per image, stands beside that of the noisy ones.
Figures stand in docs/seeds/README.md.
"""

import sys
from pathlib import Path

import numpy as np

from noisepair.metrics import psnr_from_mse
from noisepair.sources import noisy_and_clean


def both(errors: np.ndarray) -> str:
    """Pooled and per image, of one mean squared error a picture."""
    each = [psnr_from_mse(error, 1.0) for error in errors]
    return f"{psnr_from_mse(errors.mean(), 1.0):6.2f} pooled  {np.mean(each):6.2f} per image"


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        noisy, clean = (side.astype(float) / 255 for side in noisy_and_clean(path))
        colour = clean.mean((0, 1, 2))
        for name, picture in (("noisy", noisy), ("one colour", colour)):
            print(f"{path.name}, {name}: {both(((clean - picture) ** 2).mean((1, 2, 3)))} dB")


if __name__ == "__main__":
    main()
