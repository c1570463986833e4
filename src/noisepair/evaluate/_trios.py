"""What is compared with what: a noisy picture, its clean one, and a denoised one or its maker."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import PurePath

import numpy as np

from ..errors import InputError
from ._pictures import Entry, Source, both, finite, listed, named, printable
from ._scores import Case
from ._units import Mismatch, Ruler

Denoise = Callable[..., np.ndarray]  # denoise(pixels, channel_axis=-1): same shape, same dtype


@dataclass(frozen=True)
class Trio:
    """What is compared: a noisy and a clean picture, and a denoised one or how to make it."""

    noisy: Entry
    clean: Entry
    denoised: Entry | Denoise | None

    def cases(self, ruler: Ruler, only: Sequence[int] | None = None) -> Iterator[Case]:
        """One case a page, made when asked for; of `only` these pages, if they are given."""
        noisy, clean = self.noisy.read(), self.clean.read()
        same_scene(self.noisy.name, noisy, self.clean.name, clean)
        pages = list(range(len(noisy)) if only is None else only)
        for page, after in zip(pages, self.made(noisy, pages), strict=True):
            name = self.noisy.name + (f", page {page + 1}" if len(noisy) > 1 else "")
            if after is not None:
                finite(after, f"{name}, denoised,")
                same_scene(f"{name}, denoised,", after, name, noisy[page])
            yield Case(
                name,
                ruler.units(noisy[page], name),
                ruler.units(clean[page], self.clean.name),
                None if after is None else ruler.units(after, f"{name}, denoised,"),
                ruler.data_range,
            )

    def made(self, noisy: np.ndarray, pages: Sequence[int]) -> Iterable[np.ndarray | None]:
        """What became of each of these pages.

        A denoiser that says `whole`, for it looks at all pages to denoise one, is given them all.
        """
        if self.denoised is None:
            return repeat(None, len(pages))
        if getattr(self.denoised, "whole", False):
            done = list(denoised_pages(self.denoised, noisy))  # type: ignore[arg-type]
            return [done[page] for page in pages]
        if callable(self.denoised):
            all_of_them = len(pages) == len(noisy)
            return denoised_pages(self.denoised, noisy if all_of_them else noisy[pages])
        made = self.denoised.read()
        same_scene(self.denoised.name, made, self.noisy.name, noisy)
        return made[pages]


def denoised_pages(denoise: Denoise, noisy: np.ndarray) -> Iterator[np.ndarray]:
    """Pages (N, H, W, C) together where the denoiser takes pages, as Denoiser does; else each.

    Small pages then share batches, which is several times as fast.
    """
    together = getattr(denoise, "pages", None)
    if together:
        yield from together(noisy)
    else:
        yield from (denoise(page, channel_axis=-1) for page in noisy)


def same_scene(name: str, pages: np.ndarray, of_name: str, of: np.ndarray) -> None:
    """Refuse to compare what has not the same pages, rows, columns and planes."""
    if pages.shape != of.shape:
        axes = "(pages, rows, columns, planes)"[0 if of.ndim == 4 else 8 :]
        raise Mismatch(
            f"{name} has the shape {pages.shape} and {of_name} {of.shape}. To be compared they "
            f"must agree in {axes}. Crop or convert one, or remove both."
        )


def arrange(
    noisy: Source,
    clean: Source | None,
    denoised: Source | Denoise | None,
    names: Sequence[str] | None,
) -> list[Trio]:
    """Put side by side what shows the same scene; no more than one file of both is read yet."""
    if clean is None:
        before, target = both(noisy)
        entries, partners = named([before], names), [target]
    else:
        entries = listed(noisy, "noisy", names)
        partners = paired(entries, listed(clean, "clean"), "clean")
    made: Sequence[Entry | Denoise | None]
    if denoised is None or callable(denoised):
        made = [denoised] * len(entries)
    else:
        made = paired(entries, listed(denoised, "denoised"), "denoised")
    return [Trio(*three) for three in zip(entries, partners, made, strict=True)]


def paired(entries: Sequence[Entry], others: Sequence[Entry], side: str) -> list[Entry]:
    """The partner of each entry: of the same name, or else of the same name but for its ending."""
    if not all(entry.key for entry in [*entries, *others]):
        if len(entries) != len(others):
            raise InputError(
                f"{len(entries)} noisy and {len(others)} {side} pictures. Without file names on "
                f"both sides they are paired by position: give as many of one as of the other."
            )
        return list(others)
    ours, theirs = [e.key for e in entries], [e.key for e in others]
    if set(ours) != set(theirs):
        ours, theirs = [[str(PurePath(k).with_suffix("")) for k in keys] for keys in (ours, theirs)]
    if set(ours) != set(theirs) or len(set(ours)) < len(ours) or len(set(theirs)) < len(theirs):
        raise InputError(no_pairs(ours, theirs, side))
    partner = dict(zip(theirs, others, strict=True))
    return [partner[key] for key in ours]


def no_pairs(noisy: list[str], others: list[str], side: str) -> str:
    """Which names stand alone, or stand twice."""
    twice = [key for keys in (noisy, others) for key in sorted(set(keys)) if keys.count(key) > 1]
    kinds = {
        f"no {side} picture for": sorted(set(noisy) - set(others)),
        "no noisy picture for": sorted(set(others) - set(noisy)),
        "more than one picture called": twice,
    }
    faults = "; ".join(f"{kind} {some(keys)}" for kind, keys in kinds.items() if keys)
    return (
        f"The noisy and {side} pictures do not pair up: {faults}. A pair has one name "
        f"(a.tif and a.png will do). Rename these files, or move them out of the folder."
    )


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names of a list, and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' and 2 more"
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(printable(name)) for name in names[:most]) + more
