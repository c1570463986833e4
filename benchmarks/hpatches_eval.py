"""HPatches' three tasks at the size of split a, ours and the official program's way, one thread.

59,496 patches in 40 sequences, 16 sheets, 128 float32 numbers each, made up: a patch is a point in
12 dimensions, its views lie around it, the more so the harder, and all are turned into 128. Three
times a million pairs, 10,000 queries, 20,000 distractors. Both begin with descriptors and lists in
memory, each in a process of its own, and count processor seconds of one thread, so that what else
the machine does is no matter; --share 0.1 takes a tenth of the patches, pairs and queries.

"Plain" is how the official Python program computes (hpatches-benchmark, python/utils/tasks.py):
a call of scipy's euclidean for each pair and level, cdist of each reference sheet with each other,
a matrix of all queries and distractors, and a sorted list for each query, level and size of pool.
Ours adds what the program does not have: parts, sequences, intervals, ties, collapse. All 36
figures must agree to 1e-6; they differ because the program rounds distances of pairs to float32.

Expected: at least 15 times as fast, below 1.5 GiB. Got, one core of an AMD EPYC (Zen 4), numpy
2.4.6, 2026-11-22: 24 times; 15.1 s (verification 5.9, matching 6.5, retrieval 2.8) for 363.5 s
(62.6, 74.3, 226.6); 0.96 GiB, descriptors included, for 2.33; figures differ by at most 2e-8.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypedDict

import numpy as np
from _rows import Row, show
from scipy.spatial.distance import cdist, euclidean

from noisepair.hpatches.described import Described
from noisepair.hpatches.layout import LEVELS, OTHERS, SHEETS
from noisepair.hpatches.retrieval import POOLS
from noisepair.hpatches.scores import Scores, evaluate
from noisepair.hpatches.tasks import Pairs, Retrieval, Verification

COUNTS = (
    853, 1682, 2000, 298, 345, 471, 409, 1998, 1998, 635, 474, 1982, 1949, 1987, 1101, 1091, 1002,
    1708, 726, 1999, 1506, 1993, 1891, 1998, 1048, 1991, 2000, 1991, 1816, 1810, 1617, 1592, 2000,
    1643, 713, 1529, 1656, 1994, 2000, 2000,
)  # fmt: skip
DIMS, HIDDEN = 128, 12
SPREADS = (0.25, 0.45, 0.65)  # of easy, hard and tough views
GOAL = 15
MOST = 1.5 * 2**30  # bytes
CLOSE = 1e-6

Figures = dict[str, float]


def made(share: float) -> tuple[Described, Verification, Retrieval]:
    """Descriptors and lists: the same for both."""
    rng = np.random.default_rng(0)
    counts = [max(60, round(share * count)) for count in COUNTS]
    names = tuple(f"{'iv'[n % 2]}_{n}" for n in range(len(counts)))
    starts = np.concatenate([[0], len(SHEETS) * np.cumsum(counts)])
    values = np.empty((starts[-1], DIMS), np.float32)
    turn = rng.standard_normal((HIDDEN, DIMS), np.float32)
    for s, count in enumerate(counts):
        place = rng.standard_normal((count, HIDDEN), np.float32)
        for sheet in range(len(SHEETS)):
            spread = np.float32(SPREADS[(sheet - 1) // OTHERS] if sheet else 0)
            view = place + spread * rng.standard_normal(place.shape, np.float32)
            rows = view @ turn + rng.standard_normal((count, DIMS), np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            start = starts[s] + sheet * count
            values[start : start + count] = rows
    described = Described(values, dict(zip(names, counts, strict=True)), starts[:-1])
    return described, *lists(names, np.array(counts), share, rng)


def lists(
    names: tuple[str, ...], counts: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[Verification, Retrieval]:
    """Of the benchmark's kind, drawn at once instead of one by one."""
    n = round(share * 1_000_000)
    s, other = rng.integers(0, len(counts), (2, n))
    i, j, k = (rng.integers(0, counts[one]) for one in (s, s, other))
    j = np.where(i == j, (j + 1) % counts[s], j)
    t = rng.integers(0, 5, n)
    t2 = (t + rng.integers(1, 5, n)) % 5

    def patches(*columns: np.ndarray) -> np.ndarray:
        return np.stack(columns, 1).astype(np.int32)

    first = patches(s, t, i)
    every = [(s, i) for s, count in enumerate(counts.tolist()) for i in range(count)]
    places = rng.permutation(np.array(every, np.int32))
    asked, among = round(share * 10_000), round(share * 20_000)
    return (
        Verification(
            Pairs(names, first, patches(s, t2, i)),
            Pairs(names, first, patches(s, t2, j)),
            Pairs(names, first, patches(other, t2, k)),
        ),
        Retrieval(names, places[:asked], places[asked : asked + among]),
    )


