"""A strict grader of mini-project 2: the public checks of its blocks, and every backward pass.

The course's public test looks at forward alone. Here autograd, switched off while ours runs, says
what each gradient must be; and nothing of torch that learns by itself may be called.
"""

import ast
from pathlib import Path

import pytest
import torch
from test_course import pictures
from torch import nn
from torch.nn import functional as F

from noisepair.app.miniproject.two import model as two
from noisepair.errors import InputError
from noisepair.models import Strided

no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=no_gpu)]


@pytest.fixture(autouse=True)
def _no_autograd():
    """As the course's test file begins."""
    with torch.no_grad():
        yield


def picture(*shape, device="cpu", seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=rng).to(device)


def up(x, factor=2):
    return F.interpolate(x, scale_factor=factor, mode="nearest")


# A block, and the function of its input and parameters that torch says it is.
BLOCKS = {
    "conv": (lambda: two.Conv2d(3, 4, 3), F.conv2d),
    "conv, no bias": (lambda: two.Conv2d(3, 4, 3, bias=False), F.conv2d),
    "conv, padding": (
        lambda: two.Conv2d(3, 4, 3, padding=1), lambda x, w, b: F.conv2d(x, w, b, padding=1),
    ),
    "conv, stride": (
        lambda: two.Conv2d(3, 4, 3, stride=2, padding=1),
        lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
    ),
    "conv, dilation": (
        lambda: two.Conv2d(3, 4, 3, 2, 2, 2), lambda x, w, b: F.conv2d(x, w, b, 2, 2, 2),
    ),
    "conv, pairs": (
        lambda: two.Conv2d(3, 4, (3, 2), (2, 1), (1, 2), (1, 3)),
        lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 2), (1, 3)),
    ),
    "transposed": (lambda: two.TransposeConv2d(3, 4, 3), F.conv_transpose2d),
    "transposed, stride": (
        lambda: two.TransposeConv2d(3, 4, 4, stride=2, padding=1),
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1),
    ),
    "transposed, pairs": (
        lambda: two.TransposeConv2d(3, 4, (3, 2), (2, 3), (1, 0), (1, 2), dilation=(2, 1)),
        lambda x, w, b: F.conv_transpose2d(
            x, w, b, (2, 3), (1, 0), (1, 2), dilation=(2, 1)
        ),
    ),
    "nearest": (lambda: two.NearestUpsampling(2), up),
    "nearest, pairs": (lambda: two.NearestUpsampling((3, 2)), lambda x: up(x, (3, 2))),
    "upsampling": (
        lambda: two.Upsampling(3, 4, 3, padding=1),
        lambda x, w, b: F.conv2d(up(x), w, b, padding=1),
    ),
    "upsampling by 3": (
        lambda: two.Upsampling(3, 4, (2, 3), 3, (0, 1)),
        lambda x, w, b: F.conv2d(up(x, 3), w, b, padding=(0, 1)),
    ),
    "relu": (two.ReLU, F.relu),
    "leaky relu": (lambda: two.LeakyReLU(0.1), lambda x: F.leaky_relu(x, 0.1)),
    "sigmoid": (two.Sigmoid, torch.sigmoid),
    "max pool": (lambda: two.MaxPool2d(2), lambda x: F.max_pool2d(x, 2)),
    "avg pool": (lambda: two.AvgPool2d(2), lambda x: F.avg_pool2d(x, 2)),
    "sequential": (
        lambda: two.Sequential(two.Conv2d(3, 4, 3), two.ReLU(), two.Conv2d(4, 2, 3), two.Sigmoid()),
        lambda x, v, b, w, c: F.conv2d(F.relu(F.conv2d(x, v, b)), w, c).sigmoid(),
    ),
}  # fmt: skip


def assert_gradients_are_autograds(block, theirs, x, asks_for_x=True):
    """Forward, the gradient of the input and those of all parameters."""
    block.zero_grad()
    out = block.forward(x)
    d_out = picture(*out.shape, device=x.device, seed=1)
    d_x = block.backward(d_out.clone())
    assert not out.requires_grad
    with torch.enable_grad():
        leaves = [
            one.clone().requires_grad_() for one in (x, *(value for value, _ in block.param()))
        ]
        expected = theirs(*leaves)
        d_input, *gradients = torch.autograd.grad(expected, leaves, d_out)
    close = {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(out, expected.detach(), **close)
    if asks_for_x:
        torch.testing.assert_close(d_x, d_input, **close)
    for (value, gradient), right in zip(block.param(), gradients, strict=True):
        assert gradient.shape == value.shape
        torch.testing.assert_close(gradient, right, **close)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("path", ["fast", "reference"])
@pytest.mark.parametrize("name", BLOCKS)
def test_forward_and_every_gradient_of_a_block_are_autograds(name, path, device):
    make, theirs = BLOCKS[name]
    block = make().to(device).double().use(path)
    for shape in ((2, 3, 10, 8), (1, 3, 12, 14)):  # neither square, nor the same twice
        assert_gradients_are_autograds(block, theirs, picture(*shape, device=device))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(12, 8), (11, 7)])
