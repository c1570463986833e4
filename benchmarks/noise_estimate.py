"""How well the noise of one picture is estimated, and what the Anscombe transform is worth.

    python benchmarks/noise_estimate.py --pictures 16            estimators on photographs
    python benchmarks/noise_estimate.py --real                   microscope and camera JPEGs
    python benchmarks/noise_estimate.py --speed                  24 megapixels
    python benchmarks/noise_estimate.py --transform              PSNR with and without the transform

Photographs: BSDS500 `val` in the folder that NOISEPAIR_DATA names, without what is in CBSD68.
Errors are in 255ths: mean / root mean square. Expected: ours below 0.3 / 0.5 at sigma 10 to 50,
clipped to 8 bits or not, where filters of the whole picture miss by 1 to 7.

The transform: the middle 256×256 of 12 pictures of Kodak24 and of Set12, with photons and read
noise, through `Blind` with and without it and as its rule decides; differences of PSNR on the same
noisy pixels ± standard error. Expected: by the rule none below 0 by more than two of those errors.

Those are (wavelet) Donoho & Johnstone 1994 with Daubechies-2, as skimage.estimate_sigma has it,
(Laplacian) Immerkær 1996, (Haar) what models/ffdnet.py does in a window, and (eigenvalues) the
smallest of patches, Chen, Zhu & Heng 2015, 8×8, every third.
"""

import argparse
import hashlib
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from scipy import ndimage

from noisepair import Denoiser, checkpoint
from noisepair.blind import Blind, brightest, brought_within
from noisepair.noise import PoissonGaussian
from noisepair.noise.estimate import estimate

SIGMAS = (0, 2, 5, 10, 15, 25, 50)
CAMERAS = ((0.001, 0.005), (0.005, 0.01), (0.02, 0.02), (0.05, 0.02), (0.2, 0.02))
PEAKS, READ = (50, 20, 10, 5), 0.02  # photons at white, and the read noise, for the transform
SETS = {3: "Kodak24", 1: "Set12"}
REACHES = (1.0, 0.3, 0.1, 1 / 16)  # of full scale: the last is 12 bits in a file of 16
DAUBECHIES_2 = np.array([-0.48296291, 0.83651630, -0.22414387, -0.12940952])
LAPLACIAN = np.array([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])
Found = dict[str, Any]


