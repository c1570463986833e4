"""ResNet-50 (He et al. 2016, table 1) for patches of one grey plane.

    conv 7×7 ↓ 64, max pool 3×3 ↓
    3, 4, 6, 3 blocks of 64, 128, 256, 512 channels, the first block of the last three stages ↓
    mean over the patch, 128

A block is ReLU(x + conv 1×1 (4 · channels) of conv 3×3 of conv 1×1), each convolution normalised
over the batch; where sizes differ, x passes a 1×1 convolution. ↓ is in the 3×3 convolution, where
most code has it today. Report 004 took the network without its last softmax, and descriptors have
128 numbers: here the last layer has 128 outputs in place of classes, and the choice is ours.
23,764,032 parameters. At 32×32 its last stage sees one pixel.
"""

from typing import ClassVar, Literal

from jaxtyping import Float
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from ...optim import Kaiming
from ._describing import SIZE, Describing, Patches, Vectors, flat
from .hardnet import STRICT

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # channels, blocks


@dataclass(frozen=True, config=STRICT)
class ResNet50:
    """Settings of a ResNet-50."""

    unit: bool = False
    """bring descriptors to length 1"""
    kind: Literal["resnet50"] = "resnet50"
    begins: ClassVar[Kaiming] = Kaiming()

    def __call__(self) -> "ResNet50Module":
        return ResNet50Module(self)


def normed(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution and what normalises it."""
    conv = nn.Conv2d(
        channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out))


class Block(nn.Module):
    """ReLU(x + 1×1 of 3×3 of 1×1)."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.one = normed(channels_in, channels, 1)
        self.two = normed(channels, channels, 3, stride)
        self.three = normed(channels, 4 * channels, 1)
        same = stride == 1 and channels_in == 4 * channels
        self.past = nn.Identity() if same else normed(channels_in, 4 * channels, 1, stride)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B O P Q"]:
        return F.relu(self.past(x) + self.three(F.relu(self.two(F.relu(self.one(x))))))


class ResNet50Module(Describing):
    """The network that `ResNet50` describes."""

    def __init__(self, settings: ResNet50):
        super().__init__()
        self.unit = settings.unit
        self.enter = normed(1, 64, 7, 2)
        blocks, below = [], 64
        for channels, count in STAGES:
            for number in range(count):
                stride = 2 if number == 0 and channels > 64 else 1
                blocks.append(Block(below, channels, stride))
                below = 4 * channels
        self.blocks = nn.Sequential(*blocks)
        self.leave = nn.Conv2d(below, SIZE, 1)

    def raw(self, patches: Patches) -> Vectors:
        h = F.max_pool2d(F.relu(self.enter(patches)), 3, 2, padding=1)
        return flat(self.leave(self.blocks(h).mean((2, 3), keepdim=True)))
