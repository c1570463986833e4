"""Whether a runtime gives what torch gives: found out before it is believed.

A converter may drop what it does not know (all that were tried drop `divisor_override`) or keep a
number that depended on the size of its example, and what comes out is a picture still, of another
network. So both denoise the same noise, at sizes that no grid of pooling divides.
"""

from collections.abc import Iterable

import torch
from torch import nn

from ._torch import Runtime

Size = tuple[int, int, int]  # pictures, height, width

# Even and odd, smaller than any grid of pooling, long and thin.
SIZES: tuple[Size, ...] = ((1, 64, 96), (2, 37, 111), (1, 1, 1), (1, 2, 53), (3, 130, 33))
MOST = 1e-4  # rounding alone stays below a tenth of this


class Unable(Exception):
    """A runtime cannot carry a network out; the message says why, without a full stop."""


@torch.inference_mode()
def farthest(runtime: Runtime, network: nn.Module, planes: int, size: Size) -> float:
    """The largest difference to the torch network, both in float32, for noise in [0, 1].

    As a share of the largest value that torch gives, where that is above 1. Raises Unable where
    another shape comes out.
    """
    count, height, width = size
    noisy = torch.rand(count, planes, height, width, generator=torch.Generator().manual_seed(0))
    expected, found = network(noisy), runtime(noisy, "float32")
    if found.shape != expected.shape:
        raise Unable(f"it makes {tuple(found.shape)} of a batch {tuple(expected.shape)}")
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1))


def check(runtime: Runtime, network: nn.Module, planes: int, sizes: Iterable[Size]) -> float:
    """The largest of these differences at `sizes`; Unable where it is more than rounding."""
    worst = 0.0
    for size in sizes:
        difference = farthest(runtime, network, planes, size)
        if not difference <= MOST:  # NaN too
            where = f"{size[0]} pictures of {size[1]}×{size[2]} pixels"
            raise Unable(f"its result differs from torch's by {difference:.2g} for {where}")
        worst = max(worst, difference)
    return worst
