"""What the bundled weights lose by learning from noisy pictures alone.

    python benchmarks/clean_targets.py                          train and score what is lacking
    python benchmarks/clean_targets.py --write docs/weights.md  put the table on a page

The recipe of the bundled weights (training/weights.toml) from drawn weights, a smaller network and
a shorter run: the photographs of BSDS500 (train), each tile spoilt twice, once for the whole run.
`noisy` learns one shot from the other, `clean` the photograph from the same shots; same seeds, same
crops, same noise added to the inputs, same number of steps; both keep the weights that the held-out
noisy shots rank best. Scored as docs/weights.md says (benchmarks/weights.py), on every fourth
picture of CBSD68 and of Kodak24. Aim: a difference of at most 0.05 dB.
"""

import argparse
import importlib.util
import json
import os
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _scores import paired
from _tables import put, table
from weights import SETS

from noisepair import Denoiser, Recipe, hardware, sources
from noisepair.metrics import psnr
from noisepair.models import DRUNet
from noisepair.train import train

ROOT = Path(__file__).parents[1]
STORE = ROOT / "docs/weights/clean_targets.jsonl"
TARGETS, SIGMAS = ("noisy", "clean"), (15, 25, 50)
EVERY = {"CBSD68": 4, "Kodak24": 4}


def trained(target: str, seed: int, steps: int) -> Denoiser:
    """A network that learnt from this target."""
    spec = importlib.util.spec_from_file_location("make_weights", ROOT / "training/make_weights.py")
    assert spec is not None
    assert spec.loader is not None
    making = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(making)
    lines = {"steps": steps, "target": "clean" if target == "clean" else "shot", "seed": seed}
    recipe = Recipe.read(ROOT / "training/weights.toml", {**lines, "validations": 10})
    recipe = recipe.resolved(network=DRUNet())
    squares = dict(making.tiles([Path(os.environ["NOISEPAIR_DATA"]) / "train/BSDS500/train"], 3))
    shots = sources.open_source(
        squares, noise=recipe.noise, seed=seed, keep_clean=target == "clean"
    )
    del squares
    with tempfile.TemporaryDirectory() as folder:
        return train(shots, out=Path(folder) / "model", recipe=recipe)


def scores(denoiser: Denoiser, name: str, sigma: int) -> dict[str, float]:
    """PSNR by picture: noise neither clipped nor rounded, what is denoised clipped."""
    found, pictures = {}, SETS[name]
    for number, file in enumerate(pictures.files()):
        if number % EVERY[name]:
            continue
        noisy, clean = pictures.shot(number, sigma)
        batch = torch.from_numpy(noisy.astype(np.float32)).permute(2, 0, 1)[None]
        with torch.inference_mode():
            done = denoiser.network(batch)[0].permute(1, 2, 0).numpy()
        found[pictures.name(file)] = psnr(done.clip(0, 1), clean, 1.0)
    return found


def rows(steps: int, seeds: int) -> Iterator[dict[str, Any]]:
    """What is not scored yet."""
    done = {(row["target"], row["seed"], row["steps"]) for row in read()}
    for seed in range(seeds):
        for target in TARGETS:
            if (target, seed, steps) in done:
                continue
            denoiser = trained(target, seed, steps)
            found = {f"{name} {s}": scores(denoiser, name, s) for name in EVERY for s in SIGMAS}
            machine = hardware.describe(torch.device("cpu"))["name"]
            yield {
                "target": target, "seed": seed, "steps": steps, "psnr": found,
                "machine": machine, "date": str(date.today()),
            }  # fmt: skip


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in STORE.read_text().splitlines()] if STORE.exists() else []


def text(found: list[dict[str, Any]]) -> str:
    """Means over pictures and seeds, and what clean targets gain, seed by seed."""
    both = {t: [row for row in found if row["target"] == t] for t in TARGETS}
    head, lines = ["", "noisy targets", "clean targets", "clean less noisy (95 %)"], []
    for column in found[0]["psnr"]:
        each = {
            target: {str(row["seed"]): float(np.mean(list(row["psnr"][column].values())))
                     for row in some}
            for target, some in both.items()
        }  # fmt: skip
        means = [f"{np.mean(list(each[target].values())):.2f}" for target in TARGETS]
        lines.append([column, *means, paired(each["clean"], each["noisy"]).text(3, sign=True)])
    about = f"{found[0]['steps']:,} steps, {len(both['noisy'])} seeds each, {found[-1]['date']}."
    return f"{about}\n\n{table(head, lines)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="put the table into this page")
    asked = parser.parse_args()
    if asked.write:
        put(asked.write, "targets", text(read()))
        return
    for row in rows(asked.steps, asked.seeds):
        with STORE.open("a") as store:
            store.write(json.dumps(row) + "\n")
        print(row["target"], row["seed"], {k: round(np.mean(list(v.values())), 3)
                                          for k, v in row["psnr"].items()}, flush=True)  # fmt: skip
    print(text(read()))


if __name__ == "__main__":
    main()
