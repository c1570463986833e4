"""onnxruntime on the CPU, in float32, for the .onnx that `noisepair export` wrote."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import InputError
from ..hardware import Precision
from ..models import Tileable, UNetModule
from ..shapes import Batch
from ._opened import Opened, planes_of
from ._torch import Name

if TYPE_CHECKING:
    import onnxruntime

CARD = "noisepair"  # the key of the card in the file's metadata
NOISY, DENOISED = "noisy", "denoised"


class ONNX:
    """A session of onnxruntime."""

    name: Name = "onnx"
    note = ""

    def __init__(self, session: "onnxruntime.InferenceSession", facts: Tileable):
        self.session = session
        self.radius, self.multiple = int(facts.radius), int(facts.multiple)
        # It writes a transposed convolution out as columns, and grows its memory by doubling: 3.5
        # times what torch needs was measured for U-Nets, 1.05 times for others.
        self.bytes_a_pixel = int(facts.bytes_a_pixel) * (4 if isinstance(facts, UNetModule) else 2)

    def __call__(self, noisy: Batch, precision: Precision) -> Batch:
        found = self.session.run([DENOISED], {NOISY: noisy.contiguous().numpy()})
        return torch.from_numpy(found[0])

    def precision(self, asked: Precision, dtype: np.dtype) -> Precision:
        return "float32"

    @classmethod
    def read(cls, path: Path) -> Opened:
        """A file; InputError where it is missing, damaged, or another program's."""
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as raised

        if not path.is_file():
            raise InputError(f"There is no file {path}. Give what `noisepair export` wrote.")
        onnxruntime.disable_telemetry_events()  # on Windows it has some
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that wait for the next tile must not spin: pictures are read and written then.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        failures = (
            raised.Fail, raised.InvalidArgument, raised.InvalidGraph, raised.InvalidProtobuf,
            raised.NotImplemented, raised.RuntimeException, RuntimeError, ValueError, OSError,
        )  # fmt: skip
        try:
            session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except failures as error:
            raise InputError(
                f"{path} is damaged or no model ({error}). Write it again with `noisepair export"
                " MODEL --onnx FILE.onnx`."
            ) from None
        card = session.get_modelmeta().custom_metadata_map.get(CARD)
        if card is None:
            raise InputError(
                f"{path} has no card of noisepair's in it: it is another program's model. Give what"
                " `noisepair export` wrote."
            )
        shapes = [
            [side if isinstance(side, int) else None for side in place.shape]
            for place in (*session.get_inputs(), *session.get_outputs())
        ]
        return Opened(path, card, planes_of(shapes), lambda facts: cls(session, facts))
