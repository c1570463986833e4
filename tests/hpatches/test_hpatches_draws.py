"""Sequences drawn again: the same as doing it by hand, and right as often as it says."""

import math

import numpy as np
import pytest
from a_benchmark import noisy, plain_area, plain_roc, some_pairs

from noisepair.hpatches import _draws
from noisepair.hpatches._draws import Drawn, mean, ratio, weights
from noisepair.hpatches.layout import parts
from noisepair.hpatches.verification import levels, verify
from noisepair.intervals import DRAWS, SCENES, student

COUNTS = (20,) * 12
TRIALS = 500
SURE = 4 * math.sqrt(0.95 * 0.05 / TRIALS)  # four standard errors of a share of 95 %


def test_a_draw_takes_as_many_sequences_as_there_are():
    used = np.array([True, False, True, True])
    found = weights(used)
    assert found.shape == (DRAWS, 4)
    assert set(found.sum(1)) == {3}
    assert not found[:, 1].any()
    assert np.abs(found.mean(0)[used] - 1).max() < 4 * math.sqrt((2 / 3) / DRAWS)


def test_a_ratio_of_sums_is_drawn_as_one():
    over, under = np.array([1.0, 4.0, 100.0]), np.array([1.0, 2.0, 0.0])
    one = ratio(over, under, np.array([True, True, False]))
    assert one.value == pytest.approx(5 / 3)
    assert sorted(set(np.round(one.draws, 9))) == pytest.approx([1, 5 / 3, 2])
    both = mean([one, ratio(under, under, np.array([True, True, False]))])
    assert both.value == pytest.approx((5 / 3 + 1) / 2)
    np.testing.assert_allclose(both.draws, (one.draws + 1) / 2)


@pytest.mark.parametrize("kind", ["inter", "intra"])
@pytest.mark.parametrize("part", ["all", "illumination"])
def test_a_draw_of_curves_is_the_curve_of_the_drawn_pairs(kind, part):
    """Every pair as often as the draw has both its sequences; the plain program on these."""
    described, lists = noisy(COUNTS, noise=1.2), some_pairs(COUNTS, 3000)
    used = parts(described.names)[part]
    level = next(levels(described, lists))
    verified = verify(described, lists, parts={part: used})
    exact, counted = verified.curves["e", kind][part], verified.counted["e", kind]
    precision, roc = _draws.curve(counted, used, exact.precision, exact.roc)
    assert (precision.value, roc.value) == (exact.precision, exact.roc)
    errors = []
    for draw in range(6):
        w = weights(used)[draw].astype(int)
        often = {which: w[level.sequences[which][:, 0]] for which in ("pos", kind)}
        if kind == "inter":
            one, other = level.sequences[kind].T
            often[kind] = w[one] * np.where(one == other, 1, np.where(used, w, 1)[other])
        wrong = np.repeat(level.apart[kind], often[kind])
        right = np.repeat(level.apart["pos"], often["pos"])
        few = np.repeat(level.apart["pos"][level.few], often["pos"][level.few])
        labels = np.r_[np.zeros(len(wrong)), np.ones(len(few))]
        area = plain_area(-np.r_[wrong, few], labels)
        labels = np.r_[np.zeros(len(wrong)), np.ones(len(right))]
        by_hand = plain_roc(-np.r_[wrong, right], labels)
        errors.append((precision.draws[draw] - area, roc.draws[draw] - by_hand))
    scatter = precision.draws.std(), roc.draws.std()
    error = np.sqrt(np.square(errors).mean(0))
    assert (error < 0.1 * np.array(scatter)).all(), "which widens an interval by 0.5 %"


# — how often the interval holds the truth —


def coverage(n, interval):
    """Share of trials in which the interval of a mean of n skewed values holds their mean."""
    rng = np.random.default_rng(n)
    truth, once, every = 2 / 7, np.ones(n), np.ones(n, bool)
    held = [truth in interval(ratio(rng.beta(2, 5, n), once, every)) for _ in range(TRIALS)]
    return float(np.mean(held))


@pytest.mark.parametrize("n", [8, 20, 40])
def test_sequences_drawn_again_hold_the_truth_95_times_in_100(n):
    """Scores of sequences as they scatter: between 0 and 1, with a tail to the right."""
    held = coverage(n, Drawn.estimate)
    assert abs(held - 0.95) < SURE + 0.01, "and a hundredth for so few sequences"


def test_an_interval_of_a_normal_mean_is_as_wide_as_students():
    """On average: t·s/√n to each side. Draws alone scatter by √((n − 1)/n) of that."""
    rng, n = np.random.default_rng(0), 10
    shares = []
    for _ in range(200):
        values = rng.normal(size=n)
        one = ratio(values, np.ones(n), np.ones(n, bool)).estimate()
        shares.append((one.high - one.low) / 2 / (student(n - 1) * values.std(ddof=1) / n**0.5))
    assert np.mean(shares) == pytest.approx(1, abs=0.02)


def test_plain_percentiles_of_few_would_not():
    """Control: 2.5 and 97.5 % of the draws of 8 sequences."""

    def plain(drawn):
        low, high = np.quantile(drawn.draws, [0.025, 0.975])
        return type(drawn.estimate())(drawn.value, float(low), float(high))

    assert coverage(8, plain) < 0.95 - SURE


def test_too_few_sequences_have_no_interval():
    few = ratio(np.ones(SCENES - 1), np.ones(SCENES - 1), np.ones(SCENES - 1, bool)).estimate()
    assert (few.low, few.high) == (-math.inf, math.inf)
    assert math.isfinite(ratio(np.ones(8), np.ones(8), np.ones(8, bool)).estimate().low)


def test_a_draw_without_queries_is_unknown():
    alone = np.zeros(9)
    alone[0] = 1
    assert ratio(alone, alone, np.ones(9, bool)).estimate().low == -math.inf
