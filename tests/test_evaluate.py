import csv
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from noisepair import images
from noisepair.errors import InputError
from noisepair.evaluate import Evaluation, evaluate, examples
from noisepair.metrics import psnr, ssim

SIGMAS = (5, 15, 40)


def scenes(dtype=np.uint8, shape=(16, 20, 3), count=3):
    """Clean pictures, and the same under ever more noise."""
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1.0
    clean = [rng.random(shape) * 0.6 + 0.2 for _ in range(count)]
    noisy = [c + rng.normal(0, s / 255, shape) for c, s in zip(clean, SIGMAS[:count], strict=True)]

    def stored(picture):
        scaled = np.clip(picture, 0, 1) * top if dtype != np.float32 else picture
        return (np.rint(scaled) if dtype != np.float32 else scaled).astype(dtype)

    return [stored(p) for p in noisy], [stored(p) for p in clean]


def save(folder: Path, pictures, names):
    folder.mkdir(exist_ok=True)
    for picture, name in zip(pictures, names, strict=True):
        if name.endswith(".npy"):
            np.save(folder / name, picture)
        else:
            Image.fromarray(picture).save(folder / name)
    return folder


def towards_grey(pixels, channel_axis):
    """A denoiser of sorts: half the contrast."""
    assert channel_axis == -1
    return (pixels // 2 + 64).astype(pixels.dtype)


def test_two_pictures_worked_out_by_hand():
    clean = [np.zeros((4, 4)), np.zeros((4, 4))]
    noisy = [clean[0] + 0.1, clean[1] + 0.01]
    found = evaluate(noisy, clean, [clean[0] + 0.01, clean[1] + 0.001], data_range=1).as_json()
    assert found["images"] == 2
    assert found["psnr"]["noisy"]["per_image"] == pytest.approx(30)
    assert found["psnr"]["noisy"]["pooled"] == pytest.approx(10 * math.log10(2 / 0.0101))
    assert found["psnr"]["noisy"]["std"] == pytest.approx(math.sqrt(200))
    assert found["psnr"]["denoised"]["per_image"] == pytest.approx(50)
    assert found["psnr"]["gain"]["per_image"] == pytest.approx(20)
    assert found["psnr"]["gain"]["std"] == pytest.approx(0, abs=1e-9)
    assert found["data_range"] == 1
    assert found["data_range_from"] == "given"


def test_pooled_weighs_a_picture_by_its_size():
    clean = [np.zeros((2, 2)), np.zeros((2, 6))]
    found = evaluate([clean[0] + 0.2, clean[1] + 0.1], clean, data_range=1).summary()
    assert found["psnr"]["noisy"]["pooled"] == pytest.approx(-10 * math.log10((0.04 + 0.03) / 4))


def test_each_score_is_that_of_metrics():
    noisy, clean = scenes()
    found = evaluate(noisy, clean, towards_grey)
    for score, before, target in zip(found.scores, noisy, clean, strict=True):
        after = towards_grey(before, -1)
        assert score.noisy.psnr == psnr(before, target, 255)
        assert score.denoised.psnr == psnr(after, target, 255)
        assert score.noisy.ssim == ssim(before, target, 255)
        assert (score.pixels, score.planes) == (16 * 20, 3)
        assert score.gain == score.denoised.psnr - score.noisy.psnr


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(0.001, 0.5), min_size=1, max_size=6))
def test_pooled_is_never_above_per_image_for_pictures_of_one_size(errors):
    clean = [np.zeros((3, 3)) for _ in errors]
    noisy = [picture + error for picture, error in zip(clean, errors, strict=True)]
    found = evaluate(noisy, clean, data_range=1).summary()["psnr"]["noisy"]
    assert found["pooled"] <= found["per_image"] + 1e-9


def test_pooled_may_be_above_per_image_when_sizes_differ():
    clean = [np.zeros((2, 2)), np.zeros((20, 20))]
    found = evaluate([clean[0] + 0.5, clean[1] + 0.001], clean, data_range=1).summary()
    small = found["psnr"]["noisy"]
    assert small["pooled"] < small["per_image"]
    found = evaluate([clean[0] + 0.02, clean[1] + 0.01], clean, data_range=1).summary()
    assert found["psnr"]["noisy"]["pooled"] > found["psnr"]["noisy"]["per_image"]


