"""A picture of which nothing is known: its noise is measured first, and no more than that goes.

The bundled weights were trained on noise that strikes each pixel by itself, of any strength up to
55/255. What a picture brings may be otherwise, and three measurements (`noise.estimate`) decide:

    white       it goes through the network as it is; values beyond [0, 1], and noise beyond
                50/255, are brought within by one factor for the whole picture
    growing     … through a generalised Anscombe transform and its unbiased inverse, where asked
    correlated  neighbours share noise, as after JPEG or enlarging: at half the size, where they
                share less, noise is found, made large again and taken off; then what fine grain
                there is besides

and then the *cap*: with r what the network takes for noise and σ the noise that was measured,

    denoised = noisy − strength · min(1, σ / rms r) · r,

so texture that is finer than any noise in the picture is not taken for noise. Of 50 photographs of
real noise none comes back worse (docs/weights.md).
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional as F

from . import images
from .denoise import AnyArray, Denoiser, Watch, cuts, through_pages
from .errors import InputError
from .models import Scale
from .noise.estimate import Level, estimate

SHARES = 0.3  # correlation of neighbours from which noise is looked for at half the size
GRAIN = 2 / 255  # fine grain that is taken off besides: photographs of PolyU have up to 0.8/255
MOST = 50 / 255  # noise that is shown to the weights, of the 55/255 that they have seen
PAGES = 8  # of a stack, looked at for its noise
SQUARE = 512  # pixels, side of what is looked at of a large picture, 16 times
BAND = 256  # rows at a time, where whole pictures are combined


SHARED = (
    "Where neighbouring pixels share noise, as after JPEG, sharpening, denoising or enlarging, it"
    " looks like texture to weights that know noise of single pixels. It was looked for at half the"
    " size, and coarse grain stays. A picture as the camera made it, before all that, is better; or"
    " two shots of a scene, and noisepair train."
)


@dataclass(frozen=True)
class Found:
    """What was measured of a picture, and what was done about it."""

    level: Level
    size: Literal["full", "half"]
    share: float
    """of what the network took for noise, how much was taken off, 0 to 1"""

    def as_json(self) -> dict[str, Any]:
        """All of it, by name."""
        return {"noise": self.level.as_json(), "size": self.size, "share": self.share}

    def sentence(self) -> str:
        """One line for a person."""
        said = self.level.sentence()
        if self.size == "half":
            said += "; taken off at half size"
        if self.share < 0.99:
            said += f"; {self.share:.0%} of what looks like noise, for the rest may be texture"
        return said

    @property
    def advice(self) -> str | None:
        """What correlated noise means."""
        return SHARED if self.size == "half" else None


class Blind:
    """Denoise pictures by weights that do not know their noise.

    `sigma`: the noise level in picture units (25/255 is 0.098), instead of an estimate. `strength`:
    share of the noise that is to go, 0 to 1.
    """

    def __init__(self, denoiser: Denoiser, *, sigma: float | None = None, strength: float = 1.0):
        refuse(sigma, strength)
        self.denoiser, self.sigma, self.strength = denoiser, sigma, strength

    def pages(
        self, noisy: np.ndarray, *, tile: int | None = None, watch: Watch | None = None
    ) -> tuple[np.ndarray, Found]:
        """Denoise pages (N, H, W, C) of one camera; shape, type and range come back the same.

        Raises InputError as `Denoiser.pages` does.
        """
        self.denoiser.refuse(noisy)
        level = self.measured(noisy)
        shares = not level.white and max(level.correlation) > SHARES
        if not shares or min(noisy.shape[1:3]) < 4:
            done, share = self.at_full(noisy, level.sigma, tile, watch)
            return done, Found(level, "full", share)
        done, share = self.at_half(noisy, tile, watch)
        if (grain := finest(done)) > GRAIN:
            done, _ = self.at_full(done, grain, tile, None)
        return done, Found(level, "half", share)

    def measured(self, noisy: np.ndarray) -> Level:
        """The level of all pages, from a few of them; or the one that was given."""
        few = [looked_at(page) for page in noisy[:: math.ceil(len(noisy) / PAGES)]]
        found = estimate(images.to_unit(np.concatenate(few)))
        if self.sigma is None:
            return found
        return Level(self.sigma, read=self.sigma, correlation=found.correlation, white=found.white)

    def at_full(
        self, noisy: np.ndarray, sigma: float, tile: int | None, watch: Watch | None
    ) -> tuple[np.ndarray, float]:
        """As it is; no more than `sigma` is taken off."""
        scale = brought_within(noisy, sigma)
        done = self.denoiser.pages(noisy, tile=tile, watch=watch, scale=scale)
        share = self.strength * capped(noisy, done, sigma)
        # 1 % of noise of 25/255 is a quarter of a step of 8 bits: not worth the rounding
        return (done if share > 0.99 else mixed(noisy, done, share)), share

    def at_half(
        self, noisy: np.ndarray, tile: int | None, watch: Watch | None
    ) -> tuple[np.ndarray, float]:
        """What noise is found in means of 2×2 pixels, made large again, is taken off."""
        small = np.stack([halved(page) for page in noisy])
        sigma = self.measured(small).sigma
        scale = brought_within(small, sigma)
        done = self.denoiser.pages(small, tile=tile, watch=watch, scale=scale)
        share = self.strength * capped(small, done, sigma)
        out = np.empty_like(noisy)
        for page, less, into in zip(noisy, share * (small - done), out, strict=True):
            enlarge_and_subtract(page, less, into)
        return out, share


def denoise(
    noisy: AnyArray,
    channel_axis: int | None = None,
    *,
    sigma: float | None = None,
    strength: float = 1.0,
    device: str | torch.device = "cpu",
) -> AnyArray:
    """Denoise one picture or, with leading axes, many of one camera, by the bundled weights.

    (..., H, W), or colour at `channel_axis`; NumPy arrays and torch tensors. Integers are taken in
    the range of their type, floats of photographs in [0, 1]; values beyond are denoised in their
    own range. Shape, type and range come back the same. `sigma`, `strength`: as `Blind` has them.

    Raises InputError for NaN or infinity and for more colour planes than 3, or 2.

    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).normal(0.5, 0.1, (64, 64)).astype(np.float32)
    >>> bool(denoise(noisy).std() < 0.02)
    True
    """
    planes = 1 if channel_axis is None else noisy.shape[channel_axis]
    name = "grey" if planes == 1 else "colour"
    blind = Blind(bundled(name, str(device)), sigma=sigma, strength=strength)

    def work(pages: np.ndarray) -> np.ndarray:
        return blind.pages(pages)[0]

    return through_pages(noisy, channel_axis, 3, work)


@functools.cache
def bundled(name: str, device: str) -> Denoiser:
    """The weights by name, read once."""
    return Denoiser.load(name, device)


def refuse(sigma: float | None, strength: float) -> None:
    """Say no to a level or a strength that is none."""
    if sigma is not None and not 0 <= sigma < math.inf:
        raise InputError(
            f"sigma={sigma:g} is no noise level. Give a standard deviation in picture units, 0 or"
            " more: 25/255 is 0.098."
        )
    if not 0 <= strength <= 1:
        raise InputError(
            f"strength={strength:g} is not possible. Give a share of the noise, 0 to 1."
        )


def looked_at(page: np.ndarray) -> np.ndarray:
    """A page or, of a large one, 16 squares evenly out of it, one under the other."""
    height, width = page.shape[:2]
    if height * width <= 16 * SQUARE**2 or min(height, width) < 4 * SQUARE:
        return page[: max(SQUARE, 16 * SQUARE**2 // width)]
    tops, lefts = (np.linspace(0, size - SQUARE, 4).astype(int) for size in (height, width))
    return np.concatenate(
        [page[top : top + SQUARE, left : left + SQUARE] for top in tops for left in lefts]
    )


def brought_within(noisy: np.ndarray, sigma: float) -> Scale | None:
    """What brings values into [0, 1] and noise below MOST; none where they are so already.

    Of values beyond 1, their 99.9 % quantile becomes 1, so that a few highlights do not push all
    else into the dark; they are denoised too, and come back as bright.
    """
    full = images.full_scale(noisy.dtype)
    some = noisy.reshape(-1)[:: max(1, noisy.size // 1_000_003)]
    low, high = float(some.min()) / full, float(some.max()) / full
    low, high = min(0.0, low + 6 * sigma), max(1.0, high - 6 * sigma)
    if high > 1:
        high = max(1.0, float(np.quantile(some, 0.999)) / full)
    factor = max(high - low, sigma / MOST)
    if factor <= 1:
        return None
    middle = (low + high) / 2
    return Scale(middle - factor / 2, factor)


def halved(page: np.ndarray) -> np.ndarray:
    """Means of 2×2 pixels in picture units, float32; a last odd row or column counts twice."""
    out = np.empty((-(-page.shape[0] // 2), -(-page.shape[1] // 2), page.shape[2]), np.float32)
    for start, stop in cuts(0, len(out), BAND):
        unit = images.to_unit(page[2 * start : 2 * stop])
        even = np.pad(unit, ((0, len(unit) % 2), (0, unit.shape[1] % 2), (0, 0)), mode="edge")
        out[start:stop] = (
            even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
        ) / 4
    return out


def enlarge_and_subtract(page: np.ndarray, less: np.ndarray, out: np.ndarray) -> None:
    """Put `page` minus `less` twice as large (bilinear) into `out`, a band at a time."""
    height, width = page.shape[:2]
    for start, stop in cuts(0, len(less), BAND):
        first, last = max(0, start - 1), min(len(less), stop + 1)  # a row more to each side
        part = torch.from_numpy(less[first:last]).permute(2, 0, 1)[None]
        large = F.interpolate(part, scale_factor=2, mode="bilinear", align_corners=False)
        rows = large[0].permute(1, 2, 0).numpy()[2 * (start - first) :, :width]
        band = slice(2 * start, min(2 * stop, height))
        values = images.to_unit(page[band])
        out[band] = images.from_unit(values - rows[: len(values)], page.dtype)


def finest(pages: np.ndarray) -> float:
    """The deviation of the finest grain, by the median of diagonal details in 2×2 pixels.

    d = (a − b − c + e) / 2 has the deviation of white noise, and half of all |d| lie below 0.6745
    of it (Donoho & Johnstone 1994, section 4.1).
    """
    even = np.concatenate([looked_at(page) for page in pages[:: math.ceil(len(pages) / PAGES)]])
    even = images.to_unit(even[: len(even) // 2 * 2, : even.shape[1] // 2 * 2])
    a, b, c, e = (even[row::2, column::2] for row in (0, 1) for column in (0, 1))
    return float(np.median(np.abs(a - b - c + e))) / 2 / 0.6745


def capped(noisy: np.ndarray, done: np.ndarray, sigma: float) -> float:
    """min(1, σ / rms r): the share of what was taken off that the noise in the picture allows.

    Each pixel counts for 10 σ at most, so that a few lights far beyond white do not decide.
    """
    total = sum(
        float(
            np.minimum(np.square(images.to_unit(one) - images.to_unit(two)), 100 * sigma**2).sum()
        )
        for one, two in bands(noisy, done)
    )
    return min(1.0, sigma / max(math.sqrt(total / noisy.size), 1e-12))


def mixed(noisy: np.ndarray, done: np.ndarray, share: float) -> np.ndarray:
    """noisy − share · (noisy − done), in the type that they have."""
    for one, two in bands(noisy, done):
        unit = images.to_unit(one)
        two[...] = images.from_unit(unit - share * (unit - images.to_unit(two)), noisy.dtype)
    return done


def bands(*pages: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """The same rows of all, a band at a time: what is computed of them must stay small."""
    for page in zip(*pages, strict=True):
        for start, stop in cuts(0, len(page[0]), BAND):
            yield tuple(one[start:stop] for one in page)
