"""Losses: two tensors to one number, and its slope, where every backward pass begins.

    MSE = Σ (x − y)² / n        d_x = 2 (x − y) / n
    L1  = Σ |x − y| / n         d_x = sign(x − y) / n

n counts all values, so the size of a gradient does not depend on the batch.
"""

from jaxtyping import Float
from torch import Tensor

from ..errors import InputError
from .module import Module

Values = Float[Tensor, "..."]
Scalar = Float[Tensor, ""]


class Loss(Module):
    """forward(prediction, target) is the loss; backward() the gradient of the prediction."""

    def error(self, prediction: Tensor, target: Tensor) -> Values:
        for side in (prediction, target):
            if not isinstance(side, Tensor):
                raise InputError(f"{self} takes two tensors, and got a {type(side).__name__}.")
        if prediction.shape != target.shape:
            raise InputError(
                f"{self}: the prediction has the shape {tuple(prediction.shape)}, and the target"
                f" {tuple(target.shape)}. They must be the same."
            )
        if not (prediction.is_floating_point() and target.is_floating_point()):
            raise InputError(
                f"{self} takes floating-point values, and got {prediction.dtype} and"
                f" {target.dtype}. Try target.float() / 255."
            )
        if not prediction.numel():
            raise InputError(f"{self} takes one value or more, and got {tuple(target.shape)}.")
        return prediction - target

    def recalled(self) -> Values:
        error: Values
        if self.memory is None:
            raise InputError(f"{self}: backward() needs a forward() of its own before it.")
        *_, error = self.memory
        self.memory = None
        return error


class MSE(Loss):
    """Mean squared error. Learns the mean of noisy targets."""

    def forward(self, prediction: Tensor, target: Tensor) -> Scalar:
        error = self.error(prediction, target)
        return self.save(error.square().mean(), error)

    def backward(self, d_out: Scalar | float = 1.0) -> Values:
        error = self.recalled()
        return error * (2 / error.numel() * d_out)


class L1(Loss):
    """Mean absolute error. Learns the median of noisy targets; its slope at 0 is 0."""

    def forward(self, prediction: Tensor, target: Tensor) -> Scalar:
        error = self.error(prediction, target)
        return self.save(error.abs().mean(), error)

    def backward(self, d_out: Scalar | float = 1.0) -> Values:
        error = self.recalled()
        return error.sign() * (d_out / error.numel())
