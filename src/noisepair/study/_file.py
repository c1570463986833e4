"""A study as it is written: a question, a base recipe, the data, and the lines to vary.

    question = "Which loss suits this noise?"
    seeds = 3

    [data]
    train = "train_data.pkl"
    test = { "validation" = "val_data.pkl" }

    [base]
    epochs = 5

    [vary]
    loss = ["l2", "l1"]

`design`: grid (every combination), one (from the base, one change at a time) or greedy (a factor
after the other, keeping the best). A factor is a recipe line with its values, or a name with named
levels, each some lines. `reported` holds the figures that others found, `orders` what must hold.
"""

import math
import tomllib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import InputError, choose
from ..recipe import LENGTHS, LINES, Recipe, flatten, text_of

SEEDS = 1000  # runs of one setting, at most
BASE = "baseline"  # what the base is called where one change is made at a time

Scores = Mapping[str, float]  # mean PSNR by name of setting
Plan = Generator[list["Setting"], Scores, None]


@dataclass(frozen=True)
class Setting:
    """One row of the table: a name, and the lines that differ from the base."""

    name: str
    levels: Mapping[str, str]  # the level of each factor
    lines: Mapping[str, Any]


class Data(BaseModel):
    """Where pictures are: paths beside the study file, under --data, or under NOISEPAIR_DATA."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: str
    train2: str | None = None
    frames: bool = False
    pattern: str | None = None
    test: Annotated[dict[str, str], Field(min_length=1)]


class Page(BaseModel):
    """The lines of a study file, checked one by one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: Annotated[str, Field(min_length=1)]
    about: str = ""
    design: Literal["grid", "one", "greedy"] = "grid"
    seeds: Annotated[int, Field(ge=1, le=SEEDS)] = 3
    measure: Literal["per_image", "pooled"] = "per_image"
    along: bool = False
    data: Data
    base: dict[str, Any] = {}
    vary: dict[str, Any] = {}
    source: str = ""
    reported: dict[str, float | list[float] | str] = {}
    orders: list[str] = []


@dataclass(frozen=True)
class Study:
    """A question that can be run. Every setting has been checked to be a recipe."""

    path: Path
    page: Page
    base: Mapping[str, Any]
    factors: Mapping[str, Mapping[str, Mapping[str, Any]]]  # factor, level, lines
    scale: float = 1.0  # of the length of every run

    @classmethod
    def read(cls, path: Path, scale: float = 1.0) -> "Study":
        """The study in a TOML file, its runs `scale` times as long.

        Raises InputError before anything runs: for a file that is none, a line that does not exist,
        nothing to vary, a base or a setting that is no recipe, an order of unknown settings.
        """
        page = checked(path)
        if not 0 < scale < math.inf:
            raise InputError(f"Runs {scale:g} times as long cannot be. Give a number above 0.")
        try:
            factors = {name: levels(name, value) for name, value in varied(page.vary)}
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        study = cls(path, page, dict(flatten(page.base)), factors, scale)
        study.refuse_seed()
        for setting in [Setting(BASE, {}, {}), *study.possible()]:
            study.recipe(setting)
        study.refuse_unknown()
        return study

    @property
    def name(self) -> str:
        return self.path.stem

    def recipe(self, setting: Setting, seed: int = 0) -> Recipe:
        """The recipe of one run; InputError names the setting where it is none."""
        try:
            recipe = Recipe.of({**merged(self.base, setting.lines), "seed": seed})
            length = next(name for name in LENGTHS if getattr(recipe, name) is not None)
            asked = getattr(recipe, length) * self.scale
            return recipe.resolved(**{length: max(1, round(asked)) if length == "steps" else asked})
        except InputError as error:
            raise InputError(f"{self.path}, {setting.name}: {error}") from None

    def plan(self) -> Plan:
        """Lists of settings to run; a greedy study is sent what the last list scored."""
        if self.page.design != "greedy":
            yield self.settings()
            return
        kept: dict[str, str] = {}
        for factor, table in self.factors.items():
            trial = [self.setting({**kept, factor: level}) for level in table]
            scores = yield trial
            best = max(trial, key=lambda one: scores.get(one.name, float("-inf")))
            kept[factor] = best.levels[factor]

    def settings(self) -> list[Setting]:
        if self.page.design == "grid":
            names = [list(table) for table in self.factors.values()]
            chosen = product(*names)
            return [self.setting(dict(zip(self.factors, one, strict=True))) for one in chosen]
        return [Setting(BASE, {}, {}), *self.single()]

    def single(self) -> list[Setting]:
        return [self.setting({f: level}) for f, table in self.factors.items() for level in table]

    def possible(self) -> list[Setting]:
        """Settings to check: all of them, or for a greedy study each change by itself."""
        return self.single() if self.page.design == "greedy" else self.settings()

    def imaginable(self) -> list[Setting]:
        """All settings that a plan may come to."""
        if self.page.design != "greedy":
            return self.settings()
        factors, found = list(self.factors.items()), []
        for count in range(1, len(factors) + 1):
            names, tables = zip(*factors[:count], strict=True)
            chosen = (dict(zip(names, one, strict=True)) for one in product(*tables))
            found += [self.setting(one) for one in chosen]
        return found

    def setting(self, chosen: Mapping[str, str]) -> Setting:
        lines: dict[str, Any] = {}
        for factor, level in chosen.items():
            lines = merged(lines, self.factors[factor][level])
        return Setting(", ".join(chosen.values()), dict(chosen), lines)

    def refuse_seed(self) -> None:
        """A seed among the lines would be lost: each run of a setting has its own."""
        tables = [level for table in self.factors.values() for level in table.values()]
        if any("seed" in lines for lines in (self.base, *tables)):
            raise InputError(
                f"{self.path} gives a seed, and a study runs seeds 0, 1, … of each setting. Leave"
                " it out, and say how many with the line seeds."
            )

    def refuse_unknown(self) -> None:
        """Names in `reported` and `orders` must be those of settings; names must differ."""
        names = [setting.name for setting in self.imaginable()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"{self.path}: two settings are called {twice[0]!r}. Rename a level.")
        known = dict.fromkeys(names)
        for name in self.page.reported:
            choose(f"setting under reported of {self.path}", name, known)
        for order in self.page.orders:
            for name in sides(order):
                choose(f"setting under orders of {self.path}", name, known)