def test_the_gradients_of_the_whole_network_are_autograds(size, device):
    network = two.prescribed(4, 5, 6).to(device).double()

    def theirs(x, *parameters):
        (v, b), (w, c), (y, d), (z, e) = zip(parameters[::2], parameters[1::2], strict=True)
        height, width = size
        x = F.pad(x, (0, -width % 4, 0, -height % 4), mode="replicate")
        x = F.relu(F.conv2d(x, v, b, stride=2, padding=1))
        x = F.relu(F.conv2d(x, w, c, stride=2, padding=1))
        x = F.relu(F.conv2d(up(x), y, d, padding=1))
        return F.conv2d(up(x), z, e, padding=1).sigmoid()[..., :height, :width]

    x = picture(2, 3, *size, device=device)
    # Nobody asks for the gradient of the data, and the network computes none.
    assert_gradients_are_autograds(network, theirs, x, asks_for_x=False)


class ForgetsItsBias(two.Conv2d):
    """The bias never learns: one of the faults that a test of forward alone lets pass."""

    def backward(self, d_out):
        before = self.d_bias.clone()
        d_x = super().backward(d_out)
        self.d_bias.copy_(before)
        return d_x


class Divides(two.NearestUpsampling):
    """The mean of a block's gradients in place of their sum: another such fault."""

    def backward(self, d_out):
        return super().backward(d_out) / 4


@pytest.mark.parametrize(
    ("block", "theirs"), [(ForgetsItsBias(3, 4, 3), F.conv2d), (Divides(2), up)]
)
def test_control_known_faults_are_found(block, theirs):
    with pytest.raises(AssertionError):
        assert_gradients_are_autograds(block.double(), theirs, picture(2, 3, 10, 8))


# — the public checks of blocks, in single precision —


@pytest.mark.parametrize("device", DEVICES)
def test_blocks_as_the_public_test_calls_them(device):
    x = torch.rand(1, 3, 64, 64, device=device)
    conv, sigmoid = two.Conv2d(3, 3, 3).to(device), two.Sigmoid()
    expected = F.conv2d(x, conv.weight, conv.bias)
    torch.testing.assert_close(conv.forward(x), expected)
    torch.testing.assert_close(sigmoid.forward(x), torch.sigmoid(x))
    torch.testing.assert_close(two.Sequential(conv, sigmoid).forward(x), expected.sigmoid())


def test_parameters_come_in_pairs_with_their_gradients():
    for block in (two.ReLU(), two.Sigmoid(), two.NearestUpsampling(2), two.MSE()):
        assert block.param() == []
    conv = two.Conv2d(3, 5, (2, 4))
    assert [value.shape for value, _ in conv.param()] == [(5, 3, 2, 4), (5,)]
    assert conv.param()[0][0] is conv.weight
    assert conv.param()[1][0] is conv.bias
    x = torch.rand(2, 3, 9, 9)
    for _ in range(2):
        out = conv.forward(x)
        conv.backward(torch.ones_like(out))
    twice = [gradient.clone() for _, gradient in conv.param()]
    conv.zero_grad()
    assert all(not gradient.any() for _, gradient in conv.param())
    conv.forward(x)
    conv.backward(torch.ones_like(out))
    for (_, once), added in zip(conv.param(), twice, strict=True):
        torch.testing.assert_close(2 * once, added)


