"""Everything that decides a run, on one page.

A line is `lr`, or `network.channels` where a part has settings of its own. It is written the same
in a TOML file, on the command line and in Python; text is read as a person would write it:
`25/255` is a number, `10m` is 600 seconds, `48,48,48` is a list.
"""

import contextlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tomli_w
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from .errors import InputError, choose
from .hardware import Precision
from .models import NETWORKS, Network, UNet
from .noise import NOISES, Noise
from .optim import OPTIMIZERS, Adam, Optimizer

VERSION = 1  # of the recipe's format; a file may carry it as the line `version`
PARTS: Mapping[str, Mapping[str, type]] = {
    "network": NETWORKS,
    "optimizer": OPTIMIZERS,
    "noise": NOISES,
}
KINDS = {"network": "unet", "optimizer": "adam", "noise": "gaussian"}  # where none is named
BUDGET = 600.0  # seconds, when neither steps nor budget is given

LISTS = ("network.channels", "network.head", "augment")  # lines that hold more than one value

Augmentation = Literal["exchange", "flips", "turns"]


def seconds(text: object) -> object:
    """`90`, `90s`, `10m`, `1h30m` in seconds; anything else is left for the validator to refuse.

    >>> seconds("10m"), seconds("1h30m"), seconds(45)
    (600.0, 5400.0, 45)
    """
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip())
    if not found or not any(found.groups()):
        raise ValueError("should be a time such as 90s, 10m or 1h30m")
    try:
        hours, minutes, rest = (float(part or 0) for part in found.groups())
    except ValueError:
        raise ValueError("should be a time such as 90s, 10m or 1h30m") from None
    return 3600 * hours + 60 * minutes + rest


def duration(value: float) -> str:
    """The text that `seconds` reads back, to the last digit.

    >>> duration(600.0), duration(5400.0), duration(7.5)
    ('10m', '1h30m', '7.5s')
    """
    hours, rest = divmod(value, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(hours, "h"), (minutes, "m"), (rest, "s")]
    texts = [np.format_float_positional(count, trim="-") + unit for count, unit in parts if count]
    return "".join(texts) or "0s"


