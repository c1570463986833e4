"""One noise after another, or one of several, and the text that a noise is written as.

`gaussian sigma=10/255` is a kind and its settings; a range is `sigma=0:50/255`.
"""

import contextlib
import functools
import math
import re
from typing import Annotated, Any, Literal, get_args

import torch
from pydantic import BeforeValidator, Field, PlainSerializer, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from torch import Generator, Tensor

from ._grain import Gaussian, Poisson, PoissonGaussian, Rician, Speckle
from ._model import STRICT, Model, as_text
from ._outliers import Bernoulli, Impulse, SaltPepper
from ._point import PointSampling
from ._text import Text

Single = (
    Gaussian
    | Poisson
    | PoissonGaussian
    | Speckle
    | Rician
    | Bernoulli
    | SaltPepper
    | Impulse
    | PointSampling
    | Text
)
SINGLE: dict[str, type[Single]] = {model.kind: model for model in get_args(Single)}
LOSSES = ("l2", "l1", "l0")  # each stands what the ones before it stand, and learns more slowly


def from_text(text: str) -> Single:
    """A noise from its kind and those settings that are not the standard ones.

    >>> from_text("gaussian sigma=25/255"), from_text("point")
    (Gaussian(sigma=0.09803921568627451, kind='gaussian'), PointSampling(cell=8, kind='point'))
    >>> from_text("gauss")
    Traceback (most recent call last):
    ValueError: 'gauss' is no noise: it should begin with one of bernoulli, gaussian, impulse, \
point, poisson, poisson_gaussian, rician, salt_pepper, speckle, text
    """
    try:
        return STEP.validate_python(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = str(first["loc"][-1]) if first["loc"] else "it"
        reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        raise ValueError(f"{text!r} is no noise: {where} {reason}") from None


def table_of(given: Any) -> Any:
    """Text as the table of settings that the validator reads; anything else as it is."""
    if not isinstance(given, str):
        return given
    kind, *words = re.sub(r"\s*([=:,])\s*", r"\1", given).split() or [""]
    if kind not in SINGLE:
        raise ValueError(f"should begin with one of {', '.join(sorted(SINGLE))}")
    known = [name for name in vars(SINGLE[kind]()) if name != "kind"]
    settings = {name: value_of(value) for name, _, value in (word.partition("=") for word in words)}
    if not set(settings) <= set(known) or len(settings) < len(words):
        raise ValueError(f"should give, each once, settings of {kind}: {', '.join(known)}=…")
    return {"kind": kind, **settings}


def value_of(text: str) -> Any:
    """`25/255` and `1e-3` as numbers, `0:0.2` as two; what is no number is left to be refused."""
    if ":" in text or "," in text:
        return [value_of(part) for part in re.split("[:,]", text)]
    with contextlib.suppress(ValueError, ZeroDivisionError):
        above, slash, below = text.partition("/")
        return float(above) / float(below) if slash else float(above)
    return text


Step = Annotated[
    Annotated[Single, Field(discriminator="kind")],
    BeforeValidator(table_of),
    PlainSerializer(as_text, return_type=str, when_used="json"),
]
STEP: TypeAdapter[Single] = TypeAdapter(Step)


@dataclass(frozen=True, config=STRICT)
class Sequence:
    """y = the last step of … of the first step of x, each drawn by itself.

    Zero-mean if all steps are, and if the mean of each later step is a straight line of all that it
    can receive. Photons counted of values below 0 are none: `gaussian` then `poisson` lifts black
    by 0.4 sigma, and `poisson` then `gaussian` is zero-mean. Clipped it is as its steps are.
    """

    steps: Annotated[tuple[Step, ...], Field(min_length=2)] = (Poisson(), Gaussian(10 / 255))
    """noises, the first one first, each as text: poisson peak=30, gaussian sigma=10/255"""
    kind: Literal["sequence"] = "sequence"

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        return functools.reduce(lambda picture, step: step(picture, rng), self.steps, clean)

    @property
    def straight(self) -> bool:
        """Whether the mean of each later step is a straight line of all that it can receive."""
        lowest = 0.0
        for before, step in zip(self.steps, self.steps[1:], strict=False):
            lowest = -math.inf if before.signed else lowest
            if step.straight_from > lowest:
                return False
        return True

    @property
    def zero_mean(self) -> bool:
        """Whether E[y | x] = x."""
        return self.straight and all(step.zero_mean for step in self.steps)

    @property
    def loss(self) -> str:
        """The loss that the worst step needs."""
        return max((step.loss for step in self.steps), key=LOSSES.index)

    def settled(self, rng: Generator) -> "Sequence":
        """The same with every range of every step drawn."""
        return Sequence(tuple(step.settled(rng) for step in self.steps))

    @property
    def shrinks(self) -> int:
        """Pixels on a side of the picture that become one."""
        return math.prod(step.shrinks for step in self.steps)

    def clean(self, picture: Tensor) -> Tensor:
        """The clean picture that the noisy one is a version of."""
        return functools.reduce(lambda smaller, step: step.clean(smaller), self.steps, picture)

    def mean(self, clean: Tensor) -> Tensor | None:
        """E[y | x]: the mean of the mean, where that is true; otherwise none."""
        mean: Tensor | None = clean if self.straight else None
        for step in self.steps:
            mean = None if mean is None else step.mean(mean)
        return mean


@dataclass(frozen=True, config=STRICT)
class Either(Model):
    """One of several noises, drawn for each picture; each as likely as the others.

    Zero-mean if all of them are. None of them may change the size of a picture.
    """

    noises: Annotated[tuple[Step, ...], Field(min_length=2)] = (
        Gaussian((0, 55 / 255)),
        PoissonGaussian((1e-4, 0.03), (0, 25 / 255)),
    )
    """noises, each as text: gaussian sigma=0:55/255, poisson_gaussian gain=0.001:0.03; one that
    is named twice is twice as likely"""
    kind: Literal["either"] = "either"

    def __post_init__(self) -> None:
        if any(noise.shrinks > 1 for noise in self.noises):
            raise ValueError("noise.noises holds one that changes the size. Leave point out.")

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        pictures = clean.reshape(-1, *clean.shape[-3:])
        noisy = [self.settled(rng)(picture, rng) for picture in pictures]
        return torch.stack(noisy).reshape(clean.shape)

    def settled(self, rng: Generator) -> Single:
        """One of the noises, its ranges drawn."""
        which = torch.randint(len(self.noises), (), generator=rng, device=rng.device)
        return self.noises[int(which)].settled(rng)

    @property
    def zero_mean(self) -> bool:  # type: ignore[override]
        """Whether E[y | x] = x."""
        return all(noise.zero_mean for noise in self.noises)

    @property
    def loss(self) -> str:  # type: ignore[override]
        """The loss that the worst of them needs."""
        return max((noise.loss for noise in self.noises), key=LOSSES.index)

    def mean(self, clean: Tensor) -> Tensor | None:
        """E[y | x], where all of them have the same."""
        return clean if self.zero_mean else None
