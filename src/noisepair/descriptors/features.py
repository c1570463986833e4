"""Key points of a picture, described; noise is measured first, and taken off where that helps.

    measure σ  →  denoise  →  detect  →  cut 32×32 patches  →  describe

Points are found in the denoised picture, by OpenCV's SIFT. Their patches are cut from the noisy
one: descriptors that learnt on noisy patches find more in it than in what a denoiser leaves. A
patch is the square around a disc of `region` times the scale σ of its point (SIFT's size is 2 σ),
turned by the point's angle. HPatches has 5, HardNet in kornia and hloc 6; 7.5 is as far as SIFT's
own histograms look (4 bins of 3 σ, and half a bin around), and matches better than these, the more
so the noisier the picture (benchmarks/key_points.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from .. import images
from ..blind import Blind, Noise, bundled
from ..errors import InputError, choose
from ..hpatches._regions import Regions, frames, within
from ..hpatches._sample import patches as cut
from .descriptor import Descriptor
from .networks import PATCH

Describe = Callable[[Tensor], Tensor]  # (B, 1, 32, 32) float32 in [0, 1] to (B, D)
Asked = Literal["auto", "always", "never"]
Seen = Literal["noisy", "denoised"]

NOISY = 5 / 255  # sigma from which points are looked for in the denoised picture
REGION = 7.5  # half the side of a patch over the scale of its point
BATCH = 512  # patches at once
ROOTSIFT = "rootsift"
WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue in grey (BT.601)


@dataclass(frozen=True)
class Features:
    """The key points of one picture, strongest first, and a vector for each."""

    xy: Float32[np.ndarray, "N 2"]
    """pixels; the centre of the top left pixel is (0, 0), as OpenCV has it"""
    scale: Float32[np.ndarray, " N"]
    """OpenCV's KeyPoint.size: a diameter in pixels, 2 σ"""
    angle: Float32[np.ndarray, " N"]
    """degrees, 0 to 360, clockwise on the screen"""
    response: Float32[np.ndarray, " N"]
    vectors: Float32[np.ndarray, "N D"]
    size: tuple[int, int]
    """height and width of the picture"""
    noise: float | None
    """sigma in picture units: 25/255 is 0.098; None where nobody asked for it"""
    denoised: bool
    """whether the points were looked for in the denoised picture"""
    method: str

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True)
class Looked:
    """A picture in grey, as it came and as points are looked for in it."""

    noisy: UInt8[np.ndarray, "H W"]
    seen: UInt8[np.ndarray, "H W"]
    noise: float | None
    denoised: bool


def features(
    picture: np.ndarray,
    descriptor: Describe | Literal["rootsift"],
    *,
    most: int = 2000,
    noise: float | Noise | Literal["auto"] = "auto",
    denoise: Asked = "auto",
    patches: Seen = "noisy",
    region: float = REGION,
    device: str | torch.device = "cpu",
) -> Features:
    """The `most` strongest key points of a picture (H, W) or (H, W, 1 or 3: red, green, blue).

    Integers have the range of their type, floats [0, 1]. `descriptor`: a `Descriptor` on `device`,
    any function of a batch of patches, or "rootsift": OpenCV's SIFT where points are looked for,
    the roots of its shares. `noise`: sigma in picture units, or its constants, if known. `patches`:
    what a network sees. A point whose square leaves the picture is no point for a network.

    Raises InputError for what is no picture, for NaN or infinity, and where no point is found.
    """
    looked = look(picture, noise, denoise, device)
    points = detect(looked.seen)
    if isinstance(descriptor, str):
        choose("descriptor", descriptor, {ROOTSIFT: None})
        points = points[:most]
        vectors = rootsift(looked.seen, points)
    else:
        points = whole(points, looked.seen, region)[:most]
        grey = looked.noisy if patches == "noisy" else looked.seen
        vectors = described(grey, points, descriptor, region, device)
    if not points:
        raise InputError(
            "No key points were found in this picture. Accepted are pictures that show corners or"
            " blobs, a few hundred pixels wide, of which the brightest uses the range of the type."
            " Give another picture, or one that is exposed better."
        )
    return told(points, vectors, looked, named(descriptor))


# — the picture —


def look(
    picture: np.ndarray,
    noise: float | Noise | Literal["auto"],
    denoise: Asked,
    device: str | torch.device,
) -> Looked:
    """Grey twice: as it came, and denoised if that was asked for or is worth it."""
    page = page_of(picture)
    noisy = grey(page)
    if denoise == "never" and noise == "auto":
        return Looked(noisy, noisy, None, denoised=False)
    weights = bundled("grey" if page.shape[-1] == 1 else "colour", str(device), "auto")
    if isinstance(noise, float | int):
        blind = Blind(weights, sigma=float(noise))
    else:
        blind = Blind(weights, noise=None if isinstance(noise, str) else noise)
    sigma = blind.measured(page[None]).sigma
    if denoise == "never" or (denoise == "auto" and sigma < NOISY):
        return Looked(noisy, noisy, sigma, denoised=False)
    return Looked(noisy, grey(blind.pages(page[None])[0][0]), sigma, denoised=True)


