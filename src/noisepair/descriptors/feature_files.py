"""Described key points on disk: for NumPy, for hloc, for COLMAP. All of a file, or the old one.

    .npz      arrays NAME/xy, NAME/vectors and so on, as `Features` has them
    .h5       hloc's features: a group per picture; keypoints (N, 2), descriptors (D, N) float16,
              scores, scales, oris, image_size (width, height)
    .txt      COLMAP's: `N 128`, then rows `x y scale orientation` and 128 whole numbers, 0 to 255;
              a folder holds a file NAME.txt per picture

Places differ: `Features` and hloc's file have (0, 0) in the middle of the top left pixel (hloc adds
the half when it hands points to COLMAP), COLMAP in its corner: there they are half a pixel more.
Scale is COLMAP's σ, half of OpenCV's size; orientation is in radians, clockwise.

COLMAP compares bytes, by the angle between them. Vectors that are never negative, as RootSIFT's,
are written 512 times as large. Of others v the bytes are those of (v + s) / |v + s|, s = 0.25 in
every place: angles shrink, nearly alike, and nearest neighbours stay.
"""

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from ..errors import InputError
from ..files import make_folder, placed, write
from ..runtimes import require
from .features import Features

Put = Callable[[str, Features], None]  # NAME, what was found in it

SHIFT = 0.25  # numbers of a vector of 128 and length 1 deviate by 0.09
LENGTH = 512  # of COLMAP's vectors of bytes
COLMAP = 128  # numbers of them


def opened(out: Path, pictures: int) -> AbstractContextManager[Put]:
    """What takes the features of `pictures` pictures, one by one; they are there when it is left.

    Raises InputError for an unknown suffix, for .txt and several pictures, and without h5py.
    """
    suffix = out.suffix.lower()
    if out.is_dir() or not suffix:
        return folder(out)
    if suffix not in WRITERS:
        raise InputError(
            f"{out} has the suffix {out.suffix}. Accepted: .npz for NumPy, .h5 for hloc, .txt for"
            " COLMAP, and no suffix for a folder of .txt. Choose one of them."
        )
    if suffix == ".txt" and pictures > 1:
        raise InputError(
            f"{out} is one file, and COLMAP wants one a picture: there are {pictures}. Give a"
            " folder, or .npz or .h5, which hold many."
        )
    if suffix == ".h5":
        require("h5py")
    return WRITERS[suffix](out)


def names(files: Sequence[Path]) -> list[str]:
    """What pictures are called: paths below the folder that they share, as hloc has them."""
    paths = [Path(os.path.abspath(file)) for file in files]
    root = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(root).as_posix() for path in paths]


# — the kinds —


@contextmanager
def npz(out: Path) -> Iterator[Put]:
    with placed(out) as beside, zipfile.ZipFile(beside, "w") as archive:

        def put(name: str, found: Features) -> None:
            values = {key: value for key, value in vars(found).items() if value is not None}
            for key, value in values.items():
                with archive.open(f"{name}/{key}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.asarray(value), allow_pickle=False)

        yield put


@contextmanager
def h5(out: Path) -> Iterator[Put]:
    import h5py

    with placed(out) as beside, h5py.File(beside, "w") as file:

        def put(name: str, found: Features) -> None:
            group = file.create_group(name)
            columns = {
                "keypoints": found.xy,
                "descriptors": found.vectors.T.astype(np.float16),
                "scores": found.response,
                "scales": found.scale / 2,
                "oris": found.angle,
                "image_size": np.array(found.size[::-1]),
            }
            for key, value in columns.items():
                group.create_dataset(key, data=value)
            group["keypoints"].attrs["uncertainty"] = 1.0  # pixels, as hloc has it of DoG
            group.attrs["method"] = found.method

        yield put


@contextmanager
def one_text(out: Path) -> Iterator[Put]:
    yield lambda name, found: write(out, text(found))


@contextmanager
def folder(out: Path) -> Iterator[Put]:
    make_folder(out)

    def put(name: str, found: Features) -> None:
        path = out / f"{name}.txt"
        make_folder(path.parent)
        write(path, text(found))

    yield put


WRITERS: Mapping[str, Callable[[Path], AbstractContextManager[Put]]] = {
    ".npz": npz,
    ".h5": h5,
    ".txt": one_text,
}


# — COLMAP —


def text(found: Features) -> bytes:
    """The lines of a picture; InputError where the vectors have not 128 numbers."""
    count, numbers = found.vectors.shape
    if numbers != COLMAP:
        raise InputError(
            f"COLMAP's vectors have 128 numbers, and those of {found.method} have {numbers}. Write"
            " .npz or .h5."
        )
    heads = np.column_stack([found.xy + 0.5, found.scale / 2, np.deg2rad(found.angle)])
    lines = [f"{count} {COLMAP}"]
    for head, row in zip(heads.tolist(), as_bytes(found.vectors).tolist(), strict=True):
        lines.append(" ".join([*(f"{value:.6g}" for value in head), *map(str, row)]))
    return ("\n".join(lines) + "\n").encode()


def as_bytes(vectors: Float32[np.ndarray, "N D"]) -> UInt8[np.ndarray, "N D"]:
    """Vectors of any length as COLMAP compares them."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.maximum(length, 1e-12)
    if (units < 0).any():
        units = np.maximum(units + SHIFT, 0)
        units /= np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-12)
    return np.rint(LENGTH * units).clip(0, 255).astype(np.uint8)
