"""Which patches are compared: the benchmark's lists, read, or made anew from their seed.

    tasks/verif_pos_split-a.csv  verif_neg_intra_…  verif_neg_inter_…      s1,t1,idx1,s2,t2,idx2
    tasks/retr_queries_split-a.csv  retr_distractors_…                     s,idx

s is a sequence, idx a patch of it, t the picture: 0 the reference, 1 to 5 the others, whose sheets
differ by level (e1, h1 or t1). The lists were drawn with numpy's legacy generator from the seed 42,
so they are made again bit for bit from the names of the test sequences, in the split's order, and
their numbers of patches N. For retrieval the patches of reference sheets whose grey levels, at the
benchmark's 65×65, have a deviation above 10 are needed too. Matching has no list: it takes all.

In the order of drawing, verification: a sequence for every row; two different patches of it; two
different pictures of 0 to 4 (the fifth is never used); then for the wrong pairs between sequences
another sequence and any patch of it, which a few times is the same sequence, and the same patch. A
right pair is (s, t1, i) and (s, t2, i), a wrong one within the sequence (s, t1, i) and (s, t2, j).
Retrieval: sequence and patch of four times as many queries and ten times as many distractors as are
wanted; flat patches and repeated ones fall out, of the distractors those that are queries too, and
the first are kept.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import make_folder, said, write

SEED = 42
PAIRS = 1_000_000
QUERIES, DISTRACTORS = 10_000, 20_000
USED = 5  # pictures 0 to 4 in verification
FLAT = 10  # grey levels: deviation of a patch that is too flat to be asked for
NEGATIVES = ("inter", "intra")  # wrong pairs: of any two sequences, or of one
KINDS = {"pos": "pos", "intra": "neg_intra", "inter": "neg_inter"}  # as the files are called
PAIR_HEAD, PATCH_HEAD = "s1,t1,idx1,s2,t2,idx2", "s,idx"

Watch = Callable[[float], None]  # watch(share done)


@dataclass(frozen=True)
class Pairs:
    """Pairs of patches; each patch (sequence, picture, index), sequences by their place in `names`.

    `first` and `second` are (n, 3) int32.
    """

    names: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray


@dataclass(frozen=True)
class Verification:
    """Right pairs, and wrong ones within a sequence and between sequences."""

    pos: Pairs
    intra: Pairs
    inter: Pairs


@dataclass(frozen=True)
class Retrieval:
    """Reference patches that are looked for, and those among which: (sequence, index), (n, 2)."""

    names: tuple[str, ...]
    queries: np.ndarray
    distractors: np.ndarray


# — made —


def make_verification(
    counts: Mapping[str, int], *, pairs: int = PAIRS, seed: int = SEED, watch: Watch | None = None
) -> Verification:
    """The lists of verification, of sequences with `counts` patches, in the split's order."""
    few = [name for name, count in counts.items() if count < 2]
    if few:
        raise InputError(
            f"{few[0]} has {counts[few[0]]} patch(es). Wrong pairs within a sequence need two. "
            "Leave the sequence out of the split, or give lists of your own with --tasks."
        )
    rng = np.random.RandomState(seed)  # the published lists are its
    names, size = tuple(counts), np.array(list(counts.values()))
    s = rng.choice(len(names), pairs)
    two = np.empty((pairs, 2), np.int32)
    for row, count in enumerate(size[s].tolist()):
        two[row] = rng.permutation(count)[:2]
        if watch and row % 10_000 == 0:
            watch(0.9 * row / pairs)
    pictures = np.array([rng.permutation(USED)[:2] for _ in range(pairs)])
    s2 = rng.choice(len(names), pairs)
    other = np.array([rng.randint(count) for count in size[s2].tolist()])
    first = patches(s, pictures[:, 0], two[:, 0])
    right = patches(s, pictures[:, 1], two[:, 0])
    return Verification(
        Pairs(names, first, right),
        Pairs(names, first, patches(s, pictures[:, 1], two[:, 1])),
        Pairs(names, first, patches(s2, pictures[:, 1], other)),
    )


def make_retrieval(
    textured: Mapping[str, np.ndarray],
    *,
    queries: int = QUERIES,
    distractors: int = DISTRACTORS,
    seed: int = SEED,
) -> Retrieval:
    """The lists of retrieval. `textured`: of each sequence, in order, which patches, (N,) bool.

    Small sets hold fewer than are wanted: then a third of what there is asks, and the rest is what
    it is looked for among.
    """
    rng = np.random.RandomState(seed)  # the published lists are its
    names, fit = tuple(textured), list(textured.values())

    def drawn(count: int) -> list[tuple[int, int]]:
        s = rng.choice(len(names), count).tolist()
        all_of = [(one, rng.randint(len(fit[one]))) for one in s]
        return list(dict.fromkeys(place for place in all_of if fit[place[0]][place[1]]))

    third = sum(int(each.sum()) for each in fit) // 3
    asked, among = drawn(4 * queries)[: min(queries, third)], drawn(10 * distractors)
    known = set(asked)
    rest = [place for place in among if place not in known][:distractors]
    if not asked or not rest:
        raise InputError(
            f"Of the {sum(map(len, fit)):,} patches too few have structure for retrieval: grey "
            f"levels with a deviation above {FLAT}. Use sheets with more patches, or --task."
        )
    return Retrieval(names, np.array(asked, np.int32), np.array(rest, np.int32))


