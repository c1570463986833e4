"""Pages for the reader: one HTML file with everything in it, to open, mail or archive.

Pictures and drawings are inside the file, nothing is fetched and no script runs; it follows the
reader's light or dark setting and fits a phone. Every text is escaped: a file name is text too.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import checkpoint, files
from ..denoise import Denoiser
from ..evaluate import Case, Evaluation
from ..images import full_scale
from . import figures

Value = str | int | float | None
MEANINGS = (
    "PSNR per image: the mean of the PSNR of each picture. Every picture counts the same.",
    "± from picture to picture: the standard deviation of that PSNR (of the gain, under gain).",
    "PSNR pooled: the PSNR of the squared error averaged over all pixels. Bad pictures weigh most.",
    "SSIM: structural similarity, 1 for identical pictures; the mean over pictures.",
)
FOLD, MOST = 12, 1000  # rows of a table: more are folded away; and no page shows more than this


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG, put into the page as it is: it must come from `figures.svg`."""

    svg: str
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Photo:
    """A picture as PNG bytes."""

    png: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under a header; floats show two decimals, None a dash. `folded` hides it in one line."""

    header: Sequence[str]
    rows: Sequence[Sequence[Value]]
    folded: str = ""
    notes: Sequence[str] = ()  # lines under the table

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers only, and stand to the right."""
        columns = range(len(self.header))
        return [not any(is_word(row[i]) for row in self.rows) for i in columns]


@dataclass(frozen=True)
class Section:
    """A heading, and under it what there is: paragraphs (blank lines between), code, figures."""

    heading: str
    text: str = ""
    figures: Sequence[Drawing | Photo] = ()
    table: Table | None = None
    code: str = ""


