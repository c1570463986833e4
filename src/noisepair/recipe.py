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
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass

from .errors import InputError, choose
from .hardware import Precision
from .losses import Loss
from .models import NETWORKS, PRESETS, Network, UNet, expressible
from .noise import NOISES, Noise
from .optim import BY_HAND_INITS, INITS, OPTIMIZERS, Adam, Init, Kaiming, Optimizer

VERSION = 1  # of the recipe's format; a file may carry it as the line `version`
PARTS: Mapping[str, Mapping[str, type]] = {
    "network": NETWORKS,
    "init": INITS,
    "optimizer": OPTIMIZERS,
    "noise": NOISES,
}
KINDS = {  # where none is named
    "network": "unet", "init": "kaiming", "optimizer": "adam", "noise": "gaussian",
}  # fmt: skip
LENGTHS = ("steps", "budget", "epochs")  # three ways to say how long a run is
BUDGET = 600.0  # seconds, when none of them is given

LISTS = (
    "network.channels",
    "network.head",
    "network.blocks",
    "augment",
    "noise.steps",
    "noise.noises",
)  # more than one value

Augmentation = Literal["exchange", "pixels", "flips", "turns"]
Pairing = Literal["shots", "neighbor2neighbor", "noise2void", "zero-shot", "recorrupted"]
# Lines that take the place of the usual ones where a pairing is asked for and they are left open.
USUAL: Mapping[str, Mapping[str, Any]] = {
    "recorrupted": {"lr": 0.002, "optimizer.beta2": 0.999},  # docs/one-picture.md
}


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

    network: Annotated[Network, Field(discriminator="kind")] = UNet()
    """the network: KINDS"""
    init: Annotated[Init, Field(discriminator="kind")] = Kaiming()
    """how its weights begin: KINDS"""
    loss: Annotated[str, AfterValidator(lambda text: str(Loss.of(text)))] = "l2"
    """what close means: l2, rmse, l1, l0, bce, ssim, ms_ssim, or a sum such as 0.8*l1+0.2*ssim"""
    pairs: Pairing = "shots"
    """what makes a pair: shots, two of a scene; or of one shot alone, where noise is independent
    from pixel to pixel: neighbor2neighbor, noise2void, zero-shot; or Gaussian too: recorrupted"""
    target: Literal["shot", "others", "clean"] = "shot"
    """what stands for the clean picture: another shot, the mean of the others, or itself"""
    optimizer: Annotated[Optimizer, Field(discriminator="kind")] = Adam()
    """how weights move: KINDS"""
    lr: Annotated[float, Field(gt=0, le=10)] = 3e-3
    """learning rate where the schedule is 1"""
    schedule: Literal["constant", "cosine", "rampdown", "warmup"] = "cosine"
    """how the learning rate changes over the run: constant, cosine, rampdown, warmup"""
    clip: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """length to which a longer slope is shortened (Pascanu et al. 2013, algorithm 1); 0: none is"""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """memory of a running mean of the weights, which is then the model; 0: the weights as such"""
    batch: Annotated[int, Field(ge=1, le=65536)] | None = None
    """pairs a step; none: as many as hold 16,384 pixels, 4 crops of 64 or 16 of 32"""
    crop: Annotated[int, Field(ge=1, le=8192)] | None = None
    """side of a training square in pixels; none: 64, or what the smallest picture allows"""
    steps: Annotated[int, Field(ge=1)] | None = None
    """length of the run in steps"""
    epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """length of the run in passes over the training pictures"""
    budget: Annotated[float, BeforeValidator(seconds), Field(gt=0, allow_inf_nan=False)] | None = (
        None
    )
    """length of the run in time, such as 90s or 10m; 10m when no length is given"""
    validations: Annotated[int, Field(ge=1, le=10_000)] = 20
    """how often in a run the held-out loss is taken, and the best weights looked for"""
    augment: tuple[Augmentation, ...] = ("exchange", "flips", "turns")
    """what else a pair may stand for: exchange of the shots, flips, quarter turns; pixels exchanges
    single pixels of the two shots, valid only where noise is independent from pixel to pixel"""
    blur: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Gaussian blur of one of the two shots, of a sigma up to this, in pixels; 0: none"""
    extra_noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    """sigma of Gaussian noise that is added to both shots, in picture units; 0: none"""
    input_noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    """sigma, in picture units, up to which Gaussian noise is added to inputs, and not to their
    targets, anew at every step; 0: none. Strong noise is then learnt from weak"""
    input_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """share of the inputs that get it"""
    noise: Annotated[Noise, Field(discriminator="kind")] | None = None
    """for clean pictures only, the noise of the shots made of each: KINDS"""
    shots: Annotated[int, Field(ge=2, le=64)] = 2
    """how many shots are made of each clean picture"""
    fresh_noise: bool = False
    """draw that noise anew at every step (figures then flatter) instead of once a picture"""
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """share of scenes kept out of training to choose the best weights by; at least one scene"""
    precision: Precision = "auto"
    """of the products: auto, float32, bfloat16; weights and sums are float32"""
    engine: Literal["torch", "plain", "scratch"] = "torch"
    """what computes: torch at its fastest here; plain: written as one would first, to compare;
    scratch: noisepair's own library, every gradient written by hand"""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """of weights, crops, order and noise alike"""
    version: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    """of this format"""

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in LENGTHS if getattr(self, name) is not None}
        if len(given) > 1:
            *first, last = (
                f"{name}={duration(value) if name == 'budget' else text_of(value)}"
                for name, value in given.items()
            )
            raise ValueError(
                f"{', '.join(first)} and {last} {'both' if len(first) == 1 else 'all'} say how long"
                " a run is. Give one of them."
            )
        if not given:
            object.__setattr__(self, "budget", BUDGET)
        if self.pairs != "shots":
            self.refuse_two_shots()
        self.refuse_noise()
        if self.target != "shot" and ("pixels" in self.augment or self.blur):
            what = "blur" if self.blur else "pixels in augment"
            raise ValueError(
                f"{what} mixes or blurs two noisy shots, and target={self.target} is none. Leave"
                f" {what} out."
            )
        if self.engine != "torch" and self.precision == "bfloat16":
            raise ValueError(f"engine={self.engine} computes in float32. Leave precision out.")
        if self.engine == "scratch":
            self.refuse_what_scratch_lacks()

    def refuse_two_shots(self) -> None:
        """Lines that speak of two shots, where pairs are found in one."""
        asked = {
            f"target={self.target}": self.target != "shot",
            f"shots={self.shots}": self.shots != 2,
            "fresh_noise": self.fresh_noise,
            "pixels in augment": "pixels" in self.augment,
            "blur": bool(self.blur),
            "extra_noise": bool(self.extra_noise),
            "input_noise": bool(self.input_noise),
        }
        for name, is_so in asked.items():
            if is_so:
                raise ValueError(
                    f"pairs={self.pairs} takes one shot of a scene, and {name} speaks of two."
                    f" Leave {name.partition('=')[0]} out, or give two shots and leave pairs out."
                )
        if self.engine == "scratch" and self.pairs != "recorrupted":
            raise ValueError(
                f"engine=scratch learns from two shots of a scene, and pairs={self.pairs} asks the"
                " network more than once a step. Take engine=torch, or leave pairs out."
            )
        terms = {name for _, name in Loss.of(self.loss).terms}
        if self.pairs == "recorrupted" and (others := sorted(terms - {"l2", "rmse"})):
            raise ValueError(
                f"pairs=recorrupted adds noise that only its mean takes off again, and {others[0]}"
                " does not learn the mean of all values. Take l2 or rmse."
            )
        if self.pairs == "noise2void" and (windows := sorted(terms & {"ssim", "ms_ssim"})):
            raise ValueError(
                f"pairs=noise2void compares single pixels, and {windows[0]} compares windows of"
                " many. Take l2 or another loss of pixels."
            )

    def refuse_what_scratch_lacks(self) -> None:
        """Parts that noisepair.scratch has not."""
        expressible(self.network)
        if self.clip:
            raise ValueError("engine=scratch does not shorten slopes. Leave clip out.")
        terms = [name for _, name in Loss.of(self.loss).terms]
        has = {"init": tuple(BY_HAND_INITS), "optimizer": ("adam", "sgd"), "loss": ("l2", "l1")}
        asked = [("init", self.init.kind), ("optimizer", self.optimizer.kind)]
        for part, kind in asked + [("loss", name) for name in terms]:
            if kind not in has[part]:
                raise ValueError(
                    f"engine=scratch has no {part} {kind}, but {' and '.join(has[part])}. Take one"
                    " of them, or engine=torch."
                )

    def refuse_noise(self) -> None:
        """Lines that speak of made noise, without it or against it."""
        asked = {
            "fresh_noise": self.fresh_noise,
            f"shots={self.shots}": self.shots != 2,
            f"target={self.target}": self.target != "shot",
        }
        named = [name for name, is_so in asked.items() if is_so]
        if self.noise is None and (made := [name for name in named if name != "target=others"]):
            raise ValueError(
                f"{made[0]} is for clean pictures with made noise. Give noise, or leave"
                f" {made[0].partition('=')[0]} out."
            )
        if not self.fresh_noise or self.noise is None:
            return
        if self.noise.shrinks > 1:
            raise ValueError(
                f"fresh_noise draws noise on crops, and {self.noise.kind} noise makes pictures"
                f" {self.noise.shrinks} times smaller. Leave fresh_noise out."
            )
        if len(named) > 1 and named[1] != "target=clean":
            raise ValueError(f"fresh_noise makes two shots a step. Leave {named[1]} out.")

    @classmethod
    def of(cls, lines: Mapping[str, Any]) -> "Recipe":
        """A recipe from its lines, dotted or nested; text is read as on the command line.

        >>> Recipe.of({"network.channels": "16,32", "noise": "gaussian"}).network.channels
        (16, 32)
        >>> Recipe.of({"lrr": 1})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        noisepair.errors.InputError: Unknown recipe line 'lrr'. Available: ... Did you mean 'lr'?
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
        usual = USUAL.get(str(flat.get("pairs")), {})
        if "optimizer" in flat:  # another kind brings its own settings
            usual = {name: v for name, v in usual.items() if not name.startswith("optimizer.")}
        flat = {**usual, **flat}
        try:
            return ADAPTER.validate_python(nest(flat))
        except ValidationError as error:
            raise InputError(sentence(error)) from None

    @classmethod
    def read(cls, path: Path | None, lines: Mapping[str, Any] | None = None) -> "Recipe":
        """The recipe in a TOML file, with `lines` in place of its own where both speak."""
        flat = dict(flatten(page_in(path))) if path else {}
        more = dict(flatten(lines or {}))
        for part in PARTS:  # another kind of part brings its own settings
            kind = flat.get(part, KINDS[part])
            if more.get(part, kind) != kind:
                flat = {name: v for name, v in flat.items() if not name.startswith(f"{part}.")}
        if any(name in more for name in LENGTHS):
            flat = {name: value for name, value in flat.items() if name not in LENGTHS}
        return cls.of(flat | more)

    def lines(self) -> dict[str, Any]:
        """Nested plain values, as JSON and TOML hold them; what is not set is left out."""
        plain = ADAPTER.dump_python(self, mode="json", exclude_none=True)
        if self.budget is not None:
            plain["budget"] = duration(self.budget)
        return plain

    def sentence(self, usual: "Recipe | None" = None) -> str:
        """All lines in one, or those that differ from the `usual` recipe.

        >>> Recipe(network=UNet(channels=(8, 16)), steps=5).sentence()[:44]
        'network unet, network.channels 8 16, network'
        """
        return in_words(self.lines(), usual.lines() if usual else {})

    def toml(self) -> str:
        """The page as a file."""
        page = tomli_w.dumps(self.lines())
        return re.sub(r"\[\n(.*?),\n\]", lambda m: f"[{' '.join(m[1].split())}]", page, flags=re.S)

    def resolved(self, **changes: Any) -> "Recipe":
        """The same recipe with some lines decided; one length takes the place of another."""
        if any(changes.get(name) is not None for name in LENGTHS):
            changes = dict.fromkeys(LENGTHS) | changes
        return replace(self, **changes)


def page_in(path: Path) -> dict[str, Any]:
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
            choose(part, str(value), names_of(part))
            tables.setdefault(part, {})["kind"] = value
        else:
            tables[part] = listed(name, plain(value))
    for part, kind in KINDS.items():
        if part in tables:
            tables[part].setdefault("kind", kind)
    preset = PRESETS.get(tables.get("network", {}).get("kind"))
    if preset is not None:
        tables["network"] = vars(preset) | tables["network"] | {"kind": preset.kind}
    return tables


def names_of(part: str) -> Mapping[str, object]:
    """What a part may be called: its kinds, and the networks that have a name."""
    return {**PARTS[part], **PRESETS} if part == "network" else PARTS[part]


def listed(name: str, value: Any) -> Any:
    """A single value, or none, where the line holds a list."""
    if name not in LISTS or isinstance(value, list | tuple):
        return value
    return [] if value is None else [value]


def plain(value: Any) -> Any:
    """Text as a value: `25/255`, `16,32`, `0:0.2`, `true`, `1e-3`; other values as they are.

    >>> plain("25/255") == 25 / 255, plain("16,32"), plain("true"), plain("flips,turns")
    (True, [16, 32], True, ['flips', 'turns'])
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if "," in text or text.startswith("["):
        inside = text.strip("[],")
        return [plain(part) for part in inside.split(",")] if inside else []
    for read in (int, float, fraction, between):
        with contextlib.suppress(ValueError, ZeroDivisionError):
            return read(text)
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def fraction(text: str) -> float:
    above, _, below = text.partition("/")
    return float(above) / float(below)


