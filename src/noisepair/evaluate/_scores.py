"""What an evaluation found: a score a picture, what they sum up to, and which ones to look at."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .. import metrics

PROTOCOL = (
    "Whole pictures, without crop, clamping or rounding beyond what the files hold. "
    "PSNR = 10 log10(R²/MSE), R = data_range. per_image: the mean of the PSNR of each picture; "
    "pooled: the PSNR of the mean squared error over all values of all pictures. "
    "SSIM: Wang et al. 2004 (Gaussian window of sigma 1.5, 11×11, K1 0.01, K2 0.03), mean over "
    "planes, then over pictures; pictures below 11×11 have none. std: over pictures (n − 1)."
)


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
        mses = [one.mse for one in each]
        per_image, pooled = metrics.psnrs(mses, sizes, self.data_range)
        return {"per_image": per_image, "std": std([one.psnr for one in each]), "pooled": pooled}

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


def score(case: Case, place: tuple[int, int]) -> Score:
    """Measure one case. What it shows is forgotten."""
    rows, columns, planes = case.noisy.shape
    noisy = case.closeness(case.noisy)
    assert noisy is not None, "an evaluation has a clean picture for every noisy one"
    denoised = case.closeness(case.denoised)
    return Score(case.name, place, rows * columns, planes, noisy, denoised)


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
    if isinstance(value, Mapping):
        return {key: strict(inner) for key, inner in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [strict(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
