"""Noise has the mean, the variance and the independence that it says, and is never clipped."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from noisepair.errors import InputError
from noisepair.noise import (
    NOISES,
    Bernoulli,
    Either,
    Gaussian,
    Impulse,
    PointSampling,
    Poisson,
    PoissonGaussian,
    Rician,
    SaltPepper,
    Sequence,
    Speckle,
    Text,
    as_text,
    from_text,
)
from noisepair.sources import made_shots
from noisepair.sources._noise import told

DRAWS = 400_000
LEVELS = (0.0, 0.1, 0.5, 1.0)
STANDARD = [kind() for kind in NOISES.values()]
STILL = [noise for noise in STANDARD if noise.kind != "text"]  # pixels independent of each other


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def spoilt(noise, level, seed=0):
    """Noisy values, in float64, at one brightness."""
    clean = torch.full((1, 1, DRAWS, 1), level, dtype=torch.float64)
    return noise(clean, rng(seed)).flatten()


def drawn(noise, level, seed=0):
    return spoilt(noise, level, seed) - level


def mean_in_standard_errors(values):
    return abs(values.mean() / (values.std() / len(values) ** 0.5))


def variance_in_standard_errors(values, expected):
    squares = (values - values.mean()).square()
    return abs((squares.mean() - expected) / (squares.std() / len(values) ** 0.5))


# — mean and variance —


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("sigma", [1 / 255, 25 / 255, 0.5])
def test_gaussian_noise_has_zero_mean_and_the_variance_it_says(level, sigma):
    values = drawn(Gaussian(sigma), level)
    assert mean_in_standard_errors(values) < 5
    assert variance_in_standard_errors(values, sigma**2) < 5


@pytest.mark.parametrize("level", LEVELS[1:])
@pytest.mark.parametrize("peak", [0.5, 30.0, 1000.0])
def test_poisson_noise_has_zero_mean_and_variance_clean_over_peak(level, peak):
    values = drawn(Poisson(peak), level)
    assert mean_in_standard_errors(values) < 5
    assert variance_in_standard_errors(values, level / peak) < 5


def flips(x, p, second_moment):
    """Variance where a share p has mean 1/2 and that second moment, and the rest is x."""
    return p * second_moment + (1 - p) * x**2 - ((1 - p) * x + p / 2) ** 2


def rician_variance(x, sigma):
    mean = float(Rician(sigma).mean(torch.tensor(x, dtype=torch.float64)))
    return 2 * sigma**2 + x**2 - mean**2


VARIANCES = [
    (PoissonGaussian(0.1, 0.2), lambda x: 0.1 * x + 0.04),
    (Speckle(0.3), lambda x: 0.09 * x**2),
    (Rician(0.2), lambda x: rician_variance(x, 0.2)),
    (Rician(0.01), lambda x: rician_variance(x, 0.01)),
    (Bernoulli(0.3), lambda x: x**2 * 0.3 / 0.7),
    (SaltPepper(0.2), lambda x: flips(x, 0.2, 1 / 2)),
    (Impulse(0.7), lambda x: flips(x, 0.7, 1 / 3)),
    (Sequence((Poisson(30), Gaussian(0.1))), lambda x: x / 30 + 0.01),
    (Sequence((Bernoulli(0.3), Poisson(30))), lambda x: x**2 * 0.3 / 0.7 + x / 30),
    (Sequence((SaltPepper(0.2), Gaussian(0.1))), lambda x: flips(x, 0.2, 1 / 2) + 0.01),
    (Sequence((Rician(0.2), Gaussian(0.1))), lambda x: rician_variance(x, 0.2) + 0.01),
]


@pytest.mark.parametrize("level", LEVELS[1:])
@pytest.mark.parametrize(("noise", "variance"), VARIANCES, ids=[str(n)[:40] for n, _ in VARIANCES])
def test_noise_has_the_mean_and_the_variance_of_its_formulas(noise, variance, level):
    values = spoilt(noise, level)
    mean = noise.mean(torch.full((1, 1, 1, 1), level, dtype=torch.float64))
    assert mean_in_standard_errors(values - mean.item()) < 5
    assert variance_in_standard_errors(values, variance(level)) < 5
    if noise.zero_mean:
        assert mean.item() == level


def test_the_tests_above_can_fail():
    values = drawn(Gaussian(0.1), 0.5)
    assert mean_in_standard_errors(values + 0.001) > 5
    assert variance_in_standard_errors(1.01 * values, 0.01) > 5
    assert variance_in_standard_errors(drawn(Poisson(30.0), 0.5), 1.0 / 30) > 5
    assert variance_in_standard_errors(spoilt(SaltPepper(0.2), 0.5), flips(0.5, 0.2, 1 / 3)) > 5
    for biased in (SaltPepper(), Impulse(), Rician()):
        assert mean_in_standard_errors(drawn(biased, 0.1)) > 5, "these are not zero-mean"


def test_the_mean_of_rician_noise_is_known_at_both_ends():
    black, bright = Rician(0.1).mean(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
    assert black == pytest.approx(0.1 * math.sqrt(math.pi / 2), rel=1e-12)
    assert bright - 1 == pytest.approx(0.1**2 / 2, rel=0.01)
    assert Rician(1e-6).mean(torch.ones(1)).item() == pytest.approx(1, abs=1e-6)


def test_a_range_of_sigma_is_drawn_once_a_picture():
    low, high = 0.1, 0.4
    clean = torch.full((4000, 10, 10, 3), 0.5, dtype=torch.float64)
    noise = Gaussian((low, high))(clean, rng()) - clean
    sigmas = noise.flatten(1).std(1)
    assert low * 0.8 < sigmas.min() < low * 1.1
    assert high * 0.9 < sigmas.max() < high * 1.2
    each = noise.square().flatten(1).mean(1)
    assert mean_in_standard_errors(each - (low**2 + low * high + high**2) / 3) < 5
    assert mean_in_standard_errors(sigmas[1:] * sigmas[:-1] - sigmas.mean() ** 2) < 5
    alone = Gaussian((low, high))(clean[0], rng()) - clean[0]
    assert alone.std(dim=(1, 2)).std() < 0.5 * alone.std(), "rows of one picture share a sigma"


def test_ranges_of_gain_and_read_noise_are_drawn_once_a_picture():
    clean = torch.full((4000, 10, 10, 1), 0.5, dtype=torch.float64)
    noise = PoissonGaussian((0.01, 0.05), (0.0, 0.1))(clean, rng()) - clean
    each = noise.square().flatten(1).mean(1)
    assert mean_in_standard_errors(each - (0.5 * 0.03 + 0.1**2 / 3)) < 5
    assert each.std() > 2 * (2 / 100) ** 0.5 * each.mean(), "pictures differ by more than chance"
    with pytest.raises(ValidationError, match="the lowest first"):
        PoissonGaussian((0.05, 0.01))


def test_all_shots_of_a_picture_have_what_the_noise_draws_for_it():
    clean = np.full((1, 60, 60, 3), 128, np.uint8)
    noise = Either((Gaussian((0, 0.2)), PoissonGaussian((0.01, 0.2), (0, 0.1))))
    for one in (noise, Gaussian((0, 0.2)), Sequence(("poisson", "gaussian sigma=0:0.2"))):
        sigmas = np.array(
            [[shot.std() for shot in made_shots(clean, one, 0, n)] for n in range(40)]
        )
        alike = np.abs(np.log(sigmas[:, 0] / sigmas[:, 1]))
        assert alike.max() < 0.05
        assert np.log(sigmas).std() > 0.15, "and pictures differ"
    settled = noise.settled(rng())
    assert settled.kind in ("gaussian", "poisson_gaussian")
    assert Gaussian(0.1).settled(rng()) == Gaussian(0.1)


def test_either_draws_each_of_its_noises_as_often():
    noise = Either((Gaussian(0.01), Gaussian(0.01), Gaussian(0.5)))
    clean = torch.zeros(600, 8, 8, 1, dtype=torch.float64)
    strong = (noise(clean, rng()).flatten(1).std(1) > 0.1).double()
    assert mean_in_standard_errors(strong - 1 / 3) < 5
    assert noise(clean[0], rng()).shape == clean[0].shape
    with pytest.raises(ValidationError, match="changes the size"):
        Either((Gaussian(), PointSampling()))
    assert not Either((Gaussian(), Rician())).zero_mean
    assert Either((Gaussian(), Text())).loss == "l1"


@pytest.mark.parametrize("noise", STANDARD, ids=str)
def test_zero_mean_is_claimed_where_the_mean_is_the_clean_picture(noise):
    picture = torch.rand(1, 16, 16, 3, generator=rng())
    mean = noise.mean(picture)
    assert noise.zero_mean == (mean is not None and torch.equal(mean, noise.clean(picture)))
    assert (noise.loss == "l2") == (noise.zero_mean or noise.kind == "rician")


@pytest.mark.parametrize("level", LEVELS[1:])
@pytest.mark.parametrize("noise", [SaltPepper(0.9), SaltPepper(), Text(0.4)], ids=str)
def test_noise_for_l1_keeps_the_median(noise, level):
    picture = noise(torch.full((1, 100, 100, 1), level), rng())
    assert picture.median() == pytest.approx(level)


def test_noise_for_l0_keeps_the_mode_alone():
    values = spoilt(Impulse(0.9), 0.2)
    assert values.mode().values == 0.2
    assert values.median() > 0.3


# — what is and is not cut off —


def test_photons_are_counted_in_whole_numbers_and_none_come_from_black():
    counts = Poisson(30.0)(torch.rand(1, 64, 64, 1), rng()) * 30
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-4)
    assert Poisson(30.0)(torch.zeros(1, 8, 8, 1), rng()).abs().max() == 0
    assert Poisson(30.0)(torch.full((1, 8, 8, 1), -0.1), rng()).abs().max() == 0
    assert Poisson().mean(torch.tensor(-0.1)) == PoissonGaussian().mean(torch.tensor(-0.1)) == 0


def test_nothing_is_clipped():
    """At sigma 50/255 half of black's noise is below 0; clipped, black would rise by 0.08."""
    black, white = (spoilt(Gaussian(50 / 255), level) for level in (0.0, 1.0))
    assert (black < 0).double().mean() == pytest.approx(0.5, abs=0.01)
    assert (white > 1).double().mean() == pytest.approx(0.5, abs=0.01)
    for noise in (Poisson(), PoissonGaussian(), Speckle(), Rician(), Bernoulli()):
        assert spoilt(noise, 1.0).max() > 1


