"""Quality against speed: ours and the others, one run, one machine (docs/weights.md).

    python benchmarks/pareto.py                            a table, and docs/weights/front.svg
    python benchmarks/pareto.py --models small=A large=B   other networks of ours as well
    python benchmarks/pareto.py --write docs/weights.md    … put the table between its marks
    python benchmarks/pareto.py --device cuda              ours on a GPU, with the share of its peak

Speed: megapixels a second of a 512×512 RGB picture (skimage's astronaut, sigma 25/255), from uint8
to uint8 in one call as a user makes it, all in one process, in turn, the best of the rounds: others
on the machine only make a round slower. A method that has taken --seconds is left out of later
rounds. Ours is also timed on 12 megapixels (3000×4000).

PSNR: sigma 25/255 on CBSD68, protocol of weights.py, on the pictures on which every method of
docs/weights/scores.jsonl has been scored; ours, in each precision and runtime, is scored here.

Aim: 0.4 dB above CBM3D at 450 times its speed, 12 megapixels in 2 s.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _methods import METHODS, chosen, opencv_stored
from _scores import mean, read, scores
from _tables import called, put, table
from skimage import data
from weights import SCORES, SETS, folders

from noisepair import files, hardware, images
from noisepair.app.figures import AFTER, BEFORE, INK, canvas, svg
from noisepair.denoise import Denoiser
from noisepair.errors import InputError
from noisepair.hardware import Precision
from noisepair.metrics import psnr
from noisepair.models.facts import facts

SET, LEVEL = "CBSD68", 25
FIGURE = Path("docs/weights/front.svg")
RIVAL = "BM3D"
DECIBELS, TIMES, SECONDS = 0.4, 450, 2.0  # what is aimed at
# Dense bfloat16 products, TFLOP/s, from the maker's data sheets.
PEAKS = {"H200": 989, "H100 PCIe": 756, "H100": 989, "A100": 312}
MARKS = {"float32": "o", "bfloat16": "s", "OpenVINO": "D"}

Call = Callable[[np.ndarray], np.ndarray]
Name = tuple[str, str]  # of a network or method, and the way that it is carried out
Calls = Mapping[Name, Call]


@dataclass(frozen=True)
class Point:
    """One contender."""

    network: str
    """the name of one of ours, or of another method"""
    way: str
    """precision or runtime of ours; empty for the others"""
    megapixels: float
    """a second, of 512×512 pixels"""
    psnr: float
    large: float = math.nan
    """seconds for 12 megapixels"""
    share: float = math.nan
    """of the peak of the device, on 12 megapixels"""

    @property
    def name(self) -> str:
        return f"{self.network}, {self.way}" if self.way else self.network


def noisy(height: int, width: int) -> np.ndarray:
    """A picture of that size, uint8, sigma 25/255."""
    clean = data.astronaut()
    whole = np.pad(clean, ((0, height - 512), (0, width - 512), (0, 0)), "symmetric")
    noise = np.random.default_rng(0).normal(0, LEVEL, whole.shape)
    return images.from_unit((whole + noise) / 255, np.uint8)


def ours(models: Mapping[str, Path], device: str) -> dict[Name, Denoiser]:
    """Each network in each precision and runtime that this machine is fast in."""
    found: dict[Name, Denoiser] = {}
    for name, folder in models.items():
        for precision in ("float32", "bfloat16"):
            if precision == "float32" or hardware.fast_in_bfloat16(torch.device(device)):
                loaded = Denoiser.load(folder, device, runtime="torch")
                found[name, precision] = forced(loaded, precision)
        if device == "cpu":
            try:
                found[name, "OpenVINO"] = Denoiser.load(folder, device, runtime="openvino")
            except InputError as error:  # it is not installed, for one
                print(f"left out: {error}", file=sys.stderr)
    return found


def forced(denoiser: Denoiser, precision: Precision) -> Denoiser:
    """For pictures of every type."""
    card = denoiser.card
    denoiser.card = replace(card, recipe=replace(card.recipe, precision=precision))
    return denoiser


def others() -> dict[Name, Call]:
    """From uint8 to uint8, told sigma."""

    def call(name: str, picture: np.ndarray) -> np.ndarray:
        if name == "OpenCV":
            return opencv_stored(picture, LEVEL * chosen(name, 3, LEVEL / 255))
        return images.from_unit(METHODS[name](picture / 255, LEVEL / 255), np.uint8)

    return {(name, ""): partial(call, name) for name in METHODS}


def timed(calls: Calls, picture: np.ndarray, rounds: int, most: float) -> dict[Name, float]:
    """Seconds of the quickest call of each; the first round of two or more warms up."""
    best = dict.fromkeys(calls, math.inf)
    spent = dict.fromkeys(calls, 0.0)
    for turn in range(rounds):
        for name, call in calls.items():
            if spent[name] < most:
                began = time.perf_counter()
                call(picture)
                taken = time.perf_counter() - began
                spent[name] += taken
                if turn or rounds == 1 or spent[name] >= most:
                    best[name] = min(best[name], taken)
    return best


def common(path: Path, most: int) -> dict[int, str]:
    """The pictures, by their place in the set, that all other methods have scores for."""
    lines = read(path)
    known = [scores(lines, SET, LEVEL, name) for name in METHODS]
    every = [SETS[SET].name(file) for file in SETS[SET].files()]
    both = {n: name for n, name in enumerate(every) if all(name in one for one in known)}
    if not both:
        raise InputError(f"{path} has no picture of {SET} that all have. Run weights.py first.")
    step = max(1, math.ceil(len(both) / most))
    return dict(list(both.items())[::step])


def quality(denoiser: Denoiser, pictures: Mapping[int, str]) -> float:
    """Mean PSNR over some pictures of the set."""
    found = []
    for place in pictures:
        shot, clean = SETS[SET].shot(place, LEVEL)
        result = denoiser(shot.astype(np.float32), channel_axis=-1)
        found.append(psnr(np.clip(result, 0, 1, dtype=np.float64), clean, 1))
    return mean(found)


def peak(device: str) -> float:
    """TFLOP/s in bfloat16 of a GPU that is known; nan of any other."""
    name = torch.cuda.get_device_name() if device == "cuda" else ""
    return next((value for part, value in PEAKS.items() if part in name), math.nan)


def points(asked: argparse.Namespace, pictures: Mapping[int, str]) -> list[Point]:
    """Every contender, measured."""
    models = {"ours": folders(asked.model, ["colour"])["colour"]}
    models |= dict(pair(one) for one in asked.models)
    networks = ours(models, asked.device)
    calls = {name: partial(one, channel_axis=-1) for name, one in networks.items()}
    small, large = noisy(512, 512), noisy(3000, 4000)
    taken = timed(calls | others(), small, asked.rounds, asked.seconds)
    long = timed(calls, large, 3, asked.seconds)
    lines = read(asked.scores)
    result = []
    for name, seconds in taken.items():
        speed, network = small.size / 3e6 / seconds, networks.get(name)
        if network is None:
            theirs = scores(lines, SET, LEVEL, name[0])
            known = mean(theirs[one] for one in pictures.values())
            result.append(Point(called(name[0], [SET]), "", speed, known))
            continue
        work = 0.0
        if network.runtime.name == "torch":
            work = 2 * facts(network.network, 3).multiply_adds * large.size / 3
        share = work / long[name] / 1e12 / peak(asked.device) if work else math.nan
        result.append(Point(*name, speed, quality(network, pictures), long[name], share))
    return sorted(result, key=lambda point: point.megapixels)


def pair(one: str) -> tuple[str, Path]:
    """NAME=FOLDER."""
    name, equals, folder = one.partition("=")
    if not equals:
        raise InputError(f"{one!r} names no folder. Give NAME=FOLDER.")
    return name, Path(folder)


def front(every: Sequence[Point]) -> list[Point]:
    """Those than which none is both quicker and better, quickest last."""
    return [
        one
        for one in every
        if not any(
            other.megapixels >= one.megapixels and other.psnr >= one.psnr and other != one
            for other in every
        )
    ]


def text(every: Sequence[Point], pictures: int, device: str) -> str:
    """Markdown: the machine, the table, the aims."""
    rival = next(point for point in every if point.name == f"C{RIVAL}")
    best = front(every)
    shares = any(math.isfinite(point.share) for point in every)
    rows = []
    for one in every:
        row = [
            f"**{one.name}**" if one in best else one.name,
            f"{one.megapixels:.3g}",
            f"{one.megapixels / rival.megapixels:.3g}",
            f"{one.psnr:.2f}",
            signed(one.psnr - rival.psnr),
            "–" if math.isnan(one.large) else f"{one.large:.2f} s",
        ]
        if shares:
            row.append("–" if math.isnan(one.share) else f"{one.share:.1%}")
        rows.append(row)
    head = ["", "MPix/s", f"× C{RIVAL}", f"{SET} {LEVEL}, dB", f"less C{RIVAL}", "12 MPix"]
    machine = hardware.describe(torch.device(device))
    where = (
        f"{date.today()}, {machine['name']}, {machine['threads']} torch threads of"
        f" {machine['cores']} cores, torch {machine['torch']}, PSNR on {pictures} of 68 pictures."
        " In bold: the front."
    )
    heads = [*head, "of the bfloat16 peak"] if shares else head
    return "\n\n".join([where, table(heads, rows), aims(every, rival)])


def signed(decibels: float) -> str:
    return f"{decibels:+.2f}".replace("-", "−")


def aims(every: Sequence[Point], rival: Point) -> str:
    """What is aimed at, each by the quickest of ours that is good enough in PSNR, if one is."""
    mine = [one for one in every if one.way]
    good = [one for one in mine if one.psnr >= rival.psnr + DECIBELS]
    one = max(good or mine, key=lambda point: point.megapixels if good else point.psnr)
    times = one.megapixels / rival.megapixels
    said = [
        (f"{signed(one.psnr - rival.psnr)} dB (aim {DECIBELS:+})", bool(good)),
        (f"{times:.0f} times its speed (aim {TIMES})", times >= TIMES),
        (f"12 megapixels in {one.large:.2f} s (aim {SECONDS:g})", one.large <= SECONDS),
    ]
    parts = (f"{what}: {'met' if met else 'missed'}" for what, met in said)
    return f"{one.name}, against C{RIVAL}: {'; '.join(parts)}."


def drawn(every: Sequence[Point]) -> str:
    """The picture of the front, as SVG."""
    from matplotlib.ticker import FuncFormatter

    figure, (axes,) = canvas(5.6, 3.6, 1)
    best = front(every)
    axes.plot([one.megapixels for one in best], [one.psnr for one in best], color=INK, lw=1,
              alpha=0.4, zorder=1)  # fmt: skip
    named = {one.network: one for one in every}  # the quickest way of each network
    for one in every:
        colour = AFTER if one.way else BEFORE
        label = one.way if one.way and one.network == "ours" else None
        axes.plot(one.megapixels, one.psnr, MARKS.get(one.way, "o"), ms=6, color=colour,
                  ls="none", label=label, zorder=2)  # fmt: skip
        if named[one.network] is one:
            above = 7 if one.network == "ours" or not one.way else -16  # other networks of ours
            axes.annotate(one.network, (one.megapixels, one.psnr), (0, above), ha="center",
                          textcoords="offset points", fontsize=8, color=INK)  # fmt: skip
    axes.legend(frameon=False, labelcolor=INK, title="ours", alignment="left", fontsize=8,
                loc="lower left")  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.margins(0.08, 0.14)
    axes.set_xlabel("megapixels a second")
    axes.set_ylabel(f"PSNR (dB), {SET}, sigma {LEVEL}")
    return svg(figure)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--model", nargs="+", default=[], metavar="KIND=FOLDER", help="default: bundled weights"
    )
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--pictures", type=int, default=68, help=f"of {SET}, at most")
    parser.add_argument("--rounds", type=int, default=7, help="the first is not counted")
    parser.add_argument("--seconds", type=float, default=60, help="for one method, about")
    parser.add_argument("--threads", type=int, default=0, help="of torch and OpenCV")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--scores", type=Path, default=SCORES, metavar="FILE")
    parser.add_argument("--figure", type=Path, default=FIGURE, metavar="FILE")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into a page")
    parser.add_argument("--json", action="store_true", help="a list of points instead of a table")
    asked = parser.parse_args()
    for what in ("pictures", "rounds"):
        if getattr(asked, what) < 1:
            raise InputError(f"--{what} {getattr(asked, what)} is no count. Give 1 or more.")
    if asked.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU here. Leave --device out.")
    return asked


def main() -> None:
    asked = arguments()
    if asked.threads:
        import cv2

        torch.set_num_threads(asked.threads)
        cv2.setNumThreads(asked.threads)
    pictures = common(asked.scores, asked.pictures)
    every = points(asked, pictures)
    files.write(asked.figure, (drawn(every) + "\n").encode())
    if asked.json:
        machine = hardware.describe(torch.device(asked.device))
        print(json.dumps([{**asdict(one), "machine": machine} for one in every]))
        return
    page = text(every, len(pictures), asked.device)
    if asked.write:
        put(asked.write, "front", page)
    else:
        print(page)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"pareto.py: {error}")
