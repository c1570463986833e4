"""Score pictures against clean ones: how far the noisy, how far the denoised, what was gained.

A picture is scored whole: no crop, no clamping, no rounding beyond what its file holds. Pictures
are read one at a time, so a folder of any length fits in memory. Values are compared in the units
of the clean pictures; a noisy file of another depth is brought to them through the full scale of
each (value / 65535 · 255). Equations, and the two ways to average a PSNR: metrics.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..errors import InputError
from ._pictures import Source, nothing_left
from ._scores import Case, Closeness, Evaluation, Score, score, strict
from ._trios import Denoise, arrange
from ._units import Mismatch, ruler

__all__ = ["Case", "Closeness", "Evaluation", "Score", "evaluate", "examples", "strict"]

Watch = Callable[[int, int], None]  # watch(files done, files in all)


def evaluate(
    noisy: Source,
    clean: Source | None = None,
    denoised: Source | Denoise | None = None,
    *,
    data_range: float | int | None = None,
    names: Sequence[str] | None = None,
    watch: Watch | None = None,
) -> Evaluation:
    """Score `noisy`, and `denoised` if given, against `clean`.

    Each is a folder, a file, a glob, or a sequence of files or of (H, W) or (H, W, C) arrays;
    `denoised` may also be a denoiser, which is then given each noisy picture. Files are paired by
    name, arrays by position. Without `clean`, `noisy` is one file that holds both: the course's
    val_data.pkl, or an .npz of two arrays called noisy and clean. `data_range` is in the units of
    the clean pictures: by default the full scale of their integer type, or max − min over all of
    them if they hold floats.

    A picture that cannot be read or holds nan is listed in `failed`; the others are scored.

    >>> import numpy as np
    >>> clean = [np.zeros((16, 16)), np.zeros((16, 16))]
    >>> scores = evaluate([clean[0] + 0.1, clean[1] + 0.01], clean, data_range=1)
    >>> {name: round(value, 2) for name, value in scores.figures() if "psnr" in name}
    {'psnr.noisy.per_image': 30.0, 'psnr.noisy.std': 14.14, 'psnr.noisy.pooled': 22.97}
    """
    trios = arrange(noisy, clean, denoised, names)
    scale = ruler([trio.clean for trio in trios], data_range)
    scores: list[Score] = []
    failed: dict[str, str] = {}
    for file, trio in enumerate(trios):
        try:
            scores += [score(case, (file, page)) for page, case in enumerate(trio.cases(scale))]
        except Mismatch:
            raise
        except (InputError, OSError) as error:
            failed[trio.noisy.name] = str(error)
        if watch:
            watch(file + 1, len(trios))
    if not scores:
        raise InputError(nothing_left(failed))
    return Evaluation(tuple(scores), scale.data_range, scale.origin, failed)


def examples(
    evaluation: Evaluation,
    noisy: Source,
    clean: Source | None = None,
    denoised: Source | Denoise | None = None,
    *,
    names: Sequence[str] | None = None,
) -> list[Case]:
    """Read again (and denoise again) the worst, median and best pictures of an evaluation.

    Scores keep no pixels, so that a long evaluation stays small. Give what `evaluate` was given.
    """
    trios = arrange(noisy, clean, denoised, names)
    scale = ruler([trio.clean for trio in trios], evaluation.data_range)
    places = {label: evaluation.scores[i].place for label, i in evaluation.cases().items()}
    found: dict[tuple[int, int], Case] = {}
    for file in dict.fromkeys(file for file, _ in places.values()):
        pages = sorted({page for of, page in places.values() if of == file})
        cases = trios[file].cases(scale, only=pages)
        found |= {(file, page): case for page, case in zip(pages, cases, strict=True)}
    return [replace(found[place], label=label) for label, place in places.items()]
