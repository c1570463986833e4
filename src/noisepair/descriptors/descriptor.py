"""A trained descriptor: patches in, vectors out, and the folder that it is kept in.

    descriptor.json       network, denoiser in front, recipe, data, scores, machine
    weights.safetensors   the weights of both

`Descriptor` is a module of torch with `patch_size`, as kornia's LAFDescriptor takes one. Nothing
that is read can run: weights are safetensors.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field, TypeAdapter
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .. import checkpoint, hardware
from ..errors import InputError
from ..files import make_folder, write
from ..models import Network as DenoiserNetwork
from ..models import Scale
from .networks import PATCH, SIZE, Network, Patches, Vectors

CARD, FORMAT = "descriptor.json", 1
BUNDLED = Path(__file__).parents[1] / "weights" / "descriptors"
BATCH = 512  # patches at once: 0.1 GB in HardNet

NETWORK: TypeAdapter[Network] = TypeAdapter(Annotated[Network, Field(discriminator="kind")])
FRONT: TypeAdapter[DenoiserNetwork] = TypeAdapter(
    Annotated[DenoiserNetwork, Field(discriminator="kind")]
)


@dataclass(frozen=True)
class DescriptorCard:
    """What `descriptor.json` says: how the weights are to be used and where they come from."""

    network: Network
    front: DenoiserNetwork | None
    scale: Scale  # of the denoiser in front
    provenance: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        front = None if self.front is None else FRONT.dump_python(self.front, mode="json")
        return {
            "format": FORMAT,
            "network": NETWORK.dump_python(self.network, mode="json"),
            "front": front,
            "front_normalisation": asdict(self.scale),
            "provenance": dict(self.provenance),
        }


class Front(nn.Module):
    """A denoiser of patches, in picture units, its result within [0, 1]."""

    def __init__(self, settings: DenoiserNetwork, scale: Scale):
        super().__init__()
        self.network, self.scale = settings(1), scale

    def forward(self, noisy: Patches) -> Patches:
        return self.unclipped(noisy).clamp(0, 1)

    def unclipped(self, noisy: Patches) -> Patches:
        """As training needs it: a slope at every value."""
        return self.scale.back(self.network(self.scale.into(noisy)).to(noisy.dtype))


class Chain(nn.Module):
    """[denoiser,] network."""

    def __init__(self, card: DescriptorCard):
        super().__init__()
        self.front = None if card.front is None else Front(card.front, card.scale)
        self.network = card.network()

    def forward(self, patches: Patches) -> Vectors:
        return self.network(patches if self.front is None else self.front(patches))


class Descriptor(nn.Module):
    """Describes patches: (B, 1, 32, 32) of values in [0, 1] to (B, 128) float32.

    Where the processor is made for it, products are done in bfloat16; `precision` says otherwise.
    """

    patch_size = PATCH

    def __init__(
        self, chain: Chain, card: DescriptorCard, precision: hardware.Precision = "auto"
    ):  # fmt: skip
        super().__init__()
        self.chain = fused(chain).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.card, self.precision = card, precision
        self.eval()

    @classmethod
    def load(
        cls,
        model: str | Path,
        device: str | torch.device = "cpu",
        precision: hardware.Precision = "auto",
    ) -> "Descriptor":
        """A folder that training wrote, published weights in a file, or a name of bundled ones.

        Raises InputError where there is none of these, or it is damaged or another's.
        """
        path = located(model)
        if path.is_file():
            from .published import published

            chain, card = published(path)
        else:
            card = read_card(path)
            chain = chain_of(path, card)
        return cls(chain.eval(), card, precision).to(device)

    def forward(self, patches: Float[Tensor, "B 1 32 32"]) -> Float[Tensor, "B 128"]:
        device = patches.device
        with hardware.autocast(hardware.resolve(self.precision, device), device):
            return self.chain(patches.contiguous(memory_format=torch.channels_last))

    @torch.no_grad()
    def describe(self, patches: np.ndarray, *, batch: int = BATCH) -> Float[np.ndarray, "N 128"]:
        """Descriptors of patches (N, 32, 32), 8-bit levels or floats in [0, 1]; float32.

        InputError where they have another shape or type.
        """
        device = next(self.chain.parameters()).device
        found = np.empty((len(patches), SIZE), np.float32)
        for first in range(0, len(patches), batch):
            part = torch.from_numpy(in_units(patches[first : first + batch])).to(device)
            found[first : first + batch] = self(part[:, None]).cpu().numpy()
        return found


def in_units(patches: np.ndarray) -> np.ndarray:
    """Values in [0, 1], float32."""
    if patches.ndim != 3 or patches.shape[1:] != (PATCH, PATCH):
        raise InputError(
            f"These patches have the shape {patches.shape}. Give (N, 32, 32), grey, cut out around"
            " their places and made 32 pixels wide."
        )
    if patches.dtype == np.uint8:
        return patches.astype(np.float32) / 255
    if patches.dtype.kind != "f":
        raise InputError(
            f"These patches are {patches.dtype}. Give 8-bit levels (uint8), or floats in [0, 1]."
        )
    return patches.astype(np.float32)


def fused(chain: Chain) -> Chain:
    """The same function with each normalisation inside the convolution before it.

    As in use, not in training: the numbers of a normalisation are then fixed.
    """
    chain = deepcopy(chain).eval()
    for row in chain.modules():
        if not isinstance(row, nn.Sequential):
            continue
        for number in range(len(row) - 1):
            conv, norm = row[number], row[number + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                row[number] = fuse_conv_bn_eval(conv, norm)
                row[number + 1] = nn.Identity()
    return chain


# — the folder —


def located(model: str | Path) -> Path:
    """A path, or a name of bundled weights; a folder of such a name that is there comes first."""
    path = Path(model)
    if path.exists():
        return path
    known = bundled()
    if str(model) in known:
        return BUNDLED / str(model)
    names = f", or the name of a bundled one: {', '.join(known)}" if known else ""
    raise InputError(
        f"There is no descriptor {model}. Give a folder that training wrote, or a file of"
        f" published weights{names}."
    )


def bundled() -> list[str]:
    """Names of the descriptors that come with noisepair."""
    return sorted(folder.name for folder in BUNDLED.glob("*") if (folder / CARD).exists())


def write_descriptor(
    folder: Path, chain: Chain, card: DescriptorCard, *, half: bool = False
) -> None:
    """Card and weights; `half`: weights in 16 bits, for half the room."""
    make_folder(folder)
    write_card(folder, card)
    save_weights(folder, chain, {}, half=half)


def write_card(folder: Path, card: DescriptorCard) -> None:
    write(folder / CARD, (json.dumps(card.as_json(), indent=2) + "\n").encode())


def save_weights(
    folder: Path, chain: Chain, about: Mapping[str, Any], *, half: bool = False
) -> None:
    tensors = chain.state_dict()
    if half:
        tensors = {n: x.half() if x.is_floating_point() else x for n, x in tensors.items()}
    checkpoint.save_tensors(folder / checkpoint.WEIGHTS, tensors, about)


def read_card(folder: Path) -> DescriptorCard:
    """The card of a folder; InputError where there is none, or it is damaged or too new."""
    path = folder / CARD
    if not path.is_file():
        raise InputError(
            f"{folder} is no descriptor: it has no {CARD}. Give a folder that training a descriptor"
            " wrote, or a file of published weights."
        )
    with checkpoint.legible(path):
        page = json.loads(path.read_text(encoding="utf-8"))
        found = int(page["format"])
    if found > FORMAT:
        raise InputError(
            f"{folder} has descriptor format {found}; this noisepair reads up to {FORMAT}. Upgrade"
            " noisepair."
        )
    with checkpoint.legible(path):
        scale = Scale(**{name: float(x) for name, x in page["front_normalisation"].items()})
        front = None if page["front"] is None else FRONT.validate_python(page["front"])
        network = NETWORK.validate_python(page["network"])
        return DescriptorCard(network, front, scale, dict(page["provenance"]))


def chain_of(folder: Path, card: DescriptorCard) -> Chain:
    """Network and denoiser with their weights; InputError where they do not fit the card."""
    path = folder / checkpoint.WEIGHTS
    tensors, _ = checkpoint.load_tensors(path)
    chain = Chain(card)
    checkpoint.fit_into(path, chain, tensors)
    return chain
