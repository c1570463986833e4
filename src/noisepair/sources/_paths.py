"""Shots in folders and files: which of them pair is read off their names."""

import re
from collections import defaultdict
from pathlib import Path

from .. import images
from ..errors import InputError
from ._arrays import COURSE, course, from_arrays, load_arrays
from ._read import alike, read_all, read_groups, read_picture, unlike
from ._scene import Scene, Shot, Source, shorten

# The last word of a file name that tells shots of one scene apart: a number, or a word for a half.
SHOT_WORD = re.compile(
    r"(?P<scene>.*?)(?:[ _.\-]*(?P<number>\d+)|[ _.\-]+(?P<word>even|odd|evn|a|b|first|second))",
    re.IGNORECASE,
)


def from_paths(one: Path, two: Path | None, *, frames: bool, pattern: str | None) -> Source:
    for path in (one, two):
        if path is not None and not path.exists():
            raise InputError(f"There is nothing at {path}. Give a folder or a file of noisy shots.")
    if two is not None:
        if frames or pattern:
            raise InputError("Two sources pair by file name. Leave out --frames and --pattern.")
        return two_folders(one, two) if one.is_dir() else two_files(one, two)
    if pattern and (frames or not one.is_dir() or not has_pictures(one)):
        raise InputError(
            f"--pattern {pattern!r} says how file names of one folder pair. Give it for a folder"
            " with pictures in it and without --frames, or leave it out."
        )
    if one.is_dir():
        return folder(one, frames=frames, pattern=pattern)
    if one.suffix.lower() in COURSE:
        return course(one)
    if one.suffix.lower() == ".npz" or (one.suffix.lower() == ".npy" and not frames):
        return from_arrays(list(load_arrays(one).values()), frames=frames)
    return one_file(one, frames=frames)


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
    inner = [child for child in shown(path) if child.is_dir() and has_pictures(child)]
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
    return any(child.suffix.lower() in images.SUFFIXES for child in shown(path))


def shown(path: Path) -> list[Path]:
    """What is in a folder, without hidden things: they are no pictures, whatever their suffix."""
    return sorted(child for child in path.iterdir() if not child.name.startswith("."))


def by_pattern(files: list[Path], pattern: str) -> tuple[dict[str, list[Path]], list[str]]:
    """Group files by the {scene} in their name."""
    if "{shot}" not in pattern:
        raise InputError(
            f"--pattern {pattern!r} has no {{shot}}. Write it as in '{{scene}}_{{shot}}.png'."
        )
    # as long a scene as can be: of cell_a_1.png it is cell_a, by '{scene}_{shot}.png'
    meaning = {"{scene}": "(?P<scene>.+)", "{shot}": "(?:.+?)", "*": ".*"}
    parts = re.split(r"(\{scene\}|\{shot\}|\*)", pattern)
    expression = "".join(meaning.get(part, re.escape(part)) for part in parts)
    once, *more = expression.split(meaning["{scene}"])
    expression = once + meaning["{scene}"] * bool(more) + "(?P=scene)".join(more)
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
        scene = found["scene"].rstrip(" _.-") or path.name if found else file.stem
        groups[scene].append(file)
    alone = [group[0].name for group in groups.values() if len(group) == 1]
    if alone:
        raise InputError(
            f"In {path} {len(alone)} of {len(groups)} scenes have one shot only:"
            f" {', '.join(shorten(alone))}. Name shots as a_1.png and a_2.png, say how they pair"
            " with --pattern '{scene}_{shot}.png', give a second folder, pass --frames for a"
            " sequence, or --noise gaussian if these pictures are clean. Single pictures: look with"
            " noisepair check --alone what their noise allows."
        )
    if len(groups) == 1 and len(files) > 2:
        raise InputError(
            f"All {len(files)} pictures in {path} have names that differ in a number only"
            f" ({files[0].name} … {files[-1].name}). If neighbours of a sequence show the same"
            " scene pass --frames; if all of them are shots of one scene pass"
            " --pattern '{shot}" + files[0].suffix + "'."
        )
    return dict(groups), []


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
            " if it is one of two shots give the other as a second source; if each page is a"
            " picture by itself, look with noisepair check --alone what their noise allows."
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
