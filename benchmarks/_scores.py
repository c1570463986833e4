"""Scores on disk, a JSON line each, and what several programs may do to them at once.

A line is {"set", "picture", "sigma", "method", "psnr", "by"}: `sigma` times 255, null for real
noise; `by` the package that the method is from, or, for ours, the checksum of the weights.
"""

import contextlib
import hashlib
import json
import math
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from noisepair.files import said, write
from noisepair.intervals import UNKNOWN, Estimate, student

Line = dict[str, Any]
Key = tuple[str, str, int | None, str]
OURS = ("ours", "ours averaged", "ours bfloat16", "ours 8 bits")


def key(line: Mapping[str, Any]) -> Key:
    return line["set"], line["picture"], line["sigma"], line["method"]


def lock(path: Path) -> FileLock:
    """Held for one append, or for one rewriting; in the system's own folder, so none is left."""
    name = hashlib.blake2b(str(path.resolve()).encode(), digest_size=8).hexdigest()
    return FileLock(Path(tempfile.gettempdir()) / f"noisepair-scores-{name}.lock")


def read(path: Path) -> list[Line]:
    """All whole lines; one that a crash cut short is passed over."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(text))
    return lines


def append(path: Path, line: Line) -> None:
    with lock(path), said(f"write {path}"), open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def settle(path: Path, weights: Mapping[str, str]) -> dict[Key, Line]:
    """The lines that count, those of other weights of ours removed from the file.

    `weights`: for the name of a set, the checksum of the weights that are asked about now.
    """
    with lock(path):
        lines = read(path)
        kept = [
            line
            for line in lines
            if line["method"] not in OURS or line["by"] == weights.get(line["set"], line["by"])
        ]
        if path.exists():
            write(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
    return {key(line): line for line in kept}


def scores(lines: Iterable[Line], name: str, sigma: int | None, method: str) -> dict[str, float]:
    """PSNR by picture."""
    wanted = (name, sigma, method)
    return {
        line["picture"]: line["psnr"]
        for line in lines
        if (line["set"], line["sigma"], line["method"]) == wanted
    }


def mean(values: Iterable[float]) -> float:
    every = list(values)
    return math.fsum(every) / len(every) if every else math.nan


def paired(ours: Mapping[str, float], theirs: Mapping[str, float]) -> Estimate:
    """Mean difference over the pictures that both have, with Student's 95 % interval."""
    differences = [ours[name] - theirs[name] for name in ours if name in theirs]
    count = len(differences)
    if count < 2:
        return UNKNOWN
    middle = mean(differences)
    variance = math.fsum((one - middle) ** 2 for one in differences) / (count - 1)
    half = student(count - 1) * math.sqrt(variance / count)
    return Estimate(middle, middle - half, middle + half)
