"""From a noisy patch to a vector that matches: which way? One set of patches for all.

    noisepair hpatches make BSDS500/train BSDS500/test --test BSDS500/val --photos 240 --sides 32 \
        --out patches
    python benchmarks/descriptor_ways.py patches/32 --out build/ways           everything
    python benchmarks/descriptor_ways.py patches/32 --out build/ways --ways A G --seeds 1
    python benchmarks/descriptor_ways.py --write docs/descriptors.md

Every way has the same network (`quick`, but for the course's own), the same number of steps and of
places a step (a denoiser by itself a quarter of them), and is judged by the official rules on the
noisy sheets (sigma 16, 23, 31 of 255 for easy, hard, tough) of every so many-th test sequence;
beside it matching against sigma, where each of `ref`, e3, h3 and t3 gets white noise of that
strength, 8 bits. Resumable: what was trained stays in --out, and what was scored stands in
docs/descriptors/ways.jsonl and is not run again.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import numpy as np
import torch
from _tables import put, table

from noisepair import hardware
from noisepair.descriptors import Descriptor, DescriptorRecipe, sheets_of, train_descriptor
from noisepair.descriptors.descriptor import DescriptorCard, chain_of, read_card, write_descriptor
from noisepair.descriptors.matching import Judge
from noisepair.errors import InputError
from noisepair.hpatches import tasks
from noisepair.hpatches.describe import MODELS, Model, describe
from noisepair.hpatches.layout import PatchSet, open_set
from noisepair.hpatches.scores import evaluate
from noisepair.hpatches.splits import find_split
from noisepair.noise import Gaussian

STORE = Path(__file__).parents[1] / "docs/descriptors/ways.jsonl"
SIGMAS = (0, 8, 16, 24, 32, 40, 50, 64)  # of 255; 64 is outside of what any way has seen
LEVELS = "16/255:31/255"  # what the sheets have
BLIND = "0:50/255"
PAIRS, QUERIES, DISTRACTORS = 100_000, 2_000, 5_000


class Way(NamedTuple):
    """What is trained, and from what."""

    text: str
    lines: Mapping[str, Any]
    needs: Mapping[str, str] = {}  # recipe line → the way whose folder it names
    noisy: bool = False  # learns from the sheets' own noise: no clean patch is read
    joined: tuple[str, str] | None = None  # nothing to train: the denoiser of one before another


DENOISER = {"front": "shallow-unet", "triplet": 0, "lr": 0.002, "batch": 64}
COURSE = {"network": "course", "loss": "course", "lr": 0.001, "fresh_noise": False}
WAYS: dict[str, Way] = {
    "denoiser": Way("a denoiser, clean targets", {**DENOISER, "noise.sigma": LEVELS}),
    "denoiser, noisy targets": Way(
        "a denoiser, noisy targets",
        {**DENOISER, "noise.sigma": LEVELS, "target": "noisy", "pixel_loss": "l2"},
    ),
    "A": Way("trained on clean patches", {}),
    "B": Way("denoised, then A", {}, joined=("denoiser", "A")),
    "B, noisy targets": Way(
        "denoised by what saw no clean patch, then A", {}, joined=("denoiser, noisy targets", "A")
    ),
    "C": Way(
        "the course's way: denoised once, its network and loss",
        {**COURSE, "noise.sigma": LEVELS}, {"denoiser": "denoiser"},
    ),
    "D": Way("trained on the noisy sheets alone", {}, noisy=True),
    "E": Way("denoiser and descriptor together", {"front": "shallow-unet", "noise.sigma": LEVELS}),
    "E, noisy targets": Way(
        "the same, noisy targets",
        {"front": "shallow-unet", "noise.sigma": LEVELS, "target": "noisy", "pixel_loss": "l2"},
    ),
    "F": Way("taught by A", {"noise.sigma": BLIND, "triplet": 0}, {"teacher": "A"}),
    "G": Way("trained on sigma 0 to 50", {"noise.sigma": BLIND}),
}  # fmt: skip


class Bench:
    """The patches, and what is judged on them."""

    def __init__(self, folder: Path, out: Path, steps: int, batch: int, every: int):
        self.folder, self.out, self.steps, self.batch = folder, out, steps, batch
        split = find_split("a", folder)
        self.train, self.test = split.train, split.test[::every]
        self.sheets: Mapping[str, np.ndarray] = {}
        self.own: Mapping[str, np.ndarray] | None = None
        self.clean = open_set(folder, self.test)
        self.noisy = open_set(folder, self.test, noisy=True)
        self.pairs = tasks.make_verification(self.clean.counts, pairs=PAIRS)
        fit = {name: tasks.textured(self.clean.sheet(name, "ref")) for name in self.test}
        self.asked = tasks.make_retrieval(fit, queries=QUERIES, distractors=DISTRACTORS)
        few = sheets_of(open_set(folder, self.test[::4]))
        self.judges = {
            sigma: Judge(few, Gaussian(sigma / 255) if sigma else None, torch.device("cpu"))
            for sigma in SIGMAS
        }

    def place(self, way: str, seed: int) -> Path:
        return self.out / f"{way.replace(', ', '-').replace(' ', '-')}-{seed}"

    def made(self, way: str, seed: int) -> Path:
        """The folder of a way, trained if it is not there."""
        place, about = self.place(way, seed), WAYS[way]
        if about.joined:
            denoiser, descriptor = (self.made(part, seed) for part in about.joined)
            return place if place.exists() else joined(denoiser, descriptor, place)
        needed = {line: str(self.made(other, seed)) for line, other in about.needs.items()}
        lines = {"network": "quick", **about.lines, **needed, "seed": seed}
        recipe = DescriptorRecipe.of(
            {"batch": self.batch, **lines, "steps": self.steps, "validations": 4}
        )
        if place.exists() and "result" in read_card(place).provenance:
            return place
        self.sheets = self.sheets or sheets_of(open_set(self.folder, self.train))
        if about.noisy and self.own is None:
            self.own = sheets_of(open_set(self.folder, self.train, noisy=True))
        own = self.own if about.noisy else None
        print(f"{way}, seed {seed}: training", flush=True)
        train_descriptor(self.sheets, out=place, recipe=recipe, noisy=own, resume=place.exists())
        return place

    def scores(self, model: Model, patches: PatchSet) -> dict[str, Any]:
        found = evaluate(describe(patches, model), self.pairs, self.asked).as_json()
        rows = {name: found[name] for name in ("verification", "matching", "retrieval")}
        plain: dict[str, Any] = {name: row["course"]["all"]["value"] for name, row in rows.items()}
        plain["levels"] = {
            figure["level"]: figure["value"]
            for figure in rows["matching"]["figures"]
            if figure["part"] == "all" and figure["measure"] == "average precision"
        }
        return plain

    def curve(self, model: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
        return {str(s): judge.scores(model)["matching"] for s, judge in self.judges.items()}


def joined(denoiser: Path, descriptor: Path, place: Path) -> Path:
    """The denoiser of one folder in front of the descriptor of another."""
    one, two = read_card(denoiser), read_card(descriptor)
    card = DescriptorCard(two.network, one.front, one.scale, {"result": {}})
    chain = chain_of(descriptor, two)
    chain.front = chain_of(denoiser, one).front
    write_descriptor(place, chain, card)
    return place


def denoised_first(model: Model) -> Model:
    """Each patch through OpenCV's non-local means, told the sigma of the tough ones."""
    import cv2

    def through(patches: torch.Tensor) -> torch.Tensor:
        levels = (patches[:, 0] * 255).round().byte().numpy()
        done = [cv2.fastNlMeansDenoising(patch, None, 31.0, 7, 21) for patch in levels]
        return model(torch.from_numpy(np.stack(done))[:, None].float() / 255)

    return through


