"""Denoising: tiles leave no seam, and what went in comes out alike in all but the noise."""

import itertools
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from noisepair import hardware
from noisepair.checkpoint import Card
from noisepair.denoise import Denoiser, Window, areas, cuts, in_tiles
from noisepair.errors import InputError
from noisepair.models import NOISE2NOISE, Scale, UNet
from noisepair.optim import Kaiming
from noisepair.recipe import Recipe
from noisepair.train import train  # the file's own name is the function's

denoising = sys.modules["noisepair.denoise"]  # the name itself is the function's

FORM = {"form": "noise2noise", "convs": 2, "pool": "max", "slope": 0.1}  # whatever the default


def unet(levels=2, width=4, planes=1, **settings):
    """Weights as training begins with them: the whole field of view matters."""
    lines = FORM | settings
    network = UNet(channels=(width,) * levels, head=(width, width), **lines)(planes)
    Kaiming()(network, torch.Generator().manual_seed(0), 0.1)
    return network.eval()


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def tiled(network, x, tile, halo=None, multiple=None, **more):
    out = torch.full_like(x, torch.nan)
    in_tiles(
        network, x, out, tile=tile, **more,
        halo=network.radius if halo is None else halo,
        multiple=network.multiple if multiple is None else multiple,
    )  # fmt: skip
    return out


def seams(network, x, tile, **more):
    """The largest difference between the picture in tiles and the picture at once."""
    with torch.inference_mode():
        return float((tiled(network, x, tile, **more) - network(x)).abs().max())


# — tiles —


@given(
    top=st.integers(0, 50), left=st.integers(0, 50), height=st.integers(1, 60),
    width=st.integers(1, 60), tile=st.integers(1, 70),
)  # fmt: skip
def test_tiles_cover_every_pixel_once(top, left, height, width, tile):
    count = np.zeros((top + height + 1, left + width + 1), int)
    for t, b, le, r in areas((top, top + height, left, left + width), tile):
        assert 0 < b - t <= tile
        assert 0 < r - le <= tile
        count[t:b, le:r] += 1
    assert (count[top:-1, left:-1] == 1).all()
    assert count.sum() == height * width


@given(
    size=st.integers(1, 200), tile=st.integers(1, 64), halo=st.integers(0, 40),
    multiple=st.sampled_from([1, 2, 4, 8, 32]),
)  # fmt: skip
def test_a_window_reads_its_halo_from_the_grid_and_keeps_its_tile(size, tile, halo, multiple):
    for start, stop in cuts(0, size, tile):
        window = Window.around(start, stop, size, halo, multiple)
        assert window.read.start % multiple == 0
        assert window.read.start <= max(0, start - halo)
        assert window.read.stop == min(size, stop + halo)
        seen = np.arange(size)[window.read][window.keep]
        assert (seen == np.arange(start, stop)).all()
        assert window.write == slice(start, stop)


NETWORKS = {
    (levels, residual): unet(levels, 3, residual=residual)
    for levels in (1, 2, 3)
    for residual in (False, True)
}


@settings(max_examples=60)
@given(data=st.data(), network=st.sampled_from(list(NETWORKS.values())), tile=st.integers(1, 80))
def test_tiling_is_invisible(data, network, tile):
    height, width = (data.draw(st.integers(1, min(150, 5 * tile))) for _ in range(2))
    assert seams(network, noise(1, 1, height, width), tile) < 1e-5


def test_tiling_is_invisible_at_the_depth_of_noise2noise():
    network = unet(5, 6, form="noise2noise", convs=2)
    assert network.radius == NOISE2NOISE(1).radius, "of the same depth, so of the same view"
    assert seams(network, noise(1, 1, 330, 400), 96) < 1e-5
    assert seams(network, noise(1, 1, 330, 400), 101) < 1e-5


@pytest.mark.slow
def test_tiling_is_invisible_for_noise2noise_at_its_full_width():
    network = NOISE2NOISE(3)
    Kaiming()(network, torch.Generator().manual_seed(0), 0.1)
    assert seams(network.eval(), noise(1, 3, 330, 400), 160) < 1e-5


