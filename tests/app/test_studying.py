"""`noisepair study` as a user types it: on a study of two runs that take a second each."""

import json
import os
import signal
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from rich.console import Console

from noisepair.app import studying
from noisepair.app.cli import main
from noisepair.errors import InputError
from noisepair.study import Bench, Outcome, State, Study

STUDY = """
question = "Which <loss>, in a second?"
seeds = 1
orders = ["l2 > l1"]
source = "nobody, Table 0"

[data]
train = "train_data.pkl"
test = { validation = "val_data.pkl" }

[base]
steps = 8
batch = 8
validations = 2
precision = "float32"
"network.channels" = [4, 4]
"network.head" = [4]

[vary]
loss = ["l2", "l1"]

[reported]
l2 = 24.5
"""


def pictures(count, seed):
    """Smooth pictures (count, 3, 32, 32) uint8, and two noisy shots of them."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(32) / 5 + rng.uniform(0, 6, (count, 3, 32, 1)))
    clean = np.rint(128 + 50 * waves)
    shots = [np.rint(clean + rng.normal(0, 20, clean.shape)).clip(0, 255) for _ in range(2)]
    return [torch.from_numpy(values.astype(np.uint8)) for values in (clean, *shots)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The data, and a study beside it."""
    root = tmp_path_factory.mktemp("study")
    _, one, two = pictures(24, 0)
    torch.save((one, two), root / "train_data.pkl")
    clean, noisy, _ = pictures(8, 1)
    torch.save((noisy, clean), root / "val_data.pkl")
    (root / "losses.toml").write_text(STUDY)
    return root


@pytest.fixture(scope="module")
def finished(folder):
    """A folder with both runs done."""
    out = folder / "finished"
    assert main(["study", str(folder / "losses.toml"), "--out", str(out), "--quiet"]) == 0
    return out


@pytest.fixture(autouse=True)
def without_data(monkeypatch):
    monkeypatch.delenv("NOISEPAIR_DATA", raising=False)


