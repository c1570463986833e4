"""PSNR from one noisy picture alone: a network of its own for each, begun with drawn weights.

    python benchmarks/one_picture.py                         measure what is not measured yet
    python benchmarks/one_picture.py --pairs zero-shot       of one pairing
    python benchmarks/one_picture.py --steps 1200            on a busy machine: no clock
    python benchmarks/one_picture.py --pictures kodim23      of one picture
    python benchmarks/one_picture.py --from MODEL            begun with a model's weights
    python benchmarks/one_picture.py --bundled               nothing trained: noisepair.denoise
    python benchmarks/one_picture.py --table                 print what is there
    python benchmarks/one_picture.py --json                  … for a program

Pictures come from benchmark/Kodak24 in the folder that NOISEPAIR_DATA names. A line a picture is
added to docs/one-picture/kodak24.jsonl as soon as it is known, and a picture that has a line is not
trained on again.

Protocol, that of the zero-shot papers (Mansour and Heckel 2023 and after): the middle 256×256 of
each Kodak picture, in colour; white Gaussian noise of 25/255, drawn once by numpy's
default_rng([25, number of the picture]) in float64, so it is frozen; noisy values neither clipped
nor rounded; denoised ones clipped to [0, 1] and not rounded; PSNR with range 1 over all planes;
their mean. Nothing is told of the noise. "average" is over eight flips and quarter turns
(`noisepair denoise --average`). Seconds are those of training; `cpu_seconds` are what the process
took of all cores, which is what to compare where other programs run. Of the bundled weights: those
of a call of noisepair.denoise that has been made before, so weights and runtime are there.

Published for this protocol, without weights of their own: ZS-N2N 29.07, Pixel2Pixel 29.31, ZS-HPD
29.88 dB, about a minute each on a CPU (figures of the ZS-HPD paper; not run here).
"""

import argparse
import json
import os
import time
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from weights import digest

import noisepair
from noisepair import checkpoint, hardware, images
from noisepair.blind import Blind
from noisepair.denoise import Denoiser
from noisepair.metrics import psnr
from noisepair.recipe import Recipe
from noisepair.train import train

LINES = Path("docs/one-picture/kodak24.jsonl")
PAIRS = ("recorrupted", "neighbor2neighbor", "zero-shot", "noise2void")
SIDE, SIGMA = 256, 25
Line = dict[str, Any]


def crops() -> dict[str, np.ndarray]:
    """The middle of each picture, (256, 256, 3), float64 in [0, 1]."""
    folder = Path(os.environ["NOISEPAIR_DATA"]) / "benchmark" / "Kodak24"
    found = {}
    for path in images.find([folder]):
        picture = images.to_unit(images.read(path).pixels[0]).astype(np.float64)
        top, left = ((side - SIDE) // 2 for side in picture.shape[:2])
        found[path.stem] = picture[top : top + SIDE, left : left + SIDE]
    return found


def spoilt(clean: np.ndarray, number: int) -> np.ndarray:
    """The frozen noisy picture, float32."""
    noise = np.random.default_rng([SIGMA, number]).normal(0, SIGMA / 255, clean.shape)
    return (clean + noise).astype(np.float32)


def measured(clean: np.ndarray, noisy: np.ndarray, recipe: Recipe, begin: str | None) -> Line:
    """Train on one picture, denoise it, look at the clean one."""
    began, spent = time.perf_counter(), time.process_time()
    denoiser = train(noisy, recipe=recipe, begin=begin)
    took = {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - spent, 1),
        "steps": denoiser.card.provenance["result"]["steps"],
    }
    once = denoiser(noisy, channel_axis=-1)
    denoiser.average = True
    scores = {"noisy": noisy, "once": once, "average": denoiser(noisy, channel_axis=-1)}
    return {name: round(scored(one, clean), 4) for name, one in scores.items()} | took


