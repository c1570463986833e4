"""How often `noisepair match` calls two pictures of different scenes a match.

    python benchmarks/match_alarms.py FOLDER… [--pairs N] [--sigma 25] [--ratio 0.9] [--model MODEL]

All pairs of the photographs in the folders, or N of them at random, as they are or with white
Gaussian noise of sigma grey levels, clipped and rounded to 8 bits: grey, 2,000 key points each,
found in the denoised picture where there is noise enough. No photograph may show the scene of
another. Printed for each geometry: the least log10 of the number of false alarms, for there the
verdict falls; how many pairs are called reliable; and for how many n_i > 8 + 0.3 n_f holds (Brown
and Lowe 2007, section 3.2), which is the usual rule.

Expected: none reliable, and the least number of false alarms far above the one that is asked for.
"""

import argparse
import itertools
import json
from pathlib import Path

import cv2
import numpy as np

from noisepair import images
from noisepair.descriptors.correspondence import SURE, correspond
from noisepair.descriptors.features import Features, features, opened
from noisepair.descriptors.two_views import MODELS

SEED = 0


def described(number: int, path: Path, sigma: float, model: str) -> Features:
    unit = images.to_unit(images.read(path).pixels[0])
    grey = 255 * (unit[..., 0] if unit.shape[-1] == 1 else unit @ (0.299, 0.587, 0.114))
    rng = np.random.default_rng([SEED, number, int(sigma)])
    noisy = np.rint(grey + rng.normal(0, sigma, grey.shape)).clip(0, 255).astype(np.uint8)
    return features(noisy, opened(model), denoise="auto" if sigma else "never")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--pairs", type=int, help="at random; all if left out")
    parser.add_argument("--sigma", type=float, default=0.0)
    parser.add_argument("--ratio", type=float, default=0.9)
    parser.add_argument("--model", default="rootsift")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    files = images.find(asked.folders)
    found = [described(n, path, asked.sigma, asked.model) for n, path in enumerate(files)]
    pairs = list(itertools.combinations(range(len(files)), 2))
    order = np.random.default_rng(SEED).permutation(len(pairs))[: asked.pairs]
    for kind in MODELS:
        least, sure, usual, counts = [], [], 0, []
        for one, two in (pairs[n] for n in order):
            came = correspond(found[one], found[two], ratio=asked.ratio, geometry=kind)
            counts.append(len(came.pairs))
            if came.geometry is None:
                continue
            least.append(came.geometry.false_alarms)
            usual += int(came.geometry.inliers.sum() > 8 + 0.3 * len(came.pairs))
            if came.reliable:
                sure.append(f"{files[one].name} {files[two].name}")
        line = {
            "geometry": kind, "sigma": asked.sigma, "ratio": asked.ratio, "model": asked.model,
            "pictures": len(files), "pairs": len(order), "matches": float(np.median(counts)),
            "least": [round(one, 1) for one in sorted(least)[:3]], "asked": SURE,
            "reliable": len(sure), "usual rule": usual, "which": sure,
        }  # fmt: skip
        print(json.dumps(line).replace("Infinity", "null"), flush=True)


if __name__ == "__main__":
    main()
