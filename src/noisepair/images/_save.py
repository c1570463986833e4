"""A file appears complete or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when all went well, and vanishes otherwise."""
    path = Path(os.path.realpath(path))  # a link stays a link; what it points at is replaced
    part = path.with_name(f".{secrets.token_hex(8)}.part")  # same folder: os.replace is atomic
    try:
        with open(part, "x+b") as file:  # x: with the permissions any new file gets
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, part)
        os.replace(part, path)
    except BaseException:  # Ctrl-C included: nothing half-written may remain
        part.unlink(missing_ok=True)
        raise
