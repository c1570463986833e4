"""Every way that people keep shots is understood, said back, and refused where it cannot teach."""

import contextlib
import io
import pickle
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from noisepair.errors import InputError
from noisepair.images import to_unit
from noisepair.noise import Bernoulli, Gaussian, PointSampling, Poisson, Sequence
from noisepair.sources import (
    Scene,
    Source,
    _scene,
    made_shots,
    open_source,
    read_clean,
    split,
)


def shot(seed, shape=(8, 10), dtype=np.uint8):
    """A picture like no other."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)


def save(path: Path, array: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, array, photometric="rgb" if array.shape[-1] == 3 else "minisblack")
    else:
        Image.fromarray(array).save(path)
    return array


def fill(folder: Path, *names: str, shape=(8, 10), dtype=np.uint8) -> dict[str, np.ndarray]:
    """A picture for every name, all different."""
    return {
        name: save(folder / name, shot([n, len(folder.name)], shape, dtype))
        for n, name in enumerate(names)
    }


def labels(source: Source) -> dict[str, tuple[str, ...]]:
    return {scene.name: scene.labels for scene in source.scenes}


def plain(kept: np.ndarray) -> np.ndarray:
    """(1, H, W, 1) as it was stored."""
    return kept[0, ..., 0] if kept.shape[-1] == 1 else kept[0]


# — two folders, two files —


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("shape", [(8, 10), (8, 10, 3)])
def test_two_folders_pair_by_file_name(tmp_path, suffix, shape):
    names = [f"img{n}{suffix}" for n in (1, 2, 10)]
    a, b = (fill(tmp_path / side, *names, shape=shape) for side in ("a", "bb"))
    found = open_source(tmp_path / "a", str(tmp_path / "bb"))
    assert [scene.name for scene in found.scenes] == names
    for scene in found.scenes:
        np.testing.assert_array_equal(plain(scene.shots[0]), a[scene.name])
        np.testing.assert_array_equal(plain(scene.shots[1]), b[scene.name])
        assert scene.pairs == 2
    colour = "RGB" if len(shape) == 3 else "grey"
    assert found.lines() == [
        f"3 scenes, 2 shots each, 10×8, {colour}, uint8 (two folders, the same file names)",
        "  " + "; ".join(f"a/{name} ↔ bb/{name}" for name in names),
    ]


def test_two_folders_pair_by_name_whatever_the_suffix(tmp_path):
    fill(tmp_path / "a", "x.png", "y.png")
    b = fill(tmp_path / "bb", "x.tif", "y.npy")
    found = open_source(tmp_path / "a", tmp_path / "bb")
    assert labels(found) == {"x": ("x.png", "x.tif"), "y": ("y.png", "y.npy")}
    np.testing.assert_array_equal(plain(found.scenes[1].shots[1]), b["y.npy"])


def test_two_files_are_one_scene_and_two_stacks_a_scene_a_page(tmp_path):
    fill(tmp_path, "a.png", "b.png")
    found = open_source(tmp_path / "a.png", tmp_path / "b.png")
    assert [scene.labels for scene in found.scenes] == [("a.png", "b.png")]
    a, b = fill(tmp_path, "a.tif", "b.tif", shape=(5, 8, 10)).values()
    found = open_source(tmp_path / "a.tif", tmp_path / "b.tif")
    assert len(found.scenes) == 5
    assert found.ordered
    np.testing.assert_array_equal(plain(found.scenes[3].shots[0]), a[3])
    np.testing.assert_array_equal(plain(found.scenes[3].shots[1]), b[3])


def test_two_npy_files_are_two_shots_of_every_scene(tmp_path):
    a, b = fill(tmp_path, "a.npy", "b.npy", shape=(5, 8, 10, 3)).values()
    found = open_source(tmp_path / "a.npy", tmp_path / "b.npy")
    np.testing.assert_array_equal([plain(scene.shots[0]) for scene in found.scenes], a)
    np.testing.assert_array_equal([plain(scene.shots[1]) for scene in found.scenes], b)


def test_two_sources_that_do_not_fit_together_are_refused(tmp_path):
    fill(tmp_path / "a", "x.png", "y.png")
    fill(tmp_path / "bb", "x.png")
    fill(tmp_path / "cc", "x.png", "z.png")
    fill(tmp_path / "ddd", "x.png", "y.png", shape=(8, 9))
    fill(tmp_path / "eee", "x.png", "y.png", shape=(8, 10, 3))
    fill(tmp_path / "fff", "x.tif", "y.tif", dtype=np.uint16)
    (tmp_path / "empty").mkdir()

    def refused(one, two, said):
        with pytest.raises(InputError, match=said):
            open_source(tmp_path / one, tmp_path / two)

    refused("a", "bb", r"a holds 2 pictures and .*bb 1; without a partner: y\.png\. Give both")
    refused("a", "cc", r"differ; without a partner: y, z\. Give both folders the same file names")
    refused("a", "ddd", r"Shots of x\.png differ: a/x\.png is 10×8 .*, ddd/x\.png is 9×8 grey")
    refused("a", "eee", r"is 10×8 grey uint8, eee/x\.png is 10×8 RGB uint8.*same size and type")
    refused("a", "fff", r"x\.png is 10×8 grey uint8, x\.tif is 10×8 grey uint16")
    refused("a", "a/../a", r"Both sources are the folder .*Give two folders of different shots")
    refused("a", "nowhere", r"There is nothing at .*nowhere\. Give a folder")
    refused("nowhere", "a", r"There is nothing at .*nowhere\. Give a folder")
    refused("a", "empty", r"empty holds no picture")
    refused("a", "a/x.png", r"a is a folder and .*x\.png is not\. Give two folders, or two files")
    refused("a/x.png", "a", r"x\.png is a file and .*a a folder")
    refused("a/x.png", "a/x.png", r"x\.png and x\.png of x\.png 0 are identical")
    refused("a/x.png", "ddd/x.png", r"Shots of x\.png differ: x\.png is 10×8")
    for option in ({"frames": True}, {"pattern": "{shot}.png"}):
        with pytest.raises(InputError, match="Two sources pair by file name"):
            open_source(tmp_path / "a", tmp_path / "cc", **option)
    with pytest.raises(InputError, match="SOURCE is a path and SOURCE2 an array"):
        open_source(tmp_path / "a", shot(0))
    with pytest.raises(InputError, match="SOURCE is an array and SOURCE2 a path"):
        open_source(shot(0), tmp_path / "a")


# — names in one folder —


@pytest.mark.parametrize(
    ("names", "scenes"),
    [
        (("a_1", "a_2", "b_1", "b_2"), {"a": ("a_1", "a_2"), "b": ("b_1", "b_2")}),
        (("c2_even", "c2_odd", "c10_even", "c10_odd"),
         {"c2": ("c2_even", "c2_odd"), "c10": ("c10_even", "c10_odd")}),
        (("x-A", "x-B"), {"x": ("x-A", "x-B")}),
        (("s 1", "s 2", "s 10", "t1", "t2"), {"s": ("s 1", "s 2", "s 10"), "t": ("t1", "t2")}),
        (("2024_01_1", "2024_01_2", "2024_02_1", "2024_02_2"),
         {"2024_01": ("2024_01_1", "2024_01_2"), "2024_02": ("2024_02_1", "2024_02_2")}),
        (("m.first", "m.second"), {"m": ("m.first", "m.second")}),
        (("1", "2"), {"names": ("1", "2")}),
    ],
)  # fmt: skip
def test_file_names_pair_by_their_last_word(tmp_path, names, scenes):
    fill(tmp_path / "names", *(f"{name}.png" for name in names))
    found = open_source(tmp_path / "names")
    assert labels(found) == {
        scene: tuple(f"{name}.png" for name in shots) for scene, shots in scenes.items()
    }
    assert "(pairs by file name)" in found.lines()[0]


def test_files_that_pair_with_nothing_are_refused_with_all_ways_out(tmp_path):
    fill(tmp_path, "a_1.png", "a_2.png", "b_1.png", "cat.png")
    said = r"2 of 3 scenes have one shot only: b_1\.png, cat\.png\..*--pattern.*--frames.*--noise"
    with pytest.raises(InputError, match=said):
        open_source(tmp_path)


def test_names_that_differ_in_a_number_only_are_ambiguous(tmp_path):
    fill(tmp_path, *(f"{n:03}.png" for n in range(5)))
    said = r"All 5 pictures .* differ in a number only \(000\.png … 004\.png\)\..* --frames;"
    with pytest.raises(InputError, match=said) as refused:
        open_source(tmp_path)
    advised = re.search("--pattern '(.*?)'", str(refused.value)).group(1)
    found = open_source(tmp_path, pattern=advised)  # what the message says is possible
    assert [len(scene.shots) for scene in found.scenes] == [5]
    assert [len(scene.shots) for scene in open_source(tmp_path, frames=True).scenes] == [5]


@pytest.mark.parametrize(
    ("pattern", "scenes"),
    [
        ("{scene}_{shot}.png", {"cell_a": "cell_a_1 cell_a_2", "cell_b": "cell_b_1 cell_b_2"}),
        ("cell_{scene}_{shot}.*", {"a": "cell_a_1 cell_a_2", "b": "cell_b_1 cell_b_2"}),
        ("cell_{shot}_{scene}.png", {"1": "cell_a_1 cell_b_1", "2": "cell_a_2 cell_b_2"}),
        ("*_{scene}_{shot}.png", {"a": "cell_a_1 cell_a_2", "b": "cell_b_1 cell_b_2"}),
        ("cell_a_{shot}.png", {"cell_a_{shot}.png": "cell_a_1 cell_a_2"}),
        ("{shot}.png", {"{shot}.png": "cell_a_1 cell_a_2 cell_b_1 cell_b_2"}),
    ],
)
def test_a_pattern_says_where_names_agree_and_where_they_differ(tmp_path, pattern, scenes):
    fill(tmp_path, "cell_a_1.png", "cell_a_2.png", "cell_b_1.png", "cell_b_2.png")
    found = open_source(tmp_path, pattern=pattern)
    assert labels(found) == {
        scene: tuple(f"{name}.png" for name in shots.split()) for scene, shots in scenes.items()
    }
    assert f"(pairs by {pattern})" in found.lines()[0]


def test_a_scene_that_is_named_twice_must_be_the_same(tmp_path):
    fill(tmp_path, "x1_of_x.png", "x2_of_x.png", "y1_of_y.png", "y2_of_y.png", "y3_of_z.png")
    found = open_source(tmp_path, pattern="{scene}{shot}_of_{scene}.png")
    assert labels(found) == {
        "x": ("x1_of_x.png", "x2_of_x.png"),
        "y": ("y1_of_y.png", "y2_of_y.png"),
    }


def test_what_does_not_fit_a_pattern_is_left_out_with_a_note(tmp_path):
    fill(tmp_path, "a_1.png", "a_2.png", "map.png", *(f"dark{n}.png" for n in range(6)))
    found = open_source(tmp_path, pattern="{scene}_{shot}.png")
    assert labels(found) == {"a": ("a_1.png", "a_2.png")}
    note = "left out, not fitting the pattern: dark0.png, dark1.png, dark2.png, …, map.png"
    assert found.lines()[2:] == [note]


def test_patterns_that_cannot_pair_are_refused(tmp_path):
    fill(tmp_path / "flat", "a_1.png", "b_2.png")
    fill(tmp_path / "deep" / "s", "1.png", "2.png")
    with pytest.raises(InputError, match=r"--pattern '\{scene\}\.png' has no \{shot\}\. Write it"):
        open_source(tmp_path / "flat", pattern="{scene}.png")
    with pytest.raises(InputError, match=r"No file name fits .* the first is 'a_1\.png'"):
        open_source(tmp_path / "flat", pattern="{scene}-{shot}.png")
    with pytest.raises(InputError, match=r"Scene a has one shot only, a_1\.png"):
        open_source(tmp_path / "flat", pattern="{scene}_{shot}.png")
    with pytest.raises(InputError, match=r"--pattern .*file names of one folder"):
        open_source(tmp_path / "deep", pattern="{scene}_{shot}.png")
    with pytest.raises(InputError, match=r"--pattern .*file names of one folder"):
        open_source(tmp_path / "flat", pattern="{scene}_{shot}.png", frames=True)
    with pytest.raises(InputError, match=r"--pattern .*file names of one folder"):
        open_source(tmp_path / "flat" / "a_1.png", pattern="{scene}_{shot}.png")


# — a folder a scene —


def test_a_folder_a_scene_holds_two_shots_or_more(tmp_path):
    stored = {}
    for count, name in ((2, "kitchen"), (5, "garden"), (3, "attic")):
        stored[name] = fill(tmp_path / name, *(f"{n}.png" for n in range(count)))
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").write_text("no picture")
    found = open_source(tmp_path)
    assert {scene.name: len(scene.shots) for scene in found.scenes} == {
        "attic": 3,
        "garden": 5,
        "kitchen": 2,
    }
    assert [scene.pairs for scene in found.scenes] == [6, 20, 2]
    for scene in found.scenes:
        for label, kept in zip(scene.labels, scene.shots, strict=True):
            np.testing.assert_array_equal(plain(kept), stored[scene.name][label])
    assert found.lines() == [
        "3 scenes, 2 to 5 shots each, 10×8, grey, uint8"
        " (a folder a scene, every two of its shots are a pair)",
        "  0.png ↔ 1.png ↔ 2.png; 0.png ↔ 1.png ↔ 2.png ↔ … ↔ 4.png; 0.png ↔ 1.png",
    ]


def test_hidden_files_make_no_folder_a_scene(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / name, "1.png", "2.png")
    for shadow in (tmp_path / "._a.png", tmp_path / "__MACOSX" / "._1.png"):
        shadow.parent.mkdir(exist_ok=True)
        shadow.write_bytes(b"\0\5\x16\7")  # what macOS leaves beside pictures
    fill(tmp_path / ".thumbnails", "1.png")
    assert [scene.name for scene in open_source(tmp_path).scenes] == ["a", "b"]


def test_scenes_may_differ_in_size_and_shots_may_not(tmp_path):
    fill(tmp_path / "a", "1.png", "2.png", shape=(8, 10))
    fill(tmp_path / "b", "1.png", "2.png", shape=(12, 6))
    assert ", 10×8 to 6×12, grey" in open_source(tmp_path).lines()[0]
    save(tmp_path / "b" / "3.png", shot(9, (12, 7)))
    with pytest.raises(InputError, match=r"Shots of b differ: 1\.png is 6×12 .*, 3\.png is 7×12"):
        open_source(tmp_path)


def test_a_scene_of_one_shot_is_refused(tmp_path):
    fill(tmp_path / "a", "1.png", "2.png")
    fill(tmp_path / "b", "lonely.png")
    with pytest.raises(InputError, match=r"Scene b has one shot only, lonely\.png\. .*two or more"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("shape", "dtype", "looks"), [((8, 10, 3), np.uint8, "RGB uint8"), ((8, 10), np.uint16, "16")]
)
def test_scenes_of_two_types_are_refused(tmp_path, shape, dtype, looks):
    fill(tmp_path / "a", "1.png", "2.png")
    fill(tmp_path / "b", "1.tif", "2.tif", shape=shape, dtype=dtype)
    with pytest.raises(InputError, match=rf"1\.png is .*grey uint8 and 1\.tif is .*{looks}\. Tra"):
        open_source(tmp_path)


# — frames —


def test_a_stack_is_a_sequence(tmp_path):
    stack = save(tmp_path / "film.tif", shot(0, (6, 8, 10), np.uint16))
    found = open_source(tmp_path / "film.tif", frames=True)
    (scene,) = found.scenes
    assert (scene.frames, scene.pairs, found.ordered) == (True, 10, True)
    np.testing.assert_array_equal([plain(frame) for frame in scene.shots], stack)
    assert found.lines() == [
        "1 scene, 6 shots each, 10×8, grey, uint16 (one sequence of frames, neighbours are pairs)",
        "  film page 0 → film page 1 → film page 2 → … → film page 5",
    ]


def test_a_folder_is_a_sequence_in_natural_order(tmp_path):
    stored = fill(tmp_path, "f10.png", "f9.png", "f1.png")
    (scene,) = open_source(tmp_path, frames=True).scenes
    assert scene.labels == ("f1.png", "f9.png", "f10.png")
    for label, frame in zip(scene.labels, scene.shots, strict=True):
        np.testing.assert_array_equal(plain(frame), stored[label])


def test_several_stacks_are_sequences_that_do_not_meet(tmp_path):
    save(tmp_path / "one.tif", shot(0, (4, 8, 10)))
    save(tmp_path / "two.tif", shot(1, (3, 6, 10)))
    found = open_source(tmp_path, frames=True)
    assert [(s.name, len(s.shots), s.frames) for s in found.scenes] == [
        ("one", 4, True),
        ("two", 3, True),
    ]


def test_a_folder_of_frames_a_scene(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / name, "1.png", "2.png", "3.png")
    found = open_source(tmp_path, frames=True)
    assert [(s.name, len(s.shots), s.frames) for s in found.scenes] == [
        ("a", 3, True),
        ("b", 3, True),
    ]


@pytest.mark.parametrize("shape", [(5, 8, 10), (5, 8, 10, 3)])
def test_a_sequence_may_be_an_array(tmp_path, shape):
    frames = save(tmp_path / "film.npy", shot(0, shape, np.float32))
    for source in (tmp_path / "film.npy", frames, list(frames)):
        (scene,) = open_source(source, frames=True).scenes
        assert scene.frames
        np.testing.assert_array_equal([plain(frame) for frame in scene.shots], frames)


def test_sequences_that_are_none_are_refused(tmp_path):
    save(tmp_path / "film.tif", shot(0, (4, 8, 10)))
    save(tmp_path / "one" / "still.png", shot(0))
    fill(tmp_path / "mixed", "1.png", "2.png")
    save(tmp_path / "mixed" / "3.png", shot(3, (9, 10)))
    with pytest.raises(InputError, match=r"film\.tif holds 4 pages\. .* pass --frames; if it is o"):
        open_source(tmp_path / "film.tif")
    with pytest.raises(InputError, match=r"one is one frame\. A sequence needs two frames or more"):
        open_source(tmp_path / "one", frames=True)
    with pytest.raises(InputError, match=r"Shots of mixed differ: 1\.png is 10×8.*3\.png is 10×9"):
        open_source(tmp_path / "mixed", frames=True)


# — arrays —

K, N, H, W = 3, 4, 8, 10


@pytest.mark.parametrize(
    ("shape", "scenes", "planes"),
    [
        ((K, H, W), 1, 1),
        ((K, H, W, 3), 1, 3),
        ((K, 3, H, W), 1, 3),
        ((K, N, H, W), N, 1),
        ((K, N, H, W, 3), N, 3),
        ((K, N, 3, H, W), N, 3),
        ((K, N, H, W, 1), N, 1),
    ],
)
@pytest.mark.parametrize("kind", ["npy", "npz", "array", "list"])
def test_the_first_axis_of_an_array_counts_shots(tmp_path, shape, scenes, planes, kind):
    array = shot(0, shape)
    given = {"npy": tmp_path / "shots.npy", "npz": tmp_path / "shots.npz", "array": array}
    if kind == "npy":
        np.save(given["npy"], array)
    elif kind == "npz":
        np.savez_compressed(given["npz"], **{f"shot{k}": one for k, one in enumerate(array)})
    found = open_source(given.get(kind, list(array)))
    assert len(found.scenes) == scenes
    assert {tuple(s.shape for s in scene.shots) for scene in found.scenes} == {
        ((1, H, W, planes),) * K
    }
    expected = array
    if 3 in shape[1:-1] and planes == 3:
        expected = np.moveaxis(array, shape.index(3, 1), -1)
    kept = [[scene.shots[k][0] for scene in found.scenes] for k in range(K)]
    np.testing.assert_array_equal(kept, expected.reshape(K, scenes, H, W, planes))
    assert found.scenes[0].labels == ("shot 1", "shot 2", "shot 3")


def test_two_arrays_are_two_shots():
    one, two = shot(0, (N, H, W)), shot(1, (N, H, W))
    found = open_source(one, two)
    np.testing.assert_array_equal([plain(s.shots[1]) for s in found.scenes], two)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", ">u2", ">f4"])
def test_values_are_kept_as_they_are(dtype):
    array = shot(0, (2, 8, 10), np.dtype(dtype).newbyteorder("=")).astype(dtype)
    found = open_source(array)
    kept = found.scenes[0].shots[0]
    assert kept.dtype == np.dtype(dtype).newbyteorder("=")
    assert kept.dtype.isnative
    np.testing.assert_array_equal(plain(kept), array[0])
    assert found.kind == str(kept.dtype)


@pytest.mark.parametrize("dtype", ["float64", "float16", "uint32", "int16"])
def test_other_types_become_float32_in_picture_units(dtype):
    array = shot(0, (2, 8, 10), dtype)
    kept = open_source(array).scenes[0].shots[0]
    assert kept.dtype == np.float32
    top = np.iinfo(dtype).max if np.dtype(dtype).kind != "f" else 1.0
    np.testing.assert_allclose(plain(kept), array[0].astype(float) / top, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((1, 8, 10)), r"one array of shape \(1, 8, 10\), which is one shot\. Give two"),
        (np.array(3.0), r"one array of shape \(\), which is one shot"),
        (np.zeros((8,)), r"one array of shape \(8,\), which is one shot"),
        (np.zeros((8, 10)), r"one array of shape \(8, 10\), which is one shot"),
        (np.zeros((8, 10, 3)), r"one array of shape \(8, 10, 3\), which is one shot"),
        ([np.zeros(8), np.zeros(8)], r"A shot of shape \(8,\) is not understood\. Accepted are"),
        ({"a": shot(0), "b": shot(1)}, r"Shots by name are not understood"),
        (np.zeros((2, 4, 2, 8, 10)), r"A shot of shape \(4, 2, 8, 10\) is not understood"),
        ([np.zeros((8, 10)), np.zeros((8, 9))], r"Shots have shapes \(8, 10\), \(8, 9\)\. Give"),
        (shot(0, (2, 8, 10)) > 9, r"Shots of type bool are not pictures"),
        (np.full((2, 8, 10), "a"), r"Shots of type <U1 are not pictures"),
        (np.zeros((2, 0, 8, 10)), r"holds nothing: arrays of shape \("),
        (np.zeros((2, 8, 0)), r"holds nothing: arrays of shape \("),
        ([], r"holds nothing: no array"),
    ],
)
def test_arrays_that_are_no_shots_are_refused(given, said):
    with pytest.raises(InputError, match=said):
        open_source(given)


# — files of arrays and tensors —


def test_the_course_file_is_two_shots_of_every_picture(tmp_path):
    one, two = (torch.from_numpy(shot(n, (6, 3, 32, 32))) for n in range(2))
    torch.save((one, two), tmp_path / "train_data.pkl")
    found = open_source(tmp_path / "train_data.pkl")
    np.testing.assert_array_equal(
        np.concatenate([s.shots[0] for s in found.scenes]), one.permute(0, 2, 3, 1)
    )
    np.testing.assert_array_equal(
        np.concatenate([s.shots[1] for s in found.scenes]), two.permute(0, 2, 3, 1)
    )
    assert found.lines()[0] == (
        "6 scenes, 2 shots each, 32×32, RGB, uint8 (tensors in train_data.pkl)"
    )


class Evil:
    """Unpickled without care, this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("kind", ["pickle", "torch"])
