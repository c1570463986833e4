"""A question answered by runs: what has not been run is run, all of it is scored alike.

    OUT/study.json        whose results these are
    OUT/runs/HASH/        a run: its model folder, scores.json, the loss of every step
    OUT/results.jsonl     a line a run, in the order of the study

A run is known by the hash of its recipe and data, so a study that was stopped, or that gained a
level, runs only what is missing; stopped within a run, it loses that run. Two settings that come to
one recipe share its runs. A run that diverges is a result too.
"""

import contextlib
import json
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from .. import checkpoint, files
from ..errors import InputError
from ..recipe import Recipe
from ..train import Progress
from ._bench import FEW, LOSSES, MANY, SCORES, Bench, Test, read_result
from ._file import BASE, SEEDS, Data, Page, Setting, Study, sides
from ._outcome import Difference, Outcome, Row, Run

__all__ = [
    "BASE", "LOSSES", "SCORES", "SEEDS", "Bench", "Data", "Difference", "Outcome", "Page", "Row",
    "Run", "Setting", "State", "Study", "Test", "bench_of", "run_study", "sides",
]  # fmt: skip

IDENTITY, RESULTS, RUNS, LOCK = "study.json", "results.jsonl", "runs", ".lock"


@dataclass(frozen=True)
class Job:
    """A run to do."""

    setting: Setting
    recipe: Recipe
    folder: Path


@dataclass(frozen=True)
class State:
    """Where a study stands."""

    outcome: Outcome
    running: Mapping[str, float]  # name of setting and seed → how much of the run is over
    done: int
    all: int
    seconds_left: float | None


Watch = Callable[[State], bool | None]  # True to stop


def run_study(
    study: Study,
    out: Path,
    *,
    roots: Sequence[Path] = (),
    seeds: int | None = None,
    jobs: int = 1,
    device: str = "cpu",
    watch: Watch | None = None,
) -> Outcome:
    """Run what is missing and return all that is there.

    `roots`: folders that may hold the data, before the study's own and NOISEPAIR_DATA. `jobs`: runs
    at a time, each with its share of the cores. `watch(state)` is told about every second.

    Raises InputError, before anything runs, for data that are not there, a folder of another study,
    and one that another study is being run into.
    """
    bench = bench_of(study, roots, device)
    bench.refuse_missing()
    with claimed(out, study):
        ledger = Ledger(study, bench, out, range(seeds or study.page.seeds), watch)
        with workers(ledger, jobs) as work:
            plan = study.plan()
            settings = next(plan)
            while True:
                ledger.add(settings)
                work(ledger.missing(settings))
                rows = ledger.outcome().rows()
                scores = {row.setting.name: row.mean for row in rows if math.isfinite(row.mean)}
                try:
                    settings = plan.send(scores)
                except StopIteration:
                    break
        return ledger.outcome()


def bench_of(study: Study, roots: Sequence[Path], device: str) -> Bench:
    """The bench of a study: where its data may be, and how often it looks at how many pictures."""
    places = [*roots, study.path.parent]
    if (given := os.environ.get("NOISEPAIR_DATA")) is not None:
        places.append(Path(given))
    often = MANY if study.page.along else FEW
    return Bench(study.page.data, tuple(places), torch.device(device), often)


@contextlib.contextmanager
def claimed(out: Path, study: Study) -> Iterator[None]:
    """The folder, for this study and this process alone."""
    identity = out / IDENTITY
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Choose another --out.")
    if identity.exists():
        with checkpoint.legible(identity):
            question = json.loads(identity.read_text(encoding="utf-8"))["question"]
        if question != study.page.question:
            raise InputError(
                f"{out} holds the results of another study, “{question}”. Choose another --out."
            )
    elif out.exists() and {path.name for path in out.iterdir()} - {RUNS, LOCK}:
        raise InputError(f"{out} is not empty and no study's. Choose another --out.")
    files.make_folder(out / RUNS)
    try:
        with FileLock(out / LOCK, timeout=0):
            about = {"question": study.page.question, "study": study.name}
            files.write(identity, (json.dumps(about, indent=2) + "\n").encode())
            yield
    except Timeout:
        raise InputError(
            f"Another study is being run into {out}. Wait for it, or choose another --out."
        ) from None


