"""JPEG, 8 bits: recompressed with the source's own tables, its segments carried over."""

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from ..errors import InputError
from ._image import Image
from ._limits import afford
from ._pillow import metadata, picture_of, pixels_of

QUALITY = 95  # for pictures that were no JPEG before
LONGEST_EXIF = 65_500  # bytes; a segment counts in 16 bits
STAND_ALONE = {0x01, 0xD8, *range(0xD0, 0xD8)}  # markers without a body
SCAN, COMMENT, APPLICATION = 0xDA, 0xFE, range(0xE0, 0xF0)


def read_jpeg(path: Path) -> Image:
    data = path.read_bytes()
    with JpegImageFile(BytesIO(data)) as picture:
        if picture.mode not in ("L", "RGB"):
            raise InputError(
                f"{path} is a JPEG in {picture.mode} colours. Accepted: grey and RGB. "
                "Convert it to RGB."
            )
        area = picture.width * picture.height
        afford(path, area * len(picture.getbands()), working=4 * area)
        kept = {
            **metadata(picture),
            "qtables": [picture.quantization[key] for key in sorted(picture.quantization)],
            "subsampling": get_sampling(picture),
            "progressive": bool(picture.info.get("progressive")),
        }
        pixels = pixels_of(picture)
    segments = [segment for _, _, segment in _segments(data)]
    more = any(segment[4:8] == b"MPF\0" for segment in segments)
    kept["segments"] = [segment for segment in segments if _belongs(segment)]
    note = "The file holds further pictures (previews or a second lens): only the first is kept."
    return Image(
        pixels=pixels,
        alpha=None,
        path=path,
        format="JPEG",
        notes=(note,) if more else (),
        kept=kept,
    )


def write_jpeg(file: BinaryIO, like: Image, pixels: np.ndarray) -> tuple[str, ...]:
    own = "segments" in like.kept
    with BytesIO() as buffer:
        with picture_of(pixels[0]) as picture:
            picture.save(buffer, "JPEG", **_options(like.kept))
        encoded = buffer.getvalue()
    if own:
        _splice(file, encoded, like.kept["segments"])
    else:
        file.write(encoded)
    return tuple(_notes(like, own))


def _options(kept: Any) -> dict[str, Any]:
    if "qtables" in kept:
        return {name: kept[name] for name in ("qtables", "subsampling", "progressive")}
    options = {"icc_profile": kept.get("icc")}
    if max(kept.get("dpi", (0,))) < 65_536:  # JFIF counts in 16 bits
        options["dpi"] = kept.get("dpi")
    if len(kept.get("exif", b"")) in range(1, LONGEST_EXIF):
        options["exif"] = b"Exif\0\0" + kept["exif"]
    given = {name: value for name, value in options.items() if value}
    return {"quality": QUALITY, "subsampling": 0, **given}


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Start, end and bytes of each application segment and comment before the pixels."""
    place = 2
    while place + 4 <= len(data):
        mark, kind = data[place], data[place + 1]
        if mark != 0xFF:
            raise ValueError("its segments do not follow each other")
        if kind == 0xFF or kind in STAND_ALONE:  # filling
            place += 1 if kind == 0xFF else 2
            continue
        if kind == SCAN:
            return
        end = place + 2 + struct.unpack_from(">H", data, place + 2)[0]
        if kind == COMMENT or kind in APPLICATION:
            yield place, end, data[place:end]
        place = end


def _belongs(segment: bytes) -> bool:
    """Not so: the coding of the old pixels (Adobe), other pictures (MPF), a thumbnail (JFXX)."""
    return not segment[4:].startswith((b"Adobe\0", b"Adobe", b"MPF\0", b"JFXX\0"))


def _splice(file: BinaryIO, encoded: bytes, segments: list[bytes]) -> None:
    """The encoder's file with the source's segments in place of its own."""
    view = memoryview(encoded)
    file.write(view[:2])
    file.writelines(segments)
    place = 2
    for start, end, _ in _segments(encoded):
        file.write(view[place:start])
        place = end
    file.write(view[place:])


def _notes(like: Image, own: bool) -> Iterator[str]:
    if own:
        yield "JPEG is lossy: values change slightly; quality and subsampling are the source's."
    else:
        yield f"JPEG is lossy: values change slightly (quality {QUALITY}, full colour)."
    if not own and len(like.kept.get("exif", b"")) >= LONGEST_EXIF:
        yield "The EXIF block is too long for JPEG and is not kept."
    if like.alpha is not None:
        yield "JPEG has no alpha: the transparency is not kept."
