"""Is the estimated PSNR the true one? Photographs, four noises, three strengths, four models.

    python studies/verdict/truth.py MODEL COURSE OUT

MODEL: a model folder, trained there if it is not (BSDS500 train, Gaussian noise of 5 to 60/255,
1,500 steps of the default recipe). COURSE: the folder of the course's val_data.pkl. Needs
NOISEPAIR_DATA. The estimate sees noisy shots only; the truth is the squared error of both denoised
shots against the clean picture, pooled over all values, value range 1, nothing clipped or rounded.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from _pictures import Recorder, as_seen, decibel, models, pictures, scenes, stand_in, table, write

from noisepair.app import figures
from noisepair.noise import Gaussian, Noise, PointSampling, Poisson, PoissonGaussian
from noisepair.verdict import verdict

NOISES: dict[str, Noise] = {
    "Gaussian 15/255": Gaussian(15 / 255),
    "Gaussian 25/255": Gaussian(25 / 255),
    "Gaussian 50/255": Gaussian(50 / 255),
    "Poisson, peak 120": Poisson(120),
    "Poisson, peak 60": Poisson(60),
    "Poisson, peak 20": Poisson(20),
    "Poisson-Gaussian 0.005, 0.02": PoissonGaussian(0.005, 0.02),
    "Poisson-Gaussian 0.01, 0.04": PoissonGaussian(0.01, 0.04),
    "Poisson-Gaussian 0.04, 0.08": PoissonGaussian(0.04, 0.08),
    "point sampling, 2×2": PointSampling(2),
    "point sampling, 4×4": PointSampling(4),
    "point sampling, 8×8": PointSampling(8),
}


def main(model: Path, course: Path, out: Path) -> None:
    sets = {
        "CBSD68": pictures("benchmark/CBSD68", 50),
        "Kodak24": pictures("benchmark/Kodak24", 24),
        "stand-in": stand_in(1000, course),
    }
    judged = models(model)
    rows: list[dict[str, Any]] = []
    for data, clean in sets.items():
        for noise_name, noise in NOISES.items():
            if data == "stand-in" and noise.shrinks > 1:
                continue  # 32×32 pictures have no larger ones behind them
            truth = as_seen(clean, noise)
            for model_name, denoise in judged.items():
                keep = Recorder(denoise)
                found = verdict(keep, scenes(clean, noise, seed=len(rows)))
                errors = [
                    float(np.mean(np.square(made - c, dtype=np.float64)))
                    for made, c in zip(keep.made, truth, strict=True)
                ]
                sizes = [one.size for one in truth]
                true = decibel(float(np.average(errors, weights=sizes)))
                rows.append({
                    "data": data, "noise": noise_name, "model": model_name,
                    "noisy": found.noisy.value, "estimated": found.denoised.value, "true": true,
                    "low": found.denoised.low, "high": found.denoised.high,
                    "verdict": found.verdict, "gain": found.gain.value, "pixels": sum(sizes) // 3,
                })  # fmt: skip
                print(*rows[-1].values(), flush=True)
    apart = np.array([row["estimated"] - row["true"] for row in rows])
    text = table(
        ["pictures", "noise", "model", "noisy, est.", "denoised, est.", "true", "apart", "verdict"],
        [[r["data"], r["noise"], r["model"], f"{r['noisy']:.2f}", f"{r['estimated']:.3f}",
          f"{r['true']:.3f}", f"{r['estimated'] - r['true']:+.3f}", r["verdict"]] for r in rows],
    )  # fmt: skip
    large = np.array([row["pixels"] >= 3_600_000 for row in rows])
    most, of_large = np.abs(apart).max(), np.abs(apart[large]).max()
    text += (
        f"\nLargest difference {most:.3f} dB; where there are 3.6 megapixels or more"
        f" {of_large:.3f} dB. Root mean square {np.sqrt(np.mean(apart**2)):.4f} dB.\n"
    )
    write(out / "truth", text, rows)
    draw(rows, out / "truth.svg")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    figure, (axes,) = figures.canvas(5.6, 5.0, 1)
    colours = (figures.AFTER, figures.GAIN, figures.BEFORE, "#999999")
    for name, colour in zip(dict.fromkeys(row["model"] for row in rows), colours, strict=True):
        mine = [row for row in rows if row["model"] == name]
        true, found = [r["true"] for r in mine], [r["estimated"] for r in mine]
        axes.plot(true, found, "o", ms=4, alpha=0.8, color=colour, label=str(name))
    ends = axes.get_xlim()
    axes.plot(ends, ends, color=figures.INK, lw=0.8)
    axes.set_xlabel("true PSNR, by clean pictures (dB)")
    axes.set_ylabel("estimated, by noisy pairs (dB)")
    axes.legend(frameon=False, labelcolor=figures.INK)
    path.write_text(figures.svg(figure).replace("currentColor", figures.INK))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
