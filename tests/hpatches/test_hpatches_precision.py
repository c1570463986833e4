"""Average precision with ties: by hand, against all orders of tied items, and the plain program."""

import itertools
import math

import numpy as np
import pytest
from a_benchmark import plain_area
from hypothesis import given, settings
from hypothesis import strategies as st

from noisepair.hpatches.precision import (
    area_under_roc,
    by_counts,
    expected_by_counts,
    expected_of_labels,
    fpr95,
    of_labels,
)

LISTS = st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=5)


def counts(distances, right):
    """For each right item, sorted: wrong ones closer, wrong as far, right closer, right as far."""
    far, near = np.sort(distances[~right]), np.sort(distances[right])
    closer, first = np.searchsorted(far, near), np.searchsorted(near, near)
    return (
        closer,
        np.searchsorted(far, near, "right") - closer,
        first,
        np.searchsorted(near, near, "right") - first,
    )


def every_order(distances, right, found):
    """Average precision under each order of the input."""
    return [
        plain_area(-distances[list(order)], right[list(order)], found)
        for order in itertools.permutations(range(len(right)))
    ]


# — by hand —


def test_a_list_worked_out_by_hand():
    # right, wrong, right: precision 1, then 1/2, then 2/3; (1 + 1)/2 and (1/2 + 2/3)/2
    assert of_labels(np.array([True, False, True])) == pytest.approx((1 + 7 / 12) / 2)
    assert of_labels(np.array([False, True])) == pytest.approx(1 / 4)
    assert of_labels(np.array([True, False]), found=4) == pytest.approx(1 / 4)
    assert of_labels(np.array([False, False])) == 0


def test_two_tied_items_worked_out_by_hand():
    """Right first: 1. Wrong first: (0 + 1/2)/2. The mean of the two orders is 5/8."""
    tied = np.zeros(2)
    assert expected_of_labels(tied, np.array([1, 0]), 1, 0) == pytest.approx(5 / 8)
    one = np.array([0]), np.array([1]), np.array([0]), np.array([1])
    assert expected_by_counts(*one) == pytest.approx(5 / 8)


def test_a_constant_in_verification_is_one_minus_five_logarithms():
    """A million wrong pairs, then 200,000 right ones: the sum is an integral."""
    found = by_counts(np.full(200_000, 1_000_000))
    assert found == pytest.approx(1 - 5 * math.log(1.2), abs=1e-12)
    assert f"{found:.6f}" == "0.088392"


def test_on_average_a_constant_is_worth_what_guessing_is():
    group = [np.array([float(v)]) for v in (0, 1000, 0, 200)]
    one = [np.repeat(part, 200) for part in group]
    found = expected_by_counts(*one)
    assert found == pytest.approx(200 / 1200, abs=0.003), "chance is the share of right items"


# — all orders —


@given(LISTS, st.integers(0, 2))
def test_the_expected_value_is_the_mean_over_all_orders(items, never):
    distances = np.array([distance for distance, _ in items], float)
    right = np.array([label for _, label in items])
    found = int(right.sum()) + never
    if not right.any():
        return
    values = every_order(distances, right, found)
    assert expected_of_labels(distances, right, found, 0) == pytest.approx(np.mean(values))
    expected = expected_by_counts(*counts(distances, right)) * right.sum() / found
    assert expected == pytest.approx(np.mean(values))


@given(LISTS)
def test_wrong_ones_first_is_the_worst_order_and_right_ones_first_the_best(items):
    distances = np.array([distance for distance, _ in items], float)
    right = np.array([label for _, label in items])
    if not right.any():
        return
    values = every_order(distances, right, None)
    closer, level, _, _ = counts(distances, right)
    assert by_counts(closer + level) == pytest.approx(min(values))
    assert by_counts(closer) == pytest.approx(max(values))


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.25, 0.5, 1.0])),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=25)
def test_answers_that_are_right_by_chance_count_by_their_chance(items):
    """Every way the answers may fall, weighted by its probability, over all orders."""
    distances = np.array([distance for distance, _ in items], float)
    chance = np.array([p for _, p in items])
    mean = 0.0
    for labels in itertools.product([False, True], repeat=len(items)):
        right = np.array(labels)
        weight = np.prod(np.where(right, chance, 1 - chance))
        if weight and right.any():
            mean += weight * np.mean(every_order(distances, right, len(items)))
    assert expected_of_labels(distances, chance, len(items), 0) == pytest.approx(mean)


def test_leaving_ties_as_they_come_is_not_the_mean():
    """Control: one order of a tied list is not the mean of all."""
    distances, right = np.zeros(4), np.array([True, False, False, True])
    values = every_order(distances, right, None)
    assert abs(plain_area(-distances, right) - np.mean(values)) > 0.05


# — the plain program —


@given(LISTS, st.integers(0, 2))
def test_a_list_in_order_has_the_plain_programs_area(items, never):
    distances = np.array([distance for distance, _ in items], float)
    right = np.array([label for _, label in items])
    if not right.any():
        return
    order = np.argsort(distances, kind="stable")
    found = int(right.sum()) + never
    assert of_labels(right[order], found) == pytest.approx(plain_area(-distances, right, found))


def test_precision_at_right_items_is_another_measure():
    """Control: the mean precision where right items come, which others call average precision."""
    right = np.array([True, False, True])
    tp = np.cumsum(right)
    assert of_labels(right) != pytest.approx((tp / np.arange(1, 4))[right].mean())


# — ROC and FPR95 —


def test_roc_counts_ties_as_asked():
    closer, level = np.array([0, 1]), np.array([1, 0])
    assert area_under_roc(closer, level, 2, "official") == pytest.approx(1 - (1 + 1) / 2 / 2)
    assert area_under_roc(closer, level, 2, "expected") == pytest.approx(1 - (0.5 + 1) / 2 / 2)


def test_fpr95_is_taken_where_95_in_100_right_ones_have_passed():
    assert fpr95(np.arange(100), wrong=100) == pytest.approx(0.94)
    assert fpr95(np.arange(20), wrong=20) == pytest.approx(18 / 20)