@dataclass(
    frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True)
)
class Recipe:
    """Two equal recipes with `steps` give two equal runs on the same machine.

    Raises `InputError` through `Recipe.of` and `Recipe.read`, which check files and text.
    """

    network: Network = UNet()
    """the network: unet"""
    loss: Literal["l2"] = "l2"
    """what close means: l2 learns the mean of the noisy targets"""
    optimizer: Annotated[Optimizer, Field(discriminator="kind")] = Adam()
    """how weights move: adam, adamw"""
    lr: Annotated[float, Field(gt=0, le=10)] = 2e-3
    """learning rate where the schedule is 1"""
    schedule: Literal["constant", "cosine"] = "cosine"
    """how the learning rate falls over the run: constant, cosine"""
    batch: Annotated[int, Field(ge=1, le=65536)] | None = None
    """pairs a step; none: as many as hold 65,536 pixels, 16 crops of 64 or 64 of 32"""
    crop: Annotated[int, Field(ge=1, le=8192)] | None = None
    """side of a training square in pixels; none: 64, or what the smallest picture allows"""
    steps: Annotated[int, Field(ge=1)] | None = None
    """length of the run in steps"""
    budget: Annotated[float, BeforeValidator(seconds), Field(gt=0, allow_inf_nan=False)] | None = (
        None
    )
    """length of the run in time, such as 90s or 10m; 10m when neither is given"""
    augment: tuple[Augmentation, ...] = ("exchange", "flips", "turns")
    """what else a pair may stand for: exchange of the two shots, flips, quarter turns"""
    noise: Annotated[Noise, Field(discriminator="kind")] | None = None
    """for clean pictures only, the noise of the two shots made of each: gaussian, poisson"""
    fresh_noise: bool = False
    """draw that noise anew at every step (figures then flatter) instead of once a picture"""
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """share of scenes kept out of training to choose the best weights by; at least one scene"""
    precision: Precision = "auto"
    """of the products: auto, float32, bfloat16; weights and sums are float32"""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """of weights, crops, order and noise alike"""
    version: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    """of this format"""

    def __post_init__(self) -> None:
        if self.steps is not None and self.budget is not None:
            raise ValueError(
                f"steps={self.steps} and budget={duration(self.budget)} both say how long a run is."
                " Give one of them."
            )
        if self.steps is None and self.budget is None:
            object.__setattr__(self, "budget", BUDGET)
        if self.fresh_noise and self.noise is None:
            raise ValueError("fresh_noise needs a noise to draw. Give noise, or leave it out.")

    @classmethod
    def of(cls, lines: Mapping[str, Any]) -> "Recipe":
        """A recipe from its lines, dotted or nested; text is read as on the command line.

        >>> Recipe.of({"network.channels": "16,32", "noise": "gaussian"}).network.channels
        (16, 32)
        >>> Recipe.of({"lrr": 1})
        Traceback (most recent call last):
        noisepair.errors.InputError: Unknown recipe line 'lrr'. Available: augment, batch, budget, \
crop, fresh_noise, holdout, loss, lr, network, network.channels, network.head, network.residual, \
noise, noise.peak, noise.sigma, optimizer, optimizer.beta1, optimizer.beta2, \
optimizer.weight_decay, precision, schedule, seed, steps, version. Did you mean 'lr'?
        """
        flat = dict(flatten(lines))
        newer = plain(flat.get("version", VERSION))
        if isinstance(newer, int) and newer > VERSION:
            raise InputError(
                f"This recipe has version {newer}; this noisepair reads versions up to {VERSION}."
                " Upgrade noisepair, or remove the lines that it does not know."
            )
        for name in flat:
            choose("recipe line", name, LINES)
        try:
            return ADAPTER.validate_python(nest(flat))
        except ValidationError as error:
            raise InputError(sentence(error)) from None

    @classmethod
    def read(cls, path: Path | None, lines: Mapping[str, Any] | None = None) -> "Recipe":
        """The recipe in a TOML file, with `lines` in place of its own where both speak."""
        flat = dict(flatten(load(path))) if path else {}
        more = dict(flatten(lines or {}))
        for part in PARTS:  # another kind of part brings its own settings
            kind = flat.get(part, KINDS[part])
            if more.get(part, kind) != kind:
                flat = {name: v for name, v in flat.items() if not name.startswith(f"{part}.")}
        for one, other in (("steps", "budget"), ("budget", "steps")):
            if one in more and other not in more:
                flat.pop(other, None)
        return cls.of(flat | more)

    def lines(self) -> dict[str, Any]:
        """Nested plain values, as JSON and TOML hold them; what is not set is left out."""
        plain = ADAPTER.dump_python(self, mode="json", exclude_none=True)
        if self.budget is not None:
            plain["budget"] = duration(self.budget)
        return plain

    def sentence(self) -> str:
        """All lines in one.

        >>> Recipe(steps=5).sentence()[:52]
        'network unet, network.channels 32 48 64 64, network.'
        """
        flat = dict(flatten(self.lines()))
        said = [
            f"{name} {' '.join(map(str, value)) if isinstance(value, list) else text_of(value)}"
            for name, value in flat.items()
        ]
        return ", ".join(said)

    def toml(self) -> str:
        """The page as a file."""
        page = tomli_w.dumps(self.lines())
        return re.sub(r"\[\n(.*?),\n\]", lambda m: f"[{' '.join(m[1].split())}]", page, flags=re.S)

    def resolved(self, **changes: Any) -> "Recipe":
        """The same recipe with some lines decided."""
        return replace(self, **changes)


