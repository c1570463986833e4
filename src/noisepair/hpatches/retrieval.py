"""Retrieval: do a patch's five other views come before thousands of other patches?

A query is a reference patch. Its pool holds its five views at a level and distractors, reference
patches of other sequences, in the list's order. For each of seven sizes k the average precision is
taken over the first k of the pool, the views counted in: k − 5 distractors. The benchmark's figure
is a mean over queries; the views stand first, so that equal distances are in their favour.

All that decides is how many of the first k − 5 distractors are closer than each view. Each query's
distances are cut where no view lies behind, and the few that are left are counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..errors import InputError
from ._near import Ruler, between, products
from .described import Described
from .layout import LEVELS, OTHERS
from .precision import Ties, by_counts, expected_by_counts
from .tasks import Retrieval

Watch = Callable[[float], None]  # watch(share done)
POOLS = (100, 500, 1000, 5000, 10_000, 15_000, 20_000)
ROWS = 128  # queries at a time: their distances to all distractors take 20 MB


@dataclass(frozen=True)
class Retrieved:
    """Of each query, level and pool (Q, 3, K): average precision; `sequences` (Q,) its place;
    `tied` (Q, 3): share of its five views at the distance of a distractor."""

    precision: np.ndarray
    sequences: np.ndarray
    pools: tuple[int, ...]
    tied: np.ndarray


def retrieve(
    described: Described, lists: Retrieval, *, ties: Ties = "official", watch: Watch | None = None
) -> Retrieved:
    """All queries; `lists` names sequences in the order of `described`.

    Pools larger than the list of distractors are left out; of a list below 100 the whole is one.
    """
    for what in ("queries", "distractors"):
        described.holds(lists.names, _reference(getattr(lists, what)), f"The list of {what}")
    pools = tuple(k for k in POOLS if k <= len(lists.distractors)) or (len(lists.distractors),)
    ruler = Ruler.of(described)
    asked = described.rows(_reference(lists.queries), 0)
    views = _views(described, lists.queries, asked)  # (Q, 3, 5) sorted
    among = ruler.centred(described.values[described.rows(_reference(lists.distractors), 0)])
    precision = np.empty((len(asked), len(LEVELS), len(pools)))
    tied = np.empty((len(asked), len(LEVELS)))
    done = 0
    for s in range(len(described.counts)):
        mine = np.flatnonzero(lists.queries[:, 0] == s)
        others = among[lists.distractors[:, 0] != s]
        if len(mine) and not len(others):
            raise InputError(
                f"All distractors are patches of {described.names[s]}, and those of a query's own "
                "sequence do not count. Use a split of two sequences or more, or another --task."
            )
        ends = (np.array(pools) - OTHERS).clip(0, len(others))
        for part in np.array_split(mine, -(-len(mine) // ROWS)) if len(mine) else []:
            apart = products(ruler.centred(described.values[asked[part]]), others)
            closer, level = _counts(apart, views[part], ends, ruler.same)
            precision[part] = _precision(closer, level, views[part], ruler.same, ties)
            tied[part] = (level[..., -1] > 0).mean(-1)
            done += len(part)
            if watch:
                watch(done / len(asked))
    return Retrieved(precision, lists.queries[:, 0], pools, tied)


def _reference(places: np.ndarray) -> np.ndarray:
    """(sequence, index) to (sequence, 0, index): patches of reference sheets."""
    return np.insert(places, 1, 0, axis=1)


def _views(described: Described, queries: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Squared distances of the queries to their own views, sorted: (Q, 3, 5)."""
    found = np.empty((len(queries), len(LEVELS), OTHERS))
    for level in range(len(LEVELS)):
        for k in range(OTHERS):
            view = np.stack([queries[:, 0], np.full(len(queries), k + 1), queries[:, 1]], 1)
            found[:, level, k] = between(described.values, asked, described.rows(view, level))
    found.sort(-1)
    return found


def _counts(
    apart: np.ndarray, views: np.ndarray, ends: np.ndarray, same: float
) -> tuple[np.ndarray, np.ndarray]:
    """How many distractors are closer than a view, how many as far: (q, 3, 5, K) each.

    `apart` (q, n) distances to distractors, `views` (q, 3, 5), `ends` (K,): where pools end.
    """
    edges = views.reshape(len(views), -1)
    # closer: d < edge − same; closer or as far: d <= edge + same, that is < the next float
    bounds = np.concatenate([edges - same, np.nextafter(edges + same, np.inf)], 1)
    cuts = [0, *ends.tolist()]
    found = np.zeros((*bounds.shape, len(ends)), np.int32)
    for q, row in enumerate(apart):
        near = np.flatnonzero(row < bounds[q].max())
        below = row[near] < bounds[q][:, None]
        for k, (start, stop) in enumerate(pairwise(np.searchsorted(near, cuts).tolist())):
            np.add.reduce(below[:, start:stop], axis=1, out=found[q, :, k], dtype=np.int32)
    counts = found.cumsum(-1).reshape(len(views), 2, *views.shape[1:], len(ends))
    return counts[:, 0], counts[:, 1] - counts[:, 0]


def _precision(
    closer: np.ndarray, level: np.ndarray, views: np.ndarray, same: float, ties: Ties
) -> np.ndarray:
    """(q, 3, K) from counts (q, 3, 5, K)."""
    closer, level = np.moveaxis(closer, 2, -1), np.moveaxis(level, 2, -1)  # (q, 3, K, 5)
    if ties == "official":
        return by_counts(closer)
    if ties == "pessimistic":
        return by_counts(closer + level)
    gap = views[..., :, None] - views[..., None, :]  # of two views
    first, tied = (gap > same).sum(-1), (np.abs(gap) <= same).sum(-1)
    return expected_by_counts(closer, level, first[:, :, None], tied[:, :, None])