def write_page(path: str | Path, *, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Write one self-contained HTML page; a reader never sees half of one."""
    return write(Path(path), page(title, lead, sections).encode())


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The page as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["cell"] = cell
    pages.filters["base64"] = lambda data: base64.b64encode(data).decode()
    pages.filters["drawn"] = Markup  # the one thing not escaped: our own drawings
    return pages.get_template("page.html.j2").render(title=title, lead=lead, sections=sections)


def is_word(value: Value) -> bool:
    """Whether a cell is text that is no number.

    >>> is_word("page 3"), is_word("0.7541"), is_word(None)
    (True, False, False)
    """
    return isinstance(value, str) and not re.fullmatch(r"[+−-]?[\d.]+%?|–", value)


def cell(value: Value) -> str:
    """What a table shows for a value.

    >>> [cell(value) for value in ("a.png", 3, 28.1234, float("inf"), float("nan"), None)]
    ['a.png', '3', '28.12', '∞', '–', '–']
    """
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:.2f}".replace("inf", "∞").replace("-", "−")
    return str(value)


def write(path: Path, content: bytes) -> Path:
    """All of `content` or the old file, in a folder made for it if need be."""
    with files.said(f"make the folder {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, content)
    return path


# ---- the page of a training


def write_training(folder: Path, denoiser: Denoiser) -> Path:
    """report.html of a model folder: what it makes of a held-out shot, and how it learned."""
    card, noisy = denoiser.card, denoiser.example
    came = card.provenance["result"]
    gain = came["gain_db"]
    title = "A trained denoiser" if gain is None else f"About {gain:.1f} dB gained"
    count = card.provenance["data"]["scenes"]
    scenes = "one scene" if count == 1 else f"{count} scenes"
    lead = f"{came['steps']} steps in {came['seconds']:.0f} s on noisy shots of {scenes}."
    if gain is not None:
        lead += " The gain is an estimate from held-out noisy shots of equal, independent noise."
    sections = [*learned(folder), *made_of(denoiser)]
    if noisy is not None:
        done = denoiser(noisy, channel_axis=-1)
        case = Case("the middle of a held-out shot", noisy, None, done, full_scale(noisy.dtype))
        gallery = figures.png(figures.gallery([case]))
        photo = Photo(gallery, "a noisy picture and what the model makes of it")
        sections.insert(0, Section("Look at it", figures=[photo]))
    return write_page(folder / "report.html", title=title, lead=lead, sections=sections)


def learned(folder: Path) -> list[Section]:
    """Loss and gain along a run, where it was validated."""
    history = checkpoint.read_history(folder)
    if not any(line["held_out"] is not None for line in history):
        return []
    text = (
        "The held-out loss compares a denoised shot with the other noisy shot of a scene that was"
        " not trained on. For independent zero-mean noise it is the error against the clean picture"
        " plus a constant, so it chooses the best weights without one."
    )
    drawing = Drawing(figures.svg(figures.curves(history)), "loss and estimated gain by step")
    return [Section("How it learned", text, figures=[drawing])]


def made_of(denoiser: Denoiser) -> list[Section]:
    """The recipe, and the machine and data that it met."""
    card = denoiser.card
    machine, about = card.provenance["machine"], card.provenance["data"]
    text = (
        f"{about['understood']}: {about['scenes']} scenes, {about['shots']} shots,"
        f" {about['dtype']}; held out: {', '.join(about['held_out'][:5]) or 'nothing'}."
        f" {machine['name']}, {machine['threads']} threads, {card.provenance['precision']}, torch"
        f" {machine['torch']}, noisepair {card.provenance['noisepair']},"
        f" {card.provenance['created'][:10]}."
    )
    return [Section("The recipe", code=card.recipe.toml()), Section("Data and machine", text)]


# ---- the page of an evaluation


def write_evaluation(
    folder: str | Path, evaluation: Evaluation, pictures: Sequence[Case] = ()
) -> Path:
    """Write report.html, scores.csv, box.svg, box.png and, with `pictures`, gallery.png.

    Returns the page. `pictures` are the cases to look at, as `evaluate.examples` gives them.
    """
    folder = Path(folder)
    boxes = figures.box_plot(evaluation)
    drawing = figures.svg(boxes)
    write(folder / "scores.csv", evaluation.as_csv().encode())
    write(folder / "box.svg", drawing.replace("currentColor", figures.INK).encode())
    write(folder / "box.png", figures.png(boxes))
    sections = [numbers(evaluation), spread(evaluation, drawing)]
    if pictures:
        gallery = figures.png(figures.gallery(pictures))
        write(folder / "gallery.png", gallery)
        sections.append(looked_at(gallery, pictures))
    sections.append(each_picture(evaluation))
    if evaluation.failed:
        rows = list(evaluation.failed.items())
        said = "These are in no number above."
        sections.append(Section("Not scored", said, table=Table(["picture", "reason"], rows)))
    sections.append(Section("How it was measured", protocol(evaluation)))
    return write_page(
        folder / "report.html", title=headline(evaluation), lead=lead(evaluation), sections=sections
    )


def headline(evaluation: Evaluation) -> str:
    """The result in one line."""
    psnr = evaluation.summary()["psnr"]
    if not evaluation.denoised:
        return f"{cell(psnr['noisy']['per_image'])} dB before denoising"
    gained = "gained" if psnr["gain"]["per_image"] >= 0 else "lost"
    size = cell(abs(psnr["gain"]["per_image"]))
    return f"{size} dB {gained}: {cell(psnr['denoised']['per_image'])} dB after denoising"


def lead(evaluation: Evaluation) -> str:
    """What the headline counts."""
    count, failed = len(evaluation.scores), len(evaluation.failed)
    pictures = "one picture" if count == 1 else f"{count} pictures"
    left_out = f" {failed} could not be scored." if failed else ""
    return f"PSNR against the clean pictures, per image, averaged over {pictures}.{left_out}"


def numbers(evaluation: Evaluation) -> Section:
    """The summary as a table, one line to explain each number."""
    summary = evaluation.summary()
    psnr, ssim = summary["psnr"], summary["ssim"]
    kinds = [kind for kind in ("noisy", "denoised", "gain") if kind in psnr]
    names = {"per_image": "PSNR per image, dB", "std": "± from picture to picture, dB"}
    names["pooled"] = "PSNR pooled, dB"
    rows: list[list[Value]] = [
        [name, *(psnr[kind][key] for kind in kinds)] for key, name in names.items()
    ]
    similar = {kind: ssim[kind] for kind in kinds if kind in ssim}
    if "gain" in kinds:
        similar["gain"] = similar["denoised"] - similar["noisy"]
    rows.append(["SSIM", *(f"{similar[kind]:.4f}".replace("nan", "–") for kind in kinds)])
    return Section("The numbers", table=Table(["", *kinds], rows, notes=MEANINGS))


def spread(evaluation: Evaluation, drawing: str) -> Section:
    """The box plot."""
    alt = "Box plot of the PSNR of each picture: " + "; ".join(
        f"{name} {cell(value)} dB" for name, value in evaluation.figures() if "per_image" in name
    )
    caption = (
        "A point is a picture. The box holds the middle half of them, the line is the median, "
        "whiskers reach 1.5 box heights, the diamond is the pooled PSNR."
    )
    return Section("From picture to picture", figures=[Drawing(drawing, alt, caption)])


def looked_at(gallery: bytes, pictures: Sequence[Case]) -> Section:
    """The gallery."""
    names = "; ".join(f"{case.label} {case.name}".strip() for case in pictures)
    caption = (
        "Pixel for pixel (on a narrow screen: in gallery.png). Large pictures are cropped where "
        "they have most detail; the numbers are of the whole picture. Every row uses one scale "
        "from black to white."
    )
    alt = f"Noisy, denoised and clean side by side: {names}"
    return Section("To look at", figures=[Photo(gallery, alt, caption)])


def each_picture(evaluation: Evaluation) -> Section:
    """A line a picture, the worst first."""
    ordered = sorted(evaluation.scores, key=lambda one: (one.denoised or one.noisy).psnr)
    header = ["picture", "noisy, dB", "denoised, dB", "gain, dB", "SSIM noisy", "SSIM denoised"]
    rows: list[list[Value]] = [
        [one.name, one.noisy.psnr, one.denoised.psnr, one.gain, one.noisy.ssim, one.denoised.ssim]
        if one.denoised
        else [one.name, one.noisy.psnr, one.noisy.ssim]
        for one in ordered[:MOST]
    ]
    if not evaluation.denoised:
        header = ["picture", "noisy, dB", "SSIM noisy"]
    count = len(ordered)
    shown = f"All {count} pictures" if count <= MOST else f"The {MOST} worst of {count} pictures"
    text = "The worst first. All of them, with every decimal: scores.csv beside this page."
    return Section(
        "Picture by picture", text, table=Table(header, rows, shown if count > FOLD else "")
    )


def protocol(evaluation: Evaluation) -> str:
    """How the numbers came about, for whoever wants to repeat them."""
    span = f"data_range = {evaluation.data_range:g} ({evaluation.data_range_from})."
    return f"{evaluation.protocol}\n\n{span}"
