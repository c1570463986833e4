"""The judge judged: what is right passes, and what is planted is named, with its factor."""

import json
from functools import cache

import pytest
import torch

from noisepair.errors import InputError
from noisepair.scratch import (
    L1,
    MSE,
    AvgPool2d,
    Concat,
    Conv2d,
    Identity,
    Joined,
    LeakyReLU,
    MaxPool2d,
    Module,
    NearestUpsampling,
    Padded,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    TransposeConv2d,
    UNetLevel,
    Upsampling,
    without_first_gradient,
)
from noisepair.scratch.check import check


def drawn(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def rng():
    return torch.Generator().manual_seed(0)


X = drawn(2, 2, 4, 6)


def conv(planes_in=2, planes_out=2, stride=1):
    return Conv2d(planes_in, planes_out, 3, stride, 1, generator=rng())


def unet(entering=False):
    join = Joined(2, 2, 2, 3, padding=1, generator=rng())
    inside = Sequential(conv(), LeakyReLU(0.1))
    encode = Sequential(conv(), ReLU())
    return UNetLevel(encode, MaxPool2d(2), inside, join, conv(), entering)


def course():
    """The network of the course's second project, small."""
    down = (conv(2, 3, 2), ReLU(), conv(3, 4, 2), ReLU())
    up = [Upsampling(a, b, 3, 2, 1, generator=rng()) for a, b in ((4, 3), (3, 2))]
    return Sequential(*down, up[0], ReLU(), up[1], Sigmoid())


def asked(module, *inputs):
    """What is wrong, (check, term) with the factor, and the report in words."""
    report = check(module, *inputs or (X,))
    return {(one.check, one.term): one.factor for one in report.wrong}, str(report)


def wrong(module, *inputs):
    return asked(module, *inputs)[0]


# — what is right —

RIGHT = {
    "conv": (conv(), X),
    "conv, uneven": (Conv2d(2, 3, (3, 2), (2, 1), (1, 0), (1, 2), generator=rng()), X),
    "conv, no bias": (Conv2d(2, 3, 3, bias=False, generator=rng()), X),
    "conv, much padding": (Conv2d(2, 1, 3, padding=4, generator=rng()), X),
    "conv, many planes": (Conv2d(64, 64, 3, padding=1, generator=rng()), drawn(1, 64, 4, 4)),
    "transposed": (TransposeConv2d(2, 3, 4, 2, 1, 1, generator=rng()), X),
    "nearest": (NearestUpsampling((2, 3)), X),
    "upsampling": (Upsampling(2, 3, 3, 2, 1, generator=rng()), X),
    "joined": (Joined(2, 1, 3, 3, padding=1, generator=rng()), X, drawn(2, 1, 8, 12)),
    "max": (MaxPool2d(2), X),
    "max, overlapping": (MaxPool2d(3, 2, 1), X),
    "avg": (AvgPool2d(2), X),
    "avg, overlapping": (AvgPool2d(3, 2, 1), X),
    "relu": (ReLU(), X - 0.5),
    "relu in place": (ReLU(inplace=True), X - 0.5),
    "leaky": (LeakyReLU(0.1), X - 0.5),
    "leaky in place": (LeakyReLU(0.1, inplace=True), X - 0.5),
    "sigmoid": (Sigmoid(), X),
    "identity": (Identity(), X),
    "one value": (Sigmoid(), torch.tensor(0.5)),
    "mse": (MSE(), X, drawn(2, 2, 4, 6, seed=1)),
    "l1": (L1(), X, drawn(2, 2, 4, 6, seed=1)),
    "residual": (Residual(Sequential(conv(), ReLU(inplace=True)), subtract=True), X),
    "concat": (Concat(Identity(), conv(2, 1)), X),
    "padded": (Padded(Sequential(AvgPool2d(4), NearestUpsampling(4)), 4), X),
    "unet": (unet(), X),
    "unet, skip of what enters": (unet(entering=True), X),
    "course": (course(), drawn(1, 2, 8, 8)),
}


@cache
def report_on(name):
    return check(*RIGHT[name])


@pytest.mark.parametrize("name", RIGHT)
def test_every_layer_holds(name):
    report = report_on(name)
    assert report.ok, str(report)
    assert "torch" in {one.check for one in report.findings}, "torch has all of these"


@pytest.mark.parametrize("name", ["conv", "transposed", "nearest", "upsampling", "avg"])
def test_where_a_layer_is_straight_the_adjoint_identity_holds_to_rounding(name):
    errors = [one.error for one in report_on(name).findings if one.check == "adjoint"]
    assert errors
    assert max(errors) < 1e-13


@pytest.mark.parametrize("name", ["relu", "sigmoid", "max", "mse"])
def test_where_it_is_not_only_differences_are_asked(name):
    checks = {one.check for one in report_on(name).findings}
    assert "adjoint" not in checks
    assert "differences" in checks


@pytest.mark.parametrize("x", [torch.zeros(2, 2, 4, 6), torch.ones(2, 2, 4, 6), X.round()])
@pytest.mark.parametrize("layer", [ReLU(), LeakyReLU(), MaxPool2d(2), Sequential(conv(), ReLU())])
def test_inputs_that_lie_on_kinks_give_no_false_alarm(layer, x):
    assert check(layer, x).ok


class Wave(Module):
    """Ten thousand times as steep, and as bent, as what is usual."""

    def forward(self, x):
        return self.save((1e4 * x).sin(), x)

    def backward(self, d_out):
        (x,) = self.recall(d_out)
        return 1e4 * (1e4 * x).cos() * d_out


def test_nor_does_a_function_that_bends_within_a_step():
    assert check(Wave(), X).ok


def test_a_module_that_was_put_to_eval_is_asked_all_the_same():
    assert check(conv().eval(), X).ok


def test_a_loss_of_equal_pictures_gives_none_either():
    assert check(L1(), X, X).ok


@pytest.mark.parametrize("seed", range(5))
def test_nor_does_another_draw(seed):
    report = check(Sequential(conv(), ReLU(), MaxPool2d(2), conv()), X, seed=seed)
    assert report.ok, str(report)


def test_a_saturated_network_is_said_to_be_too_flat_not_wrong():
    model = Sequential(conv(), Sigmoid())
    model[0].weight.mul_(1e-3)
    model[0].bias.fill_(36)  # the slope of a sigmoid is 2e-16 there
    report = check(model, X)
    assert report.ok
    assert "0.d_bias is too small here to be measured" in str(report)


def test_a_gradient_that_nobody_asks_for_may_be_absent():
    model = course()
    without_first_gradient(model)
    report = check(model, drawn(1, 2, 8, 8))
    assert report.ok, str(report)
    assert "d_x is not asked for, as `first` says" in str(report)


# — the three bugs of the seed —


class StrayBias(Conv2d):
    """The gradient of the bias goes to an attribute of the class."""

    def backward(self, d_out):
        before = self.d_bias.clone()
        d_x = super().backward(d_out)
        StrayBias.dl_bias = self.d_bias - before
        self.d_bias.copy_(before)
        return d_x


class MeanNearest(NearestUpsampling):
    """Backward undoes the upsampling, which is not its adjoint."""

    def backward(self, d_out):
        return super().backward(d_out) / 4


class MeanUpsampling(Upsampling):
    def backward(self, d_out):
        return super().backward(d_out) / 4


class ForgottenConv(Upsampling):
    """zero_grad clears a copy, and the convolution inside keeps its gradients."""

    def zero_grad(self):
        for _, gradient in self.param():
            gradient.clone().zero_()


def test_a_bias_gradient_that_goes_to_the_class_never_arrives():
    model = StrayBias(2, 3, 3, generator=rng())
    found, text = asked(model)
    gradient = {"adjoint", "differences", "torch", "second shape"}
    assert found == {(name, "d_bias"): 0.0 for name in gradient}
    assert "d_bias is 0 times the true gradient: it never arrives" in text


@pytest.mark.parametrize(
    "model", [MeanNearest(2), MeanUpsampling(2, 3, 3, 2, 1, generator=rng())], ids=type
)
def test_upsampling_that_goes_back_by_the_mean_is_a_quarter_of_the_adjoint(model):
    found, text = asked(model)
    gradient = {"adjoint", "differences", "torch", "second shape"}
    assert set(found) == {(name, "d_x") for name in gradient}
    assert list(found.values()) == pytest.approx([0.25] * len(found))
    words = "d_x is 0.25 times the true gradient: 1/4, as of a mean where the adjoint is a sum"
    assert words in text


def test_two_such_upsamplings_leave_a_sixteenth_to_the_first_layer():
    found = wrong(Sequential(conv(), MeanNearest(2), ReLU(), MeanNearest(2), conv()))
    assert found["differences", "0.d_weight"] == pytest.approx(1 / 16)
    assert found["torch", "0.d_bias"] == pytest.approx(1 / 16)
    assert not any(term.startswith("4.") for _, term in found)


def test_a_zero_grad_that_clears_a_copy_is_named_with_the_layer_it_misses():
    found, text = asked(ForgottenConv(2, 3, 3, 2, 1, generator=rng()))
    assert found == {("zero_grad", f"1.d_{name}"): pytest.approx(2) for name in ("weight", "bias")}
    assert "1.d_weight is not cleared by zero_grad:" in text
    assert "the next pass makes it 2 times its own" in text


class Shallow(Sequential):
    """zero_grad asks the layers that it holds, and these do not ask theirs."""

    def zero_grad(self):
        for part in self.chain:
            for name in part.weights:
                getattr(part, f"d_{name}").zero_()


def test_a_zero_grad_that_stops_one_floor_down_is_found():
    found = wrong(Shallow(conv(), Residual(conv())))
    assert set(found) == {("zero_grad", f"1.inner.d_{name}") for name in ("weight", "bias")}


# — others, one wrong each —


class Overwrites(Conv2d):
    def backward(self, d_out):
        self.d_weight.zero_()
        return super().backward(d_out)


class Turned(Conv2d):
    def backward(self, d_out):
        before = self.d_weight.clone()
        d_x = super().backward(d_out)
        self.d_weight.copy_(before + (self.d_weight - before).mT)
        return d_x


class Doubled(Conv2d):
    def backward(self, d_out):
        self.d_bias += d_out.sum((0, 2, 3))
        return super().backward(d_out)


class Negative(ReLU):
    def backward(self, d_out):
        return -super().backward(d_out)


class CopiedWeights(Conv2d):
    def param(self):
        return [(value.clone(), gradient) for value, gradient in super().param()]


class CopiedGradients(Conv2d):
    def param(self):
        return [(value, gradient.clone()) for value, gradient in super().param()]


class Rebinds(Conv2d):
    def backward(self, d_out):
        self.d_weight = self.d_weight.clone()
        return super().backward(d_out)


class Meddles(Conv2d):
    def forward(self, x):
        x += 1
        return super().forward(x)


class Decays(Conv2d):
    def backward(self, d_out):
        d_x = super().backward(d_out)
        self.weight *= 0.9
        return d_x


class Meddling(Sigmoid):
    def backward(self, d_out):
        d_out *= 1.5
        return super().backward(d_out / 1.5)


class OneBranch(Concat):
    def backward(self, d_out):
        (widths,) = self.recall(d_out)
        parts = zip(self.branches, d_out.split(widths, 1), strict=True)
        return next(branch.backward(part) for branch, part in parts)


class Lost(Conv2d):
    def backward(self, d_out):
        super().backward(d_out)


class Border(NearestUpsampling):
    """One pixel of many is wrong."""

    def backward(self, d_out):
        d_x = super().backward(d_out)
        d_x[:, :, 0, 0] *= 0.9
        return d_x


class WrongShape(NearestUpsampling):
    def backward(self, d_out):
        return super().backward(d_out).flatten(2)


class HalfFast(Conv2d):
    def backward(self, d_out):
        return super().backward(d_out) * (0.5 if self.fast else 1.0)


class Counts(Sigmoid):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x + self.calls)


