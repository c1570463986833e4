"""`noisepair match`: two pictures in; which places they share, and how one becomes the other."""

import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from .. import images
from ..errors import InputError
from ..files import make_folder, write
from ..runtimes import require
from .console import Options
from .denoising import level
from .describing import MODEL, read, refuse, said, sentence

if TYPE_CHECKING:
    from ..descriptors.correspondence import Correspondence
    from ..descriptors.features import Features

STANDARD = Options()
PICTURE, TABLE, ARRAYS = "matches.png", "matches.json", "matches.npz"


def match(  # noqa: PLR0913  a command has as many options as it has
    one: Annotated[Path, Parameter(name="A")],
    two: Annotated[Path, Parameter(name="B")],
    /,
    *,
    out: Path,
    model: str = MODEL,
    ratio: float = 0.9,
    geometry: Literal["auto", "homography", "fundamental"] = "auto",
    threshold: float = 3.0,
    most: int = 2000,
    denoise: Literal["auto", "always", "never"] = "auto",
    sigma: str | None = None,
    patches: Literal["noisy", "denoised"] = "noisy",
    region: float = 7.5,
    truth: Path | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    options: Options = STANDARD,
) -> None:
    """Match two pictures of a scene, noisy ones too, and say whether they match at all.

    Parameters
    ----------
    one
        A picture: PNG, JPEG, TIFF, BMP, WebP, .npy, .ppm or .pgm.
    two
        Another one of the same scene.
    out
        The folder to write to: matches.png to look at, matches.json and matches.npz.
    model
        What describes key points: a folder that training a descriptor wrote, published weights of
        HardNet or HyNet, or rootsift; left out, the descriptor that comes with noisepair.
    ratio
        A match is kept where its distance is at most this share of that to the second nearest; 1
        keeps all mutual neighbours.
    geometry
        homography for a plane or a camera that turned, fundamental for any scene that stood still;
        auto takes the one that is less likely to come about by accident.
    threshold
        Error of an inlier at most, in pixels.
    most
        Key points of a picture, at most: those that answer most.
    denoise
        Whether key points are looked for in the denoised picture: auto where there is noise enough.
    sigma
        Noise level in picture units, such as 25/255; measured in each picture if left out.
    patches
        What a network is shown: noisy, for those that learnt on noisy patches; denoised, where that
        was denoised, for others.
    region
        Half the side of a patch over the scale of its point: 5 in HPatches, 6 in kornia and hloc.
    truth
        A file with the true homography from A to B, three lines of three numbers, to be judged by.
    overwrite
        Replace what another match wrote into --out.
    """
    require("cv2")
    from ..descriptors import features
    from ..descriptors.correspondence import correspond
    from ..hpatches._scenes import read_homography

    refuse(most, region)
    refuse_matching(ratio, threshold)
    known = level(sigma)
    clear(out, overwrite=overwrite)
    right = None if truth is None else read_homography(truth)
    pictures = [read(readable(file), options) for file in (one, two)]
    device = options.torch_device()
    descriptor = features.opened(model, device)
    described = []
    for file, picture in zip((one, two), pictures, strict=True):
        try:
            found = features.features(
                picture, descriptor, most=most, denoise=denoise, patches=patches,
                noise="auto" if known is None else known, region=region, device=device,
            )  # fmt: skip
        except InputError as error:
            raise InputError(said(file, error)) from error
        options.say(sentence(file, found))
        described.append(found)
    first, second = described
    came = correspond(first, second, ratio=ratio, geometry=geometry, threshold=threshold)
    plain = {
        **told(came, first, right),
        "ratio": ratio,
        "threshold": threshold,
        "pictures": [about(*each) for each in zip((one, two), described, strict=True)],
    }
    make_folder(out)
    put(out, pictures, first, second, came, plain)
    files = [str(out / name) for name in (PICTURE, TABLE, ARRAYS)]
    options.result(words(plain, out), {**plain, "out": files})


def refuse_matching(ratio: float, threshold: float) -> None:
    """Numbers that keep no match or no inlier."""
    if not 0 < ratio <= 1:
        raise InputError(
            f"--ratio {ratio:g} is not possible. Give more than 0 and at most 1, which keeps all"
            " mutual neighbours; 0.9 is usual."
        )
    if not 0 < threshold < math.inf:
        raise InputError(f"--threshold {threshold:g} has no inliers. Give pixels, such as 3.")


