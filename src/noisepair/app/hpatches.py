"""`noisepair hpatches`: local descriptors on HPatches' terms, for people and for programs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..descriptors.descriptor import Descriptor, bundled
from ..errors import InputError, choose
from ..hpatches import lists, scores
from ..hpatches.describe import MODELS, Model, describe
from ..hpatches.described import Described, read
from ..hpatches.layout import PatchSet, open_set
from ..hpatches.precision import Ties
from ..hpatches.scores import Scores, TaskScores
from ..hpatches.splits import Split, find_split
from ..hpatches.tasks import Retrieval, Verification
from ..intervals import SCENES, Estimate
from .console import Options
from .denoising import progress

STANDARD = Options()
Task = Literal["verification", "matching", "retrieval", "all"]
Lists = tuple[Verification | None, Retrieval | None]


def evaluate(  # noqa: PLR0913  a command has as many options as it has
    descriptors: Path | None = None,
    /,
    *,
    model: str | None = None,
    patches: Path | None = None,
    noisy: Annotated[bool, Parameter(negative="")] = False,
    task: Task = "all",
    split: str = "a",
    ties: Ties = "official",
    tasks: Path | None = None,
    options: Options = STANDARD,
) -> None:
    """Score local descriptors by the rules of HPatches: verification, matching, retrieval.

    Parameters
    ----------
    descriptors
        A folder in the benchmark's layout, v_wall/e1.csv and so on, numbers between `,` or `;`, or
        an .npz with an array (N, D) called v_wall/e1 and so on.
    model
        What describes the patches, instead of DESCRIPTORS: resize, rootsift (needs OpenCV), a
        folder that `noisepair hpatches train` wrote, or a file of published weights.
    patches
        A set of sheets, v_wall/e1.png and so on, 65 or 32 pixels wide: HPatches, N-HPatches, or
        what `noisepair hpatches make` wrote.
    noisy
        Take the sheets that end in _noise.
    task
        One of the three, or all.
    split
        a, b, c, illum, view or full, or one that splits.json beside the patches, the lists or the
        descriptors names.
    ties
        What equal distances count: official as the benchmark's program, right ones first in
        retrieval and last in verification; expected the mean over all orders; pessimistic wrong
        ones first.
    tasks
        The benchmark's folder of lists, verif_pos_split-a.csv and so on. Lists that are not there
        are made from their seed, and written there for the next time.
    """
    if (descriptors is None) == (model is None):
        came = "both" if model else "nothing"
        raise InputError(
            f"DESCRIPTORS and --model: {came} was given. Give a folder or .npz of descriptors, or "
            "--model with the --patches that it is to describe."
        )
    if model and patches is None:
        raise InputError(
            f"--model {model} describes patches, and there are none. Give them with --patches: "
            "a folder of sequences with sheets ref.png, e1.png and so on."
        )
    folders = [folder for folder in (patches, tasks, descriptors) if folder and folder.is_dir()]
    chosen = find_split(split, *folders)
    found = opened(patches, chosen, noisy=noisy)
    if task in ("retrieval", "all"):  # what it lacks is said before gigabytes are read
        lists.find_retrieval(chosen, tasks or beside(found), found)
    told = described(descriptors, model, found, chosen, options)
    verification, retrieval = tasks_of(task, chosen, told, tasks, found, options)
    with progress(options, 100) as show:
        result = scores.evaluate(
            told,
            verification,
            retrieval,
            matching=task in ("matching", "all"),
            ties=ties,
            watch=lambda done: show(100 * done),
        )
    plain = {"split": split, "sequences": len(told.counts), **result.as_json()}
    options.result("\n".join(report(result, split, told.counts)), plain)


def opened(patches: Path | None, split: Split, *, noisy: bool) -> PatchSet | None:
    """The sheets of the test sequences, if there are any."""
    if patches is None:
        if noisy:
            raise InputError(
                "--noisy says which sheets to take, and there are none. Give them with --patches."
            )
        return None
    return open_set(patches, split.test, noisy=noisy)


def described(
    descriptors: Path | None,
    model: str | None,
    patches: PatchSet | None,
    split: Split,
    options: Options,
) -> Described:
    """The vectors of all patches: read, or made by a model."""
    with progress(options, 100) as show:
        if descriptors is not None:
            return read(descriptors, split.test, lambda done: show(100 * done))
        assert model is not None
        assert patches is not None
        return describe(patches, model_of(model, options), lambda done: show(100 * done))


def model_of(name: str, options: Options) -> Model:
    """One that needs no weights, by its name, or a trained descriptor."""
    if name in MODELS:
        return MODELS[name]()
    if not Path(name).exists():
        choose("descriptor", name, dict.fromkeys([*MODELS, *bundled()]))
    device = options.torch_device()
    trained = Descriptor.load(name, device)
    return lambda batch: trained(batch.to(device))


def beside(patches: PatchSet | None) -> Path | None:
    """Where a set keeps its lists, if it has any."""
    return patches.folder / "tasks" if patches else None


def tasks_of(
    task: Task,
    split: Split,
    told: Described,
    folder: Path | None,
    patches: PatchSet | None,
    options: Options,
) -> Lists:
    """The lists of the tasks that were asked for."""
    where, keep = folder or beside(patches), folder is not None
    pairs, asked = None, None
    if task in ("retrieval", "all"):
        asked = lists.retrieval(split, told.counts, where, patches, keep=keep, say=options.say)
    if task in ("verification", "all"):
        with progress(options, 100) as show:
            pairs = lists.verification(
                split,
                told.counts,
                where,
                keep=keep,
                say=options.say,
                watch=lambda done: show(100 * done),
            )
    return pairs, asked


# — as a table —


def report(result: Scores, split: str, counts: Mapping[str, int]) -> Iterator[str]:
    """The lines of a person's result."""
    yield (
        f"Split {split}: {len(counts)} sequences, {result.patches:,} patches, {result.dims} numbers"
        f" each. Ties: {result.ties}."
    )
    if len(counts) < SCENES:
        yield f"Without intervals, which need {SCENES} sequences to draw from."
    for warning in result.warnings():
        yield f"Attention: {warning}"
    parts = list(next(iter(result.tasks.values())).course)
    yield ""
    yield f"{'one number a task (95 %)':<28}" + "".join(f"{part:>26}" for part in parts)
    for name, task in result.tasks.items():
        yield f"{name:<28}" + "".join(f"{one(task.course[part]):>26}" for part in parts)
    for name, task in result.tasks.items():
        yield ""
        yield from table(name, task)
    yield ""
    yield f"{'sequence':<28}" + "".join(f"{name:>14}" for name in result.tasks)
    for sequence in counts:
        values = (task.sequences[sequence] for task in result.tasks.values())
        yield f"{sequence:<28}" + "".join(f"{value:>14.4f}" for value in values)


def table(name: str, task: TaskScores) -> Iterator[str]:
    """A task's figures of all scenes, a line a kind, a column a level."""
    levels = list(dict.fromkeys(figure.of["level"] for figure in task.figures))
    yield f"{name:<38}" + "".join(f"{level:>26}" for level in levels)
    rows: dict[str, list[str]] = {}
    for figure in task.figures:
        if figure.part == "all":
            rest = [f"{key} {value}" for key, value in figure.of.items() if key != "level"]
            row = ", ".join([figure.measure, *rest]).replace("negatives ", "")
            rows.setdefault(row, []).append(one(figure.estimate))
    for row, cells in rows.items():
        yield f"{row:<38}" + "".join(f"{cell:>26}" for cell in cells)


def one(estimate: Estimate) -> str:
    """A figure in [0, 1] with its interval, if it has one."""
    text = estimate.text(4)
    return text.partition(" (how")[0]
