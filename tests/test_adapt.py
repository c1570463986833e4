"""Weights learn from the picture itself where that can help, and say so where it cannot."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from skimage import data

from noisepair import adapt as adapting
from noisepair import checkpoint
from noisepair.adapt import LEAST, SIDE, adapt, cut, pairing
from noisepair.app.cli import main
from noisepair.blind import shown
from noisepair.denoise import Denoiser
from noisepair.errors import InputError
from noisepair.noise.estimate import Level
from noisepair.noise.stabilise import Anscombe
from noisepair.train import Diverged

CALM = Level(0.1, read=0.1)


def noisy(height=200, width=200, sigma=0.1):
    clean = data.astronaut()[None, :height, :width] / 255
    noise = np.random.default_rng(0).standard_normal(clean.shape)
    return (clean + sigma * noise).astype(np.float32)


def test_it_ends_with_weights_that_are_no_worse_on_what_was_held_out():
    used = []
    came = adapt(noisy(), CALM, 4.0, watch=used.append)
    assert used[-1] == pytest.approx(1, abs=0.2)
    if came.denoiser is None:
        assert "made the weights" in came.sentence
    else:
        result = came.denoiser.card.provenance["result"]
        assert result["held_out_l2"] <= (1 - LEAST) * result["held_out_l2_at_first"]
        assert 0 < result["best_step"] <= result["steps"]
        assert came.denoiser.card.provenance["begun_with"]["name"] == "colour"


@pytest.mark.parametrize(
    ("step", "left", "said"),
    [
        (0, 1.0, "not adapted: 50 steps on it made the weights no better for the parts"),
        (40, 0.987, "not adapted: 50 steps on it made the weights 1.3% better for the parts"),
        (40, 0.97, "adapted in 40 of 50 steps"),
    ],
)
def test_weights_that_gained_too_little_stay_as_they_were(monkeypatch, step, left, said):
    result = {"best_step": step, "steps": 50, "held_out_l2": 0.3 * left}
    result["held_out_l2_at_first"] = 0.3
    trained = Denoiser.load("grey")
    trained.card = replace(trained.card, provenance={"result": result})
    monkeypatch.setattr(adapting, "train", lambda *_, **__: trained)
    came = adapt(noisy(), CALM, 4.0)
    assert came.sentence.startswith(said)
    assert (came.denoiser is None) == said.startswith("not")


def test_learning_that_leaps_away_is_told_and_the_weights_are_kept(monkeypatch):
    def diverge(*_, **__):
        raise Diverged("the loss is nan")

    monkeypatch.setattr(adapting, "train", diverge)
    came = adapt(noisy(), CALM, 4.0)
    assert came.denoiser is None
    assert "leapt away" in came.sentence


def test_noise_that_neighbours_share_cannot_be_learnt_from_neighbours():
    shared = Level(0.1, read=0.1, correlation=(0.5, 0.4), white=False)
    came = adapt(noisy(), shared, 30.0)
    assert came.denoiser is None
    assert "they share noise (0.50 to the right, 0.40 down)" in came.sentence


@pytest.mark.parametrize("size", [(SIDE, SIDE), (SIDE, 3 * SIDE), (30, 900)])
def test_a_picture_too_small_to_hold_tiles_out_of_is_left(size):
    came = adapt(noisy(*size), CALM, 30.0)
    assert came.denoiser is None
    assert "too small" in came.sentence


@pytest.mark.parametrize("budget", [0.0, 1.0, float("nan"), float("inf")])
def test_a_budget_too_short_to_do_anything_is_refused(budget):
    with pytest.raises(InputError, match="too few to adapt in"):
        adapt(noisy(), CALM, budget)


def test_tiles_cover_the_picture_once_and_lie_in_the_range_of_the_weights():
    page = 40 * noisy(210, 300)
    tiles = cut(page, Level(4.0))
    assert sum(tile.shape[1] * tile.shape[2] for tile in tiles) == 210 * 300
    assert len(tiles) == 2 * 3
    assert min(min(tile.shape[1:3]) for tile in tiles) >= SIDE
    assert max(float(tile.max()) for tile in tiles) < 2


def test_tiles_of_strong_photon_noise_are_as_the_transform_shows_them():
    rng = np.random.default_rng(0)
    clean = data.astronaut()[None, :200, :300] / 255
    page = (0.1 * rng.poisson(clean / 0.1)).astype(np.float32)
    level = Level(0.2, gain=0.1)
    transform = shown(page, level)
    assert isinstance(transform, Anscombe)
    seen = transform.into(page)
    tiles = cut(page, level)
    np.testing.assert_allclose(tiles[0][0], seen[0, : tiles[0].shape[1], : tiles[0].shape[2]])
    assert sum(float(tile.sum()) for tile in tiles) == pytest.approx(float(seen.sum()), rel=1e-4)


def test_gaussian_noise_is_learnt_at_the_full_size_and_other_noise_from_neighbours():
    assert pairing(Level(0.1, read=0.1)) == "recorrupted"
    assert pairing(Level(0.1, gain=0.02)) == "neighbor2neighbor"


# — the command —


def said(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_denoise_adapts_and_says_what_came_of_it(capsys, tmp_path):
    np.save(tmp_path / "a.npy", noisy()[0])
    code, out, _ = said(
        capsys, "denoise", tmp_path / "a.npy", "--adapt", "4s", "--out", tmp_path / "out", "--json"
    )
    assert code == 0
    [line] = json.loads(out)["written"]
    assert any("adapted" in note for note in line["notes"])
    done = np.load(tmp_path / "out" / "a.npy")
    clean = data.astronaut()[:200, :200] / 255
    assert np.square(done - clean).mean() < 0.2 * np.square(noisy()[0] - clean).mean()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--adapt", "1s"], "is too short to learn anything in"),
        (["--adapt", "0"], "is too short to learn anything in"),
        (["--adapt", "soon"], "should be a time such as 90s"),
        (["--sigma", "-0.1"], "is no noise level"),
        (["--sigma", "25"], "write 25/255"),
        (["--sigma", "strong"], "is no noise level"),
        (["--strength", "2"], "Give a share of the noise"),
        (["--model", "nowhere", "--adapt", "30s"], "nowhere is not a model"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(capsys, tmp_path, words, sentence):
    np.save(tmp_path / "a.npy", noisy(40, 40)[0])
    code, _, err = said(capsys, "denoise", tmp_path / "a.npy", *words, "--out", tmp_path / "out")
    assert code == 2
    assert sentence in err
    assert not (tmp_path / "out").exists()


def test_a_trained_model_knows_its_own_noise(capsys, tmp_path):
    np.save(tmp_path / "a.npy", noisy(40, 40)[0])
    folder = tmp_path / "model"
    shutil.copytree(checkpoint.located("colour"), folder)
    checkpoint.write_card(folder, replace(checkpoint.read_card(folder), provenance={}))
    code, _, err = said(
        capsys,
        "denoise",
        tmp_path / "a.npy",
        "--model",
        folder,
        "--sigma",
        "0.1",
        "--out",
        tmp_path / "o",
    )
    assert code == 2
    assert "--sigma, --noise and --strength are for the bundled weights" in err