def test_clipped_noise_is_caught_by_the_test_of_the_mean():
    black = drawn(Gaussian(50 / 255), 0.0)
    assert mean_in_standard_errors(black) < 5 < mean_in_standard_errors(black.clamp(min=0))
    assert black.clamp(min=0).mean() == pytest.approx(0.4 * 50 / 255, rel=0.01)


# — independence —


def neighbours(noise):
    """Products of what is drawn for neighbours: pictures, rows, columns."""
    noise = noise - noise.mean()
    return (
        noise[1:] * noise[:-1],
        noise[:, 1:] * noise[:, :-1],
        noise[:, :, 1:] * noise[:, :, :-1],
    )


def middle_grey(noise, side=100, planes=3):
    clean = torch.full((2, side, side, planes), 0.5, dtype=torch.float64)
    return noise(clean, rng())


@pytest.mark.parametrize("noise", STILL, ids=str)
def test_pixels_are_spoilt_each_by_itself(noise):
    if noise.kind == "point":
        picture = torch.rand(2, 800, 800, 1, generator=rng(), dtype=torch.float64)
        values = noise(picture, rng())
    else:
        values = middle_grey(noise)
    for apart in neighbours(values.mean(-1, keepdim=True)):
        assert mean_in_standard_errors(apart.flatten()) < 5


