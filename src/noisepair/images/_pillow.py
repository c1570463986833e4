"""Pillow's pictures ↔ arrays, a band of rows at a time.

Pillow keeps 4 bytes a pixel of its own; np.asarray(picture) would add two more copies. Its file
classes are opened directly: Image.open would warn of any picture above 89 megapixels, and the
only way to tell it not to is a global variable that belongs to the whole process.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image as Pillow

BAND = 1 << 22  # pixels
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def pixels_of(picture: Pillow.Image) -> np.ndarray:
    """The samples of an L, RGB or RGBA picture, (1, H, W, 1 or 3 or 4)."""
    width, height = picture.size
    if 0 in picture.size:
        raise ValueError(f"it has {width}×{height} pixels")
    picture.load()
    pixels = np.empty((1, height, width, len(picture.getbands())), np.uint8)
    for top, bottom in _bands(width, height):
        band = pixels[0, top:bottom]
        band[...] = np.asarray(picture.crop((0, top, width, bottom))).reshape(band.shape)
    return pixels


def picture_of(samples: np.ndarray) -> Pillow.Image:
    """A Pillow picture of (H, W, 1 or 3 or 4) samples."""
    height, width, planes = samples.shape
    picture = Pillow.new(MODES[planes], (width, height))
    for top, bottom in _bands(width, height):
        band = np.ascontiguousarray(samples[top:bottom])
        picture.paste(Pillow.fromarray(band[..., 0] if planes == 1 else band), (0, top))
    return picture


def metadata(picture: Pillow.Image) -> dict[str, Any]:
    """What formats have in common: profile, EXIF without its JPEG prefix, dots per inch."""
    common: dict[str, Any] = {}
    if picture.info.get("icc_profile"):
        common["icc"] = picture.info["icc_profile"]
    if picture.info.get("exif"):
        common["exif"] = picture.info["exif"].removeprefix(b"Exif\0\0")
    if picture.info.get("dpi"):
        common["dpi"] = tuple(float(dots) for dots in picture.info["dpi"])
    return common


def _bands(width: int, height: int) -> Iterator[tuple[int, int]]:
    rows = max(1, BAND // width)
    return ((top, min(top + rows, height)) for top in range(0, height, rows))
