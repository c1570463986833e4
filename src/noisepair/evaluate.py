"""Score pictures against clean ones: how far the noisy, how far the denoised, what was gained.

A picture is scored whole: no crop, no clamping, no rounding beyond what its file holds. Pictures
are read one at a time, so a folder of any length fits in memory. Values are compared in the units
of the clean pictures; a noisy file of another depth is brought to them through the full scale of
each (value / 65535 · 255). Equations, and the two ways to average a PSNR: metrics.py.
"""

import csv
import io
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from . import images, metrics
from .errors import InputError

Source = str | Path | np.ndarray | Sequence[str | Path | np.ndarray]
Denoise = Callable[..., np.ndarray]  # denoise(pixels, channel_axis=-1): same shape, same dtype
Watch = Callable[[int, int], None]  # watch(files done, files in all)

PROTOCOL = (
    "Whole pictures, without crop, clamping or rounding beyond what the files hold. "
    "PSNR = 10 log10(R²/MSE), R = data_range. per_image: the mean of the PSNR of each picture; "
    "pooled: the PSNR of the mean squared error over all values of all pictures. "
    "SSIM: Wang et al. 2004 (Gaussian window of sigma 1.5, 11×11, K1 0.01, K2 0.03), mean over "
    "planes, then over pictures; pictures below 11×11 have none. std: over pictures (n − 1)."
)


class Mismatch(InputError):
    """Two pictures that should show one scene cannot: the whole comparison is in doubt."""


@dataclass(frozen=True)
class Closeness:
    """How close one picture is to its clean one. `mse` in the clean picture's units squared."""

    mse: float
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Score:
    """One picture's scores. `place` is its position: which file (or array), which page in it."""

    name: str
    place: tuple[int, int]
    pixels: int
    planes: int
    noisy: Closeness
    denoised: Closeness | None

    @property
    def gain(self) -> float:
        """Decibels won by denoising; nan where nothing was denoised."""
        return self.denoised.psnr - self.noisy.psnr if self.denoised else math.nan

    def as_json(self) -> dict[str, Any]:
        """Names and plain numbers, for a file."""
        after = {"denoised": asdict(self.denoised)} if self.denoised else {}
        size = {"name": self.name, "pixels": self.pixels, "planes": self.planes}
        return {**size, "noisy": asdict(self.noisy), **after}


@dataclass(frozen=True)
class Case:
    """One picture to look at: (H, W, C) arrays in the units of `data_range`."""

    name: str
    noisy: np.ndarray
    clean: np.ndarray | None
    denoised: np.ndarray | None
    data_range: float | int
    label: str = ""

    def closeness(self, picture: np.ndarray | None) -> Closeness | None:
        """Score `picture` against the clean one, where there are both."""
        if picture is None or self.clean is None:
            return None
        error = metrics.mse(picture, self.clean)
        return Closeness(
            error,
            metrics.psnr_from_mse(error, self.data_range),
            metrics.ssim(picture, self.clean, self.data_range),
        )


