"""`noisepair check`: is this data fit? For people, for programs and as a page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .. import images
from ..check import Check, check_alone
from ..check import check as look
from ..errors import InputError
from ..sources import open_source
from .alone import told_alone, write_alone
from .console import Options
from .denoising import progress
from .verdict_report import write_check

STANDARD = Options()


def check(
    source: str,
    source2: str | None = None,
    /,
    *,
    frames: Annotated[bool, Parameter(negative="")] = False,
    pattern: str | None = None,
    alone: Annotated[bool, Parameter(negative="")] = False,
    report: Path | None = None,
    options: Options = STANDARD,
) -> int:
    """Say whether noisy shots are fit to train on, and what is wrong where they are not.

    Parameters
    ----------
    source
        Shots, in any form that `noisepair train` takes; or one picture, of which is said how strong
        its noise is and whether each pixel has its own.
    source2
        The second folder, or file.
    frames
        The source is a sequence, and neighbouring frames show the same scene.
    pattern
        How file names pair, as in '{scene}_{shot}.png'.
    alone
        Each picture of the folder, or page of the stack, is a single one, and none is another's
        second shot.
    report
        Folder for report.html: every figure with what it means, curves, and shots to look at.
    """
    if by_itself(source, source2, frames=frames, pattern=pattern, alone=alone):
        return check_single(source, report, options)
    shots = open_source(source, source2, frames=frames, pattern=pattern)
    options.say(*shots.lines())
    with progress(options, 1) as show:
        found = look(shots, watch=show)
    lines, plain = told(found), found.as_json()
    if report:
        page = write_check(report, found, shots)
        lines += f"\nThe report is {page}."
        plain["report"] = str(page)
    options.result(lines, plain)
    return 0


def by_itself(
    source: str, source2: str | None, *, frames: bool, pattern: str | None, alone: bool
) -> bool:
    """Whether pictures are to be looked at one by one: where that is said, or there is but one."""
    more = {"SOURCE2": source2, "--frames": frames, "--pattern": pattern}
    named = [name for name, value in more.items() if value]
    if alone and named:
        raise InputError(
            f"--alone says that no picture is another's second shot, and {named[0]} that some are."
            " Leave one of them out."
        )
    path = Path(source)
    if alone or named or not path.is_file() or path.suffix.lower() not in images.SUFFIXES:
        return alone
    try:
        return len(images.read(path).pixels) == 1
    except InputError:  # said better by what reads it as shots
        return False


def check_single(source: str, report: Path | None, options: Options) -> int:
    """What one shot says of its noise, or each of many."""
    shots = open_source(source, single=True)
    options.say(*shots.lines())
    found = check_alone(shots)
    lines, plain = told_alone(found), found.as_json()
    if report:
        page = write_alone(report, found)
        lines += f"\nThe report is {page}."
        plain["report"] = str(page)
    options.result(lines, plain)
    return 0


def told(found: Check) -> str:
    """The result for a person: the verdict, why, the figures, what to do."""
    f = found.facts
    rows = [
        ("noise", f"{f.sigma.text(4)} of full scale, standard deviation; {f.curve.kind}"),
        ("shift", f"{f.shift_px.text()} px"),
        ("brightness", f"{f.second} × {f.gain.text(4)}"),
        (
            "shared noise",
            f.between.text(3) if f.between.value == f.between.value else "cannot tell",
        ),
        (
            "neighbours",
            " ".join(f"{w} {r[0]:+.3f}" for w, r in f.autocorrelation.items()).replace("-", "−"),
        ),
        ("clipped", f"{f.curve.low:.2%} low, {f.curve.high:.2%} high"),
    ]
    words = [f"{found.verdict.capitalize()}. ({found.looked_at})"]
    words += [f"  {'!' if one.weight != 'note' else '·'} {one.text}" for one in found.findings]
    words += [f"  {name:<13} {value}" for name, value in rows]
    return "\n".join([*words, *found.advice])
