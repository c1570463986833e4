"""What the tests of runtimes and of exported files need: small networks of each kind, as models."""

import numpy as np
import torch
from torch import nn

from noisepair import checkpoint
from noisepair.checkpoint import Card
from noisepair.models import NOISE2NOISE, DnCNN, DRUNet, FFDNet, Scale, Strided, UNet
from noisepair.recipe import Recipe

NETWORKS = {
    "unet": UNet(channels=(4, 8), head=(4,)),
    "unet, every option": UNet(
        channels=(4, 8, 8), head=(4,), convs=2, pool="max", up="transposed", norm="batch",
        output="sigmoid", residual=False, unshuffle=2,
    ),
    "unet of one level": UNet(channels=(4,), head=(4,)),
    "noise2noise": UNet(
        channels=(4, 4, 4), head=(4, 4), form=NOISE2NOISE.form, convs=2, pool="max", residual=False
    ),
    "autoencoder": UNet(channels=(4, 8), head=(4,), skips=False, output="leaky", residual=False),
    "dncnn": DnCNN(depth=4, width=8, norm="batch"),
    "ffdnet": FFDNet(depth=4, width=8),
    "ffdnet of a known level": FFDNet(depth=4, width=8, sigma=0.1),
    "drunet": DRUNet(channels=(8, 8, 8), blocks=(1, 1, 1)),
    "drunet at a quarter": DRUNet(channels=(8, 8), blocks=(0, 1), unshuffle=4),
    "strided": Strided(channels=(4, 4, 4)),
}  # fmt: skip


def built(settings, planes=3, seed=0):
    """A network with weights that let all of it be seen in what it makes."""
    network = settings(planes)
    rng = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2, generator=rng)
        elif tensor.ndim == 4:
            tensor.normal_(0, (1.5 / tensor[0].numel()) ** 0.5, generator=rng)
        elif tensor.is_floating_point():
            tensor.normal_(0, 0.1, generator=rng)
    return network.eval()


def saved(folder, settings, *, planes=3, scale=Scale(), precision="float32"):  # noqa: B008  frozen
    """A model folder with such a network."""
    network = built(settings, planes)
    recipe = Recipe(network=settings, steps=1, precision=precision)
    checkpoint.create(folder)
    checkpoint.write_card(folder, Card(recipe, planes, scale, {"made": "by hand"}))
    checkpoint.save_tensors(folder / checkpoint.WEIGHTS, network.state_dict(), {})
    return folder


def picture(height, width, planes=3, seed=0, dtype=np.uint8):
    shape = (height, width, planes)
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


class Misread(nn.Module):
    """A window sum that exporters take for a window mean: they drop `divisor_override`."""

    radius, multiple, bytes_a_pixel = 1, 1, 100

    def forward(self, noisy):
        return nn.functional.avg_pool2d(noisy, 3, 1, 1, divisor_override=1)
