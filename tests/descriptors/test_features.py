"""Key points lie where the picture has them, patches are cut as the page says, denoising helps."""

import warnings

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from noisepair.descriptors import Descriptor, DescriptorCard
from noisepair.descriptors import features as page
from noisepair.descriptors.descriptor import Chain
from noisepair.descriptors.features import features
from noisepair.descriptors.networks import Quick
from noisepair.descriptors.opencv import PatchFeatures
from noisepair.errors import InputError
from noisepair.models import Scale
from noisepair.noise.given import Given


def blocks(side=128, seed=0):
    """Squares and discs in greys, a little soft: what a detector likes, (side, side) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    scene = np.full((side, side), 110.0)
    for _ in range(60):
        (cx, cy), r, grey = rng.uniform(0, side, 2), rng.uniform(3, 12), rng.uniform(20, 235)
        there = np.hypot(x - cx, y - cy) < r if rng.random() < 0.5 else (
            np.maximum(abs(x - cx), abs(y - cy)) < r
        )  # fmt: skip
        scene[there] = grey
    return np.uint8(gaussian_filter(scene, 0.7).round())


def blob(x, y, sigma, shape=(110, 130)):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return 0.3 + 0.6 * np.exp(-((cols - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


def noisy(picture, sigma, seed=0):
    spoilt = picture + np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.uint8(np.rint(spoilt).clip(0, 255))


def pixels(patches):
    """The patch itself, for a descriptor."""
    return patches.flatten(1)


def squares(found):
    return (found.vectors * 255).round().reshape(-1, 32, 32)


def point(x, y, sigma, angle=0.0):
    return cv2.KeyPoint(x, y, 2 * sigma, angle, 1.0)


def cut(grey, points, region=5.0):
    rows = page.described(np.uint8(grey), points, pixels, region, "cpu")
    return (rows * 255).round().reshape(-1, 32, 32)


# — where —


@pytest.mark.parametrize(("x", "y", "sigma"), [(40.3, 52.7, 4.0), (77.5, 48.0, 6.0)])
def test_a_blob_is_found_where_it_is_and_as_large(x, y, sigma):
    """By hand: s²/(s² + σ²) − s²/(s² + k²σ²) is largest at σ = s/√k; SIFT's k is 2^(1/3)."""
    found = features(blob(x, y, sigma), pixels, denoise="never", most=1)
    assert np.abs(found.xy[0] - (x, y)).max() < 0.1
    assert found.scale[0] / 2 == pytest.approx(sigma / 2 ** (1 / 6), rel=0.02)
    assert found.size == (110, 130)


def test_without_precise_upscaling_it_would_lie_beside(monkeypatch):
    monkeypatch.setattr(page, "sift", cv2.SIFT_create)
    found = features(blob(40.3, 52.7, 4.0), pixels, denoise="never", most=1)
    assert np.abs(found.xy[0] - (40.3, 52.7)).min() > 0.2


def test_the_strongest_come_first_and_no_more_than_asked():
    every = features(blocks(), "rootsift", denoise="never")
    some = features(blocks(), "rootsift", denoise="never", most=20)
    assert len(some) == 20 < len(every)
    assert (np.diff(every.response) <= 0).all()
    np.testing.assert_array_equal(some.vectors, every.vectors[:20])


# — patches, by hand —

RAMP = np.tile(np.arange(128.0), (128, 1))  # as bright as it is far to the right


def test_the_patch_of_a_point_reaches_its_region_to_each_side():
    (patch,) = cut(RAMP, [point(64, 60, 6.4)])  # 32 pixels: two of the picture to one of the patch
    np.testing.assert_array_equal(patch, np.tile(33 + 2 * np.arange(32), (32, 1)))


def test_the_region_is_seven_and_a_half_sigma_unless_told_otherwise():
    for finder in (PatchFeatures(pixels), PatchFeatures(pixels, region=7.5)):
        _, rows = finder.compute(np.uint8(RAMP), [point(64, 60, 64 / 15)])
        patch = (rows * 255).round().reshape(32, 32)
        np.testing.assert_array_equal(patch, np.tile(33 + 2 * np.arange(32), (32, 1)))


def test_a_point_turned_clockwise_has_an_x_axis_that_goes_down():
    (patch,) = cut(RAMP.T, [point(64, 60, 6.4, angle=90.0)])
    np.testing.assert_array_equal(patch, np.tile(29 + 2 * np.arange(32), (32, 1)))


def test_a_point_without_a_direction_stands_upright():
    upright, none = cut(blocks(), [point(64, 64, 6.4, 0.0), point(64, 64, 6.4, -1.0)])
    np.testing.assert_array_equal(upright, none)


def leaning(found):
    """The share of patches that are brighter on the right, towards which their axis points."""
    patches = squares(found)
    return (patches[:, :, 16:].mean((1, 2)) > patches[:, :, :16].mean((1, 2))).mean()


