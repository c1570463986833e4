"""Modules made of modules, their memory and their optimizers, against torch."""

import pytest
import torch
from torch import Tensor, nn

from noisepair import scratch
from noisepair.errors import InputError


class Level(nn.Module):
    """A U-Net level as one writes it with autograd."""

    def __init__(self, encode, pool, inner, join, decode, entering=False):
        super().__init__()
        self.encode, self.pool, self.inner, self.join = encode, pool, inner, join
        self.decode, self.entering = decode, entering

    def forward(self, x: Tensor) -> Tensor:
        h = self.encode(x)
        low = nn.functional.interpolate(self.inner(self.pool(h)), scale_factor=2)
        return self.decode(self.join(torch.cat((low, x if self.entering else h), 1)))


def levels(entering: bool):
    """Two levels, one in the other: ours and torch's."""
    skip = (2, 4) if entering else (4, 6)
    ours = scratch.UNetLevel(
        scratch.Sequential(scratch.Conv2d(2, 4, 3, padding=1), scratch.LeakyReLU(0.1)),
        scratch.MaxPool2d(2),
        scratch.UNetLevel(
            scratch.Conv2d(4, 6, 3, padding=1), scratch.AvgPool2d(2),
            scratch.Sequential(scratch.Conv2d(6, 6, 3, padding=1), scratch.ReLU(inplace=True)),
            scratch.Joined(6, skip[1], 5, 3, padding=1), scratch.ReLU(inplace=True),
            entering,
        ),
        scratch.Joined(5, skip[0], 4, 3, padding=1), scratch.Conv2d(4, 2, 3, padding=1), entering,
    )  # fmt: skip
    theirs = Level(
        nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.LeakyReLU(0.1)),
        nn.MaxPool2d(2),
        Level(
            nn.Conv2d(4, 6, 3, padding=1), nn.AvgPool2d(2),
            nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU()),
            nn.Conv2d(6 + skip[1], 5, 3, padding=1), nn.ReLU(), entering,
        ),
        nn.Conv2d(5 + skip[0], 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1), entering,
    )  # fmt: skip
    return ours, theirs


class Sides(nn.Module):
    """Two branches side by side."""

    def __init__(self, one, two):
        super().__init__()
        self.branches = nn.ModuleList((one, two))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Added(nn.Module):
    """A skip that is added, or what is subtracted."""

    def __init__(self, inner, sign):
        super().__init__()
        self.inner, self.sign = inner, sign

    def forward(self, x: Tensor) -> Tensor:
        return x + self.sign * self.inner(x)


def networks(name: str):
    if name.startswith("unet"):
        return levels(entering="entering" in name)
    if name == "concat":
        return (
            scratch.Concat(scratch.Conv2d(2, 3, 3, padding=1), scratch.Identity()),
            Sides(nn.Conv2d(2, 3, 3, padding=1), nn.Identity()),
        )
    sign = 1 if name == "added" else -1
    chain = (scratch.Conv2d(2, 2, 3, padding=1), scratch.ReLU(inplace=True))
    return (
        scratch.Residual(scratch.Sequential(*chain), subtract=sign < 0),
        Added(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU()), sign),
    )


NAMES = ["unet", "unet entering", "concat", "added", "subtracted"]


@pytest.mark.parametrize("path", ["reference", "fast"])
@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_skips_is_torchs(name, path):
    ours, theirs = networks(name)
    theirs.double()
    ours.double().use(path).load_state_dict(theirs.state_dict())
    x = torch.randn(3, 2, 8, 12, dtype=torch.float64, requires_grad=True)
    out = theirs(x)
    d_out = torch.randn_like(out)
    out.backward(d_out)
    with torch.no_grad():
        torch.testing.assert_close(ours.forward(x.detach().clone()), out)
        torch.testing.assert_close(ours.backward(d_out.clone()), x.grad)
    grads = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    assert [name for name, _, _ in ours.parameters()] == list(grads)
    for name, _, gradient in ours.parameters():
        torch.testing.assert_close(gradient, grads[name])


@pytest.mark.parametrize(
    "net",
    [scratch.Residual(scratch.Sequential(scratch.ReLU(inplace=True), scratch.Sigmoid())),
     scratch.Residual(scratch.Sequential(scratch.Identity(), scratch.ReLU(inplace=True))),
     scratch.Concat(scratch.Identity(), scratch.ReLU(inplace=True), scratch.Identity()),
     scratch.Sequential(scratch.MaxPool2d(2), scratch.LeakyReLU(0.1, inplace=True))],
    ids=["residual", "residual behind a copy", "concat", "behind a pool"],
)  # fmt: skip
def test_a_layer_in_place_spoils_nothing_that_is_needed_once_more(net):
    report = scratch.check(net, torch.randn(2, 3, 4, 4))
    assert report.ok, report


