"""A made set is whole, repeats itself byte for byte, and keeps training and judging apart."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from noisepair.app.cli import main
from noisepair.errors import InputError
from noisepair.hpatches import _regions, _scenes, _sheets, _store
from noisepair.hpatches import make as make_page
from noisepair.hpatches._views import homography
from noisepair.hpatches.layout import SHEETS, halved, open_set, read_sheet
from noisepair.hpatches.make import Settings, make, shared
from noisepair.hpatches.splits import find_split
from noisepair.hpatches.tasks import read_retrieval, read_verification

STILL = np.eye(3)


def picture(seed=0, shape=(140, 170)):
    """Structure of several sizes in colour, (H, W, 3)."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.normal(size=(*shape, 3)), (s, s, 0)) * s for s in (2, 4, 8)]
    rough = np.sum(layers, 0)
    return np.uint8(np.clip(128 + 50 * rough / rough.std(), 0, 255))


def save(folder, count, first=0, **how):
    """Photographs of different places."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(first, first + count):
        cv2.imwrite(str(folder / f"p{n:02}.png"), picture(n, **how))
    return folder


def save_series(folder, homographies, reference=None):
    """Six pictures of a plane and their homographies, as HPatches lays them out."""
    folder.mkdir(parents=True)
    reference = picture() if reference is None else reference
    size = reference.shape[1::-1]
    cv2.imwrite(str(folder / "1.ppm"), reference)
    for k, h in enumerate(homographies, start=2):
        cv2.imwrite(str(folder / f"{k}.ppm"), cv2.warpPerspective(reference, h, size))
        np.savetxt(folder / f"H_1_{k}", h)
    return folder


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module", autouse=True)
def short_lists():
    """A hundred thousand pairs take longer than the sets of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_page, "PAIRS", 300)
        yield


@pytest.fixture(scope="module")
def four(tmp_path_factory, short_lists):
    """Four photographs, and the set that one worker makes of them."""
    base = tmp_path_factory.mktemp("four")
    photographs = save(base / "photographs", 4)
    made = make([photographs], base / "set", Settings(seed=1, most=60), held_out=0.5)
    return photographs, made


class Still(_scenes.Series):
    """A sequence whose five other pictures are its reference."""

    def views(self, rng):
        grey = cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)
        return grey, [(STILL, grey)] * 5


STILL_ONE = Still("i_still", (Path("still.png"),), ())
NO_JITTER = Settings(most=60, jitter=(0.0, 0.0, 0.0))


# — patches —


def test_without_motion_jitter_and_change_of_light_all_sixteen_sheets_are_equal():
    sheets = _sheets.make_sheets(STILL_ONE, NO_JITTER).patches
    assert list(sheets) == list(SHEETS)
    assert all((sheet == sheets["ref"]).all() for sheet in sheets.values())
    jittered = _sheets.make_sheets(STILL_ONE, Settings(most=60)).patches
    errors = [np.abs(jittered[s].astype(int) - jittered["ref"]).mean() for s in ("e1", "h1", "t1")]
    assert 3 < errors[0] < errors[1] < errors[2], "the control: more jitter, less alike"


def test_every_sheet_has_a_jitter_of_its_own():
    jitter = _sheets.make_sheets(STILL_ONE, Settings(most=60)).jitter
    shifts = {sheet: one.shift.tobytes() for sheet, one in jitter.items()}
    assert len(set(shifts.values())) == len(SHEETS)


def test_every_region_lies_in_its_picture_and_shows_something(four):
    """By another road: corners from regions and jitter, a point at a time."""
    photographs, _ = four
    scene, settings = _scenes.find([photographs])[0], Settings(seed=1, most=60)
    sheets = _sheets.make_sheets(scene, settings)
    reference, others = scene.views(_sheets.draws(1, scene.name, "views"))
    frames = _regions.frames(sheets.regions)
    outside = 0
    for sheet in SHEETS:
        known, seen = others[int(sheet[1]) - 1] if sheet != "ref" else (STILL, reference)
        for frame, other in zip(sheets.jitter[sheet].frames(frames), frames, strict=True):
            for u in ((-1, -1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, 1)):
                x, y, w = known @ np.append(frame @ u, 1)
                assert 0 <= x / w <= seen.shape[1] - 1
                assert 0 <= y / w <= seen.shape[0] - 1
                wide = known @ np.append(other @ (3 * u[0], 3 * u[1], 1), 1)
                outside += not 0 <= wide[0] / wide[2] <= seen.shape[1] - 1
    assert outside > 100, "the control: three times as large, many are outside"
    assert sheets.patches["ref"].std((1, 2)).min() >= 5