def clear(out: Path, *, overwrite: bool) -> None:
    """Say no where another match was, or a file is."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Choose another --out, a folder or a name that is free.")
    there = [out / name for name in (PICTURE, TABLE, ARRAYS) if (out / name).exists()]
    if there and not overwrite:
        raise InputError(
            f"{there[0]} exists: a match was here. Pass --overwrite, or choose another --out."
        )


def readable(file: Path) -> Path:
    """A file, not a folder of them."""
    if file.is_dir():
        raise InputError(f"{file} is a folder. Give one picture, and another one to match it with.")
    return file


# — what came of it —


def told(came: "Correspondence", first: "Features", right: np.ndarray | None) -> dict[str, Any]:
    """For a program: the verdict, and the geometry if there is one to rely on."""
    from ..descriptors.two_views import corner_error

    found = came.geometry
    alarms = None if found is None or math.isinf(found.false_alarms) else found.false_alarms
    plain: dict[str, Any] = {
        "reliable": came.reliable,
        "matches": len(came.pairs),
        "inliers": 0,
        "geometry": None,
        "matrix": None,
        "error": None,
        "log10_false_alarms": alarms,
    }
    if came.reliable and found is not None:
        errors = found.errors[found.inliers]
        plain |= {
            "inliers": int(found.inliers.sum()),
            "geometry": found.kind,
            "matrix": found.matrix.tolist(),
            "error": {"median": float(np.median(errors)), "mean": float(errors.mean())},
        }
    if right is not None:
        judged = came.reliable and found is not None and found.kind == "homography"
        corner = corner_error(found.matrix, right, first.size) if judged and found else math.inf
        plain["corner_error"] = None if math.isinf(corner) else corner
    return plain


def about(file: Path, found: "Features") -> dict[str, Any]:
    return {
        "file": str(file), "size": list(found.size), "points": len(found), "method": found.method,
        "noise": found.noise, "denoised": found.denoised,
    }  # fmt: skip


def put(
    out: Path, pictures: list[np.ndarray], first: "Features", second: "Features",
    came: "Correspondence", plain: dict[str, Any],
) -> None:  # fmt: skip
    """The three files, each whole or not at all."""
    import cv2

    from .match_picture import drawn

    here, there = first.xy[came.pairs[:, 0]], second.xy[came.pairs[:, 1]]
    count, found = len(came.pairs), came.geometry if came.reliable else None
    errors = np.full(count, np.nan) if found is None else found.errors
    inliers = np.zeros(count, bool) if found is None else found.inliers
    left, right = (shown(picture) for picture in pictures)
    sheet = drawn(left, right, here.astype(float), there.astype(float), came, plain["threshold"])
    write(out / PICTURE, bytes(cv2.imencode(".png", sheet[..., ::-1])[1]))
    rows = [
        {"a": a, "b": b, "distance": distance, "error": error, "inlier": inlier}
        for a, b, distance, error, inlier in zip(
            here.tolist(), there.tolist(), came.distances.tolist(),
            [error if math.isfinite(error) else None for error in errors.tolist()],
            inliers.tolist(), strict=True,
        )
    ]  # fmt: skip
    write(out / TABLE, (json.dumps({**plain, "pairs": rows}, allow_nan=False) + "\n").encode())
    arrays = io.BytesIO()
    np.savez(
        arrays, keypoints_a=first.xy, keypoints_b=second.xy,
        matches=came.pairs, distances=came.distances, errors=errors, inliers=inliers,
        matrix=np.full((3, 3), np.nan) if found is None else found.matrix,
    )  # fmt: skip
    write(out / ARRAYS, arrays.getvalue())


def shown(picture: np.ndarray) -> np.ndarray:
    """Three planes of 8 bits."""
    page = picture if picture.dtype == np.uint8 else images.from_unit(
        images.to_unit(picture), np.uint8
    )  # fmt: skip
    return np.ascontiguousarray(np.broadcast_to(page, (*page.shape[:2], 3)))


def words(plain: dict[str, Any], out: Path) -> str:
    """For a person."""
    files = f"Look at {out / PICTURE}; {TABLE} and {ARRAYS} are beside it."
    if not plain["reliable"]:
        return (
            f"No reliable match: {plain['matches']} key points are nearest to each other, and what"
            f" they agree on may be accident. {files}"
        )
    kind = plain["geometry"] + (" matrix" if plain["geometry"] == "fundamental" else "")
    line = (
        f"{plain['inliers']} of {plain['matches']} matches obey a {kind}, median error"
        f" {plain['error']['median']:.2f} pixels."
    )
    if "corner_error" in plain:
        corner = plain["corner_error"]
        line += (
            f" Corner error {corner:.2f} pixels." if corner is not None
            else " No corner error: no homography was found."
        )  # fmt: skip
    return f"{line} {files}"
