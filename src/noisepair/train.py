"""Training: shots of scenes in, a model folder and a denoiser out.

The network learns to predict one noisy shot from another (Noise2Noise, Lehtinen et al. 2018). For
shots y₁ = x + n₁ and y₂ = x + n₂ with independent zero-mean noise

    E|f(y₁) − y₂|² = E|f(y₁) − x|² + E|n₂|²,

so the held-out loss between a denoised shot and the *other noisy shot* ranks weights as the clean
picture would, whatever the training loss. It is the monitor here: the weights with the least
held-out L2 are the ones kept; what it says of PSNR, and how surely, verdict.py has. Where scenes
have one shot, neighbouring pixels of held-out pictures stand for two: that ranks weights only.
"""

import contextlib
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from . import __version__, checkpoint, hardware, images
from .check import QUICK, alone, check
from .checkpoint import Card
from .denoise import Denoiser
from .errors import InputError
from .intervals import UNKNOWN, Estimate
from .learners import Learner, StoredLearner, learner_for
from .losses import Loss
from .models import Scale, scale_of
from .pairs import Pair, Pairs, TwoShots, batch_for, crop_for, held_out, middle
from .recipe import Recipe
from .shapes import Scalar
from .sources import Given, Scene, Source, fingerprints, open_source, split
from .verdict import TILE, Shots, error_maps, summed, units

SHARE = 0.05  # of a time budget that validations may take; they become rarer where it would be more
SAVE_EVERY = 60.0  # seconds of work that a crash can cost
FINE = 3e-4  # learning rate where a run begins with trained weights and its recipe leaves it open


class Diverged(InputError):
    """A run whose numbers are none any more."""


