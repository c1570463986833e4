"""`noisepair hpatches evaluate` as a user types it: what it prints, writes and refuses."""

import json
import re

import numpy as np
import pytest

from noisepair.app.cli import main
from noisepair.hpatches import tasks
from noisepair.hpatches.layout import SHEETS, sheet_path, write_sheet
from noisepair.hpatches.splits import Split, write_splits

NAMES = tuple(f"{'iv'[n % 2]}_{n}" for n in range(8))
COUNT = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight sequences of 32×32 sheets, clean and noisy, with a split called mine."""
    root = tmp_path_factory.mktemp("patches")
    rng = np.random.default_rng(0)
    for name in NAMES:
        cells = rng.normal(128, 25, (1, 8, 8)) + rng.normal(0, 4, (COUNT, 8, 8))  # much alike
        scenes = np.kron(cells, np.ones((1, 4, 4)))
        for number, sheet in enumerate(SHEETS):
            spread = 10 * (1 + (number - 1) // 5) if number else 0
            for noisy in (False, True):
                rows = scenes + rng.normal(0, spread + 40 * noisy, scenes.shape)
                path = sheet_path(root, name, sheet, noisy=noisy)
                write_sheet(path, rows.clip(0, 255).astype(np.uint8))
    write_splits(root / "splits.json", {"mine": Split("mine", NAMES)})
    return root


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    """A million pairs take long to draw; three thousand do here."""
    monkeypatch.setattr(tasks, "PAIRS", 3000)


@pytest.fixture(scope="module")
def vectors(folder, tmp_path_factory):
    """Descriptors as an .npz: a random projection of nothing, of the same counts."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("vectors") / "mine.npz"
    rows = {f"{name}/{sheet}": rng.normal(size=(COUNT, 5)) for name in NAMES for sheet in SHEETS}
    np.savez(path, **rows)
    return path


