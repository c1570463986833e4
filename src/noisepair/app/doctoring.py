"""`noisepair doctor`: why a recipe does not learn, layer by layer, before the first step and after.

The recipe's network is built with noisepair.scratch, whose layers can be looked into. It begins
with the same weights whatever the recipe's engine, so what is found holds for that engine too.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import torch
from cyclopts import Parameter

from .. import scratch
from ..errors import InputError
from ..images import full_scale
from ..learners import ScratchLearner
from ..models import Scale, scale_of
from ..pairs import Pairs, batch_for, crop_for
from ..recipe import LINES, Recipe
from ..scratch.doctor import Diagnosis, follow
from ..scratch.symptoms import Symptom, number
from ..sources import Source
from ..train import opened, refuse_without_others
from .console import Options
from .demo import NOISE, TRAINING, rgb
from .doctor_report import write_doctor
from .training import Cli, lines_of, with_lines

STANDARD = Options()
VIEWS = 20  # times that a training is looked at
MOST = 100_000  # steps: who trains longer wants `noisepair train`
SILENT = ("engine", "precision", "ema", "validations", "holdout", "schedule", "epochs", "budget")


def without(*names: str) -> Callable[[Cli], Cli]:
    """Take recipe lines that say nothing here from a command's options."""

    def shorter(command: Cli) -> Cli:
        signature = inspect.signature(command)
        kept = [one for name, one in signature.parameters.items() if name not in names]
        command.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return command

    return shorter


@without(*SILENT)
@with_lines(LINES)
def doctor(
    recipe: Path | None = None,
    /,
    *,
    data: str | None = None,
    data2: str | None = None,
    frames: Annotated[bool, Parameter(negative="")] = False,
    pattern: str | None = None,
    steps: int = 100,
    report: Path | None = None,
    options: Options = STANDARD,
    **lines: str | bool | None,
) -> int:
    """Say why a recipe does not learn, layer by layer, and what to do about it.

    Parameters
    ----------
    recipe
        A TOML file of recipe lines; options given here come before it. Without one, the default.
        How long its run is, its schedule and its running mean of the weights play no part.
    data
        Shots, in any form that `noisepair train` takes. By default pictures that are already here,
        with the recipe's noise, or Gaussian noise of 50/255.
    data2
        The second folder, or file.
    frames
        The data is a sequence, and neighbouring frames show the same scene.
    pattern
        How file names pair, as in '{scene}_{shot}.png'.
    steps
        How long to train, at the full learning rate; it is looked at 20 times on the way.
    report
        Folder for report.html: every layer over time, in pictures.
    """
    if not 1 <= steps <= MOST:
        raise InputError(f"--steps {steps} is not possible. Give a number from 1 to {MOST:,}.")
    if report and report.exists() and not report.is_dir():
        raise InputError(f"{report} is a file, and --report takes a folder. Give another.")
    given = lines_of(lines)
    wanted = Recipe.read(recipe, given | {"engine": "scratch", "precision": "float32"})
    device = options.torch_device()
    shots = shots_for(wanted, data, data2, frames=frames, pattern=pattern)
    options.say(*shots.lines())
    wanted, pairs = pairs_of(shots, wanted, device)
    learner = ScratchLearner(wanted, shots.scenes[0].shots[0].shape[-1], device)
    with progress(options, steps) as watch:
        found = follow(
            learner.network, map(pairs.two_shots, count()), learner.optimizer,
            loss=Mixed(learner.losses), steps=steps, every=max(1, math.ceil(steps / VIEWS)),
            watch=watch,
        )  # fmt: skip
    text, plain = told(found), as_json(found)
    if report:
        page = write_doctor(report, found, wanted, shots)
        text += f"\nThe report is {page}."
        plain["report"] = str(page)
    options.result(text, plain)
    return 0


def shots_for(
    recipe: Recipe, data: str | None, data2: str | None, *, frames: bool, pattern: str | None
) -> Source:
    """The data that was named, or pictures that are already here, made noisy."""
    if data is not None:
        return opened(data, data2, recipe, frames=frames, pattern=pattern)
    if data2 is not None or frames or pattern:
        raise InputError("--data2, --frames and --pattern say how to read --data. Give that too.")
    pictures = {name: rgb(name) for name in TRAINING}
    noisy = recipe.resolved(noise=recipe.noise or NOISE)
    return opened(pictures, None, noisy, frames=False, pattern=None)


def pairs_of(shots: Source, recipe: Recipe, device: torch.device) -> tuple[Recipe, Pairs]:
    """What training would see, crop and batch decided as `noisepair train` does."""
    if recipe.target == "others":
        refuse_without_others(shots.scenes)
    crop = crop_for(shots.scenes, recipe.crop)
    noise = recipe.noise or (NOISE if shots.synthetic else None)
    decided = recipe.resolved(crop=crop, batch=batch_for(crop, recipe.batch), noise=noise)
    pictures = [shot for scene in shots.scenes for shot in scene.shots]
    full = full_scale(pictures[0].dtype)
    scale = Scale() if shots.synthetic else scale_of(pictures, full)
    return decided, Pairs(shots.scenes, decided, scale, device)


class Mixed(scratch.Module):
    """A sum of losses, each with its weight."""

    def __init__(self, losses: Sequence[tuple[float, scratch.Module]]):
        self.weights_of = [weight for weight, _ in losses]
        self.losses = [loss for _, loss in losses]

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        pairs = zip(self.weights_of, self.losses, strict=True)
        return torch.stack([w * one.forward(prediction, target) for w, one in pairs]).sum()

    def backward(self) -> torch.Tensor:
        pairs = zip(self.weights_of, self.losses, strict=True)
        return torch.stack([one.backward(weight) for weight, one in pairs]).sum(0)


@contextmanager
def progress(options: Options, steps: int) -> Iterator[Callable[[Diagnosis], None] | None]:
    """A bar where a person watches; else nothing."""
    console = options.console()
    if options.quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("training", total=steps)
        yield lambda seen: bar.update(task, completed=seen.step)


# — what came of it —


def new_findings(found: Sequence[Diagnosis]) -> list[tuple[int, Symptom]]:
    """Every finding once, with the step at which it was first made."""
    first: dict[str, tuple[int, Symptom]] = {}
    for seen in found:
        for one in seen.findings:
            first.setdefault(one.name, (seen.step, one))
    return list(first.values())


def verdict_of(found: Sequence[Diagnosis]) -> str:
    """The worst of all looks."""
    return max((seen.verdict for seen in found), key=("healthy", "healthy with care", "ill").index)


def as_json(found: Sequence[Diagnosis]) -> dict[str, Any]:
    return {
        "verdict": verdict_of(found),
        "findings": [{**vars(one), "step": step} for step, one in new_findings(found)],
        "history": [seen.as_json() for seen in found],
    }


def told(found: Sequence[Diagnosis]) -> str:
    """For a person: before the first step, after the last one, and what is wrong in between."""
    first, last = found[0], found[-1]
    words = [str(first), "", last.heading(), "", *last.table()]
    later = [(step, one) for step, one in new_findings(found) if step]
    for step, one in later:
        words += ["", f"! At step {step}: {one.text}", f"  → {one.remedy}"]
    fell = f"The loss went from {number(first.loss)} to {number(last.loss)}"
    words += ["", f"{fell} in {last.step} steps. Verdict: {verdict_of(found)}."]
    return "\n".join(words)
