"""Regions, jitter, views and patches are where they are said to be."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from noisepair.hpatches import _jitter, _regions, _views
from noisepair.hpatches._jitter import STRENGTHS
from noisepair.hpatches._sample import inside, patches, spacing
from noisepair.hpatches._scenes import read, read_homography

SIDE = 65
STILL = np.eye(3)
UNIT = np.array([[1.0, 0, 0], [0, 1, 0]])  # the unit disc as a frame


def texture(shape=(200, 240), seed=0, soft=2.0):
    rng = np.random.default_rng(seed)
    rough = gaussian_filter(rng.normal(size=shape), soft) + gaussian_filter(
        rng.normal(size=shape), 3 * soft
    )
    return np.uint8(np.clip(128 + 45 * rough / rough.std(), 0, 255))


def somewhere(count, shape, seed=0):
    """Regions well inside a picture."""
    rng = np.random.default_rng(seed)
    height, width = shape
    x, y = rng.uniform(50, width - 50, count), rng.uniform(50, height - 50, count)
    return np.stack([x, y, rng.uniform(8, 30, count), rng.uniform(0, 2 * np.pi, count)], 1)


def one_by_one(picture, frame, homography, side=SIDE):
    """A patch by its definition, pixel by pixel; values between pixels by scipy."""
    patch = np.empty((side, side))
    for i in range(side):
        for j in range(side):
            u = np.array([(j + 0.5) * 2 / side - 1, (i + 0.5) * 2 / side - 1, 1])
            x, y, w = homography @ np.append(frame @ u, 1)
            patch[i, j] = map_coordinates(picture, [[y / w], [x / w]], order=1)[0]
    return patch


# — patches —


def test_patches_are_what_their_definition_says():
    picture = texture(soft=4).astype(float)
    frames = _regions.frames(somewhere(3, picture.shape))
    tilted = _views.homography(picture.shape, 0.3, 1.0, 0.2, 1.0)
    frames = frames[inside(frames, tilted, picture.shape)]
    made = patches(np.uint8(picture), frames, tilted, SIDE)
    assert len(made) > 0
    assert (spacing(frames, tilted, SIDE) < 1.18).all(), "none is blurred first"
    for patch, frame in zip(made, frames, strict=True):
        assert np.abs(patch - one_by_one(picture, frame, tilted)).max() <= 1
        turned = one_by_one(picture, frame[:, [1, 0, 2]], tilted)
        assert np.abs(patch - turned).max() > 20, "the control: axes exchanged"


def test_a_quarter_turn_of_the_picture_leaves_the_patches():
    picture = texture()
    height = len(picture)
    turned = np.ascontiguousarray(np.rot90(picture, -1))  # clockwise: (x, y) → (H − 1 − y, x)
    turn = np.array([[0.0, -1, height - 1], [1, 0, 0], [0, 0, 1]])
    frames = _regions.frames(somewhere(20, picture.shape))
    before = patches(picture, frames, STILL, SIDE).astype(int)
    assert np.abs(before - patches(turned, frames, turn, SIDE)).max() <= 1
    assert np.abs(before - patches(turned, frames, turn.T, SIDE)).max() > 50, "the control"


def test_a_pattern_seen_through_a_homography_gives_the_patches_of_the_pattern():
    def pattern(x, y):
        return 128 + 60 * np.sin(x / 9) * np.cos(y / 7) + 40 * np.sin((x + y) / 15)

    shape = (220, 260)
    known = _views.homography(shape, 0.5, 0.7, 0.3, 1.2)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    back = np.linalg.inv(known) @ np.stack([x, y, np.ones(shape)]).reshape(3, -1)
    seen = np.uint8(np.rint(pattern(*(back[:2] / back[2])))).reshape(shape)
    frames = _regions.frames(somewhere(30, shape))
    frames = frames[inside(frames, known, shape)]
    u = (np.arange(SIDE) + 0.5) * 2 / SIDE - 1
    points = frames[:, :, :2] @ np.stack(np.meshgrid(u, u)).reshape(2, -1) + frames[:, :, 2:]
    truth = pattern(points[:, 0], points[:, 1]).reshape(-1, SIDE, SIDE)
    error = np.abs(patches(seen, frames, known, SIDE) - truth)
    assert len(frames) > 10
    assert error.max() < 6
    assert np.median(error) < 1
    wrong = np.abs(patches(seen, frames, np.linalg.inv(known), SIDE) - truth)
    assert np.median(wrong) > 10, "the control: the other way round"


def test_large_regions_are_averaged_and_not_skipped_through():
    noise = np.random.default_rng(0).integers(0, 256, (600, 600)).astype(np.uint8)
    frame = _regions.frames(np.array([[300.0, 300, 260, 0]]))
    averaged = patches(noise, frame, STILL, 32).std()
    assert averaged < 0.25 * noise.std(), f"{averaged:.1f} of {noise.std():.1f}"
    assert noise[44:556:16, 44:556:16].std() > 0.9 * noise.std(), "the control: every 16th pixel"


@given(st.floats(20, 180), st.floats(20, 180), st.floats(8, 60), st.floats(0, 6.28))
def test_inside_is_what_the_four_corners_say(x, y, radius, angle):
    corners = [
        (x + radius * 2**0.5 * np.cos(angle + k), y + radius * 2**0.5 * np.sin(angle + k))
        for k in np.pi * (np.arange(4) / 2 + 0.25)
    ]
    margin = min(min(a, b, 199 - a, 149 - b) for a, b in corners)
    frame = _regions.frames(np.array([[x, y, radius, angle]]))
    if abs(margin) > 1e-6:
        assert inside(frame, STILL, (150, 200))[0] == (margin > 0)


def test_what_lies_behind_the_camera_is_not_inside():
    behind = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, -1]]) @ np.diag([-1.0, -1, 1])
    frame = _regions.frames(np.array([[100.0, 75, 10, 0]]))
    assert inside(frame, STILL, (150, 200))[0]
    assert not inside(frame, behind, (150, 200))[0]


# — regions —


@pytest.mark.parametrize("scale", [3.2, 6.4])
def test_a_blob_is_found_in_its_place_and_with_five_times_its_scale(scale):
    y, x = np.mgrid[:180, :200]
    blob = 60 + 150 * np.exp(-((x - 97) ** 2 + (y - 88) ** 2) / (2 * scale**2))
    grey = np.uint8(np.rint(blob))
    lower = 2 ** (1 / 6)  # DoG has the σ of the sharper of two pictures, half a step below
    for points, factor in ((_regions.hessian_and_harris(grey), 1), (_regions.dog(grey), lower)):
        near = points[np.hypot(points[:, 0] - 97, points[:, 1] - 88) < scale / 3]
        assert np.abs(np.log2(factor * near[:, 2] / scale)).min() < 1 / 12, near
    radius = _regions.find(grey, np.random.default_rng(0))[:, 2]
    assert np.abs(np.log2(radius / (5 * scale))).min() < 1 / 5


def test_points_of_dog_have_no_bias():
    y, x = np.mgrid[:180, :200]
    grey = np.uint8(60 + 150 * np.exp(-((x - 97) ** 2 + (y - 88) ** 2) / (2 * 3.2**2)))
    np.testing.assert_allclose(_regions.dog(grey)[0, :2], (97, 88), atol=0.05)
    plain = cv2.SIFT_create(enable_precise_upscale=False).detect(grey, None)[0].pt
    assert np.abs(np.array(plain) - (97, 88)).max() > 0.15, "the control: as OpenCV does by default"


def test_no_two_regions_are_nearly_the_same_and_nothing_else_is_lost():
    rng = np.random.default_rng(0)
    regions = np.zeros((300, 4))
    regions[:, :3] = rng.uniform((0, 0, 8), (100, 100, 30), (300, 3))
    kept = _regions.apart(regions)

    def alike(one, other):
        gap = np.hypot(*(one[:2] - other[:2]))
        return _regions.overlap(one[2:3], other[2:3], np.array([gap]))[0] > 0.5

    assert 10 < len(kept) < 300
    assert not any(alike(a, b) for n, a in enumerate(kept) for b in kept[:n])
    place = {tuple(one): n for n, one in enumerate(regions)}
    for lost in regions:
        before = [one for one in kept if place[tuple(one)] < place[tuple(lost)]]
        same = (lost == kept).all(1).any()
        assert same or any(alike(lost, one) for one in before), "what went is like an earlier one"


def counted(r, s, gap):
    """Overlap of two discs, by counting points."""
    x, y = np.meshgrid(np.linspace(-r - s, r + s + gap, 150), np.linspace(-r - s, r + s, 150))
    one, two = np.hypot(x, y) <= r, np.hypot(x - gap, y) <= s
    return (one & two).sum() / (one | two).sum()


@given(st.floats(1, 30), st.floats(1, 30), st.floats(0, 40))
def test_overlap_is_the_share_of_points_in_both(r, s, gap):
    found = _regions.overlap(*(np.array([v]) for v in (r, s, gap)))[0]
    assert found == pytest.approx(counted(r, s, gap), abs=0.03)


@pytest.mark.parametrize("degrees", [0, 40, 170, 250])
def test_the_x_axis_of_a_patch_points_where_it_gets_brighter(degrees):
    angle = np.radians(degrees)
    y, x = np.mgrid[:120, :120] - 60.0
    edge = 128 + 100 * np.tanh((x * np.cos(angle) + y * np.sin(angle)) / 6)
    region = np.array([[60.0, 60, 25, 0]])
    region[:, 3] = _regions.directions(np.uint8(edge), region)
    assert np.abs(np.exp(1j * region[0, 3]) - np.exp(1j * angle)) < np.radians(3)
    patch = patches(np.uint8(edge), _regions.frames(region), STILL, SIDE)[0].astype(int)
    assert (patch[:, -5:].mean() - patch[:, :5].mean()) > 150


def test_directions_are_those_of_a_real_sheet(data):
    """HPatches' patches lie along their own strongest gradient, so ours should be near 0."""
    strip = cv2.imread(str(data / "sequences/sheet/ref.png"), cv2.IMREAD_GRAYSCALE)[: 400 * 65]
    places = np.array([[32.0, 65 * n + 32, 32.0, 0] for n in range(400)])
    near = np.abs(np.angle(np.exp(1j * _regions.directions(strip, places)))) < np.radians(20)
    assert near.mean() > 0.6
    crossed = np.ascontiguousarray(strip.reshape(400, 65, 65).transpose(0, 2, 1)).reshape(-1, 65)
    far = np.abs(np.angle(np.exp(1j * _regions.directions(crossed, places)))) < np.radians(20)
    assert far.mean() < 0.3, "the control: rows and columns exchanged"


