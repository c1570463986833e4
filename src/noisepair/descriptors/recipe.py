"""Everything that decides how a descriptor learns, on one flat page.

What report 004 asks, in its lines: (A, B) noise left out; (C) `denoiser` and loss `course`; (D)
`noise` of one sigma; (E) `denoiser` or `front` and `joint`; (F) `teacher`; (G) a range of sigma.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ..errors import InputError, choose
from ..hardware import Precision
from ..losses import Loss as PixelLoss
from ..models import NETWORKS as DENOISERS
from ..models import PRESETS
from ..models import Network as DenoiserNetwork
from ..noise import NOISES, Noise
from ..optim import INITS, OPTIMIZERS, Adam, Init, Optimizer
from ..recipe import described, in_words, page_in, plain, seconds
from .losses import LOSSES, HardestInBatch, Loss
from .networks import NETWORKS, HardNet, Network

PARTS: Mapping[str, Mapping[str, type]] = {
    "network": NETWORKS,
    "init": INITS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "noise": NOISES,
    "front": DENOISERS,
}
LISTS = ("augment", "half", "quarter", "eighth", "channels", "head", "blocks")  # more than one
LENGTHS = ("steps", "budget")
STEPS = 2000  # when no length is given


@dataclass(
    frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True)
)
class DescriptorRecipe:
    """Two equal recipes with `steps` give two equal runs on the same machine."""

    network: Annotated[Network, Field(discriminator="kind")] = HardNet()
    """the network: hardnet, hynet, quick, course, resnet50"""
    init: Annotated[Init, Field(discriminator="kind")] | None = None
    """how its weights begin; none: as its authors have it"""
    loss: Annotated[Loss, Field(discriminator="kind")] = HardestInBatch()
    """what a good descriptor is: hardnet, sosnet, hynet, course"""
    optimizer: Annotated[Optimizer, Field(discriminator="kind")] = Adam()
    """how weights move"""
    lr: Annotated[float, Field(gt=0, le=100)] = 1e-2
    """learning rate where the schedule is 1"""
    schedule: Literal["constant", "cosine", "linear", "rampdown", "warmup"] = "cosine"
    """how it changes over the run; linear: in a straight line to zero"""
    batch: Annotated[int, Field(ge=2, le=65536)] = 256
    """places a step, each seen twice"""
    steps: Annotated[int, Field(ge=1)] | None = None
    """length of the run in steps; 2000 when no length is given"""
    budget: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """length of the run in seconds, or as 90s or 10m"""
    validations: Annotated[int, Field(ge=1, le=10_000)] = 10
    """how often held-out places are matched, and the best weights looked for"""
    noise: Annotated[Noise, Field(discriminator="kind")] | None = None
    """what both views are spoilt by, each by itself; a range of sigma is drawn for each"""
    fresh_noise: bool = True
    """draw that noise anew at every step instead of once a patch"""
    digital: bool = True
    """noisy patches are clipped and rounded to 8 bits, as files have them"""
    grain: Annotated[float, Field(ge=1, le=8)] = 1.0
    """up to how many times the noise of half of the views is enlarged, as it is where small regions
    of a picture are brought to 32×32; 1: noise is as it is drawn"""
    augment: tuple[Literal["flips", "turns"], ...] = ("flips", "turns")
    """what is done to both views alike: flips, quarter turns"""
    denoiser: str | None = None
    """folder of a trained denoiser that stands in front, or of a descriptor that has one"""
    front: Annotated[DenoiserNetwork, Field(discriminator="kind")] | None = None
    """a denoiser that stands in front and begins with drawn weights; learns with the descriptor"""
    joint: bool = False
    """let the denoiser in front learn with the descriptor"""
    pixels: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """weight of the loss of denoised patches, where the denoiser learns"""
    target: Literal["clean", "noisy"] = "clean"
    """what denoised patches are compared with: clean ones, or the same with other noise"""
    pixel_loss: Annotated[str, AfterValidator(lambda text: str(PixelLoss.of(text)))] = "l1"
    """how they are compared: l1, l2, ssim, ms_ssim, or a sum such as 0.8*l1 + 0.2*ssim; against
    noisy ones l2 learns the mean, l1 the median"""
    teacher: str | None = None
    """a descriptor whose answers to clean patches are to be given to noisy ones"""
    relational: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """weight of the teacher's distances within a batch, beside its answers"""
    triplet: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """weight of the loss itself; 0, without a teacher, trains the denoiser in front and no more"""
    precision: Precision = "auto"
    """of the products: auto, float32, bfloat16; weights and sums are float32"""
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """share of the sequences that is kept out to judge by, where none are given"""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """of weights, order, views and noise alike"""

    def __post_init__(self) -> None:
        if self.steps is not None and self.budget is not None:
            raise ValueError(
                f"steps={self.steps} and budget={self.budget} both say how long a run is. Give one"
                " of them."
            )
        if self.steps is None and self.budget is None:
            object.__setattr__(self, "steps", STEPS)
        if self.denoiser is not None and self.front is not None:
            raise ValueError(
                "denoiser is a trained one and front one that begins anew, and one stands in front."
                " Give one of them."
            )
        if self.joint and self.denoiser is None and self.front is None:
            raise ValueError("joint lets a denoiser learn, and there is none. Give one, or front.")
        if self.front is not None and not self.joint:
            object.__setattr__(self, "joint", True)  # drawn weights denoise nothing
        if self.target == "noisy" and (self.noise is None or not self.fresh_noise):
            raise ValueError(
                "target=noisy compares with the same patch under other noise, which is drawn only"
                " where noise is fresh. Give noise and fresh_noise, or target=clean."
            )
        if self.grain > 1 and (self.noise is None or not self.fresh_noise):
            raise ValueError(
                f"grain={self.grain:g} enlarges noise that is drawn anew at every step, and there"
                " is none. Give noise and fresh_noise, or leave grain out."
            )
        if not self.triplet and self.teacher is None and not (self.joint and self.pixels):
            raise ValueError(
                "triplet=0 leaves nothing to learn from. Give a teacher, let a denoiser learn, or"
                " give triplet a weight."
            )

    @property
    def describes(self) -> bool:
        """Whether the descriptor learns, or only the denoiser in front of it."""
        return bool(self.triplet or self.teacher)

    @property
    def twice(self) -> bool:
        """Whether each view is wanted with two noises."""
        return self.joint and self.target == "noisy"

    @classmethod
    def of(cls, lines: Mapping[str, Any]) -> "DescriptorRecipe":
        """A recipe from its lines, dotted or nested; text is read as a person would write it.

        >>> DescriptorRecipe.of({"network": "quick", "noise.sigma": "25/255"}).noise.kind
        'gaussian'
        >>> DescriptorRecipe.of({"network": "hardnut"})
        Traceback (most recent call last):
        noisepair.errors.InputError: Unknown network 'hardnut'. Available: course, hardnet, hynet, \
quick, resnet50. Did you mean 'hardnet'?
        """
        tables: dict[str, Any] = {}
        for name, value in lines.items():
            part, _, setting = name.replace("-", "_").partition(".")
            choose("recipe line", part, cls.__dataclass_fields__)
            if part == "budget":
                tables[part] = refused_if_odd(value)
            elif part not in PARTS:
                tables[part] = listed(part, plain(value))
            elif setting:
                tables.setdefault(part, {})[setting] = listed(setting, plain(value))
            elif isinstance(value, Mapping):
                inner = {name: listed(name, plain(one)) for name, one in value.items()}
                tables.setdefault(part, {}).update(inner)
            elif plain(value) is not None:
                tables.setdefault(part, {}).update(of_kind(part, str(value)))
        for part, kind in KINDS.items():
            if part in tables:
                tables[part].setdefault("kind", kind)
        try:
            return ADAPTER.validate_python(tables)
        except ValidationError as error:
            raise InputError(sentence(error)) from None

    @classmethod
    def read(cls, path: Path | None, lines: Mapping[str, Any]) -> "DescriptorRecipe":
        """The recipe in a TOML file, with `lines` in place of its own where both speak.

        A part that is named anew brings its own settings: none of the file's are kept.
        """
        known = dict(page_in(path)) if path else {}
        for name in lines:
            part, _, setting = name.partition(".")
            if not setting:
                known.pop(part, None)
            elif isinstance(known.get(part), str):
                known[part] = dict(of_kind(part, known[part]))
        if "steps" in lines or "budget" in lines:
            known = {name: value for name, value in known.items() if name not in LENGTHS}
        return cls.of({**known, **lines})

    def lines(self) -> dict[str, Any]:
        """Nested plain values, as JSON and TOML hold them; what is not set is left out."""
        return ADAPTER.dump_python(self, mode="json", exclude_none=True)

    def sentence(self) -> str:
        """The lines that are not as usual, in one.

        >>> DescriptorRecipe(batch=64, steps=2000).sentence()
        'batch 64'
        """
        return in_words(self.lines(), DescriptorRecipe().lines())


