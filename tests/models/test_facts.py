"""What a network costs and sees is counted right, by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from noisepair.models import NETWORKS, NOISE2NOISE, PRESETS
from noisepair.models.dncnn import DnCNN
from noisepair.models.facts import Facts, facts, operations
from noisepair.models.ffdnet import FFDNet


class Plain(nn.Module):
    """3×3 to five channels and 1×1 back, with work of its own once a call."""

    radius, multiple = 1, 1

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(2, 5, 3, padding=1)
        self.norm = nn.BatchNorm2d(5)
        self.back = nn.Conv2d(5, 2, 1)

    def forward(self, x):
        weight = torch.eye(5, device=x.device) @ self.wide.weight.flatten(1)  # 5·5·18, each call
        h = F.conv2d(x, weight.view_as(self.wide.weight), self.wide.bias, padding=1)
        return self.back(self.norm(h))


class Pooled(Plain):
    """The same at half size."""

    radius, multiple = 3, 2

    def forward(self, x):
        return F.interpolate(super().forward(F.max_pool2d(x, 2)), scale_factor=2)


def test_a_plain_stack_counted_by_hand():
    assert facts(Plain(), 2) == Facts(
        parameters=(90 + 5) + (5 + 5) + (10 + 2), multiply_adds=90.0 + 10, radius=1, multiple=1
    )


def test_at_half_size_each_pixel_costs_a_quarter():
    assert facts(Pooled(), 2).multiply_adds == (90 + 10) / 4


def test_work_done_once_a_call_would_be_counted_at_one_size():
    """Control: what the difference of two sizes takes away."""
    assert operations(Plain().to("meta"), 2, 4, 4) / 2 / 16 == 90 + 10 + 5 * 5 * 18 / 16


def test_a_weight_that_training_does_not_change_is_no_parameter():
    network = Plain()
    network.wide.requires_grad_(False)
    assert facts(network, 2).parameters == facts(Plain(), 2).parameters - 95


def test_the_receptive_field_is_the_radius_on_both_sides_of_a_pixel():
    assert Facts(parameters=0, multiply_adds=0.0, radius=17, multiple=1).receptive_field == 35


def joined(widths_below, skip, out):
    """Multiply-adds, a pixel, of a convolution of ↑h ‖ s: 9 taps of s, 16/4 of h instead of 9."""
    return 4 * widths_below * out + 9 * skip * out


def test_noise2noise_counted_by_hand_as_it_is_carried_out():
    down = 9 * 3 * 48 + 9 * 48**2 * sum(4.0**-level for level in range(6))
    up = sum(
        (joined(below, 48, 96) + 9 * 96**2) / 4**level
        for level, below in zip((4, 3, 2, 1), (48, 96, 96, 96), strict=True)
    )
    leave = joined(96, 3, 64) + 9 * (64 * 32 + 32 * 3)
    found = facts(NOISE2NOISE(3), 3)
    assert found.parameters == 991_203
    assert found.multiply_adds == down + up + leave
    nominal = (
        down + up + leave + 5 * (96 * 64 + 96 * 96 * (1 / 4 + 1 / 16 + 1 / 64) + 48 * 96 / 256)
    )
    assert found.multiply_adds < 0.75 * nominal


@pytest.mark.parametrize("norm", [None, "batch"])
def test_dncnn_and_ffdnet_counted_by_hand(norm):
    dncnn, ffdnet = facts(DnCNN(norm=norm)(3), 3), facts(FFDNet(norm=norm)(3), 3)
    assert dncnn.multiply_adds == 9 * (2 * 3 * 64 + 15 * 64**2)
    assert ffdnet.multiply_adds == 9 * (13 * 96 + 10 * 96**2 + 96 * 12) / 4
    assert (dncnn.receptive_field, ffdnet.receptive_field) == (35, 83)
    assert (dncnn.multiple, ffdnet.multiple) == (1, 2)


def test_the_network_is_left_as_it_is():
    network = DnCNN(depth=3, width=2, norm="batch")(1).train()
    before = {name: (tensor, tensor.clone()) for name, tensor in network.state_dict().items()}
    weights = list(network.parameters())
    facts(network, 1)
    assert network.training
    assert all(mine is now for mine, now in zip(weights, network.parameters(), strict=True))
    for name, tensor in network.state_dict().items():
        assert tensor.data_ptr() == before[name][0].data_ptr()
        assert torch.equal(tensor, before[name][1])


NETWORKS_BY_NAME = {kind: settings() for kind, settings in NETWORKS.items()} | dict(PRESETS)


@pytest.mark.parametrize("name", NETWORKS_BY_NAME)
def test_all_networks_that_have_a_name_have_facts_with_weights_and_without(name):
    settings = NETWORKS_BY_NAME[name]
    with torch.device("meta"):
        without = facts(settings(3), 3)
    assert without == facts(settings(3), 3)
    assert without.parameters > 0
    assert without.multiply_adds > 0