def score(bench: Bench, ways: list[str], seeds: int, known: list[dict]) -> Iterator[dict[str, Any]]:
    """What has not been scored yet, a row each."""
    done = {(row["way"], row["seed"], row["steps"]) for row in known}
    fixed = {"RootSIFT": MODELS["rootsift"], "NLM, RootSIFT": MODELS["rootsift"]}
    for name, make in fixed.items():
        if (name, 0, 0) not in done and name in ways:
            model = denoised_first(make()) if name.startswith("NLM") else make()
            yield row_of(name, 0, 0, bench, model, clean=name == "RootSIFT")
    for seed in range(seeds):
        for way in ways:
            if way in fixed or way.startswith("denoiser") or (way, seed, bench.steps) in done:
                continue
            model = Descriptor.load(bench.made(way, seed))
            yield row_of(way, seed, bench.steps, bench, model, clean=way == "A")


def row_of(
    way: str, seed: int, steps: int, bench: Bench, model: Model, *, clean: bool
) -> dict[str, Any]:
    row: dict[str, Any] = {"way": way, "seed": seed, "steps": steps, "batch": bench.batch}
    row |= {"test": len(bench.test), "train": len(bench.train), "date": str(date.today())}
    row |= {"machine": hardware.describe(torch.device("cpu"))["name"]}
    row["noisy"] = bench.scores(model, bench.noisy)
    if clean:
        row["clean"] = bench.scores(model, bench.clean)
    with torch.no_grad():
        row["curve"] = bench.curve(model)
    return row


