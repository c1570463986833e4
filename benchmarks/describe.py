"""Patches described a second: noisepair's bundled descriptor beside kornia's HardNet.

    pip install -r benchmarks/requirements.txt
    python benchmarks/describe.py [--json]

1,024 patches (B, 1, 32, 32) of values in [0, 1], batches of 512, interleaved, medians of five
rounds. kornia's HardNet as its users run it: eval, no gradients, float32; and in bfloat16 by
torch.autocast, to see what comes of the numbers and what of the network. Weights do not matter for
time. Ours: `Descriptor`, precision auto. Goal: 2.5 times, where the processor multiplies in
bfloat16. Times are of the processor: they add up what its cores do.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import kornia
import torch
from _rows import Row, told
from torch import nn

from noisepair.descriptors import Descriptor
from noisepair.descriptors.descriptor import Chain, DescriptorCard
from noisepair.descriptors.networks import HardNet, Network, Quick
from noisepair.models import Scale

PATCHES, BATCH, ROUNDS = 1024, 512, 5


def described(model: nn.Module, patches: torch.Tensor, *, half: bool = False) -> float:
    """Processor seconds for all patches."""
    began = time.process_time()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        for part in patches.split(BATCH):
            model(part)
    return time.process_time() - began


def fresh(network: Network) -> Descriptor:
    card = DescriptorCard(network, None, Scale(), {})
    return Descriptor(Chain(card), card)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="a list of rows instead of a table")
    asked = parser.parse_args()
    patches = torch.rand((PATCHES, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    ours = {"hardnet": fresh(HardNet()), "quick": fresh(Quick())}
    theirs: nn.Module = kornia.feature.HardNet(pretrained=False).eval()
    runs: dict[str, Callable[[], float]] = {
        "kornia HardNet": lambda: described(theirs, patches),
        "kornia HardNet, bfloat16": lambda: described(theirs, patches, half=True),
        "noisepair hardnet": lambda: described(ours["hardnet"], patches),
        "noisepair quick": lambda: described(ours["quick"], patches),
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(ROUNDS + 1):
        for name, run in runs.items():
            seconds = run()
            if turn:  # the first is to warm up
                taken[name].append(seconds)
    cost = {name: statistics.median(times) for name, times in taken.items()}
    slowest = cost["kornia HardNet"]
    rows = [
        Row(f"{name} ÷ kornia HardNet, patches a second", round(slowest / seconds, 2), "higher",
            2.5 if name == "noisepair quick" else None,
            {"patches a second of one core": round(PATCHES / seconds)})
        for name, seconds in cost.items()
    ]  # fmt: skip
    told(f"Descriptors, kornia {kornia.__version__}", rows, plain=asked.json)


if __name__ == "__main__":
    main()
