"""Made patches: how many a second, how many bytes each, and how far jittered regions lie beside.

The set is made of four pictures that scikit-image ships, 512×512 to 640×427, as `noisepair hpatches
make` makes it: 65×65, and 32×32 with and without noise, one worker; lists are not counted. Seconds
are those of the processor, so that what else the machine does is no matter. The overlap is that of
20,000 jittered discs with the disc, each by counting 10,000 points.

Expected: medians of 0.85, 0.72 and 0.60.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from noisepair.hpatches import _jitter
from noisepair.hpatches._jitter import STRENGTHS
from noisepair.hpatches._scenes import find
from noisepair.hpatches._sheets import Settings, make_sheets
from noisepair.hpatches._store import write
from noisepair.hpatches.layout import LEVELS, SHEETS

PICTURES = ("astronaut", "chelsea", "coffee", "rocket")
DISCS, AT_ONCE = 20_000, 500


def speed_and_size() -> dict[str, float]:
    """Of the four pictures; a patch is one place in one sheet, in its three forms."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "set").mkdir()
        for picture in PICTURES:
            pixels = getattr(data, picture)()
            cv2.imwrite(str(folder / f"{picture}.png"), pixels[..., ::-1])
        count, settings = 0, Settings()
        began = time.process_time()
        for scene in find([folder]):
            sheets = make_sheets(scene, settings)
            write(folder / "set", scene.name, sheets, settings)
            count += len(SHEETS) * len(sheets.regions)
        seconds = time.process_time() - began
        sizes = {
            side: sum(path.stat().st_size for path in (folder / "set" / side).rglob("*.png"))
            for side in ("65", "32")
        }
    return {
        "patches": count,
        "patches a second": count / seconds,
        "bytes a patch, 65": sizes["65"] / count,
        "bytes a patch, 32 twice": sizes["32"] / count,
    }


def overlap(strength: float) -> tuple[float, float]:
    """The median, and its standard error by the spread of the order statistics."""
    line = np.linspace(-2.4, 2.4, 100)
    points = np.stack(np.meshgrid(line, line)).reshape(2, -1)
    disc = (points**2).sum(0) <= 1
    unit = np.repeat(np.eye(3)[None, :2], DISCS, 0)
    frames = _jitter.drawn(np.random.default_rng(0), DISCS, strength).frames(unit)
    found = []
    for some in np.split(frames, range(AT_ONCE, DISCS, AT_ONCE)):
        back = np.linalg.inv(some[:, :, :2]) @ (points - some[:, :, 2:])
        ellipse = (back**2).sum(1) <= 1
        found.append((disc & ellipse).sum(1) / (disc | ellipse).sum(1))
    ranked = np.sort(np.concatenate(found))
    low, high = (ranked[int(DISCS / 2 + z * DISCS**0.5 / 2)] for z in (-1, 1))
    return float(np.median(ranked)), float(high - low) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description="Made patches: speed, size, overlap.")
    parser.add_argument("--json", action="store_true")
    figures = speed_and_size()
    for level, strength in zip(LEVELS.values(), STRENGTHS, strict=True):
        figures[f"overlap, {level}"], figures[f"± {level}"] = overlap(strength)
    if parser.parse_args().json:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{name:<26}{value:>12.4g}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
