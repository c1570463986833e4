"""PSNR of the bundled weights and of other denoisers on the same noisy pictures (docs/weights.md).

    python benchmarks/weights.py                          score what is not scored yet
    python benchmarks/weights.py --table                  print the tables, score nothing
    python benchmarks/weights.py --write docs/weights.md  put them between the marks of a page
    python benchmarks/weights.py --sheet FOLDER           noisy photographs beside ours, to look at

Pictures come from the folder that NOISEPAIR_DATA names, packages from benchmarks/requirements.txt.

Protocol, that of the DnCNN, FFDNet and DRUNet papers but for rounding: white Gaussian noise of
sigma / 255, numpy's default_rng([set, picture, sigma]) in float64, so that every method sees the
same pixels; noisy pictures neither clipped nor rounded, denoised ones clipped to [0, 1] and not
rounded; PSNR with range 1, of each picture, over all planes, no border cut off; their mean. Noisy
pictures are scored as they are. Real shots are taken as stored, against the mean of many.

Ours is blind. The others are told sigma; of real shots, what scikit-image's estimate_sigma finds.
"ours": a float picture in float32. "ours averaged": over flips and turns. "ours bfloat16": the same
floats, products in bfloat16. "ours 8 bits": the noisy picture clipped and rounded to 8 bits, given
and returned as uint8, as a user's would be; against the clean picture, like all. Sigma 0: the clean
picture itself through ours, against itself.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from _methods import METHODS, made_by
from _scores import OURS, Key, Line, append, read, settle
from _tables import put, tables

from noisepair import checkpoint, images
from noisepair.denoise import Denoiser
from noisepair.errors import InputError, choose
from noisepair.metrics import psnr

SCORES = Path("docs/weights/scores.jsonl")
SIGMAS = (25, 15, 50, 0)  # by what is asked most
NOISY = ("noisy", "noisy 8 bits")
EIGHT_BITS = ("noisy 8 bits", "ours 8 bits")  # on CBSD68 only


@dataclass(frozen=True)
class Pictures:
    """A test set. Of real noise `noisy` and `clean` end the names of a pair."""

    number: int  # seeds the noise, so it stays
    folder: str
    planes: int
    noisy: str = ""
    clean: str = ""

    def files(self) -> list[Path]:
        """The clean ones, by name."""
        folder = data() / self.folder
        return [path for path in images.find([str(folder)]) if path.stem.endswith(self.clean)]

    def name(self, path: Path) -> str:
        """What a picture is called in a line."""
        return path.stem.removesuffix(self.clean)

    def shot(self, file: int, sigma: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Noisy and clean, (H, W, C), floats with white at 1."""
        path = self.files()[file]
        clean = unit(path, self.planes)
        if sigma is None:
            return unit(path.with_stem(self.name(path) + self.noisy), self.planes), clean
        rng = np.random.default_rng([self.number, file, sigma])
        return clean + rng.normal(0, sigma / 255, clean.shape), clean


SETS = {
    "CBSD68": Pictures(0, "benchmark/CBSD68", 3),
    "Kodak24": Pictures(1, "benchmark/Kodak24", 3),
    "Set14": Pictures(2, "benchmark/Set14", 3),
    "BSD68": Pictures(3, "benchmark/BSD68", 1),
    "Set12": Pictures(4, "benchmark/Set12", 1),
    "polyu": Pictures(5, "real/polyu", 3, "_real", "_mean"),
    "confocal": Pictures(6, "real/confocal", 1, "_noisy", "_mean"),
}


@dataclass(frozen=True)
class Task:
    """One score that is to be had: what `_scores.key` says of its line, and which file it is."""

    name: str
    picture: str
    sigma: int | None
    method: str
    file: int

    @property
    def key(self) -> Key:
        return self.name, self.picture, self.sigma, self.method


def data() -> Path:
    """The folder of test pictures."""
    if "NOISEPAIR_DATA" not in os.environ:
        raise InputError("NOISEPAIR_DATA is not set. Let it name the folder of test pictures.")
    return Path(os.environ["NOISEPAIR_DATA"])


