"""Clean pictures, noisy shots of them, and the models that are judged, for the proofs."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from noisepair import Denoiser, Recipe, images, train
from noisepair.noise import Noise
from noisepair.sources import Scene, Source, made_shots, noisy_and_clean

DATA = Path(os.environ.get("NOISEPAIR_DATA", "data"))
Denoise = Callable[[np.ndarray], np.ndarray]


def pictures(folder: str, most: int, side: int | None = None) -> list[np.ndarray]:
    """The first clean pictures (1, H, W, 3) of a folder, picture units; their middles."""
    found = []
    for path in images.find([DATA / folder])[:most]:
        one = images.to_unit(images.read(path).pixels)
        if side:
            top, left = ((size - side) // 2 for size in one.shape[1:3])
            one = one[:, top : top + side, left : left + side]
        found.append(one)
    return found


def stand_in(most: int, course: Path) -> list[np.ndarray]:
    """Clean pictures 32×32 of the stand-in of the EE-559 course's val_data.pkl."""
    _, clean = noisy_and_clean(course / "val_data.pkl")
    return [images.to_unit(one[None]) for one in clean[:most]]


def scenes(clean: Iterable[np.ndarray], noise: Noise, seed: int, shots: int = 2) -> Source:
    made = (made_shots(one, noise, seed, n, shots) for n, one in enumerate(clean))
    names = tuple(f"shot {n}" for n in range(shots))
    found = tuple(Scene(f"picture {n}", group, names) for n, group in enumerate(made))
    return Source(found, "noise that was made")


def as_seen(clean: Sequence[np.ndarray], noise: Noise) -> list[np.ndarray]:
    """What the shots are noisy versions of."""
    return [noise.clean(torch.from_numpy(one)).numpy() for one in clean]


def blurred(sigma: float) -> Denoise:
    """A denoiser that only blurs; a small sigma is weak, a large one does harm."""
    return lambda pages: ndimage.gaussian_filter(pages, (0, sigma, sigma, 0)).astype(pages.dtype)


def models(folder: Path) -> dict[str, Denoise]:
    """Good, weak and harmful. The good one is trained here once, on noise of any strength."""
    lines = {"noise": "gaussian", "noise.sigma": [5 / 255, 60 / 255], "steps": 1500}
    if not (folder / "seen.npy").exists():
        train(DATA / "train" / "BSDS500" / "train", out=folder, recipe=Recipe.of(lines))
    return {
        "good (trained)": Denoiser.load(folder).pages,
        "weak (blur 0.6 px)": blurred(0.6),
        "harmful (blur 6 px)": blurred(6.0),
        "copies": lambda pages: pages.copy(),
    }


class Recorder:
    """A denoiser that remembers what it made, so that the truth costs nothing more."""

    def __init__(self, denoise: Denoise):
        self.denoise, self.made = denoise, list[np.ndarray]()

    def __call__(self, pages: np.ndarray) -> np.ndarray:
        done = self.denoise(pages)
        self.made.append(done)
        return done


def decibel(error: float) -> float:
    return float(-10 * np.log10(error))


def write(path: Path, text: str, data: object) -> None:
    """A table for people, and every figure of it for programs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".md").write_text(text)
    path.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"
