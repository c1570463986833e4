"""How a picture is spoilt: noise models as values with units.

Each maps clean pictures (…, H, W, C) to noisy ones, drawn anew at each call. Values are in picture
units, 1.0 being full scale: write `25 / 255`, not 25. Nothing is clipped, because clipping gives
the noise a mean (at sigma 50/255 black pixels would rise by 0.08 on average) and Noise2Noise learns
the mean.

Letters: x a clean pixel, y the noisy one. *Zero-mean* is E[y | x] = x for all x in [0, 1], and l2
learns it; for the rest each noise names the loss that fits (Lehtinen et al. 2018, section 3).
"""

from typing import get_args

import numpy as np
import torch
from torch import Generator

from ._grain import Gaussian, Poisson, PoissonGaussian, Rician, Speckle
from ._model import as_text
from ._outliers import Bernoulli, Impulse, SaltPepper
from ._point import PointSampling
from ._sequence import Either, Sequence, Single, from_text
from ._text import Text

__all__ = [
    "NOISES",
    "Bernoulli",
    "Either",
    "Gaussian",
    "Impulse",
    "Noise",
    "PointSampling",
    "Poisson",
    "PoissonGaussian",
    "Rician",
    "SaltPepper",
    "Sequence",
    "Speckle",
    "Text",
    "as_text",
    "from_text",
    "generator",
]

Noise = Single | Sequence | Either
NOISES: dict[str, type[Noise]] = {model.kind: model for model in get_args(Noise)}


def generator(*numbers: int, device: str | torch.device = "cpu") -> Generator:
    """Draws that depend on all of `numbers`.

    They are mixed first: of a seed itself, torch heeds no more than the low 32 bits on a CPU.
    """
    mixed = np.random.SeedSequence(numbers).generate_state(1)
    return Generator(device).manual_seed(int(mixed[0]))