def test_letters_are_not_and_so_the_test_above_can_fail():
    _, rows, columns = neighbours(middle_grey(Text(0.4)).mean(-1, keepdim=True))
    assert min(mean_in_standard_errors(one.flatten()) for one in (rows, columns)) > 5


@pytest.mark.parametrize(
    "noise", [Gaussian(), Poisson(), PoissonGaussian(), Speckle(), Rician(), Sequence()], ids=str
)
def test_planes_are_spoilt_each_by_itself(noise):
    values = middle_grey(noise)
    values = values - values.mean()
    assert mean_in_standard_errors((values[..., 1:] * values[..., :-1]).flatten()) < 5


@pytest.mark.parametrize("noise", [Bernoulli(), SaltPepper(), Impulse(), Text()], ids=str)
def test_lost_pixels_are_lost_in_all_planes(noise):
    lost = middle_grey(noise) != 0.5 / (1 - noise.p if noise.kind == "bernoulli" else 1)
    assert torch.equal(lost.any(-1), lost.all(-1))
    assert 0 < lost.double().mean() < 1


@pytest.mark.parametrize("noise", [SaltPepper(), Bernoulli()], ids=str)
def test_lost_pixels_are_of_one_value_and_impulses_of_a_colour(noise):
    values = middle_grey(noise)
    assert torch.equal(values[..., 0], values[..., 1])
    colours = middle_grey(Impulse(0.9)) - 0.5
    assert mean_in_standard_errors((colours[..., 0] * colours[..., 1]).flatten()) < 5