class Remembers(Sigmoid):
    """The size of the first batch stays in use."""

    size = None

    def forward(self, x):
        self.size = self.size or x.shape
        return super().forward(x[: self.size[0]])


class Views(Sigmoid):
    def forward(self, x):
        return super().forward(x.view(-1)).view(x.shape)

    def backward(self, d_out):
        return super().backward(d_out.reshape(-1)).view(d_out.shape)


class Keeps(Sigmoid):
    def recall(self, d_out):
        _, _, *needed = self.memory
        return tuple(needed)


class Picky(Sigmoid):
    def forward(self, x):
        assert len(x) == 2, "two pictures, please"
        return super().forward(x)


class NoNumbers(Sigmoid):
    def backward(self, d_out):
        return super().backward(d_out) / 0


PLANTED = [
    (Overwrites, "adds up", "d_weight", 0.5, "0.5 times the sum of two passes: gradients add up"),
    (Turned, "differences", "d_weight", None, "d_weight is not a multiple of the true gradient"),
    (Turned, "torch", "d_weight", None, "d_weight is not a multiple of torch's"),
    (Doubled, "adjoint", "d_bias", 2, "d_bias is 2 times the true gradient: it is added twice"),
    (Negative, "differences", "d_x", -1, "d_x is -1 times the true gradient: its sign is turned"),
    (CopiedWeights, "live", "weight", None, "Is it a copy that param() returns?"),
    (CopiedGradients, "live", "bias", None, "a pair that param() gave before backward"),
    (CopiedGradients, "zero_grad", "d_bias", 2, "not cleared by zero_grad"),
    (Rebinds, "live", "weight", None, "optimizers keep such pairs"),
    (Meddles, "pure", "x", None, "forward changes x"),
    (Decays, "pure", "weight", None, "a pass changes weight"),
    (Meddling, "pure", "d_out", None, "backward changes d_out"),
    (Lost, "differences", "d_x", None, "d_x is not returned: backward returns a gradient for"),
    (Border, "adjoint", "d_x", None, "d_x is not a multiple of the true gradient"),
    (WrongShape, "differences", "d_x", None, "the shape (2, 2, 24), and must have (2, 2, 4, 6)"),
    (HalfFast, "both paths", "d_x", 0.5, "d_x is 0.5 times that of the reference path"),
    (Counts, "pure", "out", None, "out is another one the second time"),
    (Remembers, "second shape", "out", None, "out has the shape (2, 2, 8, 6), and must have"),
    (Views, "not contiguous", "forward, backward", None, "RuntimeError: view size is not compat"),
    (Keeps, "refused", "backward twice", None, "backward twice is not refused"),
    (Picky, "second shape", "out", None, "One more is refused: AssertionError: two pictures"),
    (NoNumbers, "differences", "d_x", None, "d_x holds values that are no numbers"),
]


