"""What `noisepair denoise` makes of pictures, for the commands that judge it."""

from typing import Any

import numpy as np

from ..blind import Blind
from ..denoise import through_pages
from .console import Options
from .denoising import Shelf


class AsDenoised:
    """Denoises as the command does: bundled weights are told of the noise of each picture.

    `model`: a folder, a name of bundled weights, or none for those that fit each picture. Pages
    that are given together are taken for those of one file.
    """

    whole = True  # pages are denoised by the noise of the file that they are of

    def __init__(self, model: str | None, options: Options, *, average: bool = False):
        self.shelf = Shelf(model, options, average=average)

    def pages(self, noisy: np.ndarray) -> np.ndarray:
        """Denoise pages (N, H, W, C); shape, type and range come back the same."""
        fit = self.shelf.fit(noisy)
        return fit.pages(noisy)[0] if isinstance(fit, Blind) else fit.pages(noisy)

    def __call__(self, noisy: np.ndarray, channel_axis: int | None = None) -> np.ndarray:
        """Denoise one picture (H, W), or colour at `channel_axis`."""
        return through_pages(noisy, channel_axis, 3, self.pages)

    @property
    def blind(self) -> list[str]:
        """The bundled weights that were asked so far."""
        return sorted(name for name, fit in self.shelf.known.items() if isinstance(fit, Blind))

    def lines(self) -> list[str]:
        """What is said of how it was denoised; nothing of a trained model: it knows its noise."""
        if not self.blind:
            return []
        return [
            f"Denoised by the bundled weights ({', '.join(self.blind)}), the noise of each picture"
            " measured first, as noisepair denoise does."
        ]

    def as_json(self) -> dict[str, Any]:
        """The same for a program."""
        return {"models": sorted(self.shelf.known), "noise_measured": bool(self.blind)}
