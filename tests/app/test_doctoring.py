"""`noisepair doctor`: what it prints, writes, refuses, and that it is right about recipes."""

import json
import re

import numpy as np
import pytest
import torch
from scipy import ndimage

from noisepair import scratch
from noisepair.app.cli import main
from noisepair.app.doctor_report import COLUMNS, layers
from noisepair.app.doctoring import SILENT, Mixed, new_findings, verdict_of
from noisepair.recipe import Recipe
from noisepair.scratch.doctor import Diagnosis
from noisepair.scratch.symptoms import Symptom
from noisepair.scratch.vitals import Vitals

STRIDED = ["--network", "strided", "--network.channels", "8,16,8", "--batch", "8", "--crop", "16"]


@pytest.fixture(scope="module")
def shots(tmp_path_factory):
    """Two noisy shots of twelve smooth scenes, as two files."""
    root, rng = tmp_path_factory.mktemp("doctor"), np.random.default_rng(0)
    clean = np.stack([ndimage.gaussian_filter(rng.normal(size=(32, 32)), 4) for _ in range(12)])
    clean = 0.5 + 0.35 * clean / np.abs(clean).max((1, 2), keepdims=True)
    for side in "ab":
        noisy = (clean + 0.1 * rng.normal(size=clean.shape)).astype(np.float32)
        np.save(root / f"{side}.npy", noisy)
    return ["--data", str(root / "a.npy"), "--data2", str(root / "b.npy")]


