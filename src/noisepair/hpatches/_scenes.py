"""What patches are made of: photographs, and sequences of six pictures with their homographies.

    SOURCE/1.ppm … 6.ppm, H_1_2 … H_1_6        a sequence, as HPatches lays it out
    SOURCE/img1.png … img6.png, H1to2p …       a sequence, as Oxford does
    SOURCE/graf/, SOURCE/wall/                 folders that are sequences
    SOURCE/*.jpg                               photographs; half become v_, half i_ sequences

x_k ~ H x_1 for pixels x_1 of the reference, which is picture 1. Grey levels of 8 bits.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .. import images
from ..errors import InputError
from ..files import said
from ._sample import Homography
from ._views import Colour, Grey, views
from .layout import OTHERS

PICTURE = re.compile(r"(?:img)?(\d)\.(\w+)", re.IGNORECASE)
HOMOGRAPHY = re.compile(r"H_?1_?(?:to)?(\d)p?(?:\.txt)?", re.IGNORECASE)
NUMBERS = range(1, OTHERS + 2)  # of the pictures of a sequence
PORTABLE = (".ppm", ".pgm")  # what sequences come in, and no photograph does
LONGEST = 1024  # pixels; a larger photograph is made smaller first, a sequence is not
STILL = 0.02  # of the diagonal: pictures whose corners stay within it differ in light

Views = tuple[Grey, list[tuple[Homography, Grey]]]  # the reference, and where and what the others


@dataclass(frozen=True)
class Photograph:
    """One picture, of which five others are made."""

    path: Path
    kind: str  # "v" or "i"

    @property
    def name(self) -> str:
        return f"{self.kind}_{plain(self.path.stem)}"

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def views(self, rng: np.random.Generator) -> Views:
        picture = read(self.path)
        if (factor := LONGEST / max(picture.shape)) < 1:
            picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        return grey(picture), list(views(picture, self.kind, rng, OTHERS))


@dataclass(frozen=True)
class Series:
    """Six pictures of one scene, and where the pixels of the first lie in the others."""

    name: str
    files: tuple[Path, ...]
    homographies: tuple[Path, ...]

    def views(self, rng: np.random.Generator) -> Views:
        """Nothing is drawn."""
        reference, *others = (grey(read(path)) for path in self.files)
        known = [read_homography(path) for path in self.homographies]
        return reference, list(zip(known, others, strict=True))


Scene = Photograph | Series


def find(sources: Sequence[Path], most: int | None = None) -> list[Scene]:
    """All scenes, in natural order: of the photographs the first `most`, by turns as v_ and i_."""
    found = [scene for source in sources for scene in scenes(Path(source).expanduser())]
    photographs = [scene for scene in found if isinstance(scene, Path)][:most]
    made = [Photograph(path, "vi"[n % 2]) for n, path in enumerate(photographs)]
    return [*(scene for scene in found if isinstance(scene, Series)), *made]


def scenes(source: Path) -> Iterator[Path | Series]:
    """The photographs, as paths, and the sequences that one source means."""
    if not source.is_dir():
        yield from images.find([source])
        return
    with said(f"list {source}"):
        held = sorted(source.iterdir(), key=lambda path: path.name)
    if is_series(held):
        yield series(source, held)
        return
    folders = [path for path in held if path.is_dir()]
    within = [(path, sorted(path.iterdir(), key=lambda one: one.name)) for path in folders]
    sequences = [series(path, files) for path, files in within if is_series(files)]
    yield from sequences
    if not sequences or any(path.suffix.lower() in images.SUFFIXES for path in held):
        yield from images.find([source])


def is_series(held: Sequence[Path]) -> bool:
    """Whether these files are a sequence: there is a homography, or just the pictures 1 to 6."""
    pictures = [path for path in held if path.suffix.lower() in (*images.SUFFIXES, *PORTABLE)]
    numbers = sorted(int(m[1]) for path in pictures if (m := PICTURE.fullmatch(path.name)))
    six = len(pictures) == len(NUMBERS) and numbers == [*NUMBERS]
    return six or any(HOMOGRAPHY.fullmatch(path.name) for path in held)


def picture_name(path: Path) -> re.Match | None:
    known = path.suffix.lower() in (*images.SUFFIXES, *PORTABLE)
    return PICTURE.fullmatch(path.name) if known else None


def series(folder: Path, held: Sequence[Path]) -> Series:
    """The sequence in a folder, complete."""
    pictures = {int(m[1]): path for path in held if (m := picture_name(path))}
    known = {int(m[1]): path for path in held if (m := HOMOGRAPHY.fullmatch(path.name))}
    lacking = [f"picture {k}" for k in NUMBERS if k not in pictures]
    lacking += [f"homography 1 to {k}" for k in NUMBERS[1:] if k not in known]
    if lacking:
        raise InputError(
            f"{folder} looks like a sequence and lacks {', '.join(lacking)}. A sequence is 1.ppm "
            "to 6.ppm with H_1_2 to H_1_6, or img1.png to img6.png with H1to2p to H1to6p. Add what "
            "is missing, or rename pictures that have nothing in common."
        )
    homographies = tuple(known[k] for k in NUMBERS[1:])
    return Series(
        series_name(folder, homographies), tuple(pictures[k] for k in NUMBERS), homographies
    )


def series_name(folder: Path, homographies: Sequence[Path]) -> str:
    """Its own name where that says what changes; else by whether anything moves."""
    name = plain(folder.resolve().name)
    if name.startswith(("v_", "i_")):
        return name
    moved = any(moves(read_homography(path)) for path in homographies)
    return f"{'v' if moved else 'i'}_{name}"


def moves(homography: Homography) -> bool:
    """Whether the corners of a picture of a thousand pixels a side leave their places."""
    corners = np.array([[0, 1000, 1000, 0], [0, 0, 1000, 1000], [1, 1, 1, 1]], float)
    x, y, w = homography @ corners
    return bool(np.hypot(x / w - corners[0], y / w - corners[1]).max() > STILL * 2**0.5 * 1000)


def plain(name: str) -> str:
    """A name that lists and paths can hold.

    >>> plain("my photo, 2")
    'my-photo-2'
    """
    return re.sub(r"[^\w.-]+", "-", name)


# ---- files


def read(path: Path) -> Colour:
    """Colours of 8 bits, (H, W, 3); of a stack the first page."""
    if path.suffix.lower() in PORTABLE:
        with said(f"read {path}"):
            pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise InputError(
                f"{path} is no picture that can be read: a portable pixmap begins with P2, P3, P5 "
                "or P6 and its size. Copy it again, or save it as PNG."
            )
        return pixels[..., ::-1].copy()
    pixels = images.read(path).pixels[0]
    if pixels.dtype != np.uint8:
        pixels = images.from_unit(images.to_unit(pixels), np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def grey(picture: Colour) -> Grey:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def read_homography(path: Path) -> Homography:
    """Nine numbers, row by row."""
    with said(f"read {path}"):
        text = path.read_text(errors="replace")
    try:
        matrix = np.array([float(word) for word in re.split(r"[\s,]+", text.strip())]).reshape(3, 3)
    except ValueError:
        matrix = np.zeros((3, 3))
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-12:
        raise InputError(
            f"{path} holds no homography: {' '.join(text.split())[:60]!r}. Accepted: nine numbers, "
            "three a line, of a matrix that can be inverted. Copy it again."
        )
    return matrix


def fingerprint(scene: Scene) -> dict[str, Path]:
    """What the scene's pictures are, whatever they are called."""
    prints = {}
    for path in scene.files:
        with said(f"read {path}"):
            prints[hashlib.sha256(path.read_bytes()).hexdigest()] = path
    return prints