class Ledger:
    """Which runs there are to do, which are done, and how long the rest will take."""

    def __init__(
        self, study: Study, bench: Bench, out: Path, seeds: Sequence[int], watch: Watch | None
    ):
        self.study, self.bench, self.out, self.seeds = study, bench, out, seeds
        self.watch: Watch = watch or (lambda state: None)
        self.settings: list[Setting] = []
        self.jobs: dict[str, list[Job]] = {}  # by name of setting
        self.results: dict[Path, dict[str, Any]] = {}
        self.running: dict[Path, float] = {}
        self.taken: list[float] = []
        self.said = 0.0

    def add(self, settings: Sequence[Setting]) -> None:
        """Find out what these settings need, and what of it is there; data are read first."""
        if settings:
            self.bench.tests(self.study.recipe(settings[0]))
        for setting in settings:
            if setting.name in self.jobs:
                continue
            self.settings.append(setting)
            recipes = [self.study.recipe(setting, seed) for seed in self.seeds]
            runs = self.out / RUNS
            jobs = [Job(setting, recipe, runs / self.bench.key(recipe)) for recipe in recipes]
            self.jobs[setting.name] = jobs
            for job in jobs:
                if (job.folder / SCORES).exists():
                    self.results[job.folder] = read_result(job.folder)
        self.write()

    def missing(self, settings: Sequence[Setting]) -> list[Job]:
        """One job a folder, the first seed of all settings first."""
        queue = [job for jobs in zip(*(self.jobs[s.name] for s in settings), strict=True)
                 for job in jobs]  # fmt: skip
        return list({job.folder: job for job in queue if job.folder not in self.results}.values())

    def finish(self, job: Job, came: dict[str, Any]) -> None:
        self.results[job.folder] = came
        self.running.pop(job.folder, None)
        self.taken.append(came["seconds_in_all"])
        self.write()
        self.tell(now=True)

    def write(self) -> None:
        """results.jsonl anew: a line a run."""
        lines = [
            {"setting": name, "levels": dict(job.setting.levels), **self.results[job.folder],
             "run": job.folder.name}
            for name, jobs in self.jobs.items() for job in jobs if job.folder in self.results
        ]  # fmt: skip
        text = "".join(json.dumps(line) + "\n" for line in lines)
        files.write(self.out / RESULTS, text.encode())

    def outcome(self) -> Outcome:
        runs: dict[str, list[Run]] = {}
        for name, jobs in self.jobs.items():
            found = [job for job in jobs if job.folder in self.results]
            runs[name] = [{**self.results[job.folder], "folder": str(job.folder)} for job in found]
        return Outcome(self.study, tuple(self.settings), runs)

    def tell(self, *, now: bool = False) -> None:
        """Let the watcher see; KeyboardInterrupt where it wants to stop."""
        if not now and time.perf_counter() - self.said < 1:
            return
        self.said = time.perf_counter()
        folders = {job.folder: job for jobs in self.jobs.values() for job in jobs}
        names = {
            f"{folders[at].setting.name}, seed {folders[at].recipe.seed}": used
            for at, used in self.running.items()
        }
        done = len(self.results)
        state = State(self.outcome(), names, done, len(folders), self.left(len(folders) - done))
        if self.watch(state):
            raise KeyboardInterrupt

    def left(self, count: int) -> float | None:
        """Seconds that `count` runs take, less what is already done of those that are running."""
        if not self.taken:
            return None
        each = sum(self.taken) / len(self.taken)
        return each * (count - sum(self.running.values())) / max(1, len(self.running))


Work = Callable[[Sequence[Job]], None]


@contextlib.contextmanager
def workers(ledger: Ledger, count: int) -> Iterator[Work]:
    """What does jobs: this process, or `count` others, each with its share of the cores."""
    if count <= 1:
        yield lambda jobs: here(ledger, jobs)
        return
    bench = ledger.bench
    share = max(1, (os.cpu_count() or 1) // count)
    with ProcessPoolExecutor(
        count, multiprocessing.get_context("spawn"), begin,
        (bench.data, bench.roots, str(bench.device), bench.often, share),
    ) as pool:  # fmt: skip
        try:
            yield lambda jobs: elsewhere(ledger, jobs, pool, count)
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()  # else leaving would wait for runs that nobody wants
            raise


def here(ledger: Ledger, jobs: Sequence[Job]) -> None:
    for job in jobs:
        ledger.running[job.folder] = 0.0

        def watch(progress: Progress, folder: Path = job.folder) -> None:
            ledger.running[folder] = progress.used
            ledger.tell()

        ledger.finish(job, done(ledger.bench, job, watch))


def elsewhere(ledger: Ledger, jobs: Sequence[Job], pool: ProcessPoolExecutor, count: int) -> None:
    queue, busy = list(jobs), dict[Future, Job]()
    while queue or busy:
        while queue and len(busy) < count:
            job = queue.pop(0)
            ledger.running[job.folder] = 0.0
            busy[pool.submit(in_worker, job)] = job
        finished, _ = wait(busy, timeout=1, return_when=FIRST_COMPLETED)
        for future in finished:
            try:
                ledger.finish(busy.pop(future), future.result())
            except BrokenProcessPool:
                raise InputError(
                    "A run was ended from outside, for want of memory perhaps. What was finished is"
                    " kept: give the same command again, with fewer --jobs."
                ) from None
        for job in busy.values():
            history = checkpoint.read_history(job.folder)
            ledger.running[job.folder] = history[-1]["used"] if history else 0.0
        ledger.tell()


BENCH: list[Bench] = []  # of a worker process: its own


def begin(data: Data, roots: tuple[Path, ...], device: str, often: int, threads: int) -> None:
    """Make a worker ready. It ends with its parent, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=follow, daemon=True).start()
    torch.set_num_threads(threads)
    BENCH.append(Bench(data, roots, torch.device(device), often))


def follow() -> None:
    """Else a run whose study was killed would write on into a folder that is begun anew."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker was started by a study"
    parent.join()
    os._exit(1)


def in_worker(job: Job) -> dict[str, Any]:
    return done(BENCH[0], job, None)


def done(bench: Bench, job: Job, watch: Callable[[Progress], None] | None) -> dict[str, Any]:
    """What a job came to; a run that cannot be done says why, and the study goes on."""
    began = time.perf_counter()
    try:
        came = bench.run(job.recipe, job.folder, watch)
    except InputError as error:
        came = {"status": "failed", "reason": str(error), "scores": {}, "seed": job.recipe.seed}
    return {**came, "seconds_in_all": time.perf_counter() - began}
