"""Two noisy shots of each clean picture, for figures that need a truth."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from .. import images
from ..errors import InputError
from ..noise import Either, Noise, Sequence, generator
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


def spoil(source: Source, noise: Noise, *, seed: int, shots: int = 2, keep: bool = False) -> Source:
    """Noisy shots of each clean picture, drawn once: figures from them are honest.

    `keep`: hold the clean picture too, as the noise understands it.
    """
    in_units(source)
    scenes = []
    for n, scene in enumerate(source.scenes):
        made = made_shots(scene.shots[0], noise, seed, n, shots)
        clean = as_clean(scene.shots[0], noise) if keep else None
        scenes.append(replace(scene, shots=made, labels=scene.labels * shots, clean=clean))
    number = {1: "one shot", 2: "two shots"}.get(shots, f"{shots} shots")
    understood = f"clean pictures, {told(noise)} drawn once for {number}"
    return replace(source, scenes=tuple(scenes), understood=understood)


def unspoilt(source: Source, noise: Noise) -> Source:
    """The clean pictures, for noise that is drawn in training."""
    in_units(source)
    return replace(source, understood=f"clean pictures, {told(noise)} drawn anew at each step")


def in_units(source: Source) -> None:
    """Refuse values that are not in picture units."""
    for scene in source.scenes:
        highest = float(images.to_unit(scene.shots[0]).max())
        if highest > 1.001:
            raise InputError(
                f"{scene.name} holds values up to {highest:g}, and noise is made in picture units,"
                " 0 to 1. Divide floating-point pictures by their full scale first."
            )


def told(noise: Noise) -> str:
    """The noise in words: its kind and settings, step by step."""
    if isinstance(noise, Sequence):
        return ", then ".join(told(step) for step in noise.steps)
    if isinstance(noise, Either):
        return " or ".join(told(one) for one in noise.noises)
    settings = {name: value for name, value in vars(noise).items() if name != "kind"}
    return f"{noise.kind} noise ({', '.join(f'{k} {in_words(v)}' for k, v in settings.items())})"


def in_words(value: int | float | tuple[float, ...]) -> str:
    values = value if isinstance(value, tuple) else (value,)
    return " to ".join(f"{one:.4g}" for one in values)


def made_shots(
    clean: Shot, noise: Noise, seed: int, number: int, count: int = 2
) -> tuple[Shot, ...]:
    """Shots with noise that depends on the seed and the picture's place alone, in picture units.

    What a noise draws for each picture, all its shots have in common, as those of one camera do.
    """
    height, width = clean.shape[-3:-1]
    if min(height, width) < noise.shrinks:
        raise InputError(
            f"A clean picture is {width}×{height} pixels, and the noise makes one pixel of every"
            f" {noise.shrinks}×{noise.shrinks}. Give larger pictures, or a noise with smaller"
            " cells: noise.cell of kind point."
        )
    rng = generator(seed, 3, number)
    unit = torch.from_numpy(images.to_unit(clean))
    settled = noise.settled(rng)
    return tuple(settled(unit, rng).numpy() for _ in range(count))


def as_clean(clean: Shot, noise: Noise) -> Shot:
    """What the shots are noisy versions of, in picture units."""
    return noise.clean(torch.from_numpy(images.to_unit(clean))).numpy()
