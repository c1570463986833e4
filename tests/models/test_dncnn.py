"""A stack of convolutions predicts the noise; what an output pixel sees is what it says."""

import pytest
import torch
from a_network import apart, built, learnt, noise, run, seam
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from noisepair.models import Tileable
from noisepair.models.dncnn import DnCNN

SMALL = DnCNN(depth=4, width=5)
NORMED = DnCNN(depth=4, width=5, norm="batch")


# — the network —


def textbook(network, noisy):
    """y − R(y); a normalisation is (h − mean) / √(variance + 1e-5) · scale + shift."""
    *layers, last = [part for part in network.noise if not isinstance(part, nn.ReLU)]
    h = noisy
    for layer, following in zip(layers, [*layers[1:], last], strict=True):
        if isinstance(layer, nn.Conv2d):
            h = F.conv2d(h, layer.weight, layer.bias, padding=1)
        else:
            mean, variance, scale, shift = (
                numbers[:, None, None]
                for numbers in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
            )
            h = (h - mean) / (variance + 1e-5).sqrt() * scale + shift
        if isinstance(following, nn.Conv2d):
            h = h.clamp(min=0)
    return noisy - F.conv2d(h, last.weight, last.bias, padding=1)


@pytest.mark.parametrize(
    "sizes", [SMALL, NORMED, DnCNN(depth=3, width=2), DnCNN(depth=17, width=3)]
)
def test_the_noise_that_a_textbook_stack_predicts_is_subtracted(sizes):
    network, noisy = built(sizes), noise(2, 2, 7, 9)
    with torch.no_grad():
        torch.testing.assert_close(network(noisy), textbook(network, noisy), rtol=0, atol=1e-12)
        assert (network(noisy) - noisy).abs().max() > 0.01


def test_without_weights_the_picture_comes_out_untouched():
    network, noisy = built(SMALL), noise(1, 2, 6, 5)
    for parameter in network.parameters():
        parameter.data.zero_()
    assert torch.equal(run(network, noisy), noisy)


@pytest.mark.parametrize(
    ("sizes", "planes", "count"),
    [
        (DnCNN(), 1, 9 * 64 + 64 + 15 * (9 * 64 * 64 + 64) + 9 * 64 + 1),
        (DnCNN(norm="batch"), 1, 9 * 64 + 64 + 15 * (9 * 64 * 64 + 2 * 64) + 9 * 64 + 1),
        (DnCNN(depth=20), 3, 27 * 64 + 64 + 18 * (9 * 64 * 64 + 64) + 9 * 64 * 3 + 3),
    ],
)
def test_parameters_are_those_of_the_paper_counted_by_hand(sizes, planes, count):
    assert sum(p.numel() for p in sizes(planes).parameters()) == count


def test_every_parameter_is_felt():
    network, noisy = built(NORMED).train(), noise(2, 2, 6, 6)
    (network(noisy) * noise(2, 2, 6, 6, seed=1)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


# — sizes, and what is seen —


@given(height=st.integers(1, 40), width=st.integers(1, 40), norm=st.sampled_from([None, "batch"]))
@settings(max_examples=30)
def test_any_size_from_one_pixel_comes_out_as_it_went_in(height, width, norm):
    out = run(DnCNN(depth=3, width=2, norm=norm)(1).eval(), torch.rand(1, 1, height, width))
    assert out.shape == (1, 1, height, width)
    assert out.isfinite().all()


def felt(network, planes=1):
    """How far to each side outputs change, to the last bit, when one pixel does."""
    at = network.radius + 3
    noisy = noise(1, planes, 2 * at + 1, 2 * at + 1)
    other = noisy.clone()
    other[..., at, at] += 1
    changed = (run(network, noisy) != run(network, other)).any(0).any(0).nonzero()
    return int((changed - at).abs().max())


@pytest.mark.parametrize("sizes", [SMALL, NORMED, DnCNN(depth=3, width=8), DnCNN(width=8)])
def test_a_pixel_is_felt_as_far_as_the_radius_and_no_farther(sizes):
    network = built(sizes, planes=1)
    assert isinstance(network, Tileable)
    assert felt(network) == network.radius == sizes.depth


@pytest.mark.parametrize("sizes", [SMALL, NORMED])
@pytest.mark.parametrize("size", [(40, 31), (1, 50), (23, 5)])
def test_tiling_is_invisible_and_a_halo_of_a_pixel_less_shows(sizes, size):
    network, noisy = built(sizes), noise(2, 2, *size)
    for tile in (7, 8, 64):
        assert seam(network, noisy, tile, network.radius) < 1e-12
    assert seam(network, noisy, 7, network.radius - 1) > 1e-9


# — batch normalisation —


def test_in_use_a_picture_does_not_see_its_neighbours_in_the_batch_and_in_training_it_does():
    network, noisy = built(NORMED), noise(3, 2, 9, 8)

    assert apart(network, noisy) < 1e-12
    network.train()
    assert apart(network, noisy) > 1e-3


def test_a_convolution_before_a_normalisation_has_no_bias():
    biases = [layer.bias is not None for layer in NORMED(1).noise if isinstance(layer, nn.Conv2d)]
    assert biases == [True, False, False, True]


# — it learns —


def test_it_learns_to_remove_noise_that_it_has_not_seen():
    torch.manual_seed(0)
    before, after = learnt(DnCNN(depth=3, width=8)(1))
    assert before > 0.2**2
    assert after < 0.5 * 0.2**2, "less than half the noise's variance is left"


# — settings —


@pytest.mark.parametrize(
    "wrong",
    [
        {"depth": 2},
        {"depth": 2.5},
        {"width": 0},
        {"norm": "layer"},
        {"sigma": 0.1},
        {"kind": "unet"},
    ],
)
def test_settings_that_no_network_can_have_are_refused(wrong):
    with pytest.raises(ValidationError):
        DnCNN(**wrong)


def test_memory_is_said_to_be_no_less_than_its_two_largest_maps():
    assert DnCNN()(3).bytes_a_pixel >= 2 * 4 * 64
    assert DnCNN(width=32)(3).bytes_a_pixel < DnCNN()(3).bytes_a_pixel


# — as report 004 has it —


def test_a_slope_lets_through_what_a_relu_stops():
    leaky, plain = built(DnCNN(depth=4, width=5, slope=0.2)), built(SMALL)
    assert leaky.slope == 0.2
    plain.load_state_dict(leaky.state_dict())
    noisy = noise(2, 2, 7, 9)
    assert (run(leaky, noisy) - run(plain, noisy)).abs().max() > 1e-3
    h = noisy
    for layer in leaky.noise:
        leaks = isinstance(layer, nn.LeakyReLU)
        h = h.clamp(min=0) + 0.2 * h.clamp(max=0) if leaks else layer(h)
    torch.testing.assert_close(run(leaky, noisy), noisy - h.detach(), rtol=0, atol=1e-12)


def test_white_inside_is_a_change_of_units():
    grey, unit = built(DnCNN(depth=4, width=5, white=255.0)), built(SMALL)
    for name, value in grey.state_dict().items():
        if name.endswith("bias"):
            value.mul_(255)
    noisy = noise(2, 2, 7, 9)
    torch.testing.assert_close(run(grey, noisy), run(unit, noisy), rtol=0, atol=1e-12)
