"""Is this data fit? Asked of noisy pairs alone, before anything is trained.

Noise2Noise, and every figure that noisepair takes from pairs, stands on y₁ = x + n₁, y₂ = x + n₂
with independent noises of mean zero. Each way in which that may fail leaves a trace in d = y₁ − y₂
or in what the shots share; each is measured with its error, and becomes a finding where it is
beyond doubt *and* large enough to matter.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from .. import images
from ..intervals import (
    NORMAL,
    SCENES,
    UNKNOWN,
    Estimate,
    Solved,
    none_of_nan,
    ratio,
    solve,
    student,
)
from ..sources import Given, Scene, Source, open_source
from ._alone import alone
from ._measure import GRAIN_DOUBT, LAGS, Pair, Sums, measured, neighbours, of_shift, tiled, together
from ._noise import Curve, Pattern, curve, fixed_pattern
from ._single import Alone, check_alone
from ._words import Facts, Finding, advice, findings, verdict_of

__all__ = [
    "QUICK", "Alone", "Check", "Finding", "Pair", "SceneRow", "alone", "check", "check_alone",
    "neighbours", "pairs_of",
]  # fmt: skip

PIXELS = 8_000_000  # looked at: more change no answer
QUICK = 1_000_000  # before a training
# Where scenes are few, blocks of their pictures are the units: 16 of them, between these sides.
TILE, LEAST, BLOCKS = 128, 48, 16
Watch = Callable[[float], None]  # the part that is done


@dataclass(frozen=True)
class SceneRow:
    """What was seen in one scene. Sigma and offset in picture units, the shift in pixels."""

    name: str
    sigma: float
    offset: float
    shift: tuple[float, float]  # to the right, down
    clipped: float


@dataclass(frozen=True)
class Check:
    """What pairs say of themselves. Picture units (1.0 is full scale), shifts in pixels."""

    verdict: str  # fit, fit with care, unfit
    findings: tuple[Finding, ...]
    advice: tuple[str, ...]
    facts: Facts
    scenes: tuple[SceneRow, ...]
    looked_at: str

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(finding.text for finding in self.findings)

    def short(self) -> list[str]:
        """The verdict and the two gravest findings: three lines at most."""
        grave = [one.text for one in self.findings if one.weight != "note"]
        more = f" And {len(grave) - 2} more: see noisepair check." if len(grave) > 2 else ""
        head = f"The data: {self.verdict}."
        return [head, *grave[:1], *(text + more for text in grave[1:2])]

    def as_json(self) -> dict[str, Any]:
        """Plain values; `intervals` has the 95 % bounds of each figure, null where it has none."""
        f = self.facts
        named = {
            "shift_px": f.shift_px, "turn_px": f.turn_px, "gain": f.gain, "offset": f.offset,
            "noise.sigma": f.sigma, "noise.gain": f.noise_gain, "noise.read": f.read,
            "noise.between_shots": f.between, "noise.lines": f.lines,
            "noise.inequality": f.unequal, "noise.fixed_pattern": f.pattern,
        }  # fmt: skip
        plain = {name: one.as_json() for name, one in named.items()}
        noise: dict[str, Any] = {
            n.removeprefix("noise."): v["value"] for n, v in plain.items() if "." in n
        }
        noise["kind"] = f.curve.kind
        noise["autocorrelation"] = {
            way: [none_of_nan(v) for v in rho] for way, rho in f.autocorrelation.items()
        }
        return {
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "advice": list(self.advice),
            **{name: plain[name]["value"] for name in ("shift_px", "turn_px", "gain", "offset")},
            "noise": noise,
            "clipped": f.curve.low + f.curve.high,
            "clip_bias": none_of_nan(f.curve.clip_bias),
            "outliers": f.curve.far,
            "intervals": {n: [v["low"], v["high"]] for n, v in plain.items()},
            "scenes": [{k: plain_of(v) for k, v in vars(row).items()} for row in self.scenes],
            "looked_at": self.looked_at,
        }


def turn_px(turn: Solved) -> Estimate:
    """How far the sides of the second shot lie off where its middle fits, pixels."""
    if not np.isfinite(turn.values).all():
        return UNKNOWN
    most = float(np.linalg.norm(turn.values.reshape(2, 2), axis=1).max()) / 2
    if turn.units < 2:
        return Estimate(most, 0.0, math.inf)
    reach = student(turn.units - 1) * float(turn.errors.max()) / 2
    return Estimate(most, max(0.0, most - reach), most + reach)


def plain_of(value: Any) -> Any:
    if isinstance(value, tuple):
        return [none_of_nan(one) for one in value]
    return none_of_nan(value) if isinstance(value, float) else value


def check(
    source: Given | Source,
    source2: Given | None = None,
    *,
    frames: bool = False,
    pattern: str | None = None,
    pixels: int = PIXELS,
    watch: Watch | None = None,
) -> Check:
    """Look at the pairs of all scenes, or at about `pixels` pixels evenly out of them.

    `source`, `source2`, `frames`, `pattern`: as `sources.open_source` has them, or what it gave.
    What cannot be told is nan with an endless interval, and said. Raises InputError as it does.
    """
    if not isinstance(source, Source):
        source = open_source(source, source2, frames=frames, pattern=pattern)
    pairs = pairs_of(source.scenes, pixels)
    by_scene = len({pair.scene for pair in pairs}) >= SCENES
    area = sum(pair.one.shape[0] * pair.one.shape[1] for pair in pairs)
    side = min(TILE, max(LEAST, math.isqrt(area // BLOCKS)))
    units = pairs if by_scene else [tile for pair in pairs for tile in tiled(pair, side)]
    each = []
    for number, unit in enumerate(units):
        each.append(measured(unit))
        if watch:
            watch(0.7 * (number + 1) / len(units))
    of = [unit.scene for unit in units]
    pooled = together(each, of, by_scene=by_scene)
    noise = curve(units)
    if watch:
        watch(0.9)
    shown = fixed_pattern([(p.one + p.two) / 2 for p in first_of_each(pairs)]) if by_scene else None
    facts = facts_of(pooled, noise, shown, pairs, by_scene=by_scene, frames=source.scenes[0].frames)
    found = findings(facts)
    apart = pooled if by_scene else together(each, of, by_scene=True)
    rows = tuple(row(source.scenes[n].name, apart, at) for at, n in enumerate(np.unique(of)))
    seen = f"{len(pairs)} pairs of {len(rows)} of {len(source.scenes)} scenes"
    if max(float(pair.one.max()) for pair in pairs) > 2:
        seen += ", in the values that their floats have"
    return Check(verdict_of(found), found, advice(facts, found), facts, rows, seen)


def pairs_of(scenes: tuple[Scene, ...], pixels: int = PIXELS) -> list[Pair]:
    """Neighbouring shots, none used twice, evenly out of all scenes; the middles of large ones."""
    places = [
        (n, first, page)
        for n, scene in enumerate(scenes)
        for first in range(0, len(scene.shots) - 1, 2)
        for page in range(len(scene.shots[0]))
    ]
    sizes = [np.prod(scenes[n].shots[0].shape[1:3]) for n, _, _ in places]
    every = max(1, math.ceil(len(places) / max(1, math.ceil(pixels / np.mean(sizes)))))
    chosen = places[::every]
    side = max(64, math.isqrt(int(pixels / len(chosen))))
    return [cut(scenes[n], n, first, page, side) for n, first, page in chosen]


def cut(scene: Scene, number: int, first: int, page: int, side: int) -> Pair:
    """Two shots in picture units, their middle where they are larger than the budget."""
    shots = [scene.shots[first + k][page] for k in (0, 1)]
    height, width = shots[0].shape[:2]
    if height * width > 1.5 * side * side:
        top, left = max(0, height - side) // 2, max(0, width - side) // 2
        shots = [shot[top : top + side, left : left + side] for shot in shots]
    low, high = ends(scene.shots)
    one, two = (images.to_unit(shot) for shot in shots)
    return Pair(number, one, two, low, high)


def ends(shots: tuple[np.ndarray, ...]) -> tuple[float, float]:
    """Where values are cut off, in picture units: the ends of an integer type, and any value that
    is the least or the most of a scene and stands there as a heap (12 bits in a file of 16)."""
    kind = shots[0].dtype
    full = images.full_scale(kind)
    low, high = (0.0, 1.0) if kind.kind in "iu" else (-np.inf, np.inf)
    sample = np.concatenate([shot.reshape(-1)[:: max(1, shot.size // 200_000)] for shot in shots])
    for least, edge in ((True, sample.min()), (False, sample.max())):
        heap = float((sample == edge).mean())
        near = sample[sample != edge]
        beside = float((near == (near.min() if least else near.max())).mean()) if near.size else 1
        if heap > 0.001 and heap > 5 * beside:
            low, high = (float(edge) / full, high) if least else (low, float(edge) / full)
    return low, high


def first_of_each(pairs: list[Pair]) -> list[Pair]:
    return list({pair.scene: pair for pair in reversed(pairs)}.values())


def row(name: str, sums: Sums, at: int) -> SceneRow:
    """What one scene's sums say."""
    one = {key: values[at : at + 1] for key, values in sums.items()}
    moved = solve(one["slopes"][:, :2, :2], one["moved"][:, :2]).values
    clipped, parts = one["clipped"][0]
    sigma = math.sqrt(float(one["d2"][0] / one["values"][0]) / 2)
    step, size = one["step"][0]
    return SceneRow(name, sigma, -step / size, (float(moved[0]), float(moved[1])), clipped / parts)


