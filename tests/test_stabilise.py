"""After the transform noise is alike everywhere, and the way back has no bias."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln

from noisepair.errors import InputError
from noisepair.noise import PoissonGaussian
from noisepair.noise.stabilise import MANY, STRONGEST, Anscombe

CAMERAS = [(0.005, 0.01), (0.02, 0.02), (0.2, 0.02), (0.2, 0.0), (1.0, 0.5), (0.01, 0.2)]
LEVELS = np.array([0.0, 0.003, 0.01, 0.05, 0.1, 0.3, 0.6, 1.0, 1.7, 3.0])
DRAWS = 100_000


def shots(gain, read, level, draws=DRAWS):
    clean = torch.full((1, 1, draws, 1), float(level), dtype=torch.float64)
    rng = torch.Generator().manual_seed(0)
    photons = torch.poisson(clean / gain, generator=rng) * gain if gain else clean
    return (photons + read * torch.randn(clean.shape, generator=rng, dtype=clean.dtype)).flatten()


NODES, WEIGHTS = np.polynomial.legendre.leggauss(120)


def mean_seen(camera, level):
    """E[into(y) | x]: a sum over counts of an integral on either side of where the root ends."""

    def of_count(count):
        value = camera.gain * count + camera.black
        kink = min(9.0, max(-9.0, (camera.least - value) / camera.read))
        total = 0.0
        for low, high in ((-9.0, kink), (kink, 9.0)):
            # the root begins like √(n − kink): in its own square it is smooth
            n = low + (high - low) * ((NODES + 1) / 2) ** 2
            step = (high - low) * (NODES + 1) / 2 * WEIGHTS
            bell = np.exp(-(n**2) / 2) / math.sqrt(2 * math.pi)
            total += float((step * bell * camera.into(value + camera.read * n)).sum())
        return total

    photons = level / camera.gain
    most = math.ceil(photons + 12 * math.sqrt(photons) + 25)
    return sum(chance(k, photons) * of_count(k) for k in range(most))


def chance(count, photons):
    if photons == 0:
        return float(count == 0)
    return math.exp(count * math.log(photons) - photons - float(gammaln(count + 1)))


def in_photons(camera, seen):
    """f, of what a network sees."""
    d = (seen - camera.offset) / camera.sigma
    return d + 2 * float(camera.root(np.array(camera.start))) / camera.gain


def asymptotic(camera, seen):
    f = in_photons(camera, seen)
    return camera.gain * (f**2 / 4 - 1 / 8) - camera.read**2 / camera.gain


def algebraic(camera, seen):
    f = in_photons(camera, seen)
    return camera.gain * (f**2 / 4 - 3 / 8) - camera.read**2 / camera.gain


def exact(camera, seen):
    return camera.back(np.asarray(seen))


# — no bias —


@pytest.mark.parametrize("photons", [0.0, 0.01, 0.3, 1.0, 4.0, 20.0, 100.0])
@pytest.mark.parametrize("read", [0.05, 0.5, 3.0, 16.0])
def test_the_way_back_is_the_inverse_of_the_mean_by_another_integration(read, photons):
    """A thousandth of the noise's own deviation is nothing that a denoiser could tell."""
    camera = Anscombe(1.0, read, high=200.0)
    seen = mean_seen(camera, photons)
    assert abs(exact(camera, seen) - photons) < 2e-3 * math.sqrt(photons + read**2)


def test_the_simpler_inverses_are_biased_where_photons_are_few():
    camera = Anscombe(1.0, 0.05, high=200.0)
    seen = mean_seen(camera, 1.0)
    assert abs(exact(camera, seen) - 1) < 1e-4
    assert asymptotic(camera, seen) > 1 + 0.05
    assert algebraic(camera, seen) < 1 - 0.15
    many = mean_seen(camera, 100.0)
    assert asymptotic(camera, many) == pytest.approx(100, abs=0.05)
    assert algebraic(camera, many) == pytest.approx(100 - 1 / 4, abs=0.05)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("gain", "read"), CAMERAS)
def test_the_mean_of_many_shots_leads_back_to_the_clean_value(gain, read, level):
    camera = Anscombe(gain, read)
    seen = camera.into(shots(gain, read, level))
    mean, error = float(seen.mean()), float(seen.std()) / DRAWS**0.5
    low, found, high = camera.back(np.array([mean - 5 * error, mean, mean + 5 * error]) - 0.0)
    assert low - 1e-9 <= level <= high + 1e-9
    assert found == pytest.approx(level, abs=0.02 * math.sqrt(gain * level + read**2) + 1e-9)


def test_the_table_goes_over_into_the_formula_without_a_step():
    camera = Anscombe(1.0, 0.3, high=2 * MANY)
    end = float(camera.into(np.array(MANY)))
    near = camera.back(end + np.linspace(-1e-3, 1e-3, 2001))
    steps = np.diff(near)
    assert steps.min() > 0
    assert steps.max() < 1.01 * steps.min()
    many = Anscombe(1.0, math.sqrt(MANY) * 1.0001, high=2 * MANY)
    few = Anscombe(1.0, math.sqrt(MANY) * 0.9999, high=2 * MANY)
    values = np.linspace(0, 1, 50)
    assert np.abs(many.back(values) - few.back(values)).max() < 0.1, "of noise with deviation 10"


def test_below_black_the_way_back_goes_straight_on():
    """A denoiser that errs a little to both sides of black would else make it too bright."""
    camera = Anscombe(1.0, 0.3, high=200.0)
    black = mean_seen(camera, 0.0)
    steps = np.diff(camera.back(np.linspace(black - 0.01, black + 1e-4, 101)))
    assert steps.min() > 0
    assert steps.max() < 1.02 * steps.min()