def test_a_forgotten_branch_is_seen():
    """The control: a level that passes back the gradient of one of its two ways only."""
    ours, theirs = levels(entering=False)
    theirs.double()
    ours.double().load_state_dict(theirs.state_dict())
    honest = ours.join.backward

    def forgetful(d_out):
        d_low, d_skip = honest(d_out)
        return d_low, torch.zeros_like(d_skip)

    ours.join.backward = forgetful
    x = torch.randn(3, 2, 8, 12, dtype=torch.float64, requires_grad=True)
    out = theirs(x)
    out.backward(out.detach())
    with torch.no_grad():
        ours.forward(x.detach())
        d_x = ours.backward(out.detach())
    assert not torch.allclose(d_x, x.grad, rtol=1e-3)


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (5, 6), (1, 3)])
def test_padding_repeats_the_edge_and_sums_its_gradients(size):
    ours = scratch.Padded(scratch.Conv2d(1, 1, 3, padding=1, dtype=torch.float64), 4)
    weight, bias = (value for value, _ in ours.param())
    x = torch.randn(2, 1, *size, dtype=torch.float64, requires_grad=True)
    more = (0, -size[1] % 4, 0, -size[0] % 4)
    whole = nn.functional.pad(x, more, mode="replicate") if any(more) else x
    out = nn.functional.conv2d(whole, weight, bias, padding=1)[..., : size[0], : size[1]]
    d_out = torch.randn_like(out)
    out.backward(d_out)
    with torch.no_grad():
        torch.testing.assert_close(ours.forward(x.detach()), out)
        torch.testing.assert_close(ours.backward(d_out), x.grad)


