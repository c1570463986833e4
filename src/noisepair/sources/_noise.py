"""Two noisy shots of each clean picture, for figures that need a truth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from .. import images
from ..errors import InputError
from ..noise import Noise
from ._arrays import with_planes
from ._check import checked
from ._read import read_all, storable
from ._scene import Given, Scene, Shot, Source


def read_clean(source: Given) -> Source:
    """A folder, a file or arrays of clean pictures; a scene each."""
    if not isinstance(source, str | Path):
        arrays = (
            source if isinstance(source, list | tuple) else list(with_planes(np.asarray(source)))
        )
        pictures = [storable(with_planes(np.asarray(array))) for array in arrays]
        names = [f"picture {n}" for n in range(len(pictures))]
    else:
        files = images.find([source])
        pictures, names = read_all(files), [file.name for file in files]
    scenes = tuple(
        Scene(name, (picture,), (name,)) for name, picture in zip(names, pictures, strict=True)
    )
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
        return replace(source, understood=f"clean pictures, {noise} drawn anew at each step")
    scenes = tuple(
        replace(scene, shots=two_shots(scene.shots[0], noise, seed, n), labels=scene.labels * 2)
        for n, scene in enumerate(source.scenes)
    )
    return replace(
        source, scenes=scenes, understood=f"clean pictures, two shots with frozen {noise}"
    )


def two_shots(clean: Shot, noise: Noise, seed: int, number: int) -> tuple[Shot, Shot]:
    """Noise that depends on the seed and the picture's place alone; values in picture units."""
    rng = torch.Generator().manual_seed((seed << 32) + number)
    unit = torch.from_numpy(images.to_unit(clean))
    return noise(unit, rng).numpy(), noise(unit, rng).numpy()
