"""Why did the network of report 003 not train? Its own layers, and one repair after the other.

    python studies/scratch/why.py --data FOLDER [--out docs/scratch]
    python studies/scratch/why.py --data FOLDER --limits --seeds 1 --epochs 3 --pairs 3000

FOLDER holds train_data.pkl and val_data.pkl, the course's or the stand-in. The layers are those of
noisepair.scratch with the report's faults put back in; the doctor is asked before the first step.
Writes why.json, why.md, and the doctor's pictures of both ends of the ladder. --limits: where the
doctor's limits lie, by set-ups from one end of what learns to the other; writes limits.json, .md.
One core of an AMD EPYC, torch 2.13.0, 2026-11-21: see docs/scratch/why-it-did-not-train.md.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from noisepair import scratch
from noisepair.app import figures
from noisepair.app.doctor_report import layers
from noisepair.scratch.doctor import Diagnosis, doctor, follow
from noisepair.scratch.symptoms import middle, number
from noisepair.sources import noisy_and_clean, open_source

BATCH = 50
FAULTS = ("bias", "zero_grad", "mean")  # in the order in which they are repaired


class TheirConv2d(scratch.Conv2d):
    """Its bias never gets a gradient: backward wrote that to the class."""

    def backward(self, d_out: Tensor) -> Tensor | None:
        assert self.d_bias is not None, "theirs always has one"
        kept = self.d_bias.clone()
        d_x = super().backward(d_out)
        self.d_bias.copy_(kept)
        return d_x


class TheirUpsampling(scratch.Upsampling):
    """Neither does its bias (`bias`); and it passes back the mean of a block (`mean`)."""

    faults: tuple[str, ...] = ()

    def backward(self, d_out: Tensor) -> Tensor:
        assert self.conv.d_bias is not None, "theirs always has one"
        kept = self.conv.d_bias.clone()
        d_x = super().backward(d_out)
        if "bias" in self.faults:
            self.conv.d_bias.copy_(kept)
        return d_x / 4 if "mean" in self.faults else d_x


class TheirSequential(scratch.Sequential):
    """Its zero_grad sets a copy of what is inside an upsampling to zero: gradients pile up."""

    def zero_grad(self) -> None:
        for layer in self.chain:
            if not isinstance(layer, scratch.Upsampling):
                layer.zero_grad()


@dataclass(frozen=True)
class Rung:
    """One set-up of the ladder."""

    name: str
    faults: tuple[str, ...] = ()
    begin: float | None = None  # deviation of N(0, ·) for weights and biases; None: Kaiming
    kernel: int = 3
    lr: float = 1.0
    adam: bool = False

    def network(self, seed: int) -> scratch.Sequential:
        """Report 003's, with 16, 32 and 16 channels."""
        size, edge = self.kernel, self.kernel // 2
        conv = TheirConv2d if "bias" in self.faults else scratch.Conv2d
        ups = [TheirUpsampling(i, o, size, padding=edge) for i, o in ((32, 16), (16, 3))]
        for up in ups:
            up.faults = self.faults
        chain = TheirSequential if "zero_grad" in self.faults else scratch.Sequential
        model = chain(
            conv(3, 16, size, 2, edge), scratch.ReLU(),
            conv(16, 32, size, 2, edge), scratch.ReLU(),
            ups[0], scratch.ReLU(), ups[1], scratch.Sigmoid(),
        )  # fmt: skip
        rng = Generator().manual_seed(seed)
        if self.begin is None:
            scratch.begin(model, generator=rng)
        else:
            for value, _ in model.param():
                value.normal_(0, self.begin, generator=rng)
        return model

    def optimizer(self, model: scratch.Module) -> scratch.Optimizer:
        kind = scratch.Adam if self.adam else scratch.SGD
        return kind(model.param(), lr=self.lr)


