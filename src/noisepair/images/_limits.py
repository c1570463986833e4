"""May a picture be decoded, before a byte of it is allocated?

Large pictures are welcome as long as they fit into the memory that is free. Small files that
claim to be huge are not pictures: no honest one shrinks a thousandfold at that size.
"""

from pathlib import Path

import psutil

from ..errors import InputError

MIB = 1 << 20
SUSPECT = 512 * MIB  # below, a claim does no harm, and blank pictures do shrink this much
SHRINKAGE = 1000  # Deflate's own limit is 1032


def afford(path: Path, decoded: int, *, working: int = 0) -> None:
    """Refuse a picture of `decoded` bytes, plus `working` bytes while decoding, that cannot be."""
    stored = path.stat().st_size
    if decoded > SUSPECT and decoded > SHRINKAGE * stored:
        raise InputError(
            f"{path} has {stored:,} bytes and claims to hold {decoded / MIB:,.0f} MiB of pixels. "
            f"More than {SHRINKAGE} times its size is not read: the file is damaged or made to do "
            "harm. If it is real, save it without compression."
        )
    free = psutil.virtual_memory().available
    if decoded + working > free:
        raise InputError(
            f"{path} needs {(decoded + working) / MIB:,.0f} MiB of memory and "
            f"{free / MIB:,.0f} MiB are free. "
            "Cut the picture into parts, or use a machine with more memory."
        )
