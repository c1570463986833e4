"""The networks of descriptors, counted by hand and run once more by the textbook."""

import copy
import functools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from noisepair.descriptors.networks import NETWORKS, Course, HardNet, HyNet, Quick, ResNet50
from noisepair.descriptors.networks import _describing as describing
from noisepair.descriptors.networks.hynet import FRN, TLU
from noisepair.optim import Kaiming

SMALL = Quick(half=(8,), quarter=(8,))
WIDTHS = [(1, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)]
LAST = 64 * 128 * 128  # weights of the last convolution


def count(network):
    return sum(p.numel() for p in network.parameters())


def drawn(kind, seed=0):
    """A network in float64 whose normalisations have numbers of their own."""
    return copy.deepcopy(drawn_once(kind, seed))


@functools.cache
def drawn_once(kind, seed):
    network = kind().double().eval()
    rng = torch.Generator().manual_seed(seed)
    Kaiming()(network, rng, network.slope)
    for name, value in network.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1, generator=rng)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=rng)
        elif name.endswith("bias"):
            value.normal_(0, 0.1, generator=rng)
    return network


def patches(count=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 32, 32, dtype=torch.float64, generator=rng)


def run(network, x):
    with torch.no_grad():
        return network(x)


def normed(x, norm):
    scale, shift = (1, 0) if norm.weight is None else (norm.weight, norm.bias)
    mean, variance = norm.running_mean[:, None, None], norm.running_var[:, None, None]
    x = (x - mean) / (variance + norm.eps).sqrt()
    return x if norm.weight is None else x * scale[:, None, None] + shift[:, None, None]


# — counted —


def test_hardnet_has_the_1_334_560_parameters_of_the_paper():
    assert count(HardNet()()) == 9 * sum(i * o for i, o in WIDTHS) + LAST == 1_334_560


def test_the_courses_has_biases_and_normalisations_with_numbers_beside():
    convolutions = sum(9 * i * o + o for i, o in WIDTHS) + LAST + 128
    assert count(Course()()) == convolutions + 2 * sum(o for _, o in WIDTHS) == 1_336_032


def test_hynet_has_three_numbers_a_channel_beside_its_convolutions():
    convolutions = sum(9 * i * o + o for i, o in WIDTHS) + LAST
    assert count(HyNet()()) == convolutions + 3 * (1 + sum(o for _, o in WIDTHS))


def test_resnet_50_has_50_layers_and_as_many_numbers_as_counted_by_hand():
    network = ResNet50()()
    expected = 49 * 64 + 2 * 64
    below = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for number in range(blocks):
            expected += below * width + 9 * width * width + width * 4 * width + 2 * 6 * width
            expected += 0 if number else below * 4 * width + 2 * 4 * width
            below = 4 * width
    assert count(network) == expected + 2048 * 128 + 128 == 23_764_032
    layers = [m for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and "past" not in n]
    assert len(layers) == 50


def multiply_adds(kind):
    network = kind().eval().to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 1, 32, 32, device="meta"))
    return counter.get_total_flops() // 2


def test_quick_does_less_than_a_third_of_the_multiplications_of_hardnet():
    at_full = 9 * 1024 * (32 + 32 * 32)
    at_half = 9 * 256 * (32 * 64 + 64 * 64)
    assert multiply_adds(HardNet()) == at_full + at_half + 9 * 64 * (64 * 128 + 128**2) + LAST
    assert multiply_adds(Quick()) < multiply_adds(HardNet()) / 3
    assert count(Quick()()) <= 3_000_000


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_docs_say_how_large_a_network_is(kind):
    page = Path(__file__).parents[2] / "docs" / "descriptors.md"
    size, work = f"{count(NETWORKS[kind]()()):,}", f"{multiply_adds(NETWORKS[kind]()) / 1e6:.1f} M"
    assert f"| `{kind}` | {size} | {work} |" in page.read_text(encoding="utf-8")


# — names, so that the weights of others fit —


def test_the_layers_of_hardnet_are_called_as_its_authors_call_them():
    shapes = {name: tuple(x.shape) for name, x in HardNet()().state_dict().items()}
    expected = {}
    for number, (i, o) in enumerate(WIDTHS):
        expected[f"features.{3 * number}.weight"] = (o, i, 3, 3)
        expected[f"features.{3 * number + 1}.running_mean"] = (o,)
    expected["features.19.weight"] = (128, 128, 8, 8)
    expected["features.20.running_var"] = (128,)
    assert expected.items() <= shapes.items()
    assert len(shapes) == 7 + 3 * 7


