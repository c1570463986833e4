"""Nearest neighbours of each other, the ratio test, and the verdict on two pictures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisepair.descriptors import correspondence
from noisepair.descriptors.correspondence import SURE, correspond, mutual
from noisepair.descriptors.features import Features
from noisepair.errors import InputError

TILTED = np.array([[0.9, -0.2, 60], [0.1, 1.1, -30], [2e-4, -1e-4, 1]])


def vectors(*rows):
    return np.array(rows, np.float32)


def cloud(seed, count, dims=8):
    return np.random.default_rng(seed).normal(size=(count, dims)).astype(np.float32)


def plainly(one, two, ratio):
    """All distances at once, in the order of the words of the rule."""
    far = np.linalg.norm(one[:, None].astype(float) - two[None], axis=2)
    kept = []
    for a, b in enumerate(far.argmin(1)):
        others = (
            np.delete(far[a], b).min(initial=np.inf),
            np.delete(far[:, b], a).min(initial=np.inf),
        )
        if far[:, b].argmin() == a and (ratio == 1 or far[a, b] <= ratio * min(others)):
            kept.append((a, b))
    return kept


def described(xy, rows, method="made up"):
    count = len(xy)
    return Features(
        np.float32(xy), np.ones(count, np.float32), np.zeros(count, np.float32),
        np.ones(count, np.float32), rows, (480, 640), None, False, method,
    )  # fmt: skip


def a_pair(seed, shared, others, *, spoilt=0.3):
    """Two pictures that share so many places by a homography, and have so many of their own."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 1, (shared + others, 2)) * (640, 480)
    there = np.column_stack([xy, np.ones(len(xy))]) @ TILTED.T
    there = there[:, :2] / there[:, 2:] + rng.normal(0, 0.5, xy.shape)
    there[shared:] = rng.uniform(0, 1, (others, 2)) * (640, 480)
    one, two = cloud(seed + 1000, len(xy), 32), cloud(seed + 2000, len(xy), 32)
    two[:shared] = one[:shared] + spoilt * cloud(seed + 3000, shared, 32)
    order = rng.permutation(len(xy))
    return described(xy, one), described(there[order], two[order]), order


# — nearest neighbours —


def test_neighbours_are_mutual_and_clear_by_hand():
    one = vectors([0, 0], [10, 0], [0, 10], [30, 30])
    two = vectors([10, 1], [1, 0], [0, 2], [31, 30])
    # 0: (1, 0) at 1, (0, 2) at 2 → half; 1: at 1, next at 9; 2: nearest (0, 2), which is nearer
    # to 0; 3: at 1, next far
    assert mutual(one, two, 1.0)[0].tolist() == [[0, 1], [1, 0], [3, 3]]
    assert mutual(one, two, 0.5)[0].tolist() == [[0, 1], [1, 0], [3, 3]]
    pairs, distances = mutual(one, two, 0.49)
    assert pairs.tolist() == [[1, 0], [3, 3]]
    np.testing.assert_array_equal(distances, (1, 1))


def test_the_ratio_is_asked_from_both_sides():
    one, two = vectors([0, 0], [0, 3]), vectors([2, 0], [100, 0])
    # from one: 2 of 100; from two: 2 of √13
    assert mutual(one, two, 0.6)[0].tolist() == [[0, 0]]
    assert mutual(one, two, 0.5)[0].tolist() == []


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 30),
       st.sampled_from([0.5, 0.8, 0.95, 1.0]))  # fmt: skip
def test_blocks_give_what_all_distances_at_once_do(seed, count, others, ratio):
    one, two = cloud(seed, count, 3), cloud(seed + 1, others, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correspondence, "BLOCK", 7)
        pairs, distances = mutual(one, two, ratio)
    assert list(map(tuple, pairs.tolist())) == plainly(one, two, ratio)
    there = np.linalg.norm(one[pairs[:, 0]].astype(float) - two[pairs[:, 1]], axis=1)
    np.testing.assert_allclose(distances, there)


@given(st.integers(0, 10**6), st.sampled_from([0.8, 1.0]))
def test_which_picture_comes_first_makes_no_difference(seed, ratio):
    one, two = cloud(seed, 40, 4), cloud(seed + 1, 30, 4)
    forth, back = mutual(one, two, ratio)[0], mutual(two, one, ratio)[0]
    assert sorted(forth.tolist()) == sorted(back[:, ::-1].tolist())


