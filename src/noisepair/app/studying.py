"""`noisepair study`: run what a study still lacks, show how it goes, leave tables and a page."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..study import SEEDS, Outcome, Row, Run, State, Study, bench_of, run_study
from . import study_tables
from .console import Options, span
from .sheets import as_text, said
from .study_report import as_json, write_study
from .study_words import Asked
from .training import stop_on_signal

if TYPE_CHECKING:
    from rich.console import Group

STANDARD = Options()


def study(
    file: Path,
    /,
    *,
    out: Path | None = None,
    scale: float = 1.0,
    jobs: int = 1,
    seeds: int | None = None,
    data: Path | None = None,
    options: Options = STANDARD,
) -> int:
    """Answer a question by runs: every setting of a study file, over seeds, scored alike.

    Parameters
    ----------
    file
        The study: a TOML file with a question, the data, a base recipe and the lines to vary.
    out
        Folder for the runs, tables, figures and report.html; FILE_study by default. What is there
        already is not run again.
    scale
        Make every run so many times as long: 0.1 for a look at what will come.
    jobs
        Runs at a time, each with its share of the cores.
    seeds
        Runs a setting; by default what the study says.
    data
        Folder that holds the data, looked into before the study's own and NOISEPAIR_DATA.
    """
    refuse_useless(scale, jobs, seeds, data)
    asked = Study.read(file, scale)
    place = out or Path(f"{asked.name}_study")
    device, roots = options.torch_device(), [data] if data else []
    if out is None:
        options.say(f"Results go to {place}.")
    seen: list[State] = []
    stopped = False
    with stop_on_signal() as signals, display(asked, options) as show:

        def watch(state: State) -> bool:
            seen[:] = [state]
            show(state)
            return bool(signals)

        try:
            outcome = run_study(
                asked, place, roots=roots, seeds=seeds, jobs=jobs, device=str(device), watch=watch
            )
        except KeyboardInterrupt:
            if not seen:
                raise
            outcome, stopped = seen[0].outcome, True
    count = len(outcome.settings) * (seeds or asked.page.seeds)
    given = {"out": out, "scale": scale, "seeds": seeds, "data": data}
    told = Asked(count, command(file, given))
    bench = bench_of(asked, roots, str(device))
    written = write_study(place, outcome, bench, told, options.say)
    options.result(
        ended(outcome, written.page), as_json(outcome, written, told) | {"complete": not stopped}
    )
    if stopped:
        done, of = seen[0].done, seen[0].all
        options.say(f"Stopped; {done} of {of} runs are kept. The same command goes on.")
        return 130
    return exit_code(outcome, options)


def refuse_useless(scale: float, jobs: int, seeds: int | None, data: Path | None) -> None:
    """Numbers that would run nothing, and a folder that is none."""
    if not 0 < scale < float("inf"):
        raise InputError(f"--scale {scale:g} would make no run. Give a number above 0.")
    for name, value in (("jobs", jobs), ("seeds", seeds)):
        if value is not None and value < 1:
            raise InputError(f"--{name} {value} would run nothing. Give 1 or more.")
    if seeds is not None and seeds > SEEDS:
        raise InputError(f"--seeds {seeds} is more than a spread needs. Give {SEEDS} or fewer.")
    if data is not None and not data.is_dir():
        raise InputError(f"--data {data} is no folder. Name the one that holds the study's data.")


def command(file: Path, given: Mapping[str, object]) -> str:
    """The command again, with what was not left to its default."""
    usual = {None, 1.0}
    words = [
        word
        for name, value in given.items() if value not in usual
        for word in (f"--{name}", str(value))
    ]  # fmt: skip
    return shlex.join(["noisepair", "study", str(file), *words])


def exit_code(outcome: Outcome, options: Options) -> int:
    """2 where no run could be done at all; a run that diverged is a result."""
    runs = [run for runs in outcome.runs.values() for run in runs]
    if any(run["status"] != "failed" for run in runs):
        return 0
    options.say("No run could be done. The first said:", f"  {runs[0]['reason']}")
    return 2


def ended(outcome: Outcome, page: Path) -> str:
    """What came of it, for a person: the main table up to the verdict, the orders, the page."""
    main = study_tables.main(outcome).until("seeds")
    order = study_tables.orders(outcome)
    parts = [as_text(main), *([as_text(order)] if order.rows else [])]
    one = [study_tables.ANECDOTE] if study_tables.ANECDOTE in main.notes else []
    return "\n\n".join(["\n".join([parts[0], *one]), *parts[1:], f"Look at {page}"])


# ---- while it runs


@contextmanager
def display(asked: Study, options: Options) -> Iterator[Callable[[State], None]]:
    """A live table in a terminal, a plain line a finished run elsewhere, nothing when quiet."""
    console = options.console()
    if options.quiet or not console.is_terminal:
        yield lines_of(options)
        return
    from rich.live import Live

    with Live(console=console, transient=True, refresh_per_second=2) as live:
        yield lambda state: live.update(table(asked, state, console.height - 6))


def lines_of(options: Options) -> Callable[[State], None]:
    """Say each run once, when it is over; those that were there before, together."""
    told: set[tuple[str, int]] = set()

    def show(state: State) -> None:
        runs = [(name, run) for name, runs in state.outcome.runs.items() for run in runs]
        before = sum("seconds_in_all" not in run for _, run in runs)
        if before and not told:
            options.say(f"{before} of {state.all} runs are there already.")
        for name, run in runs:
            if (name, run["seed"]) not in told and "seconds_in_all" in run:
                options.say(finished(name, run, state))
        told.update((name, run["seed"]) for name, run in runs)

    return show


def finished(name: str, run: Run, state: State) -> str:
    """One line of a run that is over."""
    test, measure = state.outcome.tests[0], state.outcome.study.page.measure
    came = f"{run['scores'][test][measure]:.2f} dB" if run["status"] == "done" else run["status"]
    took = span(run["seconds_in_all"])
    return f"{name}, seed {run['seed']}: {came} in {took}  {progress(state)}"


def progress(state: State) -> str:
    """Runs that are over, and the time that the rest will take."""
    left = "" if state.seconds_left is None else f", {span(max(0.0, state.seconds_left))} left"
    return f"{state.done} of {state.all} runs{left}"


def table(asked: Study, state: State, most: int) -> "Group":
    """A row a setting, `most` of them: those around the first that is not finished."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    outcome, rows = state.outcome, state.outcome.rows()
    seeds = max(1, state.all // max(1, len(rows)))
    shown = Table(box=None, pad_edge=False)
    for name in ("setting", "runs", "PSNR, dB", "reported", ""):
        shown.add_column(name, no_wrap=name != "setting")
    for row in in_view(rows, seeds, max(3, most)):
        name = row.setting.name
        cells = [name, f"{len(row.runs)}/{seeds}", said(study_tables.psnr(row))]
        cells += [said(study_tables.reported(outcome, name)), doing(row, state)]
        shown.add_row(*map(Text, cells))  # a setting called [bold] is no markup
    return Group(Text(asked.page.question, style="bold"), shown, Text(progress(state)))


def in_view(rows: list[Row], seeds: int, most: int) -> list[Row]:
    """Of more rows than fit, those from just before the first that still lacks runs."""
    open_ones = (n for n, row in enumerate(rows) if len(row.runs) < seeds)
    first = max(0, min(next(open_ones, 0) - 1, len(rows) - most))
    return rows[first : first + most]


def doing(row: Row, state: State) -> str:
    """What a setting is at."""
    name = row.setting.name
    running = [used for key, used in state.running.items() if key.rpartition(", seed ")[0] == name]
    return ", ".join(f"running {100 * used:.0f} %" for used in running)