@pytest.mark.parametrize("suffix", [".pkl", ".pt", ".pth"])
def test_a_malicious_file_is_refused_and_not_executed(tmp_path, kind, suffix):
    trap, path = tmp_path / "owned", tmp_path / f"train_data{suffix}"
    good = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    if kind == "pickle":
        path.write_bytes(pickle.dumps((good, Evil(trap))))
    else:
        torch.save((good, Evil(trap)), path)
    with pytest.raises(InputError, match=r"cannot be read safely as tensors .*Accepted is what"):
        open_source(path)
    assert not trap.exists()
    if kind == "torch":  # the control: without care it does
        torch.load(path, weights_only=False)
        assert trap.exists()


def test_a_malicious_npy_is_refused_and_not_executed(tmp_path):
    trap = tmp_path / "owned"
    array = np.empty(2, object)
    array[:] = [Evil(trap), Evil(trap)]
    np.save(tmp_path / "shots.npy", array, allow_pickle=True)
    np.savez(tmp_path / "shots.npz", array=array)
    for name in ("shots.npy", "shots.npz"):
        with pytest.raises(InputError, match=r"cannot be read as NumPy arrays: .* without objects"):
            open_source(tmp_path / name)
        assert not trap.exists()
    np.load(tmp_path / "shots.npy", allow_pickle=True)
    assert trap.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (torch.zeros(4, 3, 32, 32), "holds Tensor. Accepted is a tuple of two tensors"),
        ({"a": torch.zeros(4, 3, 32, 32)}, "holds dict"),
        ((torch.zeros(4, 3, 32, 32), 7), "holds tuple"),
        ((torch.zeros(32, 32), torch.zeros(32, 32)), "holds tuple"),
        ((torch.zeros(4, 2, 9, 9), torch.zeros(4, 2, 9, 9)), r"shape \(4, 2, 9, 9\) is not under"),
        ((torch.ones(4, 3, 9, 9).bool(),) * 2, "Shots of type bool are not pictures"),
        ((torch.ones(4, 3, 9, 9).bfloat16(),) * 2, "cannot be read safely as tensors"),
        ((torch.ones(4, 3, 9, 9), torch.ones(5, 3, 9, 9)), r"Shots have shapes \(4, 9, 9, 3\), "),
        ((torch.ones(0, 3, 9, 9),) * 2, r"holds nothing: arrays of shape \(0"),
    ],
)
def test_tensors_that_are_no_shots_are_refused(tmp_path, content, said):
    torch.save(content, tmp_path / "x.pkl")
    with pytest.raises(InputError, match=said):
        open_source(tmp_path / "x.pkl")


