"""How far one picture is from another: PSNR and SSIM, with the range of values always said.

    MSE = mean (a − b)²        PSNR = 10 · log10(R² / MSE)  decibel        R: data_range

R is the span the values *could* take (255 for uint8), not the span they do. Over many pictures
there are two PSNRs, a decibel or so apart, and a report must say which it prints:

    per image   the mean over pictures of each one's PSNR
    pooled      10 · log10(R² / mean squared error over all values of all pictures)

For pictures of equal size pooled ≤ per image (Jensen: −log is convex).
SSIM: Wang, Bovik, Sheikh, Simoncelli 2004, "Image quality assessment", section III.C.
"""

import math
from collections.abc import Sequence

import numpy as np

from .errors import InputError

SSIM_SIDE = 11  # Wang et al. 2004, III.C: an 11×11 window, Gaussian with sigma 1.5 pixels


def mse(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared difference of two arrays of one shape, any dtype, in their units squared.

    Computed in float64, so that 8-bit pictures do not wrap around and large ones lose nothing.

    >>> mse(np.array([0, 255], np.uint8), np.array([1, 252], np.uint8))
    5.0
    """
    _same_shape(a, b)
    error = np.subtract(a, b, dtype=np.float64)
    return float(np.square(error, out=error).mean())


def psnr_from_mse(mse: float | int, data_range: float | int) -> float:
    """PSNR in decibel of a mean squared error ≥ 0; no error at all is infinite.

    >>> psnr_from_mse(0.01, 1), psnr_from_mse(0, 255)
    (20.0, inf)
    """
    _positive(data_range)
    return 20 * math.log10(data_range) - 10 * math.log10(mse) if mse else math.inf


def psnr(a: np.ndarray, b: np.ndarray, data_range: float | int) -> float:
    """PSNR in decibel between two arrays of one shape; `data_range` in their units.

    >>> clean = np.zeros((4, 4, 3))
    >>> round(psnr(clean + 0.1, clean, data_range=1), 6)
    20.0
    """
    return psnr_from_mse(mse(a, b), data_range)


def psnrs(
    mses: Sequence[float], sizes: Sequence[int], data_range: float | int
) -> tuple[float, float]:
    """Both PSNRs of many pictures, per image and pooled, from the MSE and size of each.

    >>> [round(value, 2) for value in psnrs([0.01, 0.0001], [4, 4], data_range=1)]
    [30.0, 22.97]
    """
    each = [psnr_from_mse(one, data_range) for one in mses]
    error = sum(size * one for size, one in zip(sizes, mses, strict=True)) / sum(sizes)
    return sum(each) / len(each), psnr_from_mse(error, data_range)


def ssim(a: np.ndarray, b: np.ndarray, data_range: float | int) -> float:
    """Mean structural similarity of two (H, W, C) pictures, at most 1, in Wang's 2004 setting.

    Gaussian window of sigma 1.5 cut to 11×11, population covariances, K1 = 0.01, K2 = 0.03; the
    mean over planes and over the pixels whose whole window lies inside. A picture with a side
    below 11 holds no window: its SSIM is undefined, and nan is returned.

    >>> picture = np.arange(256.0).reshape(16, 16, 1)
    >>> ssim(picture, picture, data_range=255), ssim(picture[:8], picture[:8], data_range=255)
    (1.0, nan)
    """
    from skimage.metrics import structural_similarity  # half a second, for this function only

    _same_shape(a, b)
    _positive(data_range)
    if a.ndim != 3:
        raise InputError(
            f"SSIM was given an array of shape {a.shape}. It wants rows, columns, colour planes: "
            f"(H, W, C). For a grey picture add the last axis, picture[..., None]."
        )
    if min(a.shape[:2]) < SSIM_SIDE:
        return math.nan
    planes = [
        structural_similarity(
            a[..., plane].astype(np.float64),  # a plane at a time: float copies are large
            b[..., plane].astype(np.float64),
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for plane in range(a.shape[-1])
    ]
    return float(np.mean(planes))


def _same_shape(a: np.ndarray, b: np.ndarray) -> None:
    # numpy would broadcast a grey picture over a colour one, and return a number for it
    if a.shape != b.shape or not a.size:
        raise InputError(
            f"Pictures of shape {a.shape} and {b.shape} cannot be compared: both must have the "
            f"same rows, columns and colour planes, and at least one pixel. Crop or convert one."
        )


def _positive(data_range: float | int) -> None:
    if not 0 < data_range < math.inf:
        raise InputError(
            f"data_range={data_range} is no range of values. Give the span the clean values can "
            f"take: 255 for 8 bits, 65535 for 16 bits, 1 for floats in [0, 1]."
        )
