"""`noisepair info`: what is said of models, networks, losses and noises, and to whom."""

import json

import numpy as np
import pytest

from noisepair import checkpoint
from noisepair.app.cli import main
from noisepair.losses import LOSSES
from noisepair.models import NETWORKS, PRESETS, UNet
from noisepair.models.facts import facts
from noisepair.noise import NOISES
from noisepair.recipe import Recipe
from noisepair.train import train

TINY = UNet(channels=(4, 4), head=(4, 4))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("info") / "model"
    shots = np.random.default_rng(0).random((5, 2, 20, 20), np.float32)
    train(shots, out=folder, recipe=Recipe(network=TINY, steps=2, batch=2, precision="float32"))
    return folder


def run(capsys, *arguments):
    """Exit code, standard output, standard error."""
    code = main(["info", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def told(capsys, *arguments):
    """What a program reads: one object."""
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def refused(capsys, *arguments):
    """The one sentence with which these arguments are refused."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("noisepair: ")
    assert len(err.splitlines()) == 1
    return err


def test_without_a_name_every_network_has_a_line(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    begun = [line.split()[0] for line in out.splitlines() if line.strip()]
    assert set(begun) >= {*NETWORKS, *PRESETS}
    assert "991,203" in out
    assert "317×317" in out
    assert set(told(capsys)["networks"]) == {*NETWORKS, *PRESETS}


@pytest.mark.parametrize("planes", [1, 3, 4])
def test_a_network_has_the_facts_of_the_network_that_is_built(capsys, planes):
    known = told(capsys, "noise2noise", "--planes", planes)
    found = facts(PRESETS["noise2noise"](planes), planes)
    assert known["parameters"] == found.parameters
    assert known["multiply_adds"] == found.multiply_adds
    assert (known["radius"], known["receptive_field"]) == (found.radius, 2 * found.radius + 1)
    assert known["settings"]["channels"] == [48] * 5


def test_colour_is_what_a_network_is_for_unless_told(capsys):
    assert told(capsys, "noise2noise")["parameters"] == 991_203
    assert told(capsys, "noise2noise", "--planes", 1)["parameters"] == 988_609


@pytest.mark.parametrize("name", [*NETWORKS, *PRESETS, *LOSSES, *NOISES])
def test_every_name_is_answered_for_people_and_for_programs(capsys, name):
    code, out, err = run(capsys, name)
    assert (code, err) == (0, "")
    assert name in out
    assert name in told(capsys, name).values()


def test_a_name_means_one_thing():
    names = [*NETWORKS, *PRESETS, *LOSSES, *NOISES]
    assert len(names) == len(set(names))


def test_a_loss_and_a_noise_say_what_goes_with_them(capsys):
    assert told(capsys, "l1")["learns"] == "median"
    assert "median of the noisy targets" in run(capsys, "l1")[1]
    salt = told(capsys, "salt_pepper")
    assert (salt["zero_mean"], salt["loss"]) == (False, "l1")
    assert "p" in salt["settings"]
    assert told(capsys, "gaussian")["zero_mean"] is True
    assert "zero_mean" not in told(capsys, "sequence"), "which depends on its parts"


def test_a_model_tells_what_it_is_and_where_it_comes_from(capsys, model):
    code, out, _ = run(capsys, model)
    card = checkpoint.read_card(model)
    assert code == 0
    assert "channels 4,4" in out
    assert card.recipe.sentence() in out
    assert card.provenance["created"] in out
    assert card.provenance["machine"]["name"] in out
    data = card.provenance["data"]
    assert f"{data['scenes']} scenes, {data['shots']} shots" in out
    assert data["held_out"][0] in out
    assert "2 steps in" in out
    known = told(capsys, model)
    assert known["recipe"] == json.loads(json.dumps(card.recipe.lines()))
    assert known["parameters"] == facts(TINY(1), 1).parameters
    assert {"data", "machine", "result", "created"} <= set(known)


def test_a_model_whose_run_did_not_end_says_so(capsys, model, tmp_path):
    page = json.loads((model / checkpoint.CARD).read_text())
    del page["provenance"]["result"]
    (tmp_path / checkpoint.CARD).write_text(json.dumps(page))
    assert "not ended" in run(capsys, tmp_path)[1]


@pytest.mark.parametrize("part", ["data", "machine", "created", "result"])
@pytest.mark.parametrize("damage", [{}, 7, None])
def test_a_damaged_card_is_a_sentence(capsys, model, tmp_path, part, damage):
    page = json.loads((model / checkpoint.CARD).read_text())
    page["provenance"][part] = damage
    (tmp_path / checkpoint.CARD).write_text(json.dumps(page))
    code, out, err = run(capsys, tmp_path)
    assert code == 2 or (part == "created" and code == 0)
    assert "Traceback" not in err
    assert bool(out) == (code == 0)


def test_a_name_is_a_network_and_a_path_is_a_folder(capsys, model, tmp_path, monkeypatch):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / checkpoint.CARD).write_bytes((model / checkpoint.CARD).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert told(capsys, "unet")["network"] == "unet"
    assert "model" in told(capsys, "./unet")


def test_refusals(capsys, tmp_path):
    said = refused(capsys, "unett")
    assert "Did you mean 'unet'?" in said
    assert all(name in said for name in [*NETWORKS, *PRESETS, *LOSSES, *NOISES])
    assert "is not a model" in refused(capsys, tmp_path)
    assert "--planes 0" in refused(capsys, "unet", "--planes", 0)
    assert "--planes is for networks" in refused(capsys, "l2", "--planes", 3)
    assert "--planes is for networks" in refused(capsys, tmp_path, "--planes", 3)


def test_a_refusal_is_one_object_for_a_program(capsys):
    code, out, _ = run(capsys, "unett", "--json")
    assert code == 2
    assert "unett" in json.loads(out)["error"]
