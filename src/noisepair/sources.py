"""Where shots come from, and which of them show the same scene.

A *scene* is what stays; its *shots* are noisy pictures of it, alike in all but the noise. People
keep them as two folders, as files that pair by name, as a folder a scene, as stacks, as arrays, as
the course's file, or have clean pictures only and want noise made. All become a tuple of scenes.
"""

import hashlib

import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import psutil
import torch

from . import images
from .errors import InputError
from .noise import Noise

Shot = np.ndarray  # (N, H, W, C): pages, rows, columns, colour planes; uint8, uint16 or float32
Given = str | Path | np.ndarray | Sequence[np.ndarray]

# The last word of a file name that tells shots of one scene apart: a number, or a word for a half.
SHOT_WORD = re.compile(
    r"(?P<scene>.*?)(?:[ _.\-]*(?P<number>\d+)|[ _.\-]+(?P<word>even|odd|evn|a|b|first|second))",
    re.IGNORECASE,
)
COURSE = (".pkl", ".pt", ".pth")
UNREADABLE = (  # what the readers of tensors, arrays and archives raise at damaged files
    OSError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, RuntimeError,
    UnpicklingError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
RARE = 0.01  # share of scenes without any noise that is left out with a note instead of refused


@dataclass(frozen=True)
class Scene:
    """Shots of one scene, all of one shape and type."""

    name: str
    shots: tuple[Shot, ...]
    labels: tuple[str, ...]
    frames: bool = False  # a sequence: only neighbours are pairs

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
        return f"{len(self.scenes)} {noun}, {each} shots each, {size}, {colour}, {self.kind}"

    def examples(self) -> str:
        joined = [
            (" → " if scene.frames else " ↔ ").join(shorten(scene.labels))
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
            "digest": digest(shot for scene in self.scenes for shot in scene.shots),
        }


def shorten(labels: Sequence[str], most: int = 4) -> list[str]:
    return [*labels[: most - 1], "…", labels[-1]] if len(labels) > most else list(labels)


def open_source(
    source: Given,
    source2: Given | None = None,
    *,
    frames: bool = False,
    pattern: str | None = None,
    noise: Noise | None = None,
    fresh_noise: bool = False,
    seed: int = 0,
) -> Source:
    """Find and read all shots; say how they were understood; refuse what cannot teach anything.

    `frames`: neighbours in a sequence show the same scene. `pattern`: how file names pair, as in
    `{scene}_{shot}.png`. `noise`: the pictures are clean, make two noisy shots of each, drawn once
    from `seed` (with `fresh_noise`, hand on the clean pictures: noise is drawn at each step).

    Raises InputError, naming files, for: nothing there, sizes, types or counts that differ within a
    scene, one shot alone, identical shots, constant pictures, NaN or infinity, too little memory.
    """
    if noise is not None:
        if source2 is not None or frames or pattern:
            raise InputError(
                "--noise makes both shots from clean pictures. Give one folder of clean pictures,"
                " without a second source, --frames or --pattern."
            )
        return spoil(read_clean(source), noise, fresh=fresh_noise, seed=seed)
    if isinstance(source, str | Path):
        found = from_paths(Path(source), as_path(source2), frames=frames, pattern=pattern)
    else:
        found = from_arrays([source] if source2 is None else [source, source2], frames=frames)
    return checked(replace(found, kind=str(found.scenes[0].shots[0].dtype)))


def as_path(source: Given | None) -> Path | None:
    if source is None or isinstance(source, str | Path):
        return None if source is None else Path(source)
    raise InputError("SOURCE is a path and SOURCE2 an array. Give two paths, or two arrays.")


def from_paths(one: Path, two: Path | None, *, frames: bool, pattern: str | None) -> Source:
    for path in (one, two):
        if path is not None and not path.exists():
            raise InputError(f"There is nothing at {path}. Give a folder or a file of noisy shots.")
    if two is not None:
        if frames or pattern:
            raise InputError("Two sources pair by file name. Leave out --frames and --pattern.")
        return two_folders(one, two) if one.is_dir() else two_files(one, two)
    if one.is_dir():
        return folder(one, frames=frames, pattern=pattern)
    if one.suffix.lower() in COURSE:
        return course(one)
    if one.suffix.lower() == ".npz" or (one.suffix.lower() == ".npy" and not frames):
        return from_arrays(list(load_arrays(one).values()), frames=frames)
    return one_file(one, frames=frames)


# — folders —


def two_folders(one: Path, two: Path) -> Source:
    """Pictures of the same name, one in each folder."""
    if not two.is_dir():
        raise InputError(f"{one} is a folder and {two} is not. Give two folders, or two files.")
    if one.resolve() == two.resolve():
        raise InputError(f"Both sources are the folder {one}. Give two folders of different shots.")
    first, second = ({path.name: path for path in images.find([side])} for side in (one, two))
    if len(first) != len(second):
        lone = sorted(set(first) ^ set(second))
        raise InputError(
            f"{one} holds {len(first)} pictures and {two} {len(second)}; without a partner:"
            f" {', '.join(shorten(lone))}. Give both folders the same file names."
        )
    if set(first) != set(second):
        first, second = (
            {Path(name).stem: path for name, path in side.items()} for side in (first, second)
        )
        lone = sorted(set(first) ^ set(second))
        if lone:
            raise InputError(
                f"File names in {one} and {two} differ; without a partner:"
                f" {', '.join(shorten(lone))}. Give both folders the same file names."
            )
    groups = {name: [first[name], second[name]] for name in first}
    return Source(read_groups(groups), "two folders, the same file names")


def folder(path: Path, *, frames: bool, pattern: str | None) -> Source:
    """One folder: of scenes, of frames, or of files that pair by name."""
    inner = sorted(child for child in path.iterdir() if child.is_dir() and has_pictures(child))
    if inner and not has_pictures(path):
        groups = {child.name: images.find([child]) for child in inner}
        if frames:
            return Source(
                tuple(sequence(name, files) for name, files in groups.items()),
                "a folder of frames a scene, neighbours are pairs",
            )
        return Source(read_groups(groups), "a folder a scene, every two of its shots are a pair")
    files = images.find([path])
    if frames:
        stacks = [file for file in files if is_stack(file)]
        if stacks:
            scenes = tuple(sequence(file.stem, [file]) for file in files)
            return Source(scenes, "a stack of frames a file, neighbours are pairs")
        scene = sequence(path.name, files)
        return Source((scene,), "one sequence of frames, neighbours are pairs", ordered=True)
    groups, notes = by_pattern(files, pattern) if pattern else by_name(files, path)
    return Source(read_groups(groups), f"pairs by {pattern or 'file name'}", notes=tuple(notes))


def has_pictures(path: Path) -> bool:
    return any(child.suffix.lower() in images.SUFFIXES for child in path.iterdir())


def by_pattern(files: list[Path], pattern: str) -> tuple[dict[str, list[Path]], list[str]]:
    """Group files by the {scene} in their name."""
    if "{shot}" not in pattern:
        raise InputError(
            f"--pattern {pattern!r} has no {{shot}}. Write it as in '{{scene}}_{{shot}}.png'."
        )
    meaning = {"{scene}": "(?P<scene>.+?)", "{shot}": "(?:.+?)", "*": ".*"}
    parts = re.split(r"(\{scene\}|\{shot\}|\*)", pattern)
    expression = "".join(meaning.get(part, re.escape(part)) for part in parts)
    groups: dict[str, list[Path]] = defaultdict(list)
    left = []
    for file in files:
        found = re.fullmatch(expression, file.name)
        if found:
            groups[found.groupdict().get("scene") or pattern].append(file)
        else:
            left.append(file.name)
    if not groups:
        raise InputError(
            f"No file name fits --pattern {pattern!r}; the first is {files[0].name!r}."
            " Write {scene} where names of one scene agree and {shot} where they differ."
        )
    notes = [f"left out, not fitting the pattern: {', '.join(shorten(left))}"] if left else []
    return dict(groups), notes


def by_name(files: list[Path], path: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Group files whose names differ in a last number, or in even/odd, a/b, first/second."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        found = SHOT_WORD.fullmatch(file.stem)
        groups[found["scene"].rstrip(" _.-") if found else file.stem].append(file)
    alone = [group[0].name for group in groups.values() if len(group) == 1]
    if alone:
        raise InputError(
            f"In {path} {len(alone)} of {len(groups)} scenes have one shot only:"
            f" {', '.join(shorten(alone))}. Name shots as a_1.png and a_2.png, say how they pair"
            " with --pattern '{scene}_{shot}.png', give a second folder, pass --frames for a"
            " sequence, or --noise gaussian if these pictures are clean."
        )
    if len(groups) == 1 and len(files) > 2:
        raise InputError(
            f"All {len(files)} pictures in {path} have names that differ in a number only"
            f" ({files[0].name} … {files[-1].name}). If neighbours of a sequence show the same"
            " scene pass --frames; if all of them are shots of one scene pass"
            " --pattern '{scene}_{shot}" + files[0].suffix + "'."
        )
    return dict(groups), []


# — files —


def two_files(one: Path, two: Path) -> Source:
    """Two pictures, or two stacks whose pages pair in order."""
    if two.is_dir():
        raise InputError(f"{one} is a file and {two} a folder. Give two folders, or two files.")
    if one.suffix.lower() == two.suffix.lower() == ".npy":
        arrays = [array for path in (one, two) for array in load_arrays(path).values()]
        return from_arrays(arrays, frames=False)
    a, b = (read_picture(path) for path in (one, two))
    if a.shape != b.shape:
        raise InputError(unlike(one.name, two.name, [one.name, two.name], [a, b]))
    return pages(a, b, (one.name, two.name), "two files")


def pages(a: Shot, b: Shot, labels: tuple[str, str], understood: str) -> Source:
    """A page of both is a scene."""
    scenes = tuple(
        Scene(f"{labels[0]} {n}", (a[n : n + 1], b[n : n + 1]), labels) for n in range(len(a))
    )
    if len(scenes) == 1:
        return Source(scenes, understood)
    return Source(scenes, f"{understood}, a scene a page", ordered=True)


def one_file(path: Path, *, frames: bool) -> Source:
    if frames:
        scene = sequence(path.stem, [path])
        return Source((scene,), "one sequence of frames, neighbours are pairs", ordered=True)
    count = len(read_picture(path))
    if count > 1:
        raise InputError(
            f"{path} holds {count} pages. If neighbouring pages show the same scene pass --frames;"
            " if it is one of two shots give the other as a second source."
        )
    raise InputError(
        f"{path} is one picture, and Noise2Noise needs two shots of a scene."
        " Give a second file or folder, or --noise gaussian if it is clean."
    )


def is_stack(path: Path) -> bool:
    return path.suffix.lower() in (".tif", ".tiff", ".npy") and len(read_picture(path)) > 1


def sequence(name: str, files: list[Path]) -> Scene:
    """Frames in natural order of their names; a stack's pages in their own."""
    pictures = read_all(files)
    if len(files) > 1:
        alike(name, [file.name for file in files], pictures)
    frames = [page[None] for picture in pictures for page in picture]
    labels = (
        [file.name for file in files]
        if len(frames) == len(files)
        else [f"{name} page {n}" for n in range(len(frames))]
    )
    if len(frames) < 2:
        raise InputError(f"{name} is one frame. A sequence needs two frames or more.")
    return Scene(name, tuple(frames), tuple(labels), frames=True)


def course(path: Path) -> Source:
    """The EE-559 file: a tuple of two uint8 tensors (scenes, 3, 32, 32), two shots of each."""
    try:
        pair = torch.load(path, weights_only=True, map_location="cpu")
    except UNREADABLE as error:
        raise InputError(
            f"{path} cannot be read safely as tensors ({type(error).__name__}). Accepted is what"
            " the course gives: a tuple of two uint8 tensors of shape (pictures, 3, 32, 32)."
        ) from None
    shots = list(pair) if isinstance(pair, tuple | list) else [pair]
    good = all(isinstance(shot, torch.Tensor) and shot.ndim == 4 for shot in shots)
    if len(shots) < 2 or not good:
        raise InputError(
            f"{path} holds {type(pair).__name__}. Accepted is a tuple of two tensors"
            " (pictures, planes, rows, columns)."
        )
    arrays = [storable(with_planes(shot.numpy())) for shot in shots]
    return stacked(arrays, f"tensors in {path.name}")


# — arrays —


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {path.name: loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except UNREADABLE as error:
        raise InputError(
            f"{path} cannot be read as NumPy arrays: {error}. Accepted are .npy and .npz files of"
            " numbers, saved without objects."
        ) from None


def from_arrays(given: Sequence[np.ndarray | Sequence[np.ndarray]], *, frames: bool) -> Source:
    """Arrays: one whose first axis counts shots, or one a shot.

    (shots, H, W), (shots, H, W, 3), (shots, scenes, H, W), (shots, scenes, H, W, 3); channels may
    also come before rows, as torch has them. A last (or that) axis of 1 or 3 is colour.
    """
    flat = [
        np.asarray(one)
        for group in given
        for one in (group if isinstance(group, list | tuple) else [group])
    ]
    shots = list(flat[0]) if len(flat) == 1 else flat
    if len(shots) < 2:
        raise InputError(
            f"There is one array of shape {flat[0].shape}. Its first axis counts shots and must be"
            " 2 or more."
        )
    if len({shot.shape for shot in shots}) > 1:
        found = ", ".join(str(shot.shape) for shot in shots[:4])
        raise InputError(f"Shots have shapes {found}. Give all shots the same shape.")
    arrays = [storable(with_planes(shot)) for shot in shots]
    if frames:
        scene = Scene(
            "frames", tuple(arrays), tuple(f"frame {n}" for n in range(len(arrays))), True
        )
        return Source((scene,), "one sequence of frames, neighbours are pairs", ordered=True)
    return stacked(arrays, "arrays")


def with_planes(shot: np.ndarray) -> Shot:
    """(scenes, H, W, planes) from the shapes that people use."""
    shape = shot.shape
    if shot.ndim == 2:
        return shot[None, :, :, None]
    if shot.ndim == 3:
        if shape[-1] in (1, 3):
            return shot[None]
        return shot.transpose(1, 2, 0)[None] if shape[0] in (1, 3) else shot[..., None]
    if shot.ndim == 4 and shape[-1] in (1, 3):
        return shot
    if shot.ndim == 4 and shape[1] in (1, 3):
        return np.ascontiguousarray(shot.transpose(0, 2, 3, 1))
    raise InputError(
        f"A shot of shape {shape} is not understood. Accepted are (H, W), (H, W, 3), (scenes, H, W),"
        " (scenes, H, W, 3) and the same with colour before the rows."
    )


def stacked(arrays: Sequence[Shot], understood: str) -> Source:
    """Shots as arrays (scenes, H, W, C): scene n is row n of each."""
    if len({array.shape for array in arrays}) > 1:
        found = ", ".join(str(array.shape) for array in arrays[:4])
        raise InputError(f"Shots have shapes {found}. Give all shots the same shape.")
    labels = tuple(f"shot {n + 1}" for n in range(len(arrays)))
    scenes = tuple(
        Scene(f"scene {n}", tuple(array[n : n + 1] for array in arrays), labels)
        for n in range(len(arrays[0]))
    )
    return Source(scenes, understood)


# — clean pictures, and noise made for them —


def read_clean(source: Given) -> Source:
    """A folder, a file or arrays of clean pictures; a scene each."""
    if not isinstance(source, str | Path):
        arrays = (
            source if isinstance(source, list | tuple) else list(with_planes(np.asarray(source)))
        )
        pictures = [storable(with_planes(np.asarray(array))) for array in arrays]
        names = [f"picture {n}" for n in range(len(pictures))]
    else:
        files = images.find([source])
        pictures, names = read_all(files), [file.name for file in files]
    scenes = tuple(
        Scene(name, (picture,), (name,)) for name, picture in zip(names, pictures, strict=True)
    )
    kind = str(scenes[0].shots[0].dtype)
    return checked(Source(scenes, "clean pictures", kind=kind, synthetic=True))


def spoil(source: Source, noise: Noise, *, fresh: bool, seed: int) -> Source:
    """Two noisy shots of each clean picture, drawn once: figures from them are honest."""
    for scene in source.scenes:
        highest = float(images.to_unit(scene.shots[0]).max())
        if highest > 1.001:
            raise InputError(
                f"{scene.name} holds values up to {highest:g}, and noise is made in picture units,"
                " 0 to 1. Divide floating-point pictures by their full scale first."
            )
    if fresh:
        return replace(source, understood=f"clean pictures, {noise} drawn anew at each step")
    scenes = tuple(
        replace(scene, shots=two_shots(scene.shots[0], noise, seed, n), labels=scene.labels * 2)
        for n, scene in enumerate(source.scenes)
    )
    return replace(
        source, scenes=scenes, understood=f"clean pictures, two shots with frozen {noise}"
    )


def two_shots(clean: Shot, noise: Noise, seed: int, number: int) -> tuple[Shot, Shot]:
    """Noise that depends on the seed and the picture's place alone; values in picture units."""
    rng = torch.Generator().manual_seed((seed << 32) + number)
    unit = torch.from_numpy(images.to_unit(clean))
    return noise(unit, rng).numpy(), noise(unit, rng).numpy()


# — reading and checking —


def read_picture(path: Path) -> Shot:
    return storable(images.read(path).pixels)


def storable(shot: np.ndarray) -> Shot:
    """Values as training keeps them: uint8 and uint16 as they are, all else as float32."""
    if shot.dtype.kind not in "iuf":
        raise InputError(f"Shots of type {shot.dtype} are not pictures. Give integers or floats.")
    native = shot.dtype.newbyteorder("=")
    if native in (np.uint8, np.uint16, np.float32):
        return shot.astype(native, copy=False)
    return images.to_unit(shot)


def read_all(files: Sequence[Path]) -> list[Shot]:
    """All pictures, by a few threads: decoding leaves Python alone."""
    room = psutil.virtual_memory().available * 0.7
    pictures: list[Shot] = []
    with ThreadPoolExecutor(4) as pool:
        for picture in pool.map(read_picture, files):
            pictures.append(picture)
            room -= picture.nbytes
            if room < 0:
                pool.shutdown(cancel_futures=True)
                raise InputError(
                    f"The pictures do not fit into memory: {len(pictures)} of {len(files)} fill 70 %"
                    " of what is free. Train on fewer, or on crops of them."
                )
    return pictures


def read_groups(groups: Mapping[str, list[Path]]) -> tuple[Scene, ...]:
    """A scene a group, its shots all alike."""
    pictures = iter(read_all([file for files in groups.values() for file in files]))
    scenes = []
    for name, files in groups.items():
        labels = [
            file.name
            if len({f.name for f in files}) == len(files)
            else f"{file.parent.name}/{file.name}"
            for file in files
        ]
        shots = [next(pictures) for _ in files]
        if len(shots) < 2:
            raise InputError(
                f"Scene {name} has one shot only, {labels[0]}. Noise2Noise needs two or more of each."
            )
        alike(name, labels, shots)
        scenes.append(Scene(name, tuple(shots), tuple(labels)))
    return tuple(scenes)


def alike(name: str, labels: Sequence[str], shots: Sequence[Shot]) -> None:
    """Refuse shots of one scene that differ in size, pages, planes or type."""
    if len({(shot.shape, shot.dtype) for shot in shots}) > 1:
        raise InputError(unlike(name, labels[0], labels, shots))


def unlike(name: str, first: str, labels: Sequence[str], shots: Sequence[Shot]) -> str:
    other = next(
        n
        for n, shot in enumerate(shots)
        if (shot.shape, shot.dtype) != (shots[0].shape, shots[0].dtype)
    )
    return (
        f"Shots of {name} differ: {first} is {looks(shots[0])}, {labels[other]} is"
        f" {looks(shots[other])}. Shots of one scene must have the same size and type."
    )


def looks(shot: Shot) -> str:
    count, height, width, planes = shot.shape
    colour = {1: "grey", 3: "RGB"}.get(planes, f"{planes} planes")
    return f"{width}×{height} {colour} {shot.dtype}" + (f", {count} pages" if count > 1 else "")


def checked(source: Source) -> Source:
    """Refuse what no training can learn from; leave out rare flat scenes with a note."""
    first = source.scenes[0]
    for scene in source.scenes:
        shot = scene.shots[0]
        if shot.shape[-1] != first.shots[0].shape[-1] or shot.dtype != first.shots[0].dtype:
            raise InputError(
                f"{first.labels[0]} is {looks(first.shots[0])} and {scene.labels[0]} is"
                f" {looks(shot)}. Train on pictures of one type; convert some of them."
            )
        finite(scene)
    faults = {scene.name: fault for scene in source.scenes if (fault := no_noise(scene))}
    if len(faults) > RARE * len(source.scenes):
        name, fault = next(iter(faults.items()))
        more = f" ({len(faults) - 1} more scenes like it)" if len(faults) > 1 else ""
        raise InputError(f"{fault}{more}")
    if not faults:
        return source
    kept = tuple(scene for scene in source.scenes if scene.name not in faults)
    note = f"left out, without any noise to learn from: {', '.join(shorten(list(faults)))}"
    return replace(source, scenes=kept, notes=(*source.notes, note))


def finite(scene: Scene) -> None:
    for label, shot in zip(scene.labels, scene.shots, strict=True):
        if shot.dtype.kind == "f" and not (ok := np.isfinite(shot)).all():
            raise InputError(
                f"{label} of {scene.name} holds {int((~ok).sum())} values that are NaN or infinite."
                " Replace them, by a neighbour's value for example, or leave the picture out."
            )


def no_noise(scene: Scene) -> str | None:
    """Why a scene teaches nothing: a constant shot, or two shots that are the same."""
    for label, shot in zip(scene.labels, scene.shots, strict=True):
        if shot.size > shot.shape[-1] and shot.min() == shot.max():
            return (
                f"{label} of {scene.name} is constant: every value is {shot.flat[0]}."
                " Leave it out, or look at how it was written."
            )
    seen: dict[str, str] = {}
    for label, shot in zip(scene.labels, scene.shots, strict=True):
        key = digest([shot])
        if key in seen:
            return (
                f"{seen[key]} and {label} of {scene.name} are identical. From two copies of one shot"
                " a network learns nothing but to copy; give two different shots."
            )
        seen[key] = label
    return None


def digest(shots: Iterable[Shot]) -> str:
    total = hashlib.blake2b(digest_size=16)
    for shot in shots:
        total.update(f"{shot.shape}{shot.dtype}".encode())
        total.update(np.ascontiguousarray(shot).data)
    return total.hexdigest()


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
    at = count - max(2, round(share * count))
    head = replace(scene, shots=scene.shots[:at], labels=scene.labels[:at])
    tail = replace(scene, shots=scene.shots[at:], labels=scene.labels[at:])
    return (head,), (tail,)