def test_the_homographies_of_a_real_sequence_show_the_same_places(data):
    folder = data / "sequences/graf"
    first, second = (cv2.cvtColor(read(folder / f"img{k}.png"), cv2.COLOR_RGB2GRAY) for k in (1, 2))
    known = read_homography(folder / "H1to2p")
    frames = _regions.frames(somewhere(60, first.shape))
    frames = frames[inside(frames, known, second.shape)]

    def alike(homography):
        both = [patches(first, frames, STILL, SIDE), patches(second, frames, homography, SIDE)]
        one, two = (p.reshape(len(p), -1).astype(float) for p in both)
        return np.median([np.corrcoef(a, b)[0, 1] for a, b in zip(one, two, strict=True)])

    assert alike(known) > 0.9
    assert alike(read_homography(folder / "H1to3p")) < 0.5, "the control: another picture's"


# — jitter —


def overlaps(frames):
    """Of the unit disc and each ellipse, by counting points."""
    line = np.linspace(-2.4, 2.4, 80)
    points = np.stack(np.meshgrid(line, line)).reshape(2, -1)
    disc = (points**2).sum(0) <= 1
    back = np.linalg.inv(frames[:, :, :2]) @ (points - frames[:, :, 2:])
    ellipse = (back**2).sum(1) <= 1
    return (disc & ellipse).sum(1) / (disc | ellipse).sum(1)


