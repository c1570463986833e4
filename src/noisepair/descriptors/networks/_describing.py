"""What all networks of descriptors are: patches in, a vector for each out."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 32  # pixels on a side
SIZE = 128  # numbers of a descriptor

Patches = Float[Tensor, "B 1 32 32"]
Vectors = Float[Tensor, "B 128"]


class Describing(nn.Module):
    """A network from patches (B, 1, 32, 32) of values in [0, 1] to (B, 128).

    `raw` is what its last layer says; a descriptor is that or, where `unit`, of length 1.
    """

    patch_size = PATCH  # what kornia's LAFDescriptor asks for
    unit: bool = True
    slope: float = 0.0

    def raw(self, patches: Patches) -> Vectors:
        raise NotImplementedError

    def forward(self, patches: Patches) -> Vectors:
        return self.finished(self.raw(patches))

    def finished(self, raw: Vectors) -> Vectors:
        """The descriptor of what the last layer said."""
        return F.normalize(raw, eps=1e-10) if self.unit else raw


def flat(x: Float[Tensor, "B 128 1 1"]) -> Vectors:
    """Out of the last convolution; float32 at least, whatever the products were done in."""
    return x.flatten(1).to(torch.promote_types(x.dtype, torch.float32))


def standardised(patches: Patches) -> Patches:
    """Each patch less its mean, divided by its deviation; a flat one becomes zeros.

    (HardNet.) Slopes do not go through the two numbers.
    """
    deviation, mean = torch.std_mean(patches.detach(), dim=(1, 2, 3), keepdim=True)
    return (patches - mean) / (deviation + 1e-7)
