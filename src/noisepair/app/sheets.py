"""Tables made once and written as words, Markdown, CSV and LaTeX (booktabs).

A cell is a word, a number, or a `Spread`: a mean and its deviation over seeds. Where runs diverged
or failed the cell says so itself, so that no number hides it.
"""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .console import span
from .report import cell


@dataclass(frozen=True)
class Spread:
    """A mean in dB, its deviation, and what became of the runs that are not in it."""

    mean: float
    std: float | None = None
    trouble: str = ""
    signed: bool = False

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return self.trouble or "–"
        mean = self.mean if abs(self.mean) >= 0.005 else 0.0  # no −0.00
        sign = "+" if self.signed and mean > 0 else ""
        said = f"{sign}{cell(mean)} ± {cell(self.std)}"
        return f"{said} ({self.trouble})" if self.trouble else said


class Seconds(float):
    """A time: words for people, a number in CSV."""

    def __str__(self) -> str:
        if math.isnan(self):
            return "–"
        return span(self) if self >= 10 else f"{float(self):.1f} s"


Cell = str | int | float | Spread | None


def said(value: Cell) -> str:
    """A cell as people read it.

    >>> [said(value) for value in (24.5, Spread(24.5), Seconds(75), None, "l2")]
    ['24.50', '24.50 ± –', '1 min 15 s', '–', 'l2']
    """
    return str(value) if isinstance(value, Spread | Seconds) else cell(value)


@dataclass(frozen=True)
class Sheet:
    """One table: what it shows, its header and rows, and lines to stand under it."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()

    @property
    def words(self) -> list[list[str]]:
        return [[said(value) for value in row] for row in self.rows]

    def until(self, name: str) -> "Sheet":
        """The columns up to this one: as many as fit a terminal."""
        count = list(self.header).index(name) + 1
        rows = [row[:count] for row in self.rows]
        return Sheet(self.title, self.header[:count], rows, self.notes)


# ---- how a table is written


def as_text(sheet: Sheet) -> str:
    """Columns of words, two blanks apart."""
    lines = [list(sheet.header), *sheet.words]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        [word.ljust(width) for word, width in zip(line, widths, strict=True)] for line in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def as_markdown(sheets: Sequence[Sheet], title: str) -> str:
    parts = [f"# {marked(title)}"]
    for sheet in sheets:
        lines = [sheet.header, *sheet.words]
        rows = ["| " + " | ".join(map(marked, line)) + " |" for line in lines]
        rows.insert(1, "|" + "---|" * len(sheet.header))
        parts += [f"## {marked(sheet.title)}", "\n".join(rows), *map(marked, sheet.notes)]
    return "\n\n".join(parts) + "\n"


def marked(text: str) -> str:
    """Text that Markdown takes for nothing else."""
    return re.sub(r"([\\|*`<\[\]])", r"\\\1", " ".join(text.split()))


def as_csv(sheet: Sheet) -> str:
    """Numbers with every digit that means something; a Spread takes two columns."""
    wide = [any(isinstance(row[n], Spread) for row in sheet.rows) for n in range(len(sheet.header))]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = zip(sheet.header, wide, strict=True)
    writer.writerow([part for name, two in names for part in ([name, f"{name} ±"][: 1 + two])])
    for row in sheet.rows:
        cells = zip(row, wide, strict=True)
        writer.writerow([part for value, two in cells for part in parted(value)[: 1 + two]])
    return out.getvalue()


def parted(value: Cell) -> list[str]:
    """A cell in CSV, and its deviation."""
    if isinstance(value, Spread):
        if math.isnan(value.mean):
            return [value.trouble, ""]
        return [number(value.mean), number(value.std)]
    return [number(value) if isinstance(value, float) else str("" if value is None else value), ""]


def number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6g}"


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "[": "{[}", "]": "{]}", "*": "{*}",  # after \\ these would be read as its arguments
    "±": r"$\pm$", "−": "$-$", "–": r"\textendash{}", "×": r"$\times$", "∞": r"$\infty$",
    "↓": r"$\downarrow$", "→": r"$\rightarrow$",
}  # fmt: skip


def escaped(text: str) -> str:
    r"""Text that LaTeX sets as it stands.

    >>> escaped("a_1 & 5%, --lr")
    'a\\_1 \\& 5\\%, -{}-lr'
    """
    apart = re.sub(r"([-'`])(?=\1)", "\\1\0", text.replace("\0", ""))  # two would become one sign
    return "".join(LATEX.get(letter, letter) for letter in apart).replace("\0", "{}")


def as_latex(sheets: Sequence[Sheet], title: str) -> str:
    """A table environment each; the head needs only booktabs."""
    return "\n".join([rf"% {' '.join(title.split())}", r"% \usepackage{booktabs}",
                      *map(tabular, sheets)])  # fmt: skip


def tabular(sheet: Sheet) -> str:
    def row(line: Sequence[str]) -> str:
        return " & ".join(escaped(" ".join(word.split())) for word in line) + r" \\"

    return "\n".join([
        r"\begin{table}", r"\centering", rf"\caption{{{escaped(sheet.title)}}}",
        rf"\begin{{tabular}}{{{'l' * len(sheet.header)}}}", r"\toprule", row(sheet.header),
        r"\midrule", *map(row, sheet.words), r"\bottomrule", r"\end{tabular}",
        *(rf"\par\footnotesize {escaped(note)}" for note in sheet.notes), r"\end{table}", "",
    ])  # fmt: skip
