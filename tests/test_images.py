"""What came in goes out: pixels, alpha and metadata of every format; and no file fails in silence.

The round-trip checker `same` is itself put to the test at the end of the first section.
"""

import io
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageCms, TiffImagePlugin

from noisepair import files
from noisepair.errors import InputError
from noisepair.images import (
    SUFFIXES,
    Image,
    _limits,
    find,
    from_unit,
    full_scale,
    read,
    to_unit,
    write,
)

DATA = Path(os.environ.get("NOISEPAIR_DATA", "/nowhere"))
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LOSSLESS = (".png", ".tif", ".bmp", ".webp", ".npy")


def noise(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    """Values over the whole range of a type."""
    rng = np.random.default_rng(0)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    values = rng.integers(limits.min, limits.max, shape, dtype.newbyteorder("="), endpoint=True)
    return values.astype(dtype)


def exif(orientation: int = 6) -> bytes:
    block = Pillow.Exif()
    block[0x0112] = orientation
    block[0x010F] = "a camera of thirty-two letters !"
    return block.tobytes()


def picture(path: Path, pixels: np.ndarray, alpha: np.ndarray | None = None) -> Image:
    """A picture that comes from no file."""
    return Image(pixels=pixels, alpha=alpha, path=path, format="NPY", notes=(), kept={})


def same(one: Image, two: Image) -> None:
    """Equal pixels and alpha, to the bit and to the type."""
    assert (one.pixels.shape, one.pixels.dtype) == (two.pixels.shape, two.pixels.dtype)
    np.testing.assert_array_equal(one.pixels, two.pixels)
    assert (one.alpha is None) == (two.alpha is None)
    if one.alpha is not None and two.alpha is not None:
        assert one.alpha.dtype == two.alpha.dtype
        np.testing.assert_array_equal(one.alpha, two.alpha)


def passed_through(source: Path) -> tuple[Image, Image, Path]:
    """The picture of a file, the picture of its copy, and the copy."""
    first = read(source)
    copy = source.with_name("copy" + source.suffix)
    write(copy, first, first.pixels)
    return first, read(copy), copy


def saved(path: Path, array: np.ndarray, **options: object) -> Path:
    """A file by Pillow."""
    with Pillow.fromarray(array) as image:
        image.save(path, **options)
    return path


def tiff(path: Path, array: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(path, array, **options)
    return path


def tags(path: Path, page: int = 0) -> dict[int, object]:
    """All that a page says, but where its pixels are."""
    with tifffile.TiffFile(path) as tif:
        places = {273, 279, 324, 325, 34665, 34853}
        found = {tag.code: tag.value for tag in tif.pages[page].tags.values()}
    return {code: value for code, value in found.items() if code not in places}


# --- round trips


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (".png", "uint8"),
        (".png", "uint16"),
        (".bmp", "uint8"),
        (".webp", "uint8"),
        *[(".tif", dtype) for dtype in ("uint8", "uint16", "int16", "uint32", "float16")],
        *[(".tif", dtype) for dtype in ("float32", "float64")],
    ],
)
def test_written_and_read_is_the_same(tmp_path, suffix, dtype, alpha, planes):
    pixels = noise((1, 7, 5, planes), dtype)
    image = picture(tmp_path / "x", pixels, noise((1, 7, 5), dtype) if alpha else None)
    write(tmp_path / f"x{suffix}", image, pixels)
    first, second, _ = passed_through(tmp_path / f"x{suffix}")
    if suffix in (".bmp", ".webp") and planes == 1 and (alpha or suffix == ".webp"):
        image = picture(image.path, np.repeat(pixels, 3, axis=-1), image.alpha)
    same(image, first)
    same(first, second)


@pytest.mark.parametrize(
    "dtype", ["uint8", ">u2", "uint16", "int16", "int32", "float16", "float32", ">f4", "float64"]
)
@pytest.mark.parametrize(
    ("shape", "full"),
    [
        ((4, 5), (1, 4, 5, 1)),
        ((4, 5, 1), (1, 4, 5, 1)),
        ((4, 5, 3), (1, 4, 5, 3)),
        ((2, 4, 5), (2, 4, 5, 1)),
        ((2, 4, 5, 3), (2, 4, 5, 3)),
    ],
)
def test_arrays_keep_shape_type_and_byte_order(tmp_path, shape, full, dtype):
    array = noise(shape, dtype)
    np.save(tmp_path / "x.npy", array)
    first, _, copy = passed_through(tmp_path / "x.npy")
    assert first.pixels.shape == full
    assert np.load(copy).dtype.str == np.dtype(dtype).str
    np.testing.assert_array_equal(np.load(copy), array)


def test_arrays_in_fortran_order_are_read_as_they_mean(tmp_path):
    array = np.asfortranarray(noise((4, 5, 3)))
    np.save(tmp_path / "x.npy", array)
    first, second, _ = passed_through(tmp_path / "x.npy")
    np.testing.assert_array_equal(first.pixels[0], array)
    same(first, second)


