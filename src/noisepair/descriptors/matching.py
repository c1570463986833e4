"""How well descriptors match, in seconds: what a training is watched by.

HPatches' matching task (Balntas et al. 2017, section 5) on a part of the patches: each of `ref`
looks for its nearest in one sheet of each difficulty, average precision over the matches ranked by
distance. `hpatches` has the whole of it; this says which weights are better.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..hpatches.layout import SHEETS
from ..hpatches.precision import of_labels
from ..noise import Noise, generator
from .networks import Patches, Vectors
from .views import Sheets, digital, unit

AGAINST = ("e3", "h3", "t3")
MOST = 300  # places a sequence
JUDGED = 44  # what its generator is for

Describe = Callable[[Patches], Vectors]


class Judge:
    """Held-out sequences, noisy as they stay."""

    def __init__(
        self, sheets: Sheets, noise: Noise | None, device: torch.device, *, seed: int = 0,
        noisy: Sheets | None = None,
    ):  # fmt: skip
        self.sequences: list[dict[str, Patches]] = []  # what is described, by sheet
        self.clean: list[dict[str, Patches]] = []
        for number, (name, whole) in enumerate(sheets.items()):
            rng = generator(seed, JUDGED, number, device=device)
            clean = part_of(whole, device)
            seen = clean if noisy is None else part_of(noisy[name], device)
            if noise is not None and noisy is None:
                seen = {
                    sheet: digital(noise(patches.movedim(1, -1), rng).movedim(-1, 1))
                    for sheet, patches in clean.items()
                }
            self.sequences.append(seen)
            self.clean.append(clean)

    @torch.no_grad()
    def scores(self, describe: Describe) -> Mapping[str, float]:
        """Mean average precision: of each difficulty, and `matching`, their mean."""
        found: dict[str, list[float]] = {sheet: [] for sheet in AGAINST}
        for seen in self.sequences:
            reference = describe(seen["ref"]).float()
            for sheet in AGAINST:
                found[sheet].append(precision(reference, describe(seen[sheet]).float()))
        names = ("easy", "hard", "tough")
        each = {name: float(np.mean(found[s])) for name, s in zip(names, AGAINST, strict=True)}
        return {"matching": float(np.mean(list(each.values()))), **each}

    @torch.no_grad()
    def error(self, denoise: Callable[[Patches], Patches]) -> float:
        """Mean absolute error of denoised patches, in grey levels, as the course counts it."""
        errors = [
            (denoise(seen[sheet]) - clean[sheet]).abs().flatten()
            for seen, clean in zip(self.sequences, self.clean, strict=True)
            for sheet in seen
        ]
        return 255 * float(torch.cat(errors).mean())


def part_of(sheets: np.ndarray, device: torch.device) -> dict[str, Patches]:
    """The sheets that are judged by, of the first places of a sequence."""
    return {
        sheet: unit(torch.from_numpy(sheets[SHEETS.index(sheet)][:MOST]).to(device))
        for sheet in ("ref", *AGAINST)
    }


def precision(one: Float[Tensor, "N D"], two: Float[Tensor, "N D"]) -> float:
    """Average precision of the nearest neighbours of `one` in `two`; row i belongs to row i."""
    squares = one.square().sum(1)[:, None] + two.square().sum(1) - 2 * one @ two.T
    near, index = squares.min(1)
    right = (index == torch.arange(len(one), device=one.device)).cpu().numpy()
    order = np.argsort(near.cpu().numpy(), kind="stable")
    return of_labels(right[order], len(one))