@pytest.mark.parametrize("noise", STANDARD, ids=str)
def test_two_draws_are_independent(noise):
    clean = torch.rand(40, 64, 64, 1, dtype=torch.float64, generator=rng(1))
    source = rng()
    one, two = (noise(clean, source) for _ in range(2))
    assert not torch.equal(one, two)
    if (mean := noise.mean(clean)) is None:
        return
    one, two = one - mean, two - mean
    assert mean_in_standard_errors((one * two).flatten()) < 5
    assert mean_in_standard_errors((one * one).flatten()) > 5


# — the generator, the type, the shape —


@pytest.mark.parametrize("noise", [*STANDARD, Gaussian((0, 0.5))], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_generator_alone_decides_and_the_type_stays(noise, dtype):
    clean = torch.rand(2, 24, 17, 3, dtype=dtype)
    kept = clean.clone()
    torch.manual_seed(1)
    first = noise(clean, rng(7))
    torch.manual_seed(2)
    np.random.seed(3)  # noqa: NPY002
    assert torch.equal(first, noise(clean, rng(7)))
    assert not torch.equal(first, noise(clean, rng(8)))
    assert first.dtype == dtype
    assert first.shape == noise.clean(clean).shape
    assert torch.equal(clean, kept)


@pytest.mark.parametrize("noise", [noise for noise in STANDARD if noise.shrinks == 1], ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 5, 7, 2), (5, 7, 4), (2, 1, 40, 3)])
def test_any_size_and_any_number_of_planes_can_be_spoilt(noise, shape):
    picture = torch.rand(shape, generator=rng())
    assert noise(picture, rng()).shape == shape
    across = picture.transpose(-2, -3)
    assert noise(across, rng()).shape == across.shape
    assert noise.clean(picture) is picture


def test_draws_are_those_of_the_first_release():
    """A run of version 0.1.0 can be repeated."""
    clean = torch.linspace(0, 1, 24).view(2, 2, 2, 3)
    gaussian = [-0.08201345, 0.08304138, 0.17684737, -0.00840561, 0.15721345, 0.24590631]
    photons = [0, 1, 5, 3, 2, 3, 13, 6, 10, 10, 10, 18]
    drawn = Gaussian(0.1)(clean, rng(7)).flatten()
    assert drawn[:6].tolist() == pytest.approx(gaussian, abs=1e-6)
    assert drawn[-1].item() == pytest.approx(1.1405853, abs=1e-6)
    counted = Poisson(30.0)(clean, rng(7)).flatten() * 30
    assert counted[:12].tolist() == pytest.approx(photons, abs=1e-4)


# — point sampling —