def photographs(count: int) -> list[np.ndarray]:
    """(H, W, 3) float32, spread evenly over the folder."""
    folder = Path(os.environ["NOISEPAIR_DATA"])
    kept = {path.stem for path in (folder / "benchmark" / "CBSD68").iterdir()}
    files = sorted((folder / "train" / "BSDS500" / "val").glob("*.jpg"))
    files = [path for path in files if path.stem not in kept]
    chosen = files[:: max(1, len(files) // count)][:count]
    return [np.asarray(Image.open(path), np.float32) / 255 for path in chosen]


def normal(like: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(like.shape, dtype=np.float32)


def grey(picture: np.ndarray) -> np.ndarray:
    return picture @ np.array([[0.299], [0.587], [0.114]], np.float32)


def eight_bits(picture: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.float32) / 255


def wavelet(noisy: np.ndarray) -> float:
    rows = ndimage.convolve1d(noisy, DAUBECHIES_2, 0)[::2]
    fine = ndimage.convolve1d(rows, DAUBECHIES_2, 1)[:, ::2]
    return float(np.median(np.abs(fine))) / 0.6745


def laplacian(noisy: np.ndarray) -> float:
    fine = ndimage.convolve(noisy, LAPLACIAN[..., None])
    return math.sqrt(math.pi / 2) * float(np.abs(fine).mean()) / 6


def haar(noisy: np.ndarray) -> float:
    rows, columns = (size // 2 * 2 for size in noisy.shape[:2])
    a, b, c, e = (noisy[i:rows:2, j:columns:2] for i in (0, 1) for j in (0, 1))
    return math.sqrt(math.pi / 2) * float(np.abs(a - b - c + e).mean()) / 2


def eigenvalues(noisy: np.ndarray) -> float:
    """Their algorithm 1: the largest are left out until the mean of the rest is its median."""
    seen = sliding_window_view(noisy, (8, 8), (0, 1))[::3, ::3]
    patches = seen.reshape(-1, 64 * noisy.shape[2])
    values = np.maximum(np.linalg.eigvalsh(np.cov(patches, rowvar=False))[::-1], 0)
    for at in range(len(values)):
        rest = values[at:]
        if (rest > rest.mean()).sum() >= (rest < rest.mean()).sum():
            return math.sqrt(float(rest.mean()))
    return 0.0


def ours(noisy: np.ndarray) -> float:
    return estimate(noisy).sigma


def linear(picture: np.ndarray) -> np.ndarray:
    """As a sensor counts it, near enough: files are brightened by the power 1/2.2 for screens."""
    return np.asarray(picture**2.2, np.float32)


# how values are spoilt and stored
FORMS: tuple[
    tuple[str, Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]], ...
]
FORMS = (
    ("float", np.asarray, np.asarray), ("8 bits", np.asarray, eight_bits),
    ("linear light", linear, np.asarray),
)  # fmt: skip
METHODS: dict[str, Callable[[np.ndarray], float]] = {
    "wavelet": wavelet, "Laplacian": laplacian, "Haar": haar, "eigenvalues": eigenvalues,
    "noisepair": ours,
}  # fmt: skip


def kinds(clean: np.ndarray) -> Iterator[tuple[str, np.ndarray, bool]]:
    yield "colour", clean, False
    yield "grey", grey(clean), False
    yield "colour, 8 bits", clean, True


def of_gaussian(pictures: list[np.ndarray]) -> Iterator[Found]:
    """Each method's error at each sigma."""
    for sigma in SIGMAS:
        errors: dict[str, dict[str, list[float]]] = {}
        for at, picture in enumerate(pictures):
            for kind, clean, stored in kinds(picture):
                noisy = clean + np.float32(sigma / 255) * normal(clean, np.random.default_rng(at))
                noisy = eight_bits(noisy) if stored else noisy
                of_kind = errors.setdefault(kind, {name: [] for name in METHODS})
                for name, method in METHODS.items():
                    of_kind[name].append(255 * method(noisy) - sigma)
        for kind, by_method in errors.items():
            found = {name: f"{mean(e):+.2f} / {rms(e):.2f}" for name, e in by_method.items()}
            yield {"pictures": kind, "sigma": sigma, **found}


def of_cameras(pictures: list[np.ndarray]) -> Iterator[Found]:
    """gain, read and sigma of noise that grows."""
    for gain, read in CAMERAS:
        for kind, change in (("colour", np.asarray), ("grey", grey)):
            levels, errors = [], []
            for at, picture in enumerate(pictures):
                clean = change(picture)
                level = estimate(camera(clean, gain, read, at))
                levels.append(level)
                errors.append(255 * (level.sigma - math.sqrt(gain * clean.mean() + read**2)))
            found = np.array([(level.gain, level.read) for level in levels])
            gains, reads = (f"{v.mean():.4f} ± {v.std(ddof=1):.4f}" for v in found.T)
            yield {
                "pictures": kind, "gain": gain, "read": read, "gain found": gains,
                "read found": reads, "error of sigma": f"{mean(errors):+.2f} / {rms(errors):.2f}",
                "said to grow": share(level.dependent for level in levels),
            }  # fmt: skip


def camera(clean: np.ndarray, gain: float, read: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    photons = gain * rng.poisson(clean / gain)
    return (photons + read * rng.standard_normal(clean.shape)).astype(np.float32)


def of_spectra(pictures: list[np.ndarray]) -> Iterator[Found]:
    """How often noise is called correlated, and how much: sigma 2, 5, 10 and 25 before."""
    cases: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "white": lambda noisy, clean: noisy,
        "white, 8 bits": lambda noisy, clean: eight_bits(noisy),
        "blurred by 0.5 pixels": lambda noisy, clean: blurred(noisy, clean, 0.5),
        "blurred by 1 pixel": lambda noisy, clean: blurred(noisy, clean, 1.0),
        "enlarged twofold": lambda noisy, clean: ndimage.zoom(noisy, (2, 2, 1), order=1),
        "JPEG, quality 90": lambda noisy, clean: jpeg(noisy, 90),
        "JPEG, quality 75": lambda noisy, clean: jpeg(noisy, 75),
        "JPEG, quality 50": lambda noisy, clean: jpeg(noisy, 50),
    }
    for kind, change in (("colour", np.asarray), ("grey", grey)):
        for name, spoil in cases.items():
            row: Found = {"pictures": kind, "noise": name}
            for sigma in (2, 5, 10, 25):
                levels = []
                for at, picture in enumerate(pictures):
                    clean = change(picture)
                    noise = np.float32(sigma / 255) * normal(clean, np.random.default_rng(at))
                    levels.append(estimate(spoil(clean + noise, clean)))
                right = mean([level.correlation[0] for level in levels])
                correlated = share(not level.white for level in levels)
                row[f"sigma {sigma}"] = f"{correlated} ({right:+.2f})"
            yield row


def blurred(noisy: np.ndarray, clean: np.ndarray, by: float) -> np.ndarray:
    return clean + ndimage.gaussian_filter(noisy - clean, (by, by, 0))


def jpeg(noisy: np.ndarray, quality: int) -> np.ndarray:
    stored = np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(stored if stored.shape[2] == 3 else stored[..., 0]).save(
        file, "jpeg", quality=quality
    )
    return (np.asarray(Image.open(file), np.float32) / 255).reshape(noisy.shape)


def of_real() -> Iterator[Found]:
    """sigma against the deviation of one shot from the mean of many: quantiles of their ratio."""
    folder = Path(os.environ["NOISEPAIR_DATA"]) / "real"
    sets = {"confocal": ("*_noisy.tif", "noisy", "mean"), "polyu": ("*_real.JPG", "real", "mean")}
    for name, (files, noisy_is, clean_is) in sets.items():
        ratios, white, grows = [], [], []
        for path in sorted((folder / name).glob(files)):
            pair = [path, path.with_name(path.name.replace(noisy_is, clean_is))]
            noisy, clean = (opened(one) for one in pair)
            level = estimate(noisy)
            ratios.append(level.sigma / float((noisy - clean).std()))
            white.append(level.white)
            grows.append(level.dependent)
        low, middle, high = np.quantile(ratios, (0.1, 0.5, 0.9))
        yield {
            "pictures": f"{name}, {len(ratios)}", "found / true, 10 %": f"{low:.2f}",
            "50 %": f"{middle:.2f}", "90 %": f"{high:.2f}", "said to be white": share(iter(white)),
            "said to grow": share(iter(grows)),
        }  # fmt: skip


def opened(path: Path) -> np.ndarray:
    values = np.asarray(Image.open(path), np.float32) / 255
    return values.reshape(*values.shape[:2], -1)


def speed() -> Iterator[Found]:
    """Processor time of 24 megapixels in colour, least of five."""
    noisy = np.random.default_rng(0).random((4000, 6000, 3), dtype=np.float32)
    taken = []
    for _ in range(5):
        began = time.process_time()
        estimate(noisy)
        taken.append(time.process_time() - began)
    yield {"megapixels": 24, "seconds": round(min(taken), 2),
           "megapixels/s": round(24 / min(taken), 1)}  # fmt: skip


def of_transform(weights: dict[int, Denoiser], count: int) -> Iterator[Found]:
    """What the transform is worth to weights (by their planes), at each gain."""
    for planes, folder in SETS.items():
        pictures = middles(folder, planes, count)
        for (values, change, store), gain in product(FORMS, (1 / peak for peak in PEAKS)):
            rows = []
            for at, clean in enumerate(map(change, pictures)):
                noisy = store(camera(clean, gain, READ, at))
                rows.append(differences(weights[planes], noisy, clean, PoissonGaussian(gain, READ)))
            found, errors = np.mean(rows, 0), np.std(rows, 0, ddof=1) / math.sqrt(len(rows))
            added = [f"{v:+.2f} ± {e:.2f}" for v, e in zip(found, errors, strict=True)]
            yield {
                "pictures": folder, "values": values, "gain": gain,
                "photons at white": round(1 / gain), "brightest": f"{found[4]:.0f}",
                "to mean": f"{found[5]:.1f}", "without, dB": f"{found[0]:.2f}",
                "with it": added[1], "true constants": added[2],
                "by the rule": added[3], "taken by it": f"{found[6]:.0%}",
            }  # fmt: skip


def of_confocal(weights: dict[int, Denoiser]) -> Iterator[Found]:
    """The same of real shots, against the mean of many; each by itself."""
    for path in sorted((Path(os.environ["NOISEPAIR_DATA"]) / "real/confocal").glob("*_noisy.tif")):
        noisy, clean = (opened(p) for p in (path, path.with_stem(path.stem[:-5] + "mean")))
        row = differences(weights[1], noisy, clean, None)
        yield {"picture": path.stem, "gain found": f"{estimate(noisy).gain:.3f}",
               "brightest": f"{row[4]:.0f}", "to mean": f"{row[5]:.1f}",
               "without, dB": f"{row[0]:.2f}", "with it": f"{row[1]:+.2f}",
               "by the rule": f"{row[3]:+.2f}"}  # fmt: skip


def differences(
    weights: Denoiser, noisy: np.ndarray, clean: np.ndarray, noise: PoissonGaussian | None
) -> tuple[float, ...]:
    """PSNR without; what is added with it, by estimate and by constants, and by the rule; the noise
    at the brightest as the weights would be shown it, in 255ths, and to that of the whole picture;
    whether the rule takes the transform."""

    def score(**lines: Any) -> tuple[float, bool]:
        done, found = Blind(weights, **lines).pages(noisy[None])
        return psnr(done[0], clean), found.stabilised

    without, _ = score(stabilise=False)
    known = score(stabilise=True, noise=noise)[0] if noise else without
    estimated, ruled = score(stabilise=True)[0], score()
    level = Blind(weights).measured(noisy[None])
    strongest, scale = brightest(noisy[None], level), brought_within(noisy[None], level.sigma)
    return (
        without, estimated - without, known - without, ruled[0] - without,
        255 * strongest / (scale.scale if scale else 1), strongest / level.sigma, float(ruled[1]),
    )  # fmt: skip


def of_dark(weights: dict[int, Denoiser], count: int) -> Iterator[Found]:
    """What it is worth to show dark pictures brighter: white noise of a share of their range."""
    for planes, folder in SETS.items():
        pictures, blind = middles(folder, planes, count), Blind(weights[planes])
        for reach, sigma in product(REACHES, (5, 25)):
            rows = []
            for at, clean in enumerate(reach * picture for picture in pictures):
                noise = normal(clean, np.random.default_rng(at))
                noisy = (clean + np.float32(reach * sigma / 255) * noise)[None]
                found = blind.measured(noisy).sigma
                as_it_is, brought = (
                    psnr(blind.at_full(noisy, found, scale, None, None)[0][0], clean)
                    for scale in (None, brought_within(noisy, found))
                )
                rows.append((as_it_is, brought - as_it_is))
            values, errors = np.mean(rows, 0), np.std(rows, 0, ddof=1) / math.sqrt(len(rows))
            yield {"pictures": folder, "white at": reach, "sigma of that": f"{sigma}/255",
                   "as it is, dB": f"{values[0]:.2f}",
                   "brought up": f"{values[1]:+.2f} ± {errors[1]:.2f}"}  # fmt: skip


def psnr(done: np.ndarray, clean: np.ndarray) -> float:
    return -10 * math.log10(float(np.square(np.clip(done, 0, 1) - clean).mean()))


def middles(folder: str, planes: int, count: int) -> list[np.ndarray]:
    """The middle 256×256 of pictures, evenly spread over the folder, (H, W, planes) float32."""
    files = sorted((Path(os.environ["NOISEPAIR_DATA"]) / "benchmark" / folder).glob("*.png"))
    found = []
    for path in files[:: max(1, len(files) // count)][:count]:
        picture = opened(path)
        top, left = ((size - 256) // 2 for size in picture.shape[:2])
        assert picture.shape[2] == planes, f"{path} has {picture.shape[2]} planes"
        found.append(picture[top : top + 256, left : left + 256])
    return found


def digest(model: str) -> str:
    """The weights' SHA-256, first 16 digits, as docs/weights.md has them."""
    held = checkpoint.located(model) / checkpoint.WEIGHTS
    return hashlib.sha256(held.read_bytes()).hexdigest()[:16]


def mean(errors: list[float]) -> float:
    return float(np.mean(errors))


def rms(errors: list[float]) -> float:
    return math.sqrt(float(np.square(errors).mean()))


def share(found: Iterator[bool]) -> str:
    return f"{100 * np.mean(list(found)):.0f} %"


def table(rows: list[Found]) -> str:
    lines = [" | ".join(rows[0]), " | ".join("---" for _ in rows[0])]
    lines += [" | ".join(str(value) for value in row.values()) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="lists of rows instead of tables")
    parser.add_argument("--pictures", type=int, default=16, help="photographs (32 at most)")
    parser.add_argument("--real", action="store_true", help="pictures with real noise, alone")
    parser.add_argument("--speed", action="store_true", help="the time of 24 megapixels alone")
    parser.add_argument(
        "--transform", nargs="*", metavar="MODEL",
        help="the transform's worth alone, to the bundled weights or to these",
    )  # fmt: skip
    asked = parser.parse_args()
    if asked.speed:
        parts = {"speed": list(speed())}
    elif asked.real:
        parts = {"real": list(of_real())}
    elif asked.transform is not None:
        names = asked.transform or list(checkpoint.BUNDLED)
        print("weights (SHA-256):", ", ".join(f"{name} {digest(name)}" for name in names))
        weights = {one.card.planes: one for one in map(Denoiser.load, names)}
        count = min(12, asked.pictures)
        parts = {"transform": list(of_transform(weights, count)),
                 "confocal": list(of_confocal(weights)),
                 "dark": list(of_dark(weights, count))}  # fmt: skip
    else:
        seen = photographs(asked.pictures)
        makers = {"gaussian": of_gaussian, "cameras": of_cameras, "spectra": of_spectra}
        parts = {name: list(make(seen)) for name, make in makers.items()}
    if asked.json:
        print(json.dumps(parts, ensure_ascii=False))
    else:
        print("\n\n".join(f"{name}\n\n{table(rows)}" for name, rows in parts.items()))


if __name__ == "__main__":
    main()
