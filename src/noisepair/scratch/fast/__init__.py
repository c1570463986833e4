"""The fast path: the same functions as the short code, at the speed of the machine.

Two functions and their backward passes carry all layers with weights:

    conv      a convolution                     gather.py; wide 3×3 ones: winograd.py
    spread    a transposed convolution          spread.py

Pictures lie in memory as (B, H, W, C), what torch calls channels_last: the channels of a pixel are
neighbours, so a row of a window is one run of memory, and every product has the channels for its
columns. Tensors are called (B, C, H, W) all the same; only their strides differ. A batch is worked
off in pieces whose gathered windows stay in the cache, in buffers that are used again.
"""

from .gather import conv, conv_backward
from .memory import Arena, fresh, reusing
from .spread import spread, spread_backward

__all__ = ["Arena", "conv", "conv_backward", "fresh", "reusing", "spread", "spread_backward"]
