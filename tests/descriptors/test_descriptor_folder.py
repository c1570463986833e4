"""A descriptor in use: its folder, weights of others, what kornia asks of it, what is refused."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from noisepair import checkpoint
from noisepair.descriptors import Descriptor, DescriptorCard, descriptor
from noisepair.descriptors.descriptor import CARD, Chain, read_card, write_descriptor
from noisepair.descriptors.networks import Course, HardNet, HyNet, Quick
from noisepair.errors import InputError
from noisepair.models import DnCNN, Scale

TINY = DescriptorCard(Quick(half=(8,), quarter=(8,)), None, Scale(), {"recipe": {}})
WITH_FRONT = replace(TINY, front=DnCNN(depth=3, width=4, norm="batch"), scale=Scale(0.1, 0.8))


def chain_of(card, seed=0):
    """A chain whose normalisations have seen something."""
    torch.manual_seed(seed)
    chain = Chain(card)
    for name, value in chain.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    return chain.eval()


def patches(count=5, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 32, 32, generator=rng)


def run(module, x):
    with torch.no_grad():
        return module(x)


@pytest.fixture
def folder(tmp_path):
    tmp_path = tmp_path / "m"
    tmp_path.mkdir()
    write_descriptor(tmp_path, chain_of(TINY), TINY)
    return tmp_path


# — in use —


@pytest.mark.parametrize("card", [TINY, WITH_FRONT], ids=["alone", "denoised"])
def test_what_was_written_describes_as_it_did(tmp_path, card):
    chain = chain_of(card)
    write_descriptor(tmp_path, chain, card)
    found = Descriptor.load(tmp_path, precision="float32")
    torch.testing.assert_close(run(found, patches()), run(chain, patches()), rtol=0, atol=1e-5)
    assert found.card == card
    other = run(chain_of(card, seed=1), patches())
    assert (run(found, patches()) - other).abs().max() > 0.01


@pytest.mark.parametrize("network", [Quick(half=(8, 8)), Course(slope=0.1), HyNet()], ids=str)
def test_a_normalisation_inside_its_convolution_is_the_same_function(network):
    chain = chain_of(replace(TINY, network=network)).double()
    inside = descriptor.fused(chain)
    x = patches(2).double()
    torch.testing.assert_close(run(inside, x), run(chain, x), rtol=1e-9, atol=1e-9)
    norms = [m for m in inside.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms == []
    assert [m for m in chain.modules() if isinstance(m, nn.BatchNorm2d)], "the one given stays"


def test_a_dropout_between_convolution_and_normalisation_would_be_seen(folder):
    """Only neighbours are joined: a normalisation that follows something else stays."""
    chain = chain_of(TINY)
    chain.network.features.insert(2, nn.Identity())
    inside = descriptor.fused(chain)
    assert [m for m in inside.modules() if isinstance(m, nn.BatchNorm2d)]
    torch.testing.assert_close(run(inside, patches()), run(chain, patches()), rtol=0, atol=1e-5)


def test_half_the_room_and_nearly_the_same_answers(tmp_path):
    sizes = []
    for half in (False, True):
        (tmp_path / str(half)).mkdir()
        write_descriptor(tmp_path / str(half), chain_of(TINY), TINY, half=half)
        sizes.append((tmp_path / str(half) / checkpoint.WEIGHTS).stat().st_size)
    one, two = (
        run(Descriptor.load(tmp_path / half, precision="float32"), patches())
        for half in ("False", "True")
    )
    assert sizes[1] < 0.52 * sizes[0]
    assert two.dtype == torch.float32
    assert 0 < (one - two).abs().max() < 1e-2


def test_arrays_are_described_in_batches_in_levels_or_in_units(folder):
    found = Descriptor.load(folder, precision="float32")
    levels = np.random.default_rng(0).integers(0, 256, (10, 32, 32), np.uint8)
    whole = found.describe(levels)
    assert (whole.shape, whole.dtype) == ((10, 128), np.float32)
    np.testing.assert_allclose(found.describe(levels, batch=3), whole, atol=1e-6)
    np.testing.assert_allclose(found.describe(levels / 255), whole, atol=1e-5)
    expected = run(found, torch.from_numpy(levels / np.float32(255))[:, None]).numpy()
    np.testing.assert_allclose(whole, expected, atol=1e-6)
    assert found.describe(levels[:0]).shape == (0, 128)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((4, 65, 65), np.uint8), r"shape \(4, 65, 65\)\. Give \(N, 32, 32\)"),
        (np.zeros((32, 32), np.uint8), r"shape \(32, 32\)"),
        (np.zeros((4, 32, 32), np.int16), r"patches are int16\. Give 8-bit levels"),
    ],
)
def test_arrays_that_are_no_patches_are_refused(folder, wrong, said):
    with pytest.raises(InputError, match=said):
        Descriptor.load(folder).describe(wrong)


class LAFDescriptor(nn.Module):
    """What kornia's does with the module that it is given, and no more."""

    def __init__(self, module, patch_size=32, grayscale_descriptor=True):
        super().__init__()
        self.descriptor, self.patch_size = module, patch_size
        self.grayscale_descriptor = grayscale_descriptor

    def forward(self, cut):
        count, places, planes, height, width = cut.shape
        assert (height, width) == (self.patch_size, self.patch_size)
        found = self.descriptor(cut.view(count * places, planes, height, width))
        return found.view(count, places, -1)