def test_fewer_patches_are_the_first_of_many():
    few, many = (_sheets.make_sheets(STILL_ONE, Settings(most=most)).patches for most in (40, 60))
    assert all((few[sheet] == many[sheet][:40]).all() for sheet in SHEETS)


def test_noise_has_the_stated_deviation_and_no_mean_and_is_white():
    sigma, count = 23.0, 400
    grey = np.full((count, 32, 32), 128, np.uint8)
    noise = _sheets.noisy(grey, sigma, np.random.default_rng(0)).astype(float) - 128
    stated = (sigma**2 + 1 / 12) ** 0.5  # rounding adds its own
    n = noise.size

    def wrong(noise):
        """How far off mean, deviation and neighbours' correlation are, in standard errors."""
        across = (noise[:, :, 1:] * noise[:, :, :-1]).mean() / noise.var()
        down = (noise[:, 1:] * noise[:, :-1]).mean() / noise.var()
        between = (noise[1:] * noise[:-1]).mean() / noise.var()
        return (
            abs(noise.mean()) / (stated / n**0.5),
            abs(noise.std() - stated) / (stated / (2 * n) ** 0.5),
            *(abs(one) * n**0.5 for one in (across, down, between)),
        )

    assert max(wrong(noise)) < 4, wrong(noise)
    for broken in (noise + 0.5, noise * 1.02, noise + 0.02 * np.roll(noise, 1, 2)):
        assert max(wrong(broken)) > 4, "the control"


def test_noise_is_clipped_and_without_it_the_copy_is_the_same():
    rng = np.random.default_rng(0)
    black = _sheets.noisy(np.zeros((9, 32, 32), np.uint8), 31.0, rng)
    assert (black == 0).mean() == pytest.approx(0.5, abs=0.03)
    patches = rng.integers(0, 256, (5, 32, 32), np.uint8)
    assert (_sheets.noisy(patches, 0.0, rng) == patches).all()


# — the set —


def test_a_set_is_complete_and_opens(four):
    _, made = four
    assert sorted(made.counts) == ["i_p01", "i_p03", "v_p00", "v_p02"]
    for side, noisy in ((65, False), (32, False), (32, True)):
        found = open_set(made.out / str(side), noisy=noisy)
        assert found.counts == made.counts
        assert found.side == side
    large, small = (made.out / str(side) / "v_p00" for side in (65, 32))
    rounded = np.rint(halved(read_sheet(large / "h2.png")))
    assert (read_sheet(small / "h2.png") == rounded).all()
    for sheet in SHEETS:
        for kind, columns in (
            ("rotjitter", 1),
            ("trjitter", 2),
            ("scjitter", 1),
            ("anisjitter", 2),
        ):
            shape = np.loadtxt(large / f"{sheet}.{kind}", ndmin=2).shape
            assert shape == (made.counts["v_p00"], columns)
    assert json.loads((made.out / "made.json").read_text())["sequences"] == made.counts


def test_noise_grows_from_easy_to_tough(four):
    _, made = four
    folder = made.out / "32" / "v_p00"

    def deviation(sheet):
        clean, noisy = (read_sheet(folder / f"{sheet}{end}.png") for end in ("", "_noise"))
        inner = (clean > 110) & (clean < 146)  # four deviations from black and white
        return (noisy.astype(float) - clean)[inner].std()

    for sheet, sigma in (("ref", 16), ("e3", 16), ("h3", 23), ("t3", 31)):
        assert deviation(sheet) == pytest.approx(sigma, rel=0.05)


def test_the_same_seed_makes_the_same_bytes_with_any_number_of_workers(four, tmp_path):
    photographs, made = four
    again = make([photographs], tmp_path / "b", Settings(seed=1, most=60), held_out=0.5, workers=2)
    assert contents(again.out) == contents(made.out)
    other = make([photographs], tmp_path / "c", Settings(seed=2, most=60), photographs=1)
    sheet = Path("65/v_p00/e1.png")
    assert (other.out / sheet).read_bytes() != (made.out / sheet).read_bytes(), "the control"


def test_a_stopped_set_goes_on_where_it_was(four, tmp_path):
    photographs, made = four
    out = tmp_path / "set"
    shutil.copytree(made.out, out)
    shutil.rmtree(out / "65" / "i_p03")
    shutil.rmtree(out / "32" / "v_p02")
    kept = (out / "65" / "v_p00" / "ref.png").stat().st_mtime_ns
    again = make([photographs], out, Settings(seed=1, most=60), held_out=0.5)
    assert again.new == 2
    assert contents(out) == contents(made.out)
    assert (out / "65" / "v_p00" / "ref.png").stat().st_mtime_ns == kept


