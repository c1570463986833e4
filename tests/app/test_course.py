"""`noisepair course`: what it writes is what the course's tests call, in a process of their own."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import noisepair
from noisepair.app import course as course_command
from noisepair.app import miniproject
from noisepair.app.cli import main
from noisepair.app.miniproject.model import Model, pack, unpack
from noisepair.models import Scale
from noisepair.recipe import Recipe

TINY = {
    "network": "noise2noise", "network.channels": "8,8", "network.head": "8,8",
    "network.residual": True, "precision": "float32",
}  # fmt: skip


def pictures(count, planes=3, side=32, seed=0):
    """Smooth pictures (count, planes, side, side) uint8, and two noisy shots of them."""
    rng = np.random.default_rng(seed)
    at = np.arange(side) / 5
    phase = rng.uniform(0, 6, (2, count, planes, 1))
    waves = np.sin(at + phase[0])[..., None] + np.cos(at + phase[1])[..., None, :]
    clean = 128 + 50 * waves
    shots = [np.rint(clean + rng.normal(0, 25, clean.shape)).clip(0, 255) for _ in range(2)]
    return [torch.from_numpy(values.astype(np.uint8)) for values in (np.rint(clean), *shots)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with the course's two files, small."""
    root = tmp_path_factory.mktemp("data")
    _, one, two = pictures(40)
    torch.save((one, two), root / "train_data.pkl")
    clean, noisy, _ = pictures(12, seed=1)
    torch.save((noisy, clean), root / "val_data.pkl")
    return root


@pytest.fixture(scope="module")
def model(data):
    recipe = Recipe.of({**TINY, "steps": 150, "batch": 8, "lr": 0.01})
    noisepair.train(data / "train_data.pkl", out=data / "model", recipe=recipe)
    return data / "model"


@pytest.fixture(scope="module")
def submission(model):
    out = model.parent / "made" / "submission"
    assert main(["course", str(out), "--model", str(model)]) == 0
    return out


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# — the course's interface, as its test file calls it —

GRADER = """
import json, sys
sys.path[:0] = [{submission!r}]
import torch
torch.set_grad_enabled({grad})
from Miniproject_1.model import Model

noisy, clean = torch.load({data!r} + "/val_data.pkl", weights_only=True)

def psnr(pictures):
    error = (pictures / 255.0 - clean / 255.0) ** 2
    return float((-10 * torch.log10(error.mean((1, 2, 3)))).mean())

def span(pictures):
    out = model.predict(pictures)
    assert out.device == pictures.device and not out.requires_grad
    return [list(out.shape), float(out.min()), float(out.max())]

model = Model()
said = {{"untrained": span(torch.rand(1, 3, 512, 512) * 255)}}
model.load_pretrained_model()
said["float"] = span(torch.rand(1, 3, 512, 512) * 255)
said["uint8"] = span(torch.randint(0, 256, (1, 3, 512, 512), dtype=torch.uint8))
said["odd"] = span(torch.randint(0, 256, (2, 3, 31, 45), dtype=torch.uint8))
batches = [model.predict(noisy.narrow(0, at, 4)).cpu() for at in range(0, len(noisy), 4)]
said["noisy"], said["pretrained"] = psnr(noisy), psnr(torch.cat(batches))
first, second = torch.load({data!r} + "/train_data.pkl", weights_only=True)
model.train(first[:16], second[:16], num_epochs=1)
said["trained"] = span(noisy)
print(json.dumps(said))
"""