LADDER = (
    Rung("0 as the report says: N(0, 1), lr 0.1", FAULTS, 1.0, 1, 0.1),
    Rung("0b as the code says: N(0, (10⁻⁶)²)", FAULTS, 1e-6, 1, 0.1),
    Rung("1 = 0, the bias gets its gradient", FAULTS[1:], 1.0, 1, 0.1),
    Rung("2 = 1, zero_grad reaches all", FAULTS[2:], 1.0, 1, 0.1),
    Rung("3 = 2, upsampling passes the sum back", (), 1.0, 1, 0.1),
    Rung("4 = 3, Kaiming's weights", (), None, 1, 0.1),
    Rung("5 = 4, lr 1", (), None, 1),
    Rung("6 = 5, 3×3 kernels", (), None, 3),
    Rung("7 = 6, but N(0, 1)", (), 1.0, 3),
    Rung("8 = 6, but the three faults", FAULTS, None, 3),
    Rung("9 = 6, Adam, lr 0.002", (), None, 3, 2e-3, adam=True),
)


@dataclass(frozen=True)
class Data:
    """Pairs to train on, and pictures to score by; (B, C, H, W), float32."""

    one: Tensor
    two: Tensor
    noisy: Tensor
    clean: Tensor

    @classmethod
    def read(cls, folder: Path, pairs: int) -> "Data":
        scenes = open_source(folder / "train_data.pkl").scenes[:pairs]
        shots = [np.concatenate([scene.shots[side] for scene in scenes]) for side in (0, 1)]
        return cls(*map(as_batch, (*shots, *noisy_and_clean(folder / "val_data.pkl"))))

    def batches(self, seed: int, epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
        rng = Generator().manual_seed(seed)
        for _ in range(epochs):
            for part in torch.randperm(len(self.one), generator=rng).split(BATCH):
                yield self.one[part], self.two[part]


def as_batch(pages: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pages)).permute(0, 3, 1, 2).float() / 255


def psnr(denoised: Tensor, clean: Tensor) -> float:
    """Per image, then the mean; in 8 bits."""
    error = (denoised.clamp(0, 1).mul(255).round() / 255 - clean).square().flatten(1).mean(1)
    return float((-10 * error.log10()).mean())


def trained(rung: Rung, data: Data, seed: int, epochs: int) -> tuple[Diagnosis, float]:
    """What the doctor says before the first step, and the PSNR in the end."""
    model, loss = rung.network(seed), scratch.MSE()
    optimizer = rung.optimizer(model)
    seen = doctor(model, next(data.batches(seed, 1)), optimizer=optimizer)
    for noisy, target in data.batches(seed, epochs):
        model.zero_grad()
        loss.forward(model.forward(noisy), target)
        model.backward(loss.backward())
        optimizer.step()
    model.eval()
    return seen, psnr(torch.cat([model.forward(x) for x in data.noisy.split(BATCH)]), data.clean)


def row_of(rung: Rung, data: Data, seeds: int, epochs: int) -> dict[str, Any]:
    runs = [trained(rung, data, seed, epochs) for seed in range(seeds)]
    said = [tuple(one.name for one in seen.findings) for seen, _ in runs]
    return {
        "rung": rung.name,
        "psnr": [score for _, score in runs],
        "median": median(score for _, score in runs),
        "doctor": [list(names) for names in said],
        "sigmoid_spread": median(seen.layers[-1].spread for seen, _ in runs),
        "saturated": median(seen.layers[-1].saturated or 0 for seen, _ in runs),
        "words": str(runs[0][0]),
    }


def line(row: dict[str, Any]) -> str:
    scores = " ".join(f"{score:.2f}" for score in row["psnr"])
    always = [name for name in row["doctor"][0] if all(name in names for names in row["doctor"])]
    some = sorted({name for names in row["doctor"] for name in names} - set(always))
    said = ", ".join(always + [f"{name} (not all seeds)" for name in some]) or "nothing wrong"
    return f"| {row['rung']} | {said} | {row['saturated']:.0%} | {scores} | {row['median']:.2f} |"


