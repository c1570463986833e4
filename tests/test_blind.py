"""No more is taken off a picture than the noise that was measured in it, whatever it brings."""

import json
import shutil

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, zoom
from skimage import data

import noisepair
from noisepair import checkpoint, images
from noisepair.app.cli import main
from noisepair.blind import (
    GRAIN,
    MOST,
    Blind,
    Found,
    brought_within,
    enlarge_and_subtract,
    finest,
    halved,
    shown,
)
from noisepair.denoise import Denoiser
from noisepair.errors import InputError
from noisepair.models import Scale
from noisepair.noise import Gaussian, Poisson, PoissonGaussian
from noisepair.noise.estimate import Level
from noisepair.noise.given import Given
from noisepair.noise.stabilise import Anscombe


@pytest.fixture(scope="module")
def colour():
    return Denoiser.load("colour")


@pytest.fixture(scope="module")
def grey():
    return Denoiser.load("grey")


def photograph():
    return data.astronaut()[None, 100:260, 140:300]


def db(one, two):
    error = images.to_unit(one).astype(float) - images.to_unit(two)
    return float(-10 * np.log10(np.square(error).mean()))


def spoilt(clean, sigma, seed=0):
    noise = np.random.default_rng(seed).standard_normal(clean.shape)
    return (clean / 255 + sigma / 255 * noise).astype(np.float32)


def counted(clean, gain, read=0.02, seed=0):
    """Photons of `clean`, whose white is 1, and read noise; float32."""
    rng = np.random.default_rng(seed)
    photons = gain * rng.poisson(clean / gain)
    return (photons + read * rng.standard_normal(clean.shape)).astype(np.float32)


# — it works —


@pytest.mark.parametrize(("sigma", "least"), [(10, 3.0), (25, 6.5), (50, 9.0)])
def test_noise_goes_from_a_photograph(colour, sigma, least):
    clean = photograph()
    noisy = spoilt(clean, sigma)
    done, found = Blind(colour).pages(noisy)
    assert db(done, images.to_unit(clean)) > db(noisy, images.to_unit(clean)) + least
    assert found.level.sigma * 255 == pytest.approx(sigma, rel=0.2)
    assert (found.size, found.share) == ("full", pytest.approx(1, abs=0.05))
    assert "sigma" in found.sentence()
    assert found.advice is None


def test_a_clean_photograph_comes_back_as_it_was(colour, grey):
    clean = photograph()
    done, _ = Blind(colour).pages(clean)
    assert db(done, clean) > 42
    done, _ = Blind(grey).pages(clean[..., :1])
    assert db(done, clean[..., :1]) > 42


def test_8_bits_stay_8_bits_and_16_stay_16(colour):
    clean = photograph()
    noisy = np.clip(spoilt(clean, 25), 0, 1)
    for kind, full in ((np.uint8, 255), (np.uint16, 65535)):
        stored = np.rint(noisy * full).astype(kind)
        done, _ = Blind(colour).pages(stored)
        assert done.dtype == kind
        assert db(done, images.to_unit(clean)) > db(stored, images.to_unit(clean)) + 6


# — no more than was measured —


def test_no_more_is_taken_off_than_the_level_that_was_given(colour):
    noisy = spoilt(photograph(), 25)
    for sigma in (0.0, 5 / 255, 15 / 255):
        done, found = Blind(colour, sigma=sigma).pages(noisy)
        assert float(np.sqrt(np.square(noisy - done).mean())) == pytest.approx(sigma, rel=0.05)
        assert found.level.sigma == sigma
    freely = colour.pages(noisy)
    assert float(np.sqrt(np.square(noisy - freely).mean())) > 20 / 255, "the network took all"


def test_strength_is_the_share_that_goes(colour):
    noisy = spoilt(photograph(), 25)
    all_of_it, _ = Blind(colour).pages(noisy)
    half, found = Blind(colour, strength=0.5).pages(noisy)
    np.testing.assert_allclose(half, (noisy + all_of_it) / 2, atol=1e-3)
    assert found.share == pytest.approx(0.5, abs=0.01)
    none, _ = Blind(colour, strength=0.0).pages(noisy)
    assert np.array_equal(none, noisy)