@pytest.mark.parametrize("shape", [(1, 4, 3, 1), (2, 4, 3, 1), (2, 4, 1, 1), (1, 1, 1, 3)])
def test_new_arrays_read_back_in_their_shape(tmp_path, shape):
    pixels = noise(shape)
    write(tmp_path / "x.npy", picture(tmp_path, pixels), pixels)
    np.testing.assert_array_equal(read(tmp_path / "x.npy").pixels, pixels)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    planes=st.sampled_from([1, 3]),
    suffix=st.sampled_from(LOSSLESS),
)
def test_any_size_comes_back(tmp_path, height, width, planes, suffix):
    pixels = noise((1, height, width, planes))
    write(tmp_path / f"x{suffix}", picture(tmp_path, pixels), pixels)
    first, second, _ = passed_through(tmp_path / f"x{suffix}")
    same(first, second)
    np.testing.assert_array_equal(first.pixels[..., :planes], pixels)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    pages=st.integers(1, 4),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    form=st.sampled_from(["grey", "contig", "separate"]),
    metadata=st.sampled_from([None, {}]),
)
def test_any_stack_comes_back(tmp_path, pages, height, width, form, metadata):
    shapes = {
        "grey": (pages, height, width),
        "contig": (pages, height, width, 3),
        "separate": (pages, 3, height, width),
    }
    options = {"photometric": "minisblack" if form == "grey" else "rgb", "metadata": metadata}
    if form != "grey":
        options["planarconfig"] = form
    array = noise(shapes[form])
    first, second, copy = passed_through(tiff(tmp_path / "x.tif", array, **options))
    same(first, second)
    with tifffile.TiffFile(copy) as tif:
        np.testing.assert_array_equal(tif.asarray().ravel(), array.ravel())


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(height=st.integers(1, 40), width=st.integers(1, 40), planes=st.sampled_from([1, 3]))
def test_jpeg_comes_back_nearly(tmp_path, height, width, planes):
    y, x = np.mgrid[:height, :width]
    pixels = np.repeat((2 * y + 3 * x)[None, ..., None], planes, axis=-1).astype(np.uint8)
    write(tmp_path / "x.jpg", picture(tmp_path, pixels), pixels)
    first, second, _ = passed_through(tmp_path / "x.jpg")
    assert np.abs(first.pixels - pixels.astype(int)).max() <= 8
    assert np.abs(second.pixels - first.pixels.astype(int)).max() <= 8


def test_the_checker_of_round_trips_can_fail(tmp_path):
    pixels, alpha = noise((1, 4, 5, 3)), noise((1, 4, 5))
    image = picture(tmp_path, pixels, alpha)
    for other in (
        picture(tmp_path, pixels[..., ::-1], alpha),
        picture(tmp_path, pixels.astype(np.uint16), alpha),
        picture(tmp_path, pixels, 255 - alpha),
        picture(tmp_path, pixels),
        picture(tmp_path, pixels[:, :3], alpha),
    ):
        with pytest.raises(AssertionError):
            same(image, other)


def test_channel_order_is_that_of_the_file(tmp_path):
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    for suffix in (".png", ".bmp", ".webp", ".tif", ".jpg"):
        saved(tmp_path / f"red{suffix}", red)
        first, second, copy = passed_through(tmp_path / f"red{suffix}")
        assert first.pixels[0, 0, 0, 0] > 250 > 5 > first.pixels[0, 0, 0, 2]
        assert second.pixels[0, 0, 0, 0] > 250 > 5 > second.pixels[0, 0, 0, 2]
        with Pillow.open(copy) as seen:
            assert seen.convert("RGB").getpixel((0, 0))[0] > 250


# --- PNG


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


def with_chunk(path: Path, kind: bytes, body: bytes) -> Path:
    """The file with one more chunk after its header."""
    data = path.read_bytes()
    path.write_bytes(data[:33] + chunk(kind, body) + data[33:])
    return path


def test_png_keeps_its_metadata_at_16_bits_too(tmp_path):
    pixels = noise((1, 4, 5, 3), "uint16")
    write(tmp_path / "x.png", picture(tmp_path, pixels), pixels)
    carried = {
        b"iCCP": b"sRGB\0\0" + zlib.compress(ICC),
        b"gAMA": struct.pack(">I", 45455),
        b"pHYs": struct.pack(">IIB", 11811, 5906, 1),
        b"eXIf": exif()[6:],
        b"tEXt": b"Title\0a shale",
        b"zzZz": b"private, safe to copy",
    }
    for kind, body in carried.items():
        with_chunk(tmp_path / "x.png", kind, body)
    first, _, copy = passed_through(tmp_path / "x.png")
    assert first.notes == ()
    data = copy.read_bytes()
    assert all(chunk(kind, body) in data for kind, body in carried.items())
    with Pillow.open(copy) as seen:
        assert seen.info["icc_profile"] == ICC
        assert seen.getexif()[0x0112] == 6
        assert seen.info["Title"] == "a shale"
        assert seen.info["dpi"] == pytest.approx((300, 150), abs=0.1)


def test_png_says_what_it_must_leave(tmp_path):
    saved(tmp_path / "x.png", noise((4, 5)))
    with_chunk(tmp_path / "x.png", b"zzZZ", b"depends on pixels")
    first, second, _ = passed_through(tmp_path / "x.png")
    assert "zzZZ" in first.notes[0]
    assert second.notes == ()


