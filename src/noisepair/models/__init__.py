"""A shelf of networks, a file each.

What a recipe holds is a network's *settings*, a frozen dataclass; called with the number of colour
planes it builds the network. A network maps a batch (B, C, H, W) of any H, W ≥ 1 to a batch of the
same shape and says what tiling must know of it:

    radius     pixels to each side that one output pixel can depend on
    multiple   a tile must begin at a multiple of this, or pooling would see another grid
    bytes_a_pixel   memory at the peak for each pixel of a picture, in float32

and the `slope` of its activations below zero, which decides how its weights should begin.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, runtime_checkable

from .by_hand import by_hand, expressible
from .dncnn import DnCNN
from .drunet import DRUNet
from .ffdnet import FFDNet
from .patch import PatchNet
from .scale import Scale, scale_of
from .strided import Strided
from .unet import NOISE2NOISE, UNet, UNetModule, plainly

# The settings; each names itself by its `kind`.
Network = UNet | DnCNN | FFDNet | DRUNet | Strided | PatchNet
NETWORKS: dict[str, type[Network]] = {
    "unet": UNet,
    "dncnn": DnCNN,
    "ffdnet": FFDNet,
    "drunet": DRUNet,
    "strided": Strided,
    "patch": PatchNet,
}

# Networks that have a name: a recipe may give one of these in place of a kind and its settings.
PRESETS: Mapping[str, Network] = {
    "noise2noise": NOISE2NOISE,
    "encoder-decoder": replace(NOISE2NOISE, slope=0.0),
    "small-unet": UNet(channels=(16, 32, 64), head=(16,), slope=0.0, residual=False),
    "autoencoder": replace(NOISE2NOISE, skips=False),
    "shallow-unet": PatchNet("shallow"),
    "unet-16": PatchNet("unet-16"),
    "autoencoder-10": PatchNet("autoencoder-10"),
}


@runtime_checkable
class Tileable(Protocol):
    """What `denoise` asks of a network, besides being callable."""

    radius: int
    multiple: int
    bytes_a_pixel: int


__all__ = [
    "NETWORKS",
    "NOISE2NOISE",
    "PRESETS",
    "DRUNet",
    "DnCNN",
    "FFDNet",
    "Network",
    "PatchNet",
    "Scale",
    "Strided",
    "Tileable",
    "UNet",
    "UNetModule",
    "by_hand",
    "expressible",
    "plainly",
    "scale_of",
]
