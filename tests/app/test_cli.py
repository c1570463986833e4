"""The commands as a user types them: what they print, write, refuse and return."""

import io
import json
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from noisepair import images
from noisepair.app.cli import COMMANDS, main

TINY = ["--network.channels", "4,4", "--network.head", "4,4", "--precision", "float32"]
RNG = np.random.default_rng(0)


def picture(height=24, width=20, planes=3, seed=0):
    """A smooth picture, (H, W, planes) uint8."""
    rows, cols = np.mgrid[:height, :width]
    waves = [
        120 + 60 * np.sin(rows / 5 + plane) + 40 * np.cos(cols / 4 + seed)
        for plane in range(planes)
    ]
    return np.stack(waves, -1).clip(0, 255).astype(np.uint8)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.squeeze()).save(path)


def shot(clean, seed):
    noise = np.random.default_rng(seed).normal(0, 20, clean.shape)
    return np.rint(clean + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two folders of noisy shots of six scenes, and their clean pictures."""
    root = tmp_path_factory.mktemp("pairs")
    for n in range(6):
        clean = picture(seed=n)
        save(root / "clean" / f"s{n}.png", clean)
        save(root / "a" / f"s{n}.png", shot(clean, 2 * n))
        save(root / "b" / f"s{n}.png", shot(clean, 2 * n + 1))
    return root


@pytest.fixture(scope="module")
def model(pairs):
    out = pairs / "model"
    assert (
        main(
            ["train", str(pairs / "a"), str(pairs / "b"), "--out", str(out), "--steps", "30", *TINY]
        )
        == 0
    )
    return out


def run(capsys, *arguments):
    """Exit code, standard output, standard error."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *arguments):
    """The one sentence with which these arguments are refused."""
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("noisepair: ")
    return last


# — the road —


def test_two_folders_become_a_model_and_denoised_pictures(capsys, pairs, model, tmp_path):
    code, out, _err = run(capsys, "denoise", pairs / "a", "--model", model, "--out", tmp_path)
    assert code == 0
    assert "6 of 6 pictures denoised" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"s{n}.png" for n in range(6)]
    for n in range(6):
        with Image.open(tmp_path / f"s{n}.png") as done:
            assert (done.size, done.mode) == ((20, 24), "RGB")


def test_training_tells_what_it_understood(capsys, pairs, tmp_path):
    code, out, err = run(
        capsys, "train", pairs / "a", pairs / "b", "--out", tmp_path / "m", "--steps", 2, *TINY
    )
    assert code == 0
    assert "6 scenes, 2 shots each, 20×24, RGB, uint8 (two folders, the same file names)" in err
    assert "s0.png ↔ s0.png" in err or "a/s0.png ↔ b/s0.png" in err
    assert "1 scene is held out" in err
    assert "step 2" in err
    assert "noisepair denoise" in out


def test_quiet_training_says_only_the_result(capsys, pairs, tmp_path):
    code, out, err = run(
        capsys,
        "train",
        pairs / "a",
        pairs / "b",
        "--out",
        tmp_path / "m",
        "--steps",
        2,
        "--quiet",
        *TINY,
    )
    assert (code, err) == (0, "")
    assert "2 steps" in out


@pytest.mark.parametrize("command", ["train", "denoise", "evaluate"])
def test_json_is_exactly_one_object(capsys, pairs, model, tmp_path, command):
    arguments = {
        "train": ["train", pairs / "a", pairs / "b", "--out", tmp_path / "m", "--steps", 2, *TINY],
        "denoise": ["denoise", pairs / "a", "--model", model, "--out", tmp_path / "d"],
        "evaluate": [
            "evaluate",
            "--noisy",
            pairs / "a",
            "--clean",
            pairs / "clean",
            "--model",
            model,
        ],
    }[command]
    code, out, _err = run(capsys, *arguments, "--json")
    assert code == 0
    assert isinstance(json.loads(out), dict)


def test_json_of_a_refusal_is_one_object_too(capsys, tmp_path):
    code, out, _err = run(capsys, "train", tmp_path / "nothing", "--out", tmp_path / "m", "--json")
    assert code == 2
    assert "There is nothing at" in json.loads(out)["error"]