def test_without_denoised_its_keys_are_absent():
    noisy, clean = scenes()
    found = evaluate(noisy, clean)
    said = found.as_json()
    assert list(said["psnr"]) == ["noisy"]
    assert "denoised" not in said["ssim"]
    assert "denoised" not in said["scores"][0]
    assert "denoised" not in found.as_csv()
    assert math.isnan(found.scores[0].gain)


def test_every_figure_has_its_dotted_name():
    noisy, clean = scenes()
    figures = dict(evaluate(noisy, clean, noisy).figures())
    assert figures["images"] == 3
    assert figures["psnr.gain.pooled"] == 0
    assert {"psnr.noisy.per_image", "psnr.denoised.pooled", "ssim.noisy", "ssim.std.noisy"} <= set(
        figures
    )


def test_json_is_strict_where_pictures_are_identical_or_tiny():
    _, clean = scenes(shape=(4, 4, 1))
    said = evaluate(clean, clean, clean).as_json()
    text = json.dumps(said, allow_nan=False)
    assert json.loads(text)["psnr"]["noisy"]["per_image"] is None
    assert said["psnr"]["gain"]["per_image"] is None
    assert said["ssim"]["noisy"] is None
    with pytest.raises(ValueError, match="not JSON compliant"):  # control: the raw summary is not
        json.dumps(evaluate(clean, clean).summary(), allow_nan=False)


def test_csv_has_a_line_a_picture_whatever_the_name():
    noisy, clean = scenes()
    names = ['a,"b".png', "line\nbreak.png", "plain.png"]
    found = evaluate(noisy, clean, noisy, names=names)
    rows = list(csv.DictReader(io.StringIO(found.as_csv())))
    assert [row["name"] for row in rows] == names
    assert float(rows[1]["psnr_denoised"]) == found.scores[1].denoised.psnr
    assert "inf" not in evaluate(noisy, clean).as_csv()


# ---- the range of values


def test_integers_have_the_range_of_their_type():
    for dtype, span in ((np.uint8, 255), (np.uint16, 65535)):
        found = evaluate(*scenes(dtype))
        assert found.data_range == span
        assert np.dtype(dtype).name in found.data_range_from


def test_floats_have_the_range_of_all_the_clean_pictures_together():
    clean = [np.full((4, 4), 10.0), np.full((4, 4), 30.0)]
    noisy = [picture + 2 for picture in clean]
    found = evaluate(noisy, clean)
    assert found.data_range == 20
    assert found.data_range_from == "max − min of all the clean pictures (float64)"
    assert found.summary()["psnr"]["noisy"]["per_image"] == pytest.approx(20)


def test_floats_without_contrast_need_a_range():
    with pytest.raises(InputError, match=r"Every clean value is 0\.5.*Give data_range"):
        evaluate([np.zeros((4, 4))], [np.full((4, 4), 0.5)])


def test_the_full_scale_of_wide_integers_is_not_guessed():
    noisy, clean = ([picture.astype(np.int64) for picture in group] for group in scenes())
    with pytest.raises(InputError, match=r"hold int64, .* Give data_range"):
        evaluate(noisy, clean)
    given = evaluate(noisy, clean, data_range=255).summary()
    assert given == evaluate(*scenes()).summary()


def test_a_deeper_noisy_file_is_compared_in_the_units_of_the_clean_one():
    noisy, clean = scenes()
    deeper = [picture.astype(np.uint16) * 257 for picture in noisy]
    unit = [picture / np.float64(255) for picture in noisy]
    expected = evaluate(noisy, clean).summary()["psnr"]["noisy"]["pooled"]
    for other in (deeper, unit):
        found = evaluate(other, clean)
        assert found.data_range == 255
        assert found.summary()["psnr"]["noisy"]["pooled"] == pytest.approx(expected, rel=1e-9)


def test_floats_in_the_units_of_eight_bits_are_not_compared_by_mistake():
    noisy, clean = scenes()
    as_floats = [picture.astype(np.float32) for picture in noisy]
    with pytest.raises(InputError, match=r"noisy 1 holds float32 .* run from 0 to 1"):
        evaluate(as_floats, clean)
    with pytest.raises(InputError, match=r"noisy 1 holds uint8 and the clean pictures float32"):
        evaluate(noisy, [picture.astype(np.float32) for picture in clean])


# ---- what is paired with what