def facts_of(
    sums: Sums,
    noise: Curve,
    shown: Pattern | None,
    pairs: list[Pair],
    *,
    by_scene: bool,
    frames: bool,
) -> Facts:
    """From sums to figures with intervals."""
    moved, turn = shift_of(sums, pairs), turn_of(sums)
    line, offset = light_of(sums["light"])
    d2 = sums["d2"]
    level = ratio(d2 / 2, sums["values"])
    sigma = rooted(level.estimate())
    rho = {way: [ratio(sums[way][:, lag], d2) for lag in range(LAGS)] for way in ("right", "down")}
    lines = {}
    for way in ("right", "down"):  # without what neighbours share
        near = d2 + 2 * sums[way].sum(1)
        lines[way] = ratio(sums[f"lines {way}"] - near, d2)
    lengths = {"right": pairs[0].one.shape[0], "down": pairs[0].one.shape[1]}
    grid = {
        way: [
            ratio(sums[f"grid {way}"][:, p] * 8 - sums[f"grid {way}"].sum(1), d2) for p in range(8)
        ]
        for way in ("right", "down")
    }
    smallest = min(min(pair.one.shape[:2]) for pair in pairs)
    count = sum(pair.one.shape[0] * pair.one.shape[1] for pair in pairs)
    between, alike = between_of(sums, smallest)
    unequal = ratio(sums["unequal"], d2)
    fixed = UNKNOWN
    if shown is not None:
        doubt = shown.sigma / max(abs(shown.pull), 1e-9)
        fixed = Estimate(shown.sigma, max(0.0, shown.sigma - 2 * doubt), shown.sigma + 2 * doubt)
    return Facts(
        sigma=sigma,
        shift=moved,
        shift_px=length_of(moved),
        turn=turn,
        turn_px=turn_px(turn),
        shift_error=float(sums["sharp"].sum(0) / max(1, count) @ np.square(moved.values)),
        gain=line.estimate(),
        gain_pull=away_from_one(line),
        offset=offset.estimate(),
        offset_pull=offset.pull(),
        autocorrelation={way: [float(one.values[0]) for one in rho[way]] for way in rho},
        autocorrelation_pull={way: [one.pull() for one in rho[way]] for way in rho},
        lines=strongest(lines, lengths),
        lines_pull=max((one.pull() for one in lines.values()), key=abs),
        grid=max((float(o.values[0]) for way in grid.values() for o in way), key=abs, default=0.0),
        grid_pull=max((o.pull() for way in grid.values() for o in way), key=abs, default=0.0),
        unequal=unequal.estimate(),
        unequal_pull=unequal.pull(),
        between=between,
        between_alike=alike,
        pattern=fixed,
        pattern_pull=shown.pull if shown else 0.0,
        curve=noise,
        noise_gain=noise.line.estimate(1),
        read=rooted(noise.line.estimate(0)),
        flicker=flicker_of(sums, by_scene),
        values=count,
        frames=frames,
    )


