"""Pairs that are made of one shot: each against its paper's formula by another road.

The networks here are a few numbers, so that what a loss should be can be worked out.
"""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from noisepair.errors import InputError
from noisepair.images import to_unit
from noisepair.losses import Loss
from noisepair.models import Scale
from noisepair.noise.estimate import Level
from noisepair.pairs import Diagonals, Hidden, Neighbors, Pair, Pairs, TwoShots, crop_for
from noisepair.pairs.neighbor2neighbor import GAMMA
from noisepair.pairs.noise2void import CELL, REACH
from noisepair.pairs.recorrupted import ALPHA, deviation, recorrupted
from noisepair.pairs.zero_shot import halves
from noisepair.recipe import Recipe
from noisepair.sources import Scene

CPU, L2 = torch.device("cpu"), Loss.of("l2")
NAMES = ("neighbor2neighbor", "noise2void", "zero-shot", "recorrupted")
KERNEL = torch.tensor([[0.0, 0.2, 0.0], [0.1, 0.3, 0.1], [0.0, 0.3, 0.0]], dtype=torch.float64)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def smooth(pictures):
    """A denoiser of nine numbers, another for each of its planes' places."""
    planes = pictures.shape[1]
    return F.conv2d(pictures, KERNEL.expand(planes, 1, 3, 3), padding=1, groups=planes)


def no_worse_than_chance(counts, cells, limit=5):
    """Chi-square of equal chances, within `limit` standard errors of its mean."""
    expected = sum(counts.values()) / cells
    square = sum(n**2 for n in counts.values()) / expected - sum(counts.values())
    return abs(square - (cells - 1)) < limit * (2 * (cells - 1)) ** 0.5


# — neighbor2neighbor —


def test_two_neighbours_of_each_cell_by_hand():
    picture = torch.tensor([[[[1.0, 2, 5, 6], [3, 4, 7, 8]]]])
    pair = Neighbors(picture, torch.tensor([[[0, 3]]]), torch.tensor([[[2, 1]]]))
    first, second = pair.halves(picture)
    assert first.tolist() == [[[[1, 8]]]]
    assert second.tolist() == [[[[3, 6]]]]