def test_too_small_a_halo_and_a_grid_ignored_do_show():
    """Control of the four tests above."""
    network, x = unet(3), noise(1, 1, 150, 150)
    assert seams(network, x, 50) < 1e-5
    assert seams(network, x, 50, halo=network.radius // 4) > 1e-3
    assert seams(network, x, 50, halo=network.radius + 1, multiple=1) > 1e-3


def test_many_pages_and_planes_are_tiled_alike():
    network, x = unet(2, planes=3), noise(4, 3, 60, 45)
    assert seams(network, x, 16) < 1e-5


def test_arrays_of_any_stride_are_read_and_written():
    network = unet(1, planes=3)
    x, out = noise(2, 40, 30, 3), torch.zeros(2, 40, 30, 3)
    args = (array.permute(0, 3, 1, 2) for array in (x, out))
    in_tiles(network, *args, tile=16, halo=network.radius, multiple=network.multiple)
    with torch.inference_mode():
        whole = network(x.permute(0, 3, 1, 2).contiguous())
    torch.testing.assert_close(out.permute(0, 3, 1, 2), whole, rtol=0, atol=1e-5)


# — memory —


class Cramped(nn.Module):
    """A network of radius 1 on a machine where more pixels than `room` do not fit."""

    radius, multiple, bytes_a_pixel = 1, 1, 1000

    def __init__(self, room, error):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.room, self.error = nn.Conv2d(1, 1, 3, padding=1), room, error
        self.asked = []

    def forward(self, x):
        self.asked.append(tuple(x.shape[2:]))
        if x.shape[2] * x.shape[3] > self.room:
            raise self.error
        return self.conv(x)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:113] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
    np._core._exceptions._ArrayMemoryError((1 << 20, 1 << 20), np.dtype(float)),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_when_memory_runs_out_tiles_are_halved_and_the_result_is_the_same(error):
    network, x, seen = Cramped(40 * 40, error), noise(1, 1, 150, 130), []
    out = tiled(network, x, 128, watch=lambda done, of: seen.append((done, of)))
    assert network.asked[:3] == [(129, 129), (65, 65), (33, 33)], "128, 64, 32 and a halo"
    torch.testing.assert_close(out, network.conv(x).detach(), rtol=0, atol=1e-6)
    done = [n for n, _ in seen]
    assert done == sorted(set(done)), "nothing is counted twice"
    assert seen[-1] == (150 * 130, 150 * 130)