def made(kind):
    if issubclass(kind, Conv2d):
        return kind(2, 2, 3, padding=1, generator=rng())
    return kind(2) if issubclass(kind, NearestUpsampling) else kind()


@pytest.mark.parametrize(("kind", "name", "term", "factor", "words"), PLANTED)
def test_what_is_planted_is_found(kind, name, term, factor, words):
    model = made(kind)
    found, text = asked(model)
    assert (name, term) in found
    assert found[name, term] == (None if factor is None else pytest.approx(factor, rel=1e-6))
    assert words in text


@pytest.mark.parametrize("kind", [Overwrites, Rebinds, Decays, HalfFast, Keeps, Views, Picky])
def test_and_nothing_else_is_blamed(kind):
    """One wrong, one answer: what does not follow from it is found right."""
    allowed = {
        Overwrites: {"adds up"},
        Rebinds: {"live"},
        Decays: {"pure", "adds up", "zero_grad", "second shape"},
        HalfFast: {"adjoint", "differences", "torch", "both paths", "second shape"},
        Keeps: {"refused"},
        Views: {"not contiguous"},
        Picky: {"second shape"},
    }
    assert {name for name, _ in wrong(made(kind))} <= allowed[kind]


def test_a_branch_whose_gradient_is_dropped_is_found():
    found = wrong(OneBranch(Identity(), conv()))
    assert ("adjoint", "d_x") in found
    # The convolution behind it was never asked, so its own gradients are none.
    assert found["adjoint", "branches.1.d_weight"] == 0


