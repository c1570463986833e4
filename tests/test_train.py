"""Training: it learns, two runs are one run, and nothing that stops a run costs it more than time.

"The same" means bit for bit. A run is stopped in every way there is: by a watch, by Ctrl-C and
`kill -9` of real processes, by a crash between any two acts of writing, by a full disk.
"""

import ast
import errno
import importlib
import inspect
import itertools
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import noisepair
from noisepair import checkpoint, files, hardware, learners
from noisepair.app.cli import main
from noisepair.denoise import Denoiser
from noisepair.errors import InputError
from noisepair.losses import LOSSES
from noisepair.metrics import psnr
from noisepair.models import Scale, UNet
from noisepair.noise import Gaussian
from noisepair.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Constant,
    Kaiming,
    Orthogonal,
    RMSprop,
)
from noisepair.pairs import TwoShots
from noisepair.recipe import Recipe
from noisepair.sources import open_source

training = importlib.import_module("noisepair.train")  # `noisepair.train` is the function
train = training.train

SRC = Path(training.__file__).parent
SIGMA = 0.25
FORM = {"form": "noise2noise", "convs": 2, "pool": "max", "slope": 0.1}  # whatever the default
TINY = {
    "network": UNet(channels=(4, 4), head=(4, 4), **FORM),
    "batch": 4,
    "crop": 16,
    "lr": 0.02,
    "precision": "float32",
}


DROPPING = UNet(channels=(4, 4), head=(4, 4), dropout=0.3, **FORM)
NORMED = UNet(channels=(4, 4), head=(4, 4), norm="batch", **FORM)


def recipe(**lines):
    return Recipe(**({"steps": 12} | TINY | lines))