class Clock:
    """How much of a run is used: steps of its steps, or seconds of its budget.

    Seconds are counted from the first step, validations and saving included, reading data not;
    time before an interruption counts too. `epoch`: the steps of one.
    """

    def __init__(
        self,
        recipe: Recipe,
        step: int = 0,
        seconds: float = 0.0,
        reserve: float = 0.0,
        epoch: float = 1.0,
    ):
        self.steps, self.budget, self.epoch = recipe.steps, recipe.budget, epoch
        if recipe.epochs is not None:
            self.steps = max(1, round(recipe.epochs * epoch))
        self.step, self.began, self.begun_at = step, time.perf_counter() - seconds, step
        self.first, self.reserve = self.began + seconds, reserve  # seconds that the end will take
        self.most = 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time in here is not counted."""
        since = time.perf_counter()
        yield
        lost = time.perf_counter() - since
        self.began, self.first = self.began + lost, self.first + lost

    @property
    def used(self) -> float:
        """Fraction of the run that is over, 0 to 1."""
        if self.steps is not None:
            return min(1.0, self.step / self.steps)
        assert self.budget is not None, "a recipe has steps or a budget"
        now = min(1.0, self.seconds / max(1e-9, self.budget - self.reserve))
        self.most = max(self.most, now)  # a reserve that shrinks must not turn the schedule back
        return self.most

    @property
    def seconds_a_step(self) -> float:
        taken = self.step - self.begun_at
        return (time.perf_counter() - self.first) / taken if taken else 0.0

    @property
    def over(self) -> bool:
        """Whether no step is left, or none that would end in time with what must follow it."""
        if self.steps is not None:
            return self.step >= self.steps
        assert self.budget is not None, "a recipe has steps or a budget"
        if self.step == 0:
            return False  # a model that took no step would be no model
        return self.seconds + self.reserve + self.seconds_a_step / 2 >= self.budget

    @property
    def seconds_left(self) -> float:
        if self.budget is not None:
            return max(0.0, self.budget - self.seconds)
        assert self.steps is not None, "a recipe has steps or a budget"
        return (self.steps - self.step) * self.seconds_a_step


@dataclass(frozen=True)
class Progress:
    """Where a run stands; what a display shows and, at validations, a line of the history."""

    step: int
    epoch: float
    seconds: float
    used: float
    loss: float | None
    mean_loss: float | None  # since the last validation
    held_out: float | None
    psnr: Estimate  # of denoised held-out shots, estimated from noisy ones; nan before there is one
    gain: Estimate
    best_step: int
    pictures_per_second: float
    seconds_left: float
    validated: bool


Watch = Callable[[Progress], bool | None]  # returns True to stop after this step
Score = Callable[[Denoiser], Mapping[str, Any]]  # what to note of the model at each validation
Tell = Callable[[str], None]


def fit(
    learner: Learner, batches: Iterable[Pair], clock: Clock, after: Callable[[Scalar], bool]
) -> None:
    """The only training loop: steps until the clock is over, or `after(loss)` says stop."""
    for pair in batches:
        if clock.over:
            return
        loss = learner.step(pair, clock.used)
        clock.step += 1
        if after(loss):
            return


class Monitor:
    """The held-out pairs, and what their loss says of the clean picture.

    `ranks`: they say which weights are better and no more, for their scenes differ a little.
    """

    def __init__(self, pairs: list[TwoShots], scale: Scale, *, ranks: bool = False):
        self.ranks = ranks
        self.pairs, self.scale, self.unit = pairs, scale.scale, scale.scale**2
        pixels = sum(noisy.numel() for noisy, _ in pairs)
        differences = sum(float((a - b).double().square().sum()) for a, b in pairs)
        self.noise = 0.5 * differences / max(1, pixels) * self.unit
        self.psnr, self.gain = UNKNOWN, UNKNOWN

    def l2(self, learner: Learner) -> float:
        """Mean squared error of denoised shots against the other shots, in picture units.

        Both ways, so that PSNR and gain (kept beside it, decibel) need no equal noise: verdict.py.
        """
        sums = [
            summed(error_maps(Shots(tuple(noisy), tuple(done))), TILE)
            for pair in self.pairs
            for noisy, done in self.pictures(pair, learner)
        ]
        if not sums:
            return math.nan
        found = units(sums)
        if not self.ranks:
            self.psnr = found.psnr(1, of_scenes=found.many)
            self.gain = found.gain(of_scenes=found.many)
        return float(found.errors[:, 1].sum() / found.count.sum()) + self.noise

    def pictures(self, pair: TwoShots, learner: Learner) -> Iterator[Iterable[Any]]:
        """Both shots of each picture of a batch, and both denoised; (H, W, C), picture units."""
        four = (*pair, *(learner.denoise(shot) for shot in pair))
        flat = [(side.float() * self.scale).permute(0, 2, 3, 1).cpu().numpy() for side in four]
        for one, two, done, other in zip(*flat, strict=True):
            yield (one, two), (done, other)


class Journal:
    """What is kept of a run: validations, the best weights, the state to go on from."""

    def __init__(
        self,
        folder: Path,
        card: Card,
        learner: StoredLearner,
        clock: Clock,
        monitor: Monitor,
        score: Score | None = None,
    ):
        self.folder, self.learner, self.clock, self.monitor = folder, learner, clock, monitor
        self.card, self.score, self.validations = card, score, card.recipe.validations
        self.best, self.best_step = math.inf, 0
        self.held_out: float | None = None
        self.loss: Scalar | None = None
        self.losses: list[Scalar] = []  # since the last validation
        self.validated_at, self.saved_at, self.cost = 0.0, clock.seconds, 0.0

    def due(self) -> bool:
        """Whether to validate now: by steps where a run is counted in steps, else by time."""
        clock = self.clock
        if clock.steps is not None:
            turn = self.validations * clock.step // clock.steps
            return turn > self.validations * (clock.step - 1) // clock.steps
        assert clock.budget is not None, "a recipe has steps or a budget"
        rest = max(clock.budget / self.validations, self.cost / SHARE)
        # One that leaves no time for another would end the run early: the last one serves instead.
        room = clock.budget - clock.seconds > 2 * clock.reserve + clock.seconds_a_step
        return clock.over or (room and clock.seconds - self.validated_at >= rest)

    def validate(self) -> None:
        """Measure on held-out pairs, keep the weights if they are the best, save the state."""
        began = self.clock.seconds
        if self.monitor.pairs:
            self.held_out = self.monitor.l2(self.learner)
        self.refuse_divergence()
        better = self.held_out is None or self.held_out < self.best
        if better or not self.clock.step:  # a run whose very first loss is infinite keeps them too
            self.best = self.held_out if better and self.held_out is not None else math.inf
            self.best_step = self.clock.step
            weights = self.learner.model.state_dict()
            about = {"step": self.best_step, "held_out": self.held_out}
            checkpoint.save_tensors(self.folder / checkpoint.WEIGHTS, weights, about)
        checkpoint.append_history(self.folder, self.line())
        self.losses.clear()
        self.save()
        self.validated_at = self.clock.seconds
        self.cost = self.validated_at - began
        self.clock.reserve = self.cost

    def refuse_divergence(self) -> None:
        """Stop where a number is none any more, before weights or state are overwritten."""
        name, value = "held-out loss", self.held_out
        if value is None:
            name = "sum of the weights"
            value = sum(
                float(weight.sum()) for weight in self.learner.network.state_dict().values()
            )
        if not math.isfinite(value) and self.clock.step:
            raise Diverged(
                f"Training diverged: the {name} is {value} at step {self.clock.step}. Lower lr"
                f" ({self.learner.lr:g} now) and train again; the weights of step"
                f" {self.best_step} are kept."
            )

    def save(self) -> None:
        about = {
            "step": self.clock.step,
            "seconds": self.clock.seconds,
            "reserve": self.clock.reserve,
            "best": self.best if math.isfinite(self.best) else None,
            "best_step": self.best_step,
            "held_out": self.held_out,
        }
        tensors = self.learner.state()
        if self.losses:
            tensors["losses"] = torch.stack(self.losses)
        checkpoint.save_tensors(self.folder / checkpoint.STATE, tensors, about)
        self.saved_at = self.clock.seconds

    def restore(self, tensors: checkpoint.Tensors, about: Mapping[str, Any]) -> None:
        learnt = dict(tensors)
        losses = learnt.pop("losses", torch.zeros(0))
        try:
            self.learner.restore(learnt)
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError(
                f"{self.folder / checkpoint.STATE} is the state of another network than"
                f" {checkpoint.CARD} says: {str(error).splitlines()[-1].strip()}. Restore it from"
                " a copy, or train again."
            ) from None
        self.losses = list(losses.to(self.learner.device))
        self.best = math.inf if about["best"] is None else about["best"]
        self.best_step, self.held_out = about["best_step"], about["held_out"]
        self.validated_at = self.saved_at = self.clock.seconds
        checkpoint.trim_history(self.folder, self.clock.step)

    def progress(self, *, validated: bool, batch: int = 1) -> Progress:
        seconds = self.clock.seconds_a_step
        unit = self.monitor.unit if self.learner.loss.terms == ((1.0, "l2"),) else 1.0
        mean = float(torch.stack(self.losses).mean()) * unit if validated and self.losses else None
        return Progress(
            step=self.clock.step,
            epoch=self.clock.step / self.clock.epoch,
            mean_loss=mean,
            seconds=self.clock.seconds,
            used=self.clock.used,
            loss=None if self.loss is None else float(self.loss) * unit,
            held_out=self.held_out,
            psnr=self.monitor.psnr,
            gain=self.monitor.gain,
            best_step=self.best_step,
            pictures_per_second=batch / seconds if seconds else 0.0,
            seconds_left=self.clock.seconds_left,
            validated=validated,
        )

    def line(self) -> dict[str, Any]:
        """A line of the history."""
        names = (
            "step", "epoch", "seconds", "used", "loss", "mean_loss", "held_out", "best_step",
        )  # fmt: skip
        now = self.progress(validated=True)
        estimates = flat("psnr_db", now.psnr) | flat("gain_db", now.gain)
        return {name: getattr(now, name) for name in names} | estimates | self.scored()

    def scored(self) -> dict[str, Any]:
        """What `score` says of the model as it is now, outside the run's time."""
        if self.score is None:
            return {}
        with self.clock.paused():
            model = self.learner.snapshot()
            return {"scores": dict(self.score(Denoiser(model, self.card, self.learner.device)))}


