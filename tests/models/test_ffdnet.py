"""Half-size convolutions that are told the noise level, and the level that they are told."""

import math

import numpy as np
import pytest
import torch
from a_network import apart, built, learnt, noise, run, seam
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional as F

from noisepair import images
from noisepair.models import Tileable
from noisepair.models.ffdnet import WINDOW, FFDNet, noise_level

GIVEN = FFDNet(depth=4, width=5, sigma=0.1)
ESTIMATED = FFDNet(depth=4, width=5)
NORMED = FFDNet(depth=4, width=5, norm="batch")


# — the network —


def textbook(network, noisy, level):
    """Deal out, join the level, a line a layer, put back; for even sizes."""
    places = [(row, column) for row in (0, 1) for column in (0, 1)]
    parts = [one[None, row::2, column::2] for one in noisy[0] for row, column in places]
    h = torch.cat([*parts, level])[None]
    *layers, last = [part for part in network.clean if hasattr(part, "weight")]
    for layer in layers:
        h = F.conv2d(h, layer.weight, layer.bias, padding=1).clamp(min=0)
    h = F.conv2d(h, last.weight, last.bias, padding=1)[0]
    out = torch.empty_like(noisy)
    for plane in range(noisy.shape[1]):
        for number, (row, column) in enumerate(places):
            out[0, plane, row::2, column::2] = h[4 * plane + number]
    return out


def test_output_is_that_of_the_textbook_with_the_level_that_is_given():
    network, noisy = built(GIVEN), noise(1, 2, 8, 10)
    with torch.no_grad():
        levels = (torch.full((1, 4, 5), sigma, dtype=torch.float64) for sigma in (0.1, 0.2))
        right, wrong = (textbook(network, noisy, level) for level in levels)
        torch.testing.assert_close(network(noisy), right, rtol=0, atol=1e-12)
        assert (network(noisy) - wrong).abs().max() > 1e-3, "and the level is felt"


def test_output_is_that_of_the_textbook_with_the_level_that_is_estimated():
    network, noisy = built(ESTIMATED), noise(1, 2, 8, 10)
    with torch.no_grad():
        expected = textbook(network, noisy, longhand(noisy)[0])
        torch.testing.assert_close(network(noisy), expected, rtol=0, atol=1e-12)


def test_a_level_of_zero_is_given_and_not_estimated():
    network, noisy = built(FFDNet(depth=4, width=5, sigma=0)), noise(1, 2, 8, 10)
    expected = textbook(network, noisy, torch.zeros(1, 4, 5, dtype=torch.float64))
    torch.testing.assert_close(run(network, noisy), expected.detach(), rtol=0, atol=1e-12)


