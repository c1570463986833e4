"""Has a network collapsed? What descriptors that say little, or all the same, look like.

    spread      √(mean |x − x̄|² / mean |x|²): 0 where all are one vector
    dimension   (Σ λ)² / Σ λ², λ the variances along principal axes: how many of the D are used
    copies      share of patches whose vector another patch of another place has too

One vector for all patches, which is what a triplet loss gone wrong leaves behind, is scored by the
official rules with 1 − 5 ln 1.2 = 0.088392 in verification, the mean of 1 / N in matching, 0.000921
in split a, and 1.000000 in retrieval, where all distances are equal and the right patches stand
first. Such tables have been handed in as perfect retrieval.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .described import Described
from .precision import Ties

SPREAD = 0.01  # below, what differs is a ten-thousandth of the energy
DIMENSION = 2.0
TIED = 0.01  # of what a task asks


@dataclass(frozen=True)
class Collapse:
    """Of reference patches; see the head."""

    spread: float
    dimension: float
    copies: float
    dims: int

    def sentences(self, tied: Mapping[str, float], ties: Ties) -> list[str]:
        """What is wrong with the descriptors, and with figures of which `tied` shares are ties."""
        said = []
        if self.spread < SPREAD:
            said.append(
                f"Collapsed: the descriptors of all patches are nearly one vector (spread "
                f"{self.spread:.1e} of its length). Scores of it say nothing of the network; a "
                "constant has 0.088392, 1/N and 1.000000 by the official rules."
            )
        elif self.dimension < DIMENSION:
            said.append(
                f"Of {self.dims} dimensions {self.dimension:.1f} are used: the descriptors lie on "
                "a line. The network has nearly collapsed, or describes by one number."
            )
        if self.copies > TIED:
            said.append(
                f"{self.copies:.1%} of the reference patches have the descriptor of another patch."
            )
        many = {task: share for task, share in tied.items() if share > TIED}
        if many:
            shares = ", ".join(f"{task} {share:.1%}" for task, share in many.items())
            remedy = {
                "official": "The official rules put right patches first in retrieval and last in "
                "verification: compare with --ties expected.",
                "expected": "Their order was averaged over.",
                "pessimistic": "Wrong ones were put first.",
            }
            said.append(f"Equal distances decide part of this: {shares}. {remedy[ties]}")
        return said

    def as_json(self) -> dict[str, float | int]:
        """By name."""
        return dict(vars(self))


def look(described: Described) -> Collapse:
    """At the reference patches of all sequences."""
    refs = np.concatenate([described.sheets(s)[0] for s in range(len(described.counts))])
    middle = refs.mean(0, dtype=np.float64)
    apart = refs - middle
    energy = float(np.square(refs, dtype=np.float64).sum(1).mean())
    covariance = apart.T @ apart / len(apart)
    variance, squares = float(np.trace(covariance)), float(np.square(covariance).sum())
    # below float32's rounding a spread is none, and has no directions
    nothing = variance <= np.finfo(np.float32).eps ** 2 * energy
    rows = np.ascontiguousarray(refs).view(np.dtype((np.void, refs.itemsize * refs.shape[1])))
    _, count = np.unique(rows.ravel(), return_counts=True)
    return Collapse(
        spread=0.0 if nothing else (variance / energy) ** 0.5,
        dimension=0.0 if nothing or not squares else variance**2 / squares,
        copies=float(count[count > 1].sum() / len(refs)),
        dims=described.dims,
    )
