"""What a study leaves: tables.md, .csv and .tex, figures, report.html; and the same as one object.

All of it comes from results on disk, so it can be written again at any time, and of a part too.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import images
from ..denoise import Denoiser
from ..errors import InputError
from ..evaluate import Case, strict
from ..study import Bench, Outcome, Row, Test
from . import figures, sheets, study_figures, study_tables
from .report import Drawing, Photo, Section, Table, cell, write, write_page
from .sheets import Sheet, said
from .study_tables import MEASURES
from .study_words import Asked, answer, base, machines, protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CUT = "What lies far from the rest is cut off at the frame."
SHADE = "Lines are means over seeds, shades reach from the least to the most."


@dataclass(frozen=True)
class Written:
    """What a study left in its folder."""

    page: Path
    files: Sequence[Path]


def write_study(
    out: Path, outcome: Outcome, bench: Bench, asked: Asked, say: Callable[..., None]
) -> Written:
    """Write everything there is to say; `bench` gives the pictures of the gallery."""
    page, tables = outcome.study.page, study_tables.every(outcome)
    texts = {
        "tables.md": sheets.as_markdown(tables, page.question),
        "tables.csv": sheets.as_csv(tables[0]),
        "tables.tex": sheets.as_latex(tables, page.question),
    }
    files = [write(out / name, text.encode()) for name, text in texts.items()]
    drawn = drawings(outcome)
    shown = [drawing(out, name, *one) for name, one in drawn.items()]
    files += [out / f"{name}.{kind}" for name in drawn for kind in ("svg", "png")]
    photos = []
    try:
        if found := gallery(outcome, bench):
            picture = figures.png(figures.gallery(found))
            files.append(write(out / "gallery.png", picture))
            photos.append(Photo(picture, "noisy, denoised and clean pictures", looked_at(outcome)))
    except InputError as error:  # a model of long ago, or pictures gone: the numbers still stand
        say(f"No pictures to look at: {error}")
    sections = [*words(outcome, tables), *figured(shown, photos), *how(outcome, asked)]
    lead = answer(outcome, asked).replace(" ± ", "\u00a0±\u00a0")
    return Written(
        write_page(out / "report.html", title=page.question, lead=lead, sections=sections), files
    )


# ---- words


def words(outcome: Outcome, tables: Sequence[Sheet]) -> list[Section]:
    """What is asked, and the tables."""
    about = outcome.study.page.about.strip()
    asked = [Section("What is asked", about)] if about else []
    return [*asked, *(Section(sheet.title, table=table(sheet)) for sheet in tables)]


def table(sheet: Sheet) -> Table:
    """For the page: short cells stay in one line, only names and reasons wrap."""
    rows = [[line[0], *map(together, line[1:])] for line in sheet.words]
    return Table(sheet.header, rows, notes=sheet.notes)


def together(word: str) -> str:
    return word.replace(" ", "\u00a0") if len(word) <= 24 else word


# ---- figures


def drawings(outcome: Outcome) -> "dict[str, tuple[Figure, str]]":
    """Each figure that there is something for, with its caption."""
    rows, page = outcome.rows(), outcome.study.page
    there = [row for row in rows if row.runs]
    noisy = outcome.noisy(outcome.tests[0], page.measure)
    level = f"Dotted: the noisy pictures, {cell(noisy)} dB. " if math.isfinite(noisy) else ""
    eight = ""
    if len(there) > len(study_figures.COLOURS):
        eight = f"The four best and the four worst of {len(there)} settings. "
    found: dict[str, tuple[Figure, str]] = {}
    if study_figures.tracked(rows):
        captions = (
            f"{eight}Along the run: the mean training loss since the validation before; the"
            " squared error on held-out pairs of noisy shots; the PSNR on the first pictures of"
            f" {outcome.tests[0]} ({MEASURES[page.measure]}). {SHADE} {level}{CUT}"
        )
        found["curves"] = study_figures.curves(rows, noisy), captions
    if any(study_figures.first_losses(row).size for row in there):
        captions = (
            f"{eight}Training loss at every step of the first run of each setting, as it came"
            " (pale) and its running mean over a thirtieth of the run. Losses of different kinds"
            f" cannot be compared. {CUT}"
        )
        found["losses"] = study_figures.losses(rows), captions
    if any(study_figures.each(row).size for row in there):
        captions = (
            f"Each picture of {outcome.tests[0]}, first run of each setting. A box holds the middle"
            f" half, the line is the median, whiskers reach 1.5 box widths. {level}"
            "A setting without a finished run has none."
        )
        found["boxes"] = study_figures.boxes(rows, noisy), captions
    return found


HEADINGS = {
    "curves": "How they learned", "losses": "Loss by step", "boxes": "From picture to picture",
}  # fmt: skip


def drawing(out: Path, name: str, figure: "Figure", caption: str) -> tuple[str, Drawing]:
    """Written as SVG and PNG, and for the page with ids that no other figure has."""
    svg = figures.svg(figure)
    write(out / f"{name}.svg", svg.replace("currentColor", figures.INK).encode())
    write(out / f"{name}.png", figures.png(figure))
    own = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    return HEADINGS[name], Drawing(own, HEADINGS[name], caption.strip())


def figured(shown: Sequence[tuple[str, Drawing]], photos: Sequence[Photo]) -> list[Section]:
    sections = [Section(heading, figures=[one]) for heading, one in shown]
    return [*sections, *([Section("To look at", figures=photos)] if photos else [])]


# ---- pictures


def gallery(outcome: Outcome, bench: Bench) -> list[Case]:
    """Simple, hard and worst pictures of the best setting's first finished run."""
    best = outcome.best()
    if best is None:
        return []
    run = next(run for run in best.runs if run["status"] == "done")
    denoiser = Denoiser.load(Path(run["folder"]), bench.device)
    test = bench.tests(denoiser.card.recipe)[best.test]
    places = examples(run["scores"][best.test]["each"])
    return [case(test, place, label, denoiser) for place, label in places.items()]


