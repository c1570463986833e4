"""Denoise a picture of any size in bounded memory.

A picture is cut into tiles. Each is read with a *halo* of extra pixels on every side that are
computed and thrown away; with a halo of the network's radius (how far an output pixel can see) the
pixels that stay have seen just what they would have seen in the whole picture. A tile is read from
a multiple of the network's pooling grid on, or it would be pooled in other groups of pixels.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from . import checkpoint, images, runtimes
from .checkpoint import Card
from .errors import InputError
from .hardware import Precision, free_memory
from .models import Scale
from .noise.stabilise import Anscombe
from .runtimes import Asked, Auto, Runtime, Torch
from .shapes import Raw

# How many bytes a tile may take: 10,000×10,000 RGB pixels then need less than 1 GiB over input and
# output (benchmarks/memory.py).
MOST_BYTES = 640 * 2**20
# Photographs lie in [0, 1], with noise of 50/255 in [-1, 2]: five deviations. A sun of 70 would
# reach through the network as far as it can see.
SHOWN = (-1.0, 2.0)
SMALLEST = 32  # side below which a tile that does not fit is not halved any more

AnyArray = TypeVar("AnyArray", np.ndarray, Tensor)
Watch = Callable[[int, int], None]  # pixels done, of all
Shown = Scale | Anscombe  # between picture units and what the network sees


@dataclass(frozen=True)
class Window:
    """One tile along one axis: read this much, keep that part of the result, write it there."""

    read: slice
    keep: slice
    write: slice

    @classmethod
    def around(cls, start: int, stop: int, size: int, halo: int, multiple: int = 1) -> "Window":
        """The tile [start, stop) of [0, size), its halo begun on the grid of `multiple`."""
        first, last = max(0, start - halo), min(size, stop + halo)
        first -= first % multiple
        return cls(slice(first, last), slice(start - first, stop - first), slice(start, stop))


def cuts(start: int, stop: int, tile: int) -> Iterator[tuple[int, int]]:
    """[start, stop) in pieces of `tile`."""
    for at in range(start, stop, tile):
        yield at, min(at + tile, stop)


Area = tuple[int, int, int, int]  # top, bottom, left, right


def areas(whole: Area, tile: int) -> list[Area]:
    """Tiles that touch without overlapping."""
    top, bottom, left, right = whole
    return [(*y, *x) for y, x in product(cuts(top, bottom, tile), cuts(left, right, tile))]


@torch.inference_mode()
def in_tiles(
    network: Callable[[Raw], Raw],
    noisy: Raw,
    out: Raw,
    *,
    tile: int,
    halo: int,
    multiple: int = 1,
    watch: Watch | None = None,
) -> None:
    """Put `network` of `noisy` (B, C, H, W) into `out`, tile by tile; the two may be any strides.

    When memory runs out, the tiles still to do are halved, down to 32 pixels a side.
    """
    height, width = noisy.shape[2:]
    rest = areas((0, height, 0, width), tile)
    done = 0
    while rest:
        top, bottom, left, right = rest[0]
        rows = Window.around(top, bottom, height, halo, multiple)
        cols = Window.around(left, right, width, halo, multiple)
        try:
            result = network(noisy[:, :, rows.read, cols.read])
            out[:, :, rows.write, cols.write] = result[:, :, rows.keep, cols.keep]
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if tile <= SMALLEST:
                raise InputError(
                    f"Memory ran out even for a tile of {tile} pixels. Close other programs, or"
                    " use a smaller network."
                ) from error
            tile //= 2
            rest = [part for area in rest for part in areas(area, tile)]
            continue
        rest.pop(0)
        done += (bottom - top) * (right - left)
        if watch:
            watch(done, height * width)


def out_of_memory(error: Exception) -> bool:
    """Whether this is the device's or the system's way of saying that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "alloc" in str(error).lower() and "memory" in str(error).lower()


def plain(array: np.ndarray) -> np.ndarray:
    """The same as torch can look at it: a copy of what is mirrored, read-only, or byte-swapped."""
    fits = array.flags.writeable and array.dtype.isnative and min(array.strides) >= 0
    return array if fits else np.array(array, array.dtype.newbyteorder("="), order="C")


def cuts_of(page: np.ndarray) -> Iterator[np.ndarray]:
    """A page (H, W, C) in bands of 256 rows: what is computed of all of it must stay small."""
    return (page[start:stop] for start, stop in cuts(0, len(page), 256))


def not_finite(rows: np.ndarray) -> int:
    """How many values are NaN or infinite."""
    return int((~np.isfinite(rows)).sum()) if rows.dtype.kind == "f" else 0