def shift_of(sums: Sums, pairs: list[Pair]) -> Solved:
    """How far the second shot lies to the right of and below the first, pixels.

    Slopes tell less than a pixel. Where phase correlation sees more, the shots are laid on one
    another to the nearest pixel first.
    """
    fine = solve(sums["slopes"][:, :2, :2], sums["moved"][:, :2])
    coarse = np.median([peak(pair) for pair in first_of_each(pairs)[:32]], axis=0)
    right, down = (round(float(one)) for one in coarse)
    if np.hypot(*coarse) < 0.75 or not closer(pairs, right, down):
        return fine
    laid = [of_shift(unit) for pair in pairs for unit in tiled(pair.laid(right, down), TILE)]
    matrices, vectors = ([one[name] for one in laid] for name in ("slopes", "moved"))
    rest = solve(np.stack(matrices)[:, :2, :2], np.stack(vectors)[:, :2])
    return Solved(rest.values + np.array([right, down]), rest.errors, rest.units)


def closer(pairs: list[Pair], right: int, down: int) -> bool:
    """Whether smoothed shots differ by a tenth less once the second is moved back."""

    def apart(one: Pair) -> float:
        return float(np.square(gaussian_filter((one.one - one.two).mean(-1), 1.5)).mean())

    fitting = [p for p in pairs if min(p.one.shape[:2]) > 2 * max(abs(right), abs(down)) + 8]
    if not fitting:
        return False
    before, after = (
        sum(apart(pair.laid(*by)) for pair in fitting) for by in ((0, 0), (right, down))
    )
    return after < 0.9 * before