# — noise that neighbours share —


def test_noise_of_coarse_grain_is_found_at_half_the_size_and_told(colour):
    clean = photograph()
    grain = gaussian_filter(spoilt(np.zeros_like(clean), 60), (0, 0.7, 0.7, 0))
    noisy = np.clip(np.rint(clean + 255 * grain), 0, 255).astype(np.uint8)
    done, found = Blind(colour).pages(noisy)
    assert found.size == "half"
    assert "correlated" in found.sentence()
    assert "at half the size" in str(found.advice)
    assert db(done, clean) > db(noisy, clean) + 1
    assert db(colour.pages(noisy), clean) < db(done, clean), "as it is, it would pass for texture"


def test_an_enlarged_picture_is_not_harmed(colour):
    clean = photograph()
    large = np.clip(zoom(clean, (1, 2, 2, 1), order=1), 0, 255)
    small = np.clip(np.rint(255 * spoilt(clean, 10)), 0, 255).astype(np.uint8)
    noisy = np.clip(zoom(small, (1, 2, 2, 1), order=1), 0, 255)
    done, found = Blind(colour).pages(noisy)
    assert not found.level.white
    assert db(done, large) > db(noisy, large)


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (1, 4), (600, 5)])
def test_halves_made_large_again_keep_what_is_smooth(size):
    height, width = size
    y, x = np.mgrid[:height, :width]
    page = (0.1 + 0.3 * y / 600 + 0.2 * x / 9).astype(np.float32)[..., None]
    small = halved(page)
    assert small.shape == (-(-height // 2), -(-width // 2), 1)
    assert small[0, 0, 0] == pytest.approx(float(page[:2, :2].mean()))
    out = np.empty_like(page)
    enlarge_and_subtract(page, small, out)
    at_once = torch.nn.functional.interpolate(
        torch.from_numpy(small).permute(2, 0, 1)[None], scale_factor=2, mode="bilinear"
    )[0].permute(1, 2, 0)[:height, :width]
    np.testing.assert_allclose(out, page - at_once.numpy(), atol=1e-6)
    inner = out[1:-2, 1:-2]
    assert not inner.size or np.abs(inner).max() < 1e-6, "a slope is kept"


def test_the_finest_grain_is_that_of_white_noise_and_does_not_see_a_slope():
    rng = np.random.default_rng(0)
    white = 0.05 * rng.standard_normal((1, 400, 400, 1)).astype(np.float32)
    slope = np.linspace(0, 1, 400, dtype=np.float32)[:, None, None]
    assert finest(white + slope) == pytest.approx(0.05, rel=0.02)
    assert finest(gaussian_filter(white, (0, 2, 2, 0))) < 0.001
    assert GRAIN < 0.01


# — noise that grows with brightness —


def test_strong_photon_noise_goes_through_the_transform_as_by_hand(colour):
    """Another road: into, the network on what it gives, and back."""
    noisy = counted(images.to_unit(photograph()), 0.1)
    done, found = Blind(colour).pages(noisy)
    level = Blind(colour).measured(noisy)
    assert (found.stabilised, found.origin, found.level) == (True, "measured", level)
    assert found.as_json()["stabilised"] is True
    assert "made alike at every brightness first (Anscombe)" in found.sentence()
    transform = Anscombe.over(noisy, level.gain, level.read, level.black)
    by_hand = transform.back(colour.pages(transform.into(noisy)))
    np.testing.assert_allclose(done, noisy - found.share * (noisy - by_hand), atol=1e-4)
    plainly, without = Blind(colour, stabilise=False).pages(noisy)
    assert not without.stabilised
    assert float(np.abs(done - plainly).max()) > 0.02, "it makes a difference"


def test_the_weights_see_it_as_noise_that_they_know(colour):
    """Flat steps of the scene: the same noise on each, no stronger than MOST."""
    steps = np.repeat(np.linspace(0.2, 1, 4), 100)[None, :, None, None]
    noisy = counted(np.broadcast_to(steps, (1, 400, 400, 1)), 0.1)
    transform = shown(noisy, Blind(colour).measured(noisy))
    assert isinstance(transform, Anscombe)
    seen = transform.into(noisy).reshape(4, -1)
    assert -0.2 < np.quantile(seen, 0.001) < np.quantile(seen, 0.999) < 1.01
    assert seen.std(1) == pytest.approx(transform.sigma, rel=0.1)
    assert transform.sigma <= MOST
    spread = noisy.reshape(4, -1).std(1)
    assert spread[-1] > 2 * spread[0], "control: before it was not alike"


WEAK = Level(0.1, gain=0.01, read=0.07)
STRONG = Level(0.3, gain=0.2, read=0.05)


@pytest.mark.parametrize(
    ("level", "scene", "expected"),
    [
        (STRONG, 1.0, True),
        (WEAK, 1.0, False),
        (Level(0.3, read=0.3), 1.0, False),
        (Level(0.3, gain=0.2, read=0.05, white=False, correlation=(0.2, 0.2)), 1.0, False),
        (Level(0.02, gain=0.01), 0.1, True),  # a few lights in the dark: five times its mean noise
    ],
)
def test_the_transform_is_for_white_noise_that_is_strong_or_unequal(level, scene, expected):
    page = np.linspace(0, scene, 2500, dtype=np.float32).reshape(1, 50, 50, 1)
    page[0, :3] = 1.0
    assert isinstance(shown(page, level), Anscombe) is expected
    assert not isinstance(shown(page, level, False), Anscombe)
    both = level.white and level.dependent
    assert isinstance(shown(page, level, True), Anscombe) is both


@pytest.mark.parametrize("factor", [1 / 16, 1.0, 16.0])
def test_whether_it_is_taken_does_not_hang_on_units(factor):
    for level in (STRONG, WEAK):
        page = 4 * factor * np.linspace(0, 1, 2500, dtype=np.float32).reshape(1, 50, 50, 1)
        scaled = Level(level.sigma * factor, gain=level.gain * factor, read=level.read * factor)
        unit = 4 * np.linspace(0, 1, 2500, dtype=np.float32).reshape(1, 50, 50, 1)
        same = [isinstance(shown(*both), Anscombe) for both in ((page, scaled), (unit, level))]
        assert same[0] is same[1]


def test_the_way_back_keeps_the_mean_where_photons_are_few(grey):
    """Four photons a pixel: the inverse on paper would leave it a quarter of one too dark."""
    clean = np.full((1, 256, 256, 1), 0.4)
    clean[:, :, :128] = 0.8
    noisy = counted(clean, 0.1, 0.0)
    done, found = Blind(grey).pages(noisy)
    assert found.stabilised
    for half in np.s_[:, :, 16:112], np.s_[:, :, 144:240]:
        noise = noisy[half].std() / np.sqrt(noisy[half].size)
        # what the network adds by itself is left room for: a tenth of a photon
        assert done[half].mean() == pytest.approx(clean[half].mean(), abs=5 * noise + 0.01)
        assert 5 * noise + 0.01 < 0.1 / 4, "control: a quarter of a photon would be seen"


def test_strength_is_the_share_that_goes_through_the_transform_too(colour):
    noisy = counted(images.to_unit(photograph()), 0.1)
    all_of_it, _ = Blind(colour).pages(noisy)
    half, found = Blind(colour, strength=0.5).pages(noisy)
    assert found.stabilised
    np.testing.assert_allclose(half, (noisy + all_of_it) / 2, atol=1e-3)
    none, _ = Blind(colour, strength=0.0).pages(noisy)
    assert np.array_equal(none, noisy)


def test_8_bits_and_stacks_go_through_it_too(grey):
    clean = images.to_unit(photograph()[..., :1])
    stack = np.concatenate([counted(clean, 0.1, seed=seed) for seed in range(2)])
    stored = np.rint(255 * np.clip(stack, 0, 1)).astype(np.uint8)
    done, found = Blind(grey).pages(stored)
    assert (found.stabilised, done.dtype) == (True, np.uint8)
    assert all(db(one, clean[0]) > db(two, clean[0]) + 5 for one, two in zip(done, stored))  # noqa: B905


# — noise that is known —


def test_constants_are_taken_instead_of_a_measurement(colour):
    clean = images.to_unit(photograph())
    noisy = counted(clean, 0.1)
    done, found = Blind(colour, noise=PoissonGaussian(0.1, 0.02)).pages(noisy)
    assert (found.level.gain, found.level.read, found.origin) == (0.1, 0.02, "given")
    assert found.level.sigma == pytest.approx(np.sqrt(0.1 * noisy.mean() + 0.02**2), rel=1e-5)
    assert found.sentence().startswith("noise as given: sigma ")
    assert found.as_json()["noise"]["from"] == "given"
    measured, other = Blind(colour).pages(noisy)
    assert other.as_json()["noise"]["from"] == "measured"
    assert db(done, clean) == pytest.approx(db(measured, clean), abs=0.2)
    weak, _ = Blind(colour, noise=PoissonGaussian(0.01, 0.01)).pages(noisy)
    removed = float(np.sqrt(np.square(noisy - weak).mean()))
    assert removed == pytest.approx(np.sqrt(0.01 * noisy.mean() + 1e-4), rel=0.05)


def test_a_level_and_gaussian_noise_say_the_same(colour):
    noisy = spoilt(photograph(), 25)
    one, _ = Blind(colour, sigma=15 / 255).pages(noisy)
    two, _ = Blind(colour, noise=Gaussian(15 / 255)).pages(noisy)
    assert np.array_equal(one, two)
    with pytest.raises(InputError, match=r"both say how strong the noise is\. Give one"):
        Blind(colour, sigma=0.1, noise=Gaussian(0.1))


def test_a_pedestal_that_is_known_changes_nothing_but_itself(grey):
    noisy = counted(images.to_unit(photograph()[..., :1]), 0.1)
    plain, _ = Blind(grey, noise=Given(0.1, 0.02)).pages(noisy)
    raised, found = Blind(grey, noise=Given(0.1, 0.02, 0.25)).pages(noisy + np.float32(0.25))
    assert found.stabilised
    np.testing.assert_allclose(raised - 0.25, plain, atol=2e-3)


def test_one_line_takes_what_is_known():
    noisy = counted(images.to_unit(photograph()[0]), 0.1)
    done = noisepair.denoise(noisy, channel_axis=-1, noise=Poisson(10.0))
    by_hand, _ = Blind(Denoiser.load("colour"), noise=Poisson(10.0)).pages(noisy[None])
    np.testing.assert_allclose(done, by_hand[0], atol=1e-5)


def test_what_is_found_names_its_file():
    said = Found(Level(0.1, read=0.1), "full", 1.0, "check.json").sentence()
    assert said == "noise as in check.json: sigma 25.5/255"


# — ranges —


@pytest.mark.parametrize("sigma", [5, 25])
def test_12_bits_in_a_file_of_16_are_denoised_as_if_they_filled_it(grey, sigma):
    clean = photograph()[..., :1]
    noisy = np.clip(spoilt(clean, sigma), 0, 1)
    low = np.rint(4095 * noisy).astype(np.uint16)
    dark, _ = Blind(grey).pages(low)
    full, _ = Blind(grey).pages(16 * low)
    assert db(16 * dark, images.to_unit(clean)) == pytest.approx(db(full, clean), abs=0.1)
    as_it_is = 16 * grey.pages(low)
    assert db(as_it_is, clean) < db(full, clean) - 0.5, "control: the network alone cannot"


def test_a_picture_brighter_than_1_is_denoised_in_its_range(colour):
    clean = images.to_unit(photograph())
    bright = 40 * clean
    noisy = bright + 40 * (spoilt(photograph(), 20) - clean)
    done, _ = Blind(colour).pages(noisy)
    assert done.max() > 35
    gain = np.square(noisy - bright).mean() / np.square(done - bright).mean()
    assert 10 * np.log10(gain) > 5
    sun = noisy.copy()
    sun[0, 40:43, 40:43] = 3000.0
    done, _ = Blind(colour).pages(sun)
    assert done[0, 41, 41].min() > 2000, "kept, not clipped"
    assert (
        10
        * np.log10(np.square(sun - bright)[:, 90:].mean() / np.square(done - bright)[:, 90:].mean())
        > 5
    )


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_floats_of_any_size_are_denoised_alike(grey, factor):
    noisy = spoilt(photograph()[..., :1], 25)
    usual, _ = Blind(grey).pages(4 * noisy)
    done, found = Blind(grey).pages((factor * noisy).astype(np.float32))
    np.testing.assert_allclose(done / factor, usual / 4, atol=0.02)
    assert found.share == pytest.approx(1, abs=0.1)


def test_what_the_weights_see_is_within_what_they_know():
    rng = np.random.default_rng(0)
    page = rng.random((1, 50, 50, 3)).astype(np.float32)
    assert brought_within(page, 0.1) is None
    assert brought_within((255 * page).astype(np.uint8), 0.1) is None
    strong = brought_within(page, 0.5)
    assert strong is not None
    assert 0.5 / strong.scale == pytest.approx(MOST)
    assert strong.into(torch.tensor(0.5)).item() == pytest.approx(0.5)
    large = brought_within(10 * page, 0.0)
    assert large == Scale(0.0, large.scale)
    assert large.scale == pytest.approx(10, rel=0.01)
    dark = brought_within(page / 10, 0.0)
    assert dark == Scale(0.0, dark.scale)
    assert dark.scale == pytest.approx(0.1, rel=0.01)
    noisier = brought_within(page / 10, 0.05)
    assert 0.05 / noisier.scale == pytest.approx(MOST), "no brighter than its noise allows"
    assert brought_within(np.zeros((1, 4, 4, 1), np.float32), 0.0) is None
    below = brought_within(page - 2, 0.0)
    assert float(below.into(torch.tensor(-2.0))) == pytest.approx(0, abs=0.01)


def test_noise_beyond_what_the_weights_know_goes_too(colour):
    clean = photograph()
    noisy = spoilt(clean, 120)
    done, _ = Blind(colour).pages(noisy)
    assert db(done, images.to_unit(clean)) > 19 > db(noisy, images.to_unit(clean))


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_picture_of_one_value_comes_back_untouched(grey, value):
    page = np.full((2, 40, 30, 1), value, np.uint8)
    done, found = Blind(grey).pages(page)
    assert np.array_equal(done, page)
    assert found.level.sigma == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (17, 33)])