def test_the_layers_of_hynet_are_called_as_its_authors_call_them():
    shapes = {name: tuple(x.shape) for name, x in HyNet()().state_dict().items()}
    expected = {
        "layer1.0.weight": (1, 1, 1, 1), "layer1.0.eps": (1,), "layer1.1.tau": (1, 1, 1, 1),
        "layer1.2.bias": (32,), "layer1.3.bias": (1, 32, 1, 1), "layer1.4.tau": (1, 32, 1, 1),
        "layer3.0.weight": (64, 32, 3, 3), "layer6.2.tau": (1, 128, 1, 1),
        "layer7.1.weight": (128, 128, 8, 8), "layer7.2.running_mean": (128,),
    }  # fmt: skip
    assert expected.items() <= shapes.items()
    assert "layer7.1.bias" not in shapes


# — the function, by another road —


def standardised(x):
    flat = x.flatten(1)
    mean = flat.mean(1)
    deviation = ((flat - mean[:, None]).square().sum(1) / (32 * 32 - 1)).sqrt() + 1e-7
    return (x - mean[:, None, None, None]) / deviation[:, None, None, None]


def hardnet_by_the_textbook(network, x, padded=True):
    h = standardised(x)
    layers = list(network.features)
    for conv, norm, _ in zip(*[iter(layers[:18])] * 3, strict=True):
        stride = 2 if conv.out_channels > conv.in_channels > 1 else 1
        h = normed(F.conv2d(h, conv.weight, stride=stride, padding=1), norm).clamp(min=0)
    h = normed(F.conv2d(h, layers[19].weight), layers[20]).flatten(1)
    return h / h.square().sum(1, keepdim=True).sqrt()


def test_hardnet_is_what_the_paper_says():
    network, x = drawn(HardNet()), patches()
    by_hand = hardnet_by_the_textbook(network, x).detach()
    torch.testing.assert_close(run(network, x), by_hand, rtol=0, atol=1e-12)
    other = hardnet_by_the_textbook(drawn(HardNet(), 1), x).detach()
    assert (run(network, x) - other).abs().max() > 0.01


def test_slopes_do_not_go_through_the_mean_and_the_deviation_of_a_patch():
    x = patches(2).requires_grad_()
    probe = patches(2, seed=1)
    (describing.standardised(x) * probe).sum().backward()
    deviation = x.detach().flatten(1).std(1)[:, None, None, None]
    torch.testing.assert_close(x.grad, probe / (deviation + 1e-7))


def same(x, conv, stride):
    """Keras' `same`: as many outputs as ⌈n / stride⌉; of what lacks, the smaller half before."""
    lacking = max(0, (math.ceil(x.shape[2] / stride) - 1) * stride + 3 - x.shape[2])
    before = lacking // 2
    x = F.pad(x, (before, lacking - before) * 2)
    return F.conv2d(x, conv.weight, conv.bias, stride=stride)


def course_by_the_notebook(network, x, convolve):
    h, convs = 255 * x, [m for m in network.layers if isinstance(m, nn.Conv2d)]
    norms = [m for m in network.layers if isinstance(m, nn.BatchNorm2d)]
    for conv, norm in zip(convs, norms, strict=False):
        stride = 2 if conv.out_channels > conv.in_channels > 1 else 1
        h = normed(convolve(h, conv, stride), norm).clamp(min=0)
    return F.conv2d(h, convs[-1].weight, convs[-1].bias).flatten(1)


def test_the_courses_pads_as_keras_does_and_leaves_lengths_as_they_come():
    network, x = drawn(Course()), patches()
    expected = course_by_the_notebook(network, x, same).detach()
    torch.testing.assert_close(run(network, x), expected, rtol=1e-10, atol=1e-9)

    def as_torch(h, conv, stride):
        return F.conv2d(h, conv.weight, conv.bias, stride=stride, padding=1)

    otherwise = course_by_the_notebook(network, x, as_torch).detach()
    assert (run(network, x) - otherwise).abs().max() > 0.1, "padding as torch does it would show"
    norms = [m for m in network.layers if isinstance(m, nn.BatchNorm2d)]
    assert {(m.eps, round(1 - m.momentum, 10), m.affine) for m in norms} == {(1e-3, 0.99, True)}
    assert len(norms) == 6, "none after the last convolution"


