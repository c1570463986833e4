"""What can be told of noise from one shot: how strong, growing or not, shared by neighbours or not.

The strength is `noise.estimate`'s. Whether pixels share noise is asked twice, for the answer
decides what is valid: of the spectrum of flat squares (`noise.estimate`), and of second differences
in flat blocks (`_alone`). The noise passes for independent where neither objects.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import images
from ..blind import looked_at
from ..intervals import none_of_nan
from ..noise.estimate import Level, estimate
from ..sources import Given, Source, open_source
from ._alone import BEYOND, NOTICED, neighbours_of

UNLIKE = 3  # times the least sigma, above which pictures do not seem to be of one camera
SLIGHT = 0.05  # correlation that is worth a word, though it forbids nothing
WEAK = 3 / 255  # below which texture is easily taken for correlated noise
JPEG = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Alone:
    """What single pictures say of their noise.

    `verdict`: independent (from pixel to pixel), correlated, cannot tell, no noise. `pictures`: the
    level of each, by name; `level`: that with the middle sigma. `neighbours`: correlation and its
    standard error in all pictures, `to the right` and `down`.
    """

    verdict: str
    level: Level
    neighbours: dict[str, tuple[float, float]]
    pictures: tuple[tuple[str, Level], ...]

    @property
    def independent(self) -> bool | None:
        """Whether pixels are spoilt each by itself; None where that cannot be told."""
        return {"independent": True, "correlated": False}.get(self.verdict)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, and what it means."""
        return tuple(text for text in (meaning(self), unlike(self), jpeg(self)) if text)

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do with such pictures."""
        return to_do(self)

    def as_json(self) -> dict[str, Any]:
        """Plain values; null for what is not known."""
        return {
            "verdict": self.verdict,
            "independent": self.independent,
            "reasons": list(self.reasons),
            "advice": list(self.advice),
            "noise": self.level.as_json(),
            "neighbours": {
                way: {"correlation": rho, "error": none_of_nan(error)}
                for way, (rho, error) in self.neighbours.items()
            },
            "pictures": [{"name": name, "noise": one.as_json()} for name, one in self.pictures],
        }


def check_alone(source: Given | Source) -> Alone:
    """Look at the noise of single pictures, each a shot of a scene of its own.

    `source`: a picture, a folder of them, a stack whose pages are pictures, arrays, or what
    `sources.open_source(single=True)` gave. Raises InputError as that does.
    """
    if not isinstance(source, Source):
        source = open_source(source, single=True)
    shots = [scene.shots[0][0] for scene in source.scenes]
    each = [estimate(images.to_unit(looked_at(shot))) for shot in shots]
    level = sorted(each, key=lambda one: one.sigma)[len(each) // 2]
    near = neighbours_of(shots)
    named = zip((scene.name for scene in source.scenes), each, strict=True)
    return Alone(verdict_of(level, near, shots[0].dtype), level, near, tuple(named))


def verdict_of(level: Level, near: dict[str, tuple[float, float]], kind: np.dtype) -> str:
    """The word. Noise of less than half a step of an integer type is none."""
    step = 1 / images.full_scale(kind) if kind.kind in "iu" else 0.0
    if level.sigma <= step / 2:
        return "no noise"
    if all(math.isinf(error) for _, error in near.values()):
        return "cannot tell"
    far = any(abs(rho) > max(NOTICED, BEYOND * error) for rho, error in near.values())
    return "correlated" if far or not level.white else "independent"


def figures(near: dict[str, tuple[float, float]]) -> str:
    """`0.02 to the right, 0.04 down`"""
    return ", ".join(f"{rho:.2f} {way}" for way, (rho, _) in near.items()).replace("-", "−")


def meaning(found: Alone) -> str:
    """What the verdict rests on, and what it means."""
    near, most = figures(found.neighbours), max(abs(rho) for rho, _ in found.neighbours.values())
    if found.verdict == "no noise":
        return "There is no noise in flat places that its type of values could hold."
    if found.verdict == "cannot tell":
        return "There are too few flat places to tell whether neighbouring pixels share noise."
    if found.verdict == "independent":
        words = f"Neighbouring pixels share no noise that would matter ({near})."
        sure = any(abs(rho) > max(SLIGHT, BEYOND * e) for rho, e in found.neighbours.values())
        slight = " They share a little all the same, and a trace of it will stay." if sure else ""
        return words + slight
    if most < 0.1:
        words = (
            f"The finest grain of the noise is weaker than the rest, though next neighbours share"
            f" little of it ({near}): colour or detail was smoothed."
        )
    else:
        words = (
            f"Neighbouring pixels share noise ({near}): the picture was compressed (JPEG),"
            " developed by a camera, enlarged, sharpened or denoised before."
        )
    if found.level.sigma < WEAK:
        words += " Or there is hardly any noise, and this is fine texture."
    return words + (
        " What finds two shots in one (neighbor2neighbor, noise2void, zero-shot, recorrupted,"
        " --adapt) rests on noise that cannot be foretold from next door, and would keep part of"
        " it."
    )


def unlike(found: Alone) -> str | None:
    """A word on pictures of different noise."""
    sigmas = [one.sigma for _, one in found.pictures]
    if max(sigmas) <= UNLIKE * min(sigmas):
        return None
    return (
        f"The pictures differ in their noise: sigma {255 * min(sigmas):.1f}/255 to"
        f" {255 * max(sigmas):.1f}/255. The figures are those of one in the middle."
    )


def jpeg(found: Alone) -> str | None:
    """A word on compressed files whose noise passes for independent."""
    names = [name for name, _ in found.pictures if name.lower().endswith(JPEG)]
    if not names or found.verdict != "independent":
        return None
    return (
        f"{names[0]} is a JPEG file: strong compression is noticed, but that of high quality bends"
        " noise without correlating its brightness. A file from before is better."
    )


def to_do(found: Alone) -> tuple[str, ...]:
    """What to do: denoise, learn, or look for another file."""
    if found.verdict == "no noise":
        return ("There is nothing to take off.",)
    if found.verdict == "cannot tell":
        return ("Give larger pictures, of 100 pixels a side or more, or several with --alone.",)
    if found.verdict == "correlated":
        return (
            "Take the file from before that, as the camera made it, where there is one.",
            "Denoise: noisepair denoise looks for such noise at half the size; coarse grain stays.",
            "Train: noisepair train on two shots of each scene, where neighbours may share noise as"
            " long as the shots do not.",
        )
    ways = "neighbor2neighbor, zero-shot or noise2void"
    if not found.level.dependent:
        ways = f"recorrupted, which takes the noise for Gaussian; else {ways}"
    return (
        "Denoise: noisepair denoise; with --adapt 30s its weights learn from the picture first.",
        f"Train on it: noisepair train with --pairs {ways}.",
        "Others of this camera: keep what --json prints, and give it as --noise check.json.",
    )