class Straight(Residual):
    """Adds an input that the first layer inside may have overwritten."""

    def forward(self, x):
        return self.inner.forward(x) + x


def test_an_input_that_is_overwritten_before_it_is_used_again_is_found():
    assert check(Straight(ReLU()), X - 0.5).ok
    found = wrong(Straight(ReLU(inplace=True)), X - 0.5)
    assert ("differences", "d_x") in found


# — modules of others —


class Scale:
    """y = w x, with the face of the course: no base class, gradients as it pleases."""

    def __init__(self, lost=False):
        self.w, self.d_w = torch.tensor([2.0]), torch.zeros(1)
        self.lost = lost

    def forward(self, *input):
        (self.x,) = input
        return self.x * self.w @ torch.eye(self.x.shape[-1])  # makes a tensor as it runs

    def backward(self, *gradwrtoutput):
        (d_out,) = gradwrtoutput
        if not self.lost:
            self.d_w += (d_out * self.x).sum()
        return d_out * self.w

    def param(self):
        return [(self.w, self.d_w)]


class Pile:
    """Others in a list, and a parameter that is a part of a larger memory."""

    def __init__(self, *layers, d_shift):
        self.layers, self.d_shift = list(layers), d_shift
        self.memory = torch.tensor([0.5, 3.0])
        self.shift = self.memory[1]

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x + self.shift

    def backward(self, d_out):
        if self.d_shift is None:
            self.d_shift = torch.zeros(())
        self.d_shift += d_out.sum()
        for layer in reversed(self.layers):
            d_out = layer.backward(d_out)
        return d_out

    def param(self):
        pairs = [pair for layer in self.layers for pair in layer.param()]
        return [*pairs, (self.memory[1], self.d_shift)]


