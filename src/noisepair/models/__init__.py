"""A shelf of networks, a file each.

What a recipe holds is a network's *settings*, a frozen dataclass; called with the number of colour
planes it builds the network. A network maps a batch (B, C, H, W) of any H, W ≥ 1 to a batch of the
same shape and says what tiling must know of it:

    radius     pixels to each side that one output pixel can depend on
    multiple   a tile must begin at a multiple of this, or pooling would see another grid
    bytes_a_pixel   memory at the peak for each pixel of a picture, in float32
"""

from typing import Protocol, runtime_checkable

from .scale import Scale, scale_of
from .unet import NOISE2NOISE, UNet, UNetModule

Network = UNet  # the union of all settings; each names itself by its `kind`
NETWORKS: dict[str, type[Network]] = {"unet": UNet}


@runtime_checkable
class Tileable(Protocol):
    """What `denoise` asks of a network, besides being callable."""

    radius: int
    multiple: int
    bytes_a_pixel: int


__all__ = [
    "NETWORKS",
    "NOISE2NOISE",
    "Network",
    "Scale",
    "Tileable",
    "UNet",
    "UNetModule",
    "scale_of",
]
