"""A shelf of networks that describe patches, a file each.

What settings hold is frozen; called, they build the network: `HardNet()()`. All map patches
(B, 1, 32, 32), values in [0, 1], to (B, 128) and have `patch_size = 32`; `begins` is how their
weights begin unless something else is asked for.
"""

from ._describing import PATCH, SIZE, Describing, Patches, Vectors
from .course import Course
from .hardnet import HardNet
from .hynet import HyNet
from .quick import Quick
from .resnet50 import ResNet50

Network = HardNet | HyNet | Quick | Course | ResNet50  # the settings; each has its `kind`
NETWORKS: dict[str, type[Network]] = {
    "hardnet": HardNet,
    "hynet": HyNet,
    "quick": Quick,
    "course": Course,
    "resnet50": ResNet50,
}

__all__ = [
    "NETWORKS",
    "PATCH",
    "SIZE",
    "Course",
    "Describing",
    "HardNet",
    "HyNet",
    "Network",
    "Patches",
    "Quick",
    "ResNet50",
    "Vectors",
]