def stored_bytes(suffix):
    array, file = shot(0, (2, 2, 3, 8, 8)), io.BytesIO()
    if suffix == ".npz":
        np.savez_compressed(file, a=array[0], b=array[1])
    elif suffix == ".npy":
        np.save(file, array)
    else:
        torch.save(tuple(torch.from_numpy(array)), file)
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".pkl"])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_a_sentence(tmp_path_factory, suffix, data):
    content = bytearray(stored_bytes(suffix))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(content)))
    path = tmp_path_factory.mktemp("damaged") / f"shots{suffix}"
    path.write_bytes(content[:cut])
    with contextlib.suppress(InputError):
        assert open_source(path).scenes


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut in a length.pkl", b"\x80\x02X\x01"),
        ("of an unknown protocol.pkl", pickle.dumps([1, 2], protocol=5)),
        ("with an open bracket.npy", stored_bytes(".npy").replace(b"(2, 2", b"((2, 2")),
        ("with a wrong bracket.npy", stored_bytes(".npy").replace(b"(2, 2", b")2, 2")),
        ("too long a header.npy", b"\x93NUMPY\x02\x00\xff\xff\x0f\x00" + b" " * 0xFFFFF),
        ("larger than memory.npy", stored_bytes(".npy").replace(b"2, 2,", b"9" * 14 + b",")),
        ("text.npz", b"no archive"),
    ],
)
def test_known_damage_is_refused_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read [^\n]* Accepted [^\n]*$"):
        open_source(tmp_path / name)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".pkl"])
