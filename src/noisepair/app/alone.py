"""`noisepair check` of single pictures: words, and a page."""

from pathlib import Path

from ..check import Alone
from ..noise.estimate import Level
from .report import Section, Table, Value, write_page

LISTED = 12  # pictures that are told one by one
TITLES = {
    "independent": "Its noise is independent from pixel to pixel",
    "correlated": "Neighbouring pixels share noise",
    "cannot tell": "Too little to tell",
    "no noise": "No noise is found",
}
METHOD = (
    "From one shot: squares of 8×8 pixels that hold little of the scene tell the variance at each"
    " brightness, and whether it grows; their spectrum, and second differences in flat blocks of"
    " 16×16, tell whether neighbours share noise. ± is a standard error; 255 is full scale. What"
    " one shot cannot tell is whether the noise has mean zero. Two shots do: noisepair check A B."
)


def told_alone(found: Alone) -> str:
    """The result for a person: the verdict, why, the figures, what to do."""
    count = len(found.pictures)
    words = [f"{found.verdict.capitalize()}. ({count} picture{'s' if count > 1 else ''})"]
    words += [f"  · {text}" for text in found.reasons]
    words.append(f"  {'noise':<13} {bare(found.level)}")
    words.append(f"  {'neighbours':<13} {with_errors(found)}")
    if count > 1:
        words += [f"  {name}: {bare(one)}" for name, one in found.pictures[:LISTED]]
        if count > LISTED:
            words.append(f"  … and {count - LISTED} more: see --json")
    return "\n".join([*words, *found.advice])


def bare(level: Level) -> str:
    """The level's sentence without its first word."""
    return level.sentence().removeprefix("noise: ")


def with_errors(found: Alone) -> str:
    """`+0.02 ± 0.01 to the right, +0.04 ± 0.02 down`"""
    each = (
        f"{rho:+.2f} ± {error:.2f} {way}" if error < 1 else f"cannot tell {way}"
        for way, (rho, error) in found.neighbours.items()
    )
    return ", ".join(each).replace("-", "−")


def write_alone(folder: Path, found: Alone) -> Path:
    """report.html of a check of single pictures."""
    sections = [
        Section("What to do", "\n\n".join(found.advice)),
        Section("The figures", table=Table(["figure", "value", "what it is"], rows_of(found))),
        Section("Picture by picture", table=by_picture(found)),
        Section("How it was measured", METHOD),
    ]
    return write_page(
        folder / "report.html",
        title=TITLES[found.verdict],
        lead=" ".join(found.reasons),
        sections=sections,
    )


def rows_of(found: Alone) -> list[list[Value]]:
    level = found.level
    doubt = f" ± {255 * level.doubt:.1f}" if level.white else ""
    return [
        ["Noise, standard deviation", f"{255 * level.sigma:.1f}{doubt} / 255", "of one shot"],
        ["Gain", f"{level.gain:.2g}", "variance per level; 0 where it does not grow"],
        ["Read noise", f"{255 * level.read:.1f} / 255", "standard deviation at black"],
        ["Black", f"{level.black:.4f}", "the level that holds no light; full scale is 1"],
        ["Correlation of neighbours", with_errors(found), "0 where each pixel has its own"],
    ]


def by_picture(found: Alone) -> Table:
    rows: list[list[Value]] = [
        [name, f"{255 * one.sigma:.1f}", f"{one.gain:.2g}", f"{255 * one.read:.1f}",
         "yes" if one.white else "no"]
        for name, one in found.pictures[:1000]
    ]  # fmt: skip
    folded = f"All {len(found.pictures)} pictures" if len(found.pictures) > LISTED else ""
    return Table(["picture", "sigma, 255ths", "gain", "read, 255ths", "white"], rows, folded)
