"""How weights begin and move: schedules, initialisations and updates, by hand and by moments."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from noisepair.optim import (
    INITS,
    OPTIMIZERS,
    SCHEDULES,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Constant,
    Kaiming,
    Normal,
    Orthogonal,
    RMSprop,
    Sparse,
    Xavier,
    constant,
    convolutions,
    cosine,
    fans,
    rampdown,
    warmup,
)

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


@given(st.sampled_from([rampdown, cosine]), st.floats(0.03, 1), st.floats(0.03, 1))
def test_what_falls_only_falls(schedule, one, two):
    early, late = sorted((one, two))
    assert schedule(early) >= schedule(late)


@given(used, used)
def test_a_warm_up_only_rises(one, two):
    early, late = sorted((one, two))
    assert warmup(early) <= warmup(late)


@given(st.floats(0, 0.029))
def test_both_warm_starts_are_the_same(at):
    assert warmup(at) == cosine(at)


def test_rampdown_and_warmup_by_hand():
    assert [rampdown(at) for at in (0.0, 0.69, 0.7)] == pytest.approx([1, 1, 1])
    assert [rampdown(at) for at in (0.76, 0.85, 0.97)] == pytest.approx([0.8, 0.5, 0.1])
    assert rampdown(1.0) == rampdown(1.7) == 0
    assert [warmup(at) for at in (0.0, 0.003, 0.015)] == pytest.approx([0, 0.1, 0.5])
    assert warmup(0.03) == warmup(0.5) == warmup(1.0) == warmup(1.7) == 1


def test_every_schedule_is_listed():
    assert list(SCHEDULES) == ["constant", "cosine", "rampdown", "warmup"]


# — how weights begin —

EVERY = [
    Kaiming(),
    Kaiming(uniform=True),
    Xavier(),
    Xavier(uniform=False),
    Normal(),
    Constant(),
    Sparse(),
    Orthogonal(),
]


def small():
    """All that an initialisation may meet."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.BatchNorm2d(32),
        nn.ConvTranspose2d(32, 24, 2, stride=2),
        nn.Conv2d(24, 48, 3, stride=2, groups=2, bias=False),
        nn.ConvTranspose2d(48, 16, 3),
    )


def begun(init, seed=0, network=None, slope=0.1):
    network = network or small()
    init(network, torch.Generator().manual_seed(seed), slope)
    return network


def errors(values, variance):
    """How many standard errors mean and mean square are from 0 and from `variance`."""
    values = values.detach().double().flatten()
    root = len(values) ** 0.5
    mean = values.mean().abs() / (variance**0.5 / root)
    return max(mean, (values.square().mean() - variance).abs() / (values.square().std() / root))


def test_fans_by_hand():
    found = [fans(layer) for layer in convolutions(small())]
    assert found == [
        (3 * 9, 32 * 9),
        (32 * 4 / 4, 24 * 4),  # transposed: an output pixel adds one weight of each plane in
        (12 * 9, 24 * 9 / 4),
        (48 * 9, 16 * 9),
    ]


@pytest.mark.parametrize("layer", list(convolutions(small())), ids=str)
def test_fans_count_the_weights_that_a_pixel_meets(layer):
    """With all weights 1, an output is its count of inputs, and a slope its count of outputs."""
    layer = type(layer)(
        layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride,
        groups=layer.groups, bias=False,
    )  # fmt: skip
    nn.init.ones_(layer.weight)
    x = torch.ones(1, layer.in_channels, 36, 36, requires_grad=True)
    out = layer(x)
    out.sum().backward()
    for counts, fan in zip((out.detach(), x.grad), fans(layer), strict=True):
        assert counts[..., 6:-6, 6:-6].mean() == pytest.approx(fan)


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        (Kaiming(), lambda layer: 2 / (1 + 0.1**2) / fans(layer)[0]),
        (Kaiming(uniform=True), lambda layer: 2 / (1 + 0.1**2) / fans(layer)[0]),
        (Xavier(), lambda layer: 2 / sum(fans(layer))),
        (Xavier(uniform=False), lambda layer: 2 / sum(fans(layer))),
        (Normal(), lambda layer: 0.02**2),
        (Normal(std=0.5), lambda layer: 0.5**2),
    ],
)
def test_weights_have_the_variance_of_their_formula(init, variance):
    for layer in convolutions(begun(init)):
        assert errors(layer.weight, variance(layer)) < 5


