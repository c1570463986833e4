"""8-bit pictures as they are, in bfloat16.

bfloat16 has 8 significant bits. It rounds the numbers k/255 of an 8-bit picture x, from 128/255 on
to (k + 1)/256, and the weights W of the convolution that reads it; what the network then takes for
noise is a little more or less than what there is. But it holds the numbers k themselves, and W as a
sum of two, so that convolution is carried out as

    W * x  =  U * (255 x) + V * (255 x)        U = W/255, rounded;  V = W/255 − U, rounded

with 255 x made of the picture in float32. It is a small part of a network: for a fiftieth of the
time, bfloat16 then costs next to nothing in quality (docs/export.md).
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    import openvino

LEVELS = np.float32(255)
BEYOND = 1e38  # no picture's number: a clamp there does nothing
# What only moves values: padding, and the pixels of a square to channels of their own.
MOVES = ("Pad", "Reshape", "Transpose", "SpaceToDepth")


def exact_for_8_bits(graph: "openvino.Model", ops: Any) -> int:
    """Change the graph in place, by operations of `ops`; how many convolutions read the picture."""
    (picture,) = graph.get_parameters()
    larger, count = None, 0
    for target in picture.output(0).get_target_inputs():
        convolutions = readers(target)
        if not convolutions:
            continue
        if larger is None:  # clamped, or OpenVINO would multiply the weights by 255 again
            larger = ops.clamp(ops.multiply(picture, LEVELS), -BEYOND, BEYOND).output(0)
        target.replace_source_output(larger)
        for node in convolutions:
            in_two_parts(node, ops)
        count += len(convolutions)
    graph.validate_nodes_and_infer_types()
    return count


def in_two_parts(node: Any, ops: Any) -> None:
    """Make a convolution of the picture one of 255 times the picture, which it reads twice.

    One of twice the planes, and not a sum of two convolutions: those OpenVINO 2026.4 writes into
    one another, and gets pictures below 5×5 pixels wrong.
    """
    weight = node.input_value(1).get_node().data / LEVELS
    upper = torch.from_numpy(weight).bfloat16().float().numpy()
    both = ops.constant(np.concatenate([upper, weight - upper], 1))
    twice = ops.concat([node.input_value(0), node.input_value(0)], 1)
    node.input(0).replace_source_output(twice.output(0))
    node.input(1).replace_source_output(both.output(0))


def readers(target: Any) -> list[Any] | None:
    """The convolutions that values at an input of a node go to; None where others see them too."""
    node, kind = target.get_node(), target.get_node().get_type_name()
    if kind == "ShapeOf":
        return []
    if kind == "Convolution":
        known = node.input_value(1).get_node().get_type_name() == "Constant"
        return [node] if known and target.get_index() == 0 else None
    if kind not in MOVES:
        return None
    found: list[Any] = []
    for following in node.output(0).get_target_inputs():
        more = readers(following)
        if more is None:
            return None
        found += more
    return found