def between(text: str) -> list[float]:
    """`0:50/255` as its two ends."""
    if text.count(":") != 1:
        raise ValueError
    low, high = (plain(end) for end in text.split(":"))
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        raise ValueError
    return [float(low), float(high)]


WORDS = {  # of the validator, and what a person would say
    r"^(Value error, |Input |Tuple )": "",
    r", (unable to|got a) .*": "",
    r"(\d+) items? after validation, not (\d+)": r"\1 of them, and has \2",
    r"a valid boolean": "true or false",
    r"a valid string": "text",
    r"a valid tuple": "a list",
    r"a valid dictionary or .*": "text",
}


def sentence(error: ValidationError) -> str:
    """The first thing wrong with a recipe: the line, what came, what is accepted."""
    first = error.errors()[0]
    where = [str(step) for step in first["loc"]]
    known = {name: meaning for name, (meaning, _) in LINES.items()}
    if where and where[0] in PARTS and len(where) > 1 and where[1] in PARTS[where[0]]:
        kind = where.pop(1)  # the discriminator: network.unet.channels is the line network.channels
        own = meanings(PARTS[where[0]][kind])
        known |= {f"{where[0]}.{setting}": meaning for setting, meaning in own.items()}
    said = [step for step in where if not step.isdigit()]
    line = ".".join(said[:2] if said and said[0] in PARTS else said[:1])
    reason = first["msg"]
    for theirs, ours in WORDS.items():
        reason = re.sub(theirs, ours, reason)
    if not line or (first["type"] == "value_error" and reason.endswith((".", "?"))):
        return reason  # one of our own sentences
    if first["type"] == "unexpected_keyword_argument":
        part, _, setting = line.partition(".")
        return f"{line} does not go with this {part}: it has no setting {setting!r}. Leave it out."
    value = first["input"]
    came = text_of(value) if value is None or isinstance(value, bool) else repr(value)
    inner = " ".join(said[2:])  # of one step of a sequence: noise.steps: poisson peak
    name = f"{line}: {inner}" if inner and line in known else line
    meaning = known.get(line, "see `noisepair train --help`")
    return f"{name}={came} is not possible: it {reason}. Meaning: {meaning}."


