"""What a training loop relies on, besides right slopes."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..module import Module
from ._case import Case, backward, d_, gradients, jittered, pairs, parts, spaced
from ._judged import Finding, compared
from ._slopes import slopes


def live(case: Case) -> Iterator[Finding]:
    """To change what param() returns changes the module; and backward fills what it returned."""
    module = case.copy()
    held = pairs(module)
    case.run(module, case.weights())
    for name, (_, gradient) in held.items():
        now, text = gradients(module)[d_(name)], ""
        passed = name not in case.still
        if not passed and not now.any():
            passed, text = True, f"Nothing depends on {name} here"
        elif not passed:
            text = f"{name}: to change it changes no output. Is it a copy that param() returns?"
        elif gradient is None or not torch.equal(gradient, now):
            passed = False
            text = (
                f"{d_(name)}: a pair that param() gave before backward does not hold it afterwards,"
                " and optimizers keep such pairs. Add to the gradient in place."
            )
        yield Finding("live", name, passed, text=text)


def adds_up(case: Case) -> Iterator[Finding]:
    """Two passes give the sum of both."""
    module, u = case.copy(), case.weights()
    case.run(module, u)
    once = gradients(module)
    case.run(module, u)
    both = {term: 2 * one for term, one in once.items()}
    hint = "gradients add up until zero_grad, by +="
    yield from compared("adds up", gradients(module), both, "the sum of two passes", hint)


def zeroed(case: Case) -> Iterator[Finding]:
    """zero_grad leaves nothing, of parts neither, and the next pass begins at zero."""
    module, u = case.copy(), case.weights()
    if not callable(getattr(module, "zero_grad", None)):
        return
    case.run(module, u)
    once = gradients(module)
    module.zero_grad()
    left = gradients(module)
    case.run(module, u)
    hint = "backward adds to something that zero_grad does not clear"
    for finding in compared("zero_grad", gradients(module), once, "that of one pass", hint):
        stays = left[finding.term].abs().max()
        if stays:
            text = f"{finding.term} is not cleared by zero_grad: {float(stays):.3g} is left"
            then = f", and the next pass makes it {finding.factor:.3g} times its own"
            text += f"{then if finding.factor else ''}."
            finding = replace(finding, passed=False, text=text)
        yield finding


def pure(case: Case) -> Iterator[Finding]:
    """Forward and backward change nothing but gradients, and forward has one answer."""
    module, u = case.copy(), case.weights()
    inputs, given = [x.clone() for x in case.inputs], u.clone()
    before = {name: value.clone() for name, (value, _) in pairs(module).items()}
    out = module.forward(*inputs).clone()
    inplace = any(getattr(part, "inplace", False) for part in parts(module))

    def same(term: str, now: Tensor, then: Tensor, who: str) -> Finding:
        if torch.equal(now, then):
            return Finding("pure", term, True)
        allowed = inplace and term not in before
        note = f"{term} is overwritten, as `inplace` says"
        return Finding("pure", term, allowed, text=note if allowed else f"{who} changes {term}.")

    for name, now, then in zip(case.names, inputs, case.inputs, strict=True):
        yield same(name, now, then, "forward")
    backward(module, given)
    yield same("d_out", given, u, "backward")
    for name, (value, _) in pairs(module).items():
        yield same(name, value, before[name], "a pass")
    again = torch.equal(case.forward(module), out)
    text = "" if again else "out is another one the second time. Is it random, or has it a memory?"
    yield Finding("pure", "out", again, text=text)


def second_shape(case: Case) -> Iterator[Finding]:
    """After one shape another: a larger batch, and of pictures twice the rows, where it takes them.

    Asked of a module that has run at the first: a shape that was kept is found.
    """
    for rows in (2, 1):
        inputs = tuple(jittered(enlarged(x, rows), case.rng) for x in case.inputs)
        try:
            fresh = Case(case.module, inputs, case.rng)
            break
        except Exception as error:  # a module may refuse a size; of what kind its no is, is open
            refusal = f"{type(error).__name__}: {error}"
    else:
        yield Finding("second shape", "out", False, math.inf, f"One more is refused: {refusal}")
        return
    used = case.copy()
    case.run(used, case.weights())
    for _, gradient in pairs(used).values():
        if gradient is not None:
            gradient.zero_()
    other = Case(used, inputs, case.rng)
    of = "that of a module that has seen no other shape"
    yield from compared("second shape", {"out": other.out}, {"out": fresh.out}, of)
    yield from slopes(other, 2, "second shape")


def enlarged(x: Tensor, rows: int) -> Tensor:
    """One more in the batch, the first again, and pictures that many times below one another."""
    more = torch.cat((x, x[:1])) if x.ndim else x
    return more.repeat(1, 1, rows, 1) if x.ndim == 4 else more


def not_contiguous(case: Case) -> Iterator[Finding]:
    """The same values, with gaps in memory between them."""
    u = case.weights()
    found, expected = (case.run(case.copy(), u, lay) for lay in (spaced, Tensor.clone))
    yield from compared("not contiguous", found, expected, "that of contiguous memory")


def refused(case: Case) -> Iterator[Finding]:
    """Our modules say no, in words, to a backward that has no forward of its own."""
    if not isinstance(case.module, Module):
        return
    for term, passes in (("backward first", 0), ("backward twice", 1)):
        module, u = case.copy(), case.weights()
        for _ in range(passes):
            case.run(module, u)
        text = f"{term} is not refused: what it gives belongs to no forward."
        try:
            backward(module, u)
        except Exception as error:  # of any kind, with a message
            text = "" if str(error) else f"{term} is refused by an empty {type(error).__name__}."
        yield Finding("refused", term, not text, text=text)
