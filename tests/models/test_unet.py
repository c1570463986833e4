"""The network is the textbook U-Net, only computed by a shorter road."""

import hashlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from noisepair.denoise import in_tiles
from noisepair.models import NETWORKS, NOISE2NOISE, PRESETS, Tileable, UNet, plainly, unet
from noisepair.models.unet import Finish, radius, repeated
from noisepair.optim import Kaiming

FIRST = UNet(
    channels=(32, 48, 64, 64), head=(32, 32), form="noise2noise", convs=2, pool="max", slope=0.1
)  # the default of the first release; here nothing leans on the default of the day
SMALL = replace(FIRST, channels=(3, 4, 5), head=(4, 3), residual=False)
CHANGES = [  # every option by itself, in both forms
    {},
    {"convs": 1},
    {"skips": False},
    {"pool": "average"},
    {"up": "transposed"},
    {"norm": "batch"},
    {"dropout": 0.5},
    {"slope": 0.0},
    {"slope": 1.0},
    {"output": "leaky"},
    {"output": "sigmoid"},
    {"residual": True},
    {"unshuffle": 2},
    {"unshuffle": 4},
    {"head": (4,)},
    {"head": (2, 3, 4, 5)},
    {"up": "transposed", "skips": False, "norm": "batch"},
]
OPTIONS = [replace(SMALL, form=f, **c) for f in ("noise2noise", "classic") for c in CHANGES]
OPTIONS += [replace(SMALL, form="classic", channels=(3,), unshuffle=fold) for fold in (1, 2)]
NARROW = {  # the presets as deep as they are, and narrow
    name: replace(preset, channels=(2,) * len(preset.channels), head=(2,) * len(preset.head))
    for name, preset in PRESETS.items()
    if isinstance(preset, UNet)
}


def said(one):
    """The options that differ from the standard ones."""
    mine, standard = vars(one), vars(SMALL)
    return ",".join(f"{k}={v}" for k, v in mine.items() if v != standard[k]) or "standard"


each_option = pytest.mark.parametrize("sizes", OPTIONS, ids=said)


@st.composite
def any_settings(draw):
    """Options in all combinations, small enough to be compared in float64."""
    form = draw(st.sampled_from(["noise2noise", "classic"]))
    residual = draw(st.booleans())
    outputs = ["linear"] if residual else ["linear", "leaky", "sigmoid"]
    few = st.integers(1, 3)
    return UNet(
        channels=tuple(draw(st.lists(few, min_size=1, max_size=3))),
        head=tuple(draw(st.lists(few, min_size=1, max_size=3))),
        form=form,
        convs=draw(st.sampled_from([1, 2])),
        skips=draw(st.booleans()),
        pool=draw(st.sampled_from(["max", "average"])),
        up=draw(st.sampled_from(["nearest", "transposed"])),
        norm=draw(st.sampled_from([None, "batch"])),
        dropout=draw(st.sampled_from([0.0, 0.3])),
        slope=draw(st.sampled_from([0.0, 0.1, 0.5])),
        output=draw(st.sampled_from(outputs)),
        residual=residual,
        unshuffle=draw(st.sampled_from([1, 2, 4])),
    )


def built(sizes, planes=2, seed=0):
    """A network in float64 to evaluate; every bias and statistic moved, so that each is felt."""
    network = sizes(planes).double().eval()
    rng = torch.Generator().manual_seed(seed)
    Kaiming()(network, rng, 0.1)
    for name, value in network.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            value.normal_(0, 0.1, generator=rng)
        elif name.endswith(("norm.weight", "running_var")):
            value.uniform_(0.5, 1.5, generator=rng)
    return network


def noise(*shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, dtype=torch.float64, generator=rng)


