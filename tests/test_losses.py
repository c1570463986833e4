"""What "close" means, by hand, by what it learns, and by another road."""

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from noisepair import losses
from noisepair.errors import InputError
from noisepair.losses import LOSSES, Loss, bce, l0, l1, l2, ms_ssim, rmse, ssim

POINTWISE = ["bce", "l0", "l1", "l2", "rmse"]
ALIKE = ["ms_ssim", "ssim"]


def picture(*values):
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def noisy(side, *, seed=0, planes=1, pictures=2):
    """Smooth pictures and the same with noise."""
    rng = torch.Generator().manual_seed(seed)
    shape = (pictures, planes, side, side)
    draws = torch.rand(shape, generator=rng, dtype=torch.float64)
    smooth = torch.nn.functional.avg_pool2d(draws, 5, 1, 2, count_include_pad=False)
    more = torch.randn(shape, generator=rng, dtype=torch.float64)
    return smooth, smooth + 0.05 * more


# — by hand —


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


def test_rmse_by_hand_and_a_noisier_picture_counts_in_proportion():
    one, two = picture(1.0, 2.0, 5.0), picture(1.0, 0.0, 8.0)
    assert rmse(one, two) == pytest.approx((13 / 3) ** 0.5)
    assert rmse(torch.cat([one, 3 * one]), torch.cat([two, 3 * two])) == pytest.approx(
        2 * (13 / 3) ** 0.5
    )
    weak = torch.zeros(2, 1, 1, 2, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0.1, 0.2, 1.0, 2.0], dtype=torch.float64).view(2, 1, 1, 2)
    rmse(weak, targets).backward()
    weaker, stronger = weak.grad.flatten(1).tolist()
    assert weaker == pytest.approx(stronger, rel=1e-3)
    same = one.clone().requires_grad_()
    rmse(same, one).backward()
    assert not same.grad.any()


def test_l1_by_hand():
    assert l1(picture(1.0, 2.0, 5.0), picture(1.0, 0.0, 8.0)) == pytest.approx(5 / 3)


def test_l0_is_l2_then_l1_and_at_last_counts_errors():
    one, two = picture(1.0, 2.0, 5.0, 3.0), picture(1.0, 0.0, 8.0, 3.0)
    assert l0(one, two, 0.0) == pytest.approx(13 / 4, rel=1e-6)
    assert l0(one, two, 0.5) == pytest.approx(5 / 4, rel=1e-6)
    assert l0(one, two, 0.75) == pytest.approx((2**0.5 + 3**0.5 + 2 * 1e-4) / 4, rel=1e-6)
    assert l0(one, two, 0.999) == pytest.approx(0.5, abs=0.02 + 0.5 * 1e-8**0.002)
    assert l0(one, two, 1.0) == l0(one, two, 1.3) == 1  # late, and everything to the power 0


def test_bce_by_hand():
    expected = -(0.25 * math.log(0.5) + 0.75 * math.log(0.5) + math.log(0.8)) / 2
    assert bce(picture(0.5, 0.8), picture(0.25, 1.0)) == pytest.approx(expected)


def test_bce_is_that_of_torch_where_torch_has_one():
    torch.manual_seed(0)
    x, t = (torch.rand(2, 3, 8, 8, dtype=torch.float64) * 0.99 + 0.005 for _ in range(2))
    torch.testing.assert_close(bce(x, t), torch.nn.functional.binary_cross_entropy(x, t))


def test_l2_written_as_text_is_l2_to_the_last_bit():
    torch.manual_seed(0)
    one, two = torch.rand(2, 4, 3, 9, 9).unbind()
    slopes = []
    for loss in (lambda a, b: (a - b).square().mean(), lambda a, b: Loss.of("l2")(a, b, 0.3)):
        denoised = one.clone().requires_grad_()
        value = loss(denoised, two)
        value.backward()
        slopes.append((value.detach(), denoised.grad))
    assert torch.equal(slopes[0][0], slopes[1][0])
    assert torch.equal(slopes[0][1], slopes[1][1])


# — what each learns —


def least(loss, targets, used=0.0, low=-0.5, high=3.5):
    """The constant that is nearest to all targets, on a grid of 1/1000."""
    guesses = torch.linspace(low, high, round((high - low) * 1000) + 1, dtype=torch.float64)

    def value(guess):
        return loss(guess.expand(targets.shape), targets, used)

    return float(guesses[torch.vmap(value, chunk_size=256)(guesses).argmin()])


