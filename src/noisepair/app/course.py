"""`noisepair course`: trained models as a folder that the EE-559 course can grade.

OUT/Miniproject_1/__init__.py, model.py   the files of app/miniproject/one, copied
OUT/Miniproject_1/bestmodel.pth           the weights, and how they are used
OUT/Miniproject_2/…                       the same of app/miniproject/two: gradients by hand
"""

import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from .. import files
from ..denoise import Denoiser
from ..errors import InputError
from ..evaluate import Evaluation, evaluate
from ..models import expressible
from ..recipe import Recipe, text_of
from ..train import train
from .console import Options
from .miniproject.one.model import BEST, HOLDOUT, unpack
from .miniproject.two.model import RECIPE
from .miniproject.two.model import Model as ModelByHand
from .training import display, stop_on_signal

STANDARD = Options()
PLANES = 3  # of the course's pictures


@dataclass(frozen=True)
class Project:
    """One of the two: the option that gives its model, its files, what --data trains it by."""

    option: str
    room: str
    recipe: Mapping[str, Any]


ONE, TWO = "Miniproject_1", "Miniproject_2"
PROJECTS = {
    ONE: Project("--model", "one", {"holdout": HOLDOUT}),
    TWO: Project("--model2", "two", RECIPE),
}


def course(
    out: Path,
    /,
    *,
    model: Path | None = None,
    model2: Path | None = None,
    data: Path | None = None,
    budget: str | None = None,
    options: Options = STANDARD,
) -> int:
    """Write a submission for the EE-559 course: both mini-projects, with their weights.

    Parameters
    ----------
    out
        The folder to write; it must not exist, or be empty.
    model
        For Miniproject_1: a model that `noisepair train` made of the course's pictures. Without
        --model2 it is written alone.
    model2
        For Miniproject_2, the network without autograd: one made with --engine scratch.
    data
        The course's train_data.pkl, to train both on first, one after the other. A val_data.pkl
        beside it is scored.
    budget
        Time to train each of them for, with --data; 10m where it is left out.
    """
    given = {ONE: model, TWO: model2}
    refuse(out, given, data, budget)
    device = options.torch_device()
    wanted = [name for name in PROJECTS if data or given[name]]
    with whole(out) as folder:
        denoisers = {
            name: loaded(name, path, device) if path else trained(name, data, budget, options)
            for name, path in given.items()
            if name in wanted
        }
        sizes = {name: write(folder / name, one) for name, one in denoisers.items()}
        scores = {name: scored(folder / name, data, device) for name in wanted}
    lines, plain = list[str](), dict[str, Any]({"submission": str(out)})
    for name in PROJECTS:
        if name not in wanted:
            lines.append(left_out(name))
            plain[name] = None
            continue
        card = denoisers[name].card
        gain = card.provenance.get("result", {}).get("gain_db")
        lines.append(f"{out / name} is written, {sizes[name] / 1e6:.1f} MB with its weights.")
        lines += told(scores[name], gain)
        if name == TWO and card.recipe.engine != "scratch":
            lines.append(
                f"Its weights were learnt with autograd (engine {card.recipe.engine}), and this"
                " project is about learning without: train with --engine scratch."
            )
        psnr = scores[name]
        plain[name] = {
            "bytes": sizes[name],
            "gain_db": gain,
            "psnr": psnr.as_json()["psnr"] if psnr else None,
        }
    options.result("\n".join(lines), plain)
    return 0


def refuse(
    out: Path, given: Mapping[str, Path | None], data: Path | None, budget: str | None
) -> None:
    """Say no before anything is trained or written."""
    models = [PROJECTS[name].option for name, path in given.items() if path]
    if not models and data is None:
        raise InputError(
            "None of --model, --model2 and --data was given. Give --model and --model2 for models"
            " that are trained, or --data for the course's train_data.pkl to train both on."
        )
    if models and data is not None:
        raise InputError(
            f"{' and '.join([*models, '--data'])} were given, and --data trains both projects."
            f" Leave out --data, or {' and '.join(models)}."
        )
    if budget is not None and data is None:
        raise InputError(
            f"--budget {budget} is the time to train for, and what {' and '.join(models)} names is"
            " trained already. Leave it out, or give --data instead."
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} exists and is not empty, and nothing is overwritten. Choose another folder, or"
            " remove it."
        )


