"""Neural networks with every backward pass written by hand: no autograd, no torch.nn.

Read it from the loss to the first weight:

    losses.py        MSE, L1: where backward begins
    module.py        forward, backward, param; the adjoint identity
    activations.py   ReLU, LeakyReLU, Sigmoid
    conv.py          Conv2d: one matrix product, and its three derivatives
    transpose.py     TransposeConv2d: the adjoint of a convolution, used forward
    resample.py      NearestUpsampling, MaxPool2d, AvgPool2d
    upsampling.py    Upsampling, Joined: nearest and a convolution are a transposed convolution
    compose.py       Sequential, Residual, Concat, UNetLevel, Padded: skips without a graph
    init.py          how weights begin, and why it decides whether anything is learnt
    optim.py         SGD, Adam
    fast/            the same functions at full speed: `model.use("reference")` does without
    check/           is every gradient right? which is wrong, and by what factor
    doctor.py        why does it not learn? vitals.py measures, symptoms.py concludes
"""

from .activations import Identity, LeakyReLU, ReLU, Sigmoid
from .check import Checked, check
from .compose import (
    Concat,
    Named,
    Padded,
    Residual,
    Sequential,
    UNetLevel,
    without_first_gradient,
)
from .conv import Conv2d
from .doctor import Diagnosis, doctor, follow
from .fast import Arena, reusing
from .init import begin, kaiming_
from .losses import L1, MSE
from .module import Module
from .optim import SGD, Adam, Optimizer
from .resample import AvgPool2d, MaxPool2d, NearestUpsampling
from .transpose import TransposeConv2d
from .upsampling import Joined, Upsampling

__all__ = [
    "L1",
    "MSE",
    "SGD",
    "Adam",
    "Arena",
    "AvgPool2d",
    "Checked",
    "Concat",
    "Conv2d",
    "Diagnosis",
    "Identity",
    "Joined",
    "LeakyReLU",
    "MaxPool2d",
    "Module",
    "Named",
    "NearestUpsampling",
    "Optimizer",
    "Padded",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "TransposeConv2d",
    "UNetLevel",
    "Upsampling",
    "begin",
    "check",
    "doctor",
    "follow",
    "kaiming_",
    "reusing",
    "without_first_gradient",
]
