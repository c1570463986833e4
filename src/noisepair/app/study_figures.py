"""Figures of a study: how its settings learned, what each loss did, and the spread over pictures.

A colour is a setting, the same in all figures; eight are told apart, so that of more settings the
four best and the four worst are drawn. What lies far from the rest is cut off at the frame: a run
that diverged at −266 dB would hide all others.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..study import LOSSES, Row
from .figures import INK, POINTS, canvas, decades, writable
from .study_tables import clocked, track

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = [  # Okabe and Ito; grey for their yellow, which white paper swallows
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK, "#999999",
]  # fmt: skip
WIDTH = 5.6  # inches
DEEP = 15.0  # dB below the best that are shown
FAR = 50  # times the median of losses that are shown
RAW = 1500  # points of a loss that is not smoothed

Read = Callable[[Mapping[str, Any]], float | None]


def picked(rows: Sequence[Row]) -> list[Row]:
    """Those with runs, eight at most: the four best and the four worst, in the study's order."""
    there = [row for row in rows if row.runs]
    if len(there) <= len(COLOURS):
        return there
    ranked = sorted(range(len(there)), key=lambda n: -height(there[n]))
    half = len(COLOURS) // 2
    return [there[n] for n in sorted({*ranked[:half], *ranked[-half:]})]


def height(row: Row) -> float:
    return -math.inf if math.isnan(row.mean) else row.mean


def curves(rows: Sequence[Row], noisy: float) -> "Figure":
    """Training loss, held-out loss and PSNR along the run: mean over seeds, and their range."""
    rows, tracks = picked(rows), tracked(rows)
    figure, panels = canvas(WIDTH, 2.0 * len(tracks) + 0.5 + legend_height(rows), len(tracks))
    for axes, (name, found) in zip(panels, tracks.items(), strict=True):
        for points, colour in zip(found, COLOURS, strict=False):
            line(axes, points, colour)
        axes.set_ylabel(name)
        middle = np.concatenate([points[:, 1] for points in found])
        if name.endswith("loss"):
            in_decades(axes, middle)
        else:
            level(axes, noisy)
            deep(axes, [*middle, noisy])
        axes.sharex(panels[0])
        axes.tick_params(labelbottom=axes is panels[-1])
    panels[-1].set_xlabel(clocked(rows))
    legend(figure, rows)
    return figure


def tracked(rows: Sequence[Row]) -> dict[str, list[np.ndarray]]:
    """What there is to draw against epochs or seconds: a panel's name, and a track a setting."""
    reads: dict[str, Read] = {
        "training loss": lambda line: line["mean_loss"],
        "held-out loss": lambda line: line["held_out"],
        "PSNR (dB)": lambda line: line.get("scores", {}).get(rows[0].measure),
    }
    by, chosen = clocked(picked(rows)), picked(rows)
    found = {name: [seen(track(row, read, by)) for row in chosen] for name, read in reads.items()}
    return {name: tracks for name, tracks in found.items() if any(map(len, tracks))}


def seen(found: Sequence[tuple[float, Sequence[float]]]) -> np.ndarray:
    """(validations, 4): epoch or seconds, mean, least and most over seeds."""
    points = [(at, sum(v) / len(v), min(v), max(v)) for at, v in found if v]
    return np.array(points, dtype=np.float64).reshape(-1, 4)


def line(axes: "Axes", points: np.ndarray, colour: str) -> None:
    epoch, middle, least, most = points.T
    mark = "o" if len(points) <= 20 else ""
    axes.plot(epoch, middle, color=colour, lw=1.6, marker=mark, ms=3)
    axes.fill_between(epoch, least, most, color=colour, alpha=0.18, linewidth=0)


def level(axes: "Axes", noisy: float) -> None:
    """What the noisy pictures score, as a line across."""
    if math.isfinite(noisy):
        axes.axhline(noisy, color=INK, lw=0.9, ls=":", alpha=0.7)


def in_decades(axes: "Axes", values: np.ndarray) -> None:
    """A logarithmic axis where values span much; what is far above the middle is cut off."""
    values = values[np.isfinite(values)]
    if not values.size or values.min() <= 0 or values.max() <= 5 * values.min():
        return
    from matplotlib.ticker import LogLocator

    low, high = values.min(), min(values.max(), FAR * float(np.median(values)))
    decades(axes)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
    axes.set_ylim(low / 1.3, high * 1.3)


def deep(axes: "Axes", values: Sequence[float]) -> None:
    """At most 15 dB below the best, or down to the noisy pictures."""
    finite = [value for value in values if math.isfinite(value)]
    if finite and min(finite) < max(finite) - DEEP:
        axes.set_ylim(bottom=max(finite) - DEEP)


