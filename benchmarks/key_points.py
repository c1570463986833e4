"""Right matches between noisy pictures: where denoising first pays, and which patches to describe.

Sequences as HPatches and Oxford have them (1.ppm … with H_1_2 …, img1.png … with H1to2p …): each
picture gets white Gaussian noise of its own, clipped and rounded to 8 bits; the 2,000 strongest key
points of the first and another, mutual nearest neighbours. A match is right within 3 pixels of
where the homography puts it. Mean over the pairs: right matches, their share of all, and all.

Expected: without noise the same with and without denoising; from 10/255 on more right ones in
denoised pictures. Regions of 7.5 and 9 are better than 5, all the more so the stronger the noise.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from noisepair.descriptors import Descriptor
from noisepair.descriptors import features as page
from noisepair.descriptors.features import Asked, Features
from noisepair.hpatches._scenes import Series, find, read, read_homography

NEAR = 3.0  # pixels
MOST = 2000
SIGMAS = (0, 5, 10, 15, 25, 50)
WAYS: Mapping[Asked, str] = {"never": "as it is", "always": "denoised"}
REGIONS = (5.0, 7.5, 9.0)


def all_ways(
    picture: np.ndarray, net: Descriptor | None, regions: tuple[float, ...]
) -> Mapping[str, Features]:
    """What is compared, by name: what describes, what is denoised, what patches are cut from."""
    found = {}
    for how, name in WAYS.items():
        looked = page.look(picture, "auto", how, "cpu")
        points = page.detect(looked.seen)  # strongest first
        few = points[:MOST]
        rows = page.rootsift(looked.seen, few)
        found[f"rootsift, {name}"] = page.told(few, rows, looked, "")
        for region in regions:
            few = page.whole(points, looked.seen, region)[:MOST]
            for patches, grey in {"noisy": looked.noisy, "denoised": looked.seen}.items():
                if net and (how == "always" or patches == "noisy"):
                    rows = page.described(grey, few, net, region, "cpu")
                    key = f"network, {name}, {patches} patches, region {region:g}"
                    found[key] = page.told(few, rows, looked, "")
    return found


def right(one: Features, two: Features, homography: np.ndarray) -> tuple[int, int]:
    """Matches that are right, and all."""
    matches = cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(one.vectors, two.vectors)
    here = np.array([one.xy[match.queryIdx] for match in matches], float)
    there = np.array([two.xy[match.trainIdx] for match in matches], float)
    expected = cv2.perspectiveTransform(here[:, None], homography)[:, 0]
    return int((np.hypot(*(expected - there).T) < NEAR).sum()), len(matches)


def noisy(picture: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.rint(picture + rng.normal(0, sigma, picture.shape)).clip(0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sequences", nargs="+", type=Path)
    parser.add_argument("--model", help="a descriptor; rootsift alone if left out")
    parser.add_argument("--sigmas", nargs="+", type=float, default=SIGMAS)
    parser.add_argument("--regions", nargs="+", type=float, default=REGIONS)
    parser.add_argument("--others", nargs="+", type=int, default=(2, 3), help="of 2 to 6")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    net = Descriptor.load(args.model) if args.model else None
    for sigma in args.sigmas:
        counts: dict[str, list[tuple[int, int]]] = {}
        for scene in find(args.sequences):
            assert isinstance(scene, Series)
            one, *others = (
                all_ways(noisy(read(scene.files[n - 1]), sigma, n), net, tuple(args.regions))
                for n in (1, *args.others)
            )
            for n, other in zip(args.others, others, strict=True):
                homography = read_homography(scene.homographies[n - 2])
                for name, features in one.items():
                    counts.setdefault(name, []).append(right(features, other[name], homography))
        for name, pairs in counts.items():
            good, every = np.mean(pairs, axis=0)
            share = np.mean([n / max(1, of) for n, of in pairs])
            line = {"sigma": sigma, "way": name, "right": good, "share": share, "of": every}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
