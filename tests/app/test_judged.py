"""What `evaluate` and `verdict` judge is what `denoise` writes."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from skimage import data

import noisepair
from noisepair.app.cli import main
from noisepair.app.console import Options
from noisepair.app.judged import AsDenoised
from noisepair.denoise import Denoiser
from noisepair.evaluate import examples

GAIN, READ = 0.15, 0.02  # so strong that the noise is made alike first


def pictures(side=80):
    """Four grey scenes and one in colour, floats."""
    whole = data.astronaut() / 255.0
    parts = [whole[top : top + side, 150 : 150 + side] for top in (0, 80, 160, 240, 320)]
    return {f"{n}.npy": part if n == 4 else part.mean(-1) for n, part in enumerate(parts)}


def shot(clean, *seed):
    rng = np.random.default_rng(seed)
    photons = GAIN * rng.poisson(clean / GAIN) + READ * rng.standard_normal(clean.shape)
    return photons.astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("judged")
    for side in ("clean", "a", "b", "grey_a", "grey_b"):
        (root / side).mkdir()
    for n, (name, clean) in enumerate(pictures().items()):
        np.save(root / "clean" / name, clean.astype(np.float32))
        for k, side in enumerate("ab"):
            np.save(root / side / name, shot(clean, n, k))
            if clean.ndim == 2:
                np.save(root / f"grey_{side}" / name, shot(clean, n, k))
    for k, side in enumerate("ab"):
        of = [shot(clean, n, k) for n, clean in enumerate(pictures().values()) if clean.ndim == 2]
        np.save(root / f"stack_{side}.npy", np.stack(of))
    for what in ("a", "grey_a", "grey_b", "stack_a.npy", "stack_b.npy"):
        assert (
            main(["denoise", str(root / what), "--out", str(root / "done" / what), "--quiet"]) == 0
        )
    return root


def run(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def found(capsys, *words):
    code, out, err = run(capsys, *words, "--json", "--quiet")
    assert (code, err) == (0, "")
    return json.loads(out)


# — evaluate —


def test_evaluate_scores_what_denoise_writes_to_the_last_bit(folder, capsys):
    sides = ("--noisy", folder / "a", "--clean", folder / "clean", "--data-range", 1)
    by_weights = found(capsys, "evaluate", *sides)
    by_files = found(capsys, "evaluate", *sides, "--denoised", folder / "done" / "a")
    assert by_weights["scores"] == by_files["scores"]
    assert by_weights["denoiser"] == {"models": ["colour", "grey"], "noise_measured": True}
    assert "denoiser" not in by_files
    noisy, clean = ([np.load(p) for p in sorted((folder / s).iterdir())] for s in ("a", "clean"))
    plainly = noisepair.evaluate(noisy[:4], clean[:4], Denoiser.load("grey"), data_range=1)
    for one, other in zip(by_weights["scores"], plainly.scores, strict=False):
        away = abs(one["denoised"]["psnr"] - other.denoised.psnr)
        assert away > 0.05, "control: the network alone is judged otherwise"


def test_evaluate_says_how_it_was_denoised(folder, capsys, tmp_path):
    sides = ("--noisy", folder / "a", "--clean", folder / "clean")
    code, out, _ = run(capsys, "evaluate", *sides, "--out", tmp_path / "report")
    assert code == 0
    assert "Denoised by the bundled weights (colour, grey), the noise of each picture meas" in out
    named = found(capsys, "evaluate", *sides, "--model", "colour")
    assert named["denoiser"]["models"] == ["colour"]
    fitting = found(capsys, "evaluate", *sides, "--model", "bundled")
    assert fitting["denoiser"]["models"] == ["colour", "grey"]


def test_evaluate_of_the_noisy_alone_is_asked_for_by_none(folder, capsys):
    sides = ("--noisy", folder / "a", "--clean", folder / "clean")
    assert "denoised" not in found(capsys, "evaluate", *sides, "--model", "none")["psnr"]
    code, _, err = run(capsys, "evaluate", *sides, "--model", "none", "--average")
    assert code == 2
    assert "--average is how a model denoises, and there is none" in err


class Together:
    """Gives each page the mean of all that it was given."""

    def __init__(self, whole):
        self.whole, self.given = whole, []

    def __call__(self, pixels, channel_axis):
        raise AssertionError("pages were given one by one")

    def pages(self, noisy):
        self.given.append(len(noisy))
        return np.full_like(noisy, noisy.mean())


def test_the_gallery_shows_what_was_scored_of_a_stack(tmp_path):
    """Bundled weights are told of the noise of the whole file, so a page alone is another case."""
    clean = np.random.default_rng(0).random((5, 20, 20, 1)) + np.arange(5).reshape(-1, 1, 1, 1) ** 2
    np.savez(tmp_path / "both.npz", noisy=clean, clean=clean)
    assert AsDenoised.whole
    for whole, given in ((True, [5, 5]), (False, [5, 3])):
        denoiser = Together(whole)
        scores = noisepair.evaluate(tmp_path / "both.npz", denoised=denoiser)
        shown = examples(scores, tmp_path / "both.npz", denoised=denoiser)
        assert denoiser.given == given
        scored = [scores.scores[i].denoised for i in scores.cases().values()]
        same = [
            case.closeness(case.denoised) == one for case, one in zip(shown, scored, strict=True)
        ]
        assert all(same) is whole, "control: a denoiser that says nothing is given what is shown"


# — verdict —


def told(capsys, *words):
    judged = found(capsys, "verdict", *words)
    return judged, {name: one["value"] for name, one in judged["psnr"].items()}


@pytest.mark.parametrize(
    ("a", "b"), [("grey_a", "grey_b"), ("stack_a.npy", "stack_b.npy")], ids=["files", "a stack"]
)
def test_verdict_judges_what_denoise_writes(folder, capsys, a, b):
    """Another road: what denoise wrote, looked up shot by shot."""
    judged, psnr = told(capsys, folder / a, folder / b)
    assert judged["denoiser"] == {"models": ["grey"], "noise_measured": True}
    written = {}
    for side in (a, b):
        done = folder / "done" / side
        pairs = [(folder / side, done / side)] if side.endswith(".npy") else [
            (path, done / path.name) for path in (folder / side).iterdir()
        ]  # fmt: skip
        for noisy, result in (map(np.load, pair) for pair in pairs):
            pages = noisy.reshape(-1, 80, 80), result.reshape(-1, 80, 80)
            written |= {one.tobytes(): two for one, two in zip(*pages, strict=True)}

    def looked_up(pages):
        return np.stack([written[page.tobytes()][..., None] for page in pages])

    by_files = noisepair.verdict(looked_up, folder / a, folder / b)
    assert psnr["denoised"] == by_files.denoised.value
    plainly = noisepair.verdict(Denoiser.load("grey"), folder / a, folder / b)
    assert abs(psnr["denoised"] - plainly.denoised.value) > 0.05, "control"


def test_no_shot_is_denoised_with_the_other_one_beside_it(folder):
    """What measures noise would see both, and the estimate stands on their independence."""
    seen = []

    def denoise(pages):
        seen.append(pages.tobytes())
        return pages.copy()

    noisepair.verdict(denoise, folder / "grey_a", folder / "grey_b")
    alone = [np.load(p).tobytes() for s in ("grey_a", "grey_b") for p in (folder / s).iterdir()]
    assert sorted(seen) == sorted(alone)
    seen.clear()
    noisepair.verdict(denoise, folder / "stack_a.npy", folder / "stack_b.npy")
    assert seen == [np.load(folder / f"stack_{side}.npy").tobytes() for side in "ab"]


def test_verdict_needs_no_model_and_says_how_it_denoised(folder, capsys, tmp_path):
    words = (folder / "grey_a", folder / "grey_b", "--report", tmp_path / "r")
    code, out, err = run(capsys, "verdict", *words)
    assert code == 0
    assert "Denoised by the bundled weights (grey), the noise of each picture measured" in out
    assert "does not say what it was trained on" in err
    assert re.search(r"gain +\+\d", out)
    named, _ = told(capsys, folder / "grey_a", folder / "grey_b", "--model", "colour")
    assert named["denoiser"]["models"] == ["colour"]


def test_a_trained_model_is_judged_as_it_is(tmp_path):
    """Its noise it knows: nothing is measured."""
    from noisepair import checkpoint

    shutil.copytree(checkpoint.located("grey"), tmp_path / "model")
    card = checkpoint.read_card(tmp_path / "model")
    checkpoint.write_card(tmp_path / "model", replace(card, provenance={}))
    judged = AsDenoised(str(tmp_path / "model"), Options(device="cpu"))
    noisy = shot(pictures()["0.npy"], 7)
    assert np.array_equal(
        judged.pages(noisy[None, ..., None]), Denoiser.load("grey").pages(noisy[None, ..., None])
    )
    assert judged.lines() == []
    assert judged.as_json()["noise_measured"] is False
    blind = AsDenoised("grey", Options(device="cpu"))
    assert np.array_equal(blind(noisy), noisepair.denoise(noisy))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["evaluate", "--noisy", "a", "--clean", "a", "--model", "nowhere"], "is not a model"),
        (["verdict", "a", "b", "--model", "nowhere"], "is not a model"),
        (["evaluate", "--noisy", "a", "--clean", "a", "--model", "grey"], "trained on grey"),
    ],
)
def test_what_cannot_judge_is_refused_in_a_sentence(capsys, tmp_path, monkeypatch, command, said):
    monkeypatch.chdir(tmp_path)
    for side in "ab":
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "x.npy", np.random.default_rng(0).random((16, 16, 3), "f4"))
    code, out, err = run(capsys, *command, "--quiet")
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