def tables(rows: list[dict[str, Any]]) -> str:
    """Two tables: the three tasks, and matching against sigma."""
    names = ["RootSIFT", "NLM, RootSIFT", *(way for way in WAYS if not way.startswith("denoiser"))]
    tasks_, curves = [], []
    for way in names:
        mine = [row for row in rows if row["way"] == way]
        if not mine:
            continue
        text = WAYS[way].text if way in WAYS else "OpenCV"
        if any("clean" in row for row in mine):
            tasks_.append([f"{way}, clean patches", text, *cells(mine, "clean")])
        tasks_.append([way, text, *cells(mine, "noisy")])
        curves.append([way, *(spread([row["curve"][str(s)] for row in mine]) for s in SIGMAS)])
    head = ["", "", "verification", "matching", "retrieval", "easy", "hard", "tough", "seeds"]
    first = table(head, tasks_)
    return first + "\n\n" + table(["matching at sigma", *map(str, SIGMAS)], curves)


def cells(rows: list[dict[str, Any]], which: str) -> list[str]:
    found = [row[which] for row in rows]
    three = [spread([one[t] for one in found]) for t in ("verification", "matching", "retrieval")]
    each = [spread([one["levels"][x] for one in found]) for x in ("easy", "hard", "tough")]
    return [*three, *each, str(len(rows))]


def spread(values: list[float]) -> str:
    """Their mean, and their deviation over seeds where there are several."""
    more = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return f"{fmean(values):.3f}{more}"


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in STORE.read_text().splitlines()] if STORE.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("patches", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=Path("build/ways"))
    parser.add_argument("--ways", nargs="+", default=["RootSIFT", "NLM, RootSIFT", *WAYS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--every", type=int, default=3, help="test sequences: every so many-th")
    parser.add_argument("--write", type=Path, help="put the tables into this page")
    asked = parser.parse_args()
    if asked.patches:
        try:
            bench = Bench(asked.patches, asked.out, asked.steps, asked.batch, asked.every)
            for row in score(bench, asked.ways, asked.seeds, read()):
                with STORE.open("a") as store:
                    store.write(json.dumps(row) + "\n")
                print(row["way"], row["seed"], row["noisy"], flush=True)
        except InputError as error:
            raise SystemExit(str(error)) from None
    if asked.write:
        put(asked.write, "ways", tables(read()))
    else:
        print(tables(read()))


if __name__ == "__main__":
    main()