def train(  # noqa: PLR0913  the whole road in one call; all but the data are named
    source: Given | Source,
    source2: Given | None = None,
    *,
    out: str | Path | None = None,
    recipe: Recipe | None = None,
    device: str | torch.device = "cpu",
    frames: bool = False,
    pattern: str | None = None,
    resume: bool = False,
    begin: str | Path | None = None,
    watch: Watch | None = None,
    tell: Tell | None = None,
    score: Score | None = None,
) -> Denoiser:
    """Train on all pairs that `source` holds and return the best denoiser that was met.

    `source`, `source2`: folders, files or arrays, as `sources.open_source` reads them, or what it
    returned. `out`: the model folder; without it nothing is left on the disk. `resume`: continue
    the run in `out` from its last state. `begin`: a model to begin with instead of drawn weights;
    its network and normalisation are taken, and where the recipe leaves it open, a learning rate
    of FINE. `watch(progress)` sees every step and may return True to
    stop; `tell(text)` gets what was understood; `score(denoiser)` is asked at each validation,
    outside the run's time, for values to note in the history.

    Raises InputError for data, recipes and folders that cannot work, naming what to change.
    """
    if out is None:
        if resume:
            raise InputError("resume needs out, the model folder of the run to continue.")
        with tempfile.TemporaryDirectory() as nowhere:
            return train(
                source, source2, out=Path(nowhere), recipe=recipe, device=device, begin=begin,
                frames=frames, pattern=pattern, watch=watch, tell=tell, score=score,
            )  # fmt: skip
    folder, device, asked = Path(out), torch.device(device), tell is not None
    tell = tell or (lambda text: None)
    stored = checkpoint.read_card(folder) if resume else None
    if stored is None:
        checkpoint.refuse_existing(folder)
    else:
        checkpoint.sweep(folder)
    wanted = recipe or (stored.recipe if stored else Recipe())
    shots = opened(source, source2, wanted, frames=frames, pattern=pattern)
    for line in shots.lines():
        tell(line)
    if asked and not shots.synthetic:  # noise that was made here needs no looking at
        for line in looked_at(shots, wanted):
            tell(line)
    kept, spared = split(shots, wanted.holdout, wanted.seed)
    tell(told_held_out(spared, wanted))
    if wanted.target == "others":
        refuse_without_others(kept)
    begun, wanted = beginning(begin, wanted, kept, tell)
    wanted = with_crops(wanted, kept)
    tell(f"Recipe: {wanted.sentence(Recipe()) or 'the default'}")
    card = stored or new_card(shots, kept, spared, wanted, device, begun)
    if stored:
        same_run(stored, wanted, shots)
        same_beginning(folder, stored, begun)
    else:
        checkpoint.create(folder)
        checkpoint.write_card(folder, card)
    if checkpoint.read_seen(folder) is None:  # also where a run was killed before it was written
        checkpoint.write_seen(folder, fingerprints(kept))
    run(folder, card, kept, spared, learner_of(card, device, begun), watch, tell, score)
    denoiser = Denoiser.load(folder, device)
    denoiser.example = middle((spared or kept)[0], wanted, 0)[0]
    return denoiser