def test_folders_are_paired_by_name_not_by_order(tmp_path):
    noisy, clean = scenes()
    a = save(tmp_path / "noisy", noisy, ["1.png", "2.png", "10.png"])
    b = save(tmp_path / "clean", clean, ["1.png", "2.png", "10.png"])
    found = evaluate(a, str(b), towards_grey)
    assert [score.name for score in found.scores] == ["1.png", "2.png", "10.png"]
    assert found.summary() == evaluate(noisy, clean, towards_grey).summary()
    shuffled = [b / "10.png", b / "1.png", b / "2.png"]
    assert evaluate(a, shuffled).summary() == evaluate(noisy, clean).summary()


def test_another_ending_is_no_other_name(tmp_path):
    noisy, clean = scenes(np.uint8)
    a = save(tmp_path / "noisy", [p / np.float32(255) for p in noisy], ["x.npy", "y.npy", "z.npy"])
    b = save(tmp_path / "clean", clean, ["x.png", "y.png", "z.png"])
    found = evaluate(a, b).summary()["psnr"]["noisy"]["pooled"]
    assert found == pytest.approx(evaluate(noisy, clean).summary()["psnr"]["noisy"]["pooled"])


def test_two_single_files_are_paired_whatever_their_names(tmp_path):
    noisy, clean = scenes(count=1)
    a = save(tmp_path / "a", noisy, ["shot.png"])
    b = save(tmp_path / "b", clean, ["truth.png"])
    assert evaluate(a / "shot.png", b / "truth.png").summary() == evaluate(noisy, clean).summary()
    with pytest.raises(InputError, match="do not pair up"):
        evaluate(a, b)


def test_a_missing_partner_is_named(tmp_path):
    noisy, clean = scenes()
    a = save(tmp_path / "noisy", noisy, ["1.png", "2.png", "3.png"])
    b = save(tmp_path / "clean", clean[:2], ["1.png", "4.png"])
    with pytest.raises(InputError, match="no clean picture for '2', '3'; no noisy picture for '4'"):
        evaluate(a, b)
    with pytest.raises(InputError, match="no denoised picture for '2', '3'"):
        evaluate(a, a, b)


def test_one_name_twice_is_refused(tmp_path):
    noisy, clean = scenes(count=2)
    a = save(tmp_path / "noisy", noisy, ["1.png", "1.bmp"])
    b = save(tmp_path / "clean", clean, ["1.png", "2.png"])
    with pytest.raises(InputError, match="more than one picture called '1'"):
        evaluate(a, b)


def test_different_sizes_are_refused_with_both_names(tmp_path):
    noisy, clean = scenes()
    a = save(tmp_path / "noisy", noisy, ["1.png", "2.png", "3.png"])
    b = save(tmp_path / "clean", [clean[0], clean[1][:-1], clean[2]], ["1.png", "2.png", "3.png"])
    with pytest.raises(InputError, match=r"2\.png has the shape \(1, 16, 20, 3\) and 2\.png"):
        evaluate(a, b)
    with pytest.raises(InputError, match="Crop or convert one"):
        evaluate(noisy, [picture[..., :1] for picture in clean])
    with pytest.raises(InputError, match=r"denoised 1 has the shape"):
        evaluate(noisy, clean, [picture[1:] for picture in clean])


def test_a_denoiser_that_changes_the_shape_is_refused():
    noisy, clean = scenes()
    with pytest.raises(InputError, match=r"noisy 1, denoised, has the shape"):
        evaluate(noisy, clean, lambda pixels, channel_axis: pixels[1:])


def test_counts_must_agree_where_there_are_no_names():
    noisy, clean = scenes()
    with pytest.raises(InputError, match="3 noisy and 2 clean pictures"):
        evaluate(noisy, clean[:2])
    with pytest.raises(InputError, match="2 names for 3 pictures"):
        evaluate(noisy, clean, names=["a", "b"])


def test_one_array_is_a_stack_only_with_four_axes():
    noisy, clean = scenes()
    assert evaluate(np.stack(noisy), np.stack(clean)).summary() == evaluate(noisy, clean).summary()
    with pytest.raises(InputError, match="one array of 3 axes: is it one picture or many"):
        evaluate(noisy[0], clean[0])
    with pytest.raises(InputError, match="noisy 1 is an array of 1 axes"):
        evaluate([np.zeros(3)], clean)