def folded(x, by):
    """The pixels of each square in channels of their own."""
    batch, planes, height, width = x.shape
    apart = x.reshape(batch, planes, height // by, by, width // by, by)
    return apart.permute(0, 1, 3, 5, 2, 4).reshape(batch, -1, height // by, width // by)


def unfolded(x, by):
    batch, planes, height, width = x.shape
    apart = x.reshape(batch, planes // by**2, by, by, height, width)
    return apart.permute(0, 1, 4, 2, 5, 3).reshape(batch, -1, height * by, width * by)


def textbook(network, noisy, swapped=False):  # noqa: C901  one page, as the papers have it
    """Both papers' drawings, with joins and repetitions carried out; the options written out."""
    weights, sizes = network.state_dict(keep_vars=True), network.settings
    fold, classic = sizes.unshuffle, sizes.form == "classic"
    levels = len(sizes.channels) - classic

    def linear(name, x):
        return F.conv2d(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"), padding=1)

    def finish(name, x):
        if sizes.norm == "batch":
            mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
            if network.training:
                mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
            x = (x - mean.view(-1, 1, 1)) / (var.view(-1, 1, 1) + 1e-5).sqrt()
            scale, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
            x = x * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
        x = torch.where(x > 0, x, sizes.slope * x)
        return F.dropout2d(x, sizes.dropout, network.training)

    def conv(name, x):
        return finish(f"{name}.finish.norm", linear(name, x))

    def convs(name, x, count):
        for i in range(count):
            x = conv(f"{name}.{i}", x)
        return x

    def larger(name, x):
        if sizes.up == "nearest":
            return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        taps, bias = weights[f"{name}.grow.weight"], weights[f"{name}.grow.bias"]
        apart = torch.einsum("bihw,ioyx->bohywx", x, taps)  # each pixel becomes its own 2×2
        return apart.flatten(4, 5).flatten(2, 3) + bias.view(-1, 1, 1)

    height, width = noisy.shape[2:]
    grid = fold * 2**levels
    rows = torch.arange(height + -height % grid).clamp(max=height - 1)
    columns = torch.arange(width + -width % grid).clamp(max=width - 1)
    h = folded(noisy[:, :, rows][..., columns], fold)
    skips = []
    for level in range(levels):
        entered = h
        count = sizes.convs if classic else 2 if level == 0 else 1
        h = convs(f"encode.{level}", h, count)
        skips.append(h if classic else entered)
        h = F.max_pool2d(h, 2) if sizes.pool == "max" else F.avg_pool2d(h, 2)
    row = len(sizes.head) if levels == 0 else 0  # without a level below, all stands in a row
    h = convs("bottom", h, sizes.convs + row if classic else 1)
    for level in range(levels):
        name = f"decode.{level}"
        parts = [larger(f"{name}.up", h), skips.pop()]
        parts = parts[::-1] if swapped else parts
        h = conv(f"{name}.up", torch.cat(parts, 1) if sizes.skips else parts[0])
        count = len(sizes.head) if level == levels - 1 else sizes.convs
        h = convs(f"{name}.convs", h, count - 1)
    out = unfolded(linear("leave", h), fold)[..., :height, :width]
    if sizes.residual:
        return noisy - out
    finishes = {"leaky": lambda x: torch.where(x > 0, x, 0.1 * x), "sigmoid": torch.sigmoid}
    return finishes.get(sizes.output, lambda x: x)(out)


def slopes(network, function, noisy, draws=0):
    """What a network gives, and the slope of ⟨out, probe⟩ for the picture and all parameters."""
    torch.manual_seed(draws)  # of dropout
    noisy = noisy.clone().requires_grad_()
    out = function(noisy)
    probe = noise(*out.shape, seed=1) - 0.5  # feels every output at once
    leaves = [noisy, *network.parameters()]
    return out, torch.autograd.grad((out * probe).sum(), leaves)


def assert_equal(network, noisy, function, other):
    mine, theirs = (slopes(network, f, noisy) for f in (function, other))
    torch.testing.assert_close(mine[0], theirs[0], rtol=1e-10, atol=1e-11)
    for ours, gradient in zip(mine[1], theirs[1], strict=True):
        torch.testing.assert_close(ours, gradient, rtol=1e-8, atol=1e-9)
    return theirs[1]


# — how many —


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("noise2noise", 991_203),
        ("encoder-decoder", 991_203),  # the same network with ReLU
        # without 4 skips of 48 channels to 96 and one of 3 planes to 64
        ("autoencoder", 991_203 - 4 * 9 * 48 * 96 - 9 * 3 * 64),
        # 3·16·9+16  16·32·9+32  32·64·9+64  (64+32)·32·9+32  (32+16)·16·9+16  16·3·9+3
        ("small-unet", 448 + 4_640 + 18_496 + 27_680 + 6_928 + 435),
    ],
)
def test_networks_with_a_name_have_the_parameters_that_were_counted_by_hand(name, count):
    assert sum(p.numel() for p in PRESETS[name](3).parameters()) == count


def test_options_add_and_remove_the_parameters_that_were_counted_by_hand():
    def more(**changes):
        one, two = SMALL, replace(SMALL, **changes)
        return sum(p.numel() for p in two(1).parameters()) - sum(
            p.numel() for p in one(1).parameters()
        )

    # down 3 3, 4, 5; bottom 5; up 8 8, 6 6, 4 3; skips of 4, 3 and 1 channels
    assert more(skips=False) == -9 * (4 * 8 + 3 * 6 + 1 * 4)
    assert more(convs=1) == -(9 * 8 * 8 + 8 + 9 * 6 * 6 + 6)
    assert more(up="transposed") == sum(4 * c * c + c for c in (5, 8, 6))
    assert more(norm="batch") == 3 + 3 + 4 + 5 + 5 + 8 + 8 + 6 + 6 + 4 + 3  # 2 in place of a bias
    assert more(unshuffle=2) == 9 * 3 * 3 + 9 * 3 * 4 + 9 * 3 * 3 + 3  # 3 more planes in and out
    assert more(pool="average", slope=0.0, dropout=0.5) == 0


def test_the_channels_of_all_convolutions_worked_out_by_hand():
    n2n = replace(SMALL, head=(7, 6))
    assert n2n.widths() == ([[3, 3], [4], [5]], [5], [[8, 8], [6, 6], [7, 6]])
    assert replace(n2n, convs=1).widths() == ([[3, 3], [4], [5]], [5], [[8], [6], [7, 6]])
    classic = replace(n2n, form="classic")
    assert classic.widths() == ([[3, 3], [4, 4]], [5, 5], [[4, 4], [7, 6]])
    assert replace(classic, channels=(3,)).widths() == ([], [3, 3, 7, 6], [])
    assert replace(classic, convs=1).widths() == ([[3], [4]], [5], [[4], [7, 6]])


# — the same weights as before —


@pytest.mark.parametrize(
    ("sizes", "planes", "total"),
    [
        (FIRST, 1, "3aa3a53e15dab50e"),
        (FIRST, 3, "2f45db8c5ec194f3"),
        (NOISE2NOISE, 1, "8a8a84788fb9e974"),
        (NOISE2NOISE, 3, "cba9c1aadebb815b"),
    ],
)
def test_a_seed_draws_the_weights_that_it_drew_in_the_first_release(sizes, planes, total):
    """Checksums of commit 9b3ef98, with its own Kaiming and seed 7, in the order of its modules."""
    network = sizes(planes)
    Kaiming()(network, torch.Generator().manual_seed(7), 0.1)
    digest = hashlib.blake2b(digest_size=8)
    for parameter in network.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    assert digest.hexdigest() == total


# — the textbook —


@pytest.mark.parametrize("training", [False, True], ids=["evaluate", "train"])
@each_option
def test_output_and_all_gradients_are_those_of_the_textbook(sizes, training):
    network = built(sizes).train(training)
    expected = assert_equal(
        network, noise(2, 2, 13, 22), network, lambda noisy: textbook(network, noisy)
    )
    assert all(slope.abs().max() > 0 for slope in expected) or sizes.dropout


@given(any_settings(), st.integers(1, 20), st.integers(1, 20), st.booleans(), st.booleans())
@settings(max_examples=60)
def test_any_options_together_are_the_textbook(sizes, height, width, training, plain):
    network = built(sizes, planes=1).train(training)
    if plain:
        plainly(network)
    torch.manual_seed(0)
    theirs = textbook(network, noise(2, 1, height, width))
    torch.manual_seed(0)
    mine = network(noise(2, 1, height, width))
    torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-9)


@each_option
def test_carried_out_plainly_it_is_the_same_function(sizes):
    network, plain = built(sizes), built(sizes)
    plainly(plain)
    noisy = noise(2, 2, 9, 14)
    mine, theirs = slopes(network, network, noisy), slopes(plain, plain, noisy)
    torch.testing.assert_close(mine[0], theirs[0], rtol=1e-10, atol=1e-11)
    for ours, other in zip(mine[1], theirs[1], strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-8, atol=1e-9)


def test_plainly_takes_the_other_road(monkeypatch):
    """A control: with the shorter road broken, only the network that takes it is."""

    def broken(taps):
        raise AssertionError("the shorter road")

    monkeypatch.setattr(unet, "repeated", broken)
    network = built(SMALL)
    with pytest.raises(AssertionError, match="the shorter road"):
        network(noise(1, 2, 8, 8))
    plainly(network)
    assert network(noise(1, 2, 8, 8)).isfinite().all()


@pytest.mark.parametrize("form", ["noise2noise", "classic"])
def test_a_join_in_the_other_order_is_another_network(form):
    noisy = noise(1, 2, 8, 8)
    parts = {"noise2noise": {"channels": (2,)}, "classic": {"channels": (2, 2)}}[form]
    network = built(
        replace(FIRST, head=(2, 2), form=form, **parts)
    )  # as many channels below as beside
    apart = network(noisy) - textbook(network, noisy, swapped=True)
    assert apart.abs().max() > 1e-3


@pytest.mark.parametrize("name", sorted(NARROW))
def test_full_networks_are_the_textbook_in_float32(name):
    network = PRESETS[name](3).eval()
    Kaiming()(network, torch.Generator().manual_seed(0), network.slope)
    noisy = noise(1, 3, 64, 64).float()
    with torch.no_grad():
        torch.testing.assert_close(network(noisy), textbook(network, noisy), rtol=0, atol=1e-4)


def test_repeated_taps_worked_out_by_hand():
    taps = torch.arange(1, 10, dtype=torch.float64).view(1, 1, 3, 3)
    assert repeated(taps)[0, 0].tolist() == [
        [9, 17, 15, 7],
        [15, 28, 24, 11],
        [9, 16, 12, 5],
        [3, 5, 3, 1],
    ]


def test_repeated_taps_do_what_repeating_the_picture_does_to_the_last_digit():
    rng = np.random.default_rng(0)
    picture, taps = (
        torch.from_numpy(rng.integers(-9, 10, shape)).double()
        for shape in ((1, 2, 3, 4), (5, 2, 3, 3))
    )
    longhand = F.conv2d(picture.repeat_interleave(2, 2).repeat_interleave(2, 3), taps, padding=1)
    shorthand = F.conv_transpose2d(picture, repeated(taps), stride=2, padding=1)
    assert torch.equal(shorthand, longhand)
    mirrored = F.conv_transpose2d(picture, repeated(taps.flip(3)), stride=2, padding=1)
    assert not torch.equal(mirrored, longhand)


# — what the options promise —


def finished(network, noisy):
    """What each activation hands on, in order."""
    outs = []
    hooks = [
        layer.register_forward_hook(lambda _, __, out: outs.append(out.detach().clone()))
        for layer in network.modules()
        if isinstance(layer, Finish)
    ]
    with torch.no_grad():
        network(noisy)
    for hook in hooks:
        hook.remove()
    return outs


def test_dropout_takes_whole_channels_in_training_and_none_afterwards():
    sizes = replace(FIRST, channels=(40, 40), head=(40,), dropout=0.3, slope=1.0)
    network, without = built(sizes), built(replace(sizes, dropout=0.0))
    noisy = noise(5, 2, 8, 8)
    torch.testing.assert_close(network(noisy), without(noisy), rtol=0, atol=0)
    torch.manual_seed(0)
    first, plain = finished(network.train(), noisy)[0], finished(without, noisy)[0]
    kept = (first != 0).flatten(2)
    assert torch.equal(kept.all(2), kept.any(2)), "all of a channel, or nothing"
    whole = kept.all(2)
    torch.testing.assert_close(first[whole], plain[whole] / 0.7)  # the mean stays
    dropped = [(out != 0).flatten(2).any(2).float() for out in finished(network, noisy)]
    share = 1 - torch.cat([one.flatten() for one in dropped])
    assert abs(share.mean() - 0.3) < 5 * (0.3 * 0.7 / share.numel()) ** 0.5
    assert len({tuple(row.tolist()) for row in dropped[0]}) > 1, "pictures drop by themselves"


def test_activations_end_where_the_slope_says():
    network = built(replace(SMALL, slope=0.0))
    assert all(out.min() == 0 for out in finished(network, noise(1, 2, 8, 8)))
    leaky = finished(built(SMALL), noise(1, 2, 8, 8))
    assert min(out.min() for out in leaky) < 0


def test_outputs_end_where_they_say():
    plain = built(SMALL)
    noisy = 20 * (noise(1, 2, 16, 16) - 0.5)
    with torch.no_grad():
        out = plain(noisy)
        assert out.min() < 0 < 1 < out.max()
        torch.testing.assert_close(built(replace(SMALL, output="sigmoid"))(noisy), out.sigmoid())
        leaky = built(replace(SMALL, output="leaky"))(noisy)
    torch.testing.assert_close(leaky, torch.maximum(out, 0.1 * out))


def test_a_batch_is_normalised_in_training_only():
    network = built(replace(SMALL, norm="batch"))
    one, two = noise(1, 2, 16, 16), noise(1, 2, 16, 16, seed=1)
    with torch.no_grad():
        torch.testing.assert_close(network(torch.cat([one, two]))[:1], network(one))
        network.train()
        assert (network(torch.cat([one, two]))[:1] - network(one)).abs().max() > 1e-3


@given(any_settings(), st.integers(1, 70), st.integers(1, 70))
@settings(max_examples=40)
def test_any_size_from_one_pixel_comes_out_as_it_went_in(sizes, height, width):
    network = sizes(1).eval()
    with torch.no_grad():
        out = network(torch.rand(1, 1, height, width))
    assert out.shape == (1, 1, height, width)
    assert out.isfinite().all()


@each_option
def test_a_picture_does_not_see_its_neighbours_in_the_batch(sizes):
    network = built(sizes)
    noisy = noise(3, 2, 9, 11)
    with torch.no_grad():
        alone = torch.cat([network(one[None]) for one in noisy])
        torch.testing.assert_close(network(noisy), alone, rtol=0, atol=1e-12)


@each_option
def test_what_comes_in_is_not_changed(sizes):
    noisy = noise(1, 2, 16, 16)
    with torch.no_grad():
        built(sizes)(noisy)
    assert torch.equal(noisy, noise(1, 2, 16, 16))


def test_a_residual_network_subtracts_what_the_other_predicts():
    plain, residual = built(SMALL), built(replace(SMALL, residual=True))
    noisy = noise(1, 2, 10, 10)
    with torch.no_grad():
        torch.testing.assert_close(noisy - residual(noisy), plain(noisy))


# — what tiling must know —


def positive(sizes, planes=1):
    """Weights that cannot cancel, scaled so that nothing grows."""
    network = sizes(planes).double().eval()
    for name, parameter in network.named_parameters():
        parameter.data.fill_(1 / parameter[0].numel() if parameter.ndim == 4 else 0.01)
        if name.endswith("norm.weight"):
            parameter.data.fill_(1)
    return network


def reach(sizes, pictures):
    """How far to each side, in pixels, outputs of all phases depend on the input, by gradients."""
    network = positive(sizes)
    half = network.multiple * (2 + network.radius // network.multiple)
    noisy = noise(pictures, 1, network.multiple, 2 * half).requires_grad_()
    out = network(noisy)[..., 0, :].sum(0).view(-1)
    farthest = 0
    for place in range(half, half + network.multiple):
        (slope,) = torch.autograd.grad(out[place], noisy, retain_graph=True)
        felt = slope.abs().sum((0, 1, 2)).nonzero().view(-1)
        farthest = max(farthest, int((felt - place).abs().max()))
    return network, farthest


@each_option
def test_the_radius_is_what_gradients_reach_and_a_pixel_less_is_too_little(sizes):
    """A maximum lets one pixel of four through; an average shows them all at once."""
    network, farthest = reach(replace(sizes, pool="average"), 1)
    assert network.radius == radius(sizes) == farthest
    assert not farthest <= network.radius - 1


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("form", ["noise2noise", "classic"])
def test_maxima_reach_as_far_as_averages(levels, form):
    """Of 200 random pictures one or another lets each pixel through."""
    widths = (2,) * (levels + (form == "classic"))
    sizes = replace(SMALL, channels=widths, head=(2, 2), form=form)
    network, farthest = reach(sizes, 200)
    assert network.radius == farthest
    assert network.multiple == 2**levels


@pytest.mark.parametrize("name", sorted(NARROW))
def test_named_networks_reach_their_radius(name):
    network, farthest = reach(replace(NARROW[name], pool="average"), 1)
    assert network.radius == PRESETS[name](3).radius == farthest
    assert network.multiple == PRESETS[name](3).multiple


def seam(network, noisy, halo, tile):
    """How far tiles are from the whole picture."""
    out = torch.empty_like(noisy)
    in_tiles(network, noisy, out, tile=tile, halo=halo, multiple=network.multiple)
    with torch.inference_mode():
        return (out - network(noisy)).abs().max()


@each_option
def test_tiles_cannot_be_seen(sizes):
    network = built(sizes, planes=1)
    side = 2 * network.radius + 2 * network.multiple + 3
    noisy = noise(1, 1, network.multiple + 3, side)
    for tile in (network.multiple + 1, network.radius):
        assert seam(network, noisy, network.radius, tile) < 1e-11
    assert seam(network, noisy, 0, network.multiple + 1) > 1e-6, "the control"


@pytest.mark.parametrize("name", sorted(NARROW))
def test_tiles_cannot_be_seen_by_networks_with_a_name(name):
    network = built(NARROW[name], planes=1)
    noisy = noise(1, 1, 37, 2 * network.radius + 70)
    assert seam(network, noisy, network.radius, 32) < 1e-11
    assert seam(network, noisy, 0, 32) > 1e-6, "the control"


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_pixel_beyond_the_radius_changes_nothing_and_the_last_one_does(side):
    """Where the worst phase is: an output at the edge of a cell of the pooling grid."""
    for sizes in (SMALL, replace(SMALL, form="classic"), replace(SMALL, unshuffle=2)):
        network = positive(replace(sizes, pool="average"))
        middle = network.multiple * (2 + network.radius // network.multiple)
        noisy = noise(1, 1, network.multiple, 2 * middle)
        far = []
        for place in range(middle, middle + network.multiple):
            for beyond in (0, 1):
                step = network.radius + beyond
                changed = noisy.clone()
                changed[..., place - step if side == "left" else place + step] += 1000.0
                with torch.no_grad():
                    moved = (network(changed) - network(noisy))[..., place].abs().max()
                far.append((beyond, bool(moved > 0)))
        assert (1, True) not in far
        assert (0, True) in far, "the grid is its own mirror image, so both sides reach it"


def test_networks_say_what_tiling_asks():
    for settings_of in NETWORKS.values():
        network = settings_of()(1)
        assert isinstance(network, Tileable)
    for sizes in OPTIONS:
        levels = len(sizes.channels) - (sizes.form == "classic")
        assert sizes(1).multiple == sizes.unshuffle * 2**levels
        assert sizes(1).slope == sizes.slope
    assert (FIRST(1).radius, FIRST(1).multiple) == (78, 16)


@pytest.mark.parametrize("form", ["noise2noise", "classic"])
@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_the_picture_seen_from_a_multiple_further_on_is_the_same(levels, fold, form):
    """What lets tiles begin at multiples, and a control that begins between them."""
    widths = (3, 4, 5, 6)[: levels + (form == "classic")]
    sizes = replace(SMALL, channels=widths, unshuffle=fold, form=form)
    network = built(sizes, planes=1)
    side = 2 * (network.radius + 2 * network.multiple)
    picture = noise(1, 1, network.multiple, side)

    def moved(by):
        with torch.no_grad():
            whole, part = network(picture), network(picture[..., by:])
        inner = slice(network.radius, -network.radius - network.multiple)
        return (whole[..., by:][..., inner] - part[..., inner]).abs().max()

    assert moved(network.multiple) < 1e-12
    assert moved(network.multiple // 2) > 1e-6
    assert moved(1) > 1e-6


class Live(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive at once; no workspace of a convolution."""

    def __init__(self):
        super().__init__()
        self.alive, self.most = {}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.alive = {k: (ref, n) for k, (ref, n) in self.alive.items() if not ref.expired()}
        self.most = max(self.most, sum(n for _, n in self.alive.values()))
        return result


WIDE = replace(SMALL, channels=(16, 24, 32), head=(16, 8))


def alive(sizes):
    """Bytes that a pixel more adds to the tensors at the peak, and what the network says."""
    network, most = sizes(3).eval(), {}
    for side in (64, 128):  # the difference leaves out kernels, which are of no pixel
        with torch.inference_mode(), Live() as live:
            network(torch.rand(1, 3, side, side))
        most[side] = live.most
    return (most[128] - most[64]) / (128**2 - 64**2), network.bytes_a_pixel


@pytest.mark.parametrize("form", ["noise2noise", "classic"])
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_the_peak_is_no_less_than_the_tensors_alive(form, change):
    wide_head = {"head": tuple(4 * c for c in change["head"])} if "head" in change else {}
    least, peak = alive(replace(WIDE, form=form, **(change | wide_head)))
    assert 0 < least <= peak
    assert least > peak / 20, "or tiles would be far too small"


@given(any_settings(), st.lists(st.integers(1, 40), min_size=6, max_size=6))
@settings(max_examples=30)
def test_the_peak_covers_wide_and_narrow_levels_in_any_order(sizes, factors):
    def wider(widths):
        return tuple(c * f for c, f in zip(widths, factors, strict=False))

    sizes = replace(sizes, channels=wider(sizes.channels), head=wider(sizes.head))
    least, peak = alive(sizes)
    assert least <= peak


@pytest.mark.parametrize("form", ["noise2noise", "classic"])
def test_the_peak_grows_with_what_is_wider_and_not_with_what_is_smaller(form):
    def peak(**changes):
        return replace(WIDE, form=form, **changes)(3).bytes_a_pixel

    wider = [peak(channels=(16 * k, 24 * k, 32 * k), head=(16 * k, 8)) for k in (1, 2, 4, 8)]
    assert all(one < two for one, two in pairwise(wider))
    deep = [peak(channels=(16, 24, k)) for k in (32, 512, 2048, 4096)]
    assert deep == sorted(deep)
    assert deep[0] < deep[-1]
    heads = [peak(head=(k, 8)) for k in (8, 16, 32)]
    assert heads == sorted(set(heads))
    assert peak() <= peak(up="transposed")
    assert peak() < peak(norm="batch")
    assert peak() > peak(unshuffle=2) > peak(unshuffle=4) > 0


# — settings —


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": ()},
        {"channels": (48,) * 9},
        {"channels": (0, 48)},
        {"channels": (5000,)},
        {"head": ()},
        {"head": (64, 32, 16, 8, 4)},
        {"head": (0,)},
        {"form": "resnet"},
        {"convs": 3},
        {"convs": 0},
        {"pool": "min"},
        {"up": "bilinear"},
        {"norm": "group"},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"slope": -0.1},
        {"slope": 1.1},
        {"output": "tanh"},
        {"output": "sigmoid"},  # of noise, which has both signs
        {"output": "leaky"},
        {"unshuffle": 3},
        {"unshuffle": 0},
        {"depth": 3},
        {"kind": "dncnn"},
    ],
)
def test_settings_that_no_network_can_have_are_refused(wrong):
    with pytest.raises(ValidationError):
        UNet(**wrong)


def test_settings_are_values():
    assert UNet(channels=(8, 8)) == UNet(channels=(8, 8))
    assert len({UNet(), UNet(), UNet(residual=False)}) == 2
    with pytest.raises(AttributeError):
        UNet().residual = True


@each_option
def test_channels_last_goes_through(sizes):
    network = built(sizes, planes=3)
    noisy = noise(2, 3, 16, 16)
    with torch.no_grad():
        plain = network(noisy)
        network = network.to(memory_format=torch.channels_last)
        turned = network(noisy.contiguous(memory_format=torch.channels_last))
    np.testing.assert_allclose(turned.numpy(), plain.numpy(), atol=1e-12)
