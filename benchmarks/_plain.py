"""What a user would write: the Noise2Noise U-Net and its training in eager PyTorch.

Contiguous (NCHW) float32 tensors, joined channels, a DataLoader, Adam, mean squared error.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from noisepair.models import UNetModule


def conv(channels_in: int, channels_out: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.LeakyReLU(0.1))


class PlainUNet(nn.Module):
    """Fig. 1 of the Noise2Noise network table: 991,203 parameters for 3 planes."""

    def __init__(self, planes: int = 3):
        super().__init__()
        self.enter = conv(planes, 48)
        self.encode = nn.ModuleList(conv(48, 48) for _ in range(5))
        self.bottom = conv(48, 48)
        self.decode = nn.ModuleList(
            nn.Sequential(conv(below + 48, 96), conv(96, 96)) for below in (48, 96, 96, 96)
        )
        last = nn.Conv2d(32, planes, 3, padding=1)
        self.leave = nn.Sequential(conv(96 + planes, 64), conv(64, 32), last)

    def forward(self, x: Tensor) -> Tensor:
        skips = [x]
        h = self.enter(x)
        for encode in self.encode:
            h = F.max_pool2d(encode(h), 2)
            skips.append(h)
        h = self.bottom(skips.pop())
        for decode in self.decode:
            h = decode(torch.cat([F.interpolate(h, scale_factor=2), skips.pop()], 1))
        return self.leave(torch.cat([F.interpolate(h, scale_factor=2), skips.pop()], 1))

    def copy_weights(self, ours: UNetModule) -> None:
        """The same weights as `ours`, whose parameters stand in the same order."""
        with torch.no_grad():
            for mine, theirs in zip(self.parameters(), ours.parameters(), strict=True):
                mine.copy_(theirs)


class PlainTraining:
    """Network, Adam and a shuffled DataLoader over uint8 pairs."""

    def __init__(self, one: Tensor, two: Tensor, batch: int, lr: float, seed: int = 0):
        self.network = PlainUNet()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=lr, betas=(0.9, 0.99))
        rng = torch.Generator().manual_seed(seed)
        self.loader = DataLoader(
            TensorDataset(one, two), batch, shuffle=True, drop_last=True, generator=rng
        )
        self.batches = self.forever()

    def forever(self) -> Iterator[list[Tensor]]:
        while True:
            yield from self.loader

    def step(self) -> None:
        one, two = (side.float() / 255 for side in next(self.batches))
        loss = F.mse_loss(self.network(one), two)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
