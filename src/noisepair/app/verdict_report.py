"""The pages of `noisepair check` and `noisepair verdict`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from .. import images
from ..check import Check
from ..evaluate import Case
from ..intervals import Estimate
from ..sources import Scene, Source
from ..verdict import Paged, SceneRow, Verdict
from . import figures
from .figures import AFTER, BEFORE, INK, canvas
from .report import Drawing, Photo, Section, Table, Value, write_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = "Gain on these, dB"
SHOWN = 3  # pictures to look at
ROWS = 1000  # of a table


def write_check(folder: Path, found: Check, shots: Source) -> Path:
    """report.html of a check."""
    words = {
        "fit": "This data is fit to train on",
        "fit with care": "Fit to train on, with care",
        "unfit": "Not fit to train on",
    }
    lead = found.reasons[0] if found.reasons else "Nothing speaks against it."
    sections = [
        Section("What to do", "\n\n".join(found.advice)),
        *further(found.reasons),
        Section("The figures", table=figures_of(found)),
        Section(
            "Noise against brightness",
            "The variance of one shot at each level (photon-transfer curve), from differences of"
            " shots. A level line is Gaussian noise; a rising one counts photons.",
            figures=[drawn(transfer(found), "noise variance by level")],
        ),
        Section(
            "Does the noise of a pixel know its neighbour's?",
            "Correlation of the noise with itself a few pixels on. White noise has none; where it"
            " has, pairs still work, and methods that hide single pixels do not.",
            figures=[drawn(whiteness(found), "autocorrelation of the noise by lag")],
        ),
        Section("Look at it", figures=[pictures(found, shots)]),
        Section("Scene by scene", table=scenes_of(found)),
        Section("How it was measured", METHOD.format(seen=found.looked_at)),
    ]
    return write_page(
        folder / "report.html", title=words[found.verdict], lead=lead, sections=sections
    )


METHOD = (
    "From noisy shots alone, by their differences and by what they share; {seen}. 95 % intervals"
    " from the scatter of scenes, or of blocks of 128 pixels where there are fewer than 8 scenes. A"
    " finding is what is more than 4.2 standard errors away and large enough to matter. Values are"
    " in picture units: 1 is full scale."
)


def further(reasons: Sequence[str]) -> list[Section]:
    """What there is to say beside the first reason, which is the lead."""
    return [Section("What else", "\n\n".join(reasons[1:]))] if len(reasons) > 1 else []


def drawn(figure: "Figure", alt: str) -> Drawing:
    return Drawing(figures.svg(figure), alt)


def figures_of(found: Check) -> Table:
    """Every number, and what it means in one line."""
    f = found.facts
    noise = f.curve
    rows: list[list[Value]] = [
        ["Noise, standard deviation", f.sigma.text(4), "of one shot, full scale is 1"],
        ["Photon gain", f.noise_gain.text(6), "variance per level; 1 over it is photons at white"],
        ["Read noise", f.read.text(4), "standard deviation in the dark"],
        ["Shift between shots, px", f.shift_px.text(), "0 if they are aligned"],
        ["Brightness, second over first", f.gain.text(4), "1 if they were exposed alike"],
        ["Offset of the second", f.offset.text(4), "0 if they have one black level"],
        [
            "Noise that both shots share",
            known(f.between, 3),
            "0 if independent; texture adds to it",
        ],
        ["Fixed pattern", known(f.pattern, 5), "standard deviation of what all pictures carry"],
        ["Unequal noise", f.unequal.text(3), "(σ₁² − σ₂²) over their sum; 0 if alike"],
        ["Whole rows or columns", f.lines.text(4), "the share of the noise that lines have"],
        ["Clipped, low and high", f"{noise.low:.2%}, {noise.high:.2%}", "values at the ends"],
        ["Outliers", f"{noise.far:.3%}", "differences beyond 6 standard deviations"],
    ]
    return Table(["figure", "value (95 % interval)", "what it is"], rows)


def known(one: Estimate, digits: int) -> str:
    return one.text(digits) if one.value == one.value else "cannot tell"


def scenes_of(found: Check) -> Table:
    rows: list[list[Value]] = [
        [s.name, f"{s.sigma:.4f}", f"{s.shift[0]:+.2f}", f"{s.shift[1]:+.2f}", f"{s.offset:+.4f}",
         f"{s.clipped:.2%}"]
        for s in sorted(found.scenes, key=lambda one: -float(np.nan_to_num(np.hypot(*one.shift))))
    ]  # fmt: skip
    header = ["scene", "noise", "shift right, px", "down, px", "brighter by", "clipped"]
    folded = f"All {len(rows)} scenes, the most shifted first" if len(rows) > 12 else ""
    return Table(header, [row_of(one) for one in rows[:ROWS]], folded)


def row_of(values: Sequence[Value]) -> list[Value]:
    return [v.replace("-", "−") if isinstance(v, str) and n else v for n, v in enumerate(values)]


def transfer(found: Check) -> "Figure":
    curve = found.facts.curve
    figure, (axes,) = canvas(5.6, 3.2, 1)
    axes.plot(curve.level, curve.variance, "o", ms=4, color=AFTER, label="measured")
    line = curve.line.values
    if np.isfinite(line).all() and len(curve.level):
        ends = np.array([curve.level.min(), curve.level.max()])
        axes.plot(ends, line[0] + line[1] * ends, color=BEFORE, label="read noise and photons")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("level (full scale is 1)")
    axes.set_ylabel("variance of one shot")
    axes.legend(frameon=False, labelcolor=INK)
    return figure


def whiteness(found: Check) -> "Figure":
    figure, (axes,) = canvas(5.6, 3.0, 1)
    for (way, rho), colour in zip(
        found.facts.autocorrelation.items(), (AFTER, BEFORE), strict=True
    ):
        axes.plot(range(1, len(rho) + 1), rho, "o-", ms=4, color=colour, label=NAMES[way])
    axes.axhline(0, color=INK, linewidth=0.8, alpha=0.5)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.02), max(high, 0.02))
    axes.set_xlabel("pixels on")
    axes.set_ylabel("correlation")
    axes.legend(frameon=False, labelcolor=INK)
    return figure


NAMES = {"right": "to the right", "down": "down"}


def pictures(found: Check, shots: Source) -> Photo:
    """Two shots of three scenes."""
    names = {row.name for row in found.scenes}
    chosen = [scene for scene in shots.scenes if scene.name in names][:SHOWN]
    cases = [
        Case(scene.name, scene.shots[0][0], None, scene.shots[1][0],
             images.full_scale(scene.shots[0].dtype))
        for scene in chosen
    ]  # fmt: skip
    titles = ("first shot", "second shot", "")
    png = figures.png(figures.gallery(cases, titles))
    return Photo(png, "two shots of three scenes", "Both shots, at one brightness scale.")


# ---- the verdict


def write_verdict(folder: Path, found: Verdict, shots: Source, denoiser: Paged) -> Path:
    """report.html of a verdict."""
    gain = found.gain.text(1, sign=True)
    words = {
        "improved": f"It worked: {gain} dB",
        "no better": "No better than the noisy pictures",
        "harmed": f"It did harm: {gain} dB",
        "cannot tell": "These pairs cannot tell",
    }
    sections = [
        *further(found.reasons),
        Section("The figures", table=numbers(found)),
        Section("Look at it", figures=[looked_at(found, shots, denoiser.pages)]),
        Section(
            "Is the brightness right?",
            "The other noisy shot minus the denoised one, by the brightness around. It is 0 where"
            " the network learnt the mean of the noise and keeps contrast; bars are one standard"
            " error.",
            figures=[drawn(bias(found), "mean residual by brightness")],
        ),
        Section(
            "What does the error look like?",
            "Correlation of the error that is left with itself a few pixels on: noise that came"
            " through is as wide as the network's blur, lost detail as wide as the detail.",
            figures=[drawn(structure(found), "autocorrelation of the error by lag")],
        ),
        Section("Scene by scene, the worst first", table=scenes(found.scenes)),
        Section("How it was measured", VERDICT.format(of=found.of)),
    ]
    lead = found.reasons[0] if found.reasons else ""
    return write_page(
        folder / "report.html", title=words[found.verdict], lead=lead, sections=sections
    )


VERDICT = (
    "No clean picture was used. For shots y₁ = x + n₁, y₂ = x + n₂ with independent noises of mean"
    " zero, and denoised f₁, f₂, the mean of ½[(f₁ − y₂)² + (f₂ − y₁)² − (y₁ − y₂)²] is the mean"
    " squared error against x; with three shots or more, that of (f₁ − y₂)(f₁ − y₃). Pooled over"
    " all pixels, value range 1. 95 % intervals are of {of}; those “of these” say how far other"
    " noise on these very pictures would move the figure."
)


def numbers(found: Verdict) -> Table:
    rows: list[list[Value]] = [
        ["PSNR of the noisy shots, dB", found.noisy.text(), "against the scene that nobody saw"],
        ["PSNR after denoising, dB", found.denoised.text(), "the same"],
        ["Gain, dB", found.gain.text(sign=True), f"of {found.of}"],
        [HERE, found.here.text(sign=True), "of these pictures, over other noise"],
        [
            "Error both shots share",
            known(found.lost, 2),
            "lost or invented detail; the rest is noise",
        ],
        [
            "What is left follows the picture",
            known(found.follows, 3),
            "correlation; 0 if the loss fits",
        ],
        ["Largest bias, standard errors", f"{found.bias.most:.1f}", "over brightness; 3 is usual"],
        ["Bias, full scale is 1", f"{found.bias.size:.4f}", "root mean square over brightness"],
    ]
    if found.here == found.gain:  # scenes are too few to speak of others
        rows = [row for row in rows if row[0] != HERE]
    for n, (before, after) in enumerate(found.by_shot, start=1):
        if after.value == after.value and not found.check.facts.equal:
            text = f"{before.text()} to {after.text()}"
            rows.append([f"Shot {n} alone, dB", text, "before and after; their noise is not equal"])
    return Table(["figure", "value (95 % interval)", "what it is"], rows)


def bias(found: Verdict) -> "Figure":
    figure, (axes,) = canvas(5.6, 3.0, 1)
    one = found.bias
    error = np.nan_to_num(one.error)
    axes.errorbar(one.level, one.mean, error, fmt="o", ms=4, color=AFTER, elinewidth=1)
    axes.axhline(0, color=INK, linewidth=0.8, alpha=0.5)
    axes.set_xlabel("level (full scale is 1)")
    axes.set_ylabel("mean residual")
    return figure


def structure(found: Verdict) -> "Figure":
    figure, (axes,) = canvas(5.6, 3.0, 1)
    for (way, rho), colour in zip(found.structure.items(), (AFTER, BEFORE), strict=False):
        axes.plot(range(len(rho)), rho, "o-", ms=4, color=colour, label=NAMES[way])
    axes.axhline(0, color=INK, linewidth=0.8, alpha=0.5)
    axes.set_xlabel("pixels on")
    axes.set_ylabel("correlation of the error")
    if found.structure:
        axes.legend(frameon=False, labelcolor=INK)
    return figure


def scenes(rows: Sequence[SceneRow]) -> Table:
    lines = [
        [row.name, row.noisy.text(), row.denoised.text(), row.gain.text(sign=True)]
        for row in rows[:ROWS]
    ]
    header = ["scene", "noisy, dB", "denoised, dB", "gain, dB"]
    folded = f"All {len(rows)} scenes" if len(rows) > 12 else ""
    notes = ["Intervals: of this scene, over other noise on it."]
    return Table(header, lines, folded, notes)


def looked_at(found: Verdict, shots: Source, denoise: Callable[[np.ndarray], np.ndarray]) -> Photo:
    """The scene with the least gain, the middle one and the best; and where detail was lost."""
    places = [row.place for row in found.scenes]
    chosen = dict.fromkeys((places[0], places[len(places) // 2], places[-1]))
    labels = {places[len(places) // 2]: "middle", places[-1]: "best", places[0]: "worst"}
    cases = [case(shots.scenes[n], labels[n], denoise) for n in chosen]
    caption = (
        "A noisy shot, the same denoised, and the error that both shots share: grey is none, bright"
        " is detail that was lost or invented there. Large pictures are cropped where they have"
        " most detail."
    )
    png = figures.png(figures.gallery(cases, ("noisy", "denoised", "shared error")))
    return Photo(png, "noisy, denoised, and where both shots err alike", caption)


def case(scene: Scene, label: str, denoise: Callable[[np.ndarray], np.ndarray]) -> Case:
    pages = [images.to_unit(shot[0]) for shot in scene.shots[:2]]
    done = [images.to_unit(denoise(shot)[0]) for shot in scene.shots[:2]]
    shared = (pages[0] - done[0]) * (pages[1] - done[1])
    smooth = ndimage.gaussian_filter(shared.mean(-1, keepdims=True), (3, 3, 0))
    root = np.sign(smooth) * np.sqrt(np.abs(smooth))
    low, high = figures.shown_range(done[0])
    # on the picture's own scale: grey is none, white an error of a quarter of its contrast
    shown = (low + high) / 2 + root * 2 * (high - low)
    panel = np.repeat(shown, pages[0].shape[-1], -1).astype(np.float32)
    return Case(scene.name, pages[0], panel, done[0], 1.0, label)
