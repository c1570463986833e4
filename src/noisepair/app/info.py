"""`noisepair info`: what a model is, or what a network, a loss or a noise is by name.

Networks are built on a device that keeps shapes and no values, so a large one costs no memory.
"""

from collections.abc import Mapping
from dataclasses import asdict
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any

import torch
from cyclopts import Parameter

from .. import checkpoint
from ..errors import InputError, choose
from ..losses import LOSSES
from ..models import NETWORKS, PRESETS, Network
from ..models.facts import facts
from ..noise import NOISES
from ..recipe import meanings, text_of
from .console import Options, span

STANDARD = Options()
MOST_PLANES = 4096
Plain = dict[str, Any]  # what JSON holds
Said = tuple[str, Plain]  # for people, for programs


def info(
    name: Annotated[str | None, Parameter(name="NAME")] = None,
    /,
    *,
    planes: int | None = None,
    options: Options = STANDARD,
) -> int:
    """Say what a model is and comes from, or what a network, a loss or a noise is.

    Parameters
    ----------
    name
        A model folder, colour or grey for the bundled weights, or a network, loss or noise that a
        recipe can name; all networks if left out.
    planes
        Colour planes of the pictures that a network is for; 3 if left out.
    """
    networks: Mapping[str, Network] = {k: c() for k, c in NETWORKS.items()} | dict(PRESETS)
    named = {**networks, **LOSSES, **NOISES}
    if planes is not None and not 1 <= planes <= MOST_PLANES:
        raise InputError(f"--planes {planes} is not possible. Give 1 for grey, 3 for colour.")
    if planes is not None and name is not None and name not in networks:
        raise InputError(f"--planes is for networks, and {name} is none. Leave it out.")
    if name is None:
        said = shelf(networks, planes or 3)
    elif name in networks:
        said = about_network(name, networks[name], planes or 3)
    elif name in LOSSES:
        said = about_loss(name)
    elif name in NOISES:
        said = about_noise(name)
    elif Path(name).exists() or name in checkpoint.BUNDLED:
        said = about_model(checkpoint.located(name))
    else:
        choose("model folder, network, loss or noise", name, named)
        raise AssertionError("a name that is known is answered above")
    options.result(*said)
    return 0


def shelf(networks: Mapping[str, Network], planes: int) -> Said:
    """All networks, a line each."""
    known = {name: known_of(settings, planes) for name, settings in networks.items()}
    rows = [f"{'':<17}{'parameters':>12}{'multiply-adds':>15}{'receptive':>17}",
            f"{'network':<17}{'':>12}{'a pixel':>15}{'field, pixels':>17}"]  # fmt: skip
    for name, one in known.items():
        field = f"{one['receptive_field']}×{one['receptive_field']}"
        count, work = f"{one['parameters']:,}", f"{one['multiply_adds']:,.0f}"
        rows.append(f"{name:<17}{count:>12}{work:>15}{field:>17}")
    rows += ["", f"For {coloured(planes)}. Losses: {', '.join(LOSSES)}.",
             f"Noises: {', '.join(NOISES)}."]  # fmt: skip
    plain = {"planes": planes, "networks": known, "losses": list(LOSSES), "noises": list(NOISES)}
    return "\n".join(rows), plain


def about_network(name: str, settings: Network, planes: int) -> Said:
    """A network that a recipe can name."""
    known = known_of(settings, planes)
    rows = {"network": f"{name}, for {coloured(planes)}"} | told(known)
    return table(rows | {"settings": written(settings)}), {"network": name} | known


def about_loss(name: str) -> Said:
    """A term of a loss."""
    loss = LOSSES[name]
    rows = {"loss": name, "meaning": loss.meaning, "learns": f"{loss.learns} of the noisy targets"}
    return table(rows), {"loss": name, "meaning": loss.meaning, "learns": loss.learns}


def about_noise(name: str) -> Said:
    """A noise; what depends on the parts of a sequence is left out."""
    kind = NOISES[name]
    plain: Plain = {"noise": name, "meaning": cleandoc(kind.__doc__ or "")}
    plain["settings"] = meanings(kind)
    rows = {"noise": name, **{f"noise.{line}": text for line, text in plain["settings"].items()}}
    if isinstance(kind.zero_mean, bool):
        plain |= {"zero_mean": kind.zero_mean, "loss": kind.loss}
        rows |= {"zero-mean": "yes" if kind.zero_mean else "no", "loss that fits": str(kind.loss)}
    return f"{plain['meaning']}\n\n{table(rows)}", plain


def about_model(folder: Path) -> Said:
    """What a model folder says of itself; its weights are not read."""
    card = checkpoint.read_card(folder)
    settings, known = card.recipe.network, known_of(card.recipe.network, card.planes)
    origin = dict(card.provenance)
    with checkpoint.legible(folder / checkpoint.CARD):
        rows = {
            "model": f"{folder}, for {coloured(card.planes)}",
            "network": f"{settings.kind}: {written(settings)}",
            **told(known),
            "recipe": card.recipe.sentence(),
            "data": told_data(origin["data"]),
            "result": told_result(origin["result"]) if "result" in origin else "none: not ended",
            "machine": told_machine(origin["machine"], origin["precision"]),
            "written": f"{origin['created']}, noisepair {origin['noisepair']}",
        }
    return table(rows), {"model": str(folder), **known, "recipe": card.recipe.lines(), **origin}


def known_of(settings: Network, planes: int) -> Plain:
    """Settings and facts."""
    with torch.device("meta"):
        network = settings(planes)
    found = facts(network, planes)
    return {"planes": planes, "settings": dict(vars(settings)), **asdict(found),
            "receptive_field": found.receptive_field}  # fmt: skip


def told(known: Plain) -> dict[str, str]:
    """Facts, with their units."""
    field = known["receptive_field"]
    return {
        "parameters": f"{known['parameters']:,}",
        "multiply-adds": f"{known['multiply_adds']:,.0f} a pixel",
        "receptive field": f"{field}×{field} pixels",
    }


def coloured(planes: int) -> str:
    """The pictures that a network is for."""
    return "grey pictures" if planes == 1 else f"pictures of {planes} colour planes"


def told_data(data: Plain) -> str:
    """What a model was trained on; of the scenes that were held out, the first few."""
    held = data["held_out"]
    some = ", ".join(held[:3]) + (f" and {len(held) - 3} more" if len(held) > 3 else "")
    counts = f"{data['scenes']:,} scenes, {data['shots']:,} shots, {data['dtype']}"
    return f"{data['understood']}; {counts}; held out: {some or 'nothing'}"


def told_result(came: Plain) -> str:
    """What a run came to."""
    text = f"{came['steps']:,} steps in {span(came['seconds'])}, best at {came['best_step']:,}"
    if came["gain_db"] is None:
        return text
    return f"{text}, about {came['gain_db']:+.1f} dB PSNR, estimated from held-out noisy shots"


def told_machine(machine: Plain, precision: str) -> str:
    """Where a run ran."""
    return (
        f"{machine['name']} ({machine['device']}), {machine['threads']} threads, torch"
        f" {machine['torch']}, Python {machine['python']}, {machine['system']}, {precision}"
    )


def written(settings: Network) -> str:
    """Settings as a recipe has them."""
    lines = {name: value for name, value in vars(settings).items() if name != "kind"}
    return ", ".join(f"{name} {text_of(value)}" for name, value in lines.items())


def table(rows: Mapping[str, str]) -> str:
    """A line a row, the values under each other."""
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
