"""Did it work? PSNR with 95 % intervals, from noisy pairs alone.

Two shots y₁ = x + n₁, y₂ = x + n₂ with independent zero-mean noises, denoised to f₁, f₂. With
eᵢ = fᵢ − x,

    ½ [(f₁ − y₂)² + (f₂ − y₁)² − (y₁ − y₂)²]  =  ½ (e₁² + e₂²) − e₁n₂ − e₂n₁ + n₁n₂,

whose mean is the mean squared error of both shots: nothing need be known of the noises, neither
that they are equal, nor white, nor of which law. ½ (y₁ − y₂)² is that of the noisy shots. Of one
shot alone, for any c that shares no noise with the pixel (here the mean of its neighbours),

    (f₁ − y₂)² − (y₂ − c)(y₂ − y₁)  has the mean of e₁².

With three shots or more, (f₁ − y₂)(f₁ − y₃) has it (uMSE: Marcos-Morales et al. 2023, section 3,
in product form, which needs no equal noise). The product r₁r₂ of both residuals rᵢ = yᵢ − fᵢ has
the mean of the error that *both* shots share: detail that was lost, or invented.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from . import images, intervals
from .check import Check, check, neighbours
from .errors import InputError
from .intervals import SCENES, Estimate, Solved, Units, none_of_nan, ratio
from .sources import Given, Scene, Source, open_source

BLOCK = 128  # side of what stands for a scene in the residuals, where scenes are few
TILE, COARSE = 4, 16  # side of the blocks whose differences tell the noise: white, correlated
LAGS = 8
CLIPPED = 0.001  # share of values; less changes no figure by a hundredth of a decibel
BINS = 24  # of brightness, for the bias
LEAST = 0.1  # decibel: a gain within ± this is none
Denoise = Callable[[np.ndarray], np.ndarray]  # (N, H, W, C) pages of any type, the same back
Watch = Callable[[float], None]


@runtime_checkable
class Paged(Protocol):
    """What denoises pages: a Denoiser."""

    def pages(self, noisy: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Shots:
    """Shots of one place, (H, W, C) float32 in picture units; the first two, or so, denoised."""

    noisy: tuple[np.ndarray, ...]
    denoised: tuple[np.ndarray, ...]


def error_maps(shots: Shots) -> tuple[np.ndarray, np.ndarray]:
    """Estimates pixel by pixel of the squared error before and after; only their means mean much.

    Two shots: both ways. Three or more: products of the differences to two others.
    """
    if len(shots.noisy) == 2:
        (y1, y2), (f1, f2) = shots.noisy, shots.denoised
        noisy = np.square(y1 - y2) / 2
        return noisy, (np.square(f1 - y2) + np.square(f2 - y1)) / 2 - noisy
    noisy, denoised = np.zeros_like(shots.noisy[0]), np.zeros_like(shots.noisy[0])
    for place, done in enumerate(shots.denoised):
        others = [y for n, y in enumerate(shots.noisy) if n != place]
        noisy += products([shots.noisy[place] - y for y in others])
        denoised += products([done - y for y in others])
    count = len(shots.denoised)
    return noisy / count, denoised / count


def products(differences: Sequence[np.ndarray]) -> np.ndarray:
    """The mean product of two different ones out of many."""
    total, own = sum(differences), sum(np.square(d) for d in differences)
    count = len(differences)
    return np.asarray((np.square(total) - own) / (count * (count - 1)))


def summed(maps: tuple[np.ndarray, np.ndarray], side: int) -> dict[str, np.ndarray]:
    """Sums of both maps, and how they scatter: by the differences of neighbouring blocks."""
    blocks = np.stack([tiles(one, side) for one in maps])
    steps = blocks[:, 0::2] - blocks[:, 1::2]
    whole = np.array([float(one.sum(dtype=np.float64)) for one in maps])
    return {
        "values": np.array(float(maps[0].size)),
        "errors": whole,
        "scatter": steps @ steps.T,
    }


def tiles(values: np.ndarray, side: int) -> np.ndarray:
    """Sums over blocks of `side` pixels, neighbours behind one another; a rest is left out.

    >>> tiles(np.arange(16.0).reshape(2, 8, 1), 2).tolist()
    [18.0, 26.0, 34.0, 42.0]
    """
    height, width = values.shape[:2]
    down, across = min(side, height), min(side, width // 2)
    if not across:
        return np.zeros(0)
    rows, columns = height // down, width // across // 2 * 2
    whole = values[: rows * down, : columns * across]
    return whole.reshape(rows, down, columns, -1).sum((1, 3), dtype=np.float64).ravel()


# ---- the whole verdict


@dataclass(frozen=True)
class SceneRow:
    """One scene: its place among the scenes, PSNRs and gain by its own blocks."""

    name: str
    place: int
    noisy: Estimate
    denoised: Estimate
    gain: Estimate


@dataclass(frozen=True)
class Bias:
    """Mean of the other shot minus the denoised one, by brightness; picture units."""

    level: np.ndarray
    mean: np.ndarray
    error: np.ndarray

    @property
    def most(self) -> float:
        """The largest, in standard errors; 0 where no error is known."""
        known = np.isfinite(self.error) & (self.error > 0)
        return float(np.abs(self.mean[known] / self.error[known]).max()) if known.any() else 0.0

    @property
    def size(self) -> float:
        """Root mean square over brightness, without what chance adds."""
        if not self.mean.size:
            return math.nan
        excess = np.mean(np.square(self.mean) - np.square(np.nan_to_num(self.error)))
        return math.sqrt(max(0.0, float(excess)))


@dataclass(frozen=True)
class Verdict:
    """What pairs say of a denoiser. PSNR of the error pooled over all values, value range 1.

    `by_shot`: noisy and denoised PSNR of first and second shots apart, where scenes have two.
    `structure`: autocorrelation of the error, lags 0 to 8 (lag 0 is 1); noise that is left has the
    shape of the network's blur. `lost`: the share of the error that both shots have in common.
    """

    verdict: str  # improved, no better, harmed, cannot tell
    noisy: Estimate
    denoised: Estimate
    gain: Estimate
    here: Estimate  # the gain on these very pictures
    by_shot: tuple[tuple[Estimate, Estimate], ...]
    bias: Bias
    structure: dict[str, np.ndarray]
    follows: Estimate
    lost: Estimate
    scenes: tuple[SceneRow, ...]  # the worst first
    check: Check
    reasons: tuple[str, ...]
    of: str  # what the intervals are of

    def as_json(self) -> dict[str, Any]:
        """Plain values, null for what is not known."""
        f = none_of_nan
        return {
            "verdict": self.verdict,
            "psnr": {"noisy": self.noisy.as_json(), "denoised": self.denoised.as_json()},
            "gain_db": self.gain.as_json(),
            "gain_db_here": self.here.as_json(),
            "psnr_by_shot": [
                {"noisy": a.as_json(), "denoised": b.as_json()} for a, b in self.by_shot
            ],
            "bias_max_sigma": f(self.bias.most),
            "bias": {
                "level": [f(v) for v in self.bias.level],
                "mean": [f(v) for v in self.bias.mean],
                "error": [f(v) for v in self.bias.error],
            },
            "error_autocorrelation": {k: [f(v) for v in r] for k, r in self.structure.items()},
            "error_follows_picture": self.follows.as_json(),
            "lost_share": self.lost.as_json(),
            "reasons": list(self.reasons),
            "intervals": self.of,
            "scenes": [
                {"name": row.name, "psnr_noisy": row.noisy.as_json(),
                 "psnr_denoised": row.denoised.as_json(), "gain_db": row.gain.as_json()}
                for row in self.scenes
            ],
            "check": {"verdict": self.check.verdict, "reasons": list(self.check.reasons)},
        }  # fmt: skip


def verdict(
    denoise: Denoise | Paged,
    source: Given | Source,
    source2: Given | None = None,
    *,
    frames: bool = False,
    pattern: str | None = None,
    watch: Watch | None = None,
) -> Verdict:
    """Judge a denoiser by noisy shots, which it must not have been trained on.

    `denoise`: a Denoiser, or any function of pages (N, H, W, C). `source`, `source2`, `frames`,
    `pattern`: as `sources.open_source` has them, or what it returned.
    Two shots of a scene are denoised, whatever their number; of frames every two neighbours. Each
    by itself, for nothing of the other's noise may come into it; pages of a stack together, as they
    are when it is denoised. The pairs are checked first, and what is wrong with them is said, and
    decides what can be told.
    """
    if not isinstance(source, Source):
        source = open_source(source, source2, frames=frames, pattern=pattern)
    pages: Denoise = getattr(denoise, "pages", denoise)  # type: ignore[arg-type]
    data = check(source)
    if not data.facts.sigma.value > 0:
        raise InputError(
            "The shots do not differ, so there is no noise, and nothing to judge a denoiser by."
        )
    side = TILE if data.facts.white else COARSE
    edges = np.linspace(*brightness(source), BINS + 1)
    sums, rows, left = [], [], []
    few = len(source.scenes) < SCENES
    pages = by_stack(source.scenes, pages)
    for place, scene in enumerate(source.scenes):
        parts, pieces = [], []
        for shots in taken(scene, pages):
            parts.append(summed(error_maps(shots), side))
            pieces += [residuals(one, edges) for one in (blocks(shots) if few else [shots])]
        left += pieces if few else [total(pieces)]
        sums.append(total(parts))
        own = units([sums[-1]])
        rows.append(SceneRow(scene.name, place, *figures(own, of_scenes=False)))
        if watch:
            watch((place + 1) / len(source.scenes))
    return concluded(units(sums), left, rows, edges, data)


def by_stack(scenes: Sequence[Scene], denoise: Denoise) -> Denoise:
    """`denoise`, with the first and second shots of scenes that are pages of a stack done at once:
    a denoiser that measures noise finds what it finds in the whole file."""
    done: dict[int, np.ndarray] = {}
    for side in (0, 1):
        shots = [scene.shots[side] for scene in scenes if not scene.frames]
        if len(shots) > 1 and len({(id(shot.base), shot.shape) for shot in shots}) == 1:
            if shots[0].base is None:
                continue
            parts = np.split(denoise(np.concatenate(shots)), len(shots))
            done |= {id(shot): part for shot, part in zip(shots, parts, strict=True)}
    return lambda pages: done[id(pages)] if id(pages) in done else denoise(pages)


def blocks(shots: Shots) -> Iterator[Shots]:
    """Squares of 128 pixels, units of their own where there are few scenes."""
    height, width = shots.noisy[0].shape[:2]
    down, across = min(BLOCK, height), min(BLOCK, width)
    for top in range(0, height - down + 1, down):
        for left in range(0, width - across + 1, across):
            window = np.s_[top : top + down, left : left + across]
            noisy, done = (tuple(one[window] for one in side) for side in vars(shots).values())
            yield Shots(noisy, done)


def units(sums: Sequence[dict[str, np.ndarray]]) -> Units:
    return Units(
        *(np.stack([one[name] for one in sums]) for name in ("values", "errors", "scatter"))
    )


def figures(found: Units, *, of_scenes: bool) -> tuple[Estimate, Estimate, Estimate]:
    """PSNR before, after, and the gain."""
    before, after = (found.psnr(which, of_scenes=of_scenes) for which in (0, 1))
    return before, after, found.gain(of_scenes=of_scenes)


def brightness(source: Source) -> tuple[float, float]:
    """Between which levels nearly all values lie."""
    picked = [s.shots[0].reshape(-1)[:: max(1, s.shots[0].size // 5000)] for s in source.scenes]
    values = images.to_unit(np.concatenate(picked[:400]))
    low, high = np.percentile(values, [0.5, 99.5])
    return float(low), float(high) if high > low else float(low) + 1.0


def taken(scene: Scene, denoise: Denoise) -> Iterator[Shots]:
    """What can be compared in one scene: its shots, or every two neighbouring frames."""
    if scene.frames:
        groups = [scene.shots[n : n + 2] for n in range(0, len(scene.shots) - 1, 2)]
    else:
        groups = [scene.shots]
    for group in groups:
        first, second = (images.to_unit(denoise(shot)) for shot in group[:2])
        for page in range(len(group[0])):
            noisy = tuple(images.to_unit(shot[page]) for shot in group)
            yield Shots(noisy, (first[page], second[page]))


# ---- what is left in the residuals


def residuals(shots: Shots, edges: np.ndarray) -> dict[str, np.ndarray]:
    """Sums over one place; t₁ = y₂ − f₁ has the noise of the other shot, r₁ = y₁ − f₁ its own."""
    (y1, y2), (f1, f2) = shots.noisy[:2], shots.denoised
    t1, t2, r1, r2, d = y2 - f1, y1 - f2, y1 - f1, y2 - f2, y1 - y2
    c = neighbours((y1 + y2) / 2)
    place = np.searchsorted(edges, c.ravel(), "right")
    found = {
        "values": np.array(float(d.size)),
        "bias": np.bincount(place, ((t1 + t2) / 2).ravel(), BINS + 2)[: BINS + 2],
        "count": np.bincount(place, minlength=BINS + 2)[: BINS + 2].astype(float),
        "errors by level": np.bincount(place, error_maps(shots)[1].ravel(), BINS + 2)[: BINS + 2],
        "lost": np.array(float(np.vdot(r1, r2))),
        "error": np.array(float(np.vdot(t1, t1) + np.vdot(t2, t2) - np.vdot(d, d)) / 2),
        "follows": np.array(float(np.vdot(t1, f1 - f1.mean()) + np.vdot(t2, f2 - f2.mean())) / 2),
        "contrast": np.array(float(np.var(f1) + np.var(f2)) * d.size / 2),
        # of each shot alone: its noise, and its error
        "noise": np.array([np.vdot(y1 - c, d), -np.vdot(y2 - c, d)], float),
        "alone": np.array(
            [np.vdot(t1, t1) + np.vdot(y2 - c, d), np.vdot(t2, t2) - np.vdot(y1 - c, d)], float
        ),
    }
    for axis, name in ((1, "right"), (0, "down")):
        parts = [autocovariance(one, axis) for one in (t1, t2, d)]
        found[name] = (parts[0] + parts[1] - parts[2]) / 2
    return found


def autocovariance(values: np.ndarray, axis: int) -> np.ndarray:
    """Sums of products with the value 0 to 8 pixels on; scaled to as many as there are values."""
    at = np.moveaxis(values, axis, 0)
    length = len(at)
    lags = range(LAGS + 1)
    return np.array([
        np.vdot(at[: length - g], at[g:]) * length / (length - g) if g < length else 0.0
        for g in lags
    ])  # fmt: skip


def total(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.asarray(sum(part[name] for part in parts), float) for name in parts[0]}


# ---- from sums to words


def concluded(
    whole: Units,
    sums: Sequence[dict[str, np.ndarray]],
    rows: Sequence[SceneRow],
    edges: np.ndarray,
    data: Check,
) -> Verdict:
    """Figures with intervals, and what they come to."""
    bent, doubt = clipped(sums, edges, data)
    whole.errors[:] += whole.count[:, None] * bent
    here = widened(figures(whole, of_scenes=False), doubt)
    noisy, denoised, gain = widened(figures(whole, of_scenes=True), doubt) if whole.many else here
    stacked = {name: np.stack([one[name] for one in sums]) for name in sums[0]}
    count = stacked["count"][:, 1:-1]
    lines = [ratio(stacked["bias"][:, 1 + n], count[:, n]) for n in range(BINS)]
    enough = count.sum(0) > 200
    bias = Bias(
        ((edges[1:] + edges[:-1]) / 2)[enough],
        np.array([float(line.values[0]) for line in lines])[enough],
        np.array([spread(line) for line in lines])[enough],
    )
    error = stacked["error"].sum()
    lost = ratio(stacked["lost"], stacked["error"]) if error > 0 else None
    follows = ratio(
        stacked["follows"], np.sqrt(stacked["contrast"] * np.maximum(stacked["error"], 0))
    )
    structure = {
        way: stacked[way].sum(0, dtype=np.float64) / stacked[way][:, 0].sum(dtype=np.float64)
        for way in ("right", "down") if stacked[way][:, 0].sum() > 0
    }  # fmt: skip
    values = stacked["values"]
    by_shot = tuple(
        (level(stacked["noise"][:, k], values), level(stacked["alone"][:, k], values))
        for k in (0, 1)
    ) if whole.many else ()  # fmt: skip
    worst = sorted(rows, key=lambda row: row.gain.value if math.isfinite(row.gain.value) else 99.0)
    of = "scenes like these" if whole.many else "these scenes, whatever their noise"
    said = Verdict(
        "", noisy, denoised, gain, here[2], by_shot, bias, structure, follows.estimate(),
        lost.estimate() if lost else intervals.UNKNOWN, tuple(worst), data, (), of,
    )  # fmt: skip
    word, reasons = judged(said)
    return replace(said, verdict=word, reasons=reasons)


def level(errors: np.ndarray, values: np.ndarray) -> Estimate:
    """The PSNR of one shot alone; of scenes, where there are enough."""
    return intervals.decibels(np.stack([values, errors], 1), np.zeros((1, 2, 2)), of_scenes=True)


def spread(line: Solved) -> float:
    return float(line.errors[0]) if line.units > 1 else math.nan


def clipped(
    sums: Sequence[dict[str, np.ndarray]], edges: np.ndarray, data: Check
) -> tuple[float, float]:
    """What clipping adds to each mean squared error, and how far that of the denoised is open.

    With m = E[y], which clipping keeps from x by b: E(f − x)² = E(f − m)² + b² + 2 E(f − m)(m − x).
    Pairs give the first; b is known by level; the last is at most 2 b √E(f − m)² at each level.
    """
    curve = data.facts.curve
    if curve.low + curve.high < CLIPPED:
        return 0.0, 0.0
    count, errors = (sum(one[name] for one in sums) for name in ("count", "errors by level"))
    centres = np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])
    b = np.interp(centres, curve.level, curve.bias)
    whole = float(np.sum(count))
    doubt = 2 * b * np.sqrt(count * np.maximum(errors, 0))
    return float(np.sum(count * b * b)) / whole, float(np.sum(doubt)) / whole


def widened(
    three: tuple[Estimate, Estimate, Estimate], doubt: float
) -> tuple[Estimate, Estimate, Estimate]:
    """The figures where the denoised error may be `doubt` more or less."""
    before, after, gain = three
    if not doubt or not math.isfinite(after.low):
        return three
    low = -10 * math.log10(10 ** (-after.low / 10) + doubt)
    least = 10 ** (-after.high / 10) - doubt
    high = -10 * math.log10(least) if least > 0 else math.inf
    wide = replace(after, low=low, high=high)
    rise = high - after.high if math.isfinite(high) else math.inf
    return before, wide, Estimate(gain.value, gain.low + low - after.low, gain.high + rise)


def judged(v: Verdict) -> tuple[str, tuple[str, ...]]:
    """The word, and why."""
    reasons = []
    grave = [finding for finding in v.check.findings if finding.weight == "unfit"]
    gain = v.gain
    if grave:
        word = "cannot tell"
        reasons.append("These pairs cannot judge anything: " + grave[0].text)
    elif not math.isfinite(gain.value) and not math.isfinite(gain.low):
        word = "cannot tell"
        reasons.append("There is too little data for an interval: one small picture. Add scenes.")
    elif gain.low > 0 and gain.high > LEAST:
        word = "improved"
        reasons.append(
            f"The denoised shots are {gain.text(sign=True)} dB closer to the scene than the noisy"
            f" ones; 95 % interval, of {v.of}."
        )
    elif gain.high < 0 and gain.low < -LEAST:
        word = "harmed"
        reasons.append(
            f"The denoised shots are farther from the scene than the noisy ones, by"
            f" {gain.text(sign=True)} dB. Do not use this model on such data."
        )
    elif max(abs(gain.low), abs(gain.high)) < 5 * LEAST:
        word = "no better"
        reasons.append(f"The gain is {gain.text(sign=True)} dB: nothing that would be seen.")
    else:
        word = "cannot tell"
        reasons.append(
            f"On these pictures the gain is {v.here.text(sign=True)} dB; of {v.of} it is"
            f" {gain.text(sign=True)} dB, which may be a gain or a loss. More scenes narrow the"
            " interval."
        )
    reasons += [finding.text for finding in v.check.findings if finding.weight == "care"]
    if v.lost.low > 0.3 and word in ("improved", "harmed", "no better"):
        reasons.append(
            f"{v.lost.value:.0%} of the error that is left is the same in both shots: detail that"
            " was smoothed away, not noise that came through. A larger network, or longer training,"
            " may keep more."
        )
    if v.bias.most > 4 and v.bias.size > 0.1 * v.check.facts.sigma.value:
        reasons.append(
            f"Seen by brightness the result is off by {v.bias.size:.4f} of full scale (root mean"
            " square over levels): contrast was lost, the loss learns another value than the mean,"
            " or the shots were not exposed alike."
        )
    return word, tuple(reasons)
