"""Pairs of views: which patches they are, how they are turned, and whose noise they bear."""

import numpy as np
import pytest
import torch
from a_patch_set import numbered, sheets

from noisepair.descriptors import DescriptorRecipe
from noisepair.descriptors.matching import Judge, precision
from noisepair.descriptors.views import Places, Turn, digital, enlarged, sheets_of, turning
from noisepair.errors import InputError
from noisepair.hpatches.layout import SHEETS, open_set, sheet_path, write_sheet
from noisepair.models import DnCNN
from noisepair.noise import Gaussian

CPU = torch.device("cpu")


def wanted(**lines):
    return DescriptorRecipe(**({"batch": 8, "augment": ()} | lines))


def drawn(clean, count=1, start=0, noisy=None, **lines):
    batches = Places(clean, wanted(**lines), CPU, noisy).batches(start)
    return [next(batches) for _ in range(count)]


def read(patches):
    """Which place and which sheet each patch of a batch of `numbered` is."""
    levels = (patches * 255).round().long()
    return levels[:, 0, 0, 0].tolist(), (levels[:, 0, 0, 31] - 100).tolist()


# — which patches —


def test_both_views_are_of_one_place_and_of_two_sheets():
    seen = set()
    for views in drawn(numbered(), 40):
        places, shown = read(views.seen)
        assert places[:8] == places[8:]
        assert all(one != two for one, two in zip(shown[:8], shown[8:], strict=True))
        seen |= set(zip(shown[:8], shown[8:], strict=True))
    assert len(seen) > 0.6 * 16 * 15, (
        "of 240 ordered pairs of sheets, 320 draws meet 177 on average"
    )


def test_in_an_epoch_every_place_comes_once_and_the_next_has_another_order():
    epochs = [
        [read(views.seen)[0][:8] for views in drawn(numbered(), 5, start)] for start in (0, 5)
    ]
    for epoch in epochs:
        assert sorted(place for batch in epoch for place in batch) == list(range(40))
    assert epochs[0] != epochs[1]


def test_what_does_not_fill_a_batch_waits_for_another_epoch():
    one, two = (read(views.seen)[0][:16] for views in drawn(numbered(), 2, batch=16))
    assert len({*one, *two}) == 32