def skewed():
    """Exponential targets within [0, 1]: mean 0.2, median 0.14."""
    rng = torch.Generator().manual_seed(0)
    draws = torch.empty(1, 1, 40, 50, dtype=torch.float64).exponential_(5, generator=rng)
    return draws[draws < 1].view(1, 1, 1, -1)


MIXED = picture(*[0.0] * 40, *[0.3] * 30, *[1.0] * 30)  # mode 0, median 0.3, mean 0.39


@pytest.mark.parametrize("name", POINTWISE)
def test_a_loss_learns_the_statistic_that_it_claims(name):
    truth = {"mean": MIXED.mean(), "median": MIXED.median(), "mode": MIXED.mode().values}
    wanted = float(truth[LOSSES[name].learns])
    assert least(LOSSES[name], MIXED, used=0.99) == pytest.approx(wanted, abs=0.001)


@pytest.mark.parametrize(("name", "statistic"), [("l2", "mean"), ("l1", "median"), ("bce", "mean")])
def test_and_on_a_skewed_sample(name, statistic):
    targets = skewed()
    wanted = float(getattr(targets, statistic)())
    assert least(LOSSES[name], targets, low=0, high=1) == pytest.approx(wanted, abs=0.001)


def test_the_tests_above_can_fail():
    targets = skewed()
    assert abs(least(LOSSES["l1"], targets, low=0, high=1) - float(targets.mean())) > 0.03
    assert abs(least(LOSSES["l2"], targets, low=0, high=1) - float(targets.median())) > 0.03
    assert least(LOSSES["l0"], MIXED, used=0.3) > 0.1  # the mode comes at the end alone


def test_l0_passes_from_the_mean_over_the_median_to_the_mode():
    found = [least(LOSSES["l0"], MIXED, used=used) for used in (0.0, 0.5, 0.95)]
    assert found == pytest.approx([0.39, 0.3, 0.0], abs=0.001)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_the_slope_of_bce_is_zero_at_the_mean_of_its_targets(values):
    targets = picture(*values)
    mean = targets.mean().expand(targets.shape).clone().requires_grad_()
    bce(mean, targets).backward()
    assert abs(float(mean.grad.sum())) < 1e-9


def test_clipping_its_targets_costs_bce_the_truth_at_black():
    rng = torch.Generator().manual_seed(0)
    targets = 0.2 * torch.randn(1, 1, 100, 100, generator=rng, dtype=torch.float64)
    learnt = float(targets.clamp(0, 1).mean())
    error = float(targets.clamp(0, 1).std()) / 100
    assert abs(learnt - 0.2 / math.sqrt(2 * math.pi)) < 5 * error
    assert least(LOSSES["bce"], targets, low=0, high=1) == pytest.approx(learnt, abs=0.001)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_is_least_at_its_target(name):
    target = noisy(24)[0]
    loss = LOSSES[name]
    for other in (target + 0.1, target * 0.5, target.flip(2)):
        assert loss(other, target, 0.2) > loss(target, target, 0.2)


@pytest.mark.parametrize("name", ["l1", "l2", *ALIKE])
def test_and_zero_there(name):
    target = noisy(24)[0]
    assert LOSSES[name](target, target, 0.2) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "learns"),
    [
        ("l2", "mean"),
        ("l0", "mode"),
        ("3*l1", "median"),
        ("l2 + 0.1*bce", "mean"),
        ("l2 + l1", "none"),
        ("ms_ssim", "none"),
        ("0.84*ms_ssim + 0.16*l1", "none"),
    ],
)
def test_a_sum_learns_what_all_its_terms_learn(text, learns):
    assert Loss.of(text).learns == learns


def test_a_sum_of_two_that_learn_the_mean_finds_it_and_a_mixed_one_does_not():
    mean = float(skewed().mean())
    assert least(Loss.of("l2 + bce"), skewed(), low=0, high=1) == pytest.approx(mean, abs=0.001)
    assert abs(least(Loss.of("l2 + l1"), skewed(), low=0, high=1) - mean) > 0.01


# — slopes —


