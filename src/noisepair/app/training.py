"""`noisepair train`: read options, train, show how it goes, say what came of it."""

import inspect
import math
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from .. import recipe as recipes
from ..recipe import Recipe
from ..train import Progress
from ..train import train as train_model
from .console import Options, span
from .report import write_training

if TYPE_CHECKING:
    from ..denoise import Denoiser

RECIPE = Group("Recipe", help="Any line of the recipe, as in a recipe file.", sort_key=50)
STANDARD = Options()
Cli = Callable[..., int]


def with_lines(known: Mapping[str, tuple[str, str]]) -> Callable[[Cli], Cli]:
    """Give a command an option for every line of a recipe: its `**lines`, spelled out."""

    def longer(command: Cli) -> Cli:
        signature = inspect.signature(command)
        fixed = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        taken = {parameter.name for parameter in fixed} | {"version"}  # --version is the program's
        lines = [
            inspect.Parameter(
                name.replace(".", "__"),
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[kind_of(name, default), option(name, meaning, default)],
            )
            for name, (meaning, default) in known.items()
            if name not in taken
        ]
        command.__signature__ = signature.replace(parameters=fixed + lines)  # type: ignore[attr-defined]
        return command

    return longer


def lines_of(options: Mapping[str, str | bool | None]) -> dict[str, str | bool]:
    """The recipe lines that were given, under their names."""
    return {name.replace("__", "."): text for name, text in options.items() if text is not None}


def kind_of(name: str, default: str) -> object:
    """Text, which the recipe reads itself; but a switch for a line that is true or false.

    A part's setting is text always: `--network.skips false` must not take false for a folder.
    """
    switch = default in ("true", "false") and "." not in name
    return bool | None if switch else str | None


def option(name: str, meaning: str, default: str) -> Parameter:
    dashed = f"--{name.replace('_', '-')}"
    return Parameter(name=dashed, group=RECIPE, help=f"{meaning} [default: {default}]")


@with_lines(recipes.LINES)
def train(  # noqa: PLR0913  an option each; the rest of them are recipe lines
    source: str,
    source2: str | None = None,
    /,
    *,
    out: Path,
    recipe: Path | None = None,
    frames: Annotated[bool, Parameter(negative="")] = False,
    pattern: str | None = None,
    begin: Annotated[str | None, Parameter(name="--from")] = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    options: Options = STANDARD,
    **lines: str | bool | None,
) -> int:
    """Train a denoiser on noisy shots of scenes, or on single pictures; no clean one is needed.

    Parameters
    ----------
    source
        Two folders with the same file names (the first here), a folder whose files pair by name
        (a_1.png a_2.png), a folder with a folder a scene, a stack (with --frames), an .npy or .npz
        of two or more shots, the course's train_data.pkl, or clean pictures (with --noise). With
        --pairs neighbor2neighbor, noise2void, zero-shot or recorrupted: one noisy picture, or a
        folder, a stack or arrays of them.
    source2
        The second folder, or file.
    out
        The model folder to write; never overwritten.
    recipe
        A TOML file of recipe lines; options given here come before it.
    frames
        The source is a sequence, and neighbouring frames show the same scene.
    pattern
        How file names pair, as in '{scene}_{shot}.png'.
    begin
        A model to begin with instead of drawn weights.
    resume
        Continue the run in --out from its last state.
    """
    device = options.torch_device()
    given = lines_of(lines)
    wanted = Recipe.read(recipe, given) if recipe or given or not resume else None
    with stop_on_signal() as stopped, display(options) as show:

        def watch(progress: Progress) -> bool:
            show(progress)
            return bool(stopped)

        denoiser = train_model(
            source, source2, out=out, recipe=wanted, device=device, frames=frames,
            pattern=pattern, resume=resume, begin=begin, watch=watch, tell=options.say,
        )  # fmt: skip
    came = denoiser.card.provenance["result"]
    if stopped:
        return told_stopped(came["steps"], options)
    page = write_training(out, denoiser)
    plain = {"model": str(out), "report": str(page), **came}
    options.result(told(denoiser, out, page), plain)
    return 0


def told_stopped(step: int, options: Options) -> int:
    """How to go on with a run that was stopped; its exit code."""
    again = sys.argv[1:] if "--resume" in sys.argv else [*sys.argv[1:], "--resume"]
    options.say(
        f"Stopped at step {step}; all of it is saved. Go on with:",
        f"  noisepair {shlex.join(again)}",
    )
    return 130


def told(denoiser: "Denoiser", out: Path, page: Path) -> str:
    """The end of a run, for a person."""
    came = denoiser.card.provenance["result"]
    lines = [f"{came['steps']} steps in {span(came['seconds'])}. The model is {out}."]
    noise = denoiser.card.recipe.noise
    if denoiser.card.recipe.pairs != "shots":
        lines.append("No gain is estimated: from one shot of a scene it cannot be told.")
    elif noise is not None and not noise.zero_mean:
        lines.append(f"No gain is estimated: {noise.kind} noise is not zero-mean.")
    elif came["gain_db"] is not None:
        low, high = came["gain_db_low"], came["gain_db_high"]
        sure = f" ({low:+.1f} to {high:+.1f})" if low is not None and high is not None else ""
        lines.append(
            f"Best at step {came['best_step']}: {came['gain_db']:+.1f} dB PSNR{sure} on held-out"
            " scenes, estimated from their noisy shots (independent zero-mean noise; 95 %)."
        )
    elif came["held_out_l2"] is not None:
        lines.append("Its held-out loss is within the noise itself: too little to estimate a gain.")
    lines.append(f"Look at {page}")
    return "\n".join([*lines, f"Next: noisepair denoise PICTURES --model {out} --out denoised"])


@contextmanager
def stop_on_signal() -> Iterator[list[int]]:
    """Catch Ctrl-C and SIGTERM: the list fills at the first, the second is let through."""
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, catch) for number in signals]
    try:
        yield caught
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def display(options: Options) -> Iterator[Callable[[Progress], None]]:
    """A live line in a terminal, a plain line a validation elsewhere, nothing when quiet."""
    console = options.console()
    if options.quiet or not console.is_terminal:
        yield lambda progress: options.say(plain(progress)) if progress.validated else None
        return
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(24), TextColumn("{task.percentage:>3.0f} %  {task.description}"))
    with Bar(*columns, console=console, refresh_per_second=4) as bar:
        task = bar.add_task("beginning", total=1.0)
        last = 0.0

        def show(progress: Progress) -> None:
            nonlocal last
            if progress.validated or progress.seconds - last > 0.25:
                last = progress.seconds
                bar.update(task, completed=progress.used, description=plain(progress))

        yield show


def plain(progress: Progress) -> str:
    """One line of where the run stands."""
    parts = [f"step {progress.step}"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.5f}")
    if progress.held_out is not None:
        parts.append(f"held-out {progress.held_out:.5f}")
    if math.isfinite(progress.psnr.value):
        doubt = progress.psnr.value - progress.psnr.low
        sure = f" ± {doubt:.1f}" if math.isfinite(doubt) else ""
        gain = f"{progress.gain.value:+.1f}".replace("-", "−")
        parts.append(f"PSNR {progress.psnr.value:.1f}{sure} dB (est.), {gain} dB")
    parts.append(f"{progress.pictures_per_second:.0f} pictures/s")
    return "  ".join([*parts, f"{span(progress.seconds_left)} left"])
