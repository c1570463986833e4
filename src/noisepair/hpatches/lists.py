"""The lists of a split: read where the user has them, made from their seed where not."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import tasks
from .layout import SIDES, PatchSet, read_sheet, sheet_path
from .splits import Split
from .tasks import Retrieval, Verification

Watch = Callable[[float], None]  # watch(share done)
Say = Callable[[str], None]


def verification(
    split: Split,
    counts: Mapping[str, int],
    folder: Path | None,
    *,
    keep: bool = False,
    say: Say = lambda line: None,
    watch: Watch | None = None,
) -> Verification:
    """The pairs of a split: from `folder`, or made of the sequences' `counts`.

    With `keep`, what had to be made is written to `folder`. `say` is told where lists come from.
    """
    found = tasks.read_verification(folder, split.name, split.test) if folder else None
    if found is not None:
        say(f"Pairs: from {folder}.")
        return found
    say(f"Pairs: made from the seed {tasks.SEED}, {tasks.PAIRS:,} of each kind.")
    of = {name: counts[name] for name in split.test}
    made = tasks.make_verification(of, pairs=tasks.PAIRS, watch=watch)
    if keep and folder:
        tasks.write_verification(folder, split.name, made)
    return made


def find_retrieval(split: Split, folder: Path | None, patches: PatchSet | None) -> Retrieval | None:
    """The queries and distractors in `folder`; None where they can be made of the `patches`."""
    found = tasks.read_retrieval(folder, split.name, split.test) if folder else None
    if found is None and patches is None:
        named = tasks.paths(Path(), split.name)
        raise InputError(
            f"Retrieval needs {named['queries']} and {named['distractors']}, or the patches to make"
            " them from. Give the folder that holds them with --tasks, the sheets with --patches, "
            "or another --task."
        )
    return found


def retrieval(
    split: Split,
    counts: Mapping[str, int],
    folder: Path | None,
    patches: PatchSet | None,
    *,
    keep: bool = False,
    say: Say = lambda line: None,
) -> Retrieval:
    """Queries and distractors of a split: from `folder`, or made with a look at the `patches`."""
    found = find_retrieval(split, folder, patches)
    if found is not None or patches is None:
        say(f"Queries and distractors: from {folder}.")
        assert found is not None
        return found
    if patches.side != max(SIDES):
        say(
            f"Queries and distractors: made from patches of {patches.side}×{patches.side}, where "
            f"the benchmark looked at {max(SIDES)}×{max(SIDES)}; its own may differ a little."
        )
    else:
        say(f"Queries and distractors: made from the patches and the seed {tasks.SEED}.")
    made = tasks.make_retrieval({name: _textured(patches, name, counts) for name in split.test})
    if keep and folder:
        tasks.write_retrieval(folder, split.name, made)
    return made


def _textured(patches: PatchSet, name: str, counts: Mapping[str, int]) -> np.ndarray:
    """Which patches of a sequence are not flat; the sheet without noise says, if there is one."""
    clean = sheet_path(patches.folder, name, "ref")
    sheet = read_sheet(clean) if clean.is_file() else patches.sheet(name, "ref")
    if len(sheet) != counts[name]:
        raise InputError(
            f"{name} has {len(sheet)} patches in {patches.folder} and {counts[name]} descriptors. "
            "Both belong to one set. Give the patches that were described."
        )
    return tasks.textured(sheet)