class Mean:
    """A loss whose backward takes nothing."""

    def forward(self, x, target):
        self.error = x - target
        return self.error.square().mean()

    def backward(self):
        return 2 * self.error / self.error.numel()

    def param(self):
        return []


def test_any_object_with_the_face_of_the_course_can_be_asked():
    report = check(Scale(), X)
    assert report.ok, str(report)
    assert {"d_x", "d_parameter 0"} <= {one.term for one in report.findings}


def test_and_is_found_wrong():
    found = wrong(Scale(lost=True))
    assert found["adjoint", "d_parameter 0"] == 0


def test_a_loss_of_another_house_is_asked_without_an_argument():
    assert check(Mean(), X, X).ok


def test_layers_in_a_list_and_parts_of_a_memory_are_followed():
    report = check(Pile(Scale(), Scale(), d_shift=torch.zeros(())), X)
    assert report.ok, str(report)


def test_a_gradient_that_is_not_there_before_the_first_backward_cannot_be_kept():
    found, text = asked(Pile(Scale(), d_shift=None))
    assert set(found) == {("live", "parameter 1")}
    assert "a pair that param() gave before backward does not hold it afterwards" in text


# — manners —


def test_neither_the_module_nor_the_inputs_are_touched():
    model, x = course(), drawn(1, 2, 8, 8)
    model.backward(model.forward(x))
    before = {name: (w.clone(), d.clone()) for name, w, d in model.parameters()}
    held, kept = model.param(), x.clone()
    model.forward(x)
    assert check(model, x).ok
    for (value, gradient), (name, w, d) in zip(held, model.parameters(), strict=True):
        assert value is w
        assert gradient is d
        assert w.dtype == torch.float32
        assert torch.equal(w, before[name][0])
        assert torch.equal(d, before[name][1])
    assert torch.equal(x, kept)
    model.backward(model.forward(x))  # still in one piece


