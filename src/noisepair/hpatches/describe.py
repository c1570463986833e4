"""Patches to vectors: any function of a batch of patches, and two that need no weights.

A model takes (B, 1, 32, 32) float32 in [0, 1] and returns (B, D). Sheets of 65×65 are brought to
32×32 first (layout.halved).

    resize     the patch at 8×8, its mean taken off, over its deviation: 64 numbers
    rootsift   SIFT of the whole patch, by OpenCV, upright; over its sum, the roots: 128 numbers
               (Arandjelović and Zisserman 2012, "Three things everyone should know to improve
               object retrieval", section 3)

SIFT's key point is the one of HPatches' own script: in the middle, c = 16, of size 2c / 5.303.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, choose
from .described import Described, Watch, collect
from .layout import PatchSet, halved

Model = Callable[[Tensor], Tensor]
BATCH = 1024  # patches
SMALL = 8  # side of what `resize` keeps
FLAT = 1e-7  # added to a deviation


def describe(patches: PatchSet, model: Model, watch: Watch | None = None) -> Described:
    """Every patch of a set through `model`, in batches, without gradients."""

    def load(name: str, sheet: str) -> np.ndarray:
        return vectors(patches.sheet(name, sheet), model)

    return collect(tuple(patches.counts), load, watch)


def vectors(patches: np.ndarray, model: Model) -> np.ndarray:
    """(N, W, W) uint8 to (N, D) float32; W is 65 or 32, or another that is brought to 32."""
    small = torch.from_numpy(halved(patches) / np.float32(255))
    with torch.inference_mode():
        parts = [model(batch) for batch in small[:, None].split(BATCH)]
        return torch.cat(parts).float().cpu().numpy()


def resize(patches: Tensor) -> Tensor:
    """(B, 1, 32, 32) to (B, 64): no brightness, no contrast, no detail.

    >>> resize(torch.rand(5, 1, 32, 32)).shape
    torch.Size([5, 64])
    """
    pixels = torch.nn.functional.adaptive_avg_pool2d(patches, SMALL).flatten(1)
    mean, deviation = pixels.mean(1, keepdim=True), pixels.std(1, keepdim=True)
    return (pixels - mean) / (deviation + FLAT)


def rootsift() -> Model:
    """RootSIFT through OpenCV, patch by patch; InputError where it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            "--model rootsift needs OpenCV, which is not installed. Any of the others needs "
            "nothing. Install it: pip install 'noisepair[descriptors]'."
        ) from error
    sift = cv2.SIFT_create()

    def model(patches: Tensor) -> Tensor:
        centre = patches.shape[-1] / 2
        point = cv2.KeyPoint(centre, centre, 2 * centre / 5.303)
        grey = (patches[:, 0] * 255).round().clamp(0, 255).byte().cpu().numpy()
        rows = np.concatenate([sift.compute(patch, [point])[1] for patch in grey])
        rows /= np.maximum(rows.sum(1, keepdims=True), 1e-7)
        return torch.from_numpy(np.sqrt(rows))

    return model


MODELS: Mapping[str, Callable[[], Model]] = {"resize": lambda: resize, "rootsift": rootsift}


def named(name: str) -> Model:
    """A model by its name, made ready."""
    return choose("descriptor", name, MODELS)()
