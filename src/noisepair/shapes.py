"""The shapes of this package, named once.

Letters: B pictures, C colour planes, H×W pixels. Values are floats, [0, 1] unless said otherwise.
"""

from jaxtyping import Float, Shaped
from torch import Tensor

Picture = Float[Tensor, "C H W"]
Batch = Float[Tensor, "B C H W"]
Raw = Shaped[Tensor, "B C H W"]  # pictures in the type that they are kept in
Scalar = Float[Tensor, ""]
