"""Writing over pictures."""

import functools
import math
import string
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Generator, Tensor

from ._model import STRICT, Model


@dataclass(frozen=True, config=STRICT)
class Text(Model):
    """Random strings of 3 to 10 letters, 10 to 30 pixels high, of random colours at random places.

    Not zero-mean, and neighbours are covered together. A pixel is covered less often than not, so
    the median is x, and l1 finds it. Clipping changes nothing. The font is Pillow's own: its
    version is part of the seed.
    """

    coverage: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """share of pixels that letters touch, on average; below 0.5"""
    kind: Literal["text"] = "text"
    zero_mean: ClassVar[bool] = False
    loss: ClassVar[str] = "l1"
    straight_from: ClassVar[float] = math.inf

    def __call__(self, clean: Tensor, rng: Generator) -> Tensor:
        seed = torch.randint(2**62, (), generator=rng, device=clean.device)
        draw = np.random.default_rng(int(seed))
        noisy = clean.clone(memory_format=torch.contiguous_format)
        for picture in noisy.view(-1, *clean.shape[-3:]):
            self.write(picture, draw)
        return noisy

    def mean(self, clean: Tensor) -> None:
        return None

    def write(self, picture: Tensor, draw: np.random.Generator) -> None:
        """Onto the picture itself; the last string is left out as often as it would be too much."""
        height, width, planes = picture.shape
        free = torch.ones(height, width, dtype=torch.bool)
        wanted = self.coverage * height * width
        while wanted > 0:
            ink = lettering(draw)
            top, left = draw.integers(1 - np.array(ink.shape), (height, width)).tolist()
            ink = ink[max(0, -top) : height - top, max(0, -left) : width - left]
            row, column = max(0, top), max(0, left)
            at = np.s_[row : row + ink.shape[0], column : column + ink.shape[1]]
            touched = ink > 0
            covers = int((free[at] & touched).sum())
            if covers > wanted and draw.random() * covers >= wanted:
                return
            colour = torch.from_numpy(draw.random(planes)).to(picture)
            picture[at] += ink[..., None].to(picture) * (colour - picture[at])
            free[at] &= ~touched
            wanted -= covers


def lettering(draw: np.random.Generator) -> Tensor:
    """A random string as ink, 0 to 1, in the box that it fills."""
    letters = draw.choice(list(string.ascii_letters + string.digits), draw.integers(3, 11))
    text, font = "".join(letters), font_of(int(draw.integers(10, 31)))
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    canvas = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(canvas).text((-left, -top), text, fill=255, font=font)
    return torch.from_numpy(np.asarray(canvas) / np.float32(255))


@functools.cache
def font_of(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
