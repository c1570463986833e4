"""`noisepair evaluate`: scores against clean pictures, for people, for programs and as a page."""

from pathlib import Path

from ..denoise import Denoiser
from ..errors import InputError
from ..evaluate import Evaluation, examples
from ..evaluate import evaluate as score
from .console import Options
from .denoising import progress
from .report import write_evaluation

STANDARD = Options()


def evaluate(
    *,
    noisy: str,
    clean: str,
    model: Path | None = None,
    denoised: str | None = None,
    out: Path | None = None,
    data_range: float | None = None,
    options: Options = STANDARD,
) -> int:
    """Score noisy and denoised pictures against clean ones: PSNR and SSIM, before and after.

    Parameters
    ----------
    noisy
        Folder of noisy pictures.
    clean
        Folder of clean pictures with the same file names.
    model
        A model to denoise the noisy pictures with, instead of --denoised.
    denoised
        Folder of denoised pictures with the same file names.
    out
        Folder for report.html, scores.csv, a box plot, and a gallery of worst, median and best.
    data_range
        Value range R in PSNR = 10 log10(R²/MSE); by default that of the clean pictures' type, for
        floats max − min over all of them.
    """
    if model and denoised:
        raise InputError("--model and --denoised both say what is denoised. Give one of them.")
    denoiser = Denoiser.load(model, options.torch_device()) if model else denoised
    with progress(options, 1) as show:
        scores = score(
            noisy, clean, denoiser, data_range=data_range, watch=lambda done, of: show(done / of)
        )
    options.say(*(f"{name}: {reason}" for name, reason in scores.failed.items()))
    plain = scores.as_json()
    lines = table(scores)
    if out:
        page = write_evaluation(out, scores, examples(scores, noisy, clean, denoiser))
        lines += f"\nThe report is {page}."
        plain["report"] = str(page)
    options.result(lines, plain)
    return 2 if scores.failed else 0


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
        each = f"{psnr['per_image']:.2f} ± {psnr['std']:.2f} dB"
        rows.append(f"{kind:<10}{each:>22}{psnr['pooled']:>12.2f} dB{whole['ssim'][kind]:>10.4f}")
    return "\n".join(rows)
