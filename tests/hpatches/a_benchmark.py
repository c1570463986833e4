"""HPatches' rules once more, as plainly as they can be said, and small data to try on."""

import numpy as np
from scipy.spatial.distance import cdist

from noisepair.hpatches.described import collect
from noisepair.hpatches.layout import SHEETS
from noisepair.hpatches.tasks import Pairs, Retrieval, Verification

LEVELS = "eht"


def plain_area(scores, labels, found=None):
    """Area under precision over recall of a list, stable where scores are equal."""
    scores, labels = np.asarray(scores, float), np.asarray(labels, int)
    missing = 0 if found is None else found - labels.sum()
    scores = np.r_[scores, np.full(missing, -np.inf)]
    labels = np.r_[labels, np.ones(missing, int)]
    order = np.argsort(-scores, kind="mergesort")
    order = order[scores[order] > -np.inf]
    true = np.r_[0, np.cumsum(labels[order] == 1)]
    false = np.r_[0, np.cumsum(labels[order] == 0)]
    recall = true / max(labels.sum(), 1e-10)
    precision = np.maximum(true, 1e-10) / np.maximum(true + false, 1e-10)
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) / 2))


def plain_roc(scores, labels):
    """Area under the rate of true over that of false positives."""
    order = np.argsort(-np.asarray(scores), kind="mergesort")
    labels = np.asarray(labels)[order]
    true = np.r_[0, np.cumsum(labels == 1)] / (labels == 1).sum()
    false = np.r_[0, np.cumsum(labels == 0)] / (labels == 0).sum()
    return float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))


def row(described, level, place):
    """One descriptor, by names."""
    s, picture, index = (int(v) for v in place)
    sheet = "ref" if picture == 0 else f"{LEVELS[level]}{picture}"
    return described.sheets(s)[SHEETS.index(sheet)][index].astype(np.float64)


def plain_verification(described, lists):
    """{(level, kind): (average precision, area under ROC)}."""
    found = {}
    for level in range(3):
        far = {
            kind: [
                np.linalg.norm(row(described, level, a) - row(described, level, b))
                for a, b in zip(pairs.first, pairs.second, strict=True)
            ]
            for kind, pairs in vars(lists).items()
        }
        for kind in ("inter", "intra"):
            scores = -np.array(far[kind] + far["pos"])
            labels = [0] * len(far[kind]) + [1] * len(far["pos"])
            few = len(far[kind]) + int(len(far["pos"]) * 0.2)
            found[LEVELS[level], kind] = (
                plain_area(scores[:few], labels[:few]),
                plain_roc(scores, labels),
            )
    return found


def plain_matching(described):
    """Average precision and share right, (S, 3, 5) each."""
    found = np.zeros((2, len(described.counts), 3, 5))
    for s in range(len(described.counts)):
        sheets = described.sheets(s).astype(np.float64)
        for number in range(1, 16):
            far = cdist(sheets[0], sheets[number])
            nearest = far.argmin(1)
            own = np.arange(len(far))
            right = nearest == own
            score = -far[own, nearest]
            place = (s, *divmod(number - 1, 5))
            found[0][place] = plain_area(score, right, len(far))
            found[1][place] = right.mean()
    return found


def plain_retrieval(described, lists, pools):
    """Average precision, (Q, 3, K)."""
    found = np.zeros((len(lists.queries), 3, len(pools)))
    refs = [row(described, 0, (s, 0, i)) for s, i in lists.distractors]
    for q, (s, i) in enumerate(lists.queries):
        asked = row(described, 0, (s, 0, i))
        others = [
            np.linalg.norm(asked - ref)
            for ref, (whose, _) in zip(refs, lists.distractors, strict=True)
            if whose != s
        ]
        for level in range(3):
            views = [np.linalg.norm(asked - row(described, level, (s, k, i))) for k in range(1, 6)]
            far, labels = np.array(views + others), [1] * 5 + [0] * len(others)
            found[q, level] = [plain_area(-far[:k], labels[:k]) for k in pools]
    return found


# — data —


def made(counts, draw):
    """Descriptors of sequences i_0, v_1, i_2 … with `counts` patches; draw(s, sheet): (N, D)."""
    names = [f"{'iv'[n % 2]}_{n}" for n in range(len(counts))]
    return collect(names, lambda name, sheet: draw(names.index(name), SHEETS.index(sheet)))


def noisy(counts, dims=6, noise=0.7, seed=0, grid=None):
    """Views of a patch are its vector plus noise; on a coarse `grid` many distances are equal."""
    rng = np.random.default_rng(seed)
    refs = [rng.normal(size=(count, dims)) for count in counts]

    def draw(s, sheet):
        spread = noise * (sheet > 0) * (1 + (sheet - 1) // 5)
        rows = refs[s] + spread * rng.normal(size=refs[s].shape)
        return (rows if grid is None else np.rint(rows / grid)).astype(np.float32)

    return made(counts, draw)


def constant(counts, dims=4, value=0.37):
    """One vector for everything."""
    return made(counts, lambda s, sheet: np.full((counts[s], dims), value, np.float32))


def some_pairs(counts, pairs, seed=0):
    """Pairs of the benchmark's kinds, drawn quickly."""
    rng = np.random.default_rng(seed)
    size, names = np.array(counts), tuple(f"{'iv'[n % 2]}_{n}" for n in range(len(counts)))
    s, s2 = rng.integers(0, len(counts), (2, pairs))
    i = (rng.random(pairs) * size[s]).astype(np.int32)
    j = (i + 1 + (rng.random(pairs) * (size[s] - 1)).astype(np.int32)) % size[s]
    other = (rng.random(pairs) * size[s2]).astype(np.int32)
    t = rng.integers(0, 5, pairs)
    t2 = (t + rng.integers(1, 5, pairs)) % 5

    def patches(*columns):
        return np.stack(columns, 1).astype(np.int32)

    first = patches(s, t, i)
    return Verification(
        pos=Pairs(names, first, patches(s, t2, i)),
        intra=Pairs(names, first, patches(s, t2, j)),
        inter=Pairs(names, first, patches(s2, t2, other)),
    )


def some_queries(counts, queries, distractors, seed=0):
    """Queries and distractors, all different."""
    rng = np.random.default_rng(seed)
    every = np.array([(s, i) for s, count in enumerate(counts) for i in range(count)], np.int32)
    rng.shuffle(every)
    names = tuple(f"{'iv'[n % 2]}_{n}" for n in range(len(counts)))
    return Retrieval(names, every[:queries], every[queries : queries + distractors])
