"""How weights begin and move: schedules, variance, and decay by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from noisepair.models import UNet
from noisepair.optim import OPTIMIZERS, SCHEDULES, Adam, AdamW, constant, cosine, kaiming

used = st.floats(0, 1)


@given(used)
def test_constant_stays(at):
    assert constant(at) == 1


@given(used)
def test_a_schedule_is_a_factor(at):
    for schedule in SCHEDULES.values():
        assert 0 <= schedule(at) <= 1


@given(st.floats(0.03, 1), st.floats(0.03, 1))
def test_cosine_only_falls_after_its_warm_start(one, two):
    early, late = sorted((one, two))
    assert cosine(early) >= cosine(late)


def test_cosine_rises_in_a_straight_line_and_ends_at_zero_even_when_late():
    assert [cosine(at) for at in (0.0, 0.003, 0.015)] == pytest.approx([0, 0.1, 0.5])
    assert cosine(0.03) == 1
    assert cosine(1.0) == cosine(1.7) == pytest.approx(0, abs=1e-15)


def test_weights_keep_the_variance_of_what_passes_and_biases_are_zero():
    network = UNet()(3)
    kaiming(network, torch.Generator().manual_seed(0))
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert len(layers) == 15
    for layer in layers:
        values = layer.weight.detach().double().flatten()
        expected = 2 / (1 + 0.1**2) / (layer.in_channels * 9)
        error = values.square().std() / len(values) ** 0.5
        assert abs(values.square().mean() - expected) < 5 * error
        assert abs(values.mean()) < 5 * values.std() / len(values) ** 0.5
        assert layer.bias.abs().max() == 0


def test_the_test_above_can_fail():
    layer = UNet()(3).bottom  # as torch begins: uniform, of a sixth of that variance
    values = layer.weight.detach().double().flatten()
    expected = 2 / (1 + 0.1**2) / (layer.in_channels * 9)
    assert abs(values.square().mean() - expected) > 5 * values.square().std() / len(values) ** 0.5


def test_variance_passes_through_a_convolution_and_its_leaky_relu():
    layers = nn.Sequential(*(nn.Conv2d(32, 32, 3, padding=1) for _ in range(4)))
    kaiming(layers, torch.Generator().manual_seed(0))
    h = torch.randn(4, 32, 48, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = layers[0](h)[..., 8:-8, 8:-8].var()
        for layer in layers[:-1]:
            h = nn.functional.leaky_relu(layer(h), 0.1)
        after = layers[-1](h)[..., 8:-8, 8:-8].var()
    assert 0.5 < after / before < 2


def test_the_generator_alone_decides_how_weights_begin():
    def weights(seed):
        torch.manual_seed(seed + 100)
        network = UNet(channels=(4,))(1)
        kaiming(network, torch.Generator().manual_seed(seed))
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    first = weights(0)
    torch.rand(3)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))


def moved(optimizer, slopes, lr=0.1):
    """A weight of 2, after steps along given slopes."""
    weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    steps = optimizer([weight], lr)
    for slope in slopes:
        weight.grad = torch.tensor([slope], dtype=torch.float64)
        steps.step()
    return float(weight.detach())


@pytest.mark.parametrize("slope", [1e-3, 1.0, -50.0])
def test_the_first_step_of_adam_is_the_learning_rate_whatever_the_slope(slope):
    sign = 1 if slope > 0 else -1
    assert moved(Adam(), [slope]) == pytest.approx(2 - 0.1 * sign, abs=1e-5)


def by_hand(slopes, lr=0.1, beta1=0.9, beta2=0.99, decay=0.0):
    """Kingma & Ba 2015, algorithm 1; decay as in Loshchilov & Hutter 2019, algorithm 2."""
    weight, mean, square = 2.0, 0.0, 0.0
    for t, slope in enumerate(slopes, 1):
        weight -= lr * decay * weight
        mean = beta1 * mean + (1 - beta1) * slope
        square = beta2 * square + (1 - beta2) * slope**2
        weight -= lr * (mean / (1 - beta1**t)) / ((square / (1 - beta2**t)) ** 0.5 + 1e-8)
    return weight


SLOPES = [1.0, -3.0, 0.5, 2.0]


def test_adam_walks_as_its_paper_says():
    assert moved(Adam(), SLOPES) == pytest.approx(by_hand(SLOPES), rel=1e-12)
    assert moved(Adam(beta1=0.5, beta2=0.9), SLOPES) == pytest.approx(
        by_hand(SLOPES, beta1=0.5, beta2=0.9), rel=1e-12
    )
    assert moved(Adam(), SLOPES) != pytest.approx(by_hand(SLOPES, beta2=0.999), rel=1e-6)


def test_adamw_is_adam_that_also_shrinks_weights():
    assert moved(AdamW(weight_decay=0.0), SLOPES) == pytest.approx(moved(Adam(), SLOPES), rel=1e-12)
    assert moved(AdamW(weight_decay=0.3), SLOPES) == pytest.approx(
        by_hand(SLOPES, decay=0.3), rel=1e-12
    )
    assert moved(AdamW(weight_decay=0.3), [0.0]) == pytest.approx(2 * (1 - 0.03))
    assert moved(Adam(), [0.0]) == 2


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Adam, {"beta1": 1.0}),
        (Adam, {"beta2": -0.1}),
        (Adam, {"weight_decay": 0.1}),
        (AdamW, {"weight_decay": 2.0}),
    ],
)
def test_settings_out_of_range_are_refused(kind, wrong):
    with pytest.raises(ValidationError):
        kind(**wrong)


def test_every_optimizer_is_listed_under_its_own_name():
    assert {name: kind().kind for name, kind in OPTIMIZERS.items()} == {
        "adam": "adam",
        "adamw": "adamw",
    }
