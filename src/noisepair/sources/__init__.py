"""Where shots come from, and which of them show the same scene.

A *scene* is what stays; its *shots* are noisy pictures of it, alike in all but the noise. People
keep them as two folders, as files that pair by name, as a folder a scene, as stacks, as arrays, as
the course's file, or have clean pictures only and want noise made. All become a tuple of scenes.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..noise import Noise
from ._arrays import from_arrays, noisy_and_clean
from ._check import checked
from ._noise import made_shots, read_clean, spoil, unspoilt
from ._paths import from_paths
from ._scene import Given, Scene, Shot, Source, fingerprints, split, unseen
from ._single import one_shot_each, refuse_two

__all__ = [
    "Given",
    "Scene",
    "Shot",
    "Source",
    "fingerprints",
    "made_shots",
    "noisy_and_clean",
    "open_source",
    "read_clean",
    "split",
    "unseen",
]


def open_source(  # noqa: PLR0913  every way to say what is there; all but the data are named
    source: Given,
    source2: Given | None = None,
    *,
    frames: bool = False,
    pattern: str | None = None,
    noise: Noise | None = None,
    fresh_noise: bool = False,
    seed: int = 0,
    shots: int = 2,
    keep_clean: bool = False,
    single: bool = False,
) -> Source:
    """Find and read all shots; say how they were understood; refuse what cannot teach anything.

    `frames`: neighbours in a sequence show the same scene. `pattern`: how file names pair, as in
    `{scene}_{shot}.png`. `noise`: the pictures are clean, make noisy `shots` of each, drawn once
    from `seed` (with `fresh_noise`, hand on the clean pictures: noise is drawn at each step), and
    with `keep_clean` keep the clean picture beside them. `single`: every picture is one shot of a
    scene of its own, and pairs are to be found within it; of clean pictures one shot is made.

    Raises InputError, naming files, for: nothing there, sizes, types or counts that differ within a
    scene, one shot alone, identical shots, constant pictures, NaN or infinity, too little memory.
    """
    if single:
        refuse_two(source2, frames=frames, pattern=pattern)
    if noise is not None:
        if source2 is not None or frames or pattern:
            raise InputError(
                "--noise makes both shots from clean pictures. Give one folder of clean pictures,"
                " without a second source, --frames or --pattern."
            )
        clean = read_clean(source)
        if fresh_noise:
            return unspoilt(clean, noise)
        shots = 1 if single else shots
        return spoil(clean, noise, seed=seed, shots=shots, keep=keep_clean)
    if single:
        found = one_shot_each(source)
    elif isinstance(source, str | Path):
        found = from_paths(Path(source), as_path(source2), frames=frames, pattern=pattern)
    elif isinstance(source2, str | Path):
        raise InputError("SOURCE is an array and SOURCE2 a path. Give two arrays, or two paths.")
    elif isinstance(source, Mapping) or isinstance(source2, Mapping):
        raise InputError("Shots by name are not understood. Give arrays in order, or two folders.")
    else:
        found = from_arrays([source] if source2 is None else [source, source2], frames=frames)
    return checked(replace(found, kind=str(found.scenes[0].shots[0].dtype)))


def as_path(source: Given | None) -> Path | None:
    if source is None or isinstance(source, str | Path):
        return None if source is None else Path(source)
    raise InputError("SOURCE is a path and SOURCE2 an array. Give two paths, or two arrays.")