def examples(scores: Sequence[float]) -> dict[int, str]:
    """Two pictures of each kind by place, where there are enough: no picture is shown twice.

    >>> examples([20.0, 30.0, 25.0])
    {1: 'simple', 2: 'hard', 0: 'worst'}
    """
    order = [int(place) for place in np.argsort(scores, kind="stable")]
    two = 2 if len(order) >= 6 else 1
    worst, best = order[:two], order[two:][-two:][::-1]
    rest = order[two : max(two, len(order) - len(best))]
    tenth = min(max(0, round(len(order) / 10) - two), max(0, len(rest) - two))
    hard = rest[tenth : tenth + two]
    kinds = {"simple": best, "hard": hard, "worst": worst}
    return {place: kind for kind, places in kinds.items() for place in places}


def case(test: Test, place: int, label: str, denoiser: Denoiser) -> Case:
    noisy = test.noisy[place]
    done = denoiser(noisy, channel_axis=-1)
    name = f"picture {place + 1} of {len(test.noisy)}"
    one, two, three = map(images.to_unit, (noisy, test.clean[place], done))
    return Case(name, one, two, three, 1.0, label)


def looked_at(outcome: Outcome) -> str:
    best = outcome.best()
    name = best.setting.name if best else ""
    return (
        f"{name}, its first run: the simplest pictures (of the highest PSNR after denoising), hard"
        " ones (around the tenth percentile) and the worst. Pictures above 256 pixels are cropped"
        " where they have most detail."
    )


# ---- how it was measured


def how(outcome: Outcome, asked: Asked) -> list[Section]:
    """The protocol, and the recipe that the settings differ from."""
    recipe = base(outcome)
    text = "\n\n".join([*protocol(outcome), *machines(outcome), f"Run by: {asked.command}"])
    return [Section("How it was measured", text), Section("The base recipe", code=recipe.toml())]


# ---- for programs


def as_json(outcome: Outcome, written: Written, asked: Asked) -> dict[str, Any]:
    """The outcome as one object of plain values; what is not known is null."""
    best = outcome.best()
    rows = [described(outcome, row, best) for row in outcome.rows()]
    noisy = {
        test: {measure: outcome.noisy(test, measure) for measure in MEASURES}
        for test in outcome.tests
    }
    found = [[said(value) for value in row] for row in study_tables.orders(outcome).rows]
    told = [{"order": one, "verdict": two} for one, two, _ in found]
    for one, (_, difference) in zip(told, outcome.orders(), strict=True):
        one |= {"difference": difference.mean, "error": difference.error}  # type: ignore[dict-item]
    whole = {
        "question": outcome.study.page.question,
        "answer": answer(outcome, asked),
        "best": best.setting.name if best else None,
        "rows": rows,
        "orders": told,
        "noisy": noisy,
        "report": str(written.page),
        "files": [str(path) for path in written.files],
        "protocol": "\n".join([*protocol(outcome), *machines(outcome)]),
    }
    return dict(strict(whole))


def described(outcome: Outcome, row: Row, best: Row | None) -> dict[str, Any]:
    """One setting."""
    is_best = best is not None and best.setting.name == row.setting.name
    difference = row.against(best) if best and not is_best else None
    return {
        "setting": row.setting.name,
        "lines": row.setting.lines,
        "mean": row.mean,
        "std": row.std,
        "seeds": list(row.values),
        "values": list(row.values.values()),
        "reported": outcome.study.page.reported.get(row.setting.name),
        "troubles": row.troubles,
        "difference": difference.mean if difference else None,
        "error": difference.error if difference else None,
        "verdict": difference.verdict if difference else "best" if is_best else "none",
    }
