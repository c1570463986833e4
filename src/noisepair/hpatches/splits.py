"""Which sequences test and which train: the official splits, and those that a set brings along.

The official ones are drawn, so that only the names are kept here, in the order in which the file
system of 2016 listed them: with the seed 40 (split a), 41 (b) or 42 (c), 20 of the 57 i_ and 20 of
the 59 v_ sequences are the test, in the order of drawing; the rest train. `illum`, `view` and
`full` are all i_, all v_ and both, without a training part. The lists of tasks depend on the order.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, choose
from ..files import said, write

FILE = "splits.json"
SEEDS = {"a": 40, "b": 41, "c": 42}
TESTED = 20  # of each kind

I_NAMES = """
    crownnight table objects nescafe nijmegen whitebuilding porta santuario dc castle steps
    contruction melon yellowtent miniature troulos veggies zion gonnenberg autannes boutique fruits
    pool fog fenis village ajuntament partyfood kurhaus school chestnuts smurf indiana pinard
    lionnight kions ski greenhouse ktirio tools toy bridger lionday brooklyn crownday londonbridge
    greentea leuven nuts resort bologna duda dome pencils books parking salon
"""
V_NAMES = """
    circus charing colors astronautis maskedman talent london underground coffeehouse calder grace
    yard dogman laptop eastsouth boat strand busstop artisans machines soldiers home wapping wounded
    weapons adam there vitro cartooncity abstract dirtywall beyus apprentices sunseason wall war
    bricks fest churchill blueprint tempera samples man bees pomegranate bip feast azzola woman yuri
    posters bird graffiti bark wormhole tabletop courses birdwoman gardens
"""


@dataclass(frozen=True)
class Split:
    """Names of sequences. `train` is empty where everything tests."""

    name: str
    test: tuple[str, ...]
    train: tuple[str, ...] = ()


def official() -> dict[str, Split]:
    """The six splits of the benchmark.

    >>> official()["a"].test[:2], [len(split.test) for split in official().values()]
    (('i_ajuntament', 'i_resort'), [40, 40, 40, 57, 59, 116])
    """
    light = [f"i_{name}" for name in I_NAMES.split()]
    views = [f"v_{name}" for name in V_NAMES.split()]
    splits = {}
    for name, seed in SEEDS.items():
        rng = random.Random(seed)
        test = (*drawn(light, TESTED, rng), *drawn(views, TESTED, rng))
        rest = tuple(one for one in light + views if one not in test)
        splits[name] = Split(name, test, rest)
    whole = {"illum": light, "view": views, "full": light + views}
    return splits | {name: Split(name, tuple(names)) for name, names in whole.items()}


def drawn(names: list[str], count: int, rng: random.Random) -> list[str]:
    """As Python 2 drew without putting back; Python 3 asks its generator differently."""
    pool, taken = list(names), []
    for last in range(len(pool) - 1, len(pool) - 1 - count, -1):
        at = int(rng.random() * (last + 1))
        taken.append(pool[at])
        pool[at] = pool[last]
    return taken


def find_split(name: str, *folders: Path) -> Split:
    """A split by its name: of the first splits.json in `folders`, or else an official one."""
    own = next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)
    return choose("split", name, read_splits(own) if own else official())


def read_splits(path: Path) -> dict[str, Split]:
    """{"a": {"test": [names], "train": [names]}, …} as the benchmark writes it."""
    with said(f"read {path}"):
        text = path.read_bytes()
    try:
        plain = json.loads(text)
        return {str(name): _split(str(name), parts) for name, parts in plain.items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} holds no splits ({error}). Accepted: JSON such as "
            '{"a": {"test": ["i_dome"], "train": ["v_wall"]}}. Write it so, or remove it.'
        ) from error


def _split(name: str, parts: Mapping[str, Any]) -> Split:
    test, train = parts["test"], parts.get("train", [])
    for names in (test, train):
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise TypeError(f"split {name} is no list of names")
    if not test or len(set(test + train)) < len(test + train):
        raise ValueError(f"split {name} tests nothing, or names a sequence twice")
    return Split(name, tuple(test), tuple(train))


def write_splits(path: Path, splits: Mapping[str, Split]) -> None:
    """The same form."""
    plain = {
        name: {"test": list(split.test), "train": list(split.train), "name": name}
        for name, split in splits.items()
    }
    write(path, json.dumps(plain, indent=1).encode())
