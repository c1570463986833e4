"""TIFF: every page keeps its own tags; only what describes the storage of pixels is written anew.

A page is (H, W), (H, W, S) or (S, H, W) with S samples a pixel. Samples that are colours become
planes; other samples (bands, channels) become pages of their own, as do the axes of a stack:

    N = pages of the file × samples that are no colours        (ImageJ TZC, OME TCZ, plain pages)

Descriptions (ImageJ's, OME-XML, tifffile's own) are copied to the letter. They stay true, as shape,
type and order of the pages do not change.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError
from ._image import Image, join, split
from ._limits import afford
from ._tiff_blocks import Dialect, write_blocks
from ._tiff_tags import LOSSLESS, Page, page_of

GREYS, RGB, PALETTE, YCBCR = (0, 1), 2, 3, 6  # photometric interpretations
JPEGS = {6, 7, 33007, 34892}  # compressions that turn YCbCr into RGB while decoding
UNREADABLE = {4: "a mask", 5: "CMYK", 8: "CIELAB", 32803: "raw camera data"}
ALPHAS = ({1}, {2})  # kinds of extra samples: premultiplied or not
FOREIGN = {"stk", "lsm", "fluoview", "ndpi", "svs", "scn", "sis", "mdgel", "nih", "bif", "qpi"}
CLASSIC = 0xFE00_0000  # bytes of pixels that a TIFF with 32-bit places can hold
CENTIMETRE = 3  # a resolution unit


@dataclass(frozen=True)
class Layout:
    """How the pixels of the file are laid out, and all it holds besides."""

    dialect: Dialect
    shape: tuple[int, ...]  # pages of the file, then the axes of a page
    planar: bool  # samples before rows
    bands: bool  # samples are pages, not colours
    pages: Sequence[Page]  # in the order of the file; one for all where there is but one directory
    order: Sequence[int]  # the page of the array that stands at each place of the file


def read_tiff(path: Path) -> Image:
    from tifffile import TiffFile

    # _multifile: an OME-XML may name other files; only the one given is opened
    with TiffFile(path, _multifile=False, **_flags(path)) as tif:
        series = tif.series[0]
        page = series.keyframe
        _refuse(path, page, series.dtype)
        shape = (math.prod(series.shape) // math.prod(page.shape), *page.shape)
        size = math.prod(shape) * np.dtype(series.dtype).itemsize
        afford(path, size, working=6 * size if page.photometric == PALETTE else 0)
        held = _held(tif, series, shape[0])
        for other in held:  # of the same shape and type; but maybe of other colours
            _refuse(path, other, series.dtype)
        expanded = page.photometric == PALETTE and not tif.is_imagej
        foreign = sorted(FOREIGN & tif.flags)
        layout = _layout(tif, held, shape, expanded=expanded, foreign=bool(foreign))
        array = series.asarray().reshape(shape)
        if expanded:
            array = _expand(array, [other.colormap for other in held])
        notes = tuple(_notes(tif, layout, expanded=expanded, foreign=foreign))
        kept = {**_common(page), "tiff": layout}
    samples = np.moveaxis(array, 1, -1) if layout.planar else array
    pixels, alpha = _sort_samples(samples if array.ndim == 4 else array[..., None], layout)
    return Image(pixels=pixels, alpha=alpha, path=path, format="TIFF", notes=notes, kept=kept)


def write_tiff(file: BinaryIO, like: Image, pixels: np.ndarray) -> tuple[str, ...]:
    from tifffile import TiffWriter

    if "tiff" not in like.kept:
        return _write_new(file, like, pixels)
    layout = like.kept["tiff"]
    stack = _as_stored(pixels, like.alpha, layout)
    rest = stack[len(layout.pages) :]  # ImageJ's way above 4 GB: one directory, then all pixels
    big = layout.dialect.big or (stack.nbytes > CLASSIC and not len(rest))
    dialect = Dialect(layout.dialect.order, big)
    pixels_at = None
    with TiffWriter(file, bigtiff=big, byteorder=dialect.order, shaped=False) as tiff:
        for data, page in _in_turn(stack, layout):
            options = {**page.options, "extratags": page.extratags(dialect), "returnoffset": True}
            pixels_at = tiff.write(data, metadata=None, software=False, **options)
    if len(rest) and pixels_at:
        file.seek(sum(pixels_at))  # behind the first page: its place and its length
        for data in rest:
            file.write(data.astype(data.dtype.newbyteorder(dialect.order)).tobytes())
    write_blocks(file, dialect, [page.blocks for page in layout.pages])
    return ("Above 4 GB the file is written as BigTIFF.",) if big > layout.dialect.big else ()


def _flags(path: Path) -> dict[str, Any]:
    """Pages written one by one with tifffile each claim to be all: then no claim is believed."""
    from tifffile import TiffFile

    with TiffFile(path, _multifile=False) as tif:
        if not tif.is_shaped or len(tif.series) == 1:
            return {}
        claimed = sum(math.prod(s.shape) // math.prod(s.keyframe.shape) for s in tif.series)
        return {"is_shaped": False} if claimed == len(tif.pages) else {}


def _in_turn(stack: np.ndarray, layout: Layout) -> Iterator[tuple[np.ndarray, Page]]:
    """What to write at a time: all at once where only the first page has something to say.

    Pixels then lie in a row, as tifffile and ImageJ expect of stacks they have described.
    """
    first, *others = layout.pages
    in_order = list(layout.order) == list(range(len(stack)))
    silent = not any(page.tags or page.blocks for page in others)
    if in_order and silent and all(page.stored_like(first) for page in others):
        yield stack, first
    else:
        for place, page in zip(layout.order, layout.pages, strict=True):
            yield stack[place], page


def _refuse(path: Path, page: Any, dtype: np.dtype) -> None:
    colours, kind = int(page.photometric), np.dtype(dtype).kind
    if kind == "b" or page.bitspersample == 1:
        raise InputError(
            f"{path} is black and white, 1 bit a pixel: there is no noise to remove between the "
            "two. Accepted: 8 and 16 bits, floats. Convert it to 8-bit grey."
        )
    if kind not in "iuf":
        raise InputError(
            f"{path} holds values of type {dtype}. Accepted: whole numbers and floats. "
            "Save amplitude and phase, or real and imaginary part, as pages."
        )
    converted = colours == YCBCR and page.compression in JPEGS
    if colours not in (*GREYS, RGB, PALETTE) and not converted:
        what = UNREADABLE.get(colours, f"in the colours {page.photometric!r}")
        raise InputError(f"{path} is {what}. Accepted: grey and RGB. Convert it to one of them.")
    if colours in (RGB, YCBCR) and page.samplesperpixel < 3:
        raise ValueError(f"it says RGB and has {page.samplesperpixel} sample(s) a pixel")
    if page.axes not in ("YX", "YXS", "SYX") or 0 in page.shape:
        raise InputError(
            f"{path} has pages of {page.axes} {page.shape}. Accepted: pages of H×W pixels. "
            "Save it as a stack of such pages."
        )


def _held(tif: Any, series: Any, pages: int) -> list[Any]:
    """The pages that have a directory. All must be complete: tifffile would fill in zeros."""
    size = tif.filehandle.size
    if None in series.pages:
        raise ValueError("its OME-XML names planes that are not in the file")
    ends = [0]
    for page in series.pages:
        ends += map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
    if series.dataoffset is not None:
        ends.append(series.dataoffset + series.nbytes)
    if max(ends) > size:
        raise ValueError(f"its pixels need {max(ends):,} bytes and it has {size:,}")
    held = [page.aspage() for page in series.pages]
    if len(held) not in (1, pages):
        raise ValueError(f"it has {len(held)} pages where its description says {pages}")
    # only ImageJ and tifffile can say that one directory stands for many pages
    return held if tif.is_imagej or tif.is_shaped else held * (pages // len(held))


def _layout(tif: Any, held: Any, shape: Any, *, expanded: bool, foreign: bool) -> Layout:
    page = held[0]
    order = sorted(range(len(held)), key=lambda place: held[place].index)
    samples = page.shape[page.axes.index("S")] if "S" in page.axes else 1
    extra = {int(kind) for kind in page.extrasamples}
    coloured = int(page.photometric) in (RGB, YCBCR) and samples in (3, 4)
    return Layout(
        dialect=Dialect(tif.byteorder, tif.is_bigtiff),
        shape=shape,
        planar=page.axes == "SYX",
        bands=samples > 1 and not coloured and not (samples == 2 and extra in ALPHAS),
        pages=[page_of(tif, held[place], expanded=expanded, foreign=foreign) for place in order],
        order=order,
    )


def _sort_samples(samples: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray | None]:
    """(pages, H, W, S) to pixels and alpha."""
    if not layout.bands:
        return split(samples)
    height, width = samples.shape[1:3]
    return np.moveaxis(samples, -1, 1).reshape(-1, height, width, 1), None


def _as_stored(pixels: np.ndarray, alpha: np.ndarray | None, layout: Layout) -> np.ndarray:
    """The inverse: (pages of the file, axes of a page)."""
    if layout.bands:
        planes = pixels.reshape(layout.shape[0], -1, *pixels.shape[1:3])
        return planes if layout.planar else np.moveaxis(planes, 1, -1)
    samples = join(pixels, alpha)
    if samples.shape[-1] == 1 and len(layout.shape) == 3:
        return samples[..., 0]
    return np.moveaxis(samples, -1, 1) if layout.planar else samples


def _expand(indices: np.ndarray, colormaps: Sequence[Any]) -> np.ndarray:
    """Look colours up. Most palettes are 8-bit ones, stored as 257·v or 256·v in 16 bits."""
    high = [colormap >> 8 for colormap in colormaps]
    eight = all(
        np.array_equal(colormap, v * 257) or np.array_equal(colormap, v << 8)
        for colormap, v in zip(colormaps, high, strict=True)
    )
    colours = np.empty((*indices.shape, 3), np.uint8 if eight else np.uint16)
    tables = high if eight else colormaps
    for page, table in enumerate(tables if len(tables) > 1 else [*tables] * len(indices)):
        colours[page] = table.T[indices[page]]
    return colours


def _common(page: Any) -> dict[str, Any]:
    """What other formats can hold too."""
    common: dict[str, Any] = {}
    if 34675 in page.tags:
        common["icc"] = bytes(page.tags[34675].value)
    unit = page.tags[296].value if 296 in page.tags else 2
    if {282, 283} <= set(page.tags.keys()) and unit > 1:
        (x, dx), (y, dy) = page.tags[282].value, page.tags[283].value
        scale = 2.54 if unit == CENTIMETRE else 1
        if dx and dy:
            common["dpi"] = (scale * x / dx, scale * y / dy)
    return common


def _notes(tif: Any, layout: Layout, *, expanded: bool, foreign: Sequence[str]) -> Iterator[str]:
    first, page = tif.series[0], tif.series[0].keyframe
    if len(tif.series) > 1:
        others = len(tif.series) - 1
        shape = "×".join(map(str, first.shape))
        yield f"The file holds {others} more picture(s) of another shape: only {shape} is kept."
    if len(first.levels) > 1 or page.subifds:
        yield "The reduced copies (pyramid, SubIFDs) are not kept."
    if expanded:
        yield "The palette is not kept: its colours are written as RGB."
    if page.compression not in LOSSLESS:
        name = page.compression.name
        yield f"The {name} compression is not kept: it is written with Deflate, without loss."
    if isinstance(page.bitspersample, int) and page.bitspersample % 8:
        bits = 8 * np.dtype(page.dtype).itemsize
        yield f"The {page.bitspersample} bits a value are written as {bits}."
    if any(page.broken for page in layout.pages):
        yield "The EXIF block is damaged and is not kept."
    if foreign:
        names = ", ".join(foreign).upper()
        yield f"The private metadata of the {names} format are not kept."


def _write_new(file: BinaryIO, like: Image, pixels: np.ndarray) -> tuple[str, ...]:
    """A picture that came from another format."""
    from tifffile import TiffWriter

    samples = join(pixels, like.alpha)
    grey = pixels.shape[-1] == 1
    options: dict[str, Any] = {"photometric": "minisblack" if grey else "rgb"}
    options["compression"] = "adobe_deflate"
    if samples.shape[-1] > 1:
        options["planarconfig"] = "contig"
    if like.alpha is not None:
        options["extrasamples"] = ["unassalpha"]
    if "icc" in like.kept:
        options["iccprofile"] = like.kept["icc"]
    if "dpi" in like.kept:
        options |= {"resolution": like.kept["dpi"], "resolutionunit": "inch"}
    with TiffWriter(file, bigtiff=samples.nbytes > CLASSIC, shaped=False) as tiff:
        for page in samples:
            data = page[..., 0] if page.shape[-1] == 1 else page
            tiff.write(data, metadata=None, software=False, **options)
    return ()
