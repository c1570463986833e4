"""The noise of one picture is found without the clean one, whatever the picture and its units."""

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import integrate, ndimage
from scipy.special import ndtri
from skimage import data as pictures
from skimage import transform
from tifffile import imread

from noisepair.errors import InputError
from noisepair.noise.estimate import Level, estimate, variance_left

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea")


def photograph(name, *, grey=False):
    """(H, W, C) float32; at half size, so that what a JPEG left of noise is averaged away."""
    full = getattr(pictures, name)().astype(np.float32) / 255
    height, width = (size // 2 * 2 for size in full.shape[:2])
    half = full[:height, :width].reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    return half.mean(-1, keepdims=True) if grey else half


def spoilt(clean, sigma, seed=0):
    noise = np.random.default_rng(seed).standard_normal(clean.shape, dtype=np.float32)
    return clean + np.float32(sigma) * noise


def camera(clean, gain, read, seed=0):
    rng = np.random.default_rng(seed)
    photons = gain * rng.poisson(clean / gain)
    return (photons + read * rng.standard_normal(clean.shape)).astype(np.float32)


def clipped(noisy):
    return np.rint(np.clip(noisy, 0, 1) * 255).astype(np.float32) / 255


def ramp(side=256, planes=1, low=0.0, high=1.0):
    """A scene without texture: what is found of noise is noise."""
    column = np.linspace(low, high, side, dtype=np.float32)
    return np.broadcast_to(column[:, None, None], (side, side, planes)).copy()


# — how strong —


@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
@pytest.mark.parametrize("sigma", [10, 25, 50])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_sigma_is_found_on_photographs(name, sigma, grey):
    level = estimate(spoilt(photograph(name, grey=grey), sigma / 255))
    assert level.sigma * 255 == pytest.approx(sigma, rel=0.05, abs=0.6)
    assert level.white
    assert not level.dependent


@pytest.mark.parametrize("sigma", [10, 25, 50])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_clipping_and_rounding_do_not_hide_noise(name, sigma):
    noisy = clipped(spoilt(photograph(name), sigma / 255))
    assert estimate(noisy).sigma * 255 == pytest.approx(sigma, rel=0.06)
    if sigma == 50:
        cut = (noisy - photograph(name)).std() * 255
        assert cut < 0.96 * sigma, "what clipping leaves is less"


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_the_doubt_is_the_deviation_between_shots_of_one_scene(planes):
    levels = [estimate(spoilt(ramp(96, planes), 0.1, seed)) for seed in range(30)]
    sigmas, doubts = (
        np.array([getattr(one, what) for one in levels]) for what in ("sigma", "doubt")
    )
    assert abs(sigmas.mean() - 0.1) < 5 * sigmas.std() / 30**0.5 + 0.0005
    assert 0.5 < doubts.mean() / sigmas.std() < 2


def test_a_wrong_sigma_would_be_told_from_the_right_one():
    level = estimate(spoilt(ramp(256, 3), 0.1))
    assert abs(level.sigma - 0.1) < 5 * level.doubt < 0.005
    assert abs(level.sigma - 0.105) > 5 * level.doubt


def test_a_simple_filter_takes_texture_for_noise():
    """Immerkær (1996): the control for the flat squares."""
    noisy = spoilt(photograph("coffee", grey=True), 5 / 255)
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    simple = math.sqrt(math.pi / 2) * np.abs(ndimage.convolve(noisy[..., 0], mask)).mean() / 6
    assert simple * 255 - 5 > 2 * abs(estimate(noisy).sigma * 255 - 5)


# — growing with brightness —


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize(("gain", "read"), [(0.005, 0.01), (0.02, 0.02), (0.2, 0.02)])
def test_gain_and_read_noise_are_found_on_photographs(name, gain, read):
    clean = photograph(name)
    level = estimate(camera(clean, gain, read))
    assert level.dependent
    assert level.white
    assert level.gain == pytest.approx(gain, rel=0.12)
    assert level.read**2 == pytest.approx(read**2, abs=0.05 * gain)
    assert level.sigma == pytest.approx(math.sqrt(gain * clean.mean() + read**2), rel=0.05)
    assert level.black == 0


def test_a_pedestal_is_found():
    level = estimate(camera(ramp(400, 1), 0.01, 0.005) + 2)
    assert level.dependent
    assert level.gain == pytest.approx(0.01, rel=0.1)
    assert level.black == pytest.approx(2, abs=0.05)
    assert level.read == 0


def test_noise_that_falls_with_brightness_is_not_said_to_grow():
    clean = ramp(256, 3)
    level = estimate(clean + (1.1 - clean) * 0.1 * spoilt(np.zeros_like(clean), 1))
    assert not level.dependent
    assert level.read == level.sigma


@pytest.mark.parametrize("ends", [(0.0, 0.0), (0.2, 0.0), (0.1, 0.3), (0.02, 0.5)])
def test_what_clipping_leaves_of_a_variance_by_integration(ends):
    low, high = (ndtri(p) if p else -40 for p in ends)

    def moment(power):
        def density(z):
            return np.clip(z, low, -high) ** power * math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)

        kinks = [z for z in (low, -high) if abs(z) < 9]
        return integrate.quad(density, -9, 9, points=kinks or None, limit=200)[0]

    left = variance_left(*(np.array([p]) for p in ends))
    assert left[0] == pytest.approx(moment(2) - moment(1) ** 2, rel=1e-6)


