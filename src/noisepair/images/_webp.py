"""WebP, 8 bits. Always written without loss: a second lossy pass would undo the denoising."""

import struct
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL.WebPImagePlugin import WebPImageFile

from ..errors import InputError
from ._image import Image, join, split
from ._limits import afford
from ._pillow import metadata, picture_of, pixels_of


def read_webp(path: Path) -> Image:
    data = path.read_bytes()
    lossy, width, height = _header(data)
    afford(path, 4 * width * height, working=8 * width * height)
    with WebPImageFile(BytesIO(data)) as picture:
        if getattr(picture, "n_frames", 1) > 1:
            raise InputError(
                f"{path} is an animated WebP of {picture.n_frames} frames. "
                "Accepted: still pictures. Save its frames one by one, as PNG."
            )
        pixels, alpha = split(pixels_of(picture))
        kept = metadata(picture)
        if picture.info.get("xmp"):
            kept["xmp"] = picture.info["xmp"]
    note = "The lossy compression of the WebP is not kept: it is written without loss, and larger."
    return Image(
        pixels=pixels,
        alpha=alpha,
        path=path,
        format="WEBP",
        notes=(note,) if lossy else (),
        kept=kept,
    )


def write_webp(file: BinaryIO, like: Image, pixels: np.ndarray) -> tuple[str, ...]:
    grey = pixels.shape[-1] == 1
    colour = np.broadcast_to(pixels, (*pixels.shape[:-1], 3))
    options = {
        "icc_profile": like.kept.get("icc"),
        "exif": like.kept.get("exif"),
        "xmp": like.kept.get("xmp"),
    }
    with picture_of(join(colour, like.alpha)[0]) as picture:
        picture.save(
            file,
            "WEBP",
            lossless=True,
            exact=True,  # the colours under full transparency too
            **{name: value for name, value in options.items() if value},
        )
    return ("WebP has no grey pictures: it is written as RGB.",) if grey else ()


def _header(data: bytes) -> tuple[bool, int, int]:
    """Is it lossy, how wide, how high: by the container, before libwebp reserves its canvas."""
    place, canvas = 12, None
    while place + 18 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        body = data[place + 8 : place + 18]
        if kind == b"VP8X":
            canvas = _plus_one(body[4:7]), _plus_one(body[7:10])
        elif kind == b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            return False, *(canvas or ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
        elif kind == b"VP8 ":
            sides = struct.unpack("<HH", body[6:10])
            return True, *(canvas or (sides[0] & 0x3FFF, sides[1] & 0x3FFF))
        elif kind == b"ANMF" and canvas:
            return True, *canvas
        place += 8 + length + length % 2
    raise ValueError("it ends before its pixels")


def _plus_one(three_bytes: bytes) -> int:
    return int.from_bytes(three_bytes, "little") + 1