def test_memory_that_runs_out_midway_costs_no_tile_that_is_done():
    network, x = Cramped(10**6, OUT_OF_MEMORY[0]), noise(1, 1, 100, 100)

    def tighter(done, of):
        network.room = 40 * 40

    out = tiled(network, x, 64, watch=tighter)
    assert network.asked[0] == (65, 65)
    torch.testing.assert_close(out, network.conv(x).detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_a_machine_without_any_memory_says_so(error):
    network = Cramped(0, error)
    with pytest.raises(InputError, match="Memory ran out even for a tile of 32 pixels"):
        tiled(network, noise(1, 1, 300, 300), 256)
    assert [height - 1 for height, _ in network.asked] == [256, 128, 64, 32], "and no smaller"


def test_another_failure_is_not_taken_for_memory():
    network = Cramped(0, RuntimeError("expected 3 planes"))
    with pytest.raises(RuntimeError, match="expected 3 planes"):
        tiled(network, noise(1, 1, 300, 300), 256)
    assert len(network.asked) == 1


@pytest.mark.parametrize("free", [1 << 20, 1 << 28, 1 << 40])
@pytest.mark.parametrize("levels", [1, 5])
def test_the_tile_fits_into_the_memory_that_is_free(monkeypatch, free, levels):
    monkeypatch.setattr(denoising, "free_memory", lambda device: free)
    denoiser = made(unet(levels))
    tile, grid = denoiser.tile(np.dtype("float32")), denoiser.network.multiple
    assert tile % grid == 0
    taken = (tile + 2 * denoiser.network.radius) ** 2 * denoiser.network.bytes_a_pixel
    assert tile == grid or taken <= min(free // 3, denoising.MOST_BYTES)


# — what goes in comes out —


class Simple(nn.Module):
    """A network whose result can be worked out by hand: `change` of what it sees."""

    radius, multiple, bytes_a_pixel = 0, 1, 1000

    def __init__(self, change):
        super().__init__()
        self.change, self.seen = change, []

    def forward(self, x):
        self.seen.append(x.clone())
        return self.change(x)


def same(x):
    return x.clone()


def made(network, planes=1, scale=Scale(), precision="float32"):  # noqa: B008  frozen
    return Denoiser(network, Card(Recipe(steps=1, precision=precision), planes, scale, {}))


def picture(shape, dtype, seed=0):
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return rng.normal(0.5, 1, shape).astype(dtype)


DTYPES = ["uint8", "uint16", "int16", "float16", "float32", "float64"]
SHAPES = [
    ((7, 5), None),
    ((7, 5, 3), -1),
    ((7, 5, 3), 2),
    ((3, 7, 5), 0),
    ((2, 7, 5), None),
    ((2, 7, 5, 3), -1),
    ((2, 3, 7, 5), 1),
    ((2, 4, 7, 5, 3), -1),
    ((1, 1), None),
    ((0, 7, 5), None),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("of_torch", [False, True])
def test_through_a_network_that_does_nothing_every_picture_comes_back(dtype, shape, axis, of_torch):
    noisy = picture(shape, dtype)
    given = torch.from_numpy(noisy) if of_torch else noisy
    kept = noisy.copy()
    clean = made(Simple(same), planes=3 if axis is not None else 1)(given, axis, tile=3)
    assert type(clean) is type(given)
    assert clean.dtype == given.dtype
    assert tuple(clean.shape) == shape
    clean = np.asarray(clean)
    if dtype == "float64":
        assert clean == pytest.approx(noisy, rel=1e-7), "computed in float32"
    else:
        assert (clean == noisy).all()
    assert (noisy == kept).all(), "what was given is left alone"


@pytest.mark.parametrize(
    ("plus", "stored"), [(0.4, [0, 100, 255]), (0.6, [1, 101, 255]), (-0.6, [0, 99, 254])]
)
def test_integers_are_rounded_and_clipped(plus, stored):
    noisy = np.array([[0, 100, 255]], np.uint8)
    assert made(Simple(lambda x: x + plus / 255))(noisy).tolist() == [stored]


def test_clipping_is_to_the_type_not_to_the_range_of_photographs():
    noisy = np.array([[-32768, -5, 32767]], np.int16)
    assert made(Simple(lambda x: 2 * x))(noisy).tolist() == [[-32768, -10, 32767]]


def test_floats_are_neither_rounded_nor_clipped():
    noisy = np.array([[-0.75, 0.5, 3.0]], np.float32)
    assert made(Simple(lambda x: 2 * x))(noisy).tolist() == [[-1.5, 1.0, 6.0]]


def test_bfloat16_tensors_come_back_as_such():
    noisy = noise(4, 4).to(torch.bfloat16)
    assert torch.equal(made(Simple(same))(noisy), noisy)


def test_what_the_network_sees_is_in_picture_units_in_the_order_of_planes():
    denoiser = made(Simple(same), planes=3)
    noisy = picture((2, 6, 4, 3), "uint8")
    denoiser(noisy, -1)
    (seen,) = denoiser.network.seen
    expected = noisy.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    assert seen.shape == (2, 3, 6, 4)
    assert (seen.numpy() == expected).all()
    assert seen.is_contiguous(memory_format=torch.channels_last)


def test_a_grey_picture_goes_through_a_colour_model_as_three_equal_planes():
    weights = torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1)
    denoiser = made(Simple(lambda x: weights * x), planes=3)
    noisy = picture((5, 4), "float32")
    assert denoiser(noisy) == pytest.approx(3 * noisy, rel=1e-6), "the mean of what they became"
    assert denoiser(noisy[..., None], -1).shape == (5, 4, 1)
    (seen, _) = denoiser.network.seen
    assert (seen[:, 0] == seen[:, 1]).all()
    assert (seen[:, 0] == seen[:, 2]).all()


def test_numbers_are_brought_to_the_models_scale_and_back():
    denoiser = made(Simple(same), scale=Scale(100.0, 50.0))
    noisy = np.array([[100.0, 125.0, 200.0]], np.float32)
    assert denoiser(noisy).tolist() == noisy.tolist()
    assert denoiser.network.seen[0].flatten().tolist() == [0, 0.5, 2]
    assert made(Simple(torch.zeros_like), scale=Scale(100.0, 50.0))(noisy).tolist() == [[100] * 3]


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_a_model_of_faint_pictures_gives_faint_pictures_back(dtype):
    """A thousandth of full scale, as telescopes and cameras in the dark give it."""
    rng = np.random.default_rng(0)
    clean = 200 + 40 * np.sin(np.arange(32) / 4)[:, None] * np.ones((6, 1, 32))
    shots = [rng.normal(clean, 20).round().astype(dtype) for _ in range(2)]
    lines = {
        "network": replace(NOISE2NOISE, channels=(4, 4), head=(4, 4), residual=True),
        "batch": 4,
        "precision": "float32",
    }
    denoiser = train(*shots, recipe=Recipe(steps=100, lr=0.02, **lines))
    assert denoiser.card.scale != Scale()
    denoised = denoiser(shots[0])
    assert denoised.dtype == shots[0].dtype
    assert np.mean((denoised - clean) ** 2) < 0.9 * np.mean((shots[0] - clean) ** 2)


@pytest.mark.parametrize("strange", ["mirrored", "read-only", "swapped", "turned", "mapped"])
def test_arrays_that_torch_cannot_look_at_are_taken_too(tmp_path, strange):
    plain = picture((9, 7), "uint16")
    np.save(tmp_path / "a.npy", plain)
    noisy = {
        "mirrored": plain[::-1, ::-1],
        "read-only": np.frombuffer(plain.tobytes(), np.uint16).reshape(9, 7),
        "swapped": plain.astype(">u2"),
        "turned": plain.T,
        "mapped": np.load(tmp_path / "a.npy", mmap_mode="r"),
    }[strange]
    clean = made(Simple(same))(noisy)
    assert clean.dtype == noisy.dtype
    assert (clean == noisy).all()
    assert clean.flags.writeable


# — refused —


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("of_torch", [False, True])
def test_what_is_no_number_is_refused(value, of_torch):
    noisy = np.zeros((8, 8), np.float32)
    noisy[2, 3] = noisy[5, 5] = value
    with pytest.raises(InputError, match=r"holds 2 values that are NaN or infinite\. Replace"):
        made(unet())(torch.from_numpy(noisy) if of_torch else noisy)


def test_colour_through_a_grey_model_is_refused_with_a_hint():
    words = r"has 3 colour planes and the model was trained on grey pictures\. Convert the picture"
    with pytest.raises(InputError, match=words):
        made(unet())(picture((8, 8, 3), "uint8"), -1)
    with pytest.raises(InputError, match="4 colour planes and the model was trained on 3-plane"):
        made(unet(planes=3), 3)(picture((8, 8, 4), "uint8"), -1)


def test_colours_that_were_not_pointed_out_are_not_taken_for_narrow_pictures():
    with pytest.raises(InputError, match=r"8 grey pictures, 3 pixels wide\. Give channel_axis=-1"):
        made(unet(planes=3), 3)(picture((8, 9, 3), "uint8"))
    assert made(unet())(picture((8, 9, 3), "uint8")).shape == (8, 9, 3), "a grey model knows better"


@pytest.mark.parametrize(
    "noisy",
    [
        np.zeros(5, np.float32), np.zeros((), np.float32), np.zeros((0, 5), np.float32),
        np.zeros((3, 5, 0), np.float32), np.zeros((4, 4), bool), np.zeros((4, 4), complex),
        np.zeros((4, 4), np.longdouble), np.full((4, 4), "x"), np.full((4, 4), None),
    ],
    ids=lambda noisy: f"{noisy.shape} {noisy.dtype}",
)  # fmt: skip
def test_what_is_no_picture_is_refused(noisy):
    if noisy.dtype == np.longdouble and noisy.dtype.itemsize == 8:
        pytest.skip("float64 by another name on this machine")
    with pytest.raises(InputError, match="not a picture"):
        made(unet())(noisy)


def test_a_wrong_axis_is_refused():
    with pytest.raises(InputError, match=r"shape \(8, 8\) is not a picture"):
        made(unet())(picture((8, 8), "uint8"), -1)


@pytest.mark.parametrize("tile", [0, -1, -512])
def test_a_tile_that_is_none_is_refused(tile):
    """Else nothing would be computed, and memory as it lay there be returned."""
    with pytest.raises(InputError, match=rf"tile={tile} is not a size"):
        made(unet())(picture((8, 8), "uint8"), tile=tile)


# — many pages —


def test_small_pages_share_a_batch_and_equal_those_that_went_alone():
    denoiser, noisy = made(unet()), picture((50, 12, 10), "float32")
    sizes = []
    hook = lambda module, given: sizes.append(len(given[0]))  # noqa: E731
    with denoiser.network.register_forward_pre_hook(hook):
        together = denoiser(noisy, tile=40)
    assert sizes == [13, 13, 13, 11], "40² pixels hold 13 pages of 120"
    alone = np.stack([denoiser(page) for page in noisy])
    assert together == pytest.approx(alone, abs=1e-5)
    assert (together[0] != together[1]).any(), "control"


@pytest.mark.parametrize("tile", [None, 13, 40, 64])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_watch_counts_to_the_end(tile, count):
    seen = []
    made(unet())(picture((count, 30, 50), "uint8"), tile=tile, watch=lambda *now: seen.append(now))
    done = [n for n, _ in seen]
    assert {of for _, of in seen} == {count * 30 * 50}
    assert all(a < b for a, b in itertools.pairwise(done))
    assert done[-1] == count * 30 * 50


# — precision —


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("dtype", [*DTYPES, "int8"])
def test_bfloat16_is_for_8_bits_and_where_the_hardware_is_fast_in_it(monkeypatch, fast, dtype):
    monkeypatch.setattr(hardware, "fast_in_bfloat16", lambda device: fast)
    expected = "bfloat16" if fast and dtype in ("uint8", "int8") else "float32"
    denoiser, ran = made(unet(), precision="auto"), []
    assert denoiser.precision(np.dtype(dtype)) == expected
    hook = lambda module, given, out: ran.append(out.dtype)  # noqa: E731
    with denoiser.network.leave.register_forward_hook(hook):
        denoiser(picture((8, 8), dtype))
    assert [re.sub("torch.", "", str(dtype)) for dtype in ran] == [expected]


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_a_precision_that_was_asked_for_is_taken(asked):
    denoiser = made(unet(), precision=asked)
    assert {denoiser.precision(np.dtype(dtype)) for dtype in DTYPES} == {asked}


def test_bfloat16_costs_an_8_bit_picture_next_to_nothing():
    noisy = picture((64, 64), "uint8")
    network = unet(residual=True)
    for parameter in network.leave.parameters():
        parameter.data *= 0.05  # a residual as small as trained networks give it
    exact, fast = (made(network, precision=p)(noisy) for p in ("float32", "bfloat16"))
    difference = exact.astype(int) - fast.astype(int)
    assert np.abs(difference).max() <= 2
    assert (difference != 0).any(), "control: it was another precision"


# — the mean over flips and turns —


def averaging(network, planes=1):
    card = Card(Recipe(steps=1, precision="float32"), planes, Scale(), {})
    return Denoiser(network, card, average=True)


def test_the_mean_over_flips_and_turns_is_the_one_made_by_hand():
    network = unet(planes=3)
    noisy, one = picture((20, 28, 3), "float32"), made(network, planes=3)
    total = np.zeros(noisy.shape)
    for way in range(4):
        for flip in (False, True):
            turned = np.rot90(noisy[:, ::-1] if flip else noisy, way)
            back = np.rot90(one(turned.copy(), channel_axis=-1), -way)
            total += back[:, ::-1] if flip else back
    mean = averaging(network, planes=3)(noisy, channel_axis=-1)
    np.testing.assert_allclose(mean, total / 8, atol=1e-6)
    assert np.abs(mean - one(noisy, channel_axis=-1)).max() > 1e-3, "control: it is not one of them"


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mean_turns_with_its_picture_and_keeps_its_type(dtype):
    noisy, denoise = picture((32, 48), dtype), averaging(unet())
    turned = denoise(np.rot90(noisy).copy())
    assert turned.dtype == noisy.dtype
    if noisy.dtype.kind == "f":
        np.testing.assert_allclose(turned, np.rot90(denoise(noisy)), rtol=0, atol=2e-2)
    else:
        step = np.abs(turned.astype(float) - np.rot90(denoise(noisy)).astype(float))
        assert step.max() <= 1 + 1e-4 * np.abs(noisy.astype(float)).max()


# — one folder, one denoiser —


def test_a_denoiser_from_the_disk_is_the_one_that_training_returned(tmp_path):
    shots = [picture((3, 16, 16), "float32", seed) for seed in (1, 2)]
    lines = {"network": UNet(channels=(2,), head=(2, 2), **FORM), "precision": "float32"}
    trained = train(*shots, out=tmp_path / "m", recipe=Recipe(steps=2, **lines))
    loaded = Denoiser.load(str(tmp_path / "m"))
    assert loaded.card == trained.card
    assert (loaded(shots[0]) == trained(shots[0])).all()
    assert not loaded.network.training


def test_denoising_leaves_no_graph_behind():
    given = noise(8, 8).requires_grad_()
    assert not made(unet())(given).requires_grad
