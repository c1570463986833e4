"""Does a network learn as well with gradients written by hand as with autograd?

    python studies/scratch/trains.py --data FOLDER [--real PAIRS.npz] [--out RUNS.jsonl]

The network that the EE-559 course prescribes, by the recipe of Miniproject_2 (SGD, mean squared
error), and noisepair's default U-Net, which has skip connections. Each is trained by hand and by
torch, in float32, from the same weights, on the same batches, for as many steps. FOLDER holds
train_data.pkl and val_data.pkl, the course's or a stand-in; --real is a file of noisy and clean
pictures, as `noisepair evaluate` takes it. PSNR is per image, of whole pictures, and then the mean.
Goals: the prescribed network 2.0 dB above the noisy pictures; the U-Net by hand within 0.1 dB of
the same in torch, and 0.8 dB above the prescribed one. A seed takes a quarter of an hour on one
core. Runs are written to --out as they end, and what is there is not run again.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from noisepair import Denoiser, Recipe, evaluate, train
from noisepair.app.miniproject.two.model import RECIPE
from noisepair.hardware import describe
from noisepair.sources import Source, noisy_and_clean, open_source

NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "prescribed": {**RECIPE, "steps": 20_000},
    "U-Net": {"holdout": 0.02, "steps": 2_500},
}
ENGINES = {"by hand": "scratch", "torch": "torch"}
Pictures = tuple[np.ndarray, np.ndarray]  # noisy and clean, (N, H, W, C)
Row = dict[str, Any]


def tests(folder: Path, real: Path | None) -> dict[str, Pictures]:
    """What the networks are scored on, by name."""
    found = {"val_data.pkl": noisy_and_clean(folder / "val_data.pkl")}
    if real:
        pairs = noisy_and_clean(real)
        found[f"{len(pairs[0])} real pairs"] = pairs
    return found


def scores(pictures: Mapping[str, Pictures], denoiser: Denoiser | None = None) -> dict[str, float]:
    """PSNR per image of each test, in decibel."""
    said = {}
    for name, (noisy, clean) in pictures.items():
        after = denoiser.pages(noisy) if denoiser else noisy
        said[name] = evaluate(list(after), list(clean)).summary()["psnr"]["noisy"]["per_image"]
    return said


def runs(
    source: Source, pictures: Mapping[str, Pictures], seeds: list[int], out: Path
) -> Iterator[Row]:
    """Every network by hand and by torch, seed by seed; of `out`, what is there already."""
    lines = out.read_text().splitlines() if out.exists() else []
    there = [json.loads(line) for line in lines]
    for seed, network, (way, engine) in product(seeds, NETWORKS, ENGINES.items()):
        row: Row = {"network": network, "way": way, "seed": seed}
        known = [one for one in there if row.items() <= one.items()]
        if known:
            yield known[0]
            continue
        asked = {"engine": engine, "precision": "float32", "seed": seed}
        denoiser = train(source, recipe=Recipe.of({**NETWORKS[network], **asked}))
        came = denoiser.card.provenance["result"]
        row |= {"psnr": scores(pictures, denoiser)}
        row |= {name: came[name] for name in ("steps", "seconds", "best_step")}
        with out.open("a") as page:
            page.write(json.dumps(row) + "\n")
        yield row


def spread(values: list[float]) -> str:
    """Mean and, of two or more, deviation."""
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def table(rows: list[Row], noisy: Mapping[str, float]) -> Iterator[str]:
    """Means over the seeds, as Markdown."""
    yield f"| network | gradients | seeds | steps | seconds | {' | '.join(noisy)} |"
    yield "|---|---|--:|--:|--:|" + "--:|" * len(noisy)
    yield "| noisy | | | | | " + " | ".join(f"{value:.2f}" for value in noisy.values()) + " |"
    for network in NETWORKS:
        for way in ENGINES:
            here = [row for row in rows if (row["network"], row["way"]) == (network, way)]
            counts = [f"{mean(row[name] for row in here):,.0f}" for name in ("steps", "seconds")]
            values = [spread([row["psnr"][test] for row in here]) for test in noisy]
            yield f"| {' | '.join([network, way, str(len(here)), *counts, *values])} |"


def goals(rows: list[Row], noisy: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """What the goals are about: differences of means, in decibel, for each test."""

    def level(network: str, way: str, test: str) -> float:
        here = [row for row in rows if (row["network"], row["way"]) == (network, way)]
        return mean(row["psnr"][test] for row in here)

    return {
        test: {
            "prescribed by hand − noisy": level("prescribed", "by hand", test) - noisy[test],
            "prescribed by hand − torch": level("prescribed", "by hand", test)
            - level("prescribed", "torch", test),
            "U-Net by hand − torch": level("U-Net", "by hand", test)
            - level("U-Net", "torch", test),
            "U-Net − prescribed, by hand": level("U-Net", "by hand", test)
            - level("prescribed", "by hand", test),
        }
        for test in noisy
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("docs/scratch/trains.jsonl"))
    args = parser.parse_args()
    pictures = tests(args.data, args.real)
    noisy = scores(pictures)
    rows = list(runs(open_source(args.data / "train_data.pkl"), pictures, args.seeds, args.out))
    print("\n".join(table(rows, noisy)))
    for test, differences in goals(rows, noisy).items():
        said = ", ".join(f"{name} {value:+.3f} dB" for name, value in differences.items())
        print(f"\n{test}: {said}.")
    machine = describe(torch.device("cpu"))
    print(f"\n{machine['name']}, {machine['threads']} threads, torch {machine['torch']}.")


if __name__ == "__main__":
    main()