def test_a_state_that_does_not_fit_is_refused():
    net = scratch.Sequential(scratch.Conv2d(1, 2, 3), scratch.ReLU(), scratch.Conv2d(2, 1, 3))
    state = {name: value.clone() for name, value in net.state_dict().items()}
    assert list(state) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    with pytest.raises(InputError, match=r"The state lacks 2\.bias, and Sequential"):
        net.load_state_dict({name: value for name, value in state.items() if name != "2.bias"})
    with pytest.raises(InputError, match=r"The state has 3\.bias, and"):
        net.load_state_dict(state | {"3.bias": torch.zeros(1)})
    before = net.state_dict()["0.weight"].clone()
    state |= {"0.weight": torch.zeros(2, 1, 3, 3), "2.bias": torch.zeros(7)}
    with pytest.raises(InputError, match=r"2\.bias has the shape \(7,\) in the state, and \(1,\)"):
        net.load_state_dict(state)
    assert torch.equal(net.state_dict()["0.weight"], before), "nothing was copied"


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (lambda x: scratch.Sequential(), "Sequential takes one module or more"),
        (lambda x: scratch.Residual(scratch.Conv2d(2, 2, 3)).forward(x), "only the same shape can"),
        (lambda x: scratch.Concat(scratch.Identity(), scratch.MaxPool2d(2)).forward(x),
         r"pictures of \(4, 4\) and \(8, 8\) pixels"),
        (lambda x: scratch.Joined(2, 2, 1, 3, padding=1).forward(x, x),
         "becomes 16×16 pixels, and the skip has 8×8"),
        (lambda x: scratch.Joined(2, 2, 1, 3, padding=1).forward(x, torch.cat((x, x))),
         "got 1 low pictures and 2 skips"),
        (lambda x: scratch.Padded(scratch.AvgPool2d(2), 4).forward(x),
         r"AvgPool2d\(.*\) makes \(4, 4\) of \(8, 8\) pixels"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_meet_are_refused(what, sentence):
    with pytest.raises(InputError, match=sentence):
        what(torch.rand(1, 2, 8, 8))


# — memory —


def small() -> scratch.Sequential:
    rng = torch.Generator().manual_seed(0)
    return scratch.Sequential(
        scratch.Conv2d(3, 8, 3, 2, 1, generator=rng), scratch.ReLU(inplace=True),
        scratch.MaxPool2d(2), scratch.Upsampling(8, 3, 3, 4, padding=1, generator=rng),
    )  # fmt: skip


def test_outputs_of_two_calls_share_no_memory():
    net = small()
    one, two = torch.rand(2, 5, 3, 16, 16)
    first = net.forward(one)
    kept = first.clone()
    net.forward(two)
    net.backward(torch.ones_like(kept))
    assert torch.equal(first, kept)


def test_reused_memory_changes_no_number():
    plain, thrifty, arena = small(), small(), scratch.Arena()
    rng = torch.Generator().manual_seed(1)
    for _ in range(4):
        x, d_out = torch.rand(2, 6, 3, 16, 16, generator=rng)
        out = plain.forward(x)
        plain.backward(d_out)
        with scratch.reusing(arena):
            assert torch.equal(thrifty.forward(x), out)
            thrifty.backward(d_out)
    for (_, one), (_, two) in zip(plain.param(), thrifty.param(), strict=True):
        assert torch.equal(one, two)


def test_inside_reusing_the_next_step_takes_the_same_memory():
    net, arena, places = small(), scratch.Arena(), []
    for _ in range(3):
        with scratch.reusing(arena):
            places.append(net.forward(torch.rand(6, 3, 16, 16)).data_ptr())
    assert places[1] == places[2]
    outside = net.forward(torch.rand(6, 3, 16, 16))
    block = arena.blocks[torch.float32, torch.device("cpu")]
    assert not block.data_ptr() <= outside.data_ptr() < block.data_ptr() + 4 * block.numel()


def test_nothing_is_left_of_a_forward_that_torch_would_have_recorded():
    """Buffers are shared by all networks of a thread: one graph in them would be in all."""
    net = small()
    with torch.inference_mode():
        net.forward(torch.rand(2, 3, 16, 16))
        born = small()
    with torch.enable_grad():
        net.forward(torch.rand(2, 3, 16, 16, requires_grad=True))
        for one in (net, born):
            out = one.forward(torch.rand(2, 3, 16, 16))
            one.backward(torch.ones_like(out))
            scratch.SGD(one.param(), 0.1).step()
            assert not out.requires_grad
            assert not any(value.requires_grad for value, _ in one.param())


def test_parameters_stay_live_where_a_network_is_moved():
    net = small()
    optimizer = scratch.SGD(net.param(), 0.1)
    net.double()
    net.backward(net.forward(torch.rand(2, 3, 16, 16, dtype=torch.float64)))
    before = net[0].weight.clone()
    optimizer.step()
    assert net[0].weight.dtype == torch.float64
    assert not torch.equal(net[0].weight, before)


# — optimizers —

SETTINGS = {
    "SGD": [{"lr": 0.01}, {"lr": 0.01, "momentum": 0.9}, {"lr": 0.01, "weight_decay": 0.1},
            {"lr": 0.01, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01}],
    "Adam": [{"lr": 0.01}, {"lr": 0.02, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "lines"), [(name, lines) for name, many in SETTINGS.items() for lines in many]
)
def test_an_optimizer_walks_torchs_path(name, lines):
    rng = torch.Generator().manual_seed(0)
    weight, target = torch.randn(2, 5, 4, generator=rng, dtype=torch.float64)
    theirs = weight.clone().requires_grad_()
    mine, gradient = weight.clone(), torch.zeros_like(weight)
    ours = getattr(scratch, name)([(mine, gradient)], **lines)
    other = getattr(torch.optim, name)([theirs], **lines)
    for _ in range(50):
        gradient.copy_(4 * (mine - target) ** 3)
        slope = gradient.clone()
        ours.step()
        assert torch.equal(gradient, slope), "an optimizer leaves gradients alone"
        other.zero_grad()
        ((theirs - target) ** 4).sum().backward()
        other.step()
    torch.testing.assert_close(mine, theirs.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (lambda: scratch.SGD([], 0.1), "SGD got no parameters"),
        (lambda: scratch.SGD([(torch.ones(3), torch.ones(2))], 0.1), "SGD takes pairs of a parame"),
        (lambda: scratch.Adam(small().param(), eps=-1.0), "Adam: eps=-1.0 is not possible"),
        (lambda: scratch.SGD(small().param(), 0.0), "lr=0.0 is not possible: a number above 0"),
        (lambda: scratch.SGD(small().param(), float("nan")), "lr=nan is not possible"),
        (lambda: scratch.SGD(small().param(), 0.1, nesterov=True), "nesterov looks ahead"),
        (lambda: scratch.Adam(small().param(), betas=(0.9, 1.0)), "two numbers in"),
        (lambda: scratch.begin(small(), "he"), "Unknown initialisation 'he'"),
        (lambda: scratch.begin(small(), "normal", std=-1.0), "std=-1.0 and slope=0.0 must be numb"),
    ],
)
def test_settings_that_cannot_work_are_refused(what, sentence):
    with pytest.raises(InputError, match=sentence):
        what()


# — initialisation: statistics, in standard errors —


@pytest.mark.parametrize(
    ("how", "variance"), [("kaiming", 2 / 288), ("xavier", 2 / (288 + 576)), ("normal", 1.0)]
)
def test_weights_begin_with_the_variance_that_is_promised(how, variance):
    conv = scratch.Conv2d(32, 64, 3)
    scratch.begin(conv, how, generator=torch.Generator().manual_seed(3))
    count = conv.weight.numel()
    error = (2 / count) ** 0.5 * variance  # of a normal's variance; a box's is smaller
    assert abs(float(conv.weight.var()) - variance) < 4 * error
    assert abs(float(conv.weight.mean())) < 4 * (variance / count) ** 0.5
    assert not conv.bias.any()


def test_a_constant_may_be_negative():
    conv = scratch.Conv2d(1, 1, 3)
    scratch.begin(conv, "constant", std=-0.5)
    assert (conv.weight == -0.5).all()


def test_kaiming_keeps_the_spread_through_ten_layers_and_normal_does_not():
    x = torch.randn(4, 32, 16, 16, generator=torch.Generator().manual_seed(0))
    spreads = {}
    for how in ("kaiming", "normal"):
        layers = [scratch.Conv2d(32, 32, 3, padding=1, dtype=torch.float64) for _ in range(10)]
        net = scratch.Sequential(*(part for conv in layers for part in (conv, scratch.ReLU())))
        scratch.begin(net, how, generator=torch.Generator().manual_seed(1))
        spreads[how] = float(net.forward(x.double()).std())
    assert 0.05 < spreads["kaiming"] < 5
    assert spreads["normal"] > 1e9
