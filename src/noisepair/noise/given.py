"""What is known of a picture's noise before it is looked at: said in words, or found by a check.

    variance = gain · (level − black) + read²          in picture units, 1.0 being full scale

Words are those that noises are written in, of the three kinds that have such a variance: `gaussian
sigma=10/255`, `poisson peak=30`, `poisson_gaussian gain=0.02 read=5/255`. A check is the object
that `noisepair check --json` prints.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ._grain import Gaussian, Poisson, PoissonGaussian
from ._sequence import from_text

KINDS = "gaussian sigma=…, poisson peak=… or poisson_gaussian gain=… read=…"
CHECK = "Give what `noisepair check --json` printed, or the noise in words: " + KINDS + "."


@dataclass(frozen=True)
class Given:
    """Constants of a camera's noise, and where they come from: `given`, or the name of a file.

    Raises InputError for numbers that are no noise.
    """

    gain: float
    read: float
    black: float = 0.0
    origin: str = "given"

    def __post_init__(self) -> None:
        numbers = (self.gain, self.read, self.black)
        if not all(map(math.isfinite, numbers)) or min(self.gain, self.read) < 0:
            raise InputError(
                f"gain={self.gain:g}, read={self.read:g}, black={self.black:g} are not a noise."
                " Give finite numbers in picture units, gain and read 0 or more: variance = gain ·"
                " (level − black) + read²."
            )

    @classmethod
    def of(cls, noise: Gaussian | Poisson | PoissonGaussian) -> "Given":
        """The constants of a noise that has them. Raises InputError where a range is left open."""
        for name, value in vars(noise).items():
            if isinstance(value, tuple):
                raise InputError(
                    f"{name} is a range, {value[0]:g} to {value[1]:g}, and a picture has one noise."
                    " Give one number."
                )
        if isinstance(noise, Poisson):
            return cls(1 / noise.peak, 0.0)
        if isinstance(noise, Gaussian):
            return cls(0.0, noise.sigma)  # type: ignore[arg-type]
        return cls(noise.gain, noise.read)  # type: ignore[arg-type]

    @classmethod
    def from_text(cls, text: str) -> "Given":
        """The constants in words; every setting of the kind must be named.

        >>> Given.from_text("poisson peak=50")
        Given(gain=0.02, read=0.0, black=0.0, origin='given')
        """
        try:
            noise = from_text(text)
        except ValueError as error:
            raise InputError(f"{error}. Write {KINDS}.") from None
        if not isinstance(noise, Gaussian | Poisson | PoissonGaussian):
            raise InputError(
                f"Noise of kind {noise.kind} has no variance that is a straight line of the level,"
                f" and only such noise can be given. Write {KINDS}; or train on pictures of it."
            )
        left = [name for name in vars(noise) if name != "kind" and f"{name}=" not in squeezed(text)]
        if left:
            raise InputError(
                f"{text!r} leaves {' and '.join(left)} open, and a guess would be taken for known."
                f" Write {KINDS}."
            )
        return cls.of(noise)

    @classmethod
    def from_check(cls, path: Path) -> "Given":
        """The constants in a file of `noisepair check --json`, of pairs or of single pictures."""
        noise = found_by_check(path)
        if noise.get("kind", "both") == "gaussian" or noise.get("dependent") is False:
            return cls(0.0, number(path, noise, "sigma"), 0.0, path.name)
        read = 0.0 if noise.get("kind") == "poisson" else number(path, noise, "read")
        black = number(path, noise, "black") if "black" in noise else 0.0
        return cls(number(path, noise, "gain"), read, black, path.name)

    def variance(self, level: float) -> float:
        """That of the noise where the mean is `level`; below black that of black."""
        return self.gain * max(0.0, level - self.black) + self.read**2


def squeezed(text: str) -> str:
    """Without the spaces that may stand around an equals sign."""
    return "".join(text.split())


def found_by_check(path: Path) -> Mapping[str, Any]:
    """The noise in a file, of a check that vouches for it."""
    try:
        page = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}. {CHECK}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}). {CHECK}") from None
    noise = page.get("noise") if isinstance(page, dict) else None
    if not isinstance(noise, dict) or not {"sigma", "gain", "read"} <= set(noise):
        raise InputError(f"{path} is JSON, but says nothing of a noise. {CHECK}")
    word, reasons = page.get("verdict"), page.get("reasons")
    if word in ("unfit", "correlated", "cannot tell", "no noise"):
        first = reasons[0] if isinstance(reasons, list) and reasons else ""
        raise InputError(
            f"{path} calls its pictures {word!r}, and what it measured of their noise is no"
            f" constant of a camera. {first} Check other pictures, or leave the noise out and it"
            " is measured in each picture."
        )
    if noise.get("kind") == "unknown":
        raise InputError(
            f"{path} could not tell how the noise grows with brightness. Check more pictures, or"
            " leave the noise out and it is measured in each picture."
        )
    return noise


def number(path: Path, noise: Mapping[str, Any], name: str) -> float:
    """One figure of a check."""
    value = noise.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > 1e30:
        raise InputError(f"In {path} noise.{name} is {json.dumps(value)}, not a number. {CHECK}")
    return float(value)
