"""HyNet (Tian et al. 2020): L2-Net's layers with filter response normalisation.

    FRN TLU 32 32 | 64↓ 64 | 128↓ 128 | dropout | 128 of 8×8, batch norm | / length

Each 3×3 convolution is followed by

    FRN   x ← x / √(mean of x² over the patch + 1e-6) · weight + bias    per channel
    TLU   x ← max(x, tau)

(Singh & Krishnan 2020), which look at one patch alone. The first FRN takes patches as they are, so
their scale does not matter. Layers are named as in the authors' code and in kornia.
"""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from ...optim import Orthogonal
from ._describing import SIZE, Describing, Patches, Vectors, flat
from .hardnet import GAIN, STRICT, WIDTHS


@dataclass(frozen=True, config=STRICT)
class HyNet:
    """Settings of a HyNet."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """share of the values before the last convolution that is dropped in training"""
    kind: Literal["hynet"] = "hynet"
    begins: ClassVar[Orthogonal] = Orthogonal(GAIN)

    def __call__(self) -> "HyNetModule":
        return HyNetModule(self)


class FRN(nn.Module):
    """Each channel of each patch divided by its root mean square, then scaled and shifted."""

    eps: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.register_buffer("eps", torch.tensor([1e-6]))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        exact = torch.promote_types(x.dtype, torch.float32)
        square = x.square().mean(dim=(2, 3), keepdim=True, dtype=exact)
        scale = self.weight * (square + self.eps.abs()).rsqrt()
        return x * scale.to(x.dtype) + self.bias.to(x.dtype)


class TLU(nn.Module):
    """max(x, tau), tau learnt for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.tau = nn.Parameter(-torch.ones(1, channels, 1, 1))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return torch.maximum(x, self.tau.to(x.dtype))


class HyNetModule(Describing):
    """The network that `HyNet` describes."""

    def __init__(self, settings: HyNet):
        super().__init__()
        for number, (i, o) in enumerate(pairwise((1, *WIDTHS)), 1):
            before = [FRN(1), TLU(1)] if number == 1 else []
            conv = nn.Conv2d(i, o, 3, stride=2 if o > i > 1 else 1, padding=1)
            setattr(self, f"layer{number}", nn.Sequential(*before, conv, FRN(o), TLU(o)))
        last = nn.Conv2d(WIDTHS[-1], SIZE, 8, bias=False)
        norm = nn.BatchNorm2d(SIZE, affine=False)
        self.layer7 = nn.Sequential(nn.Dropout(settings.dropout), last, norm)

    def raw(self, patches: Patches) -> Vectors:
        h: Tensor = patches
        for layer in self.children():
            h = layer(h)
        return flat(h)
