"""A picture in memory, and the words the formats share about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Image:
    """A picture file in memory: its pixels, and all that must come out again."""

    pixels: np.ndarray  # (N, H, W, C): pages, rows, columns, colour planes without alpha
    alpha: np.ndarray | None  # (N, H, W), same dtype
    path: Path
    format: str  # "PNG" | "JPEG" | "TIFF" | "BMP" | "WEBP" | "NPY": what the file holds
    notes: tuple[str, ...]  # what of this file cannot be kept, one sentence each
    kept: Mapping[str, Any]  # "icc", "exif", "dpi", and what only this format knows; private


INCH = 0.0254  # metres


def per_metre(dpi: tuple[float, float]) -> tuple[int, int]:
    """Dots per inch as PNG and BMP write them: whole dots per metre in 32 bits."""
    x, y = (min(round(dots / INCH), 2**32 - 1) for dots in dpi)
    return x, y


def split(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Tell colour from alpha: (N, H, W, 1..4) to (N, H, W, 1 or 3) and (N, H, W), both views."""
    if samples.shape[-1] in (2, 4):
        return samples[..., :-1], samples[..., -1]
    return samples, None


def join(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """The inverse of `split`; copies only where there is an alpha to interleave."""
    return pixels if alpha is None else np.concatenate([pixels, alpha[..., None]], axis=-1)
