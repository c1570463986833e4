"""A small set of patches that can be learnt in seconds: smooth pictures, seen from nearby."""

import numpy as np
from scipy.ndimage import gaussian_filter

SHEETS = 16


def sheets(sequences=2, places=24, *, seed=0, shift=2, side=32):
    """Sequence → (16, places, 32, 32) uint8: `ref` as it is, the others moved and relit."""
    rng = np.random.default_rng(seed)
    found = {}
    for number in range(sequences):
        wide = gaussian_filter(rng.standard_normal((places, side + 8, side + 8)), (0, 1.5, 1.5))
        patches = np.empty((SHEETS, places, side, side), np.uint8)
        for sheet in range(SHEETS):
            y, x = rng.integers(-shift, shift + 1, 2) if sheet else (0, 0)
            gain, level = (rng.uniform(120, 220), rng.uniform(100, 150)) if sheet else (170, 127)
            seen = wide[:, 4 + y : 4 + y + side, 4 + x : 4 + x + side]
            patches[sheet] = np.rint(level + gain * seen).clip(0, 255)
        found[f"v_{number}"] = patches
    return found


def numbered(places=40):
    """Every patch says which it is: its place in one half, its sheet in the other."""
    patches = np.empty((SHEETS, places, 32, 32), np.uint8)
    patches[..., :16] = np.arange(places)[None, :, None, None]
    patches[..., 16:] = np.arange(SHEETS)[:, None, None, None] + 100
    return {"v_numbers": patches}