def limits(data: Data, seeds: int, epochs: int) -> Iterator[dict[str, Any]]:
    """Set-ups that differ in one number, from too small to too large."""
    for std in (1e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0):
        for adam, lr in ((False, 1.0), (True, 2e-3)):
            yield limit(Rung(f"N(0, {std:g}²)", (), std, 3, lr, adam), data, seeds, epochs)
    for adam, rates in ((False, SGD_RATES), (True, ADAM_RATES)):
        for lr in rates:
            yield limit(Rung("Kaiming", (), None, 3, lr, adam), data, seeds, epochs)


SGD_RATES = (0.001, 0.01, 0.1, 1.0, 3.0, 10.0, 30.0)
ADAM_RATES = (1e-5, 1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1)
LIMITS = (
    "| weights | optimizer, lr | signal left | saturated | step / weight | the doctor | PSNR |",
    "|---|---|--:|--:|--:|---|--:|",
)


def limit(rung: Rung, data: Data, seeds: int, epochs: int) -> dict[str, Any]:
    runs = [trained(rung, data, seed, epochs) for seed in range(seeds)]
    seen = runs[0][0]
    return {
        "weights": rung.name,
        "optimizer": f"{'Adam' if rung.adam else 'SGD'}, {rung.lr:g}",
        "signal_left": min(row.signal for row in seen.layers) / seen.before,
        "saturated": seen.layers[-1].saturated,
        "step": middle(seen.layers),
        "doctor": [one.name for one in seen.findings],
        "psnr": median(score for _, score in runs),
    }


def limit_line(row: dict[str, Any]) -> str:
    said = ", ".join(row["doctor"]) or "nothing wrong"
    shares = f"{number(row['signal_left'])} | {row['saturated']:.0%} | {number(row['step'])}"
    return f"| {row['weights']} | {row['optimizer']} | {shares} | {said} | {row['psnr']:.2f} |"


def picture(rung: Rung, data: Data, path: Path) -> None:
    """The doctor's picture of 200 steps."""
    model = rung.network(0)
    found = follow(model, data.batches(0, 10), rung.optimizer(model), steps=200, every=10)
    path.write_text(figures.svg(layers(found)).replace("currentColor", figures.INK))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/scratch"))
    parser.add_argument("--pairs", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limits", action="store_true")
    args = parser.parse_args()
    began, data = time.perf_counter(), Data.read(args.data, args.pairs)
    args.out.mkdir(parents=True, exist_ok=True)
    sizes = {name: getattr(args, name) for name in ("pairs", "epochs", "seeds")}
    if args.limits:
        found = write("limits", LIMITS, limits(data, args.seeds, args.epochs), limit_line, args.out)
        keep("limits", args.out, {**sizes, "rows": found})
    else:
        mean = data.one.mean((0, 2, 3), keepdim=True).expand_as(data.clean)
        noisy, constant = psnr(data.noisy, data.clean), psnr(mean, data.clean)
        print(f"Noisy {noisy:.2f} dB, the mean colour {constant:.2f} dB.\n")
        rows = (row_of(rung, data, args.seeds, args.epochs) for rung in LADDER)
        found = write("why", HEAD, rows, line, args.out)
        keep("why", args.out, {**sizes, "noisy": noisy, "mean_colour": constant, "rows": found})
        picture(LADDER[8], data, args.out / "why-ill.svg")
        picture(LADDER[7], data, args.out / "why-healthy.svg")
    print(f"\n{time.perf_counter() - began:.0f} s")


Rows = Iterator[dict[str, Any]]
HEAD = (
    "| set-up | the doctor, before the first step | saturated | PSNR of each seed | median |",
    "|---|---|--:|---|--:|",
)


def write(
    name: str, head: Sequence[str], rows: Rows, told: Callable[[dict[str, Any]], str], out: Path
) -> list[dict[str, Any]]:
    """Rows as they come, printed; in the end all of them as a table."""
    found, lines = [], list(head)
    print("\n".join(head), flush=True)
    for row in rows:
        found.append(row)
        lines.append(told(row).replace("%", " %"))
        print(lines[-1], flush=True)
    (out / f"{name}.md").write_text("\n".join(lines) + "\n")
    return found


def keep(name: str, out: Path, page: dict[str, Any]) -> None:
    (out / f"{name}.json").write_text(json.dumps(page, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
