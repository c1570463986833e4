"""Pictures made smaller by keeping one pixel of many."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Generator, Tensor

from ._model import STRICT, Model


@dataclass(frozen=True, config=STRICT)
class PointSampling(Model):
    """y = one pixel, drawn at random, of the cell of the larger picture whose average is x.

    Rows and columns that fill no cell are cut off. Zero-mean, and clipping changes nothing. This is
    the noise of the course EE-559 (EPFL, 2022).
    """

    cell: Annotated[int, Field(ge=2, le=256)] = 8
    """pixels on a side of the cell that becomes one pixel"""
    kind: Literal["point"] = "point"

    @property
    def shrinks(self) -> int:
        return self.cell

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        cells = self.cells(clean)
        index = torch.randint(
            self.cell**2, (*cells.shape[:-2], 1, 1), generator=rng, device=clean.device
        )
        return torch.take_along_dim(cells, index, dim=-2).squeeze(-2)

    def clean(self, picture: Tensor) -> Tensor:
        return self.cells(picture).mean(-2)

    def cells(self, picture: Tensor) -> Tensor:
        """(…, H, W, C) as (…, H // cell, W // cell, cell², C)."""
        side = self.cell
        rows, columns = (size // side for size in picture.shape[-3:-1])
        whole = picture[..., : rows * side, : columns * side, :]
        apart = whole.unflatten(-2, (columns, side)).unflatten(-4, (rows, side))
        return apart.movedim(-4, -3).flatten(-3, -2)
