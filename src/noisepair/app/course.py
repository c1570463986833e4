"""`noisepair course`: a trained model as a folder that the EE-559 course can grade.

OUT/Miniproject_1/__init__.py, model.py   the files of app/miniproject, copied
OUT/Miniproject_1/bestmodel.pth           the weights, and how they are used
"""

import contextlib
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from .. import files
from ..denoise import Denoiser
from ..errors import InputError
from ..evaluate import Evaluation, evaluate
from ..recipe import Recipe
from ..train import train
from .console import Options
from .miniproject.model import BEST, HOLDOUT, pack, unpack
from .training import display, stop_on_signal

STANDARD = Options()
PROJECT = "Miniproject_1"
PLANES = 3  # of the course's pictures


def course(
    out: Path,
    /,
    *,
    model: Path | None = None,
    data: Path | None = None,
    budget: str | None = None,
    options: Options = STANDARD,
) -> int:
    """Write a submission for the EE-559 course: Miniproject_1, with its weights.

    Parameters
    ----------
    out
        The folder to write; it must not exist, or be empty.
    model
        A model that `noisepair train` made of the course's pictures.
    data
        The course's train_data.pkl, to train on first. A val_data.pkl beside it is scored.
    budget
        Time to train for, with --data.
    """
    refuse(out, model, data, budget)
    device = options.torch_device()
    with whole(out / PROJECT) as folder:
        denoiser = Denoiser.load(model, device) if model else trained(data, budget, options)
        size = write(folder, denoiser)
        val = data.with_name("val_data.pkl") if data else None
        scores = None
        if val and val.exists():  # of what was written, not of what is in memory
            scores = evaluate(val, denoised=unpack(folder / BEST.name, device))
    gain = denoiser.card.provenance.get("result", {}).get("gain_db")
    plain = {
        "submission": str(out),
        "bytes": size,
        "gain_db": gain,
        "psnr": scores.as_json()["psnr"] if scores else None,
    }
    lines = [
        f"{out / PROJECT} is written, {size / 1e6:.1f} MB with its weights.",
        *told(scores, gain),
        "Miniproject_2, the network without autograd, is not in it: noisepair has none yet.",
    ]
    options.result("\n".join(lines), plain)
    return 0


def refuse(out: Path, model: Path | None, data: Path | None, budget: str | None) -> None:
    """Say no before anything is trained or written."""
    if (model is None) == (data is None):
        given = (
            "Neither --model nor --data was" if model is None else "Both --model and --data were"
        )
        raise InputError(
            f"{given} given, and one must be. Give --model for a model that is trained, or --data"
            " for the course's train_data.pkl to train one on."
        )
    if budget is not None and data is None:
        raise InputError(
            f"--budget {budget} is the time to train for, and a --model is trained already. Leave"
            " it out, or give --data instead of --model."
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} exists and is not empty, and nothing is overwritten. Choose another folder, or"
            " remove it."
        )


def trained(data: Path | None, budget: str | None, options: Options) -> Denoiser:
    """A model of the default recipe; Ctrl-C means that none is wanted."""
    assert data is not None, "refuse() sees to it"
    recipe = Recipe.of({"budget": budget, "holdout": HOLDOUT})
    with stop_on_signal() as stopped, display(options) as show:
        denoiser = train(
            data,
            recipe=recipe,
            device=options.torch_device(),
            watch=lambda progress: bool(show(progress) or stopped),
            tell=options.say,
        )
    if stopped:
        options.say("Stopped; nothing is written.")
        raise KeyboardInterrupt
    return denoiser


def write(folder: Path, denoiser: Denoiser) -> int:
    """Fill Miniproject_1; how many bytes it has."""
    planes = denoiser.card.planes
    if planes != PLANES:
        raise InputError(
            f"This model was trained on pictures of {planes} colour planes, and the course's have"
            f" {PLANES}. Give a model that was trained on the course's train_data.pkl."
        )
    source = resources.files(f"{__package__}.miniproject")
    contents = {name: source.joinpath(name).read_bytes() for name in ("__init__.py", "model.py")}
    contents[BEST.name] = pack(denoiser)
    for name, content in contents.items():
        files.write(folder / name, content)
    return sum(map(len, contents.values()))


@contextlib.contextmanager
def whole(place: Path) -> Iterator[Path]:
    """A folder to fill, moved to `place` at the end. Whatever goes wrong, nothing of it is left."""
    above = place.parent
    fresh = not above.exists()
    files.make_folder(above)
    try:
        with files.said(f"write into {above}"):
            beside = TemporaryDirectory(dir=above, prefix=".")
        with beside:
            folder = Path(beside.name) / place.name
            folder.mkdir()
            yield folder
            with files.said(f"write {place}"):
                os.replace(folder, place)
    finally:
        if fresh:
            with contextlib.suppress(OSError):  # it is not empty when all went well
                above.rmdir()


def told(scores: Evaluation | None, gain: float | None) -> list[str]:
    """How good the model is: measured where there is a val_data.pkl, else as training estimated."""
    if scores:
        psnr = scores.summary()["psnr"]
        before, after = psnr["noisy"], psnr["denoised"]
        return [
            f"PSNR on val_data.pkl: {after['per_image']:.2f} dB per image, {after['pooled']:.2f} dB"
            f" pooled (noisy: {before['per_image']:.2f} and {before['pooled']:.2f})."
        ]
    ask = "To score it: noisepair evaluate val_data.pkl --model MODEL"
    if gain is None:
        return [ask]
    return [f"About {gain:+.1f} dB PSNR, estimated from held-out noisy pairs.", ask]
