"""How far e, h and t regions lie beside the true ones: what a detector's repeatability would do.

In units of the region's radius and in its own axes, at strength s,

    shift ~ N(0, (0.08 s)²) along each axis         turn ~ N(0, (6° s)²)
    log₂ scale ~ N(0, (0.12 s)²)                    log₂ stretch ~ N(0, (0.12 s)²)

stretch being the ratio of the axes of the ellipse that the disc becomes, about an axis drawn
evenly; its area is kept. HPatches does not publish its own. These strengths give the median
overlaps with the true ellipse that it states for easy and hard, 0.85 and 0.72, and 0.60 for tough,
which is our choice, as is the turn, which leaves the overlap as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ._sample import Frames

STRENGTHS = (0.93, 1.84, 2.85)  # of easy, hard, tough
SHIFT, TURN, SCALE, STRETCH = 0.08, np.radians(6), 0.12, 0.12

PerPatch = Float[np.ndarray, " N"]


@dataclass(frozen=True)
class Jitter:
    """What is done to each of N regions."""

    shift: Float[np.ndarray, "N 2"]  # radii, along the region's own axes
    turn: PerPatch  # radians
    scale: PerPatch
    stretch: PerPatch  # the longer over the shorter axis of the ellipse, or the reverse
    axis: PerPatch  # radians, from the region's x axis

    def frames(self, regions: Frames) -> Frames:
        """The frames, jittered: A (J u + shift) + c with J = scale · turn · stretch."""
        more, less = np.sqrt(self.stretch), 1 / np.sqrt(self.stretch)
        inner = turned(self.axis) * np.stack([more, less], 1)[:, None] @ turned(-self.axis)
        jitter = self.scale[:, None, None] * turned(self.turn) @ inner
        moved = regions[:, :, :2] @ self.shift[:, :, None] + regions[:, :, 2:]
        return np.concatenate([regions[:, :, :2] @ jitter, moved], 2)

    def of(self, which: np.ndarray) -> "Jitter":
        return Jitter(*(part[which] for part in vars(self).values()))

    def columns(self) -> Mapping[str, np.ndarray]:
        """As the release names its files; a second column holds what one number cannot."""
        return {
            "rotjitter": self.turn[:, None],
            "trjitter": self.shift,
            "scjitter": self.scale[:, None],
            "anisjitter": np.stack([self.stretch, self.axis], 1),
        }


def none(count: int) -> Jitter:
    """Of the reference sheet."""
    zero, one = np.zeros(count), np.ones(count)
    return Jitter(np.zeros((count, 2)), zero, one, one, zero)


def drawn(rng: np.random.Generator, count: int, strength: float) -> Jitter:
    """The first of two counts are the same: patch by patch, six numbers each."""
    unit = rng.standard_normal((count, 6))
    normal = strength * unit
    return Jitter(
        shift=SHIFT * normal[:, :2],
        turn=TURN * normal[:, 2],
        scale=2 ** (SCALE * normal[:, 3]),
        stretch=2 ** (STRETCH * normal[:, 4]),
        axis=np.pi * (unit[:, 5] % 1),  # a normal draw modulo its deviation is even to 1e-8
    )


def turned(angle: np.ndarray) -> Float[np.ndarray, "N 2 2"]:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)