# — correlated —


def compressed(noisy, quality):
    stored = np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    picture = Image.fromarray(stored if stored.shape[-1] == 3 else stored[..., 0])
    picture.save(file, "jpeg", quality=quality)
    values = np.asarray(Image.open(file), np.float32) / 255
    return values.reshape(noisy.shape)


def blurred(noisy, clean):
    return clean + ndimage.gaussian_filter(noisy - clean, (0.6, 0.6, 0))


def enlarged(noisy, clean):
    height, width = noisy.shape[:2]
    return transform.resize(noisy, (2 * height, 2 * width), order=1).astype(np.float32)


def jpeg(noisy, clean):
    return compressed(noisy, 70)


@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
@pytest.mark.parametrize("spoil", [blurred, enlarged])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_noise_that_was_smoothed_is_called_correlated(name, spoil, grey):
    clean = photograph(name, grey=grey)
    noisy = spoilt(clean, 15 / 255)
    assert estimate(noisy).white
    level = estimate(spoil(noisy, clean))
    assert not level.white
    assert min(level.correlation) > 0.1
    assert "correlated" in level.sentence()


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_noise_that_was_compressed_is_called_correlated(name):
    clean = photograph(name)
    assert not estimate(jpeg(spoilt(clean, 15 / 255), clean)).white


def test_the_correlation_is_that_of_the_noise():
    noise = spoilt(np.zeros((400, 400, 1), np.float32), 1)
    across = (noise[:, 1:] + noise[:, :-1]) / 2  # 0.5 to the right, 0 down
    right, down = estimate(across).correlation
    assert right == pytest.approx(0.5, abs=0.1)
    assert down == pytest.approx(0, abs=0.05)
    assert estimate(noise).correlation == pytest.approx((0, 0), abs=0.03)


def test_a_grey_picture_stored_in_colour_has_the_noise_of_the_grey_one():
    noisy = spoilt(photograph("coffee", grey=True), 15 / 255)
    level = estimate(np.repeat(noisy, 3, -1))
    assert level.white
    assert level.sigma == pytest.approx(estimate(noisy).sigma, rel=0.05)


# — laws —


@settings(max_examples=12)
@given(factor=st.floats(1e-6, 1e6), planes=st.sampled_from([1, 3]))
def test_units_do_not_matter(factor, planes):
    noisy = camera(ramp(96, planes), 0.02, 0.02).astype(np.float64)
    one, other = estimate(noisy), estimate(factor * noisy)
    for name in ("sigma", "doubt", "gain", "read"):
        assert getattr(other, name) == pytest.approx(factor * getattr(one, name), rel=1e-3)
    assert other.white == one.white


@settings(max_examples=12)
@given(offset=st.floats(-100, 100))
def test_a_constant_changes_nothing_in_sigma(offset):
    noisy = spoilt(ramp(96, 3), 0.05).astype(np.float64)
    assert estimate(noisy + offset).sigma == pytest.approx(estimate(noisy).sigma, rel=1e-4)


@settings(max_examples=6)
@given(low=st.floats(0.01, 0.2), more=st.floats(1.1, 3))
def test_more_noise_is_more(low, more):
    clean = photograph("coffee")
    assert estimate(spoilt(clean, low * more)).sigma > estimate(spoilt(clean, low)).sigma