def test_a_sequence_is_there_whole_or_not_at_all(four, tmp_path, monkeypatch):
    photographs, _ = four
    calls = iter(range(100))
    strip = _store.strip

    def failing(patches):
        if next(calls) == 20:
            raise OSError(28, "No space left on device")
        return strip(patches)

    monkeypatch.setattr(_store, "strip", failing)
    with pytest.raises(InputError, match=r"No space left.*Free some space"):
        make([photographs], tmp_path / "set", Settings(seed=1, most=60))
    folders = [p for side in ("65", "32") for p in (tmp_path / "set" / side).iterdir()]
    assert tmp_path / "set" / "65" / "v_p00" in folders
    assert tmp_path / "set" / "32" / "v_p00" not in folders
    for folder in folders:
        assert not folder.name.startswith(".")
        assert len(list(folder.glob("*.png"))) == (16 if folder.parent.name == "65" else 32)


def test_lists_and_split_are_those_that_evaluate_takes(four):
    _, made = four
    for side in ("65", "32"):
        folder = made.out / side
        split = find_split("a", folder)
        assert (split.test, split.train) == (made.split.test, made.split.train)
        assert read_verification(folder / "tasks", "a", split.test) is not None
        asked = read_retrieval(folder / "tasks", "a", split.test)
        assert asked is not None
        assert len(asked.queries) > 10


def test_pictures_that_come_later_change_none_before(four, tmp_path):
    _, made = four
    more = save(tmp_path / "more", 4)
    save(more, 1, first=4)
    settings = Settings(seed=1, most=60, sides=(32,))
    again = make([more], tmp_path / "set", settings, held_out=0.5)
    before, after = contents(made.out / "32" / "v_p02"), contents(again.out / "32" / "v_p02")
    assert before == after


# — training and judging —


def scenes(count):
    return [_scenes.Photograph(Path(f"p{n}.png"), "vi"[n % 2]) for n in range(count)]


@pytest.mark.parametrize(("count", "share"), [(40, 0.25), (40, 0.5), (1, 0.25), (7, 0.1), (8, 1.0)])
def test_every_scene_is_either_for_training_or_for_judging(count, share):
    train, test = shared(scenes(count), share)
    names = [one.name for one in (*train, *test)]
    assert sorted(names) == sorted(one.name for one in scenes(count))
    assert test
    if count == 40:
        assert len(test) == share * count
        assert sum(one.kind == "v" for one in test) == len(test) / 2


def test_pictures_named_for_judging_are_judged_with(tmp_path):
    train, test = save(tmp_path / "train", 2), save(tmp_path / "test", 2, first=2)
    made = make([train], tmp_path / "set", Settings(most=40, sides=(32,)), test=[test])
    assert made.split.train == ("v_p00", "i_p01")
    assert made.split.test == ("v_p02", "i_p03")


def test_a_picture_in_training_and_test_is_refused_whatever_its_name(tmp_path):
    train, test = save(tmp_path / "train", 2), save(tmp_path / "test", 2, first=2)
    shutil.copy(train / "p01.png", test / "other.png")
    with pytest.raises(InputError, match=r"p01\.png and .*other\.png are the same picture"):
        make([train], tmp_path / "set", Settings(), test=[test])
    with pytest.raises(InputError, match="are the same picture"):
        make([train], tmp_path / "set", Settings(), test=[train])
    assert not (tmp_path / "set").exists()


# — sources —


def test_a_sequence_with_homographies_is_read_as_it_lies(tmp_path):
    turn = homography((140, 170), 0.2, 0.5, 0.1, 1.0)
    folder = save_series(tmp_path / "wall", [turn] * 5)
    (series,) = _scenes.find([folder])
    assert series.name == "v_wall"
    reference, others = series.views(np.random.default_rng(0))
    assert reference.shape == (140, 170)
    assert len(others) == 5
    np.testing.assert_allclose(others[0][0], turn)


def test_a_sequence_in_which_nothing_moves_is_one_of_light(tmp_path):
    save_series(tmp_path / "all" / "lamp", [STILL] * 5)
    save_series(tmp_path / "all" / "i_dome", [STILL] * 5)
    save(tmp_path / "all", 1)
    names = [scene.name for scene in _scenes.find([tmp_path / "all"])]
    assert names == ["i_dome", "i_lamp", "v_p00"]


def test_photographs_that_are_numbered_are_photographs(tmp_path):
    for n in range(1, 9):
        cv2.imwrite(str(tmp_path / f"{n}.png"), picture(n))
    found = _scenes.find([tmp_path], most=3)
    assert [scene.name for scene in found] == ["v_1", "i_2", "v_3"]


def test_a_large_photograph_is_made_smaller_and_keeps_its_shape(tmp_path):
    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((1000, 2048, 3), np.uint8))
    reference, others = _scenes.find([tmp_path])[0].views(np.random.default_rng(0))
    assert reference.shape == (500, 1024)
    assert {seen.shape for _, seen in others} == {(500, 1024)}


