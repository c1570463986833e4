"""From figures to findings, a verdict and advice, in words."""

import math
from dataclasses import dataclass
from typing import Literal

from ..intervals import Estimate, Solved
from ._noise import Curve

SURE = 4.2  # standard errors beyond which a figure is no accident: 3 in 100,000, two-sided
TURN = 0.05  # pixels, at a side of the picture
SHIFT = 0.02  # pixels; less is of no consequence, and so for each below
GAIN = 0.003
OFFSET = 0.02  # of the noise's standard deviation
LAG = 0.01
LINES = 0.002
GRID = 0.005
UNEQUAL = 0.02
BETWEEN = 0.03
PATTERN = 0.02  # of the noise's standard deviation
CLIPPED = 0.002
BENT = 0.01  # of the noise's standard deviation
FAR = 1e-4
STILL = "The shots do not differ: there is no noise to learn from."


@dataclass(frozen=True)
class Facts:
    """All figures of a check. Picture units, pixels; pulls are in standard errors."""

    sigma: Estimate
    shift: Solved
    shift_px: Estimate
    shift_error: float  # mean squared difference that the shift alone makes
    turn: Solved  # shift to the right and down that grows to the right, and down: pixels a side
    turn_px: Estimate  # the most that comes of it at the middle of a side
    gain: Estimate
    gain_pull: float
    offset: Estimate
    offset_pull: float
    autocorrelation: dict[str, list[float]]
    autocorrelation_pull: dict[str, list[float]]
    lines: Estimate
    lines_pull: float
    grid: float
    grid_pull: float
    unequal: Estimate
    unequal_pull: float
    between: Estimate
    between_alike: bool  # whether all units share alike, as noise would and texture does not
    pattern: Estimate
    pattern_pull: float
    curve: Curve
    noise_gain: Estimate
    read: Estimate
    flicker: float
    values: int
    frames: bool

    @property
    def second(self) -> str:
        return "next frame" if self.frames else "second shot"

    @property
    def white(self) -> bool:
        """Whether the noise of a pixel says nothing of its neighbour's."""
        pulls = self.autocorrelation_pull
        return not any(
            abs(pull) > SURE and abs(rho) > LAG
            for way in pulls
            for pull, rho in zip(pulls[way], self.autocorrelation[way], strict=True)
        )

    @property
    def equal(self) -> bool:
        return not (abs(self.unequal_pull) > SURE and abs(self.unequal.value) > UNEQUAL)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be; `weight` says what it does to the verdict."""

    kind: str
    weight: Literal["note", "care", "unfit"]
    text: str


def findings(f: Facts) -> tuple[Finding, ...]:
    """What is beyond doubt and large enough to matter, the gravest first."""
    asked = (
        shifted, turned, brighter, flickering, shared, patterned, cut_off, compressed, correlated,
        striped, unequal, outlying, unknown,
    )  # fmt: skip
    if not f.sigma.value > 0:
        return (Finding("noise", "unfit", STILL),)
    found = [finding for ask in asked if (finding := ask(f)) is not None]
    order = {"unfit": 0, "care": 1, "note": 2}
    return tuple(sorted(found, key=lambda finding: order[finding.weight]))


def verdict_of(found: tuple[Finding, ...]) -> str:
    weights = {finding.weight for finding in found}
    return "unfit" if "unfit" in weights else "fit with care" if "care" in weights else "fit"


def turned(f: Facts) -> Finding | None:
    pulls = [abs(f.turn.pull(n)) for n in range(4)]
    far = f.turn_px.value
    if not (max(pulls) > SURE + 0.3 and far > TURN):
        return None
    return Finding(
        "rotation", "unfit" if far > 1 else "care",
        f"The {f.second} is turned or stretched against the first: its sides lie {far:.2f} pixels"
        " off where its middle fits. Register the shots with a rotation and a scale, not a shift"
        " alone.",
    )  # fmt: skip


def costs(f: Facts) -> str:
    """What a shift costs, where it is small enough for slopes to tell."""
    if not (f.shift_error > 0 and f.shift_px.value < 0.75):
        return ""
    limit = -10 * math.log10(f.shift_error)
    return f"That alone keeps a perfect picture at {limit:.1f} dB PSNR from the other shot. "


def shifted(f: Facts) -> Finding | None:
    sure = max(abs(f.shift.pull(0)), abs(f.shift.pull(1))) > SURE
    if not sure or f.shift_px.value < SHIFT:
        return None
    right, down = f.shift.values
    words = (
        f"The {f.second} lies {f.shift_px.text()} pixels from the first ({right:+.2f} to the"
        f" right, {down:+.2f} down). {costs(f)}Edges are learnt blurred: align the shots."
    ).replace("-", "−")
    grave = f.shift_px.value > 1 or f.shift_error > f.sigma.value**2
    return Finding("registration", "unfit" if grave else "care", words)


def brighter(f: Facts) -> Finding | None:
    gain = abs(f.gain_pull) > SURE and abs(f.gain.value - 1) > GAIN
    step = abs(f.offset_pull) > SURE and abs(f.offset.value) > OFFSET * f.sigma.value
    if not gain and not step:
        return None
    words = (
        f"The {f.second} is {f.gain.text(3)} times as bright as the first, plus"
        f" {f.offset.value:+.4f} of full scale. A network learns the mean of both: bring the shots"
        " to one exposure first, or the result is as wrong as they differ."
    )
    return Finding("photometry", "unfit" if abs(f.gain.value - 1) > 0.2 else "care", words)


def flickering(f: Facts) -> Finding | None:
    if not f.flicker > OFFSET * f.sigma.value:
        return None
    return Finding(
        "flicker", "care",
        f"The brightness of the two shots of a scene differs by {f.flicker:.4f} of full scale"
        f" (standard deviation over scenes), which is {f.flicker / f.sigma.value:.0%} of the noise."
        " It counts as noise in every estimate; match the shots' means if it is the lamp.",
    )  # fmt: skip


def shared(f: Facts) -> Finding | None:
    if not f.between.low > BETWEEN:
        return None
    if not f.between_alike and f.between.value < 0.5:
        return Finding(
            "texture", "note",
            f"In flat places {f.between.text()} of the finest grain is the same in both shots, more"
            " in some scenes than in others: texture, most likely. Noise that the shots share could"
            " not be seen beside it.",
        )  # fmt: skip
    return Finding(
        "independence", "unfit" if f.between.value > 0.5 else "care",
        f"In flat places {f.between.text()} of the finest noise is the same in both shots: frames"
        " that were averaged over each other, a repeated frame, one file compressed twice, or fine"
        " texture everywhere. What both shots share is learnt as if it were scene, and every"
        " estimate from pairs calls it clean.",
    )  # fmt: skip


def patterned(f: Facts) -> Finding | None:
    if not (f.pattern_pull > 5 and f.pattern.value > PATTERN * f.sigma.value):
        return None
    return Finding(
        "fixed pattern", "care",
        f"All pictures carry one pattern at the same place, {f.pattern.value / f.sigma.value:.0%}"
        " of the noise's standard deviation: the camera's own. It is learnt as scene; subtract a"
        " dark frame or the mean of many pictures first.",
    )  # fmt: skip


def cut_off(f: Facts) -> Finding | None:
    share = f.curve.low + f.curve.high
    if share < CLIPPED:
        return None
    part = f.curve.clip_bias / f.sigma.value if f.sigma.value else 0.0
    if part < BENT:
        return Finding(
            "clipping", "note",
            f"{f.curve.low:.1%} of the values stand at the lower end of the range and"
            f" {f.curve.high:.1%} at the upper, in both shots alike: the scene is black or white"
            " there, and the noise is hardly bent.",
        )  # fmt: skip
    return Finding(
        "clipping", "unfit" if share > 0.5 else "care",
        f"{f.curve.low:.1%} of the values stand at the lower end of the range and"
        f" {f.curve.high:.1%} at the upper. Cut noise has no zero mean: dark places come out too"
        f" bright and bright ones too dark, by {f.curve.clip_bias:.4f} of full scale (root mean"
        f" square, {part:.0%} of the noise). Use values from before they were cut.",
    )  # fmt: skip


def compressed(f: Facts) -> Finding | None:
    if not (abs(f.grid_pull) > SURE + 0.6 and abs(f.grid) > GRID):  # the most of 16 figures
        return None
    return Finding(
        "compression", "care",
        "The noise has seams every 8 pixels: the shots were compressed (JPEG). It removes and bends"
        " noise, so its mean is no longer zero and neighbours share it; use uncompressed files.",
    )  # fmt: skip


def correlated(f: Facts) -> Finding | None:
    if f.white:
        return None
    near = {way: rho[0] for way, rho in f.autocorrelation.items()}
    return Finding(
        "whiteness", "note",
        f"The noise of neighbouring pixels is correlated ({near['right']:+.3f} to the right,"
        f" {near['down']:+.3f} down). Pairs do not mind. The exchange of single pixels would be"
        " wrong, and so would methods that hide a pixel (Noise2Void and its kin).",
    )  # fmt: skip


def striped(f: Facts) -> Finding | None:
    if not (abs(f.lines_pull) > SURE and f.lines.value > LINES):
        return None
    return Finding(
        "lines", "note",
        f"{f.lines.value:.1%} of the noise's variance is common to whole rows or columns. Pairs do"
        " not mind if it is drawn anew in each shot; leave quarter turns out of the augmentation.",
    )  # fmt: skip


def unequal(f: Facts) -> Finding | None:
    if f.equal:
        return None
    more = "first" if f.unequal.value > 0 else "second"
    ratio = math.sqrt((1 + abs(f.unequal.value)) / max(1e-9, 1 - abs(f.unequal.value)))
    return Finding(
        "inequality", "note",
        f"The {more} shot is the noisier one, {ratio:.2f} times. That is no fault: estimates that"
        " use both shots in turn need no equality.",
    )  # fmt: skip


def outlying(f: Facts) -> Finding | None:
    if not f.curve.far > FAR:
        return None
    return Finding(
        "outliers", "care" if f.curve.far > 0.01 else "note",
        f"{f.curve.far:.2%} of the differences are beyond 6 standard deviations of the noise at"
        " their level: impulses, cosmic rays, or something that moved.",
    )  # fmt: skip


def unknown(f: Facts) -> Finding | None:
    if math.isfinite(f.sigma.high):
        return None
    return Finding(
        "size", "care",
        "There is too little to know any error: one small picture. Figures are given, their"
        " intervals are endless; add scenes, or larger pictures.",
    )  # fmt: skip


def advice(f: Facts, found: tuple[Finding, ...]) -> tuple[str, ...]:
    """What to do with the data as they are: the loss, the augmentation, how much more."""
    kinds = {finding.kind for finding in found}
    return (loss_for(f), augmentation(f, kinds), amount(f))


def loss_for(f: Facts) -> str:
    if f.curve.far > 0.01:
        return (
            "Loss: l1 if the outliers are impulses that know nothing of the scene (hot pixels,"
            " cosmic rays), for the middle value of noise that spoils fewer than half the pixels is"
            " the scene; l2 if a wild but fair noise makes them, such as random sampling."
        )
    if f.curve.clip_bias > 0.05 * f.sigma.value and f.curve.kind == "gaussian":
        return (
            "Loss: l1. Cutting the ends of noise moves its mean, which l2 learns, but not its"
            " middle value, which l1 learns: for noise as symmetric as this, that is the scene."
        )
    kind = {
        "gaussian": "The noise does not depend on the level",
        "poisson": "The noise grows with the level, as photons count",
        "both": "Photons and a constant read noise",
        "unknown": "How the noise depends on the level is unknown",
    }[f.curve.kind]
    return f"Loss: l2. {kind}; the mean of a zero-mean noise is the scene, and l2 learns the mean."


def augmentation(f: Facts, kinds: set[str]) -> str:
    if "size" in kinds:
        return "Augmentation: exchange and flips; too little is known of the noise for more."
    valid = ["exchange"]
    if f.white and f.equal and not kinds & {"photometry", "registration", "lines", "compression"}:
        valid.append("pixels")
    valid.append("flips")
    if "lines" not in kinds and f.white:
        valid.append("turns")
    left = "" if "pixels" in valid else " (no exchange of single pixels)"
    return f"Augmentation that is valid here: {', '.join(valid)}{left}."


def amount(f: Facts) -> str:
    """How large an interval a verdict from these pairs can have at best.

    The estimate's error over N values is σ² / √N for a good denoiser; ten times less error than
    noise is a gain of 10 dB, and 0.1 dB of it is 2.3 %.
    """
    need = round((NORMAL_DB / 0.1 * 10) ** 2)
    held = f.values // 10
    times = math.ceil(need / max(1, held))
    words = "enough" if times <= 1 else f"{times} times as many are wanted"
    words = words if times <= 100 else "many more are wanted"
    return (
        f"To measure a gain of 10 dB to ±0.1 dB takes about {need:,} held-out pixels; a tenth of"
        f" these is {held:,}: {words}. More scenes teach more than more shots of one."
    )


NORMAL_DB = 1.96 * 10 / math.log(10)  # half the interval, in decibel, per relative standard error