def through_pages(
    noisy: AnyArray,
    channel_axis: int | None,
    planes: int,
    work: Callable[[np.ndarray], np.ndarray],
) -> AnyArray:
    """`work`, which is for pages (N, H, W, C), on an array or tensor (..., H, W), as it came.

    `planes`: those of the model, to find a colour axis that was forgotten.
    """
    if isinstance(noisy, Tensor):
        known = noisy.float() if noisy.dtype == torch.bfloat16 else noisy  # NumPy has none
        result = through_pages(known.detach().cpu().numpy(), channel_axis, planes, work)
        return torch.from_numpy(result).to(noisy.device, noisy.dtype)
    planes_last = noisy[..., None] if channel_axis is None else np.moveaxis(noisy, channel_axis, -1)
    if planes_last.ndim < 3 or 0 in planes_last.shape[-3:]:
        raise InputError(
            f"An array of shape {noisy.shape} is not a picture. Give (H, W), or (H, W, 3) with"
            " channel_axis=-1."
        )
    if channel_axis is None and noisy.ndim > 2 and noisy.shape[-1] == planes > 1:
        raise InputError(
            f"An array of shape {noisy.shape} without channel_axis is {len(noisy)} grey"
            f" pictures, {noisy.shape[-1]} pixels wide. Give channel_axis=-1 for its colours."
        )
    pages = planes_last.reshape(-1, *planes_last.shape[-3:])
    result = work(pages).reshape(planes_last.shape)
    return result[..., 0] if channel_axis is None else np.moveaxis(result, -1, channel_axis)