def described(
    recipe: type = Recipe, parts: Mapping[str, Mapping[str, type]] = PARTS
) -> dict[str, tuple[str, str]]:
    """Every line with its meaning and its default, for help pages and for refusing others."""
    table: dict[str, tuple[str, str]] = {}
    standard = recipe()
    for name, meaning in meanings(recipe).items():
        value = getattr(standard, name)
        timed = name == "budget" and value is not None
        shown = duration(value) if timed else getattr(value, "kind", value)
        kinds = ", ".join(names_of(name)) if "KINDS" in meaning else ""
        table[name] = (meaning.replace("KINDS", kinds), text_of(shown))
        for setting, owners in settings_of(parts.get(name, {})).items():
            said: dict[str, list[str]] = {}  # the kinds that mean the same by it
            for kind, settings in owners.items():
                said.setdefault(meanings(settings)[setting], []).append(kind)
            text = ". ".join(f"{', '.join(kinds)}: {text}" for text, kinds in said.items())
            table[f"{name}.{setting}"] = (text, defaults(owners, setting))
    return table


def defaults(owners: Mapping[str, type], setting: str) -> str:
    """One default where all kinds agree, else each kind's.

    >>> defaults(settings_of(NETWORKS)["depth"], "depth")
    'dncnn 17, ffdnet 12'
    """
    each = {kind: text_of(getattr(settings(), setting)) for kind, settings in owners.items()}
    if len(set(each.values())) == 1:
        return next(iter(each.values()))
    return ", ".join(f"{kind} {value}" for kind, value in each.items())


def settings_of(kinds: Mapping[str, type]) -> dict[str, dict[str, type]]:
    """The settings of all kinds of a part, and which kinds have each."""
    owners: dict[str, dict[str, type]] = {}
    for kind, settings in kinds.items():
        for setting in meanings(settings):
            owners.setdefault(setting, {})[kind] = settings
    return owners


def meanings(settings: type) -> dict[str, str]:
    """The settings of a part, each with the sentence that stands under it in the source."""
    known = settings.__pydantic_fields__  # type: ignore[attr-defined]
    return {
        name: " ".join((field.description or "").split())
        for name, field in known.items()
        if name != "kind"
    }


def text_of(value: object) -> str:
    """A default as it would be typed.

    >>> text_of((48, 48)), text_of(True), text_of(None), text_of(1)
    ('48,48', 'true', 'none', '1')
    """
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def in_words(lines: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """Lines in one, but for those that are as usual."""
    known = dict(flatten(usual))
    said = [
        f"{name} {' '.join(map(str, value)) if isinstance(value, list) else text_of(value)}"
        for name, value in flatten(lines)
        if name not in known or known[name] != value
    ]
    return ", ".join(said)


ADAPTER = TypeAdapter(Recipe)
LINES = described()
