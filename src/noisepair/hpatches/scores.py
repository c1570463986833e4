"""What descriptors come to: the benchmark's tables, one number a task, and how sure each is.

The one number is the reduction of Imperial's course on N-HPatches (keras_triplet_descriptor, 2019):

    verification   mean of six average precisions, imbalanced: {inter, intra} × {easy, hard, tough}
    matching       mean over sequences, levels and pictures
    retrieval      mean over the pools' sizes and the levels of the mean over queries

Papers print the same of verification and matching, but of retrieval the largest pool alone, or that
of another program: figures of retrieval are comparable only with the protocol beside them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..intervals import Estimate, none_of_nan
from . import _draws
from ._draws import Drawn
from .collapse import Collapse, look
from .described import Described
from .layout import LEVELS, parts
from .matching import Matching, match
from .precision import Ties
from .retrieval import Retrieved, retrieve
from .tasks import Retrieval, Verification
from .verification import Verified, verify

TASKS = ("verification", "matching", "retrieval")
PROTOCOL = (
    "HPatches (Balntas et al. 2017), the Python program's rules: average precision by trapezoids "
    "from precision 1 at recall 0; squared distances within 1e-12 of the descriptors' variance are "
    "equal. Verification: imbalanced is all wrong pairs and the first fifth of the right ones. "
    "Matching: one direction, no ratio test. Retrieval: distractors of the query's sequence are "
    "left out. course: the reduction of N-HPatches. Intervals: 95 %, sequences drawn again."
)

Watch = Callable[[float], None]  # watch(share done)


@dataclass(frozen=True)
class Figure:
    """One number of a table: `of` says of what (level, negatives, pool), `part` of which scenes."""

    measure: str
    of: Mapping[str, str | int]
    part: str
    estimate: Estimate

    def as_json(self) -> dict[str, Any]:
        """Flat: what it is of, its value, its interval."""
        told = {"measure": self.measure, **self.of, "part": self.part}
        return {**told, **self.estimate.as_json()}


@dataclass(frozen=True)
class TaskScores:
    """A task: the one number of all scenes and by part, the tables, and each sequence's number."""

    course: Mapping[str, Estimate]  # by part: all, illumination, viewpoint
    figures: tuple[Figure, ...]
    sequences: Mapping[str, float]
    tied: float  # share of what is asked that other distances tie with

    def as_json(self) -> dict[str, Any]:
        """Names and plain numbers."""
        return {
            "course": {part: one.as_json() for part, one in self.course.items()},
            "figures": [one.as_json() for one in self.figures],
            "sequences": {name: none_of_nan(value) for name, value in self.sequences.items()},
            "tied": none_of_nan(self.tied),
        }


@dataclass(frozen=True)
class Scores:
    """All that an evaluation found."""

    tasks: Mapping[str, TaskScores]
    ties: Ties
    collapse: Collapse
    patches: int
    dims: int

    def warnings(self) -> list[str]:
        """What makes these figures doubtful, a sentence each; none where nothing does."""
        tied = {name: task.tied for name, task in self.tasks.items()}
        return self.collapse.sentences(tied, self.ties)

    def as_json(self) -> dict[str, Any]:
        """One object of plain numbers."""
        return {
            **{name: task.as_json() for name, task in self.tasks.items()},
            "ties": self.ties,
            "patches": self.patches,
            "dimensions": self.dims,
            "collapse": self.collapse.as_json(),
            "warnings": self.warnings(),
            "protocol": PROTOCOL,
        }


def evaluate(
    described: Described,
    verification: Verification | None = None,
    retrieval: Retrieval | None = None,
    *,
    matching: bool = True,
    ties: Ties = "official",
    watch: Watch | None = None,
) -> Scores:
    """Score descriptors in the tasks whose lists are given, and in matching.

    The lists name the sequences of `described` in their order. `watch` sees the share done.
    """
    used = parts(described.names)
    wanted = [verification is not None, matching, retrieval is not None]
    shows = iter(_shares(watch, sum(wanted)))
    found: dict[str, TaskScores] = {}
    if verification is not None:
        verified = verify(described, verification, parts=used, ties=ties, watch=next(shows))
        found["verification"] = of_verification(verified, described.names, used)
    if matching:
        matched = match(described, ties=ties, watch=next(shows))
        found["matching"] = of_matching(matched, described.names, used)
    if retrieval is not None:
        retrieved = retrieve(described, retrieval, ties=ties, watch=next(shows))
        found["retrieval"] = of_retrieval(retrieved, described.names, used)
    patches = sum(described.counts.values())
    return Scores(found, ties, look(described), patches, described.dims)


