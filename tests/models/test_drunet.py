"""Residual blocks on a pyramid: what it is by hand, what it sees, how it begins, that it learns."""

import pytest
import torch
from a_network import built, learnt, noise, run, seam
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional as F

from noisepair.models import Tileable
from noisepair.models.drunet import DRUNet
from noisepair.optim import Kaiming

SMALL = DRUNet(channels=(4, 5, 6), blocks=(1, 2, 1))
SIZES = [SMALL, DRUNet(channels=(4,), blocks=(2,)), DRUNet((3, 4), (0, 1), unshuffle=1)]


def textbook(network, noisy, levels, fold):
    """The figure of the paper, level by level, on a picture that needs no padding."""

    def conv(layer, x):
        return F.conv2d(x, layer.weight, layer.bias, padding=1)

    def blocks(parts, x):
        for block in parts:
            x = x + conv(block.two, conv(block.one, x).clamp(min=0))
        return x

    x = conv(network.enter, F.pixel_unshuffle(noisy, fold))
    kept = []
    for at in range(levels - 1):
        x = blocks(network.down[at], x)
        kept.append(x)
        x = F.conv2d(x, network.shrink[at].weight, network.shrink[at].bias, stride=2)
    x = blocks(network.bottom, x)
    for at in range(levels - 1):
        grow = network.grow[at]
        x = F.conv_transpose2d(x, grow.weight, grow.bias, stride=2) + kept[levels - 2 - at]
        x = blocks(network.up[at], x)
    return noisy - F.pixel_shuffle(conv(network.leave, x), fold)


@pytest.mark.parametrize("sizes", SIZES)
def test_it_is_the_network_of_the_paper(sizes):
    network, noisy = built(sizes), noise(2, 2, 16, 24)
    with torch.no_grad():
        by_hand = textbook(network, noisy, len(sizes.channels), sizes.unshuffle)
        torch.testing.assert_close(network(noisy), by_hand, rtol=0, atol=1e-12)
        assert (network(noisy) - noisy).abs().max() > 0.01
        network.grow[0].weight.data.mul_(1.1) if network.grow else network.enter.weight.data.mul_(2)
        assert (network(noisy) - by_hand).abs().max() > 1e-6


def test_parameters_of_the_default_are_those_counted_by_hand():
    def conv(i, o, k=3):
        return i * o * k * k + o

    blocks = 4 * (conv(32, 32) + conv(64, 64) + conv(128, 128)) + 2 * conv(192, 192)
    steps = [(32, 64), (64, 128), (128, 192)]
    between = sum(conv(a, b, 2) + conv(b, a, 2) for a, b in steps)
    count = conv(12, 32) + blocks + between + conv(32, 12)
    assert sum(p.numel() for p in DRUNet()(3).parameters()) == count == 1_725_068


def test_it_begins_by_finding_no_noise_and_every_parameter_is_felt():
    network, noisy = DRUNet((4, 5), (1, 1))(2).double(), noise(2, 2, 8, 8)
    Kaiming()(network, torch.Generator().manual_seed(0), network.slope)
    assert not torch.equal(run(network, noisy), noisy)
    network.begin()
    assert torch.equal(run(network, noisy), noisy)
    network = built(SMALL).train()
    (network(noisy) * noise(2, 2, 8, 8, seed=1)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_variance_neither_grows_nor_falls_by_much_on_the_way_when_it_begins():
    network = DRUNet((32, 64, 128, 192), (4, 4, 4, 4))(3)
    Kaiming()(network, torch.Generator().manual_seed(0), network.slope)
    wild = deviations(network)
    network.begin()
    calm = deviations(network)
    assert max(calm) < 8 * calm[0]
    assert max(wild) > 50 * wild[0], "without `begin` it does"


def deviations(network):
    seen = []
    parts = (network.enter, *network.down, network.bottom, *network.up)
    hooks = [p.register_forward_hook(lambda m, i, o: seen.append(float(o.std()))) for p in parts]
    run(network, torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    for hook in hooks:
        hook.remove()
    return seen


@given(height=st.integers(1, 40), width=st.integers(1, 40), sizes=st.sampled_from(SIZES))
@settings(max_examples=30)
def test_any_size_from_one_pixel_comes_out_as_it_went_in(height, width, sizes):
    out = run(sizes(1).eval(), torch.rand(1, 1, height, width))
    assert out.shape == (1, 1, height, width)
    assert out.isfinite().all()


@pytest.mark.parametrize("sizes", SIZES)
def test_a_pixel_is_felt_as_far_as_the_radius_and_no_farther(sizes):
    network = built(sizes, planes=1)
    assert isinstance(network, Tileable)
    grid, reach = network.multiple, 0
    side = -(-2 * (network.radius + grid) // grid) * grid + grid
    noisy = noise(1, 1, side, side)
    for at in range(side // 2, side // 2 + grid):  # the worst phase of the grid
        other = noisy.clone()
        other[..., at, at] += 1e3
        changed = (run(network, noisy) != run(network, other)).any(0).any(0).nonzero()
        reach = max(reach, int((changed - at).abs().max()))
    assert reach == network.radius


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("size", [(40, 31), (1, 50), (23, 5)])
def test_tiling_is_invisible_and_another_grid_shows(sizes, size):
    network, noisy = built(sizes), noise(2, 2, *size)
    for tile in (network.multiple, 3 * network.multiple, 64):
        assert seam(network, noisy, tile, network.radius) < 1e-12
    assert seam(network, noise(2, 2, 64, 64), network.multiple, network.multiple) > 1e-9


def test_it_learns_to_remove_noise_that_it_has_not_seen():
    torch.manual_seed(0)
    before, after = learnt(DRUNet((8, 16), (1, 1))(1))
    assert before > 0.2**2
    assert after < 0.25 * 0.2**2


@pytest.mark.parametrize(
    "wrong",
    [{"channels": ()}, {"channels": (4, 4), "blocks": (1,)}, {"blocks": (1, 1, 1, -1)},
     {"unshuffle": 3}, {"kind": "unet"}, {"convs": 2}],
)  # fmt: skip
def test_settings_that_no_network_can_have_are_refused(wrong):
    with pytest.raises(ValidationError):
        DRUNet(**wrong)


def test_memory_is_said_to_grow_with_its_widest_maps():
    assert DRUNet()(3).bytes_a_pixel >= 3 * 4 * 32 / 4
    assert DRUNet(unshuffle=1)(3).bytes_a_pixel > 3 * DRUNet()(3).bytes_a_pixel
