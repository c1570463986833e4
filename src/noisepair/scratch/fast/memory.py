"""Memory for the fast path: buffers used again, and the windows of pictures gathered into them.

Fresh memory costs more than arithmetic: its pages are mapped one by one when they are first
written, which took nine times the writing itself (benchmarks/scratch_step.py). Buffers are of one
thread each, and nothing that outlives a call is kept in one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from threading import local
from typing import Any

from jaxtyping import Float
from torch import Tensor, inference_mode

from ..module import Pair
from ..window import Window

PIECE = 3 * 2**20  # bytes of gathered windows on a CPU: they are read again from the cache
PIECE_ELSEWHERE = 2**28  # on a GPU large pieces keep all of it busy
FRAMES = 32  # shapes of framed pictures that are remembered

HELD = local()


def held() -> dict[Any, Tensor]:
    """This thread's buffers."""
    if not hasattr(HELD, "tensors"):
        HELD.tensors = {}
    return HELD.tensors


def buffer(name: str, numbers: int, like: Tensor) -> Tensor:
    """That many numbers of any value, in memory that is used again under this name."""
    tensors, key = held(), (name, like.dtype, like.device)
    if key not in tensors or tensors[key].numel() < numbers:
        with inference_mode(False):  # else it could not be written outside of it
            tensors[key] = like.new_empty(numbers)
    return tensors[key][:numbers]


class Arena:
    """Memory for all that one training step makes, handed out in order and never given back."""

    def __init__(self) -> None:
        self.blocks: dict[Any, Tensor] = {}  # by type and device
        self.begin()

    def begin(self) -> None:
        """What was handed out is free again; blocks that were too small become large enough."""
        for key, numbers in getattr(self, "asked", {}).items():
            if key not in self.blocks or self.blocks[key].numel() < numbers:
                self.blocks.pop(key, None)  # before the larger one is made
                with inference_mode(False):
                    self.blocks[key] = self.like[key].new_empty(numbers)
        self.asked: dict[Any, int] = {}
        self.like: dict[Any, Tensor] = {}

    def take(self, numbers: int, like: Tensor) -> Tensor | None:
        key = (like.dtype, like.device)
        start = self.asked.get(key, 0)
        self.asked[key] = start + -(-numbers // 16) * 16  # begin at a line of the cache
        self.like[key] = like[:0] if like.ndim else like.reshape(1)[:0]
        block = self.blocks.get(key)
        if block is None or block.numel() < self.asked[key]:
            return None
        return block[start : start + numbers]


@contextmanager
def reusing(arena: Arena) -> Iterator[None]:
    """Inside, outputs and gradients lie in `arena`, and the next step overwrites them.

    For a training step, of which nothing but a number is kept: from the second step on no memory is
    asked of the system.
    """
    arena.begin()
    before = getattr(HELD, "arena", None)
    HELD.arena = arena
    try:
        yield
    finally:
        HELD.arena = before


def fresh(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """New memory, of any value; inside `reusing` a part of its arena."""
    arena = getattr(HELD, "arena", None)
    found = arena.take(prod(shape), like) if arena is not None else None
    return like.new_empty(shape) if found is None else found.view(shape)


def pieces(many: int, numbers: int, like: Tensor) -> Iterator[slice]:
    """A batch of `many` in slices; `numbers`: what is gathered for each picture."""
    room = PIECE if like.device.type == "cpu" else PIECE_ELSEWHERE
    step = max(1, min(many, room // (numbers * like.element_size())))
    step = -(-many // -(-many // step))  # as many pieces, of nearly one size
    for start in range(0, many, step):
        yield slice(start, min(start + step, many))


def framed(x: Float[Tensor, "B C H W"], before: Pair, after: Pair) -> Float[Tensor, "B Y X C"]:
    """Pictures, channels last, with rows and columns of zeros around them.

    Only the middle is written: frames of one shape share a buffer whose border stays zero.
    """
    last = x.permute(0, 2, 3, 1)
    if not any(before) and not any(after):
        return last.contiguous()
    many, height, width, planes = last.shape
    rows, columns = before[0] + height + after[0], before[1] + width + after[1]
    tensors, key = held(), (last.shape[1:], before, after, x.dtype, x.device)
    if key not in tensors or len(tensors[key]) < many:
        shapes = [name for name in tensors if not isinstance(name[0], str)]
        if len(shapes) >= FRAMES:
            del tensors[shapes[0]]
        with inference_mode(False):
            tensors[key] = x.new_zeros(many, rows, columns, planes)
    frame = tensors[key][:many]
    frame[:, before[0] : before[0] + height, before[1] : before[1] + width] = last
    return frame


def columns_of(
    x: Float[Tensor, "B C H W"],
    window: Window,
    size: Pair,
    into: Tensor | None = None,
    piece: slice | None = None,
) -> Float[Tensor, "N K"]:
    """The windows of x, a row each: (B·P·Q, K·L·C), the kernel's rows outermost.

    Written to the part `piece` of `into`, a row a window of the whole batch, or to a buffer.
    """
    frame = framed(x, window.padding, window.padding)
    many, planes = len(frame), frame.shape[3]
    (rows, columns), gaps, steps = window.kernel_size, window.dilation, window.stride
    whole, row, pixel, _ = frame.stride()
    shape: tuple[int, ...] = (many, *size, rows, columns * planes)
    strides: tuple[int, ...] = (whole, steps[0] * row, steps[1] * pixel, gaps[0] * row, 1)
    if gaps[1] > 1:  # a row of the window is no longer one run
        shape = (*shape[:4], columns, planes)
        strides = (*strides[:4], gaps[1] * pixel, 1)
    length = rows * columns * planes
    if into is None or piece is None:
        out = buffer("columns", many * size[0] * size[1] * length, x).view(-1, length)
    else:
        out = into[piece.start * size[0] * size[1] : piece.stop * size[0] * size[1]]
    out.view(shape).copy_(frame.as_strided(shape, strides))
    return out
