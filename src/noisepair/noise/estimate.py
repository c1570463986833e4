"""How strong the noise of one picture is, without a second shot and without knowing the scene.

Squares of 8×8 pixels are taken apart by a cosine transform (DCT-II, orthonormal). White noise puts
its variance into every coefficient alike, a scene most of its energy into the low ones. So squares
with little energy in the low coefficients are called flat, and the variance is read off their
highest, which know nothing of the choice (Ponomarenko, Lukin, Zriakhov & Kaarna 2007; Colom &
Buades 2013, IPOL 3, algorithm 1). Against brightness it is a line (Foi, Trimeche, Katkovnik &
Egiazarian 2008, equation 2):

    variance = gain · (level − black) + read²        level: the mean of a square

Colour is first turned into a sum and differences of planes by an orthonormal matrix M. Noise that
every plane has by itself stays what it is, var d_k = Σ_c M_kc² var_c, and most of the scene stays
behind in the sum: only the differences are measured.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dct
from scipy.special import ndtri

from ..errors import InputError

SIDE = 8  # pixels of a square
SQUARES = 32_768  # looked at, at most, evenly spread: 2.1 megapixels
STRIDE = 5  # pixels from square to square, at least; odd, to miss the grid of JPEG's squares
FLAT = 0.05  # share of the squares of one brightness that is taken for flat at first
FLATTEST = 0.03  # of those of the picture, where the spectrum of the noise is asked for
LEVELS, FEWEST = 12, 100  # bins of brightness, and squares in one
CUT = 0.35  # share of a square's values at an end of the range, above which it is left out
# Power in the highest quarter of frequencies to that in the quarter before, below which noise is
# not white. Over photographs white noise of 5/255 and more has 0.57 to 1.14, if blurred by half a
# pixel 0.45 to 0.62, if enlarged twofold 0.03. Texture alone falls to 0.4. It gives itself away by
# the quarter before, which differs from square to square by more than TEXTURE times the variance
# that chance leaves. A compressor empties the highest quarter of most squares: more than HOLES.
WHITE, WHITE_IN_TEXTURE, TEXTURE = 0.7, 0.35, 2.0
WHITE_IN_HOLES, HOLES = 0.9, 5.5
WHITE_IN_COLOUR = 0.8  # differences of planes have hardly a texture: 0.95 to 1.04, and 0.6 blurred
ROUNDING = 1e-13  # power that float32 makes of nothing, in units of the range
OWN = 3.0  # power of the planes' sum to that of their differences, above which they share noise,
COPIES = 50.0  # … and above which planes are copies of one
SURE, MATTERS = 4.0, 1.5  # standard errors of gain; variance of the bright to that of the dark


@dataclass(frozen=True)
class Level:
    """The noise of a picture, in the picture's own units.

    `sigma`: root of the mean variance over the picture, `doubt` its standard error, which does not
    know of texture. `gain`, `read`, `black`: variance = gain · (level − black) + read²; where it
    does not grow beyond doubt, gain is 0 and read is sigma, and black is 0 unless the picture
    stands on a pedestal beyond doubt. `correlation` of neighbours, to the right and down. `white`:
    whether each pixel is spoilt by itself, as far as can be told; if not, sigma is a rough guess:
    it counts some texture, and misses grains of more than four pixels. `squares`: how many spoke.
    """

    sigma: float
    doubt: float = 0.0
    gain: float = 0.0
    read: float = 0.0
    black: float = 0.0
    correlation: tuple[float, float] = (0.0, 0.0)
    white: bool = True
    squares: int = 0

    @property
    def dependent(self) -> bool:
        """Whether variance grows with brightness: beyond doubt, and by enough to matter."""
        return self.gain > 0

    def sentence(self) -> str:
        """One line for people, in 255ths.

        >>> Level(0.1, gain=0.02, read=0.02).sentence()
        'noise: sigma 25.5/255, growing with brightness (gain 0.02, read 5.1/255)'
        >>> Level(0.1, correlation=(0.42, 0.4), white=False).sentence()
        'noise: sigma about 25.5/255, correlated from pixel to pixel (0.42 to the right, 0.40 down)'
        """
        words = f"noise: sigma {'' if self.white else 'about '}{self.sigma * 255:.1f}/255"
        if self.dependent:
            line = f"gain {self.gain:.2g}, read {self.read * 255:.1f}/255"
            words += f", growing with brightness ({line})"
        if not self.white:
            right, down = self.correlation
            words += f", correlated from pixel to pixel ({right:.2f} to the right, {down:.2f} down)"
        return words

    def as_json(self) -> dict[str, Any]:
        """All of it, by name."""
        return {**vars(self), "correlation": list(self.correlation), "dependent": self.dependent}


def estimate(picture: np.ndarray) -> Level:
    """The noise of one picture (H, W, C) of floats, in any unit and range; nothing is clipped.

    Values at the ends of the picture's own range count as clipped where they are many. A picture
    of one value, or one pixel, has sigma 0. Raises InputError for another shape or type and for
    NaN or infinity.
    """
    low, high = ends(picture)
    found = squares(picture, low, high) if high > low else None
    if found is None or found.frequency.max() == 0:
        return Level(0.0)
    flat = found.flattest(found.frequency <= 0.75, FLATTEST)
    dark_first = flat[np.argsort(found.level[flat].sum(1))]
    white, seen = looked_at(found.power[dark_first])
    points = variances(found, seen, white=white)
    return leveled(points, found, high - low, white, correlation(found, seen))


def ends(picture: np.ndarray) -> tuple[float, float]:
    """The least and the greatest value, of a picture that is one."""
    if picture.ndim != 3 or 0 in picture.shape or picture.dtype.kind != "f":
        raise InputError(
            f"Values of type {picture.dtype} and shape {picture.shape} are not one picture of"
            " floats. Give (H, W, C), integers divided by their full scale."
        )
    low, high = float(picture.min()), float(picture.max())
    if not math.isfinite(high - low):
        raise InputError(
            "The picture holds NaN or infinity, which have no noise level. Replace them first, by"
            " a neighbour's value for example."
        )
    return low, high


@dataclass(frozen=True)
class Squares:
    """N squares of h×w pixels in K mixed planes; values in units of the picture's range.

    `power` (N, K, h, w): squared coefficients. `level` (N, K): the brightness at which a plane of
    the picture has the noise that the mixed plane has. `left` (N, K): the share of the variance
    that clipping has left. `frequency` (h, w): u/h + v/w. `alone`: the share of its pixels that a
    square does not share with others. `mean`: of the whole picture.
    """

    power: np.ndarray
    level: np.ndarray
    left: np.ndarray
    frequency: np.ndarray
    alone: float
    mean: float

    def energy(self, of: np.ndarray) -> np.ndarray:
        """Mean power in some of the coefficients, but for the mean of the square, (N,)."""
        of = of & (self.frequency > 0)
        return np.asarray(self.power[..., of].mean((1, 2)) if of.any() else self.power[:, 0, 0, 0])

    def flattest(self, low: np.ndarray, share: float) -> np.ndarray:
        """Which squares have the least energy in these coefficients, at least 8 of them."""
        return least(self.energy(low), share)


def least(energy: np.ndarray, share: float) -> np.ndarray:
    """Which are the lowest, at least 8."""
    count = min(len(energy), max(8, round(share * len(energy))))
    return np.argpartition(energy, count - 1)[:count]


def squares(picture: np.ndarray, low: float, high: float) -> Squares:
    """The squares looked at, without those that clipping has spoilt if others are left."""
    sides = [min(SIDE, size) for size in picture.shape[:2]]
    room = math.prod(size - side + 1 for size, side in zip(picture.shape[:2], sides, strict=True))
    stride = max(STRIDE, math.isqrt(room // SQUARES) + 1) | 1
    seen = sliding_window_view(picture, sides, (0, 1))[::stride, ::stride]
    values = seen.reshape(-1, picture.shape[2], math.prod(sides))  # (N, C, h·w)
    black, white = ((values == end).mean(-1) for end in (low, high))
    mean = values.mean(-1, dtype=np.float64)
    whole = (black + white <= CUT).all(1)
    if whole.mean() < 0.05:
        whole[:] = True
    scale = high - low
    deviation = ((values[whole] - mean[whole, :, None]) / scale).astype(np.float32)
    mix, (down, across) = cosines(picture.shape[2]), map(cosines, sides)
    both = np.kron(down, across).astype(np.float32)
    power = np.square(mix.astype(np.float32) @ (deviation @ both.T))
    shares = np.square(mix).T
    return Squares(
        power.reshape(len(power), -1, *sides),
        mean[whole] @ shares / scale,
        variance_left(black[whole], white[whole]) @ shares,
        np.add.outer(np.arange(sides[0]) / sides[0], np.arange(sides[1]) / sides[1]),
        min(1.0, stride**2 / math.prod(sides)),
        float(mean.mean()) / scale,
    )


def cosines(size: int) -> np.ndarray:
    """The orthonormal DCT-II as a matrix; its first row is all alike."""
    return np.asarray(dct(np.eye(size), norm="ortho", axis=0))


def variance_left(black: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Variance of N(0, 1) cut off so that these shares lie at the ends (Foi 2009, section 3).

    With the ends at a = Φ⁻¹(black) and b = −Φ⁻¹(white), φ the bell:
    mean = a·black + b·white + φ(a) − φ(b), and the mean square is
    a²·black + b²·white + (1 − black − white) + a φ(a) − b φ(b).

    >>> variance_left(np.array([0.0, 0.5]), np.array([0.0, 0.0])).round(4).tolist()
    [1.0, 0.3408]
    """
    a, b = ndtri(np.clip(black, 1e-12, 1)), -ndtri(np.clip(white, 1e-12, 1))
    a, b = np.minimum(a, 8.0), np.maximum(b, -8.0)
    bell_a, bell_b = (np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) for z in (a, b))
    mean = a * black + b * white + bell_a - bell_b
    square = a**2 * black + b**2 * white + (1 - black - white) + a * bell_a - b * bell_b
    return np.maximum(square - mean**2, 0.01)


