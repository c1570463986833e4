"""A set of patches on disk, as HPatches lays it out: a folder a sequence, sixteen sheets in each.

    SET/v_wall/ref.png  e1.png … e5.png  h1.png … h5.png  t1.png … t5.png
    SET/v_wall/ref_noise.png …           the same patches with noise (N-HPatches)

A sheet is an 8-bit grey strip, W wide and N·W tall: N square patches one below the other. W is 65
(HPatches) or 32 (N-HPatches). Patch i of all sheets of a sequence shows the same place: `ref` in
the reference picture, e1 to e5 in five others, found with easy, h with hard, t with tough jitter.
Names that begin with i_ have changes of light, with v_ of viewpoint.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import images
from ..errors import InputError
from ..files import make_folder, said
from ..images import Image

LEVELS: Mapping[str, str] = {"e": "easy", "h": "hard", "t": "tough"}
OTHERS = 5  # pictures beside the reference
SHEETS = ("ref", *(f"{level}{k}" for level in LEVELS for k in range(1, OTHERS + 1)))
SIDES = (65, 32)  # HPatches, N-HPatches


@dataclass(frozen=True)
class PatchSet:
    """Sequences of sheets that were found whole: their number of patches, and the patches' side."""

    folder: Path
    counts: Mapping[str, int]  # sequence → N
    side: int
    noisy: bool

    def sheet(self, sequence: str, sheet: str) -> np.ndarray:
        """The patches of one sheet, (N, W, W) uint8."""
        return read_sheet(sheet_path(self.folder, sequence, sheet, noisy=self.noisy))


def sheet_path(folder: Path, sequence: str, sheet: str, *, noisy: bool = False) -> Path:
    """Where a sheet lies.

    >>> sheet_path(Path("set"), "i_dome", "e1", noisy=True).as_posix()
    'set/i_dome/e1_noise.png'
    """
    return folder / sequence / f"{sheet}{'_noise' if noisy else ''}.png"


def open_set(
    folder: Path, sequences: Sequence[str] | None = None, *, noisy: bool = False
) -> PatchSet:
    """Look at a set without reading its pixels: every sheet is there, and all agree.

    `sequences` are those that are wanted; without them, every folder that holds a reference sheet.
    A missing sheet, sheets of different counts or widths, and other widths are InputErrors.
    """
    if sequences is None:
        with said(f"list {folder}"):
            held = sorted(p.parent.name for p in folder.glob(f"*/{_file('ref', noisy)}"))
        if not held:
            raise InputError(
                f"{folder} holds no sequence: no folder in it has a {_file('ref', noisy)}. "
                "Name the folder whose sub-folders are sequences (i_dome, v_wall, …)."
            )
        sequences = held
    shapes = {name: _count(folder, name, noisy) for name in sequences}
    sides = {side for _, side in shapes.values()}
    if len(sides) > 1:
        one, two = (next(n for n, (_, s) in shapes.items() if s == side) for side in sorted(sides))
        raise InputError(
            f"{one} has patches {shapes[one][1]} wide and {two} {shapes[two][1]}. A set has one "
            "width, 65 or 32. Keep the two kinds in folders of their own."
        )
    counts = {name: count for name, (count, _) in shapes.items()}
    return PatchSet(folder, counts, min(sides), noisy)


def _file(sheet: str, noisy: bool) -> str:
    return sheet_path(Path(), "", sheet, noisy=noisy).name


