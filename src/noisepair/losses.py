"""What "close to the target" means.

A loss is a weighted sum of terms, written as text: "l2", or "0.84*ms_ssim + 0.16*l1" (Zhao et al.
2017). Each term states which statistic of the noisy targets it learns (Lehtinen et al. 2018,
section 2): the constant with the least loss over all targets that one pixel may have. `used` is
the fraction of the run that is over, in [0, 1].
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from .errors import InputError, choose
from .shapes import Batch, Scalar

Statistic = Literal["mean", "median", "mode", "none"]

EPSILON = 1e-8  # of l0: Lehtinen et al. 2018, section 3.4
MARGIN = 1e-4  # of bce: nearer to 0 or 1, the logarithm is continued by a parabola
TINY = 1e-3  # of rmse: a picture without any error has a slope of 0, and not of 0 / 0
WINDOW = 11  # pixels, side of the window of SSIM: Wang et al. 2004, section III.C
BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # fine to coarse: Wang et al. 2003, section 3.2
LEAST = 0.01  # of ms_ssim: below, a likeness is bent so that it stays above zero


def l2(denoised: Batch, target: Batch, used: float = 0.0) -> Scalar:
    """Mean squared error. Learns the mean: right for zero-mean noise."""
    return (denoised - target).square().mean()


def rmse(denoised: Batch, target: Batch, used: float = 0.0) -> Scalar:
    """Mean over pictures of each one's root mean squared error. Learns the mean, as l2 does.

    A picture's slope is that of its squared error divided by 2 rmse: where noise is twice as
    strong, it counts half as much. For blind networks, whose pictures differ in noise by far.
    """
    squares = (denoised - target).square().flatten(1).mean(1)
    return (squares + TINY**2).sqrt().mean()


def l1(denoised: Batch, target: Batch, used: float = 0.0) -> Scalar:
    """Mean absolute error. Learns the median: right for text and other rare outliers."""
    return (denoised - target).abs().mean()


def l0(denoised: Batch, target: Batch, used: float) -> Scalar:
    """(|e| + 1e-8)^γ, γ from 2 to 0 in a straight line (Lehtinen et al. 2018, section 3.4).

    Learns the mean at first, the median half-way, at last the mode: right for random impulses.
    """
    power = 2 * max(0.0, 1 - used)
    return ((denoised - target).abs() + EPSILON).pow(power).mean()


def bce(denoised: Batch, target: Batch, used: float = 0.0) -> Scalar:
    """−t log x − (1 − t) log(1 − x) for a picture x. Learns the mean of targets t in [0, 1]:

    its slope is (x − t) / (x (1 − x)), which averages to zero where x is the mean of t. Within
    MARGIN of 0 and 1 and outside, x (1 − x) keeps the value that it has at the MARGIN: a parabola
    goes on from there, so the slope never vanishes, and its zero is still the mean. Targets are
    clipped to [0, 1], which costs what clipping always costs: under Gaussian noise of deviation
    sigma black is learnt as 0.4 sigma, and white as much too dark.
    """
    t, x = target.clamp(0, 1), denoised.clamp(MARGIN, 1 - MARGIN)
    inside = -t * x.log() - (1 - t) * (-x).log1p()
    beyond = ((denoised - t).square() - (x - t).square()) / (2 * x * (1 - x)).detach()
    return (inside + beyond).mean()


def ssim(denoised: Batch, target: Batch, used: float = 0.0) -> Scalar:
    """1 − SSIM (Wang et al. 2004, eq. 13). Learns no statistic: noise of a target counts as detail.

    Nearly blind to a picture turned negative, whose two signs cancel: add l1. At the border
    pictures are mirrored. Needs crops of 11 pixels or more.
    """
    least_side(denoised)
    return (1 - likeness(denoised, target)[0]).mean().to(denoised.dtype)


def ms_ssim(denoised: Batch, target: Batch, used: float = 0.0) -> Scalar:
    """1 − MS-SSIM (Wang et al. 2003, eq. 7), at as many of its 5 scales as the crop has room for:

    11 pixels for one, 22, 44, 88, and 176 for all. The exponents are divided by their sum. Learns
    no statistic.
    """
    scales = min(len(BETAS), (least_side(denoised) // WINDOW).bit_length())
    betas = [beta / sum(BETAS[:scales]) for beta in BETAS[:scales]]
    factors = []
    for scale, beta in enumerate(betas, 1):
        whole, contrast = likeness(denoised, target)
        factors.append(positive(whole if scale == scales else contrast) ** beta)
        if scale < scales:
            denoised, target = avg_pool2d(denoised, 2), avg_pool2d(target, 2)
    return (1 - torch.stack(factors).prod(0)).mean().to(denoised.dtype)


def least_side(pictures: Batch) -> int:
    """The shorter side, if a window of SSIM fits in."""
    side = min(pictures.shape[2:])
    if side < WINDOW:
        raise InputError(
            f"ssim and ms_ssim compare windows of {WINDOW} pixels, and this crop has {side}."
            f" Give crop={WINDOW} or more, or another loss."
        )
    return side


def likeness(one: Batch, two: Batch) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
    """SSIM of each picture, and its factor without luminance; Gaussian window, deviation 1.5."""
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure as measure
    except ImportError:
        raise InputError(
            "The losses ssim and ms_ssim need torchmetrics, which is not installed. Run"
            ' `pip install "noisepair[ssim]"`, or give another loss.'
        ) from None
    if one.device.type != "mps":  # which has no float64; TF32 would round E[x²] − E[x]² away
        one, two = one.double(), two.double()
    whole, contrast = measure(
        one, two, data_range=1.0, reduction="none", return_contrast_sensitivity=True
    )
    return whole, contrast


def positive(likeness: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
    """Itself from LEAST on, below a hyperbola that goes on from there towards 0.

    A power needs a base above zero. Cut off at zero instead, as is common, a picture that is unlike
    its target at one scale would have no slope at any: nothing would ever be learnt from it.
    """
    below = LEAST**2 / (2 * LEAST - likeness.clamp(max=LEAST))
    return torch.where(likeness > LEAST, likeness, below)


@dataclass(frozen=True)
class Measure:
    """A term of a loss, and what is known of it."""

    function: Callable[[Batch, Batch, float], Scalar]
    learns: Statistic
    meaning: str

    def __call__(self, denoised: Batch, target: Batch, used: float) -> Scalar:
        return self.function(denoised, target, used)


LOSSES: Mapping[str, Measure] = {
    "l2": Measure(l2, "mean", "mean squared error: right for zero-mean noise"),
    "rmse": Measure(rmse, "mean", "root mean squared error of each picture: for mixed noise"),
    "l1": Measure(l1, "median", "mean absolute error: right for rare outliers"),
    "l0": Measure(l0, "mode", "|error|^γ, γ from 2 to 0 over the run: right for random impulses"),
    "bce": Measure(bce, "mean", "binary cross entropy of values in [0, 1]"),
    "ssim": Measure(ssim, "none", "1 − structural similarity, as the eye compares"),
    "ms_ssim": Measure(ms_ssim, "none", "1 − structural similarity at up to five scales"),
}


@dataclass(frozen=True)
class Loss:
    """Weighted terms, each named once.

    >>> str(Loss.of(".84 * ms_ssim+0.160*l1")), Loss.of("l2").learns
    ('0.84*ms_ssim + 0.16*l1', 'mean')
    """

    terms: tuple[tuple[float, str], ...]

    @classmethod
    def of(cls, text: str) -> "Loss":
        """The loss that is written so; raises InputError, a ValueError, where none is."""
        if not text.strip():
            raise InputError(f"The loss is empty. Give one of {', '.join(sorted(LOSSES))}.")
        loss = cls(tuple(term(part.strip()) for part in text.split("+")))
        names = [name for _, name in loss.terms]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"The loss {text!r} names {name} twice. Give it one weight.")
        return loss

    def __str__(self) -> str:
        return " + ".join(name if w == 1 else f"{decimal(w)}*{name}" for w, name in self.terms)

    def __call__(self, denoised: Batch, target: Batch, used: float) -> Scalar:
        parts = [weight * LOSSES[name](denoised, target, used) for weight, name in self.terms]
        return torch.stack(parts).sum()

    @property
    def learns(self) -> Statistic:
        """What all terms learn: where each is least, so is their sum. Else no statistic."""
        learnt = {LOSSES[name].learns for _, name in self.terms}
        return learnt.pop() if len(learnt) == 1 else "none"


def term(text: str) -> tuple[float, str]:
    """`l1` or `0.16*l1` as weight and name."""
    first, star, last = (part.strip() for part in text.partition("*"))
    name, weight = (last, first) if star else (first, "1")
    choose("loss", name, LOSSES)
    try:
        value = float(weight)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise InputError(
            f"The weight {weight!r} of {name} is not a number above zero. Write it as 0.16*{name}."
        )
    return value, name


def decimal(value: float) -> str:
    """All its digits, and no exponent: a + in it would part two terms."""
    return np.format_float_positional(value, trim="-")
