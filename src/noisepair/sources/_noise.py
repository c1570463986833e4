"""Two noisy shots of each clean picture, for figures that need a truth."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from .. import images
from ..errors import InputError
from ..noise import Noise, generator
from ._arrays import holding, with_planes
from ._check import checked
from ._read import read_all, storable
from ._scene import Given, Scene, Shot, Source


def read_clean(source: Given) -> Source:
    """A folder, a file or arrays of clean pictures, by name or in order; a scene each."""
    if isinstance(source, str | Path):
        paths = images.find([source])
        named = dict(zip([path.name for path in paths], read_all(paths), strict=True))
    elif isinstance(source, Mapping):
        named = {name: storable(with_planes(np.asarray(one))) for name, one in source.items()}
    else:
        arrays = source if isinstance(source, list | tuple) else with_planes(np.asarray(source))
        named = {f"picture {n}": storable(with_planes(np.asarray(a))) for n, a in enumerate(arrays)}
    holding(list(named.values()))
    scenes = tuple(Scene(name, (picture,), (name,)) for name, picture in named.items())
    kind = str(scenes[0].shots[0].dtype)
    return checked(Source(scenes, "clean pictures", kind=kind, synthetic=True))


def spoil(source: Source, noise: Noise, *, fresh: bool, seed: int) -> Source:
    """Two noisy shots of each clean picture, drawn once: figures from them are honest."""
    for scene in source.scenes:
        highest = float(images.to_unit(scene.shots[0]).max())
        if highest > 1.001:
            raise InputError(
                f"{scene.name} holds values up to {highest:g}, and noise is made in picture units,"
                " 0 to 1. Divide floating-point pictures by their full scale first."
            )
    if fresh:
        return replace(source, understood=f"clean pictures, {told(noise)} drawn anew at each step")
    scenes = tuple(
        replace(scene, shots=two_shots(scene.shots[0], noise, seed, n), labels=scene.labels * 2)
        for n, scene in enumerate(source.scenes)
    )
    return replace(
        source, scenes=scenes, understood=f"clean pictures, {told(noise)} drawn once for two shots"
    )


def told(noise: Noise) -> str:
    """The noise in words: its kind and settings."""
    settings = {name: value for name, value in vars(noise).items() if name != "kind"}
    return f"{noise.kind} noise ({', '.join(f'{k} {v:.4g}' for k, v in settings.items())})"


def two_shots(clean: Shot, noise: Noise, seed: int, number: int) -> tuple[Shot, Shot]:
    """Noise that depends on the seed and the picture's place alone; values in picture units."""
    rng = generator(seed, 3, number)
    unit = torch.from_numpy(images.to_unit(clean))
    return noise(unit, rng).numpy(), noise(unit, rng).numpy()
