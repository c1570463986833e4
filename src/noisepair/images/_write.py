"""Write a picture in the format its suffix promises, complete or not at all."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import InputError
from ..files import placed
from ._bmp import write_bmp
from ._find import format_of
from ._image import Image
from ._jpeg import write_jpeg
from ._npy import write_npy
from ._png import write_png
from ._tiff import write_tiff
from ._webp import write_webp

WRITERS: Mapping[str, Callable[[BinaryIO, Image, np.ndarray], tuple[str, ...]]] = {
    "PNG": write_png,
    "JPEG": write_jpeg,
    "TIFF": write_tiff,
    "BMP": write_bmp,
    "WEBP": write_webp,
    "NPY": write_npy,
}
ONE_PAGE = {  # the types that formats of a single page can hold
    "PNG": ("uint8", "uint16"),
    "JPEG": ("uint8",),
    "BMP": ("uint8",),
    "WEBP": ("uint8",),
}
METADATA = {"icc": "colour profile", "exif": "EXIF", "dpi": "resolution"}
PRIVATE = ("chunks", "segments", "tiff", "xmp")  # what only the format of the source can hold
CARRIED = {  # from one format to another
    "PNG": {"icc", "exif", "dpi"},
    "JPEG": {"icc", "exif", "dpi"},
    "TIFF": {"icc", "dpi"},
    "WEBP": {"icc", "exif", "xmp"},
    "BMP": {"dpi"},
    "NPY": set(),
}
LONGEST = {"JPEG": 65_500, "WEBP": 16_383}  # pixels of a side; libjpeg's and libwebp's limits


def write(path: Path, like: Image, pixels: np.ndarray) -> tuple[str, ...]:
    """Write `pixels`, (N, H, W, C) as in `like`, with the alpha and metadata of `like`.

    Returns what the format could not keep, one sentence each.
    """
    path = Path(path)
    kind = format_of(path)
    _check_pixels(like, pixels)
    _check_format(path, kind, pixels)
    if path.is_dir():
        raise InputError(f"{path} is a folder. Name a file to write.")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: the folder {path.parent} does not exist.")
    with placed(path) as beside, open(beside, "r+b") as file:
        notes = WRITERS[kind](file, like, pixels)
    return (*notes, *_losses(kind, like))


def _losses(kind: str, like: Image) -> Iterator[str]:
    """The metadata that do not outlive a change of format."""
    if kind == like.format:
        return
    lost = [word for key, word in METADATA.items() if key in like.kept.keys() - CARRIED[kind]]
    if any(like.kept.get(key) for key in PRIVATE if key not in CARRIED[kind]):
        lost.append(f"further {like.format} metadata")
    if lost:
        yield f"{kind} does not take over: {', '.join(lost)}."


def _check_pixels(like: Image, pixels: np.ndarray) -> None:
    if (pixels.shape, pixels.dtype) != (like.pixels.shape, like.pixels.dtype):
        raise InputError(
            f"Pixels of shape {pixels.shape} and type {pixels.dtype} cannot take the place of "
            f"{like.pixels.shape} and {like.pixels.dtype} in {like.path.name}. "
            "Keep the shape, and convert with from_unit(values, like.pixels.dtype)."
        )


def _check_format(path: Path, kind: str, pixels: np.ndarray) -> None:
    pages, *sides, _ = pixels.shape
    native = pixels.dtype.newbyteorder("=")
    if kind in ONE_PAGE and (pages > 1 or native not in ONE_PAGE[kind]):
        raise InputError(
            f"{path} cannot hold {pages} page(s) of {native}: "
            f"{kind} takes one page of {' or '.join(ONE_PAGE[kind])}. Write a .tif or .npy file."
        )
    if kind == "BMP" and pixels.nbytes > 3 << 30:
        raise InputError(f"{path} cannot be larger than 3 GB as BMP. Write a .png or .tif file.")
    if kind == "TIFF" and native.itemsize > 8:
        raise InputError(f"{path} cannot hold {native}. Write a .npy file.")
    if max(sides) > LONGEST.get(kind, max(sides)):
        raise InputError(
            f"{path} cannot hold {sides[0]}×{sides[1]} pixels: {kind} ends at {LONGEST[kind]} "
            "a side. Write a .png or .tif file."
        )