def cleans(count, side=32, seed=0):
    """Soft waves: scenes that a tiny network can learn in seconds."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = (
        rng.normal(0, 0.12) * np.sin(2 * np.pi * (u * y + v * x + rng.random()))
        for u, v in itertools.chain.from_iterable(
            rng.integers(1, 4, (4, 2)).tolist() for _ in range(count)
        )
    )
    return 0.5 + np.array(list(waves)).reshape(count, 4, side, side).sum(1)


def shots(count=5, side=32, sigma=SIGMA, seed=1):
    clean, rng = cleans(count, side), np.random.default_rng(seed)
    return [(clean + rng.normal(0, sigma, clean.shape)).astype(np.float32) for _ in range(2)]


def weights(folder):
    return checkpoint.load_tensors(folder / checkpoint.WEIGHTS)[0]


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def history(folder):
    """All that is the same in two equal runs: everything but the time it took."""
    whole = (folder / checkpoint.HISTORY).read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in whole]


def same_run(one, two):
    """Whether two folders hold one run: weights, last state and history, bit for bit."""
    states = (checkpoint.load_tensors(folder / checkpoint.STATE)[0] for folder in (one, two))
    return equal(weights(one), weights(two)) and equal(*states) and history(one) == history(two)


def at_step(step):
    return lambda progress: progress.step == step


# — it learns —


def test_from_noise_alone_it_learns_to_remove_noise():
    lines = recipe(steps=200, crop=32, lr=0.01)
    clean = cleans(4, 48, seed=99)
    noisy = clean + np.random.default_rng(99).normal(0, SIGMA, clean.shape)

    def gain(denoiser):
        return psnr(denoiser(noisy), clean, 1.0) - psnr(noisy, clean, 1.0)

    assert gain(train(*shots(12, 48), recipe=lines)) > 5, "8 dB when this was written"
    assert gain(train(*shots(12, 48), recipe=lines, watch=at_step(1))) < 0, "control"


def test_the_gain_that_is_claimed_is_the_gain_against_the_clean_picture(tmp_path):
    """Claimed from noisy shots alone, and true within the spread of its own estimate."""
    sigma, count, side = SIGMA, 12, 48
    clean, noisy = cleans(count, side), shots(count, side)
    denoiser = train(*noisy, out=tmp_path / "m", recipe=recipe(steps=100, crop=32, holdout=0.5))
    about = denoiser.card.provenance
    held = [int(name.split()[1]) for name in about["data"]["held_out"]]
    errors = np.mean((denoiser(noisy[0][held]) - clean[held]) ** 2)
    true = 10 * math.log10(sigma**2 / errors)
    # l2 − noise: each a mean over n pixels of squares of spread √2 σ², or less
    spread = 2 * math.sqrt(2) * sigma**2 / math.sqrt(len(held) * side**2)
    low, high = (10 * math.log10(sigma**2 / (errors + sign * 3 * spread)) for sign in (1, -1))
    assert low < about["result"]["gain_db"] < high
    assert high - low < 4, "or this would say nothing"
    assert low < true < high


@pytest.mark.parametrize("lines", [{}, {"noise": Gaussian(0.2), "fresh_noise": True}])
def test_two_equal_recipes_give_one_run(tmp_path, lines):
    data = [cleans(4).astype(np.float32)] if lines else shots()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(*data, out=tmp_path / name, recipe=recipe(seed=seed, **lines))
    assert same_run(tmp_path / "a", tmp_path / "b")
    assert not equal(weights(tmp_path / "a"), weights(tmp_path / "c")), "control: another seed"


def test_fresh_noise_is_not_frozen_noise(tmp_path):
    clean = cleans(4).astype(np.float32)
    for fresh in (True, False):
        lines = recipe(noise=Gaussian(0.2), fresh_noise=fresh)
        train(clean, out=tmp_path / str(fresh), recipe=lines)
    assert not equal(weights(tmp_path / "True"), weights(tmp_path / "False"))


# — stopped and resumed —


@pytest.mark.parametrize(
    ("stop", "lines"),
    [
        (1, {}),
        (7, {}),
        (10, {"steps": 30}),  # between two validations, and at one
        (11, {"steps": 30}),
        (11, {"steps": 30, "optimizer": AdamW(), "schedule": "constant"}),
        (5, {"noise": Gaussian(0.2), "fresh_noise": True}),
        (12, {}),  # at the very end: nothing is left to do
        (5, {"validations": 2}),
        (5, {"optimizer": SGD(momentum=0.0, nesterov=False)}),  # whose memory is None
        (5, {"optimizer": SGD()}),
        (5, {"optimizer": Adagrad()}),
        (5, {"optimizer": RMSprop(momentum=0.5)}),
        (5, {"optimizer": Adadelta()}),
        (5, {"ema": 0.7}),
        (5, {"network": DROPPING}),
        (5, {"network": NORMED, "ema": 0.7}),
        (5, {"loss": "l0", "augment": ("pixels",), "blur": 1.0, "extra_noise": 0.1}),
        (5, {"engine": "plain"}),
        (5, {"noise": Gaussian(0.2), "target": "clean"}),
        (5, {"noise": Gaussian(0.2), "target": "clean", "fresh_noise": True}),
        (5, {"noise": Gaussian(0.2), "target": "others", "shots": 4}),
    ],
)
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(tmp_path, stop, lines):
    data = [cleans(4).astype(np.float32)] if "noise" in lines else shots()
    train(*data, out=tmp_path / "whole", recipe=recipe(**lines))
    stopped = train(*data, out=tmp_path / "twice", recipe=recipe(**lines), watch=at_step(stop))
    assert stopped.card.provenance["result"]["steps"] == stop
    assert stopped.card.provenance["result"]["complete"] is (stop == recipe(**lines).steps)
    said = []
    resumed = train(*data, out=tmp_path / "twice", resume=True, tell=said.append)
    assert f"Continuing from step {stop}." in said
    assert same_run(tmp_path / "whole", tmp_path / "twice")
    assert resumed.card.provenance["result"]["complete"] is True


def test_a_run_may_be_stopped_at_every_step(tmp_path):
    train(*shots(), out=tmp_path / "whole", recipe=recipe(steps=6))
    train(*shots(), out=tmp_path / "bits", recipe=recipe(steps=6), watch=lambda progress: True)
    for _ in range(5):
        train(*shots(), out=tmp_path / "bits", resume=True, watch=lambda progress: True)
    assert same_run(tmp_path / "whole", tmp_path / "bits")


def test_resume_goes_on_with_the_optimizers_memory(tmp_path, monkeypatch):
    """Control: the comparison of runs sees a memory that is lost."""
    train(*shots(), out=tmp_path / "whole", recipe=recipe())
    train(*shots(), out=tmp_path / "twice", recipe=recipe(), watch=at_step(5))
    restore = learners.AutogradLearner.restore

    def forgetful(learner, tensors):
        restore(learner, tensors)
        learner.optimizer.state.clear()

    monkeypatch.setattr(learners.AutogradLearner, "restore", forgetful)
    train(*shots(), out=tmp_path / "twice", resume=True)
    assert not same_run(tmp_path / "whole", tmp_path / "twice")


def test_resume_with_the_same_recipe_spelled_out_is_the_same(tmp_path):
    train(*shots(), out=tmp_path / "m", recipe=recipe(crop=None), watch=at_step(3))
    train(*shots(), out=tmp_path / "m", recipe=recipe(crop=None), resume=True)
    assert history(tmp_path / "m")[-1]["step"] == 12


def test_resume_with_another_recipe_is_refused(tmp_path):
    train(*shots(), out=tmp_path / "m", recipe=recipe(), watch=at_step(3))
    before = contents(tmp_path / "m")
    with pytest.raises(InputError, match=r"lr differs: 0\.02 there, 0\.01 here\. Leave it out"):
        train(*shots(), out=tmp_path / "m", recipe=recipe(lr=0.01), resume=True)
    with pytest.raises(InputError, match="steps differs: 12 there, 13 here"):
        train(*shots(), out=tmp_path / "m", recipe=recipe(steps=13), resume=True)
    assert contents(tmp_path / "m") == before


def test_resume_with_other_data_is_refused(tmp_path):
    train(*shots(), out=tmp_path / "m", recipe=recipe(), watch=at_step(3))
    before = contents(tmp_path / "m")
    other = shots()
    other[1][4, 3, 3] += 1e-3  # one value of one pixel
    with pytest.raises(InputError, match="these shots are not those that the run began with"):
        train(*other, out=tmp_path / "m", resume=True)
    assert contents(tmp_path / "m") == before


def test_resume_of_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere is not a model: it has no model\.json"):
        train(*shots(), out=tmp_path / "nowhere", resume=True)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("other", [checkpoint.WEIGHTS, checkpoint.STATE])
def test_resume_from_a_state_of_something_else_is_refused(tmp_path, other):
    train(*shots(), out=tmp_path / "m", recipe=recipe(), watch=at_step(3))
    state = tmp_path / "m" / checkpoint.STATE
    if other == checkpoint.WEIGHTS:
        shutil.copy(tmp_path / "m" / checkpoint.WEIGHTS, state)
    else:
        lines = recipe(network=UNet(channels=(3,), head=(4, 4), **FORM))
        train(*shots(), out=tmp_path / "other", recipe=lines, watch=at_step(3))
        shutil.copy(tmp_path / "other" / checkpoint.STATE, state)
    with pytest.raises(InputError, match=r"state\.safetensors is .* train again"):
        train(*shots(), out=tmp_path / "m", resume=True)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_that_holds_anything_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"exists and is not empty\. Choose another --out, or"):
        train(*shots(), out=tmp_path, recipe=recipe())
    assert contents(tmp_path) == {"mine.txt": b"years of work"}
    with pytest.raises(InputError, match="exists and is not empty"):
        train(*shots(), out=tmp_path / "mine.txt", recipe=recipe())
    train(*shots(), out=tmp_path / "m", recipe=recipe(steps=1))
    before = contents(tmp_path / "m")
    with pytest.raises(InputError, match="continue that run with --resume"):
        train(*shots(), out=tmp_path / "m", recipe=recipe())
    assert contents(tmp_path / "m") == before


def test_a_recipe_that_cannot_work_makes_no_folder(tmp_path):
    with pytest.raises(InputError, match="crop=33 is larger than the smallest picture"):
        train(*shots(), out=tmp_path / "m", recipe=recipe(crop=33))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_taken(tmp_path):
    train(*shots(), out=tmp_path, recipe=recipe(steps=1))
    assert sorted(contents(tmp_path)) == sorted(
        [checkpoint.CARD, checkpoint.HISTORY, checkpoint.SEEN, checkpoint.STATE, checkpoint.WEIGHTS]
    )


def test_without_out_nothing_is_left_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert isinstance(train(*shots(), recipe=recipe()), Denoiser)
    assert list(tmp_path.iterdir()) == []


# — a crash, and a full disk, between any two acts of writing —


class Crash(BaseException):
    """What `kill -9` is to a process: nothing that the package may catch."""


class Failing:
    """Lets so many acts of writing pass, then raises `error`, in the midst of it where it can.

    A full disk has room again once the old files are gone; after a crash nothing is done any more,
    no cleaning up either.
    """

    def __init__(self, patch, after, error):
        self.left, self.error, self.dead = after, error, isinstance(error, Crash)
        write = Path.write_bytes
        patch.setattr(Path, "write_bytes", lambda path, data: self.part(partial(write, path), data))
        patch.setattr(checkpoint, "open", self.opened, raising=False)
        for name in ("fsync", "replace", "unlink")[: 3 if self.dead else 2]:
            patch.setattr(files.os, name, partial(self.act, getattr(os, name)))

    def act(self, real, *given):
        self.left -= 1
        if self.left == 0 or (self.left < 0 and self.dead):
            raise self.error
        return real(*given)

    def part(self, write, data):
        """Half of it, before anything else can fail; then the other half."""
        write(data[: len(data) // 2])
        rest = data if isinstance(data, bytes) else data[len(data) // 2 :]
        return self.act(write, rest)  # write_bytes begins anew, an open file goes on

    @contextmanager
    def opened(self, path, *given, **named):
        with open(path, *given, **named) as file:
            yield SimpleNamespace(write=partial(self.part, file.write))


def stopped_at(after, error, data, lines, folder):
    """Train until the act of writing number `after` fails; what came out, None at the end."""
    with pytest.MonkeyPatch.context() as patch:
        failing = Failing(patch, after, error)
        try:
            train(*data, out=folder, recipe=lines)
        except (Crash, InputError) as stop:
            return str(stop)
    assert failing.left > 0, "it failed and nobody said so"
    return None


def test_whenever_a_run_crashes_it_can_go_on_to_the_same_end(tmp_path):
    data, lines = shots(3, 16), recipe(steps=2, batch=1)
    train(*data, out=tmp_path / "whole", recipe=lines)
    for after in itertools.count(1):
        folder = tmp_path / str(after)
        if stopped_at(after, Crash("killed"), data, lines, folder) is None:
            break
        if not (folder / checkpoint.CARD).exists():
            continue  # killed before its first file was there: there is no run yet
        if (folder / checkpoint.WEIGHTS).exists():
            assert Denoiser.load(folder)
        train(*data, out=folder, resume=True)
        assert same_run(tmp_path / "whole", folder), f"stopped at act {after}"
        assert sorted(contents(folder)) == sorted(contents(tmp_path / "whole")), "nothing more"
    assert after > 25, "control: so many acts there are at least"


def test_whenever_the_disk_is_full_it_is_said_and_the_run_can_go_on_to_the_same_end(tmp_path):
    data, lines = shots(3, 16), recipe(steps=2, batch=1)
    train(*data, out=tmp_path / "whole", recipe=lines)
    for after in itertools.count(1):
        folder = tmp_path / str(after)
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        said = stopped_at(after, full, data, lines, folder)
        if said is None:
            break
        assert re.fullmatch(rf"Cannot write {folder}.*: No space left .*\. Free some space\.", said)
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
        begun = (folder / checkpoint.CARD).exists()
        train(*data, out=folder, recipe=lines, resume=begun)
        assert same_run(tmp_path / "whole", folder), f"stopped at act {after}"
    assert after > 25, "control: so many acts there are at least"


def test_a_really_full_disk_is_said_in_a_sentence_and_costs_nothing(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        train(*shots(), out=tmp_path / "whole", recipe=recipe())
        ballast = place / "ballast"

        def fill(progress):
            if progress.step == 5:
                with pytest.raises(OSError, match="No space"), open(ballast, "wb", 0) as file:
                    file.writelines(itertools.repeat(bytes(4096)))

        with pytest.raises(InputError, match=r"Cannot write .*: No space left .* Free some space"):
            train(*shots(), out=place / "m", recipe=recipe(), watch=fill)
        Denoiser.load(place / "m")
        ballast.unlink()
        train(*shots(), out=place / "m", resume=True)
        assert same_run(tmp_path / "whole", place / "m")
    finally:
        subprocess.run(["umount", str(place)], check=True)


# — real processes —

STEPS = 200


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """Shots in files, and the command that trains on them."""
    folder = tmp_path_factory.mktemp("road")
    for name, shot in zip("ab", shots(), strict=True):
        np.save(folder / f"{name}.npy", shot)
    return folder


def command(road, out, *more):
    lines = {
        "out": out, "steps": STEPS, "crop": 16, "batch": 4, "lr": 0.02, "precision": "float32",
        "network.channels": "4,4", "network.head": "4,4", "device": "cpu",
    }  # fmt: skip
    options = [word for name, value in lines.items() for word in (f"--{name}", str(value))]
    sources = [str(road / "a.npy"), str(road / "b.npy")]
    return ["train", *sources, *options, *more]


def start(road, out, *more):
    paths = [str(SRC.parent), os.environ.get("PYTHONPATH", "")]
    setting = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen(
        [sys.executable, "-m", "noisepair", *command(road, out, *more)], env=setting, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish_here(road, out, *more):
    """In this process, with as many threads as those that are started have."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert main(command(road, out, *more)) == 0
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(road):
    finish_here(road, road / "whole")
    return road / "whole"