def test_turning_a_picture_turns_its_correlation():
    noise = spoilt(np.zeros((203, 203, 1), np.float32), 1)
    across = (noise[:, 1:] + noise[:, :-1])[:202]
    one, other = estimate(across), estimate(across.transpose(1, 0, 2))
    assert other.correlation == pytest.approx(one.correlation[::-1], abs=1e-3)
    assert other.sigma == pytest.approx(one.sigma, rel=1e-3)


def test_bright_values_are_kept_in_range():
    clean = 20 * ramp(256, 3)
    level = estimate(camera(clean, 0.1, 0.05))
    assert level.gain == pytest.approx(0.1, rel=0.1)
    assert level.sigma == pytest.approx(math.sqrt(0.1 * 10 + 0.05**2), rel=0.05)


def test_a_large_picture_is_looked_at_in_part_and_all_over():
    noisy = np.tile(spoilt(ramp(256, 3), 0.1), (8, 8, 1))
    level = estimate(noisy)
    assert level.sigma == pytest.approx(0.1, rel=0.02)
    assert level.squares < 32_768


# — bad inputs —


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e30])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 3), (64, 64, 3)])
def test_a_picture_of_one_value_has_no_noise(value, shape):
    level = estimate(np.full(shape, value, np.float32))
    assert level == Level(0.0)
    assert level.sentence() == "noise: sigma 0.0/255"


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (1, 9), (7, 3), (8, 8), (9, 300), (40, 2)]
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_tiny_pictures_have_finite_noise(shape, planes, dtype):
    noisy = np.random.default_rng(0).random((*shape, planes)).astype(dtype)
    level = estimate(noisy)
    numbers = (level.sigma, level.doubt, level.gain, level.read, level.black, *level.correlation)
    assert all(map(math.isfinite, numbers))
    assert 0 <= level.sigma < 4


@pytest.mark.parametrize("share", [0.3, 0.7, 0.9])
def test_a_black_part_does_not_hide_the_noise_of_the_rest(share):
    noisy = spoilt(ramp(256, 3, 0.2, 0.8), 0.05)
    noisy[: round(256 * share)] = 0
    assert estimate(noisy).sigma == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad):
    noisy = ramp(32)
    noisy[3, 4] = bad
    with pytest.raises(InputError, match=r"NaN or infinity, which have no noise level\. Replace"):
        estimate(noisy)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4), np.float32), np.zeros((0, 4, 3), np.float32), np.zeros((4, 4, 3), np.uint8)],
    ids=["plane", "empty", "integers"],
)
def test_what_is_no_picture_of_floats_is_refused(picture):
    with pytest.raises(InputError, match=r"Give \(H, W, C\), integers divided by their full scale"):
        estimate(picture)


def test_a_level_is_told_and_stored():
    level = Level(0.1, 0.001, 0.02, 0.02, 0.5, (0.1, 0.2), False, 7)
    assert level.as_json() == {
        "sigma": 0.1, "doubt": 0.001, "gain": 0.02, "read": 0.02, "black": 0.5,
        "correlation": [0.1, 0.2], "white": False, "squares": 7, "dependent": True,
    }  # fmt: skip
    assert level.sentence() == (
        "noise: sigma about 25.5/255, growing with brightness (gain 0.02, read 5.1/255), correlated"
        " from pixel to pixel (0.10 to the right, 0.20 down)"
    )


# — real pictures —


def test_white_noise_on_many_photographs_is_white_and_found(data):
    """Pictures of the val folder; none is used for tuning by others."""
    files = sorted((data / "train" / "BSDS500" / "val").glob("*.jpg"))[::15]
    for at, file in enumerate(files):
        clean = np.asarray(Image.open(file), np.float32) / 255
        level = estimate(spoilt(clean, 15 / 255, at))
        assert level.sigma * 255 == pytest.approx(15, abs=0.7), file.name
        assert level.white, file.name
        assert not level.dependent, file.name


def test_the_noise_of_a_microscope_grows(data):
    for name in ("fish", "mice"):
        noisy, clean = (
            imread(data / "real" / "confocal" / f"{name}_{what}.tif").astype(np.float32) / 255
            for what in ("noisy", "mean")
        )
        level = estimate(noisy[..., None])
        assert level.dependent
        assert level.sigma == pytest.approx((noisy - clean).std(), rel=0.1)


def test_the_noise_of_developed_photographs_is_correlated(data):
    files = sorted((data / "real" / "polyu").glob("*_real.JPG"))[::10]
    found = [estimate(np.asarray(Image.open(file), np.float32) / 255).white for file in files]
    assert not any(found)