def bundled(clean: np.ndarray, noisy: np.ndarray) -> Line:
    """What the weights that come with noisepair make of it; nothing is trained."""
    noisepair.denoise(noisy, channel_axis=-1)
    began, spent = time.perf_counter(), time.process_time()
    once = noisepair.denoise(noisy, channel_axis=-1)
    took = {
        "seconds": round(time.perf_counter() - began, 2),
        "cpu_seconds": round(time.process_time() - spent, 2),
        "steps": 0,
    }
    mean = Blind(Denoiser.load("colour", average=True))
    mean.pages(noisy[None])
    began = time.perf_counter()
    scores = {"noisy": noisy, "once": once, "average": mean.pages(noisy[None])[0][0]}
    took["average_seconds"] = round(time.perf_counter() - began, 2)
    return {name: round(scored(one, clean), 4) for name, one in scores.items()} | took


def scored(picture: np.ndarray, clean: np.ndarray) -> float:
    return float(psnr(np.clip(picture, 0, 1).astype(np.float64), clean, 1.0))


def read(path: Path) -> list[Line]:
    if not path.exists():
        return []
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


def key(line: Line) -> tuple[str, ...]:
    """What makes a run another run."""
    return tuple(str(line.get(name)) for name in ("picture", "pairs", "length", "begun_with"))


def run(asked: argparse.Namespace) -> None:
    """Measure what is missing."""
    length = {"steps": asked.steps} if asked.steps else {"budget": asked.budget}
    known_by = digest(checkpoint.located("colour"))
    known = {key(line) for line in read(asked.out)}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    machine = hardware.describe(torch.device("cpu"))
    for number, (name, clean) in enumerate(crops().items(), start=1):
        if asked.pictures and name not in asked.pictures:
            continue
        if asked.bundled:
            said: Line = {"picture": name, "pairs": "–", "length": "–"}
            said["begun_with"] = f"bundled {known_by}"
            if key(said) not in known:
                put(asked.out, said | bundled(clean, spoilt(clean, number)) | {"machine": machine})
            continue
        for pairs in asked.pairs:
            said = {
                "picture": name,
                "pairs": pairs,
                "length": " ".join(map(str, next(iter(length.items())))),
            }
            said["begun_with"] = Path(asked.begin).name if asked.begin else None
            if key(said) in known:
                continue
            recipe = Recipe.of({"pairs": pairs} | length)
            line = said | measured(clean, spoilt(clean, number), recipe, asked.begin)
            put(asked.out, line | {"recipe": recipe.sentence(Recipe()), "machine": machine})


def put(path: Path, line: Line) -> None:
    """A line more, and on the screen."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    told = f"{line['once']:.2f}  {line['average']:.2f} dB"
    print(f"{line['picture']}  {line['pairs']:18} {told}", flush=True)


def rows(lines: list[Line]) -> list[Line]:
    """Means over pictures, a row a pairing and length."""
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault(key(line)[1:], []).append(line)
    found = []
    for (pairs, length, begun), group in groups.items():
        row: Line = {"pairs": pairs, "length": length, "begun_with": begun, "pictures": len(group)}
        for name in ("noisy", "once", "average", "seconds", "cpu_seconds", "steps"):
            row[name] = fmean(line[name] for line in group)
        row["spread"] = stdev([line["average"] for line in group]) if len(group) > 1 else 0.0
        found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=PAIRS)
    parser.add_argument("--pictures", nargs="+", help="such as kodim23; all where left out")
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--from", dest="begin")
    parser.add_argument("--bundled", action="store_true", help="denoise, train nothing")
    parser.add_argument("--out", type=Path, default=LINES)
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--json", action="store_true", help="a list of rows instead of a table")
    asked = parser.parse_args()
    if not asked.table:
        run(asked)
    found = rows(read(asked.out))
    if asked.json:
        print(json.dumps(found))
        return
    print("| pairs | begun with | length | pictures | once, dB | average, dB | CPU seconds |")
    print("|---|---|---|--:|--:|--:|--:|")
    for row in found:
        begun = "drawn weights" if row["begun_with"] == "None" else row["begun_with"]
        print(
            f"| {row['pairs']} | {begun} | {row['length']} | {row['pictures']} |"
            f" {row['once']:.2f} | {row['average']:.2f} | {row['cpu_seconds']:.3g} |"
        )


if __name__ == "__main__":
    main()
