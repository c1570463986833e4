"""Figures of a report: PSNR boxes, training curves, pictures side by side.

Drawn on matplotlib's `Figure` itself, never through pyplot: no window, no backend, no state that
outlives the call. A figure leaves as SVG, whose ink takes the colour of the text around it (so a
dark page has light axes), or as PNG on white. Colours: Okabe and Ito 2008, told apart by everyone.
"""

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..evaluate import Case, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEFORE, AFTER, GAIN = "#d55e00", "#0072b2", "#009e73"
INK = "#26282b"  # replaced by the colour of the text around it in SVG
CROP = 256  # side of a gallery panel in pixels of the picture, if it is larger
PANEL = 192  # smaller pictures are enlarged to about this side, by a whole factor
DPI = 100
POINTS = 400  # of a curve; more cannot be told apart on a page

Row = Mapping[str, Any]  # of the training history: step, seconds, loss, held_out, gain_db


# ---- what is drawn


def box_plot(evaluation: Evaluation) -> "Figure":
    """PSNR of every picture, before and after: points, quartiles, and the pooled value (diamond).

    Boxes hold the middle half, whiskers reach 1.5 box heights; infinite values are left out.
    """
    kinds = [("noisy", BEFORE, [one.noisy.psnr for one in evaluation.scores])]
    if evaluation.denoised:
        after = [one.denoised.psnr for one in evaluation.scores if one.denoised]
        kinds.append(("denoised", AFTER, after))
    pooled = evaluation.summary()["psnr"]
    figure, (axes,) = canvas(5.6, 3.4, 1)
    for place, (kind, colour, decibels) in enumerate(kinds):
        finite = np.array([value for value in decibels if math.isfinite(value)])
        if finite.size:
            box(axes, place, finite, colour)
        if math.isfinite(pooled[kind]["pooled"]):
            axes.plot(place, pooled[kind]["pooled"], "D", ms=6, mfc="none", mec=INK, zorder=4)
    axes.set_xticks(range(len(kinds)), [kind for kind, _, _ in kinds])
    axes.set_xlim(-0.6, len(kinds) - 0.4)
    axes.set_ylabel("PSNR (dB)")
    return figure


def box(axes: "Axes", place: int, values: np.ndarray, colour: str) -> None:
    """One box with its points, spread sideways by the golden ratio: even, and always the same."""
    axes.boxplot(
        [values],
        positions=[place],
        widths=0.5,
        showfliers=False,  # every point is drawn anyway
        patch_artist=True,
        boxprops={"facecolor": colour + "33", "edgecolor": colour, "linewidth": 1.2},
        medianprops={"color": colour, "linewidth": 2},
        whiskerprops={"color": colour, "linewidth": 1.2},
        capprops={"color": colour, "linewidth": 1.2},
    )
    sideways = (np.arange(values.size) * 0.618 % 1 - 0.5) * 0.36
    axes.scatter(
        place + sideways,
        values,
        s=18 if values.size <= 50 else 6,
        color=colour,
        alpha=0.6,
        linewidths=0,
        zorder=3,
        rasterized=values.size > 400,  # thousands of vector points make a page slow
    )


def curves(history: Sequence[Row]) -> "Figure":
    """Loss and held-out loss against the step; below, the estimated gain where it was measured."""
    if not history:
        raise InputError(
            "There is no training history to draw: it has no line. Train a step first."
        )
    gains = series(history, "gain_db")
    figure, panels = canvas(5.6, 4.6 if gains[0].size else 3.0, 2 if gains[0].size else 1)
    top, bottom = panels[0], panels[-1]
    draw(top, series(history, "loss"), "training", BEFORE, alpha=0.75)
    draw(top, series(history, "held_out"), "held out", AFTER)
    losses = [value for name in ("loss", "held_out") for value in series(history, name)[1]]
    if losses and min(losses) > 0 and max(losses) > 5 * min(losses):
        decades(top)
    top.set_ylabel("loss")
    if losses:
        top.legend(frameon=False, labelcolor=INK)
    if gains[0].size:
        draw(bottom, gains, "", GAIN)
        bottom.axhline(0, color=INK, linewidth=0.8, alpha=0.5)
        bottom.set_ylabel("estimated PSNR gain (dB)")
        top.tick_params(labelbottom=False)
        bottom.set_xlim(top.get_xlim())
    bottom.set_xlabel(f"optimizer step{duration(history)}")
    return figure


