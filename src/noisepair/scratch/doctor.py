"""Why does it not learn? A network, one batch, and the answer in words, layer by layer.

    found = doctor(model, (noisy, target), optimizer=optimizer)
    print(found)                      a table of all layers, what is wrong, and what to do
    following = follow(model, batches, optimizer, steps=100)     the same while it learns

What is measured stands in vitals.py, what is concluded from it in symptoms.py. Seen by itself a
number says little: with N(0, 1) weights all gradients have the size that they should have, and a
sigmoid that is saturated passes none of them where it matters.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import chain, islice
from math import isfinite
from typing import Any

from torch import Tensor

from ..errors import InputError
from .losses import MSE
from .module import Module
from .optim import Optimizer
from .symptoms import Symptom, number, symptoms
from .vitals import Pair, Vitals, measured

HEADER = (
    "layer", "fan-in", "weights", "Kaiming's", "signal", "spread", "saturated", "dead", "gradient",
    "update",
)  # fmt: skip


@dataclass(frozen=True)
class Diagnosis:
    """A model at one step of its training, on one batch; `str` of it is for people."""

    step: int
    loss: float
    before: float  # deviation of the batch within its channels
    layers: tuple[Vitals, ...]
    findings: tuple[Symptom, ...]

    @property
    def verdict(self) -> str:
        """`healthy`, `healthy with care` or `ill`."""
        weights = {one.weight for one in self.findings}
        if "ill" in weights:
            return "ill"
        return "healthy with care" if "care" in weights else "healthy"

    def as_json(self) -> dict[str, Any]:
        """Plain values; None for what is no finite number."""
        return {
            "step": self.step,
            "verdict": self.verdict,
            "loss": known(self.loss),
            "signal_before": known(self.before),
            "findings": [asdict(one) for one in self.findings],
            "layers": [
                {name: known(value) for name, value in asdict(row).items()}
                | {"kaiming": row.kaiming}
                for row in self.layers
            ],
        }

    def __str__(self) -> str:
        return "\n".join([self.heading(), "", *self.table(), "", *self.words()])

    def heading(self) -> str:
        when = "Before the first step" if self.step == 0 else f"After step {self.step}"
        return f"{when}: {self.verdict}. Loss {number(self.loss)}."

    def table(self) -> list[str]:
        """A line a layer, in columns."""
        lines = [HEADER, *(cells(row) for row in self.layers)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return [
            "  ".join([one[0].ljust(widths[0]), *map(str.rjust, one[1:], widths[1:])])
            for one in lines
        ]

    def words(self) -> list[str]:
        """What is wrong and what to do, a paragraph a finding."""
        if not self.findings:
            return ["Nothing wrong found."]
        return [line for one in self.findings for line in (f"! {one.text}", f"  → {one.remedy}")]


def doctor(
    model: Module,
    batch: Pair,
    *,
    loss: Module | None = None,
    optimizer: Optimizer | None = None,
    slopes: bool = True,
    step: int = 0,
) -> Diagnosis:
    """Say what each layer of `model` does with `batch`, (noisy, target), and what is wrong.

    The model is left as it is, with its gradients and what it remembers: all happens on a copy.
    `loss`: MSE where none is given. `optimizer`: one step of it is tried, which tells how large
    its steps are. `slopes`: compare gradients with the loss itself, two directions a parameter.
    """
    refuse(batch)
    refuse_model(model, optimizer)
    facts = measured(model, detached(batch), loss or MSE(), optimizer, slopes, step)
    return Diagnosis(step, facts.loss, facts.before, facts.layers, symptoms(facts))


def follow(
    model: Module,
    batches: Iterable[Pair],
    optimizer: Optimizer,
    *,
    loss: Module | None = None,
    steps: int = 100,
    every: int = 10,
    watch: Callable[[Diagnosis], None] | None = None,
) -> list[Diagnosis]:
    """Train `model`, and see the doctor before, every so many steps, and after the last one.

    Always about the first batch, so that what changes is the model. Stops where the loss is no
    number any more. `watch(diagnosis)` gets each as it is made.
    """
    stream, criterion = iter(batches), loss or MSE()
    first = next(stream, None)
    if first is None or steps < 1 or every < 1:
        raise InputError(
            f"follow needs a batch, steps and every from 1 on, and got steps={steps},"
            f" every={every} and {'no batch' if first is None else 'batches'}."
        )
    refuse(first)
    refuse_model(model, optimizer)
    if optimizer is None:
        raise InputError("follow needs an optimizer, such as scratch.SGD(model.param(), lr=0.1).")
    kept = detached(first)
    found: list[Diagnosis] = []

    def look(step: int) -> None:
        seen = doctor(model, kept, loss=criterion, optimizer=optimizer, slopes=step == 0, step=step)
        found.append(seen)
        if watch:
            watch(seen)

    look(0)
    step = 0
    for step, (noisy, target) in enumerate(islice(chain([first], stream), steps), start=1):
        model.train()
        model.zero_grad()
        lost = float(criterion.forward(model.forward(noisy), target))
        model.backward(criterion.backward())
        optimizer.step()
        if step % every == 0 or step == steps or not isfinite(lost):
            look(step)
            if not isfinite(found[-1].loss):
                break
    if found[-1].step != step:  # the batches ran out
        look(step)
    return found


def refuse_model(model: object, optimizer: object) -> None:
    """Say no to what is not ours."""
    if not isinstance(model, Module):
        raise InputError(
            f"doctor takes a model of noisepair.scratch, and got a {type(model).__name__}."
        )
    if not isinstance(optimizer, Optimizer | None):
        raise InputError(
            f"doctor takes an optimizer of noisepair.scratch, and got a {type(optimizer).__name__}."
        )


def refuse(batch: object) -> None:
    """Say no to what is not a pair of tensors of one shape."""
    pair = tuple(batch) if isinstance(batch, tuple | list) else ()
    if len(pair) != 2 or not all(isinstance(side, Tensor) for side in pair):
        came = f"{len(pair)} things" if pair else f"a {type(batch).__name__}"
        raise InputError(f"doctor takes a batch of two tensors, (noisy, target), and got {came}.")


def detached(batch: Pair) -> Pair:
    """A copy that no layer in place can reach."""
    noisy, target = batch
    return noisy.detach().clone(), target.detach().clone()


def cells(row: Vitals) -> tuple[str, ...]:
    """A row of the table."""
    name = f"{row.name} → {row.activation}" if row.activation else row.name
    shares = (share(row.saturated), share(row.dead))
    rest = (number(row.gradient), "–" if row.update is None else number(row.update))
    sizes = (row.fan_in, row.weight, row.kaiming, row.signal, row.spread)
    return (name, *map(number, sizes), *shares, *rest)


def share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def known(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value
