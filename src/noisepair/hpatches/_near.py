"""Squared distances in float64, of rows that lie in memory as float32."""

from dataclasses import dataclass

import numpy as np

from .described import Described
from .precision import SAME

PIECE = 512  # pairs at a time: three buffers that stay in a core's cache
SAMPLE = 20_000  # rows that tell where the middle is


@dataclass(frozen=True)
class Ruler:
    """Where the rows' middle is, (D,) float32, and below which difference distances² are equal.

    The middle taken off cancels in distances and keeps the digits of products. These are wrong by
    about 1e-15 of the rows' variance, and what differs by less than SAME of it is equal: rounding
    decides nothing.
    """

    centre: np.ndarray
    same: float

    @classmethod
    def of(cls, described: Described) -> "Ruler":
        some = described.values[:: 1 + len(described.values) // SAMPLE]
        centre = some.mean(0, dtype=np.float64).astype(np.float32)
        return cls(centre, SAME * float(np.square(some - centre, dtype=np.float64).sum(1).mean()))

    def centred(self, rows: np.ndarray) -> np.ndarray:
        """(…, D) float64; the difference is exact."""
        return np.subtract(rows, self.centre, dtype=np.float64)


def products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """|a − b|² of all rows a, (n, D), with all b, (m, D), both centred: (n, m)."""
    apart = (-2 * one) @ other.T
    apart += np.einsum("ij,ij->i", one, one)[:, None]
    apart += np.einsum("ij,ij->i", other, other)
    return apart


def between(
    values: np.ndarray, one: np.ndarray, other: np.ndarray, *, rounded: bool = False
) -> np.ndarray:
    """|values[one] − values[other]|², (n,) float64.

    Differences are exact, or, `rounded`, those of float32, which is faster and does for distances
    that are compared with each other only: what is equal stays equal.
    """
    out = np.empty(len(one))
    size, dims = min(PIECE, len(one)), values.shape[1]
    a, b = (np.empty((size, dims), values.dtype) for _ in range(2))
    apart = np.empty((size, dims))
    for start in range(0, len(one), PIECE):
        n = min(PIECE, len(one) - start)
        # "clip" writes into `out` without a copy; no row is out of range
        values.take(one[start : start + n], axis=0, out=a[:n], mode="clip")
        values.take(other[start : start + n], axis=0, out=b[:n], mode="clip")
        if rounded:
            apart[:n] = np.subtract(a[:n], b[:n], out=b[:n])
        else:
            np.subtract(a[:n], b[:n], out=apart[:n], dtype=np.float64)
        np.einsum("ij,ij->i", apart[:n], apart[:n], out=out[start : start + n])
    return out
