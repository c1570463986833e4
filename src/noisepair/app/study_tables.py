"""A study as tables: its settings, two factors at a time, a greedy path, orders, along the run."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from .. import checkpoint
from ..study import Difference, Outcome, Row, sides
from .sheets import Cell, Seconds, Sheet, Spread, said

MEASURES = {"per_image": "per image", "pooled": "pooled"}
ANECDOTE = "One seed is an anecdote: its spread is not known."
KEPT = (
    "Mean over seeds along the run, on the first pictures of the test; the main table scores all of"
    " them, with the weights of the least held-out loss."
)


def every(outcome: Outcome) -> list[Sheet]:
    """All tables of a study, the main one first."""
    more = [by_two(outcome), path(outcome), orders(outcome), along(outcome), troubles(outcome)]
    return [main(outcome), *(sheet for sheet in more if sheet.rows)]


def main(outcome: Outcome) -> Sheet:
    """A row a setting, under what the noisy pictures themselves score."""
    page, rows = outcome.study.page, outcome.rows()
    names = [row.setting.name for row in rows]
    columns: dict[str, list[Cell]] = {"setting": [*names]}
    top: dict[str, Cell] = {"setting": "noisy"}
    for title, (test, kind) in measured(outcome).items():
        columns[title] = [psnr(row) for row in outcome.rows(test, kind)]
        top[title] = outcome.noisy(test, kind)
    second = {title: columns.pop(title) for title in list(columns)[-1:]}  # stands further right
    before = [noisy(row) for row in rows]
    if len({round(value, 2) for value in before if not math.isnan(value)}) > 1:
        columns["noisy, dB"], top = [*before], {}  # each setting has its own noise
    if page.reported:
        columns[source(outcome)] = [reported(outcome, name) for name in names]
    columns |= compared(rows, outcome.best()) | second
    columns["steps"] = [steps(row) for row in rows]
    columns["a run"] = [Seconds(row.seconds) for row in rows]
    lines: list[list[Cell]] = [list(line) for line in zip(*columns.values(), strict=True)]
    first: list[list[Cell]] = [[top.get(name) for name in columns]] if top else []
    title = f"PSNR by setting, {MEASURES[page.measure]}"
    return Sheet(title, list(columns), [*first, *lines], notes(outcome))


def measured(outcome: Outcome) -> dict[str, tuple[str, str]]:
    """Which PSNRs are shown: the study's for each test, and for the first test the other one."""
    measure, first = outcome.study.page.measure, outcome.tests[0]
    other = next(kind for kind in MEASURES if kind != measure)
    shown = {f"{test}, dB": (test, measure) for test in outcome.tests}
    return shown | {f"{first} {MEASURES[other]}, dB": (first, other)}


def psnr(row: Row) -> Spread:
    return Spread(row.mean, row.std, row.troubles)


def noisy(row: Row) -> float:
    """What the noisy pictures of this setting score."""
    found = (run["scores"].get(row.test) for run in row.runs)
    return next((one["noisy"][row.measure] for one in found if one), math.nan)


def source(outcome: Outcome) -> str:
    """The header of what others found: the beginning of where, if it is short."""
    where = outcome.study.page.source.partition(":")[0]
    return where if 0 < len(where) <= 30 else "reported"


def reported(outcome: Outcome, name: str) -> Cell:
    """What others found; of a list, the last."""
    found = outcome.study.page.reported.get(name)
    return (found[-1] if found else None) if isinstance(found, list) else found


def compared(rows: Sequence[Row], best: Row | None) -> dict[str, list[Cell]]:
    """Each setting against the best, and the seeds that this rests on."""
    differences, verdicts, seeds = list[Cell](), list[Cell](), list[Cell]()
    for row in rows:
        is_best = best is not None and row.setting.name == best.setting.name
        difference = row.against(best) if best else Difference(math.nan, None)
        differences.append(None if is_best else spread(difference))
        verdicts.append("best" if is_best else difference.verdict.replace("none", "–"))
        seeds.append(len(row.values))
    return {"to the best, dB": differences, "verdict": verdicts, "seeds": seeds}


def spread(difference: Difference) -> Spread:
    return Spread(difference.mean, difference.error, signed=True)


def steps(row: Row) -> int | None:
    """Of a run, on average."""
    each = [run["steps"] for run in row.runs if "steps" in run]
    return round(sum(each) / len(each)) if each else None


def notes(outcome: Outcome) -> list[str]:
    """What the columns mean."""
    under = [
        "± is the standard deviation over seeds; of a difference, taken seed by seed, its standard"
        " error. Within the spread: what seeds alone can explain (Student, 95 %)."
    ]
    if any(len(row.values) == 1 for row in outcome.rows()):
        under.append(ANECDOTE)
    if outcome.study.page.reported:
        under.append(f"Reported by others: {outcome.study.page.source or 'no source given'}.")
    return under


