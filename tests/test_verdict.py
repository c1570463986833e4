"""The PSNR that noisy pairs tell is the true one; where it cannot be told, that is said."""

import math

import numpy as np
import pytest
from scipy import ndimage

from noisepair.errors import InputError
from noisepair.sources import Scene, Source
from noisepair.verdict import (
    TILE,
    Shots,
    error_maps,
    figures,
    products,
    summed,
    taken,
    tiles,
    units,
    verdict,
)  # fmt: skip


def pictures(count=10, side=96, seed=0):
    """Smooth scenes with edges, (1, H, W, 1), from 0.2 to 0.8."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        soft = ndimage.gaussian_filter(rng.normal(size=(side, side)), 6)
        soft = (soft - soft.min()) / np.ptp(soft)
        hard = (ndimage.gaussian_filter(rng.normal(size=(side, side)), 9) > 0) * 0.3
        found.append((0.2 + 0.3 * soft + hard)[None, ..., None])
    return found


def source(clean, sigmas=(0.1, 0.1), seed=1, noise=None, **scene):
    rng = np.random.default_rng(seed)
    noise = noise or (lambda one, sigma: one + sigma * rng.normal(size=one.shape))
    scenes = tuple(
        Scene(f"s{n}", tuple(noise(one, s).astype(np.float32) for s in sigmas),
              tuple("abcdef"[: len(sigmas)]), **scene)
        for n, one in enumerate(clean)
    )  # fmt: skip
    return Source(scenes, "made")


def blurred(sigma):
    return lambda pages: ndimage.gaussian_filter(pages, (0, sigma, sigma, 0))


def truth(found, clean, denoise, which=slice(0, 2)):
    """The squared error of the shots that are judged, before and after, pooled, decibel."""
    judged = [
        (scene.shots[k], true)
        for scene, true in zip(found.scenes, clean, strict=True)
        for k in range(*which.indices(2))
    ]
    before = [np.square(shot - true).mean() for shot, true in judged]
    after = [np.square(denoise(shot) - true).mean() for shot, true in judged]
    return tuple(-10 * math.log10(np.mean(one)) for one in (before, after))


# — by hand —


def test_the_two_way_estimate_worked_out_by_hand():
    y1, y2, f1, f2 = (np.full((1, 2, 1), v) for v in (3.0, 1.0, 2.5, 1.5))
    noisy, denoised = error_maps(Shots((y1, y2), (f1, f2)))
    assert noisy.ravel().tolist() == [2, 2], "half of 2²"
    assert denoised.ravel().tolist() == [0.25, 0.25], "half of 1.5² and 1.5², less 2"


def test_the_product_estimate_worked_out_by_hand():
    three = tuple(np.full((1, 1, 1), v) for v in (1.0, 2.0, 4.0))
    noisy, denoised = error_maps(Shots(three, (np.full((1, 1, 1), 1.5),)))
    assert noisy.item() == (1 - 2) * (1 - 4)
    assert denoised.item() == (1.5 - 2) * (1.5 - 4)


def test_products_of_many_are_those_of_every_two():
    many = list(np.random.default_rng(0).normal(size=(5, 3, 3)))
    every = [a * b for n, a in enumerate(many) for b in many[n + 1 :]]
    np.testing.assert_allclose(products(many), np.mean(every, 0))


def test_sums_of_both_maps_and_their_scatter_worked_out_by_hand():
    noisy = np.zeros((1, 2, 1))
    noisy[0, :, 0] = 1, 3
    sums = summed((noisy, 2 * noisy), 1)
    assert sums["errors"].tolist() == [4, 8]
    assert sums["scatter"].tolist() == [[4, 8], [8, 16]]
    assert tiles(np.ones((4, 7, 2)), 2).tolist() == [8.0] * 4, (
        "a strip without a couple is left out"
    )


# — against the truth, in standard errors —


def poisson(one, peak):
    return np.random.default_rng(7).poisson(one * peak) / peak


@pytest.mark.parametrize("sigmas", [(0.1, 0.1), (0.05, 0.2), (0.1, 0.1, 0.3), (0.1,) * 5])
@pytest.mark.parametrize("blur", [0.5, 1.5, 8.0])
def test_estimates_are_the_truth_whatever_the_shots_noise(sigmas, blur):
    """Of these pictures: the interval is four times as wide here as the 95 % one."""
    clean = pictures()
    shots, denoise = source(clean, sigmas), blurred(blur)
    sums = [summed(error_maps(*taken(scene, denoise)), TILE) for scene in shots.scenes]
    three = figures(units(sums), of_scenes=False)
    before, after = truth(shots, clean, denoise)
    for found, true in zip(three, (before, after, after - before), strict=True):
        half = found.high - found.value
        # the truth itself is of one draw of noise, and as uncertain
        assert abs(found.value - true) < 2.5 * max(half, 0.01)
        assert half < 0.5


def test_shots_that_share_their_noise_deceive_it():
    """Control: a tenth of the noise in both shots, and the estimate is far off."""
    clean = pictures()
    rng = np.random.default_rng(3)
    scenes = []
    for n, one in enumerate(clean):
        both = rng.normal(size=one.shape)
        pair = [one + 0.1 * (0.5 * both + 0.75**0.5 * rng.normal(size=one.shape)) for _ in range(2)]
        scenes.append(Scene(f"s{n}", tuple(p.astype(np.float32) for p in pair), ("a", "b")))
    shots, denoise = Source(tuple(scenes), "made"), blurred(1.0)
    sums = [summed(error_maps(*taken(scene, denoise)), TILE) for scene in scenes]
    _, found, _ = figures(units(sums), of_scenes=False)
    _, after = truth(shots, clean, denoise)
    assert found.high < after - 1, "what both share counts as scene, and its removal as an error"


def test_of_one_shot_alone_unequal_noise_is_no_matter():
    clean = pictures(12)
    shots, denoise = source(clean, (0.05, 0.15)), blurred(1.0)
    found = verdict(denoise, shots)
    for k, (noisy, denoised) in enumerate(found.by_shot):
        before, after = truth(shots, clean, denoise, slice(k, k + 1))
        assert noisy.value == pytest.approx(before, abs=0.25)
        assert denoised.value == pytest.approx(after, abs=0.25)
    assert found.by_shot[0][0].value > found.by_shot[1][0].value + 6, "control: they differ"
    assert "inequality" in {finding.kind for finding in found.check.findings}


def test_the_interval_of_these_pictures_holds_their_truth_95_times_in_100():
    clean, denoise = pictures(3, 48), blurred(1.0)
    held, trials, after = [], 300, []
    for trial in range(trials):
        shots = source(clean, seed=trial)
        sums = [summed(error_maps(*taken(scene, denoise)), TILE) for scene in shots.scenes]
        held.append(figures(units(sums), of_scenes=False)[1])
        after.append(10 ** (-truth(shots, clean, denoise)[1] / 10))
    true = -10 * math.log10(np.mean(after))
    share = np.mean([true in one for one in held])
    assert 0.95 - 4 * math.sqrt(0.95 * 0.05 / trials) < share, "wider than it need be is allowed"
    assert np.mean([true + 0.5 in one for one in held]) < 0.9, "control"


# — words —


@pytest.mark.parametrize(
    ("denoise", "word"),
    [(blurred(1.0), "improved"), (lambda pages: pages.copy(), "no better"),
     (lambda pages: pages * 0 + 0.5, "harmed")],
)  # fmt: skip
def test_the_word_fits_the_truth(denoise, word):
    found = verdict(denoise, source(pictures(), (0.1, 0.1)))
    assert found.verdict == word
    assert found.reasons


def test_what_helps_some_and_harms_others_cannot_be_told():
    """Of smooth scenes and of fine ones half each: a gain here is none elsewhere."""
    rng = np.random.default_rng(0)
    fine = [0.5 + 0.16 * np.sign(rng.normal(size=(1, 96, 96, 1))) for _ in range(4)]
    found = verdict(blurred(0.8), source([*pictures(4), *fine], (0.12, 0.12)))
    assert found.verdict == "cannot tell"
    assert "may be a gain or a loss" in found.reasons[0]
    assert found.scenes[0].gain.high < 0 < found.scenes[-1].gain.low, "the worst first"


def test_shots_that_lie_apart_cannot_judge():
    clean = pictures()
    moved = [np.roll(one, 3, axis=2) for one in clean]
    pairs = zip(source(clean).scenes, source(moved, seed=9).scenes, strict=True)
    scenes = tuple(Scene(a.name, (a.shots[0], b.shots[1]), ("a", "b")) for a, b in pairs)
    found = verdict(blurred(1.0), Source(scenes, "made"))
    assert found.verdict == "cannot tell"
    assert "lies 2.9" in found.reasons[0]


def test_detail_that_was_smoothed_away_is_told_from_noise_that_came_through():
    clean = pictures()
    lost = [verdict(blurred(sigma), source(clean)).lost for sigma in (0.4, 3.0)]
    assert lost[0].high < 0.3
    assert lost[1].low > 0.8


def test_a_wrong_brightness_is_seen_and_a_right_one_is_not():
    clean = pictures(20)
    copy = verdict(lambda pages: pages.copy(), source(clean))
    assert copy.bias.most < 4.5
    wrong = verdict(lambda pages: pages + 0.02, source(clean))
    assert wrong.bias.most > 8
    assert wrong.bias.size == pytest.approx(0.02, rel=0.2)


def test_clipped_noise_widens_the_interval_until_it_holds_the_truth():
    clean = [np.clip((one - 0.2) / 0.6, 0, 1) for one in pictures(6)]
    rng = np.random.default_rng(0)

    def cut(one, sigma):
        return np.clip(one + sigma * rng.normal(size=one.shape), 0, 1)

    shots = source(clean, (0.25, 0.25), noise=cut)
    denoise = blurred(3.0)
    found = verdict(denoise, shots)
    before, after = truth(shots, clean, denoise)
    assert "clipping" in {finding.kind for finding in found.check.findings}
    assert after in found.denoised
    assert found.noisy.value == pytest.approx(before, abs=0.15)
    assert found.denoised.high - found.denoised.low > 0.2


# — what there may be of data —


def test_one_scene_is_judged_by_its_blocks_and_says_so():
    clean = pictures(1, 256)
    found = verdict(blurred(1.0), source(clean))
    assert found.of == "these scenes, whatever their noise"
    assert found.verdict == "improved"
    assert truth(source(clean), clean, blurred(1.0))[1] in found.denoised
    assert found.by_shot == ()


def test_frames_are_judged_two_by_two():
    clean = pictures(1, 128)
    found = verdict(blurred(1.0), source(clean, (0.1,) * 5, frames=True))
    assert [row.name for row in found.scenes] == ["s0"]
    assert truth(source(clean), clean, blurred(1.0))[1] == pytest.approx(
        found.denoised.value, abs=0.3
    )


def test_pictures_of_any_small_size_come_to_an_answer():
    for side in (2, 3, 9, 17):
        rng = np.random.default_rng(side)
        shots = rng.uniform(size=(2, 2, side, side)).astype(np.float32)
        found = verdict(lambda pages: pages * 0.9, Source(tuple(
            Scene(f"s{n}", (shots[0, n][None, ..., None], shots[1, n][None, ..., None]), ("a", "b"))
            for n in range(2)
        ), "made"))  # fmt: skip
        assert found.verdict in ("cannot tell", "improved", "no better", "harmed")
        text = str(found.as_json())
        assert "nan" not in text
        assert "inf" not in text


def test_one_small_clipped_picture_comes_to_an_answer_without_an_end():
    clean = [np.clip((one - 0.2) / 0.6, 0, 1) for one in pictures(1, 16)]
    rng = np.random.default_rng(0)
    cut = source(
        clean, (0.4, 0.4), noise=lambda x, s: np.clip(x + s * rng.normal(size=x.shape), 0, 1)
    )
    found = verdict(lambda pages: pages * 0.5, cut)
    assert "nan" not in str(found.as_json())
    assert found.denoised.low <= found.denoised.value <= found.denoised.high


def test_shots_without_noise_judge_nothing():
    one = pictures(2)
    still = Source(tuple(Scene(f"{n}", (c, c), ("a", "b")) for n, c in enumerate(one)), "made")
    with pytest.raises(InputError, match="do not differ"):
        verdict(blurred(1.0), still)


def test_eight_bits_are_judged_in_picture_units():
    clean = pictures()
    bits = []
    for n, c in enumerate(clean):
        pair = source([c], seed=n).scenes[0].shots
        whole = tuple(np.clip(np.rint(255 * y), 0, 255).astype(np.uint8) for y in pair)
        bits.append(Scene(f"s{n}", whole, ("a", "b")))
    found = verdict(lambda pages: pages.copy(), Source(tuple(bits), "made"))
    assert found.noisy.value == pytest.approx(20, abs=0.15)
