"""The runtimes beside one another: torch, OpenVINO and onnxruntime on this CPU (docs/export.md).

    python benchmarks/runtimes.py                              the whole of it
    python benchmarks/runtimes.py --sides 512x512 --rounds 3   a small run
    python benchmarks/runtimes.py --json                       … for a program

Two networks: the bundled weights for colour, and the default U-Net of two-shot training, its
weights drawn. Speed: from uint8 to uint8 in one call as a user makes it, in turn in one process,
medians. Quality: a few pictures of CBSD68, sigma 25/255, clipped and rounded to 8 bits, denoised
ones 8 bits too, mean of the pictures' PSNR against the clean ones, range 255; they come from the
folder that NOISEPAIR_DATA names. Start: whole processes that load the model and denoise one picture
of 321×481, in turn; what OpenVINO takes longer is its start, and divided by what it saves for each
megapixel, it tells how many pixels pay for it (`runtimes.WORTH` is what is taken for that).

Aims: OpenVINO is never slower than torch; bfloat16 and another runtime change no mean PSNR by more
than 0.02 dB; one small picture takes no longer where OpenVINO may be chosen than where it may not.
"""

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from _rows import Row, interleaved, told
from pareto import LEVEL, SET, forced, noisy
from weights import SETS

from noisepair import checkpoint, hardware, images
from noisepair.checkpoint import Card
from noisepair.denoise import Denoiser
from noisepair.errors import InputError
from noisepair.export import export
from noisepair.metrics import psnr
from noisepair.models import Scale
from noisepair.optim import Kaiming
from noisepair.recipe import Recipe
from noisepair.runtimes import WORTH

MOST = 0.02  # dB
FIRST = (321, 481)
# A process of its own: a model, a runtime, a picture of FIRST.
ALONE = """
import sys
import numpy as np
import torch
torch.set_num_threads(int(sys.argv[3]))
from noisepair.denoise import Denoiser
Denoiser.load(sys.argv[1], runtime=sys.argv[2]).pages(np.load(sys.argv[4])[None])
"""

Way = tuple[str, str]  # runtime and precision
Ways = dict[Way, Denoiser]


def drawn(folder: Path) -> Path:
    """A model folder: the default U-Net, not trained."""
    recipe = Recipe(steps=1)
    network = recipe.network(3)
    Kaiming()(network, torch.Generator().manual_seed(0), network.slope)
    checkpoint.create(folder)
    checkpoint.write_card(folder, Card(recipe, 3, Scale(), {}))
    checkpoint.save_tensors(folder / checkpoint.WEIGHTS, network.state_dict(), {})
    return folder


def ways(model: Path, place: Path) -> Ways:
    """The model by each runtime that is installed, in each precision that it and this CPU have."""
    found: Ways = {}
    for precision in ("float32", "bfloat16"):
        if precision == "float32" or hardware.fast_in_bfloat16(torch.device("cpu")):
            for runtime in ("torch", "openvino"):
                if find_spec(runtime):
                    loaded = Denoiser.load(model, runtime=runtime)
                    found[runtime, precision] = forced(loaded, precision)
    if all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))):
        export(model, onnx=place)
        found["onnx", "float32"] = Denoiser.load(place)
    return found


def speed(every: Ways, height: int, width: int, rounds: int) -> dict[Way, float]:
    """Seconds a megapixel."""
    picture = noisy(height, width)
    calls = {" ".join(way): partial(one, picture, channel_axis=-1) for way, one in every.items()}
    taken = interleaved(calls, rounds, warm=1)
    return {way: taken[" ".join(way)] / (height * width / 1e6) for way in every}


def faster(name: str, taken: dict[Way, float]) -> list[Row]:
    """A row a precision and other runtime: how many times as fast as torch."""
    rows = []
    for (runtime, precision), ours in taken.items():
        theirs = taken["torch", precision]
        if runtime != "torch":
            rows.append(
                Row(f"{name}, {precision}: {runtime} / torch", theirs / ours, "higher",
                    1.0 if runtime == "openvino" else None,
                    {"torch MPix/s": round(1 / theirs, 3), f"{runtime} MPix/s": round(1 / ours, 3)})
            )  # fmt: skip
    return rows


