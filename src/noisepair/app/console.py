"""What all commands share: options, the device, and where words and results go.

Results go to standard output, as lines for people or as one JSON object; everything else, progress
first of all, goes to standard error.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from ..errors import InputError

if TYPE_CHECKING:
    import torch
    from rich.console import Console

SHARED = Group("Shared", sort_key=99)

AskedDevice = Literal["auto", "cpu", "cuda", "mps"]


@Parameter(name="*", group=SHARED)
@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of every command."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Print exactly one JSON object on standard output."""
    device: AskedDevice = "auto"
    """Where to compute; auto takes a GPU where there is one."""
    quiet: Annotated[bool, Parameter(negative="")] = False
    """No progress; results and errors only."""

    def say(self, *lines: str) -> None:
        """Words for a person who watches."""
        if not self.quiet:
            for line in lines:
                print(line, file=sys.stderr, flush=True)

    def result(self, lines: str, plain: Mapping[str, Any]) -> None:
        """What the command came to: `lines` for a person, or `plain` for a program."""
        print(json.dumps(dict(plain), allow_nan=False) if self.json else lines, flush=True)

    def console(self) -> "Console":
        """Standard error as rich sees it; quiet where that was asked."""
        from rich.console import Console

        return Console(stderr=True, quiet=self.quiet, highlight=False)

    def torch_device(self, *, cpu: bool = False) -> "torch.device":
        """The device to use, with `cpu` that if none was asked for.

        InputError where the one asked for is not there.
        """
        import torch

        there = {
            "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(),
            "cpu": True,
        }
        if self.device == "auto" and cpu:
            return torch.device("cpu")
        if self.device == "auto":
            return torch.device(next(name for name, found in there.items() if found))
        if not there[self.device]:
            found = ", ".join(name for name, here in there.items() if here)
            raise InputError(
                f"--device {self.device} was asked for and this machine has none that torch"
                f" {torch.__version__} can use. Available: {found}."
            )
        return torch.device(self.device)


def span(seconds: float) -> str:
    """A time as people say it.

    >>> span(4.2), span(75.0), span(3700.0)
    ('4 s', '1 min 15 s', '1 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