def turn_of(sums: Sums) -> Solved:
    """How the shift changes over the picture, pixels from side to side, where it is a small one."""
    whole = solve(sums["slopes"], sums["moved"])
    return Solved(whole.values[2:], whole.errors[2:], whole.units)


def peak(pair: Pair) -> tuple[float, float]:
    """Where the correlation of two shots is highest, to a twentieth of a pixel: right, down."""
    from skimage.registration import phase_cross_correlation

    shape = pair.one.shape[:2]
    if min(shape) < 16:
        return 0.0, 0.0
    fade = np.hanning(shape[0])[:, None] * np.hanning(shape[1])
    # slopes, not brightness: what is broad holds the peak back at no shift
    one, two = (
        fade * np.hypot(*np.gradient(gaussian_filter(y.mean(-1), 1.5)))
        for y in (pair.one, pair.two)
    )
    if not (one.any() and two.any()):
        return 0.0, 0.0
    found, *_ = phase_cross_correlation(
        one - one.mean() * fade, two - two.mean() * fade, upsample_factor=20, normalization=None
    )
    return -float(found[1]), -float(found[0])


def length_of(moved: Solved) -> Estimate:
    """The length of a shift: its interval reaches to 0 where it may be none."""
    if not np.isfinite(moved.values).all():
        return UNKNOWN
    size = float(np.hypot(*moved.values))
    if moved.units < 2:
        return Estimate(size, 0.0, math.inf)
    half = moved.estimate(0).high - moved.values[0], moved.estimate(1).high - moved.values[1]
    reach = float(max(half))
    return Estimate(size, max(0.0, size - reach), size + reach)


