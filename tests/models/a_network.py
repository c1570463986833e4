"""What the tests of every stack of convolutions need: built, run, tiled, taught."""

import torch
from torch import nn

from noisepair.denoise import in_tiles
from noisepair.optim import Kaiming


def built(sizes, planes=2, seed=0):
    """A network in float64; biases and numbers of normalisations moved from where they begin."""
    network = sizes(planes).double()
    rng = torch.Generator().manual_seed(seed)
    Kaiming()(network, rng, network.slope)
    for name, tensor in network.state_dict().items():
        if name.endswith("bias") or name.endswith("running_mean"):
            tensor.normal_(0, 0.1, generator=rng)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.data.uniform_(0.5, 1.5, generator=rng)
            layer.running_var.uniform_(0.5, 1.5, generator=rng)
    return network.eval()


def noise(*shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, dtype=torch.float64, generator=rng)


def run(network, noisy):
    with torch.no_grad():
        return network(noisy)


def seam(network, noisy, tile, halo, multiple=None):
    """The largest difference between the picture in tiles and the picture at once."""
    out = torch.full_like(noisy, torch.nan)
    in_tiles(network, noisy, out, tile=tile, halo=halo, multiple=multiple or network.multiple)
    return float((out - run(network, noisy)).abs().max())


def apart(network, noisy):
    """How much the pictures of a batch change one another."""
    alone = torch.cat([run(network, one[None]) for one in noisy])
    return (run(network, noisy) - alone).abs().max()


def learnt(network, sigma=0.2, steps=150):
    """Its error on new flat pictures before and after it was taught on pairs of noisy ones."""
    Kaiming()(network, torch.Generator().manual_seed(0), network.slope)
    getattr(network, "begin", lambda: None)()
    rng = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)

    def pair():
        clean = torch.rand(16, 1, 1, 1, generator=rng).expand(-1, -1, 16, 16)
        return clean, *(clean + sigma * torch.randn(clean.shape, generator=rng) for _ in range(2))

    def error():
        clean, noisy, _ = pair()
        return float((run(network, noisy) - clean).square().mean())

    before = error()
    for _ in range(steps):
        _, noisy, target = pair()
        optimizer.zero_grad()
        (network(noisy) - target).square().mean().backward()
        optimizer.step()
    return before, error()
