"""The tables of docs/weights.md, from scores; published figures beside them."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from _methods import METHODS
from _scores import OURS, Line, mean, paired, scores

from noisepair.errors import InputError
from noisepair.files import write

COLOUR, GREY = ("CBSD68", "Kodak24", "Set14"), ("BSD68", "Set12")
SIGMAS = (15, 25, 50)
RIVAL = "BM3D"

# Sigma 15, 25, 50. BM3D, DnCNN: README of cszn/DnCNN; FFDNet: its tables 1 and 2; DRUNet: the
# tables of DPIR. Noise2Noise: table 1 of Lehtinen et al. 2018, noisy targets, one sigma.
Published = Mapping[str, Mapping[str, tuple[float | None, ...]]]
PUBLISHED: Published = {
    "BM3D": {
        "CBSD68": (33.52, 30.71, 27.38),
        "Kodak24": (34.28, 31.68, 28.46),  # FFDNet; DPIR prints 32.15 for sigma 25
        "BSD68": (31.07, 28.57, 25.62),
        "Set12": (32.37, 29.97, 26.72),
    },
    "Noise2Noise": {"Kodak24": (None, 32.48, None), "Set14": (None, 31.28, None)},
    "DnCNN": {
        "CBSD68": (33.89, 31.23, 27.92),
        "Kodak24": (34.48, 32.03, 28.85),
        "BSD68": (31.73, 29.23, 26.23),
        "Set12": (32.86, 30.44, 27.18),
    },
    "FFDNet": {
        "CBSD68": (33.87, 31.21, 27.96),
        "Kodak24": (34.63, 32.13, 28.98),
        "BSD68": (31.63, 29.19, 26.29),
        "Set12": (32.75, 30.43, 27.32),
    },
    "DRUNet": {
        "CBSD68": (34.30, 31.69, 28.51),
        "Kodak24": (35.31, 32.89, 29.86),
        "BSD68": (31.91, 29.48, 26.59),
        "Set12": (33.25, 30.94, 27.90),
    },
}
ROWS = ("noisy", "noisy 8 bits", *METHODS, *OURS)
SIZES = {"CBSD68": 68, "Kodak24": 24, "Set14": 14, "BSD68": 68, "Set12": 12,
         "polyu": 50, "confocal": 3}  # fmt: skip


def tables(lines: Sequence[Line]) -> str:
    """All of them, as Markdown."""
    if not lines:
        raise InputError("No score is there yet. Run benchmarks/weights.py without --table first.")
    parts = [
        made(lines),
        "### Colour",
        grid(lines, COLOUR),
        "### Grey",
        grid(lines, GREY),
        f"### Ours less {RIVAL} and C{RIVAL}, on the same pictures",
        differences(lines),
        "### Real noise",
        real(lines),
        "### A clean picture through ours",
        clean(lines),
    ]
    return "\n\n".join(parts)


def made(lines: Sequence[Line]) -> str:
    """By what and when."""
    ours = {("grey" if one["set"] in (*GREY, "confocal") else "colour", one["by"])
            for one in lines if one["method"] in OURS}  # fmt: skip
    weights = ", ".join(f"{kind} {by}" for kind, by in sorted(ours))
    others = ", ".join(sorted({one["by"] for one in lines if one["method"] in METHODS}))
    return f"{date.today()}. Weights (SHA-256, first 16 digits): {weights}. Others: {others}."


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, the first column to the left and the others to the right."""
    marks = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, marks, *rows))


def grid(lines: Sequence[Line], names: Sequence[str]) -> str:
    """A row a method, a column a set and sigma."""
    columns = [(name, sigma) for name in names for sigma in SIGMAS]
    head = ["", *(f"{name} {s}" if s == SIGMAS[0] else str(s) for name, s in columns)]
    rows = []
    for method in ROWS:
        cells = [cell(lines, name, sigma, method) for name, sigma in columns]
        if any(one != "–" for one in cells):
            rows.append([called(method, names), *cells])
    for method, sets in PUBLISHED.items():
        known = [sets.get(name, (None,) * 3)[SIGMAS.index(sigma)] for name, sigma in columns]
        if any(known):
            label = f"*{called(method, names)}, published*"
            rows.append([label, *(f"*{one:.2f}*" if one else "–" for one in known)])
    return table(head, rows)


def called(method: str, names: Sequence[str]) -> str:
    """BM3D for colour is CBM3D; ours stands out."""
    name = f"C{method}" if method == RIVAL and names[0] not in GREY else method
    return f"**{name}**" if method == "ours" else name


def cell(lines: Sequence[Line], name: str, sigma: int | None, method: str) -> str:
    """Mean PSNR, with the number of pictures where it is not all of them."""
    found = scores(lines, name, sigma, method)
    if not found:
        return "–"
    part = f" ({len(found)})" if len(found) < SIZES[name] else ""
    return f"{mean(found.values()):.2f}{part}"


def differences(lines: Sequence[Line]) -> str:
    """The paired comparison that the aim is about."""
    rows = []
    for name in (*COLOUR, *GREY):
        for sigma in SIGMAS:
            ours, theirs = (scores(lines, name, sigma, m) for m in ("ours", RIVAL))
            both = [one for one in ours if one in theirs]
            if len(both) > 1:
                means = (f"{mean(found[one] for one in both):.2f}" for found in (theirs, ours))
                rows.append(
                    [f"{name} {sigma}", str(len(both)), *means,
                     paired(ours, theirs).text(2, sign=True)]
                )  # fmt: skip
    return table(["", "pictures", called(RIVAL, COLOUR), "ours", "difference (95 %)"], rows)


def real(lines: Sequence[Line]) -> str:
    """Shots that a camera and a microscope made."""
    names = ("polyu", "confocal")
    rows = []
    for method in ROWS:
        cells = [cell(lines, name, None, method) for name in names]
        if any(one != "–" for one in cells):
            rows.append([called(method, GREY), *cells])
    return table(["", "PolyU", "confocal"], rows)


def clean(lines: Sequence[Line]) -> str:
    """How far ours moves what needs no denoising."""
    rows = []
    for name in (*COLOUR, *GREY):
        found = scores(lines, name, 0, "ours").values()
        if found:
            rows.append([name, str(len(found)), f"{mean(found):.2f}", f"{min(found):.2f}"])
    return table(["", "pictures", "mean PSNR", "lowest"], rows)


def put(page: Path, mark: str, text: str) -> None:
    """Between the marks of that name on a page; all that stood there goes."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    if old.count(begin) != 1 or old.count(end) != 1 or old.index(begin) > old.index(end):
        raise InputError(f"{page} has no {begin} … {end}. Put one where the tables belong.")
    head, tail = old[: old.index(begin)], old[old.index(end) :]
    write(page, f"{head}{begin}\n{text}\n{tail}".encode())