def opened(
    source: Given | Source,
    source2: Given | None,
    recipe: Recipe,
    *,
    frames: bool,
    pattern: str | None,
) -> Source:
    """The shots that a recipe asks for, or those that were opened already."""
    if not isinstance(source, Source):
        return open_source(
            source, source2, frames=frames, pattern=pattern, noise=recipe.noise,
            fresh_noise=recipe.fresh_noise, seed=recipe.seed, shots=recipe.shots,
            keep_clean=recipe.target == "clean", single=recipe.pairs != "shots",
        )  # fmt: skip
    if source2 is not None or frames or pattern:
        raise InputError(
            "The source is open already, and source2, frames and pattern say how to open one."
            " Give them to open_source."
        )
    most = max(len(scene.shots) for scene in source.scenes)
    if recipe.pairs != "shots" and most > 1:
        raise InputError(
            f"pairs={recipe.pairs} takes one shot of a scene, and this source has {most}. Leave"
            " pairs out: two shots tell more. Or give single=True to open_source."
        )
    if recipe.pairs == "shots" and most < 2 and not recipe.fresh_noise:
        raise InputError(
            "This source has one shot of each scene, and Noise2Noise needs two. Give a recipe with"
            " pairs=neighbor2neighbor, noise2void, zero-shot or recorrupted."
        )
    return source


