"""The network that the EE-559 course prescribes for its second mini-project (EPFL, 2022).

    conv ↓2, ReLU, conv ↓2, ReLU, ↑2 conv, ReLU, ↑2 conv, sigmoid

Convolutions are 3×3 with zero padding; ↓2 has stride 2, ↑2 repeats every pixel 2×2 before. It is
small and quick and has no skip, so what is finer than four pixels passes through few channels.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from ..shapes import Batch
from .unet import pad

Width = Annotated[int, Field(ge=1, le=4096)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class Strided:
    """Settings of the course's network."""

    channels: Annotated[tuple[Width, ...], Field(min_length=3, max_length=3)] = (48, 48, 48)
    """channels between its four convolutions"""
    kind: Literal["strided"] = "strided"

    def __call__(self, planes: int) -> "StridedModule":
        return StridedModule(self, planes)


class StridedModule(nn.Module):
    """The network that `Strided` describes, for pictures of `planes` colour planes."""

    slope = 0.0
    multiple = 4
    radius = 10  # both upsamplings see 1 and 2 pixels further, both strided convolutions 3, plus 4

    def __init__(self, settings: Strided, planes: int):
        super().__init__()
        one, two, three = settings.channels
        self.bytes_a_pixel = 8 * max(one, 4 * three) + 16 * planes
        self.layers = nn.Sequential(
            nn.Conv2d(planes, one, 3, stride=2, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(one, two, 3, stride=2, padding=1), nn.ReLU(inplace=True),
            up(two, three), nn.ReLU(inplace=True),
            up(three, planes), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, noisy: Batch) -> Batch:
        height, width = noisy.shape[2:]
        return self.layers(pad(noisy, self.multiple))[..., :height, :width]


def up(channels_in: int, channels_out: int) -> nn.Sequential:
    """Every pixel 2×2 times, then a convolution."""
    repeat = nn.Upsample(scale_factor=2)
    return nn.Sequential(repeat, nn.Conv2d(channels_in, channels_out, 3, padding=1))
