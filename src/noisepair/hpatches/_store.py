"""The folder of a made set: what it was made with, and sequences that are whole or not there.

DIR/made.json                            settings, versions, pictures, sequences
DIR/65/v_graf/ref.png e1.png …           and, a line a patch, what was drawn for each sheet:
              e1.rotjitter               turn, radians
              e1.trjitter                shift along the region's axes, in its radii
              e1.scjitter                scale
              e1.anisjitter              stretch, and its axis in radians
              regions.csv                x, y, radius, angle in the reference
DIR/32/v_graf/ref.png ref_noise.png …    each sheet again, clean and with noise
"""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .. import __version__, files
from ..errors import InputError
from ._sheets import LARGE, SMALL, Patches, Settings, Sheets, small_and_noisy
from .layout import sheet_path

RECORD = "made.json"


def begin(out: Path, settings: Settings, names: Sequence[str]) -> None:
    """Make the folder, or see that what is in it was made alike."""
    files.make_folder(out)
    if not (out / RECORD).exists():
        with files.said(f"list {out}"):
            held = next(out.iterdir(), None)
        if held:
            raise InputError(
                f"{out} holds {held.name} and no {RECORD}. Give --out a new folder, or one that "
                "this command has made."
            )
        record(out, settings, {})
        return
    before = made_with(out / RECORD)
    for name, value in json.loads(json.dumps(asdict(settings))).items():
        if before.get(name) != value:
            raise InputError(
                f"{out} was made with {name} {before.get(name)}, and now {value} is asked for. "
                "Give the same to go on with it, or --out a new folder."
            )
    folders = [path for side in settings.sides for path in (out / str(side)).glob("[vi]_*/")]
    if strange := sorted({path.name for path in folders} - set(names)):
        raise InputError(
            f"{out} holds {strange[0]}, which these pictures do not make ({len(strange)} such). "
            "Name all pictures that it was made of, and more if you like, or --out a new folder."
        )


def made_with(path: Path) -> Mapping[str, Any]:
    """The settings of a record."""
    with files.said(f"read {path}"):
        text = path.read_bytes()
    try:
        return dict(json.loads(text)["settings"])
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{path} is no record of a set ({error}). Remove it with its folder, or give --out a "
            "new one."
        ) from error


def record(out: Path, settings: Settings, more: Mapping[str, Any]) -> None:
    """Write made.json."""
    versions = {"noisepair": __version__, "opencv": cv2.__version__, "numpy": np.__version__}
    plain = {"settings": asdict(settings), "versions": versions, **more}
    files.write(out / RECORD, json.dumps(plain, indent=1).encode())


def there(out: Path, name: str, settings: Settings) -> bool:
    """Whether a sequence needs no making."""
    return all((out / str(side) / name).is_dir() for side in settings.sides)


def write(out: Path, name: str, sheets: Sheets, settings: Settings) -> None:
    """The folders of one sequence; each is written beside and moved into place."""
    writers = {LARGE: write_large, SMALL: write_small}
    for side in settings.sides:
        folder = out / str(side)
        files.make_folder(folder)
        with files.said(f"write {folder / name}"):
            beside = Path(tempfile.mkdtemp(dir=folder, prefix=f".{name[:32]}."))
            try:
                (beside / name).mkdir()
                writers[side](beside, name, sheets, settings)
                if (folder / name).exists():  # stopped after one side was there: made again alike
                    shutil.rmtree(folder / name)
                os.replace(beside / name, folder / name)
            finally:
                shutil.rmtree(beside, ignore_errors=True)


def write_large(folder: Path, name: str, sheets: Sheets, settings: Settings) -> None:
    for sheet, patches in sheets.patches.items():
        sheet_path(folder, name, sheet).write_bytes(strip(patches))
        for kind, values in sheets.jitter[sheet].columns().items():
            (folder / name / f"{sheet}.{kind}").write_text(lines(values))
    regions = "x,y,radius,angle\n" + lines(sheets.regions, ",")
    (folder / name / "regions.csv").write_text(regions)


def write_small(folder: Path, name: str, sheets: Sheets, settings: Settings) -> None:
    for sheet, patches in sheets.patches.items():
        clean, noisy = small_and_noisy(patches, name, sheet, settings)
        sheet_path(folder, name, sheet).write_bytes(strip(clean))
        sheet_path(folder, name, sheet, noisy=True).write_bytes(strip(noisy))


def strip(patches: Patches) -> bytes:
    """A sheet as PNG. Runs alone, after PNG's own filters, pack it in half the time of a search."""
    pixels = patches.reshape(-1, patches.shape[-1])
    how = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    return bytes(cv2.imencode(".png", pixels, how)[1])


def lines(values: np.ndarray, between: str = " ") -> str:
    return "".join(between.join(f"{x:.6g}" for x in row) + "\n" for row in values)
