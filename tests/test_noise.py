"""Noise is what Noise2Noise needs: of zero mean, independent, never clipped."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from noisepair.noise import NOISES, Gaussian, Poisson

DRAWS = 400_000
LEVELS = (0.0, 0.1, 0.5, 1.0)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(noise, level, seed=0):
    """Noise alone, in float64, at one brightness."""
    clean = torch.full((1, 1, 1, DRAWS), level, dtype=torch.float64)
    return (noise(clean, rng(seed)) - clean).flatten()


def mean_in_standard_errors(values):
    return abs(values.mean() / (values.std() / len(values) ** 0.5))


def variance_in_standard_errors(values, expected):
    squares = (values - values.mean()).square()
    return abs((squares.mean() - expected) / (squares.std() / len(values) ** 0.5))


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


def test_the_two_tests_above_can_fail():
    values = drawn(Gaussian(0.1), 0.5)
    assert mean_in_standard_errors(values + 0.001) > 5
    assert variance_in_standard_errors(1.01 * values, 0.01) > 5
    assert variance_in_standard_errors(drawn(Poisson(30.0), 0.5), 1.0 / 30) > 5


def test_photons_are_counted_in_whole_numbers_and_none_come_from_black():
    counts = Poisson(30.0)(torch.rand(1, 1, 64, 64), rng()) * 30
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-4)
    assert Poisson(30.0)(torch.zeros(1, 1, 8, 8), rng()).abs().max() == 0
    assert Poisson(30.0)(torch.full((1, 1, 8, 8), -0.1), rng()).abs().max() == 0


def test_nothing_is_clipped():
    """At sigma 50/255 half of black's noise is below 0; clipped, black would rise by 0.08."""
    black, white = (drawn(Gaussian(50 / 255), level) + level for level in (0.0, 1.0))
    assert (black < 0).double().mean() == pytest.approx(0.5, abs=0.01)
    assert (white > 1).double().mean() == pytest.approx(0.5, abs=0.01)
    assert mean_in_standard_errors(black.clamp(min=0)) > 5
    assert Poisson(30.0)(torch.ones(1, 1, 32, 32), rng()).max() > 1


@pytest.mark.parametrize("noise", [Gaussian(), Poisson()])
def test_two_draws_are_independent(noise):
    clean = torch.full((1, 1, 1, DRAWS), 0.5, dtype=torch.float64)
    source = rng()
    one, two = (noise(clean, source) - clean for _ in range(2))
    assert not torch.equal(one, two)
    assert mean_in_standard_errors((one * two).flatten()) < 5
    assert mean_in_standard_errors((one * one).flatten()) > 5


@pytest.mark.parametrize("noise", [Gaussian(), Poisson()])
def test_planes_and_pixels_are_spoilt_each_by_itself(noise):
    clean = torch.full((2, 3, 100, 100), 0.5, dtype=torch.float64)
    spoilt = noise(clean, rng()) - clean
    for apart in (
        spoilt[:, 0] * spoilt[:, 1],
        spoilt[0] * spoilt[1],
        spoilt[..., 1:] * spoilt[..., :-1],
        spoilt[..., 1:, :] * spoilt[..., :-1, :],
    ):
        assert mean_in_standard_errors(apart.flatten()) < 5


@pytest.mark.parametrize("noise", [Gaussian(), Poisson()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_generator_alone_decides_and_the_type_stays(noise, dtype):
    clean = torch.rand(2, 3, 8, 8, dtype=dtype)
    kept = clean.clone()
    torch.manual_seed(1)
    first = noise(clean, rng(7))
    torch.manual_seed(2)
    assert torch.equal(first, noise(clean, rng(7)))
    assert not torch.equal(first, noise(clean, rng(8)))
    assert first.dtype == dtype
    assert torch.equal(clean, kept)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Gaussian, {"sigma": 0.0}),
        (Gaussian, {"sigma": 25.0}),
        (Gaussian, {"sigma": float("nan")}),
        (Gaussian, {"peak": 3.0}),
        (Poisson, {"peak": 0.0}),
        (Poisson, {"peak": 2e6}),
        (Poisson, {"sigma": 0.1}),
    ],
)
def test_settings_in_the_wrong_units_are_refused(kind, wrong):
    with pytest.raises(ValidationError):
        kind(**wrong)


def test_every_noise_is_listed_under_its_own_name():
    assert {name: kind().kind for name, kind in NOISES.items()} == {name: name for name in NOISES}
    assert Gaussian().sigma == np.float64(25) / 255
