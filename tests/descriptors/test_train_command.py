"""`noisepair hpatches train` as a user types it: what `evaluate` takes, or a sentence."""

import json

import a_patch_set
import numpy as np
import pytest

from noisepair.app.cli import main
from noisepair.hpatches.layout import SHEETS, sheet_path, write_sheet
from noisepair.hpatches.splits import Split, write_splits

QUICKLY = ("--network", "quick", "--network.half", "4", "--network.quarter", "8", "--batch", "16",
           "--noise.sigma", "0:50/255", "--validations", "2")  # fmt: skip

UNSAID = [*QUICKLY[:8], *QUICKLY[10:]]  # nothing of noise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eleven sequences, eight to judge with, clean and with noise of sigma 10."""
    root = tmp_path_factory.mktemp("patches")
    sheets = a_patch_set.sheets(11, 12)
    rng = np.random.default_rng(0)
    for name, patches in sheets.items():
        for sheet, clean in zip(SHEETS, patches, strict=True):
            write_sheet(sheet_path(root, name, sheet), clean)
            noisy = np.rint(clean + rng.normal(0, 10, clean.shape)).clip(0, 255).astype(np.uint8)
            write_sheet(sheet_path(root, name, sheet, noisy=True), noisy)
    names = list(sheets)
    splits = {"a": Split("a", tuple(names[3:]), tuple(names[:3])), "all": Split("all", (names[0],))}
    write_splits(root / "splits.json", splits)
    return root


def run(capsys, *arguments):
    """Exit code, standard output, standard error."""
    code = main(["hpatches", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_what_was_trained_is_judged(capsys, folder, tmp_path):
    code, out, err = run(capsys, "train", folder, "--out", tmp_path / "m", "--steps", 6, *QUICKLY,
                         "--json")  # fmt: skip
    assert code == 0
    told = json.loads(out)
    assert told["steps"] == 6
    assert 0 <= told["matching"] <= 1
    assert "3 sequences, 36 places" in err
    assert "noise.sigma" in err
    code, out, _ = run(capsys, "evaluate", "--model", tmp_path / "m", "--patches", folder,
                       "--task", "matching", "--noisy", "--json")  # fmt: skip
    assert code == 0
    assert json.loads(out)["sequences"] == 8


def test_the_noise_of_the_data_is_seen_where_it_was_asked_for(capsys, folder, tmp_path):
    loss = {}
    for kind in (("--noise", "none"), ("--noisy",), ()):
        out = tmp_path / f"m{len(kind)}"
        code, _, _ = run(capsys, "train", folder, "--out", out, *UNSAID, "--steps", 1, *kind)
        assert code == 0
        history = (out / "history.jsonl").read_text().splitlines()
        loss[kind] = json.loads(history[-1])["loss"]
    assert len(set(loss.values())) == 3


def test_noise_is_drawn_where_nothing_is_said_of_it(capsys, folder, tmp_path):
    recipes = {}
    for number, words in enumerate([[], ["--noise.sigma", "0:50/255"], ["--noise", "none"]]):
        out = tmp_path / f"m{number}"
        assert run(capsys, "train", folder, "--out", out, *UNSAID, "--steps", 1, *words)[0] == 0
        card = json.loads((out / "descriptor.json").read_text())
        recipes[number] = card["provenance"]["recipe"]
    assert recipes[0] == recipes[1]
    assert "noise" not in recipes[2]


def test_a_run_with_the_noise_left_unsaid_goes_on_with_and_without_its_lines(
    capsys, folder, tmp_path
):
    words = ("train", folder, "--out", tmp_path / "m", *UNSAID, "--steps", 1)
    assert run(capsys, *words)[0] == 0
    assert run(capsys, *words, "--resume")[0] == 0
    assert run(capsys, *words[:4], "--resume")[0] == 0


def test_lines_come_from_a_file_and_those_typed_come_first(capsys, folder, tmp_path):
    (tmp_path / "r.toml").write_text(
        'steps = 1\nbatch = 16\nnoise = { kind = "gaussian", sigma = 0.1 }\n'
        'network = { kind = "quick", half = [4], quarter = [8] }\n'
    )
    words = ("--recipe", tmp_path / "r.toml", "--batch", 12, "--noise", "poisson")
    code, _, _ = run(capsys, "train", folder, "--out", tmp_path / "m", *words)
    assert code == 0
    card = json.loads((tmp_path / "m" / "descriptor.json").read_text())
    recipe = card["provenance"]["recipe"]
    assert (recipe["steps"], recipe["batch"], recipe["noise"]["kind"]) == (1, 12, "poisson")
    assert recipe["network"]["half"] == [4]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--split", "all"], "has no training part"),
        (["--split", "z"], "Unknown split 'z'"),
        (["--network", "hardnut"], "Did you mean 'hardnet'"),
        (["--batch", "many"], "batch='many' is not possible"),
        (["--batch", "100"], "There are 24 places, and batch=100"),
        (["--noisy", "--noise.sigma", "0.1"], "noisy patches of their own"),
        (["--recipe", "none.toml"], "none.toml"),
        (["--noisy", "--grain", "2"], "grain=2 enlarges noise that is drawn anew"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(capsys, folder, tmp_path, words, said):
    code, out, err = run(capsys, "train", folder, "--out", tmp_path / "m", *words)
    assert (code, out) == (2, "")
    assert said in err.splitlines()[-1]
    assert not (tmp_path / "m").exists()
