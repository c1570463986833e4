"""One pair of numbers brings all pictures to where a network works best, and back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from noisepair.models import Scale, scale_of
from noisepair.models.scale import SAMPLES, sample


def photograph(rng, shape=(64, 64, 3)):
    return rng.random(shape, dtype=np.float32)


def test_a_scale_worked_out_by_hand():
    values = torch.tensor([10.0, 12.0, 14.0])
    scale = Scale(10.0, 4.0)
    assert scale.into(values).tolist() == [0, 0.5, 1]
    assert scale.back(scale.into(values)).tolist() == [10, 12, 14]


def test_the_identity_hands_back_the_very_values():
    values = torch.rand(3)
    assert Scale().into(values) is values
    assert Scale().back(values) is values


@given(offset=st.floats(-1e3, 1e3), width=st.floats(1e-3, 1e3))
def test_there_and_back_is_the_identity(offset, width):
    values = torch.linspace(offset, offset + width, 7, dtype=torch.float64)
    scale = Scale(offset, width)
    torch.testing.assert_close(scale.back(scale.into(values)), values)


def test_ordinary_photographs_share_the_identity():
    rng = np.random.default_rng(0)
    assert scale_of([photograph(rng), photograph(rng) * 0.6]) == Scale()
    assert scale_of([photograph(rng) * 0.55 + 0.4]) == Scale()
    assert scale_of([photograph(rng) * 0.45 + 0.4]) != Scale()


@pytest.mark.parametrize(("offset", "width"), [(0.02, 0.01), (300.0, 5000.0), (-0.5, 2.0)])
def test_what_fills_little_of_the_range_or_leaves_it_comes_to_zero_and_one(offset, width):
    rng = np.random.default_rng(0)
    scale = scale_of([offset + width * photograph(rng) for _ in range(4)])
    assert scale.offset == pytest.approx(offset + 0.001 * width, abs=0.002 * width)
    assert scale.scale == pytest.approx(0.998 * width, rel=0.005)


def test_a_few_hot_pixels_do_not_move_the_scale():
    rng = np.random.default_rng(0)
    picture = 0.02 * photograph(rng, (200, 200, 1))
    before = scale_of([picture])
    picture[0, :10] = 1.0  # 0.025 % of the pixels
    assert scale_of([picture]).scale == pytest.approx(before.scale, rel=0.01)
    picture[:5] = 1.0  # 2.5 %: no longer a few
    assert scale_of([picture]).scale > 10 * before.scale


def test_a_constant_picture_does_not_divide_by_zero():
    scale = scale_of([np.full((4, 4, 1), 0.25, np.float32)])
    assert torch.isfinite(scale.into(torch.tensor([0.25]))).all()


def test_a_large_set_is_sampled_evenly_over_its_pictures_and_colour_planes():
    """3.2 million values: every third would be red alone."""
    shape = (1024, 1024, 3)
    picture = np.broadcast_to(np.float32([0.0, 1.0, 2.0]), shape)
    seen = sample([picture])
    assert SAMPLES / 2 < seen.size < SAMPLES * 1.2
    assert np.bincount(seen.astype(int)) / seen.size == pytest.approx([1 / 3] * 3, abs=0.01)
