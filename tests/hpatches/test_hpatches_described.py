"""Descriptors: read alike from all their places, made by models, and refused where they are bad."""

import cv2
import numpy as np
import pytest
import torch
from a_benchmark import made, noisy

from noisepair.errors import InputError
from noisepair.hpatches.describe import describe, named, resize
from noisepair.hpatches.described import collect, read
from noisepair.hpatches.layout import SHEETS, open_set, sheet_path, write_sheet

COUNTS = (4, 3)


def write_csv(folder, described, mark=","):
    for s, name in enumerate(described.names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for sheet, rows in zip(SHEETS, described.sheets(s), strict=True):
            np.savetxt(folder / name / f"{sheet}.csv", rows, fmt="%10.5f", delimiter=mark)


def write_npz(path, described, **more):
    arrays = {
        f"{name}/{sheet}": rows
        for s, name in enumerate(described.names)
        for sheet, rows in zip(SHEETS, described.sheets(s), strict=True)
    }
    np.savez(path, **(arrays | more))


@pytest.fixture
def told():
    return noisy(COUNTS)


# — read —


@pytest.mark.parametrize("mark", [",", ";", " "])
def test_the_benchmarks_folders_are_read(tmp_path, told, mark):
    """As the course's `np.savetxt(…, '%10.5f')` writes them, blanks before the numbers included."""
    write_csv(tmp_path, told, mark)
    found = read(tmp_path, told.names)
    assert found.counts == told.counts
    np.testing.assert_allclose(found.values, told.values, atol=5.1e-6)


def test_arrays_are_read_in_any_type(tmp_path, told):
    shares = []
    more = {"v_1/e1": told.sheets(1)[1].astype(np.float64), "other": np.zeros(3)}
    write_npz(tmp_path / "mine.npz", told, **more)
    found = read(tmp_path / "mine.npz", told.names, shares.append)
    assert np.array_equal(found.values, told.values)
    assert found.values.dtype == np.float32
    assert shares[-1] == 1
    assert shares == sorted(shares)


def test_only_the_sequences_of_the_split_are_read(tmp_path, told):
    write_csv(tmp_path, told)
    (tmp_path / "i_0" / "t5.csv").write_text("damaged")
    found = read(tmp_path, ["v_1"])
    assert np.abs(found.values - told.values[told.starts[1] :]).max() < 1e-5


def test_a_single_number_or_a_single_patch_is_a_table_too(tmp_path):
    one = made((1,), lambda s, sheet: np.full((1, 3), sheet))
    write_csv(tmp_path / "patch", one)
    assert read(tmp_path / "patch", one.names).sheets(0).shape == (16, 1, 3)
    number = made((3,), lambda s, sheet: np.full((3, 1), sheet))
    write_csv(tmp_path / "number", number)
    assert read(tmp_path / "number", number.names).sheets(0).shape == (16, 3, 1)


# — refused —

BAD_ARRAYS = {
    "another length": (np.zeros((3, 5)), "has 3 descriptors of 5 numbers, where 3 of 6 belong"),
    "another count": (np.zeros((2, 6)), "has 2 descriptors of 6 numbers, where 3 of 6 belong"),
    "nan": (np.array([[1, 2, np.nan, 4, 5, 6]] * 3), "3 of 3 descriptors hold nan or infinity"),
    "infinity": (np.array([[np.inf] * 6, [0] * 6, [0] * 6]), "1 of 3 descriptors hold nan"),
    "one axis": (np.zeros(3), "of shape (3,) and type float64"),
    "text": (np.array([["a"] * 6] * 3), "type <U1"),
}


BAD_SHEETS = {
    f"{name}, {sheet}": (sheet, *bad)
    for name, bad in BAD_ARRAYS.items()
    for sheet in ("e1", "ref")
    if not (sheet == "ref" and bad[1].startswith("has"))  # which says what the others must be
}


@pytest.mark.parametrize(("sheet", "rows", "words"), BAD_SHEETS.values(), ids=BAD_SHEETS)
def test_bad_descriptors_are_refused_in_a_sentence(tmp_path, told, sheet, rows, words):
    write_npz(tmp_path / "mine.npz", told, **{f"v_1/{sheet}": rows})
    with pytest.raises(InputError) as refusal:
        read(tmp_path / "mine.npz", told.names)
    assert f"v_1/{sheet}" in str(refusal.value)
    assert words in str(refusal.value)


BAD_TEXT = {
    "ragged": ("1,2\n3\n", "no table of numbers"),
    "words": ("a,b\n", "no table of numbers"),
    "empty": ("", "no table of numbers: it is empty"),
    "nan": ("nan,1\n", "hold nan"),
}


@pytest.mark.parametrize(("text", "words"), BAD_TEXT.values(), ids=BAD_TEXT)
def test_a_bad_file_is_refused_in_a_sentence(tmp_path, told, text, words):
    write_csv(tmp_path, told)
    (tmp_path / "i_0" / "ref.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read(tmp_path, told.names)


def test_what_is_missing_is_named(tmp_path, told):
    write_csv(tmp_path, told)
    (tmp_path / "v_1" / "h2.csv").unlink()
    with pytest.raises(InputError, match=r"h2\.csv is missing"):
        read(tmp_path, told.names)
    write_npz(tmp_path / "mine.npz", noisy(COUNTS[:1]))
    with pytest.raises(InputError, match=r"has no array v_1/ref"):
        read(tmp_path / "mine.npz", told.names)
    with pytest.raises(InputError, match="holds no descriptors"):
        read(tmp_path / "nothing", told.names)
    (tmp_path / "bad.npz").write_bytes(b"PK no archive")
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        read(tmp_path / "bad.npz", told.names)


def test_what_could_run_when_read_is_not_read(tmp_path, told):
    write_npz(tmp_path / "mine.npz", told, **{"i_0/e1": np.array([[print, 1]], object)})
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        read(tmp_path / "mine.npz", told.names)


# — made by models —


@pytest.fixture(params=[32, 65])
def sheets(request, tmp_path):
    rng = np.random.default_rng(0)
    for name, count in zip(("i_0", "v_1"), COUNTS, strict=True):
        scenes = rng.integers(0, 256, (count, 9, 9), np.uint8)
        for sheet in SHEETS:
            large = [cv2.resize(one, (request.param,) * 2) for one in scenes]
            noise = rng.normal(0, 5, (count, request.param, request.param))
            rows = (large + noise).clip(0, 255).astype(np.uint8)
            write_sheet(sheet_path(tmp_path, name, sheet), rows)
    return open_set(tmp_path)


def test_a_model_sees_32_by_32_in_unit_range_sheet_by_sheet(sheets):
    seen = []

    def model(batch):
        seen.append(batch)
        return batch.flatten(1)[:, :7]

    found = describe(sheets, model)
    assert found.sheets(0).shape == (16, 4, 7)
    assert all(batch.shape[1:] == (1, 32, 32) and batch.dtype == torch.float32 for batch in seen)
    assert 0 <= min(float(b.min()) for b in seen) < max(float(b.max()) for b in seen) <= 1
    assert sum(map(len, seen)) == 16 * sum(COUNTS)


def test_a_model_that_returns_nan_is_refused(sheets):
    with pytest.raises(InputError, match="hold nan"):
        describe(sheets, lambda batch: batch.flatten(1) / 0 * 0)


def test_resize_forgets_brightness_and_contrast():
    batch = torch.rand(6, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = resize(batch)
    torch.testing.assert_close(resize(0.5 * batch + 0.1), found, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(1), torch.ones(6), atol=1e-4, rtol=0)
    assert (resize(batch**3) - found).abs().max() > 0.1, "control"
    assert torch.isfinite(resize(torch.ones(1, 1, 32, 32))).all(), "a flat patch"


def test_rootsift_is_sift_over_its_sum_and_its_root(sheets):
    found = describe(sheets, named("rootsift"))
    np.testing.assert_allclose(np.square(found.values).sum(1), 1, atol=1e-4)
    if sheets.side == 32:
        patch = sheets.sheet("v_1", "h4")[2]
        point = cv2.KeyPoint(16.0, 16.0, 32 / 5.303)
        plain = cv2.SIFT_create().compute(patch, [point])[1][0]
        row = found.sheets(1)[SHEETS.index("h4")][2]
        np.testing.assert_allclose(row, np.sqrt(plain / plain.sum()), atol=1e-6)


@pytest.mark.parametrize("name", ["resize", "rootsift"])
def test_views_of_a_patch_are_closer_than_other_patches(sheets, name):
    found = describe(sheets, named(name)).sheets(0)
    own = np.square(found[0] - found[9]).sum(1)
    other = np.square(found[0] - np.roll(found[9], 1, axis=0)).sum(1)
    assert own.max() < other.min()


def test_an_unknown_model_is_refused_with_those_that_are():
    with pytest.raises(InputError, match=r"Unknown descriptor 'sift'. Available: resize, rootsift"):
        named("sift")


def test_without_opencv_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(InputError, match=r"pip install 'noisepair\[descriptors\]'"):
        named("rootsift")


def test_sheets_are_held_once(told):
    """What is collected is a view of one table, written in place."""
    found = collect(told.names, lambda name, sheet: told.sheets(told.names.index(name))[
        SHEETS.index(sheet)])  # fmt: skip
    assert np.shares_memory(found.sheets(1), found.values)
    assert np.array_equal(found.values, told.values)
