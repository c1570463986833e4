"""What is wrong with a network, why, and what to do: rules on what `vitals` measured.

A rule takes the facts and gives a symptom, or nothing. Where weights begin wrong there is one cause
with many symptoms, so what follows from it is not said again. The limits lie between set-ups that
learn and set-ups that do not, measured in docs/scratch/why-it-did-not-train.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite, log10
from typing import Literal

from .vitals import Facts, Slope, Vitals

SATURATED = 0.5  # share of a sigmoid's outputs beyond what the target has: it does not come back
LEANING = 0.2  # the same, on the way there
FADED = 1e-3  # of the batch's signal
GROWN = 100.0  # times the batch's signal
DEAD, DYING = 0.9, 0.6  # share of a layer's channels
UNLIKE = 3.0  # times Kaiming's deviation, or a part of it: no usual way to begin does that
ALIKE = 1.4  # between the deviations of two layers that were drawn alike
LARGE, SMALL = 0.2, 1e-4  # ‖step‖ / ‖weight‖, in the middle layer

BEGIN = 'Begin with Kaiming\'s weights: scratch.begin(model, "kaiming"), or --init kaiming.'


@dataclass(frozen=True)
class Symptom:
    """One thing that is not as it should be; `weight` says what it does to the verdict."""

    name: str
    weight: Literal["ill", "care"]
    text: str
    remedy: str


Rule = Callable[[Facts], Symptom | None]


def symptoms(facts: Facts) -> tuple[Symptom, ...]:
    """What is wrong, causes before consequences: of each group of rules the first that fits."""
    if broken := not_finite(facts):
        return (broken,)
    found = [first_of(facts, *rules) for rules in ((unread,), BEGINNING, (wrong_gradients,))]
    found.append(not_cleared(facts))
    if not found[1] or found[1].weight != "ill":  # else these follow from it
        found += [dead(facts), first_of(facts, fast, slow)]
    return tuple(one for one in found if one)


def first_of(facts: Facts, *rules: Rule) -> Symptom | None:
    found = (rule(facts) for rule in rules)
    return next((one for one in found if one), None)


# — the rules —


def not_finite(f: Facts) -> Symptom | None:
    """NaN and infinity spread: the layer that is named is the first on the way forward."""
    forward = [row for row in f.layers if not isfinite(row.weight + row.spread)]
    sick = forward or [row for row in f.layers if not isfinite(row.gradient + row.arriving)]
    if isfinite(f.loss) and not sick:
        return None
    where = "every layer's values are finite"
    if sick:
        what = "a value" if forward else "a gradient"
        where = f"{called(sick[0])} is the first layer with {what} that is no number"
    text = f"The loss is {number(f.loss)}, and {where}."
    remedy = "Look for NaN in the pictures; then begin anew, with a learning rate ten times lower."
    return Symptom("not finite", "ill", text, remedy)


def unread(f: Facts) -> Symptom | None:
    """Pixels that nothing is computed from; or no pixel with its neighbours."""
    if f.reads == 1 and f.looks:
        return None
    texts = []
    if f.reads < 1:
        texts.append(
            f"Strides are wider than kernels: 1 pixel in {number(1 / f.reads)} is read, and the"
            " others never are."
        )
    if not f.looks:
        texts.append(
            "All kernels are 1×1: no layer sees two pixels at once, and one pixel alone does not"
            " say what in it is noise."
        )
    remedy = "Take 3×3 kernels with padding 1."
    return Symptom("unread", "ill", " ".join(texts), remedy)


def equal(f: Facts) -> Symptom | None:
    flat = [row for row in f.layers if row.weight == 0 and row.fan_in > 1]
    if not flat:
        return None
    text = (
        f"All weights of {named(flat)} are equal. The channels of a layer then make the same, get"
        " the same gradient, and stay one channel for ever."
    )
    return Symptom("equal", "ill", text, f"Draw weights at random. {BEGIN}")


def saturated(f: Facts) -> Symptom | None:
    return sigmoid(f, SATURATED, "saturated", "ill")


def leaning(f: Facts) -> Symptom | None:
    return sigmoid(f, LEANING, "leaning", "care")


def sigmoid(f: Facts, limit: float, name: str, weight: Literal["ill", "care"]) -> Symptom | None:
    worst = max(f.layers, key=lambda row: row.saturated or 0)
    share = worst.saturated or 0
    if share - f.expected < limit:
        return None
    cause = too_large(f)
    text = (
        f"The sigmoid after {called(worst)} sees a spread of {number(worst.spread)} and is"
        f" {share:.0%} saturated: so many outputs are within 1 % of 0 or 1, where its slope is"
        f" below 0.01 and nearly no gradient comes back.{cause}"
    ).replace("%", " %", 1)
    remedy = BEGIN if cause else "Lower the learning rate, and begin anew: this does not come back."
    return Symptom(name, weight, text, remedy)


def exploding(f: Facts) -> Symptom | None:
    most = max(f.layers, key=lambda row: row.signal)
    if not f.before or most.signal < GROWN * f.before:
        return None
    cause = too_large(f)
    text = (
        f"The signal explodes: a spread of {number(f.before)} in the pictures is"
        f" {number(most.spread)} after {called(most)}.{cause}"
    )
    remedy = BEGIN if cause else "Lower the learning rate, and begin anew."
    return Symptom("exploding", "ill", text, remedy)


def vanishing(f: Facts) -> Symptom | None:
    least, last = min(f.layers, key=lambda row: row.signal), f.layers[-1]
    if least.signal >= FADED * f.before:
        return None
    first, end = f.layers[0].arriving, last.arriving
    back = (
        f" The gradient that comes back is {number(end)} at {called(last)} and {number(first)} at"
    )
    fading = f"{back} {called(f.layers[0])}." if first < FADED * end else ""
    cause = too_small(f)
    text = (
        f"The signal vanishes: what tells pictures apart has a spread of {number(f.before)} at the"
        f" entry and {number(least.signal)} after {called(least)}: from there on all pictures are"
        f" the same.{fading}{cause}"
    )
    remedy = (
        BEGIN if cause else f"Look at {called(least)}: what it makes hardly depends on the data."
    )
    return Symptom("vanishing", "ill", text, remedy)


def dead(f: Facts) -> Symptom | None:
    worst = max(f.layers, key=lambda row: row.dead or 0)
    share = worst.dead or 0
    if share < DYING:
        return None
    text = (
        f"{share:.0%} of the channels after {called(worst)} are dead: their ReLU is 0 on the whole"
        " batch, and passes no gradient back that could wake it."
    ).replace("%", " %", 1)
    remedy = "Lower the learning rate, or take LeakyReLU; channels that are dead need new weights."
    return Symptom("dead", "ill" if share >= DEAD else "care", text, remedy)


def wrong_gradients(f: Facts) -> Symptom | None:
    wrong = [slope for slope in f.slopes if slope.wrong]
    if not wrong:
        return None
    groups: dict[str, list[str]] = {}
    for slope in wrong:
        groups.setdefault(fault(slope), []).append(slope.name)
    said = "; ".join(f"{what} for {', '.join(names)}" for what, names in groups.items())
    text = f"Backward is wrong. Against the loss itself, in float64, it gives {said}."
    remedy = "scratch.check(layer, input) says which term of which layer it is, and by what factor."
    return Symptom("wrong gradients", "ill", text, remedy)


def fault(slope: Slope) -> str:
    if not any(slope.said):
        return "no gradient at all"
    if slope.factor:
        return f"{number(slope.factor)} times the gradient"
    return "another gradient"


def not_cleared(f: Facts) -> Symptom | None:
    if not f.kept:
        return None
    text = f"zero_grad() leaves the gradient of {', '.join(f.kept)}: each step adds to all before."
    return Symptom("not cleared", "ill", text, "Let zero_grad reach the parts, as Module's does.")


def fast(f: Facts) -> Symptom | None:
    step = middle(f.layers)
    if step is None or step <= LARGE:
        return None
    text = (
        f"One step changes the weights by {step:.0%}, in the middle layer: what is learnt from one"
        " batch is lost with the next."
    ).replace("%", " %", 1)
    return Symptom("fast", "care", text, f"Lower the learning rate, by about {factor(step)}.")


def slow(f: Facts) -> Symptom | None:
    step = middle(f.layers)
    if step is None or step >= SMALL or not step:
        return None
    text = (
        f"One step changes the weights by {number(step)} of their size, in the middle layer: to"
        f" change them by as much as they are takes {number(1 / step)} steps."
    )
    return Symptom("slow", "care", text, f"Raise the learning rate, by about {factor(step)}.")


BEGINNING = (equal, saturated, exploding, vanishing, leaning)


# — in words —


def too_large(f: Facts) -> str:
    """Why it grows: the layer whose weights are the farthest above Kaiming's, if far.

    Of a network that has learnt, weights do not tell how they began.
    """
    rows = f.layers
    if f.step:
        return ""
    worst = max(rows, key=lambda row: row.weight / row.kaiming)
    return because(rows, worst) if worst.weight > UNLIKE * worst.kaiming else ""


def too_small(f: Facts) -> str:
    rows = f.layers
    if f.step:
        return ""
    worst = min(rows, key=lambda row: row.weight / row.kaiming)
    return because(rows, worst) if worst.weight * UNLIKE < worst.kaiming else ""


def because(rows: Sequence[Vitals], worst: Vitals) -> str:
    """The cause, with the numbers of the worst layer."""
    sizes = [row.weight for row in rows]
    alike = len(rows) > 1 and max(sizes) < ALIKE * min(sizes)
    size = rounded(sizes)
    drawn = "N(0, 1)" if size == 1 else f"N(0, {number(size)}²)"
    whose = f"{drawn} weights in every layer; those" if alike else "the weights"
    times = worst.weight / worst.kaiming
    off = f"{number(times)} times" if times > 1 else f"1/{number(1 / times)} of"
    return (
        f" The cause: {whose} of {called(worst)} have a deviation of {number(worst.weight)} with a"
        f" fan-in of {number(worst.fan_in)}, {off} Kaiming's {number(worst.kaiming)}."
    )


def called(row: Vitals) -> str:
    """The layer in a sentence: numbers alone do not say what they count."""
    return f"layer {row.name}" if row.name[0].isdigit() else row.name


def rounded(sizes: Sequence[float]) -> float:
    """Their mean to one digit."""
    return float(f"{sum(sizes) / len(sizes):.0e}")


def middle(rows: Sequence[Vitals]) -> float | None:
    """The update of the middle layer: one that is off is no reason to change all."""
    updates = sorted(row.update for row in rows if row.update is not None)
    return updates[len(updates) // 2] if updates else None


def factor(step: float) -> str:
    """How far a step is from 0.01, to one digit: between set-ups that learn (see above)."""
    return number(float(f"{max(step, 0.01) / min(step, 0.01):.0e}"))


def named(rows: Sequence[Vitals], most: int = 4) -> str:
    names = [called(row) for row in rows]
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and others"


def number(value: float) -> str:
    """Three digits as people write them.

    >>> [number(one) for one in (1440.3, 0.11785, 144.0, 8.82e-22, 1e-6, 0.0, 2.5e9)]
    ['1,440', '0.118', '144', '8.8e-22', '1e-6', '0', '2.5e9']
    """
    if not isfinite(value) or value == 0:
        return f"{value:.0f}".replace("nan", "NaN")
    power = log10(abs(value))
    if -4 < power < 6:
        digits = max(0, 2 - int(power // 1))
        text = f"{value:,.{digits}f}"
        if not digits and abs(value) >= 1000:
            text = f"{float(f'{value:.3g}'):,.0f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    head, _, tail = f"{value:.1e}".partition("e")
    return f"{head.removesuffix('.0')}e{int(tail)}"