def median_and_error(strength, count=1000):
    """Of the overlap; the standard error from the spread of its order statistics."""
    drawn = _jitter.drawn(np.random.default_rng(0), count, strength)
    found = np.sort(overlaps(drawn.frames(np.repeat(UNIT[None], count, 0))))
    low, high = (found[int(count / 2 + z * count**0.5 / 2)] for z in (-1, 1))
    return np.median(found), (high - low) / 2


@pytest.mark.parametrize(("strength", "stated"), [*zip(STRENGTHS, (0.85, 0.72, 0.60), strict=True)])
def test_the_median_overlap_is_the_stated_one(strength, stated):
    median, error = median_and_error(strength)
    assert abs(median - stated) < 0.005 + 4 * error, "it is stated to two digits"
    median, error = median_and_error(1.2 * strength)
    assert abs(median - stated) > 0.005 + 4 * error, "the control: a wrong scale"


def test_jitter_keeps_what_it_says_and_turns_nothing_over():
    count = 500
    drawn = _jitter.drawn(np.random.default_rng(1), count, 2.0)
    frames = drawn.frames(np.repeat(UNIT[None], count, 0))
    np.testing.assert_allclose(np.linalg.det(frames[:, :, :2]), drawn.scale**2)
    long, short = np.linalg.svd(frames[:, :, :2], compute_uv=False).T
    np.testing.assert_allclose(long / short, np.maximum(drawn.stretch, 1 / drawn.stretch))
    np.testing.assert_allclose(frames[:, :, 2], drawn.shift)


