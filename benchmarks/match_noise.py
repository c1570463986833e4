"""Matching under noise: corner error and inliers of RootSIFT and of ours (docs/descriptors.md).

    python benchmarks/match_noise.py                            RootSIFT's rows that are lacking
    python benchmarks/match_noise.py --model MODEL              ours too
    python benchmarks/match_noise.py --table                    print the tables, match nothing
    python benchmarks/match_noise.py --write docs/descriptors.md   put the first into a page

Pairs 1-2 to 1-6 of two sequences with known homographies, Oxford's graf and HPatches' churchill,
from the folder that NOISEPAIR_DATA names. Pictures are made grey, then get white Gaussian noise of
sigma grey levels, each its own (numpy's default_rng([seed, sequence, picture, sigma])), and are
clipped and rounded to 8 bits, so that every method sees the same pixels. All methods: 2,000 key
points, mutual nearest neighbours with one ratio, a homography, as `noisepair match` does it.

    RootSIFT             OpenCV's, on the noisy picture
    RootSIFT, NLM        after OpenCV's fastNlMeansDenoising, whose strength h is that of 0.8, 1 and
                         1.2 sigma which comes nearest to the clean picture: it is told what no user
                         knows
    RootSIFT, noisepair  as `noisepair match --model rootsift`: the noise measured, the picture
                         denoised if there is enough
    ours                 as `noisepair match`: the same, patches from the noisy picture

A pair counts as found where the match is called reliable. Corner error: mean distance of the four
corners of the first picture from where they belong in the second, pixels. AUC at 5 pixels: mean of
1 − error / 5, 0 beyond and where nothing is found. Right: matches of all that were kept within 3
pixels of the truth, mean of both pictures, whatever the homography.

Expected: without noise all methods nearly alike; from sigma 15 on more right matches and a larger
area after denoising.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from _scores import Line, append, lock, mean, read
from _tables import put, table

from noisepair import checkpoint
from noisepair.descriptors.correspondence import RATIO, THRESHOLD, correspond
from noisepair.descriptors.descriptor import located
from noisepair.descriptors.features import Describe, Features, features, opened
from noisepair.descriptors.two_views import corner_error, homography_errors
from noisepair.errors import InputError, choose
from noisepair.files import write
from noisepair.hpatches import _scenes

SCORES = Path("docs/descriptors/match_scores.jsonl")
SEQUENCES = ("graf", "v_churchill")  # a number in it seeds the noise, so the order stays
SIGMAS = (0, 5, 15, 25, 35, 50)
OURS = "ours"
NEAR, LOST = 5.0, 100.0  # pixels
STRENGTHS = (0.8, 1.0, 1.2)  # of NLM, times sigma

Grey = np.ndarray  # (H, W) uint8
Way = Callable[[Grey, Grey, int], Features]  # noisy, clean, sigma
Key = tuple[str, int, int, int, float, str]


def plainly(noisy: Grey, clean: Grey, sigma: int) -> Features:
    return features(noisy, "rootsift", denoise="never")


def after_nlm(noisy: Grey, clean: Grey, sigma: int) -> Features:
    if not sigma:
        return plainly(noisy, clean, sigma)
    tried = [cv2.fastNlMeansDenoising(noisy, None, share * sigma) for share in STRENGTHS]
    best = min(tried, key=lambda one: np.square(one.astype(float) - clean).mean())
    return features(best, "rootsift", denoise="never")


def after_noisepair(noisy: Grey, clean: Grey, sigma: int) -> Features:
    return features(noisy, "rootsift")


def by_ours(
    noisy: Grey, clean: Grey, sigma: int, *, descriptor: Describe | Literal["rootsift"]
) -> Features:
    return features(noisy, descriptor)


WAYS: Mapping[str, Way] = {
    "RootSIFT": plainly,
    "RootSIFT, NLM": after_nlm,
    "RootSIFT, noisepair": after_noisepair,
}


def key(line: Line) -> Key:
    return tuple(line[name] for name in ("set", "other", "sigma", "seed", "ratio", "method"))


def sequence(name: str) -> tuple[list[Grey], list[np.ndarray]]:
    """Six grey pictures, and five homographies from the first."""
    if "NOISEPAIR_DATA" not in os.environ:
        raise InputError("NOISEPAIR_DATA is not set. Let it name the folder of test pictures.")
    [scene] = _scenes.find([Path(os.environ["NOISEPAIR_DATA"]) / "sequences" / name])
    assert isinstance(scene, _scenes.Series)
    pictures = [_scenes.grey(_scenes.read(path)) for path in scene.files]
    return pictures, [_scenes.read_homography(path) for path in scene.homographies]


def noisy(clean: Grey, *seeds: int) -> Grey:
    """The last seed is sigma."""
    rng = np.random.default_rng(seeds)
    return np.rint(clean + rng.normal(0, seeds[-1], clean.shape)).clip(0, 255).astype(np.uint8)


def scored(
    name: str, sigma: int, seed: int, ratio: float, way: Way
) -> Iterator[dict[str, float | int | bool | None]]:
    """The five pairs of a sequence under noise, in order."""
    pictures, truths = sequence(name)
    number = SEQUENCES.index(name)
    found = [
        way(noisy(clean, seed, number, shot, sigma), clean, sigma)
        for shot, clean in enumerate(pictures)
    ]
    for two, truth in zip(found[1:], truths, strict=True):
        came = correspond(found[0], two, ratio=ratio, geometry="homography")
        here, there = (
            one.xy[came.pairs[:, n]].astype(float) for n, one in ((0, found[0]), (1, two))
        )
        best = came.geometry
        known = best is not None and came.reliable
        error = corner_error(best.matrix, truth, found[0].size) if best and known else None
        yield {
            "matches": len(came.pairs),
            "right": int((homography_errors(truth, here, there) <= THRESHOLD).sum()),
            "inliers": int(best.inliers.sum()) if best and known else 0,
            "reliable": known,
            "corner_error": None if error is None else round(error, 3),
        }


def run(asked: argparse.Namespace, ways: Mapping[str, Way], by: Mapping[str, str]) -> None:
    """Match what is not matched yet."""
    done = settle(asked.scores, by)
    for seed in range(asked.seeds):
        for sigma in asked.sigmas:
            for name in SEQUENCES:
                for method, way in ways.items():
                    keys = [(name, o, sigma, seed, asked.ratio, method) for o in range(2, 7)]
                    if done.issuperset(keys):
                        continue
                    lines = scored(name, sigma, seed, asked.ratio, way)
                    for other, line in zip(range(2, 7), lines, strict=True):
                        head = {
                            "set": name, "other": other, "sigma": sigma, "seed": seed,
                            "ratio": asked.ratio, "method": method, "by": by[method],
                        }  # fmt: skip
                        append(asked.scores, {**head, **line})
                    print(f"{name}, sigma {sigma}, seed {seed}: {method}", flush=True)


def settle(path: Path, by: Mapping[str, str]) -> set[Key]:
    """What is known already; lines of other weights, and those that are there twice, go."""
    with lock(path):
        kept = {
            key(line): line
            for line in read(path)
            if line["by"] == by.get(line["method"], line["by"])
        }
        if path.exists():
            write(path, "".join(json.dumps(line) + "\n" for line in kept.values()).encode())
    return set(kept)


# — tables —


def summary(lines: Sequence[Line], ratio: float) -> str:
    """A row a sigma and method, over all pairs."""
    lines = [line for line in lines if line["ratio"] == ratio]
    if not lines:
        raise InputError(
            f"No pair was matched with ratio {ratio:g} yet. Run without --table first."
        )
    rows = []
    for sigma in sorted({line["sigma"] for line in lines}):
        for method in methods(lines):
            some = [x for x in lines if (x["sigma"], x["method"]) == (sigma, method)]
            if some:
                rows.append([str(sigma), called(method), *figures(some)])
    head = ["sigma", "", "pairs", "found", "within 3 px", "within 5 px", "AUC at 5 px", "inliers",
            "right"]  # fmt: skip
    return f"{made(lines)}\n\n{table(head, rows)}\n\n{usual_rule(lines)}"


def usual_rule(lines: Sequence[Line]) -> str:
    """What Brown and Lowe's verdict would have been of matches that are right."""
    right = [line for line in lines if line["reliable"] and line["corner_error"] <= NEAR]
    refused = sum(line["inliers"] <= 8 + 0.3 * line["matches"] for line in right)
    wrong = sum(line["reliable"] and line["corner_error"] > LOST for line in lines)
    return (
        f"n_i > 8 + 0.3 n_f refuses {refused} of the {len(right)} that are within 5 pixels. Called"
        f" reliable with a corner error above {LOST:g} pixels: {wrong}."
    )


