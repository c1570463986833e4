"""The EXIF and GPS blocks of a TIFF page, which tifffile does not write.

They are directories of their own that a tag points at. So the tag is written with a pointer to
nowhere, the block is appended to the finished file, and the pointer is set at last. A directory is

    count · (code, type, count, value or its place) … · place of the next directory

with 16-, 32- and 32-bit numbers in a classic TIFF and 64-bit ones in a BigTIFF.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Literal, NamedTuple

BLOCKS = {34665: "ExifTag", 34853: "GPSTag"}
INTEROPERABILITY = 40965  # points at one more directory, which says nothing but "R98"
BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8, 17: 8}


class Dialect(NamedTuple):
    """How a file writes its numbers."""

    order: Literal["<", ">"]
    big: bool

    @property
    def room(self) -> int:
        """Bytes an entry has for its value; a longer one lies elsewhere."""
        return 8 if self.big else 4

    def pack(self, letters: str, *numbers: int) -> bytes:
        return struct.pack(self._form(letters), *numbers)

    def take(self, letters: str, file: Any) -> tuple[int, ...]:
        form = self._form(letters)
        return struct.unpack(form, file.read(struct.calcsize(form)))

    def _form(self, letters: str) -> str:
        """n: a number of entries; p: a place in the file or a count of values."""
        wide = {"n": "Q", "p": "Q"} if self.big else {"n": "H", "p": "I"}
        return self.order + "".join(wide.get(letter, letter) for letter in letters)


class Entry(NamedTuple):
    code: int
    kind: int
    number: int  # of values
    spot: int  # where the value is, or the place of the value
    value: bytes = b""


def find_blocks(file: Any, dialect: Dialect, place: int) -> list[tuple[int, int]]:
    """The code and the pointer of each block that the directory at `place` names."""
    entries, _ = _directory(file, dialect, place)
    return [(entry.code, entry.spot) for entry in entries if entry.code in BLOCKS]


def read_block(file: Any, dialect: Dialect, pointer: int) -> list[Entry]:
    """The directory whose place is written at `pointer`, with its values."""
    file.seek(pointer)
    entries, _ = _directory(file, dialect, dialect.take("p", file)[0])
    return [
        entry._replace(value=_value(file, dialect, entry))
        for entry in entries
        if entry.kind in BYTES and entry.code != INTEROPERABILITY
    ]


def write_blocks(
    file: BinaryIO, dialect: Dialect, pages: Sequence[Mapping[int, list[Entry]]]
) -> None:
    """Append the blocks of each page to a finished file, and point at them."""
    if not any(pages):
        return
    for entries, blocks in zip(list(_directories(file, dialect)), pages, strict=True):
        pointers = {entry.code: entry.spot for entry in entries}
        for code, block in blocks.items():
            place = _append(file, dialect, block)
            file.seek(pointers[code])
            file.write(dialect.pack("p", place))


def _directories(file: BinaryIO, dialect: Dialect) -> Iterator[list[Entry]]:
    file.seek(8 if dialect.big else 4)
    (place,) = dialect.take("p", file)
    while place:
        entries, place = _directory(file, dialect, place)
        yield entries


def _directory(file: Any, dialect: Dialect, place: int) -> tuple[list[Entry], int]:
    """The entries of a directory, and the place of the next one."""
    file.seek(place)
    (count,) = dialect.take("n", file)
    entries = []
    for _ in range(count):
        code, kind, number = dialect.take("HHp", file)
        entries.append(Entry(code, kind, number, file.tell()))
        file.seek(entries[-1].spot + dialect.room)
    return entries, dialect.take("p", file)[0]


def _value(file: Any, dialect: Dialect, entry: Entry) -> bytes:
    size = BYTES[entry.kind] * entry.number
    file.seek(entry.spot)
    if size > dialect.room:
        file.seek(dialect.take("p", file)[0])
    value = file.read(size)
    if len(value) < size:
        raise ValueError(f"its EXIF tag {entry.code} ends beyond the file")
    return value


def _append(file: BinaryIO, dialect: Dialect, entries: Sequence[Entry]) -> int:
    file.write(bytes(file.seek(0, 2) % 2))  # directories begin at even places
    place = file.tell()
    head = len(dialect.pack("n", 0)) + len(entries) * (4 + 2 * dialect.room) + dialect.room
    directory, values = dialect.pack("n", len(entries)), b""
    for entry in entries:
        directory += dialect.pack("HHp", entry.code, entry.kind, entry.number)
        if len(entry.value) <= dialect.room:
            directory += entry.value.ljust(dialect.room, b"\0")
        else:
            directory += dialect.pack("p", place + head + len(values))
            values += entry.value + bytes(len(entry.value) % 2)
    file.write(directory + dialect.pack("p", 0) + values)
    return place