def with_crops(recipe: Recipe, scenes: Sequence[Scene]) -> Recipe:
    """Crop and batch decided; InputError for crops that the loss or the pairing cannot use."""
    within = recipe.pairs != "shots"
    crop = crop_for(scenes, recipe.crop, within=within)
    halved = recipe.pairs in ("neighbor2neighbor", "zero-shot")
    side = min(crop // 2 if halved else crop, 176)  # what the largest window of any loss needs
    least = torch.zeros(1, 1, side, side)
    Loss.of(recipe.loss)(least, least, 0.0)
    return recipe.resolved(crop=crop, batch=batch_for(crop, recipe.batch))


def looked_at(shots: Source, recipe: Recipe) -> list[str]:
    """What a quick look at the data finds, before anything is trained."""
    if recipe.pairs == "shots":
        return check(shots, pixels=QUICK).short()
    found = alone([scene.shots[0][0] for scene in shots.scenes])
    return [found] if found else []


def refuse_without_others(scenes: Sequence[Scene]) -> None:
    """Say no where the mean of all other shots is no more than the other shot, or none."""
    if any(scene.frames for scene in scenes):
        raise InputError(
            "target=others is the mean of all other shots, and of frames only neighbours show the"
            " same scene. Leave target out."
        )
    if max(len(scene.shots) for scene in scenes) < 3:
        raise InputError(
            "target=others is the mean of all other shots, and no scene has more than two. Give"
            " three or more shots of a scene, or leave target out."
        )


def run(
    folder: Path,
    card: Card,
    kept: tuple[Scene, ...],
    spared: tuple[Scene, ...],
    learner: StoredLearner,
    watch: Watch | None,
    tell: Tell,
    score: Score | None,
) -> None:
    """From the beginning, or from the state that is there, to the end of the recipe."""
    recipe, device = card.recipe, learner.device
    pairs = Pairs(kept, recipe, card.scale, device)
    for line in pairs.lines():
        tell(line)
    epoch = len(pairs) / pairs.count
    ranks = recipe.pairs != "shots"
    monitor = Monitor(held_out(spared, recipe, card.scale, device), card.scale, ranks=ranks)
    if (folder / checkpoint.STATE).exists():
        tensors, about = checkpoint.load_tensors(folder / checkpoint.STATE)
        with checkpoint.legible(folder / checkpoint.STATE):
            clock = Clock(recipe, about["step"], about["seconds"], about["reserve"], epoch)
        journal = Journal(folder, card, learner, clock, monitor, score)
        journal.restore(tensors, about)
        tell(f"Continuing from step {clock.step}.")
    else:
        checkpoint.trim_history(folder, -1)
        clock = Clock(recipe, epoch=epoch)
        journal = Journal(folder, card, learner, clock, monitor, score)
        journal.validate()

    # Another thread count rounds otherwise, so a run counted in steps keeps the one that it has.
    threads = hardware.Threads() if clock.budget and device.type == "cpu" else None

    def after(loss: Scalar) -> bool:
        if threads:
            threads.stepped()
        journal.loss = loss
        journal.losses.append(loss)
        validated = journal.due()
        if validated:
            journal.validate()
        elif clock.seconds - journal.saved_at > SAVE_EVERY:
            journal.save()
        stop = watch and watch(journal.progress(validated=validated, batch=pairs.count))
        if stop and not validated:
            journal.save()
        if threads:
            threads.start()
        return bool(stop)

    try:
        fit(learner, pairs.batches(clock.step), clock, after)
    finally:
        if threads:
            threads.restore()
    finished = {**card.provenance, "result": result(journal, monitor)}
    checkpoint.write_card(folder, Card(recipe, card.planes, card.scale, finished))


def result(journal: Journal, monitor: Monitor) -> dict[str, Any]:
    """What the run came to, for the card."""
    best = journal.best if math.isfinite(journal.best) else None
    lines = checkpoint.read_history(journal.folder)
    step = journal.best_step
    of_best = next((one for one in reversed(lines) if one["step"] == step), dict[str, Any]())
    return {
        "steps": journal.clock.step,
        "seconds": round(journal.clock.seconds, 3),
        "complete": journal.clock.over,
        "best_step": journal.best_step,
        "held_out_l2": best,
        "held_out_l2_at_first": lines[0]["held_out"] if lines and lines[0]["step"] == 0 else None,
        "noise_variance": monitor.noise if monitor.pairs and not monitor.ranks else None,
        **{
            name: of_best.get(name)
            for name in (*flat("psnr_db", UNKNOWN), *flat("gain_db", UNKNOWN))
        },
    }


def flat(name: str, estimate: Estimate) -> dict[str, float | None]:
    """An estimate under one name, its bounds under two more; null for what is not known."""
    plain = estimate.as_json()
    return {name: plain["value"], f"{name}_low": plain["low"], f"{name}_high": plain["high"]}


def told_held_out(spared: tuple[Scene, ...], recipe: Recipe) -> str:
    single = recipe.pairs != "shots"
    if not recipe.holdout:
        return (
            "Nothing is held out, as holdout=0 asks: the last weights are kept, and no held-out"
            " figure can be given."
        )
    if not spared and single:
        return (
            "Nothing is held out: one picture cannot be spared. The last weights are kept, and no"
            " figure can be given."
        )
    if not spared:
        return (
            "Nothing is held out: one scene cannot be spared. The last weights are kept, and no"
            " held-out figure can be given; with a second scene both would be better."
        )
    names = ", ".join(scene.name for scene in spared[:3]) + (", …" if len(spared) > 3 else "")
    noun = "scene is" if len(spared) == 1 else "scenes are"
    told = f"{len(spared)} {noun} held out to choose the best weights by: {names}"
    if single:
        told += (
            " (one half of its pixels against their neighbours; that ranks weights, and no gain"
            " can be told from it)"
        )
    return told


@dataclass(frozen=True)
class Begun:
    """The model that a run begins with."""

    name: str
    card: Card
    weights: checkpoint.Tensors

    @classmethod
    def of(cls, begin: str | Path, planes: int) -> "Begun":
        """Read it; InputError where it is no model, or knows other colour planes."""
        folder = checkpoint.located(begin, planes)
        card = checkpoint.read_card(folder)
        if card.planes != planes:
            raise InputError(
                f"{folder} was trained on pictures of {card.planes} planes, and these have"
                f" {planes}. Begin with a model of {planes}, or leave --from out."
            )
        weights, _ = checkpoint.load_tensors(folder / checkpoint.WEIGHTS)
        checkpoint.fit_into(folder / checkpoint.WEIGHTS, card.recipe.network(planes), weights)
        return cls(folder.name, card, weights)

    def decided(self, recipe: Recipe) -> Recipe:
        """The recipe with this model's network and, where it leaves the rate open, a gentler one.

        A network that was asked for and is not this one is refused; a network or a rate that is
        the usual one of its pairing counts as left open.
        """
        usual, network = Recipe.of({"pairs": recipe.pairs}), self.card.recipe.network
        if recipe.network not in (usual.network, network):
            raise InputError(
                f"The recipe asks for network {recipe.network}, and the weights of {self.name} are"
                f" those of {network}. Leave network out, or leave --from out."
            )
        lr = FINE if recipe.lr in (usual.lr, Recipe().lr) else recipe.lr
        return recipe.resolved(network=network, lr=lr)

    def about(self) -> dict[str, str]:
        """For the card: which weights they were."""
        return {"name": self.name, "checksum": checkpoint.checksum(self.weights, "")}


def beginning(
    begin: str | Path | None, recipe: Recipe, scenes: Sequence[Scene], tell: Tell
) -> tuple[Begun | None, Recipe]:
    """The model to begin with, if any, and the recipe as it is then."""
    if begin is None:
        return None, recipe
    begun = Begun.of(begin, scenes[0].shots[0].shape[-1])
    tell(f"Beginning with the weights of {begun.name}.")
    return begun, begun.decided(recipe)


def learner_of(card: Card, device: torch.device, begun: Begun | None) -> StoredLearner:
    """Who the recipe's engine says, with drawn weights or those of a model."""
    learner = learner_for(card.recipe, card.planes, device)
    if begun is not None:
        learner.begin(begun.weights)
    return learner


def new_card(
    shots: Source,
    kept: tuple[Scene, ...],
    spared: tuple[Scene, ...],
    recipe: Recipe,
    device: torch.device,
    begun: Begun | None,
) -> Card:
    """The card of a run that begins."""
    pictures = [shot for scene in kept for shot in scene.shots]
    full = images.full_scale(pictures[0].dtype)
    scale = Scale() if shots.synthetic else scale_of(pictures, full)
    scale = begun.card.scale if begun else scale
    by_torch = recipe.engine == "torch"
    precision = "float32" if not by_torch else hardware.resolve(recipe.precision, device)
    provenance = {
        "noisepair": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": shots.summary() | {"held_out": [scene.name for scene in spared]},
        "machine": hardware.describe(device),
        "precision": precision,
    }
    if begun is not None:
        provenance["begun_with"] = begun.about()
    return Card(recipe, kept[0].shots[0].shape[-1], scale, provenance)


def same_run(stored: Card, wanted: Recipe, shots: Source) -> None:
    """Refuse to continue a run with another recipe or other data."""
    mine, theirs = json.loads(json.dumps(wanted.lines())), stored.recipe.lines()
    differing = [name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)]
    if differing:
        name = sorted(differing)[0]
        raise InputError(
            f"--resume continues the stored recipe, and {name} differs: {theirs.get(name)} there,"
            f" {mine.get(name)} here. Leave it out, or train anew with another --out."
        )
    if stored.provenance["data"]["digest"] != shots.summary()["digest"]:
        raise InputError(
            "--resume continues on the same data, and these shots are not those that the run began"
            " with. Give the same ones, or train anew with another --out."
        )


def same_beginning(folder: Path, stored: Card, begun: Begun | None) -> None:
    """Refuse to continue a run with other weights to begin with, or before it had any state."""
    known = stored.provenance.get("begun_with")
    if begun is not None and begun.about() != known:
        was = f"began with {known['name']}" if known else "began with drawn weights"
        raise InputError(
            f"--resume continues a run that {was}, and --from names other weights: {begun.name}."
            " Leave --from out, or train anew with another --out."
        )
    if begun is None and known and not (folder / checkpoint.STATE).exists():
        raise InputError(
            "This run was stopped before its first state was saved, and it began with"
            f" {known['name']}. Give that model again with --from."
        )
