"""Collapse is seen where it is, and nowhere else."""

import numpy as np
import pytest
from a_benchmark import constant, made, noisy, some_pairs, some_queries

from noisepair.hpatches.collapse import DIMENSION, SPREAD, look
from noisepair.hpatches.scores import evaluate

COUNTS = (50, 40)


def normal(scales, offset=0.0, seed=0):
    """Independent numbers with these deviations, around an offset."""
    rng = np.random.default_rng(seed)
    return made(
        COUNTS, lambda s, sheet: offset + rng.normal(size=(COUNTS[s], len(scales))) * scales
    )


def test_spread_and_dimension_worked_out_by_hand():
    """Rows (3, 1), (3, −1), (5, 1), (5, −1): mean (4, 0), variances 1 and 1, energy 18."""
    rows = np.array([[3, 1], [3, -1], [5, 1], [5, -1]], float)
    found = look(made((4,), lambda s, sheet: rows))
    assert found.spread == pytest.approx((2 / 18) ** 0.5)
    assert found.dimension == pytest.approx(2)
    assert found.copies == 0


@pytest.mark.parametrize(
    ("scales", "dimension"), [([1] * 8, 8), ([1, 1, 0, 0], 2), ([3, 1], 100 / 82)]
)
def test_the_dimension_is_how_many_directions_are_used(scales, dimension):
    counts = look(normal(scales)).dimension
    assert counts == pytest.approx(dimension, rel=0.15)
    assert look(normal(scales, offset=100)).dimension == pytest.approx(counts, rel=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_a_constant_has_no_spread_and_no_directions(value):
    found = look(constant(COUNTS, value=value))
    assert (found.spread, found.dimension, found.copies) == (0, 0, 1)
    assert "Collapsed" in found.sentences({}, "official")[0]


@pytest.mark.parametrize("noise", [1e-6, 1e-4])
def test_a_hair_from_a_constant_is_collapsed(noise):
    found = look(normal([noise] * 16, offset=0.25))
    assert found.spread < SPREAD
    assert "Collapsed" in found.sentences({}, "official")[0]


def test_one_direction_is_nearly_collapsed():
    found = look(normal([1, 1e-3, 1e-3]))
    assert found.dimension < DIMENSION
    assert "lie on a line" in found.sentences({}, "official")[0]


def test_healthy_descriptors_are_left_in_peace():
    described = noisy(COUNTS, dims=16)
    found = evaluate(described, some_pairs((50, 40), 400), some_queries((50, 40), 20, 40))
    assert found.warnings() == []


def test_copies_and_ties_are_told():
    described = noisy(COUNTS, dims=3, grid=1.5)
    queries = some_queries(COUNTS, 20, 60)
    found = evaluate(described, None, queries)
    assert found.collapse.copies > 0.1
    first, second = found.warnings()
    assert "have the descriptor of another patch" in first
    assert "compare with --ties expected" in second
    assert "averaged over" in evaluate(described, None, queries, ties="expected").warnings()[1]


def test_copies_are_counted_by_hand():
    rows = np.array([[1, 2], [1, 2], [3, 4], [5, 6], [5, 6], [5, 6.0]])
    assert look(made((6,), lambda s, sheet: rows)).copies == pytest.approx(5 / 6)
