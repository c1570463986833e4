"""Patches out of pictures: what an affine frame in the reference covers, seen in another picture.

    pixel (i, j) of a patch  →  u = ((j, i) + ½) 2 / side − 1  →  A u + c  →  H (A u + c)

Each point of the patch goes through the homography, not its frame alone. Where a patch pixel
covers more than one picture pixel the picture is blurred first, in steps of half an octave, so that
nothing is skipped; between pixels values are linear.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

AT_ONCE = 256  # patches; OpenCV remaps no more than 32,767 rows
CORNERS = np.array([[-1, 1, 1, -1], [-1, -1, 1, 1]])

Frames = Float[np.ndarray, "N 2 3"]  # [A | c], pixels: the square [−1, 1]² onto a region
Homography = Float[np.ndarray, "3 3"]  # x_picture ~ homography x_reference


def patches(
    picture: UInt8[np.ndarray, "H W"], frames: Frames, homography: Homography, side: int
) -> UInt8[np.ndarray, "N side side"]:
    """What each frame of the reference covers in `picture`. Beyond its border, the border."""
    levels = np.round(2 * np.log2(spacing(frames, homography, side))).clip(0).astype(int)
    out = np.empty((len(frames), side, side), np.uint8)
    for level in np.unique(levels):
        blurred = seen_from(picture, 2 ** (level / 2))
        members = np.nonzero(levels == level)[0]
        for some in np.split(members, range(AT_ONCE, len(members), AT_ONCE)):
            x, y = grid(homography @ with_row(frames[some]), side)
            strip = cv2.remap(  # one patch under the other, as the sheets are
                blurred, x.reshape(-1, side), y.reshape(-1, side), cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
            out[some] = np.rint(strip).clip(0, 255).reshape(-1, side, side)
    return out


def seen_from(picture: UInt8[np.ndarray, "H W"], spacing: float) -> Float[np.ndarray, "H W"]:
    """The picture with the blur of one whose pixels are `spacing` times as far apart.

    Every picture is taken to have a blur of half a pixel of its own (Lowe 2004, section 3.3).
    """
    values = picture.astype(np.float32)
    if spacing <= 1:
        return values
    return cv2.GaussianBlur(values, (0, 0), 0.5 * float(np.sqrt(spacing**2 - 1)))


def with_row(frames: Frames) -> Float[np.ndarray, "N 3 3"]:
    """The frames as products with homographies need them."""
    return np.concatenate([frames, np.broadcast_to((0.0, 0.0, 1.0), (len(frames), 1, 3))], 1)


def grid(maps: Float[np.ndarray, "N 3 3"], side: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of every pixel of every patch in the picture, (N, side, side) float32.

    32 bits place a point of a picture of 4,000 pixels to a thousandth of a pixel.
    """
    u = ((np.arange(side) + 0.5) * 2 / side - 1).astype(np.float32)
    across, down, offset = np.moveaxis(maps.astype(np.float32), 2, 0)[
        ..., None, None
    ]  # (N, 3, 1, 1)
    x, y, w = np.moveaxis(across * u + (down * u[:, None] + offset), 1, 0)
    return x / w, y / w


def spacing(frames: Frames, homography: Homography, side: int) -> Float[np.ndarray, " N"]:
    """Pixels of the picture between pixels of a patch, at its centre (√ of the area), (N,)."""
    w = frames[:, :, 2] @ homography[2, :2] + homography[2, 2]
    stretch = np.abs(np.linalg.det(homography) / w**3)  # of areas under a homography
    return np.sqrt(np.abs(np.linalg.det(frames[:, :, :2])) * stretch) * 2 / side


def inside(frames: Frames, homography: Homography, shape: tuple[int, int]) -> np.ndarray:
    """Which frames lie in a picture of `shape` with all four corners, before its camera; (N,)."""
    corners = np.concatenate([CORNERS, np.ones((1, 4))])
    x, y, w = np.moveaxis(homography @ with_row(frames) @ corners, 1, 0)  # (N, 4)
    height, width = shape
    there = (w > 0) & (x >= 0) & (y >= 0) & (x <= (width - 1) * w) & (y <= (height - 1) * w)
    return there.all(1)