def test_evaluate_has_the_promised_keys_and_writes_a_report(capsys, pairs, model, tmp_path):
    code, out, _err = run(
        capsys, "evaluate", "--noisy", pairs / "a", "--clean", pairs / "clean", "--model", model,
        "--out", tmp_path / "report", "--json",
    )  # fmt: skip
    scores = json.loads(out)
    assert (code, scores["images"]) == (0, 6)
    for kind in ("noisy", "denoised"):
        assert set(scores["psnr"][kind]) >= {"per_image", "pooled"}
        assert 0 < scores["ssim"][kind] < 1
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names >= {"report.html", "scores.csv", "box.png", "gallery.png"}


def test_evaluate_of_denoised_files_is_evaluate_of_the_model(capsys, pairs, model, tmp_path):
    run(capsys, "denoise", pairs / "a", "--model", model, "--out", tmp_path / "d")
    common = ["evaluate", "--noisy", pairs / "a", "--clean", pairs / "clean", "--json"]
    by_model = json.loads(run(capsys, *common, "--model", model)[1])
    by_files = json.loads(run(capsys, *common, "--denoised", tmp_path / "d")[1])
    assert by_model["psnr"] == by_files["psnr"]


def test_a_recipe_file_and_the_command_line_meet_in_the_model(capsys, pairs, tmp_path):
    page = tmp_path / "recipe.toml"
    page.write_text(
        'lr = 0.002\nbatch = 3\n[network]\nkind = "unet"\nchannels = [4]\nhead = [4, 4]\n'
    )
    code, _, _ = run(
        capsys, "train", pairs / "a", pairs / "b", "--out", tmp_path / "m", "--recipe", page,
        "--steps", 2, "--batch", 2,
    )  # fmt: skip
    stored = json.loads((tmp_path / "m" / "model.json").read_text())["recipe"]
    assert code == 0
    assert (stored["lr"], stored["batch"], stored["steps"]) == (0.002, 2, 2)
    assert stored["network"]["channels"] == [4]