# — the official program's way —

Sheets = dict[str, dict[str, np.ndarray]]


def ranked(
    scores: np.ndarray, labels: np.ndarray, found: int | None = None
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """True and false positives down the list; a stable sort keeps what is equal as it came.

    Right items that were never found are at its end with a score of −inf, and are cut off again.
    """
    right = int(np.sum(labels))
    wrong = len(labels) - right
    if found is not None:
        scores = np.hstack((scores, np.repeat(-np.inf, found - right)))
        labels = np.hstack((labels, np.repeat(1, found - right)))
        right = found
    order = np.argsort(-scores, kind="mergesort")
    last = np.max(np.where(scores[order] > -np.inf))
    labels = labels[order[: last + 1]]
    true = np.hstack((0, np.cumsum(labels == 1)))
    false = np.hstack((0, np.cumsum(labels == 0)))
    return true, false, right, wrong


def precision_recall(scores: np.ndarray, labels: np.ndarray, found: int | None = None) -> float:
    true, false, right, _ = ranked(scores, labels, found)
    recall = true / max(right, 1e-10)
    precision = np.maximum(true, 1e-10) / np.maximum(true + false, 1e-10)
    return trapezoids(precision, recall)


def roc(scores: np.ndarray, labels: np.ndarray) -> float:
    true, false, right, wrong = ranked(scores, labels)
    return trapezoids(true / max(right, 1e-10), false / max(wrong, 1e-10))


def trapezoids(heights: np.ndarray, at: np.ndarray) -> float:
    return float((np.diff(at) * (heights[1:] + heights[:-1]) / 2).sum())


def sheet(level: str, picture: int) -> str:
    return f"{level}{picture}" if picture else "ref"


def plain_verification(sheets: Sheets, lists: Verification) -> Figures:
    far: dict[str, dict[str, np.ndarray]] = {}
    for kind, pairs in vars(lists).items():
        far[kind] = {level: np.empty(len(pairs.first)) for level in LEVELS}
        both = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
        for row, ((s, t, i), (s2, t2, i2)) in enumerate(both):
            one, two = sheets[pairs.names[s]], sheets[pairs.names[s2]]
            for level in LEVELS:
                a, b = one[sheet(level, t)][i], two[sheet(level, t2)][i2]
                far[kind][level][row] = euclidean(a, b)
    found: Figures = {}
    for level in LEVELS:
        for kind in ("inter", "intra"):
            scores = -np.hstack((far[kind][level], far["pos"][level]))
            labels = np.repeat([0, 1], [len(far[kind][level]), len(far["pos"][level])])
            few = len(far[kind][level]) + int(0.2 * len(far["pos"][level]))
            found[f"roc {level} {kind}"] = roc(scores, labels)
            area = precision_recall(scores[:few], labels[:few])
            found[f"verification {level} {kind}"] = area
    return found


def plain_matching(sheets: Sheets) -> Figures:
    found: dict[str, list[float]] = {f"matching {level}": [] for level in LEVELS}
    for each in sheets.values():
        own = np.arange(len(each["ref"]))
        for level in LEVELS:
            for picture in range(1, OTHERS + 1):
                far = cdist(each["ref"], each[sheet(level, picture)], "euclidean")
                nearest = np.argmin(far, axis=1)
                right = (nearest == own).astype(int)
                precision = precision_recall(-far[own, nearest], right, len(own))
                found[f"matching {level}"].append(precision)
    return {name: float(np.mean(values)) for name, values in found.items()}


def plain_retrieval(sheets: Sheets, lists: Retrieval) -> Figures:
    pools = [k for k in POOLS if k <= len(lists.distractors)]
    queries, others = (
        np.stack([sheets[lists.names[s]]["ref"][i] for s, i in places.tolist()])
        for places in (lists.queries, lists.distractors)
    )
    every = cdist(queries, others, "euclidean")
    found: dict[str, list[float]] = {
        f"retrieval {level} {k}": [] for level in LEVELS for k in pools
    }
    for row, (s, i) in enumerate(lists.queries.tolist()):
        apart = every[row][lists.distractors[:, 0] != s]
        for level in LEVELS:
            views = [
                cdist(queries[row][None], sheets[lists.names[s]][sheet(level, k)][i][None])[0, 0]
                for k in range(1, OTHERS + 1)
            ]
            far = np.hstack((views, apart))
            labels = np.hstack((np.ones(OTHERS, int), np.zeros(len(apart), int)))
            for k in pools:
                found[f"retrieval {level} {k}"].append(precision_recall(-far[:k], labels[:k]))
    return {name: float(np.mean(values)) for name, values in found.items()}


def plain(described: Described, pairs: Verification, asked: Retrieval) -> tuple[Figures, Figures]:
    """Figures and seconds."""
    sheets = {
        name: dict(zip(SHEETS, described.sheets(s), strict=True))
        for s, name in enumerate(described.names)
    }
    return timed(
        {
            "verification": lambda: plain_verification(sheets, pairs),
            "matching": lambda: plain_matching(sheets),
            "retrieval": lambda: plain_retrieval(sheets, asked),
        }
    )


# — ours —


def ours(described: Described, pairs: Verification, asked: Retrieval) -> tuple[Figures, Figures]:
    """Figures and seconds; each with its tables, parts and intervals."""

    def task(scores: Scores) -> Figures:
        found = {}
        for name, one in scores.tasks.items():
            for figure in one.figures:
                if figure.part == "all" and figure.measure in WANTED:
                    level = next(k for k, word in LEVELS.items() if word == figure.of["level"])
                    rest = [str(v) for key, v in figure.of.items() if key != "level"]
                    start = WANTED[figure.measure] or name
                    found[" ".join([start, level, *rest])] = figure.estimate.value
        return found

    return timed(
        {
            "verification": lambda: task(evaluate(described, pairs, matching=False)),
            "matching": lambda: task(evaluate(described)),
            "retrieval": lambda: task(evaluate(described, None, asked, matching=False)),
        }
    )


WANTED = {
    "average precision, imbalanced": "",
    "average precision": "",
    "mean average precision": "",
    "area under ROC, balanced": "roc",
}


def timed(tasks: dict[str, Callable[[], Figures]]) -> tuple[Figures, Figures]:
    figures: Figures = {}
    seconds: Figures = {}
    for name, run in tasks.items():
        began = time.process_time()
        figures |= run()
        seconds[name] = time.process_time() - began
    return figures, seconds


# — side by side —


class Told(TypedDict):
    """What a process says of itself."""

    figures: Figures
    seconds: Figures
    peak: int  # bytes


def child(who: str, share: float) -> None:
    """One contender: what it found, took and needed."""
    data = made(share)
    figures, seconds = (ours if who == "ours" else plain)(*data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"figures": figures, "seconds": seconds, "peak": peak}))


