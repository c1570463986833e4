"""Train image denoisers without a clean image.

    import noisepair
    clean = noisepair.denoise(noisy, channel_axis=-1)   one picture, no training

    recipe = noisepair.Recipe(budget="10m")
    denoiser = noisepair.train("shots_a", "shots_b", out="model", recipe=recipe)
    clean = denoiser(noisy, channel_axis=-1)

The stages, in the order a run takes them: images (disk to array), noise (how a picture is spoilt),
sources (which shots show the same scene), check (are they fit), recipe (everything that decides a
run), pairs (batches), models, losses, optim (the parts), train (the only loop), checkpoint (the
model folder), denoise (any picture, tile by tile), blind (one whose noise nobody knows), verdict
(did it work, by noisy pairs alone), metrics, evaluate (scores against clean pictures), study (a
question, a base recipe, lines to vary). `app` is the face.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .blind import denoise as denoise
    from .check import check as check
    from .denoise import Denoiser as Denoiser
    from .errors import InputError as InputError
    from .evaluate import evaluate as evaluate
    from .noise import Gaussian as Gaussian
    from .noise import Poisson as Poisson
    from .recipe import Recipe as Recipe
    from .study import Study as Study
    from .study import run_study as run_study
    from .train import train as train
    from .verdict import verdict as verdict

__version__ = "0.1.0"

# Found when first asked for: torch takes a second to import, and `noisepair --help` needs none.
PUBLIC = {
    "Denoiser": "denoise",
    "Gaussian": "noise",
    "InputError": "errors",
    "Poisson": "noise",
    "Recipe": "recipe",
    "Study": "study",
    "check": "check",
    "denoise": "blind",
    "evaluate": "evaluate",
    "run_study": "study",
    "train": "train",
    "verdict": "verdict",
}
__all__ = ["__version__", *PUBLIC]


class Package(ModuleType):
    """This module, where `train` and `evaluate` are the functions, not the files of their name.

    Python binds a file to the package when it is imported; a property that takes no assignment
    keeps the name for the function, whichever comes first.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name not in PUBLIC:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted(__all__)


def public(name: str, file: str) -> property:
    return property(lambda package: getattr(import_module(f"{__name__}.{file}"), name))


for _name, _file in PUBLIC.items():
    setattr(Package, _name, public(_name, _file))
sys.modules[__name__].__class__ = Package
