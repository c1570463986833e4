"""DnCNN (Zhang et al. 2017): a plain stack of 3×3 convolutions that predicts the noise.

    denoised = noisy − R(noisy)        R = conv ReLU, (depth − 2) × (conv norm ReLU), conv

(their section III; eq. 1 is the loss of R). Zero padding keeps the size, so pictures of any size go
through and an output pixel sees `depth` pixels to each side. The paper has 17 layers for grey
pictures of one noise level and 20 for colour or unknown levels, 64 channels, batch normalisation.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from ..shapes import Batch

Width = Annotated[int, Field(ge=1, le=4096)]
Depth = Annotated[int, Field(ge=3, le=1000)]
Norm = Literal["batch"] | None


@dataclass(frozen=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class DnCNN:
    """Settings of a DnCNN."""

    depth: Depth = 17
    """number of convolutions; also how many pixels to each side are seen"""
    width: Width = 64
    """channels between the convolutions"""
    norm: Norm = None
    """after all convolutions but the first and the last: none, batch (as in the paper)"""
    slope: Annotated[float, Field(ge=0, le=1)] = 0.0
    """of the activation below zero; 0 is ReLU, as in the paper; 0.2 in report 004"""
    white: Annotated[float, Field(gt=0, le=65535)] = 1.0
    """what white is inside: 255 where weights or learning rates are meant for grey levels"""
    kind: Literal["dncnn"] = "dncnn"

    def __call__(self, planes: int) -> "DnCNNModule":
        return DnCNNModule(self, planes)


class DnCNNModule(nn.Module):
    """The network that `DnCNN` describes, for pictures of `planes` colour planes."""

    multiple = 1

    def __init__(self, settings: DnCNN, planes: int):
        super().__init__()
        self.slope, self.white = settings.slope, settings.white
        self.radius = settings.depth
        self.bytes_a_pixel = 8 * settings.width + 16 * planes  # of 560, 524 were measured
        self.noise = stack(
            planes, planes, settings.depth, settings.width, settings.norm, settings.slope
        )

    def forward(self, noisy: Batch) -> Batch:
        if self.white == 1:
            return noisy - self.noise(noisy)
        return noisy - self.noise(noisy * self.white) / self.white


def stack(
    channels_in: int, channels_out: int, depth: int, width: int, norm: Norm, slope: float = 0.0
) -> nn.Sequential:
    """conv ReLU, (depth − 2) × (conv norm ReLU), conv: 3×3, zero padding.

    A convolution before a normalisation has no bias, which that would take off again.
    """
    layers: list[nn.Module] = [nn.Conv2d(channels_in, width, 3, padding=1), activation(slope)]
    for _ in range(depth - 2):
        layers.append(nn.Conv2d(width, width, 3, padding=1, bias=norm is None))
        if norm == "batch":
            layers.append(nn.BatchNorm2d(width))
        layers.append(activation(slope))
    return nn.Sequential(*layers, nn.Conv2d(width, channels_out, 3, padding=1))


def activation(slope: float) -> nn.Module:
    """(Leaky)ReLU in place."""
    return nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)
