"""A descriptor made for processors that multiply in bfloat16: `quick`.

    each patch − its mean, / its deviation, its 2×2 pixels in 4 planes
    half … | quarter↓ … | eighth↓ … | 128 of all that is left     channels of 3×3 convolutions
    / length

HardNet's first two convolutions, a quarter of its multiplications, are done at the full 32×32 with
32 channels, where memory and not arithmetic decides; here the first sees 16×16. Channels are
multiples of 32, which is what the units that multiply take. 12.0 million multiply-adds a patch.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from ...models.dncnn import activation
from ...optim import Orthogonal
from ._describing import PATCH, SIZE, Describing, Patches, Vectors, flat, standardised
from .hardnet import GAIN, STRICT

Widths = tuple[Annotated[int, Field(ge=1, le=1024)], ...]


@dataclass(frozen=True, config=STRICT)
class Quick:
    """Settings of a quick descriptor."""

    half: Annotated[Widths, Field(min_length=1, max_length=8)] = (32, 32)
    """channels of the convolutions at 16×16"""
    quarter: Annotated[Widths, Field(max_length=8)] = (64, 64, 128)
    """channels of those at 8×8, the first of stride 2; none: the last layer sees 16×16"""
    eighth: Annotated[Widths, Field(max_length=8)] = ()
    """channels of those at 4×4, the first of stride 2; none: the last layer sees 8×8"""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """share of the values before the last convolution that is dropped in training"""
    slope: Annotated[float, Field(ge=0, le=1)] = 0.0
    """of the activation below zero; 0 is ReLU"""
    kind: Literal["quick"] = "quick"
    begins: ClassVar[Orthogonal] = Orthogonal(GAIN)

    def __post_init__(self) -> None:
        if self.eighth and not self.quarter:
            raise ValueError(
                "network.eighth has channels and network.quarter none, and 4×4 is reached by way"
                " of 8×8. Give network.quarter, or leave network.eighth out."
            )

    def __call__(self) -> "QuickModule":
        return QuickModule(self)


class QuickModule(Describing):
    """The network that `Quick` describes."""

    def __init__(self, settings: Quick):
        super().__init__()
        self.slope = settings.slope
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        below, side = 4, PATCH // 2
        for level, widths in enumerate((settings.half, settings.quarter, settings.eighth)):
            for number, width in enumerate(widths):
                stride = 2 if level and not number else 1
                side //= stride
                layers += [
                    nn.Conv2d(below, width, 3, stride=stride, padding=1, bias=False),
                    nn.BatchNorm2d(width, affine=False),
                    activation(settings.slope),
                ]
                below = width
        last = nn.Conv2d(below, SIZE, side, bias=False)
        norm = nn.BatchNorm2d(SIZE, affine=False)
        self.features = nn.Sequential(*layers, nn.Dropout(settings.dropout), last, norm)

    def raw(self, patches: Patches) -> Vectors:
        return flat(self.features(standardised(patches)))
