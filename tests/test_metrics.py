import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from noisepair.errors import InputError
from noisepair.metrics import mse, psnr, psnr_from_mse, ssim

pictures = arrays(np.float64, (5, 4, 1), elements=st.floats(0, 1))


def two_pictures(shape=(24, 32, 3), dtype=np.float64):
    rng = np.random.default_rng(0)
    clean = rng.random(shape)
    noisy = np.clip(clean + rng.normal(0, 0.1, shape), 0, 1)
    if np.issubdtype(dtype, np.integer):
        clean, noisy = (np.rint(p * np.iinfo(dtype).max) for p in (clean, noisy))
    return noisy.astype(dtype), clean.astype(dtype)


def test_an_error_of_a_tenth_is_twenty_decibels():
    clean = np.zeros((3, 5, 1))
    assert psnr(clean + 0.1, clean, 1) == pytest.approx(20, abs=1e-12)
    assert psnr_from_mse(0.01, 1) == 20


def test_an_error_worked_out_by_hand():
    a, b = np.array([0, 10, 255], np.uint8), np.array([3, 6, 255], np.uint8)
    assert mse(a, b) == 25 / 3
    assert mse(b, a) == 25 / 3, "unsigned values must not wrap around"


def test_identical_pictures_are_infinitely_close():
    noisy, _ = two_pictures()
    assert psnr(noisy, noisy, 1) == math.inf
    assert ssim(noisy, noisy, 1) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("planes", [1, 3])
def test_scores_match_scikit_image(dtype, planes):
    noisy, clean = two_pictures((24, 32, planes), dtype)
    span = float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0
    theirs = peak_signal_noise_ratio(
        clean.astype(np.float64), noisy.astype(np.float64), data_range=span
    )
    assert psnr(noisy, clean, span) == pytest.approx(theirs, rel=1e-12)


def windows(plane, weights):
    """Weighted means over every whole 11×11 window, the slow and obvious way."""
    rows, columns = plane.shape
    return np.array(
        [
            [(plane[i : i + 11, j : j + 11] * weights).sum() for j in range(columns - 10)]
            for i in range(rows - 10)
        ]
    )


def test_ssim_is_the_formula_of_wang_2004():
    noisy, clean = (picture[..., 0] for picture in two_pictures())
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights = np.outer(line, line) / line.sum() ** 2
    mean_a, mean_b = windows(noisy, weights), windows(clean, weights)
    var_a = windows(noisy**2, weights) - mean_a**2
    var_b = windows(clean**2, weights) - mean_b**2
    both = windows(noisy * clean, weights) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    by_hand = ((2 * mean_a * mean_b + c1) * (2 * both + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    ours = ssim(noisy[..., None], clean[..., None], 1)
    assert ours == pytest.approx(by_hand.mean(), rel=1e-10)
    colour = structural_similarity(
        *two_pictures(),
        data_range=1,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(*two_pictures(), 1) == pytest.approx(colour, rel=1e-12)
    # control: scikit-image's own default is another number, so the setting above matters
    default = structural_similarity(noisy, clean, data_range=1)
    assert abs(default - ours) > 1e-4


def test_a_picture_without_one_whole_window_has_no_ssim():
    noisy, clean = two_pictures((11, 10, 3))
    assert math.isnan(ssim(noisy, clean, 1))
    noisy, clean = two_pictures((11, 11, 3))
    assert math.isfinite(ssim(noisy, clean, 1))


@given(a=pictures, b=pictures)
def test_swapping_the_pictures_changes_nothing(a, b):
    assert psnr(a, b, 1) == psnr(b, a, 1)


@given(a=pictures, b=pictures, shift=st.integers(-8, 8))
def test_brightening_both_changes_nothing(a, b, shift):
    assert mse(a + shift, b + shift) == pytest.approx(mse(a, b), abs=1e-12)


@given(a=pictures, b=pictures, scale=st.sampled_from([2.0, 255.0, 65535.0]))
def test_units_change_nothing_when_the_range_has_them_too(a, b, scale):
    assert psnr(a * scale, b * scale, scale) == pytest.approx(psnr(a, b, 1), abs=1e-6)


@settings(deadline=None)
@given(errors=st.lists(st.floats(1e-6, 1), min_size=1, max_size=8))
def test_pooled_is_never_above_the_mean_over_pictures(errors):
    per_image = np.mean([psnr_from_mse(error, 1) for error in errors])
    assert psnr_from_mse(float(np.mean(errors)), 1) <= per_image + 1e-9


@pytest.mark.parametrize("sigma", [5 / 255, 25 / 255, 0.3])
def test_gaussian_noise_has_the_psnr_of_its_sigma(sigma):
    n = 200 * 300
    error = np.random.default_rng(1).normal(0, sigma, (200, 300, 1))
    measured = psnr(0.5 + error, np.full_like(error, 0.5), 1)
    # the mean of n squares has the relative deviation sqrt(2 / n), and 10 log10 turns it into dB
    standard_error = 10 / math.log(10) * math.sqrt(2 / n)
    assert abs(measured - 20 * math.log10(1 / sigma)) < 4 * standard_error
    assert abs(measured - 20 * math.log10(1 / (1.03 * sigma))) > 4 * standard_error, "control"


def test_broadcasting_is_refused():
    with pytest.raises(InputError, match=r"shape \(4, 4, 3\) and \(4, 4, 1\) cannot be compared"):
        psnr(np.zeros((4, 4, 3)), np.zeros((4, 4, 1)), 1)


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(InputError, match="at least one pixel"):
        mse(np.zeros((0, 4, 1)), np.zeros((0, 4, 1)))


@pytest.mark.parametrize("span", [0, -1, math.nan, math.inf])
def test_an_impossible_range_is_refused(span):
    with pytest.raises(InputError, match=f"data_range={span} is no range of values"):
        psnr(np.ones((2, 2, 1)), np.zeros((2, 2, 1)), span)


def test_ssim_wants_the_plane_axis():
    with pytest.raises(InputError, match="SSIM was given an array of shape"):
        ssim(np.zeros((16, 16)), np.zeros((16, 16)), 1)
