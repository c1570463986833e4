"""The descriptor of the course EE3-25 (Imperial College, 2019): L2-Net's layers, otherwise used.

    32 32 | 64↓ 64 | 128↓ 128 | dropout | 128 of 8×8

Grey levels 0 to 255 go in as they are, and what comes out is not brought to length 1: both are
unlike HardNet, as are the biases, the normalisations with numbers of their own, and none at the
end. ↓ pads as Keras does, one row and column at the end and none at the beginning. 1,336,032
parameters. `unit` and `input` change what report 004 left as it was.
"""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from ...models.dncnn import activation
from ...optim import Kaiming
from ._describing import SIZE, Describing, Patches, Vectors, flat, standardised
from .hardnet import STRICT, WIDTHS

WHITE = 255.0


@dataclass(frozen=True, config=STRICT)
class Course:
    """Settings of the course's descriptor."""

    slope: Annotated[float, Field(ge=0, le=1)] = 0.0
    """of the activation below zero; 0 is ReLU; 0.1 in the final model of report 004"""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """share of the values before the last convolution that is dropped in training"""
    unit: bool = False
    """bring descriptors to length 1"""
    input: Literal["levels", "standardised"] = "levels"
    """levels: 0 to 255; standardised: each patch less its mean, divided by its deviation"""
    kind: Literal["course"] = "course"
    begins: ClassVar[Kaiming] = Kaiming()

    def __call__(self) -> "CourseModule":
        return CourseModule(self)


class CourseModule(Describing):
    """The network that `Course` describes."""

    def __init__(self, settings: Course):
        super().__init__()
        self.slope, self.unit, self.input = settings.slope, settings.unit, settings.input
        layers: list[nn.Module] = []
        for i, o in pairwise((1, *WIDTHS)):
            if o > i > 1:
                layers += [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(i, o, 3, stride=2)]
            else:
                layers += [nn.Conv2d(i, o, 3, padding=1)]
            norm = nn.BatchNorm2d(o, eps=1e-3, momentum=0.01)  # Keras counts the other share, 0.99
            layers += [norm, activation(settings.slope)]
        last = nn.Conv2d(WIDTHS[-1], SIZE, 8)
        self.layers = nn.Sequential(*layers, nn.Dropout(settings.dropout), last)

    def raw(self, patches: Patches) -> Vectors:
        levels = self.input == "levels"
        return flat(self.layers(patches * WHITE if levels else standardised(patches)))
