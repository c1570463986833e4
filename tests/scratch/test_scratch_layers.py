"""Every layer by three roads: by hand on small numbers, against torch.nn, by both of its paths."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from noisepair import scratch
from noisepair.errors import InputError

FLOATS = {torch.float64: 1e-10, torch.float32: 2e-4}
sizes = st.tuples(st.integers(1, 4), st.integers(1, 4))
steps = st.tuples(st.integers(1, 3), st.integers(1, 3))
borders = st.tuples(st.integers(0, 3), st.integers(0, 3))
planes = st.integers(1, 4)


@st.composite
def pictures(draw) -> Tensor:
    """A batch of any size, one time in three not contiguous."""
    shape = draw(st.tuples(st.integers(1, 3), planes, st.integers(4, 13), st.integers(4, 13)))
    dtype = draw(st.sampled_from(list(FLOATS)))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    x = torch.randn(shape, generator=rng, dtype=dtype)
    how = draw(st.sampled_from(["as it is", "transposed", "every other"]))
    if how == "transposed":
        return x.transpose(2, 3)
    return x.repeat_interleave(2, 3)[..., ::2] if how == "every other" else x


def both_ways(ours: scratch.Module, x: Tensor, d_out: Tensor) -> list[Tensor]:
    """Output, gradient of the input, gradients of the parameters."""
    with torch.no_grad():
        ours.zero_grad()
        out = ours.forward(x.clone())
        d_x = ours.backward(d_out)
    return [out, d_x, *(gradient.clone() for _, gradient in ours.param())]


def assert_twins(ours: scratch.Module, theirs: nn.Module, x: Tensor) -> None:
    """Both paths of ours do what torch does, forward and backward."""
    theirs.to(x.dtype)
    ours.to(dtype=x.dtype).load_state_dict(theirs.state_dict())
    entering = x.clone().requires_grad_()
    try:
        out = theirs(entering)
    except RuntimeError:
        out = None
    if out is None or not out.numel():  # torch refuses, or makes nothing: we refuse
        with pytest.raises(InputError):
            ours.forward(x)
        return
    rng = torch.Generator().manual_seed(1)
    d_out = torch.randn(out.shape, generator=rng, dtype=x.dtype)
    theirs.zero_grad()
    out.backward(d_out)
    expected = [out.detach(), entering.grad, *(p.grad for p in theirs.parameters())]
    close = FLOATS[x.dtype]
    for path in ("reference", "fast"):
        for mine, other in zip(both_ways(ours.use(path), x, d_out), expected, strict=True):
            torch.testing.assert_close(mine, other, rtol=close, atol=close)


many = settings(deadline=None, max_examples=60)


@many
@given(pictures(), planes, sizes, steps, borders, steps, st.booleans())
def test_conv2d_is_torchs(x, out, kernel, stride, padding, dilation, bias):
    shape = (x.shape[1], out, kernel, stride, padding, dilation)
    assert_twins(scratch.Conv2d(*shape, bias), nn.Conv2d(*shape, bias=bias), x)


@many
@given(pictures(), planes, sizes, steps, borders, steps, st.data())
def test_transpose_conv2d_is_torchs(x, out, kernel, stride, padding, dilation, data):
    more = tuple(data.draw(st.integers(0, step - 1)) for step in stride)
    ours = (x.shape[1], out, kernel, stride, padding, more)
    assert_twins(
        scratch.TransposeConv2d(*ours, dilation=dilation),
        nn.ConvTranspose2d(*ours, dilation=dilation), x,
    )  # fmt: skip


@many
@given(pictures(), planes, sizes, steps, borders)
def test_upsampling_is_torchs_upsample_and_conv(x, out, kernel, factor, padding):
    theirs = nn.Sequential(
        nn.Upsample(scale_factor=factor), nn.Conv2d(x.shape[1], out, kernel, padding=padding)
    )
    assert_twins(scratch.Upsampling(x.shape[1], out, kernel, factor, padding), theirs, x)


@many
@given(pictures(), sizes, st.none() | steps, st.data(), st.booleans())
def test_pooling_is_torchs(x, kernel, stride, data, largest):
    padding = tuple(data.draw(st.integers(0, side // 2)) for side in kernel)
    name = "MaxPool2d" if largest else "AvgPool2d"
    ours, theirs = (getattr(home, name)(kernel, stride, padding) for home in (scratch, nn))
    assert_twins(ours, theirs, x)


@many
@given(pictures(), st.integers(1, 4), st.sampled_from(["up", "relu", "leaky", "sigmoid"]))
def test_what_has_no_weights_is_torchs(x, factor, kind):
    ours, theirs = {
        "up": (scratch.NearestUpsampling(factor), nn.Upsample(scale_factor=factor)),
        "relu": (scratch.ReLU(), nn.ReLU()),
        "leaky": (scratch.LeakyReLU(0.1), nn.LeakyReLU(0.1)),
        "sigmoid": (scratch.Sigmoid(), nn.Sigmoid()),
    }[kind]
    assert_twins(ours, theirs, x)


@pytest.mark.parametrize("name", ["few planes out", "wide"])
def test_special_ways_are_torchs(name):
    """Sizes that only the blocks and Winograd's tiles take."""
    planes_in, planes_out, height, width = {
        "few planes out": (16, 3, 10, 12), "wide": (64, 96, 8, 12)
    }[name]  # fmt: skip
    shape = (planes_in, planes_out, 3, 1, 1)
    x = torch.randn(3, planes_in, height, width, dtype=torch.float64)
    assert_twins(scratch.Conv2d(*shape), nn.Conv2d(*shape), x)


