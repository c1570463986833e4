"""Make the bundled weights: photographs in, a model folder out that never saw one of them clean.

    python training/make_weights.py colour --photos $NOISEPAIR_DATA/train/BSDS500/{train,test}
    python training/make_weights.py grey   --photos $NOISEPAIR_DATA/train/BSDS500/{train,test}

    python training/make_weights.py grow build/weights/colour --out build/weights/begun

    python training/make_weights.py install build/weights/colour build/weights/grey

The bundled descriptor, of the patches of the same photographs, and of 100 others to judge it:

    noisepair hpatches make $NOISEPAIR_DATA/train/BSDS500/{train,test} \
        --test $NOISEPAIR_DATA/train/BSDS500/val --photos 240 --sides 32 --out build/patches
    noisepair hpatches train build/patches/32 --recipe training/descriptor.toml --out build/noisy
    python training/make_weights.py install build/noisy

Each photograph is cut into tiles of 160×160 pixels. Of each tile two noisy shots are made, once,
with noise of a strength of its own, and the photographs are let go: `open_source` returns shots and
nothing else, and `train` gets what it returned. The same command goes on where a run was stopped,
`--from MODEL` begins with the weights of another run (and then wants `--lr 0.001`: at 0.002 what
the end of that run had won, 1.2 dB, is lost until the rate falls), `grow` writes the network of the
recipe, larger than a model's and saying the same, to begin with; and `install` puts what came of
them into the package: weights as float16, which halves the file (2^-11 of each weight: below
0.001 dB).
"""

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noisepair import Recipe, checkpoint, images, sources
from noisepair.descriptors import descriptor
from noisepair.models.drunet import DRUNetModule
from noisepair.train import Progress, train

RECIPE = Path(__file__).with_name("weights.toml")
GREY = {"network.channels": [64, 64, 128, 192]}  # both files together are to stay below 8 MB
SIDE = 160  # 481×321 pixels, the size in BSDS500, hold six such tiles


def tiles(photos: list[Path], planes: int) -> Iterator[tuple[str, np.ndarray]]:
    """Named squares of all photographs, uint8 (1, SIDE, SIDE, planes); they do not overlap."""
    for path in images.find([str(folder) for folder in photos]):
        pixels = images.read(path).pixels
        if planes == 1:
            pixels = luma(pixels)
        _, height, width, _ = pixels.shape
        for top in range(0, height - SIDE + 1, SIDE):
            for left in range(0, width - SIDE + 1, SIDE):
                square = pixels[:, top : top + SIDE, left : left + SIDE]
                yield f"{path.stem} {top} {left}", square


def luma(pixels: np.ndarray) -> np.ndarray:
    """RGB as grey, rounded: the weights of ITU-R BT.601, as the grey test sets were made."""
    grey = pixels.astype(np.float64) @ [0.298936, 0.587043, 0.114021]
    return np.rint(grey)[..., None].astype(np.uint8)


def recipe_in(path: Path | None, planes: int, lines: dict[str, Any] | None = None) -> Recipe:
    """A recipe file, or ours for pictures of so many planes."""
    own = GREY if path is None and planes == 1 else {}
    return Recipe.read(path or RECIPE, own | (lines or {}))


def show(progress: Progress) -> None:
    """A line a validation."""
    if progress.validated:
        left = progress.seconds_left / 60
        print(
            f"step {progress.step}  {progress.used:.1%}  loss {progress.loss}"
            f"  gain {progress.gain.value:.3f} dB  {left:.0f} min left",
            flush=True,
        )


