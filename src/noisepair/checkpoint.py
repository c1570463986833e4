"""The model folder: everything a trained model is, as data and never as code.

    weights.safetensors   the best weights so far
    model.json            recipe, scale, planes, what it was trained on, scores, machine
    history.jsonl         a line a validation
    seen.npy              a number for each shot that was trained on: these judge nothing
    state.safetensors     the last weights and the optimizer's memory, for --resume

Every file is written beside its place and then moved there, so a reader, or a run that continues
after `kill -9`, meets an old file or a new one and never half of one.
"""

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .errors import InputError
from .files import make_folder, said, write
from .models import Scale
from .recipe import VERSION, Recipe

BUNDLED = {"colour": 3, "grey": 1}  # names of weights, and the planes that they are for
FORMAT = 2  # 1 named the U-Net's weights otherwise
CARD, WEIGHTS, STATE, HISTORY, SEEN = (
    "model.json",
    "weights.safetensors",
    "state.safetensors",
    "history.jsonl",
    "seen.npy",
)


@dataclass(frozen=True)
class Card:
    """What `model.json` says: how the weights are to be used and where they come from."""

    recipe: Recipe
    planes: int
    scale: Scale
    provenance: Mapping[str, Any]

    @property
    def blind(self) -> bool:
        """Whether they are for any picture, as those that come with noisepair and their exports."""
        return bool(self.provenance.get("blind"))

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "recipe": self.recipe.lines(),
            "planes": self.planes,
            "normalisation": asdict(self.scale),
            "provenance": dict(self.provenance),
        }


Tensors = dict[str, Tensor]


def refuse_existing(folder: Path) -> None:
    """Overwrite nothing unasked."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} exists and is not empty. Choose another --out, or continue that run with"
            " --resume."
        )


def create(folder: Path) -> None:
    """A folder for a model. Its card is written first: from then on the run can be resumed."""
    make_folder(folder)


def write_card(folder: Path, card: Card) -> None:
    write(folder / CARD, (json.dumps(card.as_json(), indent=2) + "\n").encode())


def write_seen(folder: Path, fingerprints: np.ndarray) -> None:
    page = io.BytesIO()
    np.save(page, fingerprints, allow_pickle=False)
    write(folder / SEEN, page.getvalue())


def read_seen(folder: Path) -> np.ndarray | None:
    """The numbers of the shots that the model was trained on; none if the folder does not know."""
    path = folder / SEEN
    if not path.exists():
        return None
    with legible(path):
        return np.load(path, allow_pickle=False).astype(np.uint64)


def located(model: str | Path, planes: int | None = None) -> Path:
    """The folder of a model: a path, or a name of weights that come with this package.

    `bundled` is `grey` or `colour`, as pictures of `planes` colour planes need. A folder of such a
    name that is there comes first. Raises InputError where no bundled weights fit the planes.
    """
    path, name = Path(model), str(model)
    if (name not in BUNDLED and name != "bundled") or path.exists():
        return path
    if name == "bundled":
        known = {count: one for one, count in BUNDLED.items()}
        if planes not in known:
            raise InputError(
                f"The bundled weights are for pictures of 1 or 3 colour planes, and these have"
                f" {planes}. Train a model on pictures like them."
            )
        name = known[planes]
    return Path(__file__).with_name("weights") / name


def read_card(folder: Path) -> Card:
    """The card of a model folder; InputError where there is none or it is damaged or too new."""
    path = folder / CARD
    if not folder.is_dir() or not path.exists():
        raise InputError(
            f"{folder} is not a model: it has no {CARD}. Give a folder that `noisepair train`"
            f" wrote, or the name of bundled weights: {', '.join(BUNDLED)}."
        )
    with legible(path):
        text = path.read_text(encoding="utf-8")
    return card_of(text, path, folder)


def card_of(text: str, path: Path, model: Path) -> Card:
    """The card of `model` that was found at `path`, as JSON; InputError as for `read_card`."""
    with legible(path):
        plain = json.loads(text)
        formats = {"model": (int(plain["format"]), FORMAT)}
        formats["recipe"] = int(plain["recipe"].get("version", VERSION)), VERSION
    for what, (found, known) in formats.items():
        if found > known:
            raise InputError(
                f"{model} has {what} format {found}; this noisepair reads up to {known}."
                " Upgrade noisepair."
            )
    if (old := formats["model"][0]) < FORMAT:
        raise InputError(
            f"{model} has model format {old}, and its weights are named as this noisepair, which"
            f" reads format {FORMAT}, does not know them. Train again, or use the noisepair that"
            " wrote it."
        )
    with legible(path):
        scale = Scale(**{name: float(value) for name, value in plain["normalisation"].items()})
        recipe, planes = Recipe.of(plain["recipe"]), int(plain["planes"])
        if planes < 1:
            raise ValueError(f"planes={planes}")
        return Card(recipe, planes, scale, dict(plain["provenance"]))


@contextlib.contextmanager
def legible(path: Path) -> Iterator[None]:
    """Turn whatever damage does to a reader into a sentence."""
    try:
        yield
    except (
        AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError, OSError,
    ) as error:  # fmt: skip
        raise InputError(
            f"{path} is damaged or not noisepair's ({type(error).__name__}: {error}). Restore it"
            " from a copy, or train again."
        ) from None


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Tensors with a few plain values and a checksum of their bytes."""
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(dict(about), allow_nan=True)
    write(path, save(flat, metadata={"about": text, "checksum": checksum(flat, text)}))


def load_tensors(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """What `save_tensors` wrote; InputError where the file is missing, damaged or another's."""
    if not path.exists():
        raise InputError(
            f"{path.parent} has no {path.name}. Restore it from a copy, or train again."
        )
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is damaged: {error}. Restore it from a copy, or train again."
        ) from None
    if about.get("checksum") != checksum(tensors, about.get("about", "")):
        raise InputError(
            f"{path} is damaged or not noisepair's: its checksum does not fit its contents."
            " Restore it from a copy, or train again."
        )
    return tensors, json.loads(about["about"])


def fit_into(path: Path, module: torch.nn.Module, tensors: Tensors) -> None:
    """Load weights; InputError where they belong to another network."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"{path} holds weights of another network than its {CARD} says: {reason}"
        ) from None


def checksum(tensors: Mapping[str, Tensor], about: str) -> str:
    total = hashlib.blake2b(about.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def sweep(folder: Path) -> None:
    """Remove what `kill -9` left half written beside its place."""
    for name in map(Path, (CARD, WEIGHTS, STATE, HISTORY, SEEN)):
        for left in folder.glob(f".{name.stem}.*{name.suffix}"):
            with contextlib.suppress(OSError):
                left.unlink()


# — history —


def append_history(folder: Path, line: Mapping[str, Any]) -> None:
    with said(f"write {folder / HISTORY}"), open(folder / HISTORY, "a", encoding="utf-8") as file:
        file.write(json.dumps(dict(line)) + "\n")


def read_history(folder: Path) -> list[dict[str, Any]]:
    """All whole lines; a last line that a crash cut short is passed over."""
    path = folder / HISTORY
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(text))
    return lines


def trim_history(folder: Path, step: int) -> None:
    """Forget what came after `step`: the run goes on from there and will say it again."""
    kept = [line for line in read_history(folder) if line["step"] <= step]
    write(folder / HISTORY, "".join(json.dumps(line) + "\n" for line in kept).encode())