@settings(max_examples=20)
@given(
    height=st.integers(2, 9), width=st.integers(2, 9), planes=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_both_are_of_one_cell_and_share_a_side(height, width, planes, seed):
    """Numbers for values: a pixel tells where it is, and all planes are of one place."""
    numbers = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width)
    noisy = torch.cat([numbers + 1000 * plane for plane in range(planes)], 1)
    one, two = Neighbors.of(noisy, rng(seed)).halves(noisy)
    assert one.shape == two.shape == (1, planes, height // 2, width // 2)
    for half in (one, two):
        assert torch.equal(half[:, -1], half[:, 0] + 1000 * (planes - 1))
    for y, x in itertools.product(range(height // 2), range(width // 2)):
        places = [divmod(int(half[0, 0, y, x]), width) for half in (one, two)]
        assert {(row // 2, column // 2) for row, column in places} == {(y, x)}
        assert sum(abs(a - b) for a, b in zip(*places, strict=True)) == 1


def test_every_ordered_pair_of_neighbours_is_drawn_alike():
    noisy = torch.zeros(40, 1, 20, 20)
    pair = Neighbors.of(noisy, rng())
    found = torch.stack([pair.first, pair.second], -1).flatten(0, 2).tolist()
    counts = Counter(map(tuple, found))
    assert len(counts) == 8
    assert no_worse_than_chance(counts, 8)
    crooked = Counter({key: n + (key == (0, 1)) * n // 4 for key, n in counts.items()})
    assert not no_worse_than_chance(crooked, 8), "control"


@pytest.mark.parametrize("used", [0.0, 0.5, 1.0])
def test_neighbor2neighbor_is_the_authors_loss(used):
    """Their program picks pixels by masks over the unfolded cells; here by a loop."""
    noisy = drawn(2, 3, 8, 6)
    pair = Neighbors.of(noisy, rng(3))

    def picked(pictures, which):
        out = torch.zeros(2, 3, 4, 3, dtype=torch.float64)
        for b, y, x in itertools.product(range(2), range(4), range(3)):
            row, column = divmod(int(which[b, y, x]), 2)
            out[b, :, y, x] = pictures[b, :, 2 * y + row, 2 * x + column]
        return out

    one, two, whole = picked(noisy, pair.first), picked(noisy, pair.second), smooth(noisy)
    gap = smooth(one) - two
    expected = picked(whole, pair.first) - picked(whole, pair.second)
    by_hand = (gap**2).mean() + used * GAMMA * ((gap - expected) ** 2).mean()
    assert float(pair.loss(smooth, L2, used)) == pytest.approx(float(by_hand), rel=1e-12)
    assert used == 0 or float(by_hand) != pytest.approx(float((gap**2).mean()), rel=1e-3)


def test_no_slope_runs_through_the_whole_picture():
    noisy, weight = drawn(1, 1, 8, 8), torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    pair = Neighbors.of(noisy, rng())
    pair.loss(lambda y: weight * y, L2, 1.0).backward()
    one, two = pair.halves(noisy)
    gap = 0.7 * one - two
    fixed = gap - 0.7 * (one - two)
    expected = (2 * gap * one).mean() + GAMMA * (2 * fixed * one).mean()
    through = (2 * gap * one).mean() + GAMMA * (2 * fixed * two).mean()
    assert float(weight.grad) == pytest.approx(float(expected), rel=1e-12)
    assert float(weight.grad) != pytest.approx(float(through), rel=1e-2), "control"


# — noise2void —


@settings(max_examples=20)
@given(
    height=st.integers(CELL, 2 * CELL + 3), width=st.integers(CELL, 2 * CELL + 3),
    planes=st.sampled_from([1, 3]), seed=st.integers(0, 99),
)  # fmt: skip
def test_one_pixel_a_cell_is_hidden_behind_another_from_around_it(height, width, planes, seed):
    numbers = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width)
    noisy = torch.cat([numbers + 1000 * plane for plane in range(planes)], 1)
    pair = Hidden.of(noisy, rng(seed))
    assert torch.equal(pair.seen[:, -1], pair.seen[:, 0] + 1000 * (planes - 1))
    changed = (pair.seen != noisy)[0, 0].nonzero().tolist()
    cells = {(y // CELL, x // CELL) for y, x in changed}
    assert len(changed) == len(cells) == (height // CELL) * (width // CELL)
    targets = sorted(pair.at_places(noisy)[0, 0].flatten().tolist())
    assert targets == sorted(float(y * width + x) for y, x in changed)
    for y, x in changed:
        row, column = divmod(int(pair.seen[0, 0, y, x]), width)
        assert max(abs(row - y), abs(column - x)) <= REACH


def test_every_place_and_every_stand_in_is_drawn_alike():
    noisy = torch.arange(24.0 * 24).view(1, 1, 24, 24).expand(2000, -1, -1, -1)
    pair = Hidden.of(noisy, rng())
    middle = 4  # of nine cells, the one that no border is near
    places, others = pair.places[:, middle], pair.others[:, middle]
    counts = Counter((places // 24 % CELL * CELL + places % 24 % CELL).tolist())
    assert no_worse_than_chance(counts, CELL**2)
    ways = Counter(((others // 24 - places // 24) * 99 + others % 24 - places % 24).tolist())
    assert len(ways) == (2 * REACH + 1) ** 2 - 1
    assert no_worse_than_chance(ways, len(ways))


def test_noise2void_is_measured_at_the_hidden_pixels_alone():
    noisy = drawn(2, 3, 16, 24)
    pair = Hidden.of(noisy, rng(1))
    hidden = pair.seen != noisy
    assert int(hidden.sum()) == 2 * 3 * 6
    expected = (smooth(pair.seen) - noisy)[hidden].square().mean()
    assert float(pair.loss(smooth, L2, 0.0)) == pytest.approx(float(expected), rel=1e-12)
    assert float(expected) != pytest.approx(float((smooth(pair.seen) - noisy).square().mean()), 0.1)


def test_to_copy_what_is_seen_is_no_way_to_a_small_loss():
    """Independent noise: a copy is wrong by both noises, so it has twice the variance to pay."""
    pair = Hidden.of(drawn(64, 1, 64, 64), rng(2))
    copied, blank = (float(pair.loss(f, L2, 0.0)) for f in (lambda y: y, torch.zeros_like))
    assert copied == pytest.approx(2, abs=5 * 2 * (2 / 4096) ** 0.5)
    assert blank == pytest.approx(1, abs=5 * (2 / 4096) ** 0.5)


# — zero-shot —


def test_the_means_of_both_diagonals_by_hand():
    one, two = halves(torch.tensor([[[[1.0, 2, 9], [4, 8, 9], [9, 9, 9]]]]))
    assert one.tolist() == [[[[3.0]]]]
    assert two.tolist() == [[[[4.5]]]]


def test_zero_shot_is_the_authors_loss():
    """Theirs: two filters of stride 2, and a network that predicts the noise."""
    noisy = drawn(2, 3, 8, 10)
    filters = [
        torch.tensor(k, dtype=torch.float64) for k in ([[0, 0.5], [0.5, 0]], [[0.5, 0], [0, 0.5]])
    ]

    def down(pictures):
        return [F.conv2d(pictures, k.expand(3, 1, 2, 2), stride=2, groups=3) for k in filters]

    def noise(pictures):
        return pictures - smooth(pictures)

    def mse(a, b):
        return (a - b).square().mean()

    one, two = down(noisy)
    pred1, pred2 = one - noise(one), two - noise(two)
    residual = 0.5 * (mse(one, pred2) + mse(two, pred1))
    whole1, whole2 = down(noisy - noise(noisy))
    expected = residual + 0.5 * (mse(pred1, whole1) + mse(pred2, whole2))
    assert float(Diagonals(noisy).loss(smooth, L2, 0.3)) == pytest.approx(
        float(expected), rel=1e-12
    )
    assert float(expected) != pytest.approx(float(residual), rel=1e-3)


@pytest.mark.parametrize("blur", [False, True])
def test_the_diagonals_share_noise_only_where_pixels_do(blur):
    noise = drawn(1, 1, 400, 400)
    noise = smooth(noise) if blur else noise
    one, two = (half - half.mean() for half in halves(noise))
    shared = float((one * two).mean() / (one.std() * two.std()))
    assert (abs(shared) < 5 / 200) is not blur


# — recorrupted —


@pytest.mark.parametrize(("wrong", "unrelated"), [(1.0, True), (0.9, False), (1.1, False)])
def test_more_noise_and_its_opposite_know_nothing_of_each_other(wrong, unrelated):
    """E (y₁ − x)(y₂ − x) = σ² − σ'²: zero if the deviation is known, else not."""
    sigma = 0.1
    noise = sigma * drawn(4, 1, 200, 200)
    one, two = recorrupted(noise, torch.full_like(noise, wrong * sigma), rng(5))
    product = one[:4] * two[:4]  # z with one sign; the other half holds the same z
    away = float(product.mean() / (product.std() / product.numel() ** 0.5))
    assert (abs(away) < 5) is unrelated


def test_both_signs_together_are_steins_estimate():
    """Exactly, but for a constant: the algebra in the file's head."""
    noisy, sigma = drawn(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.3, dtype=torch.float64)
    pair = recorrupted(noisy, sigma, rng(7))
    z = (pair.noisy[:2] - noisy) / ALPHA
    plus, minus = smooth(noisy + ALPHA * z), smooth(noisy - ALPHA * z)
    stein = 0.5 * ((plus - noisy).square() + (minus - noisy).square()).mean()
    stein = stein + (z * (plus - minus)).mean() / ALPHA
    constant = (z / ALPHA).square().mean()
    assert float(pair.loss(smooth, L2, 0.0)) == pytest.approx(float(stein + constant), rel=1e-12)


def test_the_deviation_follows_the_brightness():
    picture = torch.full((1, 1, 9, 9), 0.5, dtype=torch.float32)
    growing = Level(0.1, gain=0.02, read=0.05, black=0.1)
    expected = (0.02 * 0.4 + 0.05**2) ** 0.5
    assert deviation(picture, growing).allclose(torch.tensor(expected))
    assert deviation(picture, Level(0.1)).eq(0.1).all()
    assert deviation(picture - 0.6, growing).allclose(torch.tensor(0.01)), "never none at all"


# — batches —


def picture(height=20, width=17, planes=3, seed=0):
    values = np.random.default_rng(seed).permutation(height * width * planes)
    return values.reshape(1, height, width, planes).astype(np.uint16)


def opened(name, scenes=None, scale=None, **lines):
    scenes = scenes or [Scene("one", (picture(),), ("one",))]
    recipe = Recipe(**{"crop": 9, "batch": 6, "steps": 1, "pairs": name} | lines)
    return Pairs(scenes, recipe, scale or Scale(), CPU)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_depends_on_the_seed_and_its_number_alone(name):
    first, again = opened(name), opened(name)
    third = [again.batch(step) for step in range(4)][3]
    assert isinstance(third, Pair)
    for one, two in zip(first.batch(3), third, strict=True):
        assert torch.equal(one, two)
    other = opened(name, seed=1).batch(3)
    assert not torch.equal(first.batch(3).noisy, other.noisy), "control"
    assert not torch.equal(first.batch(3).noisy, first.batch(4).noisy), "control"


@pytest.mark.parametrize("name", NAMES[:3])
def test_crops_are_of_one_picture_any_way_round(name):
    scenes = [Scene(f"{n}", (picture(seed=n),), ("",)) for n in range(2)]
    possible = set()
    for scene in scenes:
        whole = to_unit(scene.shots[0][0])
        for top, left in itertools.product(range(20 - 9 + 1), range(17 - 9 + 1)):
            crop = whole[top : top + 9, left : left + 9]
            for turn, mirrored in itertools.product(range(4), (False, True)):
                way = np.rot90(crop[:, ::-1] if mirrored else crop, turn)
                possible.add(np.ascontiguousarray(way).tobytes())
    pairs = opened(name, scenes)
    for step in range(10):
        for crop in pairs.batch(step).noisy.permute(0, 2, 3, 1).contiguous().numpy():
            assert crop.tobytes() in possible


def test_noise_is_estimated_in_picture_units_and_added_as_the_network_sees_it():
    """A scale of 4 makes the same noise a quarter: z is y₁ − y over α."""
    noise = np.random.default_rng(0).normal(0.5, 0.08, (1, 64, 64, 1)).astype(np.float32)
    scenes = [Scene("one", (noise,), ("one",))]
    for scale in (Scale(), Scale(0.2, 4.0)):
        pairs = opened("recorrupted", scenes, scale, crop=32)
        assert pairs.levels[0].sigma == pytest.approx(0.08, rel=0.1)
        one, two = pairs.batch(0)
        z = (one[:6] - one[6:]) / (2 * ALPHA)
        assert float(z.std()) == pytest.approx(pairs.levels[0].sigma / scale.scale, rel=0.05)
        torch.testing.assert_close(one + ALPHA**2 * two, (1 + ALPHA**2) * seen(one, two))


def seen(one, two):
    """y, of y + α z and y − z / α."""
    return (one + ALPHA**2 * two) / (1 + ALPHA**2)


def test_the_two_shots_of_recorrupted_are_two_shots():
    assert isinstance(opened("recorrupted", crop=16).batch(0), TwoShots)


def test_crops_too_small_for_pairs_within_are_refused():
    scenes = [Scene("one", (picture(7, 30),), ("one",))]
    with pytest.raises(InputError, match=r"crops of 8 pixels a side or more, and there are 7"):
        crop_for(scenes, None, within=True)
    with pytest.raises(InputError, match=r"there are 4\. Give larger pictures, or a larger crop"):
        crop_for([Scene("one", (picture(),), ("one",))], 4, within=True)
    assert crop_for(scenes, None) == 7, "control: two shots need no room"
