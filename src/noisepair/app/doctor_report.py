"""The page of `noisepair doctor`, and its picture: every layer over time, a row each."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..recipe import Recipe
from ..scratch.doctor import HEADER, Diagnosis, cells
from ..scratch.symptoms import FADED, GROWN, LARGE, SATURATED, SMALL, number
from ..scratch.vitals import Vitals
from ..sources import Source
from . import figures
from .figures import AFTER, BEFORE, GAIN, INK
from .report import Drawing, Section, Table, write, write_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWEST = 1e-12  # of a logarithmic axis: what is less is drawn there
WIDE, HIGH, AROUND = 8.4, 0.78, 0.9  # inches: the figure, a row, what stands above and below
Band = tuple[float, float]
Column = tuple[str, Callable[[Vitals], float | None], Callable[[Diagnosis], Band] | None]

COLUMNS: tuple[Column, ...] = (
    ("signal", lambda row: row.signal, lambda seen: (FADED * seen.before, GROWN * seen.before)),
    (
        "dead or saturated",
        lambda row: row.dead if row.saturated is None else row.saturated,
        lambda seen: (0.0, SATURATED),
    ),
    ("gradient", lambda row: row.gradient, None),
    ("step / weight", lambda row: row.update, lambda seen: (SMALL, LARGE)),
)
SHARE = 1  # which column is a share

PICTURE = (
    "A row is a layer with its activation, a column one measure, the same scale in all rows: what"
    " tells pictures apart; the share of channels that are dead or, of a sigmoid, of outputs that"
    " are saturated; the norm of the weight's gradient; and what one step changes of the weight."
    " Green is where networks learn; what is less than 1e-12 is drawn there."
)
METHOD = (
    "Always about the same batch, in training mode, on a copy: the training itself is not touched."
    " Steps are taken at the recipe's full learning rate. Signal: the deviation within a channel,"
    " over pictures and pixels. Spread: of all values that a layer makes. Saturated: within 1 % of"
    " 0 or 1. Dead: 0 on the whole batch. Gradients are compared with the loss itself, in float64,"
    " along two random directions of each parameter, before the first step."
)


def write_doctor(folder: Path, found: Sequence[Diagnosis], recipe: Recipe, shots: Source) -> Path:
    """report.html, and its picture as layers.svg."""
    first, last = found[0], found[-1]
    drawing = figures.svg(layers(found))
    write(folder / "layers.svg", drawing.replace("currentColor", INK).encode())
    worst = min(found, key=lambda seen: ("ill", "healthy with care", "healthy").index(seen.verdict))
    titles = {
        "ill": "Something is wrong with it",
        "healthy with care": "It learns, but look at this",
        "healthy": "Nothing wrong found",
    }
    sections = [
        *spoken(found),
        Section("Every layer over time", PICTURE, figures=[Drawing(drawing, "layers by step")]),
        Section("Before the first step", table=table(first)),
        Section(f"After step {last.step}", table=table(last)),
        Section("The recipe", code=recipe.toml()),
        Section("How it was measured", f"{METHOD}\n\n{' '.join(shots.lines())}"),
    ]
    lead = f"The loss went from {number(first.loss)} to {number(last.loss)} in {last.step} steps."
    return write_page(
        folder / "report.html", title=titles[worst.verdict], lead=lead, sections=sections
    )


def spoken(found: Sequence[Diagnosis]) -> list[Section]:
    """What was found, and what to do: each once, where it was first seen."""
    sections, known = [], set()
    for seen in found:
        new = [one for one in seen.findings if one.name not in known]
        known |= {one.name for one in new}
        text = "\n\n".join(f"{one.text}\n\n→ {one.remedy}" for one in new)
        if new:
            when = f"At step {seen.step}" if seen.step else "Before the first step"
            sections.append(Section(f"{when}: what is wrong", text))
    return sections


def table(seen: Diagnosis) -> Table:
    return Table(HEADER, [cells(row) for row in seen.layers])


def layers(found: Sequence[Diagnosis]) -> "Figure":
    """Small multiples: a row a layer, a column a measure, one scale a column."""
    from matplotlib.figure import Figure

    names = [row.name for row in found[0].layers]
    figure = Figure(figsize=(WIDE, HIGH * len(names) + AROUND), dpi=figures.DPI)
    grid = figure.subplots(len(names), len(COLUMNS), sharex=True, sharey="col", squeeze=False)
    top, bottom = 1 - 0.45 / figure.get_figheight(), 0.45 / figure.get_figheight()
    figure.subplots_adjust(0.2, bottom, 0.985, top, 0.42, 0.16)
    steps = np.array([seen.step for seen in found])
    for place, (name, read, healthy) in enumerate(COLUMNS):
        values = np.array([[read(row) for row in seen.layers] for seen in found], np.float64)
        logarithmic = place != SHARE
        if logarithmic:
            values = np.where(np.isfinite(values), np.maximum(values, LOWEST), values)
        band = healthy(found[0]) if healthy else (-math.inf, math.inf)
        for axes, line in zip(grid[:, place], values.T, strict=True):
            draw(axes, steps, line, band)
        around = {0: (found[0].before / 10, found[0].before * 10), 3: (SMALL, LARGE)}
        scale(grid[0, place], np.append(values, around.get(place, ())), logarithmic)
        grid[0, place].set_title(name, fontsize=9, color=INK, pad=9)
        grid[-1, place].set_xlabel("step", fontsize=8, color=INK)
    for axes, row in zip(grid[:, 0], found[0].layers, strict=True):
        label(axes, 0.68, figures.writable(row.name, 20), weight="bold")
        label(axes, 0.36, shape(row), alpha=0.75)
    return figure


def label(axes: "Axes", height: float, text: str, **style: Any) -> None:
    """Beside the row, left of its axis."""
    style |= {"ha": "right", "va": "center", "fontsize": 8, "color": INK}
    axes.text(-0.46, height, text, transform=axes.transAxes, parse_math=False, **style)


def draw(axes: "Axes", steps: np.ndarray, line: np.ndarray, band: Band) -> None:
    """One layer, one measure; orange where it is outside of what is healthy."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=INK, alpha=0.35)
    axes.tick_params(colors=INK, labelsize=7, length=2, width=0.6)
    if math.isfinite(band[0]):
        axes.axhspan(*band, color=GAIN, alpha=0.1, linewidth=0)
    if not np.isfinite(line).any():
        axes.text(0.5, 0.5, "–", transform=axes.transAxes, ha="center", color=INK, alpha=0.5)
        return
    ill = (line < band[0]) | (line > band[1])
    axes.plot(steps, line, color=BEFORE if ill.all() else AFTER, linewidth=1.5)
    axes.plot(steps[ill], line[ill], "o", color=BEFORE, markersize=3)


def scale(axes: "Axes", values: np.ndarray, logarithmic: bool) -> None:
    """The axis of a column: powers of ten, or per cent."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if not logarithmic:
        axes.set_ylim(-0.06, 1.06)
        axes.yaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
        return
    finite = values[np.isfinite(values) & (values > 0)]
    low = math.floor(math.log10(finite.min())) if finite.size else -3
    high = math.ceil(math.log10(finite.max())) if finite.size else 0
    high = max(high, low + 2)
    axes.set_yscale("log")
    axes.set_ylim(10.0**low / 1.5, 10.0**high * 1.5)
    powers = range(low, high + 1, max(1, math.ceil((high - low) / 3)))
    axes.yaxis.set_major_locator(FixedLocator([10.0**power for power in powers]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def shape(row: Vitals) -> str:
    """Channels and activation, short enough to stand beside a row."""
    channels = row.layer.partition("(")[2].split(", ")[:2]
    behind = f", {row.activation}" if row.activation else ""
    return f"{' → '.join(channels)}{behind}"
