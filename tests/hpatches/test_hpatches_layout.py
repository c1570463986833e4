"""Sets on disk: what is written is read again, what is not whole is refused in a sentence."""

import json
import re

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays
from PIL import Image

from noisepair.errors import InputError
from noisepair.hpatches import splits
from noisepair.hpatches.layout import (
    SHEETS,
    halved,
    open_set,
    parts,
    read_sheet,
    sheet_path,
    write_sheet,
)
from noisepair.hpatches.splits import Split, find_split, official, read_splits, write_splits


def patches(count=3, side=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side), np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two whole sequences, one of them with noisy sheets."""
    for name, count in (("i_one", 3), ("v_two", 5)):
        for number, sheet in enumerate(SHEETS):
            write_sheet(sheet_path(tmp_path, name, sheet), patches(count, seed=number))
    for number, sheet in enumerate(SHEETS):
        write_sheet(sheet_path(tmp_path, "i_one", sheet, noisy=True), patches(3, seed=50 + number))
    (tmp_path / "tasks").mkdir()
    return tmp_path


# — sheets —


@pytest.mark.parametrize("side", [32, 65])
def test_a_sheet_that_is_written_is_read_again(tmp_path, side):
    made = patches(4, side)
    write_sheet(tmp_path / "new" / "ref.png", made)
    assert np.array_equal(read_sheet(tmp_path / "new" / "ref.png"), made)
    with Image.open(tmp_path / "new" / "ref.png") as strip:
        assert (strip.size, strip.mode) == ((side, 4 * side), "L")
        assert np.array_equal(np.asarray(strip)[2 * side : 3 * side], made[2]), (
            "one below the other"
        )


def test_a_real_sheet_has_its_patches(data):
    path = data / "sequences" / "sheet" / "ref.png"
    if not path.exists():
        pytest.skip("needs the real sheet")
    found = read_sheet(path)
    assert found.shape == (1123, 65, 65)
    assert found.std((1, 2)).min() > 5, "the benchmark took no patch that is flatter"


def test_grey_in_three_planes_is_grey(tmp_path):
    made = patches(2).reshape(64, 32)
    Image.fromarray(np.stack([made] * 3, -1)).save(tmp_path / "ref.png")
    assert np.array_equal(read_sheet(tmp_path / "ref.png").reshape(64, 32), made)
    colour = np.stack([made, made, made // 2], -1)
    Image.fromarray(colour).save(tmp_path / "ref.png")
    with pytest.raises(InputError, match="grey with 8 bits"):
        read_sheet(tmp_path / "ref.png")


# — sets —


def test_a_set_tells_its_counts_without_reading_pixels(folder):
    path = sheet_path(folder, "v_two", "t5")
    path.write_bytes(path.read_bytes()[:40])  # the header is whole, the pixels are gone
    found = open_set(folder)
    assert (found.counts, found.side, found.noisy) == ({"i_one": 3, "v_two": 5}, 32, False)
    assert np.array_equal(found.sheet("i_one", "e2"), patches(3, seed=2))
    with pytest.raises(InputError, match=r"t5\.png cannot be read"):
        found.sheet("v_two", "t5")


def test_noisy_sheets_are_another_set(folder):
    found = open_set(folder, noisy=True)
    assert found.counts == {"i_one": 3}
    assert np.array_equal(found.sheet("i_one", "ref"), patches(3, seed=50))


def test_only_the_sequences_that_are_asked_for_matter(folder):
    sheet_path(folder, "v_two", "h3").unlink()
    assert open_set(folder, ["i_one"]).counts == {"i_one": 3}
    with pytest.raises(InputError, match=r"h3\.png is missing"):
        open_set(folder, ["v_two"])


def damaged(folder, make):
    make(sheet_path(folder, "v_two", "t1"))
    with pytest.raises(InputError) as refusal:
        open_set(folder)
    return str(refusal.value)


DAMAGES = {
    "missing": (lambda path: path.unlink(), "t1.png is missing. A sequence has the 16 sheets"),
    "another count": (
        lambda path: write_sheet(path, patches(4)),
        "ref has 5 patches of 32×32 and t1 4 of 32×32",
    ),
    "another width": (
        lambda path: write_sheet(path, patches(5, 65)),
        "ref has 5 patches of 32×32 and t1 5 of 65×65",
    ),
    "64 wide": (lambda path: write_sheet(path, patches(5, 64)), "is 64 pixels wide"),
    "half a patch": (
        lambda path: Image.fromarray(np.zeros((80, 32), np.uint8)).save(path),
        "no whole number of 32×32",
    ),
    "no picture": (lambda path: path.write_bytes(b"no sheet at all, but long"), "is no PNG"),
    "empty": (lambda path: path.write_bytes(b""), "is no PNG"),
}


@pytest.mark.parametrize(("make", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a_set_that_is_not_whole_is_refused_in_a_sentence(folder, make, words):
    assert words in damaged(folder, make)


def test_two_widths_are_two_sets(folder):
    for sheet in SHEETS:
        write_sheet(sheet_path(folder, "v_large", sheet), patches(2, 65))
    with pytest.raises(InputError, match="i_one has patches 32 wide and v_large 65"):
        open_set(folder)


def test_a_folder_without_sequences_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no sequence"):
        open_set(tmp_path)
    with pytest.raises(InputError, match="holds no sequence"):
        open_set(tmp_path / "nowhere")


# — 65 to 32 —


def test_halving_is_opencvs_area_mean_before_rounding():
    made = patches(20, 65)
    by_opencv = [cv2.resize(one, (32, 32), interpolation=cv2.INTER_AREA) for one in made]
    assert np.abs(halved(made) - np.array(by_opencv, float)).max() <= 0.5 + 1e-3
    linear = [cv2.resize(one, (32, 32), interpolation=cv2.INTER_LINEAR) for one in made]
    assert np.abs(halved(made) - np.array(linear, float)).max() > 5, "control: without averaging"


def test_patches_of_32_stay_as_they_are():
    assert np.array_equal(halved(patches()), patches())
    assert halved(patches()).dtype == np.float32


@given(arrays.arrays(np.uint8, (1, 65, 65)))
def test_halving_keeps_the_mean(made):
    assert halved(made).mean() == pytest.approx(made.mean(), abs=1e-3)


# — splits —


def test_the_splits_are_the_published_ones(data):
    path = data / "hpatches" / "splits.json"
    if not path.exists():
        pytest.skip("needs the published splits")
    plain = json.loads(path.read_text())
    ours = official()
    assert ours.keys() == plain.keys()
    for name, split in plain.items():
        assert list(ours[name].test) == split["test"], "in this order: lists depend on it"
        assert sorted(ours[name].train) == sorted(split.get("train", []))


def test_python_3_would_draw_another_split():
    """Control: random.sample as it is today."""
    import random

    light = [f"i_{name}" for name in splits.I_NAMES.split()]
    assert random.Random(40).sample(light, 20) != list(official()["a"].test[:20])


def test_no_sequence_trains_and_tests():
    for split in official().values():
        names = [*split.test, *split.train]
        assert len(names) == len(set(names)) == (116 if split.train else len(split.test))
        assert all(re.fullmatch("[iv]_[a-z]+", name) for name in names)


def test_splits_that_are_written_are_read_again(tmp_path):
    mine = {"mine": Split("mine", ("i_one",), ("v_two",)), "b": Split("b", ("v_two",))}
    write_splits(tmp_path / "splits.json", mine)
    assert read_splits(tmp_path / "splits.json") == mine
    assert find_split("b", tmp_path / "nothing", tmp_path) == mine["b"], "before the official one"
    assert find_split("b") == official()["b"]


def test_an_unknown_split_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(
        InputError, match=r"Unknown split 'd'. Available: a, b, c, full, illum, view"
    ):
        find_split("d")
    write_splits(tmp_path / "splits.json", {"mine": Split("mine", ("i_one",))})
    with pytest.raises(InputError, match=r"Unknown split 'a'. Available: mine"):
        find_split("a", tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"a": {}}', '{"a": {"test": "i_one"}}', '{"a": {"test": []}}', '{"a": 1}',
     '{"a": {"test": ["i_one"], "train": ["i_one"]}}', '{"a": {"test": [1]}}', "\xff"],
)  # fmt: skip
def test_a_file_that_holds_no_splits_is_refused(tmp_path, text):
    (tmp_path / "splits.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="holds no splits"):
        read_splits(tmp_path / "splits.json")


def test_parts_are_told_where_there_are_two():
    assert list(parts(["i_a", "v_b"])) == ["all", "illumination", "viewpoint"]
    assert list(parts(["v_a", "v_b"])) == ["all"]
    assert list(parts(["v_a", "b"])) == ["all", "viewpoint"]
