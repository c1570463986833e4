"""`noisepair evaluate`: scores against clean pictures, for people, for programs and as a page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..errors import InputError
from ..evaluate import Evaluation, examples
from ..evaluate import evaluate as score
from .console import Options
from .denoising import progress
from .judged import AsDenoised
from .report import write_evaluation

STANDARD = Options()
NONE = "none"  # in place of a model


def evaluate(  # noqa: PLR0913  a command has as many options as it has
    val: Path | None = None,
    /,
    *,
    noisy: str | None = None,
    clean: str | None = None,
    model: str | None = None,
    denoised: str | None = None,
    average: Annotated[bool, Parameter(negative="")] = False,
    out: Path | None = None,
    data_range: float | None = None,
    options: Options = STANDARD,
) -> int:
    """Score noisy and denoised pictures against clean ones: PSNR and SSIM, before and after.

    Parameters
    ----------
    val
        One file with noisy and clean pictures, instead of --noisy and --clean: the course's
        val_data.pkl, or an .npz of two arrays called noisy and clean.
    noisy
        Folder of noisy pictures.
    clean
        Folder of clean pictures with the same file names.
    model
        A model to denoise the noisy pictures with; left out, the weights that come with
        noisepair, as in `noisepair denoise`. `none`: score the noisy pictures alone.
    denoised
        Folder of denoised pictures with the same file names, instead of --model.
    average
        The mean over all eight flips and quarter turns of each picture.
    out
        Folder for report.html, scores.csv, a box plot, and a gallery of worst, median and best.
    data_range
        Value range R in PSNR = 10 log10(R²/MSE); by default that of the clean pictures' type, for
        floats max − min over all of them.
    """
    if model and denoised:
        raise InputError("--model and --denoised both say what is denoised. Give one of them.")
    before = one_source(val, noisy, clean)
    own = denoised is None and model != NONE
    if average and not own:
        raise InputError("--average is how a model denoises, and there is none. Give --model.")
    judged = AsDenoised(model, options, average=average) if own else None
    denoiser = judged or denoised
    with progress(options, 1) as show:
        scores = score(
            before, clean, denoiser, data_range=data_range, watch=lambda done, of: show(done / of)
        )
    options.say(*(f"{name}: {reason}" for name, reason in scores.failed.items()))
    plain = scores.as_json()
    lines = "\n".join([table(scores), *(judged.lines() if judged else [])])
    if judged:
        plain["denoiser"] = judged.as_json()
    if out:
        page = write_evaluation(out, scores, examples(scores, before, clean, denoiser))
        lines += f"\nThe report is {page}."
        plain["report"] = str(page)
    options.result(lines, plain)
    return 2 if scores.failed else 0


def one_source(val: Path | None, noisy: str | None, clean: str | None) -> str | Path:
    """The one file with both sides, or the noisy pictures where the clean ones are named too."""
    if val is not None and noisy is None and clean is None:
        return val
    if val is None and noisy is not None and clean is not None:
        return noisy
    given = {"VAL": val, "--noisy": noisy, "--clean": clean}
    came = ", ".join(name for name, value in given.items() if value is not None) or "nothing"
    raise InputError(
        f"What is to be scored was given as {came}. Give VAL, one file with noisy and clean"
        " pictures, or both --noisy and --clean, but not all three."
    )


def table(scores: Evaluation) -> str:
    """The result as a small table."""
    whole = scores.summary()
    kinds = [kind for kind in ("noisy", "denoised") if kind in whole["psnr"]]
    rows = [
        f"{whole['images']} pictures, value range {scores.data_range:g} ({scores.data_range_from})"
    ]
    rows.append(f"{'':<10}{'PSNR per image':>22}{'PSNR pooled':>15}{'SSIM':>10}")
    for kind in kinds:
        psnr = whole["psnr"][kind]
        spread = f" ± {psnr['std']:.2f}" if psnr["std"] == psnr["std"] else ""  # nan: not defined
        each = f"{psnr['per_image']:.2f}{spread} dB"
        rows.append(f"{kind:<10}{each:>22}{psnr['pooled']:>12.2f} dB{whole['ssim'][kind]:>10.4f}")
    return "\n".join(rows)