# — refusals —


def refused(tmp_path, sources, match, **how):
    with pytest.raises(InputError, match=match):
        make(sources, tmp_path / "set", Settings(**how))


def test_a_sequence_without_a_homography_is_refused(tmp_path):
    folder = save_series(tmp_path / "wall", [STILL] * 5)
    (folder / "H_1_4").unlink()
    refused(tmp_path, [folder], r"wall looks like a sequence and lacks homography 1 to 4\. .*Add")
    for file in folder.glob("H_*"):
        file.unlink()
    refused(tmp_path, [folder], "lacks homography 1 to 2, homography 1 to 3,")


def test_a_homography_that_is_none_is_refused(tmp_path):
    folder = save_series(tmp_path / "wall", [STILL] * 5)
    for text in ("1 2 3", "0 0 0 0 0 0 0 0 0", "a b c d e f g h i", "1 0 nan 0 1 0 0 0 1"):
        (folder / "H_1_3").write_text(text)
        refused(tmp_path, [folder], r"H_1_3 holds no homography: '.*nine numbers.*Copy it again")


def test_sources_without_pictures_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    refused(tmp_path, [tmp_path / "empty"], "holds no picture")
    refused(tmp_path, [tmp_path / "absent"], "does not exist")


def test_small_and_empty_pictures_are_left_out_and_alone_refused(tmp_path):
    small = save(tmp_path / "small", 1, shape=(90, 170))
    refused(tmp_path, [small], r"170×90 pixels, too few for regions\. Take pictures of 128")
    flat = tmp_path / "flat"
    flat.mkdir()
    cv2.imwrite(str(flat / "sky.png"), np.full((160, 160, 3), 200, np.uint8))
    with pytest.raises(InputError, match=r"gives 0 patches, and a sequence must have 32\. Take"):
        make([flat], tmp_path / "other", Settings())
    made = make(
        [save(tmp_path / "some", 1), flat], tmp_path / "third", Settings(most=40), held_out=1.0
    )
    assert list(made.counts) == ["v_p00"]
    assert list(made.left_out) == ["i_sky"]


def test_a_folder_made_otherwise_is_refused(four, tmp_path):
    photographs, made = four
    with pytest.raises(InputError, match="was made with seed 1, and now 5 is asked for"):
        make([photographs], made.out, Settings(seed=5, most=60))
    with pytest.raises(InputError, match=r"holds i_p01, which these pictures do not make \(3 such"):
        make([photographs], made.out, Settings(seed=1, most=60), photographs=1)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds mine\.txt and no made\.json"):
        make([photographs], tmp_path, Settings())
    (tmp_path / "made.json").write_text("[]")
    with pytest.raises(InputError, match="is no record of a set"):
        make([photographs], tmp_path, Settings())


def test_two_pictures_of_one_name_are_refused(tmp_path):
    one, two = save(tmp_path / "one", 1), save(tmp_path / "two", 1, first=1)
    (two / "p01.png").rename(two / "p00.png")
    with pytest.raises(InputError, match=r"would both become the sequence v_p00\. Rename"):
        make([one], tmp_path / "set", Settings(), test=[two])


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"most": 5}, "most=5 is fewer"),
        ({"seed": -1}, "seed=-1"),
        ({"sides": (64,)}, r"sides=\(64,\).*65, 32 or both"),
        ({"sigmas": (1.0, 2.0, 300.0)}, "three numbers of 0 to 255, such as 16 23 31"),
        ({"jitter": (1.0, 2.0, -3.0)}, "three numbers of 0 to 5, such as 0.93 1.84 2.85"),
    ],
)
def test_settings_that_cannot_be_are_refused(how, match):
    with pytest.raises(InputError, match=match):
        Settings(**how)


def test_a_share_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"held_out=0\.0 is no share"):
        shared(scenes(4), 0.0)


# — the command —


def test_the_command_makes_a_set_and_a_picture_of_it(tmp_path, capsys):
    photographs, out = save(tmp_path / "photographs", 2), tmp_path / "set"
    words = ["hpatches", "make", str(photographs), "--out", str(out), "--most", "40"]
    assert main([*words, "--held-out", "1", "--sides", "32", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["test"], plain["train"], plain["new"]) == (["v_p00", "i_p01"], [], 2)
    sheet = cv2.imread(plain["sheet"], cv2.IMREAD_GRAYSCALE)
    assert sheet.shape[1] > 16 * 64
    assert main([*words, "--held-out", "1", "--sides", "32", "--seed", "3"]) == 2
    assert "was made with seed 0, and now 3 is asked for" in capsys.readouterr().err
    assert main([*words, "--photos", "0"]) == 2
    assert "--photos 0 is none at all" in capsys.readouterr().err
