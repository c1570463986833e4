"""Is the noise of single pictures independent from pixel to pixel? Asked of one shot alone.

Where the scene is flat, a picture is its noise. Second differences down the columns,

    d(y, x) = n(y−1, x) − 2 n(y, x) + n(y+1, x),

take off what is left of the scene and know nothing of rows: where noise is drawn for each pixel by
itself, neighbours d(y, x) and d(y, x+1) share none of it and their correlation is 0; where it was
blurred, demosaiced or compressed, it is not. So for rows and columns exchanged. Blocks with the
least energy are the flat ones. Of colour pictures two differences of colour are looked at and not
the brightness: they hold little texture, and they are what compression smooths first.
"""

from collections.abc import Sequence

import numpy as np

from .. import images

BLOCK = 16  # pixels, the side of what may be flat
SHARE = 0.1  # of the blocks, those with the least energy
LEAST = 16  # blocks, where there are so many
NOTICED = 0.15  # a smaller correlation is not said
BEYOND = 4.2  # standard errors, as in _words
PIXELS = 4_000_000  # looked at, of all pictures
SIDE = 1536  # and of one


def alone(pictures: Sequence[np.ndarray]) -> str | None:
    """What is wrong with the noise of `pictures`, (H, W, C) of any kept type, or nothing.

    A sentence where noise is correlated from pixel to pixel, which all pairings of one shot assume
    that it is not; none where it is not, or too little is there to tell.
    """
    far = {
        way: rho for way, (rho, error) in neighbours_of(pictures).items()
        if abs(rho) > max(NOTICED, BEYOND * error)
    }  # fmt: skip
    if not far:
        return None
    worst = max(far, key=lambda way: abs(far[way]))
    return (
        f"Its noise is correlated from pixel to pixel ({far[worst]:.2f} {worst}):"
        " neighbor2neighbor, noise2void, zero-shot and recorrupted all assume that it is not, and"
        " will keep part of it. Give two shots of the scene and leave --pairs out, or the file from"
        " before it was compressed, scaled or smoothed."
    ).replace("-0.", "−0.")


def neighbours_of(pictures: Sequence[np.ndarray]) -> dict[str, tuple[float, float]]:
    """Correlation and its standard error, `to the right` and `down`, of the plane with the most.

    An error of inf where too little is there to tell.
    """
    every = max(1, round(sum(picture[..., 0].size for picture in pictures) / PIXELS))
    seen = [picture[:SIDE, :SIDE] for picture in pictures[::every]]
    found = {}
    for way, turned in (("to the right", seen), ("down", [one.swapaxes(0, 1) for one in seen])):
        planes = [looked_at(one) for one in turned]
        each = [lag_one([one[..., at] for one in planes]) for at in range(planes[0].shape[-1])]
        found[way] = max(each, key=lambda one: (abs(one[0]) > BEYOND * one[1], abs(one[0])))
    return found


def looked_at(picture: np.ndarray) -> np.ndarray:
    """Red − green and blue − green of (H, W, 3); other pictures as they are. Picture units."""
    unit = images.to_unit(picture).astype(np.float64)
    if unit.shape[-1] != 3:
        return unit
    red, green, blue = np.moveaxis(unit, -1, 0)
    return np.stack([red - green, blue - green], -1)


def lag_one(planes: Sequence[np.ndarray]) -> tuple[float, float]:
    """Correlation of horizontal neighbours in flat blocks of planes (H, W), and its standard error;
    inf where too few blocks are there to tell."""
    products, energies = [np.zeros(0)], [np.zeros(0)]
    for plane in planes:
        second = plane[:-2] - 2 * plane[1:-1] + plane[2:]
        height, width = (side // BLOCK * BLOCK for side in second.shape)
        if not height or not width:
            continue
        cut = second[:height, :width]
        blocks = cut.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
        one, two = blocks[..., :-1], blocks[..., 1:]
        products.append((one * two).sum((1, 3)).ravel())
        energies.append(((one**2 + two**2) / 2).sum((1, 3)).ravel())
    product, energy = np.concatenate(products), np.concatenate(energies)
    order = np.argsort(energy)
    flat = order[energy[order] > 0][: max(LEAST, int(SHARE * len(order)))]
    if len(flat) < LEAST:
        return 0.0, np.inf
    rho = float(product[flat].sum() / energy[flat].sum())
    rest = product[flat] - rho * energy[flat]
    return rho, float(np.sqrt((rest**2).sum()) / energy[flat].sum())
