"""`noisepair match` as a user types it: what it prints, writes and refuses."""

import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from noisepair.app import match_picture
from noisepair.app.cli import main

TILTED = np.array([[0.95, -0.1, 20], [0.08, 1.02, -12], [1e-4, -5e-5, 1]])
FILES = ("matches.png", "matches.json", "matches.npz")


def scene(seed, size=(240, 320)):
    """Blobs of several sizes."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.standard_normal(size), s) * s for s in (1.5, 3, 6)]
    page = sum(layers)
    return (128 + 55 * page / page.std()).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two views of a plane with their truth, another scene, a flat one, and a noisy view."""
    root = tmp_path_factory.mktemp("pictures")
    one = scene(0)
    two = cv2.warpPerspective(one, TILTED, one.shape[::-1], flags=cv2.INTER_CUBIC)
    noisy = two + np.random.default_rng(9).normal(0, 20, two.shape)
    pictures = {"one": one, "two": two, "else": scene(1), "flat": np.full_like(one, 128),
                "noisy": np.rint(noisy).clip(0, 255).astype(np.uint8)}  # fmt: skip
    for name, picture in pictures.items():
        Image.fromarray(picture).save(root / f"{name}.png")
    np.savetxt(root / "truth.txt", TILTED)
    return root


def run(capsys, *arguments):
    """Exit code, standard output, standard error."""
    code = main(["match", *map(str, arguments), "--model", "rootsift", "--device", "cpu"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def told(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err.count("Traceback")) == (0, 0), err
    return json.loads(out)


def refused(capsys, *arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    return err.strip().splitlines()[-1].removeprefix("noisepair: ")


def test_two_views_of_a_plane_match_and_the_files_agree_with_what_is_said(capsys, folder, tmp_path):
    out = tmp_path / "matched"
    plain = told(capsys, folder / "one.png", folder / "two.png", "--out", out, "--denoise", "never",
                 "--truth", folder / "truth.txt")  # fmt: skip
    assert (plain["reliable"], plain["geometry"]) == (True, "homography")
    assert plain["corner_error"] < 1
    assert plain["inliers"] > 50
    assert plain["log10_false_alarms"] < -50
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)  # and nothing half written
    assert plain.pop("out") == [str(out / name) for name in FILES]
    written = json.loads((out / "matches.json").read_text())
    pairs = written.pop("pairs")
    assert written == plain
    # the pairs, the matrix and the arrays say the same, by another road
    here, there = (np.array([pair[side] for pair in pairs]) for side in "ab")
    moved = cv2.perspectiveTransform(here[:, None], np.array(plain["matrix"]))[:, 0]
    back = cv2.perspectiveTransform(there[:, None], np.linalg.inv(plain["matrix"]))[:, 0]
    errors = (np.hypot(*(moved - there).T) + np.hypot(*(back - here).T)) / 2
    inliers = np.array([pair["inlier"] for pair in pairs])
    assert (len(pairs), inliers.sum()) == (plain["matches"], plain["inliers"])
    np.testing.assert_array_equal(inliers, errors <= 3)
    assert np.median(errors[inliers]) == pytest.approx(plain["error"]["median"])
    with np.load(out / "matches.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["inliers"], inliers)
        np.testing.assert_array_equal(arrays["matrix"], plain["matrix"])
        np.testing.assert_allclose(arrays["keypoints_a"][arrays["matches"][:, 0]], here)
        np.testing.assert_allclose(arrays["keypoints_b"][arrays["matches"][:, 1]], there)
    with Image.open(out / "matches.png") as sheet:
        assert sheet.size == (320 + 8 + 320, 30 + 240)


def test_the_truth_of_another_pair_is_seen(capsys, folder, tmp_path):
    """The control of the corner error."""
    wrong = tmp_path / "wrong.txt"
    np.savetxt(wrong, np.array([[1, 0, 30], [0, 1, 40], [0, 0, 1]]) @ TILTED)
    plain = told(capsys, folder / "one.png", folder / "two.png", "--out", tmp_path / "out",
                 "--denoise", "never", "--truth", wrong)  # fmt: skip
    assert plain["corner_error"] == pytest.approx(50, abs=1)


def test_pictures_without_overlap_are_no_reliable_match_and_no_mistake(capsys, folder, tmp_path):
    asked = (folder / "one.png", folder / "else.png", "--out", tmp_path / "out", "--denoise",
             "never", "--truth", folder / "truth.txt", "--ratio", 1)  # fmt: skip
    plain = told(capsys, *asked)
    lacking = ("geometry", "matrix", "error", "corner_error")
    assert (plain["reliable"], plain["inliers"]) == (False, 0)
    assert [plain[name] for name in lacking] == [None] * 4
    assert plain["matches"] > 50
    written = json.loads((tmp_path / "out/matches.json").read_text())
    assert not any(pair["inlier"] or pair["error"] for pair in written["pairs"])
    with np.load(tmp_path / "out/matches.npz") as arrays:
        assert np.isnan(arrays["matrix"]).all()
    code, out, _ = run(capsys, *asked, "--overwrite")
    assert code == 0
    assert re.match(r"No reliable match: \d+ key points are nearest to each other", out)


def test_noise_is_measured_and_taken_off_and_the_pictures_match(capsys, folder, tmp_path):
    plain = told(capsys, folder / "one.png", folder / "noisy.png", "--out", tmp_path / "out",
                 "--truth", folder / "truth.txt")  # fmt: skip
    _, noisy = plain["pictures"]
    assert noisy["noise"] * 255 == pytest.approx(20, rel=0.15)
    assert noisy["denoised"]
    assert plain["corner_error"] < 3


def test_words_for_a_person(capsys, folder, tmp_path):
    _, out, err = run(capsys, folder / "one.png", folder / "two.png", "--out", tmp_path / "out",
                      "--denoise", "never", "--geometry", "fundamental", "--truth",
                      folder / "truth.txt")  # fmt: skip
    assert re.match(r"\d+ of \d+ matches obey a fundamental matrix, median error \d\.\d\d pix", out)
    assert "No corner error: no homography was found. Look at " in out
    assert "one.png: " in err


def test_the_same_command_writes_the_same_bytes(capsys, folder, tmp_path):
    contents = []
    for name in ("first", "second"):
        told(capsys, folder / "one.png", folder / "two.png", "--out", tmp_path / name,
             "--denoise", "never")  # fmt: skip
        contents.append([(tmp_path / name / file).read_bytes() for file in FILES[:2]])
    assert contents[0] == contents[1]


def test_what_is_there_stays_unless_told(capsys, folder, tmp_path):
    asked = (folder / "one.png", folder / "two.png", "--out", tmp_path, "--denoise", "never")
    (tmp_path / "matches.json").write_text("mine")
    assert refused(capsys, *asked) == (
        f"{tmp_path / 'matches.json'} exists: a match was here. Pass --overwrite, or choose"
        " another --out."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["matches.json"]
    assert (tmp_path / "matches.json").read_text() == "mine"
    assert told(capsys, *asked, "--overwrite")["reliable"]
    (tmp_path / "file").write_text("")
    assert refused(capsys, *asked[:3], tmp_path / "file").endswith(
        "is a file. Choose another --out, a folder or a name that is free."
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--ratio", "1.2"], "--ratio 1.2 is not possible. Give more than 0 and at most 1"),
        (["--ratio", "0"], "--ratio 0 is not possible."),
        (["--ratio", "nan"], "--ratio nan is not possible."),
        (["--threshold", "0"], "--threshold 0 has no inliers. Give pixels, such as 3."),
        (["--most", "0"], "--most 0 is none at all. Give 1 or more, or leave it out."),
        (["--region", "-1"], "--region -1 has no area."),
        (["--truth", "words.txt"], "words.txt holds no homography: 'no matrix'. Accepted: nine"),
        (["--truth", "zeros.txt"], "zeros.txt holds no homography:"),
        (["--truth", "absent.txt"], "Cannot read "),
        (["--geometry", "affine"], "affine"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(capsys, folder, tmp_path, asked, words):
    (tmp_path / "words.txt").write_text("no matrix")
    np.savetxt(tmp_path / "zeros.txt", np.zeros((3, 3)))
    if asked[0] == "--truth":
        asked = [asked[0], tmp_path / asked[1]]
    said = refused(
        capsys, folder / "one.png", folder / "two.png", "--out", tmp_path / "out", *asked
    )
    assert words in said
    assert not (tmp_path / "out").exists()


def test_pictures_that_are_none_are_named(capsys, folder, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG and no more")
    out = ("--out", tmp_path / "out", "--denoise", "never")
    for bad, words in (
        (folder / "flat.png", "flat.png: No key points were found in this picture."),
        (tmp_path / "broken.png", "broken.png"),
        (tmp_path / "absent.png", "absent.png"),
        (folder, "is a folder. Give one picture, and another one to match it with."),
    ):
        for pair in ((bad, folder / "two.png"), (folder / "two.png", bad)):
            assert words in refused(capsys, *pair, *out)
    assert not (tmp_path / "out").exists()


def test_lines_are_few_and_spread_over_the_picture():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(0, 30, (500, 2)), rng.uniform(0, 300, (400, 2))])
    rows = match_picture.spread(points, np.arange(900), (300, 300))
    assert len(rows) == len(set(rows)) <= match_picture.LINES
    assert (np.ptp(points[rows], axis=0) > 250).all()
    assert sum((points[row] < 30).all() for row in rows) == 1


def test_colours_go_from_none_to_the_whole_threshold():
    at = match_picture.coloured(np.array([0.0, 0.5, 1.0, np.inf]))
    assert at == [(0, 190, 255), (255, 225, 0), (255, 40, 0), (255, 40, 0)]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("graf", ("img1.png", "img3.png", "H1to3p")),
        ("v_churchill", ("1.ppm", "4.ppm", "H_1_4")),
    ],
)
def test_real_pictures_of_a_plane_match(capsys, data, tmp_path, name, files):
    one, two, truth = (data / "sequences" / name / file for file in files)
    plain = told(
        capsys, one, two, "--out", tmp_path / "out", "--denoise", "never", "--truth", truth
    )
    assert (plain["reliable"], plain["geometry"]) == (True, "homography")
    assert plain["corner_error"] < 6


def test_real_pictures_of_two_scenes_do_not(capsys, data, tmp_path):
    one, two = data / "sequences/graf/img1.png", data / "sequences/v_churchill/1.ppm"
    assert not told(capsys, one, two, "--out", tmp_path / "out", "--denoise", "never")["reliable"]
