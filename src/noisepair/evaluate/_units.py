"""In which units pictures are compared: those of the first clean one, over a span R of values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import images
from ..errors import InputError
from ._pictures import Entry, nothing_left, readable


class Mismatch(InputError):
    """Two pictures that should show one scene cannot: the whole comparison is in doubt."""


@dataclass(frozen=True)
class Ruler:
    """The units of all comparisons, those of the first clean picture, and the span of values."""

    dtype: np.dtype
    data_range: float
    origin: str

    def units(self, pages: np.ndarray, name: str) -> np.ndarray:
        """Bring integers of another depth, or floats in [0, 1], to the units of the clean ones."""
        floats = pages.dtype.kind == "f"
        if pages.dtype == self.dtype or (floats and self.dtype.kind == "f"):
            return pages
        # unit floats, however noisy, have a mean near [0, 1]; 8-bit values kept as floats do not
        reach = abs(pages.mean(dtype=np.float64)) if floats else self.data_range
        if reach > 2 and "f" in (pages.dtype.kind, self.dtype.kind):
            raise Mismatch(
                f"{name} holds {pages.dtype} and the clean pictures {self.dtype}: floats must then "
                f"run from 0 to 1, and these are near {reach:.4g}. Divide them by their full "
                f"scale, or save both as one type."
            )
        return pages * (images.full_scale(self.dtype) / images.full_scale(pages.dtype))


def ruler(clean: Sequence[Entry], data_range: float | int | None) -> Ruler:
    """Lay down units and span. Only float pictures must all be read for it."""
    failed: dict[str, str] = {}
    pictures = readable(clean, failed)
    first = next(pictures, None)
    if first is None:
        raise InputError(nothing_left(failed))
    if data_range is not None:
        return Ruler(first.dtype, float(data_range), "given")
    if first.dtype.kind != "f":
        if first.dtype.itemsize > 2:  # 64 bits would make 250 dB of any noise
            raise InputError(
                f"The clean pictures hold {first.dtype}, a type that pictures hardly ever fill. "
                f"Give data_range, the span their values can take, or convert them to uint8 or "
                f"uint16."
            )
        full = float(images.full_scale(first.dtype))
        return Ruler(first.dtype, full, f"full scale of the clean pictures' type, {first.dtype}")
    low, high = float(first.min()), float(first.max())
    for pages in pictures:
        low, high = min(low, float(pages.min())), max(high, float(pages.max()))
    if low == high:
        raise InputError(
            f"Every clean value is {low:g}, and floats do not tell what range they could take. "
            f"Give data_range, for example 1 for values in [0, 1]."
        )
    return Ruler(first.dtype, high - low, f"max − min of all the clean pictures ({first.dtype})")
