"""A training step by hand and by PyTorch: batch 100 of 32×32 RGB, float32, two threads.

Forward, mean squared error, backward, SGD, of the network that EE-559 prescribes (conv stride 2 and
ReLU, twice; upsampling, conv, ReLU; upsampling, conv, sigmoid) in three widths, and of a U-Net with
one convolution a level in two; then Conv2d alone, forward and backward. The other is eager PyTorch
from the same weights in its two memory formats; the faster is its best. All take turns in one
process; medians. Peak memory: what resident memory grows by over five steps, each contender in a
process of its own.

Floor, in multiply-adds of the products: 1.52 G a step for 48-48-48 by hand (upsampling and
convolution are one product), 2.45 G as PyTorch does it.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import torch
from _rows import Row, interleaved, milliseconds, show
from torch import Tensor, nn

from noisepair import scratch

BATCH, SIDE, PLANES, LR = 100, 32, 3, 0.1
GOALS: dict[str, tuple[float | None, float | None]] = {  # to the best, to NCHW
    "48-48-48": (0.75, 0.5),
    "32-64-32": (0.9, 0.5),
    "16-32-16": (1.0, 0.57),
    "U-Net 16-32-64": (1.25, None),
    "U-Net 32-64-128": (None, None),
}
LAYERS = {16: None, 32: None, 48: None, 64: 0.95, 96: 0.8}
FRESH = 39  # MB: what a layer of 96 planes makes of the batch
Step = Callable[[], object]


class Cat(nn.Module):
    """A level of the U-Net in torch: pool, the levels below, upsampling, join."""

    def __init__(self, encode: nn.Module, inner: nn.Module, decode: nn.Module):
        super().__init__()
        self.encode, self.inner, self.decode = encode, inner, decode
        self.pool, self.up = nn.AvgPool2d(2), nn.Upsample(scale_factor=2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.encode(x)
        return self.decode(torch.cat((self.up(self.inner(self.pool(h))), h), 1))


def block(planes_in: int, planes_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(planes_in, planes_out, 3, padding=1), nn.ReLU(inplace=True))


def widths(name: str) -> tuple[int, int, int]:
    """Channels: of 48-48-48, or U-Net 16-32-64."""
    one, two, three = map(int, name.split()[-1].split("-"))
    return one, two, three


def torch_network(name: str) -> nn.Module:
    if name.startswith("U-Net"):
        one, two, three = widths(name)
        deep = Cat(block(one, two), block(two, three), block(two + three, two))
        whole = Cat(block(3, one), deep, block(one + two, one))
        return nn.Sequential(whole, nn.Conv2d(one, 3, 3, padding=1))
    one, two, three = widths(name)
    return nn.Sequential(
        nn.Conv2d(3, one, 3, 2, 1), nn.ReLU(inplace=True),
        nn.Conv2d(one, two, 3, 2, 1), nn.ReLU(inplace=True),
        nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(two, three, 3, padding=1)),
        nn.ReLU(inplace=True),
        nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(three, 3, 3, padding=1)),
        nn.Sigmoid(),
    )  # fmt: skip


def our_network(name: str) -> scratch.Module:
    relu = scratch.ReLU(inplace=True)

    def conv(planes_in: int, planes_out: int) -> scratch.Module:
        return scratch.Sequential(
            scratch.Conv2d(planes_in, planes_out, 3, padding=1), scratch.ReLU(inplace=True)
        )

    def level(encode: scratch.Module, inner: scratch.Module, low: int, skip: int, out: int):  # type: ignore[no-untyped-def]
        join = scratch.Joined(low, skip, out, 3, padding=1)
        return scratch.UNetLevel(
            encode, scratch.AvgPool2d(2), inner, join, scratch.ReLU(inplace=True)
        )

    one, two, three = widths(name)
    if name.startswith("U-Net"):
        deep = level(conv(one, two), conv(two, three), three, two, two)
        whole = level(conv(3, one), deep, two, one, one)
        net = scratch.Sequential(whole, scratch.Conv2d(one, 3, 3, padding=1))
    else:
        net = scratch.Sequential(
            scratch.Conv2d(3, one, 3, 2, 1), relu,
            scratch.Conv2d(one, two, 3, 2, 1), scratch.ReLU(inplace=True),
            scratch.Upsampling(two, three, 3, padding=1), scratch.ReLU(inplace=True),
            scratch.Upsampling(three, 3, 3, padding=1), scratch.Sigmoid(),
        )  # fmt: skip
    scratch.without_first_gradient(net)
    return net


def pictures(order: torch.memory_format) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    both = torch.rand(2, BATCH, PLANES, SIDE, SIDE, generator=rng)
    noisy, target = (side.contiguous(memory_format=order) for side in both)
    return noisy, target


def torch_step(name: str, order: torch.memory_format) -> Step:
    torch.manual_seed(0)
    network = torch_network(name).to(memory_format=order)  # type: ignore[call-overload]
    optimizer, loss = torch.optim.SGD(network.parameters(), lr=LR), nn.MSELoss()
    noisy, target = pictures(order)

    def step() -> None:
        optimizer.zero_grad()
        loss(network(noisy), target).backward()
        optimizer.step()

    return step


def our_step(name: str) -> Step:
    torch.manual_seed(0)
    network, loss = our_network(name), scratch.MSE()
    theirs = list(torch_network(name).parameters())
    copy_by_order(network, theirs)
    optimizer = scratch.SGD(network.param(), lr=LR)
    noisy, target = pictures(torch.channels_last)
    arena = scratch.Arena()

    def step() -> None:
        with torch.no_grad(), scratch.reusing(arena):
            optimizer.zero_grad()
            loss.forward(network.forward(noisy), target)
            network.backward(loss.backward())
            optimizer.step()

    return step


def copy_by_order(network: scratch.Module, theirs: list[nn.Parameter]) -> None:
    """Equal weights: parameters of one shape meet in the order in which they stand."""
    rest = [value.detach() for value in theirs]
    for value, _ in network.param():
        match = next(i for i, one in enumerate(rest) if one.shape == value.shape)
        value.copy_(rest.pop(match))
    assert not rest, "as many parameters on both sides"


def layer_steps(planes: int) -> dict[str, Step]:
    """Conv2d 3×3, forward and backward, without an optimizer."""
    rng = torch.Generator().manual_seed(0)
    x, d_out = torch.randn(2, BATCH, planes, SIDE, SIDE, generator=rng)
    ours = scratch.Conv2d(planes, planes, 3, padding=1, generator=rng)

    def by_torch(order: torch.memory_format) -> Step:
        layer = nn.Conv2d(planes, planes, 3, padding=1).to(memory_format=order)  # type: ignore[call-overload]
        here = x.clone(memory_format=order).requires_grad_()
        slope = d_out.clone(memory_format=order)

        def step() -> None:
            here.grad = layer.weight.grad = layer.bias.grad = None
            layer(here).backward(slope)

        return step

    here, slope = (one.clone(memory_format=torch.channels_last) for one in (x, d_out))
    arena = scratch.Arena()

    def by_hand() -> None:
        with torch.no_grad(), scratch.reusing(arena):
            ours.zero_grad()
            ours.forward(here)
            ours.backward(slope)

    return {
        "ours": by_hand,
        "NCHW": by_torch(torch.contiguous_format),
        "channels_last": by_torch(torch.channels_last),
    }


def steps(name: str) -> dict[str, Step]:
    return {
        "ours": our_step(name),
        "NCHW": torch_step(name, torch.contiguous_format),
        "channels_last": torch_step(name, torch.channels_last),
    }


def memory(name: str, who: str) -> float:
    """MB by which resident memory grows at most, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, name, who], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def peak(name: str, who: str) -> float:
    """What `memory` runs: five steps, and how far they push the peak of resident memory."""
    step = steps(name)[who]

    def most() -> int:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    before = most()
    for _ in range(5):
        step()
    return (most() - before) / 1024