def merged(lines: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` in place of what it replaces: another kind of part brings its own settings."""
    kept = dict(lines)
    for name in more:
        if "." not in name:
            kept = {k: v for k, v in kept.items() if not k.startswith(f"{name}.")}
    if any(name in more for name in LENGTHS):
        kept = {name: value for name, value in kept.items() if name not in LENGTHS}
    return kept | dict(more)


def sides(order: str) -> tuple[str, str]:
    """The two settings of an order, the better one first: `l2 > l1`."""
    better, sign, worse = order.partition(" > ")
    if not sign:
        raise InputError(f"The order {order!r} is none. Write: better setting > worse setting")
    return better.strip(), worse.strip()


def checked(path: Path) -> Page:
    """The file's own lines."""
    try:
        return Page(**tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"Cannot read the study {path}: {reason}. Give a TOML file.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"The study {path} is not TOML: {error}.") from None
    except ValidationError as error:
        raise InputError(f"{path}: {fault(error)}") from None


def fault(error: ValidationError) -> str:
    """The first thing wrong with a page: the line, and what is accepted."""
    faults = error.errors()
    first = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    line = ".".join(str(step) for step in first["loc"])
    if first["type"] == "missing":
        return f"the line {line} is missing. A study has a question, data.train and data.test."
    if line == "data.test":
        return (
            'data.test needs a name and pictures. Write, under data: test = { "CBSD68" = "CBSD68" }'
        )
    if first["type"] == "extra_forbidden":
        known = ", ".join(Data.model_fields if line.startswith("data.") else Page.model_fields)
        return f"there is no line {line}. Lines are {known}; recipe lines stand under base."
    return f"{line} is not possible: {first['msg'].removeprefix('Input ')}."


def varied(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Factors and what they range over; a part's settings (`network.slope = […]`) by dotted name.

    A table of lists is a part with settings, a table of tables a factor with named levels.
    """
    found: list[tuple[str, Any]] = []
    for name, value in table.items():
        inner = list(value.values()) if isinstance(value, Mapping) else []
        if inner and all(isinstance(one, list) for one in inner):
            found += [(f"{name}.{setting}", values) for setting, values in value.items()]
        else:
            found.append((name, value))
    if not found or not all(value for _, value in found):
        empty = next((name for name, value in found if not value), "vary")
        raise InputError(
            f"Nothing varies under {empty}: a study needs a factor with values. Write, under vary:"
            ' loss = ["l1", "l2"]'
        )
    return found


def levels(factor: str, value: Any) -> dict[str, Mapping[str, Any]]:
    """The levels of a factor by name, each with its lines."""
    if isinstance(value, Mapping):
        named = {name: lines for name, lines in value.items() if isinstance(lines, Mapping)}
        if len(named) < len(value):
            raise InputError(
                f"The factor {factor} mixes tables and values. Give it levels such as"
                f' "{next(iter(value))}" = {{ lr = 0.01 }}, or a list of values of one line.'
            )
        return {name: dict(flatten(lines)) for name, lines in named.items()}
    choose("recipe line", factor, LINES)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InputError(f"The line {factor} has one value, {value!r}. Give a list of values.")
    names = [text_of(tuple(v) if isinstance(v, list) else v) or "none" for v in value]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"The line {factor} varies over {twice} twice. Give each value once.")
    return {name: {factor: one} for name, one in zip(names, value, strict=True)}