def test_patches_are_turned_towards_brighter():
    picture = blocks(256)
    assert leaning(features(picture, pixels, denoise="never", region=5.0)) > 0.9


def test_patches_turned_the_other_way_would_be_noticed(monkeypatch):
    rows = page.regions
    monkeypatch.setattr(page, "regions", lambda *given: rows(*given) * (1, 1, 1, -1))
    assert leaning(features(blocks(256), pixels, denoise="never", region=5.0)) < 0.8


def test_a_square_that_leaves_the_picture_is_no_patch():
    places = [(16.25, 16.25), (16, 16.25), (16.25, 110.75), (16.25, 111)]
    points = [point(x, y, 3.25) for x, y in places]  # 16.25 pixels to each side
    points.append(point(16.25, 16.25, 3.25, angle=45.0))
    assert page.whole(points, np.zeros((128, 128), np.uint8), 5.0) == [points[0], points[2]]


# — noise —


def test_noise_is_measured_and_denoised_from_where_it_pays():
    picture = blocks()
    strong, weak = (features(noisy(picture, s), pixels) for s in (15, 1))
    assert strong.noise == pytest.approx(15 / 255, rel=0.1)
    assert strong.denoised
    assert weak.noise < page.NOISY
    assert not weak.denoised


def test_what_is_known_of_the_noise_is_not_measured():
    spoilt = noisy(blocks(), 15)
    told = features(spoilt, pixels, noise=30 / 255)
    assert told.noise == 30 / 255
    assert features(spoilt, pixels, noise=Given(0.0, 2 / 255)).denoised is False
    assert features(spoilt, pixels, denoise="never").noise is None
    assert features(spoilt, pixels, noise=0.01, denoise="always").denoised


def again(clean, other):
    """How many of the clean picture's points the other one has too, within a pixel."""
    apart = np.hypot(*(clean.xy[:, None] - other.xy).transpose(2, 0, 1))
    like = np.abs(np.log2(clean.scale[:, None] / other.scale)) < 0.5
    return int(((apart < 1) & like).any(1).sum())


def test_more_of_the_points_are_found_again_in_a_denoised_picture():
    gained = []
    for seed in range(4):
        picture = blocks(seed=seed)
        clean = features(picture, "rootsift", most=60, denoise="never")
        spoilt = noisy(picture, 30, seed)
        never, always = (
            again(clean, features(spoilt, "rootsift", most=60, denoise=how))
            for how in ("never", "always")
        )
        gained.append(always - never)
    assert np.mean(gained) > 2 * np.std(gained, ddof=1) / 2  # two standard errors


def test_networks_see_the_noisy_picture_unless_told_otherwise():
    spoilt = noisy(blocks(), 25)
    as_it_is, cleaned = (features(spoilt, pixels, patches=p) for p in ("noisy", "denoised"))
    np.testing.assert_array_equal(as_it_is.xy, cleaned.xy)

    def rough(found):  # differences of neighbours down the rows of the finest patches
        return np.abs(np.diff(squares(found), axis=1)).mean()

    assert rough(as_it_is) > 1.3 * rough(cleaned)


# — vectors —


def test_rootsift_is_opencvs_sift_and_its_roots():
    found = features(blocks(), "rootsift", denoise="never", most=30)
    sift = cv2.SIFT_create(enable_precise_upscale=True)
    points, rows = sift.detectAndCompute(blocks(), None)
    places = np.float32([(*p.pt, p.angle) for p in points])
    for xy, angle, vector in zip(found.xy, found.angle, found.vectors, strict=True):
        (one,) = np.nonzero((places == (*xy, angle)).all(1))[0][:1]
        np.testing.assert_allclose(vector**2, rows[one] / rows[one].sum(), atol=1e-6)


def test_a_descriptor_is_asked_in_batches_of_what_it_learnt(monkeypatch):
    asked = []

    def counts(patches):
        asked.append((tuple(patches.shape), patches.dtype, float(patches.max())))
        return patches.mean((2, 3))

    monkeypatch.setattr(page, "BATCH", 16)
    found = features(blocks(), counts, denoise="never", most=40)
    assert [shape for shape, _, _ in asked] == [(16, 1, 32, 32)] * 2 + [(8, 1, 32, 32)]
    assert all(kind == torch.float32 and 0.2 < top <= 1 for _, kind, top in asked)
    assert found.vectors.shape == (40, 1)
    assert found.method == "counts"


@pytest.mark.parametrize("kind", ["uint16", "float32", "colour"])
def test_the_type_of_a_picture_does_not_matter(kind):
    picture = blocks()
    other = {
        "uint16": picture.astype(np.uint16) * 257,
        "float32": picture.astype(np.float32) / 255,
        "colour": np.repeat(picture[..., None], 3, axis=2),
    }[kind]
    one, two = (features(p, pixels, denoise="never") for p in (picture, other))
    np.testing.assert_array_equal(one.vectors, two.vectors)