def numeric(loss, x, eps=1e-6):
    """Central differences, one value at a time."""
    slopes = torch.empty_like(x)
    for i, kept in enumerate(x.flatten().tolist()):
        both = []
        for moved in (kept + eps, kept - eps):
            x.view(-1)[i] = moved
            both.append(float(loss(x)))
        x.view(-1)[i] = kept
        slopes.view(-1)[i] = (both[0] - both[1]) / (2 * eps)
    return slopes


def gradient(loss, x):
    x = x.clone().requires_grad_()
    loss(x).backward()
    return x.grad


@pytest.mark.parametrize("name", POINTWISE)
@pytest.mark.parametrize("used", [0.0, 0.4, 0.8])
def test_slopes_match_finite_differences(name, used):
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 4, 5, dtype=torch.float64, generator=rng) * 1.6 - 0.3  # also outside
    t = torch.rand(2, 3, 4, 5, dtype=torch.float64, generator=rng) * 1.6 - 0.3

    def loss(x):
        return LOSSES[name](x, t, used)

    torch.testing.assert_close(gradient(loss, x), numeric(loss, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ALIKE)
def test_slopes_of_a_likeness_match_finite_differences(name):
    x, t = noisy(23, pictures=1)

    def loss(x):
        return LOSSES[name](x, t, 0.0)

    torch.testing.assert_close(gradient(loss, x), numeric(loss, x), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("value", [-50.0, -0.01, 0.0, 0.5, 1.0, 1.2])
def test_bce_always_leads_back_to_its_target(value, target):
    slope = float(gradient(lambda x: bce(x, picture(target)), picture(value)))
    assert math.copysign(1, slope) == math.copysign(1, value - target) or value == target
    assert (abs(slope) > 0.1) == (value != target)


def test_bce_has_no_step_and_no_kink_where_the_parabola_begins():
    for edge in (losses.MARGIN, 1 - losses.MARGIN):
        sides = [picture(edge - 1e-12), picture(edge + 1e-12)]
        values = [float(bce(x, picture(0.4))) for x in sides]
        slopes = [float(gradient(lambda x: bce(x, picture(0.4)), x)) for x in sides]
        assert values[0] == pytest.approx(values[1], abs=1e-7)
        assert slopes[0] == pytest.approx(slopes[1], rel=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("used", [0.0, 0.9, 1.0])
def test_slopes_are_numbers_on_the_oddest_pictures(name, used):
    flat, (smooth, rough) = torch.full((2, 1, 32, 32), 0.3), noisy(32)
    smooth, rough = smooth.float(), rough.float()
    pairs = [(flat, flat), (flat, flat + 0.4), (0 * flat, 0 * flat), (smooth, smooth)]
    pairs += [(-rough, rough), (1 - rough, rough), (1000 * rough, smooth), (flat, rough)]
    for one, two in pairs:
        slopes = gradient(lambda x, two=two: LOSSES[name](x, two, used), one)
        assert slopes.dtype == torch.float32
        assert slopes.isfinite().all()


# — likeness, by another road —


@pytest.mark.parametrize("planes", [1, 3])
def test_ssim_is_that_of_skimage(planes):
    """skimage mirrors another way, then leaves the border out; mirrored first, it agrees."""
    one, two = noisy(40, planes=planes, pictures=1)
    a, b = (np.pad(x[0].numpy(), [(0, 0), (5, 5), (5, 5)], mode="reflect") for x in (one, two))
    expected = structural_similarity(
        a, b, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=1.0,
    )  # fmt: skip
    assert 1 - float(ssim(one, two)) == pytest.approx(expected, rel=1e-9)
    assert 0.2 < expected < 0.99


@pytest.mark.parametrize(("side", "scales"), [(11, 1), (24, 2), (64, 3), (100, 4), (176, 5)])
def test_ms_ssim_is_that_of_torchmetrics_at_as_many_scales_as_have_room(side, scales):
    one, two = noisy(side)
    betas = np.array(losses.BETAS[:scales]) / sum(losses.BETAS[:scales])
    expected = multiscale_structural_similarity_index_measure(
        one, two, data_range=1.0, betas=tuple(betas.tolist())
    )
    assert 1 - float(ms_ssim(one, two)) == pytest.approx(float(expected), rel=1e-6)
    if scales > 1:
        fewer = multiscale_structural_similarity_index_measure(
            one, two, data_range=1.0, betas=(1.0,)
        )
        assert 1 - float(ms_ssim(one, two)) != pytest.approx(float(fewer), rel=1e-3)


def test_at_one_scale_ms_ssim_is_ssim():
    one, two = noisy(21)
    torch.testing.assert_close(ms_ssim(one, two), ssim(one, two))


@pytest.mark.parametrize("side", [11, 12, 21, 22, 43, 44, 87, 88, 98, 175, 176, 177])
def test_ms_ssim_has_a_value_at_every_side(side):
    assert 0 < float(ms_ssim(*noisy(side, pictures=1))) < 1


def test_a_picture_unlike_its_target_at_every_scale_is_still_led_to_it():
    one, two = noisy(44)
    one = one.mean() - one
    assert gradient(lambda x: ms_ssim(x, two), one).abs().max() > 0
    cut = gradient(
        lambda x: 1 - multiscale_structural_similarity_index_measure(
            x, two, data_range=1.0, betas=(0.3, 0.3, 0.4), normalize="relu"
        ), one,
    )  # fmt: skip
    assert cut.abs().max() == 0  # what is common cannot learn here
    weight = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
    steps = torch.optim.Adam([weight], lr=0.1)
    for _ in range(40):
        steps.zero_grad()
        ms_ssim(weight * (two - two.mean()) + two.mean(), two).backward()
        steps.step()
    assert weight > 0.5


@pytest.mark.parametrize("name", ALIKE)
def test_a_crop_without_room_for_a_window_is_refused(name):
    small = torch.zeros(1, 1, 32, 10)
    with pytest.raises(InputError, match=r"windows of 11 pixels, and this crop has 10\. Give crop"):
        LOSSES[name](small, small, 0.0)


@pytest.mark.parametrize("name", ALIKE)
def test_without_torchmetrics_it_is_said_how_to_install_it(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    with pytest.raises(InputError, match=r'pip install "noisepair\[ssim\]"'):
        LOSSES[name](*noisy(16), 0.0)


# — as text —


@given(
    st.lists(
        st.tuples(
            st.floats(0, exclude_min=True, allow_infinity=False), st.sampled_from(sorted(LOSSES))
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda term: term[1],
    )
)
def test_what_is_printed_reads_back_the_same(terms):
    loss = Loss(tuple(terms))
    assert Loss.of(str(loss)) == loss
    assert hash(Loss.of(str(loss))) == hash(loss)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("l2", "l2"),
        (" 1.0 * l2 ", "l2"),
        ("bce+l1", "bce + l1"),
        ("1e-2*l1 + 2*bce", "0.01*l1 + 2*bce"),
        ("0.84*ms_ssim+.16*l1", "0.84*ms_ssim + 0.16*l1"),
    ],
)
def test_a_loss_is_printed_in_one_way(text, printed):
    assert str(Loss.of(text)) == printed


def test_a_sum_is_the_sum_of_its_weighted_terms():
    one, two = noisy(16)
    expected = 0.84 * ms_ssim(one, two) + 0.16 * l1(one, two) + 2 * l0(one, two, 0.4)
    found = Loss.of("0.84*ms_ssim + 0.16*l1 + 2*l0")(one, two, 0.4)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"The loss is empty\. Give one of bce, l0, l1, l2, ms_ssim, rmse, ssim"),
        ("  ", "The loss is empty"),
        (
            "l22",
            r"Unknown loss 'l22'\. Available: bce, l0, l1, l2, ms_ssim, rmse, ssim\. Did you mean",
        ),
        ("l1 + ", "Unknown loss ''"),
        ("l1 - l2", "Unknown loss 'l1 - l2'"),
        ("0*l1", r"The weight '0' of l1 is not a number above zero\. Write it as 0\.16\*l1"),
        ("-1*l1", "The weight '-1' of l1"),
        ("nan*l1", "The weight 'nan' of l1"),
        ("inf*l1", "The weight 'inf' of l1"),
        ("a*l1", "The weight 'a' of l1"),
        ("*l1", "The weight '' of l1"),
        ("l1 + 2*l1", r"names l1 twice\. Give it one weight"),
    ],
)
def test_what_is_no_loss_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        Loss.of(text)


def test_every_term_says_in_words_what_it_means():
    assert list(LOSSES) == ["l2", "rmse", "l1", "l0", "bce", "ssim", "ms_ssim"]
    assert all(measure.meaning and "\n" not in measure.meaning for measure in LOSSES.values())
