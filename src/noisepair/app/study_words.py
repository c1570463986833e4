"""What a study says in sentences: its answer, and what its figures must be read with."""

import math
from dataclasses import dataclass

from ..recipe import Recipe
from ..study import BASE, Outcome, Row, Run, Setting
from . import study_tables
from .report import cell
from .sheets import Spread
from .study_tables import MEASURES

ROUNDING = (
    "Test pictures are scored whole, without crop. Pictures of 8 bits come back as 8 bits, rounded"
    " and clipped to what they can hold; floats are neither clipped nor rounded. Per image: the"
    " mean of the PSNR of each picture; pooled: the PSNR of the error averaged over pictures."
)


@dataclass(frozen=True)
class Asked:
    """How much a study was asked for, and how: what its results do not say themselves."""

    runs: int  # in all, as far as settings are known
    command: str


def answer(outcome: Outcome, asked: Asked) -> str:
    """The study's question, answered in a sentence or two."""
    best = outcome.best()
    runs = [run for runs in outcome.runs.values() for run in runs]
    part = f"{len(runs)} of {asked.runs} runs so far. " if len(runs) < asked.runs else ""
    if best is None:
        return f"{part}No setting has come to a number."
    test, measure = best.test, MEASURES[best.measure]
    first = f"{part}Best: “{best.setting.name}”, {study_tables.psnr(best)} dB on {test}"
    first += f" ({measure})"
    others = [row for row in outcome.rows() if row.values and row is not best]
    others = [row for row in others if row.setting.name != best.setting.name]
    if not others:
        return f"{first}; nothing to compare it with."
    second = max(others, key=lambda row: row.mean)
    return f"{first}: {ahead(best, second)}"


def ahead(best: Row, second: Row) -> str:
    """By how much the best leads, and what that is worth."""
    lead, name = best.against(second), f"“{second.setting.name}”"
    if lead.verdict == "none":
        return f"next is {name} with {study_tables.psnr(second)} dB, of other seeds."
    by = f"{Spread(lead.mean, lead.error)} dB ahead of {name}"
    worth = {
        "within the spread": "within the spread over seeds: not a difference that can be relied on",
        "one seed": "from one seed, which is an anecdote",
    }.get(lead.verdict, "more than the spread over seeds")
    return f"{by}, {worth}."


def base(outcome: Outcome) -> Recipe:
    return outcome.study.recipe(Setting(BASE, {}, {}))


def protocol(outcome: Outcome) -> list[str]:
    """Data, noise, PSNR, length and number of runs: a paragraph each."""
    study = outcome.study
    data, recipe = study.page.data, base(outcome)
    trained = f"{data.train} and {data.train2}" if data.train2 else data.train
    tests = ", ".join(f"{name} ({given})" for name, given in data.test.items())
    if recipe.noise is None:
        frozen = "The noisy test pictures are those of the files, the same for all runs."
    else:
        frozen = "The noise on test pictures is drawn once and frozen, the same for all runs."
    seeds = sorted({run["seed"] for runs in outcome.runs.values() for run in runs})
    times = f", {study.scale:g} times what the study says" if study.scale != 1 else ""
    count = "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    which = f" ({', '.join(map(str, seeds))})" if seeds else ""
    return [
        f"Trained on {trained}; tested on {tests}. {frozen} {before(outcome)}".strip(),
        ROUNDING,
        f"Runs of {length(recipe)} in the base recipe{times}; {count}{which} a setting."
        " Runs of one seed share weights, order and noise.",
    ]


def before(outcome: Outcome) -> str:
    """PSNR of the noisy pictures, both ways."""
    found = []
    for test in outcome.tests:
        each, pooled = (outcome.noisy(test, measure) for measure in MEASURES)
        if math.isfinite(each):
            found.append(f"{test} {cell(each)} dB per image, {cell(pooled)} dB pooled")
    return f"Before denoising: {'; '.join(found)}." if found else ""


def length(recipe: Recipe) -> str:
    """How long a run is, in the unit that it was asked for."""
    if recipe.epochs is not None:
        return f"{recipe.epochs:g} epochs"
    return f"{recipe.steps} steps" if recipe.steps is not None else f"{recipe.budget:g} s"


def machines(outcome: Outcome) -> list[str]:
    """What ran it and when; a sentence for each that differs."""
    runs = [run for runs in outcome.runs.values() for run in runs if "machine" in run]
    dates = sorted(run["finished"][:10] for run in runs)
    when = (
        f" {dates[0]}" if len(set(dates)) == 1 else f" {dates[0]} to {dates[-1]}" if dates else ""
    )
    return [f"{one}{when}." for one in dict.fromkeys(map(machine, runs))]


def machine(run: Run) -> str:
    made = run["machine"]
    threads = "1 thread" if made["threads"] == 1 else f"{made['threads']} threads"
    commit = f" (commit {run['commit']})" if run["commit"] else ""
    return (
        f"{made['name']}, {threads}, torch {made['torch']}, Python"
        f" {made['python']}, {made['system']}; noisepair {run['noisepair']}{commit};"
    )