def looked_at(power: np.ndarray) -> tuple[bool, slice]:
    """Whether noise is white, and the mixed planes to measure it in, by flat squares (N, K, h, w).

    In the differences of planes if the sum has no more noise than they. It has more if a grey
    picture was stored in colour, if the camera shares noise among planes, if colour was compressed
    more than brightness; then all are measured. What texture the sum has is not white. Squares come
    from dark to bright.
    """
    every, differences = np.s_[:], np.s_[1:]
    if power.shape[1] == 1:
        return is_white(power), every
    more = float(power[:, 0].mean()) / max(float(power[:, differences].mean()), ROUNDING)
    if more > COPIES:
        return is_white(power[:, :1]), every
    if not is_white(power[:, differences], WHITE_IN_COLOUR):
        return False, every
    return True, every if more > OWN and is_white(power[:, :1], WHITE) else differences


def is_white(power: np.ndarray, at_least: float | None = None) -> bool:
    """Whether the highest frequencies are as strong as those before, or weak by texture alone."""
    rows, columns = power.shape[2:]
    if min(rows, columns) < SIDE:
        return True  # too few pixels to tell
    middle = (power[..., 3:5, 4:].mean((1, 2, 3)) + power[..., 4:, 3:5].mean((1, 2, 3))) / 2
    top = (power[..., 6:, 4:].mean((1, 2, 3)) + power[..., 4:, 6:].mean((1, 2, 3))) / 2
    if np.median(middle) < ROUNDING:
        return bool(middle.mean() < ROUNDING)  # most squares were emptied, if not all
    ratio = float(np.median(top) / np.median(middle))
    chance = 2 / (16 * power.shape[1])  # 16 coefficients each, but for 4 that count twice
    hollow = uneven(top) > HOLES * chance
    textured = at_least is None and uneven(middle) > TEXTURE * chance
    return ratio > (
        WHITE_IN_HOLES if hollow else WHITE_IN_TEXTURE if textured else at_least or WHITE
    )


