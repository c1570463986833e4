"""How this package writes: all of a file or nothing, and a sentence when the system refuses."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import InputError

REMEDIES = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space",
    errno.EACCES: "Choose a place that you may write to",
    errno.EPERM: "Choose a place that you may write to",
    errno.EROFS: "Choose a place that you may write to",
    errno.ENOENT: "Make the folder first",
    errno.ENOTDIR: "Choose a place inside a folder",
    errno.EISDIR: "Choose the name of a file",
    errno.EEXIST: "Choose another name",
    errno.ENAMETOOLONG: "Choose a shorter name",
}


@contextlib.contextmanager
def said(doing: str) -> Iterator[None]:
    """Turn the system's refusal into a sentence: what was tried, why not, what to do."""
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "See whether the disk is still there")
        raise InputError(f"Cannot {doing}: {error.strerror or error}. {remedy}.") from error


@contextlib.contextmanager
def placed(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; flushed to the disk and moved to `path` at the end.

    Whatever goes wrong in between, Ctrl-C included, the old file stays and no other remains. A link
    stays a link, what it points at is replaced; an old file's permissions are kept.
    """
    path = Path(os.path.realpath(path))
    with said(f"write {path}"):
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem[:32]}.", suffix=path.suffix
        )
        try:
            try:
                yield Path(name)
                os.fsync(handle)
            finally:
                os.close(handle)  # before the move: Windows moves no open file
            if path.exists():
                shutil.copymode(path, name)
            else:
                os.chmod(name, 0o666 & ~umask())  # mkstemp's 0600 would hide it from colleagues
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def write(path: Path, content: bytes) -> None:
    """All of `content`, or the old file."""
    with placed(path) as beside:
        beside.write_bytes(content)


def make_folder(path: Path) -> None:
    """The folder and those above it."""
    with said(f"make the folder {path}"):
        path.mkdir(parents=True, exist_ok=True)


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