@pytest.mark.parametrize("grad", [True, False])
def test_the_calls_of_the_courses_tests_are_answered(data, submission, tmp_path, grad):
    code = GRADER.format(submission=str(submission), data=str(data), grad=grad)
    installed = {"PYTHONPATH": str(Path(noisepair.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | installed,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    shapes = {"untrained": [1, 3, 512, 512], "float": [1, 3, 512, 512], "uint8": [1, 3, 512, 512],
              "odd": [2, 3, 31, 45], "trained": [12, 3, 32, 32]}  # fmt: skip
    for what, shape in shapes.items():
        found, low, high = said[what]
        assert found == shape, what
        assert 0 <= low < 1 < 100 < high <= 255, what  # in 0 to 255, and not in 0 to 1
    assert said["pretrained"] > said["noisy"] + 1
    assert list(tmp_path.iterdir()) == []


def test_predictions_are_those_of_the_model(data, model, submission):
    noisy, _ = torch.load(data / "val_data.pkl", weights_only=True)
    ours = Model()
    ours.denoiser = unpack(submission / "Miniproject_1" / "bestmodel.pth", "cpu")
    denoised = noisepair.Denoiser.load(model)(noisy, channel_axis=1)
    assert (ours.predict(noisy) - denoised.float()).abs().max() <= 0.501  # that one is rounded
    torch.testing.assert_close(ours.predict(noisy.float()), ours.predict(noisy), rtol=0, atol=0)
    torch.testing.assert_close(ours.predict(noisy.long()), ours.predict(noisy), rtol=0, atol=0)
    assert (ours.predict(noisy / 255) - denoised.float()).abs().max() > 50  # control: the units


def test_until_it_is_trained_a_model_changes_nothing():
    noisy = torch.rand(1, 3, 9, 7) * 300
    assert torch.equal(Model().predict(noisy), noisy.clamp(0, 255))


def test_training_takes_the_passes_and_the_values_that_it_is_given():
    _, one, two = pictures(6)
    cards = []
    for first, second in ((one, two), (one + 0.2, two.double() - 0.2), (one, one.flip(0))):
        model = Model()
        model.train(first, second, num_epochs=2)
        assert model.denoiser is not None
        cards.append(model.denoiser.card)
    assert cards[0].recipe.epochs == 2
    digests = [card.provenance["data"]["digest"] for card in cards]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]  # control


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_used_and_pictures_stay_where_they_are(submission):
    ours = Model()
    assert ours.device == "cuda"
    ours.denoiser = unpack(submission / "Miniproject_1" / "bestmodel.pth", ours.device)
    noisy = torch.rand(1, 3, 64, 64) * 255
    assert ours.predict(noisy).device.type == "cpu"
    assert ours.predict(noisy.cuda()).device.type == "cuda"


# — what is written —


def test_the_files_are_ours_and_the_weights_are_data(model, submission):
    folder = submission / "Miniproject_1"
    assert [path.name for path in submission.iterdir()] == ["Miniproject_1"]
    assert {path.name for path in folder.iterdir()} == {"__init__.py", "model.py", "bestmodel.pth"}
    for name in ("__init__.py", "model.py"):
        source = Path(miniproject.__file__).with_name(name)
        assert (folder / name).read_bytes() == source.read_bytes()
    held = torch.load(folder / "bestmodel.pth", weights_only=True)
    assert set(held) == {"card", "weights"}
    assert json.loads(held["card"])["recipe"]["steps"] == 150
    before, after = noisepair.Denoiser.load(model), unpack(folder / "bestmodel.pth", "cpu")
    assert after.card == before.card
    assert after.network.state_dict().keys() == held["weights"].keys()
    for name, value in before.network.state_dict().items():
        assert torch.equal(held["weights"][name], value)


def test_what_is_packed_comes_back_scale_and_all(model, tmp_path):
    denoiser = noisepair.Denoiser.load(model)
    denoiser.card = replace(denoiser.card, scale=Scale(0.25, 0.5))
    assert pack(denoiser) == pack(denoiser)
    (tmp_path / "w.pth").write_bytes(pack(denoiser))
    after = unpack(tmp_path / "w.pth", "cpu")
    noisy = pictures(2)[1]
    assert after.card == denoiser.card
    assert torch.equal(after(noisy, channel_axis=1), denoiser(noisy, channel_axis=1))


def test_the_command_says_where_how_large_and_how_good(capsys, model, tmp_path):
    code, out, _ = run(capsys, "course", tmp_path / "s", "--model", model)
    assert code == 0
    assert f"{tmp_path / 's' / 'Miniproject_1'} is written, " in out
    assert "MB with its weights" in out
    assert "dB PSNR, estimated from held-out noisy pairs" in out
    assert "Miniproject_2, the network without autograd, is not in it" in out


def test_with_data_it_trains_and_scores_what_it_wrote(capsys, data, tmp_path):
    code, out, err = run(
        capsys, "course", tmp_path / "s", "--data", data / "train_data.pkl", "--budget", "2s",
        "--json",
    )  # fmt: skip
    assert code == 0
    assert "40 scenes, 2 shots each" in err
    assert "step" in err
    said = json.loads(out)
    denoiser = unpack(tmp_path / "s" / "Miniproject_1" / "bestmodel.pth", "cpu")
    assert denoiser.card.recipe.budget == 2
    psnr = noisepair.evaluate(data / "val_data.pkl", denoised=denoiser).summary()["psnr"]
    assert said["psnr"] == psnr
    assert said["bytes"] == sum(path.stat().st_size for path in (tmp_path / "s").rglob("*.*"))


def test_without_a_validation_file_the_gain_is_the_estimate(capsys, data, tmp_path):
    (tmp_path / "train_data.pkl").symlink_to(data / "train_data.pkl")
    arguments = ["--data", tmp_path / "train_data.pkl", "--budget", "1s", "--json"]
    _, out, _ = run(capsys, "course", tmp_path / "s", *arguments)
    assert json.loads(out)["psnr"] is None
    assert "gain_db" in json.loads(out)


# — refusals, and that they leave nothing —


def test_refusals(capsys, data, model, tmp_path):
    train = data / "train_data.pkl"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    cases = [
        (["s"], "Neither --model nor --data was given"),
        (["s", "--model", model, "--data", train], "Both --model and --data were given"),
        (["s", "--model", model, "--budget", "1m"], "--budget 1m is the time to train for"),
        (["s", "--data", train, "--budget", "soon"], "should be a time such as 90s"),
        (["s", "--model", data], "is not a model"),
        (["s", "--data", data / "nothing.pkl"], "There is nothing at"),
        (["full", "--model", model], "exists and is not empty"),
        (["file", "--model", model], "exists and is not empty"),
    ]
    for (name, *arguments), sentence in cases:
        code, out, err = run(capsys, "course", tmp_path / name, *arguments)
        assert (code, out) == (2, ""), sentence
        assert sentence in err
        assert not (tmp_path / "s").exists(), sentence
    assert {path.name for path in tmp_path.rglob("*")} == {"full", "mine.txt", "file"}


def test_a_model_of_grey_pictures_is_refused(capsys, tmp_path):
    shots = [shot.numpy()[:, 0] for shot in pictures(4)[1:]]
    recipe = Recipe.of({**TINY, "steps": 1})
    noisepair.train(*shots, out=tmp_path / "grey", recipe=recipe)
    (tmp_path / "s").mkdir()
    code, _, err = run(capsys, "course", tmp_path / "s", "--model", tmp_path / "grey")
    assert code == 2
    assert "trained on pictures of 1 colour planes, and the course's have 3" in err
    assert list((tmp_path / "s").iterdir()) == []  # it was there, so it stays


def test_a_run_that_is_stopped_leaves_nothing(capsys, data, tmp_path, monkeypatch):
    def interrupted(source, **named):
        assert (tmp_path / "s").exists()  # that OUT can be written is known before the training
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(course_command, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        course_command.course(tmp_path / "s", data=data / "train_data.pkl")
    assert capsys.readouterr().err == "Stopped; nothing is written.\n"
    assert list(tmp_path.iterdir()) == []


# — evaluate, given one file —


def test_evaluate_takes_one_file_as_it_takes_folders(capsys, data, model, tmp_path):
    arguments = ["evaluate", data / "val_data.pkl", "--model", model, "--out", tmp_path / "report"]
    code, out, _ = run(capsys, *arguments, "--json")
    expected = noisepair.evaluate(data / "val_data.pkl", denoised=noisepair.Denoiser.load(model))
    assert code == 0
    assert json.loads(out)["psnr"] == expected.summary()["psnr"]
    assert {"report.html", "gallery.png"} <= {path.name for path in (tmp_path / "report").iterdir()}
    table = run(capsys, *arguments)[1]
    assert "PSNR per image" in table
    assert "PSNR pooled" in table


def test_pages_that_share_a_batch_are_denoised_as_each_alone(data, model):
    denoiser = noisepair.Denoiser.load(model)

    def alone(pixels, channel_axis):
        return denoiser(pixels, channel_axis=channel_axis)

    val = data / "val_data.pkl"
    together, each = (noisepair.evaluate(val, denoised=one) for one in (denoiser, alone))
    for one, other in zip(together.scores, each.scores, strict=True):
        assert one.denoised.psnr == pytest.approx(other.denoised.psnr, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "came"),
    [
        ([], "nothing"),
        (["val.pkl", "--noisy", "a", "--clean", "b"], "VAL, --noisy, --clean"),
        (["val.pkl", "--clean", "b"], "VAL, --clean"),
        (["--noisy", "a"], "--noisy"),
    ],
)
def test_evaluate_wants_one_file_or_both_sides(capsys, arguments, came):
    code, out, err = run(capsys, "evaluate", *arguments)
    assert (code, out) == (2, "")
    assert f"was given as {came}. Give VAL, one file with noisy and clean pictures" in err