def test_nothing_and_mixtures_are_refused():
    noisy, clean = scenes()
    with pytest.raises(InputError, match="0 arrays and 0 files"):
        evaluate([], clean)
    with pytest.raises(InputError, match="1 arrays and 1 files"):
        evaluate([noisy[0], "a.png"], clean)


def test_pages_of_a_stack_are_pictures(tmp_path):
    noisy, clean = scenes()
    np.save(tmp_path / "n.npy", np.stack(noisy))
    np.save(tmp_path / "c.npy", np.stack(clean))
    found = evaluate(tmp_path / "n.npy", tmp_path / "c.npy")
    assert [score.name for score in found.scores] == [f"n.npy, page {i}" for i in (1, 2, 3)]
    assert found.summary() == evaluate(noisy, clean).summary()


# ---- what fails alone, and what is left


def test_a_damaged_file_is_reported_and_the_rest_go_on(tmp_path):
    noisy, clean = scenes()
    a = save(tmp_path / "noisy", noisy, ["1.png", "2.png", "3.png"])
    b = save(tmp_path / "clean", clean, ["1.png", "2.png", "3.png"])
    (a / "2.png").write_bytes((a / "2.png").read_bytes()[:60])
    found = evaluate(a, b)
    assert [score.name for score in found.scores] == ["1.png", "3.png"]
    assert "2.png" in found.failed["2.png"]
    assert found.as_json()["failed"][0]["name"] == "2.png"
    kept = evaluate([noisy[0], noisy[2]], [clean[0], clean[2]])
    assert found.summary() == kept.summary()


@pytest.mark.parametrize("which", ["noisy", "clean", "denoised"])
def test_nan_is_reported_wherever_it_is(which):
    noisy, clean = scenes(np.float32)
    three = {"noisy": noisy, "clean": clean, "denoised": [p.copy() for p in clean]}
    three[which][1][0, 0, 0] = np.nan
    found = evaluate(**three)
    assert list(found.failed) == ["noisy 2"]
    assert "nan or infinite" in found.failed["noisy 2"]
    assert len(found.scores) == 2


def test_nan_out_of_a_denoiser_is_no_score():
    noisy, clean = scenes(np.float32)
    with pytest.raises(
        InputError, match=r"None of the 3 .* denoised, holds 960 values that are nan"
    ):
        evaluate(noisy, clean, lambda pixels, channel_axis: pixels * np.float32("nan"))


def test_a_picture_the_denoiser_cannot_take_is_reported():
    noisy, clean = scenes()

    def picky(pixels, channel_axis):
        if pixels is not None and np.array_equal(pixels, noisy[0]):
            raise InputError("This picture has 3 planes. The network wants 1.")
        return pixels

    found = evaluate(noisy, clean, picky)
    assert found.failed == {"noisy 1": "This picture has 3 planes. The network wants 1."}


def test_when_nothing_can_be_scored_the_first_reason_is_given(tmp_path):
    noisy, clean = scenes()
    a = save(tmp_path / "noisy", noisy, ["1.png", "2.png", "3.png"])
    b = save(tmp_path / "clean", clean, ["1.png", "2.png", "3.png"])
    for path in a.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"None of the 3 pictures can be scored. The first: .*png"):
        evaluate(a, b)
    with pytest.raises(InputError, match="None of the 3 pictures can be scored"):
        evaluate(b, a)


def test_our_own_mistakes_are_not_swallowed():
    noisy, clean = scenes()

    def broken(pixels, channel_axis):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        evaluate(noisy, clean, broken)


@pytest.mark.skipif(sys.platform != "linux", reason="such names exist on Linux only")
def test_a_name_that_is_no_utf8_can_be_written_down(tmp_path):
    noisy, clean = scenes(count=2)
    a, b = (
        save(tmp_path / "a", noisy, ["1.png", "2.png"]),
        save(tmp_path / "b", clean, ["1.png", "2.png"]),
    )
    for folder in (a, b):
        os.rename(folder / "1.png", os.fsencode(folder) + b"/\xff.png")
    evaluate(a, b).as_csv().encode()


# ---- how it goes about it


