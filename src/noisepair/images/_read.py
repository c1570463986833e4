"""Read any accepted picture file; say in one sentence why another cannot be read."""

import struct
import tokenize
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ._bmp import read_bmp
from ._find import ACCEPTED, FORMATS
from ._image import Image
from ._jpeg import read_jpeg
from ._npy import read_npy
from ._png import read_png
from ._tiff import read_tiff
from ._webp import read_webp

READERS: Mapping[str, Callable[[Path], Image]] = {
    "PNG": read_png,
    "JPEG": read_jpeg,
    "TIFF": read_tiff,
    "BMP": read_bmp,
    "WEBP": read_webp,
    "NPY": read_npy,
}
OPENINGS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
    b"BM": "BMP",
    b"RIFF": "WEBP",
    b"\x93NUMPY": "NPY",
    b"GIF8": "GIF",
}
# What decoders throw at damaged bytes. The first say what is wrong; the others tell of a length or
# a type that lies, in words of the decoder's code that help nobody outside it.
SPEAKING = (OSError, ValueError, RuntimeError, EOFError, SyntaxError, zlib.error)
MUTE = (
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    struct.error,
    tokenize.TokenError,
)


def read(path: Path) -> Image:
    """The picture in a file, whatever its suffix says it is."""
    path = Path(path)
    kind = _kind(path)
    try:
        image = READERS[kind](path)
    except InputError:
        raise
    except MemoryError as error:
        message = f"{path} does not fit into memory. Cut the picture into parts."
        raise InputError(message) from error
    except (*SPEAKING, *MUTE) as error:
        raise InputError(
            f"{path} cannot be read as {kind}: {_reason(error)}. "
            "The file is damaged or cut short: copy it again, or save it anew from its source."
        ) from error
    promised = FORMATS.get(path.suffix.lower())
    if promised in (kind, None):
        return image
    note = f"{path.name} holds {kind} data; written under this name it becomes {promised}."
    return replace(image, notes=(note, *image.notes))


def _kind(path: Path) -> str:
    """The format of a file by its first bytes."""
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a picture. Name the files in it.")
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError as error:
        message = f"{path} cannot be opened: {error.strerror}. Check its name and permissions."
        raise InputError(message) from error
    if not head:
        raise InputError(f"{path} is empty (0 bytes). Copy it again, or save it anew.")
    kind = next((kind for start, kind in OPENINGS.items() if head.startswith(start)), None)
    if kind == "WEBP" and head[8:12] != b"WEBP":
        kind = None  # RIFF is also sound and film
    if kind == "GIF":
        raise InputError(
            f"{path} is a GIF, whose palette cannot hold a denoised picture. "
            f"Accepted: {ACCEPTED}. Save it as PNG or TIFF."
        )
    if kind is None:
        raise InputError(
            f"{path} holds no picture this package knows: it begins with {head[:8]!r}. "
            f"Accepted: {ACCEPTED}. Save it as PNG or TIFF."
        )
    return kind


def _reason(error: BaseException) -> str:
    words = " ".join(str(error).split())[:200].rstrip(".")
    clear = words and words.isprintable() and isinstance(error, SPEAKING)
    return words if clear else "its structure is broken"
