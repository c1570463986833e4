"""What stands in for the clean target: two shots of a place, or two that are found in one shot.

A pairing is a file: what is noisy, what is the target, and what the network is asked to make of
them. `Pairs` cuts the crops, whatever the pairing is.

    two_shots           another shot: Noise2Noise
    neighbor2neighbor   neighbouring pixels of one shot
    noise2void          a hidden pixel, told from those around it
    zero_shot           the two diagonals of 2×2 pixels of one shot
    recorrupted         one shot with more noise, and with the opposite of it
"""

from ._crops import Pairs, batch_for, blurred, crop_for
from ._held import held_out, middle
from .neighbor2neighbor import Neighbors
from .noise2void import Hidden
from .pair import Denoise, Pair
from .two_shots import TwoShots
from .zero_shot import Diagonals

__all__ = [
    "Denoise",
    "Diagonals",
    "Hidden",
    "Neighbors",
    "Pair",
    "Pairs",
    "TwoShots",
    "batch_for",
    "blurred",
    "crop_for",
    "held_out",
    "middle",
]