def run(capsys, *arguments):
    code = main(["doctor", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def told(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json", "--quiet")
    assert (code, err) == (0, "")
    return json.loads(out)


def refused(capsys, *arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    return err.strip().splitlines()[-1]


def found_by(plain):
    return [one["name"] for one in plain["findings"]]


def test_the_seeds_first_set_up_is_named(capsys, shots):
    code, out, _ = run(capsys, *STRIDED, *shots, "--init", "normal", "--init.std", 1, "--steps", 4)
    assert code == 0, "as `check` of unfit data"
    assert out.startswith("Before the first step: ill.")
    assert re.search(
        r"The sigmoid after layers\.6 sees a spread of [\d,]+ and is \d+ % saturated", out
    )
    assert "N(0, 1) weights in every layer" in out
    assert "--init kaiming" in out
    assert "Verdict: ill." in out


def test_the_seeds_second_set_up_is_named(capsys, shots):
    tiny = ["--init", "normal", "--init.std", "1e-6", "--optimizer", "sgd", "--lr", 0.1]
    plain = told(capsys, *STRIDED, *shots, *tiny, "--steps", 4)
    assert plain["verdict"] == "ill"
    assert found_by(plain)[0] == "vanishing"
    assert "N(0, 1e-6²) weights in every layer" in plain["findings"][0]["text"]
    assert plain["findings"][0]["step"] == 0


@pytest.mark.parametrize("network", ["strided", "unet"])
def test_a_sound_recipe_is_healthy(capsys, shots, network):
    sizes = "8,16,8" if network == "strided" else "8,16"
    plain = told(
        capsys, "--network", network, "--network.channels", sizes, "--batch", 8, "--crop", 16,
        *shots, "--steps", 40,
    )  # fmt: skip
    assert plain["verdict"] == "healthy", plain["findings"]
    assert [seen["step"] for seen in plain["history"]] == list(range(0, 41, 2))
    assert plain["history"][-1]["loss"] < plain["history"][0]["loss"]
    assert set(plain["history"][0]["layers"][0]) >= {"name", "spread", "saturated", "update"}


def test_the_recipe_may_be_a_file_for_any_engine(capsys, shots, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'budget = "10m"\nprecision = "bfloat16"\nloss = "0.5*l1+0.5*l2"\n'
        '[network]\nkind = "strided"\nchannels = [8, 8, 8]\n[init]\nkind = "xavier"\n'
    )
    plain = told(capsys, recipe, *shots, "--steps", 2)
    assert plain["verdict"] == "healthy"
    assert [row["name"] for row in plain["history"][0]["layers"]] == [
        "layers.0", "layers.2", "layers.4", "layers.6",
    ]  # fmt: skip


def test_the_page_holds_words_tables_and_the_picture(capsys, shots, tmp_path):
    ill = [*STRIDED, *shots, "--init", "normal", "--init.std", 1, "--steps", 3]
    code, out, _ = run(capsys, *ill, "--report", tmp_path / "out")
    assert code == 0
    assert f"The report is {tmp_path / 'out' / 'report.html'}" in out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    for text in ("Something is wrong with it", "N(0, 1) weights", "layers.4", "dead or saturated"):
        assert text in page
    drawing = (tmp_path / "out" / "layers.svg").read_text()
    assert drawing.startswith("<svg")
    assert "currentColor" not in drawing


def test_without_data_pictures_that_are_here_are_taken(capsys):
    code, out, err = run(capsys, *STRIDED, "--steps", 2)
    assert code == 0
    assert "12 scenes" in err
    assert "Verdict: healthy." in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps", "0"], "--steps 0 is not possible. Give a number from 1 to 100,000."),
        (["--data2", "b.npy"], "--data2, --frames and --pattern say how to read --data"),
        (["nowhere.toml"], "Cannot read the recipe nowhere.toml"),
        (["--data", "nowhere"], "nowhere"),
        (["--network", "strid"], "Did you mean 'strided'?"),
        (["--network", "unet", "--network.norm", "batch"], "no layer for network.norm=batch"),
        (["--init", "orthogonal"], "has no init orthogonal"),
        (["--engine", "torch"], "engine"),
    ],
)
def test_what_cannot_work_is_one_sentence(capsys, arguments, words):
    assert words in refused(capsys, *arguments)


def test_lines_that_would_say_nothing_are_no_options(capsys):
    code, text, _ = run(capsys, "--help")
    assert code == 0
    assert "--init.std" in text
    assert not [name for name in SILENT if f"--{name}" in text]


# — the parts —


def diagnosis(step, *findings, layers=()):
    return Diagnosis(step, 0.1, 0.2, layers, findings)


def test_a_finding_is_told_once_where_it_was_first_seen():
    one, two = (Symptom(name, "care", "", "") for name in ("dead", "fast"))
    found = [diagnosis(0), diagnosis(5, one), diagnosis(10, two, one)]
    assert new_findings(found) == [(5, one), (10, two)]
    assert verdict_of(found) == "healthy with care"
    assert verdict_of(found[:1]) == "healthy"
    assert verdict_of([*found, diagnosis(15, Symptom("equal", "ill", "", ""))]) == "ill"


def test_mixed_losses_are_a_sum_and_so_are_their_gradients():
    one, two = torch.rand(2, 3, 4)
    mixed, parts = Mixed([(0.3, scratch.MSE()), (0.7, scratch.L1())]), [scratch.MSE(), scratch.L1()]
    values = [part.forward(one, two) for part in parts]
    torch.testing.assert_close(mixed.forward(one, two), 0.3 * values[0] + 0.7 * values[1])
    expected = 0.3 * parts[0].backward() + 0.7 * parts[1].backward()
    torch.testing.assert_close(mixed.backward(), expected)


@pytest.mark.parametrize("strange", [0.0, float("nan"), float("inf"), 1e-40])
def test_the_picture_is_drawn_whatever_was_measured(strange):
    row = Vitals(
        "a$_name^" * 9, "Conv2d(3, 4)", "Sigmoid", 27.0, 0.1, strange, strange, 1.0, None,
        strange, strange, None,
    )  # fmt: skip
    figure = layers([diagnosis(0, layers=(row, row)), diagnosis(1, layers=(row, row))])
    assert len(figure.axes) == 2 * len(COLUMNS)
    figure.canvas.draw()


def test_the_default_recipe_can_be_asked_about():
    assert Recipe.of({"engine": "scratch", "precision": "float32"}).network == Recipe().network
