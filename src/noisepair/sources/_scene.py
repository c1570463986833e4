"""Scenes, their shots, and which scenes are kept out of training."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

Given = (  # what a caller may hand over
    str | Path | np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray]
)
Shot = np.ndarray  # (N, H, W, C): pages, rows, columns, colour planes; uint8, uint16 or float32


@dataclass(frozen=True)
class Scene:
    """Shots of one scene, all of one shape and type."""

    name: str
    shots: tuple[Shot, ...]
    labels: tuple[str, ...]
    frames: bool = False  # a sequence: only neighbours are pairs
    clean: Shot | None = None  # what made shots were made of, where it is to be the target

    @property
    def pairs(self) -> int:
        """Ordered pairs of different shots that may stand for input and target."""
        count = len(self.shots)
        return 2 * (count - 1) if self.frames else count * (count - 1)


@dataclass(frozen=True)
class Source:
    """All scenes, and how they were understood."""

    scenes: tuple[Scene, ...]
    understood: str
    notes: tuple[str, ...] = ()
    ordered: bool = False  # neighbours are alike: what is held out must lie together, at the end
    synthetic: bool = False  # shots are clean pictures with made noise, in picture units
    kind: str = field(default="", compare=False)  # type of the values as given

    def lines(self) -> list[str]:
        """What was understood, as a person would check it."""
        return [f"{self.counts()} ({self.understood})", f"  {self.examples()}", *self.notes]

    def counts(self) -> str:
        shots = sorted({len(scene.shots) for scene in self.scenes})
        sizes = sorted({scene.shots[0].shape[1:3] for scene in self.scenes})
        planes = self.scenes[0].shots[0].shape[-1]
        size = " to ".join(f"{w}×{h}" for h, w in dict.fromkeys((sizes[0], sizes[-1])))
        colour = {1: "grey", 3: "RGB"}.get(planes, f"{planes} planes")
        each = " to ".join(str(count) for count in dict.fromkeys((shots[0], shots[-1])))
        noun = "scene" if len(self.scenes) == 1 else "scenes"
        each = "one shot" if each == "1" else f"{each} shots"
        return f"{len(self.scenes)} {noun}, {each} each, {size}, {colour}, {self.kind}"

    def examples(self) -> str:
        joined = [
            (" → " if scene.frames else " ↔ ").join(shorten(list(dict.fromkeys(scene.labels))))
            for scene in self.scenes[:3]
        ]
        return "; ".join(joined) + ("; …" if len(self.scenes) > 3 else "")

    def summary(self) -> dict[str, object]:
        """The same for a program, with a digest that tells whether data are these data."""
        return {
            "understood": self.understood,
            "scenes": len(self.scenes),
            "shots": sum(len(scene.shots) for scene in self.scenes),
            "pairs": sum(scene.pairs for scene in self.scenes),
            "planes": self.scenes[0].shots[0].shape[-1],
            "dtype": self.kind,
            "synthetic": self.synthetic,
            "notes": list(self.notes),
            "digest": self.digest,
        }

    @cached_property
    def digest(self) -> str:
        """Tells whether shots are these shots; found once, since it reads them all."""
        return digest(shot for scene in self.scenes for shot in scene.shots)


def shorten(labels: Sequence[str], most: int = 4) -> list[str]:
    return [*labels[: most - 1], "…", labels[-1]] if len(labels) > most else list(labels)


def digest(shots: Iterable[Shot]) -> str:
    total = hashlib.blake2b(digest_size=16)
    for shot in shots:
        total.update(f"{shot.shape}{shot.dtype}".encode())
        total.update(np.ascontiguousarray(shot).data)
    return total.hexdigest()


def fingerprints(scenes: Iterable[Scene]) -> np.ndarray:
    """A number for each shot, sorted uint64: whether a shot is among them can be asked later."""
    found = [fingerprint(shot) for scene in scenes for shot in scene.shots]
    return np.unique(np.array(found, np.uint64))


def fingerprint(shot: Shot) -> int:
    total = hashlib.blake2b(f"{shot.shape}{shot.dtype}".encode(), digest_size=8)
    total.update(np.ascontiguousarray(shot).data)
    return int.from_bytes(total.digest())


def unseen(scenes: Iterable[Scene], seen: np.ndarray) -> tuple[Scene, ...]:
    """Scenes of which no shot is among `seen`; of a sequence, its frames that are not."""
    known, found = set(seen.tolist()), []
    for scene in scenes:
        new = [n for n, shot in enumerate(scene.shots) if fingerprint(shot) not in known]
        if len(new) == len(scene.shots):
            found.append(scene)
        elif scene.frames and len(new) > 1 and new == list(range(new[0], new[-1] + 1)):
            cut = slice(new[0], new[-1] + 1)
            found.append(replace(scene, shots=scene.shots[cut], labels=scene.labels[cut]))
    return tuple(found)


def split(source: Source, share: float, seed: int) -> tuple[tuple[Scene, ...], tuple[Scene, ...]]:
    """Scenes to train on, and whole scenes held out; the latter empty where nothing can be spared.

    Of one sequence the last frames are held out, and the pair that joins the two parts is dropped.
    """
    scenes = source.scenes
    if share == 0:
        return scenes, ()
    if len(scenes) == 1:
        return cut(scenes[0], share) if scenes[0].frames else (scenes, ())
    count = min(len(scenes) - 1, max(1, round(share * len(scenes))))
    order = np.arange(len(scenes))
    if not source.ordered:
        order = np.random.default_rng([seed, 7]).permutation(len(scenes))
    held = set(order[-count:].tolist())
    sides: tuple[list[Scene], list[Scene]] = ([], [])
    for n, scene in enumerate(scenes):
        sides[n in held].append(scene)
    return tuple(sides[False]), tuple(sides[True])


def cut(scene: Scene, share: float) -> tuple[tuple[Scene, ...], tuple[Scene, ...]]:
    """A sequence into its first frames and its last; both at least a pair."""
    count = len(scene.shots)
    if count < 4:
        return (scene,), ()
    at = max(2, count - max(2, round(share * count)))
    head = replace(scene, shots=scene.shots[:at], labels=scene.labels[:at])
    name = f"{scene.name}, its last {count - at} frames"
    tail = replace(scene, name=name, shots=scene.shots[at:], labels=scene.labels[at:])
    return (head,), (tail,)
