"""A batch is crops of two shots of one place — checked against a list of all that it may hold.

Every pixel of the data has a value of its own, so a crop tells which scene, shot, place and
orientation it is.
"""

import hashlib
import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisepair.errors import InputError
from noisepair.images import to_unit
from noisepair.models import Scale
from noisepair.noise import Gaussian, Poisson
from noisepair.pairs import Pairs, batch_for, blurred, crop_for, held_out
from noisepair.recipe import Recipe
from noisepair.sources import Scene

CPU = torch.device("cpu")
WAYS = {  # of eight: quarter turns without and with a mirror
    (turn, mirrored): lambda crop, turn=turn, mirrored=mirrored: np.rot90(
        crop[:, ::-1] if mirrored else crop, turn
    )
    for turn in range(4)
    for mirrored in (False, True)
}
STRAIGHT = {(0, False)}
FLIPS = {(0, False), (0, True), (2, True), (2, False)}
TURNS = {(turn, False) for turn in range(4)}


def made(*shapes, dtype=np.uint16, frames=False):
    """Scenes of shape (shots, pages, H, W, C); no value comes twice, all are large."""
    total = sum(int(np.prod(shape)) for shape in shapes)
    if dtype == np.float32:
        values = np.linspace(-3, 900, total, dtype=np.float32)
    else:
        values = (np.iinfo(dtype).max - np.arange(total)).astype(dtype)
    scenes = []
    for n, shape in enumerate(shapes):
        size = int(np.prod(shape))
        shots, values = values[:size].reshape(shape), values[size:]
        labels = tuple(f"{n}/{k}" for k in range(shape[0]))
        scenes.append(Scene(f"scene {n}", tuple(shots), labels, frames=frames))
    return scenes


def opened(scenes, scale=None, **lines):
    recipe = Recipe(**{"crop": 3, "batch": 50, "steps": 1} | lines)
    return Pairs(scenes, recipe, scale or Scale(), CPU)


def key(one, two):
    return np.ascontiguousarray(one).tobytes() + np.ascontiguousarray(two).tobytes()


def possible(scenes, crop):
    """All items, the slow and obvious way: bytes → (scene, page, shot, shot, top, left, way)."""
    items = {}
    for s, scene in enumerate(scenes):
        shots = [to_unit(shot) for shot in scene.shots]
        pages, height, width, _ = shots[0].shape
        for page, (i, j) in itertools.product(
            range(pages), itertools.permutations(range(len(shots)), 2)
        ):
            for top, left in itertools.product(range(height - crop + 1), range(width - crop + 1)):
                window = np.s_[page, top : top + crop, left : left + crop]
                for way, turned in WAYS.items():
                    one, two = (turned(shots[k][window]) for k in (i, j))
                    items[key(one, two)] = (s, page, i, j, top, left, way)
    return items


def drawn(pairs, steps):
    """Keys of what batches hold."""
    for step in range(steps):
        for one, two in zip(*pairs.batch(step), strict=True):
            yield key(one.permute(1, 2, 0).numpy(), two.permute(1, 2, 0).numpy())


SCENES = ((3, 1, 5, 6, 1), (2, 2, 7, 5, 1))


def seen(steps=400, scenes=None, **lines):
    """What batches hold, looked up in all that they may."""
    scenes = scenes or made(*SCENES)
    items = possible(scenes, 3)
    return [items[found] for found in drawn(opened(scenes, **lines), steps)], items


# — the oracle —


def test_the_oracle_tells_all_crops_apart():
    items = possible(made(*SCENES), 3)
    assert len(items) == 6 * (3 * 4) * 8 + 2 * 2 * (5 * 3) * 8


def in_standard_errors(counts, cells):
    """Chi-square of equal chances, as a distance from its mean in standard errors."""
    expected = sum(counts.values()) / cells
    square = sum(n**2 for n in counts.values()) / expected - sum(counts.values())
    return (square - (cells - 1)) / (2 * (cells - 1)) ** 0.5


