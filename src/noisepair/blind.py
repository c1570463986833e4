"""A picture of which nothing is known: its noise is measured first, and no more than that goes.

The bundled weights were trained on noise that strikes each pixel by itself, of any strength up to
55/255. What a picture brings may be otherwise, and three measurements (`noise.estimate`) decide:

    white       it goes through the network as it is; values beyond [0, 1] or far below 1, and
                noise beyond 50/255, are brought there by one factor for the whole picture
    growing     … where it is beyond 50/255 at the brightest, or twice what it is on average,
                through a generalised Anscombe transform and its unbiased inverse (noise.stabilise)
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
from .denoise import AnyArray, Denoiser, Shown, Watch, cuts, through_pages
from .errors import InputError
from .models import Scale
from .noise import Gaussian, Poisson, PoissonGaussian
from .noise.estimate import Level, estimate
from .noise.given import Given
from .noise.stabilise import Anscombe
from .runtimes import Asked

SHARES = 0.3  # correlation of neighbours from which noise is looked for at half the size
GRAIN = 2 / 255  # fine grain that is taken off besides: photographs of PolyU have up to 0.8/255
MOST = 50 / 255  # noise that is shown to the weights, of the 55/255 that they have seen
BRIGHT = 0.999  # of the values of a picture are no brighter than what is called its brightest
DARK = 0.5  # of full scale: a picture without anything brighter is shown brighter
UNEQUAL = 2.0  # deviation at the brightest to that of the whole picture: see `shown`
PAGES = 8  # of a stack, looked at for its noise
SQUARE = 512  # pixels, side of what is looked at of a large picture, 16 times
BAND = 256  # rows at a time, where whole pictures are combined

Noise = Gaussian | Poisson | PoissonGaussian | Given

SHARED = (
    "Where neighbouring pixels share noise, as after JPEG, sharpening, denoising or enlarging, it"
    " looks like texture to weights that know noise of single pixels. It was looked for at half the"
    " size, and coarse grain stays. A picture as the camera made it, before all that, is better; or"
    " two shots of a scene, and noisepair train."
)


@dataclass(frozen=True)
class Found:
    """What was measured of a picture, or known of it, and what was done about it."""

    level: Level
    size: Literal["full", "half"]
    share: float
    """of what the network took for noise, how much was taken off, 0 to 1"""
    origin: str = "measured"
    """measured, given, or the name of the file that has it"""
    stabilised: bool = False
    """whether the noise was first made alike at every brightness"""

    def as_json(self) -> dict[str, Any]:
        """All of it, by name."""
        return {
            "noise": {**self.level.as_json(), "from": self.origin},
            "size": self.size,
            "share": self.share,
            "stabilised": self.stabilised,
        }

    def sentence(self) -> str:
        """One line for a person."""
        said = self.level.sentence()
        if self.origin != "measured":
            where = "as given" if self.origin == "given" else f"as in {self.origin}"
            said = f"noise {where}{said.removeprefix('noise')}"
        if self.stabilised:
            said += "; made alike at every brightness first (Anscombe)"
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

    `sigma`: the noise level in picture units (25/255 is 0.098), instead of an estimate; or `noise`:
    its constants. `strength`: share of the noise that is to go, 0 to 1. `stabilise`: whether noise
    that grows with brightness is made alike first; None where that is beyond what weights know.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        sigma: float | None = None,
        noise: Noise | None = None,
        strength: float = 1.0,
        stabilise: bool | None = None,
    ):
        refuse(sigma, strength)
        if sigma is not None and noise is not None:
            raise InputError(
                f"sigma={sigma:g} and a noise both say how strong the noise is. Give one of them."
            )
        self.denoiser, self.strength, self.stabilise = denoiser, strength, stabilise
        if sigma is not None:
            noise = Given(0.0, sigma)
        self.given = noise if noise is None or isinstance(noise, Given) else Given.of(noise)

    def carried_by(self, denoiser: Denoiser) -> "Blind":
        """The same with other weights."""
        return Blind(denoiser, noise=self.given, strength=self.strength, stabilise=self.stabilise)

    def pages(
        self, noisy: np.ndarray, *, tile: int | None = None, watch: Watch | None = None
    ) -> tuple[np.ndarray, Found]:
        """Denoise pages (N, H, W, C) of one camera; shape, type and range come back the same.

        Raises InputError as `Denoiser.pages` does.
        """
        self.denoiser.refuse(noisy)
        level = self.measured(noisy)
        origin = self.given.origin if self.given else "measured"
        shares = not level.white and max(level.correlation) > SHARES
        if not shares or min(noisy.shape[1:3]) < 4:
            scale = shown(noisy, level, self.stabilise)
            done, share = self.at_full(noisy, level.sigma, scale, tile, watch)
            return done, Found(level, "full", share, origin, isinstance(scale, Anscombe))
        done, share = self.at_half(noisy, level.sigma, tile, watch)
        if (grain := finest(done)) > GRAIN:
            done, _ = self.at_full(done, grain, brought_within(done, grain), tile, None)
        return done, Found(level, "half", share, origin)

    def measured(self, noisy: np.ndarray) -> Level:
        """The level of all pages, from a few of them; its strength by the constants if given."""
        few = [looked_at(page) for page in noisy[:: math.ceil(len(noisy) / PAGES)]]
        unit = images.to_unit(np.concatenate(few))
        found = estimate(unit)
        if self.given is None:
            return found
        known = self.given
        sigma = math.sqrt(known.variance(float(unit.mean(dtype=np.float64))))
        return Level(
            sigma, gain=known.gain, read=known.read, black=known.black,
            correlation=found.correlation, white=found.white,
        )  # fmt: skip

    def at_full(
        self,
        noisy: np.ndarray,
        sigma: float,
        scale: Shown | None,
        tile: int | None,
        watch: Watch | None,
    ) -> tuple[np.ndarray, float]:
        """As it is, shown to the network by `scale`; no more than `sigma` is taken off."""
        done = self.denoiser.pages(noisy, tile=tile, watch=watch, scale=scale)
        share = self.strength * capped(noisy, done, sigma)
        # 1 % of noise of 25/255 is a quarter of a step of 8 bits: not worth the rounding
        return (done if share > 0.99 else mixed(noisy, done, share)), share

    def at_half(
        self, noisy: np.ndarray, sigma: float, tile: int | None, watch: Watch | None
    ) -> tuple[np.ndarray, float]:
        """What noise is found in means of 2×2 pixels, made large again, is taken off.

        A mean is never noisier than its pixels, `sigma`: what is measured beyond that is texture.
        """
        small = np.stack([halved(page) for page in noisy])
        sigma = min(sigma, self.measured(small).sigma)
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
    noise: Noise | None = None,
    strength: float = 1.0,
    device: str | torch.device = "cpu",
    runtime: Asked = "auto",
) -> AnyArray:
    """Denoise one picture or, with leading axes, many of one camera, by the bundled weights.

    (..., H, W), or colour at `channel_axis`; NumPy arrays and torch tensors. Integers are taken in
    the range of their type, floats of photographs in [0, 1]; values beyond are denoised in their
    own range. Shape, type and range come back the same. `sigma`, `noise`, `strength`: as `Blind`
    has them; `runtime`: as `Denoiser.load` has it.

    Raises InputError for NaN or infinity and for more colour planes than 3, or 2.

    >>> import numpy as np
    >>> noisy = np.random.default_rng(0).normal(0.5, 0.1, (64, 64)).astype(np.float32)
    >>> bool(denoise(noisy).std() < 0.02)
    True
    """
    planes = 1 if channel_axis is None else noisy.shape[channel_axis]
    name = "grey" if planes == 1 else "colour"
    weights = bundled(name, str(device), runtime)
    blind = Blind(weights, sigma=sigma, noise=noise, strength=strength)

    def work(pages: np.ndarray) -> np.ndarray:
        return blind.pages(pages)[0]

    return through_pages(noisy, channel_axis, 3, work)


@functools.cache
def bundled(name: str, device: str, runtime: Asked) -> Denoiser:
    """The weights by name, read once."""
    return Denoiser.load(name, device, runtime=runtime)


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


def shown(noisy: np.ndarray, level: Level, stabilise: bool | None = None) -> Shown | None:
    """What the network is to see of pages instead of themselves, if anything.

    The transform is for white noise that grows with brightness. It pays where the noise of the
    brightest places is beyond what the weights know, or UNEQUAL times that of the whole picture, as
    in linear light; elsewhere they do better without (docs/noise-level.md).
    """
    scale = brought_within(noisy, level.sigma)
    if not (level.white and level.dependent) or stabilise is False:
        return scale
    strongest, known = brightest(noisy, level), MOST * (scale.scale if scale else 1.0)
    if not stabilise and strongest <= known and strongest <= UNEQUAL * level.sigma:
        return scale
    return Anscombe.over(images.to_unit(sampled(noisy)), level.gain, level.read, level.black)


def brightest(noisy: np.ndarray, level: Level) -> float:
    """The deviation of the noise where a picture is brightest."""
    bright = float(np.quantile(images.to_unit(sampled(noisy)), BRIGHT))
    return math.sqrt(level.gain * max(0.0, bright - level.black) + level.read**2)


def sampled(noisy: np.ndarray) -> np.ndarray:
    """About a million values, evenly spread."""
    return noisy.reshape(-1)[:: max(1, noisy.size // 1_000_003)]


def brought_within(noisy: np.ndarray, sigma: float) -> Scale | None:
    """What brings values to [0, 1] and noise below MOST; none where they are so already.

    Of values beyond 1, or all below DARK, their 99.9 % quantile becomes 1, so that a few highlights
    do not push all else into the dark; they are denoised too, and come back as bright.
    """
    full = images.full_scale(noisy.dtype)
    some = sampled(noisy)
    low, high = float(some.min()) / full, float(some.max()) / full
    bright = float(np.quantile(some, BRIGHT)) / full
    low, beyond = min(0.0, low + 6 * sigma), high - 6 * sigma > 1
    dark = float(np.finfo(np.float32).tiny) < bright < DARK
    high = max(1.0, bright) if beyond else bright if dark else 1.0
    factor = max(high - low, sigma / MOST)
    if factor == 1:
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
    if sigma == 0:
        return 0.0
    total = 0.0
    for one, two in bands(noisy, done):
        with np.errstate(over="ignore"):  # of a sigma that float32 can hardly hold
            sigmas = np.abs(images.to_unit(one) - images.to_unit(two)) / sigma
        total += float(np.square(np.minimum(sigmas, 10)).sum())
    return 1 / max(1.0, math.sqrt(total / noisy.size))


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
