"""What is wrong with pairs is found, named and measured; sound pairs are called sound."""

import math

import numpy as np
import pytest
from scipy import ndimage, stats

from noisepair import check as public_check
from noisepair.check import check, pairs_of
from noisepair.check._measure import GRAIN, Pair, measured, tiled
from noisepair.check._noise import clip_bias, curve, fixed_pattern
from noisepair.errors import InputError
from noisepair.intervals import solve
from noisepair.sources import Scene, Source

SIGMA = 0.08


def pictures(count=16, side=96, seed=0):
    """Scenes with flat places, slopes and edges, (1, H, W, 1), from 0.25 to 0.75."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        soft = ndimage.gaussian_filter(rng.normal(size=(side, side)), 7)
        edges = ndimage.gaussian_filter(
            (ndimage.gaussian_filter(rng.normal(size=(side, side)), 12) > 0) * 1.0, 1.2
        )
        found.append(
            (0.35 + 4 * SIGMA * soft / np.abs(soft).max() * 0.3 + 0.3 * edges)[None, ..., None]
        )
    return found


def noise(clean, seed, sigma=SIGMA):
    return sigma * np.random.default_rng(seed).normal(size=clean.shape)


def source(pairs):
    scenes = [
        Scene(
            f"s{n}",
            tuple(np.asarray(y, y.dtype if y.dtype == np.uint8 else np.float32) for y in pair),
            ("a", "b"),
        )
        for n, pair in enumerate(pairs)
    ]
    return Source(tuple(scenes), "made")


def sound(clean, seed=0, sigma=SIGMA):
    return [
        (c + noise(c, [seed, n, 0], sigma), c + noise(c, [seed, n, 1], sigma))
        for n, c in enumerate(clean)
    ]


def kinds(found):
    return {finding.kind for finding in found.findings}


# — sound data —


@pytest.mark.parametrize("seed", range(4))
def test_sound_pairs_are_fit_and_nothing_is_said(seed):
    found = check(source(sound(pictures(seed=seed), seed, (0.03, 0.06, 0.1, 0.2)[seed])))
    assert found.findings == ()
    assert found.verdict == "fit"
    assert [one.split(":")[0] for one in found.advice][:1] == ["Loss"]
    assert "l2" in found.advice[0]
    assert "pixels" in found.advice[1]


def test_the_figures_of_sound_pairs_hold_the_truth():
    f = check(source(sound(pictures(40)))).facts
    assert abs(f.sigma.value / SIGMA - 1) < 4 / math.sqrt(2 * 40 * 96 * 96)
    assert f.shift_px.value < 0.02
    assert f.gain.value == pytest.approx(1, abs=0.01)
    for way in f.autocorrelation.values():
        assert np.abs(way).max() < 4.5 / math.sqrt(40 * 96 * 96)
    assert f.read.value == pytest.approx(SIGMA, rel=0.03)
    assert f.curve.kind == "gaussian"


# — each fault —


def moved(picture, right, down=0.0):
    return ndimage.shift(picture[0, ..., 0], (down, right), order=3, mode="nearest")[
        None, ..., None
    ]


@pytest.mark.parametrize(("right", "down"), [(0.25, 0), (0, -0.4), (-1.5, 0), (4, 3)])
def test_a_shift_is_found_and_measured(right, down):
    clean = pictures()
    pairs = [
        (a, moved(c, right, down) + noise(c, [9, n]))
        for n, (c, (a, _)) in enumerate(zip(clean, sound(clean), strict=True))
    ]
    found = check(source(pairs))
    assert "registration" in kinds(found)
    assert found.facts.shift.values[0] == pytest.approx(right, abs=0.1)
    assert found.facts.shift.values[1] == pytest.approx(down, abs=0.1)
    assert found.verdict == ("unfit" if math.hypot(right, down) > 1 else "fit with care")


@pytest.mark.parametrize("count", [12, 2])
def test_a_turn_is_found_and_measured(count):
    """One degree: 1.7 pixels a hundred from the middle; of few scenes by their blocks."""
    clean = pictures(count, 192 if count == 2 else 96)
    side = clean[0].shape[1]
    turn = lambda c: ndimage.rotate(c[0, ..., 0], 1.0, reshape=False, order=3, mode="nearest")  # noqa: E731
    pairs = [
        (a, turn(c)[None, ..., None] + noise(c, [9, n]))
        for n, (c, (a, _)) in enumerate(zip(clean, sound(clean), strict=True))
    ]
    found = check(source(pairs))
    assert "rotation" in kinds(found)
    expected = math.radians(1.0) * side / 2
    assert found.as_json()["turn_px"] == pytest.approx(expected, rel=0.25)


def test_other_light_is_found_and_measured():
    clean = pictures()
    pairs = [
        (a, 1.05 * c - 0.01 + noise(c, [9, n]))
        for n, (c, (a, _)) in enumerate(zip(clean, sound(clean), strict=True))
    ]
    found = check(source(pairs))
    assert "photometry" in kinds(found)
    assert found.facts.gain.value == pytest.approx(1.05, abs=0.01)
    assert found.facts.offset.value == pytest.approx(-0.01, abs=0.005)


def test_flicker_is_found():
    clean = pictures()
    steps = 0.03 * np.random.default_rng(5).normal(size=len(clean))
    pairs = [(a, b + step) for (a, b), step in zip(sound(clean), steps, strict=True)]
    found = check(source(pairs))
    assert "flicker" in kinds(found)
    assert found.facts.flicker == pytest.approx(steps.std(ddof=1), rel=0.15)


def test_noise_that_both_shots_share_is_found():
    pairs = []
    for n, c in enumerate(pictures()):
        both = noise(c, [7, n])
        pairs.append(
            tuple(c + 0.45 * both + (1 - 0.45**2) ** 0.5 * noise(c, [8, n, k]) for k in (0, 1))
        )
    found = check(source(pairs))
    assert "independence" in kinds(found)
    assert 0.45**2 in found.facts.between
    assert found.facts.between.high < 0.5
    assert found.as_json()["noise"]["between_shots"] == found.facts.between.value


def test_texture_that_some_scenes_have_is_not_called_shared_noise():
    rng = np.random.default_rng(4)
    clean = pictures(16)
    rough = [0.3 * SIGMA * (n % 4) * rng.normal(size=c.shape) for n, c in enumerate(clean)]
    found = check(source(sound([c + r for c, r in zip(clean, rough, strict=True)])))
    assert "independence" not in kinds(found)
    assert found.verdict == "fit"


def test_a_pattern_of_the_camera_is_found():
    clean = pictures(20)
    pattern = 0.2 * noise(clean[0], 77)
    found = check(source([(a + pattern, b + pattern) for a, b in sound(clean)]))
    assert "fixed pattern" in kinds(found)
    assert found.facts.pattern.value == pytest.approx(0.2 * SIGMA, rel=0.2)


def test_clipped_values_are_found_and_their_bias_is_the_true_one():
    clean = [np.clip((c - 0.3) * 2.2, 0, 1) for c in pictures()]
    pairs = [tuple(np.clip(y, 0, 1) for y in pair) for pair in sound(clean, sigma=0.15)]
    found = check(source(pairs))
    assert "clipping" in kinds(found)
    x = np.concatenate([c.ravel() for c in clean])
    z = x / 0.15
    top = (x - 1) / 0.15
    mean = (
        x * stats.norm.cdf(z)
        + 0.15 * stats.norm.pdf(z)
        - (top * stats.norm.cdf(top) + stats.norm.pdf(top)) * 0.15
    )
    true = math.sqrt(np.mean(np.square(mean - x)))
    assert found.facts.curve.clip_bias == pytest.approx(true, rel=0.25)


def test_a_heap_below_full_scale_counts_as_clipped():
    """12 bits in a file of 16: the end is at 4095, not at 65535."""
    bits = []
    for pair in sound([c * 1.2 for c in pictures()]):
        bits.append(tuple(np.clip(np.rint(4095 * y), 0, 3000).astype(np.uint16) for y in pair))
    scenes = tuple(Scene(f"s{n}", pair, ("a", "b")) for n, pair in enumerate(bits))
    found = check(Source(scenes, "made"))
    assert "clipping" in kinds(found)
    assert found.facts.curve.high > 0.01


def test_noise_that_neighbours_share_is_no_fault_but_forbids_the_exchange_of_pixels():
    clean = pictures()

    def wide(n, k):
        return (
            2.2
            * SIGMA
            * ndimage.gaussian_filter(
                np.random.default_rng([n, k]).normal(size=clean[n].shape), (0, 0.7, 0.7, 0)
            )
        )

    found = check(source([(c + wide(n, 0), c + wide(n, 1)) for n, c in enumerate(clean)]))
    assert kinds(found) == {"whiteness"}
    assert found.verdict == "fit"
    assert "no exchange of single pixels" in found.advice[1]


def test_rows_that_share_noise_are_found():
    pairs = []
    for n, (a, b) in enumerate(sound(pictures())):
        rows = [0.3 * noise(np.zeros((1, 96, 1, 1)), [n, k]) for k in (0, 1)]
        pairs.append((a + rows[0], b + rows[1]))
    found = check(source(pairs))
    assert "lines" in kinds(found)
    assert found.facts.lines.value == pytest.approx(0.09 / 1.09, rel=0.3)
    assert "turns" not in found.advice[1]


def test_impulses_are_found_and_change_the_loss():
    pairs = []
    for n, pair in enumerate(sound(pictures())):
        rng = np.random.default_rng(n)
        pairs.append(
            tuple(np.where(rng.random(y.shape) < 0.03, rng.random(y.shape) * 3, y) for y in pair)
        )
    found = check(source(pairs))
    assert "outliers" in kinds(found)
    assert "l1" in found.advice[0]


def test_photons_are_told_from_read_noise_and_counted():
    def counted(c, n, gain, read):
        rng = np.random.default_rng(n)
        return gain * rng.poisson(c / gain) + read * rng.normal(size=c.shape)

    clean = pictures(24)
    for gain, read, kind in ((0.01, 0.0, "poisson"), (0.01, 0.05, "both")):
        pairs = [
            (counted(c, [n, 0], gain, read), counted(c, [n, 1], gain, read))
            for n, c in enumerate(clean)
        ]
        facts = check(source(pairs)).facts
        assert facts.curve.kind == kind
        assert gain in facts.noise_gain
        assert facts.noise_gain.high - facts.noise_gain.low < 0.3 * gain
        if read:
            assert facts.read.value == pytest.approx(read, rel=0.1)


def test_unequal_noise_is_noted_and_measured():
    clean = pictures()
    pairs = [(c + noise(c, [n, 0], 0.1), c + noise(c, [n, 1], 0.06)) for n, c in enumerate(clean)]
    found = check(source(pairs))
    assert kinds(found) == {"inequality"}
    assert found.facts.unequal.value == pytest.approx((0.01 - 0.0036) / 0.0136, abs=0.03)


# — by hand —


def test_what_clipping_takes_from_the_mean():
    for end in (-2.0, -0.3, 0.0):
        one, two = np.maximum(np.random.default_rng(0).normal(size=(2, 400_000)), end)
        lone = np.mean((one == end) != (two == end))
        found = clip_bias(np.array([lone]), np.array([np.var(one)]))[0]
        assert abs(found - one.mean()) < 5 / math.sqrt(400_000)


def test_a_white_scene_is_not_clipped_noise():
    """What saturates in both shots alike has no noise that could be bent."""
    clean = [np.where(c > 0.5, 1.0, c) for c in pictures()]
    pairs = [
        tuple(np.where(c == 1, 1.0, y).clip(0, 1) for y in pair)
        for c, pair in zip(clean, sound(clean, sigma=0.02), strict=True)
    ]
    found = check(source(pairs)).facts.curve
    assert found.high > 0.05
    assert found.clip_bias < 0.05 * 0.02


def test_the_finest_grain_keeps_the_variance_of_white_noise_and_nothing_of_a_cubic():
    assert np.square(GRAIN).sum() == pytest.approx(1)
    assert np.convolve(np.arange(9.0) ** 3, GRAIN, "valid") == pytest.approx(0)


def test_a_wave_that_moved_is_found_by_its_slopes_and_a_constant_is_not():
    def wave(by):
        return np.tile(np.sin((np.arange(70) - by) / 5), (40, 1))[..., None].astype(np.float32)

    one = measured(Pair(0, wave(0), wave(0.3)))
    assert one["moved"][0] / one["slopes"][0, 0] == pytest.approx(0.3, abs=0.01)
    lit = measured(Pair(0, wave(0), wave(0) + np.float32(0.1)))
    assert lit["moved"][0] / lit["slopes"][0, 0] == pytest.approx(0, abs=1e-4)


def test_tiles_cover_what_they_can_and_no_pixel_twice():
    numbers = np.arange(300 * 170, dtype=np.float32).reshape(300, 170, 1)
    found = tiled(Pair(0, numbers, numbers), 128)
    assert [tile.one.shape for tile in found] == [(128, 128, 1)] * 2
    assert len(np.unique(np.concatenate([tile.one.ravel() for tile in found]))) == 2 * 128 * 128


def test_a_pattern_needs_pictures_of_one_size():
    rng = np.random.default_rng(0)
    assert fixed_pattern([rng.normal(size=(32 + n, 32, 1)) for n in range(10)]) is None


def test_the_curve_of_known_variances():
    rng = np.random.default_rng(0)
    level = np.repeat(np.linspace(0.2, 0.8, 4), 64)[None, :, None] * np.ones((256, 1, 1))
    shots = [
        (level + np.sqrt(0.001 + 0.01 * level) * rng.normal(size=level.shape)).astype(np.float32)
        for _ in range(2)
    ]
    found = curve(tiled(Pair(0, *shots), 32))
    assert found.line.values[1] == pytest.approx(0.01, abs=4 * found.line.errors[1])
    assert found.line.values[0] == pytest.approx(0.001, abs=4 * found.line.errors[0])


# — little data, and bad —


def test_one_small_picture_has_figures_without_an_end_and_says_so():
    found = check(source(sound(pictures(1, 40))))
    assert found.verdict == "fit with care"
    assert "too little" in " ".join(found.reasons)
    assert found.facts.sigma.high == math.inf
    text = str(found.as_json())
    assert "nan" not in text
    assert "inf" not in text


def test_pictures_of_any_small_size_come_to_an_answer():
    for side in (1, 2, 3, 8, 17):
        rng = np.random.default_rng(side)
        found = check(source([tuple(rng.random((2, 1, side, side, 3)))]))
        assert found.verdict in ("fit", "fit with care", "unfit")


def test_one_large_scene_is_looked_at_in_blocks():
    found = check(source(sound(pictures(1, 512))))
    assert found.verdict == "fit"
    assert np.isfinite(found.facts.shift_px.high)


def test_shots_that_do_not_differ_are_unfit():
    same = [(c, c.copy()) for c in pictures(3)]
    found = check(source(same))
    assert found.verdict == "unfit"
    assert "do not differ" in found.reasons[0]


def test_of_very_much_data_a_part_is_looked_at():
    clean = pictures(30, 64)
    pairs = pairs_of(source(sound(clean)).scenes, pixels=10 * 64 * 64)
    assert len(pairs) == 10
    assert [pair.scene for pair in pairs] == list(range(0, 30, 3))
    large = pairs_of(source(sound(pictures(1, 300))).scenes, pixels=100 * 100)
    assert large[0].one.shape == (100, 100, 1)


def test_the_three_lines_before_a_training():
    clean = pictures()
    bad = [(np.clip(a * 1.4, 0, 0.6), np.clip(moved(b, 0.5), 0, 0.6)) for a, b in sound(clean)]
    lines = check(source(bad)).short()
    assert 2 <= len(lines) <= 3
    assert lines[0].startswith("The data: fit with care")
    assert check(source(sound(clean))).short() == ["The data: fit."]


def test_it_takes_what_training_takes_and_refuses_what_it_refuses():
    a, b = (
        np.concatenate([pair[k] for pair in sound(pictures(9))]).astype(np.float32) for k in (0, 1)
    )
    assert public_check(a, b).verdict == "fit"
    with pytest.raises(InputError, match=r"identical|same"):
        public_check(a, a)
    a[0, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"NaN|nan"):
        public_check(a, b)


def test_a_least_squares_without_slopes_knows_nothing():
    assert np.isnan(solve(np.zeros((3, 2, 2)), np.zeros((3, 2))).values).all()
