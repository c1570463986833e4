"""Of one picture it is told how strong its noise is, and whether each pixel has its own."""

import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom

from noisepair.app.cli import main
from noisepair.check import alone, check_alone
from noisepair.check._single import verdict_of
from noisepair.errors import InputError
from noisepair.noise.estimate import Level
from noisepair.noise.given import Given


def scene(side=160, planes=1):
    """Soft waves and a few edges, from 0.2 to 0.8, (side, side, planes)."""
    rng = np.random.default_rng(5)
    edges = gaussian_filter((gaussian_filter(rng.normal(size=(side, side)), 14) > 0) * 1.0, 1.2)
    y, x = np.mgrid[:side, :side] / side
    return np.repeat((0.25 + 0.1 * np.sin(5 * x + 3 * y) + 0.4 * edges)[..., None], planes, -1)


def white(sigma=0.08, seed=0, **of):
    clean = scene(**of)
    noise = np.random.default_rng(seed).standard_normal(clean.shape)
    return (clean + sigma * noise).astype(np.float32)


def blurred(sigma=0.08, by=0.7, seed=0, **of):
    clean = scene(**of)
    grain = gaussian_filter(np.random.default_rng(seed).standard_normal(clean.shape), (by, by, 0))
    return (clean + sigma * grain / grain.std()).astype(np.float32)


def photons(gain=0.02, read=0.02, seed=0):
    rng, clean = np.random.default_rng(seed), scene(240)
    return (gain * rng.poisson(clean / gain) + read * rng.standard_normal(clean.shape)).astype("f4")


def as_bytes(picture):
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


# — what it says —


@pytest.mark.parametrize("planes", [1, 3])
def test_noise_of_single_pixels_is_independent_and_may_be_learnt_from(planes):
    found = check_alone(white(planes=planes)[..., 0] if planes == 1 else white(planes=planes))
    assert (found.verdict, found.independent) == ("independent", True)
    assert found.level.sigma == pytest.approx(0.08, rel=0.1)
    assert "recorrupted" in found.advice[1], "it does not grow with brightness"
    assert "--adapt" in found.advice[0]
    for rho, error in found.neighbours.values():
        assert abs(rho) < 5 * error


@pytest.mark.parametrize(
    "spoil",
    [
        blurred,
        lambda planes: zoom(white(planes=planes), (2, 2, 1), order=1),
        lambda planes: gaussian_filter(white(planes=planes), (1, 1, 0)),  # smoothed, as denoised
    ],
    ids=["grain", "enlarged", "denoised"],
)
@pytest.mark.parametrize("planes", [1, 3])
def test_noise_that_neighbours_share_is_correlated_and_may_not(spoil, planes):
    """The control of the test above."""
    picture = spoil(planes=planes)
    found = check_alone(picture if planes == 3 else picture[..., 0])
    assert (found.verdict, found.independent) == ("correlated", False)
    assert "Neighbouring pixels share noise" in found.reasons[0]
    assert "would keep part of it" in found.reasons[0]
    assert "at half the size" in found.advice[1]
    assert "--pairs" not in " ".join(found.advice)


def test_the_figure_is_the_correlation_that_was_made():
    """A mean of two neighbours to the right: 0.5 there, and nothing down."""
    rng = np.random.default_rng(0)
    grain = rng.normal(0.5, 0.1, (400, 401)).astype(np.float32)
    found = check_alone((grain[:, 1:] + grain[:, :-1]) / 2)
    right, down = (found.neighbours[way] for way in ("to the right", "down"))
    # the flattest blocks are chosen, and by chance those are a little less correlated
    assert right[0] == pytest.approx(0.5, abs=0.05)
    assert abs(down[0]) < 5 * down[1]
    assert right[1] < 0.02


def test_photons_are_told_with_their_constants_and_no_pairing_for_gaussian_noise():
    found = check_alone(photons()[..., 0])
    assert found.verdict == "independent"
    assert found.level.gain == pytest.approx(0.02, rel=0.15)
    assert "recorrupted" not in found.advice[1]
    assert "neighbor2neighbor" in found.advice[1]


LEVEL = Level(0.1, read=0.1)
NONE = {"to the right": (0.02, 0.01), "down": (0.0, 0.01)}


@pytest.mark.parametrize(
    ("level", "near", "verdict"),
    [
        (LEVEL, NONE, "independent"),
        (LEVEL, NONE | {"down": (0.3, 0.01)}, "correlated"),
        (LEVEL, NONE | {"down": (-0.3, 0.01)}, "correlated"),
        (LEVEL, NONE | {"down": (0.3, 0.1)}, "independent"),  # three standard errors are chance
        (LEVEL, NONE | {"down": (0.1, 0.01)}, "independent"),  # too little to matter
        (replace(LEVEL, white=False), NONE, "correlated"),
        (LEVEL, dict.fromkeys(NONE, (0.0, math.inf)), "cannot tell"),
        (Level(0.4 / 255, read=0.4 / 255), NONE, "no noise"),
    ],
)
def test_one_objection_is_enough(level, near, verdict):
    assert verdict_of(level, near, np.dtype(np.uint8)) == verdict


def test_it_agrees_with_what_training_on_one_picture_is_told():
    for picture in (white(), blurred()):
        said = alone([picture]) is not None
        assert said is (check_alone(picture[..., 0]).verdict == "correlated")