def test_half_a_file_and_no_file_are_refused(tmp_path, suffix):
    path = tmp_path / f"shots{suffix}"
    for size in (0, len(stored_bytes(suffix)) // 2):
        path.write_bytes(stored_bytes(suffix)[:size])
        with pytest.raises(InputError, match=r"cannot be read .*Accepted"):
            open_source(path)
    with zipfile.ZipFile(path.with_name("empty.npz"), "w"):
        pass
    with pytest.raises(InputError, match="holds nothing: no array"):
        open_source(path.with_name("empty.npz"))


# — what cannot teach —


def test_one_picture_is_refused(tmp_path):
    save(tmp_path / "a.png", shot(0))
    with pytest.raises(InputError, match=r"a\.png is one picture, and Noise2Noise needs two shots"):
        open_source(tmp_path / "a.png")


def test_nothing_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("no picture")
    (tmp_path / "a.txt").write_text("no picture")
    for name in ("empty", "text"):
        with pytest.raises(InputError, match=rf"{name} holds no picture\. Accepted: \.png"):
            open_source(tmp_path / name)
    with pytest.raises(InputError, match="There is nothing at"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"a\.txt holds no picture"):
        open_source(tmp_path / "a.txt")


def test_copies_of_one_shot_are_refused_and_named(tmp_path):
    fill(tmp_path, "a_1.png", "b_1.png", "b_2.png")
    (tmp_path / "a_2.png").write_bytes((tmp_path / "a_1.png").read_bytes())
    with pytest.raises(InputError, match=r"a_1\.png and a_2\.png of a are identical\. From two co"):
        open_source(tmp_path)


@pytest.mark.parametrize("value", [0, 255])
def test_constant_pictures_are_refused_and_named(tmp_path, value):
    fill(tmp_path, "a_1.png")
    save(tmp_path / "a_2.png", np.full((8, 10), value, np.uint8))
    with pytest.raises(InputError, match=rf"a_2\.png of a is constant: every value is {value}\."):
        open_source(tmp_path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_that_are_no_numbers_are_refused_and_counted(bad, dtype):
    array = shot(0, (2, 8, 10), dtype)
    array[1, 3, 4] = array[1, 0, 0] = bad
    with pytest.raises(InputError, match=r"shot 2 of scene 0 holds 2 values that are NaN or infin"):
        open_source(array)


def test_a_float64_beyond_float32_is_refused_too():
    array = shot(0, (2, 8, 10), np.float64)
    array[0, 0, 0] = 1e300
    with pytest.raises(InputError, match="holds 1 values that are NaN or infinite"):
        open_source(array)


def test_rare_scenes_without_noise_are_left_out_with_a_note():
    one, two = shot(0, (200, 8, 10)), shot(1, (200, 8, 10))
    two[17], one[60] = one[17], 0
    found = open_source(one, two)
    assert len(found.scenes) == 198
    assert {"scene 17", "scene 60"}.isdisjoint(scene.name for scene in found.scenes)
    note = "left out, without any noise to learn from: scene 17, scene 60"
    assert found.lines()[2:] == [note]
    two[100] = one[100]
    said = r"shot 1 and shot 2 of scene 17 are identical\. .* \(2 more scenes like it\)"
    with pytest.raises(InputError, match=said):
        open_source(one, two)


# — clean pictures —

NOISES = [Gaussian(0.1), Poisson(30.0)]


def clean_folder(tmp_path, dtype=np.uint8):
    suffix = "png" if dtype == np.uint8 else "tif"
    return fill(tmp_path / "clean", *(f"{n}.{suffix}" for n in range(4)), dtype=dtype)


def made(source, noise=NOISES[0], **options):
    return [scene.shots for scene in open_source(source, noise=noise, **options).scenes]


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_clean_pictures_become_two_shots_with_frozen_noise(tmp_path, noise, dtype):
    stored = list(clean_folder(tmp_path, dtype).values())
    found = open_source(tmp_path / "clean", noise=noise, seed=3)
    assert found.synthetic
    assert found.kind == np.dtype(dtype).name
    assert f"{noise.kind} noise" in found.lines()[0]
    assert "drawn once for two shots" in found.lines()[0]
    variance = [c.mean() / 30 / np.iinfo(dtype).max for c in stored]
    for clean, scene, expected in zip(stored, found.scenes, variance, strict=True):
        unit = to_unit(clean)
        one, two = (plain(kept) - unit for kept in scene.shots)
        assert all(kept.dtype == np.float32 for kept in scene.shots)
        assert not np.array_equal(one, two)
        expected = 0.01 if noise == NOISES[0] else expected
        assert (one**2).mean() == pytest.approx(expected, rel=0.8)
        assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 5 / one.size**0.5
    again = open_source(tmp_path / "clean", noise=noise, seed=3)
    assert again.summary()["digest"] == found.summary()["digest"]


def test_frozen_noise_depends_on_the_seed_and_differs_between_pictures():
    clean = [np.full((8, 10), 0.5, np.float32) for _ in range(3)]
    for n, picture in enumerate(clean):
        picture[0, 0] = n / 10
    draws = {
        one[..., 1:, :].tobytes()
        for seed in (0, 1, 2**32 - 1)
        for shots in made(clean, seed=seed)
        for one in shots
    }
    assert len(draws) == 3 * 3 * 2


def test_frozen_noise_does_not_depend_on_the_other_pictures():
    clean = [shot(n, (8, 10)) for n in range(4)]
    whole = made(clean)
    for shots, alone in zip(made(clean[:2]), whole, strict=False):
        np.testing.assert_array_equal(shots, alone)
    changed = made([clean[0], 255 - clean[1], clean[2]])
    np.testing.assert_array_equal(changed[2], whole[2])


def test_a_picture_of_the_same_number_always_gets_the_same_noise():
    clean = shot(0, (1, 8, 10, 1))
    np.testing.assert_array_equal(
        made_shots(clean, NOISES[0], 5, 2), made_shots(clean, NOISES[0], 5, 2)
    )
    assert not np.array_equal(
        made_shots(clean, NOISES[0], 5, 2), made_shots(clean, NOISES[0], 5, 3)
    )


def test_fresh_noise_hands_on_the_clean_pictures(tmp_path):
    stored = list(clean_folder(tmp_path).values())
    found = open_source(tmp_path / "clean", noise=NOISES[0], fresh_noise=True)
    assert [len(scene.shots) for scene in found.scenes] == [1] * 4
    np.testing.assert_array_equal([plain(scene.shots[0]) for scene in found.scenes], stored)
    assert "drawn anew at each step" in found.lines()[0]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_as_many_shots_are_made_as_are_asked_for(tmp_path, count):
    clean_folder(tmp_path)
    found = open_source(tmp_path / "clean", noise=NOISES[0], shots=count)
    assert [len(scene.shots) for scene in found.scenes] == [count] * 4
    assert [scene.labels for scene in found.scenes] == [(f"{n}.png",) * count for n in range(4)]
    number = "two" if count == 2 else str(count)
    assert f"drawn once for {number} shots" in found.lines()[0]
    assert f"4 scenes, {count} shots each, 10×8, grey, uint8" in found.lines()[0]
    assert found.lines()[1] == "  0.png; 1.png; 2.png; …"
    summary = found.summary()
    assert (summary["shots"], summary["pairs"]) == (4 * count, 4 * count * (count - 1))
    for scene in found.scenes:
        assert len({one.tobytes() for one in scene.shots}) == count, "no two alike"


def test_more_shots_leave_the_first_ones_as_they_were():
    clean = [shot(n, (8, 10)) for n in range(3)]
    two, five = made(clean, seed=4), made(clean, seed=4, shots=5)
    for fewer, more in zip(two, five, strict=True):
        np.testing.assert_array_equal(fewer, more[:2])
    np.testing.assert_array_equal(two[1], made_shots(clean[1][None, ..., None], NOISES[0], 4, 1))
    np.testing.assert_array_equal(
        five[2], made_shots(clean[2][None, ..., None], NOISES[0], 4, 2, 5)
    )


def test_made_shots_depend_on_the_seed_and_the_place_and_nothing_else():
    clean = np.full((1, 8, 10, 1), 0.5, np.float32)
    drawn = {
        one.tobytes() for seed in range(4) for n in range(4)
        for one in made_shots(clean, NOISES[0], seed, n, 3)
    }  # fmt: skip
    assert len(drawn) == 4 * 4 * 3
    torch.manual_seed(0)
    first = made_shots(clean, NOISES[0], 1, 2, 3)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002  the global state must not matter
    np.testing.assert_array_equal(made_shots(clean, NOISES[0], 1, 2, 3), first)
    assert (clean == 0.5).all()


def test_made_shots_are_independent_of_one_another():
    clean = np.full((1, 100, 100, 1), 0.5, np.float32)
    rest = np.stack(made_shots(clean, NOISES[0], 0, 0, 6)).reshape(6, -1) - 0.5
    matrix = np.corrcoef(rest)
    assert np.abs(matrix - np.eye(6)).max() < 5 / 100
    assert np.abs(rest.std(1) / 0.1 - 1).max() < 5 / (2 * 10_000) ** 0.5
    copied = np.corrcoef(np.concatenate([rest[:1], rest[:1]]))
    assert not np.abs(copied - np.eye(2)).max() < 5 / 100, "the control"


# — the clean picture beside its shots —


def cells(picture, side):
    """The mean of each whole cell, one after the other."""
    rows, columns = (size // side for size in picture.shape)
    return np.array(
        [
            [
                picture[y * side : (y + 1) * side, x * side : (x + 1) * side].mean()
                for x in range(columns)
            ]
            for y in range(rows)
        ]
    )


def test_the_clean_picture_is_kept_where_it_is_asked_for(tmp_path):
    stored = list(clean_folder(tmp_path).values())
    found = open_source(tmp_path / "clean", noise=NOISES[0], keep_clean=True)
    for scene, picture in zip(found.scenes, stored, strict=True):
        assert scene.clean.dtype == np.float32
        np.testing.assert_allclose(plain(scene.clean), to_unit(picture), atol=1e-7)
    without = open_source(tmp_path / "clean", noise=NOISES[0])
    assert all(scene.clean is None for scene in without.scenes)


def test_the_clean_picture_of_point_sampling_is_the_mean_of_each_cell():
    pictures = [shot(n, (11, 14), np.float32) for n in range(3)]
    found = open_source(pictures, noise=PointSampling(4), keep_clean=True, shots=400)
    for scene, picture in zip(found.scenes, pictures, strict=True):
        assert scene.clean.shape == scene.shots[0].shape == (1, 2, 3, 1)
        np.testing.assert_allclose(plain(scene.clean), cells(picture, 4), rtol=1e-6)
        draws = np.stack([plain(one) for one in scene.shots])
        error = draws.std(0) / 400**0.5
        assert (np.abs(draws.mean(0) - plain(scene.clean)) < 5 * error).all()
        assert set(draws.ravel().tolist()) <= set(picture.ravel().tolist()), "pixels of it"
    corner = np.stack([plain(one) for one in found.scenes[0].shots])
    away = np.abs(corner.mean(0) - pictures[0][::4, ::4][:2, :3])
    assert (away > 5 * corner.std(0) / 400**0.5).any(), "the first pixel of a cell is not it"


def test_the_clean_picture_of_noises_in_sequence_is_what_all_of_them_leave():
    picture = shot(0, (12, 12), np.float32)
    noise = Sequence((PointSampling(2), Gaussian(0.1), PointSampling(3)))
    (scene,) = open_source([picture], noise=noise, keep_clean=True).scenes
    np.testing.assert_allclose(plain(scene.clean), cells(cells(picture, 2), 3), rtol=1e-5)
    assert scene.shots[0].shape == (1, 2, 2, 1)


def test_keeping_the_clean_picture_changes_neither_shots_nor_digest(tmp_path):
    clean_folder(tmp_path)
    with_it, without = (
        open_source(tmp_path / "clean", noise=PointSampling(2), keep_clean=keep)
        for keep in (True, False)
    )
    assert with_it.digest == without.digest
    assert with_it.summary() == without.summary()
    assert with_it.lines() == without.lines()
    other = open_source(tmp_path / "clean", noise=PointSampling(2), keep_clean=True, seed=1)
    assert other.digest != with_it.digest


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_what_is_held_out_keeps_its_clean_picture(share):
    pictures = [shot(n, (8, 10)) for n in range(4)]
    kept, spared = split(open_source(pictures, noise=NOISES[0], keep_clean=True), share, 0)
    for scene in kept + spared:
        number = int(scene.name.split()[-1])
        np.testing.assert_allclose(plain(scene.clean), to_unit(pictures[number]), atol=1e-7)


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (Gaussian((0.0, 50 / 255)), "gaussian noise (sigma 0 to 0.1961) drawn"),
        (PointSampling(2), "point noise (cell 2) drawn"),
        (
            Sequence((Poisson(20.0), Gaussian(0.1))),
            "poisson noise (peak 20), then gaussian noise (sigma 0.1) drawn",
        ),
    ],
)
def test_the_noise_is_said_in_words(noise, said):
    assert said in open_source([shot(0), shot(1)], noise=noise).lines()[0]


@pytest.mark.parametrize(
    ("noise", "side"), [(PointSampling(9), 9), (Sequence((PointSampling(3),) * 2), 9)]
)
def test_a_picture_smaller_than_a_cell_is_refused_in_a_sentence(noise, side):
    said = rf"^A clean picture is 10×8 pixels, and .* every {side}×{side}\. Give larger pictures"
    with pytest.raises(InputError, match=said) as refused:
        open_source([shot(0)], noise=noise)
    assert "noise.cell" in str(refused.value)
    assert not re.search(r"to [01] or less", str(refused.value)), "which no cell can be"
    assert open_source([shot(0, (side, side))], noise=noise).scenes[0].shots[0].size == 1


def test_one_row_and_one_pixel_take_noise_that_keeps_the_size():
    assert made([shot(0, (1, 10))])[0][0].shape == (1, 1, 10, 1)
    assert made([np.float32([[0.5]])], noise=Bernoulli(0.5))[0][0].shape == (1, 1, 1, 1)


def test_clean_pictures_are_read_without_noise():
    found = read_clean([shot(n, (8, 10)) for n in range(3)])
    assert found.synthetic
    assert [scene.name for scene in found.scenes] == ["picture 0", "picture 1", "picture 2"]
    assert {scene.shots[0].dtype for scene in found.scenes} == {np.dtype(np.uint8)}


@pytest.mark.parametrize("shape", [(4, 8, 10), (4, 8, 10, 3), (4, 3, 8, 10)])
def test_clean_pictures_may_be_arrays(shape):
    array = shot(0, shape)
    for given_as in (array, list(array), {f"p{n}": one for n, one in enumerate(array)}):
        shots = made(given_as, noise=Gaussian(1e-6))
        assert len(shots) == 4
        expected = to_unit(array if shape[1] != 3 else np.moveaxis(array, 1, -1))
        np.testing.assert_allclose([plain(one) for one, _ in shots], expected, atol=1e-5)


def test_clean_pictures_that_cannot_be_spoilt_are_refused(tmp_path):
    clean_folder(tmp_path)
    for options in ({"source2": tmp_path}, {"frames": True}, {"pattern": "{shot}.png"}):
        with pytest.raises(InputError, match="--noise makes both shots from clean pictures"):
            open_source(tmp_path / "clean", noise=NOISES[0], **options)
    with pytest.raises(InputError, match=r"picture 1 holds values up to 200, and noise is made in"):
        open_source([shot(0, dtype=np.float32), np.float32([[0.0, 200.0]])], noise=NOISES[0])
    with pytest.raises(InputError, match=r"picture 0 .*NaN"):
        open_source([np.float32([[0.0, np.nan]])], noise=NOISES[0])
    with pytest.raises(InputError, match="nowhere does not exist"):
        open_source(tmp_path / "nowhere", noise=NOISES[0])
    with pytest.raises(InputError, match="holds nothing: no array"):
        open_source([], noise=NOISES[0])
    save(tmp_path / "clean" / "5.png", shot(0, (8, 10, 3)))
    with pytest.raises(InputError, match=r"0\.png is 10×8 grey uint8 and 5\.png is 10×8 RGB"):
        open_source(tmp_path / "clean", noise=NOISES[0])
    save(tmp_path / "clean" / "5.png", np.zeros((8, 10), np.uint8))
    with pytest.raises(InputError, match=r"5\.png of 5\.png is constant"):
        open_source(tmp_path / "clean", noise=NOISES[0])


# — what is held out —


def scenes(count, frames=0, ordered=False):
    """Scenes of two shots, or of frames, of one pixel each."""
    made = tuple(
        Scene(
            f"scene {n}",
            tuple(np.full((1, 1, 1, 1), n * 1000 + k, np.uint16) for k in range(frames or 2)),
            tuple(f"{n}/{k}" for k in range(frames or 2)),
            frames=bool(frames),
        )
        for n in range(count)
    )
    return Source(made, "made", ordered=ordered)


shares = st.floats(0, 1, exclude_max=True)


@given(st.integers(2, 60), shares, st.integers(0, 2**32 - 1), st.booleans())
def test_whole_scenes_are_held_out_and_at_least_one(count, share, seed, ordered):
    source = scenes(count, ordered=ordered)
    kept, spared = split(source, share, seed)
    assert sorted(kept + spared, key=source.scenes.index) == list(source.scenes)
    assert {scene.name for scene in kept}.isdisjoint(scene.name for scene in spared)
    assert kept
    assert bool(spared) == (share > 0)
    if share > 0:
        assert len(spared) == min(count - 1, max(1, round(share * count)))
    if ordered:
        assert kept + spared == source.scenes
    again = split(source, share, seed)
    assert [[scene.name for scene in side] for side in again] == [
        [scene.name for scene in side] for side in (kept, spared)
    ]


def test_the_seed_decides_which_scenes_are_held_out():
    spared = {split(scenes(20), 0.1, seed)[1][0].name for seed in range(30)}
    assert len(spared) > 10


@given(st.integers(2, 60), shares)
def test_a_sequence_is_cut_so_that_no_frame_is_on_both_sides(frames, share):
    source = scenes(1, frames=frames, ordered=True)
    kept, spared = split(source, share, 0)
    sides = [[label for scene in side for label in scene.labels] for side in (kept, spared)]
    assert sides[0] + sides[1] == list(source.scenes[0].labels)
    assert bool(spared) == (share > 0 and frames >= 4)
    for scene in kept + spared:
        assert scene.frames
        assert len(scene.shots) == len(scene.labels) >= 2, "a pair at least"
    if spared and share < 0.5:
        assert len(spared[0].shots) == max(2, round(share * frames))


def test_of_one_scene_nothing_is_held_out():
    source = scenes(1)
    assert split(source, 0.5, 0) == (source.scenes, ())


# — the digest —


def test_the_summary_tells_whether_data_are_these_data():
    array = shot(0, (2, 4, 8, 10))
    summary = open_source(array).summary()
    assert (summary["scenes"], summary["shots"], summary["pairs"]) == (4, 8, 8)
    assert open_source(array.copy()).summary() == summary
    array[1, 2, 3, 4] ^= 1
    assert open_source(array).summary()["digest"] != summary["digest"]


def test_the_digest_is_found_once_and_anew_for_other_shots(monkeypatch):
    read = []

    def counting(shots, real=_scene.digest):
        read.append(1)
        return real(shots)

    source = open_source(shot(0, (2, 4, 8, 10)))
    monkeypatch.setattr(_scene, "digest", counting)
    first = source.summary()["digest"]
    assert source.digest == source.summary()["digest"] == first
    assert len(read) == 1
    fewer = replace(source, scenes=source.scenes[1:])
    assert fewer.digest != first
    assert len(read) == 2
    assert source == replace(source), "and it is no part of what a source is"