def test_it_is_what_opencv_calls_cross_checked():
    import cv2

    one, two = cloud(0, 300, 16), cloud(1, 200, 16)
    theirs = cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(one, two)
    assert mutual(one, two, 1.0)[0].tolist() == [[m.queryIdx, m.trainIdx] for m in theirs]


def test_two_that_are_equal_say_nothing():
    one = vectors([1, 2])
    assert mutual(one, vectors([1, 2], [1, 2]), 0.99)[0].tolist() == []
    assert mutual(one, vectors([1, 3], [1, 1]), 0.99)[0].tolist() == []
    assert len(mutual(one, vectors([1, 2], [1, 2]), 1.0)[0]) == 1
    assert mutual(one, vectors([1, 2], [1, 2.5]), 0.99)[0].tolist() == [[0, 0]]


def test_a_small_distance_far_from_zero_is_not_lost_in_rounding():
    """|a|² + |b|² − 2 a·b cancels to nothing here: what is kept is computed from differences."""
    one = vectors([4096, 0])
    two = vectors([4096, 2**-9], [4096, 2**-8])
    pairs, distances = mutual(one, two, 0.5)
    assert (pairs.tolist(), distances.tolist()) == ([[0, 0]], [2**-9])


def test_no_vectors_have_no_neighbours():
    assert len(mutual(cloud(0, 0), cloud(1, 5))[0]) == len(mutual(cloud(1, 5), cloud(0, 0))[0]) == 0


# — the verdict —


@pytest.mark.parametrize("geometry", ["auto", "homography"])
def test_pictures_that_share_a_plane_match(geometry):
    one, two, order = a_pair(0, 60, 200)
    came = correspond(one, two, geometry=geometry)
    assert came.reliable
    assert came.geometry.kind == "homography"
    right = order[came.pairs[:, 1]] == came.pairs[:, 0]
    assert right[came.geometry.inliers].mean() > 0.95
    assert came.geometry.inliers.sum() > 45
    far = np.linalg.norm(TILTED / TILTED[2, 2] - came.geometry.matrix / came.geometry.matrix[2, 2])
    assert far < 2


def test_pictures_that_share_nothing_do_not_match_whatever_is_asked():
    """The control of the one above: same numbers, nothing shared."""
    for seed in range(2):
        one, two, _ = a_pair(seed, 0, 260)
        for ratio in (0.9, 1.0):
            assert not correspond(one, two, ratio=ratio).reliable
    assert len(correspond(one, two, ratio=1.0).pairs) > 40  # there was something to judge


def test_places_at_random_do_not_match_though_their_vectors_do():
    one, two, _ = a_pair(5, 100, 0)
    rng = np.random.default_rng(0)
    lost = described(rng.permutation(two.xy), two.vectors)
    came = correspond(one, lost)
    assert len(came.pairs) > 80
    assert not came.reliable


def test_hardly_any_vectors_are_no_reliable_match_and_no_crash():
    one, two, _ = a_pair(0, 3, 0)
    came = correspond(one, two)
    assert (came.geometry, came.reliable) == (None, False)
    assert SURE < 0


def test_what_cannot_be_matched_is_said():
    one, two, _ = a_pair(0, 10, 10)
    rotten = described(two.xy, np.full_like(two.vectors, np.nan))
    short = described(two.xy, two.vectors[:, :7])
    other = described(two.xy, two.vectors, method="rootsift")
    for bad, words in (
        (rotten, "hold NaN or infinity, which have no neighbours"),
        (short, "Vectors of 32 and of 7 numbers cannot be compared"),
        (other, "One picture is described by made up, the other by rootsift"),
    ):
        with pytest.raises(InputError, match=words):
            correspond(one, bad)
    for ratio in (0.0, -1.0, 1.01, float("nan")):
        with pytest.raises(InputError, match=f"A ratio of {ratio:g} is not possible"):
            correspond(one, two, ratio=ratio)
    for threshold in (0.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="pixels has no inliers"):
            correspond(one, two, threshold=threshold)