class Denoiser:
    """A trained network and all it needs to take a picture as it comes and give it back alike.

    `average`: the mean over all eight flips and quarter turns of a picture, for eight times the
    time ("self-ensemble", Timofte et al. 2016, section 3.3).
    """

    def __init__(
        self,
        network: nn.Module | Runtime,
        card: Card,
        device: str | torch.device = "cpu",
        *,
        average: bool = False,
    ):
        self.device, self.average, self.card = torch.device(device), average, card
        self.runtime: Runtime = (
            Torch(network, self.device) if isinstance(network, nn.Module) else network
        )
        self.example: np.ndarray | None = None  # the middle of a held-out noisy shot, (H, W, C)

    @property
    def network(self) -> nn.Module:
        """The torch network; AttributeError where something else carries the model out."""
        return self.runtime.network  # type: ignore[attr-defined]

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str | torch.device = "cpu",
        *,
        average: bool = False,
        runtime: Asked = "auto",
    ) -> "Denoiser":
        """The model in a folder that `train` wrote, or `colour` or `grey`: the bundled weights.

        Or in a file that `export` wrote. Nothing in it is executed. `runtime` says what carries a
        folder's network out: `torch`, `openvino`, or `auto`: torch and, where that is here and made
        for this CPU, OpenVINO as soon as there are pixels enough for its start to pay.

        Raises InputError where there is no model, or a file is missing, damaged or another's, or it
        was written by a newer noisepair; and where the runtime that was asked for is not installed,
        or not for this model or device.
        """
        place, device = checkpoint.located(path), torch.device(device)
        if place.suffix in runtimes.FILES and not place.is_dir():
            file = runtimes.opened(place, device, runtime)
            card = checkpoint.card_of(file.card, place, place)
            with torch.device("meta"):  # for what tiling must know of it
                network = card.recipe.network(card.planes)
            return cls(file.carried(network, card.planes), card, device, average=average)
        card = checkpoint.read_card(place)
        network = card.recipe.network(card.planes)
        tensors, _ = checkpoint.load_tensors(place / checkpoint.WEIGHTS)
        checkpoint.fit_into(place / checkpoint.WEIGHTS, network, tensors)
        carried = runtimes.carry(network, card.planes, device, runtime)
        return cls(carried, card, device, average=average)

    def __call__(
        self,
        noisy: AnyArray,
        channel_axis: int | None = None,
        *,
        tile: int | None = None,
        watch: Watch | None = None,
    ) -> AnyArray:
        """Denoise one picture or, with leading axes, many: (..., H, W), colour at `channel_axis`.

        Integers are taken in the range of their type, floats in the range that the model was
        trained on ([0, 1] for photographs). Shape, type and range come back the same; integers
        rounded and clipped to their type, floats neither. A grey picture through a colour model is
        taken as a colour picture whose planes are equal.

        Raises InputError for NaN or infinity and for colour planes that the model does not know.
        """

        def pages(noisy: np.ndarray) -> np.ndarray:
            return self.pages(noisy, tile=tile, watch=watch)

        return through_pages(noisy, channel_axis, self.card.planes, pages)

    def pages(
        self,
        noisy: np.ndarray,
        *,
        tile: int | None = None,
        watch: Watch | None = None,
        scale: Shown | None = None,
    ) -> np.ndarray:
        """Denoise pages (N, H, W, C) of any type that `images.read` gives.

        `scale`: what the network is to see of these, instead of what it saw in training. Values
        that it sends beyond SHOWN are shown as its ends, and keep what they are beyond them.
        """
        self.refuse(noisy)
        if tile is not None and tile < 1:
            raise InputError(f"tile={tile} is not a size. Give pixels, or leave it out.")
        if isinstance(self.runtime, Auto):
            self.runtime.expect(noisy[..., 0].size * (8 if self.average else 1))
        if self.average:
            return self.averaged(noisy, tile, watch, scale)
        return self.straight(noisy, tile, watch, scale)

    def averaged(
        self, noisy: np.ndarray, tile: int | None, watch: Watch | None, scale: Shown | None
    ) -> np.ndarray:
        """The mean of what becomes of each flip and turn of the pages, turned back."""
        total = np.zeros(noisy.shape, np.float64 if noisy.dtype.itemsize > 4 else np.float32)
        for way in range(8):

            def seen(done: int, of: int, first: int = way) -> None:
                if watch:
                    watch(first * of + done, 8 * of)

            turned = np.rot90(noisy, way % 4, (1, 2))
            turned = np.ascontiguousarray(turned[:, ::-1] if way >= 4 else turned)
            done = self.straight(turned, tile, seen, scale)
            total += np.rot90(done[:, ::-1] if way >= 4 else done, -(way % 4), (1, 2))
        mean = total / 8
        return (np.rint(mean) if noisy.dtype.kind != "f" else mean).astype(noisy.dtype)

    def straight(
        self, noisy: np.ndarray, tile: int | None, watch: Watch | None, scale: Shown | None
    ) -> np.ndarray:
        """All pages as they lie."""
        count, height, width, _ = noisy.shape
        tile = tile or self.tile(noisy.dtype)
        together = max(1, tile**2 // max(1, height * width))  # small pages share a batch
        out = np.empty(noisy.shape, noisy.dtype.newbyteorder("="))
        for start in range(0, count, together):
            part = slice(start, min(start + together, count))

            def seen(done: int, of: int, first: int = start) -> None:
                if watch:
                    watch(first * height * width + done * min(together, count - first), count * of)

            self.run(plain(noisy[part]), out[part], tile, seen, scale)
        return out.astype(noisy.dtype, copy=False)

    def run(
        self, noisy: np.ndarray, out: np.ndarray, tile: int, watch: Watch, asked: Shown | None
    ) -> None:
        """All tiles of some pages, each converted on its way in and on its way out."""
        planes, dtype = noisy.shape[-1], noisy.dtype
        precision, scale = self.precision(dtype), asked or self.card.scale

        def network(raw: Raw) -> Raw:
            unit = images.to_unit(raw.numpy().transpose(0, 2, 3, 1))
            seen = torch.from_numpy(unit).permute(0, 3, 1, 2).to(self.device)
            seen = scale.into(seen).expand(-1, self.card.planes, -1, -1)
            shown = seen.clamp(*SHOWN) if asked else seen
            result = scale.back(self.runtime(shown, precision) + (seen - shown))
            if planes < self.card.planes:
                result = result.mean(1, keepdim=True)
            values = images.from_unit(result.permute(0, 2, 3, 1).cpu().numpy(), dtype)
            return torch.from_numpy(values).permute(0, 3, 1, 2)

        grid, halo = self.runtime.multiple, self.runtime.radius
        args = (torch.from_numpy(array).permute(0, 3, 1, 2) for array in (noisy, out))
        in_tiles(network, *args, tile=tile, halo=halo, multiple=grid, watch=watch)

    def precision(self, dtype: np.dtype) -> Precision:
        """That of the products, for pictures of this type."""
        return self.runtime.precision(self.card.recipe.precision, dtype)

    def tile(self, dtype: np.dtype) -> int:
        """The largest tile that memory allows, a multiple of the pooling grid."""
        room = min(MOST_BYTES, free_memory(self.device) // 3)
        share = 2 if self.precision(dtype) == "bfloat16" else 1
        side = math.isqrt(room * share // self.runtime.bytes_a_pixel) - 2 * self.runtime.radius
        grid = self.runtime.multiple
        return max(grid, side - side % grid)

    def refuse(self, noisy: np.ndarray) -> None:
        """Say no to what this model cannot denoise."""
        planes = noisy.shape[-1]
        if planes not in (1, self.card.planes):
            ours = "grey" if self.card.planes == 1 else f"{self.card.planes}-plane"
            raise InputError(
                f"This picture has {planes} colour planes and the model was trained on {ours}"
                " pictures. Convert the picture, or train a model on pictures like it."
            )
        if noisy.dtype.kind not in "iuf" or noisy.dtype.itemsize > 8:
            raise InputError(f"Values of type {noisy.dtype} are not a picture. Give numbers.")
        count = sum(not_finite(rows) for page in noisy for rows in cuts_of(page))
        if count:
            raise InputError(
                f"The picture holds {count} values that are NaN or infinite. Replace them first,"
                " by a neighbour's value for example."
            )
