"""What every benchmark prints: a table, or with --json a list of rows.

A row is {"name", "ratio", "better": "higher" | "lower", "goal", …}. The ratio is ours to the other;
the goal is the ratio that is asked for, null where this machine cannot show it.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from noisepair import hardware


@dataclass(frozen=True)
class Row:
    """One comparison."""

    name: str
    ratio: float
    better: str
    goal: float | None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return "no goal here"
        met = self.ratio >= self.goal if self.better == "higher" else self.ratio <= self.goal
        return "met" if met else "MISSED"


def show(title: str, rows: list[Row]) -> None:
    """Print rows as asked for on the command line."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--json", action="store_true", help="a list of rows instead of a table")
    told(title, rows, plain=parser.parse_args().json)


def told(title: str, rows: list[Row], *, plain: bool) -> None:
    """Print rows as a table; `plain`: for a program."""
    machine = hardware.describe(torch.device("cpu"))
    if plain:
        found = [asdict(row) for row in rows]
        print(json.dumps([{**row, **row.pop("more"), "machine": machine} for row in found]))
        return
    print(f"{title}\n{machine['name']}, {machine['threads']} threads, torch {machine['torch']}\n")
    for row in rows:
        goal = "–" if row.goal is None else f"{row.goal:g}"
        extra = ", ".join(f"{name} {value}" for name, value in row.more.items())
        print(f"{row.ratio:8.3f}  ({row.better} is better, goal {goal}: {row.verdict})  {row.name}")
        print(f"{'':10}{extra}")


def interleaved(
    contenders: Mapping[str, Callable[[], object]], rounds: int, warm: int = 2
) -> dict[str, float]:
    """Median seconds of each, taken in turn so that a drifting machine troubles all alike."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(warm + rounds):
        for name, run in contenders.items():
            began = time.perf_counter()
            run()
            if turn >= warm:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def amx() -> bool:
    """Whether this CPU has matrix units for bfloat16."""
    return bool(torch.cpu._is_amx_tile_supported())
