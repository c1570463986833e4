"""What "close to the target" means.

A loss without settings is a function. Each states which statistic of the noisy targets it learns
(Lehtinen et al. 2018, section 2).
"""

from collections.abc import Callable, Mapping

from .shapes import Batch, Scalar

Loss = Callable[[Batch, Batch], Scalar]


def l2(denoised: Batch, target: Batch) -> Scalar:
    """Mean squared error. Learns the mean: right for zero-mean noise."""
    return (denoised - target).square().mean()


LOSSES: Mapping[str, Loss] = {"l2": l2}