def _shares(watch: Watch | None, count: int) -> list[Watch | None]:
    """One watch a task, each of an equal share of the whole."""
    if watch is None:
        return [None] * count
    return [partial(_share, watch, at, count) for at in range(count)]


def _share(watch: Watch, at: int, count: int, done: float | int) -> None:
    watch((at + done) / count)


def of_verification(
    verified: Verified, names: Sequence[str], used: Mapping[str, np.ndarray]
) -> TaskScores:
    """Six tables of average precision, area under ROC and FPR95."""
    figures: list[Figure] = []
    course: dict[str, Estimate] = {}
    for part, some in used.items():
        drawn = []
        for (level, kind), curves in verified.curves.items():
            one, counted = curves[part], verified.counted[level, kind]
            precision, roc = _draws.curve(counted, some, one.precision, one.roc)
            of: dict[str, str | int] = {"level": LEVELS[level], "negatives": kind}
            fpr = Estimate(one.fpr95, -math.inf, math.inf)
            for measure, estimate in (
                ("average precision, imbalanced", precision.estimate()),
                ("area under ROC, balanced", roc.estimate()),
                ("FPR95, balanced", fpr),
            ):
                figures.append(Figure(measure, of, part, estimate))
            drawn.append(precision)
        course[part] = _draws.mean(drawn).estimate()
    each = np.mean([verified.sequences[key] for key in verified.sequences], 0)
    tied = float(np.mean([curves["all"].tied for curves in verified.curves.values()]))
    return TaskScores(course, tuple(figures), dict(zip(names, each.tolist(), strict=True)), tied)


def of_matching(
    matching: Matching, names: Sequence[str], used: Mapping[str, np.ndarray]
) -> TaskScores:
    """Average precision and share of right answers, by level."""
    figures: list[Figure] = []
    course: dict[str, Estimate] = {}
    once = np.ones(len(names))
    for part, some in used.items():
        drawn = []
        for level, name in enumerate(LEVELS.values()):
            for measure, values in (
                ("average precision", matching.precision),
                ("success rate", matching.right),
            ):
                one = _draws.ratio(values[:, level].mean(1), once, some)
                figures.append(Figure(measure, {"level": name}, part, one.estimate()))
                if values is matching.precision:
                    drawn.append(one)
        course[part] = _draws.mean(drawn).estimate()
    each = matching.precision.mean((1, 2)).tolist()
    tied = float(matching.tied.mean())
    return TaskScores(course, tuple(figures), dict(zip(names, each, strict=True)), tied)


def of_retrieval(
    retrieved: Retrieved, names: Sequence[str], used: Mapping[str, np.ndarray]
) -> TaskScores:
    """Mean average precision over queries, by level and size of the pool."""
    whose = retrieved.sequences
    count = np.bincount(whose, minlength=len(names)).astype(float)
    shape = retrieved.precision.shape[1:]
    sums = np.zeros((len(names), *shape))
    np.add.at(sums, whose, retrieved.precision)
    figures: list[Figure] = []
    course: dict[str, Estimate] = {}
    for part, some in used.items():
        if not count[some].any():
            continue
        drawn: list[Drawn] = []
        for level, name in enumerate(LEVELS.values()):
            for k, pool in enumerate(retrieved.pools):
                one = _draws.ratio(sums[:, level, k], count, some & (count > 0))
                of: dict[str, str | int] = {"level": name, "pool": pool}
                figures.append(Figure("mean average precision", of, part, one.estimate()))
                drawn.append(one)
        course[part] = _draws.mean(drawn).estimate()
    with np.errstate(invalid="ignore"):
        each = sums.mean((1, 2)) / count
    tied = float(retrieved.tied.mean())
    return TaskScores(course, tuple(figures), dict(zip(names, each.tolist(), strict=True)), tied)