def test_winograd_in_float32_keeps_five_digits():
    """The bound that its page states: 1e-5 of the largest value, where direct sums keep 1e-6."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 96, 16, 16, generator=rng, dtype=torch.float64)
    conv = scratch.Conv2d(96, 96, 3, padding=1, generator=rng, dtype=torch.float64)
    exact = conv.use("reference").forward(x)
    errors = {
        path: float((conv.to(dtype=torch.float32).use(path).forward(x.float()) - exact).abs().max())
        for path in ("fast", "reference")
    }
    largest = float(exact.abs().max())
    assert 2e-7 * largest < errors["fast"] < 3e-5 * largest
    assert errors["reference"] < 3e-6 * largest


# — by hand —


def test_a_convolution_worked_out_by_hand():
    conv = scratch.Conv2d(1, 1, 2, dtype=torch.float64)
    conv.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2))
    conv.bias.fill_(10)
    x = torch.arange(9, dtype=torch.float64).view(1, 1, 3, 3)
    for path in ("reference", "fast"):
        assert conv.use(path).forward(x).tolist() == [[[[37, 47], [67, 77]]]]
        conv.zero_grad()
        d_x = conv.backward(torch.ones(1, 1, 2, 2, dtype=torch.float64))
        assert d_x.tolist() == [[[[1, 3, 2], [4, 10, 6], [3, 7, 4]]]]
        assert conv.d_weight.tolist() == [[[[8, 12], [20, 24]]]]
        assert conv.d_bias.tolist() == [4]


def test_the_gradient_of_upsampling_is_the_sum_of_each_block():
    up = scratch.NearestUpsampling(2)
    up.forward(torch.zeros(1, 1, 1, 2))
    d_out = torch.tensor([[[[1.0, 2.0, 5.0, 6.0], [3.0, 4.0, 7.0, 8.0]]]])
    assert up.backward(d_out).tolist() == [[[[10, 26]]]]


def test_upsampling_is_the_product_with_two_matrices():
    """Report 003, eq. 1: the identity with its rows repeated, on both sides."""
    x = torch.randn(1, 1, 3, 5, dtype=torch.float64)
    rows, columns = (torch.eye(n).double().repeat_interleave(3, 0) for n in (3, 5))
    up = scratch.NearestUpsampling(3)
    assert torch.equal(up.forward(x)[0, 0], rows @ x[0, 0] @ columns.T)
    d_out = torch.randn(1, 1, 9, 15, dtype=torch.float64)
    torch.testing.assert_close(up.backward(d_out)[0, 0], rows.T @ d_out[0, 0] @ columns)


def test_of_equal_values_the_first_gets_the_gradient():
    for path in ("reference", "fast"):
        pool = scratch.MaxPool2d(2).use(path)
        pool.forward(torch.ones(1, 1, 2, 2))
        assert pool.backward(torch.full((1, 1, 1, 1), 5.0)).tolist() == [[[[5, 0], [0, 0]]]]


@pytest.mark.parametrize("path", ["reference", "fast"])
def test_a_value_that_is_none_gets_the_gradient_as_in_torch(path):
    pool, x = scratch.MaxPool2d(2).use(path), torch.rand(1, 1, 2, 2)
    x[0, 0, 1, 0] = torch.nan
    assert pool.forward(x).isnan().all()
    assert pool.backward(torch.ones(1, 1, 1, 1)).tolist() == [[[[0, 0], [1, 0]]]]


@pytest.mark.parametrize("name", ["MSE", "L1"])
def test_losses_are_torchs(name):
    ours, theirs = getattr(scratch, name)(), {"MSE": nn.MSELoss(), "L1": nn.L1Loss()}[name]
    x, y = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    entering = x.clone().requires_grad_()
    expected = theirs(entering, y)
    (3 * expected).backward()
    torch.testing.assert_close(ours.forward(x, y), expected.detach())
    torch.testing.assert_close(ours.backward(3.0), entering.grad)


# — the contract —


def test_a_gradient_is_taken_once():
    conv = scratch.Conv2d(2, 3, 3)
    out = conv.forward(torch.rand(1, 2, 8, 8))
    conv.backward(out)
    with pytest.raises(InputError, match=r"Conv2d\(2, 3, kernel_size=3\): backward\(\) needs a f"):
        conv.backward(out)
    conv.eval().forward(torch.rand(1, 2, 8, 8))
    with pytest.raises(InputError, match=r"train\(\) mode: eval\(\) remembers nothing"):
        conv.backward(out)


def test_gradients_add_up_until_they_are_cleared():
    net = scratch.Sequential(scratch.Upsampling(2, 3, 3, padding=1), scratch.Conv2d(3, 1, 3))
    x = torch.randn(1, 2, 6, 6)
    d_out = torch.randn_like(net.forward(x))
    net.backward(d_out)
    once = [gradient.clone() for _, gradient in net.param()]
    net.forward(x)
    net.backward(d_out)
    for (_, gradient), first in zip(net.param(), once, strict=True):
        torch.testing.assert_close(gradient, 2 * first)
    net.zero_grad()
    assert all(not gradient.any() for _, gradient in net.param())


def test_parameters_are_live():
    conv = scratch.Conv2d(1, 1, 1)
    (weight, d_weight), (bias, _) = conv.param()
    weight.fill_(2)
    bias.fill_(1)
    assert conv.forward(torch.full((1, 1, 1, 1), 3.0)).item() == 7
    conv.backward(torch.ones(1, 1, 1, 1))
    assert d_weight.item() == 3
    assert scratch.ReLU().param() == []


@pytest.mark.parametrize("inplace", [False, True])
def test_an_activation_works_in_place_only_where_asked(inplace):
    x = torch.tensor([-1.0, 2.0])
    relu = scratch.ReLU(inplace=inplace)
    out, d_out = relu.forward(x), torch.tensor([3.0, 4.0])
    d_x = relu.backward(d_out)
    assert (out.tolist(), d_x.tolist()) == ([0, 2], [0, 4])
    assert (out is x, d_x is d_out) == (inplace, inplace)
    assert x.tolist() == ([0, 2] if inplace else [-1, 2])


def test_the_first_layer_may_leave_its_input_alone():
    net = scratch.Sequential(scratch.Conv2d(1, 2, 3), scratch.ReLU(), scratch.Conv2d(2, 1, 3))
    x, d_out = torch.randn(2, 1, 9, 9), torch.randn(2, 1, 5, 5)
    *_, asked = (both_ways(net, x, d_out), [g.clone() for _, g in net.param()])
    scratch.without_first_gradient(net)
    for path in ("reference", "fast"):
        net.use(path).zero_grad()
        net.forward(x)
        assert net.backward(d_out) is None
        for (_, gradient), other in zip(net.param(), asked, strict=True):
            torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-5)


# — bad input: one sentence —

X = torch.rand(1, 3, 8, 8)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (lambda: scratch.Conv2d(4, 2, 3).forward(X),
         r"Conv2d\(4, 2, kernel_size=3\) takes 4 channels, and got 3 in \(1, 3, 8, 8\)\."),
        (lambda: scratch.Conv2d(3, 2, 9).forward(X),
         r"Conv2d\(3, 2, kernel_size=9\): a kernel that spans 9×9 pixels does not fit in a picture"
         r" of 8×8 with padding 0 and 0\. Give a larger picture"),
        (lambda: scratch.Conv2d(3, 2, 3, stride=0), "Conv2d: stride=0 is not possible. It takes"),
        (lambda: scratch.Conv2d(3, 2, 3, padding=-1), "padding=-1 .* a whole number from 0 on"),
        (lambda: scratch.Conv2d(3, 2, (3, 0)), r"kernel_size=\(3, 0\) is not possible"),
        (lambda: scratch.Conv2d(0, 2, 3), "Conv2d: in_channels=0 is not possible"),
        (lambda: scratch.Conv2d(3, 2, 3).forward(X.byte()),
         r"takes floating-point values: try x\.float\(\) / 255, and got torch.uint8"),
        (lambda: scratch.Conv2d(3, 2, 3).forward(X[:0]),
         r"takes one picture or more, with pixels, and got \(0, 3, 8, 8\)"),
        (lambda: scratch.Conv2d(3, 2, 3).forward(X[0]), r"\(batch, channels, height, width\), "),
        (lambda: scratch.Conv2d(3, 2, 3).forward(X.double()),
         r"takes torch.float32 on cpu as its weights are, and got torch.float64 on cpu"),
        (lambda: scratch.Conv2d(3, 2, 3, dtype=torch.int64), "dtype=torch.int64 is not possible"),
        (lambda: scratch.Conv2d(3, 2, 3).to(dtype=torch.int64), "cannot compute in torch.int64"),
        (lambda: scratch.Joined(0, 2, 3, 3), "Joined: low_channels=0 is not possible"),
        (lambda: scratch.Concat(), "Concat takes one module or more"),
        (lambda: scratch.Residual(nn.ReLU()), "Residual takes modules of noisepair.scratch, and"),
        (lambda: scratch.TransposeConv2d(3, 2, 3, 2, 0, 2), "output_padding=2 .* less than the st"),
        (lambda: scratch.TransposeConv2d(3, 2, 1, 1, 4).forward(X), "8×8 would become 0×0"),
        (lambda: scratch.MaxPool2d(2, padding=2), "padding=2 is not possible. It takes half of"),
        (lambda: scratch.LeakyReLU(-1.0), "negative_slope=-1.0 is not possible"),
        (lambda: scratch.Sigmoid().forward(X.byte()), r"Sigmoid\(\) takes one floating-point"),
        (lambda: scratch.MSE().forward(X, X[:, :1]), r"MSE\(\): the prediction has the shape"),
        (lambda: scratch.MSE().backward(), r"MSE\(\): backward\(\) needs a forward\(\)"),
        (lambda: scratch.Sequential(scratch.ReLU(), nn.ReLU()), "number 1 is a ReLU"),
        (lambda: scratch.Conv2d(3, 2, 3).use("quick"), "Unknown path 'quick'. Available: fast"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_sentence_that_names_the_layer(what, sentence):
    with pytest.raises(InputError, match=sentence):
        what()


@pytest.mark.parametrize(
    "layer",
    [scratch.Conv2d(3, 2, 3), scratch.TransposeConv2d(3, 2, 3), scratch.Upsampling(3, 2, 3),
     scratch.MaxPool2d(2), scratch.AvgPool2d(2), scratch.NearestUpsampling(2), scratch.ReLU(),
     scratch.LeakyReLU(), scratch.Sigmoid(), scratch.Identity()],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
@pytest.mark.parametrize("path", ["reference", "fast"])
def test_a_gradient_of_another_shape_is_refused_and_the_right_one_still_taken(layer, path):
    out = layer.use(path).forward(X)
    with pytest.raises(InputError, match=r"the gradient has the shape .*, and the output had"):
        layer.backward(out[:, :, 1:])
    assert layer.backward(torch.ones_like(out)).shape == X.shape