def test_the_test_above_can_fail():
    for layer in convolutions(small()):  # as torch begins: uniform, of a sixth of that variance
        assert errors(layer.weight, 2 / (1 + 0.1**2) / fans(layer)[0]) > 5
    wrong = nn.init._calculate_fan_in_and_fan_out  # which takes the planes out for the planes in
    layer = begun(Kaiming())[4]
    assert errors(layer.weight, 2 / (1 + 0.1**2) / wrong(layer.weight)[0]) > 5


@pytest.mark.parametrize("init", [Kaiming, Xavier])
def test_a_box_has_its_bound_and_a_bell_has_none(init):
    for layer in convolutions(begun(init(uniform=True))):
        fan_in, fan_out = fans(layer)
        variance = 2 / 1.01 / fan_in if init is Kaiming else 2 / (fan_in + fan_out)
        bound = math.sqrt(3 * variance)
        assert 0.98 * bound < layer.weight.abs().max() <= bound
    for layer in convolutions(begun(init(uniform=False))):
        assert layer.weight.abs().max() > 2.5 * layer.weight.std()


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.2])
def test_kaiming_of_a_convolution_is_that_of_torch_to_the_last_bit(slope):
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 5, 1), nn.Conv2d(5, 6, 5, stride=2))
    begun(Kaiming(), 7, network, slope)
    rng = torch.Generator().manual_seed(7)
    for layer in network:
        expected = nn.init.kaiming_normal_(torch.empty_like(layer.weight), a=slope, generator=rng)
        assert torch.equal(layer.weight, expected)


def test_xavier_of_a_convolution_is_that_of_torch():
    layer = begun(Xavier(), 7, nn.Conv2d(3, 8, 3))
    rng = torch.Generator().manual_seed(7)
    torch.testing.assert_close(
        layer.weight.detach(), nn.init.xavier_uniform_(torch.empty(8, 3, 3, 3), generator=rng)
    )


def passed(init, make, count=4):
    """Variance after `count` layers and their LeakyReLUs, over that before, inside."""
    layers = nn.Sequential(*(make() for _ in range(count)))
    begun(init, 0, layers)
    h = torch.randn(4, 32, 40, 40, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = layers[0](h)[..., 8:-8, 8:-8].var()
        for layer in layers[:-1]:
            h = nn.functional.leaky_relu(layer(h), 0.1)
        return layers[-1](h)[..., 8:-8, 8:-8].var() / before


CONVOLUTIONS = [
    lambda: nn.Conv2d(32, 32, 3, padding=1),
    lambda: nn.ConvTranspose2d(32, 32, 3, padding=1),
]


@pytest.mark.parametrize("make", CONVOLUTIONS)
@pytest.mark.parametrize("init", [Kaiming(), Kaiming(uniform=True), Orthogonal()])
def test_variance_passes_through_a_convolution_and_its_leaky_relu(init, make):
    assert 0.5 < passed(init, make) < 2


def test_and_through_transposed_ones_that_double_the_side():
    assert 0.5 < passed(Kaiming(), lambda: nn.ConvTranspose2d(32, 32, 2, stride=2), 3) < 2


@pytest.mark.parametrize("make", CONVOLUTIONS)
def test_and_not_where_weights_are_small_or_sparse(make):
    assert passed(Normal(), make) < 0.2
    assert passed(Sparse(), make) < 0.2


@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_orthogonal_keeps_lengths_but_for_its_gains(gain):
    factor = gain**2 * 2 / 1.01
    shapes = [nn.Conv2d(3, 40, 3), nn.Conv2d(8, 16, 3), nn.ConvTranspose2d(16, 8, 2, stride=2)]
    for layer in begun(Orthogonal(gain=gain), 0, nn.Sequential(*shapes)):
        matrix = layer.weight.detach().flatten(1)
        short = matrix.T @ matrix if len(matrix) > matrix.shape[1] else matrix @ matrix.T
        torch.testing.assert_close(short, factor * torch.eye(len(short)), rtol=0, atol=1e-5)


def test_a_transposed_orthogonal_layer_keeps_the_length_of_a_whole_picture():
    layer = begun(Orthogonal(), 0, nn.ConvTranspose2d(16, 8, 2, stride=2))
    x = torch.randn(1, 16, 9, 9, generator=torch.Generator().manual_seed(0))
    assert layer(x).norm().item() == pytest.approx(x.norm().item() * (2 / 1.01) ** 0.5, rel=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 0.99])
