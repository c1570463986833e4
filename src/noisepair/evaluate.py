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
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True)
class Case:
    """One picture to look at: (H, W, C) arrays in the units of `data_range`."""

    name: str
    noisy: np.ndarray
    clean: np.ndarray | None
    denoised: np.ndarray | None
    data_range: float
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
        ssim = {"noisy": _mean([one.ssim for one in before])}
        spread = {"noisy": _std([one.ssim for one in before])}
        if self.denoised:
            psnr["denoised"] = self._psnr(after)
            gains = [score.gain for score in self.scores]
            pooled = psnr["denoised"]["pooled"] - psnr["noisy"]["pooled"]
            psnr["gain"] = {"per_image": _mean(gains), "std": _std(gains), "pooled": pooled}
            ssim["denoised"] = _mean([one.ssim for one in after])
            spread["denoised"] = _std([one.ssim for one in after])
        return {"images": len(self.scores), "psnr": psnr, "ssim": {**ssim, "std": spread}}

    def _psnr(self, each: Sequence[Closeness]) -> dict[str, float]:
        sizes = [score.pixels * score.planes for score in self.scores]
        error = sum(size * one.mse for size, one in zip(sizes, each, strict=True)) / sum(sizes)
        decibels = [one.psnr for one in each]
        pooled = metrics.psnr_from_mse(error, self.data_range)
        return {"per_image": _mean(decibels), "std": _std(decibels), "pooled": pooled}

    def figures(self) -> Iterator[tuple[str, float]]:
        """Every number of the summary with its dotted name, `psnr.noisy.per_image` and so on."""
        yield from _flat(self.summary())

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
            "scores": [_score_as_json(score) for score in self.scores],
        }
        return _strict(said)

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
    trios = _trios(noisy, clean, denoised, names)
    ruler = _Ruler.of(trios, data_range)
    scores: list[Score] = []
    failed: dict[str, str] = {}
    for file, trio in enumerate(trios):
        try:
            scores += [_score(case, (file, page)) for page, case in enumerate(trio.cases(ruler))]
        except Mismatch:
            raise
        except (InputError, OSError) as error:
            failed[trio.name] = str(error)
        if watch:
            watch(file + 1, len(trios))
    if not scores:
        raise InputError(_all_failed(failed))
    return Evaluation(tuple(scores), ruler.data_range, ruler.origin, failed)


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
    trios = _trios(noisy, clean, denoised, names)
    ruler = _Ruler.of(trios, evaluation.data_range)
    found = []
    for label, i in evaluation.cases().items():
        file, page = evaluation.scores[i].place
        found.append(trios[file].case(page, ruler, label))
    return found


# ---- what is compared with what


@dataclass(frozen=True)
class _Entry:
    """A picture to come. `key` pairs it by name; an empty one, by position."""

    name: str
    key: str
    held: Path | np.ndarray

    def read(self) -> np.ndarray:
        """The (N, H, W, C) pages; nan and infinity are refused: no distance to them exists."""
        pages = images.read(self.held).pixels if isinstance(self.held, Path) else self.held
        if pages.dtype.kind == "f" and not np.isfinite(pages).all():
            bad = int(np.sum(~np.isfinite(pages)))
            raise InputError(
                f"{self.name} holds {bad} values that are nan or infinite. Only finite values "
                f"can be scored: mask or repair these pixels first."
            )
        return pages


@dataclass(frozen=True)
class _Ruler:
    """The units of all comparisons (those of the first clean picture), and the span of values."""

    dtype: np.dtype
    data_range: float
    origin: str

    @classmethod
    def of(cls, trios: "Sequence[_Trio]", data_range: float | int | None) -> "_Ruler":
        readable = _readable(trio.clean for trio in trios)
        first = next(readable, None)
        if first is None:
            reasons = {trio.name: _why(trio.clean) for trio in trios}
            raise InputError(_all_failed(reasons))
        if data_range is not None:
            return cls(first.dtype, float(data_range), "given")
        if first.dtype.kind != "f":
            span = float(images.full_scale(first.dtype))
            return cls(first.dtype, span, f"full scale of {first.dtype}, the clean pictures' type")
        low, high = float(first.min()), float(first.max())
        for pages in readable:
            low, high = min(low, float(pages.min())), max(high, float(pages.max()))
        if low == high:
            raise InputError(
                f"Every clean value is {low:g}: floats say nothing here about the range they could "
                f"take. Give data_range, for example 1 for values in [0, 1]."
            )
        return cls(first.dtype, high - low, f"max − min of all the clean pictures ({first.dtype})")

    def units(self, pages: np.ndarray, name: str) -> np.ndarray:
        """Bring integers of another depth, or floats in [0, 1], to the units of the clean ones."""
        kinds = {pages.dtype.kind == "f", self.dtype.kind == "f"}
        if pages.dtype == self.dtype or kinds == {True}:
            return pages
        # unit floats, however noisy, have a mean near [0, 1]; the floats of an 8-bit file do not
        if pages.dtype.kind == "f" and abs(pages.mean(dtype=np.float64)) > 2:
            raise Mismatch(
                f"{name} holds floats around {pages.mean(dtype=np.float64):.4g}, and is compared "
                f"with {self.dtype}. Floats must then run from 0 to 1: divide them by "
                f"{images.full_scale(self.dtype):g}, or save both as one type."
            )
        return pages * (images.full_scale(self.dtype) / images.full_scale(pages.dtype))


@dataclass(frozen=True)
class _Trio:
    """What is compared: a noisy and a clean picture, and a denoised one or how to make it."""

    name: str
    noisy: _Entry
    clean: _Entry
    denoised: _Entry | Denoise | None

    def cases(self, ruler: _Ruler) -> Iterator[Case]:
        noisy, clean, made = self._read()
        for page in range(len(noisy)):
            name = self.name if len(noisy) == 1 else f"{self.name}, page {page + 1}"
            after = None if made is None else made[page]
            if callable(self.denoised):
                after = self._denoise(self.denoised, noisy[page])
            yield Case(
                name,
                ruler.units(noisy[page], self.noisy.name),
                ruler.units(clean[page], self.clean.name),
                None if after is None else ruler.units(after, f"{self.name}, denoised,"),
                ruler.data_range,
            )

    def _read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        noisy, clean = self.noisy.read(), self.clean.read()
        _same_scene(self.noisy.name, noisy, self.clean.name, clean)
        if not isinstance(self.denoised, _Entry):
            return noisy, clean, None
        made = self.denoised.read()
        _same_scene(self.denoised.name, made, self.clean.name, clean)
        return noisy, clean, made
