"""One noisy picture, or a few: found, learnt from, begun with a model; and what is not known."""

import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from noisepair import checkpoint
from noisepair.app.cli import main
from noisepair.check import alone
from noisepair.errors import InputError
from noisepair.learners import learner_for
from noisepair.metrics import psnr
from noisepair.models import DnCNN, UNet
from noisepair.noise import Gaussian
from noisepair.optim import SGD, Adam
from noisepair.recipe import Recipe
from noisepair.sources import open_source
from noisepair.train import FINE, train

NAMES = ("neighbor2neighbor", "noise2void", "zero-shot", "recorrupted")
SIGMA = 0.15
TINY = {
    "network": UNet(channels=(8, 8), head=(8,)), "batch": 2, "crop": 32, "lr": 0.01,
    "precision": "float32", "steps": 6,
}  # fmt: skip


def recipe(pairs="neighbor2neighbor", **lines):
    return Recipe(**TINY | {"pairs": pairs} | lines)


def clean(side=64, seed=0):
    """Soft waves, (side, side)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = (
        rng.normal(0, 0.15) * np.sin(2 * np.pi * (u * y + v * x + rng.random()))
        for u, v in rng.integers(1, 4, (4, 2)).tolist()
    )
    return 0.5 + sum(waves)


def noisy(side=64, seed=0, sigma=SIGMA):
    noise = np.random.default_rng([seed, 1]).normal(0, sigma, (side, side))
    return (clean(side, seed) + noise).astype(np.float32)


def as_bytes(picture):
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


# — sources —


def test_a_picture_a_folder_a_stack_and_arrays_are_one_shot_a_scene(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("x_1.png", "x_2.png", "y.png"):  # names that would pair, were they two shots
        Image.fromarray(as_bytes(noisy())).save(tmp_path / "folder" / name)
    np.save(tmp_path / "stack.npy", np.stack([noisy(seed=n) for n in range(4)]))
    several = [noisy(seed=n) for n in range(2)]
    for source, names in (
        (tmp_path / "folder" / "y.png", ["y.png"]),
        (tmp_path / "folder", ["x_1.png", "x_2.png", "y.png"]),
        (tmp_path / "stack.npy", [f"stack.npy page {n}" for n in (1, 2, 3, 4)]),
        (noisy(), ["picture"]),
        (several, ["picture 0", "picture 1"]),
        ({"mine": noisy()}, ["mine"]),
    ):
        found = open_source(source, single=True)
        assert [scene.name for scene in found.scenes] == names
        assert all(len(scene.shots) == 1 for scene in found.scenes)
        assert ", one shot each, 64×64, grey, " in found.lines()[0]
    assert open_source(tmp_path / "stack.npy", single=True).ordered, "pages are neighbours"


def test_the_pages_of_a_tiff_are_pictures(tmp_path):
    pages = [Image.fromarray(as_bytes(noisy(seed=n))) for n in range(3)]
    pages[0].save(tmp_path / "s.tif", save_all=True, append_images=pages[1:])
    found = open_source(tmp_path / "s.tif", single=True)
    assert len(found.scenes) == 3
    assert np.array_equal(found.scenes[2].shots[0][0, ..., 0], as_bytes(noisy(seed=2)))
    with pytest.raises(InputError, match="holds 3 pages"):
        open_source(tmp_path / "s.tif")  # control: two shots are looked for


def test_of_a_clean_picture_one_frozen_shot_is_made():
    picture = clean().astype(np.float32)
    one, again = (
        open_source(picture, noise=Gaussian(sigma=SIGMA), single=True).scenes[0] for _ in "ab"
    )
    assert len(one.shots) == 1
    assert one.clean is None
    assert np.array_equal(one.shots[0], again.shots[0]), "frozen"
    noise = one.shots[0][0, ..., 0] - picture
    assert float(noise.std()) == pytest.approx(SIGMA, abs=5 * SIGMA / (2 * noise.size) ** 0.5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"source2": np.zeros((8, 8))}, "a second source says that there are two shots"),
        ({"frames": True}, "--frames says that there are two shots"),
        ({"pattern": "{scene}_{shot}.png"}, "--pattern says that there are two shots"),
    ],
)
def test_what_names_a_second_shot_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        open_source(noisy(), **given, single=True)


def test_nothing_there_and_the_courses_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="There is nothing at"):
        open_source(tmp_path / "none.png", single=True)
    (tmp_path / "train_data.pkl").write_bytes(b"")
    with pytest.raises(InputError, match=r"two shots of each scene.* Leave pairs out"):
        open_source(tmp_path / "train_data.pkl", single=True)
    with pytest.raises(InputError, match="is constant"):
        open_source(np.ones((16, 16), np.float32), single=True)


def test_an_open_source_must_fit_the_pairing():
    two = open_source([noisy(seed=0), clean().astype(np.float32)])
    with pytest.raises(InputError, match="takes one shot of a scene, and this source has 2"):
        train(two, recipe=recipe())
    one = open_source(noisy(), single=True)
    with pytest.raises(InputError, match="has one shot of each scene, and Noise2Noise needs two"):
        train(one, recipe=recipe("shots"))


# — lines of the recipe —


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"target": "others"}, r"target=others speaks of two\. Leave target out"),
        ({"noise": "gaussian", "fresh_noise": True}, r"fresh_noise speaks of two"),
        ({"noise": "gaussian", "shots": 3}, r"shots=3 speaks of two"),
        ({"augment": "pixels"}, r"pixels in augment speaks of two"),
        ({"blur": 1}, r"blur speaks of two"),
        ({"extra_noise": 0.1}, r"extra_noise speaks of two"),
        ({"input_noise": 0.1}, r"input_noise speaks of two"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_lines_that_speak_of_two_shots_are_refused(name, lines, said):
    with pytest.raises(InputError, match=said):
        Recipe.of({"pairs": name} | lines)
    if "fresh_noise" not in lines:
        Recipe.of(lines)  # control: of two shots they may


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("zero-shot", {"engine": "scratch"}, "engine=scratch learns from two shots"),
        ("noise2void", {"loss": "0.5*l1 + 0.5*ssim"}, "ssim compares windows"),
        ("recorrupted", {"loss": "l1"}, "l1 does not learn the mean"),
    ],
)
def test_what_a_pairing_cannot_do_is_refused(name, lines, said):
    with pytest.raises(InputError, match=said):
        Recipe.of({"pairs": name} | lines)
    other = "neighbor2neighbor" if name != "zero-shot" else "recorrupted"
    Recipe.of({"pairs": other} | lines)  # control


def test_a_pairing_has_usual_lines_that_any_other_takes_the_place_of():
    open_lines = Recipe.of({"pairs": "recorrupted"})
    assert (open_lines.lr, open_lines.optimizer) == (0.002, Adam(beta2=0.999))
    given = Recipe.of({"pairs": "recorrupted", "lr": 0.1, "optimizer": "sgd"})
    assert (given.lr, given.optimizer) == (0.1, SGD())
    assert Recipe.of({}) == Recipe(), "control: two shots have those of the recipe"
    assert Recipe.of(Recipe(pairs="recorrupted").lines()) == Recipe(pairs="recorrupted")


# — training —


@pytest.mark.parametrize("name", NAMES)
def test_from_one_picture_alone_noise_is_removed(name):
    """The truth, which it never saw, tells so; and after a step, the control, not yet."""
    gains = []
    for steps in (80, 1):
        denoiser = train(noisy(), recipe=recipe(name, steps=steps, crop=64, lr=0.02))
        gains.append(psnr(denoiser(noisy()), clean(), 1.0) - psnr(noisy(), clean(), 1.0))
    assert gains[0] > 0.7 > gains[1]


def test_gradients_by_hand_learn_from_one_picture_too():
    losses = {}
    for engine in ("plain", "scratch"):
        kept = []
        train(
            noisy(), recipe=recipe("recorrupted", engine=engine, steps=5, optimizer=SGD()),
            watch=lambda progress, kept=kept: kept.append(progress.loss),
        )  # fmt: skip
        losses[engine] = kept
    assert losses["scratch"] == pytest.approx(losses["plain"], rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_stops_goes_on_as_if_it_had_not(tmp_path, name):
    for folder, stops in (("whole", None), ("parts", 3)):
        train(
            noisy(), out=tmp_path / folder, recipe=recipe(name),
            watch=lambda progress, stops=stops: progress.step == stops,
        )  # fmt: skip
    train(noisy(), out=tmp_path / "parts", resume=True)
    one, two = (
        checkpoint.load_tensors(tmp_path / folder / checkpoint.WEIGHTS)[0]
        for folder in ("whole", "parts")
    )
    assert all((one[key] == two[key]).all() for key in one)


def test_one_picture_is_not_held_out_and_no_gain_is_told(tmp_path):
    told = []
    denoiser = train(noisy(), out=tmp_path / "m", recipe=recipe(), tell=told.append)
    assert any("one picture cannot be spared. The last weights are kept" in line for line in told)
    came = denoiser.card.provenance["result"]
    assert came["held_out_l2"] is came["gain_db"] is came["noise_variance"] is None
    assert came["best_step"] == came["steps"] == 6
    assert denoiser.example is not None


def test_of_several_pictures_neighbouring_pixels_of_one_rank_the_weights(tmp_path):
    told = []
    several = [noisy(seed=n) for n in range(3)]
    lines = recipe(steps=40, validations=4)
    denoiser = train(several, out=tmp_path / "m", recipe=lines, tell=told.append)
    assert any("1 scene is held out" in line and "no gain can be told" in line for line in told)
    came = denoiser.card.provenance["result"]
    history = checkpoint.read_history(tmp_path / "m")
    assert came["held_out_l2"] == min(line["held_out"] for line in history)
    assert history[-1]["held_out"] < history[0]["held_out"]
    assert all(line["gain_db"] is line["psnr_db"] is None for line in history)


def test_the_command_says_what_it_did_and_what_it_does_not_know(tmp_path, capsys):
    Image.fromarray(as_bytes(noisy())).save(tmp_path / "one.png")
    lines = ["--network.channels", "8,8", "--network.head", "8", "--crop", "32", "--steps", "3"]
    asked = ["train", str(tmp_path / "one.png"), "--pairs", "zero-shot"]
    assert main([*asked, "--out", str(tmp_path / "m"), *lines]) == 0
    assert "No gain is estimated: from one shot of a scene" in capsys.readouterr().out
    again = ["--from", str(tmp_path / "m"), "--out", str(tmp_path / "n"), "--steps", "3"]
    assert main([*asked, *again]) == 0
    assert "Beginning with the weights of m." in capsys.readouterr().err
    assert main([*asked, "--frames", "--out", str(tmp_path / "o")]) == 2
    assert "Leave --pairs out" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["torch", "plain", "scratch"])
def test_of_one_shot_a_network_begins_with_predicting_no_noise(engine):
    seen = torch.from_numpy(noisy())[None, None]
    for name, same in (("recorrupted", True), ("shots", False)):
        learner = learner_for(recipe(name, engine=engine), 1, torch.device("cpu"))
        assert torch.equal(learner.denoise(seen), seen) is same


# — begun with a model —


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "begun"
    train(noisy(), out=folder, recipe=recipe("zero-shot", steps=60))
    return folder


def test_a_run_begins_with_the_weights_the_network_and_the_scale_of_a_model(model, tmp_path):
    dim = 0.1 * noisy(seed=3)  # alone it would be given a scale of its own
    lines = Recipe(pairs="neighbor2neighbor", steps=1, lr=1e-9, crop=32)
    denoiser = train(dim, out=tmp_path / "m", recipe=lines, begin=model)
    card, first = denoiser.card, checkpoint.read_card(model)
    assert card.recipe.network == first.recipe.network != Recipe().network
    assert card.scale == first.scale
    assert train(dim, recipe=lines).card.scale != first.scale, "control"
    one, two = (
        checkpoint.load_tensors(folder / checkpoint.WEIGHTS)[0]
        for folder in (model, tmp_path / "m")
    )
    assert all(abs(one[key] - two[key]).max() < 1e-7 for key in one)
    known = card.provenance["begun_with"]
    assert known == {"name": "begun", "checksum": checkpoint.checksum(one, "")}


def test_a_rate_that_is_left_open_is_a_gentle_one(model):
    for given, expected in ((Recipe().lr, FINE), (0.02, 0.02)):
        lines = Recipe(pairs="zero-shot", steps=1, lr=given, crop=32)
        assert train(noisy(), recipe=lines, begin=model).card.recipe.lr == expected
        assert train(noisy(), recipe=lines).card.recipe.lr == given, "control: drawn weights"


def test_two_shots_may_begin_with_a_model_too(model):
    lines = recipe("shots", steps=2)
    denoiser = train(
        [noisy(seed=0), noisy(seed=0) + 0.01 * noisy(seed=1)], recipe=lines, begin=model
    )
    assert denoiser.card.provenance["begun_with"]["name"] == "begun"


def test_another_network_and_other_planes_are_refused(model, tmp_path):
    asked = recipe(network=DnCNN(depth=3, width=4))
    with pytest.raises(InputError, match=r"Leave network out, or leave --from out"):
        train(noisy(), out=tmp_path / "m", recipe=asked, begin=model)
    colour = np.repeat(noisy()[..., None], 3, -1)
    with pytest.raises(InputError, match="pictures of 1 planes, and these have 3"):
        train(colour, out=tmp_path / "m", recipe=recipe(), begin=model)
    with pytest.raises(InputError, match="is not a model"):
        train(noisy(), out=tmp_path / "m", recipe=recipe(), begin=tmp_path / "none")
    assert not (tmp_path / "m").exists()


def test_a_run_that_began_with_a_model_is_resumed_with_it_or_without_a_word(model, tmp_path):
    lines = recipe("zero-shot", steps=6)
    train(noisy(), out=tmp_path / "whole", recipe=lines, begin=model)
    for again, given in itertools.product("ab", ({"begin": model}, {})):
        folder = tmp_path / f"parts {again} {len(given)}"
        stop = 3 if again == "a" else 1
        train(
            noisy(), out=folder, recipe=lines, begin=model,
            watch=lambda progress, stop=stop: progress.step == stop,
        )  # fmt: skip
        train(noisy(), out=folder, resume=True, **given)
        one, two = (
            checkpoint.load_tensors(f / checkpoint.WEIGHTS)[0] for f in (tmp_path / "whole", folder)
        )
        assert all((one[key] == two[key]).all() for key in one)
    with pytest.raises(
        InputError, match=r"began with begun, and --from names other weights: whole"
    ):
        train(noisy(), out=folder, resume=True, begin=tmp_path / "whole")
    (folder / checkpoint.STATE).unlink()
    with pytest.raises(InputError, match=r"it began with begun\. Give that model again"):
        train(noisy(), out=folder, resume=True)


# — is its noise independent from pixel to pixel? —


def photograph(data, seed):
    files = sorted((data / "benchmark" / "Kodak24").glob("*.png"))
    return np.asarray(Image.open(files[seed % len(files)]), np.float32) / 255


def jpeg(picture, quality):
    page = io.BytesIO()
    Image.fromarray(as_bytes(picture)).save(page, "JPEG", quality=quality)
    return np.asarray(Image.open(page))


@pytest.mark.parametrize("sigma", [10, 25, 50])
def test_white_noise_on_photographs_is_not_called_correlated(data, sigma):
    for n in range(0, 24, 3):
        whole = photograph(data, n)
        spoilt = whole + np.random.default_rng(n).normal(0, sigma / 255, whole.shape)
        spoilt = spoilt.astype(np.float32)
        assert alone([spoilt]) is None
        assert alone([spoilt[122:378, 122:378]]) is None


@pytest.mark.parametrize("sigma", [10, 25, 50])
def test_blurred_and_compressed_noise_is(data, sigma):
    """The control of the test above: half a pixel of blur, and JPEG of quality 95."""
    for n in range(0, 24, 6):
        whole, rng = photograph(data, n), np.random.default_rng(n)
        noise = gaussian_filter(rng.normal(0, 1, whole.shape), (0.5, 0.5, 0))
        noise *= sigma / 255 / noise.std()
        found = alone([(whole + noise).astype(np.float32)])
        assert found is not None
        assert "correlated from pixel to pixel (0.2" in found
        white = whole + rng.normal(0, sigma / 255, whole.shape)
        assert alone([jpeg(white, 95)]) is not None


def test_what_is_found_is_the_correlation_that_was_made():
    """A mean of two horizontal neighbours: 0.5 to the right, and nothing down."""
    white = np.random.default_rng(0).normal(0.5, 0.1, (400, 401, 1))
    both = (white[:, 1:] + white[:, :-1]) / 2
    found = alone([both.astype(np.float32)])
    assert found is not None
    value = float(found.partition("(")[2].partition(" ")[0])
    assert value == pytest.approx(0.5, abs=0.05)
    assert "to the right)" in found
    assert "down)" in alone([both.astype(np.float32).swapaxes(0, 1)])
    assert alone([white.astype(np.float32)]) is None
    assert alone([both[:20, :20].astype(np.float32)]) is None, "too little to tell"


def test_training_on_correlated_noise_says_so_in_a_line():
    rng, told = np.random.default_rng(0), []
    for noise in (rng.normal(0, 0.1, (96, 96)), gaussian_filter(rng.normal(0, 0.5, (96, 96)), 1)):
        told.append([])
        train((0.5 + noise).astype(np.float32), recipe=recipe(steps=1), tell=told[-1].append)
    found = ["correlated from pixel to pixel" in " ".join(lines) for lines in told]
    assert found == [False, True]