def _count(folder: Path, sequence: str, noisy: bool) -> tuple[int, int]:
    """How many patches, of which width, the sheets of a sequence hold."""
    found = {}
    for sheet in SHEETS:
        path = sheet_path(folder, sequence, sheet, noisy=noisy)
        if not path.is_file():
            raise InputError(
                f"{path} is missing. A sequence has the {len(SHEETS)} sheets ref, e1 to e5, h1 to "
                f"h5 and t1 to t5{', each ending in _noise' if noisy else ''}. "
                "Copy it again, or leave the sequence out."
            )
        found[sheet] = _grid(path, *_size(path))
    for sheet, shape in found.items():
        if shape != found["ref"]:
            (n, w), (count, side) = shape, found["ref"]
            raise InputError(
                f"{sequence}: ref has {count} patches of {side}×{side} and {sheet} {n} of {w}×{w}. "
                "All sheets of a sequence show the same patches. Copy the sequence again."
            )
    return found["ref"]


def _size(path: Path) -> tuple[int, int]:
    """Width and height as a PNG's header says them."""
    with said(f"read {path}"), open(path, "rb") as file:
        head = file.read(24)
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or len(head) < 24:
        raise InputError(
            f"{path} is no PNG: it begins with {head[:8]!r}. Sheets are PNG files. Copy it again."
        )
    width, height = struct.unpack(">II", head[16:])
    return width, height


def _grid(path: Path, width: int, height: int) -> tuple[int, int]:
    """How many patches of which side a strip is."""
    if width not in SIDES:
        raise InputError(
            f"{path} is {width} pixels wide. Sheets are 65 wide (HPatches) or 32 (N-HPatches). "
            "Make the sheets again with patches of one of the two."
        )
    if height % width or not height:
        raise InputError(
            f"{path} is {width}×{height} pixels, which is no whole number of {width}×{width} "
            "patches one below the other. The file was cut or scaled: copy it again."
        )
    return height // width, width


def read_sheet(path: Path) -> np.ndarray:
    """The patches of a sheet, (N, W, W) uint8, W one of SIDES."""
    pixels = images.read(path).pixels
    pages, height, width, planes = pixels.shape
    if pages > 1 or pixels.dtype != np.uint8 or np.ptp(pixels, axis=-1).any():
        raise InputError(
            f"{path} holds {planes} colour plane(s) of {pixels.dtype} on {pages} page(s). A sheet "
            "is grey with 8 bits. Save it as 8-bit grey."
        )
    count, side = _grid(path, width, height)
    return pixels[0, :, :, 0].reshape(count, side, side)


def write_sheet(path: Path, patches: np.ndarray) -> None:
    """Write (N, W, W) uint8 as a strip; the folder is made where there is none."""
    count, side, _ = patches.shape
    pixels = patches.reshape(1, count * side, side, 1)
    new = Image(pixels=pixels, alpha=None, path=path, format="PNG", notes=(), kept={})
    make_folder(path.parent)
    images.write(path, new, pixels)


def halved(patches: np.ndarray) -> np.ndarray:
    """Patches of 65×65 as 32×32: (N, W, W) uint8 to (N, 32, 32) float32 in grey levels.

    Each new pixel is the mean over the W/32 × W/32 old ones it covers, shared ones by their share:
    what OpenCV calls INTER_AREA, but not rounded. Patches of 32×32 stay as they are.
    """
    side, new = patches.shape[-1], min(SIDES)
    if side == new:
        return patches.astype(np.float32)
    edges = np.arange(new + 1) * side / new
    cells = np.arange(side)
    over = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    share = (over.clip(0) * new / side).astype(np.float32)  # (32, 65), rows sum to 1
    return np.matmul(np.matmul(share, patches.astype(np.float32)), share.T)


def parts(names: Sequence[str]) -> dict[str, np.ndarray]:
    """All sequences, and those with changes of light and of viewpoint where there are both: (S,).

    >>> {part: used.tolist() for part, used in parts(["i_dome", "v_wall"]).items()}
    {'all': [True, True], 'illumination': [True, False], 'viewpoint': [False, True]}
    """
    used = {"all": np.ones(len(names), bool)}
    for start, part in (("i_", "illumination"), ("v_", "viewpoint")):
        some = np.array([name.startswith(start) for name in names])
        if some.any() and not some.all():
            used[part] = some
    return used
