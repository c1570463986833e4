"""A recipe says one thing in four ways — Python, lines, a file, a command — and nothing else."""

import contextlib
from dataclasses import FrozenInstanceError, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisepair.errors import InputError
from noisepair.models import UNet
from noisepair.noise import Gaussian, Poisson
from noisepair.optim import Adam, AdamW
from noisepair.recipe import BUDGET, LINES, Recipe, duration, plain, seconds

widths = st.integers(1, 4096)
unit = st.floats(0, 1, exclude_max=True)
times = st.floats(1e-6, 1e9)
networks = st.builds(
    UNet,
    channels=st.lists(widths, min_size=1, max_size=8).map(tuple),
    head=st.tuples(widths, widths),
    residual=st.booleans(),
)
optimizers = st.builds(Adam, beta1=unit, beta2=unit) | st.builds(
    AdamW, weight_decay=st.floats(0, 1), beta1=unit, beta2=unit
)
noises = st.builds(Gaussian, sigma=st.floats(1e-6, 1)) | st.builds(
    Poisson, peak=st.floats(1e-3, 1e6)
)
common = {
    "network": networks,
    "optimizer": optimizers,
    "lr": st.floats(1e-9, 10),
    "schedule": st.sampled_from(["constant", "cosine"]),
    "batch": st.none() | st.integers(1, 65536),
    "crop": st.none() | st.integers(1, 8192),
    "augment": st.lists(st.sampled_from(["exchange", "flips", "turns"]), unique=True).map(tuple),
    "holdout": unit,
    "precision": st.sampled_from(["auto", "float32", "bfloat16"]),
    "seed": st.integers(0, 2**32 - 1),
}
lengths = st.fixed_dictionaries({"steps": st.integers(1, 10**12)}) | st.fixed_dictionaries(
    {"budget": times}
)
spoilt = st.just({}) | st.fixed_dictionaries({"noise": noises, "fresh_noise": st.booleans()})
recipes = st.builds(
    lambda one, two, three: Recipe(**one, **two, **three),
    st.fixed_dictionaries({}, optional=common),
    lengths,
    spoilt,
)


def flat(recipe):
    """Dotted lines in the text forms of a command line, each written by hand."""

    def text(value):
        return ",".join(map(str, value)) or "none" if isinstance(value, list) else str(value)

    for name, value in recipe.lines().items():
        if isinstance(value, dict):
            inner = dict(value)
            yield name, inner.pop("kind")
            yield from ((f"{name}.{key}", text(setting)) for key, setting in inner.items())
        else:
            yield name, text(value)


# — round trips —


@given(recipes)
def test_nested_lines_bring_a_recipe_back(recipe):
    assert Recipe.of(recipe.lines()) == recipe


@given(recipes)
def test_the_text_of_a_command_line_brings_a_recipe_back(recipe):
    assert Recipe.of(dict(flat(recipe))) == recipe
    assert Recipe.read(None, dict(flat(recipe))) == recipe


@given(recipes)
def test_a_file_brings_a_recipe_back(tmp_path_factory, recipe):
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(recipe.toml(), encoding="utf-8")
    assert Recipe.read(path) == recipe
    assert hash(Recipe.read(path)) == hash(recipe)


@given(recipes, recipes)
def test_only_equal_recipes_have_equal_files(one, two):
    assert (one == two) == (one.toml() == two.toml())


@given(times | st.integers(1, 10**6).map(float))
def test_a_time_is_read_back_to_the_last_digit(value):
    assert seconds(duration(value)) == value


# — the text forms —


def test_the_forms_of_numbers_lists_and_nothing():
    assert Recipe.of({"noise": "gaussian", "noise.sigma": "25/255"}).noise == Gaussian(25 / 255)
    assert Recipe.of({"network.channels": "16,32,48"}).network.channels == (16, 32, 48)
    assert Recipe.of({"network.channels": "[16, 32]"}).network.channels == (16, 32)
    assert Recipe.of({"network.channels": "16"}).network.channels == (16,)
    assert Recipe.of({"network.channels": "[16]"}).network.channels == (16,)
    assert Recipe.of({"network.residual": "true"}).network.residual is True
    assert Recipe.of({"augment": "flips,turns"}).augment == ("flips", "turns")
    assert Recipe.of({"augment": "flips"}).augment == ("flips",)
    assert Recipe.of({"augment": "none"}).augment == ()
    assert Recipe.of({"augment": "[]"}).augment == ()
    assert Recipe.of({"crop": "none"}).crop is None
    assert Recipe.of({"noise": "none"}).noise is None
    assert Recipe.of({"lr": "3e-4"}).lr == 3e-4


