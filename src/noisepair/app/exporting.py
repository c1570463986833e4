"""`noisepair export`: a model as a file that other programs read too."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..export import export as written
from ..runtimes import SIZES
from .console import Options

STANDARD = Options()


def export(
    model: Annotated[str, Parameter(name="MODEL")],
    /,
    *,
    onnx: Path | None = None,
    openvino: Path | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    options: Options = STANDARD,
) -> int:
    """Write a model as a file that other programs read too: ONNX, or OpenVINO's.

    Parameters
    ----------
    model
        A folder that `noisepair train` wrote, or the name of bundled weights: colour, grey.
    onnx
        The file to write, FILE.onnx.
    openvino
        The file to write, FILE.xml; the weights go beside it, to FILE.bin.
    overwrite
        Replace files that are there.
    """
    done = written(model, onnx=onnx, openvino=openvino, overwrite=overwrite)
    lines = [
        f"{one.path} written, {one.bytes / 1e6:.1f} MB: the same as torch within"
        f" {one.difference:.0e} of full scale, at {len(SIZES)} sizes."
        for one in done
    ]
    plain = [
        {"file": str(one.path), "bytes": one.bytes, "difference": one.difference} for one in done
    ]
    options.result("\n".join(lines), {"written": plain})
    return 0
