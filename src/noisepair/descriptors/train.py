"""Training a descriptor: sheets of patches in, a folder with its card and weights out.

    descriptor.json   recipe, data, machine, result      history.jsonl      a line a validation
    weights.safetensors   the best weights so far        state.safetensors  to go on from

The weights that are kept are those that match held-out sequences best (matching.py), under the
noise of training; of a run that trains a denoiser alone, those of the least absolute error. Every
file is old or new and never half of one.
"""

import contextlib
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__, checkpoint, hardware
from ..errors import InputError
from ..files import make_folder
from ..noise import generator
from ..recipe import Recipe
from ..train import SAVE_EVERY, Clock, Diverged
from .descriptor import CARD, Descriptor, DescriptorCard, read_card, save_weights, write_card
from .learner import Pupil, card_for
from .matching import Judge
from .recipe import DescriptorRecipe
from .views import Places, Sheets, refuse_wrong

HELD = 49  # what a generator is for


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    step: int
    seconds: float
    used: float
    loss: float
    scores: Mapping[str, float]  # of the last validation; none where nothing is held out
    best_step: int
    validated: bool


Watch = Callable[[Progress], bool | None]  # returns True to stop after this step


def train_descriptor(
    sheets: Sheets,
    *,
    out: str | Path,
    recipe: DescriptorRecipe | None = None,
    held: Sheets | None = None,
    noisy: Sheets | None = None,
    device: str | torch.device = "cpu",
    resume: bool = False,
    watch: Watch | None = None,
) -> Descriptor:
    """Train on all places of `sheets`, uint8 arrays (16, N, 32, 32) by sequence.

    `held`: sequences to judge by; without them a share of `sheets` is kept out. `noisy`: the same
    patches, those of `held` too, with noise that the data bring along. Returns the best descriptor
    that was met. InputError for data, recipes and folders that cannot work.
    """
    folder, device = Path(out), torch.device(device)
    stored = read_card(folder) if resume else None
    wanted = recipe or DescriptorRecipe.of(stored.provenance["recipe"] if stored else {})
    if stored is None:
        refuse_existing(folder)
    else:
        sweep(folder)
    if noisy is not None and wanted.noise is not None:
        raise InputError(
            "The noise is drawn by the recipe, and the data bring noisy patches of their own. Leave"
            " noise out of the recipe, or give clean patches alone."
        )
    refuse_wrong({**sheets, **(held or {})})
    refuse_partly_noisy({**sheets, **(held or {})}, noisy)
    if held is None:
        sheets, held = split(sheets, wanted.holdout, wanted.seed)
    data = summary(sheets, held, noisy)
    card = stored or card_for(wanted, provenance(wanted, data, device))
    if stored:
        same_run(stored, wanted, data)
    pupil = Pupil(wanted, card, device)
    own = None if noisy is None else {name: noisy[name] for name in sheets}
    places = Places(sheets, wanted, device, own)
    pupil.denoise_once(places)
    judge = Judge(held, wanted.noise, device, seed=wanted.seed, noisy=noisy) if held else None
    if not stored:
        make_folder(folder)
        write_card(folder, card)
    run(Journal(folder, card, pupil, judge), places, watch)
    return Descriptor.load(folder, device, wanted.precision)