def stamp(path):
    return path.stat().st_mtime_ns if path.exists() else 0


def signalled(road, out, number, wait, *more):
    """Start, and send a signal `wait` seconds after the first state that this process wrote."""
    state = out / checkpoint.STATE
    before = stamp(state)
    process = start(road, out, *more)
    while stamp(state) == before and process.poll() is None:
        time.sleep(0.002)
    time.sleep(wait)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def killed_again_and_again(road, whole, out, rounds, rng):
    resume, deaths = [], 0
    for _ in range(rounds):
        code, _, err = signalled(road, out, signal.SIGKILL, rng.uniform(0, 0.3), *resume)
        assert code in (0, -signal.SIGKILL), err
        deaths += code == -signal.SIGKILL
        resume = ["--resume"]
    finish_here(road, out, "--resume")
    assert deaths, "control: at least one process did die"
    assert same_run(whole, out)
    assert sorted(contents(out)) == sorted(contents(whole))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_any_number_of_kills_gives_the_same_weights(road, whole, seed):
    killed_again_and_again(road, whole, road / f"killed {seed}", 5, random.Random(100 + seed))


def test_killed_and_then_stopped_by_ctrl_c_it_says_how_to_go_on_to_the_same_weights(
    road, whole, capsys
):
    """Three processes: the first can do nothing at its end, the second ends with 130."""
    out = road / "stopped"
    code, _, err = signalled(road, out, signal.SIGKILL, 0)
    assert code == -signal.SIGKILL, err
    killed = checkpoint.load_tensors(out / checkpoint.STATE)[1]["step"]
    code, _, err = signalled(road, out, signal.SIGINT, 0, "--resume")
    assert code == 130, err
    assert "Traceback" not in err
    assert f"Continuing from step {killed}." in err
    assert re.search(r"Stopped at step \d+; all of it is saved\. Go on with:", err)
    said = err.strip().splitlines()[-1]
    assert said.strip().startswith("noisepair train ")
    assert said.endswith("--resume")
    assert str(out) in said
    step = checkpoint.load_tensors(out / checkpoint.STATE)[1]["step"]
    assert f"Stopped at step {step};" in err
    assert killed < step < STEPS, "control: it did stop"
    finish_here(road, out, "--resume")
    assert f"Continuing from step {step}." in capsys.readouterr().err
    assert same_run(whole, out)
    assert sorted(contents(out)) == sorted(contents(whole))


# — which weights are kept —


def test_the_weights_kept_are_those_of_the_least_held_out_loss(tmp_path, monkeypatch):
    losses = iter([9.0, 5.0, 2.0, 4.0, 2.0, 7.0])  # the first of two equals stays
    monkeypatch.setattr(training.Monitor, "l2", lambda self, learner: next(losses))
    seen = {}
    step = learners.AutogradLearner.step

    def noted(learner, *given):
        loss = step(learner, *given)
        now = learner.network.state_dict()
        seen[len(seen) + 1] = {name: value.clone() for name, value in now.items()}
        return loss

    monkeypatch.setattr(learners.AutogradLearner, "step", noted)
    denoiser = train(*shots(), out=tmp_path / "m", recipe=recipe(steps=5))
    assert denoiser.card.provenance["result"]["best_step"] == 2
    assert denoiser.card.provenance["result"]["held_out_l2"] == 2.0
    assert equal(weights(tmp_path / "m"), seen[2])
    assert not equal(weights(tmp_path / "m"), seen[5]), "control"
    assert [line["best_step"] for line in history(tmp_path / "m")] == [0, 1, 2, 2, 2, 2]


