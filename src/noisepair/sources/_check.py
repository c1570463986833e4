"""Refuse shots that no training can learn from."""

from dataclasses import replace

import numpy as np

from ..errors import InputError
from ._read import looks
from ._scene import Scene, Source, digest, shorten

RARE = 0.01  # share of scenes without any noise that is left out with a note instead of refused


def checked(source: Source) -> Source:
    """Refuse what no training can learn from; leave out rare flat scenes with a note."""
    first = source.scenes[0]
    for scene in source.scenes:
        shot = scene.shots[0]
        if shot.shape[-1] != first.shots[0].shape[-1] or shot.dtype != first.shots[0].dtype:
            raise InputError(
                f"{first.labels[0]} is {looks(first.shots[0])} and {scene.labels[0]} is"
                f" {looks(shot)}. Train on pictures of one type; convert some of them."
            )
        finite(scene)
    faults = {scene.name: fault for scene in source.scenes if (fault := no_noise(scene))}
    if len(faults) > RARE * len(source.scenes):
        fault = next(iter(faults.values()))
        more = f" ({len(faults) - 1} more scenes like it)" if len(faults) > 1 else ""
        raise InputError(f"{fault}{more}")
    if not faults:
        return source
    kept = tuple(scene for scene in source.scenes if scene.name not in faults)
    note = f"left out, without any noise to learn from: {', '.join(shorten(list(faults)))}"
    return replace(source, scenes=kept, notes=(*source.notes, note))


def finite(scene: Scene) -> None:
    for label, shot in zip(scene.labels, scene.shots, strict=True):
        if shot.dtype.kind == "f" and not (ok := np.isfinite(shot)).all():
            raise InputError(
                f"{label} of {scene.name} holds {int((~ok).sum())} values that are NaN or infinite."
                " Replace them, by a neighbour's value for example, or leave the picture out."
            )


def no_noise(scene: Scene) -> str | None:
    """Why a scene teaches nothing: a constant shot, or two shots that are the same."""
    for label, shot in zip(scene.labels, scene.shots, strict=True):
        if shot.size > shot.shape[-1] and shot.min() == shot.max():
            return (
                f"{label} of {scene.name} is constant: every value is {shot.flat[0]}."
                " Leave it out, or look at how it was written."
            )
    seen: dict[str, str] = {}
    for label, shot in zip(scene.labels, scene.shots, strict=True):
        key = digest([shot])
        if key in seen:
            return (
                f"{seen[key]} and {label} of {scene.name} are identical. From two copies of one"
                " shot a network learns nothing but to copy; give two different shots."
            )
        seen[key] = label
    return None
