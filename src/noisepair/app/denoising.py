"""`noisepair denoise`: pictures in, denoised pictures out, alike in all but the noise."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .. import images
from ..denoise import Denoiser
from ..errors import InputError
from ..files import make_folder
from .console import Options

STANDARD = Options()
Show = Callable[[float], None]


def denoise(
    inputs: Annotated[list[str], Parameter(name="INPUT")],
    /,
    *,
    model: Path,
    out: Path,
    tile: int | None = None,
    average: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    options: Options = STANDARD,
) -> int:
    """Denoise pictures with a trained model; each keeps its name, format, type and metadata.

    Parameters
    ----------
    inputs
        Files, folders or globs: PNG, JPEG, TIFF (stacks too), BMP, WebP, .npy.
    model
        A folder that `noisepair train` wrote.
    out
        The folder to write to.
    tile
        Side of a tile in pixels; chosen from the free memory if left out. The result is the same.
    average
        The mean over all eight flips and quarter turns of a picture: a little better, in eight
        times the time.
    overwrite
        Replace files that are already in --out.
    """
    if tile is not None and tile < 1:
        raise InputError(f"--tile {tile} is not a size. Give pixels, such as 512, or leave it out.")
    files = images.find(inputs)
    places = destinations(files, out, overwrite=overwrite)
    denoiser = Denoiser.load(model, options.torch_device(), average=average)
    make_folder(out)
    written, failed = [], []
    with progress(options, len(files)) as show:
        for number, (file, place) in enumerate(zip(files, places, strict=True)):
            try:
                notes = one(denoiser, file, place, tile, partial(ahead, show, number))
            except InputError as error:
                failed.append({"file": str(file), "error": str(error)})
                options.say(f"{file}: {error}")
                continue
            written.append({"file": str(file), "out": str(place), "notes": list(notes)})
            options.say(*(f"{file.name}: {note}" for note in notes))
            show(number + 1)
    text = f"{len(written)} of {len(files)} pictures denoised into {out}."
    if failed:
        text += f" {len(failed)} could not be: " + "; ".join(str(f["file"]) for f in failed)
    options.result(text, {"out": str(out), "written": written, "failed": failed})
    return 2 if failed else 0


def ahead(show: Show, before: int, part: float) -> None:
    """`part` of a file after `before` whole ones."""
    show(before + part)


def one(
    denoiser: Denoiser, file: Path, place: Path, tile: int | None, show: Show
) -> tuple[str, ...]:
    """Read, denoise and write one file; what could not be kept is returned."""
    image = images.read(file)
    notes = list(image.notes)
    if image.pixels.shape[-1] < denoiser.card.planes:
        notes.append("grey, denoised as a colour picture with equal planes")
    pixels = denoiser.pages(image.pixels, tile=tile, watch=lambda done, of: show(done / of))
    return tuple(dict.fromkeys([*notes, *images.write(place, image, pixels)]))


def destinations(files: list[Path], out: Path, *, overwrite: bool) -> list[Path]:
    """Where each file goes: its own name in `out`; refuse to lose anything."""
    twice = [name for name, count in Counter(file.name for file in files).items() if count > 1]
    if twice:
        raise InputError(
            f"{len(twice)} file names come twice, {twice[0]} for one, and would meet in {out}."
            " Denoise their folders one by one into different --out folders."
        )
    places = [out / file.name for file in files]
    same = [p for f, p in zip(files, places, strict=True) if p.exists() and p.samefile(f)]
    if same:
        raise InputError(
            f"{same[0]} would overwrite the noisy picture itself. Choose another --out."
        )
    there = [place for place in places if place.exists()]
    if there and not overwrite:
        raise InputError(
            f"{there[0]} exists ({len(there)} of {len(files)} do). Choose another --out, or pass"
            " --overwrite."
        )
    return places


@contextmanager
def progress(options: Options, count: int) -> Iterator[Show]:
    """A bar over all files, with the time left; nothing where no terminal is."""
    console = options.console()
    if options.quiet or not console.is_terminal:
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(
        BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task("", total=count)
        yield lambda done: bar.update(task, completed=done)