class Journal:
    """What is kept of a run: validations, the best weights, the state to go on from."""

    def __init__(self, folder: Path, card: DescriptorCard, pupil: Pupil, judge: Judge | None):
        self.folder, self.card, self.pupil, self.judge = folder, card, pupil, judge
        self.clock = Clock(Recipe(steps=pupil.recipe.steps, budget=pupil.recipe.budget))
        self.scores: Mapping[str, float] = {}
        self.best, self.best_step, self.saved_at = -math.inf, 0, 0.0
        self.losses: list[torch.Tensor] = []  # since the last validation
        self.turn = 0  # validations that were due

    def begin(self) -> None:
        """From the state that is there, or from the beginning."""
        path = self.folder / checkpoint.STATE
        if not path.exists():
            checkpoint.trim_history(self.folder, -1)
            self.validate()
            return
        tensors, about = checkpoint.load_tensors(path)
        self.losses = list(tensors.pop("losses", torch.zeros(0)).to(self.pupil.device))
        self.pupil.restore(tensors)
        recipe = self.pupil.recipe
        self.clock = Clock(
            Recipe(steps=recipe.steps, budget=recipe.budget), about["step"], about["seconds"]
        )
        self.scores, self.best_step = about["scores"], about["best_step"]
        self.best = -math.inf if about["best"] is None else about["best"]
        self.saved_at, self.turn = self.clock.seconds, self.turns
        checkpoint.trim_history(self.folder, self.clock.step)

    def due(self) -> bool:
        """Whether this step is one to validate after."""
        before, self.turn = self.turn, self.turns
        return self.turn > before or self.clock.over

    @property
    def turns(self) -> int:
        """How many validations should be behind a run that stands here."""
        return int(self.clock.used * self.pupil.recipe.validations)

    def validate(self) -> None:
        """Match what is held out; keep the weights if none were better; save the state."""
        loss = float(torch.stack(self.losses).mean()) if self.losses else None
        self.refuse_divergence(loss)
        if self.judge is not None:
            with self.clock.paused():
                self.scores = self.judged(self.judge)
        score = self.scores.get("matching", -self.scores.get("mae", math.inf))
        if score > self.best or self.judge is None:
            self.best, self.best_step = score, self.clock.step
            about = {"step": self.best_step, **self.scores}
            save_weights(self.folder, self.pupil.chain, about)
        line = {"step": self.clock.step, "seconds": self.clock.seconds, "loss": loss, **self.scores}
        checkpoint.append_history(self.folder, line)
        self.losses.clear()
        self.save()

    def refuse_divergence(self, loss: float | None) -> None:
        """Stop where a number is none any more, before weights or state are overwritten."""
        name, value = "mean loss", loss or 0.0
        if math.isfinite(value):
            name = "sum of the weights"
            value = sum(float(weight.detach().sum()) for weight in self.pupil.chain.parameters())
        if not math.isfinite(value):
            raise Diverged(
                f"Training diverged: the {name} is {value} at step {self.clock.step}. Lower lr"
                f" ({self.pupil.recipe.lr:g} now) and train again; the weights of step"
                f" {self.best_step} are kept."
            )

    def judged(self, judge: Judge) -> Mapping[str, float]:
        """How held-out places match; and where a denoiser learns, how far denoised ones are off."""
        recipe = self.pupil.recipe
        scores = judge.scores(self.pupil.describe) if recipe.describes else {}
        return {**scores, "mae": judge.error(self.pupil.denoise)} if recipe.joint else scores

    def save(self) -> None:
        about = {
            "step": self.clock.step,
            "seconds": self.clock.seconds,
            "best": self.best if math.isfinite(self.best) else None,
            "best_step": self.best_step,
            "scores": dict(self.scores),
        }
        tensors = self.pupil.state()
        if self.losses:
            tensors["losses"] = torch.stack(self.losses)
        checkpoint.save_tensors(self.folder / checkpoint.STATE, tensors, about)
        self.saved_at = self.clock.seconds

    def finish(self) -> None:
        """The result, on the card."""
        lines = checkpoint.read_history(self.folder)
        of_best = next(x for x in reversed(lines) if x["step"] == self.best_step)
        result = {
            "steps": self.clock.step,
            "seconds": round(self.clock.seconds, 3),
            "complete": self.clock.over,
            "best_step": self.best_step,
            **{name: of_best[name] for name in self.scores},
        }
        provenance = {**self.card.provenance, "result": result}
        write_card(self.folder, replace(self.card, provenance=provenance))