def test_an_odd_picture_is_its_last_row_and_column_repeated():
    network, noisy = built(GIVEN), noise(1, 2, 7, 9)
    repeated = torch.cat([noisy, noisy[..., -1:]], 3)
    repeated = torch.cat([repeated, repeated[..., -1:, :]], 2)
    torch.testing.assert_close(
        run(network, noisy), run(network, repeated)[..., :7, :9], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize(
    ("sizes", "planes", "count"),
    [
        (FFDNet(), 3, 9 * 13 * 96 + 96 + 10 * (9 * 96 * 96 + 96) + 9 * 96 * 12 + 12),
        (FFDNet(depth=15, width=64), 1, 9 * 5 * 64 + 64 + 13 * (9 * 64 * 64 + 64) + 9 * 64 * 4 + 4),
    ],
)
def test_parameters_are_those_of_the_paper_counted_by_hand(sizes, planes, count):
    assert sum(p.numel() for p in sizes(planes).parameters()) == count


def test_in_use_a_picture_does_not_see_its_neighbours_in_the_batch_and_in_training_it_does():
    network, noisy = built(NORMED), noise(3, 2, 9, 8)

    assert apart(network, noisy) < 1e-12
    network.train()
    assert apart(network, noisy) > 1e-3


# — sizes, and what is seen —


@given(
    height=st.integers(1, 40), width=st.integers(1, 40), sizes=st.sampled_from([GIVEN, ESTIMATED])
)
@settings(max_examples=40)
def test_any_size_from_one_pixel_comes_out_as_it_went_in(height, width, sizes):
    out = run(sizes(1), torch.rand(1, 1, height, width))
    assert out.shape == (1, 1, height, width)
    assert out.isfinite().all()


def felt(network, row, column):
    """How far to each side outputs change, to the last bit, when the pixel there does."""
    side = 2 * network.radius + 8
    noisy = noise(1, 1, side, side)
    other = noisy.clone()
    other[..., row, column] += 1
    changed = (run(network, noisy) != run(network, other))[0, 0].nonzero()
    return int((changed - torch.tensor([row, column])).abs().max())


@pytest.mark.parametrize("sizes", [GIVEN, ESTIMATED, FFDNet(depth=12, width=8, sigma=0.1)])
def test_a_pixel_is_felt_as_far_as_the_radius_and_no_farther(sizes):
    network = built(sizes, planes=1)
    at = network.radius + 3
    assert isinstance(network, Tileable)
    assert network.radius == 2 * sizes.depth + 1 + (2 * WINDOW if sizes.sigma is None else 0)
    assert max(felt(network, at, at), felt(network, at + 1, at)) == network.radius


@pytest.mark.parametrize("sizes", [GIVEN, ESTIMATED, NORMED])
@pytest.mark.parametrize("size", [(71, 84), (1, 90), (33, 2)])
def test_tiling_is_invisible(sizes, size):
    network, noisy = built(sizes), noise(2, 2, *size)
    for tile in (7, 8, 30):
        assert seam(network, noisy, tile, network.radius) < 1e-12


def test_a_halo_without_the_window_or_a_pixel_less_and_a_tile_between_cells_show():
    network, noisy = built(ESTIMATED), noise(1, 2, 71, 84)
    assert seam(network, noisy, 7, network.radius - 1) > 1e-9
    assert seam(network, noisy, 7, network.radius - 2 * WINDOW) > 1e-5
    assert seam(network, noisy, 7, network.radius, multiple=1) > 1e-3


# — the level —


def longhand(noisy):
    """The level as the head of the file has it, cell by cell; whole cells count."""
    count, _, height, width = noisy.shape
    rows, columns = height // 2, width // 2
    level = torch.zeros(count, 1, -(-height // 2), -(-width // 2), dtype=noisy.dtype)
    for row, column in np.ndindex(*level.shape[2:]):
        sizes = []
        for i in range(max(0, row - WINDOW), min(rows, row + WINDOW + 1)):
            for j in range(max(0, column - WINDOW), min(columns, column + WINDOW + 1)):
                cell = noisy[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                sizes.append(cell[..., 0, 0] + cell[..., 1, 1] - cell[..., 0, 1] - cell[..., 1, 0])
        if sizes:
            level[:, 0, row, column] = (torch.stack(sizes) / 2).abs().mean((0, 2))
    return math.sqrt(math.pi / 2) * level


def test_the_level_of_one_cell_worked_out_by_hand():
    cell = torch.tensor([[4.0, 1.0, 7.0], [2.0, 9.0, 7.0], [7.0, 7.0, 7.0]])  # (4 − 1 − 2 + 9) / 2
    expected = torch.full((1, 1, 2, 2), 5 * math.sqrt(math.pi / 2))  # half cells count nothing
    torch.testing.assert_close(noise_level(cell[None, None]), expected)
    assert torch.equal(noise_level(torch.rand(1, 1, 1, 5)), torch.zeros(1, 1, 1, 3))


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 41), (1, 39, 20), (3, 21, 3), (2, 36, 37)])
def test_the_level_is_that_of_the_long_way_round(size):
    noisy = noise(2, *size)
    torch.testing.assert_close(noise_level(noisy), longhand(noisy), rtol=0, atol=1e-12)


def test_a_ramp_has_no_noise():
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    assert torch.equal(noise_level((3 * rows - 2 * columns)[None, None]), torch.zeros(1, 1, 10, 15))


def too_far(noise, planes, sigma):
    """How many standard errors the level of 400 pictures is from sigma, in a corner and inside.

    |d| of N(0, σ²) has the standard deviation √(1 − 2/π) σ, so M of n values has √(π/2 − 1) σ / √n.
    """
    level = noise_level(0.5 + sigma * noise)[:, 0]
    deviations = []
    for at, cells in ((0, WINDOW + 1), (level.shape[1] // 2, 2 * WINDOW + 1)):
        one = math.sqrt(math.pi / 2 - 1) * sigma / math.sqrt(planes * cells**2)
        deviations.append(abs(float(level[:, at, at].mean()) - sigma) / (one / math.sqrt(400)))
        spread = float(level[:, at, at].std()) / one  # known to 1 / √800
        deviations.append(abs(spread - 1) * math.sqrt(800))
    return max(deviations)


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("sigma", [5 / 255, 50 / 255])
def test_on_a_flat_picture_the_level_is_that_of_the_noise(planes, sigma):
    rng = torch.Generator().manual_seed(planes)
    noise = torch.randn(400, planes, 40, 40, generator=rng)
    assert too_far(noise, planes, sigma) < 4


def test_other_noise_has_another_level():
    """Control of the above: a tenth too much, noise that neighbours share, noise in one plane."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(400, 3, 40, 40, generator=rng)
    assert too_far(1.1 * noise, 3, 0.1) > 4
    assert too_far(F.avg_pool2d(noise, (1, 2), 1, (0, 1))[..., 1:] * 2**0.5, 3, 0.1) > 4
    assert too_far(noise * torch.tensor([1.0, 0, 0]).view(3, 1, 1), 3, 0.1) > 4


def test_on_photographs_texture_adds_to_the_level_the_less_the_more_noise_there_is(data):
    """Of CBSD68 the median picture, clean, reads as 4.8/255; with noise of 25/255 as 25.9/255."""
    rng = torch.Generator().manual_seed(0)
    clean, noisy = [], []
    for file in sorted((data / "benchmark" / "CBSD68").glob("*.png")):
        unit = images.to_unit(images.read(file).pixels[:1])
        picture = torch.from_numpy(unit).permute(0, 3, 1, 2)
        clean.append(float(noise_level(picture).mean()))
        spoilt = picture + 25 / 255 * torch.randn(picture.shape, generator=rng)
        noisy.append(float(noise_level(spoilt).mean()) - 25 / 255)
    assert len(clean) == 68
    assert 4.8 < 255 * np.median(clean) < 4.9
    assert 0.8 < 255 * np.median(noisy) < 1.0


# — it learns —


@pytest.mark.parametrize("sigma", [None, 0.2])
def test_it_learns_to_remove_noise_that_it_has_not_seen(sigma):
    before, after = learnt(FFDNet(depth=3, width=16, sigma=sigma)(1))
    assert before > 0.2**2
    assert after < 0.5 * 0.2**2, "less than half the noise's variance is left"


# — settings —


@pytest.mark.parametrize(
    "wrong", [{"depth": 2}, {"width": 0}, {"norm": "layer"}, {"sigma": 25}, {"sigma": -0.1}]
)
def test_settings_that_no_network_can_have_are_refused(wrong):
    with pytest.raises(ValidationError):
        FFDNet(**wrong)


def test_memory_is_said_to_be_no_less_than_its_two_largest_maps():
    assert FFDNet()(3).bytes_a_pixel >= 2 * 96  # of 4 bytes, at a quarter of the pixels
    assert FFDNet(width=32)(3).bytes_a_pixel < FFDNet()(3).bytes_a_pixel
