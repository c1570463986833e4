"""Disk ↔ array: pictures of any size, type and number of pages; what came in goes out.

    image = read("cells.tif")                        image.pixels is (N, H, W, C), dtype as stored
    notes = write("out/cells.tif", image, denoised)  same shape and dtype; alpha and metadata kept

N pages, H×W pixels, C colour planes (1 grey, 3 RGB). Alpha never meets a network: it waits in
`image.alpha` and is written back as it was. What a format cannot keep is said in a note, never
dropped in silence. `read` trusts a file's content, `write` obeys the suffix.
"""

from ._find import SUFFIXES, find
from ._image import Image
from ._read import read
from ._values import from_unit, full_scale, to_unit
from ._write import write

__all__ = ["SUFFIXES", "Image", "find", "from_unit", "full_scale", "read", "to_unit", "write"]