def test_pictures_of_any_size_come_back(grey, size):
    page = np.random.default_rng(0).integers(0, 256, (1, *size, 1), dtype=np.uint8)
    done, _ = Blind(grey).pages(page)
    assert done.shape == page.shape


def test_pages_of_a_stack_are_treated_alike(grey):
    clean = photograph()[..., :1]
    stack = np.concatenate([spoilt(clean, 25, seed) for seed in range(10)])
    done, found = Blind(grey).pages(stack)
    assert found.level.sigma * 255 == pytest.approx(25, rel=0.15)
    gains = [
        db(one, clean[0] / 255.0) - db(two, clean[0] / 255.0)
        for one, two in zip(done, stack, strict=True)
    ]
    assert min(gains) > 5


# — in one line —


def test_one_line_denoises_grey_and_colour_arrays_and_tensors():
    clean = photograph()[0]
    noisy = spoilt(clean, 25)
    done = noisepair.denoise(noisy, channel_axis=-1)
    assert db(done, images.to_unit(clean)) > db(noisy, images.to_unit(clean)) + 6
    first = noisepair.denoise(torch.from_numpy(noisy).permute(2, 0, 1), channel_axis=0)
    np.testing.assert_allclose(first.permute(1, 2, 0).numpy(), done, atol=1e-5)
    grey = noisepair.denoise(noisy[..., 0])
    assert grey.shape == clean.shape[:2]
    assert (
        db(grey, images.to_unit(clean[..., 0]))
        > db(noisy[..., 0], images.to_unit(clean[..., 0])) + 4
    )
    untouched = noisepair.denoise(noisy, channel_axis=-1, strength=0.0)
    assert np.array_equal(untouched, noisy)