KINDS = {  # where none is named
    "network": "hardnet", "loss": "hardnet", "optimizer": "adam", "noise": "gaussian",
    "front": "unet", "init": "kaiming",
}  # fmt: skip


def of_kind(part: str, name: str) -> Mapping[str, Any]:
    """A part that is named: its kind, or a denoiser's preset with all its settings."""
    if part == "front" and name in PRESETS:
        return vars(PRESETS[name])
    choose(part, name, PARTS[part])
    return {"kind": name}


def listed(name: str, value: Any) -> Any:
    """A single value, or none, where the line holds a list."""
    if name not in LISTS or isinstance(value, list | tuple):
        return value
    return [] if value is None else [value]


def refused_if_odd(value: Any) -> Any:
    """A time as seconds."""
    try:
        return seconds(value)
    except ValueError as error:
        raise InputError(f"budget={value!r} is not possible: it {error}.") from None


def sentence(error: ValidationError) -> str:
    """The first thing wrong with a recipe: the line, what came, what is accepted."""
    first = error.errors()[0]
    where = [str(step) for step in first["loc"]]
    if len(where) > 1 and where[0] in PARTS and where[1] in PARTS[where[0]]:
        del where[1]  # the kind: network.quick.half is the line network.half
    line = ".".join(step for step in where if not step.isdigit())
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not line or (first["type"] == "value_error" and reason.endswith((".", "?"))):
        return reason  # one of our own sentences
    return f"{line}={first['input']!r} is not possible: {reason[:1].lower()}{reason[1:]}."


ADAPTER = TypeAdapter(DescriptorRecipe)
LINES = described(DescriptorRecipe, PARTS)