def test_nor_is_the_state_of_torch():
    state, floats = torch.get_rng_state(), torch.get_default_dtype()
    for mode in (True, False):
        with torch.set_grad_enabled(mode):
            assert check(conv(), X).ok
            assert torch.is_grad_enabled() is mode
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_default_dtype() == floats


class Noisy(Sigmoid):
    def forward(self, x):
        return super().forward(x + torch.rand(x.shape))


def test_nor_is_the_random_state_that_a_module_draws_from():
    state = torch.get_rng_state()
    assert ("pure", "out") in wrong(Noisy())
    assert torch.equal(torch.get_rng_state(), state)


def test_it_works_where_inference_is_all_that_is_allowed():
    with torch.inference_mode():
        assert check(conv(), drawn(2, 2, 4, 4)).ok


def test_parameters_that_require_gradients_are_no_obstacle():
    model, x = conv(), X.clone().requires_grad_()
    model.weight.requires_grad_()
    assert check(model, x).ok
    assert x.grad is None
    assert model.weight.grad is None


def test_the_same_seed_gives_the_same_report():
    assert check(conv(), X, seed=3) == check(conv(), X, seed=3)


def test_a_report_can_be_written_down():
    plain = json.loads(json.dumps(check(WrongShape(2), X).as_json(), allow_nan=False))
    assert plain["ok"] is False
    assert plain["shapes"] == [[2, 2, 4, 6]]
    first = next(one for one in plain["findings"] if one["term"] == "d_x")
    assert first["error"] is None


def test_a_test_can_stand_on_it():
    check(conv(), X).raise_if_wrong()
    with pytest.raises(InputError, match=r"d_x is 0\.25 times the true gradient"):
        check(MeanNearest(2), X).raise_if_wrong()


def test_the_first_line_says_how_it_went():
    assert str(check(ReLU(), X)).startswith("ReLU() on (2, 2, 4, 6): all 14 hold.")
    head = str(check(MeanNearest(2), X)).splitlines()[0]
    assert head == "MeanNearest(2) on (2, 2, 4, 6): 4 of 15 are wrong."


# — what cannot be asked —


class NoPairs(ReLU):
    def param(self):
        return [torch.zeros(1)]


class NotOne(Module):
    def forward(self, x):
        return x, x

    def backward(self, d_out):
        return d_out


@pytest.mark.parametrize(
    ("module", "inputs", "words"),
    [
        (torch.nn.ReLU(), (X,), r"ReLU\(\) lacks backward, param"),
        (Conv2d, (X,), "is a class: give one made of it"),
        (ReLU(), (), "check needs an input too"),
        (ReLU(), (X.long(),), r"input 0 is torch.int64, and must be .* try x.float\(\)"),
        (ReLU(), (X / 0,), r"input 0 is \(2, 2, 4, 6\) with 96 values infinite or nan"),
        (ReLU(), (X[:0],), r"input 0 is \(0, 2, 4, 6\)"),
        (NoPairs(), (X,), "It takes pairs of a parameter and its gradient"),
        (NotOne(), (X,), "returns a tuple, and must return one tensor"),
        (conv(), (X[:, :1],), "takes 2 channels, and got 1"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(module, inputs, words):
    with pytest.raises(InputError, match=words):
        check(module, *inputs)


def test_what_cannot_be_copied_is_too():
    model = Scale()
    model.w = (torch.ones(1, requires_grad=True) * 2).requires_grad_()
    with pytest.raises(InputError, match="Scale cannot be copied"):
        check(model, X)
