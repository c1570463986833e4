"""`noisepair describe`: the key points of pictures and what descriptors make of them, in a file."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from .. import images
from ..errors import InputError
from ..runtimes import require
from .console import Options
from .denoising import level, progress

if TYPE_CHECKING:
    from ..descriptors.features import Features

STANDARD = Options()
MODEL = "noisy"  # the bundled descriptor
PORTABLE = {".ppm", ".pgm"}  # HPatches' and Oxford's own


def describe(  # noqa: PLR0913  a command has as many options as it has
    picture: Annotated[list[str], Parameter(name="PICTURE")],
    /,
    *,
    out: Path,
    model: str = MODEL,
    most: int = 2000,
    denoise: Literal["auto", "always", "never"] = "auto",
    sigma: str | None = None,
    patches: Literal["noisy", "denoised"] = "noisy",
    region: float = 7.5,
    options: Options = STANDARD,
) -> int:
    """Find key points in pictures, noisy ones too, and describe each by a vector.

    Parameters
    ----------
    picture
        Files, folders or globs: PNG, JPEG, TIFF, BMP, WebP, .npy, and files .ppm and .pgm.
    out
        What to write, by its suffix: .npz for NumPy; .h5 for hloc (needs h5py: pip install
        'noisepair[hloc]'); .txt for COLMAP, of one picture; without a suffix a folder of them.
    model
        What describes: a folder that training a descriptor wrote, published weights of HardNet or
        HyNet, or rootsift; left out, the descriptor that comes with noisepair.
    most
        Key points of a picture, at most: those that answer most.
    denoise
        Whether key points are looked for in the denoised picture: auto where there is noise enough.
    sigma
        Noise level in picture units, such as 25/255; measured in each picture if left out.
    patches
        What a network is shown: noisy as the picture came, for those that learnt on noisy patches;
        denoised, where that was denoised, for others.
    region
        Half the side of a patch over the scale of its point: 5 in HPatches, 6 in kornia and hloc.
    """
    require("cv2")
    from ..descriptors import feature_files, features

    refuse(most, region)
    known = level(sigma)
    files = meant(picture)
    device = options.torch_device()
    descriptor = features.opened(model, device)
    told, failed = [], []
    with feature_files.opened(out, len(files)) as put, progress(options, len(files)) as show:
        for number, (file, name) in enumerate(zip(files, feature_files.names(files), strict=True)):
            try:
                found = features.features(
                    read(file, options), descriptor, most=most, denoise=denoise, patches=patches,
                    noise="auto" if known is None else known, region=region, device=device,
                )  # fmt: skip
            except InputError as error:
                failed.append({"file": str(file), "error": said(file, error)})
            else:
                put(name, found)
                told.append(plain(file, name, found))
                options.say(sentence(file, found))
            show(number + 1)
        if not told:  # before anything is put in place
            more = f" So with all {len(failed)} pictures." if len(failed) > 1 else ""
            raise InputError(failed[0]["error"] + more)
    options.say(*(one["error"] for one in failed))
    points = sum(one["points"] for one in told)
    text = (
        f"{len(told)} of {len(files)} pictures described in {out}: {points:,} key points,"
        f" {told[0]['numbers']} numbers each ({told[0]['method']})."
    )
    options.result(text, {"out": str(out), "model": model, "described": told, "failed": failed})
    return 2 if failed else 0


def refuse(most: int, region: float) -> None:
    """Numbers that are none, before anything is read."""
    if most < 1:
        raise InputError(f"--most {most} is none at all. Give 1 or more, or leave it out.")
    if not 0 < region < math.inf:
        raise InputError(f"--region {region:g} has no area. Give 7.5, or leave it out.")


def meant(pictures: Sequence[str]) -> list[Path]:
    """The files, in the order that they were named in; .ppm and .pgm too, if they are named."""
    found: list[Path] = []
    for one in pictures:
        named = Path(one)
        found += [named] if portable(named) and named.is_file() else images.find([one])
    return list({path.absolute(): path for path in found}.values())


def portable(path: Path) -> bool:
    return path.suffix.lower() in PORTABLE


def read(path: Path, options: Options) -> np.ndarray:
    """(H, W, 1 or 3), as stored; of several pages the first."""
    if portable(path):
        from ..hpatches import _scenes

        return _scenes.read(path)
    pages = images.read(path).pixels
    if len(pages) > 1:
        options.say(f"{path.name}: {len(pages)} pages, of which the first is described.")
    return pages[0]


def said(file: Path, error: InputError) -> str:
    """What is wrong, with the name of the file."""
    return str(error) if str(file) in str(error) else f"{file}: {error}"


def plain(file: Path, name: str, found: "Features") -> dict[str, Any]:
    """A picture's line for a program."""
    return {
        "file": str(file), "name": name, "size": list(found.size), "points": len(found),
        "numbers": found.vectors.shape[1], "method": found.method, "noise": found.noise,
        "denoised": found.denoised,
    }  # fmt: skip


def sentence(file: Path, found: "Features") -> str:
    """And for a person."""
    words = f"{file.name}: {len(found):,} key points"
    if found.noise is not None:
        words += f", noise sigma {found.noise * 255:.1f}/255"
    return words + (", denoised to find them" if found.denoised else "")