@pytest.mark.parametrize(
    ("text", "meant"),
    [("90", 90.0), ("90s", 90.0), ("10m", 600.0), ("1h30m", 5400.0), ("1h5s", 3605.0),
     ("0.5h", 1800.0), (" 2m ", 120.0), (45, 45.0), (7.5, 7.5)],
)  # fmt: skip
def test_the_forms_of_times(text, meant):
    assert Recipe.of({"budget": text}).budget == meant


@pytest.mark.parametrize("text", ["1.2.3", "1.2.3/4", "1/0", "./.", "a,b", "", "-", "e"])
def test_text_that_is_no_number_stays_what_it_is(text):
    assert plain(text) in (text, text.split(","))
    with pytest.raises(InputError, match=r"lr=.* is not possible: it should be a valid number"):
        Recipe.of({"lr": text})


def test_dashes_stand_for_underlines_as_commands_write_them():
    wanted = Recipe.of({"fresh-noise": "true", "noise": "poisson"})
    assert wanted == Recipe(fresh_noise=True, noise=Poisson())


def test_the_default_length_is_ten_minutes():
    assert Recipe() == Recipe.of({}) == Recipe.of({"budget": "10m"})
    assert (Recipe().budget, Recipe().steps) == (BUDGET, None) == (600.0, None)
    assert (Recipe(steps=5).budget, Recipe(steps=5).steps) == (None, 5)


# — file and lines —


@pytest.fixture
def read(tmp_path):
    def read(text, **lines):
        path = tmp_path / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        return Recipe.read(path, {name.replace("__", "."): v for name, v in lines.items()})

    return read


def test_lines_come_before_the_file_and_leave_the_rest_of_it(read):
    found = read("lr = 0.01\nbatch = 4\n[network]\nchannels = [8, 8]\nresidual = true\n", batch="7")
    assert (found.lr, found.batch) == (0.01, 7)
    assert found.network == UNet(channels=(8, 8), residual=True)
    found = read("[network]\nchannels = [8, 8]\nresidual = true\n", network__channels="4")
    assert found.network == UNet(channels=(4,), residual=True)


ADAMW = 'lr = 0.01\n[optimizer]\nkind = "adamw"\nweight_decay = 0.5\nbeta1 = 0.3\n'


def test_another_kind_of_part_brings_its_own_settings(read):
    assert read(ADAMW).optimizer == AdamW(weight_decay=0.5, beta1=0.3)
    assert read(ADAMW, optimizer="adam") == Recipe(lr=0.01, optimizer=Adam())
    assert read(ADAMW, optimizer="adam", optimizer__beta1="0.2").optimizer == Adam(beta1=0.2)


def test_the_same_kind_of_part_keeps_its_settings(read):
    assert read(ADAMW, optimizer="adamw").optimizer == AdamW(weight_decay=0.5, beta1=0.3)
    assert read("[optimizer]\nbeta1 = 0.3\n", optimizer="adam").optimizer == Adam(beta1=0.3)
    assert read("[noise]\nsigma = 0.3\n", noise="gaussian").noise == Gaussian(0.3)


def test_noise_can_be_exchanged_and_taken_away(read):
    text = '[noise]\nkind = "gaussian"\nsigma = 0.3\n'
    assert read(text, noise="poisson").noise == Poisson()
    assert read(text, noise="none").noise is None


def test_steps_and_budget_take_each_others_place(read):
    assert read("steps = 100\n", budget="10s") == Recipe(budget=10.0)
    assert read('budget = "10s"\n', steps="100") == Recipe(steps=100)
    assert read("steps = 100\n", steps="200") == Recipe(steps=200)
    assert read("steps = 100\n", steps="none") == Recipe()
    assert read("steps = 100\n", lr="0.1") == Recipe(steps=100, lr=0.1)


