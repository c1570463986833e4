"""Is every gradient right? Asked of a module and an input, answered term by term.

For y = f(x; w), weights u of the outputs and a direction v along x or along a parameter,

    ⟨u, J v⟩ = ⟨Jᵀ u, v⟩          J v = (f(x + h v) − f(x − h v)) / 2h

where Jᵀ u is what backward gives, and J v needs forward only. Where f is straight along v, h = 1
serves and both sides agree to rounding: the *adjoint* identity. Along any v, h = 10⁻⁶ does: central
*differences*, by random projection, so two values of f test a gradient of any size. Where torch has
the layer, its autograd is a third witness; and the *contract* is what a training loop relies on.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Generator, Tensor

from ...errors import InputError
from ..module import Module
from ._case import Case, jittered, laboratory, prepared
from ._contract import adds_up, live, not_contiguous, pure, refused, second_shape, zeroed
from ._judged import Finding
from ._slopes import slopes
from ._torch import against_torch, both_paths

FACE = ("forward", "backward", "param")


@dataclass(frozen=True)
class Checked:
    """What was asked of a module. `print` shows it; `ok` is whether all of it holds."""

    module: str
    shapes: tuple[tuple[int, ...], ...]
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if not one.passed)

    @property
    def ok(self) -> bool:
        return not self.wrong

    def __str__(self) -> str:
        """What is wrong, a line each; then what is right, a line for each check."""
        count, shapes = len(self.findings), " and ".join(map(str, self.shapes))
        sum_up = f"{len(self.wrong)} of {count} are wrong" if self.wrong else f"all {count} hold"
        lines = [f"{self.module} on {shapes}: {sum_up}."]
        lines += [f"  wrong  {one.check:<14} {one.text}" for one in self.wrong]
        for check in dict.fromkeys(one.check for one in self.findings):
            right = [one for one in self.findings if one.check == check and one.passed]
            error = max((one.error for one in right), default=0.0)
            off = f" (off by {error:.0e} at most)" if error else ""
            notes = "".join(f". {one.text}" for one in right if one.text)
            if right:
                names = ", ".join(one.term for one in right)
                lines.append(f"  right  {check:<14} {names}{off}{notes}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Plain values; null for an error that is no number."""
        plain = [dict(vars(one)) for one in self.findings]
        for one in plain:
            one["error"] = one["error"] if math.isfinite(one["error"]) else None
        shapes = [list(shape) for shape in self.shapes]
        return {"module": self.module, "shapes": shapes, "ok": self.ok, "findings": plain}

    def raise_if_wrong(self) -> None:
        """For tests. Raises InputError with the whole report."""
        if not self.ok:
            raise InputError(str(self))


def check(module: Any, *inputs: Tensor, seed: int = 0) -> Checked:
    """Ask everything of a copy of `module`, in float64; neither it nor the inputs are touched.

    `module`: one of ours, a loss (prediction, target), or any object with forward(*inputs),
    backward(*gradients) and param(), pairs of parameter and gradient. Inputs and parameters are
    moved by a tenth of their size at random: values such as 0, or equal ones, lie where ReLU, L1
    or MaxPool2d have a kink and no slope. Raises InputError for what cannot be asked.
    """
    refuse(module, inputs)
    with laboratory():
        rng = Generator().manual_seed(seed)
        case = Case(prepared(module, rng), tuple(jittered(x.double(), rng) for x in inputs), rng)
        case.run(case.copy(), case.weights())  # what it says of this input is the caller's to hear
        findings = tuple(answer for name in QUESTIONS for answer in heard(name, case))
    name = str(module) if isinstance(module, Module) else type(module).__name__
    return Checked(name, tuple(tuple(x.shape) for x in inputs), findings)


def refuse(module: Any, inputs: tuple[Tensor, ...]) -> None:
    """At the door: what has no face, and inputs that have no slopes."""
    lacks = [name for name in FACE if not callable(getattr(module, name, None))]
    if lacks or isinstance(module, type):
        what = f"lacks {', '.join(lacks)}" if lacks else "is a class: give one made of it"
        raise InputError(
            f"check takes an object with forward, backward and param, and {module!r} {what}."
        )
    for number, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.is_floating_point():
            came = str(x.dtype) if isinstance(x, Tensor) else f"a {type(x).__name__}"
            takes = "a tensor of floating-point values: try x.float()"
        elif not x.numel() or not x.isfinite().all():
            came = f"{tuple(x.shape)} with {int((~x.isfinite()).sum())} values infinite or nan"
            takes = "finite, one value or more: try torch.rand(2, 3, 8, 8)"
        else:
            continue
        raise InputError(f"check: input {number} is {came}, and must be {takes}.")
    if not inputs:
        raise InputError("check needs an input too: try check(module, torch.rand(2, 3, 8, 8)).")


QUESTIONS: Mapping[str, Callable[[Case], Iterator[Finding]]] = {
    "live": live,
    "slopes": slopes,
    "torch": against_torch,
    "both paths": both_paths,
    "adds up": adds_up,
    "zero_grad": zeroed,
    "pure": pure,
    "second shape": second_shape,
    "not contiguous": not_contiguous,
    "refused": refused,
}


def heard(name: str, case: Case) -> Iterator[Finding]:
    """The answers to one question. A module that breaks down over it has answered too."""
    try:
        yield from QUESTIONS[name](case)
    except Exception as error:  # the judge hears out whatever the judged throws
        text = f"{type(error).__name__}: {error}"
        yield Finding(name, "forward, backward", False, math.inf, text)
