"""`noisepair describe` as a user types it: what it writes for whom, and what it refuses."""

import json
import sys

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from noisepair.app.cli import main
from noisepair.descriptors import DescriptorCard, feature_files
from noisepair.descriptors.descriptor import Chain, write_descriptor
from noisepair.descriptors.features import features
from noisepair.descriptors.networks import Quick
from noisepair.models import Scale


def blocks(seed, shape=(96, 120)):
    rng = np.random.default_rng(seed)
    cells = rng.integers(30, 225, (shape[0] // 8, shape[1] // 8)).astype(np.uint8)
    return cv2.GaussianBlur(np.kron(cells, np.ones((8, 8), np.uint8)), (0, 0), 1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of two shapes and kinds, one without anything in it, and a descriptor."""
    root = tmp_path_factory.mktemp("pictures")
    cv2.imwrite(str(root / "one.png"), blocks(0))
    cv2.imwrite(str(root / "two.ppm"), np.stack([blocks(1, (80, 88))] * 3, axis=-1))
    cv2.imwrite(str(root / "flat.png"), np.full((64, 64), 90, np.uint8))
    (root / "torn.png").write_bytes((root / "one.png").read_bytes()[:200])
    torch.manual_seed(0)
    card = DescriptorCard(Quick(half=(8,), quarter=(8,)), None, Scale(), {})
    write_descriptor(root / "model", Chain(card).eval(), card)
    return root


def run(capsys, *arguments):
    """Exit code, standard output, standard error."""
    code = main(["describe", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *arguments):
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("noisepair: ")
    assert "Traceback" not in err
    return err


def expected(folder, name="one.png", **how):
    picture = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
    return features(picture, "rootsift", **how)


# — what it writes —


def test_npz_has_all_arrays_of_every_picture(capsys, folder, tmp_path):
    out = tmp_path / "f.npz"
    pictures = folder / "one.png", folder / "two.ppm"
    code, said, told = run(capsys, *pictures, "--out", out, "--model", "rootsift", "--json")
    assert code == 0
    page = json.loads(said)
    assert [line["name"] for line in page["described"]] == ["one.png", "two.ppm"]
    assert [line["size"] for line in page["described"]] == [[96, 120], [80, 88]]
    found = expected(folder)
    with np.load(out) as arrays:
        assert str(arrays["two.ppm/method"]) == "rootsift"
        for key in ("xy", "scale", "angle", "response", "vectors", "size", "noise", "denoised"):
            np.testing.assert_array_equal(arrays[f"one.png/{key}"], getattr(found, key))
    assert page["described"][0]["points"] == len(found)
    assert page["failed"] == []
    assert "one.png: " in told


def test_h5_is_as_hloc_writes_it(capsys, folder, tmp_path):
    h5py = pytest.importorskip("h5py")
    out = tmp_path / "f.h5"
    assert run(capsys, folder / "one.png", "--out", out, "--model", "rootsift")[0] == 0
    found = expected(folder)
    with h5py.File(out) as file:
        group = file["one.png"]
        np.testing.assert_array_equal(group["keypoints"], found.xy)
        np.testing.assert_allclose(group["descriptors"], found.vectors.T, atol=5e-4)
        assert group["descriptors"].dtype == np.float16
        np.testing.assert_array_equal(group["image_size"], [120, 96])
        np.testing.assert_array_equal(group["scores"], found.response)
        assert group["keypoints"].attrs["uncertainty"] == 1.0


def test_txt_is_as_colmap_reads_it(capsys, folder, tmp_path):
    out = tmp_path / "one.png.txt"
    arguments = folder / "one.png", "--out", out, "--model", "rootsift", "--most", 7
    assert run(capsys, *arguments)[0] == 0
    head, *rows = out.read_text().splitlines()
    found = expected(folder, most=7)
    assert head == "7 128"
    values = np.array([row.split() for row in rows], float)
    np.testing.assert_allclose(values[:, :2], found.xy + 0.5, rtol=1e-5)
    np.testing.assert_allclose(values[:, 2], found.scale / 2, rtol=1e-5)
    np.testing.assert_allclose(values[:, 3], np.deg2rad(found.angle), rtol=1e-5)
    bytes_ = values[:, 4:]
    assert bytes_.shape == (7, 128)
    np.testing.assert_allclose(bytes_, (512 * found.vectors).clip(0, 255), atol=0.5001)


def test_a_folder_has_a_file_for_each_picture(capsys, folder, tmp_path):
    inner = tmp_path / "in" / "deep"
    inner.mkdir(parents=True)
    for place in (inner, inner.parent):
        (place / "one.png").write_bytes((folder / "one.png").read_bytes())
    out = tmp_path / "colmap"
    arguments = inner / "one.png", inner.parent / "one.png", "--out", out, "--model", "rootsift"
    assert run(capsys, *arguments)[0] == 0
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert files == ["deep/one.png.txt", "one.png.txt"]


def test_a_trained_folder_describes_and_options_arrive(capsys, folder, tmp_path):
    out = tmp_path / "f.npz"
    arguments = [folder / "one.png", "--out", out, "--model", folder / "model", "--json"]
    more = ["--most", 5, "--sigma", "30/255", "--denoise", "never", "--region", 4]
    code, said, _ = run(capsys, *arguments, *more)
    (line,) = json.loads(said)["described"]
    assert code == 0
    assert (line["points"], line["numbers"], line["method"]) == (5, 128, "quick")
    assert line["noise"] == pytest.approx(30 / 255)
    assert line["denoised"] is False


# — COLMAP's bytes —


def cosines(rows):
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units @ units.T


def neighbours(rows):
    likeness = cosines(rows)
    np.fill_diagonal(likeness, -2)
    return likeness.argmax(1)


def two_views(count=200):
    """Vectors of length 1 and of either sign, and the same places seen again, hardly alike."""
    rng = np.random.default_rng(0)
    one = rng.normal(size=(count, 128))
    rows = np.concatenate([one, one + rng.normal(0, 2, one.shape)])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_bytes_of_signed_vectors_have_the_same_neighbours():
    rows = two_views()
    made = feature_files.as_bytes(rows).astype(float)
    assert (neighbours(made) == neighbours(rows)).mean() > 0.95
    assert (cosines(made)[np.triu_indices(len(made), 1)] < 1).all(), "COLMAP takes arc cosines"


def test_bytes_cut_off_at_zero_would_lose_neighbours():
    rows = two_views()
    assert (neighbours(np.maximum(rows, 0)) == neighbours(rows)).mean() < 0.85


@given(arrays(np.float32, (3, 128), elements=st.floats(-1, 1, width=32)))
def test_bytes_are_near_length_512_unless_a_number_is_large(rows):
    made = feature_files.as_bytes(rows).astype(float)
    length = np.linalg.norm(made, axis=1)
    assert (length <= 512 + 6).all()  # half a step in 128 places
    some = (rows != 0).any(1) & (made.max(1) < 255)
    assert (length[some] > 512 - 6).all()


# — what it refuses —


def test_a_picture_without_key_points_is_named(capsys, folder, tmp_path):
    out = tmp_path / "f.npz"
    err = refused(capsys, folder / "flat.png", "--out", out, "--model", "rootsift")
    assert "flat.png: No key points" in err
    assert list(tmp_path.iterdir()) == []


def test_the_others_are_described_all_the_same(capsys, folder, tmp_path):
    out = tmp_path / "f.npz"
    pictures = [folder / name for name in ("flat.png", "one.png", "torn.png")]
    code, said, err = run(capsys, *pictures, "--out", out, "--model", "rootsift", "--json")
    page = json.loads(said)
    assert code == 2
    assert [line["name"] for line in page["described"]] == ["one.png"]
    assert [line["file"] for line in page["failed"]] == [str(pictures[0]), str(pictures[2])]
    assert "torn.png" in err
    with np.load(out) as arrays:
        assert {name.partition("/")[0] for name in arrays.files} == {"one.png"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["one.png", "--out", "f.csv"], "suffix .csv. Accepted: .npz"),
        (["one.png", "two.ppm", "--out", "f.txt"], "there are 2"),
        (["one.png", "--out", "no/where/f.npz"], "Make the folder first"),
        (["torn.png", "--out", "f.npz"], "torn.png"),
        (["none.png", "--out", "f.npz"], "none.png does not exist"),
        (["one.png", "--out", "f.npz", "--model", "."], "is no descriptor"),
        (["one.png", "--out", "f.npz", "--model", "nothing"], "There is no descriptor nothing"),
        (["one.png", "--out", "f.npz", "--model", "one.png"], "cannot be read as weights"),
        (["one.png", "--out", "f.npz", "--most", "0"], "--most 0"),
        (["one.png", "--out", "f.npz", "--region", "0"], "--region 0"),
        (["one.png", "--out", "f.npz", "--sigma", "25"], "25/255"),
    ],
)
def test_a_mistake_is_a_sentence(capsys, folder, monkeypatch, arguments, words):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    if "--model" not in arguments:
        arguments = [*arguments, "--model", "rootsift"]
    assert words in refused(capsys, *arguments)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(("package", "extra"), [("cv2", "descriptors"), ("h5py", "hloc")])
def test_what_is_not_installed_is_said(capsys, folder, tmp_path, monkeypatch, package, extra):
    from noisepair.runtimes import _choose

    there = _choose.find_spec
    monkeypatch.setattr(_choose, "find_spec", lambda n: None if n == package else there(n))
    monkeypatch.setitem(sys.modules, "h5py", None)
    arguments = folder / "one.png", "--out", tmp_path / "f.h5", "--model", "rootsift"
    assert f"noisepair[{extra}]" in refused(capsys, *arguments)


def test_an_old_file_stays_where_nothing_came_of_it(capsys, folder, tmp_path):
    out = tmp_path / "f.npz"
    out.write_bytes(b"old")
    refused(capsys, folder / "flat.png", "--out", out, "--model", "rootsift")
    assert out.read_bytes() == b"old"