def run(journal: Journal, places: Places, watch: Watch | None) -> None:
    """The loop: from where the journal stands to the end of the recipe."""
    journal.begin()
    clock, pupil = journal.clock, journal.pupil
    for views in places.batches(clock.step):
        if clock.over:
            break
        loss = pupil.step(views, clock.used, clock.step)
        clock.step += 1
        journal.losses.append(loss)
        validated = journal.due()
        if validated:
            journal.validate()
        elif clock.seconds - journal.saved_at > SAVE_EVERY:
            journal.save()
        if watch and watch(progress(journal, float(loss), validated)):
            journal.save()
            break
    journal.finish()


def progress(journal: Journal, loss: float, validated: bool) -> Progress:
    clock = journal.clock
    return Progress(
        clock.step, clock.seconds, clock.used, loss, journal.scores, journal.best_step, validated
    )


# — the data, and what the card says of a run —


def split(sheets: Sheets, share: float, seed: int) -> tuple[Sheets, Sheets]:
    """Sequences to learn from, and those held out: at least one where a share is asked for."""
    count = max(1, round(share * len(sheets))) if share and len(sheets) > 1 else 0
    names = sorted(sheets)
    order = torch.randperm(len(names), generator=generator(seed, HELD)).tolist()
    out = {names[number] for number in order[:count]}
    kept = {name: x for name, x in sheets.items() if name not in out}
    return kept, {name: sheets[name] for name in sorted(out)}


def summary(sheets: Sheets, held: Sheets, noisy: Sheets | None) -> dict[str, Any]:
    """What a run learns from: counts, names, and a checksum of every patch."""
    total = hashlib.blake2b(digest_size=16)
    for part in (sheets, held, noisy or {}):
        for name in sorted(part):
            total.update(name.encode())
            total.update(np.ascontiguousarray(part[name]).data)
    return {
        "sequences": len(sheets),
        "places": sum(x.shape[1] for x in sheets.values()),
        "held_out": sorted(held),
        "noisy": noisy is not None,
        "digest": total.hexdigest(),
    }


def provenance(
    recipe: DescriptorRecipe, data: dict[str, Any], device: torch.device
) -> dict[str, Any]:
    return {
        "noisepair": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": recipe.lines(),
        "data": data,
        "machine": hardware.describe(device),
        "precision": hardware.resolve(recipe.precision, device),
    }


def refuse_existing(folder: Path) -> None:
    """Overwrite nothing unasked."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} exists and is not empty. Choose another folder, or resume the run in it."
        )


def refuse_partly_noisy(sheets: Sheets, noisy: Sheets | None) -> None:
    """Noisy patches are of all sequences or of none."""
    if noisy is not None and (lacking := sorted(set(sheets) - set(noisy))):
        raise InputError(
            f"There are noisy patches, and none of {lacking[0]}. Give those of every sequence, or"
            " none."
        )


def sweep(folder: Path) -> None:
    """Remove what `kill -9` left half written beside its place."""
    checkpoint.sweep(folder)
    for left in folder.glob(f".{Path(CARD).stem}.*.json"):
        left.unlink(missing_ok=True)


def same_run(stored: DescriptorCard, wanted: DescriptorRecipe, data: Mapping[str, Any]) -> None:
    """Refuse to continue a run with another recipe or other patches."""
    with contextlib.suppress(KeyError):
        if stored.provenance["data"]["digest"] != data["digest"]:
            raise InputError(
                "Resuming goes on with the same patches, and these are not those that the run began"
                " with. Give the same ones, or train anew in another folder."
            )
        mine, theirs = wanted.lines(), stored.provenance["recipe"]
        differing = [n for n in sorted({*mine, *theirs}) if mine.get(n) != theirs.get(n)]
        if differing:
            name = differing[0]
            raise InputError(
                f"Resuming goes on with the stored recipe, and {name} differs: {theirs.get(name)}"
                f" there, {mine.get(name)} here. Leave it out, or train anew in another folder."
            )