def test_a_held_out_loss_of_zero_is_the_best_there_is(tmp_path, monkeypatch):
    losses = iter([1.0, 0.0, 0.5])
    monkeypatch.setattr(training.Monitor, "l2", lambda self, learner: next(losses))
    denoiser = train(*shots(), out=tmp_path / "m", recipe=recipe(steps=2))
    assert denoiser.card.provenance["result"]["best_step"] == 1


def test_the_best_step_of_a_real_run_is_the_least_in_its_history(tmp_path):
    denoiser = train(*shots(), out=tmp_path / "m", recipe=recipe(steps=60, lr=0.1))
    lines = history(tmp_path / "m")
    best = min(lines, key=lambda line: line["held_out"])
    came = denoiser.card.provenance["result"]
    assert (came["best_step"], came["held_out_l2"]) == (best["step"], best["held_out"])
    _, about = checkpoint.load_tensors(tmp_path / "m" / checkpoint.WEIGHTS)
    assert about == {"step": best["step"], "held_out": best["held_out"]}
    assert [line["step"] for line in lines] == list(range(0, 61, 3))


def test_with_one_scene_nothing_is_held_out_and_it_is_said(tmp_path):
    said = []
    one = [shot[0] for shot in shots(1)]
    train(*one, out=tmp_path / "m", recipe=recipe(), tell=said.append)
    assert any("Nothing is held out: one scene cannot be spared." in line for line in said)
    came = checkpoint.read_card(tmp_path / "m").provenance
    assert came["data"]["held_out"] == []
    assert [came["result"][name] for name in ("held_out_l2", "noise_variance", "gain_db")] == [
        None
    ] * 3
    assert came["result"]["best_step"] == 12, "the last weights are kept"
    state, _ = checkpoint.load_tensors(tmp_path / "m" / checkpoint.STATE)
    kept = weights(tmp_path / "m")
    assert all(torch.equal(state[f"network.{name}"], kept[name]) for name in kept)
    assert all(line["held_out"] is None for line in history(tmp_path / "m"))


def test_where_holdout_is_none_by_wish_nobody_says_that_a_scene_is_missing():
    said = []
    train(*shots(), recipe=recipe(steps=1, holdout=0.0), tell=said.append)
    assert any("Nothing is held out, as holdout=0 asks" in line for line in said)
    assert not any("one scene" in line for line in said)


def test_what_is_held_out_is_named():
    said = []
    train(*shots(), recipe=recipe(steps=1), tell=said.append)
    assert any(re.match(r"1 scene is held out to choose .*: scene \d$", line) for line in said)
    said.clear()
    train(*shots(8), recipe=recipe(steps=1, holdout=0.5), tell=said.append)
    assert any(re.match(r"4 scenes are held out .*: (scene \d, ){3}…$", line) for line in said)


def explosive(self, parameters, lr):
    return torch.optim.SGD(parameters, lr=lr)


def test_a_run_that_diverges_says_so_and_keeps_the_best_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(Adam, "__call__", explosive)
    with pytest.raises(training.Diverged, match=r"the held-out loss is .*Lower lr"):
        train(*shots(), out=tmp_path / "m", recipe=recipe(lr=10.0))
    kept = weights(tmp_path / "m")
    assert all(value.isfinite().all() for value in kept.values())
    _, about = checkpoint.load_tensors(tmp_path / "m" / checkpoint.WEIGHTS)
    assert about["step"] in range(0, 3)
    assert math.isfinite(about["held_out"])
    assert np.isfinite(Denoiser.load(tmp_path / "m")(shots()[0])).all()


def test_divergence_is_seen_where_nothing_is_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(Adam, "__call__", explosive)
    with pytest.raises(InputError, match="Training diverged: the sum of the weights"):
        train(*shots(), out=tmp_path / "m", recipe=recipe(lr=10.0, holdout=0.0))
    assert all(value.isfinite().all() for value in weights(tmp_path / "m").values())


def test_a_run_whose_first_loss_is_infinite_keeps_the_weights_that_it_speaks_of(
    tmp_path, monkeypatch
):
    losses = iter([math.nan, math.inf])
    monkeypatch.setattr(training.Monitor, "l2", lambda self, learner: next(losses))
    with pytest.raises(training.Diverged, match="the weights of step 0 are kept"):
        train(*shots(), out=tmp_path / "m", recipe=recipe())
    assert Denoiser.load(tmp_path / "m")
    losses = iter([math.nan, 3.0, 2.0, 4.0])
    denoiser = train(*shots(), out=tmp_path / "n", recipe=recipe(steps=3))
    assert denoiser.card.provenance["result"]["best_step"] == 2


# — the clock —


class FakeTime:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def perf_counter(self):
        return self.now

    def passing(self, seconds, result=None):
        def act(*given):
            self.now += next(seconds)
            return result

        return act


def timed_run(budget, step, validation, saving, first=None):
    """A run in which only fake time passes: its card's result, and every progress."""
    passed, seen, fake = [], [], FakeTime()
    loss = torch.tensor(0.5)
    validations = itertools.chain([] if first is None else [first], itertools.repeat(validation))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "time", fake)
        passing = fake.passing(itertools.repeat(step), loss)

        def stepped(learner, pair, used):
            passed.append(used)
            return passing()

        patch.setattr(learners.AutogradLearner, "step", stepped)
        patch.setattr(training.Monitor, "l2", fake.passing(validations, 0.5))
        save = checkpoint.save_tensors

        def slow_save(*given):
            fake.now += saving
            save(*given)

        patch.setattr(checkpoint, "save_tensors", slow_save)
        lines = recipe(steps=None, budget=budget, batch=1)
        began = fake.now
        denoiser = train(*shots(2, 16), recipe=lines, watch=seen.append)
        took = fake.now - began
    return denoiser.card.provenance["result"], seen, passed, took


@settings(max_examples=12)
@given(
    budget=st.floats(3, 10),
    step=st.floats(0.05, 0.2),
    validation=st.floats(0, 0.5),
    saving=st.floats(0, 0.05),
)
def test_a_budget_is_kept_to_half_a_step(budget, step, validation, saving):
    result, seen, passed, took = timed_run(budget, step, validation, saving)
    average = took / result["steps"]
    assert took == pytest.approx(budget, abs=average + saving)
    assert took < budget + average / 2 + saving
    assert result["complete"]
    assert seen[-1].validated, "the last weights are measured too"
    assert passed[0] <= (validation + 2 * saving + 1e-6) / (budget - validation - 2 * saving) + 1e-3
    for values in (passed, [progress.used for progress in seen]):
        assert all(0 <= a <= b <= 1 for a, b in itertools.pairwise(values))
    assert passed[-1] > 1 - 2 * average / budget, "the schedule ends where the run does"


