"""Which picture files does a list of files, folders and patterns mean?"""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".npy": "NPY",
}
SUFFIXES = frozenset(FORMATS)
ACCEPTED = ", ".join(FORMATS)


def find(inputs: Sequence[str | Path]) -> list[Path]:
    """The picture files meant: files as given, folders and patterns in natural order, each once.

    Folders are not searched in depth; hidden files are left out.
    """
    given = [inputs] if isinstance(inputs, (str, Path)) else inputs
    if not given:
        raise InputError("No picture was named. Name picture files, folders or patterns.")
    found: dict[Path, Path] = {}
    for path in (path for one in given for path in _meant_by(Path(one).expanduser())):
        found.setdefault(path.absolute(), path)
    return list(found.values())


def format_of(path: Path) -> str:
    """The format that a suffix promises."""
    if path.suffix.lower() not in FORMATS:
        shown = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise InputError(
            f"{path} has {shown}. Accepted: {ACCEPTED}. Save the picture as .png or .tif."
        )
    return FORMATS[path.suffix.lower()]


def natural(path: Path) -> tuple[list[str | int], str]:
    """A sorting key that counts: img2 comes before img10."""
    words = re.split(r"(\d+)", path.name.casefold())
    return [int(word) if word.isdecimal() else word for word in words], str(path)


def _meant_by(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.exists():
            format_of(path)
            return [path]
    except OSError as error:
        message = f"{path} cannot be opened: {error.strerror}. Check its name and permissions."
        raise InputError(message) from error
    if glob.has_magic(str(path)):
        return _matching(path)
    raise InputError(
        f"{path} does not exist. Name a picture file ({ACCEPTED}), a folder of them, "
        "or a pattern such as 'shots/*.png'."
    )


def _in_folder(folder: Path) -> list[Path]:
    found = sorted(filter(_is_picture, folder.iterdir()), key=natural)
    if not found:
        raise InputError(
            f"The folder {folder} holds no picture. Accepted: {ACCEPTED}. "
            "Its own folders are not searched: name them."
        )
    return found


def _matching(pattern: Path) -> list[Path]:
    matches = [Path(match) for match in glob.glob(str(pattern), recursive=True)]
    found = sorted(filter(_is_picture, matches), key=lambda path: (str(path.parent), natural(path)))
    if not found:
        raise InputError(
            f"The pattern {pattern} matches no picture. Accepted: {ACCEPTED}. "
            "Try it with `ls`, and mind capitals."
        )
    return found


def _is_picture(path: Path) -> bool:
    hidden = path.name.startswith(".")  # "._img1.png" is macOS's shadow of img1.png, no picture
    return not hidden and path.suffix.lower() in SUFFIXES and path.is_file()
