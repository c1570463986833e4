"""What every runtime has; and torch, the one that is always there."""

from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from ..hardware import Precision, autocast, resolve
from ..shapes import Batch

Name = Literal["torch", "onnx", "openvino"]


@runtime_checkable
class Runtime(Protocol):
    """What `denoise` asks of whatever carries a network out."""

    name: Name
    note: str  # what a user should know of the choice; empty where there is nothing to say
    radius: int
    multiple: int
    bytes_a_pixel: int

    def __call__(self, noisy: Batch, precision: Precision) -> Batch:
        """The denoised batch, float32, on the CPU or where the network lies."""
        ...

    def precision(self, asked: Precision, dtype: np.dtype) -> Precision:
        """What `auto` means for pictures of this type."""
        ...


def for_pictures(asked: Precision, dtype: np.dtype, device: torch.device) -> Precision:
    """bfloat16 only where 8 bits are asked for and the hardware is fast in it.

    Its 8 significant bits would show as steps in 16-bit and floating-point pictures; what they cost
    in 8-bit ones is measured in docs/performance.md and docs/export.md.
    """
    if asked == "auto" and dtype.itemsize > 1:
        return "float32"
    return resolve(asked, device)


class Torch:
    """A torch module on its device."""

    name: Name = "torch"
    note = ""

    def __init__(self, network: nn.Module, device: torch.device):
        order = torch.channels_last
        self.network = network.eval().to(device, memory_format=order)  # type: ignore[call-overload]
        self.device = device
        self.radius, self.multiple = int(self.network.radius), int(self.network.multiple)
        self.bytes_a_pixel = int(self.network.bytes_a_pixel)

    def __call__(self, noisy: Batch, precision: Precision) -> Batch:
        seen = noisy.to(self.device).contiguous(memory_format=torch.channels_last)
        with autocast(precision, self.device):
            return self.network(seen).float()

    def precision(self, asked: Precision, dtype: np.dtype) -> Precision:
        return for_pictures(asked, dtype, self.device)
