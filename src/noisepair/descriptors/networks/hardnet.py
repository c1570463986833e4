"""HardNet (Mishchuk et al. 2017), which is L2-Net (Tian et al. 2017) for one patch size.

    each patch − its mean, / its deviation
    32 32 | 64↓ 64 | 128↓ 128 | dropout | 128 of 8×8      channels of 3×3 convolutions
    / length

Every convolution, the last too, is followed by batch normalisation without numbers of its own, and
all but the last by (Leaky)ReLU; none has a bias; ↓ is stride 2. 1,334,560 parameters. Layers have
the names of the authors' code and of kornia, `features.0` to `features.20`, so that their weights
fit. 39.1 million multiply-adds a patch.
"""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from ...models.dncnn import activation
from ...optim import Orthogonal
from ._describing import SIZE, Describing, Patches, Vectors, flat, standardised

WIDTHS = (32, 32, 64, 64, 128, 128)  # L2-Net and all that came of it
GAIN = 0.6 / 2**0.5  # the authors' 0.6, of which optim.Orthogonal adds √2 for ReLU
STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True, config=STRICT)
class HardNet:
    """Settings of a HardNet."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """share of the values before the last convolution that is dropped in training"""
    slope: Annotated[float, Field(ge=0, le=1)] = 0.0
    """of the activation below zero; 0 is ReLU, as in the paper"""
    kind: Literal["hardnet"] = "hardnet"
    begins: ClassVar[Orthogonal] = Orthogonal(GAIN)

    def __call__(self) -> "HardNetModule":
        return HardNetModule(self)


class HardNetModule(Describing):
    """The network that `HardNet` describes."""

    def __init__(self, settings: HardNet):
        super().__init__()
        self.slope = settings.slope
        layers: list[nn.Module] = []
        for i, o in pairwise((1, *WIDTHS)):
            stride = 2 if o > i > 1 else 1
            layers += [
                nn.Conv2d(i, o, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(o, affine=False),
                activation(settings.slope),
            ]
        last = nn.Conv2d(WIDTHS[-1], SIZE, 8, bias=False)
        norm = nn.BatchNorm2d(SIZE, affine=False)
        self.features = nn.Sequential(*layers, nn.Dropout(settings.dropout), last, norm)

    def raw(self, patches: Patches) -> Vectors:
        return flat(self.features(standardised(patches)))
