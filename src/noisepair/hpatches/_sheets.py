"""One scene's sixteen sheets, and the noise of their small copies.

    regions of the reference  →  a jitter for each sheet  →  homography  →  65×65 patches

A place is kept when all its sixteen regions lie in their pictures, and in the reference, when the
reference has some contrast there and when no other picture is blank. Draws depend on the seed, the
sequence's name and the sheet, and go place by place: neither the order of work nor the number of
workers nor how many places are kept changes a patch.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import UInt8

from ..errors import InputError
from . import _jitter, _regions
from ._jitter import STRENGTHS, Jitter
from ._sample import inside, patches
from ._scenes import Scene
from .layout import LEVELS, SHEETS, SIDES, halved

SMALL, LARGE = min(SIDES), max(SIDES)
SHORTEST = 128  # pixels of a picture's side
FEWEST = 32  # patches of a sequence
BLANK = 1.0  # grey levels: the deviation of a region in which nothing is to be seen

Patches = UInt8[np.ndarray, "N W W"]
Small = UInt8[np.ndarray, "N 32 32"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides every byte, beside the pictures and the versions of OpenCV and numpy."""

    seed: int = 0
    most: int = 2000  # patches of a sequence (HPatches has no more)
    sides: tuple[int, ...] = (LARGE, SMALL)
    jitter: tuple[float, float, float] = STRENGTHS  # of easy, hard, tough
    sigmas: tuple[float, float, float] = (
        16.0,
        23.0,
        31.0,
    )  # of easy, hard, tough; grey levels of 255

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f"seed={self.seed} cannot be drawn from. Give 0 or more.")
        if self.most < FEWEST:
            raise InputError(
                f"most={self.most} is fewer patches than a sequence must have. Give {FEWEST} or "
                "more, such as 2000."
            )
        if not self.sides or not set(self.sides) <= set(SIDES):
            raise InputError(f"sides={self.sides} cannot be made. Give 65, 32 or both.")
        for name, values, most, usual in (
            ("jitter", self.jitter, 5, STRENGTHS),
            ("sigmas", self.sigmas, 255, (16, 23, 31)),
        ):
            if len(values) != len(LEVELS) or not all(0 <= value <= most for value in values):
                raise InputError(
                    f"{name}={values} does not do for easy, hard and tough. Give three numbers of 0"
                    f" to {most}, such as {' '.join(map(str, usual))}."
                )

    def strength(self, sheet: str) -> float:
        """How far the regions of a sheet are jittered."""
        return self.jitter[list(LEVELS).index(sheet[0])]

    def sigma(self, sheet: str) -> float:
        """The noise of a sheet, in grey levels; the reference has that of the easy ones."""
        return self.sigmas[0 if sheet == "ref" else list(LEVELS).index(sheet[0])]


@dataclass(frozen=True)
class Sheets:
    """The patches of one sequence, 65×65, and what was drawn for them; by sheet."""

    patches: Mapping[str, Patches]
    jitter: Mapping[str, Jitter]
    regions: _regions.Regions


class Unfit(InputError):
    """A picture of which no sequence can be made."""


def make_sheets(scene: Scene, settings: Settings) -> Sheets:
    """Sixteen sheets of a scene; Unfit where too little is in it."""
    draw = partial(draws, settings.seed, scene.name)
    reference, others = scene.views(draw("views"))
    if min(reference.shape) < SHORTEST:
        raise Unfit(
            f"{scene.files[0]} is {reference.shape[1]}×{reference.shape[0]} pixels, too few for "
            f"regions. Take pictures of {SHORTEST} pixels a side or more."
        )
    regions = _regions.find(reference, draw("regions"))
    true = _regions.frames(regions)
    jitter = {"ref": _jitter.none(len(regions))}
    seen = {"ref": (np.eye(3), reference)}
    for sheet in SHEETS[1:]:
        jitter[sheet] = _jitter.drawn(draw(sheet), len(regions), settings.strength(sheet))
        seen[sheet] = others[int(sheet[1]) - 1]
    frames = {sheet: one.frames(true) for sheet, one in jitter.items()}

    kept = np.ones(len(regions), bool)
    for sheet, (homography, picture) in seen.items():
        kept &= inside(frames[sheet], homography, picture.shape)
        kept &= inside(frames[sheet], np.eye(3), reference.shape)
    kept[kept] = spread(reference, true[kept], np.eye(3), LARGE) >= _regions.SPREAD
    for homography, picture in others:
        kept[kept] = spread(picture, true[kept], homography, SMALL) >= BLANK
    which = np.nonzero(kept)[0][: settings.most]  # regions come in a random order
    if len(which) < FEWEST:
        raise Unfit(
            f"{scene.files[0]} gives {len(which)} patches, and a sequence must have {FEWEST}. Take "
            "pictures with more texture, or larger ones."
        )
    return Sheets(
        {s: patches(p, frames[s][which], h, LARGE) for s, (h, p) in seen.items()},
        {sheet: one.of(which) for sheet, one in jitter.items()},
        regions[which],
    )


def spread(
    picture: UInt8[np.ndarray, "H W"], frames: np.ndarray, homography: np.ndarray, side: int
) -> np.ndarray:
    """Deviation of the grey levels in each patch, (N,)."""
    return patches(picture, frames, homography, side).std((1, 2))


def small_and_noisy(
    clean: Patches, name: str, sheet: str, settings: Settings
) -> tuple[Small, Small]:
    """65×65 to 32×32, and the same with noise."""
    small = np.rint(halved(clean)).astype(np.uint8)
    rng = draws(settings.seed, name, sheet, "noise")
    return small, noisy(small, settings.sigma(sheet), rng)


def noisy(clean: Patches, sigma: float, rng: np.random.Generator) -> Patches:
    """White Gaussian noise of `sigma` grey levels, rounded and clipped; patch by patch."""
    return np.rint(clean + sigma * rng.standard_normal(clean.shape)).clip(0, 255).astype(np.uint8)


def draws(seed: int, *words: str) -> np.random.Generator:
    """Numbers that depend on all of these and on nothing else.

    numpy's, not torch's: torch draws a count of numbers otherwise than the first of a larger count.
    """
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, "<u4").tolist()])
