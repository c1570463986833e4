"""`noisepair check` and `noisepair verdict`: what they print, write, refuse and leave out."""

import json
import re

import numpy as np
import pytest
from scipy import ndimage

from noisepair import checkpoint
from noisepair.app.cli import main
from noisepair.models import UNet
from noisepair.recipe import Recipe
from noisepair.train import train

CHECK = {"verdict", "reasons", "shift_px", "gain", "offset", "noise", "clipped", "intervals"}
VERDICT = {"verdict", "reasons", "psnr", "gain_db", "bias_max_sigma"}


def shots(count, side=72, seed=0):
    """Two noisy shots of smooth scenes, (2, count, side, side) float32."""
    rng = np.random.default_rng(seed)
    clean = np.stack(
        [ndimage.gaussian_filter(rng.normal(size=(side, side)), 6) for _ in range(count)]
    )
    clean = 0.5 + 0.2 * clean / np.abs(clean).max((1, 2), keepdims=True)
    return (clean + 0.1 * rng.normal(size=(2, *clean.shape))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty scenes as two files, others like them, and a model trained on the first."""
    root = tmp_path_factory.mktemp("verdict")
    for name, pair in (("mine", shots(20)), ("other", shots(9, seed=1))):
        for side, shot in zip("ab", pair, strict=True):
            np.save(root / f"{name}_{side}.npy", shot)
    lines = {
        "network": UNet(channels=(6, 6), head=(6, 6)),
        "steps": 150,
        "lr": 0.005,
        "holdout": 0.5,
    }
    mine = [root / f"mine_{side}.npy" for side in "ab"]
    train(*mine, out=root / "model", recipe=Recipe(**lines, precision="float32"))
    return root


def run(capsys, *arguments):
    code = main([*map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def told(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json", "--quiet")
    assert (code, err) == (0, "")
    return json.loads(out)


def page(path):
    """The report, which fetches nothing and runs nothing."""
    text = path.read_text()
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    return text


# — check —


def test_check_says_the_verdict_and_the_figures(folder, capsys):
    code, out, err = run(capsys, "check", folder / "mine_a.npy", folder / "mine_b.npy")
    assert code == 0
    assert out.startswith("Fit. (20 pairs of 20 of 20 scenes)")
    for name in (
        "noise",
        "shift",
        "brightness",
        "shared noise",
        "neighbours",
        "clipped",
        "Loss: l2",
    ):
        assert name in out
    assert "20 scenes, 2 shots each" in err


def test_check_gives_a_program_one_object(folder, capsys):
    found = told(capsys, "check", folder / "mine_a.npy", folder / "mine_b.npy")
    assert found.keys() >= CHECK
    assert found["verdict"] == "fit"
    assert found["noise"].keys() >= {"sigma", "gain", "read", "autocorrelation", "between_shots"}
    assert found["noise"]["sigma"] == pytest.approx(0.1, rel=0.03)
    low, high = found["intervals"]["noise.sigma"]
    assert low < found["noise"]["sigma"] < high
    assert {len(way) for way in found["noise"]["autocorrelation"].values()} == {8}
    assert len(found["scenes"]) == 20


def test_check_writes_a_page_with_every_figure(folder, capsys, tmp_path):
    names = folder / "mine_a.npy", folder / "mine_b.npy"
    found = told(capsys, "check", *names, "--report", tmp_path / "r")
    text = page(tmp_path / "r" / "report.html")
    assert found["report"] == str(tmp_path / "r" / "report.html")
    assert text.count("<svg") == 2
    assert text.count("data:image/png") == 1
    assert "This data is fit to train on" in text
    assert "Shift between shots" in text


def test_check_refuses_what_training_refuses(folder, capsys):
    same = folder / "mine_a.npy"
    code, out, err = run(capsys, "check", same, same)
    assert (code, out) == (2, "")
    assert err.startswith("noisepair: ")
    assert "Traceback" not in err


# — verdict —


def test_a_model_is_judged_by_what_was_held_out(folder, capsys):
    names = folder / "mine_a.npy", folder / "mine_b.npy"
    code, out, err = run(capsys, "verdict", "--model", folder / "model", *names)
    assert code == 0
    assert out.startswith("Improved.")
    assert "Judged by what was held out: 10 of 20 scenes, 20 shots." in err
    assert re.search(r"gain +\+\d+\.\d\d \(\+\d+\.\d\d to \+\d+\.\d\d\) dB", out)


def test_and_by_shots_that_it_never_saw(folder, capsys):
    names = folder / "other_a.npy", folder / "other_b.npy"
    found = told(capsys, "verdict", "--model", folder / "model", *names)
    assert found.keys() >= VERDICT
    assert found["verdict"] == "improved"
    for name in ("noisy", "denoised"):
        one = found["psnr"][name]
        assert one["low"] < one["value"] < one["high"]
    gain = found["gain_db"]
    assert gain["low"] < gain["value"] < gain["high"]
    assert gain["value"] == pytest.approx(
        found["psnr"]["denoised"]["value"] - found["psnr"]["noisy"]["value"], abs=1e-6
    )
    assert found["psnr"]["noisy"]["value"] == pytest.approx(20, abs=0.1), "sigma is 0.1"
    assert len(found["scenes"]) == 9


def test_the_estimate_is_the_truth(folder, capsys):
    from noisepair import Denoiser

    names = folder / "other_a.npy", folder / "other_b.npy"
    found = told(capsys, "verdict", "--model", folder / "model", *names)
    rng = np.random.default_rng(1)
    clean = np.stack([ndimage.gaussian_filter(rng.normal(size=(72, 72)), 6) for _ in range(9)])
    clean = 0.5 + 0.2 * clean / np.abs(clean).max((1, 2), keepdims=True)
    denoise = Denoiser.load(folder / "model").pages
    errors = [np.square(denoise(np.load(name)[..., None])[..., 0] - clean).mean() for name in names]
    true = -10 * np.log10(np.mean(errors))
    assert found["psnr"]["denoised"]["value"] == pytest.approx(true, abs=0.3)


def test_what_it_was_trained_on_is_no_evidence(folder, capsys, tmp_path):
    seen = set(checkpoint.read_seen(folder / "model").tolist())
    assert len(seen) == 20, "two shots of ten scenes"
    from noisepair.sources import open_source, unseen

    scenes = open_source(folder / "mine_a.npy", folder / "mine_b.npy").scenes
    new = unseen(scenes, checkpoint.read_seen(folder / "model"))
    learnt = [scene for scene in scenes if scene.name not in {one.name for one in new}]
    assert len(learnt) == 10
    for side in (0, 1):
        np.save(tmp_path / f"{side}.npy", np.concatenate([s.shots[side] for s in learnt])[..., 0])
    code, out, err = run(
        capsys,
        "verdict",
        "--model",
        folder / "model",
        tmp_path / "0.npy",
        tmp_path / "1.npy",
        "--quiet",
    )
    assert (code, out) == (2, "")
    assert "was trained on all of these shots" in err
    assert "Give shots of other scenes" in err


def test_a_model_that_does_not_know_what_it_saw_judges_with_a_warning(folder, capsys, tmp_path):
    import shutil

    shutil.copytree(folder / "model", tmp_path / "m")
    (tmp_path / "m" / checkpoint.SEEN).unlink()
    code, _, err = run(
        capsys, "verdict", "--model", tmp_path / "m", folder / "mine_a.npy", folder / "mine_b.npy"
    )
    assert code == 0
    assert "does not say what it was trained on" in err


def test_of_frames_the_last_ones_were_held_out(capsys, tmp_path):
    stack = np.concatenate(list(shots(1, 96)) + [shots(1, 96, seed=0)[k] for k in (0, 1)] * 3)
    stack = stack + 0.05 * np.random.default_rng(3).normal(size=stack.shape).astype(np.float32)
    np.save(tmp_path / "stack.npy", stack)
    lines = {"network": UNet(channels=(4, 4), head=(4, 4)), "steps": 3, "holdout": 0.5}
    train(tmp_path / "stack.npy", frames=True, out=tmp_path / "m", recipe=Recipe(**lines))
    code, _, err = run(
        capsys, "verdict", "--model", tmp_path / "m", tmp_path / "stack.npy", "--frames"
    )
    assert code == 0
    assert "held out: 1 of 1 scenes, 4 shots" in err


def test_verdict_writes_a_page_with_pictures(folder, capsys, tmp_path):
    names = folder / "other_a.npy", folder / "other_b.npy"
    told(capsys, "verdict", "--model", folder / "model", *names, "--report", tmp_path / "r")
    text = page(tmp_path / "r" / "report.html")
    assert "It worked: +" in text
    assert text.count("<svg") == 2
    assert text.count("data:image/png") == 1
    assert "the worst first" in text


def test_a_model_of_colour_is_refused_grey_shots_in_a_sentence(folder, capsys, tmp_path):
    rng = np.random.default_rng(0)
    for side in "ab":
        np.save(tmp_path / f"{side}.npy", rng.random((3, 40, 40, 3), np.float32))
    code, out, err = run(
        capsys,
        "verdict",
        "--model",
        folder / "model",
        tmp_path / "a.npy",
        tmp_path / "b.npy",
        "--quiet",
    )
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1


def test_training_says_three_lines_of_its_data_at_most(folder, capsys, tmp_path):
    clipped = [np.clip(np.load(folder / f"mine_{side}.npy") * 1.5, 0, 0.8) for side in "ab"]
    for side, shot in zip("ab", clipped, strict=True):
        np.save(tmp_path / f"{side}.npy", shot)
    code, _, err = run(
        capsys, "train", tmp_path / "a.npy", tmp_path / "b.npy", "--out", tmp_path / "m",
        "--steps", 1, "--network.channels", "4,4", "--network.head", "4,4",
    )  # fmt: skip
    assert code == 0
    assert "The data: fit with care." in err
    assert "Cut noise has no zero mean" in err