def test_one_line_says_what_it_cannot_denoise():
    with pytest.raises(InputError, match="Give channel_axis=-1 for its colours"):
        noisepair.denoise(np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(InputError, match="4 colour planes"):
        noisepair.denoise(np.zeros((40, 40, 4), np.uint8), channel_axis=-1)


# — what is refused —


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), float("inf")])
def test_a_sigma_that_is_none_is_refused(colour, sigma):
    with pytest.raises(InputError, match="is no noise level"):
        Blind(colour, sigma=sigma)


def test_a_strength_that_is_none_is_refused(colour):
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="Give a share of the noise, 0 to 1"):
            Blind(colour, strength=strength)


def test_nan_is_refused_before_anything_is_measured(colour):
    with pytest.raises(InputError, match="1 values that are NaN"):
        Blind(colour).pages(np.full((1, 1, 1, 1), np.nan, np.float32))


def test_noise_that_is_no_constant_is_refused(colour):
    with pytest.raises(InputError, match="sigma is a range"):
        Blind(colour, noise=Gaussian((0.0, 0.1)))


# — the command —


def denoised(capsys, folder, *words):
    code = main(["denoise", str(folder / "a.npy"), *map(str, words), "--out", str(folder / "out")])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_takes_the_noise_in_words_and_says_so(capsys, tmp_path):
    noisy = counted(images.to_unit(photograph()[0]), 0.1)
    np.save(tmp_path / "a.npy", noisy)
    words = ("--noise", "poisson_gaussian gain=0.1 read=0.02")
    code, out, err = denoised(capsys, tmp_path, *words, "--json")
    assert code == 0
    assert "a.npy: noise as given: sigma" in err
    assert "made alike at every brightness" in err
    [line] = json.loads(out)["written"]
    assert (line["noise"]["gain"], line["noise"]["from"], line["stabilised"]) == (
        0.1,
        "given",
        True,
    )
    done = noisepair.denoise(noisy, channel_axis=-1, noise=PoissonGaussian(0.1, 0.02))
    np.testing.assert_allclose(np.load(tmp_path / "out" / "a.npy"), done, atol=1e-5)