def test_validations_become_rarer_where_they_are_dear():
    _, seen, _, took = timed_run(20.0, 0.05, 1.0, 0.0)
    assert sum(p.validated for p in seen) + 1 <= 3, "a second each, of 20"
    _, seen, _, _ = timed_run(20.0, 0.05, 0.01, 0.0)
    assert 15 <= sum(p.validated for p in seen) <= 21
    assert took <= 20.5


def test_the_schedule_never_runs_backwards_when_only_the_first_validation_was_slow():
    _, seen, passed, took = timed_run(6.0, 0.1, 0.1, 0.0, first=2.0)
    used = [progress.used for progress in seen]
    assert used == sorted(used)
    assert passed == sorted(passed)
    assert took == pytest.approx(6, abs=0.2)


def test_a_reserve_that_is_forgotten_overruns(monkeypatch):
    """Control: what the end costs must be kept free for it."""
    validate = training.Journal.validate

    def forgetful(journal):
        validate(journal)
        journal.clock.reserve = 0.0

    monkeypatch.setattr(training.Journal, "validate", forgetful)
    result, _, _, took = timed_run(6.0, 0.1, 0.5, 0.0)
    assert took > 6.0 + took / result["steps"]


def test_a_resumed_budget_counts_the_time_before(tmp_path, monkeypatch):
    """Twenty steps of a tenth of a second; it was stopped after five, for a long while."""
    fake, step = FakeTime(), learners.AutogradLearner.step
    monkeypatch.setattr(training, "time", fake)

    def slow(learner, pair, used):
        fake.now += 0.1
        return step(learner, pair, used)

    monkeypatch.setattr(learners.AutogradLearner, "step", slow)
    lines, began = recipe(steps=None, budget=2.0), fake.now
    stop = train(*shots(), out=tmp_path / "m", recipe=lines, watch=at_step(5))
    before = stop.card.provenance["result"]
    assert (before["steps"], before["complete"]) == (5, False)
    assert before["seconds"] == pytest.approx(0.5)
    fake.now += 1000.0
    seen = []
    train(*shots(), out=tmp_path / "m", resume=True, watch=seen.append)
    assert seen[0].step == 6
    assert seen[0].seconds == pytest.approx(0.6)
    came = checkpoint.read_card(tmp_path / "m").provenance["result"]
    assert (came["steps"], came["complete"]) == (20, True), "its clock did not begin anew"
    assert came["seconds"] == pytest.approx(2)
    assert fake.now - began == pytest.approx(1002)


@pytest.mark.slow
def test_four_seconds_are_four_seconds():
    result = train(*shots(), recipe=recipe(steps=None, budget=4.0)).card.provenance["result"]
    assert result["seconds"] == pytest.approx(4, abs=0.12), "3 %, on a quiet machine"
    assert result["complete"]


def test_a_clock_that_counts_steps_ignores_time(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(training, "time", fake)
    clock = training.Clock(recipe(steps=4))
    used, left = [], []
    for _ in range(4):
        assert not clock.over
        used.append(clock.used)
        clock.step += 1
        fake.now += 2.0
        left.append(clock.seconds_left)
    assert clock.over
    assert used == [0, 0.25, 0.5, 0.75]
    assert left == [6, 4, 2, 0]
    assert clock.seconds == 8
    assert clock.seconds_a_step == 2


def test_a_clock_that_goes_on_measures_its_own_steps_only(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(training, "time", fake)
    clock = training.Clock(recipe(steps=10), step=6, seconds=100.0)
    assert (clock.seconds, clock.used, clock.seconds_a_step) == (100, 0.6, 0)
    clock.step, fake.now = 8, fake.now + 3.0
    assert clock.seconds == 103
    assert clock.seconds_a_step == 1.5
    assert clock.seconds_left == 3


def test_what_is_done_in_a_pause_takes_no_time(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(training, "time", fake)
    clock = training.Clock(recipe(steps=None, budget=10.0))
    clock.step, fake.now = 2, fake.now + 4.0
    before = clock.seconds, clock.used, clock.seconds_a_step, clock.seconds_left
    assert before == (4.0, 0.4, 2.0, 6.0)
    with clock.paused():
        fake.now += 1000.0
    assert (clock.seconds, clock.used, clock.seconds_a_step, clock.seconds_left) == before
    fake.now += 1.0
    assert clock.seconds == 5.0, "and then it goes on"


@pytest.mark.parametrize(("epochs", "steps"), [(2.5, 10), (1, 4), (0.1, 1), (3, 12)])
def test_an_epoch_is_as_many_steps_as_show_every_picture_once(tmp_path, epochs, steps):
    """Four scenes of 32 × 32, a fifth held out: 16 crops of 16, 4 a step."""
    seen = []
    lines = recipe(steps=None, epochs=epochs)
    denoiser = train(*shots(), out=tmp_path / "m", recipe=lines, watch=seen.append)
    assert [progress.epoch for progress in seen] == [(n + 1) / 4 for n in range(steps)]
    assert denoiser.card.provenance["result"]["steps"] == steps
    assert denoiser.card.provenance["result"]["complete"]
    assert denoiser.card.recipe.epochs == epochs, "the recipe stays as it was given"
    assert history(tmp_path / "m")[-1]["epoch"] == steps / 4


def test_a_run_in_epochs_goes_on_to_its_end(tmp_path):
    lines = recipe(steps=None, epochs=2)
    train(*shots(), out=tmp_path / "whole", recipe=lines)
    train(*shots(), out=tmp_path / "twice", recipe=lines, watch=at_step(3))
    train(*shots(), out=tmp_path / "twice", resume=True)
    assert same_run(tmp_path / "whole", tmp_path / "twice")


@given(steps=st.integers(1, 300), validations=st.integers(1, 300))
def test_there_are_as_many_validations_as_asked_or_as_many_as_steps(steps, validations):
    clock = training.Clock(recipe(steps=steps))
    journal = SimpleNamespace(clock=clock, validations=validations)
    due = []
    for step in range(1, steps + 1):
        clock.step = step
        if training.Journal.due(journal):
            due.append(step)
    assert len(due) == min(steps, validations)
    assert due[-1] == steps
    apart = [b - a for a, b in itertools.pairwise([0, *due])]
    assert max(apart) - min(apart) <= 1, "evenly"


# — the loop and its learners —


class Gain:
    """f(y) = w·y, its gradient by hand: d/dw E(w·y − t)² = 2 E(w·y − t)·y."""

    def __init__(self, lr):
        self.w, self.lr, self.used = 0.0, lr, []

    def step(self, pair, used):
        noisy, target = pair
        error = self.w * noisy - target
        self.w -= self.lr * 2 * float((error * noisy).mean())
        self.used.append(used)
        return error.detach().square().mean()

    def denoise(self, noisy):
        return self.w * noisy


def signal_pairs(count, sigma=0.5, spread=1.0):
    rng = torch.Generator().manual_seed(0)
    clean = spread * torch.randn(count, 1, 32, 32, generator=rng)
    draw = (clean + sigma * torch.randn(clean.shape, generator=rng) for _ in range(2))
    one, two = draw
    return [TwoShots(one[n : n + 1], two[n : n + 1]) for n in range(count)]


def test_a_learner_by_hand_walks_through_the_same_loop_to_the_wiener_gain():
    """From noisy targets alone, w → S / (S + σ²), which removes noise best."""
    learner, pairs = Gain(lr=0.05), signal_pairs(200)
    assert isinstance(learner, learners.Learner)
    training.fit(learner, pairs, training.Clock(recipe(steps=200)), lambda loss: False)
    assert learner.w == pytest.approx(1 / (1 + 0.5**2), abs=0.03)
    assert abs(learner.w - 1) > 0.1, "control: it is not the identity"
    assert learner.used == [n / 200 for n in range(200)]


def test_what_cannot_step_is_no_learner():
    assert not isinstance(SimpleNamespace(denoise=lambda noisy: noisy), learners.Learner)
    assert issubclass(learners.AutogradLearner, learners.Learner)


def test_the_loop_ends_when_the_clock_is_over_the_batches_are_or_somebody_says_stop():
    pair = signal_pairs(1)[0]
    for steps, batches, stop, expected in (
        (5, 99, 99, 5), (99, 4, 99, 4), (99, 99, 3, 3), (1, 99, 99, 1), (99, 0, 99, 0)
    ):  # fmt: skip
        clock, losses = training.Clock(recipe(steps=steps)), []

        def after(loss, losses=losses, stop=stop):
            losses.append(loss)
            return len(losses) == stop

        training.fit(Gain(0.1), itertools.repeat(pair, batches), clock, after)
        assert len(losses) == clock.step == expected


def test_autograd_and_the_gradient_by_hand_are_twins():
    class One(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(()))

        def forward(self, noisy):
            return self.w * noisy

    by_torch = learners.AutogradLearner(recipe(schedule="constant"), 1, torch.device("cpu"))
    by_torch.network = One()
    by_torch.optimizer = torch.optim.SGD(by_torch.network.parameters(), lr=1.0)
    by_hand, losses = Gain(lr=0.02), ([], [])
    for learner, seen in zip((by_hand, by_torch), losses, strict=True):
        clock = training.Clock(recipe(steps=50))
        training.fit(learner, signal_pairs(50), clock, lambda loss, seen=seen: seen.append(loss))
    assert torch.stack(losses[0]).tolist() == pytest.approx(torch.stack(losses[1]).tolist(), 1e-5)
    assert by_hand.w == pytest.approx(float(by_torch.network.w.detach()), rel=1e-5)
    assert not losses[1][0].requires_grad, "detached, or a run would keep all its graphs"


def test_the_schedule_moves_the_learning_rate():
    learner = learners.AutogradLearner(recipe(lr=0.5), 1, torch.device("cpu"))
    pair = signal_pairs(1)[0]
    rates = []
    for used in (0.0, 0.015, 0.03, 0.515, 1.0):
        learner.step(pair, used)
        rates.append(learner.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0, 0.25, 0.5, 0.25, 0], abs=1e-12)


def learner_of(**lines):
    return learners.AutogradLearner(recipe(**lines), 1, torch.device("cpu"))


def convolutions(network):
    return {n: v for n, v in network.state_dict().items() if n.endswith("weight") and v.ndim == 4}


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.7])
@pytest.mark.parametrize(
    "init", [Kaiming(uniform=True), Orthogonal(gain=0.5), Constant(value=0.03)]
)
def test_weights_begin_as_the_recipe_says(init, slope):
    network = UNet(channels=(4, 4), head=(4, 4), **FORM | {"slope": slope})
    expected = network(1)
    init(expected, torch.Generator().manual_seed(7), slope)
    found = learner_of(init=init, network=network, seed=7).network.state_dict()
    assert equal(expected.state_dict(), found)
    if isinstance(init, Constant):
        assert all((value == 0.03).all() for value in convolutions(expected).values())