def test_synthetic_noise_from_the_command_line(capsys, pairs, tmp_path):
    code, _, err = run(
        capsys, "train", pairs / "clean", "--noise", "gaussian", "--noise.sigma", "25/255",
        "--fresh-noise", "--out", tmp_path / "m", "--steps", 2, *TINY,
    )  # fmt: skip
    stored = json.loads((tmp_path / "m" / "model.json").read_text())["recipe"]
    assert code == 0
    assert stored["fresh_noise"] is True
    assert stored["noise"] == {"kind": "gaussian", "sigma": pytest.approx(25 / 255)}
    assert "drawn anew" in err


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_help_shows_an_example(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"noisepair {command}" in out[out.index("Examples") :]


def test_help_of_train_lists_every_line_of_the_recipe(capsys):
    from noisepair.recipe import LINES

    _, out, _ = run(capsys, "train", "--help")
    missing = [name for name in LINES if f"--{name.replace('_', '-')}" not in out]
    assert missing in ([], ["version"])


# — one corrupt file among many —


def test_a_corrupt_file_does_not_stop_the_rest(capsys, pairs, model, tmp_path):
    for n in range(3):
        save(tmp_path / "in" / f"p{n}.png", picture(seed=n))
    whole = (tmp_path / "in" / "p1.png").read_bytes()
    (tmp_path / "in" / "p1.png").write_bytes(whole[: len(whole) // 2])
    code, out, _err = run(
        capsys, "denoise", tmp_path / "in", "--model", model, "--out", tmp_path / "out", "--json"
    )
    told = json.loads(out)
    assert code == 2
    assert len(told["written"]) == 2
    assert [Path(one["file"]).name for one in told["failed"]] == ["p1.png"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["p0.png", "p2.png"]


# — refusals —


def test_refusals_of_training_sources(capsys, pairs, tmp_path):
    def train(*sources):
        return refused(capsys, "train", *sources, "--out", tmp_path / "m", "--steps", 2, *TINY)

    (tmp_path / "empty").mkdir()
    assert "holds no picture" in train(tmp_path / "empty")
    assert "There is nothing at" in train(tmp_path / "missing")
    save(tmp_path / "fewer" / "s0.png", picture())
    assert "without a partner" in train(pairs / "a", tmp_path / "fewer")
    assert "has one shot only" in train(pairs / "a") or "differ in a number" in train(pairs / "a")
    assert "identical" in train(*twins(tmp_path))
    assert "constant" in train(*black(tmp_path))
    assert "NaN or infinite" in train(*not_numbers(tmp_path))
    assert "must have the same size" in train(*sizes(tmp_path))
    assert not (tmp_path / "m").exists()


def twins(root):
    for side in ("t1", "t2"):
        for n in range(2):
            save(root / side / f"{n}.png", shot(picture(seed=n), n))
    return root / "t1", root / "t2"


def black(root):
    for n in range(2):
        save(root / "k1" / f"{n}.png", np.zeros((20, 20, 3), np.uint8))
        save(root / "k2" / f"{n}.png", shot(picture(20, 20), n))
    return root / "k1", root / "k2"


def not_numbers(root):
    for side in ("n1", "n2"):
        (root / side).mkdir()
        for n in range(2):
            values = np.random.default_rng(n).random((20, 20), np.float32)
            values[3, 4] = np.nan if side == "n2" else 0.5
            tifffile.imwrite(root / side / f"{n}.tif", values)
    return root / "n1", root / "n2"


def sizes(root):
    for n in range(2):
        save(root / "z1" / f"{n}.png", shot(picture(20, 20), n))
        save(root / "z2" / f"{n}.png", shot(picture(20, 21), n + 9))
    return root / "z1", root / "z2"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--budget", "banana"], "should be a time such as 90s"),
        (["--steps", "0"], "should be greater than or equal to 1"),
        (["--steps", "5", "--budget", "1m"], "both say how long a run is"),
        (["--lr", "-1"], "should be greater than 0"),
        (["--network", "unett"], "Did you mean 'unet'"),
        (["--crop", "500", "--steps", "2"], "larger than the smallest picture"),
        (["--netwrok", "unet"], "--network"),
        (["--recipe", "nowhere.toml"], "Cannot read the recipe"),
    ],
)
def test_refusals_of_recipe_lines(capsys, pairs, tmp_path, arguments, sentence):
    said = refused(capsys, "train", pairs / "a", pairs / "b", "--out", tmp_path / "m", *arguments)
    assert sentence in said
    assert not (tmp_path / "m").exists()


def test_a_recipe_of_a_newer_version_is_refused(capsys, pairs, tmp_path):
    (tmp_path / "new.toml").write_text("version = 99\nunheard_of = 1\n")
    said = refused(
        capsys, "train", pairs / "a", pairs / "b", "--out", tmp_path / "m",
        "--recipe", tmp_path / "new.toml",
    )  # fmt: skip
    assert "version 99" in said
    assert "Upgrade noisepair" in said


def test_an_existing_model_is_not_overwritten(capsys, pairs, model):
    before = (model / "weights.safetensors").read_bytes()
    said = refused(capsys, "train", pairs / "a", pairs / "b", "--out", model, "--steps", 2, *TINY)
    assert "exists and is not empty" in said
    assert (model / "weights.safetensors").read_bytes() == before


@pytest.mark.skipif("__import__('torch').cuda.is_available()", reason="this machine has CUDA")
def test_cuda_is_refused_where_there_is_none(capsys, pairs, model, tmp_path):
    said = refused(
        capsys,
        "denoise",
        pairs / "a",
        "--model",
        model,
        "--out",
        tmp_path / "d",
        "--device",
        "cuda",
    )
    assert "Available: cpu" in said


def bomb():
    """A PNG of a few bytes that claims 100,000×100,000 pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def encoded(array, kind, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


HOSTILE = {
    "truncated.png": encoded(picture(), "PNG")[:200],
    "text.tif": b"this is a text file",
    "empty.png": b"",
    "bomb.png": bomb(),
    "cmyk.jpg": encoded(np.zeros((8, 8, 4), np.uint8), "TIFF"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_pictures_are_reported_and_leave_nothing(capsys, model, tmp_path, name):
    content = HOSTILE[name]
    if name == "cmyk.jpg":
        content = io.BytesIO()
        Image.fromarray(np.zeros((8, 8, 4), np.uint8), "CMYK").save(content, "JPEG")
        content = content.getvalue()
    (tmp_path / name).write_bytes(content)
    code, _out, err = run(
        capsys, "denoise", tmp_path / name, "--model", model, "--out", tmp_path / "out"
    )
    assert code == 2
    assert name in err
    assert "Traceback" not in err
    assert list((tmp_path / "out").iterdir()) == []


def test_an_animated_gif_is_refused(capsys, model, tmp_path):
    frames = [Image.fromarray(picture(seed=n)) for n in range(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    code, _, err = run(
        capsys, "denoise", tmp_path / "moving.gif", "--model", model, "--out", tmp_path / "out"
    )
    assert code == 2
    assert "GIF" in err.upper()


def test_a_palette_picture_is_denoised_and_the_loss_of_its_palette_is_said(capsys, model, tmp_path):
    Image.fromarray(picture()).quantize(16).save(tmp_path / "p.png")
    code, _out, err = run(
        capsys, "denoise", tmp_path / "p.png", "--model", model, "--out", tmp_path / "out"
    )
    assert code == 0
    assert "palette" in err


def test_a_picture_that_lies_where_results_go_gets_one_beside_it(capsys, model, tmp_path):
    save(tmp_path / "p.png", picture())
    before = (tmp_path / "p.png").read_bytes()
    words = ["denoise", tmp_path / "p.png", "--model", model, "--out", tmp_path, "--overwrite"]
    for _ in range(2):
        code, _, _ = run(capsys, *words)
        assert code == 0
        assert (tmp_path / "p.png").read_bytes() == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["p.png", "p_denoised.png"]
    said = refused(capsys, "denoise", tmp_path, "--model", model, "--out", tmp_path)
    assert "p_denoised.png is a picture to denoise, and where another one would be written" in said


def test_without_a_model_the_bundled_weights_denoise_grey_and_colour(capsys, tmp_path):
    rng = np.random.default_rng(0)
    for name, planes in (("grey", 1), ("colour", 3)):
        noisy = np.clip(128 + 25 * rng.standard_normal((64, 64, planes)), 0, 255)
        save(tmp_path / "in" / f"{name}.png", noisy.astype(np.uint8).squeeze())
    code, _, _ = run(capsys, "denoise", tmp_path / "in", "--out", tmp_path / "out")
    assert code == 0
    for name in ("grey", "colour"):
        done = images.read(tmp_path / "out" / f"{name}.png").pixels
        assert done.std() < 5, "of a deviation of 25"
    said = refused(
        capsys, "denoise", tmp_path / "in", "--model", "color", "--out", tmp_path / "more"
    )
    assert "color is not a model" in said
    assert "bundled weights: colour, grey" in said


def test_results_that_are_there_are_kept_unless_told(capsys, model, tmp_path):
    save(tmp_path / "in" / "p.png", picture())
    arguments = ["denoise", tmp_path / "in", "--model", model, "--out", tmp_path / "out"]
    assert run(capsys, *arguments)[0] == 0
    assert "--overwrite" in refused(capsys, *arguments)
    assert run(capsys, *arguments, "--overwrite")[0] == 0


def test_grey_through_colour_is_handled_and_said(capsys, model, tmp_path):
    save(tmp_path / "g.png", picture(planes=1))
    code, _, err = run(
        capsys, "denoise", tmp_path / "g.png", "--model", model, "--out", tmp_path / "out"
    )
    assert code == 0
    assert "grey, denoised as a colour picture" in err
    with Image.open(tmp_path / "out" / "g.png") as done:
        assert done.mode == "L"


def test_a_folder_that_is_no_model_is_refused(capsys, pairs, tmp_path):
    said = refused(capsys, "denoise", pairs / "a", "--model", pairs / "b", "--out", tmp_path / "d")
    assert "is not a model" in said
    assert not (tmp_path / "d").exists()


def test_an_average_over_turns_is_another_picture_and_needs_a_model(pairs, model, capsys, tmp_path):
    for name, more in (("one", []), ("mean", ["--average"])):
        words = ["denoise", pairs / "a", "--model", model, "--out", tmp_path / name, *more]
        assert run(capsys, *words)[0] == 0
    one, mean = ((tmp_path / name / "s0.png").read_bytes() for name in ("one", "mean"))
    assert one != mean
    sides = ["--noisy", pairs / "a", "--clean", pairs / "b"]
    said = refused(capsys, "evaluate", *sides, "--denoised", pairs / "b", "--average")
    assert "--average is how a model denoises, and there is none" in said


def test_a_reader_who_has_enough_ends_the_command_quietly(capsys, monkeypatch):
    """Flushed while there is somebody to catch it, so that closing the file says nothing either."""
    there, here = os.pipe()
    os.close(there)
    with open(here, "w") as unread:
        monkeypatch.setattr(sys, "stdout", unread)
        assert main(["info", "l2"]) == 0
    assert capsys.readouterr().err == ""


def test_noise_with_a_mean_is_given_no_gain(pairs, capsys, tmp_path):
    words = ["--noise", "impulse", "--loss", "l0", "--steps", "2", *TINY]
    code, out, _ = run(capsys, "train", pairs / "clean", "--out", tmp_path / "m", *words)
    assert code == 0
    assert "No gain is estimated: impulse noise is not zero-mean." in out