def test_jitter_goes_with_the_region_and_of_none_nothing_moves():
    regions = _regions.frames(somewhere(50, (200, 240)))
    np.testing.assert_allclose(_jitter.none(50).frames(regions), regions)
    jitter = _jitter.drawn(np.random.default_rng(2), 50, 1.0)
    inner = jitter.frames(np.repeat(UNIT[None], 50, 0))
    whole = np.pad(inner, ((0, 0), (0, 1), (0, 0)))
    whole[:, 2, 2] = 1
    np.testing.assert_allclose(jitter.frames(regions), regions @ whole)


def test_the_first_of_many_draws_are_those_of_few():
    few, many = (_jitter.drawn(np.random.default_rng(3), count, 1.0) for count in (5, 50))
    for one, two in zip(vars(few).values(), vars(many).values(), strict=True):
        np.testing.assert_array_equal(one, two[:5])


# — views —


def test_a_camera_that_did_not_move_sees_the_same():
    np.testing.assert_allclose(_views.homography((300, 400), 0.0, 1.0, 0.0, 1.0), STILL, atol=1e-12)


def test_a_homography_is_the_picture_of_a_tilted_plane():
    """By another road: points of the plane are turned in space, moved away and projected."""
    height, width = shape = (300, 400)
    tilt, about, turn, zoom = 0.7, 0.4, 0.3, 1.3
    f, middle = 1.2 * width, np.array([(width - 1) / 2, (height - 1) / 2])
    axis = np.array([np.cos(about), np.sin(about), 0])
    known = _views.homography(shape, tilt, about, turn, zoom)
    for point in np.array([[0.0, 0], [399, 0], [120, 250], [199.5, 149.5]]):
        space = np.append(point - middle, 0)
        space = (  # Rodrigues' formula
            space * np.cos(tilt)
            + np.cross(axis, space) * np.sin(tilt)
            + axis * (axis @ space) * (1 - np.cos(tilt))
        )
        c, s = np.cos(turn), np.sin(turn)
        space = np.array([c * space[0] - s * space[1], s * space[0] + c * space[1], space[2]])
        space[2] += f / zoom
        x, y, w = known @ np.append(point, 1)
        np.testing.assert_allclose([x / w, y / w], f * space[:2] / space[2] + middle)


def test_a_warped_picture_shows_each_point_where_the_homography_puts_it():
    picture = np.repeat(texture(soft=6)[..., None], 3, 2)
    known = _views.homography(picture.shape[:2], 0.4, 2.0, -0.3, 1.1)
    seen = _views.warp(picture, known)
    x, y = np.random.default_rng(0).uniform(60, 140, (2, 200))
    a, b, w = known @ np.stack([x, y, np.ones(200)])
    before = map_coordinates(picture[..., 0].astype(float), [y, x], order=1)
    after = map_coordinates(seen[..., 0].astype(float), [b / w, a / w], order=1)
    assert np.abs(before - after).max() < 4
    moved = map_coordinates(seen[..., 0].astype(float), [b / w, a / w + 2], order=1)
    assert np.abs(before - moved).max() > 12, "the control: two pixels beside"


def test_light_that_may_not_change_leaves_the_picture():
    none = _views.Light(gamma=0.0, exposure=0.0, haze=0.0, shadow=0.0, tint=0.0, blur=0.0, jpeg=95)
    picture = np.repeat(texture(soft=4)[..., None], 3, 2)
    error = none(picture, np.random.default_rng(0)) - picture[..., 0].astype(float)
    assert np.abs(error).max() <= 4
    assert abs(error.mean()) < 0.1
    changed = _views.LIGHTS["i"](picture, np.random.default_rng(0)) - picture[..., 0].astype(float)
    assert np.abs(changed).mean() > 5, "the control"


def test_i_views_stay_where_they_are_and_v_views_do_not():
    picture = np.repeat(texture()[..., None], 3, 2)
    rng = np.random.default_rng(0)
    assert all((h == STILL).all() for h, _ in _views.views(picture, "i", rng, 5))
    moved = [h for h, _ in _views.views(picture, "v", rng, 5)]
    assert len({h.tobytes() for h in moved}) == 5
    assert not any(np.allclose(h, STILL) for h in moved)
