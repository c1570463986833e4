"""A run: the data, the training, the scores, and the name that it is known by."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from a_study import DATA, written
from PIL import Image

from noisepair import checkpoint
from noisepair.denoise import Denoiser
from noisepair.errors import InputError
from noisepair.noise import Gaussian, PointSampling
from noisepair.study import LOSSES, SCORES, Bench, Data, Study
from noisepair.study import Test as Pictures
from noisepair.study._bench import denoised
from noisepair.train import Diverged

CPU = torch.device("cpu")


@pytest.fixture
def bench(folder):
    return Bench(Data(**DATA), (folder,), CPU)


@pytest.fixture
def recipe(folder):
    study = Study.read(written(folder))
    return study.recipe(study.settings()[0])


@pytest.fixture
def pictures(tmp_path):
    """Folders of clean pictures, and a bench that makes noise on them."""
    rng = np.random.default_rng(0)
    for name, sizes in (("clean", [(24, 24)] * 5), ("tests", [(33, 20), (20, 33), (33, 20)])):
        (tmp_path / name).mkdir()
        for n, size in enumerate(sizes):
            values = rng.integers(60, 200, (*size, 3), np.uint8)
            Image.fromarray(values).save(tmp_path / name / f"{n}.png")
    return Bench(Data(train="clean", test={"kodak": "tests"}), (tmp_path,), CPU)


# — what a run is known by —


def test_the_key_is_of_the_recipe_the_shots_and_the_names_of_the_tests(folder, bench, recipe):
    key = bench.key(recipe)
    again = Bench(Data(**DATA), (folder,), CPU)
    assert again.key(recipe) == key
    assert len(key) == 16
    others = [bench.key(replace(recipe, **line)) for line in ({"lr": 0.1}, {"seed": 1})]
    for data in (DATA | {"train2": "c.npy"}, DATA | {"test": {"other": "test.npz"}}):
        np.save(folder / "c.npy", np.load(folder / "b.npy") + np.float32(1e-3))
        others.append(Bench(Data(**data), (folder,), CPU).key(recipe))
    assert len({key, *others}) == 5


def test_the_key_is_of_what_the_tests_hold_and_how_frames_pair(folder, bench, recipe):
    np.save(folder / "c.npy", np.stack([np.load(folder / f"{name}.npy") for name in "ab"])[:, 0])
    one = DATA | {"train": "c.npy", "train2": None}
    apart = [Bench(Data(**one, frames=frames), (folder,), CPU) for frames in (False, True)]
    keys = {bench.key(recipe), *(other.key(recipe) for other in apart)}
    both = dict(np.load(folder / "test.npz"))
    np.savez(folder / "test.npz", **both | {"noisy": both["noisy"] + np.float32(1e-3)})
    keys.add(Bench(Data(**DATA), (folder,), CPU).key(recipe))
    assert len(keys) == 4


def test_the_key_is_of_nothing_else(folder, recipe, bench, monkeypatch, tmp_path_factory):
    """Neither where the data lie nor what they are called, nor place, time, machine or version."""
    key = bench.key(recipe)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for old, new in (("a.npy", "x.npy"), ("b.npy", "y.npy"), ("test.npz", "test.npz")):
        (elsewhere / new).write_bytes((folder / old).read_bytes())
    data = Data(**DATA | {"train": "x.npy", "train2": "y.npy"})
    monkeypatch.setattr("noisepair.study._bench.__version__", "9.9.9")
    assert Bench(data, (elsewhere,), torch.device("meta"), often=3).key(recipe) == key


def test_the_shots_are_read_once_and_their_hash_is_found_once(bench, recipe, monkeypatch):
    read, asked = bench.read_train, []
    bench.open = lambda *given: asked.append(given) or read(*given)
    for seed in (0, 1, 2, 0, 1, 2):
        bench.key(replace(recipe, seed=seed))
    assert len(asked) == 1, "given shots do not depend on the seed"
    for seed in (0, 1, 2, 0, 1, 2):
        with pytest.raises(InputError):  # two sources and made noise
            bench.key(replace(recipe, noise=Gaussian(), seed=seed))
    assert {given[-1] for given in asked[1:]} == {0, 1, 2}, "made noise does"


# — data —


def test_data_that_are_not_there_are_named(tmp_path):
    for data in (DATA, DATA | {"train2": None}):
        with pytest.raises(
            InputError, match=r"data a\.npy are not there\. Looked in: .*--data, or"
        ):
            Bench(Data(**data), (tmp_path, tmp_path / "b"), CPU).refuse_missing()


def test_the_first_place_that_has_them_is_taken(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "a.npy").write_bytes(b"")
    bench = Bench(Data(**DATA), (other, folder), CPU)
    assert bench.path("a.npy") == other / "a.npy"
    assert bench.path("b.npy") == folder / "b.npy"
    bench.refuse_missing()


def test_noise_of_test_pictures_is_the_same_for_all_seeds(pictures, recipe):
    lines = {"noise": Gaussian(0.1), "loss": "l1"}
    one, two = (pictures.tests(replace(recipe, seed=seed, **lines))["kodak"] for seed in (0, 1))
    again = Bench(pictures.data, pictures.roots, CPU).tests(replace(recipe, seed=7, **lines))
    for other in (two, again["kodak"]):
        for a, b in zip(one.noisy + one.clean, other.noisy + other.clean, strict=True):
            np.testing.assert_array_equal(a, b)
    each = [n - c for n, c in zip(one.noisy, one.clean, strict=True)]
    errors = np.concatenate([error.ravel() for error in each])
    assert abs(np.mean(np.square(errors / 0.1)) - 1) < 5 * (2 / errors.size) ** 0.5
    together = np.mean(each[0] * each[2]) / 0.01
    assert abs(together) < 5 / each[0].size ** 0.5, "each picture has noise of its own"


def test_of_point_sampling_the_clean_pictures_are_as_small_as_the_noisy_ones(pictures, recipe):
    test = pictures.tests(replace(recipe, noise=PointSampling(cell=4)))["kodak"]
    assert [p.shape for p in test.noisy] == [p.shape for p in test.clean]
    assert [p.shape for p in test.clean] == [(8, 5, 3), (5, 8, 3), (8, 5, 3)]
    path = pictures.path("tests") / "0.png"
    values = np.asarray(Image.open(path), np.float64)[:32] / 255
    cells = values.reshape(8, 4, 5, 4, 3).mean((1, 3))
    np.testing.assert_allclose(test.clean[0], cells, atol=1e-6)


# — scores —


def test_both_psnrs_worked_out_by_hand_a_picture_counting_by_its_pixels():
    small, large = np.zeros((2, 2, 1), np.float32), np.zeros((2, 6, 1), np.float32)
    test = Pictures((small, large), (small, large))
    assert test.psnrs([0.01, 0.0001]) == {
        "per_image": pytest.approx(30.0), "pooled": pytest.approx(-10 * math.log10(0.002575))
    }  # fmt: skip


def test_errors_are_in_picture_units_whatever_the_type():
    clean = np.zeros((2, 2, 1), np.uint8)
    test = Pictures((clean,), (clean,))
    assert test.errors((np.full((2, 2, 1), 51, np.uint8),)) == [pytest.approx(0.04)]
    assert test.errors((np.full((2, 2, 1), 0.2, np.float32),)) == [pytest.approx(0.04)]


def test_the_first_pictures_are_as_many_as_hold_the_pixels():
    pages = tuple(np.zeros((10, 10, 3), np.float32) for _ in range(5))
    test = Pictures(pages, pages)
    assert [len(test.first(most).clean) for most in (1, 100, 101, 350, 10**6)] == [1, 1, 2, 4, 5]
    assert len(test.first(101).noisy) == 2


def test_pictures_of_several_sizes_come_back_in_their_order(pictures, recipe):
    class Halving(Denoiser):
        def __init__(self):
            pass

        def pages(self, noisy, **named):
            assert noisy.ndim == 4
            return noisy / 2

    noisy = pictures.tests(replace(recipe, noise=Gaussian()))["kodak"].noisy
    for before, after in zip(noisy, denoised(Halving(), noisy), strict=True):
        np.testing.assert_array_equal(after, before / 2)


# — a run —


def test_a_run_leaves_a_model_its_scores_and_all_its_losses(folder, bench, recipe):
    at = folder / "run"
    came = bench.run(recipe, at)
    assert came["status"] == "done"
    assert json.loads((at / SCORES).read_text()) == came
    assert sorted(path.name for path in at.iterdir()) == sorted(
        [SCORES, LOSSES, checkpoint.CARD, checkpoint.HISTORY, checkpoint.SEEN, checkpoint.WEIGHTS]
    )
    losses = np.load(at / LOSSES)
    assert (losses.shape, losses.dtype) == ((4,), np.float32)
    lines = checkpoint.read_history(at)
    assert losses[[1, 3]].tolist() == pytest.approx([line["loss"] for line in lines[1:]])
    assert [line["step"] for line in lines] == [0, 2, 4]
    assert all(set(line["scores"]) == {"per_image", "pooled"} for line in lines)
    scores = came["scores"]["set"]
    assert len(scores["each"]) == 3
    assert scores["per_image"] == pytest.approx(np.mean(scores["each"]), abs=5e-3)
    assert scores["noisy"]["per_image"] == pytest.approx(14, abs=0.5), "sigma is 0.2"
    assert (came["seed"], came["steps"], came["complete"]) == (0, 4, True)
    assert came["recipe"] == recipe.lines()
    assert {"noisepair", "commit", "machine", "finished"} <= came.keys()


def test_the_scores_are_those_of_the_model_that_is_kept(folder, bench, recipe):
    came = bench.run(recipe, folder / "run")
    with np.load(folder / "test.npz") as held:
        noisy, clean = held["noisy"], held["clean"]
    out = Denoiser.load(folder / "run").pages(noisy)
    each = [-10 * math.log10(np.mean((a - b) ** 2)) for a, b in zip(out, clean, strict=True)]
    assert came["scores"]["set"]["each"] == pytest.approx(each, abs=6e-3)


def test_a_finished_run_is_read_and_one_that_is_not_begins_anew(folder, bench, recipe):
    at, seen = folder / "run", []
    first = bench.run(recipe, at)
    assert bench.run(recipe, at, watch=seen.append) == first
    assert seen == []
    (at / SCORES).unlink()
    (at / "left over").write_text("")
    second = bench.run(recipe, at, watch=seen.append)
    assert [progress.step for progress in seen] == [1, 2, 3, 4], "not from its last state"
    assert not (at / "left over").exists()
    assert second["scores"] == first["scores"]


def test_a_run_that_is_stopped_has_no_result(folder, bench, recipe):
    with pytest.raises(KeyboardInterrupt):
        bench.run(recipe, folder / "run", watch=lambda progress: progress.step == 2)
    assert not (folder / "run" / SCORES).exists()
    assert bench.run(recipe, folder / "run")["steps"] == 4


def test_a_run_that_diverges_is_a_result(folder, bench, recipe):
    lines = {"lr": 10.0, "steps": 40, "schedule": "constant"}
    wild = replace(recipe, optimizer=type(recipe).of({"optimizer": "sgd"}).optimizer, **lines)
    came = bench.run(wild, folder / "run")
    assert came["status"] == "diverged"
    assert came["scores"] == {}
    assert came["reason"].startswith("Training diverged: ")
    assert (folder / "run" / LOSSES).exists()
    assert bench.run(wild, folder / "run") == came, "and is not tried again"


def test_a_run_that_cannot_be_done_is_no_result(folder, bench, recipe):
    with pytest.raises(InputError, match="crop=99 is larger") as caught:
        bench.run(replace(recipe, crop=99), folder / "run")
    assert not isinstance(caught.value, Diverged)
    assert not (folder / "run").exists()


def test_a_damaged_result_is_said(folder, bench, recipe):
    bench.run(recipe, folder / "run")
    (folder / "run" / SCORES).write_text("{")
    with pytest.raises(InputError, match=r"scores\.json is damaged"):
        bench.run(recipe, folder / "run")


def test_a_test_whose_sides_are_of_other_pictures_is_refused_before_any_run(folder, recipe):
    both = np.load(folder / "test.npz")
    np.savez(folder / "test.npz", noisy=both["noisy"][:2], clean=both["clean"])
    with pytest.raises(InputError, match=r"noisy pictures \(2, 24, 24, 1\) .* as many on both"):
        Bench(Data(**DATA), (folder,), CPU).tests(recipe)
