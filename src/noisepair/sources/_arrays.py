"""Shots in arrays: NumPy's files, the course's tensors, or what a program holds."""

import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch

from ..errors import InputError
from ._read import storable
from ._scene import Scene, Shot, Source

COURSE = (".pkl", ".pt", ".pth")
SIDES: tuple[tuple[str, ...], ...] = (("noisy", "clean"), ("val_noisy", "val_clean"))  # in an .npz
UNREADABLE = (  # what the readers of tensors, arrays and archives raise at damaged files
    OSError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, RuntimeError,
    UnpicklingError, zipfile.BadZipFile, zlib.error, SyntaxError, tokenize.TokenError, struct.error,
    AssertionError, ArithmeticError, MemoryError,
)  # fmt: skip


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file:  # NumPy leaves a damaged .npz open
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {path.name: loaded}
            return {name: loaded[name] for name in loaded.files}
    except UNREADABLE as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(
            f"{path} cannot be read as NumPy arrays: {reason}. Accepted are .npy and .npz files of"
            " numbers, saved without objects."
        ) from None


def from_arrays(given: Sequence[np.ndarray | Sequence[np.ndarray]], *, frames: bool) -> Source:
    """Arrays: one whose first axis counts shots, or one a shot.

    (shots, H, W), (shots, H, W, 3), (shots, scenes, H, W), (shots, scenes, H, W, 3); channels may
    also come before rows, as torch has them. A last (or that) axis of 1 or 3 is colour.
    """
    flat = [
        np.asarray(one)
        for group in given
        for one in (group if isinstance(group, list | tuple) else [group])
    ]
    holding(flat)
    picture = flat[0].ndim < 3 or (flat[0].ndim == 3 and flat[0].shape[-1] in (1, 3))
    shots = list(flat[0]) if len(flat) == 1 and not picture else flat
    if len(shots) < 2:
        raise InputError(
            f"There is one array of shape {flat[0].shape}, which is one shot. Give two or more, or"
            " an array whose first axis counts them."
        )
    if len({shot.shape for shot in shots}) > 1:
        found = ", ".join(str(shot.shape) for shot in shots[:4])
        raise InputError(f"Shots have shapes {found}. Give all shots the same shape.")
    arrays = [storable(with_planes(shot)) for shot in shots]
    if frames:
        scene = Scene(
            "frames", tuple(arrays), tuple(f"frame {n}" for n in range(len(arrays))), True
        )
        return Source((scene,), "one sequence of frames, neighbours are pairs", ordered=True)
    return stacked(arrays, "arrays")


def holding(arrays: Sequence[np.ndarray]) -> None:
    """Refuse arrays without pixels."""
    if not arrays or not all(array.size for array in arrays):
        found = ", ".join(str(array.shape) for array in arrays[:4])
        shapes = f"arrays of shape {found}" if found else "no array"
        raise InputError(f"The source holds nothing: {shapes}. Give arrays with pixels in them.")


def with_planes(shot: np.ndarray) -> Shot:
    """(scenes, H, W, planes) from the shapes that people use."""
    shape = shot.shape
    if shot.ndim == 2:
        return shot[None, :, :, None]
    if shot.ndim == 3:
        if shape[-1] in (1, 3):
            return shot[None]
        return shot.transpose(1, 2, 0)[None] if shape[0] in (1, 3) else shot[..., None]
    if shot.ndim == 4 and shape[-1] in (1, 3):
        return shot
    if shot.ndim == 4 and shape[1] in (1, 3):
        return np.ascontiguousarray(shot.transpose(0, 2, 3, 1))
    raise InputError(
        f"A shot of shape {shape} is not understood. Accepted are (H, W), (H, W, 3),"
        " (scenes, H, W), (scenes, H, W, 3) and the same with colour before the rows."
    )


def stacked(arrays: Sequence[Shot], understood: str) -> Source:
    """Shots as arrays (scenes, H, W, C): scene n is row n of each."""
    if len({array.shape for array in arrays}) > 1:
        found = ", ".join(str(array.shape) for array in arrays[:4])
        raise InputError(f"Shots have shapes {found}. Give all shots the same shape.")
    labels = tuple(f"shot {n + 1}" for n in range(len(arrays)))
    scenes = tuple(
        Scene(f"scene {n}", tuple(array[n : n + 1] for array in arrays), labels)
        for n in range(len(arrays[0]))
    )
    return Source(scenes, understood)


def course(path: Path) -> Source:
    """The EE-559 file: a tuple of two uint8 tensors (scenes, 3, 32, 32), two shots of each."""
    arrays = tensors(path)
    return stacked([storable(with_planes(array)) for array in arrays], f"tensors in {path.name}")


def noisy_and_clean(path: Path) -> tuple[Shot, Shot]:
    """Both sides of one file, (pictures, H, W, planes) in the type that they have there.

    The course's val_data.pkl is a tuple of tensors, the noisy ones first; in an .npz names tell.
    """
    kind, held, names = path.suffix.lower(), dict[str, np.ndarray](), SIDES
    if path.is_file() and kind in COURSE:
        held = {f"tensor {n}": tensor for n, tensor in enumerate(tensors(path), start=1)}
        names = (tuple(held),)
    elif path.is_file() and kind == ".npz":
        held = load_arrays(path)
    pair = next((pair for pair in names if held.keys() >= set(pair) and len(pair) == 2), None)
    if pair is None:
        found = f"holds {', '.join(held)}" if held else "is not a file of tensors or arrays"
        found = found if path.exists() else "is not there"
        raise InputError(
            f"{path} {found}. Accepted are the course's val_data.pkl, a tuple of two tensors"
            " (noisy, clean), and an .npz of two arrays, noisy and clean. Where both have files or"
            " folders of their own, give both."
        )
    holding([held[name] for name in pair])
    noisy, clean = (with_planes(held[name]) for name in pair)
    if noisy.shape != clean.shape:
        raise InputError(
            f"{path} holds noisy pictures {noisy.shape} and clean ones {clean.shape}. Give as many"
            " on both sides, of one size and as many colour planes."
        )
    return noisy, clean


def tensors(path: Path) -> list[np.ndarray]:
    """The two or more tensors of a file. It is a pickle, and nothing in it may run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a pickle is of an unknown kind: it is refused
            pair = torch.load(path, weights_only=True, map_location="cpu")
        shots = list(pair) if isinstance(pair, tuple | list) else [pair]
        good = [shot for shot in shots if isinstance(shot, torch.Tensor) and shot.ndim == 4]
        arrays = [shot.numpy() for shot in good]
    except UNREADABLE as error:
        raise InputError(
            f"{path} cannot be read safely as tensors ({type(error).__name__}). Accepted is what"
            " the course gives: a tuple of two uint8 tensors of shape (pictures, 3, 32, 32)."
        ) from None
    if len(arrays) < max(2, len(shots)):
        raise InputError(
            f"{path} holds {type(pair).__name__}. Accepted is a tuple of two tensors"
            " (pictures, planes, rows, columns)."
        )
    holding(arrays)
    return arrays
