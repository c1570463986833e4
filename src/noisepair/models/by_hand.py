"""The networks of this shelf made of noisepair.scratch, their layers named as torch names them.

The same settings, the same state dict, the same function: what one learns, the other can run. What
scratch has no layer for (normalisation, dropout, unshuffled pixels) is refused by `expressible`.
"""

from collections.abc import Iterator
from itertools import pairwise

from .. import scratch
from ..errors import InputError
from .dncnn import DnCNN
from .drunet import DRUNet
from .ffdnet import FFDNet
from .patch import PatchNet
from .strided import Strided
from .unet import UNet

Layers = dict[str, scratch.Module]
Settings = UNet | DnCNN | FFDNet | DRUNet | Strided | PatchNet


def expressible(settings: Settings) -> None:
    """Raise InputError where a network has parts that scratch has not."""
    lacking = [
        f"network.{name}={value}"
        for name, value, can in (
            ("norm", getattr(settings, "norm", None), None),
            ("dropout", getattr(settings, "dropout", 0.0), 0.0),
            ("up", getattr(settings, "up", "nearest"), "nearest"),
            ("unshuffle", getattr(settings, "unshuffle", 1), 1),
            ("white", getattr(settings, "white", 1.0), 1.0),
        )
        if value != can
    ]
    if isinstance(settings, FFDNet | DRUNet | PatchNet):
        lacking = [f"network={settings.kind}"]
    if lacking:
        raise InputError(
            f"engine=scratch has no layer for {lacking[0]}. It knows strided, dncnn and unet with"
            " norm, dropout and unshuffle left out and up=nearest. Change it, or take engine=torch."
        )


def by_hand(settings: Settings, planes: int) -> scratch.Named:
    """The network for pictures of `planes` colour planes; raises InputError as `expressible`."""
    expressible(settings)
    layers: Layers = {}
    if isinstance(settings, UNet):
        inner = unet(settings, planes, layers)
    elif isinstance(settings, Strided):
        inner = strided(settings, planes, layers)
    else:
        assert isinstance(settings, DnCNN), "expressible sees to it"
        inner = dncnn(settings, planes, layers)
    network = scratch.Named(inner, layers)
    scratch.without_first_gradient(network)
    return network


def strided(settings: Strided, planes: int, layers: Layers) -> scratch.Module:
    one, two, three = settings.channels
    chain = scratch.Sequential(
        scratch.Conv2d(planes, one, 3, stride=2, padding=1), scratch.ReLU(inplace=True),
        scratch.Conv2d(one, two, 3, stride=2, padding=1), scratch.ReLU(inplace=True),
        scratch.Upsampling(two, three, 3, padding=1), scratch.ReLU(inplace=True),
        scratch.Upsampling(three, planes, 3, padding=1), scratch.Sigmoid(),
    )  # fmt: skip
    layers |= {f"layers.{number}": chain[number] for number in (0, 2, 4, 6)}
    return scratch.Padded(chain, 4)


def dncnn(settings: DnCNN, planes: int, layers: Layers) -> scratch.Module:
    widths = [planes, *[settings.width] * (settings.depth - 1), planes]
    chain: list[scratch.Module] = []
    for number, (i, o) in enumerate(pairwise(widths)):
        if number:
            chain.append(activation(settings))
        chain.append(scratch.Conv2d(i, o, 3, padding=1))
        layers[f"noise.{2 * number}"] = chain[-1]
    return scratch.Residual(scratch.Sequential(*chain), subtract=True)


def unet(settings: UNet, planes: int, layers: Layers) -> scratch.Module:
    """Level within level: each is made with the ones below it inside."""
    down, bottom, up = settings.widths()
    encoders, above = [], planes
    entering = []
    for depth, widths in enumerate(down):
        entering.append(above)
        encoders.append(
            scratch.Sequential(*row(settings, above, widths, f"encode.{depth}", layers))
        )
        above = widths[-1]
    inner: scratch.Module = scratch.Sequential(*row(settings, above, bottom, "bottom", layers))
    below = bottom[-1]
    pool = scratch.MaxPool2d if settings.pool == "max" else scratch.AvgPool2d
    takes_entering = settings.form == "noise2noise"
    for step, widths in enumerate(up):
        depth = len(down) - 1 - step
        skip = (entering if takes_entering else [widths[-1] for widths in down])[depth]
        rest = row(settings, widths[0], widths[1:], f"decode.{step}.convs", layers)
        decode = scratch.Sequential(activation(settings), *rest)
        if settings.skips:
            join = scratch.Joined(below, skip, widths[0], 3, padding=1)
            layers[f"decode.{step}.up"] = join
            inner = scratch.UNetLevel(
                encoders[depth], pool(2), inner, join, decode, entering=takes_entering
            )
        else:
            grow = scratch.Upsampling(below, widths[0], 3, padding=1)
            layers[f"decode.{step}.up"] = grow.conv
            inner = scratch.Sequential(encoders[depth], pool(2), inner, grow, decode)
        below = widths[-1]
    leave = scratch.Conv2d(below, planes, 3, padding=1)
    ends: dict[str, list[scratch.Module]] = {
        "linear": [], "leaky": [scratch.LeakyReLU(0.1)], "sigmoid": [scratch.Sigmoid()],
    }  # fmt: skip
    whole = scratch.Padded(scratch.Sequential(inner, leave, *ends[settings.output]), 2 ** len(down))
    in_torchs_order(layers, leave)
    return scratch.Residual(whole, subtract=True) if settings.residual else whole


def row(
    settings: UNet, planes: int, widths: list[int], name: str, layers: Layers
) -> Iterator[scratch.Module]:
    """Convolutions one after the other, each with its activation."""
    for number, (i, o) in enumerate(zip((planes, *widths), widths, strict=False)):
        layers[f"{name}.{number}"] = scratch.Conv2d(i, o, 3, padding=1)
        yield layers[f"{name}.{number}"]
        yield activation(settings)


def activation(settings: UNet | DnCNN) -> scratch.Module:
    if settings.slope:
        return scratch.LeakyReLU(settings.slope, inplace=True)
    return scratch.ReLU(inplace=True)


def in_torchs_order(layers: Layers, leave: scratch.Module) -> None:
    """An initialisation draws layer by layer: in one order, one seed gives the same weights."""
    layers["leave"] = leave
    stages = ("encode", "bottom", "decode", "leave")

    def place(name: str) -> tuple[int, int, int]:
        parts = name.split(".")
        level = int(parts[1]) if len(parts) > 2 else 0
        return stages.index(parts[0]), level, parts[2:3] == ["convs"]

    ordered = {name: layers[name] for name in sorted(layers, key=place)}
    layers.clear()
    layers.update(ordered)