def losses(rows: Sequence[Row]) -> "Figure":
    """Training loss at each step of a setting's first run: as it came, pale; and smoothed."""
    rows = picked(rows)
    figure, (axes,) = canvas(WIDTH, 3.0 + legend_height(rows), 1)
    every: list[np.ndarray] = []
    for row, colour in zip(rows, COLOURS, strict=False):
        values = first_losses(row)
        if not values.size:
            continue
        steps, thin = np.arange(1, values.size + 1), max(1, values.size // RAW)
        axes.plot(steps[::thin], values[::thin], color=colour, lw=0.5, alpha=0.28, zorder=1)
        smooth = smoothed(values)
        thin = max(1, values.size // POINTS)
        axes.plot(steps[::thin], smooth[::thin], color=colour, lw=1.6, zorder=2)
        every.append(smooth)
    in_decades(axes, np.concatenate([np.zeros(0), *every]))
    axes.set_ylabel("training loss")
    axes.set_xlabel("step")
    legend(figure, rows)
    return figure


def first_losses(row: Row) -> np.ndarray:
    """Of the first run that left some; up to the first that is no number."""
    for run in row.runs:
        path = Path(run["folder"]) / LOSSES
        if path.exists():
            values: np.ndarray = np.load(path, allow_pickle=False).astype(np.float64)
            ends = np.flatnonzero(~np.isfinite(values))
            return values[: ends[0]] if ends.size else values
    return np.zeros(0)


def smoothed(values: np.ndarray) -> np.ndarray:
    """The mean over a window of a thirtieth of the run, narrower at its ends."""
    reach = max(1, values.size // 60)
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(values.size)
    half = np.minimum(np.minimum(at, values.size - 1 - at), reach)
    return (total[at + half + 1] - total[at - half]) / (2 * half + 1)


def boxes(rows: Sequence[Row], noisy: float) -> "Figure":
    """PSNR of each test picture: a box a setting, from its first finished run."""
    found = [(row.setting.name, each(row)) for row in rows]
    found = [(name, values) for name, values in found if values.size]
    figure, (axes,) = canvas(WIDTH, 0.9 + 0.3 * len(found), 1)
    for place, (_, values) in enumerate(found):
        box(axes, place, values)
    names = [writable(name, 40) for name, _ in found]
    axes.set_yticks(range(len(found)), names, fontsize=8 if max(map(len, names)) > 20 else 10)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(len(found) - 0.4, -0.6)
    if math.isfinite(noisy):
        axes.axvline(noisy, color=INK, lw=0.9, ls=":", alpha=0.7)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.8)
    axes.set_xlabel("PSNR of a picture (dB)")
    return figure


def each(row: Row) -> np.ndarray:
    """PSNR of every picture of the first finished run, those that are finite."""
    done = (run for run in row.runs if run["status"] == "done")
    values: list[float] = next((run["scores"][row.test]["each"] for run in done), [])
    found: np.ndarray = np.array(values, dtype=np.float64)
    return found[np.isfinite(found)]


def box(axes: "Axes", place: int, values: np.ndarray) -> None:
    """The middle half, the median, whiskers of 1.5 box widths, and what lies beyond as points."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    reach = 1.5 * (high - low)
    inside = values[(values >= low - reach) & (values <= high + reach)]
    colour = COLOURS[0]
    axes.hlines(place, inside.min(), inside.max(), color=colour, lw=1.2)
    axes.barh(place, high - low, 0.56, low, color="#d3e4f0", edgecolor=colour, lw=1.2)
    axes.vlines(middle, place - 0.28, place + 0.28, color=colour, lw=2)
    beyond = values[(values < inside.min()) | (values > inside.max())]
    axes.plot(beyond, np.full(beyond.size, place), "o", ms=2, mec="none", mfc=colour, alpha=0.6,
              rasterized=beyond.size > 100)  # fmt: skip


# ---- whose line is whose


def columns(names: Sequence[str]) -> int:
    """How many names stand side by side."""
    return max(1, min(len(names), 4, 74 // (max(map(len, names), default=0) + 7)))


def labels(rows: Sequence[Row]) -> list[str]:
    return [writable(row.setting.name, 56) for row in rows]


def legend_height(rows: Sequence[Row]) -> float:
    """Inches."""
    names = labels(rows)
    return 0.2 * math.ceil(len(names) / columns(names)) + 0.1


def legend(figure: "Figure", rows: Sequence[Row]) -> None:
    """Names above the figure, where they cover nothing."""
    from matplotlib.lines import Line2D

    names = [f" {name}" if name.startswith("_") else name for name in labels(rows)]
    handles = [Line2D([], [], color=colour, lw=2) for _, colour in zip(rows, COLOURS, strict=False)]
    made = figure.legend(
        handles, names, loc="outside upper left", frameon=False, labelcolor=INK, fontsize=9,
        ncols=columns(names), handlelength=1.5, columnspacing=1.5, labelspacing=0.3,
    )  # fmt: skip
    for text in made.get_texts():
        text.set_parse_math(False)
