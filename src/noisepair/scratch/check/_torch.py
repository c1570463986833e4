"""The same by torch's layers and its autograd, and by the other of our two paths.

This page alone of the folder looks at autograd and torch.nn: the judge may, the judged may not.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..activations import Identity, LeakyReLU, ReLU, Sigmoid
from ..compose import Concat, Named, Padded, Residual, Sequential, UNetLevel
from ..conv import Conv2d
from ..losses import L1, MSE
from ..module import Module
from ..resample import AvgPool2d, MaxPool2d, NearestUpsampling
from ..transpose import TransposeConv2d
from ..upsampling import Joined, Upsampling
from ._case import Case, d_, parts
from ._judged import Finding, compared


def against_torch(case: Case) -> Iterator[Finding]:
    """The output and every gradient, as torch's layers and its autograd have them."""
    if not all(getattr(type(part), "forward", None) in twins() for part in parts(case.module)):
        return
    u, module = case.weights(), case.copy()
    leaves = {name: x.clone() for name, x in zip(case.names, case.inputs, strict=True)}
    weights = {name: value for name, value, _ in module.parameters()}
    for leaf in (leaves | weights).values():
        leaf.requires_grad_()
    with torch.enable_grad():
        out = twin(module, *leaves.values())
        named = leaves | weights
        slopes = torch.autograd.grad(out, list(named.values()), u, allow_unused=True)
    theirs = {"out": out.detach()}
    theirs |= {d_(n): d for n, d in zip(named, slopes, strict=True) if d is not None}
    yield from compared("torch", case.run(case.copy(), u), theirs, "torch's")


def twin(module: Any, *x: Tensor) -> Tensor:
    """What torch makes of x with the module's own parameters."""
    return twins()[type(module).forward](module, *x)


@cache
def twins() -> dict[Callable[..., Tensor], Callable[..., Tensor]]:
    """The functions of torch.nn's layers, by the forward whose equal each is.

    By the forward, not the class: who inherits a forward is to do the same, who writes one is not.
    """
    from torch.nn import functional as f

    def larger(m: Any, x: Tensor) -> Tensor:
        return f.interpolate(x, scale_factor=tuple(map(float, m.scale_factor)), mode="nearest")

    def convolved(m: Any, x: Tensor) -> Tensor:
        return f.conv2d(x, m.weight, m.bias, *m.window[1:])

    def chained(m: Any, x: Tensor) -> Tensor:
        for part in m:
            x = twin(part, x)
        return x

    def levelled(m: Any, x: Tensor) -> Tensor:
        h = twin(m.encode, x)
        low = twin(m.inner, twin(m.pool, h))
        return twin(m.decode, twin(m.join, low, x if m.entering else h))

    def padded(m: Any, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        more = (0, -width % m.multiple, 0, -height % m.multiple)
        return twin(m.inner, f.pad(x, more, mode="replicate"))[:, :, :height, :width]

    return {
        Conv2d.forward: convolved,
        TransposeConv2d.forward: lambda m, x: f.conv_transpose2d(
            x, m.weight, m.bias, m.window.stride, m.window.padding, m.more, 1, m.window.dilation
        ),
        NearestUpsampling.forward: larger,
        Upsampling.forward: lambda m, x: convolved(m.conv, larger(m.nearest, x)),
        Joined.forward: lambda m, low, skip: convolved(
            m, torch.cat((larger(m.nearest, low), skip), 1)
        ),
        MaxPool2d.forward: lambda m, x: f.max_pool2d(x, *m.window[:3]),
        AvgPool2d.forward: lambda m, x: f.avg_pool2d(x, *m.window[:3]),
        ReLU.forward: lambda m, x: f.relu(x),
        LeakyReLU.forward: lambda m, x: f.leaky_relu(x, m.negative_slope),
        Sigmoid.forward: lambda m, x: x.sigmoid(),
        Identity.forward: lambda m, x: x.clone(),
        MSE.forward: lambda m, x, y: f.mse_loss(x, y),
        L1.forward: lambda m, x, y: f.l1_loss(x, y),
        Sequential.forward: chained,
        Residual.forward: lambda m, x: x + (-1 if m.subtract else 1) * twin(m.inner, x),
        Concat.forward: lambda m, x: torch.cat([twin(branch, x) for branch in m.branches], 1),
        UNetLevel.forward: levelled,
        Padded.forward: padded,
        Named.forward: lambda m, x: twin(m.inner, x),
    }


def both_paths(case: Case) -> Iterator[Finding]:
    """The fast code against the short."""
    if not isinstance(case.module, Module):
        return
    u = case.weights()
    fast, short = (case.run(case.copy().use(path), u) for path in ("fast", "reference"))
    yield from compared("both paths", fast, short, "that of the reference path")