def test_each_unit_has_its_exact_share_of_zeros(share):
    layers = [nn.Conv2d(1, 7, 3), nn.Conv2d(10, 6, 3), nn.ConvTranspose2d(10, 6, 2, stride=2)]
    for layer, fan in zip(
        begun(Sparse(sparsity=share), 0, nn.Sequential(*layers)), (9, 90, 40), strict=True
    ):
        turned = isinstance(layer, nn.ConvTranspose2d)
        units = (layer.weight.transpose(0, 1) if turned else layer.weight).flatten(1)
        left = max(1, round(fan * (1 - share)))
        assert (units != 0).sum(1).tolist() == [left] * len(units)


def test_the_weights_that_sparse_leaves_have_its_deviation_and_any_place():
    layer = begun(Sparse(std=0.05), 0, nn.Conv2d(40, 400, 3))
    assert errors(layer.weight[layer.weight != 0], 0.05**2) < 5
    counts = (layer.weight != 0).sum(0).double()  # of 400 units, each with a chance of 0.1
    assert abs(counts.std() / (400 * 0.1 * 0.9) ** 0.5 - 1) < 5 / (2 * counts.numel()) ** 0.5


def test_constant_leaves_all_weights_equal():
    for layer in convolutions(begun(Constant(value=0.25))):
        assert torch.equal(layer.weight, torch.full_like(layer.weight, 0.25))


@pytest.mark.parametrize("init", EVERY, ids=str)
def test_biases_are_zero_and_normalisations_are_left_as_torch_makes_them(init):
    network = begun(init)
    assert all(layer.bias is None or not layer.bias.any() for layer in convolutions(network))
    assert torch.equal(network[1].weight, torch.ones(32))
    assert torch.equal(network[1].bias, torch.zeros(32))
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("init", EVERY, ids=str)
def test_the_generator_alone_decides_how_weights_begin(init):
    def weights(seed):
        torch.manual_seed(seed + 100)
        network = small()
        before = torch.get_rng_state()
        begun(init, seed, network)
        assert torch.equal(before, torch.get_rng_state())  # nothing was drawn from it
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    first = weights(0)
    torch.rand(3)
    assert torch.equal(first, weights(0))
    assert torch.equal(first, weights(1)) == isinstance(init, Constant)


def test_that_test_can_fail():
    """torch's own sparse weights take their zeros from the global generator."""
    before = torch.get_rng_state()
    nn.init.sparse_(torch.empty(9, 4), 0.5, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Normal, {"std": 0.0}),
        (Sparse, {"sparsity": 1.0}),
        (Sparse, {"std": -1.0}),
        (Orthogonal, {"gain": 0.0}),
        (Constant, {"value": math.nan}),
        (Kaiming, {"gain": 2.0}),
    ],
)
def test_an_initialisation_out_of_range_is_refused(kind, wrong):
    with pytest.raises(ValidationError):
        kind(**wrong)


def test_every_initialisation_is_listed_under_its_own_name():
    names = ["kaiming", "xavier", "normal", "constant", "sparse", "orthogonal"]
    assert [(name, kind().kind) for name, kind in INITS.items()] == [(n, n) for n in names]


# — how they move —


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


def sgd_by_hand(slopes, lr=0.1, momentum=0.9, nesterov=True, decay=0.0):
    """Sutskever et al. 2013, eq. 3 and 4, seen from the point that the momentum leads to."""
    weight, velocity = 2.0, 0.0
    for slope in slopes:
        slope += decay * weight
        velocity = momentum * velocity + slope
        weight -= lr * (slope + momentum * velocity if nesterov else velocity)
    return weight