def unit(path: Path, planes: int) -> np.ndarray:
    """A picture in float64; two of Set14 are grey, and are taken as colour like the others."""
    pixels = images.read(path).pixels[0]
    return np.repeat(pixels / images.full_scale(pixels.dtype), planes // pixels.shape[-1], -1)


def kind(planes: int) -> str:
    return "grey" if planes == 1 else "colour"


@lru_cache
def denoiser(folder: Path, method: str) -> Denoiser:
    model = Denoiser.load(folder, average=method == "ours averaged", runtime="torch")
    if method == "ours bfloat16":
        model.card = replace(model.card, recipe=replace(model.card.recipe, precision="bfloat16"))
    return model


def denoised(task: Task, noisy: np.ndarray, models: dict[str, Path]) -> np.ndarray:
    """What the method of a task makes of a noisy picture, clipped unless it is the noisy one."""
    stored = images.from_unit(noisy, np.uint8)
    if task.method in NOISY:
        return stored / 255 if task.method in EIGHT_BITS else noisy
    if task.method in OURS:
        model = denoiser(models[kind(noisy.shape[-1])], task.method)
        if task.method in EIGHT_BITS:
            return model(stored, channel_axis=-1) / 255
        result = model(noisy.astype(np.float32), channel_axis=-1)
    else:
        result = METHODS[task.method](noisy, told(noisy, task.sigma))
    return np.clip(result, 0, 1, dtype=np.float64)


def told(noisy: np.ndarray, sigma: int | None) -> float:
    """What the other methods are told of the noise."""
    if sigma is not None:
        return sigma / 255
    from skimage.restoration import estimate_sigma

    return float(estimate_sigma(noisy, average_sigmas=True, channel_axis=-1))


def score(task: Task, models: dict[str, Path], weights: dict[str, str]) -> Line:
    """The line of a task."""
    noisy, clean = SETS[task.name].shot(task.file, task.sigma)
    by = weights[task.name] if task.method in OURS else ""
    if task.method in METHODS:
        by = made_by(task.method)
    return {
        "set": task.name,
        "picture": task.picture,
        "sigma": task.sigma,
        "method": task.method,
        "psnr": round(psnr(denoised(task, noisy, models), clean, 1), 4),
        "by": by,
    }


def tasks(asked: argparse.Namespace) -> Iterator[Task]:
    """By method, sigma and set, in this order: quick methods and what is asked most first."""
    pictures = {name: [SETS[name].name(path) for path in SETS[name].files()] for name in asked.sets}
    for method, sigma, name in product(asked.methods, [*asked.sigmas, None], asked.sets):
        if makes_sense(method, sigma, name):
            for file in range(0, len(pictures[name]), asked.every):
                yield Task(name, pictures[name][file], sigma, method, file)


def makes_sense(method: str, sigma: int | None, name: str) -> bool:
    """Noise is added to clean pictures, real shots have their own; not all of all is asked."""
    if (sigma is None) != bool(SETS[name].noisy):
        return False
    if method in EIGHT_BITS and name != "CBSD68":
        return False
    return sigma != 0 or method == "ours"


def run(
    todo: Iterable[Task], models: dict[str, Path], weights: dict[str, str], jobs: int
) -> Iterator[Line]:
    """Score tasks here, or in so many processes of one thread each."""
    one = partial(score, models=models, weights=weights)
    if jobs == 1:
        yield from map(one, todo)
        return
    with ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield from pool.map(one, todo)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    every = [*NOISY, *OURS, *METHODS]
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="SET")
    parser.add_argument("--sigmas", nargs="+", type=int, default=list(SIGMAS), metavar="SIGMA")
    parser.add_argument("--methods", nargs="+", default=every, metavar="METHOD")
    parser.add_argument("--every", type=int, default=1, help="of each set, every n-th picture")
    parser.add_argument(
        "--model", nargs="+", default=[], metavar="KIND=FOLDER", help="default: bundled weights"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes; one uses all threads")
    parser.add_argument("--scores", type=Path, default=SCORES, metavar="FILE")
    parser.add_argument("--table", action="store_true", help="print the tables, score nothing")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into a page")
    parser.add_argument("--sheet", type=Path, metavar="FOLDER", help="crops of real/rni15")
    asked = parser.parse_args()
    for name in asked.sets:
        choose("set", name, SETS)
    for name in asked.methods:
        choose("method", name, dict.fromkeys(every))
    for what in ("every", "jobs"):
        if getattr(asked, what) < 1:
            raise InputError(f"--{what} {getattr(asked, what)} is no count. Give 1 or more.")
    if min(asked.sigmas) < 0:
        raise InputError(f"A sigma of {min(asked.sigmas)} is none. Give 0 or more, times 255.")
    return asked


def folders(given: list[str], kinds: Iterable[str]) -> dict[str, Path]:
    """The model folder of each kind."""
    named = dict(one.partition("=")[::2] for one in given)
    for name in named:
        choose("kind of model", name, dict.fromkeys(("colour", "grey")))
    return {one: checkpoint.located(named.get(one, one)) for one in kinds}


def digest(folder: Path) -> str:
    """Of the weights alone: a card may be reworded."""
    with open(folder / checkpoint.WEIGHTS, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def main() -> None:
    asked = arguments()
    if asked.sheet:
        from _sheet import sheet

        sheet(data() / "real/rni15", asked.sheet, folders(asked.model, ("colour", "grey")))
        return
    if asked.table or asked.write:
        text = tables(read(asked.scores))
        if asked.write:
            put(asked.write, "scores", text)
        else:
            print(text)
        return
    ours = any(method in OURS for method in asked.methods)
    models = folders(asked.model, {kind(SETS[name].planes) for name in asked.sets if ours})
    checksums = {name: digest(folder) for name, folder in models.items()}
    kinds = {name: kind(one.planes) for name, one in SETS.items()}
    weights = {name: checksums[one] for name, one in kinds.items() if one in checksums}
    done = settle(asked.scores, weights)
    todo = [task for task in tasks(asked) if task.key not in done]
    for count, line in enumerate(run(todo, models, weights, asked.jobs), 1):
        append(asked.scores, line)
        print(f"{count}/{len(todo)}  {line}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"weights.py: {error}")
