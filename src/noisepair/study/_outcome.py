"""What a study found: rows with mean and deviation over seeds, and what may be said of them.

Settings are compared seed by seed, because runs of one seed share weights, order and noise. The
difference of two settings over n seeds is d ± s/√n; it is within the spread where |d| ≤ t s/√n,
t being the 95 % quantile of Student's distribution: 12.7 for two seeds, 4.3 for three.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._file import Setting, Study, sides

Run = Mapping[str, Any]  # what a bench's run came to
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}


def student(seeds: int) -> float:
    """Two-sided 95 % quantile of Student's t with seeds − 1 degrees; beyond ten to 0.02."""
    return STUDENT.get(seeds, 1.96 + 2.5 / (seeds - 1))


@dataclass(frozen=True)
class Difference:
    """Of two settings in dB, with its standard error over seeds; none from one seed."""

    mean: float
    error: float | None
    seeds: int = 1

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `within the spread`, or `one seed` where no spread is known."""
        if not math.isfinite(self.mean):
            return "none"
        if self.error is None:
            return "one seed"
        if (
            abs(self.mean) <= student(self.seeds) * self.error
        ):  # 0 ± 0 where two settings share their runs
            return "within the spread"
        return "better" if self.mean > 0 else "worse"


@dataclass(frozen=True)
class Row:
    """A setting and its runs, a run a seed; `values` are the PSNRs of those that were finished."""

    setting: Setting
    runs: Sequence[Run]
    test: str
    measure: str

    @property
    def values(self) -> dict[int, float]:
        """PSNR by seed."""
        return {
            run["seed"]: run["scores"][self.test][self.measure]
            for run in self.runs
            if run["status"] == "done"
        }

    @property
    def mean(self) -> float:
        values = list(self.values.values())
        return sum(values) / len(values) if values else math.nan

    @property
    def std(self) -> float:
        """Deviation over seeds (n − 1); nan from one."""
        values = list(self.values.values())
        return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan

    @property
    def troubles(self) -> str:
        """How many runs diverged or failed, in words; empty where none did."""
        kinds = [run["status"] for run in self.runs if run["status"] != "done"]
        said = [f"{kinds.count(kind)} of {len(self.runs)} {kind}" for kind in dict.fromkeys(kinds)]
        return ", ".join(said)

    @property
    def seconds(self) -> float:
        """Mean time of a run."""
        each = [run["seconds"] for run in self.runs if "seconds" in run]
        return sum(each) / len(each) if each else math.nan

    def against(self, other: "Row") -> Difference:
        """This row less the other, over the seeds that both have finished."""
        mine, theirs = self.values, other.values
        each = [mine[seed] - theirs[seed] for seed in mine if seed in theirs]
        if not each:
            return Difference(math.nan, None)
        error = float(np.std(each, ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else None
        return Difference(sum(each) / len(each), error, len(each))


@dataclass(frozen=True)
class Outcome:
    """All rows that there are so far, in the order of the study."""

    study: Study
    settings: Sequence[Setting]
    runs: Mapping[str, Sequence[Run]]  # by name of setting

    @property
    def tests(self) -> list[str]:
        return list(self.study.page.data.test)

    def rows(self, test: str | None = None, measure: str | None = None) -> list[Row]:
        """By default by the first test and the study's measure."""
        name, kind = test or self.tests[0], measure or self.study.page.measure
        return [
            Row(setting, self.runs.get(setting.name, ()), name, kind) for setting in self.settings
        ]

    def best(self) -> Row | None:
        """The row of the highest mean."""
        known = [row for row in self.rows() if math.isfinite(row.mean)]
        return max(known, key=lambda row: row.mean) if known else None

    def noisy(self, test: str, measure: str) -> float:
        """PSNR of the noisy pictures themselves."""
        scores = (run["scores"] for runs in self.runs.values() for run in runs)
        return next((one[test]["noisy"][measure] for one in scores if test in one), math.nan)

    def orders(self) -> list[tuple[str, Difference]]:
        """What the study says must hold, and by how much it does; of settings that were run."""
        rows = {row.setting.name: row for row in self.rows()}
        pairs = [(order, sides(order)) for order in self.study.page.orders]
        return [
            (order, rows[a].against(rows[b])) for order, (a, b) in pairs if {a, b} <= rows.keys()
        ]
