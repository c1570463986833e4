"""What "close" means, by hand and by what it learns."""

import pytest
import torch

from noisepair.losses import LOSSES, l2


def picture(*values):
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def test_l2_by_hand():
    assert l2(picture(1.0, 2.0, 5.0), picture(1.0, 0.0, 8.0)) == pytest.approx(13 / 3)


def test_l2_is_a_mean_whatever_the_batch():
    torch.manual_seed(0)
    one, two = torch.rand(2, 4, 3, 8, 8, dtype=torch.float64).unbind()
    each = [l2(a[None], b[None]) for a, b in zip(one, two, strict=True)]
    torch.testing.assert_close(l2(one, two), torch.stack(each).mean())


def test_the_slope_of_l2_by_hand():
    denoised = picture(1.0, 2.0, 5.0).requires_grad_()
    l2(denoised, picture(1.0, 0.0, 8.0)).backward()
    assert denoised.grad.flatten().tolist() == pytest.approx([0, 4 / 3, -2])


def test_l2_learns_the_mean_and_not_the_median():
    targets = picture(0.0, 0.0, 10.0)
    guesses = torch.linspace(0, 10, 1001, dtype=torch.float64)
    losses = [float(l2(guess.expand(1, 1, 1, 3), targets)) for guess in guesses]
    best = float(guesses[torch.tensor(losses).argmin()])
    assert best == pytest.approx(10 / 3, abs=0.005)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_is_zero_at_its_target_alone(name):
    target = picture(0.1, 0.7)
    assert LOSSES[name](target, target) == 0
    assert LOSSES[name](target + 0.1, target) > 0