def page_of(picture: np.ndarray) -> np.ndarray:
    """(H, W, 1 or 3), in the type that came."""
    page = picture[..., None] if picture.ndim == 2 else picture
    if page.ndim != 3 or page.shape[-1] not in (1, 3) or 0 in page.shape:
        raise InputError(
            f"An array of shape {picture.shape} is not one picture. Give (H, W), or (H, W, 3) in"
            " the order red, green, blue."
        )
    if page.dtype.kind not in "iuf" or page.dtype.itemsize > 8:
        raise InputError(f"Values of type {page.dtype} are not a picture. Give numbers.")
    if page.dtype.kind == "f" and not np.isfinite(page).all():
        raise InputError(
            "The picture holds values that are NaN or infinite. Replace them first, by a"
            " neighbour's value for example."
        )
    return page


def grey(page: np.ndarray) -> UInt8[np.ndarray, "H W"]:
    """8 bits, as detectors and sheets of patches have them; what lies beyond [0, 1] is clipped."""
    unit = images.to_unit(page)
    mixed = unit[..., 0] if page.shape[-1] == 1 else unit @ WEIGHTS
    return images.from_unit(mixed, np.uint8)


# — the points —


def detect(
    seen: UInt8[np.ndarray, "H W"], mask: UInt8[np.ndarray, "H W"] | None = None
) -> list[cv2.KeyPoint]:
    """SIFT's points, strongest first; one for each of its directions where it has several."""
    points = sift().detect(seen, mask)
    return sorted(points, key=lambda point: (-point.response, point.pt, point.size, point.angle))


def sift() -> "cv2.SIFT":
    # without precise upscaling all points lie a quarter of a pixel to the lower right
    return cv2.SIFT_create(enable_precise_upscale=True)


def whole(
    points: Sequence[cv2.KeyPoint], grey: UInt8[np.ndarray, "H W"], region: float
) -> list[cv2.KeyPoint]:
    """Those whose square lies in the picture with all its corners."""
    there = within(regions(points, region), grey)
    return [point for point, inside in zip(points, there, strict=True) if inside]


def regions(points: Sequence[cv2.KeyPoint], region: float) -> Regions:
    """Rows (x, y, radius, angle in radians); a point without a direction stands upright."""
    rows = [(*p.pt, region * p.size / 2, np.deg2rad(max(0.0, p.angle))) for p in points]
    return np.reshape(rows, (-1, 4)).astype(float)


def told(
    points: Sequence[cv2.KeyPoint],
    vectors: Float32[np.ndarray, "N D"],
    looked: Looked,
    method: str,
) -> Features:
    """All of it, as arrays."""
    rows = np.array([(*p.pt, p.size, p.angle, p.response) for p in points], np.float32)
    height, width = looked.seen.shape
    return Features(
        xy=rows[:, :2], scale=rows[:, 2], angle=rows[:, 3], response=rows[:, 4], vectors=vectors,
        size=(height, width), noise=looked.noise, denoised=looked.denoised, method=method,
    )  # fmt: skip


# — the vectors —


def described(
    grey: UInt8[np.ndarray, "H W"],
    points: Sequence[cv2.KeyPoint],
    descriptor: Describe,
    region: float,
    device: str | torch.device,
) -> Float32[np.ndarray, "N D"]:
    """A vector for the patch of each point."""
    squares = cut(grey, frames(regions(points, region)), np.eye(3), PATCH)
    batches = torch.from_numpy(squares)[:, None].split(BATCH)
    with torch.inference_mode():
        parts = [descriptor(batch.to(device).float() / 255).float().cpu() for batch in batches]
    return torch.cat(parts).numpy()


def rootsift(
    seen: UInt8[np.ndarray, "H W"], points: Sequence[cv2.KeyPoint]
) -> Float32[np.ndarray, "N 128"]:
    """SIFT at the points, over its sum, the roots (Arandjelović and Zisserman 2012, section 3)."""
    if not points:
        return np.empty((0, 128), np.float32)
    rows = sift().compute(seen, points)[1]
    return np.sqrt(rows / np.maximum(rows.sum(1, keepdims=True), 1e-7))


def opened(model: str, device: str | torch.device = "cpu") -> Describe | Literal["rootsift"]:
    """A descriptor by its folder, file or name, or what `features` takes for RootSIFT."""
    if model == ROOTSIFT and not Path(model).exists():
        return "rootsift"
    return Descriptor.load(model, device)


def named(descriptor: Describe | str) -> str:
    """What to call a descriptor: its network's name, or that of the function or class."""
    if isinstance(descriptor, str):
        return descriptor
    if card := getattr(descriptor, "card", None):
        return str(card.network.kind)
    if isinstance(descriptor, nn.Module):
        return type(descriptor).__name__
    return getattr(descriptor, "__name__", type(descriptor).__name__)
