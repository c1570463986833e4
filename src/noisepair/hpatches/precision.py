"""Average precision of a ranked list, as HPatches' program draws it, with ties said openly.

Down the list, after item x of which t are right, precision is t / x and recall t / P; average
precision is the area under precision over recall by trapezoids, from precision 1 at recall 0. Only
where a right item comes does recall grow, so with c wrong items before the k-th right one

    AP = 1/P Σ_k ½ [ (k − 1) / (k − 1 + c_k) + k / (k + c_k) ]        (0 / 0 is 1)

P counts the right items that were never found too. Items at one distance have no order of their
own. The program keeps them as they came in, which is a decision of each task's. Here

    official      as the program: what came in first stays first
    expected      the mean over all orders of tied items
    pessimistic   wrong ones first

Expected, in closed form: take M tied items after T others, T₊ of these right on average. A place r
of the group has a right item with probability a = S₁ / M, where S₁ sums over the group how likely
each is right, and S₂ the squares; with H right ones before it in the group the mean of (it is
right) · H is (r − 1) b, b = (S₁² − S₂) / (M (M − 1)). Both precisions there have known
denominators, so the sum over r needs harmonic numbers only.
"""

from typing import Literal

import numpy as np

Ties = Literal["official", "expected", "pessimistic"]
TIES: tuple[Ties, ...] = ("official", "expected", "pessimistic")
RECALL = 0.95  # at which false positives are counted: FPR95
SAME = 1e-12  # squared distances this close, in units of the descriptors' variance, are equal


def by_counts(closer: np.ndarray) -> np.ndarray:
    """AP of right items, from how many wrong ones stand before each, (…, P) sorted: (…).

    >>> float(by_counts(np.array([0, 0]))), round(float(by_counts(np.array([1]))), 3)
    (1.0, 0.25)
    """
    k = np.arange(closer.shape[-1])
    before = np.where(k + closer > 0, k / np.maximum(k + closer, 1), 1.0)
    return np.asarray(np.mean(before + (k + 1) / (k + 1 + closer), axis=-1) / 2)


def expected_by_counts(
    closer: np.ndarray, level: np.ndarray, first: np.ndarray, tied: np.ndarray
) -> np.ndarray:
    """The mean AP over the orders of tied items; all arrays (…, P), a right item each.

    `closer` and `level`: wrong items before it, and at its own distance; `first` and `tied`: right
    items before it, and at its distance, itself among them.
    """
    group = of_group(closer + first, first, tied, tied, tied + level)
    return np.asarray(np.mean(group / tied, axis=-1))


def of_group(
    before: np.ndarray, right: np.ndarray, s1: np.ndarray, s2: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """What a group of `size` tied items adds to P · AP, on average over its orders.

    `before`: T, items in front of it, `right` T₊ of them on average; `s1`, `s2`: S₁ and S₂.
    """
    from scipy.special import digamma

    a = s1 / size
    b = (s1**2 - s2) / np.maximum(size * (size - 1), 1)
    # Σ (a (T₊ + 1) + b (r − 1)) / (T + r), then Σ (a T₊ + b (r − 1)) / (T + r − 1)
    steps = digamma(before + size + 1.0) - digamma(before + 1.0)
    after = b * size + (a * (right + 1) - b * (before + 1)) * steps
    some = np.maximum(before, 1)
    steps = digamma(some + size) - digamma(some + 0.0)
    ahead = np.where(before > 0, b * size + (a * right - b * before) * steps, a + b * (size - 1))
    return np.asarray((after + ahead) / 2)


def of_labels(right: np.ndarray, found: int | None = None) -> float:
    """AP of a list in order, (n,) bool or 0 and 1; `found`: P, where some were never found."""
    wrong = np.cumsum(~right.astype(bool))[right.astype(bool)]
    if not len(wrong):
        return 0.0
    return float(by_counts(wrong)) * len(wrong) / (found or len(wrong))


def groups(sorted_values: np.ndarray, same: float) -> np.ndarray:
    """Where each group of equal values begins, (n,) bool; values within `same` are equal."""
    begins = np.ones(len(sorted_values), bool)
    begins[1:] = np.diff(sorted_values) > same
    return begins


def expected_of_labels(
    distances: np.ndarray, right: np.ndarray, found: int, same: float | int
) -> float:
    """Mean AP over the orders of tied items, (n,) each; `right`: how likely each one is right."""
    order = np.argsort(distances, kind="stable")
    chance = right[order].astype(float)
    starts = np.flatnonzero(groups(distances[order], float(same)))
    s1, s2 = np.add.reduceat(chance, starts), np.add.reduceat(chance**2, starts)
    size = np.diff(starts, append=len(chance)).astype(float)
    ahead = np.concatenate([[0.0], np.cumsum(s1)[:-1]])
    return float(of_group(starts.astype(float), ahead, s1, s2, size).sum() / found)


def area_under_roc(closer: np.ndarray, level: np.ndarray, wrong: int, ties: Ties) -> float:
    """How often a wrong item is farther than a right one; official and pessimistic: strictly."""
    share = closer + level / 2 if ties == "expected" else closer + level
    return 1 - float(share.mean()) / wrong


def fpr95(passed: np.ndarray, wrong: int) -> float:
    """Share of wrong items let through where 95 % of the right are; `passed`: at each right one.

    >>> fpr95(np.array([0, 1]), wrong=2)
    0.5
    """
    return float(passed[int(np.ceil(RECALL * len(passed))) - 1] / wrong)