def numbered(height, width, pictures=1):
    """Every pixel holds its own number, and in a second plane that number and a million."""
    number = torch.arange(pictures * height * width, dtype=torch.float64)
    number = number.view(pictures, height, width, 1)
    return torch.cat([number, number + 1e6], -1)


@given(
    cell=st.integers(2, 5),
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    rest=st.integers(0, 1),
)
def test_a_sampled_pixel_is_one_of_its_cell(cell, rows, columns, rest):
    height, width = rows * cell + rest, columns * cell + rest
    picture = numbered(height, width, pictures=2)
    noise = PointSampling(cell)
    noisy = noise(picture, rng())
    assert noisy.shape == (2, rows, columns, 2)
    assert torch.equal(noisy[..., 1] - noisy[..., 0], torch.full((2, rows, columns), 1e6).double())
    number = noisy[..., 0].long()
    assert torch.equal(number // (height * width), torch.arange(2).view(2, 1, 1).expand_as(number))
    row, column = number // width % height, number % width
    assert torch.equal(row // cell, torch.arange(rows).view(-1, 1).expand_as(row))
    assert torch.equal(column // cell, torch.arange(columns).expand_as(column))


def test_every_pixel_of_a_cell_is_as_likely():
    cell, cells = 4, 100
    number = PointSampling(cell)(numbered(cells * cell, cells * cell), rng())[0, ..., 0].long()
    row, column = number // (cells * cell) % cell, number % cell
    counts = torch.bincount((row * cell + column).flatten(), minlength=cell**2).double()
    expected = cells**2 / cell**2
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    freedom = cell**2 - 1
    assert abs(chi_square - freedom) / math.sqrt(2 * freedom) < 5


def test_the_clean_picture_of_point_sampling_is_the_mean_of_each_cell():
    picture = torch.arange(24.0).view(1, 4, 6, 1)
    assert PointSampling(2).clean(picture).flatten().tolist() == [3.5, 5.5, 7.5, 15.5, 17.5, 19.5]
    picture = torch.rand(1, 9, 10, 3, generator=rng(), dtype=torch.float64)
    draws = PointSampling(4)(picture.expand(20_000, -1, -1, -1), rng(1))
    errors = (draws - PointSampling(4).clean(picture)).mean(0) / draws.std(0) * 20_000**0.5
    assert errors.abs().max() < 5


# — text —


def test_letters_cover_on_average_the_share_that_is_asked_for():
    pictures = Text(0.25)(torch.zeros(300, 40, 40, 1, dtype=torch.float64), rng())
    covered = (pictures > 0).double().mean((1, 2, 3))
    assert mean_in_standard_errors(covered - 0.25) < 5
    assert mean_in_standard_errors(covered - 0.3) > 5
    assert pictures.min() >= 0
    assert pictures.max() <= 1


def test_letters_reach_every_edge():
    covered = (Text(0.2)(torch.zeros(300, 24, 40, 1), rng()) > 0).double().mean((0, 3))
    assert covered.min() > 0.25 * covered.mean()


# — sequences —


def test_a_sequence_applies_its_steps_in_order():
    clean = torch.rand(2, 8, 8, 3, generator=rng())
    source = rng(4)
    by_hand = Gaussian(0.1)(SaltPepper(0.5)(clean, source), source)
    assert torch.equal(Sequence((SaltPepper(0.5), Gaussian(0.1)))(clean, rng(4)), by_hand)
    other = Sequence((Gaussian(0.1), SaltPepper(0.5)))(clean, rng(4))
    assert (other == 1).any()
    assert not (by_hand == 1).any()


@pytest.mark.parametrize(
    ("steps", "zero_mean", "known", "loss"),
    [
        (("poisson", "gaussian"), True, True, "l2"),
        (("bernoulli", "poisson", "gaussian", "speckle"), True, True, "l2"),
        (("point", "poisson_gaussian"), True, True, "l2"),
        (("gaussian", "poisson"), False, False, "l2"),
        (("speckle", "bernoulli", "poisson"), False, False, "l2"),
        (("gaussian", "salt_pepper"), False, True, "l1"),
        (("rician", "gaussian"), False, True, "l2"),
        (("gaussian", "rician"), False, False, "l2"),
        (("text", "gaussian"), False, False, "l1"),
        (("gaussian", "text"), False, False, "l1"),
        (("impulse", "salt_pepper"), False, True, "l0"),
    ],
)
def test_a_sequence_claims_no_more_than_its_steps_allow(steps, zero_mean, known, loss):
    noise = Sequence(steps)
    assert noise.zero_mean == zero_mean
    assert (noise.mean(torch.rand(1, 8, 8, 1)) is not None) == known
    assert noise.loss == loss


def test_photons_counted_after_gaussian_noise_lift_black():
    noise = Sequence((Gaussian(0.2), Poisson(1000)))
    values = spoilt(noise, 0.0)
    assert mean_in_standard_errors(values) > 5
    assert mean_in_standard_errors(values - 0.2 / math.sqrt(2 * math.pi)) < 5
    assert not noise.zero_mean


def test_a_sequence_shrinks_as_its_steps_do_together():
    noise = Sequence(("point cell=2", "gaussian", "point cell=3"))
    picture = torch.rand(2, 13, 19, 3, generator=rng(), dtype=torch.float64)
    assert noise.shrinks == 6
    assert noise(picture, rng()).shape == noise.clean(picture).shape == (2, 2, 3, 3)
    torch.testing.assert_close(
        noise.clean(picture), PointSampling(6).clean(picture[:, :12, :18]), rtol=0, atol=1e-12
    )


# — text of a noise —

sigmas = st.floats(1e-6, 1)
ranges = st.tuples(st.floats(0, 1), sigmas).map(lambda two: (min(two), max(two)))
shares = st.floats(0, 1, exclude_min=True, exclude_max=True)
single = st.one_of(
    st.builds(Gaussian, sigmas | ranges),
    st.builds(Poisson, st.floats(0, 1e6, exclude_min=True)),
    st.builds(PoissonGaussian, st.floats(1e-6, 1), sigmas | ranges),
    st.builds(Speckle, sigmas),
    st.builds(Rician, sigmas),
    st.builds(Bernoulli, shares),
    st.builds(SaltPepper, shares),
    st.builds(Impulse, shares),
    st.builds(PointSampling, st.integers(2, 256)),
    st.builds(Text, st.floats(0, 0.5, exclude_min=True, exclude_max=True)),
)
ADAPTER = TypeAdapter(Sequence)


@given(noise=single)
def test_the_text_of_a_noise_is_read_back_to_the_last_digit(noise):
    assert from_text(as_text(noise)) == noise
    assert "," not in as_text(noise), "a list of noises is split there"


@given(steps=st.lists(single, min_size=2, max_size=4).map(tuple))
def test_a_sequence_is_stored_as_text_and_read_back(steps):
    noise = Sequence(steps)
    stored = ADAPTER.dump_python(noise, mode="json")
    assert stored == {"kind": "sequence", "steps": [as_text(step) for step in steps]}
    assert ADAPTER.validate_python(stored) == noise
    assert ADAPTER.validate_python(ADAPTER.dump_python(noise)) == noise
    assert hash(noise) == hash(Sequence(steps))


def test_numbers_are_written_as_a_person_would():
    assert from_text("gaussian sigma=25/255") == Gaussian(25 / 255)
    assert from_text(" poisson  peak = 1e2 ") == Poisson(100)
    assert from_text("gaussian sigma=0:50/255") == Gaussian((0, 50 / 255))
    assert from_text("gaussian sigma=0, 50/255") == Gaussian((0, 50 / 255))
    assert from_text("point cell=6") == PointSampling(6)
    assert from_text("text") == Text()
    assert as_text(Gaussian(np.float64(0.5))) == str(Gaussian(0.5)) == "gaussian sigma=0.5"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gaus", "'gaus' is no noise: it should begin with one of bernoulli, gaussian, .*, text"),
        ("", "should begin with one of"),
        ("sequence", "should begin with one of"),
        ("gaussian peak=3", "should give, each once, settings of gaussian: sigma=…"),
        ("poisson_gaussian sigma", "settings of poisson_gaussian: gain, read=…"),
        ("gaussian sigma=0.1 sigma=0.2", "each once"),
        ("gaussian kind=poisson", "each once"),
        ("gaussian sigma=25", "sigma should be above 0 and at most 1, or two such numbers"),
        ("gaussian sigma=0.3:0.1", "the lowest first"),
        ("gaussian sigma=1/0", "sigma should be above 0"),
        ("poisson peak=many", "peak should be a valid number"),
        ("point cell=2.5", "cell should be a valid integer"),
    ],
)
def test_text_that_is_no_noise_is_refused_with_what_would_be(text, said):
    with pytest.raises(ValueError, match=said):
        from_text(text)
    with pytest.raises(ValidationError):
        Sequence((text, "gaussian"))


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Gaussian, {"sigma": 0.0}),
        (Gaussian, {"sigma": 25.0}),
        (Gaussian, {"sigma": float("nan")}),
        (Gaussian, {"sigma": (0.0, 0.0)}),
        (Gaussian, {"sigma": (0.1, 0.2, 0.3)}),
        (Gaussian, {"peak": 3.0}),
        (Poisson, {"peak": 0.0}),
        (Poisson, {"peak": 2e6}),
        (Poisson, {"sigma": 0.1}),
        (PoissonGaussian, {"gain": 30.0}),
        (PoissonGaussian, {"read": 5.0}),
        (Bernoulli, {"p": 1.0}),
        (SaltPepper, {"p": 0.0}),
        (Impulse, {"p": 50.0}),
        (Speckle, {"sigma": 0.0}),
        (Rician, {"sigma": 25.0}),
        (Text, {"coverage": 0.5}),
        (PointSampling, {"cell": 1}),
        (PointSampling, {"cell": 2.5}),
        (Sequence, {"steps": (Gaussian(),)}),
        (Sequence, {"steps": (Gaussian(), Sequence())}),
    ],
)
def test_settings_in_the_wrong_units_are_refused(kind, wrong):
    with pytest.raises(ValidationError):
        kind(**wrong)


