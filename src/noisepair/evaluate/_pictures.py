"""Where the pictures to score come from: folders, files, arrays, or one file with both sides."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import images
from ..errors import InputError

Source = str | Path | np.ndarray | Sequence[str | Path | np.ndarray]


@dataclass(frozen=True)
class Entry:
    """A picture to come. `key` is the name that pairs it; an empty one leaves it to position."""

    name: str
    key: str
    held: Path | np.ndarray

    def read(self) -> np.ndarray:
        """The (N, H, W, C) pages."""
        pages = images.read(self.held).pixels if isinstance(self.held, Path) else self.held
        return finite(pages, self.name)


def finite(pixels: np.ndarray, name: str) -> np.ndarray:
    """The same pixels; nan and infinity are refused, for no distance to them exists."""
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise InputError(
            f"{name} holds {np.sum(~np.isfinite(pixels))} values that are nan or infinite. "
            f"Only finite values can be scored: repair these pixels, or leave the picture out."
        )
    return pixels


def listed(source: Source, side: str, names: Sequence[str] | None = None) -> list[Entry]:
    """One entry a picture, in natural order of the files or as the arrays come."""
    if isinstance(source, np.ndarray) and source.ndim != 4:
        raise InputError(
            f"The {side} pictures are one array of {source.ndim} axes: is it one picture or many? "
            f"Give a list of (H, W) or (H, W, C) arrays, or one array (N, H, W, C)."
        )
    items = [source] if isinstance(source, str | Path) else list(source)
    arrays = [item for item in items if isinstance(item, np.ndarray)]
    files = [item for item in items if not isinstance(item, np.ndarray)]
    if not items or (arrays and files):
        raise InputError(
            f"The {side} pictures are {len(arrays)} arrays and {len(files)} files. "
            f"Give either arrays or files, and at least one."
        )
    entries = [held(array, f"{side} {i}") for i, array in enumerate(arrays, start=1)]
    entries = entries or found(files)
    return named(entries, names)


def named(entries: list[Entry], names: Sequence[str] | None) -> list[Entry]:
    """The same entries under other names, where those are given."""
    if names is None:
        return entries
    if len(names) != len(entries):
        raise InputError(f"{len(names)} names for {len(entries)} pictures. Give one for each.")
    return [replace(entry, name=printable(n)) for entry, n in zip(entries, names, strict=True)]


def both(path: Source | None) -> tuple[Entry, Entry]:
    """The noisy and the clean pages of one file that holds both."""
    if not isinstance(path, str | Path):
        raise InputError(
            "There are noisy pictures and no clean ones to compare them with. Give both, or the "
            "path of one file that holds both, such as the course's val_data.pkl."
        )
    from ..sources import noisy_and_clean  # torch comes with it, for this kind of file only

    noisy, clean = noisy_and_clean(Path(path))
    name = printable(Path(path).name)
    return Entry(name, "", noisy), Entry(f"{name}, clean,", "", clean)


def held(array: np.ndarray, name: str) -> Entry:
    """An entry for one (H, W) or (H, W, C) picture in memory."""
    if array.ndim not in (2, 3):
        raise InputError(
            f"{name} is an array of {array.ndim} axes. A picture has two or three: "
            f"give it as (H, W) or (H, W, C)."
        )
    return Entry(name, "", array.reshape(1, *array.shape[:2], -1))


def found(files: Sequence[str | Path]) -> list[Entry]:
    """Entries for files, keyed by their names."""
    paths = images.find(files)
    # two single files were named by a person to be compared: their names need not agree
    alone = len(paths) == 1 and not Path(files[0]).is_dir()
    return [Entry(printable(path.name), "" if alone else path.name, path) for path in paths]


def printable(name: str) -> str:
    """A file name whose bytes are no UTF-8 is kept by Python in a form no text file accepts."""
    return os.fsencode(name).decode("utf-8", "replace")


def readable(entries: Iterable[Entry], failed: dict[str, str]) -> Iterator[np.ndarray]:
    """The pages of every entry that can be read; the reasons of the others go to `failed`."""
    for entry in entries:
        try:
            yield entry.read()
        except (InputError, OSError) as error:
            failed[entry.name] = str(error)


def nothing_left(failed: Mapping[str, str]) -> str:
    """What is said when no picture at all could be scored."""
    first = next(iter(failed.values()))
    return f"None of the {len(failed)} pictures can be scored. The first: {first}"