def load(path: Path) -> dict[str, Any]:
    """The tables of a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"Cannot read the recipe {path}: {reason}. Give a TOML file.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"The recipe {path} is not TOML: {error}. A line reads: lr = 0.001"
        ) from None


def flatten(lines: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted names and values; a part's `kind` is the value of the part itself."""
    for name, value in lines.items():
        if name in PARTS and isinstance(value, Mapping):
            inner = dict(value)
            if "kind" in inner:
                yield name, inner.pop("kind")
            yield from ((f"{name}.{key}", setting) for key, setting in inner.items())
        elif value is not None:
            yield name.replace("-", "_"), value


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The tables that the validator reads."""
    tables: dict[str, Any] = {}
    for name, value in flat.items():
        part, _, setting = name.partition(".")
        if setting and flat.get(part) == "none":
            raise InputError(f"{name} is given and {part} is none. Leave one of them out.")
        if setting:
            tables.setdefault(part, {})[setting] = listed(name, plain(value))
        elif (part, value) == ("noise", "none"):
            continue
        elif part in PARTS:
            choose(part, str(value), PARTS[part])
            tables.setdefault(part, {})["kind"] = value
        else:
            tables[part] = listed(name, plain(value))
    for part, kind in KINDS.items():
        if part in tables:
            tables[part].setdefault("kind", kind)
    return tables


def listed(name: str, value: Any) -> Any:
    """A single value, or none, where the line holds a list."""
    if name not in LISTS or isinstance(value, list | tuple):
        return value
    return [] if value is None else [value]


def plain(value: Any) -> Any:
    """Text as a value: `25/255`, `16,32`, `true`, `1e-3`; other values as they are.

    >>> plain("25/255") == 25 / 255, plain("16,32"), plain("true"), plain("flips,turns")
    (True, [16, 32], True, ['flips', 'turns'])
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if "," in text or text.startswith("["):
        inside = text.strip("[],")
        return [plain(part) for part in inside.split(",")] if inside else []
    for read in (int, float, fraction):
        with contextlib.suppress(ValueError, ZeroDivisionError):
            return read(text)
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def fraction(text: str) -> float:
    above, _, below = text.partition("/")
    return float(above) / float(below)


def sentence(error: ValidationError) -> str:
    """The first thing wrong with a recipe: the line, what came, what is accepted."""
    first = error.errors()[0]
    where = [str(step) for step in first["loc"]]
    if where and where[0] in PARTS and len(where) > 1 and where[1] in PARTS[where[0]]:
        del where[1]  # the discriminator: network.unet.channels is the line network.channels
    line = ".".join(step for step in where if not step.isdigit())
    reason = (
        first["msg"]
        .removeprefix("Value error, ")
        .removeprefix("Input ")
        .removeprefix("Tuple ")
        .replace("Field required", "should hold one more value")
    )
    if not line:
        return reason
    if first["type"] == "unexpected_keyword_argument":
        part, _, setting = line.partition(".")
        return f"{line} does not go with this {part}: it has no setting {setting!r}. Leave it out."
    meaning = LINES[line][0] if line in LINES else "see `noisepair train --help`"
    return f"{line}={first['input']!r} is not possible: it {reason}. Meaning: {meaning}."


def described() -> dict[str, tuple[str, str]]:
    """Every line with its meaning and its default, for help pages and for refusing others."""
    table = {}
    standard = Recipe()
    for name, meaning in meanings(Recipe).items():
        value = getattr(standard, name)
        shown = duration(value) if name == "budget" else getattr(value, "kind", value)
        table[name] = (meaning, text_of(shown))
        for kind, settings in PARTS.get(name, {}).items():
            for setting, text in meanings(settings).items():
                default = getattr(settings(), setting)
                table.setdefault(f"{name}.{setting}", (f"{kind}: {text}", text_of(default)))
    return table


def meanings(settings: type) -> dict[str, str]:
    """The settings of a part, each with the sentence that stands under it in the source."""
    known = settings.__pydantic_fields__  # type: ignore[attr-defined]
    return {name: field.description or "" for name, field in known.items() if name != "kind"}


def text_of(value: object) -> str:
    """A default as it would be typed.

    >>> text_of((48, 48)), text_of(True), text_of(None), text_of(1)
    ('48,48', 'true', 'none', '1')
    """
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


ADAPTER = TypeAdapter(Recipe)
LINES = described()