@pytest.mark.parametrize("device", DEVICES)
def test_the_loss_and_its_slope(device):
    x, y = picture(2, 2, 3, 5, 4, device=device)
    loss = two.MSE()
    torch.testing.assert_close(loss.forward(x, y), F.mse_loss(x, y))
    with torch.enable_grad():
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(F.mse_loss(leaf, y), leaf)
    torch.testing.assert_close(loss.backward(), slope)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.5, "weight_decay": 0.1},
    ],
)
def test_steps_are_torchs(settings):
    value = picture(4, 3)
    theirs = nn.Parameter(value.clone())
    gradient = torch.zeros_like(value)
    ours = two.SGD([(value, gradient)], lr=0.1, **settings)
    optimizer = torch.optim.SGD([theirs], lr=0.1, **settings)
    for step in range(4):
        gradient.copy_(picture(4, 3, seed=step))
        theirs.grad = gradient.clone()
        ours.step()
        optimizer.step()
        torch.testing.assert_close(value, theirs.detach())


# — the model —


def psnr(some, clean):
    error = (some / 255.0 - clean / 255.0).square().mean((1, 2, 3))
    return float((-10 * error.log10()).mean())


def test_the_network_is_the_prescribed_one():
    chain = two.Model().network.inner
    kinds = ["Conv2d", "ReLU", "Conv2d", "ReLU", "Upsampling", "ReLU", "Upsampling", "Sigmoid"]
    assert [type(layer).__name__ for layer in chain] == kinds
    assert [chain[n].window.stride for n in (0, 2)] == [(2, 2), (2, 2)]
    shapes = [tuple(value.shape) for value, _ in chain.param()]
    weights = Strided(two.RECIPE["network.channels"])(3).state_dict().values()
    assert shapes == [tuple(value.shape) for value in weights]


def test_one_epoch_from_nothing_beats_the_noisy_pictures():
    _, one, other = pictures(1600)
    clean, noisy, _ = pictures(50, seed=1)
    model = two.Model()
    assert psnr(model.predict(noisy), clean) < psnr(noisy, clean)  # control
    model.train(one, other, num_epochs=1)
    once = psnr(model.predict(noisy), clean)
    assert once > psnr(noisy, clean) + 2
    model.train(one[:400], other[:400], num_epochs=1)
    assert psnr(model.predict(noisy), clean) > once - 0.5  # it goes on, and begins not anew


def test_training_is_the_same_every_time():
    _, one, other = pictures(40)
    noisy = torch.rand(1, 3, 9, 13) * 255
    three = []
    for seen in (one, one.double(), one.flip(0)):
        model = two.Model()
        model.train(seen, other, num_epochs=1)
        three.append(model.predict(noisy))
    assert torch.equal(three[0], three[1])
    assert not torch.equal(three[0], three[2])  # control


def test_nothing_of_torch_that_learns_by_itself_is_called(monkeypatch):
    _, one, other = pictures(20)
    wants_gradients = one.float().requires_grad_()

    def never(*_args, **_settings):
        raise AssertionError("this is autograd, or a module of torch")

    for owner, name in (
        (torch.Tensor, "backward"), (torch.Tensor, "requires_grad_"), (torch.autograd, "grad"),
        (torch.autograd, "backward"), (nn.Module, "__call__"), (nn.Module, "__init__"),
        (torch.optim.Optimizer, "step"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, never)
    with pytest.raises(AssertionError):
        nn.ReLU()  # control
    with torch.enable_grad():  # nothing is recorded either
        model = two.Model()
        model.train(one, other, num_epochs=1)
        assert not model.predict(wants_gradients).requires_grad
    assert not any(value.requires_grad for value, _ in model.network.param())


def test_the_file_names_nothing_of_it():
    tree = ast.parse(Path(two.__file__).read_text(encoding="utf-8"))
    said = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    said |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules = {node.module for node in imported}
    assert not said & {"nn", "autograd", "functional", "optim", "requires_grad"}
    assert not any(module.startswith("torch.") for module in modules)
    assert "noisepair.scratch" in modules  # control: imports were looked at


@pytest.mark.parametrize(
    "shapes",
    [((4, 3, 8, 8), (4, 3, 8, 9)), ((4, 1, 8, 8),) * 2, ((3, 8, 8),) * 2, ((0, 3, 8, 8),) * 2],
)
def test_what_are_no_pairs_is_refused(shapes):
    with pytest.raises(InputError, match="takes two noisy versions of the same pictures"):
        two.Model().train(*map(torch.zeros, shapes), num_epochs=1)


@no_gpu
def test_a_gpu_is_used_and_pictures_stay_where_they_are():
    model = two.Model()
    assert model.device == "cuda"
    noisy = torch.rand(1, 3, 64, 64) * 255
    assert model.predict(noisy).device.type == "cpu"
    assert model.predict(noisy.cuda()).device.type == "cuda"
    _, one, other = pictures(20)
    model.train(one, other, num_epochs=1)
