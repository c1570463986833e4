"""`noisepair demo`: the main job in two minutes, on pictures that scikit-image ships.

Photographs and micrographs to train on, two photographs held out for the report. Each gives two
noisy shots with Gaussian noise of sigma 50/255, neither clipped nor rounded, drawn once. Training
sees noisy shots only; the clean pictures of the held-out scenes serve to score and to look at.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tifffile
from cyclopts import Parameter
from skimage import data

from .. import files
from ..denoise import Denoiser
from ..errors import InputError
from ..evaluate import Case, Evaluation, evaluate, examples
from ..noise import Gaussian
from ..recipe import Recipe
from ..sources import made_shots
from ..train import train
from . import figures
from .console import Options, span
from .report import Photo, Section, Table, learned, made_of, write_page
from .training import display, stop_on_signal

STANDARD = Options()
NOISE = Gaussian(50 / 255)
TRAINING = (
    "astronaut", "rocket", "hubble_deep_field", "immunohistochemistry", "camera", "brick", "grass",
    "gravel", "moon", "coins", "clock", "page",
)  # fmt: skip
HELD_OUT = ("cat", "coffee")
SEED = 1  # of the held-out noise: other than that of training
OURS = ("report.html", "report.png", "model", "noisy", "clean", "denoised")


def demo(
    *,
    out: Path = Path("noisepair-demo"),
    budget: str = "60s",
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    options: Options = STANDARD,
) -> int:
    """Train on noisy shots, denoise pictures that were held out, and show the result.

    Parameters
    ----------
    out
        Folder for the model, the pictures, report.html and report.png.
    budget
        Time to train for.
    overwrite
        Replace an earlier demo in --out.
    """
    recipe = Recipe.of({"budget": budget, "batch": 8, "crop": 64, "noise": NOISE.__dict__})
    device = options.torch_device()
    clear(out, overwrite=overwrite)
    write_pictures(out)
    with stop_on_signal() as stopped, display(options) as show:
        denoiser = train(
            {name: rgb(name) for name in TRAINING},
            out=out / "model",
            recipe=recipe,
            device=device,
            watch=lambda progress: bool(show(progress) or stopped),
            tell=options.say,
        )
    if stopped:
        options.say("Stopped; there is no report yet.")
        return 130
    denoise_pictures(out, denoiser)
    noisy, clean, denoised = (out / side for side in ("noisy", "clean", "denoised"))
    scores = evaluate(noisy, clean, denoised, data_range=1.0)
    pictures = examples(scores, noisy, clean, denoised)
    page = report(out, denoiser, scores, pictures)
    plain = result(denoiser, scores, page)
    options.result(told(plain), plain)
    return 0


def rgb(name: str) -> np.ndarray:
    """A picture of scikit-image, (H, W, 3) uint8; grey ones get three equal planes."""
    picture = getattr(data, name)()
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def clear(out: Path, *, overwrite: bool) -> None:
    """Make room for a demo; lose nothing that is not an earlier demo."""
    there = [out / name for name in OURS if (out / name).exists()]
    if there and not overwrite:
        raise InputError(
            f"{there[0]} exists: a demo was here. Pass --overwrite, or choose another --out."
        )
    with files.said(f"clear {out}"):
        for path in there:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_pictures(out: Path) -> None:
    """The held-out scenes: clean, and one noisy shot of each, as floating-point TIFF files."""
    for number, name in enumerate(HELD_OUT):
        clean = rgb(name)
        noisy, _ = made_shots(clean[None], NOISE, SEED, number)
        write_tiff(out / "clean" / f"{name}.tif", (clean / 255).astype(np.float32))
        write_tiff(out / "noisy" / f"{name}.tif", noisy[0])


def denoise_pictures(out: Path, denoiser: Denoiser) -> None:
    for name in HELD_OUT:
        noisy = tifffile.imread(out / "noisy" / f"{name}.tif")
        write_tiff(out / "denoised" / f"{name}.tif", denoiser(noisy, channel_axis=-1))


def write_tiff(path: Path, picture: np.ndarray) -> None:
    files.make_folder(path.parent)
    with files.placed(path) as beside:
        tifffile.imwrite(beside, picture, photometric="rgb", compression="zlib")


def result(denoiser: Denoiser, scores: Evaluation, page: Path) -> dict[str, Any]:
    """What came of it, for a program; PSNR pooled over the held-out pictures."""
    psnr = scores.summary()["psnr"]
    return {
        "psnr": {
            "noisy": psnr["noisy"]["pooled"],
            "denoised": psnr["denoised"]["pooled"],
            "gain": psnr["gain"]["pooled"],
        },
        "seconds": denoiser.card.provenance["result"]["seconds"],
        "steps": denoiser.card.provenance["result"]["steps"],
        "report": str(page),
    }


def told(plain: Mapping[str, Any]) -> str:
    psnr = plain["psnr"]
    return (
        f"Held-out pictures: {psnr['noisy']:.2f} dB noisy, {psnr['denoised']:.2f} dB denoised"
        f" ({psnr['gain']:+.2f} dB), after {span(plain['seconds'])} of training on noisy shots."
        f"\nOpen {plain['report']}"
    )


def report(out: Path, denoiser: Denoiser, scores: Evaluation, pictures: list[Case]) -> Path:
    """report.png, and report.html with pictures, curves, figures and what to type next."""
    gallery = figures.png(figures.gallery(pictures))
    files.write(out / "report.png", gallery)
    psnr = scores.summary()["psnr"]
    came = denoiser.card.provenance["result"]
    gain = f"{psnr['gain']['pooled']:.1f}"
    rows: list[list[str | float | None]] = [
        [score.name, score.noisy.psnr, score.denoised.psnr, score.gain, score.denoised.ssim]
        for score in scores.scores
        if score.denoised
    ]
    rows.append(
        [
            "pooled",
            psnr["noisy"]["pooled"],
            psnr["denoised"]["pooled"],
            psnr["gain"]["pooled"],
            None,
        ]
    )
    return write_page(
        out / "report.html",
        title=f"{gain} dB gained without a clean picture",
        lead=(
            f"A network was trained for {span(came['seconds'])} on two noisy shots of each of"
            f" {len(TRAINING)} scenes, and denoised pictures of scenes that it never saw."
        ),
        sections=[
            Section(
                "Held-out pictures",
                figures=[Photo(gallery, "noisy, denoised and clean pictures side by side")],
                table=Table(["picture", "noisy dB", "denoised dB", "gain dB", "SSIM"], rows),
            ),
            *learned(out / "model"),
            Section(
                "The same with your own pictures",
                "Two folders with the same file names, one noisy shot of each scene in each:",
                code="noisepair train shots_a shots_b --out model\n"
                "noisepair denoise shots_a --model model --out denoised",
            ),
            *made_of(denoiser),
            Section(
                "How it was measured",
                "Gaussian noise of sigma 50/255, neither clipped nor rounded, drawn once a picture"
                f" from fixed seeds. {scores.protocol} Value range 1.",
            ),
        ],
    )
