"""The library written by hand and torch are twins: same recipe, same weights, same losses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import noisepair
from noisepair.learners import learner_for
from noisepair.models import NOISE2NOISE, DnCNN, Strided, UNet
from noisepair.optim import optimizer_by_hand
from noisepair.pairs import TwoShots
from noisepair.recipe import Recipe

CPU = torch.device("cpu")
NETWORKS = {
    "strided": Strided(channels=(8, 6, 8)),
    "unet": UNet(channels=(6, 8, 12), head=(6,)),
    "autoencoder": UNet(channels=(4, 8), head=(4,), convs=2, skips=False, pool="max", slope=0.0),
    "noise2noise": replace(NOISE2NOISE, channels=(6,) * 4, head=(8, 4), output="sigmoid"),
    "dncnn": DnCNN(depth=4, width=6),
    "dncnn-leaky": DnCNN(depth=4, width=6, slope=0.2),
}


def learner(engine: str, name: str, **lines):
    recipe = Recipe(engine=engine, network=NETWORKS[name], steps=30, lr=0.02, **lines)
    return learner_for(recipe, 3, CPU)


def twins(name: str, **lines):
    """The same beginning in float64, by torch and by hand."""
    by_torch, by_hand = learner("plain", name, **lines), learner("scratch", name, **lines)
    theirs, ours = by_torch.network.state_dict(), by_hand.network.state_dict()
    assert list(theirs) == list(ours)
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs), "one seed, one beginning"
    for module in (by_torch.network, by_torch.model, by_hand.network, by_hand.model):
        module.double()
    by_hand.optimizer = optimizer_by_hand(by_hand.recipe.optimizer, by_hand.network, by_hand.lr)
    return by_torch, by_hand


def losses(one, steps: int = 30) -> list[float]:
    rng = torch.Generator().manual_seed(1)
    batches = torch.rand(steps, 2, 2, 3, 17, 18, dtype=torch.float64, generator=rng)
    return [float(one.step(TwoShots(*pair), n / steps)) for n, pair in enumerate(batches.unbind())]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", NETWORKS)
def test_both_walk_the_same_path(name, optimizer):
    lines = Recipe.of({"optimizer": optimizer, "loss": "l2 + 0.5*l1", "ema": 0.9}).lines()
    lines = {key: getattr(Recipe.of(lines), key) for key in ("optimizer", "loss", "ema")}
    by_torch, by_hand = twins(name, **lines)
    a, b = losses(by_torch), losses(by_hand)
    assert b == pytest.approx(a, rel=1e-10)
    assert np.mean(a[-10:]) < np.mean(a[:10]), "and they learn"
    x = torch.rand(1, 3, 9, 13, dtype=torch.float64)
    torch.testing.assert_close(by_hand.denoise(x), by_torch.denoise(x), rtol=0, atol=1e-9)


def test_another_momentum_is_another_path():
    """The control."""
    sgd = Recipe.of({"optimizer": "sgd", "optimizer.momentum": 0.8}).optimizer
    by_torch, _ = twins("strided", optimizer=Recipe.of({"optimizer": "sgd"}).optimizer)
    _, by_hand = twins("strided", optimizer=sgd)
    assert losses(by_hand) != pytest.approx(losses(by_torch), rel=1e-4)


def test_a_run_that_stops_goes_on_as_if_it_had_not():
    whole, first, rest = (learner("scratch", "unet", ema=0.9) for _ in range(3))
    rng = torch.Generator().manual_seed(1)
    batches = torch.rand(20, 2, 2, 3, 16, 16, generator=rng)
    for n, pair in enumerate(batches.unbind()):
        whole.step(TwoShots(*pair), n / 20)
        if n < 10:
            first.step(TwoShots(*pair), n / 20)
    rest.restore({name: value.clone() for name, value in first.state().items()})
    for n, pair in enumerate(batches[10:].unbind()):
        rest.step(TwoShots(*pair), (n + 10) / 20)
    for name, value in whole.state().items():
        assert torch.equal(rest.state()[name], value), name


def shots(seed: int) -> list[np.ndarray]:
    """Two noisy shots of eight smooth pictures, 8 bits."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(60, 190, 24)
    clean = (ramp[:, None] + ramp[None, :])[None, :, :, None] / 2 + np.zeros((8, 1, 1, 3))
    noisy = [clean + rng.normal(0, 20, clean.shape) for _ in range(2)]
    return [shot.round().clip(0, 255).astype(np.uint8) for shot in noisy]


def test_the_road_takes_both_and_torch_runs_what_was_learnt_by_hand(tmp_path):
    pictures = shots(0)
    results = {}
    for engine in ("torch", "scratch"):
        recipe = Recipe(
            engine=engine,
            network=UNet(channels=(8, 12), head=(8,)),
            steps=100,
            lr=0.01,
            precision="float32",
        )
        results[engine] = noisepair.train(*pictures, recipe=recipe, out=tmp_path / engine)
    model = noisepair.Denoiser.load(tmp_path / "scratch")
    assert model.card.recipe.engine == "scratch"
    mine, theirs = (results[name](shots(1)[0], channel_axis=-1) for name in ("scratch", "torch"))
    assert np.abs(mine.astype(float) - theirs).max() <= 1, "one grey level: float32 rounds apart"
    gains = [one.card.provenance["result"]["gain_db"] for one in results.values()]
    assert gains[1] == pytest.approx(gains[0], abs=0.01)
    assert gains[0] > 0.5