def adagrad_by_hand(slopes, lr=0.1):
    weight, total = 2.0, 0.0
    for slope in slopes:
        total += slope**2
        weight -= lr * slope / (total**0.5 + 1e-10)
    return weight


def rmsprop_by_hand(slopes, lr=0.1, alpha=0.99, momentum=0.0):
    weight, square, velocity = 2.0, 0.0, 0.0
    for slope in slopes:
        square = alpha * square + (1 - alpha) * slope**2
        velocity = momentum * velocity + slope / (square**0.5 + 1e-8)
        weight -= lr * velocity
    return weight


def adadelta_by_hand(slopes, lr=0.1, rho=0.9):
    """Zeiler 2012, algorithm 1."""
    weight, square, steps = 2.0, 0.0, 0.0
    for slope in slopes:
        square = rho * square + (1 - rho) * slope**2
        step = ((steps + 1e-6) / (square + 1e-6)) ** 0.5 * slope
        steps = rho * steps + (1 - rho) * step**2
        weight -= lr * step
    return weight


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (SGD(), sgd_by_hand(SLOPES)),
        (SGD(momentum=0.5), sgd_by_hand(SLOPES, momentum=0.5)),
        (SGD(nesterov=False), sgd_by_hand(SLOPES, nesterov=False)),
        (SGD(momentum=0.0, nesterov=False), 2 - 0.1 * sum(SLOPES)),
        (SGD(weight_decay=0.3), sgd_by_hand(SLOPES, decay=0.3)),
        (Adagrad(), adagrad_by_hand(SLOPES)),
        (RMSprop(), rmsprop_by_hand(SLOPES)),
        (RMSprop(alpha=0.9, momentum=0.5), rmsprop_by_hand(SLOPES, alpha=0.9, momentum=0.5)),
        (Adadelta(), adadelta_by_hand(SLOPES)),
        (Adadelta(rho=0.5), adadelta_by_hand(SLOPES, rho=0.5)),
    ],
    ids=str,
)
def test_the_others_walk_as_their_papers_say(optimizer, expected):
    assert moved(optimizer, SLOPES) == pytest.approx(expected, rel=1e-12)


def test_a_wrong_setting_walks_elsewhere():
    assert moved(SGD(), SLOPES) != pytest.approx(sgd_by_hand(SLOPES, nesterov=False), rel=1e-6)
    assert moved(RMSprop(), SLOPES) != pytest.approx(rmsprop_by_hand(SLOPES, alpha=0.9), rel=1e-6)
    assert moved(Adadelta(), SLOPES) != pytest.approx(adadelta_by_hand(SLOPES, rho=0.95), rel=1e-6)


def test_nesterov_on_a_bowl_is_momentum_with_the_slope_taken_ahead():
    """Sutskever's own form, with the look ahead: on f = x²/2 the slope at y is y."""
    position, velocity = 2.0, 0.0
    weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    steps = SGD(momentum=0.8)([weight], 0.1)
    for _ in range(3):
        ahead = position + 0.8 * velocity
        assert float(weight.detach()) == pytest.approx(ahead, rel=1e-12)
        velocity = 0.8 * velocity - 0.1 * ahead
        position += velocity
        steps.zero_grad()
        (weight.square() / 2).sum().backward()
        steps.step()


def test_nesterov_without_momentum_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"momentum is 0\. Give a momentum such as 0\.9, or neste"):
        SGD(momentum=0.0)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Adam, {"beta1": 1.0}),
        (Adam, {"beta2": -0.1}),
        (Adam, {"weight_decay": 0.1}),
        (AdamW, {"weight_decay": 2.0}),
        (SGD, {"momentum": 1.0}),
        (RMSprop, {"alpha": 1.0}),
        (Adadelta, {"rho": -0.1}),
        (Adagrad, {"rho": 0.9}),
    ],
)
def test_settings_out_of_range_are_refused(kind, wrong):
    with pytest.raises(ValidationError):
        kind(**wrong)


def test_every_optimizer_is_listed_under_its_own_name():
    names = ["adam", "adamw", "sgd", "adagrad", "rmsprop", "adadelta"]
    assert [(name, kind().kind) for name, kind in OPTIMIZERS.items()] == [(n, n) for n in names]
