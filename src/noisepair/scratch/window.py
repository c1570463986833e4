"""Where a kernel looks: its size, step, border and gaps, along rows and along columns.

Along one axis, output p sees the inputs p·stride − padding + k·dilation for k = 0 … kernel − 1, so

    size out = ⌊(size in + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.
"""

from typing import NamedTuple

from torch import Size

from ..errors import InputError
from .module import Pair, pair


class Window(NamedTuple):
    """The four sizes as unfold and fold call them, each (rows, columns)."""

    kernel_size: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    @classmethod
    def of(
        cls,
        owner: str,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
    ) -> "Window":
        """Raises InputError for sizes that are none; `owner` is named in it."""
        return cls(
            pair(owner, "kernel_size", kernel_size, 1),
            pair(owner, "stride", stride, 1),
            pair(owner, "padding", padding, 0),
            pair(owner, "dilation", dilation, 1),
        )

    @property
    def reach(self) -> Pair:
        """How many pixels a kernel with its gaps spans."""
        rows, columns = zip(self.kernel_size, self.dilation, strict=True)
        return (rows[1] * (rows[0] - 1) + 1, columns[1] * (columns[0] - 1) + 1)

    def size_out(self, size: Size | Pair, owner: object) -> Pair:
        """The size of what comes out. Raises InputError where not one window fits."""
        room = [n + 2 * p for n, p in zip(size, self.padding, strict=True)]
        if any(n < span for n, span in zip(room, self.reach, strict=True)):
            raise InputError(
                f"{owner}: a kernel that spans {self.reach[0]}×{self.reach[1]} pixels does not fit"
                f" in a picture of {size[0]}×{size[1]} with padding {self.padding[0]} and"
                f" {self.padding[1]}. Give a larger picture, more padding or a smaller kernel."
            )
        steps = zip(room, self.reach, self.stride, strict=True)
        rows, columns = ((n - span) // step + 1 for n, span, step in steps)
        return rows, columns

    def size_in(self, size: Size | Pair) -> Pair:
        """The least input that gives this output: what a transposed convolution makes of it."""
        spans = zip(size, self.stride, self.padding, self.reach, strict=True)
        rows, columns = ((n - 1) * step - 2 * p + span for n, step, p, span in spans)
        return rows, columns

    def text(self) -> str:
        """The sizes that are not the usual ones, as they would be typed."""
        usual = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
        said = {name: one for name, one in self._asdict().items() if one != usual.get(name)}
        short = {name: one[0] if one[0] == one[1] else one for name, one in said.items()}
        return ", ".join(f"{name}={one}" for name, one in short.items())
