"""What this machine is and has: precision it is fast in, memory that is free, how it is named."""

import contextlib
import os
import platform
import time
from typing import Literal

import psutil
import torch

Precision = Literal["auto", "float32", "bfloat16"]


def fast_in_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 products are done by units made for them, not imitated in software.

    On CPUs: AMX tiles, or AVX-512 dot products (both by oneDNN); on GPUs: CUDA 8.0 and up.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        found = torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_bf16_supported()
        return bool(found)
    return False


def resolve(precision: Precision, device: torch.device) -> Precision:
    """`auto` becomes what this device is fast in."""
    if precision != "auto":
        return precision
    return "bfloat16" if fast_in_bfloat16(device) else "float32"


def autocast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager:
    """A context in which convolutions run in `precision`; weights and sums stay float32."""
    if precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


class Threads:
    """As many threads as pay now, found by trying.

    All threads of a step wait for the slowest, spinning, so a core that another program holds
    slows all of them down, often by more than leaving it out would. So the thread counts are timed
    on a few steps each, again from time to time, and the fastest is kept.
    """

    TRIES = 4  # steps a count; the first, which also makes ready for it, is not counted
    SHARE = 0.05  # of the time that trying may take

    def __init__(self) -> None:
        self.most = torch.get_num_threads()
        fewer = (max(1, self.most - 1), max(1, self.most // 2))
        self.counts = list(dict.fromkeys((self.most, *fewer)))
        self.began = self.mark = time.perf_counter()
        self.taken: dict[int, list[float]] = {count: [] for count in self.counts}
        self.trying = len(self.counts) > 1
        self.rest = 0.0

    def stepped(self) -> None:
        """Call after each step."""
        now = time.perf_counter()
        if self.trying:
            self.taken[torch.get_num_threads()].append(now - self.mark)
            waiting = [n for n in self.counts if len(self.taken[n]) < self.TRIES]
            if waiting:
                torch.set_num_threads(waiting[0])
            else:
                self.choose(now)
        elif len(self.counts) > 1 and now - self.began > self.rest:
            self.began, self.trying = now, True
            self.taken = {count: [] for count in self.counts}
            torch.set_num_threads(self.counts[0])

    def start(self) -> None:
        """Call before each step: what lies between steps is not counted."""
        self.mark = time.perf_counter()

    def choose(self, now: float) -> None:
        """Keep the fastest count, by the mean: contention shows as rare, very long steps."""
        torch.set_num_threads(min(self.counts, key=lambda n: sum(self.taken[n][1:])))
        self.trying, self.rest, self.began = False, max(5.0, (now - self.began) / self.SHARE), now

    def restore(self) -> None:
        """As it was before."""
        torch.set_num_threads(self.most)


def free_memory(device: torch.device) -> int:
    """Bytes that can be taken now on `device`."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def describe(device: torch.device) -> dict[str, str | int]:
    """Device, processor, threads and versions: what a figure must be read with."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        "device": device.type,
        "name": name,
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def processor() -> str:
    """The processor's own name where the system tells it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
