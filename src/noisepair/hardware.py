"""What this machine is and has: precision it is fast in, memory that is free, how it is named."""

import contextlib
import os
import platform
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
