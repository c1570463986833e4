"""What a step learns from: something noisy, and something that stands for the clean picture."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from ..losses import Loss
from ..shapes import Batch, Scalar

Denoise = Callable[[Batch], Batch]  # the network as it is now, with its slopes


@runtime_checkable
class Pair(Protocol):
    """A batch of one step. How far the network is from what it should say, only the pair knows."""

    def loss(self, denoise: Denoise, loss: Loss, used: float) -> Scalar:
        """What `denoise` makes of this batch, measured by `loss`, `used` of the run being over."""
        ...