def light_of(moments: np.ndarray) -> tuple[Solved, Solved]:
    """Gain and offset of the second shot over the first: the line nearest to both (Deming 1943).

    Errors by leaving out one unit after the other (jackknife).
    """

    def line(m: np.ndarray) -> tuple[float, float]:
        n, a, b, aa, bb, ab = m
        if n < 3:
            return math.nan, math.nan
        u, v, w = aa / n - (a / n) ** 2, bb / n - (b / n) ** 2, ab / n - (a / n) * (b / n)
        if w <= 0:
            return math.nan, math.nan
        slope = (v - u + math.hypot(v - u, 2 * w)) / (2 * w)
        return slope, b / n - slope * a / n

    whole = moments.sum(0)
    best = line(whole)
    used = moments[moments[:, 0] > 0]
    k = len(used)
    if k < 2:
        return tuple(Solved(np.array([v]), np.array([np.nan]), k) for v in best)  # type: ignore[return-value]
    left = np.array([line(whole - one) for one in used])
    errors = np.sqrt((k - 1) / k * np.square(left - left.mean(0)).sum(0))
    gain, offset = (
        Solved(np.array([v]), np.array([e]), k) for v, e in zip(best, errors, strict=True)
    )
    return gain, offset


def away_from_one(line: Solved) -> float:
    return Solved(line.values - 1, line.errors, line.units).pull()


def rooted(variance: Estimate) -> Estimate:
    """The standard deviation of a variance and its bounds; nothing below none."""
    if not math.isfinite(variance.value):
        return UNKNOWN
    return Estimate(
        *(math.sqrt(max(0.0, v)) if v > -math.inf else 0.0 for v in vars(variance).values())
    )


def strongest(lines: dict[str, Solved], lengths: dict[str, int]) -> Estimate:
    """The share of the noise that whole rows, or whole columns, have in common."""
    way = max(lines, key=lambda way: abs(lines[way].pull()))
    one = lines[way].estimate()
    length = max(2, lengths[way]) - 1
    return Estimate(one.value / length, one.low / length, one.high / length)


def between_of(sums: Sums, smallest: int) -> tuple[Estimate, bool]:
    """At most this much of the finest noise is the same in both shots (correlation).

    Texture of the scene is shared too, so the least quarter of the units decides; and whether the
    units are as alike as chance alone would have them, up to their middle.
    """
    whole = sums["grain"] > 0
    if smallest < 64 or whole.sum() < 4:
        return UNKNOWN, True  # there is no flat place in pictures so small
    each = sums["shared"][whole] / sums["grain"][whole]
    # by chance alone a unit's figure has this deviation, and a quarter lies 0.674 of it too low
    chance = float(np.median(GRAIN_DOUBT / np.sqrt(sums["flat area"][whole])))
    value = float(np.quantile(each, 0.25)) + 0.674 * chance
    half = NORMAL * 1.36 * chance / math.sqrt(len(each))  # of a normal law's first quartile
    alike = float(np.median(each) - np.quantile(each, 0.25)) < 3 * 0.674 * chance
    return Estimate(value, value - half, value + half), alike


def flicker_of(sums: Sums, by_scene: bool) -> float:
    """Standard deviation over scenes of how much brighter one shot is, beyond what noise makes."""
    moments = sums["light"]
    use = moments[:, 0] > 16
    if not by_scene or use.sum() < SCENES:
        return math.nan
    n, a, b, aa, bb, ab = moments[use].T
    step = (b - a) / n
    cells = np.maximum(aa + bb - 2 * ab - n * step**2, 0) / np.maximum(n - 1, 1) / n
    excess = float(np.var(step, ddof=1) - cells.mean())
    doubt = float(np.var(step, ddof=1)) * math.sqrt(2 / (len(step) - 1))
    return math.sqrt(excess) if excess > 4 * doubt / 2 and excess > 0 else 0.0
