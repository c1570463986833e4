"""Denoising a 512×512 RGB picture with the 991,203-parameter U-Net, from uint8 to uint8.

The other: the same network in eager PyTorch, NCHW, float32 (_plain.py), with the conversions that a
user would write. Same weights, interleaved in one process, medians. Floor: 173,945 multiply-adds a
pixel, 91 GFLOP a picture, of which ours needs 67 (128,015 a pixel).

What bfloat16 costs: the network is trained for 200 steps (sigma 25/255), then one noisy picture is
denoised in both precisions and scored against the clean one, pooled, rounded to 8 bits.
"""

import numpy as np
import torch
from _plain import PlainUNet
from _rows import Row, amx, interleaved, milliseconds, show
from skimage import data

import noisepair
from noisepair.checkpoint import Card
from noisepair.denoise import Denoiser
from noisepair.metrics import psnr
from noisepair.models import NOISE2NOISE, Scale, UNetModule
from noisepair.optim import Kaiming

PICTURE = data.astronaut()


def trained(precision: str, weights: torch.nn.Module | None = None) -> Denoiser:
    """A denoiser with Kaiming weights, or those given, in a fixed precision."""
    recipe = noisepair.Recipe(steps=1, precision=precision, network=NOISE2NOISE)  # type: ignore[arg-type]
    network = NOISE2NOISE(3)
    if weights is None:
        Kaiming()(network, torch.Generator().manual_seed(0), network.slope)
    else:
        network.load_state_dict(weights.state_dict())
    return Denoiser(network, Card(recipe, 3, Scale(), {}))


def speed() -> list[Row]:
    ours, exact = trained("auto"), trained("float32")
    plain = PlainUNet().eval()
    assert isinstance(ours.network, UNetModule), "NOISE2NOISE is a U-Net"
    plain.copy_weights(ours.network)

    @torch.inference_mode()
    def run_plain() -> np.ndarray:
        x = torch.from_numpy(PICTURE).permute(2, 0, 1)[None].float() / 255
        out = plain(x)[0].clamp(0, 1) * 255
        return out.round().byte().permute(1, 2, 0).numpy()

    taken = interleaved(
        {
            "plain": run_plain,
            "ours": lambda: ours(PICTURE, channel_axis=-1),
            "ours in float32": lambda: exact(PICTURE, channel_axis=-1),
        },
        rounds=15,
    )
    difference = np.abs(run_plain().astype(int) - exact(PICTURE, channel_axis=-1)).max()
    times = {name: milliseconds(seconds) for name, seconds in taken.items()}
    megapixels = PICTURE.shape[0] * PICTURE.shape[1] / 1e6
    return [
        Row("512×512, plain / ours", taken["plain"] / taken["ours"], "higher",
            4.0 if amx() else None,
            times | {"ours MPix/s": round(megapixels / taken["ours"], 2),
                     "precision": ours.precision(PICTURE.dtype)}),
        Row("512×512, plain / ours in float32", taken["plain"] / taken["ours in float32"],
            "higher", None, {"largest difference, grey levels": int(difference)}),
    ]  # fmt: skip


def cost() -> Row:
    """Squared error in bfloat16 to that in float32; 0.03 dB are 1.0069."""
    names = ("rocket", "immunohistochemistry", "hubble_deep_field", "coffee")
    recipe = noisepair.Recipe(
        noise=noisepair.Gaussian(25 / 255), steps=200, batch=8, network=NOISE2NOISE
    )
    done = noisepair.train([getattr(data, name)() for name in names], recipe=recipe)
    rng = np.random.default_rng(0)
    noisy = np.clip(np.rint(PICTURE + rng.normal(0, 25, PICTURE.shape)), 0, 255).astype(np.uint8)
    scores = {
        precision: psnr(trained(precision, done.network)(noisy, channel_axis=-1), PICTURE, 255)
        for precision in ("bfloat16", "float32")
    }
    ratio = 10 ** ((scores["float32"] - scores["bfloat16"]) / 10)
    said = {name: f"{value:.3f} dB" for name, value in scores.items()}
    return Row("squared error, bfloat16 / float32", ratio, "lower", 10**0.003, said)


if __name__ == "__main__":
    show("Denoising 512×512 RGB, 991,203 parameters", [*speed(), cost()])
