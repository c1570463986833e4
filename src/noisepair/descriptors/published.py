"""Weights that others published, read without running anything: HardNet's and HyNet's.

    HardNet++.pth, checkpoint_liberty_with_aug.pth …     by the authors, as kornia loads them
    HyNet_LIB.pth …                                      likewise

A .pth is a pickle, which can hold code: torch's own reader for tensors alone takes it, and refuses
whatever else is in it. A .safetensors holds no code. Names of layers say which network it is.
"""

import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import InputError
from ..models import Scale
from .descriptor import Chain, DescriptorCard
from .networks import HardNet, HyNet, Network

KNOWN: Mapping[str, Network] = {"features.0.weight": HardNet(), "layer1.0.weight": HyNet()}
DAMAGED = (  # what the readers raise at damaged files
    OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError,
    ArithmeticError, AssertionError, MemoryError, struct.error, UnpicklingError, SafetensorError,
)  # fmt: skip


def published(path: Path) -> tuple[Chain, DescriptorCard]:
    """The network that a file of weights is for, with them; raises InputError for other files."""
    tensors = {name.removeprefix("module."): x for name, x in weights(path).items()}
    known = [network for name, network in KNOWN.items() if name in tensors]
    if not known:
        some = ", ".join(sorted(tensors)[:3]) or "nothing"
        raise InputError(
            f"{path} holds the weights of no network that is known here: {some}. Accepted are those"
            " of HardNet and HyNet, as their authors and kornia name them."
        )
    card = DescriptorCard(known[0], None, Scale(), {"published": path.name})
    chain = Chain(card)
    try:
        chain.network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"{path} holds weights of another form than {known[0].kind}'s: {reason} Give those of"
            " 32×32 patches and 128 numbers."
        ) from None
    return chain, card


def weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old forms; what they hold is looked at below
            found = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGED as error:
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise InputError(
            f"{path} cannot be read as weights: {reason}. Accepted are .pth and .pt files that hold"
            " tensors alone, and .safetensors. Fetch it again."
        ) from None
    return tensors_of(found, path)


def tensors_of(found: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, which training code may have put beside other things."""
    inner = found.get("state_dict", found) if isinstance(found, Mapping) else None
    if not isinstance(inner, Mapping):
        raise InputError(
            f"{path} holds a {type(found).__name__} and no state dict. Accepted is what"
            " torch.save(network.state_dict()) writes."
        )
    return {str(name): x for name, x in inner.items() if isinstance(x, Tensor)}