# — refusals —


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"lrr": 1}, r"Unknown recipe line 'lrr'\. Available: .* Did you mean 'lr'\?"),
        ({"network.chanels": 1}, r"Did you mean 'network\.channels'\?"),
        ({"network": {"depth": 3}}, r"Unknown recipe line 'network\.depth'"),
        ({"optimizer": "adma"}, r"Unknown optimizer 'adma'\. Available: adam, adamw\. Did you"),
        ({"network": "none"}, r"Unknown network 'none'\. Available: unet\."),
        ({"noise": "gauss"}, r"Unknown noise 'gauss'\. .* Did you mean 'gaussian'\?"),
        ({"loss": "l1"}, r"loss='l1' is not possible: it should be 'l2'"),
        ({"schedule": "linear"}, r"should be 'constant' or 'cosine'\. Meaning: how the learning"),
        ({"lr": -1.0}, r"lr=-1\.0 is not possible: it should be greater than 0\. Meaning: learn"),
        ({"lr": "fast"}, r"lr='fast' is not possible: it should be a valid number"),
        ({"lr": "nan"}, r"lr=nan is not possible"),
        ({"lr": {"x": 1}}, r"lr=\{'x': 1\} is not possible"),
        ({"steps": 0}, r"steps=0 is not possible: it should be greater than or equal to 1"),
        ({"steps": 1.5}, r"steps=1\.5 is not possible: it should be a valid integer"),
        ({"budget": "banana"}, r"budget='banana' is not possible: it should be a time such as"),
        ({"budget": "1.2.3h"}, r"budget='1\.2\.3h' is not possible: it should be a time such as"),
        ({"budget": "0s"}, r"budget=.0s. is not possible: it should be greater than 0"),
        ({"budget": "-5"}, r"budget=-5 is not possible: it should be greater than 0"),
        ({"budget": "inf"}, r"budget=inf is not possible: it should be a finite number"),
        ({"steps": 5, "budget": "10m"}, r"steps=5 and budget=10m both say how long a run is\. Gi"),
        ({"batch": 0}, r"batch=0 is not possible"),
        ({"crop": 0}, r"crop=0 is not possible"),
        ({"holdout": 1.0}, r"holdout=1\.0 is not possible: it should be less than 1"),
        ({"seed": -1}, r"seed=-1 is not possible"),
        ({"seed": 2**32}, r"seed=4294967296 is not possible: it should be less than 4294967296"),
        ({"precision": "half"}, r"should be 'auto', 'float32' or 'bfloat16'"),
        ({"augment": "zoom"}, r"augment='zoom' is not possible: it should be 'exchange', 'flips'"),
        ({"network.channels": "16,0"}, r"network\.channels=0 is not possible"),
        ({"network.channels": "none"}, r"network\.channels=\[\] is not possible: it should have a"),
        ({"network.head": "64"}, r"network\.head=\[64\] is not possible: it should hold one more"),
        ({"network.head": "4,4,4"}, r"network\.head=\[4, 4, 4\] is not possible: it should have"),
        ({"noise.sigma": 25}, r"noise\.sigma=25 is not possible: .* write 25/255"),
        ({"fresh_noise": "true"}, r"fresh_noise needs a noise to draw\. Give noise"),
        ({"optimizer.weight_decay": 0.1}, r"optimizer\.weight_decay does not go with this optimi"),
        ({"noise": "poisson", "noise.sigma": 0.1}, r"noise\.sigma does not go with this noise: i"),
        ({"noise": "none", "noise.sigma": 0.1}, r"noise\.sigma is given and noise is none"),
        ({"version": 2}, r"This recipe has version 2; .* reads versions up to 1\. Upgrade noisep"),
        ({"version": "2"}, r"This recipe has version 2"),
        ({"version": 2, "wavelets": 5}, r"This recipe has version 2"),
    ],
)
def test_what_is_impossible_is_refused_in_a_sentence(lines, said):
    with pytest.raises(InputError, match=said) as refused:
        Recipe.of(lines)
    assert "Input should" not in str(refused.value)
    assert "it Tuple" not in str(refused.value)


def test_files_that_are_no_recipe_are_refused(tmp_path, read):
    with pytest.raises(InputError, match=r"Cannot read the recipe .*none\.toml: No such file"):
        Recipe.read(tmp_path / "none.toml")
    with pytest.raises(InputError, match=r"Cannot read the recipe .*: Is a directory"):
        Recipe.read(tmp_path)
    with pytest.raises(InputError, match=r"recipe\.toml is not TOML: .* A line reads: lr = 0\.001"):
        read("lr: 0.001\n")
    (tmp_path / "picture.toml").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    with pytest.raises(InputError, match=r"picture\.toml is not TOML"):
        Recipe.read(tmp_path / "picture.toml")


@given(st.dictionaries(st.sampled_from(sorted(LINES)), st.text(max_size=12), max_size=3))
def test_any_text_in_any_line_is_a_recipe_or_a_sentence(lines):
    with contextlib.suppress(InputError):
        assert isinstance(Recipe.of(lines), Recipe)


# — values —


def test_recipes_are_values():
    assert len({Recipe(), Recipe(), Recipe(seed=1)}) == 2
    with pytest.raises(FrozenInstanceError):
        Recipe().lr = 0.1
    assert Recipe().resolved(crop=32) == Recipe(crop=32)
    assert Recipe().crop is None


def test_every_line_has_a_meaning_and_a_default_that_can_be_typed():
    assert {field.name for field in fields(Recipe)} <= set(LINES)
    for name, (meaning, default) in LINES.items():
        assert meaning, name
        if name.startswith(("noise.peak", "optimizer.weight_decay")):
            continue  # of a part that is not the default
        changed = {"budget": {"steps": "none"}}.get(name, {})
        found = Recipe.of({name: default, **changed})
        assert found.resolved(noise=None) == Recipe(), name
