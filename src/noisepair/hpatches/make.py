"""A set in HPatches' layout where HPatches cannot be had: of sequences, or of single photographs.

    scenes  →  sixteen sheets each, 65×65, and 32×32 with and without noise  →  splits, lists

It is HPatches in style and not HPatches: its figures say nothing of the other's. Jitter, views and
noise are in _jitter, _views and _sheets, what lies where in _store.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from ..errors import InputError
from . import _store, tasks
from ._scenes import Scene, find, fingerprint
from ._sheets import LARGE, SMALL, Settings, Unfit, make_sheets
from .layout import PatchSet, open_set
from .splits import FILE, Split, read_splits, write_splits

__all__ = ["LARGE", "SMALL", "Made", "Settings", "make"]

SPLIT = "a"  # the split that `noisepair hpatches evaluate` takes by default
PAIRS, QUERIES, DISTRACTORS = 100_000, 2_000, 5_000  # a tenth to a quarter of the benchmark's

Watch = Callable[[int, int], None]  # sequences done, of


@dataclass(frozen=True)
class Made:
    """What there is in the end."""

    out: Path
    split: Split
    counts: Mapping[str, int]  # sequence → patches
    left_out: Mapping[str, str]  # sequence → why
    new: int  # sequences that were not there before

    def as_json(self) -> dict[str, Any]:
        """Names and plain numbers."""
        return {
            "out": str(self.out),
            "patches": sum(self.counts.values()),
            "sequences": dict(self.counts),
            "new": self.new,
            "train": list(self.split.train),
            "test": list(self.split.test),
            "left_out": dict(self.left_out),
        }


def make(
    sources: Sequence[Path],
    out: Path,
    settings: Settings,
    *,
    test: Sequence[Path] = (),
    held_out: float = 0.25,
    photographs: int | None = None,
    workers: int = 1,
    watch: Watch = lambda done, of: None,
) -> Made:
    """Make the sequences that are not there yet; what is there must have been made alike.

    `test`: sources that are kept for judging; without them a share `held_out` of the sequences is.
    `photographs`: no more than this many of `sources`, and of `test`. A picture that comes twice, a
    folder made otherwise, and sources of which nothing can be made are InputErrors.
    """
    train, tested = find(sources, photographs), find(test, photographs)
    if not test:
        train, tested = shared(train, held_out)
    scenes = [*train, *tested]
    refuse_twice(scenes)
    _store.begin(out, settings, [scene.name for scene in scenes])
    waiting = [scene for scene in scenes if not _store.there(out, scene.name, settings)]
    done, left_out = len(scenes) - len(waiting), dict[str, str]()
    with one_core_each(), ThreadPoolExecutor(workers) as pool:
        watch(done, len(scenes))
        reasons = pool.map(partial(put, out, settings), waiting)
        try:
            for scene, why in zip(waiting, reasons, strict=True):
                left_out |= {scene.name: why} if why else {}
                done += 1
                watch(done, len(scenes))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    names = [[s.name for s in half if s.name not in left_out] for half in (train, tested)]
    if not names[1]:
        raise InputError(f"There is no sequence to judge with. {' '.join(left_out.values())}")
    split = Split(SPLIT, test=tuple(names[1]), train=tuple(names[0]))
    counts = finish(out, settings, split)
    pictures = {scene.name: [path.name for path in scene.files] for scene in scenes}
    _store.record(out, settings, {"sequences": counts, "left_out": left_out, "pictures": pictures})
    return Made(out, split, counts, left_out, len(waiting) - len(left_out))


def put(out: Path, settings: Settings, scene: Scene) -> str:
    """Make and write one sequence; or why it cannot be."""
    try:
        _store.write(out, scene.name, make_sheets(scene, settings), settings)
    except Unfit as why:
        return str(why)
    return ""


@contextlib.contextmanager
def one_core_each() -> Iterator[None]:
    """OpenCV with one thread: the sequences are what goes side by side."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


# ---- which sequences


def shared(scenes: Sequence[Scene], held_out: float) -> tuple[list[Scene], list[Scene]]:
    """For training and for judging: two neighbours at a time, a v_ and an i_; always one to judge.

    Even shares of the whole list: more scenes at its end change no share before it.
    """
    if not 0 < held_out <= 1:
        raise InputError(
            f"held_out={held_out} is no share to judge with. Give more than 0 and up to 1, such as "
            "0.25, or name pictures to judge with by --test."
        )
    tests = [int((n // 2 + 1) * held_out) > int(n // 2 * held_out) for n in range(len(scenes))]
    if tests and not any(tests):
        tests[-1] = True
    train = [scene for scene, judges in zip(scenes, tests, strict=True) if not judges]
    return train, [scene for scene, judges in zip(scenes, tests, strict=True) if judges]


def refuse_twice(scenes: Sequence[Scene]) -> None:
    """One picture twice, which training and judging might share; or one name for two."""
    pictures: dict[str, tuple[int, Path]] = {}
    names: dict[str, Path] = {}
    for n, scene in enumerate(scenes):
        for digest, path in fingerprint(scene).items():
            earlier, first = pictures.setdefault(digest, (n, path))
            if earlier != n:
                raise InputError(
                    f"{first} and {path} are the same picture. A picture may be in a set once, in "
                    "training or in the test. Take one of them out."
                )
        first = names.setdefault(scene.name.casefold(), scene.files[0])
        if first != scene.files[0]:
            raise InputError(
                f"{first} and {scene.files[0]} would both become the sequence {scene.name}. Rename "
                "one of them."
            )


def finish(out: Path, settings: Settings, split: Split) -> dict[str, int]:
    """The split, and the lists of what is compared; the patches of each sequence are returned."""
    sides = [out / str(side) for side in sorted(settings.sides, reverse=True)]
    whole = open_set(sides[0], [*split.train, *split.test])
    if any(
        not (side / FILE).exists() or read_splits(side / FILE)[SPLIT] != split for side in sides
    ):
        write_lists(sides, split, whole)
    return dict(whole.counts)


def write_lists(sides: Sequence[Path], split: Split, whole: PatchSet) -> None:
    """The same lists beside each side; the split last, as the sign that they are there."""
    counts = {name: whole.counts[name] for name in split.test}
    textured = {name: tasks.textured(whole.sheet(name, "ref")) for name in split.test}
    total = sum(counts.values())
    pairs = tasks.make_verification(counts, pairs=PAIRS)
    asked = None
    with contextlib.suppress(InputError):  # too flat for retrieval: then there is none
        asked = tasks.make_retrieval(
            textured, queries=min(QUERIES, total // 5), distractors=min(DISTRACTORS, total)
        )
    for folder in sides:
        tasks.write_verification(folder / "tasks", split.name, pairs)
        if asked:
            tasks.write_retrieval(folder / "tasks", split.name, asked)
        write_splits(folder / FILE, {split.name: split})