@pytest.mark.parametrize("used", [0.0, 0.25, 0.5, 1.0])
def test_the_loss_is_told_how_far_the_run_is(used):
    """l0 anneals: a mean of squares first, a count at last."""
    noisy, target = signal_pairs(1)[0]
    learner = learner_of(loss="l0")
    error = (learner.denoise(noisy) - target).abs() + 1e-8
    expected = float(error.pow(2 * (1 - used)).mean())
    assert float(learner.step(TwoShots(noisy, target), used)) == pytest.approx(expected, rel=1e-5)
    assert used > 0 or expected == pytest.approx(float(error.square().mean()))
    assert used < 1 or expected == 1


def test_a_sum_of_losses_is_learnt_from():
    noisy, target = signal_pairs(1)[0]
    learner = learner_of(loss="0.25*l1 + 2*l2")
    error = learner.denoise(noisy) - target
    expected = 0.25 * error.abs().mean() + 2 * error.square().mean()
    loss = float(learner.step(TwoShots(noisy, target), 0.5))
    assert loss == pytest.approx(float(expected), rel=1e-5)
    assert learner.loss.learns == "none"
    assert LOSSES["l1"].learns == "median"


def test_the_running_mean_of_the_weights_is_the_mean_worked_out_by_hand():
    """m ← w in the first hundredth of the run, then m ← k m + (1 − k) w."""
    keep, learner = 0.75, learner_of(ema=0.75, network=NORMED)
    expected = None
    for n, pair in enumerate(signal_pairs(8)):
        used = n / 200 if n < 3 else n / 8
        learner.step(pair, used)
        now = {k: v.double() for k, v in learner.network.state_dict().items()}
        if used <= 0.01:
            expected = now
        else:
            expected = {k: keep * expected[k] + (1 - keep) * v for k, v in now.items()}
    counts = [name for name in expected if name.endswith("num_batches_tracked")]
    assert counts
    for name, value in learner.model.state_dict().items():
        if name in counts:
            assert value == 8, "a count is no mean"
        else:
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)
    assert not equal(learner.model.state_dict(), learner.network.state_dict()), "control"


def test_with_a_running_mean_the_model_is_the_mean(tmp_path):
    train(*shots(), out=tmp_path / "m", recipe=recipe(ema=0.9, holdout=0.0))
    state, kept = (
        checkpoint.load_tensors(tmp_path / "m" / checkpoint.STATE)[0],
        weights(tmp_path / "m"),
    )
    assert all(torch.equal(state[f"mean.{name}"], kept[name]) for name in kept)
    assert not all(torch.equal(state[f"network.{name}"], kept[name]) for name in kept)


@pytest.mark.parametrize("lines", [{}, {"network": NORMED}, {"optimizer": SGD(), "loss": "l1"}])
def test_the_plain_engine_learns_the_same(lines):
    pairs, losses = signal_pairs(12), {}
    for engine in ("torch", "plain"):
        learner = learner_of(engine=engine, lr=0.005, **lines)
        losses[engine] = [float(learner.step(pair, n / 12)) for n, pair in enumerate(pairs)]
    assert losses["plain"] == pytest.approx(losses["torch"], rel=1e-5)
    assert len(set(losses["plain"])) == 12


