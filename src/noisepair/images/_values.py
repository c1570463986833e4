"""Stored values ↔ the unit range: 1.0 is white, whatever the type.

    unit = stored / full_scale(dtype)        stored = clip(round(unit · full_scale(dtype)))

Floats are taken as they are: their 1.0 is 1.0, and nothing is clipped.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

from ..errors import InputError

BAND = 1 << 20  # values at a time: a float copy of a large picture never exists as a whole


def full_scale(dtype: DTypeLike) -> float:
    """The stored value that means 1.0.

    >>> full_scale("uint8"), full_scale("uint16"), full_scale("float32")
    (255.0, 65535.0, 1.0)
    """
    dtype = np.dtype(dtype)
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """A float32 copy in which full scale is 1.0."""
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, and inf is refused
        return np.divide(pixels, full_scale(pixels.dtype), dtype=np.float32, casting="same_kind")


def from_unit(values: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """Back to stored values: integers are rounded (half to even) and clipped, floats only cast."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "iu":
        with np.errstate(over="ignore"):  # float16 ends at 65504; beyond is inf
            return values.astype(dtype)
    stored = np.empty(values.shape, dtype)
    flat_in, flat_out = values.reshape(-1), stored.reshape(-1)
    for band in _bands(flat_in.size):
        flat_out[band] = _quantised(flat_in[band], dtype)
    return stored


def _bands(size: int) -> Iterator[slice]:
    return (slice(start, start + BAND) for start in range(0, size, BAND))


def _quantised(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    # float32 counts every integer up to 2**24 only: wider types are scaled in float64
    scaled: np.ndarray = values.astype(np.float32 if dtype.itemsize <= 2 else np.float64)
    if np.isnan(scaled).any():
        raise InputError(
            f"The picture holds NaN, which {dtype} cannot. "
            "Replace it (numpy.nan_to_num) or keep the picture in a float type."
        )
    np.multiply(scaled, full_scale(dtype), out=scaled)
    np.rint(scaled, out=scaled)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    top = float(high) if float(high) <= high else np.nextafter(float(high), 0)  # 2**63 overflows
    return np.clip(scaled, low, top, out=scaled).astype(dtype)
