"""A file that `noisepair export` wrote, opened and not yet believed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..models import Tileable
from ._torch import Runtime


@dataclass(frozen=True)
class Opened:
    """The card as text, the colour planes that the graph is for, and what makes a runtime of it."""

    path: Path
    card: str
    planes: int | None
    make: Callable[[Tileable], Runtime]

    def carried(self, facts: Tileable, planes: int) -> Runtime:
        """By its own runtime; InputError where the graph is not for pictures as the card says."""
        if self.planes != planes:
            raise InputError(
                f"{self.path} is damaged: its card says {planes} colour planes, and its graph does"
                " not take and give such pictures of any size. Write it again with `noisepair"
                " export`."
            )
        return self.make(facts)


def planes_of(shapes: list[list[int | None]]) -> int | None:
    """C, where one input and one output are (any, C, any, any); None for another graph.

    What comes out may be of planes that the graph does not tell.
    """
    match shapes:
        case [[None, int(planes), None, None], [None, out, None, None]] if out in (planes, None):
            return planes
    return None
