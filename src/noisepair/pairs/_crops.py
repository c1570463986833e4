"""Batches of crops, two shots of the same place or one, at the speed of a gather.

The target is another shot (Noise2Noise), the mean of all the other shots, or, where clean pictures
were spoilt, the clean picture itself: for comparison. Where a scene has one shot alone, what stands
for a target is made of it: neighbor2neighbor.py, noise2void.py, zero_shot.py, recorrupted.py.

All shots lie in memory as one table of pixels, a row a pixel, in the type that they came in. A
crop is then arithmetic on row numbers,

    row(y, x) = start(scene, page, shot) + (top + y) · width + (left + x),

flips and quarter turns are a change of its signs and strides, and a batch is one gather: no copy
of a picture is ever cut out, and the colour planes of a pixel arrive side by side, as convolutions
in channels_last order want them.

A batch depends on the seed and on its number alone, so a resumed run sees what it would have seen.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from .. import images
from ..errors import InputError
from ..models import Scale
from ..noise import generator
from ..noise.estimate import Level, estimate
from ..recipe import Recipe
from ..shapes import Batch
from ..sources import Scene
from .neighbor2neighbor import Neighbors
from .noise2void import CELL, Hidden
from .pair import Pair
from .recorrupted import deviation, recorrupted
from .two_shots import TwoShots
from .zero_shot import Diagonals

CROP = 64  # side of a training square where the recipe leaves it open
PIXELS = 16_384  # a step where the recipe leaves the batch open
GRID = 32  # and a multiple of this where possible, so that no level of a U-Net has to pad

WITHIN: Mapping[str, Callable[[Batch, torch.Generator], Pair]] = {  # by the recipe line `pairs`
    "neighbor2neighbor": Neighbors.of,
    "noise2void": Hidden.of,
    "zero-shot": Diagonals.of,
}


def crop_for(scenes: Sequence[Scene], asked: int | None, *, within: bool = False) -> int:
    """Side of the training squares: as asked, or the most up to 64 that every picture allows.

    `within`: pairs are found within a crop, which must then have room for them.
    """
    smallest = min(min(scene.shots[0].shape[1:3]) for scene in scenes)
    if within and min(asked or smallest, smallest) < CELL:
        raise InputError(
            f"Pairs within one picture need crops of {CELL} pixels a side or more, and there are"
            f" {min(asked or smallest, smallest)}. Give larger pictures, or a larger crop."
        )
    if asked is not None and asked > smallest:
        name = next(s.name for s in scenes if min(s.shots[0].shape[1:3]) == smallest)
        raise InputError(
            f"crop={asked} is larger than the smallest picture: {name} is {smallest} pixels on its"
            f" short side. Set crop to {smallest} or less, or leave it out."
        )
    if asked is not None:
        return asked
    most = min(CROP, smallest)
    return most - most % GRID if most >= GRID else most


def batch_for(crop: int, asked: int | None) -> int:
    """Pairs a step: as asked, or as many as hold PIXELS pixels of input."""
    return asked or max(1, PIXELS // crop**2)


class Pairs:
    """Training pairs of `scenes`, cut and turned on `device`."""

    def __init__(self, scenes: Sequence[Scene], recipe: Recipe, scale: Scale, device: torch.device):
        assert recipe.crop is not None, "train decides the crop before it makes pairs"
        assert recipe.batch is not None, "train decides the batch before it makes pairs"
        self.recipe, self.device = recipe, device
        self.crop, self.count = recipe.crop, recipe.batch
        self.values = Values(scenes[0].shots[0].dtype, scale)
        kept = [self.kept(scene) for scene in scenes]
        flat = [shot.reshape(-1, shot.shape[-1]) for shots in kept for shot in shots]
        self.table = torch.from_numpy(self.values.bits(np.concatenate(flat))).to(device)
        sizes = np.array([len(rows) for rows in flat])
        starts = np.cumsum(sizes) - sizes
        last = np.cumsum([len(shots) for shots in kept])
        shapes = np.array([scene.shots[0].shape[:3] for scene in scenes])
        self.pages, self.heights, self.widths = shapes.T
        self.shots = np.array([len(scene.shots) for scene in scenes])
        self.frames = np.array([scene.frames for scene in scenes])
        self.first = starts[np.concatenate([[0], last[:-1]])]
        self.stride = sizes[last - 1]  # rows a shot; the shots of a scene lie in order
        tiles = np.ceil(self.heights / self.crop) * np.ceil(self.widths / self.crop) * self.pages
        self.tickets = np.repeat(np.arange(len(scenes)), tiles.astype(int))
        self.epoch, self.order = -1, self.tickets
        self.levels: list[Level] = []  # of the noise of each scene, where the pairing must know it
        if recipe.pairs == "recorrupted":
            self.levels = [estimate(images.to_unit(scene.shots[0][0])) for scene in scenes]

    def __len__(self) -> int:
        """Crops an epoch: as many as tile every picture once."""
        return len(self.tickets)

    def lines(self) -> list[str]:
        """What was found out about the noise, as a person would check it."""
        return [f"Taken for its {level.sentence()}" for level in self.levels[:1]]

    def kept(self, scene: Scene) -> tuple[np.ndarray, ...]:
        """The shots of a scene; behind them its clean picture, where that is the target."""
        if self.recipe.target != "clean" or self.recipe.fresh_noise:
            return scene.shots
        assert scene.clean is not None, "clean targets need clean pictures; the recipe says so"
        return (*scene.shots, scene.clean)

    def batch(self, step: int) -> Pair:
        """The pairs of step `step`, (B, C, crop, crop), float32 as the network sees them."""
        return self.two_shots(step) if self.recipe.pairs == "shots" else self.within(step)

    def within(self, step: int) -> Pair:
        """Crops of one shot, and the pairs that are made of them."""
        rng = np.random.default_rng([self.recipe.seed, 1, step])
        scene = self.draw_scenes(step)
        one, _ = self.draw_shots(scene, rng)
        noisy = self.values.seen(self.gather(one, self.draw_rows(scene, rng)))
        draw = generator(self.recipe.seed, 8, step, device=self.device)
        if self.levels:
            return recorrupted(noisy, self.deviations(noisy, scene), draw)
        return WITHIN[self.recipe.pairs](noisy, draw)

    def deviations(self, noisy: Batch, scene: np.ndarray) -> Batch:
        """The noise's standard deviation at each pixel, as the network sees it."""
        unit = self.values.scale.back(noisy)
        found = [deviation(unit[n : n + 1], self.levels[one]) for n, one in enumerate(scene)]
        return torch.cat(found) / self.values.scale.scale

    def two_shots(self, step: int) -> TwoShots:
        """Two shots of the same place."""
        rng = np.random.default_rng([self.recipe.seed, 1, step])
        scene = self.draw_scenes(step)
        one, two = self.draw_shots(scene, rng)
        rows = self.draw_rows(scene, rng)
        noisy = self.gather(one, rows)
        if self.recipe.fresh_noise:
            return self.vary(self.spoil(noisy, step), step)
        if self.recipe.target == "others":
            target = self.others(scene, one, rows)
        else:
            target = self.values.seen(self.gather(two, rows))
        return self.vary(TwoShots(self.values.seen(noisy), target), step)

    def batches(self, first: int) -> Iterator[Pair]:
        """All batches from number `first` on, without end."""
        step = first
        while True:
            yield self.batch(step)
            step += 1

    def draw_scenes(self, step: int) -> np.ndarray:
        """Scene numbers (B,): each epoch is a new order of all tickets."""
        places = np.arange(step * self.count, (step + 1) * self.count)
        epochs, within = np.divmod(places, len(self.tickets))
        scenes = np.empty(len(places), int)
        for epoch in np.unique(epochs):
            if epoch != self.epoch:
                rng = np.random.default_rng([self.recipe.seed, 2, int(epoch)])
                self.epoch, self.order = int(epoch), rng.permutation(self.tickets)
            here = epochs == epoch
            scenes[here] = self.order[within[here]]
        return scenes

    def draw_shots(
        self, scene: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """First rows (B,) of the shots that are input and target; every ordered pair alike."""
        count = self.shots[scene]
        one = rng.integers(0, count)
        two = (one + rng.integers(1, np.maximum(count, 2))) % count
        earlier = rng.integers(0, np.maximum(count - 1, 1))
        one = np.where(self.frames[scene], earlier, one)
        two = np.where(self.frames[scene], np.minimum(earlier + 1, count - 1), two)
        low, high = np.minimum(one, two), np.maximum(one, two)
        if "exchange" in self.recipe.augment:
            swap = rng.integers(0, 2, len(scene)).astype(bool)
            low, high = np.where(swap, high, low), np.where(swap, low, high)
        if self.recipe.target == "clean":  # any shot is an input; clean pictures lie behind them
            low, high = one, self.shots[scene]
        page = rng.integers(0, self.pages[scene]) * self.heights[scene] * self.widths[scene]
        start = self.first[scene] + page
        return start + low * self.stride[scene], start + high * self.stride[scene]

    def others(self, scene: np.ndarray, start: np.ndarray, rows: Int[Tensor, "B Y X"]) -> Batch:
        """The mean of the same crops in all other shots."""
        count, first, stride = self.shots[scene], self.first[scene], self.stride[scene]
        this, within = np.divmod(start - first, stride)
        total: Tensor | float = 0.0
        for more in range(1, int(count.max())):
            shot = (this + more) % count
            weight = torch.from_numpy((more < count) / (count - 1)).to(self.device, torch.float32)
            crops = self.values.seen(self.gather(first + shot * stride + within, rows))
            total = total + weight[:, None, None, None] * crops
        assert isinstance(total, Tensor), "a scene has two shots or more"
        return total

    def draw_rows(self, scene: np.ndarray, rng: np.random.Generator) -> Int[Tensor, "B Y X"]:
        """Row numbers within a page: a place, and which way round it is read."""
        height, width = self.heights[scene], self.widths[scene]
        top = rng.integers(0, height - self.crop + 1)
        left = rng.integers(0, width - self.crop + 1)
        corner = top * width + left
        down, across = width, np.ones_like(width)
        mirror_y, mirror_x, turn = self.draw_ways(len(scene), rng)
        corner = corner + (self.crop - 1) * (mirror_y * down + mirror_x * across)
        down, across = down * (1 - 2 * mirror_y), across * (1 - 2 * mirror_x)
        down, across = np.where(turn, across, down), np.where(turn, down, across)
        side = torch.arange(self.crop, device=self.device)
        to = [torch.from_numpy(v)[:, None, None].to(self.device) for v in (corner, down, across)]
        return to[0] + to[1] * side[:, None] + to[2] * side

    def draw_ways(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Three bits a sample (3, B): rows reversed, columns reversed, then transposed.

        A quarter turn is a transposition of reversed columns, three quarters one of reversed rows.
        """
        ways = np.zeros((3, count), int)
        if "flips" in self.recipe.augment:
            ways[:2] = rng.integers(0, 2, (2, count))
        if "turns" in self.recipe.augment:
            quarters = rng.integers(0, 4, count)
            halves = [quarters >= 2, (quarters == 1) | (quarters == 2), quarters % 2 == 1]
            ways ^= np.stack(halves).astype(int)
        return ways

    def gather(self, start: np.ndarray, rows: Int[Tensor, "B Y X"]) -> Tensor:
        """The crops, in the table's own type and channels_last order, shape (B, C, Y, X)."""
        at = rows + torch.from_numpy(start)[:, None, None].to(self.device)
        pixels = self.table.index_select(0, at.flatten())
        return pixels.unflatten(0, at.shape).permute(0, 3, 1, 2)

    def spoil(self, clean: Tensor, step: int) -> TwoShots:
        """Two new draws of noise, or one and the clean picture."""
        noise = self.recipe.noise
        assert noise is not None, "fresh noise needs a noise; the recipe says so"
        rng = generator(self.recipe.seed, 4, step, device=self.device)
        unit = self.values.unit(clean).permute(0, 2, 3, 1)
        one = noise(unit, rng)
        two = unit if self.recipe.target == "clean" else noise(unit, rng)
        into, order = self.values.scale.into, torch.channels_last
        first, second = (
            into(shot).permute(0, 3, 1, 2).contiguous(memory_format=order) for shot in (one, two)
        )
        return TwoShots(first, second)

    def vary(self, pair: TwoShots, step: int) -> TwoShots:
        """Single pixels exchanged, one of the two blurred, noise added to both or one: as asked."""
        recipe, (one, two) = self.recipe, pair
        more = recipe.extra_noise or recipe.input_noise
        if not ("pixels" in recipe.augment or recipe.blur or more):
            return pair
        rng = generator(recipe.seed, 5, step, device=self.device)
        if "pixels" in recipe.augment:
            shape = (len(one), 1, *one.shape[2:])
            swap = torch.randint(0, 2, shape, generator=rng, device=self.device).bool()
            one, two = torch.where(swap, two, one), torch.where(swap, one, two)
        if recipe.blur:
            sigma, which = torch.rand(2, len(one), generator=rng, device=self.device)
            sigma *= recipe.blur
            first = which < 0.5
            one, two = blurred(one, sigma * first), blurred(two, sigma * ~first)
        if recipe.extra_noise:
            sigma = recipe.extra_noise / self.values.scale.scale
            one, two = (shot + sigma * self.normal(shot, rng) for shot in (one, two))
        if recipe.input_noise:
            most = recipe.input_noise / self.values.scale.scale
            drawn = torch.rand((len(one), 1, 1, 1), generator=rng, device=self.device)
            strength = (1 - drawn / recipe.input_share).clamp(min=0)
            one = one + most * strength * self.normal(one, rng)
        order = torch.channels_last
        return TwoShots(*(shot.contiguous(memory_format=order) for shot in (one, two)))

    def normal(self, like: Tensor, rng: torch.Generator) -> Tensor:
        return torch.randn(like.shape, generator=rng, device=self.device)


def blurred(pictures: Batch, sigma: Float[Tensor, " B"]) -> Batch:
    """Each picture under a Gaussian of its own sigma in pixels; 0 leaves it as it is."""
    reach = max(1, math.ceil(3 * float(sigma.max())))
    at = torch.arange(-reach, reach + 1, device=pictures.device)
    taps = torch.exp(-(at**2) / (2 * sigma[:, None].clamp(min=1e-3) ** 2))  # (B, K)
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(pictures.shape[1], 0)
    count = len(taps)
    flat = pictures.reshape(1, count, *pictures.shape[2:])
    flat = F.pad(flat, (reach,) * 4, mode="replicate")
    flat = F.conv2d(flat, taps.view(count, 1, -1, 1), groups=count)
    flat = F.conv2d(flat, taps.view(count, 1, 1, -1), groups=count)
    return flat.reshape(pictures.shape)


@dataclass(frozen=True)
class Values:
    """Between the type that pictures are kept in and what the network sees."""

    dtype: np.dtype
    scale: Scale

    def bits(self, table: np.ndarray) -> np.ndarray:
        """The table as torch can index it: it has no gather for uint16."""
        return table.view(np.int16) if self.dtype == np.uint16 else table

    def unit(self, raw: Tensor) -> Tensor:
        """Picture units, float32."""
        if self.dtype == np.uint16:
            raw = raw.to(torch.int32).bitwise_and(0xFFFF)
        values = raw.to(torch.float32)
        return values if self.dtype.kind == "f" else values.div_(images.full_scale(self.dtype))

    def seen(self, raw: Tensor) -> Tensor:
        return self.scale.into(self.unit(raw))
