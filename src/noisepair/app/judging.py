"""`noisepair verdict`: did it work? From noisy shots alone; for people, programs and as a page."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .. import checkpoint
from ..errors import InputError
from ..sources import Source, open_source, unseen
from ..verdict import Verdict
from ..verdict import verdict as judge
from .console import Options
from .denoising import progress
from .judged import AsDenoised
from .verdict_report import write_verdict

STANDARD = Options()


def verdict(
    source: str,
    source2: str | None = None,
    /,
    *,
    model: str | None = None,
    frames: Annotated[bool, Parameter(negative="")] = False,
    pattern: str | None = None,
    average: Annotated[bool, Parameter(negative="")] = False,
    report: Path | None = None,
    options: Options = STANDARD,
) -> int:
    """Judge a model by noisy shots alone: PSNR before and after, with 95 % intervals.

    Parameters
    ----------
    source
        Shots, in any form that `noisepair train` takes. Of the data that the model was trained on
        only the scenes that were held out are used.
    source2
        The second folder, or file.
    model
        A folder that `noisepair train` wrote; left out, the weights that come with noisepair, and
        each shot is denoised as `noisepair denoise` would.
    frames
        The source is a sequence, and neighbouring frames show the same scene.
    pattern
        How file names pair, as in '{scene}_{shot}.png'.
    average
        The mean over all eight flips and quarter turns of each picture.
    report
        Folder for report.html: every figure with what it means, and the pictures to look at.
    """
    denoiser = AsDenoised(model, options, average=average)
    shots = evidence(open_source(source, source2, frames=frames, pattern=pattern), model, options)
    with progress(options, 1) as show:
        found = judge(denoiser, shots, watch=show)
    lines = "\n".join([told(found), *denoiser.lines()])
    plain = {**found.as_json(), "denoiser": denoiser.as_json()}
    if report:
        page = write_verdict(report, found, shots, denoiser)
        lines += f"\nThe report is {page}."
        plain["report"] = str(page)
    options.result(lines, plain)
    return 0


def evidence(shots: Source, model: str | None, options: Options) -> Source:
    """The scenes that the model was not trained on; InputError where there is none."""
    options.say(*shots.lines())
    seen = None if model is None else checkpoint.read_seen(checkpoint.located(model))
    if seen is None:
        options.say("The model does not say what it was trained on: make sure that it is not this.")
        return shots
    new = unseen(shots.scenes, seen)
    if not new:
        raise InputError(
            f"{model} was trained on all of these shots, and what it was trained on proves nothing:"
            " a network can learn its data by heart. Give shots of other scenes; or train again"
            " with more than one scene, and some are held out for this."
        )
    if len(new) < len(shots.scenes) or any(
        len(a.shots) < len(b.shots) for a, b in zip(new, shots.scenes, strict=True)
    ):
        count = sum(len(scene.shots) for scene in new)
        options.say(
            f"The model was trained on some of these. Judged by what was held out: {len(new)} of"
            f" {len(shots.scenes)} scenes, {count} shots."
        )
    return replace(shots, scenes=new)


def told(found: Verdict) -> str:
    """The result for a person."""
    rows = [
        ("PSNR noisy", f"{found.noisy.text()} dB"),
        ("PSNR denoised", f"{found.denoised.text()} dB"),
        ("gain", f"{found.gain.text(sign=True)} dB"),
    ]
    if found.here != found.gain:
        rows.append(("gain, these", f"{found.here.text(sign=True)} dB"))
    words = [f"{found.verdict.capitalize()}.", *(f"  {text}" for text in found.reasons)]
    words += [f"  {name:<14} {value}" for name, value in rows]
    words.append(f"95 % intervals, of {found.of}; pooled over all pixels, value range 1.")
    return "\n".join(words)