@pytest.mark.parametrize("transparent", [False, True])
def test_a_palette_becomes_colours(tmp_path, transparent):
    indices = noise((4, 5)) // 64
    with Pillow.fromarray(indices) as image:
        image.putpalette([9, 8, 7, 255, 0, 0, 0, 255, 0, 0, 0, 255])
        assert image.mode == "P"
        image.save(tmp_path / "x.png", **({"transparency": 1} if transparent else {}))
    first, second, _ = passed_through(tmp_path / "x.png")
    colours = np.array([[9, 8, 7], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    np.testing.assert_array_equal(first.pixels[0], colours[indices])
    assert (first.alpha is not None) == transparent
    assert "palette" in first.notes[0]
    same(first, second)


def test_a_transparent_colour_becomes_alpha(tmp_path):
    saved(tmp_path / "x.png", np.array([[3, 4]], np.uint8), transparency=3)
    first, second, _ = passed_through(tmp_path / "x.png")
    np.testing.assert_array_equal(first.alpha, [[[0, 255]]])
    assert "transparent colour" in first.notes[0]
    same(first, second)


def test_four_bit_grey_is_widened_and_says_so(tmp_path):
    rows = b"\0\x0f\0\x80"  # filter 0, then two pixels a byte: 0 and 15, 8 and 0
    header = struct.pack(">IIBBBBB", 2, 2, 4, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    image = read(tmp_path / "x.png")
    np.testing.assert_array_equal(image.pixels[0, ..., 0], [[0, 255], [136, 0]])
    assert "4-bit" in image.notes[0]


# --- JPEG, WebP, BMP


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_keeps_quality_and_metadata(tmp_path, subsampling, progressive):
    options = {"subsampling": subsampling, "progressive": progressive, "comment": b"by hand"}
    options |= {"icc_profile": ICC, "exif": exif(), "dpi": (300, 200), "xmp": b"<x:xmpmeta/>"}
    saved(tmp_path / "x.jpg", noise((40, 30, 3)), quality=83, **options)
    first = read(tmp_path / "x.jpg")
    notes = write(tmp_path / "y.jpg", first, first.pixels)
    assert "lossy" in notes[0]
    with Pillow.open(tmp_path / "x.jpg") as old, Pillow.open(tmp_path / "y.jpg") as new:
        assert new.quantization == old.quantization
        assert new.layer == old.layer
        assert new.info == old.info
        assert new.getexif()[0x0112] == 6
        assert new.size == (30, 40), "orientation is a tag: pixels are not turned"


def test_grey_jpeg_stays_grey(tmp_path):
    saved(tmp_path / "x.jpg", np.full((9, 8), 77, np.uint8), quality=60)
    first, second, copy = passed_through(tmp_path / "x.jpg")
    assert first.pixels.shape == (1, 9, 8, 1)
    same(first, second)
    with Pillow.open(copy) as seen:
        assert seen.mode == "L"


def test_the_second_picture_of_a_jpeg_is_missed_aloud(tmp_path):
    with Pillow.fromarray(noise((8, 8, 3))) as one, Pillow.fromarray(noise((8, 8, 3))) as two:
        one.save(tmp_path / "x.jpg", format="MPO", save_all=True, append_images=[two])
    first, second, _ = passed_through(tmp_path / "x.jpg")
    assert "only the first" in first.notes[0]
    assert second.notes == ()


def test_webp_keeps_metadata(tmp_path):
    saved(tmp_path / "x.webp", noise((9, 8, 4)), lossless=True, icc_profile=ICC, exif=exif())
    first, second, copy = passed_through(tmp_path / "x.webp")
    assert first.notes == ()
    same(first, second)
    with Pillow.open(copy) as seen:
        assert seen.info["icc_profile"] == ICC
        assert seen.getexif()[0x0112] == 6


def test_lossy_webp_is_written_without_loss_and_says_so(tmp_path):
    saved(tmp_path / "x.webp", noise((9, 8, 3)), quality=50)
    first, second, _ = passed_through(tmp_path / "x.webp")
    assert "lossy" in first.notes[0]
    same(first, second)


@pytest.mark.parametrize("planes", [1, 3])
def test_bmp_is_the_file_that_pillow_writes(tmp_path, planes):
    array = noise((7, 5, planes))
    saved(tmp_path / "x.bmp", array[..., 0] if planes == 1 else array, dpi=(300, 150))
    _, _, copy = passed_through(tmp_path / "x.bmp")
    assert copy.read_bytes() == (tmp_path / "x.bmp").read_bytes()


def test_a_bmp_palette_becomes_colours(tmp_path):
    with Pillow.fromarray(noise((4, 5, 3))) as image:
        image.quantize(16).save(tmp_path / "x.bmp")
    first, second, _ = passed_through(tmp_path / "x.bmp")
    assert "palette" in first.notes[0]
    same(first, second)


# --- TIFF


GREY = {"photometric": "minisblack"}
STACKS: dict[str, tuple[tuple[int, ...], dict[str, object]]] = {
    "imagej": ((2, 3, 2, 7, 5), {"imagej": True, "metadata": {"axes": "TZCYX", "Info": "kept"}}),
    "imagej colour": ((3, 7, 5, 3), {"imagej": True, "metadata": {"axes": "ZYXS"}}),
    "ome": ((2, 3, 7, 5), {"ome": True, "metadata": {"axes": "CZYX", "Name": "cells"}}),
    "shaped": ((2, 3, 7, 5), {**GREY, "metadata": {"axes": "TZYX", "key": "value"}}),
    "one directory": ((6, 7, 5), {**GREY, "truncate": True}),
    "pages": ((4, 7, 5), {**GREY, "metadata": None}),
    "colour": ((7, 5, 3), {"photometric": "rgb"}),
    "planar": ((3, 7, 5), {"photometric": "rgb", "planarconfig": "separate"}),
    "rgba": ((7, 5, 4), {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
    "planar rgba": (
        (4, 7, 5),
        {"photometric": "rgb", "planarconfig": "separate", "extrasamples": ["unassalpha"]},
    ),
    "grey alpha": (
        (7, 5, 2),
        {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]},
    ),
    "bands": ((7, 5, 6), {"photometric": "minisblack", "planarconfig": "contig"}),
    "planar bands": ((6, 7, 5), {"photometric": "minisblack", "planarconfig": "separate"}),
    "white is zero": ((7, 5), {"photometric": "miniswhite"}),
    "big endian": ((7, 5), {"byteorder": ">"}),
    "bigtiff": ((3, 7, 5), {**GREY, "bigtiff": True}),
    "lzw": ((7, 5), {**GREY, "compression": "lzw", "predictor": 2}),
    "deflate": ((7, 5), {"compression": "adobe_deflate"}),
    "old deflate": ((7, 5), {"compression": "deflate"}),
    "packbits": ((7, 5), {"compression": "packbits"}),
    "zstd": ((7, 5), {"compression": "zstd"}),
    "strips": ((7, 5), {"rowsperstrip": 2}),
    "tiles": ((40, 20, 3), {"tile": (16, 32), "compression": "zlib", "photometric": "rgb"}),
    "reduced": ((7, 5), {"subfiletype": 1, "resolution": (300.5, 72), "resolutionunit": 3}),
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name in STACKS
        for dtype in ("uint8", "uint16", "float32")
        if name != "imagej colour" or dtype == "uint8"  # the only colour that ImageJ knows
    ],
)
def test_tiff_goes_out_as_it_came_in(tmp_path, name, dtype):
    shape, options = STACKS[name]
    if "predictor" in options and dtype == "float32":
        options = {**options, "predictor": 3}  # 2 is for whole numbers
    array = noise(shape, dtype)
    source = tiff(tmp_path / "x.tif", array, **options)
    first, second, copy = passed_through(source)
    assert first.notes == ()
    same(first, second)
    planes = first.pixels.shape[-1] + (first.alpha is not None)
    assert first.pixels.shape[0] * planes * math_prod(first.pixels.shape[1:3]) == array.size
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(copy) as new:
        assert (new.flags, new.byteorder, new.is_bigtiff) == (
            old.flags,
            old.byteorder,
            old.is_bigtiff,
        )
        assert (new.series[0].axes, new.series[0].shape) == (
            old.series[0].axes,
            old.series[0].shape,
        )
        np.testing.assert_array_equal(new.asarray(), array.reshape(new.series[0].shape))
        assert len(new.pages) == len(old.pages)
    for page in range(len(new.pages)):
        assert tags(copy, page) == tags(source, page)


def math_prod(numbers: tuple[int, ...]) -> int:
    return int(np.prod(numbers))


def test_every_page_keeps_its_own_tags(tmp_path):
    extra = [(65000, 2, 0, "a private tag", True), (34675, 7, len(ICC), ICC, True)]
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        for number in range(3):
            named = [(285, 2, 0, f"page {number}", True), (274, 3, 1, 6, True), *extra]
            file.write(
                noise((6, 5)),
                metadata=None,
                description=f"depth {number} µm".encode(),
                software="a microscope",
                datetime="2026:11:21 10:00:00",
                resolution=((number + 1, 7), (5, 3)),
                resolutionunit="centimeter",
                extratags=named,
            )
    first, _, copy = passed_through(tmp_path / "x.tif")
    assert first.notes == ()
    for number in range(3):
        assert tags(copy, number) == tags(tmp_path / "x.tif", number)
        assert tags(copy, number)[285] == f"page {number}"
    assert tags(copy)[34675] == ICC
    assert tags(copy)[274] == 6


def test_pages_written_one_by_one_are_one_stack(tmp_path):
    array = noise((4, 6, 5))
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        for page in array:
            file.write(page)  # tifffile's own description says, in each page: I am the picture
    first, second, copy = passed_through(tmp_path / "x.tif")
    assert first.notes == ()
    np.testing.assert_array_equal(first.pixels[..., 0], array)
    same(first, second)
    assert [tags(copy, n) for n in range(4)] == [tags(tmp_path / "x.tif", n) for n in range(4)]


def test_planes_in_another_order_stay_where_the_xml_says(tmp_path):
    """OME-XML may list planes in any order; the pages of the copy are in the order of the file."""
    array = noise((2, 3, 6, 5))
    tiff(tmp_path / "x.tif", array, ome=True, metadata={"axes": "CZYX"})
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+") as tif:
        xml = tif.ome_metadata
        planes = "".join(
            f'<TiffData FirstC="{c}" FirstZ="{z}" IFD="{5 - 3 * c - z}" PlaneCount="1"/>'
            for c in range(2)
            for z in range(3)
        )
        swapped = re.sub(r"<TiffData[^>]*/>", planes, xml)
        assert swapped != xml
        tif.pages[0].tags[270].overwrite(swapped)
    first, second, copy = passed_through(tmp_path / "x.tif")
    np.testing.assert_array_equal(first.pixels[..., 0], array.reshape(6, 6, 5)[::-1])
    same(first, second)
    with tifffile.TiffFile(copy) as tif:
        np.testing.assert_array_equal(
            [page.asarray() for page in tif.pages], array.reshape(6, 6, 5)
        )


@pytest.mark.parametrize("big", [False, True])
def test_tiff_keeps_its_exif_block(tmp_path, big):
    blocks = TiffImagePlugin.ImageFileDirectory_v2()
    blocks[34665] = {0x829A: 1 / 60, 0x9003: "2026:11:21 10:00:00", 0x8827: 800}
    blocks[34853] = {1: "N", 2: (48.0, 12.0, 30.5)}
    saved(tmp_path / "x.tif", noise((7, 5)), tiffinfo=blocks, big_tiff=big)
    first, second, copy = passed_through(tmp_path / "x.tif")
    same(first, second)
    with tifffile.TiffFile(tmp_path / "x.tif") as old, tifffile.TiffFile(copy) as new:
        assert old.is_bigtiff == big
        assert old.pages[0].tags[34665].value["ISOSpeedRatings"] == 800
        for code in (34665, 34853):
            assert new.pages[0].tags[code].value == old.pages[0].tags[code].value
    with Pillow.open(copy) as seen:
        assert seen.getexif().get_ifd(0x8769)[0x8827] == 800


def test_a_damaged_exif_block_costs_no_picture(tmp_path):
    tag = ("ExifTag", 4, 1, struct.pack("<I", 7_000_000), True)
    tiff(tmp_path / "x.tif", noise((7, 5)), extratags=[tag], byteorder="<")
    first, second, _ = passed_through(tmp_path / "x.tif")
    assert "EXIF" in first.notes[0]
    same(first, second)


def test_imagej_keeps_its_lookup_table_and_labels(tmp_path):
    table = np.zeros((3, 256), np.uint8)
    table[1] = np.arange(256)
    metadata = {"axes": "CYX", "LUTs": [table, table], "Labels": ["a", "b"], "unit": "um"}
    source = tiff(tmp_path / "x.tif", noise((2, 7, 5)), imagej=True, metadata=metadata)
    _, _, copy = passed_through(source)
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(copy) as new:
        assert new.imagej_metadata["Labels"] == ["a", "b"]
        np.testing.assert_array_equal(new.imagej_metadata["LUTs"], old.imagej_metadata["LUTs"])


def test_imagej_intensities_with_a_palette_stay_intensities(tmp_path):
    """ImageJ stores a green look of grey values as a palette: colours are not what was measured."""
    table = np.zeros((3, 256), np.uint16)
    table[1] = 257 * np.arange(256)
    source = tmp_path / "x.tif"
    options = {"photometric": "palette", "colormap": table, "metadata": None}
    tiff(source, noise((7, 5)), description="ImageJ=1.54f\nimages=1\n", **options)
    first, second, copy = passed_through(source)
    assert first.notes == ()
    np.testing.assert_array_equal(first.pixels[0, ..., 0], noise((7, 5)))
    same(first, second)
    np.testing.assert_array_equal(tags(copy).pop(320), table)
    assert tags(copy)[262] == tags(source)[262] == 3


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_palette_becomes_colours(tmp_path, bits):
    table = noise((3, 256), "uint8").astype(np.uint16) * 257 + (bits == 16)
    indices = noise((3, 5))
    source = tiff(tmp_path / "x.tif", indices, colormap=table, photometric="palette")
    first, second, _ = passed_through(source)
    assert first.pixels.dtype == f"uint{bits}"
    expected = table.T[indices] >> (16 - bits)
    np.testing.assert_array_equal(first.pixels[0], expected)
    assert "palette" in first.notes[0]
    same(first, second)


def test_lossy_tiff_is_written_without_loss_and_says_so(tmp_path):
    smooth = np.full((16, 16, 3), 90, np.uint8)
    source = tiff(tmp_path / "x.tif", smooth, compression="jpeg", photometric="rgb")
    first, second, _ = passed_through(source)
    assert "JPEG" in first.notes[0]
    assert second.notes == ()
    same(first, second)


def test_packed_bits_are_widened_and_say_so(tmp_path):
    twelve = noise((4, 6), "uint16") >> 4
    first, second, _ = passed_through(tiff(tmp_path / "x.tif", twelve, bitspersample=12))
    assert "12 bits" in first.notes[0]
    np.testing.assert_array_equal(first.pixels[0, ..., 0], twelve)
    same(first, second)


def test_pages_of_another_size_are_missed_aloud(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        file.write(noise((7, 5)), metadata=None)
        file.write(noise((3, 5)), metadata=None)
    first, second, _ = passed_through(tmp_path / "x.tif")
    assert "1 more picture" in first.notes[0]
    assert first.pixels.shape == (1, 7, 5, 1)
    same(first, second)


def test_a_pyramid_is_missed_aloud(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        file.write(noise((64, 64)), subifds=1, metadata=None)
        file.write(noise((32, 32)), subfiletype=1, metadata=None)
    first, second, _ = passed_through(tmp_path / "x.tif")
    assert "pyramid" in first.notes[0]
    same(first, second)


# --- from one format to another


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".webp", ".png", ".bmp", ".npy"])
def test_a_suffix_decides_what_is_written(tmp_path, suffix):
    options = {"icc_profile": ICC, "exif": exif(), "dpi": (300, 300)}
    saved(tmp_path / "x.png", np.full((9, 8, 3), 80, np.uint8), **options)
    image = read(tmp_path / "x.png")
    notes = write(tmp_path / f"y{suffix}", image, image.pixels)
    copy = read(tmp_path / f"y{suffix}")
    np.testing.assert_allclose(copy.pixels, image.pixels, atol=2)
    assert copy.notes == (), "content and suffix agree"
    if suffix in (".bmp", ".npy"):
        assert "does not take over: colour profile, EXIF" in notes[0]
        return
    with Pillow.open(tmp_path / f"y{suffix}") as seen:
        assert seen.info["icc_profile"] == ICC
        if suffix != ".tif":
            assert seen.getexif()[0x0112] == 6
        if suffix != ".webp":
            assert seen.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_content_is_trusted_and_the_mismatch_said(tmp_path):
    saved(tmp_path / "x.png", noise((9, 8, 3))).rename(tmp_path / "x.jpg")
    image = read(tmp_path / "x.jpg")
    assert image.format == "PNG"
    assert image.notes[0] == "x.jpg holds PNG data; written under this name it becomes JPEG."
    write(tmp_path / "x.jpg", image, image.pixels)
    assert read(tmp_path / "x.jpg").format == "JPEG"


def test_alpha_that_cannot_be_written_is_mentioned(tmp_path):
    image = read(saved(tmp_path / "x.png", noise((9, 8, 4))))
    assert any("alpha" in note for note in write(tmp_path / "x.jpg", image, image.pixels))
    assert any("alpha" in note for note in write(tmp_path / "x.npy", image, image.pixels))


# --- refusals


def text(path: Path) -> None:
    path.write_text("I am no picture at all")


def cut(save: Callable[[Path], object], share: float = 0.6) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        save(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])

    return make


def black_and_white(path: Path) -> None:
    with Pillow.new("1", (8, 8)) as image:
        image.save(path)


def cmyk(path: Path) -> None:
    with Pillow.new("CMYK", (8, 8)) as image:
        image.save(path)


def animated(path: Path) -> None:
    frames = [Pillow.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    for frame in frames:
        frame.close()


def claiming_png(path: Path) -> None:
    saved(path, noise((4, 5)))
    data = path.read_bytes()
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    path.write_bytes(data[:8] + chunk(b"IHDR", header) + data[33:])


def claiming_tiff(path: Path) -> None:
    tiff(path, noise((4, 5)), metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tif:
        for code in (256, 257):
            tif.pages[0].tags[code].overwrite(60_000)


def claiming_jpeg(path: Path) -> None:
    saved(path, noise((4, 5)))
    data = path.read_bytes()
    place = data.index(b"\xff\xc0") + 5
    path.write_bytes(data[:place] + struct.pack(">HH", 60_000, 60_000) + data[place + 4 :])


def claiming_bmp(path: Path) -> None:
    saved(path, noise((4, 5)))
    data = path.read_bytes()
    path.write_bytes(data[:18] + struct.pack("<ii", 60_000, 60_000) + data[26:])


def claiming_webp(path: Path) -> None:
    saved(path, noise((4, 5, 3)), lossless=True, icc_profile=ICC)
    data = path.read_bytes()
    assert data[12:16] == b"VP8X"
    side = (16_000).to_bytes(3, "little")
    path.write_bytes(data[:24] + side + side + data[30:])


def dangling_tiff(path: Path) -> None:
    """A directory in good order; its pixels lie beyond the end."""
    tiff(path, noise((60, 50)), metadata=None)
    path.write_bytes(path.read_bytes()[:2000])


def array_of(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: np.save(path, array)


REFUSED: list[tuple[str, Callable[[Path], object], str]] = [
    ("x.tif", text, r"x.tif holds no picture this package knows: it begins with b'I am no "),
    ("x.png", lambda path: path.touch(), r"x.png is empty \(0 bytes\)"),
    ("x.png", lambda path: path.mkdir(), r"x.png is a folder, not a picture. Name the files"),
    ("x.png", lambda path: None, r"x.png cannot be opened: No such file or directory. Check"),
    ("x.png", cut(lambda p: saved(p, noise((40, 50)))), "as PNG: it ends inside its IDAT chunk"),
    ("x.png", cut(lambda p: saved(p, noise((40, 50))), 0.01), "as PNG: .* copy it again, or save"),
    ("x.jpg", cut(lambda p: saved(p, noise((40, 50)))), "as JPEG: image file is truncated .* copy"),
    ("x.bmp", cut(lambda p: saved(p, noise((40, 50)))), "as BMP: image file is truncated .* copy"),
    ("x.webp", cut(lambda p: saved(p, noise((40, 50, 3)))), "as WEBP: .* cut short: copy it again"),
    ("x.npy", cut(lambda p: np.save(p, noise((40, 50)))), "as NPY: .* cut short: copy it again"),
    ("x.tif", cut(lambda p: tiff(p, noise((40, 50)))), "as TIFF: its pixels need 2,.* bytes and"),
    (
        "x.tif",
        cut(lambda p: tiff(p, noise((40, 50))), 0.02),
        "as TIFF: .* cut short: copy it again",
    ),
    ("x.tif", dangling_tiff, "as TIFF: its pixels need 3,... bytes and it has 2,000"),
    ("x.png", black_and_white, "1 bit a pixel.*Accepted: 8 and 16 bits. Convert it to 8-bit grey"),
    ("x.bmp", black_and_white, "1 bit a pixel.*Convert it to 8-bit grey"),
    ("x.tif", black_and_white, "1 bit a pixel.*Convert it to 8-bit grey"),
    ("x.jpg", cmyk, "JPEG in CMYK colours. Accepted: grey and RGB. Convert it to RGB"),
    ("x.tif", cmyk, "is CMYK. Accepted: grey and RGB. Convert"),
    ("x.gif", animated, "is a GIF.*Save it as PNG or TIFF"),
    ("x.png", animated, "animated PNG. Accepted: still pictures. Save its frames"),
    ("x.webp", animated, "animated WebP of 2 frames. Accepted: still pictures. Save its frames"),
    ("x.png", claiming_png, "claims to hold 3,433 MiB of pixels.*save it without compression"),
    ("x.tif", claiming_tiff, "claims to hold 3,433 MiB of pixels"),
    ("x.jpg", claiming_jpeg, "claims to hold 3,433 MiB of pixels"),
    ("x.bmp", claiming_bmp, "claims to hold 3,433 MiB of pixels"),
    ("x.webp", claiming_webp, "claims to hold 977 MiB of pixels"),
    ("x.tif", lambda p: tiff(p, noise((4, 5)).astype(complex)), "type complex128. Accepted: whole"),
    ("x.npy", array_of(np.zeros((4, 5), complex)), "values of type complex128. Accepted: whole"),
    ("x.npy", array_of(np.zeros((4, 5), bool)), "values of type bool. Accepted: .* Convert it"),
    ("x.npy", array_of(np.array([[{}]])), "values of type object. Accepted: whole numbers"),
    ("x.npy", array_of(np.zeros(5)), r"has the shape \(5,\). Accepted: \(H, W\)"),
    ("x.npy", array_of(np.zeros((0, 5))), r"has the shape \(0, 5\). Accepted"),
    ("x.npy", array_of(np.zeros((2, 2, 2, 2))), r"has the shape \(2, 2, 2, 2\). Accepted"),
]


@pytest.mark.parametrize(("name", "make", "sentence"), REFUSED)
def test_what_cannot_be_read_is_refused_in_a_sentence(tmp_path, name, make, sentence):
    make(tmp_path / name)
    with pytest.raises(InputError, match=sentence) as refusal:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_picture_beyond_the_free_memory_is_refused(tmp_path, monkeypatch):
    saved(tmp_path / "x.png", noise((40, 50)))
    free = type("Memory", (), {"available": 1000})
    monkeypatch.setattr(_limits.psutil, "virtual_memory", lambda: free)
    with pytest.raises(InputError, match=r"MiB of memory and .* are free. Cut the picture"):
        read(tmp_path / "x.png")


def test_large_honest_pictures_raise_no_alarm(tmp_path):
    """Pillow would warn above 89 megapixels; and a blank 100-megapixel page shrinks a lot."""
    pixels = np.zeros((1, 10_000, 10_000, 1), np.uint8)
    write(tmp_path / "x.png", picture(tmp_path, pixels), pixels)
    assert read(tmp_path / "x.png").pixels.shape == pixels.shape
    write(tmp_path / "x.jpg", picture(tmp_path, pixels), pixels)
    assert read(tmp_path / "x.jpg").pixels.shape == pixels.shape
    assert Pillow.MAX_IMAGE_PIXELS is not None


def test_nan_is_read_for_others_to_judge(tmp_path):
    np.save(tmp_path / "x.npy", np.full((4, 5), np.nan))
    assert np.isnan(read(tmp_path / "x.npy").pixels).all()


@pytest.mark.parametrize(
    ("suffix", "shape", "dtype", "sentence"),
    [
        (".png", (1, 4, 5, 1), "float32", r"1 page\(s\) of float32: PNG takes .* Write a .tif"),
        (".jpg", (1, 4, 5, 1), "uint16", "JPEG takes one page of uint8. Write a .tif or .npy"),
        (".png", (2, 4, 5, 1), "uint8", r"2 page\(s\) of uint8: PNG takes one page"),
        (".webp", (1, 1, 20_000, 1), "uint8", "1×20000 pixels: WEBP ends at 16383 a side"),
        (".gif", (1, 4, 5, 1), "uint8", r"the suffix '.gif'. Accepted: .png"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path, suffix, shape, dtype, sentence):
    pixels = noise(shape, dtype)
    with pytest.raises(InputError, match=sentence):
        write(tmp_path / f"x{suffix}", picture(tmp_path, pixels), pixels)
    assert list(tmp_path.iterdir()) == []


def test_other_pixels_than_those_read_are_refused(tmp_path):
    image = picture(tmp_path / "x.png", noise((1, 4, 5, 1)))
    with pytest.raises(InputError, match=r"shape \(1, 4, 4, 1\) .* Keep the shape"):
        write(tmp_path / "x.png", image, noise((1, 4, 4, 1)))
    with pytest.raises(InputError, match=r"type float32 .* convert with from_unit"):
        write(tmp_path / "x.png", image, noise((1, 4, 5, 1), "float32"))


# --- complete or not at all


@pytest.mark.parametrize("suffix", [*LOSSLESS, ".jpg"])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, suffix, failure
):
    pixels = noise((1, 4, 5, 3))
    image = picture(tmp_path, pixels)
    write(tmp_path / f"x{suffix}", image, pixels)
    old = (tmp_path / f"x{suffix}").read_bytes()

    def fail(_):
        raise failure

    monkeypatch.setattr(files.os, "fsync", fail)  # all is written, nothing is safe
    expected, sentence = (
        (KeyboardInterrupt, None)
        if failure is KeyboardInterrupt
        else (InputError, "No space left on device. Free some space")
    )
    with pytest.raises(expected, match=sentence):
        write(tmp_path / f"x{suffix}", image, 255 - pixels)
    assert [path.name for path in tmp_path.iterdir()] == [f"x{suffix}"]
    assert (tmp_path / f"x{suffix}").read_bytes() == old


def test_a_crash_in_the_middle_of_the_pixels_leaves_nothing(tmp_path, monkeypatch):
    pixels = noise((4, 6, 5, 1))
    written = []

    def crash(self, data, **options):
        written.append(data)
        if len(written) == 3:
            raise KeyboardInterrupt
        return original(self, data, **options)

    original = tifffile.TiffWriter.write
    monkeypatch.setattr(tifffile.TiffWriter, "write", crash)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "x.tif", picture(tmp_path, pixels), pixels)
    assert len(written) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    pixels = noise((1, 4, 5, 1))
    with pytest.raises(InputError, match=r"the folder .*nowhere does not exist"):
        write(tmp_path / "nowhere" / "x.png", picture(tmp_path, pixels), pixels)
    (tmp_path / "x.png").mkdir()
    with pytest.raises(InputError, match=r"is a folder. Name a file"):
        write(tmp_path / "x.png", picture(tmp_path, pixels), pixels)


def test_links_and_permissions_outlive_a_write(tmp_path):
    pixels = noise((1, 4, 5, 1))
    image = picture(tmp_path, pixels)
    write(tmp_path / "x.png", image, pixels)
    (tmp_path / "x.png").chmod(0o640)
    (tmp_path / "link.png").symlink_to(tmp_path / "x.png")
    write(tmp_path / "link.png", image, 255 - pixels)
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "x.png").stat().st_mode & 0o777 == 0o640
    np.testing.assert_array_equal(read(tmp_path / "x.png").pixels, 255 - pixels)


# --- values


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("uint8", 255), ("uint16", 65535), ("int16", 32767), ("float32", 1), ("float64", 1)],
)
def test_full_scale(dtype, scale):
    assert full_scale(np.dtype(dtype)) == scale


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int8", "int16", ">u2"])
def test_every_value_of_a_type_comes_back(dtype):
    limits = np.iinfo(dtype)
    values = np.arange(limits.min, limits.max + 1).astype(dtype)
    unit = to_unit(values)
    assert unit.dtype == np.float32
    assert unit.max() == 1
    back = from_unit(unit, np.dtype(dtype))
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back, values)


def test_values_are_rounded_half_to_even_and_clipped():
    unit = np.array([-1, 0.5 / 255, 1.5 / 255, 2.5 / 255, 0.4, 2], np.float64)
    halves = from_unit(unit.astype(np.float32), np.dtype("uint8"))
    np.testing.assert_array_equal(halves, [0, 0, 2, 2, 102, 255])


@pytest.mark.parametrize("dtype", ["uint32", "int32", "int64", "uint64"])
def test_wide_integers_clip_at_their_ends(dtype):
    limits = np.iinfo(dtype)
    ends = from_unit(np.array([-5, 0, 5], np.float32), np.dtype(dtype)).tolist()
    assert ends[0] == limits.min
    assert ends[1] == 0
    assert ends[2] == pytest.approx(limits.max, rel=1e-15)
    assert ends[2] <= limits.max


def test_floats_are_only_cast():
    values = np.array([-2.5, 0.1, 7, np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(from_unit(values, np.dtype("float64")), values.astype(float))
    np.testing.assert_array_equal(to_unit(values), values)
    assert to_unit(values) is not values
    assert from_unit(np.float32([1e6]), np.dtype("float16"))[0] == np.inf


def test_nan_has_no_whole_number():
    with pytest.raises(InputError, match=r"holds NaN, which uint8 cannot. Replace it"):
        from_unit(np.array([np.nan], np.float32), np.dtype("uint8"))


def test_from_unit_leaves_its_input_alone():
    values = np.array([0.5], np.float32)
    from_unit(values, np.dtype("uint8"))
    assert values[0] == 0.5


# --- finding


def test_a_folder_counts_like_a_person(tmp_path):
    names = ["img10.png", "img2.PNG", "img1.tif", "a.npy", ".hidden.png", "notes.txt"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "img3.png").touch()
    found = [path.name for path in find([tmp_path])]
    assert found == ["a.npy", "img1.tif", "img2.PNG", "img10.png"]


def test_files_folders_and_patterns_together(tmp_path):
    for name in ("b/img10.png", "b/img9.png", "a/x.jpg", "a/y.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    given = [str(tmp_path / "b" / "img10.png"), tmp_path / "b" / "*", tmp_path / "a"]
    found = [path.relative_to(tmp_path).as_posix() for path in find(given)]
    assert found == ["b/img10.png", "b/img9.png", "a/x.jpg"]
    assert find(str(tmp_path / "a")) == [tmp_path / "a" / "x.jpg"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("nothing.png", "nothing.png does not exist. Name a picture file"),
        ("empty", r"empty holds no picture. Accepted: .png, .jpg, .jpeg, .tif, .tiff, .bmp, .webp"),
        ("empty/*.png", "pattern .*empty/.*png matches no picture. Accepted"),
        ("notes.txt", "has the suffix '.txt'. Accepted: .png"),
        ("bare", "has no suffix. Accepted: .png"),
        ("x" * 300, "cannot be opened: File name too long|does not exist"),
    ],
)
def test_what_cannot_be_found_is_said(tmp_path, given, sentence):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "bare").touch()
    with pytest.raises(InputError, match=sentence):
        find([tmp_path / given])


def test_nothing_to_find_is_said():
    with pytest.raises(InputError, match="No picture was named"):
        find([])


def test_a_folder_that_may_not_be_listed_is_named(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=r"cannot be opened: Permission denied. Check"):
        find([tmp_path])


def test_suffixes_are_those_of_the_formats():
    formats = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".npy"}
    assert formats == SUFFIXES


# --- real files


@pytest.mark.skipif(not DATA.is_dir(), reason="set NOISEPAIR_DATA to the folder of real pictures")
@pytest.mark.parametrize(
    "folder",
    ["real/shale", "real/confocal", "sequences/graf", "benchmark/Set14", "real/rni15"],
)
def test_real_pictures_come_back(tmp_path, folder):
    if not (DATA / folder).is_dir():
        pytest.skip(f"{folder} is not in NOISEPAIR_DATA")
    for source in find([DATA / folder]):
        image = read(source)
        assert image.notes == ()
        notes = write(tmp_path / source.name, image, image.pixels)
        if image.format == "JPEG":
            assert "lossy" in notes[0]
            continue
        same(image, read(tmp_path / source.name))
        if image.format == "TIFF":
            kept = tags(tmp_path / source.name)
            assert {code: kept.get(code) for code in tags(source)} == tags(source)


def test_reading_leaves_no_file_open(tmp_path):
    """Open files would be a ResourceWarning, hence an error; on Windows, a file that cannot go."""
    source = tiff(tmp_path / "x.tif", noise((4, 5)))
    image = read(source)
    source.unlink()
    buffer = io.BytesIO(image.pixels.tobytes())
    assert len(buffer.getvalue()) == 20