def decades(axes: "Axes") -> None:
    """A logarithmic axis with plain numbers: 0.05, not 5 × 10⁻²."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def draw(
    axes: "Axes", points: tuple[np.ndarray, np.ndarray], label: str, colour: str, alpha: float = 1
) -> None:
    """A line through the points, with their marks where they are few."""
    if points[0].size:
        mark = "o" if points[0].size <= 40 else ""
        axes.plot(*points, color=colour, alpha=alpha, lw=1.6, marker=mark, ms=3.5, label=label)


def series(history: Sequence[Row], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one column where it holds a finite number; long ones in means of bins."""
    points = [(row["step"], row[name]) for row in history if finite(row.get(name))]
    steps, values = np.array(points, dtype=np.float64).reshape(-1, 2).T
    if steps.size <= POINTS:
        return steps, values
    ends = np.linspace(0, steps.size, POINTS + 1).astype(int)
    bins = np.diff(ends)
    return np.add.reduceat(steps, ends[:-1]) / bins, np.add.reduceat(values, ends[:-1]) / bins


def finite(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def duration(history: Sequence[Row]) -> str:
    """How long the run took, for the label of its axis."""
    seconds = [row["seconds"] for row in history if finite(row.get("seconds"))]
    if not seconds:
        return ""
    longest = max(seconds)
    said = f"{longest:.0f} s" if longest < 120 else f"{longest / 60:.0f} min"
    return f" ({said} in all)"


def gallery(rows: Sequence[Case], titles: Sequence[str] = ()) -> "Figure":
    """Rows of noisy, denoised and clean, one picture pixel to one screen pixel or a whole number.

    `titles`: what the three are called where they are something else; nothing is scored then.

    A picture larger than 256 pixels is cropped where it has most detail. The PSNRs in the titles
    are those of the whole picture. All panels of a row map values to grey in the same way.
    """
    if not rows:
        raise InputError("There is no picture to show. Give at least one case.")
    cells = [panels(case, titles) for case in rows]
    gap, head, left = 12, 40, 12  # screen pixels; head holds the titles of a row
    heights = [head + row[0][1].shape[0] + gap for row in cells]
    width = left + max(sum(picture.shape[1] + gap for _, picture in row) for row in cells)
    figure, _ = canvas(width / DPI, sum(heights) / DPI, 0)
    down = 0
    for case, row, height in zip(rows, cells, heights, strict=True):
        across = left
        name = writable(f"{case.label}: {case.name}" if case.label else case.name)
        at = 1 - (down + 15) / sum(heights)
        figure.text(left / width, at, name, fontsize=8, weight="bold", color=INK, parse_math=False)
        for title, picture in row:
            high, wide = picture.shape[:2]
            box = (
                across / width,
                1 - (down + head + high) / sum(heights),
                wide / width,
                high / sum(heights),
            )
            axes = figure.add_axes(box)
            axes.imshow(picture, interpolation="nearest", aspect="auto")
            axes.set_axis_off()
            at = 1 - (down + head - 5) / sum(heights)
            figure.text(across / width, at, title, fontsize=8, color=INK)
            across += wide + gap
        down += height
    return figure


def panels(case: Case, titles: Sequence[str] = ()) -> list[tuple[str, np.ndarray]]:
    """The pictures of a row, ready for the screen: title, (h, w, 3) uint8."""
    if titles:
        return seen(zip(titles, (case.noisy, case.denoised, case.clean), strict=True), 1)
    before, after = case.closeness(case.noisy), case.closeness(case.denoised)
    noisy, denoised = "noisy", "denoised"
    if before:
        noisy += f"  {before.psnr:.2f} dB"
    if before and after:
        denoised += f"  {after.psnr:.2f} dB ({after.psnr - before.psnr:+.2f})"
    shown = [(noisy, case.noisy), (denoised, case.denoised), ("clean", case.clean)]
    return seen(shown, -1)


def seen(
    shown: Iterable[tuple[str, np.ndarray | None]], decides: int
) -> list[tuple[str, np.ndarray]]:
    """Those that there are, cropped and brightened as one of them asks: the cleanest."""
    given = [(title, picture) for title, picture in shown if picture is not None]
    reference = given[decides][1]
    window = most_detail(reference, CROP)
    low, high = shown_range(reference)
    return [(title, on_screen(picture[window], low, high)) for title, picture in given]


def most_detail(picture: np.ndarray, side: int) -> tuple[slice, slice]:
    """The window of at most `side` pixels where brightness changes most; the whole if it fits."""
    grey = picture.astype(np.float64).mean(axis=-1)
    high, wide = (min(side, size) for size in grey.shape)
    if grey.shape == (high, wide):
        return slice(0, high), slice(0, wide)
    change = np.zeros_like(grey)
    change[:, 1:] += np.abs(np.diff(grey, axis=1))
    change[1:] += np.abs(np.diff(grey, axis=0))
    total = np.pad(change, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    inside = (
        total[high:, wide:] - total[:-high, wide:] - total[high:, :-wide] + total[:-high, :-wide]
    )
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return slice(int(row), int(row) + high), slice(int(column), int(column) + wide)


def shown_range(reference: np.ndarray) -> tuple[float, float]:
    """Values shown black and white: 0 to 255 for 8 bits, else all but a thousandth at each end.

    A 16-bit microscope picture may use a hundredth of its scale: on the full one it is black.
    """
    if reference.dtype == np.uint8:
        return 0.0, 255.0
    low, high = np.percentile(reference, [0.1, 99.9])
    return float(low), float(high) if high > low else float(low) + 1


def on_screen(picture: np.ndarray, low: float, high: float) -> np.ndarray:
    """(h, w, 3) uint8: grey from one plane, colour from three; small ones in larger squares."""
    planes = picture[..., :3] if picture.shape[-1] >= 3 else picture[..., [0, 0, 0]]
    bright = np.clip((planes.astype(np.float64) - low) / (high - low), 0, 1)
    zoom = max(1, PANEL // max(picture.shape[:2]))
    return np.rint(bright * 255).astype(np.uint8).repeat(zoom, axis=0).repeat(zoom, axis=1)


def writable(name: str, most: int = 60) -> str:
    """A file name in letters that the figure's font has; others would be boxes and warnings."""
    kept = "".join(c if c.isprintable() and ord(c) < 0x250 else "?" for c in name)
    return kept if len(kept) <= most else kept[: most // 2 - 1] + "…" + kept[-most // 2 :]


# ---- the canvas, and how it leaves


def canvas(width: float, height: float, panels: int) -> "tuple[Figure, Sequence[Axes]]":
    """An empty figure, in inches, with so many quiet axes one above the other."""
    from matplotlib.figure import Figure  # a third of a second, only when something is drawn

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained" if panels else None)
    axes = [figure.add_subplot(panels, 1, place + 1) for place in range(panels)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["left", "bottom"]].set_color(INK)
        one.tick_params(which="both", colors=INK)
        one.xaxis.label.set_color(INK)
        one.yaxis.label.set_color(INK)
        one.grid(axis="y", color=INK, alpha=0.12, linewidth=0.8)
        one.set_axisbelow(True)
    return figure, axes


def svg(figure: "Figure") -> str:
    """The figure as an `<svg>` element: the same text for the same figure, day after day.

    Ink is `currentColor`, text stays text. Ids that nothing refers to are taken out: two figures
    on one page would otherwise share them.
    """
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "noisepair", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]  # the xml header may stand only at a file's start
    drawing = re.sub(r"\s*<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', drawing))
    drawing = re.sub(r' id="([^"]*)"', lambda m: m.group() if m.group(1) in used else "", drawing)
    return drawing.replace(INK, "currentColor")


def png(figure: "Figure") -> bytes:
    """The figure as a PNG on white, at its own resolution: gallery pixels stay whole."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return data.getvalue()