def quality(every: Ways, count: int) -> list[Row]:
    """Squared errors as ratios; 0.02 dB are 1.0046."""
    places = np.linspace(0, len(SETS[SET].files()) - 1, count).round().astype(int)
    shots = [SETS[SET].shot(int(place), LEVEL) for place in places]
    known = {}
    for way, denoiser in every.items():
        results = [denoiser(images.from_unit(shot, np.uint8), channel_axis=-1) for shot, _ in shots]
        pairs = zip(results, shots, strict=True)
        known[way] = float(np.mean([psnr(one / 255, clean, 1) for one, (_, clean) in pairs]))
    rows = []
    for runtime, precision in every:
        others = {(runtime, "float32"), ("torch", precision)} - {(runtime, precision)}
        for other in sorted(others):
            less = known[other] - known[runtime, precision]
            rows.append(
                Row(f"squared error, {runtime} {precision} / {' '.join(other)}", 10 ** (less / 10),
                    "lower", 10 ** (MOST / 10),
                    {"dB": round(known[runtime, precision], 4), "difference dB": round(-less, 4),
                     "pictures": count})
            )  # fmt: skip
    return rows


def start(name: str, model: Path, place: Path, saved: float, rounds: int) -> list[Row]:
    """The first picture in a process of its own; `saved`: seconds that OpenVINO saves a megapixel.

    Of the largest of the pictures, in the precision that 8 bits have here.
    """
    np.save(place, noisy(512, 512)[: FIRST[0], : FIRST[1]])
    threads = str(torch.get_num_threads())

    def alone(runtime: str) -> None:
        command = [sys.executable, "-c", ALONE, str(model), runtime, threads, str(place)]
        subprocess.run(command, check=True)

    taken = interleaved(
        {one: partial(alone, one) for one in ("torch", "auto", "openvino")}, rounds, warm=1
    )
    more = {one: f"{seconds:.2f} s" for one, seconds in taken.items()}
    longer = taken["openvino"] - taken["torch"]
    pays = longer / saved if saved > 0 else float("inf")
    said = {"start": f"{longer:.2f} s", "saved a MPix": f"{saved:.3f} s", "MPix": round(pays, 1)}
    return [
        Row(f"{name}, first picture, auto / torch", taken["auto"] / taken["torch"], "lower", 1.1,
            more),
        Row(f"{name}, pixels that pay for OpenVINO's start / {WORTH:,}", 1e6 * pays / WORTH,
            "lower", None, said),
    ]  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sides", nargs="+", default=["512x512", "2048x1536"], metavar="HxW")
    parser.add_argument("--rounds", type=int, default=7, help="after one that is not counted")
    parser.add_argument("--pictures", type=int, default=6, help=f"of {SET}; 0 for none")
    parser.add_argument("--threads", type=int, default=0, help="of all runtimes")
    parser.add_argument("--json", action="store_true", help="a list of rows instead of a table")
    asked = parser.parse_args()
    sides = []
    for text in asked.sides:
        height, _, width = text.partition("x")
        if not (height.isdigit() and width.isdigit()) or min(int(height), int(width)) < 512:
            raise InputError(
                f"--sides {text} is no size. Give HEIGHTxWIDTH, from 512x512 on, which is that of"
                " the picture."
            )
        sides.append((int(height), int(width)))
    asked.sides = sides
    if asked.rounds < 1 or asked.pictures < 0:
        raise InputError(
            f"--rounds {asked.rounds} and --pictures {asked.pictures} are no counts. Give 1 or"
            " more, and 0 or more."
        )
    return asked


def main() -> None:
    asked = arguments()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {"colour": checkpoint.located("colour"), "U-Net": drawn(folder / "unet")}
        for number, (called, model) in enumerate(models.items()):
            every = ways(model, folder / f"{number}.onnx")
            for height, width in asked.sides:
                taken = speed(every, height, width, asked.rounds)
                rows += faster(f"{called}, {height}×{width}", taken)
            if called == "colour" and asked.pictures:
                rows += quality(every, asked.pictures)
            if find_spec("openvino"):
                usual = every["torch", "float32"].runtime.precision("auto", np.dtype("uint8"))
                saved = taken["torch", usual] - taken["openvino", usual]
                rows += start(called, model, folder / "first.npy", saved, asked.rounds)
    told("The runtimes on this CPU", rows, plain=asked.json)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"runtimes.py: {error}")
