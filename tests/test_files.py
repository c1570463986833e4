"""Writing: all of a file or the old one, and a sentence when the system refuses."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from noisepair import files
from noisepair.errors import InputError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def refusal(number):
    return OSError(number, os.strerror(number))


# — all or nothing —


def test_what_was_written_is_there_and_nothing_else(tmp_path):
    files.write(tmp_path / "page", b"new")
    assert (tmp_path / "page").read_bytes() == b"new"
    files.write(tmp_path / "page", b"newer")
    assert (tmp_path / "page").read_bytes() == b"newer"
    assert names(tmp_path) == ["page"]


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), KeyboardInterrupt(), SystemExit(1), GeneratorExit(), MemoryError()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("old", [b"old", None])
def test_whatever_goes_wrong_the_old_file_stays_and_no_other(tmp_path, error, old):
    path = tmp_path / "page.txt"
    if old is not None:
        path.write_bytes(old)

    def half(beside):
        beside.write_bytes(b"half of the new")
        assert beside.parent == tmp_path, "on the same disk, or it could not be moved"
        assert beside.suffix == ".txt", "writers choose a format by it"
        raise error

    with pytest.raises(type(error)), files.placed(path) as beside:
        half(beside)
    assert names(tmp_path) == (["page.txt"] if old else [])
    assert old is None or path.read_bytes() == old


@pytest.mark.parametrize("act", ["fsync", "chmod", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), refusal(errno.EIO)], ids=["Ctrl-C", "EIO"])
def test_the_same_holds_for_every_act_of_writing(tmp_path, monkeypatch, act, error):
    path = tmp_path / "page"
    path.write_bytes(b"old")

    def fails(*given):
        raise error

    monkeypatch.setattr(files.os, act, fails)
    with pytest.raises((InputError, KeyboardInterrupt)):
        files.write(path, b"new")
    assert names(tmp_path) == ["page"]
    assert path.read_bytes() == b"old"


def test_no_file_is_left_open(tmp_path, monkeypatch):
    opened = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    if opened is None:
        pytest.skip("needs /proc")
    for n in range(20):
        files.write(tmp_path / str(n), b"x")
        with pytest.raises(ZeroDivisionError), files.placed(tmp_path / "never"):
            raise ZeroDivisionError
    assert len(os.listdir("/proc/self/fd")) == opened


def test_it_is_on_the_disk_and_closed_before_it_is_moved(tmp_path, monkeypatch):
    """In this order: else a power cut leaves an empty file, and Windows moves no open one."""
    acts = []
    for act in ("fsync", "close", "replace"):
        real = getattr(os, act)

        def noted(*given, act=act, real=real):
            acts.append(act)
            return real(*given)

        monkeypatch.setattr(files.os, act, noted)
    files.write(tmp_path / "page", b"x")
    assert acts == ["fsync", "close", "replace"]


def test_a_reader_never_meets_half_a_file(tmp_path):
    path, size, met = tmp_path / "page", 1 << 20, set()
    files.write(path, bytes([0]) * size)
    over = threading.Event()

    def read():
        while not over.is_set():
            content = path.read_bytes()
            met.add((len(content), len(set(content[:: size // 64]))))

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(30):
        files.write(path, bytes([n]) * size)
    over.set()
    reader.join()
    assert met == {(size, 1)}


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        files.write(tmp_path / "ours", b"x")
        (tmp_path / "plain").write_bytes(b"x")
    finally:
        os.umask(before)
    ours, plain = (stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("ours", "plain"))
    assert ours == plain == 0o666 & ~mask
    assert files.umask() == before, "asking changes nothing"


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path):
    longest = "ü" * 124 + ".png"  # 252 bytes of 255
    files.write(tmp_path / longest, b"x")
    assert names(tmp_path) == [longest]


# — sentences —


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device. Free some space."),
        (errno.EDQUOT, "Disk quota exceeded. Free some space."),
        (errno.EACCES, "Permission denied. Choose a place that you may write to."),
        (errno.EROFS, "Read-only file system. Choose a place that you may write to."),
        (errno.EIO, "Input/output error. See whether the disk is still there."),
    ],
)
def test_a_refusal_is_a_sentence_with_a_remedy(tmp_path, monkeypatch, number, words):
    def refuse(handle):
        raise refusal(number)

    monkeypatch.setattr(files.os, "fsync", refuse)
    with pytest.raises(InputError) as caught:
        files.write(tmp_path / "page", b"x")
    assert str(caught.value) == f"Cannot write {tmp_path / 'page'}: {words}"
    assert names(tmp_path) == []


def test_places_that_cannot_be_written_to_are_told_apart(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    for path, words in (
        (tmp_path / "file" / "page", "Choose a place inside a folder"),
        (tmp_path / "nowhere" / "page", "Make the folder first"),
        (tmp_path / "folder", "Choose the name of a file"),
        (tmp_path / ("x" * 300), "Choose a shorter name"),
    ):
        with pytest.raises(InputError, match=rf"^Cannot write {path}: .*\. {words}\.$"):
            files.write(path, b"x")
    assert names(tmp_path) == ["file", "folder"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError, match=r"Cannot make the folder .*: Not a directory\. Choose"):
        files.make_folder(tmp_path / "file" / "inside")
    with pytest.raises(InputError, match=r"File exists\. Choose another name\.$"):
        files.make_folder(tmp_path / "file")
    files.make_folder(tmp_path / "a" / "b")
    files.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_what_is_not_the_systems_refusal_is_not_dressed_as_one(tmp_path):
    with pytest.raises(KeyError), files.said("write"):
        raise KeyError("ours")
