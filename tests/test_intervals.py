"""Intervals hold the truth as often as they say, and are endless where nothing is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student_t

from noisepair.intervals import (
    MANY,
    SCENES,
    UNKNOWN,
    Estimate,
    Units,
    decibels,
    drawn_again,
    gathered,
    ratio,
    solve,
    student,
)

NONE = np.zeros((2, 2))


def units(errors, scatter=None, count=100.0):
    errors = np.array(errors, float)
    counts = np.full(len(errors), count)
    return Units(counts, errors, np.zeros((len(errors), 2, 2)) if scatter is None else scatter)


# — by hand —


def test_psnr_and_gain_worked_out_by_hand():
    two = units([[1.0, 0.1], [3.0, 0.3]], np.tile(np.diag([1e-4, 1e-6]), (2, 1, 1)))
    assert two.psnr(0, of_scenes=False).value == pytest.approx(10 * math.log10(200 / 4))
    assert two.psnr(1, of_scenes=False).value == pytest.approx(10 * math.log10(200 / 0.4))
    gain = two.gain(of_scenes=False)
    assert gain.value == pytest.approx(10)
    relative = math.sqrt(2e-4 / 16 + 2e-6 / 0.16)
    half = 1.959964 * 10 / math.log(10) * relative
    assert (gain.low, gain.high) == (pytest.approx(10 - half), pytest.approx(10 + half))


def test_errors_that_move_together_make_a_gain_sharper_than_its_parts():
    joint = np.array([[1e-4, 1e-5], [1e-5, 1e-6]])[None]
    one = units([[1.0, 0.1]], joint)
    gain = one.gain(of_scenes=False)
    assert gain.high - gain.low < 1e-6
    psnr = one.psnr(1, of_scenes=False)
    assert psnr.high - psnr.low > 0.1, "control"


def test_students_t_is_students_t():
    for freedom in (1, 4, 49):
        assert student(freedom) == pytest.approx(student_t.ppf(0.975, freedom))


def test_the_ratio_of_sums_and_its_error_worked_out_by_hand():
    found = ratio(np.array([1.0, 5.0]), np.array([1.0, 2.0]))
    assert found.values[0] == 2
    # residuals 1 − 2·1 = −1 and 5 − 2·2 = 1, over 3, times 2 / (2 − 1)
    assert found.errors[0] == pytest.approx(math.sqrt(2 * 2) / 3)


# — by another road —


def test_least_squares_over_units_is_that_over_all_points():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 40, 3))
    y = x @ [1.0, -2.0, 0.5] + rng.normal(size=(6, 40))
    pooled = solve(np.einsum("knp,knq->kpq", x, x), np.einsum("knp,kn->kp", x, y))
    whole, *_ = np.linalg.lstsq(x.reshape(-1, 3), y.ravel(), rcond=None)
    np.testing.assert_allclose(pooled.values, whole)


# — by statistics —

TRIALS = 1000
SURE = 4 * math.sqrt(0.95 * 0.05 / TRIALS)  # four standard errors of a share of 95 %


def coverage(draw, truth, estimate):
    rng = np.random.default_rng(1)
    return float(np.mean([truth in estimate(draw(rng)) for _ in range(TRIALS)]))


@pytest.mark.parametrize("n", [8, 30])
def test_scenes_drawn_again_hold_the_truth_95_times_in_100(n):
    """Errors of scenes as skewed as those of photographs (log-normal, 2 dB)."""
    wide = 0.46

    def draw(rng):
        noisy = np.exp(rng.normal(-4.6, 0.1, n))
        return np.stack([noisy, np.exp(rng.normal(-7.0, wide, n))], 1)

    truth = 10 / math.log(10) * (2.4 + 0.1**2 / 2 - wide**2 / 2)
    held = coverage(draw, truth, lambda sums: drawn_again(*sums.T))
    assert abs(held - 0.95) < SURE + 0.01, "and a hundredth for so few scenes"


def test_a_normal_interval_of_few_scenes_would_not():
    """Control: the mean ± 1.96 standard errors, of 8 scenes."""

    def draw(rng):
        return np.exp(rng.normal(-7.0, 0.7, 8))

    def normal(errors):
        half = 1.96 * errors.std(ddof=1) / math.sqrt(len(errors))
        return Estimate(errors.mean(), errors.mean() - half, errors.mean() + half)

    assert coverage(draw, math.exp(-7 + 0.7**2 / 2), normal) < 0.95 - SURE


def test_the_error_of_a_solution_is_its_scatter():
    rng = np.random.default_rng(2)
    found = [
        ratio(w * (0.3 + rng.normal(0, 0.1, 40)), w)
        for w in (rng.uniform(1, 2, 40) for _ in range(TRIALS))
    ]
    scatter = np.std([one.values[0] for one in found])
    told = math.sqrt(np.mean([one.errors[0] ** 2 for one in found]))
    assert told == pytest.approx(scatter, rel=4 / math.sqrt(2 * TRIALS) + 0.01)
    held = np.mean([0.3 in one.estimate() for one in found])
    assert abs(held - 0.95) < SURE
    pulls = np.array([ratio(rng.normal(size=10), np.ones(10)).pull() for _ in range(TRIALS)])
    assert abs(pulls.std() - 1) < 4 / math.sqrt(2 * TRIALS), "also of few units: Student's t"


# — what is not known —


@pytest.mark.parametrize(
    "found",
    [
        decibels(np.array([[0.0, 1.0]]), NONE[None], of_scenes=False),
        decibels(np.ones((SCENES - 1, 2)), np.zeros((SCENES - 1, 2, 2)), of_scenes=True),
        ratio(np.zeros(3), np.zeros(3)).estimate(),
    ],
)
def test_what_is_not_known_is_said_to_be(found):
    assert math.isnan(found.value)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert found.as_json() == {"value": None, "low": None, "high": None}


def test_one_block_has_a_value_and_no_error():
    found = decibels(np.array([[2.0, 0.2]]), NONE[None], of_scenes=False)
    assert found.value == pytest.approx(10)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_a_single_unit_has_a_value_and_no_error():
    one = ratio(np.array([3.0]), np.array([2.0]))
    assert one.estimate() == Estimate(1.5, -math.inf, math.inf)
    assert one.pull() == 0


def test_an_error_too_small_to_be_told_from_none_has_no_upper_end():
    scatter = np.diag([0.0, 1.0])[None]
    found = units([[10.0, 2.0]], scatter).gain(of_scenes=False)
    assert found.value == pytest.approx(10 * math.log10(5))
    assert found.high == math.inf
    assert found.low == pytest.approx(10 * math.log10(10 / (2 + 1.959964)))
    below = units([[10.0, -1.0]], scatter).gain(of_scenes=False)
    assert below.value == math.inf
    assert below.low < 12
    assert "at least" in below.text()


@given(st.integers(1, 3000))
def test_gathering_very_many_units_loses_nothing(count):
    values = np.arange(float(count))
    found = gathered(values)
    assert found.sum() == values.sum()
    assert len(found) == min(count, MANY)


def test_an_unknown_estimate_reads_as_one():
    assert UNKNOWN.text() == "unknown"
    assert Estimate(1.5, -math.inf, math.inf).text(1) == "1.5 (how surely is unknown)"
    assert Estimate(math.inf, 20.0, math.inf).text(1) == "at least 20.0"
    assert 3 in UNKNOWN
