"""The claims the whole package stands on, tested as claims.

Noise2Noise: in expectation a noisy target gives the gradient of the clean one. The monitor:
held-out L2 between a denoised shot and the other shot is the error plus the noise.
"""

import math

import numpy as np
import pytest
import torch

from noisepair.losses import l2
from noisepair.models import Scale, UNet
from noisepair.noise import Gaussian, Poisson
from noisepair.optim import Kaiming
from noisepair.pairs import TwoShots
from noisepair.train import Monitor

DRAWS = 600
NOISES = [Gaussian(0.2), Poisson(10.0)]


def network():
    model = UNet(channels=(3, 3), head=(3, 3))(1).double()
    Kaiming()(model, torch.Generator().manual_seed(0), 0.1)
    return model


def gradients(noise, bias=0.0, others=1):
    """d loss/d weights for DRAWS noisy targets of one noisy input, and for the clean target.

    A target is the mean of so many `others`.
    """
    rng = torch.Generator().manual_seed(1)
    model = network()
    clean = torch.rand(1, 1, 12, 12, dtype=torch.float64, generator=rng)
    denoised = model(noise(clean, rng))

    def gradient(target):
        loss = l2(denoised, target)
        parts = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        return torch.cat([part.flatten() for part in parts])

    def target():
        return sum(noise(clean, rng) for _ in range(others)) / others + bias

    samples = torch.stack([gradient(target()) for _ in range(DRAWS)])
    return samples, gradient(clean)


def in_standard_errors(samples, expected):
    away = (samples.mean(0) - expected).abs() / (samples.std(0) / len(samples) ** 0.5)
    return away[expected != 0].max()


@pytest.mark.parametrize("noise", NOISES)
def test_noisy_targets_give_the_clean_gradient_on_average(noise):
    assert in_standard_errors(*gradients(noise)) < 5


@pytest.mark.parametrize("noise", NOISES)
def test_noise_with_a_bias_does_not(noise):
    assert in_standard_errors(*gradients(noise, bias=0.05)) > 5


def test_the_mean_of_four_other_shots_has_the_same_gradient_with_a_quarter_of_the_variance():
    one, clean = gradients(NOISES[0])
    four, _ = gradients(NOISES[0], others=4)
    assert in_standard_errors(four, clean) < 5
    moving = clean != 0
    ratio = (one[:, moving].var(0) / four[:, moving].var(0)).log().median()
    error = 2 / DRAWS**0.5  # of the log of a quotient of two variances, from DRAWS each
    assert abs(ratio - math.log(4)) < 5 * error
    assert abs(ratio - math.log(2)) > 5 * error, "control"


class Blur:
    """A denoiser of sorts, the same for all."""

    def step(self, noisy, target, used):
        raise NotImplementedError

    def denoise(self, noisy):
        return torch.nn.functional.avg_pool2d(noisy, 3, stride=1, padding=1)


PICTURES = 400


def shots(noise, shared=0.0):
    """Clean pictures and two shots of each; `shared` of the noise is common to both."""
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(PICTURES, 1, 16, 16, dtype=torch.float64, generator=rng)
    clean = torch.nn.functional.avg_pool2d(clean, 5, stride=1, padding=2) + 0.3
    one, two = (noise(clean, rng) for _ in range(2))
    return clean, one, two + shared * (one - clean)


def identity(noise, shared=0.0):
    """E|f(y₁) − y₂|² − E|f(y₁) − x|² − E|n₂|², by picture, in standard errors."""
    clean, one, two = shots(noise, shared)
    denoised = Blur().denoise(one)

    def power(values):
        return values.square().mean((1, 2, 3))

    apart = power(denoised - two) - power(denoised - clean) - power(two - clean)
    return float(abs(apart.mean()) / (apart.std() / PICTURES**0.5))


@pytest.mark.parametrize("noise", NOISES)
def test_the_held_out_loss_is_the_error_plus_the_noise(noise):
    assert identity(noise) < 5


@pytest.mark.parametrize("noise", NOISES)
def test_it_is_not_where_the_shots_share_noise(noise):
    assert identity(noise, shared=0.3) > 5


def monitor(noise, shared=0.0, scale=None):
    scale = scale or Scale()
    clean, one, two = shots(noise, shared)
    pairs = [TwoShots(scale.into(one[n::2]), scale.into(two[n::2])) for n in (0, 1)]
    return clean, one, Monitor(pairs, scale)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("scale", [Scale(), Scale(0.25, 0.5)])
def test_the_monitor_tells_the_gain_without_a_clean_picture(noise, scale):
    """Of a blur the error is 1/9 of the noise and a little blur: the estimate is within 0.1 dB."""
    clean, one, watch = monitor(noise, scale=scale)
    denoised = scale.back(Blur().denoise(scale.into(one)))
    truth = 10 * math.log10(l2(one, clean) / l2(denoised, clean))
    watch.l2(Blur())
    assert watch.gain.value == pytest.approx(truth, abs=0.1)
    assert watch.noise == pytest.approx(float(l2(one, clean)), rel=0.02)


def test_the_monitor_is_wrong_where_the_shots_share_noise():
    clean, one, watch = monitor(NOISES[0], shared=0.3)
    truth = 10 * math.log10(l2(one, clean) / l2(Blur().denoise(one), clean))
    watch.l2(Blur())
    assert abs(watch.gain.value - truth) > 0.3


def test_the_best_weights_by_noisy_shots_are_the_best_by_clean_pictures():
    clean, one, two = shots(NOISES[0])
    blurred = Blur().denoise(one)
    mixes = np.linspace(0, 1, 41)
    truth = [float(l2(mix * blurred + (1 - mix) * one, clean)) for mix in mixes]
    held_out = [float(l2(mix * blurred + (1 - mix) * one, two)) for mix in mixes]
    clipped = [float(l2(mix * blurred + (1 - mix) * one, one)) for mix in mixes]
    assert abs(int(np.argmin(truth)) - int(np.argmin(held_out))) <= 1
    assert np.argmin(clipped) == 0, "the shot itself as a target teaches to copy"
