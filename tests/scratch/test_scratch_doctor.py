"""The doctor names what was broken on purpose, keeps silent where nothing was, and touches nothing.

A fault is put in, and must be found by name; the same set-up without it is the control.
"""

import copy
import math

import pytest
import torch
from torch import Generator, Tensor

from noisepair import scratch
from noisepair.errors import InputError
from noisepair.scratch.doctor import Diagnosis, doctor, follow, refuse
from noisepair.scratch.symptoms import LARGE, SMALL, number


def pictures(count: int = 16, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two noisy shots of smooth colour waves, as training sees them."""
    rng = Generator().manual_seed(seed)
    rows = torch.arange(16.0)[:, None] + torch.arange(16.0) * 0.6
    phase = 6 * torch.rand(count, 3, 1, 1, generator=rng)
    clean = 0.5 + 0.35 * torch.sin(rows / 2.5 + phase)
    one, two = (clean + 0.1 * torch.randn(clean.shape, generator=rng) for _ in range(2))
    return one, two


BATCH = pictures()


def network(how: str = "kaiming", *, std=1.0, widths=(16, 32, 16), kernel=3, seed=0):
    """The course's network."""
    rng, edge, (a, b, c) = Generator().manual_seed(seed), kernel // 2, widths
    model = scratch.Sequential(
        scratch.Conv2d(3, a, kernel, 2, edge), scratch.ReLU(inplace=True),
        scratch.Conv2d(a, b, kernel, 2, edge), scratch.ReLU(inplace=True),
        scratch.Upsampling(b, c, kernel, padding=edge), scratch.ReLU(inplace=True),
        scratch.Upsampling(c, 3, kernel, padding=edge), scratch.Sigmoid(),
    )  # fmt: skip
    if how == "torch":
        as_torch_begins(model, rng)
    else:
        scratch.begin(model, how, std=std, generator=rng)
    return model


def as_torch_begins(model, rng):
    """torch.nn's default: weights and biases from a box that reaches to 1 / √fan-in."""
    for _, layer in model.modules():
        if isinstance(layer, scratch.Conv2d):
            bound = layer.weight[0].numel() ** -0.5
            layer.weight.uniform_(-bound, bound, generator=rng)
            layer.bias.uniform_(-bound, bound, generator=rng)


def names(found: Diagnosis) -> list[str]:
    return [one.name for one in found.findings]


def only(found: Diagnosis, name: str):
    """The one finding there is."""
    assert names(found) == [name], str(found)
    return found.findings[0]


# — the seed's set-up, from the first batch —


@pytest.mark.parametrize("seed", range(3))
def test_weights_of_deviation_1_saturate_the_sigmoid_and_the_words_say_so(seed):
    found = doctor(network("normal", seed=seed), BATCH, slopes=False)
    one = only(found, "saturated")
    assert found.verdict == "ill"
    last = found.layers[-1]
    assert last.saturated > 0.9
    assert last.spread > 100
    assert f"sees a spread of {number(last.spread)} and is" in one.text
    assert "N(0, 1) weights in every layer" in one.text
    assert "a fan-in of 288" in one.text
    assert "Kaiming's 0.0833" in one.text
    assert '"kaiming"' in one.remedy


@pytest.mark.parametrize("seed", range(3))
def test_weights_of_deviation_one_millionth_let_the_signal_vanish(seed):
    found = doctor(network("normal", std=1e-6, seed=seed), BATCH)
    one = only(found, "vanishing")
    assert found.verdict == "ill"
    assert found.layers[-1].signal < 1e-18
    assert "N(0, 1e-6²) weights in every layer" in one.text
    assert "The gradient that comes back is" in one.text
    assert '"kaiming"' in one.remedy


def test_without_a_sigmoid_the_signal_explodes():
    model = network("normal")
    model.chain.pop()
    assert "N(0, 1) weights" in only(doctor(model, BATCH, slopes=False), "exploding").text


def test_kernels_of_one_pixel_with_strides_are_seen():
    found = doctor(network(kernel=1), BATCH, slopes=False)
    text = only(found, "unread").text
    assert "1 pixel in 16 is read" in text
    assert "All kernels are 1×1" in text
    assert "unread" in names(doctor(network("normal", kernel=1), BATCH, slopes=False))


class Forgetful(scratch.Conv2d):
    """Never writes the gradient of its bias, as the seed's layer did."""

    def backward(self, d_out):
        kept = self.d_bias.clone()
        d_x = super().backward(d_out)
        self.d_bias.copy_(kept)
        return d_x


class Averaging(scratch.Upsampling):
    """Passes back the mean of a block where the adjoint is its sum, as the seed's layer did."""

    def backward(self, d_out):
        return super().backward(d_out) / 4


class Unreached(scratch.Sequential):
    """Its zero_grad does not reach what is inside an upsampling, as the seed's did not."""

    def zero_grad(self):
        for layer in self.chain:
            if not isinstance(layer, scratch.Upsampling):
                layer.zero_grad()


def test_a_bias_that_gets_no_gradient_is_named():
    model = network()
    model.chain[2] = Forgetful(16, 32, 3, 2, 1)
    text = only(doctor(model, BATCH), "wrong gradients").text
    assert "it gives no gradient at all for 2.bias." in text


def test_an_upsampling_that_averages_is_found_by_the_layers_before_it():
    model = network()
    model.chain[4] = Averaging(32, 16, 3, padding=1)
    text = only(doctor(model, BATCH), "wrong gradients").text
    assert "0.25 times the gradient for 0.weight, 0.bias, 2.weight, 2.bias." in text
    assert "4." not in text


def test_gradients_that_zero_grad_leaves_are_named():
    model = Unreached(*network())
    assert (
        "4.1.weight, 4.1.bias, 6.1.weight, 6.1.bias"
        in only(doctor(model, BATCH), "not cleared").text
    )


# — other ways not to learn —


def test_equal_weights_stay_equal():
    assert (
        "0, layer 2, layer 4"
        in only(doctor(network("constant", std=0.01), BATCH, slopes=False), "equal").text
    )


def test_dead_channels_are_counted():
    model = network()
    model[2].bias.fill_(-100)
    found = doctor(model, BATCH, slopes=False)
    assert found.layers[1].dead == 1
    assert "dead" in names(found) or "vanishing" in names(found)
    model = network()
    model[2].bias[:24] = -100  # of 32
    found = doctor(model, BATCH, slopes=False)
    assert found.layers[1].dead >= 0.75
    assert only(found, "dead").weight == "care"


@pytest.mark.parametrize(("lr", "name"), [(100.0, "fast"), (1e-3, "slow")])
def test_a_learning_rate_far_off_is_named(lr, name):
    model = network()
    found = doctor(model, BATCH, optimizer=scratch.SGD(model.param(), lr=lr), slopes=False)
    updates = [row.update for row in found.layers]
    assert max(updates) > LARGE if name == "fast" else min(updates) < SMALL
    assert only(found, name).weight == "care"


@pytest.mark.parametrize("where", ["pictures", "weights"])
def test_what_is_no_number_is_said_first(where):
    model, (noisy, target) = network(), BATCH
    noisy = noisy.clone()
    (noisy if where == "pictures" else model[2].weight).flatten()[0] = math.nan
    found = doctor(model, (noisy, target))
    layer = "layer 0" if where == "pictures" else "layer 2"
    assert f"{layer} is the first" in only(found, "not finite").text
    assert found.as_json()["loss"] is None


# — where nothing is wrong —


@pytest.mark.parametrize("how", ["kaiming", "xavier", "torch"])
@pytest.mark.parametrize("widths", [(8, 8, 8), (16, 32, 16), (48, 48, 48)])
def test_no_false_alarm_before_the_first_step(how, widths):
    for seed in range(4):
        model = network(how, widths=widths, seed=seed)
        optimizer = scratch.Adam(model.param(), lr=1e-3)
        found = doctor(model, pictures(seed=seed), optimizer=optimizer, slopes=seed == 0)
        assert found.verdict == "healthy", str(found)
        assert str(found).endswith("Nothing wrong found.")


def test_no_false_alarm_while_it_learns():
    model = network()
    found = follow(
        model,
        (pictures(seed=seed) for seed in range(60)),
        scratch.Adam(model.param(), lr=3e-3),
        steps=60,
        every=15,
    )
    assert [seen.step for seen in found] == [0, 15, 30, 45, 60]
    assert all(seen.verdict == "healthy" for seen in found), str(found[-1])
    assert found[-1].loss < 0.5 * found[0].loss, "and it learns"


def test_black_areas_are_no_wrong_gradient():
    """With biases of 0 they lie on the kink of every ReLU, where differences see half a slope."""
    net = scratch.Sequential(
        scratch.Conv2d(1, 8, 3, padding=1), scratch.ReLU(), scratch.Conv2d(8, 1, 3, padding=1)
    )
    pictures = torch.rand(2, 1, 16, 16)
    pictures[..., :8] = 0
    assert not doctor(net, (pictures, pictures)).findings


def test_a_run_that_a_large_rate_blew_up_is_not_blamed_on_its_beginning():
    net = network()
    steps = [BATCH] * 3
    seen = follow(net, steps, scratch.Adam(net.param(), lr=10.0), steps=3, every=1)
    assert not [one for one in seen[0].findings if one.weight == "ill"]
    said = " ".join(f"{one.text} {one.remedy}" for one in seen[-1].findings)
    assert "The cause" not in said
    assert "Lower the learning rate" in said


def test_the_last_look_is_after_the_last_batch():
    net = network()
    seen = follow(net, [BATCH] * 5, scratch.SGD(net.param(), lr=0.1), steps=100, every=3)
    assert [one.step for one in seen] == [0, 3, 5]


def test_sound_gradients_of_a_level_of_a_unet_are_sound():
    rng = Generator().manual_seed(0)
    level = scratch.UNetLevel(
        scratch.Conv2d(3, 8, 3, padding=1, generator=rng),
        scratch.AvgPool2d(2),
        scratch.Sequential(scratch.Conv2d(8, 8, 3, padding=1, generator=rng), scratch.ReLU()),
        scratch.Joined(8, 8, 8, 3, padding=1, generator=rng),
        scratch.Sequential(scratch.ReLU(), scratch.Conv2d(8, 3, 3, padding=1, generator=rng)),
    )
    for path in ("fast", "reference"):
        found = doctor(scratch.Residual(level, subtract=True).use(path), BATCH)
        assert found.verdict == "healthy", str(found)
        assert [row.layer.partition("(")[0] for row in found.layers] == [
            "Conv2d", "Conv2d", "Joined", "Conv2d",
        ]  # fmt: skip


# — it touches nothing —


def everything(model):
    """Parameters, gradients, and what each layer remembers, all copied."""
    values = [(value.clone(), gradient.clone()) for value, gradient in model.param()]
    held = [one.memory or () for _, one in model.modules()]
    return values, [[x.clone() for x in some if isinstance(x, Tensor)] for some in held]


def test_model_optimizer_and_batch_stay_as_they_are():
    model, loss, (noisy, target) = network(), scratch.MSE(), pictures()
    optimizer = scratch.Adam(model.param())
    loss.forward(model.forward(noisy), target)
    model.backward(loss.backward())
    optimizer.step()
    loss.forward(model.forward(noisy), target)  # memory that a backward of the user's will need
    before, remembered = everything(model), copy.deepcopy(optimizer.memory)
    pair = (noisy.clone(), target.clone())

    doctor(model, pair, loss=loss, optimizer=optimizer)

    torch.testing.assert_close(everything(model), before, rtol=0, atol=0)
    torch.testing.assert_close(optimizer.memory, remembered, rtol=0, atol=0)
    torch.testing.assert_close(pair, (noisy, target), rtol=0, atol=0)
    assert optimizer.steps == 1
    assert "forward" not in vars(model[0]), "and its layers are not watched any more"
    model.backward(loss.backward())


def test_it_may_be_asked_in_eval_mode_and_leaves_it():
    model = network().eval()
    assert doctor(model, BATCH, slopes=False).verdict == "healthy"
    assert not any(one.training for _, one in model.modules())


def test_following_trains_as_one_would_oneself():
    one, two = network(), network()
    batches = [pictures(seed=seed) for seed in range(4)]
    follow(one, iter(batches), scratch.SGD(one.param(), lr=0.5), steps=4, every=2)
    optimizer, loss = scratch.SGD(two.param(), lr=0.5), scratch.MSE()
    for noisy, target in batches:
        two.zero_grad()
        loss.forward(two.forward(noisy), target)
        two.backward(loss.backward())
        optimizer.step()
    torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=0, atol=0)