def run(capsys, *arguments):
    """Exit code, standard output, standard error."""
    code = main(["study", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("noisepair: ")
    assert err.count("\n") == 1
    return err


class Words(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.found.append(data)


def page(out):
    return " ".join(" ".join(Words((out / "report.html").read_text()).found).split())


# ---- what it leaves


def test_a_study_leaves_tables_figures_and_a_page(finished):
    left = {path.name for path in finished.iterdir()} - {".lock"}
    drawn = {f"{name}.{kind}" for name in ("curves", "losses", "boxes") for kind in ("svg", "png")}
    assert left == drawn | {
        "study.json", "runs", "results.jsonl", "tables.md", "tables.csv", "tables.tex",
        "gallery.png", "report.html",
    }  # fmt: skip
    assert len((finished / "results.jsonl").read_text().splitlines()) == 2


def test_the_page_says_all_that_the_study_found(finished):
    words = page(finished)
    for part in ("Which <loss>, in a second?", "Best: “", "from one seed, which is an anecdote",
                 "nobody, Table 0", "24.50", "What must hold", "How they learned", "Loss by step",
                 "From picture to picture", "To look at", "How it was measured",
                 "The base recipe", "steps = 8"):  # fmt: skip
        assert part in words
    assert "so far" not in words
    assert Words((finished / "report.html").read_text()).tags.count("svg") == 3


def test_a_finished_study_runs_nothing_and_writes_its_page_again(capsys, finished, folder):
    runs = {path: path.stat().st_mtime_ns for path in finished.glob("runs/*/*")}
    (finished / "report.html").unlink()
    code, out, err = run(capsys, folder / "losses.toml", "--out", finished)
    assert code == 0
    assert err == ""
    assert "Look at" in out
    assert {path: path.stat().st_mtime_ns for path in finished.glob("runs/*/*")} == runs
    assert (finished / "report.html").exists()


def test_json_is_one_object_with_every_row(capsys, finished, folder):
    code, out, _ = run(capsys, folder / "losses.toml", "--out", finished, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["complete"] is True
    assert [row["setting"] for row in found["rows"]] == ["l2", "l1"]
    assert found["rows"][0]["reported"] == 24.5
    assert found["rows"][0]["values"] == [found["rows"][0]["mean"]]
    assert found["orders"][0]["order"] == "l2 > l1"
    assert set(found["noisy"]["validation"]) == {"per_image", "pooled"}
    assert all(os.path.exists(path) for path in [found["report"], *found["files"]])


def test_the_folder_is_named_after_the_study_where_none_is_given(
    capsys, finished, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, folder / "losses.toml", "--scale", "0.25")
    assert code == 0
    assert "Results go to losses_study." in err
    assert "2 of 2 runs" in err
    assert "0.25 times what the study says" in page(tmp_path / "losses_study")
    assert "--scale 0.25" in page(tmp_path / "losses_study")


def test_data_are_looked_for_in_the_folder_that_is_named(capsys, folder, tmp_path):
    (tmp_path / "other.toml").write_text(STUDY)
    given = (tmp_path / "other.toml", "--out", tmp_path / "out")
    assert "are not there" in refused(capsys, *given)
    code, _, _ = run(capsys, *given, "--data", folder, "--scale", "0.25")
    assert code == 0


# ---- stopped


def test_stopped_it_keeps_its_runs_says_so_and_goes_on(capsys, folder, tmp_path, monkeypatch):
    say = studying.finished

    def press(*given):
        os.kill(os.getpid(), signal.SIGINT)
        return say(*given)

    given = (folder / "losses.toml", "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(studying, "finished", press)
        code, out, err = run(capsys, *given)
    assert code == 130
    assert err.endswith("Stopped; 1 of 2 runs are kept. The same command goes on.\n")
    assert "1 of 2 runs so far" in page(tmp_path / "out")
    assert "Look at" in out
    code, _, err = run(capsys, *given)
    assert code == 0
    assert err.count("1 of 2 runs are there already.") == 1
    assert err.count(", seed 0: ") == 1, "only the one that was missing"
    assert "so far" not in page(tmp_path / "out")


def test_a_study_of_which_no_run_could_be_done_fails(capsys, folder, tmp_path, monkeypatch):
    def fail(*given):
        raise InputError("The disk is tired.")

    monkeypatch.setattr(Bench, "run", fail)
    code, out, err = run(capsys, folder / "losses.toml", "--out", tmp_path / "out")
    assert code == 2
    assert "1 of 1 failed" in out
    assert "The disk is tired." in err
    assert "The disk is tired." in page(tmp_path / "out")


def test_a_page_is_written_though_the_pictures_cannot_be(capsys, finished, folder, monkeypatch):
    def fail(*given):
        raise InputError("The model is too old.")

    monkeypatch.setattr("noisepair.app.study_report.Denoiser.load", fail)
    code, _, err = run(capsys, folder / "losses.toml", "--out", finished)
    assert code == 0
    assert "No pictures to look at: The model is too old." in err
    assert "To look at" not in page(finished)


# ---- refused


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("seeds = 1", "seed = 1", "there is no line seed"),
        ("seeds = 1", "seeds = 0", "seeds"),
        ('loss = ["l2", "l1"]', "", "Nothing varies under vary"),
        ('loss = ["l2", "l1"]', "loss = []", "Nothing varies under loss"),
        ('loss = ["l2", "l1"]', 'lost = ["l2"]', "Unknown recipe line 'lost'"),
        ('["l2 > l1"]', '["l2 > l3"]', "Unknown setting under orders"),
        ("steps = 8", "steps = 8 8", "is not TOML"),
    ],
)
def test_a_study_with_a_fault_is_refused_before_it_runs(
    capsys, folder, tmp_path, old, new, sentence
):
    assert old in STUDY
    path = folder / "faulty.toml"
    path.write_text(STUDY.replace(old, new))
    assert sentence in refused(capsys, path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_study_is_refused(capsys, finished, folder):
    path = folder / "another.toml"
    path.write_text(STUDY.replace("Which", "What"))
    assert "holds the results of another study" in refused(capsys, path, "--out", finished)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--seeds", "0"], "--seeds 0 would run nothing"),
        (["--jobs", "-1"], "--jobs -1 would run nothing"),
        (["--scale", "0"], "--scale 0 would make no run"),
        (["--scale", "inf"], "--scale inf would make no run"),
        (["--data", "nowhere"], "--data nowhere is no folder"),
    ],
)
def test_numbers_that_run_nothing_are_refused(capsys, folder, tmp_path, options, sentence):
    given = (folder / "losses.toml", "--out", tmp_path / "out", *options)
    assert sentence in refused(capsys, *given)


def test_a_study_that_is_not_there_is_refused(capsys, tmp_path):
    assert "Cannot read the study" in refused(capsys, tmp_path / "none.toml")


# ---- while it runs


def state(folder, running, left=90.0):
    asked = Study.read(folder / "losses.toml")
    runs = {"l2": [{"status": "diverged", "seed": 0, "scores": {}, "reason": "", "folder": ""}]}
    outcome = Outcome(asked, tuple(asked.settings()), runs)
    return asked, State(outcome, running, 1, 2, left)


def test_the_live_table_says_where_every_setting_stands(folder):
    asked, now = state(folder, {"l1, seed 0": 0.43})
    with (console := Console(width=100)).capture() as said:
        console.print(studying.table(asked, now, 20))
    lines = said.get().splitlines()
    assert lines[0].strip() == "Which <loss>, in a second?"
    assert lines[2].split() == ["l2", "1/1", "1", "of", "1", "diverged", "24.50"]
    assert lines[3].split() == ["l1", "0/1", "–", "–", "running", "43", "%"]
    assert lines[-1].strip() == "1 of 2 runs, 1 min 30 s left"


def test_of_more_rows_than_fit_those_that_run_are_seen(folder):
    _, now = state(folder, {})
    done, todo = now.outcome.rows()
    rows = [done] * 10 + [todo] * 10
    assert studying.in_view(rows, 1, 4) == [done, todo, todo, todo]
    assert studying.in_view(rows, 1, 30) == rows
    assert studying.in_view([done] * 10, 1, 4) == [done] * 4


def test_a_terminal_is_given_the_live_table(folder, monkeypatch, capsys):
    asked, now = state(folder, {"l1, seed 0": 0.43})
    options = studying.Options()
    console = Console(force_terminal=True, width=100, height=30)
    monkeypatch.setattr(studying.Options, "console", lambda self: console)
    with studying.display(asked, options) as show:
        show(now)
    assert "running 43 %" in capsys.readouterr().out
    with studying.display(asked, studying.Options(quiet=True)) as show:
        show(now)
    assert capsys.readouterr() == ("", "")