def test_it_stands_where_kornia_wants_a_descriptor(folder):
    found = Descriptor.load(folder, precision="float32")
    assert isinstance(found, nn.Module)
    assert not found.training
    whole = LAFDescriptor(found, found.patch_size)
    cut = patches(6)
    out = run(whole, cut.view(2, 3, 1, 32, 32))
    torch.testing.assert_close(out.view(6, 128), run(found, cut))
    assert set(whole.state_dict()) == {f"descriptor.{name}" for name in found.state_dict()}


# — folders that are none —


def test_a_name_finds_what_comes_with_the_package(folder, monkeypatch):
    monkeypatch.setattr(descriptor, "BUNDLED", folder.parent)
    assert Descriptor.load("m").card.network == TINY.network
    with pytest.raises(InputError, match=r"no descriptor n\. .* or the name of a bundled one: m\."):
        Descriptor.load("n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / CARD).unlink(), r"is no descriptor: it has no descriptor\.json"),
        (lambda f: (f / CARD).write_text("{"), r"descriptor\.json is damaged or not noisepair's"),
        (lambda f: change(f, format=9), r"has descriptor format 9; this noisepair reads up to 1"),
        (lambda f: change(f, network={"kind": "sift"}), r"descriptor\.json is damaged"),
        (lambda f: change(f, front={"kind": "dncnn"}), r"holds weights of another network"),
        (lambda f: (f / checkpoint.WEIGHTS).unlink(), r"has no weights\.safetensors"),
        (lambda f: cut(f / checkpoint.WEIGHTS), r"weights\.safetensors is damaged"),
        (lambda f: flip(f / checkpoint.WEIGHTS), r"checksum does not fit"),
    ],
)
def test_a_damaged_folder_is_said_to_be_damaged(folder, spoil, said):
    spoil(folder)
    with pytest.raises(InputError, match=said):
        Descriptor.load(folder)


def change(folder, **lines):
    page = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(page | lines))


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def test_the_card_reads_back_as_it_was(tmp_path):
    write_descriptor(tmp_path, chain_of(WITH_FRONT), WITH_FRONT)
    assert read_card(tmp_path) == WITH_FRONT


# — weights of others —


@pytest.fixture(scope="module")
def others():
    """A HardNet as someone else has it."""
    torch.manual_seed(0)
    network = HardNet()().eval()
    for name, value in network.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
    return network


def as_authors(network):
    """Their files are from 2017, before normalisations counted batches."""
    weights = {n: x for n, x in network.state_dict().items() if "num_batches" not in n}
    return {"epoch": 10, "state_dict": weights, "optimizer": {"lr": 10.0}}


@pytest.mark.parametrize(
    "form",
    ["authors.pth", "plain.pt", "parallel.pth", "plain.safetensors", "old.pth"],
)
def test_published_weights_are_read_in_every_form_that_they_come_in(tmp_path, others, form):
    path, weights = tmp_path / form, others.state_dict()
    if form == "authors.pth":
        torch.save(as_authors(others), path)
    elif form == "parallel.pth":
        torch.save({f"module.{n}": x for n, x in weights.items()}, path)
    elif form == "old.pth":
        torch.save(weights, path, _use_new_zipfile_serialization=False)
    elif path.suffix == ".safetensors":
        save_file({n: x.contiguous() for n, x in weights.items()}, path)
    else:
        torch.save(weights, path)
    found = Descriptor.load(path, precision="float32")
    assert found.card.network == HardNet()
    assert found.card.provenance == {"published": form}
    torch.testing.assert_close(run(found, patches()), run(others, patches()), rtol=0, atol=1e-5)


def test_a_published_hynet_is_known_by_its_layers(tmp_path):
    torch.manual_seed(0)
    network = HyNet()().eval()
    torch.save(network.state_dict(), tmp_path / "HyNet_LIB.pth")
    found = Descriptor.load(tmp_path / "HyNet_LIB.pth", precision="float32")
    torch.testing.assert_close(run(found, patches()), run(network, patches()), rtol=0, atol=1e-5)


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_file_that_holds_code_is_refused_and_does_not_run(tmp_path):
    trap, path = tmp_path / "sprung", tmp_path / "HardNet++.pth"
    torch.save({"state_dict": {"features.0.weight": Trap(trap)}}, path)
    with pytest.raises(InputError, match=r"cannot be read as weights: .* hold tensors alone"):
        Descriptor.load(path)
    assert not trap.exists()
    with path.open("wb") as file:
        pickle.dump(Trap(trap), file)
    with pytest.raises(InputError, match="cannot be read as weights"):
        Descriptor.load(path)
    assert not trap.exists()
    pickle.loads(pickle.dumps(Trap(trap)))
    assert trap.exists(), "the trap works where it is let"


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"conv.weight": torch.zeros(3)}, r"of no network that is known here: conv\.weight\."),
        ([torch.zeros(3)], r"holds a list and no state dict"),
        ({"state_dict": 3}, r"holds a dict and no state dict"),
        ({"features.0.weight": torch.zeros(64, 1, 3, 3)}, r"weights of another form than hardnet"),
    ],
)
def test_files_of_other_weights_are_refused_in_a_sentence(tmp_path, held, said):
    torch.save(held, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=said):
        Descriptor.load(tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"no weights at all" * 9])
def test_files_that_are_no_weights_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read as weights: .* Fetch it again"):
        Descriptor.load(tmp_path / name)
