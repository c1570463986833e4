"""`noisepair hpatches make`: a set in HPatches' layout, of one's own pictures."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..errors import InputError
from ..runtimes import require
from .console import Options
from .denoising import progress

STANDARD = Options()
Three = Annotated[tuple[float, float, float], Parameter(negative="")]


def make(  # noqa: PLR0913  a command has as many options as it has
    source: Annotated[list[Path], Parameter(name="SOURCE")],
    /,
    *,
    out: Path,
    test: Annotated[list[Path] | None, Parameter(consume_multiple=True, negative="")] = None,
    held_out: float = 0.25,
    photos: int | None = None,
    seed: int = 0,
    most: int = 2000,
    sides: Annotated[list[int] | None, Parameter(consume_multiple=True, negative="")] = None,
    jitter: Three = (0.93, 1.84, 2.85),
    sigmas: Three = (16.0, 23.0, 31.0),
    workers: int | None = None,
    options: Options = STANDARD,
) -> None:
    """Make an HPatches-style set of sequences with homographies, or of single photographs.

    Parameters
    ----------
    source
        Folders of photographs (half become v_ sequences, seen from elsewhere, half i_, in other
        light), or sequences: folders of six pictures with five homographies, as HPatches and Oxford
        have them. Or folders of such folders.
    out
        Where to write: OUT/65 and OUT/32 are sets for `noisepair hpatches evaluate --patches`, and
        sheet.png shows some patches. Stopped, it goes on where it was.
    test
        Pictures to judge with, none of them in SOURCE; left out, --held-out of SOURCE.
    held_out
        Share of the sequences that are kept for judging, where --test names none.
    photos
        No more than this many photographs of SOURCE, and of --test; the first ones by name.
    seed
        Of all draws: the same seed makes the same bytes, with any number of workers.
    most
        Patches of a sequence, at most.
    sides
        Which patches to write: 65, and 32 with its noisy copies; both if left out.
    jitter
        How far easy, hard and tough regions lie beside the true ones. The default overlaps by 0.85,
        0.72 and 0.60 in the median.
    sigmas
        Noise of easy, hard and tough patches of 32, grey levels of 255; the reference's is that of
        the easy ones.
    workers
        Sequences at a time; as many as there are cores if left out.
    """
    require("cv2")
    from ..hpatches.make import Settings
    from ..hpatches.make import make as make_set
    from .patch_sheet import write_contact_sheet

    for name, value in (("photos", photos), ("workers", workers)):
        if value is not None and value < 1:
            raise InputError(f"--{name} {value} is none at all. Give 1 or more, or leave it out.")
    settings = Settings(
        seed=seed, most=most, sides=tuple(sides or (65, 32)), jitter=jitter, sigmas=sigmas
    )
    with progress(options, 100) as show:
        made = make_set(
            source,
            out,
            settings,
            test=test or (),
            held_out=held_out,
            photographs=photos,
            workers=workers or cores(),
            watch=lambda done, of: show(100 * done / of),
        )
    options.say(*(f"Left out: {name}. {why}" for name, why in made.left_out.items()))
    sheet = write_contact_sheet(made, settings.sides)
    plain = made.as_json()
    lines = [
        f"{len(made.counts)} sequences, {plain['patches']:,} places in 16 sheets each, in {out}:"
        f" {len(made.split.train)} to train with, {len(made.split.test)} to judge with;"
        f" {made.new} of them new, {len(made.left_out)} left out.",
        f"Look at {sheet}; then: noisepair hpatches evaluate --model rootsift --patches"
        f" {out / str(min(settings.sides))}",
    ]
    options.result("\n".join(lines), {**plain, "sheet": str(sheet)})


def cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