def uneven(values: np.ndarray) -> float:
    """Variance among squares of like brightness, in units of the squared mean."""
    groups = np.array_split(values, max(1, len(values) // 24))
    return float(np.mean([group.var() / max(group.mean() ** 2, ROUNDING**2) for group in groups]))


def correlation(found: Squares, seen: slice) -> tuple[float, float]:
    """Of neighbours, to the right and down, in the flattest tenth of the squares.

    Where all planes are seen, that of their differences if it is more: colour may be all that is
    correlated. Flat are squares with little below a frequency of 3/8. What this choice has spoilt
    is taken to be as strong as what comes next: large grains seem less correlated than they are.
    """
    if min(found.frequency.shape) < SIDE:
        return 0.0, 0.0
    flat = found.flattest(found.frequency <= 0.375, 0.1)
    power = found.power[flat][:, seen]
    parts = [power, power[:, 1:]] if power.shape[1] == found.power.shape[1] > 1 else [power]
    spectra = (part.mean((0, 1), dtype=np.float64) for part in parts)
    return max((neighbours(spectrum, found.frequency) for spectrum in spectra), key=sum)


def neighbours(spectrum: np.ndarray, frequency: np.ndarray) -> tuple[float, float]:
    """The correlation to the right and down that belongs to a spectrum (8, 8)."""
    next_to = (frequency > 0.375) & (frequency <= 0.625)
    spectrum = np.where(frequency <= 0.375, spectrum[next_to].mean(), spectrum)
    whole = np.pad(spectrum, ((0, 1), (0, 1)), mode="edge")  # 0 to π, its ends counted half
    whole[[0, -1]] /= 2
    whole[:, [0, -1]] /= 2
    wave = np.cos(np.pi * np.arange(SIDE + 1) / SIDE)
    total = max(float(whole.sum()), ROUNDING)
    return float((whole @ wave).sum()) / total, float((wave @ whole).sum()) / total


@dataclass(frozen=True)
class Points:
    """Variance against level, by bin; `doubt` relative to the variance; `squares` that spoke."""

    level: np.ndarray
    variance: np.ndarray
    doubt: np.ndarray
    squares: int


def variances(found: Squares, seen: slice, *, white: bool) -> Points:
    """The variance of the flat squares of each brightness."""
    low, weight = counted(found.frequency, white=white)
    planes = np.arange(found.power.shape[1])[seen]
    level = found.level[:, planes].ravel()
    left = found.left[:, planes].ravel()
    strength = np.einsum("nkhw,hw->nk", found.power[:, planes], weight).ravel()
    energy = np.repeat(found.energy(low), len(planes))
    chance = math.sqrt(2 / max(1, low.sum() * found.power.shape[1]))
    bins = min(LEVELS, max(1, len(level) // FEWEST))
    rows, used = [], 0
    for part in np.array_split(np.argsort(level, kind="stable"), bins):
        flat = part[least(energy[part], FLAT)]
        for _ in range(3):  # as many as noise alone could have made, but for one in six
            more = part[energy[part] < strength[flat].mean() * (1 + chance)]
            flat = max(flat, more, key=len)
        variance = strength[flat].mean() / left[flat].mean()
        count = max(1.0, len(flat) * found.alone)
        spread = float(strength[flat].std() / max(float(strength[flat].mean()), 1e-30))
        rows.append((level[flat].mean(), variance, spread / math.sqrt(count)))
        used += len(flat)
    levels, found_variance, doubt = np.array(rows, float).T
    return Points(levels, found_variance, doubt, used // len(planes))


def counted(frequency: np.ndarray, *, white: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which coefficients tell flat squares, and with what weight each is measured.

    Of white noise the highest 10 of 64 are measured. Of other noise all are, those that told in the
    strength of those that come next.
    """
    if white:
        most = np.sort(frequency, axis=None)[-max(1, round(frequency.size * 10 / 64))]
        high = frequency >= most
        return ~high & (frequency > 0), high / high.sum()
    low = frequency <= 0.375
    weight = np.where(low, 0.0, 1.0)
    next_to = ~low & (frequency <= 0.625)
    weight[next_to] += low.sum() / next_to.sum()
    return low & (frequency > 0), weight / weight.sum()


@dataclass(frozen=True)
class Line:
    """variance = values[0] + values[1] · (level − centre), and the standard errors of both."""

    centre: float
    values: np.ndarray
    doubt: np.ndarray

    def at(self, level: float) -> float:
        return float(self.values[0] + self.values[1] * (level - self.centre))


def fitted(points: Points, terms: int, centre: float = 0.0) -> Line:
    """A constant (1 term) or a line (2). Bins far above it are texture, and count for little."""
    x = np.stack([np.ones_like(points.level), points.level - centre], 1)[:, :terms]
    relative = np.maximum(points.doubt, max(0.02, float(np.median(points.doubt)) / 2))
    fit = np.full(len(x), max(float(np.median(points.variance)), 1e-30))
    trust = np.ones(len(x))
    for _ in range(20):
        # weights of the fit, not of the points: those that chance to be low would weigh more
        error = relative * np.maximum(fit, 0.1 * fit.max())
        weight = trust / error**2
        matrix = np.linalg.pinv((x.T * weight) @ x, hermitian=True)
        values = matrix @ (x.T @ (weight * points.variance))
        fit = np.maximum(x @ values, 1e-30)
        above = (points.variance - fit) / error
        trust = np.square(2 / np.maximum(above, 2))
    scatter = float((trust * above**2).sum()) / max(1, len(x) - terms)
    doubt = np.sqrt(np.diag(matrix) * max(1.0, scatter))
    return Line(centre, np.pad(values, (0, 2 - terms)), np.pad(doubt, (0, 2 - terms)))


def leveled(
    points: Points, found: Squares, scale: float, white: bool, near: tuple[float, float]
) -> Level:
    """The level in units of the picture, from points in units of its range.

    Of noise that is not white no line is drawn, for texture bends it, and so do tone curves.
    """
    flat = fitted(points, 1)
    line = fitted(points, 2, float(points.level.mean())) if len(points.level) > 3 else flat
    dark, bright = (line.at(float(level)) for level in np.quantile(found.level, (0.05, 0.95)))
    grows = white and line.values[1] > SURE * line.doubt[1] and bright > MATTERS * max(dark, 0.0)
    constant = float(flat.values[0] if white else np.median(points.variance))
    deviation = math.sqrt(max(0.0, line.at(found.mean) if grows else constant))
    doubt = float((line if grows else flat).doubt[0]) / max(2 * deviation, ROUNDING)
    sigma = scale * deviation
    gain, read, black = physics(points, line) if grows else (0.0, deviation, 0.0)
    return Level(
        sigma, scale * doubt if sigma else 0.0, scale * gain, scale * read, scale * black,
        near, white, points.squares,
    )  # fmt: skip


def physics(points: Points, line: Line) -> tuple[float, float, float]:
    """gain, read and black of a line that grows; neither gain nor read² is below 0."""
    slope, error = float(line.values[1]), line.doubt
    dark = line.at(0.0)
    if dark >= 0:
        return slope, math.sqrt(dark), 0.0
    if dark < -SURE * math.hypot(error[0], error[1] * line.centre):
        return slope, 0.0, -dark / slope
    fit = line.values[0] + line.values[1] * (points.level - line.centre)
    weight = 1 / np.square(np.maximum(points.doubt, 0.02) * np.maximum(fit, 0.1 * fit.max()))
    product = weight * points.level
    return float((product @ points.variance) / (product @ points.level)), 0.0, 0.0
