"""What a model took away: is it noise? For pictures without a clean reference.

    python studies/residual.py NOISY_FOLDER DENOISED_FOLDER

For each grey picture, noisy − denoised: mean and standard deviation in grey levels, autocorrelation
at lag one along rows and columns, and correlation with the residual of the next picture. Structure
that was taken away with the noise would show as correlation. Figures stand in docs/results.md.
"""

import sys
from pathlib import Path

import numpy as np

from noisepair import images


def residuals(noisy: Path, denoised: Path) -> list[np.ndarray]:
    """One (H, W) difference a picture, in the order of their names."""
    return [
        images.read(path).pixels[0, ..., 0].astype(float)
        - images.read(denoised / path.name).pixels[0, ..., 0]
        for path in images.find([noisy])
    ]


def lag_one(residual: np.ndarray, axis: int) -> float:
    """Correlation of neighbours along an axis."""
    one, two = (np.delete(residual, end, axis).ravel() for end in (0, -1))
    return float(np.corrcoef(one, two)[0, 1])


def main() -> None:
    noisy, denoised = map(Path, sys.argv[1:3])
    every = residuals(noisy, denoised)
    print("picture  mean    std     lag 1 along rows  along columns  with the next picture")
    for n, residual in enumerate(every):
        rows, columns = lag_one(residual, 1), lag_one(residual, 0)
        after = every[n + 1 : n + 2]
        shared = [f"{np.corrcoef(residual.ravel(), one.ravel())[0, 1]:.3f}" for one in after]
        moments = f"{n:7}  {residual.mean():6.3f}  {residual.std():6.2f}"
        print(f"{moments}  {rows:16.3f}  {columns:13.3f}  {''.join(shared) or '–'}")


if __name__ == "__main__":
    main()
