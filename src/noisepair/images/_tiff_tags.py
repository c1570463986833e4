"""What a TIFF page says beyond its pixels: how they are stored, and everything else.

The former becomes options for tifffile's writer; the latter is copied as bytes, to the letter.
"""

import struct
from dataclasses import dataclass
from typing import Any

from ._tiff_blocks import BLOCKS, Dialect, Entry, find_blocks, read_block

RGB, YCBCR = 2, 6  # photometric interpretations
NONE, DEFLATE = 1, 8  # compressions
LOSSLESS = {NONE, 5, DEFLATE, 32773, 32946, 34925, 50000}  # LZW, PackBits, old Deflate, LZMA, Zstd
PLANAR = {"YXS": 1, "SYX": 2}
UNITS = {1, 2, 3, 4, 5}  # of resolution; 1 is none
COLORMAP = 320
POINTERS = {13, 18}  # types that point at directories
LONG, LONG8 = 4, 16
STORAGE = {254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 282, 283, 284, 288, 289}
STORAGE |= {296, 317, 322, 323, 324, 325, 330, 338, 339, 347, 400, 512, 513, 514, 515, 517}
STORAGE |= {518, 519, 520, 521, 529, 530, 531, 532, 32997, 32998, 34665, 34853, 40965}
# XMP, IPTC, GeoTIFF, Photoshop, ICC, GDAL, ImageJ: they hold no places in the file, so can move
MOVABLE = {700, 33550, 33723, 33922, 34264, 34377, 34675, 34735, 34736, 34737, 42112, 42113}
MOVABLE |= {50838, 50839}


@dataclass(frozen=True)
class Page:
    """All that is written of a page but its pixels."""

    options: dict[str, Any]
    tags: list[tuple[int | str, int, int, bytes, bool]]  # as tifffile's extratags wants them
    blocks: dict[int, list[Entry]]  # EXIF and GPS; see _tiff_blocks
    broken: bool  # there was a block that could not be read

    def stored_like(self, other: "Page") -> bool:
        return self.options == other.options

    def extratags(self, dialect: Dialect) -> list[tuple[int | str, int, int, bytes, bool]]:
        """The tags, and for each block a pointer that `write_blocks` will set."""
        kind, nowhere = LONG8 if dialect.big else LONG, bytes(dialect.room)
        return [*self.tags, *((BLOCKS[code], kind, 1, nowhere, True) for code in self.blocks)]


def page_of(tif: Any, page: Any, *, expanded: bool, foreign: bool) -> Page:
    """What to write of a page. `expanded`: its palette gave way to RGB."""
    dialect, file = Dialect(tif.byteorder, tif.is_bigtiff), tif.filehandle
    tags: list[tuple[int | str, int, int, bytes, bool]] = []
    blocks, broken = {}, False
    for tag in page.tags.values():
        if _can_move(tag, foreign=foreign) and not (expanded and tag.code == COLORMAP):
            file.seek(tag.valueoffset)
            value = file.read(tag.valuebytecount)
            tags.append((tag.code, int(tag.dtype), tag.count, value, True))
    for code, pointer in find_blocks(file, dialect, page.offset):
        try:
            blocks[code] = read_block(file, dialect, pointer)
        except (ValueError, struct.error):  # no reason to lose the picture as well
            broken = True
    return Page(_options(page, expanded=expanded), tags, blocks, broken)


def _can_move(tag: Any, *, foreign: bool) -> bool:
    if tag.code in STORAGE or int(tag.dtype) in POINTERS:
        return False
    return not foreign or tag.code < 32768 or tag.code in MOVABLE


def _options(page: Any, *, expanded: bool) -> dict[str, Any]:
    """How the page was stored, in the words of TiffWriter.write."""
    coloured = expanded or page.photometric == YCBCR
    kept = page.compression in LOSSLESS
    options = {
        "photometric": RGB if coloured else int(page.photometric),
        "planarconfig": PLANAR.get("YXS" if expanded else page.axes),
        "extrasamples": tuple(map(int, page.extrasamples)) or None,
        "compression": int(page.compression) if kept else DEFLATE,
        "predictor": int(page.predictor) if kept and page.predictor > 1 else None,
        **_cutting(page),
        **_resolution(page),
    }
    if 254 in page.tags:
        options["subfiletype"] = int(page.tags[254].value)
    return {name: value for name, value in options.items() if value is not None}


def _cutting(page: Any) -> dict[str, Any]:
    """In tiles or in strips of rows. tifffile holds to the standard: tiles are multiples of 16."""
    if not page.is_tiled:
        return {"rowsperstrip": page.rowsperstrip or None}
    sides = (page.tilelength, page.tilewidth)
    return {"tile": sides} if not any(side % 16 for side in sides) else {}


def _resolution(page: Any) -> dict[str, Any]:
    found = [page.tags[code].value for code in (282, 283) if code in page.tags]
    if [len(rational) for rational in found] != [2, 2] or any(0 in rational for rational in found):
        return {}
    unit = int(page.tags[296].value) if 296 in page.tags else 2  # the standard's default: inch
    return {"resolution": tuple(found), "resolutionunit": unit if unit in UNITS else 1}