@dataclass(frozen=True)
class Evaluation:
    """The scores of all pictures, what they sum up to, and how they were taken."""

    scores: tuple[Score, ...]
    data_range: float
    data_range_from: str
    failed: Mapping[str, str]  # name → why it has no score
    protocol: str = PROTOCOL

    @property
    def denoised(self) -> bool:
        """Whether there was anything denoised to score."""
        return all(score.denoised for score in self.scores)

    def summary(self) -> dict[str, Any]:
        """Means, deviations and pooled values, nested: `summary()["psnr"]["noisy"]["pooled"]`."""
        before = [score.noisy for score in self.scores]
        after = [score.denoised for score in self.scores if score.denoised]
        psnr = {"noisy": self._psnr(before)}
        ssim = {"noisy": mean([one.ssim for one in before])}
        spread = {"noisy": std([one.ssim for one in before])}
        if self.denoised:
            psnr["denoised"] = self._psnr(after)
            gains = [score.gain for score in self.scores]
            pooled = psnr["denoised"]["pooled"] - psnr["noisy"]["pooled"]
            psnr["gain"] = {"per_image": mean(gains), "std": std(gains), "pooled": pooled}
            ssim["denoised"] = mean([one.ssim for one in after])
            spread["denoised"] = std([one.ssim for one in after])
        return {"images": len(self.scores), "psnr": psnr, "ssim": {**ssim, "std": spread}}

    def _psnr(self, each: Sequence[Closeness]) -> dict[str, float]:
        sizes = [score.pixels * score.planes for score in self.scores]
        error = sum(size * one.mse for size, one in zip(sizes, each, strict=True)) / sum(sizes)
        decibels = [one.psnr for one in each]
        pooled = metrics.psnr_from_mse(error, self.data_range)
        return {"per_image": mean(decibels), "std": std(decibels), "pooled": pooled}

    def figures(self) -> Iterator[tuple[str, float]]:
        """Every number of the summary with its dotted name, `psnr.noisy.per_image` and so on."""
        yield from flat(self.summary())

    def cases(self) -> dict[str, int]:
        """Which scores to look at: the worst, median and best picture by PSNR after denoising."""
        order = sorted(
            range(len(self.scores)),
            key=lambda i: (self.scores[i].denoised or self.scores[i].noisy).psnr,
        )
        found = {"worst": order[0], "median": order[(len(order) - 1) // 2], "best": order[-1]}
        first: dict[int, str] = {}  # one or two pictures have fewer than three cases
        for label in ("worst", "best", "median"):
            first.setdefault(found[label], label)
        return {label: i for label, i in found.items() if first[i] == label}

    def as_json(self) -> dict[str, Any]:
        """The summary, the protocol and every score, as strict JSON: inf and nan become null."""
        said = {
            **self.summary(),
            "data_range": self.data_range,
            "data_range_from": self.data_range_from,
            "protocol": self.protocol,
            "failed": [{"name": name, "reason": why} for name, why in self.failed.items()],
            "scores": [one.as_json() for one in self.scores],
        }
        return strict(said)

    def as_csv(self) -> str:
        """One line a picture; the columns of what was denoised only where something was."""
        kinds = ["noisy", "denoised"] if self.denoised else ["noisy"]
        measures = ["mse", "psnr", "ssim"]
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(["name", "pixels", "planes", *(f"{m}_{k}" for m in measures for k in kinds)])
        for score in self.scores:
            values = [getattr(getattr(score, k), m) for m in measures for k in kinds]
            lines.writerow([score.name, score.pixels, score.planes, *values])
        return text.getvalue()


def evaluate(
    noisy: Source,
    clean: Source,
    denoised: Source | Denoise | None = None,
    *,
    data_range: float | int | None = None,
    names: Sequence[str] | None = None,
    watch: Watch | None = None,
) -> Evaluation:
    """Score `noisy`, and `denoised` if given, against `clean`.

    Each is a folder, a file, a glob, or a sequence of files or of (H, W) or (H, W, C) arrays;
    `denoised` may also be a denoiser, which is then given each noisy picture. Files are paired by
    name, arrays by position. `data_range` is in the units of the clean pictures: by default the
    full scale of their integer type, or max − min over all of them if they hold floats.

    A picture that cannot be read or holds nan is listed in `failed`; the others are scored.

    >>> clean = [np.zeros((16, 16)), np.zeros((16, 16))]
    >>> scores = evaluate([clean[0] + 0.1, clean[1] + 0.01], clean, data_range=1)
    >>> {name: round(value, 2) for name, value in scores.figures() if "psnr" in name}
    {'psnr.noisy.per_image': 30.0, 'psnr.noisy.std': 14.14, 'psnr.noisy.pooled': 22.97}
    """
    trios = arrange(noisy, clean, denoised, names)
    scale = ruler([trio.clean for trio in trios], data_range)
    scores: list[Score] = []
    failed: dict[str, str] = {}
    for file, trio in enumerate(trios):
        try:
            scores += [score(case, (file, page)) for page, case in enumerate(trio.cases(scale))]
        except Mismatch:
            raise
        except (InputError, OSError) as error:
            failed[trio.noisy.name] = str(error)
        if watch:
            watch(file + 1, len(trios))
    if not scores:
        raise InputError(nothing_left(failed))
    return Evaluation(tuple(scores), scale.data_range, scale.origin, failed)


def examples(
    evaluation: Evaluation,
    noisy: Source,
    clean: Source,
    denoised: Source | Denoise | None = None,
    *,
    names: Sequence[str] | None = None,
) -> list[Case]:
    """Read again (and denoise again) the worst, median and best pictures of an evaluation.

    Scores keep no pixels, so that a long evaluation stays small. Give what `evaluate` was given.
    """
    trios = arrange(noisy, clean, denoised, names)
    scale = ruler([trio.clean for trio in trios], evaluation.data_range)
    shown = []
    for label, i in evaluation.cases().items():
        file, page = evaluation.scores[i].place
        [case] = trios[file].cases(scale, only=page)
        shown.append(replace(case, label=label))
    return shown


# ---- what is compared with what, and in which units


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


@dataclass(frozen=True)
class Ruler:
    """The units of all comparisons, those of the first clean picture, and the span of values."""

    dtype: np.dtype
    data_range: float
    origin: str

    def units(self, pages: np.ndarray, name: str) -> np.ndarray:
        """Bring integers of another depth, or floats in [0, 1], to the units of the clean ones."""
        floats = pages.dtype.kind == "f"
        if pages.dtype == self.dtype or (floats and self.dtype.kind == "f"):
            return pages
        # unit floats, however noisy, have a mean near [0, 1]; 8-bit values kept as floats do not
        reach = abs(pages.mean(dtype=np.float64)) if floats else self.data_range
        if reach > 2 and "f" in (pages.dtype.kind, self.dtype.kind):
            raise Mismatch(
                f"{name} holds {pages.dtype} and the clean pictures {self.dtype}: floats must then "
                f"run from 0 to 1, and these are near {reach:.4g}. Divide them by their full "
                f"scale, or save both as one type."
            )
        return pages * (images.full_scale(self.dtype) / images.full_scale(pages.dtype))


def ruler(clean: Sequence[Entry], data_range: float | int | None) -> Ruler:
    """Lay down units and span. Only float pictures must all be read for it."""
    failed: dict[str, str] = {}
    pictures = readable(clean, failed)
    first = next(pictures, None)
    if first is None:
        raise InputError(nothing_left(failed))
    if data_range is not None:
        return Ruler(first.dtype, float(data_range), "given")
    if first.dtype.kind != "f":
        if first.dtype.itemsize > 2:  # 64 bits would make 250 dB of any noise
            raise InputError(
                f"The clean pictures hold {first.dtype}, a type that pictures hardly ever fill. "
                f"Give data_range, the span their values can take, or convert them to uint8 or "
                f"uint16."
            )
        full = float(images.full_scale(first.dtype))
        return Ruler(first.dtype, full, f"full scale of the clean pictures' type, {first.dtype}")
    low, high = float(first.min()), float(first.max())
    for pages in pictures:
        low, high = min(low, float(pages.min())), max(high, float(pages.max()))
    if low == high:
        raise InputError(
            f"Every clean value is {low:g}, and floats do not tell what range they could take. "
            f"Give data_range, for example 1 for values in [0, 1]."
        )
    return Ruler(first.dtype, high - low, f"max − min of all the clean pictures ({first.dtype})")


def readable(entries: Iterable[Entry], failed: dict[str, str]) -> Iterator[np.ndarray]:
    """The pages of every entry that can be read; the reasons of the others go to `failed`."""
    for entry in entries:
        try:
            yield entry.read()
        except (InputError, OSError) as error:
            failed[entry.name] = str(error)


@dataclass(frozen=True)
class Trio:
    """What is compared: a noisy and a clean picture, and a denoised one or how to make it."""

    noisy: Entry
    clean: Entry
    denoised: Entry | Denoise | None

    def cases(self, ruler: Ruler, only: int | None = None) -> Iterator[Case]:
        """One case a page, made when asked for; `only` one of them if a page is given."""
        noisy, clean = self.noisy.read(), self.clean.read()
        same_scene(self.noisy.name, noisy, self.clean.name, clean)
        made = None
        if isinstance(self.denoised, Entry):
            made = self.denoised.read()
            same_scene(self.denoised.name, made, self.clean.name, clean)
        for page in range(len(noisy)) if only is None else [only]:
            name = self.noisy.name + (f", page {page + 1}" if len(noisy) > 1 else "")
            after = None if made is None else made[page]
            if self.denoised is not None and not isinstance(self.denoised, Entry):
                after = finite(self.denoised(noisy[page], channel_axis=-1), f"{name}, denoised,")
                same_scene(f"{name}, denoised,", after, name, noisy[page])
            yield Case(
                name,
                ruler.units(noisy[page], name),
                ruler.units(clean[page], self.clean.name),
                None if after is None else ruler.units(after, f"{name}, denoised,"),
                ruler.data_range,
            )


def same_scene(name: str, pages: np.ndarray, of_name: str, of: np.ndarray) -> None:
    """Refuse to compare what has not the same pages, rows, columns and planes."""
    if pages.shape != of.shape:
        axes = "(pages, rows, columns, planes)"[0 if of.ndim == 4 else 8 :]
        raise Mismatch(
            f"{name} has the shape {pages.shape} and {of_name} {of.shape}. To be compared they "
            f"must agree in {axes}. Crop or convert one, or remove both."
        )


def score(case: Case, place: tuple[int, int]) -> Score:
    """Measure one case. What it shows is forgotten."""
    rows, columns, planes = case.noisy.shape
    noisy = case.closeness(case.noisy)
    assert noisy is not None, "an evaluation has a clean picture for every noisy one"
    denoised = case.closeness(case.denoised)
    return Score(case.name, place, rows * columns, planes, noisy, denoised)


def arrange(
    noisy: Source, clean: Source, denoised: Source | Denoise | None, names: Sequence[str] | None
) -> list[Trio]:
    """Put side by side what shows the same scene; nothing is read yet."""
    entries = listed(noisy, "noisy", names)
    partners = paired(entries, listed(clean, "clean"), "clean")
    made: Sequence[Entry | Denoise | None]
    if denoised is None or callable(denoised):
        made = [denoised] * len(entries)
    else:
        made = paired(entries, listed(denoised, "denoised"), "denoised")
    return [Trio(*three) for three in zip(entries, partners, made, strict=True)]


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
    if names is None:
        return entries
    if len(names) != len(entries):
        raise InputError(f"{len(names)} names for {len(entries)} pictures. Give one for each.")
    return [replace(entry, name=printable(n)) for entry, n in zip(entries, names, strict=True)]


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


def nothing_left(failed: Mapping[str, str]) -> str:
    """What is said when no picture at all could be scored."""
    first = next(iter(failed.values()))
    return f"None of the {len(failed)} pictures can be scored. The first: {first}"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names of a list, and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' and 2 more"
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(printable(name)) for name in names[:most]) + more


# ---- numbers


def mean(values: Sequence[float]) -> float:
    """Mean of those that are defined; nan if none is."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def std(values: Sequence[float]) -> float:
    """Deviation over pictures (n − 1); nan where it is undefined, as for one picture."""
    defined = [value for value in values if not math.isnan(value)]
    if len(defined) < 2 or not all(map(math.isfinite, defined)):
        return math.nan
    return float(np.std(defined, ddof=1))


def flat(tree: Mapping[str, Any], stem: str = "") -> Iterator[tuple[str, float]]:
    """Leaves of nested dicts with their dotted names."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{stem}{name}.")
        else:
            yield stem + name, value


def strict(value: Any) -> Any:
    """The same tree with null for the numbers that JSON does not have: inf and nan."""
    if isinstance(value, dict):
        return {key: strict(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [strict(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