def patches(sequence: np.ndarray, picture: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Columns to (n, 3) int32."""
    return np.stack([sequence, picture, index], 1).astype(np.int32)


def textured(sheet: np.ndarray) -> np.ndarray:
    """Which patches of a reference sheet, (N, W, W) uint8, may be asked for: (N,) bool."""
    return sheet.reshape(len(sheet), -1).std(1) > FLAT


# — read and written —


def paths(folder: Path, split: str) -> dict[str, Path]:
    """Where the lists of a split lie: pos, intra, inter, queries, distractors."""
    names = {kind: f"verif_{name}" for kind, name in KINDS.items()}
    names |= {kind: f"retr_{kind}" for kind in ("queries", "distractors")}
    return {kind: folder / f"{name}_split-{split}.csv" for kind, name in names.items()}


def read_verification(folder: Path, split: str, names: Sequence[str]) -> Verification | None:
    """The three lists of pairs of sequences in `names`; None where none of the files is there."""
    found = _there(paths(folder, split), tuple(KINDS))
    if found is None:
        return None
    lists = {}
    for kind, path in found.items():
        rows = _read(path, PAIR_HEAD, tuple(names))
        lists[kind] = Pairs(tuple(names), rows[:, :3], rows[:, 3:])
    return Verification(**lists)


def read_retrieval(folder: Path, split: str, names: Sequence[str]) -> Retrieval | None:
    """Queries and distractors of sequences in `names`; None where neither file is there."""
    found = _there(paths(folder, split), ("queries", "distractors"))
    if found is None:
        return None
    return Retrieval(
        tuple(names), *(_read(path, PATCH_HEAD, tuple(names)) for path in found.values())
    )


def write_verification(folder: Path, split: str, lists: Verification) -> None:
    """In the benchmark's form; about 30 bytes a pair."""
    make_folder(folder)
    for kind in KINDS:
        pairs: Pairs = getattr(lists, kind)
        rows = np.concatenate([pairs.first, pairs.second], 1)
        _write(paths(folder, split)[kind], PAIR_HEAD, pairs.names, rows)


def write_retrieval(folder: Path, split: str, lists: Retrieval) -> None:
    """In the benchmark's form."""
    make_folder(folder)
    for kind in ("queries", "distractors"):
        _write(paths(folder, split)[kind], PATCH_HEAD, lists.names, getattr(lists, kind))


def _there(every: Mapping[str, Path], kinds: Iterable[str]) -> dict[str, Path] | None:
    wanted = {kind: every[kind] for kind in kinds}
    missing = [path for path in wanted.values() if not path.is_file()]
    if len(missing) == len(wanted):
        return None
    if missing:
        raise InputError(
            f"{missing[0]} is missing beside {next(p for p in wanted.values() if p.is_file())}. "
            f"The lists of a task come together. Copy it too, or move the others away."
        )
    return wanted


def _read(path: Path, head: str, names: tuple[str, ...]) -> np.ndarray:
    """Rows of a list as (n, columns) int32, names by their place."""
    columns = head.split(",")
    kinds = [(name, "S64" if name[0] == "s" else "i4") for name in columns]
    with said(f"read {path}"):
        first, _, body = path.read_bytes().partition(b"\n")
    if first.strip() != head.encode():
        raise InputError(
            f"{path} begins with {first[:60]!r}. A list of this kind begins with {head}. "
            "Copy it again from the benchmark's folder tasks, or remove it to have it made."
        )
    if not body.strip():
        raise InputError(f"{path} holds no rows. Copy it again, or remove it to have it made.")
    try:
        rows = np.loadtxt(io.BytesIO(body), kinds, comments=None, delimiter=",", ndmin=1)
    except ValueError as error:
        raise InputError(
            f"{path} holds a row that is none of {head}: {error}. Copy it again, or remove it to "
            "have it made."
        ) from error
    found = [_placed(path, rows[name], names) if name[0] == "s" else rows[name] for name in columns]
    return np.stack(found, 1).astype(np.int32)


def _placed(path: Path, column: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Names to their places."""
    held, which = np.unique(column, return_inverse=True)
    place = {name.encode(): n for n, name in enumerate(names)}
    strange = [name for name in held.tolist() if name not in place]
    if strange:
        raise InputError(
            f"{path} asks for patches of {strange[0].decode(errors='replace')}, which is no test "
            "sequence of the split. Give the split that the lists belong to with --split."
        )
    return np.array([place[name] for name in held.tolist()], np.int32)[which]


def _write(path: Path, head: str, names: tuple[str, ...], rows: np.ndarray) -> None:
    text = [names[v] for v in rows[:, 0].tolist()]
    columns = [text if n == 0 else rows[:, n].tolist() for n in range(rows.shape[1])]
    if rows.shape[1] == 6:
        columns[3] = [names[v] for v in rows[:, 3].tolist()]
    lines = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    write(path, "\n".join([head, *lines, ""]).encode())