def by_two(outcome: Outcome) -> Sheet:
    """A grid of two factors: levels of the first down, of the second across."""
    factors, page = outcome.study.factors, outcome.study.page
    if page.design != "grid" or len(factors) != 2:
        return Sheet("", [], [])
    (one, down), (two, across) = factors.items()
    rows = {(row.setting.levels[one], row.setting.levels[two]): row for row in outcome.rows()}

    def both(row: Row) -> str:
        theirs = reported(outcome, row.setting.name)
        return said(psnr(row)) + (f" ({said(theirs)})" if theirs is not None else "")

    lines = [[a, *(both(rows[a, b]) for b in across)] for a in down]
    under = ["In brackets: reported."] if page.reported else []
    return Sheet(f"PSNR in dB by {one} and {two}", [f"{one} ↓  {two} →", *across], lines, under)


def path(outcome: Outcome) -> Sheet:
    """What a greedy study chose, factor by factor, and what came next to it."""
    rows, kept, lines = outcome.rows(), dict[str, str](), list[list[Cell]]()
    for factor in outcome.study.factors if outcome.study.page.design == "greedy" else ():
        trial = [row for row in rows if row.setting.levels.items() > kept.items()]
        trial = [row for row in trial if set(row.setting.levels) == {*kept, factor}]
        ranked = sorted((row for row in trial if row.values), key=lambda row: -row.mean)
        if not ranked:
            break
        first, *others = ranked
        lead = first.against(others[0]) if others else Difference(math.nan, None)
        second = others[0].setting.levels[factor] if others else None
        kept = dict(first.setting.levels)
        lines.append([factor, kept[factor], psnr(first), second, spread(lead), lead.verdict])
    header = ["factor", "kept", "PSNR, dB", "next", "ahead by, dB", "verdict"]
    return Sheet("The path, a factor after the other", header, lines)


def orders(outcome: Outcome) -> Sheet:
    """What the study says must hold, and whether it does."""
    rows = {row.setting.name: row for row in outcome.rows()}
    lines: list[list[Cell]] = []
    for order, difference in outcome.orders():
        better, worse = sides(order)
        answer = holds(difference, rows[better], rows[worse])
        lines.append([order, answer, spread(difference)])
    return Sheet("What must hold", ["order", "", "by, dB"], lines)


def holds(difference: Difference, better: Row, worse: Row) -> str:
    """The verdict on an order. A setting that never came to a number is behind one that did."""
    if difference.verdict == "none":
        lost = [row.setting.name for row in (better, worse) if row.troubles and not row.values]
        if len(lost) == 1 and (better.values or worse.values):
            return f"{'holds' if better.values else 'does not hold'}: {lost[0]} has no finished run"
        return "not known"
    answers = {"better": "holds", "worse": "does not hold"}
    if difference.verdict == "one seed":
        return answers["better" if difference.mean > 0 else "worse"] + " in one seed"
    return answers.get(difference.verdict, difference.verdict)


def along(outcome: Outcome) -> Sheet:
    """PSNR at each validation, where the study asks for it; reported lists beside ours."""
    page = outcome.study.page
    columns: dict[str, list[Cell]] = {}
    rows = outcome.rows() if page.along else []
    by = clocked(rows)
    tracks = [track(row, lambda line: line.get("scores", {}).get(page.measure), by) for row in rows]
    places = [at for at, _ in max(tracks, key=len, default=[])]
    for row, found in zip(rows, tracks, strict=True):
        # validations come at other times in another setting: the last one that was over by then
        passed = [[v for at, v in found if at <= place * 1.02] for place in places]
        known: list[Cell] = [mean(before[-1]) if before else None for before in passed]
        columns[row.setting.name] = known if by == "seconds" else [mean(v) for _, v in found]
        theirs = page.reported.get(row.setting.name)
        if isinstance(theirs, list):
            columns[f"{row.setting.name}, reported"] = [*theirs]
    count = len(places)
    padded = [[*column[:count], *[None] * (count - len(column))] for column in columns.values()]
    shown: list[Cell] = [f"{place:.0f}" if by == "seconds" else f"{place:.3g}" for place in places]
    lines = [list(line) for line in zip(shown, *padded, strict=True)]
    return Sheet("PSNR along the run, dB", [by, *columns], lines, [KEPT])


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def clocked(rows: Sequence[Row]) -> str:
    """What runs are laid side by side by: seconds, if all of them had a budget; else epochs."""
    runs = [run for row in rows for run in row.runs]
    return "seconds" if runs and all("budget" in run.get("recipe", {}) for run in runs) else "epoch"


def track(
    row: Row, read: Callable[[Mapping[str, Any]], float | None], by: str = "epoch"
) -> list[tuple[float, list[float]]]:
    """At each validation after the first step: the epoch or second, a value a run that has one."""
    histories = [checkpoint.read_history(Path(run["folder"])) for run in row.runs]
    trained = [[line for line in lines if line["step"]] for lines in histories]
    found = []
    for lines in zip_longest(*trained):
        there = [line for line in lines if line is not None]
        values = [value for line in there if (value := read(line)) is not None]
        at = mean([line[by] for line in there])
        found.append((at, [value for value in values if math.isfinite(value)]))
    return found


def troubles(outcome: Outcome) -> Sheet:
    """Runs without a number, and why."""
    lines: list[list[Cell]] = [
        [row.setting.name, run["seed"], run["status"], run.get("reason", "")]
        for row in outcome.rows()
        for run in row.runs
        if run["status"] != "done"
    ]
    return Sheet("Runs without a number", ["setting", "seed", "", "reason"], lines)
