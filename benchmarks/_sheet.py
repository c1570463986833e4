"""A contact sheet of really noisy photographs, which no figure can judge: for looking."""

from pathlib import Path

import numpy as np
from PIL import Image

from noisepair import files, images
from noisepair.app.figures import most_detail
from noisepair.denoise import Denoiser

SIDE = 300  # of a crop, pixels; pictures are never scaled
GAP = 6


def sheet(folder: Path, out: Path, models: dict[str, Path]) -> None:
    """One PNG a photograph: its most detailed crop, noisy on the left and ours on the right."""
    files.make_folder(out)
    loaded = {name: Denoiser.load(model) for name, model in models.items()}
    for path in images.find([str(folder)]):
        noisy = images.read(path).pixels[0]
        grey = noisy.shape[-1] == 1
        ours = loaded["grey" if grey else "colour"](noisy, channel_axis=-1)
        window = most_detail(noisy, SIDE)
        pair = [np.broadcast_to(one[window], (*one[window].shape[:2], 3)) for one in (noisy, ours)]
        gap = np.full((pair[0].shape[0], GAP, 3), 255, np.uint8)
        with files.placed(out / f"{path.stem}.png") as beside:
            Image.fromarray(np.hstack([pair[0], gap, pair[1]])).save(beside, format="PNG")
        print(out / f"{path.stem}.png", flush=True)
