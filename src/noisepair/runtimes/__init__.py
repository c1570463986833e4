"""What carries a network out: torch, OpenVINO or onnxruntime.

A runtime maps a batch (B, C, H, W) of float32, as the network sees pictures, to one of the same
shape, and says what tiling must know of it (`models.Tileable`).

    torch      a model folder, on any device
    auto       a model folder: torch, and on the CPU OpenVINO once enough pixels have come
    openvino   a model folder, or what `noisepair export --openvino` wrote (.xml); on the CPU
    onnx       what `noisepair export --onnx` wrote (.onnx), by onnxruntime; on the CPU
"""

from ._auto import WORTH, Auto
from ._choose import FILES, Asked, carry, only_cpu, opened, require
from ._onnx import CARD, DENOISED, NOISY, ONNX
from ._opened import Opened
from ._openvino import OpenVINO
from ._same import SIZES, Unable, check, farthest
from ._torch import Name, Runtime, Torch

__all__ = [
    "CARD",
    "DENOISED",
    "FILES",
    "NOISY",
    "ONNX",
    "SIZES",
    "WORTH",
    "Asked",
    "Auto",
    "Name",
    "OpenVINO",
    "Opened",
    "Runtime",
    "Torch",
    "Unable",
    "carry",
    "check",
    "farthest",
    "only_cpu",
    "opened",
    "require",
]