def test_what_report_004_left_as_it_was_can_be_changed():
    x = patches()
    assert run(drawn(Course(unit=True)), x).norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    levels, standard = drawn(Course()), drawn(Course(input="standardised"))
    assert (run(levels, x) - run(levels, x / 2)).abs().max() > 0.1
    torch.testing.assert_close(run(standard, x), run(standard, x / 2), rtol=1e-4, atol=1e-4)


def test_filter_response_normalisation_by_hand():
    layer = FRN(2).double()
    layer.weight.data = torch.tensor([2.0, 3.0], dtype=torch.float64).view(1, 2, 1, 1)
    layer.bias.data = torch.tensor([1.0, -1.0], dtype=torch.float64).view(1, 2, 1, 1)
    x = torch.tensor([[[[3.0, 4.0]], [[1.0, -1.0]]]], dtype=torch.float64)
    root = 12.5**0.5  # of (9 + 16) / 2
    expected = torch.tensor([[[[6 / root + 1, 8 / root + 1]], [[2.0, -4.0]]]], dtype=torch.float64)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
    assert TLU(2)(torch.tensor([[[[-3.0]], [[0.5]]]])).flatten().tolist() == [-1, 0.5]


def test_quick_sees_each_2x2_cell_as_four_planes():
    """Its first convolution reads 6×6 pixels with stride 2: no farther, and all of them."""
    network = drawn(Quick(half=(8,), quarter=(), dropout=0))
    x = patches(1)
    changed = []
    for row in range(12, 22):
        other = x.clone()
        other[0, 0, row, 16] += 1
        first = network.features[:2]
        moved = (first(other) - first(x)).abs().amax((0, 1, 3)).nonzero().flatten().tolist()
        changed.append(moved)
    assert changed[4] == [7, 8, 9] == changed[5], "both rows of a cell reach the same three"
    assert changed[3] == [6, 7, 8]


# — what holds for all —


@pytest.mark.parametrize("kind", NETWORKS)
def test_patches_go_in_and_128_numbers_come_out(kind):
    network = NETWORKS[kind]()().eval()
    out = run(network, torch.rand(2, 1, 32, 32))
    assert out.shape == (2, 128)
    assert out.dtype == torch.float32
    assert network.patch_size == 32
    flat = run(network, torch.full((1, 1, 32, 32), 0.5))
    assert flat.isfinite().all(), "a patch without anything in it"


@pytest.mark.parametrize("kind", [HardNet(), HyNet(), SMALL], ids=lambda s: s.kind)
@given(gain=st.floats(0.2, 3), level=st.floats(-1, 1))
@settings(max_examples=4)
def test_light_does_not_matter(kind, gain, level):
    """Of gain and level HardNet and quick take off both, HyNet the gain."""
    network, x = drawn(kind), patches(2)
    level = 0.0 if kind.kind == "hynet" else level
    torch.testing.assert_close(run(network, gain * x + level), run(network, x), rtol=0, atol=1e-4)
    assert run(network, x).norm(dim=1).tolist() == pytest.approx([1, 1])
    assert (run(network, x) - run(network, x.flip(2))).abs().max() > 1e-3


@pytest.mark.parametrize("kind", [SMALL, HyNet(), Course()], ids=lambda s: s.kind)
def test_in_16_bits_a_descriptor_points_the_same_way(kind):
    network, x = drawn(kind).float(), patches().float()
    with torch.autocast("cpu", torch.bfloat16):
        rough = run(network, x)
    assert rough.dtype == torch.float32
    assert F.cosine_similarity(rough, run(network, x)).min() > 0.99


@pytest.mark.parametrize("kind", [HardNet(), SMALL, HyNet()], ids=lambda s: s.kind)
def test_every_parameter_is_felt(kind):
    torch.manual_seed(0)
    network = drawn(kind).train()
    (network(4 * patches(4) - 2) * torch.randn(4, 128, dtype=torch.float64)).sum().backward()
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (HardNet, {"dropout": 1}), (HardNet, {"unit": False}), (Quick, {"half": ()}),
        (Quick, {"quarter": (), "eighth": (8,)}), (Course, {"input": "raw"}),
        (Course, {"slope": -1}), (ResNet50, {"depth": 101}),
    ],
)  # fmt: skip
def test_settings_that_no_network_can_have_are_refused(kind, wrong):
    with pytest.raises(ValidationError):
        kind(**wrong)