# — what it measures, by hand —


def test_the_numbers_of_one_layer_worked_out_by_hand():
    model = scratch.Sequential(scratch.Conv2d(1, 2, 1), scratch.ReLU())
    model[0].weight.copy_(torch.tensor([3.0, -1.0]).view(2, 1, 1, 1))
    x, target = torch.tensor([[[[1.0, 3.0]]]]), torch.zeros(1, 2, 1, 2)
    found = doctor(model, (x, target), optimizer=scratch.SGD(model.param(), lr=0.1))
    [row] = found.layers  # it makes 3, 9 and −1, −3; the ReLU lets 3 and 9 through
    assert (row.fan_in, row.weight, row.activation, row.dead) == (1, 2, "ReLU", 0.5)
    assert found.loss == (9 + 81) / 4
    assert row.signal == pytest.approx(math.sqrt((9 + 1) / 2))
    assert row.spread == pytest.approx(math.sqrt((9 + 81 + 1 + 9) / 4 - 4))
    assert row.gradient == pytest.approx((2 * 3 * 1 + 2 * 9 * 3) / 4)  # of the first weight
    assert row.arriving == pytest.approx(math.sqrt((1.5**2 + 4.5**2) / 4))
    assert row.update == pytest.approx(0.1 * 15 / math.sqrt(10))


def test_a_table_has_a_line_a_layer_and_its_columns_are_aligned():
    lines = str(doctor(network("normal"), BATCH, slopes=False)).splitlines()
    assert lines[0].startswith("Before the first step: ill. Loss ")
    assert len({len(line) for line in lines[2:7]}) == 1
    assert [line.split(" ")[0] for line in lines[2:7]] == ["layer", "0", "2", "4", "6"]


# — what it refuses —


@pytest.mark.parametrize("batch", [BATCH[0], (BATCH[0],), (*BATCH, 1)])
def test_a_batch_that_is_no_pair_is_refused(batch):
    with pytest.raises(InputError, match=r"takes a batch of two tensors"):
        refuse(batch)


def test_an_optimizer_of_another_model_is_refused():
    with pytest.raises(InputError, match=r"The SGD holds parameters that are not of this model"):
        doctor(network(), BATCH, optimizer=scratch.SGD(network().param()))


def test_a_model_without_weights_is_refused():
    with pytest.raises(InputError, match=r"has no layer with a weight"):
        doctor(scratch.Sequential(scratch.ReLU()), BATCH)
