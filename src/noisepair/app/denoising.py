"""`noisepair denoise`: pictures in, denoised pictures out, alike in all but the noise."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from .. import checkpoint, images
from ..blind import Blind, Found, refuse
from ..denoise import Denoiser
from ..errors import InputError
from ..files import make_folder
from ..noise.given import Given
from ..recipe import plain, seconds
from ..runtimes import Asked, Name, carry, only_cpu
from .console import Options
from .pipeline import Ahead, Behind

STANDARD = Options()
Show = Callable[[float], None]
Notes = tuple[str, ...]


def denoise(  # noqa: PLR0913  options of a command
    inputs: Annotated[list[str], Parameter(name="INPUT")],
    /,
    *,
    out: Path,
    model: str | None = None,
    sigma: str | None = None,
    noise: str | None = None,
    strength: float = 1.0,
    adapt: str | None = None,
    tile: int | None = None,
    average: Annotated[bool, Parameter(negative="")] = False,
    runtime: Asked = "auto",
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    options: Options = STANDARD,
) -> int:
    """Denoise pictures; each keeps its name, format, type and metadata.

    Parameters
    ----------
    inputs
        Files, folders or globs: PNG, JPEG, TIFF (stacks too), BMP, WebP, .npy.
    out
        The folder to write to. A picture that lies there itself is written as NAME_denoised.
    model
        A folder that `noisepair train` wrote; left out, the weights that come with noisepair: for
        colour or for grey, as each picture is.
    sigma
        Noise level in picture units, such as 25/255, for the bundled weights; measured in each
        picture if left out.
    noise
        What is known of the noise, for the bundled weights: 'poisson_gaussian gain=0.02
        read=5/255', or a file that `noisepair check --json` wrote; instead of --sigma.
    strength
        Share of the noise that is to go, 0 to 1, by the bundled weights.
    adapt
        Time, such as 30s, in which the bundled weights learn from each picture itself first, for
        noise that they do not know. Kept only where parts of it that were held out gain by it.
    tile
        Side of a tile in pixels; chosen from the free memory if left out. The result is the same.
    average
        The mean over all eight flips and quarter turns of a picture: a little better, in eight
        times the time.
    runtime
        What carries the network out: torch; openvino, on the CPU; onnx, for a .onnx file. auto is
        torch and, where OpenVINO is installed and there are pixels enough for its start, that.
    overwrite
        Replace files that are already in --out.
    """
    if tile is not None and tile < 1:
        raise InputError(f"--tile {tile} is not a size. Give pixels, such as 512, or leave it out.")
    files = images.find(inputs)
    places = destinations(files, out, overwrite=overwrite)
    shelf = Shelf(
        model, options, average=average, runtime=runtime, sigma=level(sigma), noise=known(noise),
        strength=strength,
    )  # fmt: skip
    budget = time_for(adapt, model)
    make_folder(out)
    with progress(options, len(files)) as show:
        row = Row(shelf, tile, show, options, budget)
        row.work(files, places)
    options.say(*(text for text in row.advice if text))
    text = f"{len(row.written)} of {len(files)} pictures denoised into {out}."
    if row.failed:
        text += f" {len(row.failed)} could not be: " + "; ".join(str(f["file"]) for f in row.failed)
    came = {"out": str(out), "written": row.written, "failed": row.failed, "busy": row.busy}
    options.result(text, came)
    return 2 if row.failed else 0


class Shelf:
    """The denoiser for a picture: the model that was asked for, or the bundled one that fits."""

    def __init__(
        self, model: str | None, options: Options, *, average: bool, runtime: Asked = "auto",
        sigma: float | None = None, noise: Given | None = None, strength: float = 1.0,
    ):  # fmt: skip
        self.device = options.torch_device(cpu=only_cpu(model or "colour", runtime))
        self.average, self.runtime = average, runtime
        refuse(sigma, strength)
        if sigma is not None and noise is not None:
            raise InputError(
                "--sigma and --noise both say how strong the noise is. Give one of them."
            )
        self.sigma, self.noise, self.strength = sigma, noise, strength
        self.known: dict[str, Denoiser | Blind] = {}
        own = model is None or (model == "bundled" and not Path(model).exists())
        self.model = None if own else model
        if self.model is not None:
            self.load(self.model)

    def load(self, name: str) -> Denoiser | Blind:
        """Weights that come with noisepair are told of the noise; a trained model knows its own."""
        if name not in self.known:
            found = Denoiser.load(name, self.device, average=self.average, runtime=self.runtime)
            told = self.sigma is not None or self.noise is not None or self.strength != 1
            if not found.card.blind and told:
                raise InputError(
                    f"--sigma, --noise and --strength are for the bundled weights, and {name} was"
                    " trained on noise that it knows. Leave them out, or leave out --model."
                )
            self.known[name] = (
                Blind(found, sigma=self.sigma, noise=self.noise, strength=self.strength)
                if found.card.blind else found
            )  # fmt: skip
        return self.known[name]

    def fit(self, pixels: np.ndarray) -> Denoiser | Blind:
        """For pages (N, H, W, C)."""
        return self.load(self.model or ("grey" if pixels.shape[-1] == 1 else "colour"))


@dataclass(frozen=True)
class Job:
    """What there is to say of a picture before it is written."""

    notes: Notes
    found: Found | None
    runtime: Name


Pending = tuple[Path, Path, Job, Future[Notes]]


class Row:
    """Files that are read, denoised and written, at the same time; and what came of each."""

    def __init__(
        self, shelf: Shelf, tile: int | None, show: Show, options: Options, budget: float | None
    ):
        self.shelf, self.tile, self.show, self.options = shelf, tile, show, options
        self.budget = budget  # seconds to adapt in
        self.written: list[dict[str, Any]] = []
        self.failed: list[dict[str, Any]] = []
        self.advice: dict[str | None, None] = {}  # said once, in order
        self.seconds = 0.0  # in the network
        self.busy = 0.0  # share of the time from the first picture read to the last one denoised

    def work(self, files: list[Path], places: list[Path]) -> None:
        pending: list[Pending] = []
        began = None
        with Behind[Notes]() as writer:
            row = Ahead(zip(files, places, strict=True), lambda job: images.read(job[0]), held)
            for number, ((file, place), read) in enumerate(row):
                began = began or perf_counter()
                try:
                    image = read.result()
                    job, pixels = self.one(image, partial(ahead, self.show, number))
                except InputError as error:
                    self.fail(file, error)
                    continue
                put = partial(images.write, place, image, pixels)
                pending.append((file, place, job, writer.submit(put, pixels.nbytes)))
                self.finish(pending, wait=False)
                self.show(number + 1)
            if began is not None:
                self.busy = round(self.seconds / max(1e-9, perf_counter() - began), 3)
        self.finish(pending, wait=True)

    def one(self, image: images.Image, show: Show) -> tuple["Job", np.ndarray]:
        """Denoise one picture; what was found, and what could not be kept, is returned."""
        fit, notes = self.shelf.fit(image.pixels), list(image.notes)
        denoiser = fit.denoiser if isinstance(fit, Blind) else fit
        if image.pixels.shape[-1] < denoiser.card.planes:
            notes.append("grey, denoised as a colour picture with equal planes")
        found, began = None, perf_counter()

        def watch(done: int, of: int) -> None:
            show(done / of)

        if isinstance(fit, Blind):
            if self.budget is not None:
                fit, said = adapted(fit, image.pixels, self.budget, show, self.shelf.runtime)
                notes.insert(0, said)
            pixels, found = fit.pages(image.pixels, tile=self.tile, watch=watch)
        else:
            pixels = fit.pages(image.pixels, tile=self.tile, watch=watch)
        self.seconds += perf_counter() - began
        runtime = (fit.denoiser if isinstance(fit, Blind) else fit).runtime
        self.advice |= {runtime.note: None}
        return Job(tuple(notes), found, runtime.name), pixels

    def finish(self, pending: list["Pending"], *, wait: bool) -> None:
        """Say of the files that are written, in their order, what was found and not kept."""
        while pending and (wait or pending[0][3].done()):
            file, place, job, future = pending.pop(0)
            try:
                notes = list(dict.fromkeys([*job.notes, *future.result()]))
            except InputError as error:
                self.fail(file, error)
                continue
            line: dict[str, Any] = {"file": str(file), "out": str(place), "notes": notes,
                                    "runtime": job.runtime}  # fmt: skip
            if job.found:
                notes.insert(0, job.found.sentence())
                self.advice |= {job.found.advice: None}
                line |= job.found.as_json()
            self.written.append(line)
            self.options.say(*(f"{file.name}: {note}" for note in notes))

    def fail(self, file: Path, error: InputError) -> None:
        self.failed.append({"file": str(file), "error": str(error)})
        self.options.say(f"{file}: {error}")


def adapted(
    blind: Blind, pixels: np.ndarray, budget: float, show: Show, runtime: Asked
) -> tuple[Blind, str]:
    """Weights that learnt from the picture, where that helps; and what came of it."""
    from ..adapt import adapt  # brings in all of training

    own = blind.denoiser
    came = adapt(
        pixels, blind.measured(pixels), budget, device=own.device, watch=lambda part: show(part / 2)
    )
    if came.denoiser is None:
        return blind, came.sentence
    new = came.denoiser
    new.average, new.runtime = own.average, carry(new.network, new.card.planes, own.device, runtime)
    return blind.carried_by(new), came.sentence


def time_for(text: str | None, model: str | None) -> float | None:
    """`30s` as seconds; refused before anything is read."""
    if text is None:
        return None
    if model is not None and checkpoint.located(model) == Path(model):
        raise InputError(
            f"--adapt is for the bundled weights, and {model} is another model. Leave it out,"
            " or leave out --model."
        )
    from ..adapt import SHORTEST

    try:
        value = seconds(plain(text) if text.isdigit() else text)
    except ValueError as error:
        raise InputError(f"--adapt {text} {error}.") from None
    if not isinstance(value, int | float) or value < SHORTEST:
        raise InputError(
            f"--adapt {text} is too short to learn anything in: the first steps take as long. Give"
            f" {SHORTEST:g}s or more; 30s is usual."
        )
    return float(value)


def level(text: str | None) -> float | None:
    """`25/255` or `0.1` as a number."""
    if text is None:
        return None
    value = plain(text)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputError(f"--sigma {text} is no noise level. Write it as 25/255, or as 0.1.")
    if value > 1:
        raise InputError(
            f"--sigma {text} is more than full scale. Picture units end at 1: write {text}/255 for"
            " levels of 8 bits."
        )
    return float(value)


def known(text: str | None) -> Given | None:
    """The constants in words, or in a file of a check."""
    if text is None:
        return None
    path = Path(text)
    from_file = path.suffix == ".json" or path.is_file()
    return Given.from_check(path) if from_file else Given.from_text(text)


def held(image: images.Image) -> int:
    """Bytes that a picture takes while it waits."""
    return image.pixels.nbytes


def ahead(show: Show, before: int, part: float) -> None:
    """`part` of a file after `before` whole ones."""
    show(before + part)


def destinations(files: list[Path], out: Path, *, overwrite: bool) -> list[Path]:
    """Where each file goes: its own name in `out`; refuse to lose anything.

    A file that lies in `out` itself gets a name beside its own.
    """
    twice = [name for name, count in Counter(file.name for file in files).items() if count > 1]
    if twice:
        raise InputError(
            f"{len(twice)} file names come twice, {twice[0]} for one, and would meet in {out}."
            " Denoise their folders one by one into different --out folders."
        )
    places = [beside(file, out / file.name) for file in files]
    if clash := sorted({str(place) for place in places} & {str(file) for file in files}):
        raise InputError(
            f"{clash[0]} is a picture to denoise, and where another one would be written. Choose"
            " another --out."
        )
    there = [place for place in places if place.exists()]
    if there and not overwrite:
        raise InputError(
            f"{there[0]} exists ({len(there)} of {len(files)} do). Choose another --out, or pass"
            " --overwrite."
        )
    return places


def beside(file: Path, place: Path) -> Path:
    """`place`, or a name beside it where it is the noisy picture itself."""
    if place.exists() and place.samefile(file):
        return place.with_name(f"{place.stem}_denoised{place.suffix}")
    return place


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
