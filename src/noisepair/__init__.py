"""Train image denoisers without a clean image.

    import noisepair
    denoiser = noisepair.train("shots_a", "shots_b", out="model", recipe=noisepair.Recipe(steps=2000))
    clean = denoiser(noisy, channel_axis=-1)

The stages, in the order a run takes them: images (disk to array), noise (how a picture is spoilt),
sources (which shots show the same scene), recipe (everything that decides a run), pairs (batches),
models, losses, optim (the parts), train (the only loop), checkpoint (the model folder), denoise
(any picture, tile by tile), metrics, evaluate (scores against clean pictures). `app` is the face.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .denoise import Denoiser as Denoiser
    from .errors import InputError as InputError
    from .evaluate import evaluate as evaluate
    from .noise import Gaussian as Gaussian
    from .noise import Poisson as Poisson
    from .recipe import Recipe as Recipe
    from .train import train as train

__version__ = "0.1.0"

# Found when first asked for: torch takes a second to import, and `noisepair --help` needs none of it.
PUBLIC = {
    "Denoiser": "denoise",
    "Gaussian": "noise",
    "InputError": "errors",
    "Poisson": "noise",
    "Recipe": "recipe",
    "evaluate": "evaluate",
    "train": "train",
}
__all__ = ["__version__", *PUBLIC]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(import_module(f".{PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