def install(models: list[Path]) -> None:
    """Weights and cards of trained models as the package carries them."""
    for model in models:
        if (model / descriptor.CARD).exists():
            known = descriptor.read_card(model)
            chain, place = descriptor.chain_of(model, known), descriptor.BUNDLED / "noisy"
            descriptor.write_descriptor(place, chain, known, half=True)
            size = (place / checkpoint.WEIGHTS).stat().st_size
            print(f"{model} is now the bundled descriptor noisy: {size:,} bytes")
            continue
        card = checkpoint.read_card(model)
        name = {planes: name for name, planes in checkpoint.BUNDLED.items()}[card.planes]
        place = checkpoint.located(name)
        checkpoint.create(place)
        tensors, about = checkpoint.load_tensors(model / checkpoint.WEIGHTS)
        half = {key: value.half() for key, value in tensors.items()}
        checkpoint.save_tensors(place / checkpoint.WEIGHTS, half, about)
        card = dataclasses.replace(card, provenance={**card.provenance, "blind": True})
        checkpoint.write_card(place, card)
        size = (place / checkpoint.WEIGHTS).stat().st_size
        print(f"{model} is now the bundled {name}: {size:,} bytes")


@torch.no_grad()
def grow(model: Path, recipe: Recipe, place: Path) -> None:
    """Write to `place` the recipe's network, larger than that of `model`, and saying what it says.

    Channels that are new are drawn and those that were there do not read them; of a new block the
    second convolution is zero (Chen et al. 2016, "Net2Net", do the same by copies).
    """
    card = checkpoint.read_card(model)
    old, about = checkpoint.load_tensors(model / checkpoint.WEIGHTS)
    network = recipe.network(card.planes)
    recipe.init(network, torch.Generator().manual_seed(recipe.seed), 0.0)
    assert isinstance(network, DRUNetModule), "its blocks are what can be added"
    network.begin()
    new = network.state_dict()
    for layer, module in network.named_modules():
        if not isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            continue
        for name in (f"{layer}.weight", f"{layer}.bias"):
            if name in old:
                into, known = new[name], old[name].float()
                turned = isinstance(module, torch.nn.ConvTranspose2d) and known.ndim > 1
                if turned:
                    into, known = into.transpose(0, 1), known.transpose(0, 1)
                into[: len(known)] = 0
                into[tuple(slice(0, side) for side in known.shape)] = known
            elif layer.endswith(".two"):
                new[name].zero_()
    larger = dataclasses.replace(card.recipe, network=recipe.network)
    checkpoint.create(place)
    checkpoint.save_tensors(place / checkpoint.WEIGHTS, new, about)
    checkpoint.write_card(place, dataclasses.replace(card, recipe=larger))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=("colour", "grey", "grow", "install"))
    parser.add_argument("models", nargs="*", type=Path, help="of grow and install")
    parser.add_argument("--photos", nargs="+", type=Path, help="folders of photographs")
    parser.add_argument("--from", dest="begin", type=Path, help="a model to begin with")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--recipe", type=Path, help="instead of weights.toml beside this file")
    parser.add_argument("--budget", default="110m")
    parser.add_argument("--lr", type=float, help="instead of the recipe's")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    if asked.kind == "install":
        return install(asked.models)
    if asked.kind == "grow":
        if len(asked.models) != 1 or not asked.out:
            parser.error("grow takes one model, and --out")
        card = checkpoint.read_card(asked.models[0])
        return grow(asked.models[0], recipe_in(asked.recipe, card.planes), asked.out)
    if not asked.photos:
        parser.error("--photos is missing: folders of photographs to train on")
    out = asked.out or Path("build/weights") / asked.kind
    rate = {"lr": asked.lr} if asked.lr else {}
    planes = 3 if asked.kind == "colour" else 1
    recipe = recipe_in(asked.recipe, planes, {"budget": asked.budget} | rate)
    assert recipe.noise is not None, "the recipe has a noise"
    squares = dict(tiles(asked.photos, planes))
    shots = sources.open_source(squares, noise=recipe.noise, seed=recipe.seed)
    del squares
    resume = (out / "model.json").exists()
    train(
        shots, out=out, recipe=recipe, device=asked.device, resume=resume, begin=asked.begin,
        watch=show, tell=print,
    )  # fmt: skip
    return None


if __name__ == "__main__":
    main()
