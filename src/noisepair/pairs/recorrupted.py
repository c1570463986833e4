"""Recorrupted-to-Recorrupted (Pang et al. 2021): more noise makes two shots of one.

For a shot y = x + n with Gaussian noise of variance σ², and z drawn with the same variance,

    y₁ = y + α z,    y₂ = y − z / α:    E (y₁ − x)(y₂ − x) = σ² − σ² = 0,

and Gaussian noises that do not correlate know nothing of one another (their section 3). So y₂ is a
second shot, at full size; it is noisier, but z is drawn anew at each step and averages out. What
is learnt is to denoise y₁; of y itself f makes nearly the same.

Each z is used with both signs in one batch, which is ours: with l2 the two losses together are

    |f(y + α z) − y|² + |f(y − α z) − y|² + (2/α) ⟨z, f(y + α z) − f(y − α z)⟩ + a constant,

where ⟨z, y⟩, the noisiest part of the slope, has fallen out. The last term is Stein's estimate of
the divergence (Ramani, Blu and Unser 2008), by a central difference.

Assumes Gaussian noise that is independent from pixel to pixel and of known variance: it is
estimated from the picture, a line in the brightness (noise/estimate.py), and the brightness of a
pixel is the mean of the 5×5 around it. Where the estimate is too small noise is kept, where it is
too large detail is lost.
"""

import torch
from torch.nn import functional as F

from ..noise.estimate import Level
from ..shapes import Batch
from .two_shots import TwoShots

ALPHA = 0.5  # of the authors' program
AROUND = 5  # pixels, side of the square whose mean is the brightness


def recorrupted(noisy: Batch, sigma: Batch, rng: torch.Generator) -> TwoShots:
    """y ± α z and y ∓ z / α, both (2 B, C, H, W); `sigma` (B, C, H, W) is the noise's deviation."""
    z = sigma * torch.randn(noisy.shape, generator=rng, device=noisy.device)
    both = torch.cat([z, -z])
    twice = torch.cat([noisy, noisy])
    return TwoShots(twice + ALPHA * both, twice - both / ALPHA)


def deviation(unit: Batch, level: Level) -> Batch:
    """The noise's standard deviation at each pixel of `unit`, both in picture units."""
    if not level.dependent:
        return torch.full_like(unit, level.sigma)
    reach = AROUND // 2
    around = F.pad(unit, (reach,) * 4, mode="replicate")
    brightness = F.avg_pool2d(around, AROUND, stride=1)
    variance = level.gain * (brightness - level.black) + level.read**2
    return variance.clamp(min=(level.sigma / 10) ** 2).sqrt()