# — alike everywhere —


@pytest.mark.parametrize("level", [0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize(("gain", "read"), [(0.005, 0.01), (0.02, 0.02), (0.01, 0.2), (0.0, 0.1)])
def test_noise_has_the_deviation_that_is_said_at_every_level(gain, read, level):
    camera = Anscombe(gain, read)
    noise = camera.into(shots(gain, read, level))
    assert noise.std() == pytest.approx(camera.sigma, rel=0.02)


def test_before_the_transform_it_has_not():
    dark, bright = (shots(0.02, 0.02, level).std() for level in (0.2, 1.0))
    assert bright > 2 * dark


@pytest.mark.parametrize(("gain", "read"), CAMERAS)
def test_a_network_sees_the_range_within_0_and_1_and_no_noise_above_its_training(gain, read):
    camera = Anscombe(gain, read, high=1.0)
    low, high = camera.into(np.array([0.0, 1.0]))
    assert low + high == pytest.approx(1)
    assert 0 <= low < high <= 1 + 1e-12
    assert camera.sigma <= STRONGEST
    assert camera.sigma == STRONGEST or (low, high) == pytest.approx((0, 1))


def test_the_range_is_that_of_the_picture():
    rng = torch.Generator().manual_seed(0)
    clean = torch.linspace(0, 40, 300 * 200).view(1, 300, 200, 1)
    noisy = PoissonGaussian(0.5, 0.1)(clean, rng)[0].numpy()
    camera = Anscombe.over(noisy, 0.5, 0.1)
    assert camera.high == pytest.approx(50, abs=8)
    assert camera.into(noisy).max() < 1.3
    black = Anscombe.over(np.zeros((4, 4, 1), np.float32), 0.1, 0.0)
    assert (black.low, black.high) == (0, 0.1)


# — laws —

gains = st.floats(1e-6, 1)
reads = st.floats(0, 0.3)


@settings(max_examples=30)
@given(gain=gains, read=reads, black=st.floats(-0.5, 0.5))
def test_more_light_is_never_seen_as_less_nor_given_back_as_less(gain, read, black):
    camera = Anscombe(gain, read, black, low=black, high=black + 1)
    seen = camera.into(np.linspace(-1, 3, 400))
    assert (np.diff(seen) >= 0).all()
    assert (np.diff(camera.back(np.linspace(camera.offset, 3, 400))) > 0).all()
    assert np.isfinite(camera.back(np.linspace(-1, 3, 400))).all()


@settings(max_examples=30)
@given(gain=gains, read=st.floats(1e-3, 0.3), factor=st.floats(1e-3, 1e3))
def test_units_do_not_matter(gain, read, factor):
    values = np.linspace(-0.1, 2, 50)
    one = Anscombe(gain, read)
    other = Anscombe(gain * factor, read * factor, high=factor)
    np.testing.assert_allclose(other.into(factor * values), one.into(values), atol=1e-9)
    seen = np.linspace(0, 1.2, 50)
    np.testing.assert_allclose(other.back(seen) / factor, one.back(seen), atol=1e-7)


@given(black=st.floats(-5, 5))
def test_a_pedestal_moves_all_and_changes_nothing(black):
    values = np.linspace(-0.1, 2, 50)
    plain = Anscombe(0.02, 0.05)
    raised = Anscombe(0.02, 0.05, black, low=black, high=1 + black)
    np.testing.assert_allclose(raised.into(values + black), plain.into(values), atol=1e-9)
    np.testing.assert_allclose(raised.back(values) - black, plain.back(values), atol=1e-9)


@pytest.mark.parametrize("gain", [0.0, 1e-300, 1e-12, 1e-7])
def test_noise_that_does_not_grow_is_left_as_it_is(gain):
    camera = Anscombe(gain, 0.1)
    values = np.linspace(-0.5, 3, 50)
    np.testing.assert_allclose(camera.into(values), values, atol=1e-4)
    np.testing.assert_allclose(camera.back(values), values, atol=1e-4)
    assert camera.sigma == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 4, 5), (0, 3)])
def test_type_and_shape_stay_and_tensors_are_as_arrays(dtype, shape):
    camera = Anscombe(0.05, 0.02)
    values = torch.rand(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    for way in (camera.into, camera.back):
        of_tensor, of_array = way(values), way(values.numpy())
        assert of_tensor.dtype == dtype
        assert of_tensor.shape == of_array.shape == shape
        assert of_array.dtype == values.numpy().dtype
        assert np.array_equal(of_tensor.numpy(), of_array)


def test_bright_values_are_kept_and_dark_ones_end_where_the_root_does():
    camera = Anscombe(0.05, 0.02)
    values = np.array([2.0, 30.0, 1000.0])
    np.testing.assert_allclose(camera.back(camera.into(values)), values + 0.05 / 4, rtol=1e-4)
    low = camera.into(np.array([camera.least, camera.least - 1, -50.0]))
    assert (low == low[0]).all()
    assert camera.back(low)[0] < 0, "goes on below black, or dark noise would have a mean"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((-0.1, 0.1), "gain=-0.1, read=0.1 are not a noise. Give numbers of at least 0"),
        ((0.1, -0.1), "at least 0"),
        ((math.nan, 0.1), "gain=nan"),
        ((0.0, 0.0), "mean no noise, and there is nothing to stabilise. Leave"),
        ((0.1, 0.1, 0.0, 1.0, 1.0), "from 1.0 to 1.0 holds no picture"),
        ((0.1, 0.0, 5.0), "black at 5.0"),
    ],
)
def test_what_is_no_camera_is_refused(settings, said):
    with pytest.raises(InputError, match=said):
        Anscombe(*settings)
