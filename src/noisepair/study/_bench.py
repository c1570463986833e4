"""One run of a study: the data, a training, the scores; known by the hash of what decides it."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__, checkpoint, files, hardware, images, metrics
from ..denoise import Denoiser
from ..errors import InputError
from ..recipe import Recipe
from ..sources import Source, made_shots, noisy_and_clean, open_source, read_clean
from ..train import Diverged, Progress
from ..train import train as train_model
from ._file import Data

SCORES, LOSSES = "scores.json", "losses.npy"
FEW, MANY = 262_144, 2_097_152  # pixels scored at each validation; at the end it is all of them
TEST_SEED = 2**31  # of the noise on test pictures: the same whatever a run's own seed

Watch = Callable[[Progress], bool | None]


@dataclass(frozen=True)
class Test:
    """Pictures to score on, in order: noisy, and what they are noisy versions of, (H, W, C)."""

    noisy: tuple[np.ndarray, ...]
    clean: tuple[np.ndarray, ...]

    def errors(self, pictures: tuple[np.ndarray, ...]) -> list[float]:
        """Mean squared error of each, in picture units."""
        pairs = zip(pictures, self.clean, strict=True)
        return [metrics.mse(images.to_unit(one), images.to_unit(two)) for one, two in pairs]

    def psnrs(self, errors: list[float]) -> dict[str, float]:
        """Both PSNRs, decibel, of such errors."""
        sizes = [one.size for one in self.clean]
        return dict(zip(("per_image", "pooled"), metrics.psnrs(errors, sizes, 1.0), strict=True))

    def first(self, most: int) -> "Test":
        """The first of them, for looking at often: about `most` pixels."""
        count, pixels = 0, 0
        while count < len(self.clean) and pixels < most:
            pixels += self.clean[count].shape[0] * self.clean[count].shape[1]
            count += 1
        return Test(self.noisy[:count], self.clean[:count])


class Bench:
    """The data of a study, read once, and what one run on them comes to."""

    def __init__(self, data: Data, roots: tuple[Path, ...], device: torch.device, often: int = FEW):
        self.data, self.roots, self.device, self.often = data, roots, device, often
        self.open = lru_cache(2)(self.read_train)
        self.digest = lru_cache(None)(lambda *given: self.open(*given).digest)
        self.tests_of = lru_cache(2)(self.read_tests)

    def path(self, given: str) -> Path:
        """The first place where `given` is."""
        for root in self.roots:
            if (root / given).exists():
                return root / given
        where = ", ".join(str(root) for root in self.roots)
        raise InputError(
            f"The study's data {given} are not there. Looked in: {where}. Name the folder that"
            " holds them with --data, or in NOISEPAIR_DATA."
        )

    @cached_property
    def contents(self) -> dict[str, str]:
        """The hash of each test's files."""
        return {name: digest_of(self.path(given)) for name, given in self.data.test.items()}

    def refuse_missing(self) -> None:
        for given in (self.data.train, self.data.train2, *self.data.test.values()):
            if given is not None:
                self.path(given)

    def source(self, recipe: Recipe) -> Source:
        """The training shots that a recipe sees; opened once for all recipes that see the same."""
        return self.open(*self.how(recipe))

    def how(self, recipe: Recipe) -> tuple[Any, int, bool, bool, bool, int]:
        single = recipe.pairs != "shots"
        if recipe.noise is None:
            return None, 2, False, False, single, 0
        clean = recipe.target == "clean"
        return recipe.noise, recipe.shots, clean, recipe.fresh_noise, single, recipe.seed

    def read_train(
        self, noise: Any, shots: int, clean: bool, fresh: bool, single: bool, seed: int
    ) -> Source:
        second = self.data.train2
        return open_source(
            self.path(self.data.train), None if second is None else self.path(second),
            frames=self.data.frames, pattern=self.data.pattern, noise=noise, shots=shots,
            keep_clean=clean, fresh_noise=fresh, seed=seed, single=single,
        )  # fmt: skip

    def tests(self, recipe: Recipe) -> dict[str, Test]:
        return self.tests_of(recipe.noise)

    def read_tests(self, noise: Any) -> dict[str, Test]:
        """A file that holds noisy and clean pictures, or clean ones that are spoilt here, once."""
        found = {}
        for name, given in self.data.test.items():
            path = self.path(given)
            if noise is None:
                noisy_side, clean_side = noisy_and_clean(path)
                found[name] = Test(tuple(noisy_side), tuple(clean_side))
                continue
            pictures = [scene.shots[0][0][None] for scene in read_clean(path).scenes]
            noisy = [made_shots(p, noise, TEST_SEED, n, 1)[0][0] for n, p in enumerate(pictures)]
            clean = [noise.clean(torch.from_numpy(images.to_unit(p)))[0].numpy() for p in pictures]
            found[name] = Test(tuple(noisy), tuple(clean))
        return found

    def key(self, recipe: Recipe) -> str:
        """The hash of all that decides a run: the recipe, the shots, how they pair, the tests."""
        data = {"shots": self.digest(*self.how(recipe)), "frames": self.data.frames}
        data["pattern"] = self.data.pattern
        given = {"recipe": recipe.lines(), "data": data, "test": self.contents}
        text = json.dumps(given, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def run(self, recipe: Recipe, folder: Path, watch: Watch | None = None) -> dict[str, Any]:
        """Train and score; what came of it, also left in the folder. A finished run is read."""
        if (folder / SCORES).exists():
            return read_result(folder)
        if folder.exists():
            shutil.rmtree(folder)  # a run that was stopped within begins anew
        losses: list[float] = []

        def each(progress: Progress) -> bool | None:
            if progress.loss is not None:
                losses.append(progress.loss)
            return watch(progress) if watch else None

        try:
            denoiser = train_model(
                self.source(recipe), out=folder, recipe=recipe, device=self.device,
                watch=each, score=self.looked_at(recipe),
            )  # fmt: skip
            came: dict[str, Any] = {"status": "done", "scores": self.scores(denoiser)}
        except Diverged as error:
            came = {"status": "diverged", "reason": str(error), "scores": {}}
        np.save(folder / LOSSES, np.array(losses, np.float32))
        card = checkpoint.read_card(folder)
        if came["status"] == "done" and not card.provenance["result"]["complete"]:
            raise KeyboardInterrupt
        came |= card.provenance.get("result", {"steps": len(losses)})
        came |= {"recipe": recipe.lines(), "seed": recipe.seed, **provenance(self.device)}
        (folder / checkpoint.STATE).unlink(missing_ok=True)  # a finished run needs none
        files.write(folder / SCORES, json.dumps(came).encode())
        return came

    def looked_at(self, recipe: Recipe) -> Callable[[Denoiser], Mapping[str, float]]:
        """Both PSNRs of the first test, at each validation."""
        few = next(iter(self.tests(recipe).values())).first(self.often)
        return lambda denoiser: few.psnrs(few.errors(denoised(denoiser, few.noisy)))

    def scores(self, denoiser: Denoiser) -> dict[str, Any]:
        """Of each test: both PSNRs, those of the noisy pictures, and each picture's."""
        found = {}
        for name, test in self.tests(denoiser.card.recipe).items():
            after = test.errors(denoised(denoiser, test.noisy))
            each = [round(metrics.psnr_from_mse(error, 1.0), 2) for error in after]
            before = test.psnrs(test.errors(test.noisy))
            found[name] = {**test.psnrs(after), "noisy": before, "each": each}
        return found


def digest_of(path: Path) -> str:
    """Of a file, or of the pictures in a folder or of a pattern."""
    total = hashlib.blake2b(digest_size=16)
    for file in [path] if path.is_file() else images.find([path]):
        total.update(file.read_bytes())
    return total.hexdigest()


def denoised(denoiser: Denoiser, noisy: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """All pictures, those of one size together."""
    out: dict[int, np.ndarray] = {}
    sizes: dict[tuple[int, ...], list[int]] = {}
    for n, picture in enumerate(noisy):
        sizes.setdefault(picture.shape, []).append(n)
    for group in sizes.values():
        pages = denoiser.pages(np.stack([noisy[n] for n in group]))
        out |= dict(zip(group, pages, strict=True))
    return tuple(out[n] for n in range(len(noisy)))


def read_result(folder: Path) -> dict[str, Any]:
    with checkpoint.legible(folder / SCORES):
        return dict(json.loads((folder / SCORES).read_text(encoding="utf-8")))


def provenance(device: torch.device) -> dict[str, Any]:
    """What a figure must be read with."""
    return {
        "noisepair": __version__,
        "commit": commit(),
        "machine": hardware.describe(device),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def commit() -> str | None:
    """The commit that this code is of, where it lies in a clone of the project."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        said = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    except OSError:
        return None
    return said.stdout.strip() or None