def test_the_plain_engine_joins_and_repeats_and_computes_in_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "fast_in_bfloat16", lambda device: True)
    for engine, plain, precision in (("plain", True, "float32"), ("torch", False, "bfloat16")):
        lines = recipe(engine=engine, precision="auto", steps=1)
        learner = learners.AutogradLearner(lines, 1, torch.device("cpu"))
        assert [m.plain for m in learner.network.modules() if hasattr(m, "plain")] == [plain] * 2
        assert learner.precision == precision
        card = train(*shots(), out=tmp_path / engine, recipe=lines).card
        assert card.provenance["precision"] == precision


@pytest.mark.parametrize("network", [NORMED, DROPPING])
def test_a_validation_neither_drops_nor_learns(network):
    learner, (noisy, target) = learner_of(network=network), signal_pairs(1)[0]
    learner.step(TwoShots(noisy, target), 0.5)
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    first = learner.denoise(noisy)
    assert torch.equal(first, learner.denoise(noisy))
    assert equal(before, learner.network.state_dict()), "batch norm counts training batches only"
    expected = network(1).eval()
    expected.load_state_dict(before)
    with torch.no_grad():
        torch.testing.assert_close(first, expected(noisy))
    learner.step(TwoShots(noisy, target), 0.6)
    assert learner.network.training, "and then it goes on training"


def test_dropout_depends_on_seed_and_step_alone_and_leaves_torchs_generator_be():
    pair = signal_pairs(1)[0]

    def loss(used, seed=0, before=0, **lines):
        torch.manual_seed(before)
        learner = learner_of(network=DROPPING, init=Constant(value=0.1), seed=seed, **lines)
        state = torch.get_rng_state()
        value = float(learner.step(pair, used))
        assert torch.equal(torch.get_rng_state(), state)
        return value

    assert loss(0.25) == loss(0.25, before=99)
    assert len({loss(used) for used in (0.0, 0.25, 0.25 + 1e-6, 1.0)}) > 1
    assert len({loss(0.25, seed=seed) for seed in range(6)}) > 1


# — the monitor —


class Oracle(Gain):
    """Knows what it will say, whatever it is shown."""

    def __init__(self, answer):
        super().__init__(lr=0.0)
        self.answer = answer

    def denoise(self, noisy):
        return self.answer


def monitor(pairs, scale=Scale()):  # noqa: B008  frozen
    return training.Monitor([TwoShots(*pair) for pair in pairs], scale)


def test_a_gain_worked_out_by_hand():
    a, b = torch.zeros(1, 1, 10, 10), torch.full((1, 1, 10, 10), 0.5)
    watched = monitor([(a, b)])
    assert watched.noise == 0.125, "half of 0.5²"
    same = Gain(lr=0.0)
    same.w = 1.0
    assert watched.l2(same) == 0.25, "the identity leaves both noises"
    assert watched.gain.value == 0, "as noisy as before"
    assert watched.psnr.value == pytest.approx(10 * math.log10(8))
    assert watched.l2(Oracle(torch.full((1, 1, 10, 10), 0.25))) == 0.0625
    assert watched.gain.value == math.inf, "nothing but noise is left to see"


@pytest.mark.parametrize("scale", [Scale(), Scale(0.3, 20.0)])
def test_the_noise_variance_is_found_within_standard_errors(scale):
    sigma, count = 0.1, 40
    watched = monitor(signal_pairs(count, sigma), scale)
    expected = sigma**2 * scale.scale**2
    # ½d² with d ~ N(0, 2σ²) has the deviation √2 σ²
    error = math.sqrt(2) * expected / math.sqrt(count * 32 * 32)
    assert abs(watched.noise - expected) < 4 * error
    assert abs(watched.noise - 1.05 * expected) > 4 * error, "control: 5 % more would be seen"


def test_the_gain_of_a_known_error_is_found():
    """A denoiser that leaves an error of variance ε has the gain σ²/ε."""
    rng = torch.Generator().manual_seed(3)
    clean = torch.rand(20, 1, 64, 64, generator=rng)
    one, two = (clean + 0.2 * torch.randn(clean.shape, generator=rng) for _ in range(2))
    left = clean + 0.1 * torch.randn(clean.shape, generator=rng)
    watched = monitor([(one, two)])
    watched.l2(Oracle(left))
    assert 10 * math.log10(0.04 / 0.01) in watched.gain
    assert 10 * math.log10(0.04 / 0.012) not in watched.gain, "control"
    assert 20 in watched.psnr


def test_the_history_and_the_card_say_how_sure_the_gain_is(tmp_path):
    denoiser = train(*shots(12, 24), out=tmp_path / "m", recipe=recipe(steps=4, holdout=0.5))
    for line in checkpoint.read_history(tmp_path / "m"):
        for name in ("psnr_db", "gain_db"):
            assert line[f"{name}_low"] < line[name] < line[f"{name}_high"]
    came = denoiser.card.provenance["result"]
    best = next(
        one for one in checkpoint.read_history(tmp_path / "m") if one["step"] == came["best_step"]
    )
    assert came["gain_db"] == best["gain_db"]
    assert came["psnr_db_low"] == best["psnr_db_low"]


# — what is known of a run afterwards —


def test_the_card_says_where_the_weights_come_from(tmp_path):
    data = shots()
    denoiser = train(*data, out=tmp_path / "m", recipe=recipe())
    card = denoiser.card
    source = open_source(*data)
    about = card.provenance
    assert about["noisepair"] == noisepair.__version__
    assert about["data"]["digest"] == source.summary()["digest"]
    assert about["data"]["scenes"] == 5
    assert about["data"]["held_out"][0] in {scene.name for scene in source.scenes}
    assert len(about["data"]["held_out"]) == 1
    assert about["machine"] == hardware.describe(torch.device("cpu"))
    assert about["precision"] == "float32"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", about["created"])
    assert card.recipe.network == TINY["network"]
    assert (card.planes, card.recipe.crop) == (1, 16)
    assert checkpoint.read_card(tmp_path / "m") == card


def test_synthetic_noise_keeps_picture_units():
    clean = (0.2 + 0.1 * cleans(3)).astype(np.float32)
    card = train(clean, recipe=recipe(steps=1, noise=Gaussian(0.1))).card
    assert card.scale == Scale()
    assert card.provenance["data"]["synthetic"] is True
    other = train(*shots(3, sigma=0.01), recipe=recipe(steps=1)).card
    assert other.provenance["data"]["synthetic"] is False


def test_what_a_watch_sees_is_what_the_history_says(tmp_path):
    seen = []
    train(*shots(), out=tmp_path / "m", recipe=recipe(steps=40), watch=seen.append)
    assert [progress.step for progress in seen] == list(range(1, 41))
    validated = [progress for progress in seen if progress.validated]
    lines = history(tmp_path / "m")[1:]
    assert [line["step"] for line in lines] == [p.step for p in validated] == list(range(2, 41, 2))
    assert [line["held_out"] for line in lines] == [p.held_out for p in validated]
    assert [line["loss"] for line in lines] == [p.loss for p in validated]
    assert seen[-1].used == 1
    assert seen[-1].seconds_left == 0
    assert all(p.pictures_per_second > 0 for p in seen)


