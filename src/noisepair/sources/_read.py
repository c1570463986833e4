"""Pictures into shots, and groups of files into scenes."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

from .. import images
from ..errors import InputError
from ._scene import Scene, Shot


def read_picture(path: Path) -> Shot:
    return storable(images.read(path).pixels)


def storable(shot: np.ndarray) -> Shot:
    """Values as training keeps them: uint8 and uint16 as they are, all else as float32."""
    if shot.dtype.kind not in "iuf":
        raise InputError(f"Shots of type {shot.dtype} are not pictures. Give integers or floats.")
    native = shot.dtype.newbyteorder("=")
    if native in (np.uint8, np.uint16, np.float32):
        return shot.astype(native, copy=False)
    return images.to_unit(shot)


def read_all(files: Sequence[Path]) -> list[Shot]:
    """All pictures, by a few threads: decoding leaves Python alone."""
    room = psutil.virtual_memory().available * 0.7
    pictures: list[Shot] = []
    with ThreadPoolExecutor(4) as pool:
        for picture in pool.map(read_picture, files):
            pictures.append(picture)
            room -= picture.nbytes
            if room < 0:
                pool.shutdown(cancel_futures=True)
                raise InputError(
                    f"The pictures do not fit into memory: {len(pictures)} of {len(files)} fill"
                    " 70 % of what is free. Train on fewer, or on crops of them."
                )
    return pictures


def read_groups(groups: Mapping[str, list[Path]]) -> tuple[Scene, ...]:
    """A scene a group, its shots all alike."""
    pictures = iter(read_all([file for files in groups.values() for file in files]))
    scenes = []
    for name, files in groups.items():
        labels = [
            file.name
            if len({f.name for f in files}) == len(files)
            else f"{file.parent.name}/{file.name}"
            for file in files
        ]
        shots = [next(pictures) for _ in files]
        if len(shots) < 2:
            raise InputError(
                f"Scene {name} has one shot only, {labels[0]}. Noise2Noise needs two or more."
            )
        alike(name, labels, shots)
        scenes.append(Scene(name, tuple(shots), tuple(labels)))
    return tuple(scenes)


def alike(name: str, labels: Sequence[str], shots: Sequence[Shot]) -> None:
    """Refuse shots of one scene that differ in size, pages, planes or type."""
    if len({(shot.shape, shot.dtype) for shot in shots}) > 1:
        raise InputError(unlike(name, labels[0], labels, shots))


def unlike(name: str, first: str, labels: Sequence[str], shots: Sequence[Shot]) -> str:
    other = next(
        n
        for n, shot in enumerate(shots)
        if (shot.shape, shot.dtype) != (shots[0].shape, shots[0].dtype)
    )
    return (
        f"Shots of {name} differ: {first} is {looks(shots[0])}, {labels[other]} is"
        f" {looks(shots[other])}. Shots of one scene must have the same size and type."
    )


def looks(shot: Shot) -> str:
    count, height, width, planes = shot.shape
    colour = {1: "grey", 3: "RGB"}.get(planes, f"{planes} planes")
    return f"{width}×{height} {colour} {shot.dtype}" + (f", {count} pages" if count > 1 else "")
