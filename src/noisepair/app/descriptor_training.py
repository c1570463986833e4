"""`noisepair hpatches train`: sheets of patches in, a trained descriptor out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..descriptors.recipe import LINES, DescriptorRecipe
from ..errors import InputError
from ..hpatches.layout import open_set
from ..hpatches.splits import find_split
from .console import Options, span
from .denoising import progress
from .training import lines_of, stop_on_signal, told_stopped, with_lines

if TYPE_CHECKING:
    from ..descriptors.train import Progress

STANDARD = Options()
BLIND = {"noise.sigma": "0:50/255"}  # where nothing is said of noise; the bundled one has learnt so


@with_lines(LINES)
def train(
    patches: Path,
    /,
    *,
    out: Path,
    recipe: Path | None = None,
    split: str = "a",
    noisy: Annotated[bool, Parameter(negative="")] = False,
    resume: Annotated[bool, Parameter(negative="")] = False,
    options: Options = STANDARD,
    **lines: str | bool | None,
) -> int:
    """Train a descriptor on the training sequences of a set of patches.

    Noise of sigma 0 to 50/255 is drawn anew at every step, unless the recipe or --noisy says
    otherwise; --noise none trains on patches as they are.

    Parameters
    ----------
    patches
        A set of sheets, 32 or 65 pixels wide: HPatches, N-HPatches, or what `noisepair hpatches
        make` wrote.
    out
        The folder to write; never overwritten.
    recipe
        A TOML file of recipe lines; options given here come before it.
    split
        a, b or c, or one that splits.json beside the patches names; its test part is not looked at.
    noisy
        The noise is that of the sheets that end in _noise, instead of one that is drawn.
    resume
        Continue the run in --out from its last state.
    """
    from ..descriptors import sheets_of, train_descriptor

    given = lines_of(lines)
    as_begun = resume and not recipe and not given
    if not recipe and not noisy and not any(line.startswith("noise") for line in given):
        given = {**BLIND, **given}
    wanted = None if as_begun else DescriptorRecipe.read(recipe, given)
    chosen = find_split(split, patches)
    if not chosen.train:
        raise InputError(
            f"The split {split} has no training part. Give a, b or c, or one of {patches}/"
            "splits.json that names sequences to train with."
        )
    clean = open_set(patches, chosen.train)
    spoilt = sheets_of(open_set(patches, chosen.train, noisy=True)) if noisy else None
    places = sum(clean.counts.values())
    options.say(f"{len(clean.counts)} sequences, {places:,} places in 16 sheets each.")
    if wanted is not None:
        options.say(f"Recipe: {wanted.sentence() or 'the default'}")
    with stop_on_signal() as stopped, progress(options, 100) as show:

        def watch(at: "Progress") -> bool:
            show(100 * at.used)
            if at.validated:
                options.say(told(at))
            return bool(stopped)

        descriptor = train_descriptor(
            sheets_of(clean), out=out, recipe=wanted, noisy=spoilt,
            device=options.torch_device(), resume=resume, watch=watch,
        )  # fmt: skip
    came = descriptor.card.provenance["result"]
    if stopped:
        return told_stopped(came["steps"], options)
    scores = ", ".join(
        f"{name} {came[name]:.3f}" for name in ("matching", "easy", "hard", "tough", "mae")
        if name in came
    )  # fmt: skip
    where = f"step {came['best_step']}"
    judged = f" Best at {where}, on held-out sequences: {scores}." if scores else ""
    options.result(
        f"{came['steps']} steps in {span(came['seconds'])}. The descriptor is {out}.{judged}\n"
        f"Next: noisepair hpatches evaluate --model {out} --patches {patches} --noisy",
        {"model": str(out), **came},
    )
    return 0


def told(at: "Progress") -> str:
    """One line of where the run stands."""
    scores = "  ".join(f"{name} {value:.4f}" for name, value in at.scores.items())
    left = at.seconds / at.used - at.seconds if at.used else 0.0
    return f"step {at.step}  loss {at.loss:.4f}  {scores}  {span(left)} left"