def figures(lines: Sequence[Line]) -> list[str]:
    errors = [line["corner_error"] if line["reliable"] else np.inf for line in lines]
    area = mean(max(0.0, 1 - error / NEAR) for error in errors)
    within = [sum(error <= most for error in errors) for most in (3, NEAR)]
    return [
        str(len(lines)), str(sum(line["reliable"] for line in lines)), *map(str, within),
        f"{area:.3f}", f"{mean(x['inliers'] for x in lines):.0f}",
        f"{mean(x['right'] for x in lines):.0f}",
    ]  # fmt: skip


def details(lines: Sequence[Line], ratio: float) -> str:
    """A row a pair and method: corner error (inliers), the mean over seeds, a column a sigma."""
    lines = [line for line in lines if line["ratio"] == ratio]
    sigmas = sorted({line["sigma"] for line in lines})
    rows = []
    for name in SEQUENCES:
        for other in range(2, 7):
            for method in methods(lines):
                of = [
                    x for x in lines if (x["set"], x["other"], x["method"]) == (name, other, method)
                ]
                cells = [cell([x for x in of if x["sigma"] == sigma]) for sigma in sigmas]
                rows.append([f"{name} 1-{other}", called(method), *cells])
    return table(["pair", "", *map(str, sigmas)], rows)