def test_losses_are_told_in_picture_units(tmp_path):
    """Ten times the contrast, the same run, a hundred times the squared error."""
    seen = {}
    for factor in (1, 10):
        data = [np.float32(factor) * shot for shot in shots()]
        train(*data, out=tmp_path / str(factor), recipe=recipe(steps=3),
              watch=seen.setdefault(factor, []).append)  # fmt: skip
    assert seen[10][-1].loss == pytest.approx(100 * seen[1][-1].loss, rel=1e-3)
    assert seen[10][-1].held_out == pytest.approx(100 * seen[1][-1].held_out, rel=1e-3)
    assert seen[10][-1].gain.value == pytest.approx(seen[1][-1].gain.value, abs=1e-2)


def test_long_runs_are_saved_between_validations(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    state, saved = tmp_path / "m" / checkpoint.STATE, []
    train(*shots(), out=tmp_path / "m", recipe=recipe(validations=1),
          watch=lambda p: saved.append(checkpoint.load_tensors(state)[1]["step"]))  # fmt: skip
    assert saved == list(range(1, 13))
    assert [line["step"] for line in history(tmp_path / "m")] == [0, 12]


def test_the_mean_loss_is_of_all_steps_since_the_last_validation(tmp_path):
    seen = []
    lines = recipe(steps=12, validations=3)
    train(*shots(), out=tmp_path / "m", recipe=lines, watch=seen.append)
    losses = [progress.loss for progress in seen]
    means = [line["mean_loss"] for line in history(tmp_path / "m")]
    assert means[0] is None
    assert means[1:] == pytest.approx([sum(losses[n : n + 4]) / 4 for n in (0, 4, 8)])
    assert all(p.mean_loss is None for p in seen if not p.validated)


def test_only_squares_are_told_in_squared_units():
    """l1 is told as the network sees it; and as it is, in picture units, where the two are one."""
    data, seen = [np.float32(10) * shot for shot in shots()], {}
    for loss in ("l1", "l2"):
        train(*data, recipe=recipe(steps=1, loss=loss), watch=seen.setdefault(loss, []).append)
    assert seen["l1"][0].loss < 2 < seen["l2"][0].loss


def scoring(folder, score, **lines):
    train(*shots(), out=folder, recipe=recipe(validations=3, **lines), score=score)
    return history(folder)


def test_a_score_is_noted_at_each_validation(tmp_path):
    asked = []

    def score(denoiser):
        assert isinstance(denoiser, Denoiser)
        assert not denoiser.network.training
        asked.append({name: v.clone() for name, v in denoiser.network.state_dict().items()})
        return {"of this": len(asked)}

    lines = scoring(tmp_path / "m", score)
    assert [line["scores"] for line in lines] == [{"of this": n + 1} for n in range(4)]
    state, _ = checkpoint.load_tensors(tmp_path / "m" / checkpoint.STATE)
    last = {name: state[f"network.{name}"] for name in asked[-1]}
    assert equal(asked[-1], last), "the model as it is now, not the best so far"
    train(*shots(), out=tmp_path / "without", recipe=recipe(validations=3))
    assert not any("scores" in line for line in history(tmp_path / "without"))


def test_whatever_a_score_does_to_its_model_training_is_the_same(tmp_path):
    def spoiling(denoiser):
        for value in denoiser.network.state_dict().values():
            value.zero_()
        return {}

    scoring(tmp_path / "spoilt", spoiling, ema=0.5)
    scoring(tmp_path / "left", lambda denoiser: {}, ema=0.5)
    assert same_run(tmp_path / "spoilt", tmp_path / "left")


def test_a_score_takes_none_of_the_runs_time(tmp_path, monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(training, "time", fake)

    def slow(denoiser):
        fake.now += 1000.0
        return {}

    denoiser = train(*shots(), recipe=recipe(validations=3), score=slow)
    assert fake.now == 5000.0, "control: four of them"
    assert denoiser.card.provenance["result"]["seconds"] == 0


def test_an_opened_source_is_the_same_as_what_it_was_opened_from(tmp_path):
    train(*shots(), out=tmp_path / "given", recipe=recipe())
    train(open_source(*shots()), out=tmp_path / "opened", recipe=recipe())
    assert same_run(tmp_path / "given", tmp_path / "opened")


# — recipes that cannot work, refused before there is a folder —


@pytest.mark.parametrize("loss", ["ssim", "0.8*l1 + 0.2*ms_ssim"])
def test_crops_too_small_to_compare_are_refused(tmp_path, loss):
    pytest.importorskip("torchmetrics")
    with pytest.raises(InputError, match=r"this crop has 8\. Give crop=11 or more, or another"):
        train(*shots(), out=tmp_path / "m", recipe=recipe(crop=8, loss=loss))
    assert list(tmp_path.iterdir()) == []
    train(*shots(), out=tmp_path / "m", recipe=recipe(crop=11, loss=loss, steps=1))


def test_of_frames_the_others_are_no_target(tmp_path):
    frames = np.concatenate(shots(3))
    with pytest.raises(InputError, match=r"of frames only neighbours .* Leave target out\."):
        train(frames, frames=True, out=tmp_path / "m", recipe=recipe(target="others"))
    assert list(tmp_path.iterdir()) == []


# — from the command to the loss is four files —


def calls(function):
    """What a function calls, as it is written there."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def test_from_the_command_to_the_loss_is_four_files():
    """app/training.py → train.py → learners.py → pairs/two_shots.py, and no file between them."""
    from noisepair import losses
    from noisepair.app import cli
    from noisepair.app import training as face

    assert cli.app["train"].default_command is face.train
    assert face.train_model is training.train
    assert "train_model" in calls(inspect.unwrap(face.train))
    assert "run" in calls(training.train)
    assert "fit" in calls(training.run)
    assert "learner.step" in calls(training.fit)
    assert "pair.loss" in calls(learners.AutogradLearner.step)
    assert "loss" in calls(TwoShots.loss)
    assert inspect.getsourcefile(inspect.unwrap(TwoShots.loss)) == str(
        SRC / "pairs" / "two_shots.py"
    )
    learner = learners.AutogradLearner(recipe(), 1, torch.device("cpu"))
    assert learner.loss.terms == ((1.0, "l2"),)
    assert losses.LOSSES["l2"].function is losses.l2
    assert inspect.getsourcefile(inspect.unwrap(losses.l2)) == str(SRC / "losses.py")


def test_the_others_of_two_shots_are_one_and_are_refused(tmp_path):
    with pytest.raises(InputError, match="no scene has more than two"):
        train(*shots(), out=tmp_path / "m", recipe=recipe(target="others"))
    assert not (tmp_path / "m").exists()