def contender(who: str, share: float) -> Told:
    words = [sys.executable, __file__, "--only", who, "--share", str(share)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def rows(share: float) -> list[Row]:
    mine, other = contender("ours", share), contender("plain", share)
    assert mine["figures"].keys() == other["figures"].keys()
    apart = max(abs(mine["figures"][name] - other["figures"][name]) for name in mine["figures"])
    assert apart < CLOSE, f"figures differ by {apart:.1e}"
    found = []
    for name in ("all", *mine["seconds"]):
        took = [
            sum(one["seconds"].values()) if name == "all" else one["seconds"][name]
            for one in (mine, other)
        ]
        more: dict[str, object] = {"ours": f"{took[0]:.1f} s", "plain": f"{took[1]:.1f} s"}
        if name == "all":
            more |= {"figures": len(mine["figures"]), "differ by at most": f"{apart:.1e}"}
        goal = GOAL if name == "all" and share == 1 else None
        found.append(Row(f"{name}, plain / ours", took[1] / took[0], "higher", goal, more))
    peaks = [one["peak"] for one in (mine, other)]
    told = {
        who: f"{peak / 2**30:.2f} GiB" for who, peak in zip(("ours", "plain"), peaks, strict=True)
    }
    return [*found, Row("peak memory, ours / 1.5 GiB", peaks[0] / MOST, "lower", 1.0, told)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--share", type=float, default=1.0, help="of patches, pairs and queries")
    parser.add_argument("--only", choices=("ours", "plain"), help="one contender, as JSON")
    asked = parser.parse_args()
    if asked.only:
        child(asked.only, asked.share)
        return
    sys.argv[1:] = ["--json"] if asked.json else []
    show("HPatches' tasks at the size of split a", rows(asked.share))


if __name__ == "__main__":
    main()