def cell(lines: Sequence[Line]) -> str:
    found = [line for line in lines if line["reliable"]]
    if not found:
        return "–"
    share = f", {len(found)} of {len(lines)}" if len(found) < len(lines) else ""
    error, inliers = (mean(x[name] for x in found) for name in ("corner_error", "inliers"))
    return f"{error:.1f} ({inliers:.0f}{share})"


def methods(lines: Sequence[Line]) -> list[str]:
    there = {line["method"] for line in lines}
    return [method for method in (*WAYS, OURS) if method in there]


def called(method: str) -> str:
    return f"**{method}**" if method == OURS else method


def made(lines: Sequence[Line]) -> str:
    """By what and when."""
    by = "; ".join(sorted({f"{line['method']}: {line['by']}" for line in lines}))
    seeds = len({line["seed"] for line in lines})
    return f"{date.today()}; {by}; ratio {lines[0]['ratio']:g}; noise drawn {seeds} times."


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", help="a descriptor: a folder, a file, a name of bundled ones")
    parser.add_argument("--methods", nargs="+", default=list(WAYS), metavar="METHOD")
    parser.add_argument("--sigmas", nargs="+", type=int, default=list(SIGMAS), metavar="SIGMA")
    parser.add_argument("--seeds", type=int, default=1, help="so many draws of the noise")
    parser.add_argument("--ratio", type=float, default=RATIO)
    parser.add_argument("--scores", type=Path, default=SCORES, metavar="FILE")
    parser.add_argument("--table", action="store_true", help="print the tables, match nothing")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the first into a page")
    asked = parser.parse_args()
    for method in asked.methods:
        choose("method", method, WAYS)
    return asked


def digest(path: Path) -> str:
    """Of the weights alone: a card may be reworded."""
    path = path / checkpoint.WEIGHTS if path.is_dir() else path
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def main() -> None:
    asked = arguments()
    if asked.table or asked.write:
        lines = read(asked.scores)
        if asked.write:
            put(asked.write, "matches", summary(lines, asked.ratio))
        else:
            print(summary(lines, asked.ratio), details(lines, asked.ratio), sep="\n\n")
        return
    torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1"))))
    cv2.setNumThreads(1)
    ways = {method: WAYS[method] for method in asked.methods}
    denoiser = f"denoiser {digest(checkpoint.located('grey'))}"
    by = dict.fromkeys(ways, f"OpenCV {cv2.__version__}")
    by["RootSIFT, noisepair"] = denoiser
    if asked.model:
        ways[OURS] = partial(by_ours, descriptor=opened(asked.model))
        by[OURS] = f"{digest(located(asked.model))}, {denoiser}"
    run(asked, ways, by)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"match_noise.py: {error}")
