"""A study from its file to its results: stopped in any way, it runs what is missing and no more."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from a_study import BASE, LOSSES, written
from filelock import FileLock

from noisepair import study as studying
from noisepair.errors import InputError
from noisepair.study import SCORES, Bench, Study, run_study

SRC = Path(studying.__file__).parents[2]


def lines_of(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def scored(out):
    """What must be the same in two equal studies."""
    return [(line["setting"], line["seed"], line["run"], line["scores"]) for line in lines_of(out)]


def runs(out):
    return {path.name for path in (out / "runs").iterdir() if (path / SCORES).exists()}


@pytest.fixture
def counted(monkeypatch):
    """The recipes that were run, and how they ended."""
    run, seen = Bench.run, []

    def counting(bench, recipe, folder, watch=None):
        seen.append((recipe.loss, recipe.seed))
        return run(bench, recipe, folder, watch)

    monkeypatch.setattr(Bench, "run", counting)
    return seen


def test_a_study_from_its_file_to_its_results(folder, study, counted):
    out = folder / "out"
    outcome = run_study(study(orders=["l2 > l1"]), out)
    rows = outcome.rows()
    assert [(row.setting.name, sorted(row.values)) for row in rows] == [
        ("l2", [0, 1]), ("l1", [0, 1])
    ]  # fmt: skip
    assert counted == [("l2", 0), ("l1", 0), ("l2", 1), ("l1", 1)], "a first seed of all first"
    found = lines_of(out)
    assert [(line["setting"], line["seed"]) for line in found] == [
        ("l2", 0), ("l2", 1), ("l1", 0), ("l1", 1)
    ], "in the order of the study"  # fmt: skip
    assert all(line["levels"] == {"loss": line["setting"]} for line in found)
    assert {line["run"] for line in found} == runs(out)
    assert rows[0].values[1] == found[1]["scores"]["set"]["per_image"]
    assert len(outcome.orders()) == 1
    assert outcome.noisy("set", "per_image") == pytest.approx(14, abs=0.5)
    assert json.loads((out / "study.json").read_text()) == {"question": "Which?", "study": "study"}


def test_a_second_call_runs_nothing_and_another_level_only_itself(folder, study, counted):
    out = folder / "out"
    first = run_study(study(), out)
    before = scored(out)
    counted.clear()
    second = run_study(study(), out)
    assert counted == []
    assert scored(out) == before
    assert [row.mean for row in second.rows()] == [row.mean for row in first.rows()]
    run_study(study(vary={"loss": ["l0", "l2", "l1"]}), out)
    assert counted == [("l0", 0), ("l0", 1)]
    assert scored(out)[2:] == before
    counted.clear()
    run_study(study(), out, seeds=3)
    assert counted == [("l2", 2), ("l1", 2)]


def test_two_settings_that_come_to_one_recipe_share_its_runs(folder, study, counted):
    outcome = run_study(study(design="one", seeds=1), folder / "out")
    base, l2, l1 = outcome.rows()
    assert counted == [("l2", 0), ("l1", 0)]
    assert base.values == l2.values != l1.values
    assert l2.against(base).mean == 0
    assert len(lines_of(folder / "out")) == 3


def test_greedy_goes_on_from_the_best(folder, study, counted, monkeypatch):
    vary = LOSSES | {"batch": [2, 4]}
    outcome = run_study(study(design="greedy", seeds=1, vary=vary), folder / "out")
    best = max(outcome.rows()[:2], key=lambda row: row.mean).setting.name
    names = [setting.name for setting in outcome.settings]
    assert names == ["l2", "l1", f"{best}, 2", f"{best}, 4"]
    assert len(counted) == 3, "a batch of 4 is the base's: it is there already"


def test_a_run_that_diverged_counts_and_one_that_failed_is_tried_again(folder, study, counted):
    wild = {"optimizer": "sgd", "lr": 10.0, "steps": 40, "schedule": "constant"}
    vary = {"how": {"well": {}, "wild": wild, "wrong": {"crop": 99}}}
    for _ in range(2):
        outcome = run_study(study(vary=vary, seeds=1), folder / "out")
        well, wild_row, wrong = outcome.rows()
        assert len(well.values) == 1
        assert (wild_row.troubles, wrong.troubles) == ("1 of 1 diverged", "1 of 1 failed")
        assert "crop=99 is larger than the smallest picture" in wrong.runs[0]["reason"]
        assert [line["status"] for line in lines_of(folder / "out")] == [
            "done", "diverged", "failed"
        ]  # fmt: skip
    assert len(counted) == 4, "three, and the failed one again"


# — watched and stopped —


@pytest.fixture
def every(monkeypatch):
    """Let the watcher see every step: a clock that is late each time it is asked."""
    ticks = count(0.0, 10.0)
    monkeypatch.setattr(studying, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))


def test_a_watcher_sees_where_the_study_stands(folder, study, every):
    seen = []
    run_study(study(), folder / "out", watch=seen.append)
    assert [state.all for state in seen] == [4] * len(seen)
    assert [state.done for state in seen] == sorted(state.done for state in seen)
    assert seen[-1].done == 4
    assert seen[-1].seconds_left == 0
    assert seen[0].seconds_left is None, "nothing is known before the first is done"
    assert {"l2, seed 0": 0.25} in [state.running for state in seen]
    assert {name for state in seen for name in state.running} == {
        f"{loss}, seed {seed}" for loss in ("l2", "l1") for seed in (0, 1)
    }
    assert all(state.seconds_left > 0 for state in seen if 0 < state.done < 3)


def test_stopped_within_a_run_a_study_loses_that_run_only(folder, study, every, counted):
    run_study(study(), folder / "whole")
    counted.clear()

    def stop(state):
        return state.done == 1 and max(state.running.values(), default=0) >= 0.5

    with pytest.raises(KeyboardInterrupt):
        run_study(study(), folder / "out", watch=stop)
    assert len(runs(folder / "out")) == 1
    assert [line["setting"] for line in lines_of(folder / "out")] == ["l2"]
    assert counted == [("l2", 0), ("l1", 0)]
    counted.clear()
    run_study(study(), folder / "out")
    assert counted == [("l1", 0), ("l2", 1), ("l1", 1)]
    assert scored(folder / "out") == scored(folder / "whole")


# — whose folder it is —


def test_the_folder_of_another_study_is_refused_and_left_alone(folder, study, counted):
    run_study(study(), folder / "out", seeds=1)
    before, done = scored(folder / "out"), len(counted)
    with pytest.raises(InputError, match=r"holds the results of another study, “Which\?”\. Choose"):
        run_study(study(question="Why?"), folder / "out")
    assert scored(folder / "out") == before
    assert len(counted) == done


def test_what_is_no_folder_of_a_study_is_refused_and_left_alone(folder, study, counted):
    (folder / "mine").mkdir()
    (folder / "mine" / "work.txt").write_text("years of it")
    with pytest.raises(
        InputError, match=r"mine is not empty and no study's\. Choose another --out"
    ):
        run_study(study(), folder / "mine")
    assert [path.name for path in (folder / "mine").iterdir()] == ["work.txt"]
    with pytest.raises(InputError, match=r"work\.txt is a file\. Choose another --out\."):
        run_study(study(), folder / "mine" / "work.txt")
    (folder / "broken").mkdir()
    (folder / "broken" / "study.json").write_text("{")
    with pytest.raises(InputError, match=r"study\.json is damaged"):
        run_study(study(), folder / "broken")
    assert counted == []


def test_a_folder_that_was_claimed_and_no_more_is_taken(folder, study):
    """Killed between its folder and its name."""
    (folder / "out" / "runs").mkdir(parents=True)
    (folder / "out" / ".lock").touch()
    run_study(study(), folder / "out", seeds=1)
    assert len(lines_of(folder / "out")) == 2


def test_two_studies_at_once_into_one_folder_are_refused(folder, study, counted):
    run_study(study(), folder / "out", seeds=1)
    counted.clear()
    said = pytest.raises(InputError, match=r"Another study is being run into .*\. Wait for it")
    with FileLock(folder / "out" / ".lock"), said:
        run_study(study(), folder / "out")
    assert counted == []
    run_study(study(), folder / "out")
    assert len(counted) == 2, "and then it is free"


def test_missing_data_are_said_before_there_is_a_folder(folder, study, monkeypatch):
    monkeypatch.delenv("NOISEPAIR_DATA", raising=False)
    page = study()
    (folder / "b.npy").rename(folder / "c.npy")
    with pytest.raises(InputError, match=r"data b\.npy are not there"):
        run_study(page, folder / "out")
    assert not (folder / "out").exists()


def test_data_are_looked_for_where_they_are_said_to_be_first(folder, study, monkeypatch):
    page = study()
    for name in ("given", "named"):
        (folder / name).mkdir()
    (folder / "b.npy").rename(folder / "named" / "b.npy")
    monkeypatch.setenv("NOISEPAIR_DATA", str(folder / "named"))
    run_study(page, folder / "out", seeds=1, roots=[folder / "given"])
    (folder / "named" / "b.npy").rename(folder / "given" / "b.npy")
    monkeypatch.delenv("NOISEPAIR_DATA")
    run_study(page, folder / "out", seeds=1, roots=[folder / "given"])


# — real processes —


def start(path, out, jobs=1):
    code = (
        "import sys; from pathlib import Path; from noisepair.study import Study, run_study\n"
        "if __name__ == '__main__':\n"
        "    run_study(Study.read(Path(sys.argv[1])), Path(sys.argv[2]), jobs=int(sys.argv[3]))\n"
    )
    script = out.parent / "script.py"
    script.write_text(code)
    paths = [str(SRC), os.environ.get("PYTHONPATH", "")]
    setting = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen([sys.executable, str(script), str(path), str(out), str(jobs)],
                            env=setting, start_new_session=True)  # fmt: skip


def until(condition, process=None, seconds=120):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        assert process is None or process.poll() is None, "it ended by itself"
        time.sleep(0.005)
    assert condition()


def alive(session):
    """Processes of a session, zombies not counted."""
    said = subprocess.run(["ps", "-o", "pid=,stat=", "-s", str(session)],
                          capture_output=True, text=True, check=False)  # fmt: skip
    return [line for line in said.stdout.splitlines() if " Z" not in line]


@pytest.mark.slow
def test_a_study_killed_again_and_again_comes_to_the_same_results(folder, study, counted):
    base = BASE | {"steps": 60}
    run_study(study(base=base), folder / "whole")
    path, out = written(folder, base=base), folder / "out"
    for done in (1, 2):
        process = start(path, out)
        until(lambda done=done: out.exists() and len(runs(out)) >= done, process)
        time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert len(runs(out)) < 4, "control: it did not end"
    counted.clear()
    left = 4 - len(runs(out))
    run_study(Study.read(path), out)
    assert len(counted) == left
    assert scored(out) == scored(folder / "whole")


@pytest.mark.slow
def test_two_jobs_at_a_time_give_the_same_results(folder, study):
    run_study(study(), folder / "one")
    with pytest.raises(KeyboardInterrupt):
        run_study(study(), folder / "two", jobs=2, watch=lambda state: state.done == 1)
    assert 1 <= len(lines_of(folder / "two")) < 4
    seen = []
    run_study(study(), folder / "two", jobs=2, watch=seen.append)
    assert scored(folder / "one") == scored(folder / "two")
    assert max(len(state.running) for state in seen) >= 1


@pytest.mark.slow
def test_when_a_study_is_killed_its_workers_end(folder):
    """Else one would write on into a folder that the next study begins anew."""
    path, out = written(folder, base=BASE | {"steps": 100_000}), folder / "out"
    process = start(path, out, jobs=2)
    until(lambda: len(list(out.glob("runs/*/history.jsonl"))) == 2, process)
    assert len(alive(process.pid)) >= 3, "control"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    try:
        until(lambda: not alive(process.pid), seconds=20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the group that `start` made, and no other
