"""The course's denoisers of patches: counted by hand, as Keras pads, felt as far as they say."""

import pytest
import torch
from a_network import apart, built, learnt, noise, run, seam
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from noisepair.errors import InputError
from noisepair.models import PRESETS, DnCNN, PatchNet, Tileable, expressible

FORMS = ["shallow", "unet-16", "autoencoder-10"]


def count(form):
    return sum(p.numel() for p in PatchNet(form)(1).parameters())


def same_as_keras(x, layer):
    """Keras `same` for a 2×2 kernel of stride 1: what is missing is added at the end."""
    return F.conv2d(F.pad(x, (0, 1, 0, 1)), layer.weight, layer.bias)


# — the course's own —


def test_the_shallow_u_net_has_the_59_777_parameters_of_the_course_counted_by_hand():
    by_hand = (9 * 16 + 16) + (9 * 16 * 32 + 32) + (4 * 32 * 64 + 64) + (9 * 80 * 64 + 64)
    assert count("shallow") == by_hand + (9 * 64 + 1) == 59_777


def test_the_shallow_u_net_is_the_one_that_the_notebook_wires():
    network, noisy = built(PatchNet(), planes=1), noise(2, 1, 32, 32)
    first, bottom = network.down[0][0], network.bottom[0]
    grow, joined = network.grow[0], network.up[0][0]
    x = 255 * noisy
    one = F.conv2d(x, first.weight, first.bias, padding=1).clamp(min=0)
    low = F.conv2d(F.max_pool2d(one, 2), bottom.weight, bottom.bias, padding=1).clamp(min=0)
    large = low.repeat_interleave(2, 2).repeat_interleave(2, 3)
    two = torch.cat([one, same_as_keras(large, grow).clamp(min=0)], 1)
    three = F.conv2d(two, joined.weight, joined.bias, padding=1).clamp(min=0)
    out = F.conv2d(three, network.leave.weight, network.leave.bias, padding=1) / 255
    torch.testing.assert_close(run(network, noisy), out, rtol=0, atol=1e-12)

    wrong = F.conv2d(F.pad(large, (1, 0, 1, 0)), grow.weight, grow.bias)
    assert (wrong - same_as_keras(large, grow)).abs().max() > 0.1, "the other side would show"


@pytest.mark.parametrize(("form", "convolutions"), [("unet-16", 16), ("autoencoder-10", 10)])
def test_the_reports_networks_have_as_many_layers_as_their_names_say(form, convolutions):
    network = PatchNet(form)(1)
    found = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert len(found) == convolutions
    assert PRESETS[form] == PatchNet(form)


def test_an_autoencoder_joins_nothing_and_the_others_join_what_left_the_level():
    """With the way through the bottom cut, only a skip can bring the picture to the end."""
    for form in FORMS:
        network, noisy = built(PatchNet(form), planes=1), noise(1, 1, 16, 16)
        for parameter in network.bottom.parameters():
            parameter.data.zero_()
        moved = (run(network, noisy) - run(network, noisy.flip(2))).abs().max()
        assert (moved > 1e-6) == (form != "autoencoder-10")


def test_a_network_of_grey_levels_is_one_of_unit_white_with_other_biases():
    """White inside is a change of units: weights stay, biases are white times as large."""
    grey, unit = (built(PatchNet(white=white), planes=1) for white in (255.0, 1.0))
    for name, value in grey.state_dict().items():
        if name.endswith("bias"):
            value.mul_(255)
    noisy = noise(2, 1, 12, 12)
    torch.testing.assert_close(run(grey, noisy), run(unit, noisy), rtol=0, atol=1e-12)


# — any picture —


@pytest.mark.parametrize("form", FORMS)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
@settings(max_examples=8)
def test_any_size_from_one_pixel_comes_out_as_it_went_in(form, height, width):
    out = run(PatchNet(form)(1).eval(), torch.rand(1, 1, height, width))
    assert out.shape == (1, 1, height, width)
    assert out.isfinite().all()


def felt(network):
    """How far to each side outputs change, to the last bit, when one pixel does; all phases."""
    step = network.multiple
    size = 2 * (network.radius // step + 2) * step
    noisy, farthest = noise(1, 1, size, size), 0
    for at in range(size // 2, size // 2 + step):
        other = noisy.clone()
        other[..., at, at] += 1
        changed = (run(network, noisy) != run(network, other)).any(0).any(0).nonzero()
        farthest = max(farthest, int((changed - at).abs().max()))
    return farthest


@pytest.mark.parametrize("form", FORMS)
def test_a_pixel_is_felt_as_far_as_the_radius_and_no_farther(form):
    network = built(PatchNet(form, slope=0.3), planes=1)
    assert isinstance(network, Tileable)
    assert felt(network) == network.radius


@pytest.mark.parametrize("form", FORMS)
def test_tiling_is_invisible_and_a_smaller_halo_shows(form):
    network, noisy = built(PatchNet(form, slope=0.3)), noise(2, 2, 48, 31)
    assert seam(network, noisy, 16, network.radius) < 1e-12
    assert seam(network, noisy, 16, network.radius // 3, network.multiple) > 1e-12
    assert apart(network, noisy) < 1e-12


def test_it_learns_to_remove_noise_that_it_has_not_seen():
    torch.manual_seed(0)
    before, after = learnt(PatchNet(white=1.0)(1), steps=60)
    assert before > 0.2**2
    assert after < 0.5 * 0.2**2, "less than half the noise's variance is left"


# — settings —


@pytest.mark.parametrize(
    "wrong", [{"design": "deep"}, {"slope": 2}, {"white": 0}, {"kind": "unet"}]
)
def test_settings_that_no_network_can_have_are_refused(wrong):
    with pytest.raises(ValidationError):
        PatchNet(**wrong)


@pytest.mark.parametrize(
    ("network", "said"),
    [(PatchNet(), "network=patch"), (DnCNN(white=255.0), r"network\.white=255\.0")],
)
def test_the_library_by_hand_refuses_what_it_has_no_layer_for(network, said):
    with pytest.raises(InputError, match=said):
        expressible(network)