# — what is refused —


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.full((64, 64), 100, np.uint8), "No key points"),
        (np.zeros((3, 3), np.uint8), "No key points"),
        (np.zeros((0, 10), np.uint8), "not one picture"),
        (np.zeros((2, 64, 64), np.uint8), "not one picture"),
        (np.full((64, 64), np.nan), "NaN or infinite"),
        (np.zeros((64, 64), complex), "complex128"),
    ],
)
@pytest.mark.parametrize("descriptor", [pixels, "rootsift"])
def test_what_is_no_picture_or_shows_nothing_is_a_sentence(picture, words, descriptor):
    for denoise in ("auto", "never"):
        with pytest.raises(InputError, match=words):
            features(picture, descriptor, denoise=denoise)


# — for OpenCV's programs —


def test_the_feature2d_gives_what_features_gives():
    spoilt = noisy(blocks(), 15)
    points, rows = PatchFeatures(pixels).detectAndCompute(spoilt)
    found = features(spoilt, pixels)
    np.testing.assert_array_equal(rows, found.vectors)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(np.float32([p.pt for p in points]), found.xy)
    again, same = PatchFeatures(pixels).compute(spoilt, points)
    assert again == points
    np.testing.assert_array_equal(same, rows)
    assert len(cv2.BFMatcher(PatchFeatures(pixels).defaultNorm()).match(rows, same)) == len(rows)


def test_key_points_at_the_border_are_left_out_with_their_rows():
    given = [point(3, 3, 2), point(64, 64, 2), point(126, 64, 2)]
    kept, rows = PatchFeatures(pixels).compute(blocks(), given)
    assert kept == (given[1],)
    assert rows.shape == (1, 1024)
    assert PatchFeatures(pixels).compute(blocks(), given[:1]) == ((), None)
    assert PatchFeatures(pixels).detectAndCompute(np.zeros((64, 64), np.uint8)) == ((), None)


def test_the_mask_and_the_order_of_colours_are_opencvs():
    mask = np.zeros((128, 128), np.uint8)
    mask[:, 64:] = 255
    finder = PatchFeatures(pixels, denoise="never")
    points, _ = finder.detectAndCompute(blocks(), mask)
    assert points
    assert min(p.pt[0] for p in points) >= 63
    rgb = np.stack([blocks(seed=seed) for seed in range(3)], axis=-1)
    _, rows = finder.detectAndCompute(rgb[..., ::-1])
    np.testing.assert_array_equal(rows, features(rgb, pixels, denoise="never").vectors)
    _, others = finder.detectAndCompute(rgb)
    assert rows.shape != others.shape or not np.array_equal(rows, others)


# — for kornia's —


class Pixels(nn.Module):
    patch_size = 32

    def forward(self, patches):
        return pixels(patches)


@pytest.fixture
def kornia():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of others
        return pytest.importorskip("kornia.feature")


def through_kornia(kornia, picture, found, module, turn=-1):
    """What kornia makes of the same points; its angles go the other way."""
    centre, scale, angle = (torch.from_numpy(v) for v in (found.xy, found.scale, found.angle))
    lafs = kornia.laf_from_center_scale_ori(
        centre[None], page.REGION / 2 * scale[None, :, None, None], turn * angle[None, :, None]
    )
    image = torch.from_numpy(picture).float()[None, None] / 255
    describe = kornia.LAFDescriptor(module, patch_size=32, grayscale_descriptor=True)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lafs, describe(image, lafs)[0].numpy()


def alike(ours, theirs):
    """The mean correlation of patches."""
    a, b = (v - v.mean(1, keepdims=True) for v in (ours, theirs))
    return ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean()


def test_kornia_cuts_the_same_patches(kornia):
    picture = blocks(256)
    found = features(picture, Pixels(), denoise="never")
    _, theirs = through_kornia(kornia, picture, found, Pixels())
    assert alike(found.vectors, theirs) > 0.95
    _, turned = through_kornia(kornia, picture, found, Pixels(), turn=1)
    assert alike(found.vectors, turned) < 0.8
    assert found.method == "Pixels"


def test_a_descriptor_stands_in_kornias_laf_descriptor(kornia):
    torch.manual_seed(0)
    card = DescriptorCard(Quick(half=(8,), quarter=(8,)), None, Scale(), {})
    ours = Descriptor(Chain(card).eval(), card, "float32")
    picture = blocks()
    found = features(picture, ours, denoise="never")
    lafs, theirs = through_kornia(kornia, picture, found, ours)
    assert theirs.shape == found.vectors.shape == (len(found), 128)
    assert found.method == "quick"
    image = torch.from_numpy(picture).float()[None, None] / 255
    with torch.no_grad():
        patches = kornia.extract_patches_from_pyramid(image, lafs, 32)[0]
        np.testing.assert_allclose(theirs, ours(patches).numpy(), atol=1e-5)
