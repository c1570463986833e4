"""PNG, 8 and 16 bits: decoded by libpng (Pillow would cut 16-bit RGB to 8), chunks carried over.

A PNG is a row of chunks (length, kind, body, CRC). The pixels live in IDAT; whatever else stood
before and after it — profile, EXIF, resolution, text — is put back in its place on the way out.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..errors import InputError
from ._image import INCH, Image, join, per_metre, split
from ._limits import afford

GREY, PALETTE = 0, 3  # colour types
SAMPLES = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}  # of a decoded pixel, at most, by colour type
OF_PIXELS = {b"tRNS", b"hIST", b"PLTE"}  # describe stored pixels that are decoded away
OF_DEPTH = {b"sBIT", b"bKGD"}  # counted in the stored depth and planes
KNOWN = {b"cHRM", b"gAMA", b"iCCP", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"tIME", b"sPLT", *OF_DEPTH}
LARGEST_PROFILE = 1 << 26  # bytes; a compressed profile may lie about its size


class Chunk(NamedTuple):
    kind: bytes
    body: bytes


class Header(NamedTuple):
    width: int
    height: int
    depth: int
    colour: int
    compression: int
    filtering: int
    interlaced: int


def read_png(path: Path) -> Image:
    import imagecodecs

    data = path.read_bytes()
    chunks = list(_chunks(data))
    kinds = [chunk.kind for chunk in chunks]
    header = Header(*struct.unpack(">IIBBBBB", chunks[0].body))
    _refuse(path, header, kinds)
    samples = SAMPLES[header.colour] + (b"tRNS" in kinds and header.colour != PALETTE)
    afford(path, header.width * header.height * samples * (2 if header.depth == 16 else 1))
    decoded = imagecodecs.png_decode(data)
    pixels, alpha = split(decoded.reshape(1, header.height, header.width, -1))
    carried, dropped = _carry(header, chunks)
    return Image(
        pixels=pixels,
        alpha=alpha,
        path=path,
        format="PNG",
        notes=tuple(_notes(header, kinds, dropped)),
        kept={"chunks": carried, **_common([chunk for side in carried for chunk in side])},
    )


def write_png(file: BinaryIO, like: Image, pixels: np.ndarray) -> tuple[str, ...]:
    import imagecodecs

    samples = join(pixels, like.alpha)[0]
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    encoded = memoryview(imagecodecs.png_encode(np.ascontiguousarray(samples)))
    before, after = like.kept["chunks"] if "chunks" in like.kept else (_new_chunks(like.kept), [])
    file.write(encoded[:33])  # signature and IHDR
    file.writelines(map(_packed, before))
    file.write(encoded[33:-12])
    file.writelines(map(_packed, after))
    file.write(encoded[-12:])  # IEND
    return ()


def _chunks(data: bytes) -> Iterator[Chunk]:
    """Every chunk up to IEND; the pixels' own stay behind, as they are large."""
    place, kind = 8, b""
    while kind != b"IEND":
        if place + 12 > len(data):
            raise ValueError("it ends before its IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, place)
        if place + 12 + length > len(data):
            raise ValueError(f"it ends inside its {kind.decode('latin-1')} chunk")
        if (place == 8) != (kind == b"IHDR"):
            raise ValueError("its header is not where it belongs")
        yield Chunk(kind, b"" if kind == b"IDAT" else data[place + 8 : place + 8 + length])
        place += 12 + length


def _refuse(path: Path, header: Header, kinds: list[bytes]) -> None:
    if b"acTL" in kinds:
        raise InputError(
            f"{path} is an animated PNG. Accepted: still pictures. Save its frames one by one."
        )
    if header.colour not in SAMPLES or 0 in (header.width, header.height):
        raise ValueError(f"its header says {header}")
    if (header.colour, header.depth) == (GREY, 1):
        raise InputError(
            f"{path} is black and white, 1 bit a pixel: there is no noise to remove between the "
            "two. Accepted: 8 and 16 bits. Convert it to 8-bit grey."
        )


def _carry(header: Header, chunks: list[Chunk]) -> tuple[tuple[list[Chunk], list[Chunk]], set[str]]:
    """The chunks to put back before and after the pixels, and the kinds that cannot be."""
    kinds = [chunk.kind for chunk in chunks]
    changed = header.depth < 8 or header.colour == PALETTE or b"tRNS" in kinds
    left = OF_PIXELS | (OF_DEPTH if changed else set())
    first, dropped = kinds.index(b"IDAT"), set()
    sides: tuple[list[Chunk], list[Chunk]] = ([], [])
    for index, chunk in enumerate(chunks):
        ancillary, safe = chunk.kind[:1].islower(), chunk.kind[3:].islower()
        if not ancillary or chunk.kind in left:
            continue
        if chunk.kind in KNOWN or safe:
            sides[index > first].append(chunk)
        else:  # the standard's own bit says: depends on pixels, do not copy blindly
            dropped.add(chunk.kind.decode("latin-1"))
    return sides, dropped


def _notes(header: Header, kinds: list[bytes], dropped: set[str]) -> Iterator[str]:
    if header.colour == PALETTE:
        yield "The palette is not kept: its colours are written as RGB."
    elif b"tRNS" in kinds:
        yield "The one transparent colour is not kept as such: it is written as an alpha plane."
    if header.colour == GREY and header.depth < 8:
        yield f"The {header.depth}-bit grey is written as 8 bits."
    if header.interlaced:
        yield "The interlacing is not kept."
    for kind in sorted(dropped):
        yield f"The private chunk {kind} depends on the old pixels and is not kept."


def _common(chunks: list[Chunk]) -> dict[str, Any]:
    """What other formats can hold too."""
    bodies = {chunk.kind: chunk.body for chunk in chunks}
    common: dict[str, Any] = {}
    if b"iCCP" in bodies:
        packed = bodies[b"iCCP"].partition(b"\0")[2][1:]
        with suppress(zlib.error):  # a damaged profile is no reason to lose the picture as well
            common["icc"] = zlib.decompressobj().decompress(packed, LARGEST_PROFILE)
    if b"eXIf" in bodies:
        common["exif"] = bodies[b"eXIf"]
    if len(bodies.get(b"pHYs", b"")) == 9:
        x, y, metric = struct.unpack(">IIB", bodies[b"pHYs"])
        if metric:
            common["dpi"] = (x * INCH, y * INCH)
    return common


def _new_chunks(kept: Any) -> list[Chunk]:
    """The chunks for a picture that came from another format."""
    chunks = []
    if "icc" in kept:
        chunks.append(Chunk(b"iCCP", b"profile\0\0" + zlib.compress(kept["icc"])))
    if "dpi" in kept:
        chunks.append(Chunk(b"pHYs", struct.pack(">IIB", *per_metre(kept["dpi"]), 1)))
    if "exif" in kept:
        chunks.append(Chunk(b"eXIf", kept["exif"]))
    return chunks


def _packed(chunk: Chunk) -> bytes:
    crc = zlib.crc32(chunk.kind + chunk.body)
    return struct.pack(">I4s", len(chunk.body), chunk.kind) + chunk.body + struct.pack(">I", crc)