def test_every_noise_is_listed_under_its_own_name():
    assert {name: kind().kind for name, kind in NOISES.items()} == {name: name for name in NOISES}
    assert len(NOISES) == 12
    assert Gaussian().sigma == np.float64(25) / 255
    assert all(settings.description for kind in NOISES.values() for settings in described(kind))


def described(kind):
    return [field for name, field in kind.__pydantic_fields__.items() if name != "kind"]


# — shots of clean pictures —


@pytest.mark.parametrize("noise", [*STANDARD, Gaussian((0, 0.5))], ids=str)
def test_any_noise_makes_two_shots(noise):
    clean = np.random.default_rng(0).integers(0, 256, (1, 32, 40, 3), dtype=np.uint8)
    one, two = made_shots(clean, noise, 0, 0)
    assert one.dtype == np.float32
    assert not np.array_equal(one, two)
    assert one.shape == (1, 32 // noise.shrinks, 40 // noise.shrinks, 3)


def test_a_picture_smaller_than_a_cell_is_refused():
    clean = np.zeros((1, 7, 40, 1), np.uint8)
    for noise in (PointSampling(8), Sequence(("point cell=2", "point cell=4"))):
        with pytest.raises(InputError, match="40×7 pixels"):
            made_shots(clean, noise, 0, 0)
    assert made_shots(clean, PointSampling(7), 0, 0)[0].shape == (1, 1, 5, 1)


def test_noise_is_told_in_words():
    assert told(Gaussian(0.1)) == "gaussian noise (sigma 0.1)"
    assert told(Gaussian((0, 50 / 255))) == "gaussian noise (sigma 0 to 0.1961)"
    steps = Sequence(("poisson peak=30", "gaussian sigma=10/255"))
    assert told(steps) == "poisson noise (peak 30), then gaussian noise (sigma 0.03922)"
