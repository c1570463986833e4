"""What does `noisepair check` find, how small may it be, and how often is it wrong?

    python studies/verdict/faults.py OUT [SOUND_TRIALS]

50 pictures of CBSD68, their middle 200×200 pixels, Gaussian noise of 25/255 that is neither clipped
nor rounded unless the fault does it. Each fault in falling sizes, five draws of noise each; sound
data 100 times, with a strength drawn from 10 to 60/255. Needs NOISEPAIR_DATA.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _pictures import pictures, table, write
from PIL import Image

from noisepair.check import check
from noisepair.sources import Scene, Source

SIGMA = 25 / 255
Pair = tuple[np.ndarray, np.ndarray]
Fault = Callable[[np.ndarray, float, np.random.Generator, np.ndarray], Pair]


def noisy(clean: np.ndarray, rng: np.random.Generator, sigma: float = SIGMA) -> np.ndarray:
    return (clean + sigma * rng.standard_normal(clean.shape)).astype(np.float32)


def shifted(clean, size, rng, pattern):  # type: ignore[no-untyped-def]
    waves = np.exp(-2j * np.pi * size * np.fft.fftfreq(clean.shape[2]))[:, None]
    moved = np.fft.ifft(np.fft.fft(clean, axis=2) * waves, axis=2).real
    return noisy(clean, rng), noisy(moved, rng)


def correlated(clean, size, rng, pattern):  # type: ignore[no-untyped-def]
    both = SIGMA * rng.standard_normal(clean.shape)
    own = [SIGMA * rng.standard_normal(clean.shape) for _ in range(2)]
    one, two = ((clean + size**0.5 * both + (1 - size) ** 0.5 * n).astype(np.float32) for n in own)
    return one, two


def patterned(clean, size, rng, pattern):  # type: ignore[no-untyped-def]
    return tuple((noisy(clean, rng) + size * SIGMA * pattern).astype(np.float32) for _ in range(2))


def brighter(clean, size, rng, pattern):  # type: ignore[no-untyped-def]
    return noisy(clean, rng), noisy(clean * (1 + size), rng)


def clipped(clean, size, rng, pattern):  # type: ignore[no-untyped-def]
    # the picture is spread until about this share of the noisy values is beyond the ends
    wide = 0.5 + (clean - 0.5) * SPREAD[size]
    return tuple(np.clip(noisy(wide, rng), 0, 1) for _ in range(2))


SPREAD = {0.03: 1.0, 0.01: 0.8, 0.004: 0.7}


def averaged(clean, size, rng, pattern):  # type: ignore[no-untyped-def]
    """Means of 4 frames each, of which `size` are in both."""
    frames = [noisy(clean, rng, 2 * SIGMA) for _ in range(8 - int(size))]
    one, two = frames[:4], frames[-4:]
    return np.mean(one, 0).astype(np.float32), np.mean(two, 0).astype(np.float32)


def compressed(clean, size, rng, pattern):  # type: ignore[no-untyped-def]
    def jpeg(one: np.ndarray) -> np.ndarray:
        page = io.BytesIO()
        bits = np.rint(np.clip(one[0], 0, 1) * 255).astype(np.uint8)
        Image.fromarray(bits).save(page, "JPEG", quality=int(size))
        return np.asarray(Image.open(page))[None]

    low = 0.3 + 0.4 * clean  # away from the ends, so that nothing is clipped
    return jpeg(noisy(low, rng, 0.05)), jpeg(noisy(low, rng, 0.05))


FAULTS: dict[str, tuple[Fault, str, tuple[float, ...], set[str]]] = {
    "shift, pixels": (shifted, "0.25", (0.25, 0.1, 0.05, 0.03, 0.02), {"registration"}),
    "noise correlated between shots": (
        correlated, "0.1", (0.1, 0.07, 0.05, 0.04, 0.03), {"independence"}),
    "fixed pattern, share of sigma": (
        patterned, "0.1", (0.1, 0.05, 0.03, 0.02), {"fixed pattern"}),
    "gain difference": (brighter, "0.02", (0.02, 0.01, 0.007, 0.005, 0.003), {"photometry"}),
    "clipping, share": (clipped, "0.03", (0.03, 0.01, 0.004), {"clipping"}),
    "averages of 4 that share frames": (averaged, "1", (2, 1, 0), {"independence"}),
    "JPEG, quality": (compressed, "any", (75, 85, 90, 95), {"compression"}),
}  # fmt: skip


def source(pairs: list[Pair]) -> Source:
    found = [Scene(f"picture {n}", pair, ("a", "b")) for n, pair in enumerate(pairs)]
    return Source(tuple(found), "made")


def main(out: Path, sound: int) -> None:
    clean = pictures("benchmark/CBSD68", 50, 200)
    rows: list[list[object]] = []
    for name, (fault, _, sizes, meant) in FAULTS.items():
        for size in sizes:
            hits, said, figures = 0, set[str](), list[str]()
            for draw in range(5):
                rng = np.random.default_rng([draw, len(rows)])
                pattern = rng.standard_normal(clean[0].shape)
                found = check(source([fault(one, size, rng, pattern) for one in clean]))
                seen = {f.kind for f in found.findings}
                hits += bool(seen & meant)
                said |= seen
                figures.append(found.verdict)
            words = max(set(figures), key=figures.count)
            rows.append([name, f"{size:g}", f"{hits} of 5", words, ", ".join(sorted(said)) or "–"])
            print(rows[-1], flush=True)
    alarms: list[str] = []
    for trial in range(sound):
        rng = np.random.default_rng([trial, 99])
        sigma = rng.uniform(10, 60) / 255
        found = check(source([(noisy(c, rng, sigma), noisy(c, rng, sigma)) for c in clean]))
        if found.findings:
            alarms.append(", ".join(f.kind for f in found.findings))
            print(trial, sigma * 255, alarms[-1], flush=True)
    text = table(["fault", "size", "found", "verdict", "all that was said"], rows)
    kinds = "; ".join(alarms) or "none"
    text += f"\nSound data: {len(alarms)} false alarms in {sound} trials ({kinds}).\n"
    write(out / "faults", text, {"rows": rows, "sound": sound, "alarms": alarms})


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100)
