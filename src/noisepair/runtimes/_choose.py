"""Which runtime carries a model out: what was asked for, or what is fastest here."""

import platform
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import nn

from ..errors import InputError, choose
from ._auto import Auto
from ._onnx import ONNX
from ._opened import Opened
from ._openvino import OpenVINO
from ._same import Unable
from ._torch import Name, Runtime, Torch

Asked = Literal["auto", "torch", "onnx", "openvino"]
FILES: dict[str, Name] = {".onnx": "onnx", ".xml": "openvino"}  # what a file's name says of it
EXTRAS = {
    "openvino": "fast", "onnx": "onnx", "onnxruntime": "onnx", "onnxscript": "onnx",
    "cv2": "descriptors", "h5py": "hloc",
}  # fmt: skip


def carry(network: nn.Module, planes: int, device: torch.device, asked: Asked = "auto") -> Runtime:
    """A torch network by the runtime that was asked for.

    `auto` is torch and, where OpenVINO is installed and `pays`, that from some number of pixels on.
    Raises InputError where the one that was asked for is not installed, is for other devices, or
    cannot carry this network out.
    """
    choose("runtime", asked, dict.fromkeys(get_args(Asked)))
    if asked == "onnx":
        raise InputError(
            "The runtime onnx is for a .onnx file, and this is a model folder. Write the file with"
            " `noisepair export MODEL --onnx FILE.onnx` and give that, or leave the runtime out."
        )
    if asked == "auto" and pays(device):
        return Auto(network, planes, device)
    if asked != "openvino":
        return Torch(network, device)
    require("openvino")
    refuse_gpu("The runtime openvino", device)
    try:
        return OpenVINO.of(network, planes)
    except Unable as error:
        raise InputError(
            f"OpenVINO cannot carry this model out: {error}. Leave the runtime out, or choose"
            " torch."
        ) from error


def pays(device: torch.device) -> bool:
    """Whether OpenVINO is here and known to be faster than torch: on CPUs that it is made for."""
    known = platform.machine().lower() in ("x86_64", "amd64")
    return device.type == "cpu" and known and find_spec("openvino") is not None


def opened(path: Path, device: torch.device, asked: Asked = "auto") -> Opened:
    """A file that `noisepair export` wrote.

    Raises InputError where it is missing, damaged or another program's, where its runtime is not
    installed, and where another runtime or device was asked for.
    """
    name = FILES[path.suffix]
    choose("runtime", asked, dict.fromkeys(get_args(Asked)))
    if asked not in ("auto", name):
        raise InputError(
            f"{path} is for the runtime {name}, and {asked} was asked for. Leave the runtime out,"
            " or give the model folder."
        )
    refuse_gpu(str(path), device)
    if name == "onnx":
        require("onnxruntime")
        return ONNX.read(path)
    require("openvino")
    return OpenVINO.read(path, path.with_suffix(".bin"))


def only_cpu(model: str | Path, asked: Asked = "auto") -> bool:
    """Whether this model, by what was asked for, runs on the CPU alone."""
    return asked in ("onnx", "openvino") or Path(model).suffix in FILES


def refuse_gpu(what: str, device: torch.device) -> None:
    if device.type != "cpu":
        raise InputError(
            f"{what} runs on the CPU, and device {device.type} was asked for. Leave the device out,"
            " or give a model folder to torch."
        )


def require(*packages: str) -> None:
    """InputError with the line to type, where a package that is not always there is missing."""
    for package in packages:
        if find_spec(package) is None:
            raise InputError(
                f"This needs the package {package}, which is not installed. Run: pip install"
                f" 'noisepair[{EXTRAS[package]}]'"
            )