def fresh_memory(rounds: int) -> Row:
    """What it costs that an output lies in memory that no one has written before."""
    numbers = FRESH * 2**18
    used = torch.empty(numbers)
    taken = interleaved(
        {"fresh": lambda: torch.empty(numbers).fill_(1.0), "used": lambda: used.fill_(1.0)}, rounds
    )
    times = {who: milliseconds(seconds) for who, seconds in taken.items()}
    return Row(
        f"writing {FRESH} MB, used / fresh memory",
        taken["used"] / taken["fresh"],
        "lower",
        None,
        times,
    )


def rows() -> Iterator[Row]:
    rounds = int(os.environ.get("ROUNDS", "15"))
    for name, (goal, plain_goal) in GOALS.items():
        taken = interleaved(steps(name), rounds)
        best = min(taken["NCHW"], taken["channels_last"])
        times = {who: milliseconds(seconds) for who, seconds in taken.items()}
        yield Row(
            f"step {name}, ours / torch at its best", taken["ours"] / best, "lower", goal, times
        )
        yield Row(
            f"step {name}, ours / torch as it comes (NCHW)", taken["ours"] / taken["NCHW"], "lower",
            plain_goal,
        )  # fmt: skip
        grown = {who: memory(name, who) for who in ("ours", "NCHW", "channels_last")}
        least = min(grown["NCHW"], grown["channels_last"])
        said = {who: f"{mb:.0f} MB" for who, mb in grown.items()}
        yield Row(f"peak memory {name}, ours / torch", grown["ours"] / least, "lower", 1.0, said)
    yield fresh_memory(rounds)
    for planes, limit in LAYERS.items():
        taken = interleaved(layer_steps(planes), max(3, rounds // 2))
        best = min(taken["NCHW"], taken["channels_last"])
        times = {who: milliseconds(seconds) for who, seconds in taken.items()}
        yield Row(
            f"Conv2d {planes}→{planes}, forward and backward, ours / torch at its best",
            taken["ours"] / best, "lower", limit, times,
        )  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(peak(sys.argv[1], sys.argv[2]))
    else:
        show("A training step by hand, batch 100 of 32×32", list(rows()))