def run(capsys, *arguments):
    """Exit code, standard output, standard error."""
    code = main(["hpatches", "evaluate", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    return err.strip().splitlines()[-1].removeprefix("noisepair: ")


def test_a_model_and_sheets_become_tables(capsys, folder):
    code, out, err = run(capsys, "--model", "resize", "--patches", folder, "--split", "mine")
    assert (code, err.count("noisepair: ")) == (0, 0), err
    assert "Split mine: 8 sequences, 96 patches, 64 numbers each. Ties: official." in out
    for words in ("verification ", "matching ", "retrieval ", "illumination", "viewpoint", "easy",
                  "average precision, imbalanced, inter", "success rate", "FPR95", "pool ",
                  "v_7 "):  # fmt: skip
        assert words in out, words
    assert "Without intervals" not in out
    assert "Pairs: made from the seed 42, 3,000 of each kind." in err
    assert "its own may differ" in err, "the sheets are 32 wide"


def test_noise_makes_matching_harder(capsys, folder):
    both = []
    for more in ([], ["--noisy"]):
        _, out, _ = run(capsys, "--model", "resize", "--patches", folder, "--split", "mine",
                        "--task", "matching", "--json", "--quiet", *more)  # fmt: skip
        both.append(json.loads(out)["matching"]["course"]["all"])
    assert both[0]["low"] > both[1]["high"]


def test_json_is_one_object_with_everything(capsys, folder, vectors):
    code, out, _ = run(capsys, vectors, "--patches", folder, "--split", "mine", "--json", "--quiet")
    assert code == 0
    found = json.loads(out)
    assert (found["split"], found["sequences"], found["ties"]) == ("mine", 8, "official")
    assert not any("ollapsed" in warning for warning in found["warnings"])
    assert found["collapse"]["dims"] == 5
    for task in ("verification", "matching", "retrieval"):
        course = found[task]["course"]["all"]
        assert course["low"] < course["value"] < course["high"]
        assert set(found[task]["sequences"]) == set(NAMES)
    levels = {(one["level"], one["negatives"]) for one in found["verification"]["figures"]}
    assert len(levels) == 6


def test_lists_that_were_made_are_kept_and_read_again(capsys, folder, vectors, tmp_path):
    words = [vectors, "--patches", folder, "--split", "mine", "--tasks", tmp_path, "--json"]
    _, first, err = run(capsys, *words)
    assert "made from" in err
    assert len(list(tmp_path.glob("*_split-mine.csv"))) == 5
    _, second, err = run(capsys, *words)
    assert f"from {tmp_path}" in err
    assert "made from" not in err
    assert json.loads(first) == json.loads(second)
    assert not (folder / "tasks").exists(), "nothing is put among the patches unasked"


def test_a_folder_of_csv_files_needs_no_patches_for_matching(capsys, vectors, tmp_path):
    with np.load(vectors) as arrays:
        for name, rows in arrays.items():
            path = tmp_path / f"{name}.csv"
            path.parent.mkdir(exist_ok=True)
            np.savetxt(path, rows, delimiter=";")
    write_splits(tmp_path / "splits.json", {"mine": Split("mine", NAMES)})
    code, out, _ = run(capsys, tmp_path, "--split", "mine", "--task", "matching")
    assert code == 0
    assert "5 numbers each" in out
    write_splits(
        tmp_path / "splits.json", {"mine": Split("mine", NAMES), "few": Split("few", NAMES[:3])}
    )
    _, out, _ = run(capsys, tmp_path, "--split", "few", "--task", "matching")
    assert "Without intervals, which need 8 sequences" in out
    told = refused(capsys, tmp_path, "--split", "mine", "--task", "retrieval")
    assert "retr_queries_split-mine.csv" in told
    assert "--patches" in told


def test_collapse_is_told_before_the_figures(capsys, folder, tmp_path):
    rows = {f"{name}/{sheet}": np.ones((COUNT, 5)) for name in NAMES for sheet in SHEETS}
    np.savez(tmp_path / "flat.npz", **rows)
    code, out, _ = run(capsys, tmp_path / "flat.npz", "--patches", folder, "--split", "mine")
    assert code == 0
    assert out.index("Attention: Collapsed") < out.index("one number a task")
    assert re.search(r"retrieval +1\.0000 \(1\.0000 to 1\.0000\)", out)
    _, out, _ = run(capsys, tmp_path / "flat.npz", "--patches", folder, "--split", "mine",
                    "--ties", "pessimistic", "--task", "matching", "--json")  # fmt: skip
    assert json.loads(out)["matching"]["course"]["all"]["value"] == 0


MATCHING = ["--task", "matching"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "DESCRIPTORS and --model: nothing was given"),
        (["nowhere", *MATCHING], "holds no descriptors"),
        (["--model", "resize"], "Give them with --patches"),
        (["--model", "resized", "--patches", "FOLDER", "--split", "mine"], "mean 'resize'?"),
        (["nowhere", "--model", "resize"], "both was given"),
        (["VECTORS", "--split", "z"], "Unknown split 'z'. Available: a, b, c"),
        (["VECTORS", "--split", "z", "--patches", "FOLDER"], "Available: mine"),
        (["VECTORS", "--noisy"], "--noisy says which sheets"),
        (["VECTORS"], "Retrieval needs retr_queries_split-a.csv"),
        (["VECTORS", *MATCHING], "has no array i_ajuntament/ref"),
        (["VECTORS", "--task", "all of them"], "Invalid value"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(capsys, folder, vectors, arguments, words):
    places = {"FOLDER": folder, "VECTORS": vectors}
    assert words in refused(capsys, *[places.get(word, word) for word in arguments])


def test_descriptors_of_other_patches_are_refused(capsys, folder, tmp_path):
    rows = {f"{name}/{sheet}": np.ones((COUNT + 1, 5)) for name in NAMES for sheet in SHEETS}
    np.savez(tmp_path / "more.npz", **rows)
    told = refused(capsys, tmp_path / "more.npz", "--patches", folder, "--split", "mine")
    assert "i_0 has 12 patches" in told
    assert "13 descriptors" in told