def test_watch_sees_every_file_once():
    seen = []
    evaluate(*scenes(), watch=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_pictures_are_denoised_one_by_one_and_read_when_needed(tmp_path, monkeypatch):
    noisy, clean = scenes()
    a = save(tmp_path / "noisy", noisy, ["1.png", "2.png", "3.png"])
    b = save(tmp_path / "clean", clean, ["1.png", "2.png", "3.png"])
    order = []
    read = images.read

    def noted(path):
        order.append(f"read {path.parent.name} {path.stem}")
        return read(path)

    def denoiser(pixels, channel_axis):
        order.append("denoise")
        return pixels

    monkeypatch.setattr(images, "read", noted)
    evaluate(a, b, denoiser)
    assert order == [
        "read clean 1",  # its type decides the units
        *(line for i in "123" for line in (f"read noisy {i}", f"read clean {i}", "denoise")),
    ]


def test_the_cases_are_the_worst_the_median_and_the_best():
    noisy, clean = scenes()
    found = evaluate(noisy, clean)
    assert found.cases() == {"worst": 2, "median": 1, "best": 0}
    assert found.cases() == evaluate(noisy, clean, noisy).cases()
    # by the PSNR after denoising, where there is one
    assert evaluate(noisy, clean, [clean[0] * 0, clean[1] * 0 + 128, clean[2]]).cases()["best"] == 2
    assert evaluate(noisy[:1], clean[:1]).cases() == {"worst": 0}
    assert evaluate(noisy[:2], clean[:2]).cases() == {"worst": 1, "best": 0}


def test_examples_bring_back_the_pixels_of_the_cases():
    noisy, clean = scenes()
    found = evaluate(noisy, clean, towards_grey)
    shown = examples(found, noisy, clean, towards_grey)
    for case, (label, i) in zip(shown, found.cases().items(), strict=True):
        assert case.label == label
        assert np.array_equal(case.noisy, noisy[i])
        assert np.array_equal(case.denoised, towards_grey(noisy[i], -1))
        assert case.closeness(case.denoised) == found.scores[i].denoised


def test_an_evaluation_says_how_it_was_made():
    found = evaluate(*scenes())
    assert isinstance(found, Evaluation)
    assert "without crop, clamping or rounding" in found.as_json()["protocol"]
    with pytest.raises(AttributeError):
        found.data_range = 1.0


def test_scoring_loads_neither_matplotlib_nor_torch():
    code = "import sys, noisepair.evaluate; print({'matplotlib', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# ---- one file that holds both sides


def both(path: Path, noisy, clean, order=("noisy", "clean")):
    """Write both sides as the course does, planes before rows; in an .npz under these names."""
    sides = [np.stack(pictures).transpose(0, 3, 1, 2) for pictures in (noisy, clean)]
    if path.suffix == ".npz":
        np.savez(path, **dict(zip(order, sides, strict=True)), more=np.arange(3))
    else:
        torch.save(tuple(torch.from_numpy(side.copy()) for side in sides), path)
    return path


@pytest.mark.parametrize("name", ["val_data.pkl", "val.pt", "VAL.PTH", "val.npz"])
def test_one_file_of_both_sides_is_scored_as_its_pictures_are(tmp_path, name):
    noisy, clean = scenes()
    path = both(tmp_path / name, noisy, clean)
    found = evaluate(path, denoised=towards_grey)
    assert found.summary() == evaluate(noisy, clean, towards_grey).summary()
    assert [score.name for score in found.scores] == [f"{name}, page {n}" for n in (1, 2, 3)]
    swapped = evaluate(both(tmp_path / name, clean, noisy), denoised=towards_grey)
    assert swapped.summary() != found.summary()  # control: which side is which does matter


def test_the_two_psnrs_of_one_file_are_those_of_the_course(tmp_path):
    noisy, clean = scenes()
    psnr = evaluate(str(both(tmp_path / "val.pkl", noisy, clean))).summary()["psnr"]["noisy"]
    x, y = (torch.load(tmp_path / "val.pkl", weights_only=True)[side] / 255 for side in (0, 1))
    errors = (x - y).double().square()
    each = -10 * errors.mean((1, 2, 3)).log10()
    assert psnr["per_image"] == pytest.approx(float(each.mean()))  # the distributed test file
    assert psnr["pooled"] == pytest.approx(float(-10 * errors.mean().log10()))  # the statement
    assert psnr["per_image"] > psnr["pooled"] + 1


def test_the_real_slice_has_its_known_noise(data):
    psnr = evaluate(data / "course" / "slice.npz").summary()["psnr"]["noisy"]
    assert psnr["per_image"] == pytest.approx(21.54, abs=0.005)


@pytest.mark.parametrize("names", [("noisy", "clean"), ("val_noisy", "val_clean")])
def test_arrays_are_known_by_their_names_not_their_order(tmp_path, names):
    noisy, clean = scenes()
    path = both(tmp_path / "a.npz", noisy, clean, names)
    backwards = both(tmp_path / "b.npz", clean, noisy, names[::-1])
    assert evaluate(path).summary() == evaluate(noisy, clean).summary()
    assert evaluate(backwards).summary() == evaluate(noisy, clean).summary()


def test_a_file_without_two_sides_is_refused(tmp_path):
    noisy, clean = scenes()
    rows = torch.from_numpy(np.stack(noisy).transpose(0, 3, 1, 2).copy())
    torch.save(rows, tmp_path / "one.pkl")
    torch.save((rows, rows, rows), tmp_path / "three.pkl")
    np.savez(tmp_path / "other.npz", noisy=noisy, truth=clean)
    (tmp_path / "bad.pkl").write_bytes(b"no pickle")
    save(tmp_path, noisy[:1], ["a.png"])
    refusals = {
        "one.pkl": "one.pkl holds Tensor. Accepted is a tuple of two tensors",
        "three.pkl": "three.pkl holds tensor 1, tensor 2, tensor 3. Accepted are",
        "other.npz": "other.npz holds noisy, truth. Accepted are .* two arrays, noisy and clean",
        "bad.pkl": "cannot be read safely as tensors",
        "a.png": "a.png is not a file of tensors or arrays. .* give both",
        "absent.pkl": "absent.pkl is not there. Accepted are",
        ".": "is not a file of tensors or arrays",
    }
    for name, sentence in refusals.items():
        with pytest.raises(InputError, match=sentence):
            evaluate(tmp_path / name)
    with pytest.raises(InputError, match="noisy pictures and no clean ones"):
        evaluate(noisy)


def test_sides_of_unequal_shapes_are_refused(tmp_path):
    noisy, clean = scenes()
    with pytest.raises(InputError, match=r"\(2, 16, 20, 3\) and clean ones \(3, 16, 20, 3\)"):
        evaluate(both(tmp_path / "val.pkl", noisy[:2], clean))


class Paged:
    """A denoiser of sorts that takes pages together, and counts how often it was asked."""

    def __init__(self):
        self.shapes = []

    def __call__(self, pixels, channel_axis):
        self.shapes.append(pixels.shape)
        return towards_grey(pixels, channel_axis)

    def pages(self, noisy):
        return self(noisy, -1)


def test_pages_of_one_file_are_denoised_together_by_whoever_can(tmp_path):
    noisy, clean = scenes()
    path = both(tmp_path / "val.pkl", noisy, clean)
    together, each = Paged(), Paged()
    found = evaluate(path, denoised=together)
    assert together.shapes == [(3, 16, 20, 3)]
    one_by_one = evaluate(path, denoised=lambda pixels, channel_axis: each(pixels, channel_axis))
    assert each.shapes == [(16, 20, 3)] * 3
    assert found.summary() == one_by_one.summary()


def test_examples_of_one_file_are_its_pages(tmp_path):
    noisy, clean = scenes()
    path = both(tmp_path / "val.pkl", noisy, clean)
    denoiser = Paged()
    found = evaluate(path, denoised=denoiser)
    for case, i in zip(
        examples(found, path, denoised=denoiser), found.cases().values(), strict=True
    ):
        assert case.name == f"val.pkl, page {i + 1}"
        assert np.array_equal(case.noisy, noisy[i])
        assert case.closeness(case.denoised) == found.scores[i].denoised
    assert denoiser.shapes[1:] == [(3, 16, 20, 3)]  # those that are shown, once


def test_denoised_pages_of_another_file_pair_with_those_of_one(tmp_path):
    noisy, clean = scenes()
    path = both(tmp_path / "val.pkl", noisy, clean)
    np.save(tmp_path / "done.npy", np.stack([towards_grey(picture, -1) for picture in noisy]))
    by_file = evaluate(path, denoised=tmp_path / "done.npy")
    assert by_file.summary() == evaluate(path, denoised=towards_grey).summary()
    with pytest.raises(InputError, match=r"done\.npy has the shape"):
        evaluate(both(path, noisy[:2], clean[:2]), denoised=tmp_path / "done.npy")
