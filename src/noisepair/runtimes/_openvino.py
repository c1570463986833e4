"""OpenVINO on the CPU.

Its graph is made from a torch network when that is loaded, or read from the .xml that `noisepair
export` wrote. It takes pictures of any size: a graph compiled for one size is hardly faster, and
would have to be compiled for each size anew (benchmarks/runtimes.py).
"""

import hashlib
import sys
import warnings
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from ..hardware import Precision
from ..models import Tileable
from ..shapes import Batch
from ._levels import exact_for_8_bits
from ._opened import Opened, planes_of
from ._same import Unable, check
from ._signals import signal_stack_kept
from ._torch import Name, for_pictures

if TYPE_CHECKING:
    import openvino

CPU = torch.device("cpu")
HINTS = {"float32": "f32", "bfloat16": "bf16"}
EXAMPLE = (2, 37, 53)  # what the network is followed with: odd, so that padding is seen
CHECKED = ((1, 22, 45), (1, 1, 1))  # few, since a user waits
CARD, SUM = ["noisepair", "card"], ["noisepair", "weights"]  # where these stand in an .xml
# What a package that is damaged, or of another time, may raise while it is imported or asked.
FAILURES = (ImportError, OSError, RuntimeError, AttributeError, TypeError, ValueError, LookupError)


class OpenVINO:
    """A graph, compiled for the precision that is asked for and as many threads as torch has."""

    name: Name = "openvino"
    note = ""

    def __init__(self, graph: "openvino.Model", facts: Tileable, network: nn.Module | None = None):
        self.graph = graph
        self.radius, self.multiple = int(facts.radius), int(facts.multiple)
        # A pixel takes what it takes in torch, or less; the rest makes up for 100 MB of its own.
        self.bytes_a_pixel = int(facts.bytes_a_pixel) * 3 // 2
        self.compiled: dict[tuple[str, int], openvino.CompiledModel] = {}
        if network is not None:
            self.network = network

    @classmethod
    def of(cls, network: nn.Module, planes: int) -> "OpenVINO":
        """A torch network, which is kept as `network`. Raises Unable where it would be another."""
        network = network.eval().to(CPU)
        try:
            runtime = cls(graph_of(network, planes), network, network)  # type: ignore[arg-type]
            check(runtime, network, planes, CHECKED)
        except FAILURES as error:
            raise Unable(short(error)) from error
        return runtime

    def __call__(self, noisy: Batch, precision: Precision) -> Batch:
        # A request a batch: one for all would refuse a second thread.
        request = self.ready(precision).create_infer_request()
        found = request.infer({0: noisy.contiguous().numpy()}, share_inputs=True)
        return torch.from_numpy(found[0])

    def precision(self, asked: Precision, dtype: np.dtype) -> Precision:
        return for_pictures(asked, dtype, CPU)

    def ready(self, precision: Precision) -> "openvino.CompiledModel":
        """The graph, compiled when it is first asked for."""
        hint, threads = HINTS[precision], torch.get_num_threads()
        if (hint, threads) not in self.compiled:
            settings: dict[str, Any] = {
                "PERFORMANCE_HINT": "LATENCY",  # all threads on one batch
                "INFERENCE_PRECISION_HINT": hint,
                "INFERENCE_NUM_THREADS": threads,
                "ENABLE_CPU_PINNING": False,  # a bound thread waits for whoever else is on its core
            }
            compiled = core().compile_model(self.graph, "CPU", settings)
            self.compiled[hint, threads] = compiled
        return self.compiled[hint, threads]

    # — files: FILE.xml has the graph and the card, FILE.bin the weights —

    def write(self, card: str, path: Path, weights: Path) -> None:
        """The graph with a card to `path`, which knows the weights beside it by their checksum."""
        openvino = package()
        openvino.serialize(self.graph, path, weights)
        self.graph.set_rt_info(card, CARD)
        self.graph.set_rt_info(checksum(weights), SUM)
        openvino.serialize(self.graph, path, weights)

    @classmethod
    def read(cls, path: Path, weights: Path) -> Opened:
        """What `write` wrote; InputError where it is missing, damaged, or another program's."""
        again = "Write it again with `noisepair export MODEL --openvino FILE.xml`."
        for file in (path, weights):
            if not file.is_file():
                raise InputError(
                    f"There is no file {file}, and a model of OpenVINO is two: FILE.xml, and"
                    f" FILE.bin beside it. Give the .xml of both. {again}"
                )
        try:
            graph = core().read_model(path, weights)
            ours = graph.has_rt_info(CARD) and graph.has_rt_info(SUM)
            card, known = (str(graph.get_rt_info(at).value) if ours else "" for at in (CARD, SUM))
            shapes = [
                [side.get_length() if side.is_static else None for side in place.partial_shape]
                for place in (*graph.inputs, *graph.outputs)
            ]
        except FAILURES as error:
            raise InputError(f"{path} is damaged or no model ({short(error)}). {again}") from None
        if not ours:
            raise InputError(
                f"{path} has no card of noisepair's in it: it is another program's model. Give what"
                " `noisepair export` wrote."
            )
        if checksum(weights) != known:
            raise InputError(
                f"{weights} is damaged or another model's: it has not the checksum that {path.name}"
                f" knows. {again}"
            )
        return Opened(path, card, planes_of(shapes), lambda facts: cls(graph, facts))


def graph_of(network: nn.Module, planes: int) -> "openvino.Model":
    """A torch network as OpenVINO's graph, for any number of pictures of any size; or Unable.

    By the front end itself, in a third of the time that `openvino.convert_model` takes.
    """
    try:
        openvino = package()
        from openvino.frontend import FrontEndManager, OpConversionFailure
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
    except FAILURES as error:
        raise Unable(short(error)) from error
    count, height, width = EXAMPLE
    example = torch.zeros(count, planes, height, width)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Python decides; `check` sees whether it may
            traced = torch.jit.freeze(torch.jit.trace(network, (example,), check_trace=False))
            decoder = TorchScriptPythonDecoder(traced, example_input=(example,), skip_freeze=True)
            front = FrontEndManager().load_by_framework("pytorch")
            model = front.load(decoder)
            (place,) = model.get_inputs()
            model.set_element_type(place, openvino.Type.f32)
            model.set_partial_shape(place, openvino.PartialShape([-1, planes, -1, -1]))
            graph = front.convert(model)
        exact_for_8_bits(graph, openvino.opset8)
        return graph
    except (*FAILURES, OpConversionFailure) as error:
        raise Unable(short(error)) from error


def package() -> ModuleType:
    """OpenVINO, imported as where its telemetry is not installed.

    With it, the import alone reports itself to Google Analytics and writes to the home folder.
    """
    name = "openvino_telemetry"
    if "openvino" in sys.modules or name in sys.modules:
        return import_module("openvino")
    sys.modules[name] = None  # type: ignore[assignment]  # importing it fails now
    try:
        return import_module("openvino")
    finally:
        del sys.modules[name]


@cache
def core() -> "openvino.Core":
    """One for good, and its CPU plugin, which finds all signals as they were."""
    core = package().Core()
    core.set_property({"ENABLE_MMAP": False})  # Windows replaces no file that is mapped
    with signal_stack_kept():
        core.get_property("CPU", "FULL_DEVICE_NAME")  # the first question loads the plugin
    return core


def short(error: Exception) -> str:
    """The last line of what was raised; those before name places in OpenVINO's sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
