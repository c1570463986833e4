"""Five further pictures of one photograph: a plane seen from elsewhere, or in another light.

A plane at the distance of the focal length f, seen by a camera that walks around its middle and
then looks at it from the distance f / zoom:

    f H = [f 0 cx; 0 f cy; 0 0 1] [r1 r2 t] [1 0 −cx; 0 1 −cy; 0 0 1],    t = (0, 0, f / zoom)

r1, r2 are columns of a rotation: a tilt about any axis in the plane, and a turn about the view. The
light acts on colours, which then become grey: gamma, a tint, a shadow that varies slowly, exposure,
haze, blur, and JPEG. HPatches has real ones; how strong they are here is our choice.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from ._sample import Homography

FOCAL = 1.2  # times the longer side: a common camera
TILT, TURN, ZOOM = 60.0, 30.0, 0.6  # degrees, degrees, octaves: the most of each
FINER = 3  # a view is drawn this much larger, then averaged down

Grey = UInt8[np.ndarray, "H W"]
Colour = UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True)
class Light:
    """How much may change. Draws are even between −x and x, or 0 and x."""

    gamma: float  # octaves
    exposure: float  # octaves of the mean
    haze: float  # of full scale, the most
    shadow: float  # octaves, deviation
    tint: float  # octaves, deviation a channel
    blur: float  # pixels, the most
    jpeg: int  # quality, the least

    def __call__(self, picture: Colour, rng: np.random.Generator) -> Grey:
        height, width = picture.shape[:2]
        gamma, exposure = np.exp2(np.array([self.gamma, self.exposure]) * rng.uniform(-1, 1, 2))
        haze, blur = np.array([self.haze, self.blur]) * rng.uniform(0, 1, 2)
        tint = np.float32(2.0 ** (self.tint * rng.standard_normal(3)))
        coarse = np.float32(self.shadow * rng.standard_normal((4, 4)))
        shadow = 2 ** cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        quality = int(rng.integers(self.jpeg, 96))

        before = np.float32(picture) / 255
        lit = before ** np.float32(gamma) * tint * shadow[..., None]
        mean = np.clip(before.mean() * exposure, DARKEST, BRIGHTEST)  # as a camera would expose
        lit = haze + (1 - haze) * lit * np.float32(mean / max(1e-6, lit.mean()))
        if blur > 0.1:
            lit = cv2.GaussianBlur(lit, (0, 0), blur)
        stored = np.rint(255 * lit.clip(0, 1)).astype(np.uint8)
        _, encoded = cv2.imencode(".jpg", stored[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)


DARKEST, BRIGHTEST = 0.15, 0.65  # means of a picture
LIGHTS = {
    "v": Light(gamma=0.7, exposure=0.5, haze=0.1, shadow=0.3, tint=0.1, blur=1.2, jpeg=70),
    "i": Light(gamma=1.3, exposure=0.7, haze=0.2, shadow=0.7, tint=0.25, blur=1.5, jpeg=50),
}


def views(
    picture: Colour, kind: str, rng: np.random.Generator, count: int
) -> Iterator[tuple[Homography, Grey]]:
    """`v`: seen from elsewhere in nearly the same light; `i`: from the same place in another."""
    for _ in range(count):
        homography = pose(picture.shape[:2], rng) if kind == "v" else np.eye(3)
        seen = warp(picture, homography) if kind == "v" else picture
        yield homography, LIGHTS[kind](seen, rng)


def pose(shape: tuple[int, int], rng: np.random.Generator) -> Homography:
    """A camera drawn evenly within TILT, TURN and ZOOM."""
    tilt, turn = np.radians(np.array([TILT, TURN]) * rng.uniform([0, -1], 1))
    about, zoom = rng.uniform(0, 2 * np.pi), 2 ** (ZOOM * rng.uniform(-1, 1))
    return homography(shape, tilt, about, turn, zoom)


def homography(
    shape: tuple[int, int], tilt: float, about: float, turn: float, zoom: float
) -> Homography:
    """Where the pixels of a frontal view go; angles in radians."""
    height, width = shape
    f, cx, cy = FOCAL * max(shape), (width - 1) / 2, (height - 1) / 2
    axis = tilt * np.array([np.cos(about), np.sin(about), 0.0])
    rotation = cv2.Rodrigues(np.array([0, 0, turn]))[0] @ cv2.Rodrigues(axis)[0]
    plane = np.column_stack([rotation[:, :2], [0, 0, f / zoom]])
    camera = np.array([[f, 0, cx], [0, f, cy], [0, 0, 1]])
    return camera @ plane @ np.array([[1, 0, -cx], [0, 1, -cy], [0, 0, 1]]) / f


def warp(picture: Colour, homography: Homography) -> Colour:
    """The picture as the other camera sees it, in its own size; beyond its border, mirrored."""
    height, width = picture.shape[:2]
    off = (FINER - 1) / 2  # the middle of FINER small pixels is that of the large one
    finer = np.array([[FINER, 0, off], [0, FINER, off], [0, 0, 1]])
    large = cv2.warpPerspective(
        picture, finer @ homography, (FINER * width, FINER * height),
        flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
