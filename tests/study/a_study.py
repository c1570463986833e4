"""A study that takes a second: waves with noise in files, and networks of a few weights."""

from pathlib import Path

import numpy as np
import tomli_w

BASE = {
    "network": {"channels": [4, 4], "head": [4, 4], "form": "noise2noise", "slope": 0.1},
    "batch": 4, "crop": 16, "lr": 0.02, "precision": "float32", "steps": 4, "validations": 2,
}  # fmt: skip
DATA = {"train": "a.npy", "train2": "b.npy", "test": {"set": "test.npz"}}
LOSSES = {"loss": ["l2", "l1"]}


def written(folder: Path, **lines) -> Path:
    """The study file with these lines in place of its own; None leaves one out."""
    page = {"question": "Which?", "seeds": 2, "data": DATA, "base": BASE, "vary": LOSSES} | lines
    path = folder / "study.toml"
    path.write_text(tomli_w.dumps({k: v for k, v in page.items() if v is not None}))
    return path


def with_data(folder: Path) -> Path:
    """Two shots of six scenes, and three test pictures."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :24] / 24
    waves = [0.5 + 0.3 * np.sin(7 * (y * rng.random() + x * rng.random())) for _ in range(9)]
    clean = np.array(waves, np.float32)
    noisy = [(clean + rng.normal(0, 0.2, clean.shape)).astype(np.float32) for _ in range(2)]
    for name, shot in zip("ab", noisy, strict=True):
        np.save(folder / f"{name}.npy", shot[:6])
    np.savez(folder / "test.npz", noisy=noisy[0][6:, ..., None], clean=clean[6:, ..., None])
    return folder
