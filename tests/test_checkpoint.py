"""The model folder: data and never code, and damage is said in a sentence.

Whatever is done to the files of a folder, loading gives the model that was saved, or InputError.
"""

import io
import itertools
import json
import pickle
import pickletools
import shutil
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from noisepair import checkpoint
from noisepair.checkpoint import CARD, HISTORY, SEEN, STATE, WEIGHTS, Card
from noisepair.denoise import Denoiser
from noisepair.errors import InputError
from noisepair.models import Scale, UNet
from noisepair.recipe import Recipe

FILES = (CARD, WEIGHTS, STATE, HISTORY, SEEN)
RECIPE = Recipe(network=UNet(channels=(2,), head=(2, 2)), steps=1, precision="float32")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model folder, written by a run."""
    from noisepair import train

    folder = tmp_path_factory.mktemp("model") / "m"
    shots = np.random.default_rng(0).random((2, 3, 16, 16)).astype(np.float32)
    train(*shots, out=folder, recipe=RECIPE)
    return folder


@pytest.fixture
def model(whole, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(whole, tmp_path / "m")


def edit(model, **changes):
    """The card with other lines."""
    plain = json.loads((model / CARD).read_text())
    (model / CARD).write_text(json.dumps(plain | changes))


# — nothing in it can run —


def is_code(content: bytes) -> bool:
    """Whether a pickle, or an archive that may hold one, begins anywhere that a reader looks."""
    if content[:2] == b"PK" or zipfile.is_zipfile(io.BytesIO(content)):
        return True
    try:
        return sum(1 for _ in pickletools.genops(content)) > 1
    except ValueError:
        return False


def test_a_model_is_numbers_and_json_to_the_last_byte(whole):
    assert sorted(path.name for path in whole.iterdir()) == sorted(FILES)
    for path in whole.iterdir():
        assert not is_code(path.read_bytes()), path.name
    json.loads((whole / CARD).read_text())
    for line in (whole / HISTORY).read_text().splitlines():
        json.loads(line)
    for name in (WEIGHTS, STATE):
        content = (whole / name).read_bytes()
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        assert set(header.pop("__metadata__")) == {"about", "checksum"}
        spans = sorted(entry["data_offsets"] for entry in header.values())
        assert spans[0][0] == 0
        assert all(a[1] == b[0] for a, b in itertools.pairwise(spans)), "no gap"
        assert spans[-1][1] == len(content) - 8 - size, "and nothing after it"


def test_a_pickle_would_be_found(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "zip.pt")
    assert is_code((tmp_path / "zip.pt").read_bytes())
    assert is_code(pickle.dumps({"weight": [1.0]}))
    assert is_code(pickle.dumps({"weight": [1.0]}, protocol=0))


class Trap:
    """A pickle that acts when it is opened."""

    def __reduce__(self):
        return (pytest.fail, ("code from a model folder ran",))


@pytest.mark.parametrize("name", FILES)
def test_a_pickle_in_the_place_of_any_file_does_not_run(model, name):
    (model / name).write_bytes(pickle.dumps(Trap()))
    if name in (STATE, HISTORY, SEEN):
        assert Denoiser.load(model)
        return
    with pytest.raises(InputError, match="is damaged"):
        Denoiser.load(model)


def test_loading_goes_by_no_unpickler(whole, monkeypatch):
    def ran(*given, **named):
        pytest.fail("something was unpickled")

    for owner, name in ((torch, "load"), (pickle, "load"), (pickle, "loads")):
        monkeypatch.setattr(owner, name, ran)
    monkeypatch.setattr(pickle, "Unpickler", ran)
    assert Denoiser.load(whole)
    with pytest.raises(pytest.fail.Exception):
        torch.load(whole)  # control


# — what is saved comes back —


def test_tensors_come_back_bit_for_bit(tmp_path):
    tensors = {
        "float": torch.tensor([[0.1, -0.0], [torch.inf, 1e-45]]),
        "turned": torch.arange(24.0).view(2, 3, 2, 2).to(memory_format=torch.channels_last),
        "half": torch.rand(3).to(torch.bfloat16),
        "whole": torch.tensor(2**53 + 1),
        "none": torch.zeros(0, 3),
    }
    about = {"step": 7, "best": None, "seconds": 1.25, "name": "ä"}
    checkpoint.save_tensors(tmp_path / "t.safetensors", tensors, about)
    back, told = checkpoint.load_tensors(tmp_path / "t.safetensors")
    assert told == about
    assert back.keys() == tensors.keys()
    for name, value in tensors.items():
        assert back[name].dtype == value.dtype
        assert torch.equal(back[name], value)
    theirs = load_file(tmp_path / "t.safetensors")
    assert torch.equal(theirs["turned"], tensors["turned"]), "any safetensors reader reads it"


def test_a_card_comes_back_as_it_was(tmp_path):
    lines = {"network.channels": "3,5", "noise": "gaussian", "lr": 0.1 + 0.2, "budget": "7.5s"}
    card = Card(Recipe.of(lines), 3, Scale(0.1, 1 / 3), {"data": {"digest": "x"}, "n": [1, None]})
    checkpoint.write_card(tmp_path, card)
    assert checkpoint.read_card(tmp_path) == card


# — damage —


def contents(folder):
    """All that a file of tensors says."""
    tensors, about = checkpoint.load_tensors(folder)
    return {name: value.numpy().tobytes() for name, value in tensors.items()}, about


def refusal(read, path):
    """What `read` says against `path`, in a sentence; None where it reads it."""
    try:
        read(path)
    except InputError as error:
        return str(error)
    return None


def damaged_or_same(path, content, expected):
    """Whether damage was found; what is let through must be what was saved."""
    path.write_bytes(content)
    said = refusal(contents, path)
    if said is None:
        assert contents(path) == expected, "damage was let through"
        return False
    assert said.startswith(f"{path} is damaged")
    assert said.endswith("Restore it from a copy, or train again.")
    return True


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), mask=st.integers(1, 255))
def test_any_one_byte_that_changed_is_found(whole, tmp_path, data, mask):
    content = bytearray((whole / WEIGHTS).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    was = content[place]
    content[place] ^= mask
    found = damaged_or_same(tmp_path / WEIGHTS, content, contents(whole / WEIGHTS))
    blanks = b" \t\r\n"  # between JSON's words they mean the same
    assert found or (was in blanks and content[place] in blanks)


def test_every_byte_of_the_header_counts(whole, tmp_path):
    content = (whole / WEIGHTS).read_bytes()
    expected = contents(whole / WEIGHTS)
    size = 8 + int.from_bytes(content[:8], "little")
    assert not damaged_or_same(tmp_path / WEIGHTS, content, expected), "control"
    for place in range(size):
        for mask in (1, 4, 16):
            changed = bytearray(content)
            changed[place] ^= mask
            assert damaged_or_same(tmp_path / WEIGHTS, changed, expected), place


def test_the_plain_values_beside_the_tensors_are_guarded_too(whole, tmp_path):
    """A digit of `step` that changed would resume a run at another place."""
    content = (whole / STATE).read_bytes()
    changed = content.replace(b'\\"step\\": 1', b'\\"step\\": 0')
    assert changed != content
    assert damaged_or_same(tmp_path / STATE, changed, contents(whole / STATE))


def test_a_file_cut_short_anywhere_is_found(whole, tmp_path):
    content = (whole / WEIGHTS).read_bytes()
    for size in [*range(0, 32), *range(32, len(content), 97), len(content) - 1]:
        assert damaged_or_same(tmp_path / WEIGHTS, content[:size], {}), size
    assert damaged_or_same(tmp_path / WEIGHTS, content + b"\0", {})


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_a_file_that_is_missing_is_named(model, name):
    (model / name).unlink()
    with pytest.raises(InputError, match=f"has no {name}"):
        Denoiser.load(model)


@pytest.mark.parametrize("place", ["nowhere", "file", "empty"])
def test_what_is_no_model_is_said_to_be_none(tmp_path, place):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=rf"{place} is not a model: it has no model\.json\. Give"):
        Denoiser.load(tmp_path / place)


def test_a_folder_in_the_place_of_a_file_is_said(model):
    for name in (WEIGHTS, CARD):
        (model / name).unlink()
        (model / name).mkdir()
        with pytest.raises(InputError, match=f"{name} is damaged"):
            Denoiser.load(model)


def test_somebody_elses_safetensors_are_refused(model):
    save_file({"weight": torch.zeros(3)}, model / WEIGHTS)
    with pytest.raises(InputError, match="damaged or not noisepair's: its checksum"):
        Denoiser.load(model)
    save_file({"weight": torch.zeros(3)}, model / WEIGHTS, metadata={"checksum": "0" * 32})
    with pytest.raises(InputError, match="damaged or not noisepair's"):
        Denoiser.load(model)


@pytest.mark.parametrize(
    "network", [UNet(channels=(3,), head=(2, 2)), UNet(channels=(2, 2), head=(2, 2))]
)
def test_weights_of_another_network_are_refused(model, network):
    checkpoint.save_tensors(model / WEIGHTS, network(1).state_dict(), {})
    with pytest.raises(InputError, match=rf"weights of another network than its {CARD} says: \w"):
        Denoiser.load(model)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 3}, r"m has model format 3; this noisepair reads up to 2\. Upgrade noisepair"),
        ({"format": 1}, r"m has model format 1, .* does not know them\. Train again, or use the"),
        ({"recipe": {"version": 2, "new": 1}}, "m has recipe format 2; .* Upgrade noisepair"),
        ({"recipe": {"lrr": 1}}, "Unknown recipe line 'lrr'"),
        ({"recipe": {"lr": -1}}, "lr=-1 is not possible"),
        ({"recipe": []}, "AttributeError"),
        ({"recipe": None}, "AttributeError"),
        ({"format": "new"}, "ValueError"),
        ({"format": None}, "TypeError"),
        ({"planes": "many"}, "ValueError"),
        ({"planes": 0}, "planes=0"),
        ({"planes": -3}, "planes=-3"),
        ({"planes": 1e400}, "OverflowError"),
        ({"normalisation": {"offset": "x", "scale": 1}}, "ValueError"),
        ({"normalisation": {"offset": [], "scale": 1}}, "TypeError"),
        ({"normalisation": {"shift": 0}}, "TypeError"),
        ({"normalisation": 5}, "AttributeError"),
        ({"provenance": 5}, "TypeError"),
    ],
)
def test_a_card_that_cannot_be_is_refused(model, changes, words):
    assert Denoiser.load(model), "control"
    edit(model, **changes)
    with pytest.raises(InputError, match=words) as caught:
        Denoiser.load(model)
    assert str(model) in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "5", "{}", '{"format": 1}', "[" * 100_000, "\x00", "{'a': 1}"]
)
def test_a_card_that_is_no_card_is_refused(model, text):
    (model / CARD).write_text(text)
    with pytest.raises(InputError, match=rf"{CARD} is damaged or not noisepair's \(\w+"):
        Denoiser.load(model)


def test_a_card_in_another_encoding_is_refused(model):
    (model / CARD).write_bytes('{"format": "ä"}'.encode("utf-16"))
    with pytest.raises(InputError, match="damaged or not noisepair's"):
        Denoiser.load(model)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_byte_of_the_card_can_bring_anything_but_a_sentence(whole, tmp_path, data):
    content = bytearray((whole / CARD).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / CARD).write_bytes(content)
    said = refusal(checkpoint.read_card, tmp_path)
    assert said is None or str(tmp_path) in said


# — the history —


def test_a_last_line_cut_short_is_passed_over(tmp_path):
    for step in range(3):
        checkpoint.append_history(tmp_path, {"step": step, "held_out": 0.5})
    whole = (tmp_path / HISTORY).read_text()
    assert [line["step"] for line in checkpoint.read_history(tmp_path)] == [0, 1, 2]
    for size in range(len(whole)):
        (tmp_path / HISTORY).write_text(whole[:size])
        lines = checkpoint.read_history(tmp_path)
        assert lines == [{"step": n, "held_out": 0.5} for n in range(len(lines))]
        assert len(lines) in (whole[:size].count("\n"), whole[:size].count("\n") + 1)


def test_what_comes_after_the_state_is_forgotten(tmp_path):
    for step in (0, 5, 10):
        checkpoint.append_history(tmp_path, {"step": step})
    with open(tmp_path / HISTORY, "a") as file:
        file.write('{"step": 15, "hel')
    checkpoint.trim_history(tmp_path, 5)
    checkpoint.append_history(tmp_path, {"step": 6})
    assert (tmp_path / HISTORY).read_text() == '{"step": 0}\n{"step": 5}\n{"step": 6}\n'


def test_a_folder_without_a_history_has_an_empty_one(tmp_path):
    assert checkpoint.read_history(tmp_path) == []
    checkpoint.trim_history(tmp_path, 3)
    assert (tmp_path / HISTORY).read_bytes() == b""


# — the folder —


def test_what_a_kill_left_beside_the_files_is_swept_and_nothing_else(model):
    for name in (".state.abc123.safetensors", ".model.xyz.json", ".weights.q.safetensors"):
        (model / name).write_bytes(b"half")
    mine = [".gitignore", "notes.json", ".state.txt", "state.old.safetensors"]
    for name in mine:
        (model / name).write_bytes(b"mine")
    checkpoint.sweep(model)
    assert sorted(path.name for path in model.iterdir()) == sorted([*FILES, *mine])