def loaded(name: str, path: Path, device: torch.device) -> Denoiser:
    """A model that fits the course's pictures and the project."""
    denoiser = Denoiser.load(path, device)
    recipe, planes = denoiser.card.recipe, denoiser.card.planes
    if planes != PLANES:
        raise InputError(
            f"The model {path} was trained on pictures of {planes} colour planes, and the course's"
            f" have {PLANES}. Give a model that was trained on the course's train_data.pkl."
        )
    if name == TWO:
        try:
            expressible(recipe.network)
        except InputError:
            raise InputError(
                f"The model {path} has parts that noisepair.scratch has no backward pass for, and"
                f" {TWO} is written without autograd. {remedy(TWO)}"
            ) from None
    return denoiser


def trained(name: str, data: Path | None, budget: str | None, options: Options) -> Denoiser:
    """A model of the project's recipe; Ctrl-C means that none is wanted."""
    assert data is not None, "refuse() sees to it"
    recipe = Recipe.of({**PROJECTS[name].recipe, "budget": budget})
    options.say(f"— {name} —")
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
    """Fill the folder of a project; how many bytes it has."""
    room = resources.files(f"{__package__}.miniproject.{PROJECTS[folder.name].room}")
    contents = {name: room.joinpath(name).read_bytes() for name in ("__init__.py", "model.py")}
    contents[BEST.name] = pack(denoiser)
    files.make_folder(folder)
    for name, content in contents.items():
        files.write(folder / name, content)
    return sum(map(len, contents.values()))


def pack(denoiser: Denoiser) -> bytes:
    """A denoiser as the content of a bestmodel.pth, which either model.py reads."""
    weights = {name: value.cpu() for name, value in denoiser.network.state_dict().items()}
    file = io.BytesIO()
    torch.save({"card": json.dumps(denoiser.card.as_json()), "weights": weights}, file)
    return file.getvalue()


def scored(folder: Path, data: Path | None, device: torch.device) -> Evaluation | None:
    """What is written, not what is in memory, on a val_data.pkl beside the data."""
    val = data.with_name("val_data.pkl") if data else None
    if val is None or not val.exists():
        return None
    if folder.name == ONE:
        return evaluate(val, denoised=unpack(folder / BEST.name, device))
    model = ModelByHand()
    model.load_pretrained_model(folder / BEST.name)

    def denoise(page: np.ndarray, channel_axis: int) -> np.ndarray:
        planes_first = torch.from_numpy(np.moveaxis(page, channel_axis, 0).copy())
        denoised = model.predict(planes_first[None])[0].round().to(planes_first.dtype)
        return np.moveaxis(denoised.numpy(), 0, channel_axis)

    return evaluate(val, denoised=denoise)


@contextlib.contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A folder to fill; what is in it comes to `out` at the end. If anything fails, none of it."""
    fresh = not out.exists()
    files.make_folder(out)
    try:
        with files.said(f"write into {out}"):
            beside = TemporaryDirectory(dir=out, prefix=".")
        with beside:
            folder = Path(beside.name)
            yield folder
            placed: list[Path] = []
            try:
                for one in sorted(folder.iterdir()):
                    with files.said(f"write {out / one.name}"):
                        os.replace(one, out / one.name)
                    placed.append(out / one.name)
            except BaseException:
                for path in placed:
                    shutil.rmtree(path, ignore_errors=True)
                raise
    finally:
        if fresh:
            with contextlib.suppress(OSError):  # it is not empty when all went well
                out.rmdir()


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


def left_out(name: str) -> str:
    """Which project is not there, and how to get it."""
    about = ", the network without autograd," if name == TWO else ""
    return f"{name}{about} is left out. {remedy(name)}"


def remedy(name: str) -> str:
    """How a model for a project is made."""
    project = PROJECTS[name]
    usual = Recipe().lines()
    lines = " ".join(
        f"--{line} {text_of(value)}"
        for line, value in project.recipe.items()
        if usual.get(line) != value
    )
    return (
        f"Give {project.option} a model made with: noisepair train train_data.pkl {lines} --out"
        f" {project.option.removeprefix('--')}"
    )