def test_all_items_occur_and_all_of_a_scene_equally_often():
    found, items = seen()
    assert len(set(items.values()) - set(found)) == 0
    for scene in (0, 1):
        cells = sum(item[0] == scene for item in items.values())
        counts = Counter(item for item in found if item[0] == scene)
        assert abs(in_standard_errors(counts, cells)) < 5
        some = sorted(counts)[: cells // 10]  # the control: a tenth of them twice as often
        crooked = counts + Counter({item: counts[item] for item in some})
        assert in_standard_errors(crooked, cells) > 5


@settings(max_examples=25)
@given(
    shapes=st.lists(
        st.tuples(st.integers(2, 4), st.integers(1, 2), st.integers(3, 6), st.integers(3, 6)),
        min_size=1,
        max_size=3,
    ),
    planes=st.sampled_from([1, 3]),
    crop=st.integers(2, 3),
    frames=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_items_of_any_data_are_two_shots_of_one_place(shapes, planes, crop, frames, seed):
    scenes = made(*((*shape, planes) for shape in shapes), frames=frames)
    items = possible(scenes, crop)
    for found in drawn(opened(scenes, crop=crop, seed=seed, batch=20), 3):
        _, _, i, j, *_ = items[found]
        assert not frames or abs(i - j) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("planes", [1, 3])
def test_values_of_every_type_arrive_to_the_last_bit(dtype, planes):
    """uint16 above 32767 among them, which a signed type would turn negative."""
    scenes = made((2, 1, 4, 5, planes), (2, 1, 5, 4, planes), dtype=dtype)
    assert dtype != np.uint16 or all(shot.min() > 32767 for shot in scenes[0].shots)
    items = possible(scenes, 3)
    assert all(found in items for found in drawn(opened(scenes), 4))


def test_the_network_sees_scaled_values():
    scenes, scale = made(*SCENES), Scale(0.9, 0.05)
    for plain, scaled in zip(
        opened(scenes).batch(3), opened(scenes, scale=scale).batch(3), strict=True
    ):
        torch.testing.assert_close(scaled, (plain - 0.9) / 0.05)


def test_batches_are_float32_in_the_order_that_convolutions_want():
    fresh = {"fresh_noise": True, "noise": Poisson()}
    clean = [replace(s, shots=s.shots[:1]) for s in made((1, 1, 9, 9, 3), dtype=np.uint8)]
    for pairs in (
        opened(made((2, 1, 9, 9, 3))),
        opened(made((2, 1, 9, 9, 3), dtype=np.float32)),
        opened(made((2, 1, 9, 9, 3)), scale=Scale(0.5, 0.1)),
        opened(clean, **fresh),
        opened(clean, **fresh | {"noise": Gaussian()}),
    ):
        for side in pairs.batch(0):
            assert (side.shape, side.dtype) == ((50, 3, 3, 3), torch.float32)
            assert side.is_contiguous(memory_format=torch.channels_last)
            assert not side.is_contiguous()


# — augmentation —


def ways_and_pairs(found):
    return {item[6] for item in found}, {(item[0], item[2], item[3]) for item in found}


FORWARD = {(0, 0, 1), (0, 0, 2), (0, 1, 2), (1, 0, 1)}
BOTH = FORWARD | {(s, j, i) for s, i, j in FORWARD}


@pytest.mark.parametrize(
    ("augment", "ways", "pairs"),
    [
        ((), STRAIGHT, FORWARD),
        (("exchange",), STRAIGHT, BOTH),
        (("flips",), FLIPS, FORWARD),
        (("turns",), TURNS, FORWARD),
        (("flips", "turns"), set(WAYS), FORWARD),
        (("turns", "exchange"), TURNS, BOTH),
        (("exchange", "flips", "turns"), set(WAYS), BOTH),
    ],
)
def test_augmentation_gives_all_that_it_says_and_no_more(augment, ways, pairs):
    found, _ = seen(60, augment=augment)
    assert ways_and_pairs(found) == (ways, pairs)
    for scene, count in ((0, 3), (1, 2)):  # all of it equally often
        cells = len(ways) * count * (count - 1) // (1 if pairs == BOTH else 2)
        counts = Counter((i, j, way) for s, _, i, j, _, _, way in found if s == scene)
        assert cells == 1 or abs(in_standard_errors(counts, cells)) < 5


def test_quarter_turns_alone_never_show_a_mirror_image():
    assert not any(mirrored for *_, (_, mirrored) in seen(20, augment=("turns",))[0])
    assert any(mirrored for *_, (_, mirrored) in seen(20, augment=("flips",))[0])


@pytest.mark.parametrize("augment", [(), ("exchange",)])
def test_frames_pair_with_their_neighbours_only(augment):
    scenes = made((5, 1, 4, 4, 1), (2, 1, 4, 4, 1), frames=True)
    found, _ = seen(20, scenes=scenes, augment=augment)
    steps = {(s, i, j) for s, _, i, j, *_ in found}
    forward = {(0, 0, 1), (0, 1, 2), (0, 2, 3), (0, 3, 4), (1, 0, 1)}
    assert steps == (forward | {(s, j, i) for s, i, j in forward} if augment else forward)
    counts = Counter(min(i, j) for s, _, i, j, *_ in found if s == 0)
    assert abs(in_standard_errors(counts, 4)) < 5
    found, _ = seen(20, scenes=[replace(s, frames=False) for s in scenes], augment=augment)
    assert any(abs(i - j) > 1 for _, _, i, j, *_ in found)


# — order —


@pytest.mark.parametrize("batch", [1, 4, 10, 23])
def test_an_epoch_tiles_every_picture_once(batch):
    """Scenes of 5×6 and of two pages of 7×5 take 4 and 12 squares of 3."""
    scenes = made(*SCENES)
    items = possible(scenes, 3)
    pairs = opened(scenes, batch=batch)
    assert len(pairs) == 16
    order = [items[found][0] for found in drawn(pairs, 3 * 16 // batch + 1)]
    epochs = [tuple(order[n : n + 16]) for n in (0, 16, 32)]
    assert all(Counter(epoch) == {0: 4, 1: 12} for epoch in epochs)
    assert len(set(epochs)) == 3


def equal(one, two):
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("fresh", [{}, {"fresh_noise": True, "noise": Gaussian()}])
def test_a_batch_depends_on_the_seed_and_its_number_alone(fresh):
    pairs = opened(made(*SCENES), **fresh)
    first = [pairs.batch(step) for step in range(12)]
    again = opened(made(*SCENES), **fresh)
    for step in (7, 2, 11, 0):  # whatever came before
        assert equal(again.batch(step), first[step])
    resumed = opened(made(*SCENES), **fresh).batches(5)
    assert all(equal(next(resumed), first[step]) for step in range(5, 12))
    for one, two in itertools.combinations(first, 2):
        assert not equal(one, two)
    for seed in (1, 2**32 - 1):
        assert not equal(opened(made(*SCENES), seed=seed, **fresh).batch(0), first[0])


def test_the_seed_decides_the_order_of_scenes_and_the_places_in_them():
    def drawn_from(*shapes, seed):
        items = possible(made(*shapes), 3)
        return [items[found] for found in drawn(opened(made(*shapes), seed=seed), 2)]

    one, two = (drawn_from(*SCENES, seed=seed) for seed in (0, 1))
    assert [item[0] for item in one] != [item[0] for item in two]
    one, two = (drawn_from(SCENES[0], seed=seed) for seed in (0, 1))
    for part in range(2, 7):  # shots, rows, columns, ways
        assert [item[part] for item in one] != [item[part] for item in two]


# — noise at each step —


def clean_scenes():
    return [replace(s, shots=s.shots[:1], labels=s.labels[:1]) for s in made(*SCENES)]


def test_fresh_noise_is_another_on_both_sides_and_at_each_step():
    """Of one picture of the size of a crop, so that batches differ in noise alone."""
    scene = Scene("grey", (np.full((1, 3, 3, 1), 128, np.uint8),), ("grey",))
    lines = {"noise": Gaussian(0.1), "fresh_noise": True, "augment": ()}
    pairs = opened([scene], **lines)
    sides = [side for step in range(20) for side in pairs.batch(step)]
    sides += opened([scene], seed=1, **lines).batch(0)
    values = torch.stack(sides).flatten()
    assert len(values.unique()) > 0.99 * len(values)
    errors = (torch.stack(sides).flatten(1).double() - 128 / 255) / 0.1
    assert abs(errors.mean()) < 5 / errors.numel() ** 0.5
    together = (errors @ errors.T / errors.shape[1]).fill_diagonal_(0)
    assert together.abs().max() < 5 / errors.shape[1] ** 0.5
    assert abs(errors.square().mean() - 1) < 5 * (2 / errors.numel()) ** 0.5


def test_fresh_noise_is_drawn_on_one_crop():
    scenes = clean_scenes()
    items = possible([replace(s, shots=s.shots * 2, labels=s.labels * 2) for s in scenes], 3)
    pairs = opened(scenes, noise=Gaussian(1e-7), fresh_noise=True)
    levels = np.unique(np.concatenate([to_unit(s.shots[0]).ravel() for s in scenes]))
    for side in (0, 1):
        for crop in pairs.batch(0)[side]:
            nearest = np.abs(levels - crop[0].numpy()[..., None]).argmin(-1)
            exact = levels[nearest][..., None]
            assert key(exact, exact) in items


def test_noise_of_training_is_not_that_of_the_held_out_pictures():
    grey = Scene("grey", (np.full((1, 3, 3, 1), 128, np.uint8),), ("grey",))
    recipe = Recipe(crop=3, batch=1, steps=1, noise=Gaussian(), fresh_noise=True)
    ((one, two),) = held_out([grey], recipe, Scale(), CPU)
    pairs = Pairs([grey], recipe, Scale(), CPU)
    assert not any(torch.equal(side, other) for side in pairs.batch(0) for other in (one, two))


def test_a_picture_that_may_not_be_written_to_can_be_trained_on():
    picture = np.full((1, 3, 3, 1), 0.5, np.float32)
    picture.setflags(write=False)
    pairs = opened([Scene("a", (picture,), ("a",))], noise=Gaussian(), fresh_noise=True)
    pairs.batch(0)
    assert (picture == 0.5).all()


# — what stands for the clean picture —


def singles(scenes, crop):
    """Bytes of each crop of each shot → (scene, page, shot), and how to cut it of another."""
    items = {}
    for s, scene in enumerate(scenes):
        pages, height, width, _ = scene.shots[0].shape
        for page, shot, top, left in itertools.product(
            range(pages), range(len(scene.shots)),
            range(height - crop + 1), range(width - crop + 1),
        ):  # fmt: skip
            window = np.s_[page, top : top + crop, left : left + crop]
            for turned in WAYS.values():
                cut = lambda other, window=window, turned=turned: turned(to_unit(other)[window])  # noqa: E731
                found = cut(scene.shots[shot])
                items[np.ascontiguousarray(found).tobytes()] = (s, shot, cut)
    return items


def crops_of(side):
    return [np.ascontiguousarray(crop.permute(1, 2, 0).numpy()) for crop in side]


def test_the_mean_of_the_others_worked_out_by_hand():
    values = [np.full((1, 3, 3, 1), value, np.float32) for value in (0.0, 0.25, 0.75)]
    pairs = opened([Scene("three", tuple(values), ("a", "b", "c"))], target="others")
    met = {
        (float(one[0, 0, 0]), float(two[0, 0, 0])) for one, two in zip(*pairs.batch(0), strict=True)
    }
    assert met == {(0.0, 0.5), (0.25, 0.375), (0.75, 0.125)}


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_others_is_the_mean_of_the_same_crop_in_all_other_shots_however_many(dtype):
    scenes = made((3, 1, 5, 6, 3), (2, 2, 7, 5, 3), (5, 1, 4, 4, 3), dtype=dtype)
    items, met = singles(scenes, 3), set()
    pairs = opened(scenes, target="others")
    for step in range(12):
        for one, two in zip(*map(crops_of, pairs.batch(step)), strict=True):
            s, shot, cut = items[one.tobytes()]
            others = [cut(other) for k, other in enumerate(scenes[s].shots) if k != shot]
            np.testing.assert_allclose(two, np.mean(others, 0), rtol=1e-6)
            met.add((s, shot))
    assert met == {(s, k) for s, scene in enumerate(scenes) for k in range(len(scene.shots))}


def test_of_two_shots_the_others_are_the_other():
    scenes = made((2, 1, 5, 6, 1), (2, 2, 7, 5, 1))
    for step in range(3):
        one, two = (opened(scenes, target=t).batch(step) for t in ("shot", "others"))
        assert equal(one, two)


def with_clean(*shapes, dtype=np.float32):
    """The last of all shots taken as the clean picture."""
    return [
        replace(s, shots=s.shots[:-1], labels=s.labels[:-1], clean=s.shots[-1])
        for s in made(*shapes, dtype=dtype)
    ]


def test_a_clean_target_is_the_same_crop_of_the_clean_picture_turned_alike():
    scenes = with_clean((4, 1, 5, 6, 3), (3, 2, 7, 5, 3))
    items, met = singles(scenes, 3), set()
    pairs = opened(scenes, target="clean", noise=Gaussian(), shots=3)
    for step in range(8):
        for one, two in zip(*map(crops_of, pairs.batch(step)), strict=True):
            s, shot, cut = items[one.tobytes()]
            np.testing.assert_array_equal(two, cut(scenes[s].clean))
            met.add((s, shot))
    assert met == {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)}


def test_a_clean_target_of_fresh_noise_is_the_picture_under_it():
    sigma, scenes = 0.01, clean_scenes()
    items = singles(scenes, 3)
    pairs = opened(scenes, target="clean", noise=Gaussian(sigma), fresh_noise=True)
    sides = [pairs.batch(step) for step in range(8)]
    assert all(crop.tobytes() in items for _, two in sides for crop in crops_of(two))
    errors = torch.cat([(one - two).flatten() for one, two in sides]).double() / sigma
    assert abs(errors.mean()) < 5 / errors.numel() ** 0.5
    assert abs(errors.square().mean() - 1) < 5 * (2 / errors.numel()) ** 0.5


# — single pixels exchanged, blur, noise on top —

LARGE = ((3, 1, 20, 24, 3), (2, 2, 21, 20, 3))


def both_ways(step, scale=None, **lines):
    """The batch as it is without these lines, and with them."""
    common = {"crop": 18, "batch": 40, "augment": ()}
    scenes = made(*LARGE, dtype=np.float32)
    plain = opened(scenes, scale, **common).batch(step)
    return plain, opened(scenes, scale, **common | lines).batch(step)


def swapped(step, **lines):
    """Where the two shots were exchanged, (B, C, Y, X); each pixel pair must be kept as a set."""
    (one, two), (first, second) = both_ways(step, augment=("pixels",), **lines)
    here = first != one
    assert torch.equal(first, torch.where(here, two, one))
    assert torch.equal(second, torch.where(here, one, two))
    return here


def test_pixels_exchanges_half_of_them_all_planes_of_one_together():
    here = swapped(0)
    assert torch.equal(here.all(1), here.any(1)), "a pixel is exchanged in all planes or in none"
    share = here[:, 0].double()
    assert abs(share.mean() - 0.5) < 5 * 0.5 / share.numel() ** 0.5
    flat = share.flatten(1) * 2 - 1  # from picture to picture and from pixel to pixel, no likeness
    alike = (flat @ flat.T / flat.shape[1]).fill_diagonal_(0)
    assert alike.abs().max() < 5 / flat.shape[1] ** 0.5
    along = ((share[:, :, 1:] - 0.5) * (share[:, :, :-1] - 0.5) * 4).mean()
    assert abs(along) < 5 / share.numel() ** 0.5


@pytest.mark.parametrize(
    "lines",
    [{"augment": ("pixels",)}, {"blur": 1.5}, {"extra_noise": 0.1}, {"input_noise": 0.1}],
)
def test_variation_depends_on_the_seed_and_the_step_alone(lines):
    scene = made((2, 1, 18, 18, 1), dtype=np.float32)  # one crop: batches differ in this alone
    common = {"crop": 18, "batch": 6, "augment": ()} | lines
    first = [opened(scene, **common).batch(step) for step in range(4)]
    resumed = opened(scene, **common).batches(2)
    assert all(equal(next(resumed), first[step]) for step in (2, 3))
    for one, two in itertools.combinations(first, 2):
        assert not torch.equal(one[0], two[0])
    assert not torch.equal(opened(scene, seed=1, **common).batch(0)[0], first[0][0])


def test_blur_is_put_on_one_of_the_two_and_each_in_turn():
    (one, two), (first, second) = both_ways(0, blur=2.0)
    left, right = ((a != b).flatten(1).any(1) for a, b in ((one, first), (two, second)))
    assert not (left & right).any()
    changed = left | right
    assert changed.double().mean() > 0.8, "a sigma below 0.2 changes nothing that float32 can tell"
    assert abs(left[changed].double().mean() - 0.5) < 5 * 0.5 / int(changed.sum()) ** 0.5


def test_blur_keeps_what_is_constant():
    grey = torch.full((3, 2, 9, 7), 0.3)
    kept = blurred(grey, torch.tensor([0.0, 0.7, 9.0]))
    torch.testing.assert_close(kept, grey)
    assert torch.equal(kept[0], grey[0])


def test_blur_is_the_gaussian_that_scipy_knows_of_a_sigma_for_each_picture():
    ndimage = pytest.importorskip("scipy.ndimage")
    pictures = torch.rand(4, 3, 17, 12, generator=torch.Generator().manual_seed(0))
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    sigmas = [0.0, 0.3, 1.0, 2.2]
    found = blurred(pictures, torch.tensor(sigmas))
    assert torch.equal(found[0], pictures[0])
    for sigma, picture, blur in zip(sigmas[1:], pictures[1:], found[1:], strict=True):
        expected = [
            ndimage.gaussian_filter(plane.double().numpy(), sigma, mode="nearest", radius=7)
            for plane in picture
        ]
        np.testing.assert_allclose(blur.numpy(), np.stack(expected), atol=1e-6)


def test_the_sigma_of_blur_is_evenly_spread_up_to_what_was_asked():
    """Of a single bright pixel the blur's second moment is sigma²."""
    side, most, count = 41, 4.0, 300
    picture = np.zeros((1, side, side, 1), np.float32)
    picture[0, side // 2, side // 2] = 1
    lines = {"crop": side, "batch": count, "augment": (), "blur": most}
    pairs = opened([Scene("dot", (picture, picture), ("a", "b"))], **lines)
    one, two = pairs.batch(0)
    at = torch.arange(side, dtype=torch.float64) - side // 2
    moment = sum((shot.double().sum(2)[:, 0] * at**2).sum(1) for shot in (one, two))
    sigma = moment.sqrt()
    for power in (1, 2):  # E[sigma^p] = most^p / (p + 1)
        values = sigma**power
        error = values.std() / count**0.5
        assert abs(values.mean() - most**power / (power + 1)) < 5 * error
    assert most * 0.95 < sigma.max() <= most


@pytest.mark.parametrize("scale", [Scale(), Scale(0.9, 0.05)])
def test_extra_noise_is_on_both_by_itself_and_of_its_sigma_in_picture_units(scale):
    sigma = 0.07
    before, after = both_ways(0, scale, extra_noise=sigma)
    errors = torch.stack(
        [(b.double() - a.double()).flatten() for a, b in zip(before, after, strict=True)]
    )
    errors *= scale.scale / sigma
    count = errors.shape[1]
    assert (errors.mean(1).abs() < 5 / count**0.5).all()
    assert (abs(errors.square().mean(1) - 1) < 5 * (2 / count) ** 0.5).all()
    assert abs((errors[0] * errors[1]).mean()) < 5 / count**0.5, "of two shots, not one noise"
    assert (abs(1.1 * errors.square().mean(1) - 1) > 5 * (2 / count) ** 0.5).all(), "control"


@pytest.mark.parametrize(("scale", "share"), [(Scale(), 0.5), (Scale(0.9, 0.05), 0.8)])
def test_input_noise_is_on_a_share_of_inputs_of_an_even_sigma_and_never_on_a_target(scale, share):
    most, count = 0.2, 400
    flat = np.full((1, 24, 24, 1), 0.5, np.float32)
    scene = Scene("flat", (flat, flat), ("a", "b"))
    lines = {"crop": 24, "batch": count, "augment": (), "input_noise": most, "input_share": share}
    noisy, target = Pairs([scene], Recipe(**lines), scale, CPU).batch(0)
    assert torch.equal(target, target[:1].expand_as(target))
    added = (noisy - target).flatten(1).double() * scale.scale
    sigma = added.square().mean(1).sqrt()
    none = (sigma == 0).double()
    assert abs(none.mean() - (1 - share)) < 5 * 0.5 / count**0.5
    values = sigma[sigma > 0]
    for power in (1, 2):  # E[sigma^p] = most^p / (p + 1)
        error = (values**power).std() / len(values) ** 0.5
        assert abs((values**power).mean() - most**power / (power + 1)) < 5 * error
        assert abs(1.6 * (values**power).mean() - most**power / (power + 1)) > 5 * error, "control"
    assert abs(added.mean()) < 5 * added.std() / added.numel() ** 0.5
    alike = (added[:, 1:] * added[:, :-1]).mean() / added.square().mean()
    assert abs(alike) < 3 * 5 / added.numel() ** 0.5, "white; sigmas differ, so thrice the error"


def test_varied_batches_are_as_convolutions_want_them():
    lines = {"blur": 1.0, "extra_noise": 0.1, "input_noise": 0.1}
    _, sides = both_ways(0, augment=("pixels", "flips"), **lines)
    for side in sides:
        assert side.dtype == torch.float32
        assert side.is_contiguous(memory_format=torch.channels_last)


def test_the_batches_of_the_default_recipe_are_those_of_version_0_1():
    """A figure that was measured then can be measured again: the checksum is of that code."""
    values = (65535 - np.arange(3 * 40 * 33 * 3 + 2 * 35 * 50 * 3)).astype(np.uint16)
    sizes = (3, 1, 40, 33, 3), (2, 1, 35, 50, 3)
    parts = np.split(values, [3 * 40 * 33 * 3])
    scenes = [
        Scene(str(n), tuple(part.reshape(size)), ("a", "b", "c")[: size[0]])
        for n, (part, size) in enumerate(zip(parts, sizes, strict=True))
    ]
    pairs = Pairs(scenes, Recipe(crop=32, batch=3), Scale(0.9, 0.05), CPU)
    total = hashlib.blake2b(digest_size=8)
    for step in range(8):
        for side in pairs.batch(step):
            total.update(side.contiguous().numpy().tobytes())
    assert total.hexdigest() == "9bedda6d869c5769"


# — held out —


def test_held_out_pairs_are_the_first_two_shots_whole_and_fixed():
    scenes = made((3, 1, 5, 6, 1), (2, 1, 5, 6, 1), (2, 1, 7, 5, 1))
    found = held_out(scenes, Recipe(), Scale(), CPU)
    assert [one.shape for one, _ in found] == [(2, 1, 5, 6), (1, 1, 7, 5)]
    flat = [scene for pair in found for scene in zip(*pair, strict=True)]
    for scene, sides in zip(scenes, flat, strict=True):
        for shot, side in zip(scene.shots[:2], sides, strict=True):
            np.testing.assert_array_equal(side.permute(1, 2, 0).numpy(), to_unit(shot)[0])
    again = held_out(scenes, Recipe(seed=5), Scale(), CPU)
    assert all(equal(one, two) for one, two in zip(found, again, strict=True))


def test_of_large_held_out_pictures_the_middle_is_looked_at():
    scene = made((2, 1, 300, 400, 1), dtype=np.float32)[0]
    ((one, two),) = held_out([scene], Recipe(), Scale(), CPU)
    for shot, side in zip(scene.shots, (one, two), strict=True):
        np.testing.assert_array_equal(side[0, 0].numpy(), shot[0, 22:278, 72:328, 0])


def test_of_many_held_out_scenes_some_are_looked_at_from_first_to_last():
    rng = np.random.default_rng(0)
    shots = rng.integers(0, 255, (30, 2, 1, 256, 256, 1), np.uint8)
    scenes = [Scene(str(n), tuple(pair), ("a", "b")) for n, pair in enumerate(shots)]
    found = held_out(scenes, Recipe(), Scale(), CPU)
    firsts = [int(one[0, 0, 0, 0] * 255 + 0.5) for one, _ in found]
    assert firsts == [int(shots[n, 0, 0, 0, 0, 0]) for n in range(0, 30, 8)]
    assert sum(one.numel() for one, _ in found) <= 4 * 256**2


def test_small_held_out_pictures_go_through_together():
    shots = np.random.default_rng(0).integers(0, 255, (100, 2, 1, 32, 32, 3), np.uint8)
    scenes = [Scene(str(n), tuple(pair), ("a", "b")) for n, pair in enumerate(shots)]
    found = held_out(scenes, Recipe(), Scale(), CPU)
    assert [len(one) for one, _ in found] == [64, 36]


@pytest.mark.parametrize("noise", [Gaussian(0.1), Poisson()])
def test_held_out_fresh_noise_is_drawn_once(noise):
    recipe = Recipe(noise=noise, fresh_noise=True, steps=1)
    clean = clean_scenes()
    found, again = (held_out(clean, recipe, Scale(), CPU) for _ in range(2))
    assert all(equal(one, two) for one, two in zip(found, again, strict=True))
    assert not any(torch.equal(one, two) for one, two in found)


# — how large —


def sized(*sizes):
    return [made((2, 1, height, width, 1))[0] for height, width in sizes]


@pytest.mark.parametrize(
    ("sizes", "asked", "crop"),
    [
        ([(100, 200)], None, 64),
        ([(64, 64)], None, 64),
        ([(100, 63)], None, 32),
        ([(100, 100), (33, 80)], None, 32),
        ([(32, 32)], None, 32),
        ([(31, 90)], None, 31),
        ([(1, 1)], None, 1),
        ([(100, 200)], 100, 100),
        ([(100, 200)], 7, 7),
    ],
)
def test_a_crop_fits_all_pictures_and_the_levels_of_the_network(sizes, asked, crop):
    assert crop_for(sized(*sizes), asked) == crop


def test_a_crop_larger_than_a_picture_is_refused_and_the_picture_named():
    said = r"crop=41 is larger than the smallest picture: scene 0 is 40 pixels on its short side\."
    with pytest.raises(InputError, match=said + r" Set crop to 40 or less, or leave it out\."):
        crop_for(sized((90, 40), (80, 80)), 41)
    assert crop_for(sized((90, 40), (80, 80)), 40) == 40


@pytest.mark.parametrize(
    ("crop", "asked", "batch"),
    [(64, None, 4), (32, None, 16), (256, None, 1), (8192, None, 1), (64, 3, 3)],
)
def test_a_batch_holds_as_many_pixels_whatever_the_crop(crop, asked, batch):
    assert batch_for(crop, asked) == batch