def test_too_little_and_nothing_are_said_to_be_so():
    small = white(side=40)[..., 0]
    found = check_alone(small)
    assert (found.verdict, found.independent) == ("cannot tell", None)
    assert found.as_json()["neighbours"]["down"]["error"] is None
    smooth = as_bytes(gaussian_filter(scene(), (4, 4, 0)))[..., 0]
    found = check_alone(np.where(np.arange(160) < 80, 60, smooth // 255 + 90).astype(np.uint8))
    assert found.verdict == "no noise"
    assert found.advice == ("There is nothing to take off.",)


def test_of_several_pictures_each_is_told_and_the_one_in_the_middle():
    several = [white(sigma, seed)[..., 0] for seed, sigma in enumerate((0.05, 0.04, 0.06))]
    several[1] = several[1][:, :100]
    found = check_alone(several)
    assert [name for name, _ in found.pictures] == ["picture 0", "picture 1", "picture 2"]
    for (_, level), sigma in zip(found.pictures, (0.05, 0.04, 0.06), strict=True):
        assert level.sigma == pytest.approx(sigma, rel=0.15)
    assert found.level == found.pictures[0][1]
    assert len(found.reasons) == 1
    unlike = check_alone([white(0.2)[..., 0], *several])
    assert "The pictures differ in their noise: sigma 1" in unlike.reasons[1]


def test_a_compressed_file_that_passes_is_told_to_be_one(tmp_path):
    file = io.BytesIO()
    Image.fromarray(as_bytes(white(0.1))[..., 0]).save(file, "JPEG", quality=97)
    (tmp_path / "a.jpg").write_bytes(file.getvalue())
    found = check_alone(tmp_path / "a.jpg")
    assert found.verdict == "independent"
    assert "a.jpg is a JPEG file" in found.reasons[1]
    Image.fromarray(as_bytes(white(0.1))[..., 0]).save(tmp_path / "a.png")
    assert len(check_alone(tmp_path / "a.png").reasons) == 1, "control"


# — the command —


def run(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def folder(tmp_path):
    for name, picture in (("red", white(seed=1)), ("green", white(seed=2))):
        Image.fromarray(as_bytes(picture)[..., 0]).save(tmp_path / f"{name}.png")
    return tmp_path


def test_one_picture_is_looked_at_by_itself(capsys, folder):
    code, out, err = run(capsys, "check", folder / "red.png")
    assert code == 0
    assert out.startswith("Independent. (1 picture)")
    assert "sigma 2" in out
    assert "to the right" in out
    assert "one shot each" in err


def test_a_folder_of_single_pictures_takes_a_word_and_the_refusal_names_it(capsys, folder):
    code, out, err = run(capsys, "check", folder, "--quiet")
    assert (code, out) == (2, "")
    assert "noisepair check --alone" in err
    code, out, _ = run(capsys, "check", folder, "--alone", "--quiet")
    assert code == 0
    assert out.startswith("Independent. (2 pictures)")
    assert "green.png: sigma" in out


def test_two_shots_are_a_pair_as_ever(capsys, folder):
    """The control: what names two shots is not looked at one by one."""
    both = folder / "red.png", folder / "green.png"
    code, out, _ = run(capsys, "check", *both, "--json", "--quiet")
    assert code == 0
    assert "shift_px" in json.loads(out)
    np.save(folder / "two.npy", np.stack([white(seed=1)[..., 0], white(seed=2)[..., 0]]))
    code, out, _ = run(capsys, "check", folder / "two.npy", "--json", "--quiet")
    assert "shift_px" in json.loads(out) if code == 0 else "independent" not in out
    assert run(capsys, "check", folder / "two.npy", "--alone", "--quiet")[0] == 0


def test_a_program_gets_one_object_whose_constants_denoise_takes(capsys, tmp_path):
    np.save(tmp_path / "a.npy", photons()[..., 0])
    code, out, _ = run(capsys, "check", tmp_path / "a.npy", "--json", "--quiet")
    assert code == 0
    found = json.loads(out)
    assert found.keys() >= {"verdict", "independent", "reasons", "advice", "noise", "neighbours"}
    assert found["independent"] is True
    assert found["pictures"][0]["name"] == "a.npy"
    (tmp_path / "check.json").write_text(out)
    known = Given.from_check(tmp_path / "check.json")
    assert (known.gain, known.read) == (found["noise"]["gain"], found["noise"]["read"])
    np.save(tmp_path / "b.npy", blurred()[..., 0])
    _, out, _ = run(capsys, "check", tmp_path / "b.npy", "--json", "--quiet")
    (tmp_path / "check.json").write_text(out)
    with pytest.raises(InputError, match="'correlated', and what it measured"):
        Given.from_check(tmp_path / "check.json")


def test_its_page_has_every_figure_and_fetches_nothing(capsys, folder):
    code, out, _ = run(capsys, "check", folder, "--alone", "--report", folder / "r", "--json")
    assert code == 0
    text = (folder / "r" / "report.html").read_text()
    assert json.loads(out)["report"] == str(folder / "r" / "report.html")
    assert "Its noise is independent from pixel to pixel" in text
    assert "green.png" in text
    assert "<script" not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["red.png", "green.png", "--alone"], "SOURCE2 that some are. Leave one of them out"),
        ([".", "--alone", "--frames"], "--frames that some are"),
        ([".", "--alone", "--pattern", "{scene}_{shot}.png"], "--pattern that some are"),
        (["none.png"], "There is nothing at none.png"),
        (["none", "--alone"], "There is nothing at none"),
        (["course.pkl", "--alone"], "or --alone"),
        (["broken.png"], "broken.png"),
        (["flat.png"], "is constant"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_in_a_sentence(
    capsys, folder, monkeypatch, words, said
):
    monkeypatch.chdir(folder)
    (folder / "course.pkl").write_bytes(b"")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    Image.new("L", (64, 64), 90).save(folder / "flat.png")
    code, out, err = run(capsys, "check", *words, "--quiet")
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
