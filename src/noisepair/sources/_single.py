"""One shot of each scene: every picture is a scene, and pairs are to be found within it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .. import images
from ..errors import InputError
from ._arrays import COURSE, holding, load_arrays, with_planes
from ._read import read_all, storable
from ._scene import Given, Scene, Shot, Source

ARRAYS = (".npy", ".npz")


def one_shot_each(source: Given) -> Source:
    """A picture, a folder of them, a stack whose pages are pictures, or arrays: a scene each."""
    if isinstance(source, str | Path):
        return of_path(Path(source))
    if isinstance(source, Mapping):
        named = {name: storable(with_planes(np.asarray(one))) for name, one in source.items()}
        return scenes_of(list(named), list(named.values()), "pictures, one shot of each scene")
    arrays = source if isinstance(source, list | tuple) else [source]
    return of_arrays("picture", [np.asarray(one) for one in arrays])


def of_path(path: Path) -> Source:
    if not path.exists():
        raise InputError(f"There is nothing at {path}. Give a noisy picture, or a folder of them.")
    if path.suffix.lower() in COURSE:
        raise InputError(
            f"{path} holds two shots of each scene, and one shot alone tells less. Leave pairs out,"
            " or --alone."
        )
    if path.suffix.lower() in ARRAYS:
        return of_arrays(path.name, list(load_arrays(path).values()))
    files = images.find([path])
    names = [file.name for file in files]
    understood = "a picture" if len(files) == 1 else "a folder of pictures"
    return scenes_of(names, read_all(files), f"{understood}, one shot of each scene")


def of_arrays(name: str, held: Sequence[np.ndarray]) -> Source:
    """Arrays of the shapes that `_arrays.with_planes` takes; each picture in them is a scene."""
    holding(held)
    pictures = [storable(with_planes(one)) for one in held]
    names = [name] if len(pictures) == 1 else [f"{name} {n}" for n in range(len(pictures))]
    return scenes_of(names, pictures, "arrays of pictures, one shot of each scene")


def scenes_of(names: Sequence[str], pictures: Sequence[Shot], understood: str) -> Source:
    """A page is a scene; pages of one stack are neighbours, so they are held out together."""
    scenes = [
        (name if len(picture) == 1 else f"{name} page {n + 1}", picture[n : n + 1])
        for name, picture in zip(names, pictures, strict=True)
        for n in range(len(picture))
    ]
    found = tuple(Scene(name, (page,), (name,)) for name, page in scenes)
    return Source(found, understood, ordered=len(pictures) == 1)


def refuse_two(source2: Given | None, *, frames: bool, pattern: str | None) -> None:
    """Say no where more than one shot of a scene is named: it would be thrown away."""
    named = {"a second source": source2 is not None, "--frames": frames, "--pattern": bool(pattern)}
    for name, is_so in named.items():
        if is_so:
            raise InputError(
                f"{name} says that there are two shots of a scene, and pairs within one shot use"
                " one. Leave --pairs out: two shots tell more. Or give single pictures only."
            )