def test_a_run_that_goes_on_meets_the_batches_that_it_would_have_met():
    whole = drawn(sheets(), 7, noise=Gaussian(0.1), augment=("flips", "turns"))
    rest = drawn(sheets(), 3, start=4, noise=Gaussian(0.1), augment=("flips", "turns"))
    for one, two in zip(whole[4:], rest, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(whole[0].seen, whole[1].seen)


def test_another_place_is_never_the_same_and_may_be_any_other():
    found = {
        int(x) for views in drawn(numbered(), 60) for x in (views.others - torch.arange(8)) % 8
    }
    assert found == set(range(1, 8))


# — turned alike —


def alike():
    """Both views show the same patch, so whatever is done to one alone tells."""
    one = sheets(1, 40)["v_0"][:1]
    return {"v_0": np.repeat(one, 16, axis=0)}


def test_anchor_and_positive_are_turned_and_flipped_alike():
    for views in drawn(alike(), 5, augment=("flips", "turns")):
        anchors, positives = views.seen.chunk(2)
        assert torch.equal(anchors, positives)
    plain = drawn(alike(), 5)
    assert not torch.equal(plain[0].seen, drawn(alike(), 1, augment=("flips", "turns"))[0].seen)


@pytest.mark.parametrize(
    ("augment", "count"), [((), 1), (("flips",), 2), (("turns",), 4), (("flips", "turns"), 8)]
)
def test_a_patch_comes_in_as_many_positions_as_are_asked_for(augment, count):
    patch = torch.arange(32.0 * 32).view(1, 1, 32, 32).repeat(2 * 200, 1, 1, 1)
    turned = turning(200, augment, torch.Generator().manual_seed(0))(patch)
    assert len({tuple(x.flatten().tolist()) for x in turned}) == count


def test_a_quarter_turn_by_hand():
    turn = Turn(torch.tensor([False, True]), torch.tensor([1, 2]))
    x = torch.zeros(4, 1, 32, 32)
    x[:, 0, 0, 1] = 1
    assert [tuple(one.nonzero()[0].tolist()) for one in turn(x)[:, 0]] == [(30, 0), (31, 1)] * 2


# — whose noise —

SIGMA = 0.08


def middle_grey():
    return {"v_0": np.full((16, 64, 32, 32), 128, np.uint8)}


def difference(one, two):
    """Deviation of the difference of noisy views, and its standard error."""
    values = (one - two).flatten()
    return float(values.std()), float(values.std()) / (2 * len(values)) ** 0.5


def test_anchor_and_positive_bear_noise_of_their_own():
    views = drawn(middle_grey(), batch=64, noise=Gaussian(SIGMA), digital=False)[0]
    deviation, error = difference(*views.seen.chunk(2))
    assert abs(deviation - SIGMA * 2**0.5) < 4 * error
    assert abs(difference(views.seen, views.clean)[0] - SIGMA) < 4 * error


@pytest.mark.parametrize("fresh", [True, False])
def test_noise_is_drawn_anew_at_every_step_or_stays(fresh):
    met = {}
    for views in drawn(numbered(), 12, batch=40, noise=Gaussian(SIGMA), fresh_noise=fresh):
        for name, patch in zip(zip(*read(views.clean), strict=True), views.seen, strict=True):
            met.setdefault(name, []).append(patch)
    again = [torch.equal(one[0], other) for one in met.values() for other in one[1:]]
    assert len(again) > 100
    assert not any(again) if fresh else all(again)


def test_noise_that_stays_differs_between_the_sheets_of_a_place():
    views = drawn(middle_grey(), batch=64, noise=Gaussian(SIGMA), fresh_noise=False)[0]
    deviation, error = difference(*views.seen.chunk(2))
    assert abs(deviation - (2 * SIGMA**2 + 2 / 12 / 255**2) ** 0.5) < 4 * error
    again = drawn(middle_grey(), batch=64, noise=Gaussian(SIGMA), fresh_noise=False)[0]
    assert torch.equal(views.seen, again.seen)


def test_a_second_noise_of_the_same_views_comes_where_it_is_wanted():
    lines = {"batch": 64, "noise": Gaussian(SIGMA)}
    more = {"front": DnCNN(depth=3, width=1), "target": "noisy"}
    once, twice = (drawn(middle_grey(), **x)[0] for x in (lines, lines | more))
    assert torch.equal(once.seen, once.again)
    assert abs(difference(twice.seen, twice.again)[0] - SIGMA * 2**0.5) < 0.01 * SIGMA


def test_a_range_of_sigma_is_drawn_for_each_view():
    views = drawn(middle_grey(), batch=64, noise=Gaussian((0.02, 0.1)), digital=False)[0]
    sigmas = (views.seen - views.clean).flatten(1).std(1)
    assert sigmas.min() < 0.03
    assert sigmas.max() > 0.09
    one, two = sigmas.chunk(2)
    assert abs(float(torch.corrcoef(torch.stack([one, two]))[0, 1])) < 4 / 64**0.5


def test_noisy_patches_are_what_a_file_of_8_bits_can_hold():
    noise = Gaussian(0.5)
    for fresh in (True, False):
        seen = drawn(sheets(), noise=noise, fresh_noise=fresh)[0].seen
        assert (seen * 255 - (seen * 255).round()).abs().max() < 1e-4
        assert (float(seen.min()), float(seen.max())) == (0, 1)
    floats = drawn(sheets(), noise=noise, digital=False)[0].seen
    assert floats.min() < -0.1
    three = torch.tensor([-0.2, 0.1, 1.3]).view(3, 1, 1, 1).expand(3, 1, 32, 32)
    assert digital(three).unique().tolist() == pytest.approx([0, 26 / 255, 1])


def test_noise_that_the_data_bring_is_taken_as_it_is():
    clean = numbered()
    noisy = {"v_numbers": 255 - clean["v_numbers"]}
    views = drawn(clean, noisy=noisy)[0]
    torch.testing.assert_close(views.seen, 1 - views.clean)


def test_what_is_denoised_once_is_kept_in_place_of_what_was_seen():
    places = Places(numbered(), wanted(noise=Gaussian(0.1), fresh_noise=False), CPU)
    assert places.fixed
    places.denoise(lambda patches: torch.full_like(patches, 0.2))
    views = next(places.batches())
    assert views.seen.unique().tolist() == pytest.approx([51 / 255])
    assert len(views.clean.unique()) > 2
    assert not Places(numbered(), wanted(noise=Gaussian(0.1)), CPU).fixed


# — from disk —


def test_sheets_on_disk_are_read_in_their_order_and_large_ones_made_small(tmp_path):
    rng = np.random.default_rng(0)
    flat = rng.integers(0, 256, (len(SHEETS), 3))
    for number, sheet in enumerate(SHEETS):
        page = np.broadcast_to(flat[number, :, None, None], (3, 65, 65)).astype(np.uint8)
        write_sheet(sheet_path(tmp_path, "v_a", sheet), page)
    found = sheets_of(open_set(tmp_path))["v_a"]
    assert (found.shape, found.dtype) == ((16, 3, 32, 32), np.uint8)
    assert np.array_equal(found.max((2, 3)), flat)
    assert np.array_equal(found.min((2, 3)), flat)


# — what is refused —


@pytest.mark.parametrize(
    ("clean", "lines", "said"),
    [
        (sheets(1, 7), {}, r"There are 7 places, and batch=8 asks for as many .* Give batch=3"),
        ({"v_0": np.zeros((16, 9, 32, 32), np.float32)}, {}, r"v_0 are float32 .* Give 8-bit arr"),
        ({"v_0": np.zeros((15, 9, 32, 32), np.uint8)}, {}, r"shape \(15, 9, 32, 32\)\. Give"),
    ],
)
def test_what_is_no_set_of_patches_is_refused(clean, lines, said):
    with pytest.raises(InputError, match=said):
        Places(clean, wanted(**lines), CPU)


def test_noisy_sheets_of_other_patches_are_refused():
    with pytest.raises(InputError, match="of other sequences or sizes than the clean ones"):
        Places(sheets(), wanted(), CPU, sheets(places=25))


# — how well they match —


def slowly(one, two):
    """Average precision by its definition, a match at a time."""
    near = torch.cdist(one, two)
    matches = sorted((float(row.min()), int(row.argmin()) == i) for i, row in enumerate(near))
    area, right, before = 0.0, 0, 1.0
    for rank, (_, good) in enumerate(matches, 1):
        right += good
        if good:
            area += (before + right / rank) / 2 / len(one)
        before = right / rank
    return area


def test_the_precision_of_matches_is_the_area_that_is_counted_slowly():
    rng = torch.Generator().manual_seed(0)
    one = torch.randn(60, 8, generator=rng)
    for spread in (0.0, 0.3, 0.8, 3.0):
        two = one + spread * torch.randn(60, 8, generator=rng)
        assert precision(one, two) == pytest.approx(slowly(one, two), abs=1e-6)
    assert precision(one, one) == 1
    assert precision(one, one.roll(1, 0)) == 0


def test_a_judge_says_more_of_a_better_descriptor_and_noise_costs():
    held = sheets(2, 30)

    def pixels(patches):
        x = patches.flatten(1)[:, ::8]
        return torch.nn.functional.normalize(x - x.mean(1, keepdim=True))

    def chance(patches):
        return torch.randn(len(patches), 128)

    clean, noisy = (Judge(held, noise, CPU) for noise in (None, Gaussian(0.3)))
    assert clean.scores(pixels)["matching"] > clean.scores(chance)["matching"] + 0.1
    assert clean.scores(pixels)["matching"] > noisy.scores(pixels)["matching"]
    assert noisy.scores(pixels) == noisy.scores(pixels), "the noise stays"
    found = clean.scores(pixels)
    each = [found[name] for name in ("easy", "hard", "tough")]
    assert found["matching"] == pytest.approx(sum(each) / 3)


def test_the_error_of_a_denoiser_is_counted_in_grey_levels():
    """Of noise of deviation σ the mean size is σ √(2/π); of one that is off by a level, 1."""
    held = middle_grey()
    judge = Judge(held, Gaussian(SIGMA), CPU)
    count, mean = 4 * 64 * 32 * 32, 255 * SIGMA * (2 / np.pi) ** 0.5
    error = 255 * SIGMA * (1 - 2 / np.pi) ** 0.5 / count**0.5
    assert judge.error(lambda seen: seen) == pytest.approx(mean, abs=4 * error)
    assert judge.error(lambda seen: torch.full_like(seen, 129 / 255)) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("times", [1.0, 2.0, 3.0])
def test_enlarged_noise_is_alike_over_as_many_pixels(times):
    """As a row of pixels between which white noise is interpolated linearly, pixel by pixel."""
    noise = torch.randn((400, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    large = enlarged(noise, torch.full((400,), times))
    alike = (large[..., 1:] * large[..., :-1]).mean() / large.square().mean()
    if times == 1:
        assert torch.allclose(large, noise, atol=1e-4)
        assert abs(alike) < 0.01
        return
    u = (16 + (np.arange(32) + 0.5 - 16) / times - 0.5) % 1  # how far each is past an old pixel
    square, u = ((1 - u) ** 2 + u**2).mean(), u[:-1]
    same = (1 - u) * (1 - u - 1 / times) + u * (u + 1 / times)  # the next is past the same one
    near = np.where(u + 1 / times < 1, same, u * (2 - u - 1 / times)).mean()
    assert abs(alike - near / square) < 0.02
    assert near / square > 0.3, "and white noise would be 0"


def test_half_of_the_views_have_larger_grain():
    lines = {"noise.sigma": 0.05, "batch": 40, "digital": False, "augment": ()}
    flat = {"v_flat": np.full((16, 200, 32, 32), 128, np.uint8)}

    def alike(grain):
        recipe = DescriptorRecipe.of({**lines, "grain": grain})
        seen = next(Places(flat, recipe, CPU).batches()).seen - 128 / 255
        return (seen[..., 1:] * seen[..., :-1]).mean((1, 2, 3)) / seen.square().mean((1, 2, 3))

    assert (alike(1) < 0.15).all()
    assert 0.3 < (alike(4) > 0.15).double().mean() < 0.6
