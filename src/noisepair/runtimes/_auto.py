"""torch at once, and OpenVINO as soon as it is worth its start.

OpenVINO saves some of the time that torch takes for a pixel, and takes a while to be imported, to
make its graph of the network, to compare it with torch and to compile it:

    worth it  ⇔  pixels · (torch's seconds a pixel − OpenVINO's)  >  seconds of its start

What is to come nobody knows, so what has come decides: from the picture on that brings all pixels
to WORTH. A picture is carried out by one of them throughout.
"""

import numpy as np
import torch
from torch import nn

from ..hardware import Precision
from ..shapes import Batch
from ._openvino import OpenVINO
from ._same import Unable
from ._torch import Name, Runtime, Torch

WORTH = 8_000_000  # pixels: between the networks' figures in benchmarks/runtimes.py


class Auto:
    """A torch network by torch and then, if that gives what torch gives, by OpenVINO."""

    def __init__(self, network: nn.Module, planes: int, device: torch.device):
        self.now: Runtime = Torch(network, device)
        self.network, self.planes = network, planes
        self.name: Name = "torch"
        self.note = ""
        self.radius, self.multiple = self.now.radius, self.now.multiple
        self.bytes_a_pixel = self.now.bytes_a_pixel
        self.pixels = 0  # that were expected
        self.chosen = False

    def expect(self, pixels: int) -> None:
        """To be told before a picture, or a stack, of so many pixels is carried out."""
        self.pixels += pixels
        if self.chosen or self.pixels < WORTH:
            return
        self.chosen = True  # first, for other threads: they go on with torch meanwhile
        try:
            self.now = OpenVINO.of(self.network, self.planes)
        except Unable as error:
            self.note = (
                f"OpenVINO is installed and cannot carry this model out: {error}. torch does."
            )
        self.name, self.bytes_a_pixel = self.now.name, self.now.bytes_a_pixel

    def __call__(self, noisy: Batch, precision: Precision) -> Batch:
        return self.now(noisy, precision)

    def precision(self, asked: Precision, dtype: np.dtype) -> Precision:
        return self.now.precision(asked, dtype)
