"""BMP, 8 bits: read by Pillow, written here, since Pillow's own 32-bit files lose their alpha."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL.BmpImagePlugin import BmpImageFile

from ..errors import InputError
from ._image import Image, join, per_metre, split
from ._limits import afford
from ._pillow import metadata, pixels_of

FILE_HEADER, INFO_HEADER, V4_HEADER, V5_HEADER = 14, 40, 108, 124  # bytes
BITFIELDS = 3  # the masks below say where each plane lies
MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)  # red, green, blue, alpha
SRGB = 0x73524742


def read_bmp(path: Path) -> Image:
    with open(path, "rb") as file:
        head = file.read(FILE_HEADER + V5_HEADER)
    with BmpImageFile(path) as picture:
        if picture.mode == "1":
            raise InputError(
                f"{path} is black and white, 1 bit a pixel: there is no noise to remove between "
                "the two. Accepted: 8 bits. Convert it to 8-bit grey."
            )
        area = picture.width * picture.height
        afford(path, area * len(picture.getbands()), working=8 * area)
        palette = picture.mode == "P"
        pixels, alpha = split(pixels_of(picture.convert("RGB") if palette else picture))
        kept = metadata(picture)
    return Image(
        pixels=pixels,
        alpha=alpha,
        path=path,
        format="BMP",
        notes=tuple(_notes(head, palette)),
        kept=kept,
    )


def write_bmp(file: BinaryIO, like: Image, pixels: np.ndarray) -> tuple[str, ...]:
    samples = join(_colour(pixels, like.alpha), like.alpha)[0]
    height, width, planes = samples.shape
    file.write(_headers(width, height, planes, like.kept.get("dpi", (0.0, 0.0))))
    padding = bytes(-width * planes % 4)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[planes]
    for row in samples[::-1]:  # the last row comes first
        file.write(row[:, order].tobytes() + padding)
    widened = like.alpha is not None and pixels.shape[-1] == 1
    return ("BMP has no grey with alpha: it is written as RGB.",) if widened else ()


def _colour(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Grey with alpha becomes RGB with alpha, as BMP has no such thing."""
    return pixels if alpha is None else np.broadcast_to(pixels, (*pixels.shape[:-1], 3))


def _headers(width: int, height: int, planes: int, dpi: tuple[float, float]) -> bytes:
    info_size = V4_HEADER if planes == 4 else INFO_HEADER
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256 * (planes == 1)))
    start = FILE_HEADER + info_size + len(palette)
    size = height * (width * planes + -width * planes % 4)
    coding = BITFIELDS if planes == 4 else 0
    head = struct.pack("<2sIHHI", b"BM", start + size, 0, 0, start)
    info = struct.pack(
        "<IiiHHIIII", info_size, width, height, 1, 8 * planes, coding, size, *per_metre(dpi)
    )
    info += struct.pack("<II", len(palette) // 4, len(palette) // 4)
    if planes == 4:
        info += struct.pack("<4II", *MASKS, SRGB) + bytes(48)  # end points and gamma: unused
    return head + info + palette


def _notes(head: bytes, palette: bool) -> Iterator[str]:
    bits = struct.unpack_from("<H", head, 28)[0]
    if palette:
        yield "The palette is not kept: its colours are written as RGB."
    elif bits == 16 and head[FILE_HEADER] >= INFO_HEADER:
        yield "The 16 bits a pixel are written as 24: 8 bits a plane."
    if head[FILE_HEADER] == V5_HEADER and head[FILE_HEADER + 56 :][:4] in (b"DEBM", b"KNIL"):
        yield "The colour profile inside the BMP is not kept."
