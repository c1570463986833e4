"""Denoisers that noisepair is compared with: a noisy picture (H, W, C) and its sigma, denoised.

Values are floats with white at 1; sigma, in the same units, is the true one, which ours is not
told. What a method leaves to choose is chosen as its makers do. Where they give no rule, it was
chosen by PSNR on the middles of three photographs of BSDS500 (val), of the 32 of its 100 that are
not CBSD68; `python benchmarks/_methods.py` does that again and prints `CHOSEN`.

    CBM3D, BM3D     Dabov et al. 2007; package bm3d, default profile
    OpenCV          non-local means, Buades et al. 2011; reads 8 bits only: the noisy picture is
                    clipped and rounded for it. h chosen, windows of 7 and 21
    NL-means        Buades et al. 2005; scikit-image, h = 0.8 sigma, patches of 5, distance 6, the
                    values of its own example for a known sigma
    wavelet         BayesShrink, Chang et al. 2000; scikit-image, in YCbCr where there is colour
    TV              Chambolle 2004; scikit-image, weight chosen
"""

from collections.abc import Callable, Mapping
from importlib.metadata import version

import numpy as np

from noisepair import images

Method = Callable[[np.ndarray, float], np.ndarray]

LEVELS = (15, 25, 50)  # sigma · 255
# For each number of planes, at each of LEVELS: h / (255 sigma) of OpenCV, weight / sigma of TV.
CHOSEN: Mapping[str, Mapping[int, tuple[float, ...]]] = {
    "OpenCV": {1: (0.9, 0.9, 0.8), 3: (0.7, 0.8, 0.6)},
    "TV": {1: (0.6, 0.8, 1.0), 3: (0.6, 0.8, 1.0)},
}


def chosen(name: str, planes: int, sigma: float) -> float:
    """What was chosen, in units of sigma; between the levels on a line, beyond them as at them."""
    return float(np.interp(255 * sigma, LEVELS, CHOSEN[name][planes]))


def bm3d(noisy: np.ndarray, sigma: float) -> np.ndarray:
    import bm3d as package

    if noisy.shape[-1] == 1:
        return package.bm3d(noisy[..., 0], sigma).reshape(noisy.shape)
    return package.bm3d_rgb(noisy, sigma)


def opencv(noisy: np.ndarray, sigma: float, ratio: float | None = None) -> np.ndarray:
    h = 255 * sigma * (ratio or chosen("OpenCV", noisy.shape[-1], sigma))
    return opencv_stored(images.from_unit(noisy, np.uint8), h) / 255


def opencv_stored(noisy: np.ndarray, h: float) -> np.ndarray:
    """From uint8 to uint8, as OpenCV is called."""
    import cv2

    if noisy.shape[-1] == 1:
        return cv2.fastNlMeansDenoising(noisy, h=h)[..., None]
    return cv2.fastNlMeansDenoisingColored(noisy, h=h, hColor=h)


def nl_means(noisy: np.ndarray, sigma: float) -> np.ndarray:
    from skimage.restoration import denoise_nl_means

    done = denoise_nl_means(noisy, 5, 6, 0.8 * sigma, True, sigma, channel_axis=-1)
    return done.reshape(noisy.shape)  # it drops the axis of a single plane


def wavelet(noisy: np.ndarray, sigma: float) -> np.ndarray:
    from skimage.restoration import denoise_wavelet

    colour = noisy.shape[-1] == 3
    return denoise_wavelet(
        noisy, sigma, convert2ycbcr=colour, method="BayesShrink", channel_axis=-1
    )


def tv(noisy: np.ndarray, sigma: float, ratio: float | None = None) -> np.ndarray:
    from skimage.restoration import denoise_tv_chambolle

    weight = sigma * (ratio or chosen("TV", noisy.shape[-1], sigma))
    return denoise_tv_chambolle(noisy, weight, channel_axis=-1)


# By the time they take, shortest first.
METHODS: Mapping[str, Method] = {
    "OpenCV": opencv, "wavelet": wavelet, "TV": tv, "NL-means": nl_means, "BM3D": bm3d,
}  # fmt: skip
PACKAGES = {
    "OpenCV": "opencv-python-headless", "wavelet": "scikit-image", "TV": "scikit-image",
    "NL-means": "scikit-image", "BM3D": "bm3d",
}  # fmt: skip


def made_by(name: str) -> str:
    """The package of a method and its version."""
    return f"{PACKAGES[name]} {version(PACKAGES[name])}"


def choose() -> None:
    """Print `CHOSEN`: of a grid of ratios, the one of best mean PSNR."""
    import os
    from pathlib import Path

    from noisepair.metrics import psnr

    folder = Path(os.environ["NOISEPAIR_DATA"])
    tested = {path.stem for path in images.find([str(folder / "benchmark/CBSD68")])}
    files = images.find([str(folder / "train/BSDS500/val")])
    files = [path for path in files if path.stem not in tested][4::11]
    middle = slice(60, 260)  # of 481×321 pixels: as telling, and three times quicker
    colour = [images.read(path).pixels[0, middle, middle] / 255 for path in files]
    grey = [photo @ np.array([[0.298936], [0.587043], [0.114021]]) for photo in colour]
    for name, method in {"OpenCV": opencv, "TV": tv}.items():
        for photos in (grey, colour):
            best = []
            for level in LEVELS:
                sigma, rng = level / 255, np.random.default_rng(level)
                shots = [(clean + rng.normal(0, sigma, clean.shape), clean) for clean in photos]
                means = {
                    ratio: np.mean(
                        [psnr(np.clip(method(n, sigma, ratio), 0, 1), c, 1) for n, c in shots]
                    )
                    for ratio in np.arange(0.3, 1.2, 0.1).round(1).tolist()
                }
                best.append(max(means, key=lambda ratio: means[ratio]))
            print(f"{name}, {photos[0].shape[-1]} planes: {best}", flush=True)


if __name__ == "__main__":
    choose()
