"""What a gradient is judged by: whether two tensors are equal and, if not, by what factor."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

EXACT = 1e-10  # relative, where both roads are the same sums in another order
ALIKE = 1e-3  # of what a factor leaves over, or by how much it misses a known one

Values = dict[str, Tensor]  # what one pass makes, by name: out, d_x, 0.d_weight, …


@dataclass(frozen=True)
class Finding:
    """One question about one term, and the answer; a factor where a gradient is a wrong one."""

    check: str  # adjoint, differences, torch, live, …
    term: str  # d_x, 0.d_bias, …
    passed: bool
    error: float = 0.0  # relative to the largest value that is expected
    text: str = ""  # what is wrong, or why it could not be asked
    factor: float | None = None


def judged(
    check: str,
    term: str,
    found: Tensor,
    expected: Tensor,
    tolerance: Tensor | float,
    of: str = "the true gradient",
    hint: str | None = None,
) -> Finding:
    """Whether two tensors are equal; if not, which multiple of the other the one is."""
    if found.shape != expected.shape:
        shapes = f"the shape {tuple(found.shape)}, and must have {tuple(expected.shape)}"
        return Finding(check, term, False, math.inf, f"{term} has {shapes}.")
    off = (found - expected).abs()
    error = float(off.max() / (expected.abs().max() if expected.any() else 1.0))
    if bool((off <= tolerance).all()):  # false of what is no number
        return Finding(check, term, True, error)
    factor, text = words(found, expected, of, hint)
    return Finding(check, term, False, error, f"{term} {text}.", factor)


def words(found: Tensor, expected: Tensor, of: str, hint: str | None) -> tuple[float | None, str]:
    """By what factor it is wrong, ⟨found, expected⟩ / ⟨expected, expected⟩, and if that is all."""
    for values, who in ((found, "holds"), (expected, f"meets {of}, which holds")):
        if not values.isfinite().all():
            return None, f"{who} values that are no numbers"
    if not expected.any():
        return None, f"is not 0, and {of} is"
    factor = float((found * expected).sum() / expected.square().sum())
    rest = float((found - factor * expected).norm() / expected.norm())
    if rest > ALIKE * max(abs(factor), ALIKE):
        near = f"{factor:.3g} times it is nearest, and {rest:.1%} are left over"
        return None, f"is not a multiple of {of}: {near}"
    why = known(factor) if hint is None else hint
    return factor, f"is {factor:.4g} times {of}{': ' if why else ''}{why}"


def known(factor: float) -> str:
    """Where a factor usually comes from."""
    if abs(factor) < ALIKE:
        return "it never arrives where param() looks"
    if abs(factor - 2) < ALIKE:
        return "it is added twice, or an earlier one was not cleared"
    if abs(factor + 1) < ALIKE:
        return "its sign is turned"
    whole = round(1 / factor)
    if whole > 1 and abs(whole * factor - 1) < ALIKE:
        return (
            f"1/{whole}, as of a mean where the adjoint is a sum (of nearest upsampling: the sum"
            " over each block, not the mean)"
        )
    return ""


def compared(
    check: str, found: Values, expected: Values, of: str, hint: str | None = None
) -> Iterator[Finding]:
    """Every term that both have."""
    for term in (term for term in expected if term in found):
        room = EXACT * float(expected[term].abs().max())
        yield judged(check, term, found[term], expected[term], room, of, hint)
