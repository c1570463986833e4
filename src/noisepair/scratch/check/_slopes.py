"""⟨u, J v⟩ by values of f, beside ⟨Jᵀ u, v⟩ by backward; the package says why this is enough."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ._case import Case, d_, normal, parts, size
from ._judged import EXACT, Finding, judged

PROBES = 3  # directions a term; two tell a wrong factor from a wrong pattern
STEP = 1e-6  # of the size of what is moved: error of a smooth f near h², of rounding near 10⁻¹⁶/h
SLOPE = 1e-6  # relative, of a slope by differences
ROUNDING = 8 * torch.finfo(torch.float64).eps


class Slope(NamedTuple):
    """⟨u, J v⟩, how far it may be off, and whether f was straight along v."""

    value: float
    doubt: float
    straight: bool


def slope(case: Case, name: str, v: Tensor, u: Tensor, step: float) -> Slope:
    """By values of f on both sides.

    The doubt is half of what the slopes to the left and to the right differ: it holds curvature,
    rounding, and a kink that was stepped over, whose share of a central difference is at most that.
    """
    above, below = case.moved(name, step * v), case.moved(name, -step * v)
    change, bend = above - below, (above + below - 2 * case.out).abs()
    rounding = ROUNDING * (above.abs() + below.abs())
    value = float((change * u).sum()) / (2 * step)
    doubt = float(((bend + rounding) * u.abs()).sum()) / (2 * step)
    straight = bool((bend <= EXACT * change.abs().max() + rounding.max()).all())
    return Slope(value, doubt, straight)


def slopes(case: Case, probes: int = PROBES, check: str = "differences") -> Iterator[Finding]:
    """Both sides of ⟨u, J v⟩ = ⟨v, Jᵀ u⟩ along every input, and every parameter that is live."""
    draws = [case.weights() for _ in range(probes)]
    passes = [case.run(case.copy(), u) for u in draws]
    weights = {name: value for name, value in case.movable.items() if name not in case.still}
    for name, place in (dict(zip(case.names, case.inputs, strict=True)) | weights).items():
        if d_(name) in passes[0]:
            given = [values[d_(name)] for values in passes]
            yield from projected(case, name, place, draws, given, check)
        elif case.out.ndim or name == case.names[0]:  # a loss need not go back to its target
            yield absent(case, d_(name), check)


def projected(
    case: Case, name: str, place: Tensor, draws: list[Tensor], given: list[Tensor], check: str
) -> Iterator[Finding]:
    """One number a probe on each side: by a long step where f is straight, and by a short one."""
    if given[0].shape != place.shape:
        yield judged(check, d_(name), given[0], place, 0.0)
        return
    along = [size(place) * normal(place, case.rng) for _ in draws]
    found = torch.tensor([float((d * v).sum()) for d, v in zip(given, along, strict=True)])

    def sides(step: float) -> Iterator[Slope]:
        return (slope(case, name, v, u, step) for v, u in zip(along, draws, strict=True))

    if check == "differences" and next(sides(1.0)).straight:
        long = list(sides(1.0))
        if all(one.straight for one in long):
            yield weighed("adjoint", d_(name), found, long, EXACT)
    yield weighed(check, d_(name), found, list(sides(STEP)), SLOPE)


def weighed(check: str, term: str, found: Tensor, sides: list[Slope], room: float) -> Finding:
    """Whether the slopes agree; what is less than its own doubt counts as none."""
    expected, doubt = (torch.tensor([one[k] for one in sides]) for k in (0, 1))
    scale = float(expected.square().mean().sqrt())
    flat = scale <= float(doubt.max())
    expected = torch.zeros_like(expected) if flat else expected
    finding = judged(check, term, found, expected, doubt + room * scale)
    small = f"{term} is too small here to be measured"
    return replace(finding, text=small) if flat and finding.passed else finding


def absent(case: Case, term: str, check: str) -> Finding:
    """A gradient that backward does not return: nobody asked for it, or it is lost."""
    if any(getattr(part, "first", False) for part in parts(case.module)):
        return Finding(check, term, True, text=f"{term} is not asked for, as `first` says")
    text = f"{term} is not returned: backward returns a gradient for each input of forward."
    return Finding(check, term, False, math.inf, text)
