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
from noisepair.app.course import pack
from noisepair.app.miniproject.one.model import Model, unpack
from noisepair.app.miniproject.two.model import RECIPE
from noisepair.app.miniproject.two.model import Model as ModelByHand
from noisepair.models import Scale
from noisepair.recipe import Recipe

TINY = {
    "network": "noise2noise", "network.channels": "8,8", "network.head": "8,8",
    "network.residual": True, "precision": "float32",
}  # fmt: skip
BY_HAND = {
    "engine": "scratch", "network": "strided", "network.channels": "16,16,16",
    "optimizer": "adam", "lr": 0.01, "batch": 8,
}  # fmt: skip
FILES = {"__init__.py", "model.py", "bestmodel.pth"}
ROOMS = {"Miniproject_1": "one", "Miniproject_2": "two"}


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
def model2(data):
    recipe = Recipe.of({**BY_HAND, "steps": 150})
    noisepair.train(data / "train_data.pkl", out=data / "model2", recipe=recipe)
    return data / "model2"


@pytest.fixture(scope="module")
def submission(model, model2):
    out = model.parent / "made" / "submission"
    assert main(["course", str(out), "--model", str(model), "--model2", str(model2)]) == 0
    return out


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# — the course's interface, as its test file calls it —

GRADER = """
import importlib, json, sys
sys.path[:0] = [{submission!r}]
import torch

noisy, clean = torch.load({data!r} + "/val_data.pkl", weights_only=True)
first, second = torch.load({data!r} + "/train_data.pkl", weights_only=True)

def psnr(pictures):
    error = (pictures / 255.0 - clean / 255.0) ** 2
    return float((-10 * torch.log10(error.mean((1, 2, 3)))).mean())

def answers(Model):
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
    model.train(first[:16], second[:16], num_epochs=1)
    said["trained"] = span(noisy)
    return said

said = {{}}
for project in {projects!r}:
    for grad in (True, False):
        torch.set_grad_enabled(grad)
        said[f"{{project}}, {{grad}}"] = answers(importlib.import_module(project + ".model").Model)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def answers(data, submission, tmp_path_factory):
    """What the calls come to, by project and by whether autograd is on."""
    code = GRADER.format(submission=str(submission), data=str(data), projects=list(ROOMS))
    installed = {"PYTHONPATH": str(Path(noisepair.__file__).parents[1])}
    folder = tmp_path_factory.mktemp("graded")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=os.environ | installed,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return json.loads(done.stdout)


@pytest.mark.parametrize("project", ROOMS)
@pytest.mark.parametrize("grad", [True, False])
def test_the_calls_of_the_courses_tests_are_answered(answers, grad, project):
    said = answers[f"{project}, {grad}"]
    shapes = {"untrained": [1, 3, 512, 512], "float": [1, 3, 512, 512], "uint8": [1, 3, 512, 512],
              "odd": [2, 3, 31, 45], "trained": [12, 3, 32, 32]}  # fmt: skip
    for what, shape in shapes.items():
        found, low, high = said[what]
        assert found == shape, what
        assert 0 <= low < 100 < high <= 255, what  # in 0 to 255, and not in 0 to 1
    assert said["pretrained"] > said["noisy"] + 1


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


@pytest.mark.parametrize("project", ROOMS)
def test_the_files_are_ours_and_the_weights_are_data(model, model2, submission, project):
    folder = submission / project
    assert {path.name for path in submission.iterdir()} == set(ROOMS)
    assert {path.name for path in folder.iterdir()} == FILES
    for name in ("__init__.py", "model.py"):
        source = Path(miniproject.__file__).parent / ROOMS[project] / name
        assert (folder / name).read_bytes() == source.read_bytes()
    held = torch.load(folder / "bestmodel.pth", weights_only=True)
    assert set(held) == {"card", "weights"}
    before = noisepair.Denoiser.load(model if project == "Miniproject_1" else model2)
    after = unpack(folder / "bestmodel.pth", "cpu")
    assert json.loads(held["card"])["recipe"]["steps"] == before.card.recipe.steps
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


def test_the_command_says_where_how_large_and_how_good(capsys, model, model2, tmp_path):
    arguments = ["course", tmp_path / "s", "--model", model, "--model2", model2]
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    for project in ROOMS:
        assert f"{tmp_path / 's' / project} is written, " in out
    assert out.count("MB with its weights") == 2
    assert out.count("dB PSNR, estimated from held-out noisy pairs") == 2
    assert "left out" not in out
    assert "autograd" not in out


@pytest.mark.parametrize(
    ("option", "project", "sentence"),
    [
        ("--model", "Miniproject_1", "Miniproject_2, the network without autograd, is left out."),
        ("--model2", "Miniproject_2", "Miniproject_1 is left out. Give --model a model made with"),
    ],
)
def test_one_model_is_one_project_and_a_word_on_the_other(
    capsys, model, model2, tmp_path, option, project, sentence
):
    given = {"--model": model, "--model2": model2}[option]
    _, out, _ = run(capsys, "course", tmp_path / "s", option, given)
    assert sentence in out
    assert [path.name for path in (tmp_path / "s").iterdir()] == [project]
    _, out, _ = run(capsys, "course", tmp_path / "t", option, given, "--json")
    (other,) = set(ROOMS) - {project}
    said = json.loads(out)
    assert said[other] is None
    assert said[project]["bytes"] == sum(p.stat().st_size for p in (tmp_path / "t").rglob("*.*"))


def test_the_way_that_is_told_to_the_other_project_is_one(capsys, model, tmp_path):
    _, out, _ = run(capsys, "course", tmp_path / "s", "--model", model)
    command = out.partition("noisepair train train_data.pkl ")[2].split()
    lines = dict(zip(command[::2], command[1::2], strict=True))
    assert lines.pop("--out") == "model2"
    told = Recipe.of({name.removeprefix("--"): text for name, text in lines.items()})
    assert told == Recipe.of(RECIPE)


def test_weights_learnt_with_autograd_are_called_so(capsys, data, tmp_path):
    recipe = Recipe.of({**BY_HAND, "engine": "torch", "steps": 1})
    noisepair.train(data / "train_data.pkl", out=tmp_path / "model2", recipe=recipe)
    _, out, _ = run(capsys, "course", tmp_path / "s", "--model2", tmp_path / "model2")
    assert "Its weights were learnt with autograd (engine torch)" in out


def test_with_data_it_trains_and_scores_what_it_wrote(capsys, data, tmp_path):
    code, out, err = run(
        capsys, "course", tmp_path / "s", "--data", data / "train_data.pkl", "--budget", "2s",
        "--json",
    )  # fmt: skip
    assert code == 0
    assert err.count("40 scenes, 2 shots each") == 2
    assert err.index("Miniproject_1") < err.index("step") < err.index("Miniproject_2")
    said = json.loads(out)
    for project, kind in (("Miniproject_1", "unet"), ("Miniproject_2", "strided")):
        denoiser = unpack(tmp_path / "s" / project / "bestmodel.pth", "cpu")
        assert denoiser.card.recipe.budget == 2
        assert denoiser.card.recipe.network.kind == kind
        psnr = noisepair.evaluate(data / "val_data.pkl", denoised=denoiser).summary()["psnr"]
        found = said[project]["psnr"]
        if project == "Miniproject_1":
            assert found == psnr
        else:  # by hand in float32; the other in bfloat16 where that is fast
            assert found["noisy"] == psnr["noisy"]
            assert found["denoised"] == pytest.approx(psnr["denoised"], abs=0.05)
            assert found["denoised"]["per_image"] != found["noisy"]["per_image"]
        files = (tmp_path / "s" / project).iterdir()
        assert said[project]["bytes"] == sum(path.stat().st_size for path in files)


def test_without_a_validation_file_the_gain_is_the_estimate(capsys, data, tmp_path):
    (tmp_path / "train_data.pkl").symlink_to(data / "train_data.pkl")
    arguments = ["--data", tmp_path / "train_data.pkl", "--budget", "1s", "--json"]
    _, out, _ = run(capsys, "course", tmp_path / "s", *arguments)
    for project in ROOMS:
        assert json.loads(out)[project]["psnr"] is None
        assert "gain_db" in json.loads(out)[project]


# — refusals, and that they leave nothing —


def test_refusals(capsys, data, model, model2, tmp_path):
    train = data / "train_data.pkl"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    cases = [
        (["s"], "None of --model, --model2 and --data was given"),
        (["s", "--model", model, "--data", train], "--model and --data were given"),
        (["s", "--model2", model2, "--data", train], "--model2 and --data were given"),
        (["s", "--model", model, "--budget", "1m"], "--budget 1m is the time to train for"),
        (["s", "--data", train, "--budget", "soon"], "should be a time such as 90s"),
        (["s", "--model", data], "is not a model"),
        (["s", "--model", model, "--model2", data], "is not a model"),
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


@pytest.mark.parametrize("option", ["--model", "--model2"])
def test_a_model_of_grey_pictures_is_refused(capsys, tmp_path, option):
    shots = [shot.numpy()[:, 0] for shot in pictures(4)[1:]]
    recipe = Recipe.of({**TINY, "steps": 1})
    noisepair.train(*shots, out=tmp_path / "grey", recipe=recipe)
    (tmp_path / "s").mkdir()
    code, _, err = run(capsys, "course", tmp_path / "s", option, tmp_path / "grey")
    assert code == 2
    assert "was trained on pictures of 1 colour planes, and the course's have 3" in err
    assert list((tmp_path / "s").iterdir()) == []  # it was there, so it stays


def test_a_model_that_cannot_be_written_by_hand_is_refused(capsys, data, model, tmp_path):
    recipe = Recipe.of({**TINY, "network.norm": "batch", "steps": 1})
    noisepair.train(data / "train_data.pkl", out=tmp_path / "normed", recipe=recipe)
    arguments = ["--model", model, "--model2", tmp_path / "normed"]
    code, _, err = run(capsys, "course", tmp_path / "s", *arguments)
    assert code == 2
    assert "has parts that noisepair.scratch has no backward pass for" in err
    assert "--engine scratch --network strided" in err
    assert not (tmp_path / "s").exists()


def test_a_u_net_can_be_written_by_hand(capsys, data, tmp_path):
    recipe = Recipe.of({"network.channels": "8,8", "engine": "scratch", "steps": 20})
    noisepair.train(data / "train_data.pkl", out=tmp_path / "model2", recipe=recipe)
    assert run(capsys, "course", tmp_path / "s", "--model2", tmp_path / "model2")[0] == 0
    ours = ModelByHand()
    ours.load_pretrained_model(tmp_path / "s" / "Miniproject_2" / "bestmodel.pth")
    noisy, _ = torch.load(data / "val_data.pkl", weights_only=True)
    denoised = noisepair.Denoiser.load(tmp_path / "model2")(noisy.float() / 255, channel_axis=1)
    torch.testing.assert_close(
        ours.predict(noisy), (255 * denoised).clamp(0, 255), rtol=0, atol=0.01
    )


def test_both_projects_are_written_or_none(capsys, model, model2, tmp_path, monkeypatch):
    move, moved = os.replace, []

    def full(source, target):
        if Path(target).parent == tmp_path / "s":
            moved.append(Path(target).name)
            if len(moved) == 2:
                raise OSError(28, "No space left on device")
        move(source, target)

    monkeypatch.setattr(course_command.os, "replace", full)
    arguments = ["course", tmp_path / "s", "--model", model, "--model2", model2]
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "No space left on device" in err
    assert moved == list(ROOMS)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_stopped_leaves_nothing(capsys, data, tmp_path, monkeypatch):
    def interrupted(source, **named):
        assert (tmp_path / "s").exists()  # that OUT can be written is known before the training
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(course_command, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        course_command.course(tmp_path / "s", data=data / "train_data.pkl")
    assert capsys.readouterr().err == "— Miniproject_1 —\nStopped; nothing is written.\n"
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