def test_the_command_takes_the_noise_that_a_check_found(capsys, tmp_path):
    clean = images.to_unit(photograph()[0])
    for name, seed in (("a", 0), ("b", 1)):
        np.save(tmp_path / f"{name}.npy", counted(clean, 0.1, seed=seed))
    assert main(["check", *(str(tmp_path / f"{n}.npy") for n in "ab"), "--json", "--quiet"]) == 0
    (tmp_path / "check.json").write_text(capsys.readouterr().out)
    code, out, _ = denoised(capsys, tmp_path, "--noise", tmp_path / "check.json", "--json")
    assert code == 0
    [line] = json.loads(out)["written"]
    assert line["noise"]["from"] == "check.json"
    assert line["noise"]["gain"] == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--noise", "speckle sigma=0.1"], "only such noise can be given"),
        (["--noise", "strong"], "is no noise"),
        (["--noise", "none.json"], "Cannot read none.json"),
        (["--noise", "gaussian sigma=0.1", "--sigma", "0.1"], "Give one of them"),
    ],
)
def test_noise_that_cannot_be_is_refused_before_anything_is_written(
    capsys, tmp_path, words, sentence
):
    np.save(tmp_path / "a.npy", np.zeros((8, 8), np.float32))
    code, out, err = denoised(capsys, tmp_path, *words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_copy_of_bundled_weights_measures_the_noise_as_they_do(capsys, tmp_path):
    noisy = photograph()[0] / 255 + np.random.default_rng(0).normal(0, 0.1, photograph()[0].shape)
    np.save(tmp_path / "a.npy", noisy.astype(np.float32))
    shutil.copytree(checkpoint.located("colour"), tmp_path / "mine")
    out = {}
    for words in ((), ("--model", tmp_path / "mine"), ("--model", tmp_path / "mine", "--sigma", 0)):
        code, said, _ = denoised(capsys, tmp_path, *words, "--overwrite", "--json")
        assert code == 0
        [line] = json.loads(said)["written"]
        out[words] = (np.load(tmp_path / "out" / "a.npy"), line["noise"])
    own, copied, told = out.values()
    np.testing.assert_array_equal(own[0], copied[0])
    assert own[1] == copied[1]
    np.testing.assert_array_equal(told[0], noisy.astype(np.float32))
