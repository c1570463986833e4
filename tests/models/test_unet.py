"""The network is the textbook U-Net, only computed by a shorter road."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional as F

from noisepair.models import NETWORKS, NOISE2NOISE, Tileable, UNet
from noisepair.models.unet import radius, repeated
from noisepair.optim import kaiming

SMALL = UNet(channels=(3, 4, 5), head=(4, 3), residual=False)


def built(sizes, planes=2, seed=0):
    """A network in float64; every bias moved from zero, so that each is felt."""
    network = sizes(planes).double()
    rng = torch.Generator().manual_seed(seed)
    kaiming(network, rng)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_(0, 0.1, generator=rng)
    return network


def noise(*shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, dtype=torch.float64, generator=rng)


def textbook(network, noisy, swapped=False):
    """Noise2Noise, appendix A.1, with joins and repetitions carried out."""
    weights = dict(network.named_parameters())

    def linear(name, x):
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)

    def conv(name, x):
        return F.leaky_relu(linear(name, x), 0.1)

    def up(below, skip):
        parts = [F.interpolate(below, scale_factor=2, mode="nearest"), skip]
        return torch.cat(parts[::-1] if swapped else parts, 1)

    levels = len(network.encode)
    height, width = noisy.shape[2:]
    rows = torch.arange(height + -height % 2**levels).clamp(max=height - 1)
    columns = torch.arange(width + -width % 2**levels).clamp(max=width - 1)
    picture = noisy[:, :, rows][..., columns]

    h = conv("enter", picture)
    skips = [picture]
    for level in range(levels):
        h = F.max_pool2d(conv(f"encode.{level}", h), 2)
        skips.append(h)
    h = conv("bottom", skips.pop())
    for level in range(levels - 1):
        h = conv(f"decode.{level}.up", up(h, skips.pop()))
        h = conv(f"decode.{level}.conv", h)
    h = conv("leave_b", conv("leave_a", up(h, skips.pop())))
    out = linear("leave_c", h)[..., :height, :width]
    return noisy - out if network.residual else out


def test_noise2noise_has_the_parameters_of_the_paper():
    assert sum(p.numel() for p in NOISE2NOISE(3).parameters()) == 991_203


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("size", [(16, 24), (13, 7)])
def test_output_and_all_gradients_are_those_of_the_textbook(levels, residual, size):
    network = built(UNet(channels=(3, 4, 5)[:levels], head=(4, 3), residual=residual))
    noisy = noise(2, 2, *size).requires_grad_()
    probe = noise(2, 2, *size, seed=1) - 0.5  # feels every output at once
    mine, theirs = network(noisy), textbook(network, noisy)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)
    leaves = [noisy, *network.parameters()]
    slopes = [torch.autograd.grad((out * probe).sum(), leaves) for out in (mine, theirs)]
    for ours, other in zip(*slopes, strict=True):
        assert other.abs().max() > 0
        torch.testing.assert_close(ours, other, rtol=1e-9, atol=1e-10)


def test_a_join_in_the_other_order_is_another_network():
    network = built(UNet(channels=(2,), head=(2, 2)), planes=2)
    noisy = noise(1, 2, 8, 8)
    apart = network(noisy) - textbook(network, noisy, swapped=True)
    assert apart.abs().max() > 1e-3


def test_the_full_network_is_the_textbook_in_float32():
    network = NOISE2NOISE(3)
    kaiming(network, torch.Generator().manual_seed(0))
    noisy = noise(1, 3, 64, 64).float()
    with torch.no_grad():
        torch.testing.assert_close(network(noisy), textbook(network, noisy), rtol=0, atol=1e-4)


def test_repeated_taps_worked_out_by_hand():
    taps = torch.arange(1, 10, dtype=torch.float64).view(1, 1, 3, 3)
    assert repeated(taps)[0, 0].tolist() == [
        [9, 17, 15, 7],
        [15, 28, 24, 11],
        [9, 16, 12, 5],
        [3, 5, 3, 1],
    ]


def test_repeated_taps_do_what_repeating_the_picture_does_to_the_last_digit():
    rng = np.random.default_rng(0)
    picture, taps = (
        torch.from_numpy(rng.integers(-9, 10, shape)).double()
        for shape in ((1, 2, 3, 4), (5, 2, 3, 3))
    )
    longhand = F.conv2d(picture.repeat_interleave(2, 2).repeat_interleave(2, 3), taps, padding=1)
    shorthand = F.conv_transpose2d(picture, repeated(taps), stride=2, padding=1)
    assert torch.equal(shorthand, longhand)
    mirrored = F.conv_transpose2d(picture, repeated(taps.flip(3)), stride=2, padding=1)
    assert not torch.equal(mirrored, longhand)


@given(height=st.integers(1, 70), width=st.integers(1, 70), levels=st.integers(1, 5))
@settings(max_examples=40)
def test_any_size_from_one_pixel_comes_out_as_it_went_in(height, width, levels):
    network = UNet(channels=(2,) * levels, head=(2, 2))(1)
    with torch.no_grad():
        out = network(torch.rand(1, 1, height, width))
    assert out.shape == (1, 1, height, width)
    assert out.isfinite().all()


def test_a_picture_does_not_see_its_neighbours_in_the_batch():
    network = built(SMALL)
    noisy = noise(3, 2, 9, 11)
    with torch.no_grad():
        alone = torch.cat([network(one[None]) for one in noisy])
        torch.testing.assert_close(network(noisy), alone, rtol=0, atol=1e-12)


def test_a_residual_network_subtracts_what_the_other_predicts():
    plain, residual = built(SMALL), built(UNet(channels=(3, 4, 5), head=(4, 3), residual=True))
    noisy = noise(1, 2, 10, 10)
    with torch.no_grad():
        torch.testing.assert_close(noisy - residual(noisy), plain(noisy))


def reach(levels):
    """How far to each side, in pixels, outputs of all phases depend on the input, by gradients.

    Positive weights cannot cancel; of 200 random pictures one or another lets each pixel through
    the maxima.
    """
    network = UNet(channels=(2,) * levels, head=(2, 2), residual=False)(1).double()
    for parameter in network.parameters():
        parameter.data.abs_().add_(0.1)
    half = network.multiple * (2 + network.radius // network.multiple)
    noisy = noise(200, 1, network.multiple, 2 * half).requires_grad_()
    out = network(noisy)[..., 0, :].sum(0).view(-1)
    farthest = 0
    for place in range(half, half + network.multiple):
        (slope,) = torch.autograd.grad(out[place], noisy, retain_graph=True)
        felt = slope.abs().sum((0, 1, 2)).nonzero().view(-1)
        farthest = max(farthest, int((felt - place).abs().max()))
    return network, farthest


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_the_radius_is_what_gradients_reach_and_a_pixel_less_is_too_little(levels):
    network, farthest = reach(levels)
    assert network.radius == radius(levels) == farthest
    assert not farthest <= network.radius - 1


def test_networks_say_what_tiling_asks():
    for settings_of in NETWORKS.values():
        network = settings_of()(1)
        assert isinstance(network, Tileable)
    assert (network.multiple, network.radius) == (16, radius(4))


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_the_picture_seen_from_a_multiple_further_on_is_the_same(levels):
    """What lets tiles begin at multiples, and a control that begins between them."""
    network = built(UNet(channels=(3, 4, 5)[:levels], head=(4, 3)), planes=1)
    side = 2 * (network.radius + 2 * network.multiple)
    picture = noise(1, 1, network.multiple, side)

    def moved(by):
        with torch.no_grad():
            whole, part = network(picture), network(picture[..., by:])
        inner = slice(network.radius, -network.radius - network.multiple)
        return (whole[..., by:][..., inner] - part[..., inner]).abs().max()

    assert moved(network.multiple) < 1e-12
    assert moved(1) > 1e-6


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": ()},
        {"channels": (48,) * 9},
        {"channels": (0, 48)},
        {"channels": (5000,)},
        {"head": (64,)},
        {"head": (64, 32, 16)},
        {"depth": 3},
        {"kind": "dncnn"},
    ],
)
def test_settings_that_no_network_can_have_are_refused(wrong):
    with pytest.raises(ValidationError):
        UNet(**wrong)


def test_settings_are_values():
    assert UNet(channels=(8, 8)) == UNet(channels=(8, 8))
    assert len({UNet(), UNet(), UNet(residual=False)}) == 2
    with pytest.raises(AttributeError):
        UNet().residual = True


def test_channels_last_goes_through():
    network = built(SMALL, planes=3)
    noisy = noise(2, 3, 16, 16)
    with torch.no_grad():
        plain = network(noisy)
        network = network.to(memory_format=torch.channels_last)
        turned = network(noisy.contiguous(memory_format=torch.channels_last))
    np.testing.assert_allclose(turned.numpy(), plain.numpy(), atol=1e-12)
