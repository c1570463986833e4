"""A model in one file that other programs read too: ONNX, or OpenVINO's pair of .xml and .bin.

The graph is the network's, for any number of pictures of any size:

    noisy (B, C, H, W) float32  →  denoised, alike        noisy = (picture − offset) / scale

and with it goes the model's card, offset and scale in its `normalisation`, so that `Denoiser.load`
makes the same denoiser of the file alone. What was written is read back and compared with torch
before it is put in place.
"""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.export import Dim

from . import __version__
from .denoise import Denoiser
from .errors import InputError
from .files import placed
from .runtimes import (
    CARD,
    DENOISED,
    FILES,
    NOISY,
    ONNX,
    SIZES,
    Opened,
    OpenVINO,
    Unable,
    check,
    require,
)

if TYPE_CHECKING:
    import onnx

EXAMPLE = (2, 37, 53)  # odd sides, and not one picture alone: a 1 would be taken for a constant


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    bytes: int  # of all its files
    difference: float  # to torch, the largest, as a share of full scale


def export(
    model: str | Path,
    *,
    onnx: str | Path | None = None,
    openvino: str | Path | None = None,
    overwrite: bool = False,
) -> list[Exported]:
    """Write the model, a folder or a name of bundled weights, to FILE.onnx, FILE.xml, or both.

    Raises InputError where neither is given, a file is there already or cannot be written, a
    package is missing, or where the network cannot be expressed in that format or would be another.
    """
    if onnx is None and openvino is None:
        raise InputError(
            "No file to write was given. Name one: --onnx FILE.onnx, --openvino FILE.xml, or both."
        )
    asked = [
        (Path(file), ending, packages, write)
        for file, ending, packages, write in (
            (onnx, ".onnx", ("onnx", "onnxscript", "onnxruntime"), to_onnx),
            (openvino, ".xml", ("openvino",), to_openvino),
        )
        if file is not None
    ]
    for path, ending, packages, _ in asked:
        refuse(path, ending, overwrite=overwrite)
        require(*packages)
    if Path(model).suffix in FILES:
        raise InputError(f"{model} was exported already. Give the model folder that it is made of.")
    denoiser = Denoiser.load(model, runtime="torch")
    return [write(denoiser, path) for path, _, _, write in asked]


def refuse(path: Path, ending: str, *, overwrite: bool) -> None:
    """Say no to a name that would not be known again, and to losing a file."""
    if path.suffix != ending:
        raise InputError(
            f"{path} does not end in {ending}, by which the file is known when it is read. Name it"
            f" {path.with_suffix(ending).name}."
        )
    for file in (path, path.with_suffix(".bin")) if ending == ".xml" else (path,):
        if file.is_dir():
            raise InputError(f"{file} is a folder. Choose the name of a file.")
        if file.exists() and not overwrite:
            raise InputError(f"{file} exists. Choose another name, or pass --overwrite.")


def to_onnx(denoiser: Denoiser, path: Path) -> Exported:
    """One file, made by torch's exporter and tried with onnxruntime."""
    with able(path), placed(path) as beside:
        proto = proto_of(denoiser.network, denoiser.card.planes)
        proto.metadata_props.add(key=CARD, value=text_of(denoiser))
        beside.write_bytes(proto.SerializeToString())
        difference = proved(denoiser, ONNX.read(beside))
    return Exported(path, path.stat().st_size, difference)


def to_openvino(denoiser: Denoiser, path: Path) -> Exported:
    """Two files. The weights are put in place first, and the graph knows their checksum."""
    weights = path.with_suffix(".bin")
    with able(path), placed(path) as beside, placed(weights) as heavy:
        runtime = OpenVINO.of(denoiser.network, denoiser.card.planes)
        runtime.write(text_of(denoiser), beside, heavy)
        difference = proved(denoiser, OpenVINO.read(beside, heavy))
    return Exported(path, path.stat().st_size + weights.stat().st_size, difference)


@contextlib.contextmanager
def able(path: Path) -> Iterator[None]:
    """Turn what a converter cannot do into a sentence."""
    try:
        yield
    except Unable as error:
        raise InputError(
            f"{path} is not written, because the model cannot be expressed in that format: {error}."
            " Use the model folder itself."
        ) from error


def text_of(denoiser: Denoiser) -> str:
    return json.dumps(denoiser.card.as_json())


def proved(denoiser: Denoiser, opened: Opened) -> float:
    """What was written, read back: its card and, at `SIZES`, its difference to torch. Or Unable."""
    if opened.card != text_of(denoiser):
        raise Unable("its card comes back changed")
    network, planes = denoiser.network, denoiser.card.planes
    return check(opened.carried(network, planes), network, planes, SIZES)  # type: ignore[arg-type]


def proto_of(network: nn.Module, planes: int) -> "onnx.ModelProto":
    """The network as ONNX, with names for what is free: batch, height, width. Or Unable."""
    free = {0: Dim("batch"), 2: Dim("height"), 3: Dim("width")}
    count, height, width = EXAMPLE
    try:
        with quietly():
            program = torch.onnx.export(
                network, (torch.zeros(count, planes, height, width),), dynamo=True, verbose=False,
                input_names=[NOISY], output_names=[DENOISED], dynamic_shapes=(free,),
            )  # fmt: skip
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()  # the rest is advice and places
        raise Unable(reason[0] if reason else type(error).__name__) from error
    assert program is not None
    proto = program.model_proto
    proto.producer_name, proto.producer_version = "noisepair", __version__
    graph = proto.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]  # where on this machine each line of Python stands
    return proto


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """torch's exporter speaks to those who work on it, of packages that it would like to have."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
