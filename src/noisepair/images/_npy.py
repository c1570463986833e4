"""NumPy files: (H, W), (H, W, 3), (N, H, W) or (N, H, W, 3); the last axis of 1 or 3 is colour."""

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from ..errors import InputError
from ._image import Image
from ._limits import afford

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npy(path: Path) -> Image:
    shape, dtype = _header(path)
    if dtype.kind not in "iuf":
        raise InputError(
            f"{path} holds values of type {dtype}. Accepted: whole numbers and floats. "
            "Convert it (array.astype('uint8') or 'float32') and save it again."
        )
    full = _as_pages(path, shape)
    afford(path, math.prod(shape) * dtype.itemsize)
    array = np.load(path, allow_pickle=False)  # a pickle runs code: never
    return Image(
        pixels=array.reshape(full),
        alpha=None,
        path=path,
        format="NPY",
        notes=(),
        kept={"shape": shape},
    )


def write_npy(file: BinaryIO, like: Image, pixels: np.ndarray) -> tuple[str, ...]:
    shape = like.kept["shape"] if "shape" in like.kept else _plain(pixels.shape)
    npy.write_array(file, pixels.reshape(shape), allow_pickle=False)
    return ("NPY has no alpha: the transparency is not kept.",) if like.alpha is not None else ()


def _header(path: Path) -> tuple[tuple[int, ...], np.dtype]:
    with open(path, "rb") as file:
        version = npy.read_magic(file)
        if version not in HEADERS:  # 3.0 is for field names beyond latin-1: never a picture
            raise InputError(f"{path} is a NumPy file of version {version}. Save a plain array.")
        shape, _, dtype = HEADERS[version](file)
    return shape, dtype


def _as_pages(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    colour = len(shape) > 2 and shape[-1] in (1, 3)
    planes = shape[-1] if colour else 1
    sides = shape[:-1] if colour else shape
    if len(sides) not in (2, 3) or 0 in shape:
        raise InputError(
            f"{path} has the shape {shape}. Accepted: (H, W), (H, W, 3), (N, H, W) or "
            "(N, H, W, 3), none of them 0. Reshape it and save it again."
        )
    pages = sides[0] if len(sides) == 3 else 1
    return (pages, sides[-2], sides[-1], planes)


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shortest shape that reads back as `shape`."""
    pages, _, width, planes = shape
    if planes == 1 and (pages == 1 or width not in (1, 3)):
        shape = shape[:-1]
    return shape[1:] if pages == 1 else shape
