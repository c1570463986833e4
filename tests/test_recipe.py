"""A recipe says one thing in four ways — Python, lines, a file, a command — and nothing else."""

import contextlib
import inspect
import re
from dataclasses import FrozenInstanceError, fields, replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisepair.app import training
from noisepair.app.cli import main
from noisepair.errors import InputError
from noisepair.models import NETWORKS, NOISE2NOISE, PRESETS, DnCNN, DRUNet, Strided, UNet
from noisepair.noise import (
    NOISES,
    Either,
    Gaussian,
    PointSampling,
    Poisson,
    PoissonGaussian,
    Sequence,
)  # fmt: skip
from noisepair.optim import INITS, OPTIMIZERS, SGD, Adam, AdamW, Kaiming, Sparse, Xavier
from noisepair.recipe import BUDGET, LENGTHS, LINES, PARTS, Recipe, duration, plain, seconds

widths = st.integers(1, 4096)
unit = st.floats(0, 1, exclude_max=True)
above = st.floats(1e-6, 1)
share = st.floats(1e-3, 0.999)
times = st.floats(1e-6, 1e9)
few = st.lists(widths, min_size=2, max_size=8).map(tuple)

# What each setting of a part may hold; `test_every_line_is_drawn` asks for those that are missing.
SETTINGS = {
    "network": {
        "channels": few,
        "head": st.lists(widths, min_size=1, max_size=4).map(tuple),
        "form": st.sampled_from(["noise2noise", "classic"]),
        "convs": st.sampled_from([1, 2]),
        "skips": st.booleans(),
        "pool": st.sampled_from(["max", "average"]),
        "up": st.sampled_from(["nearest", "transposed"]),
        "norm": st.sampled_from([None, "batch"]),
        "dropout": unit,
        "slope": st.floats(0, 1),
        "output": st.sampled_from(["linear", "leaky", "sigmoid"]),
        "residual": st.booleans(),
        "unshuffle": st.sampled_from([1, 2, 4]),
        "blocks": st.none(),  # as many as channels: `build` sees to it
        "depth": st.integers(3, 1000),
        "width": widths,
        "sigma": st.none() | st.floats(0, 1),
        "design": st.sampled_from(["shallow", "unet-16", "autoencoder-10"]),
        "white": st.floats(1e-3, 65535),
    },
    "init": {
        "uniform": st.booleans(),
        "std": st.floats(1e-6, 10),
        "value": st.floats(-10, 10),
        "sparsity": unit,
        "gain": st.floats(1e-3, 100),
    },
    "optimizer": {
        "beta1": unit,
        "beta2": unit,
        "weight_decay": st.floats(0, 1),
        "momentum": unit,
        "nesterov": st.booleans(),
        "alpha": unit,
        "rho": unit,
    },
    "noise": {
        "sigma": above,
        "peak": st.floats(1e-3, 1e6),
        "gain": st.floats(1e-6, 1),
        "read": above,
        "p": share,
        "cell": st.integers(2, 256),
        "coverage": st.floats(1e-3, 0.499),
    },
}
ranges = st.tuples(st.floats(0, 1), above).map(sorted).map(tuple).filter(lambda r: r[1] > 0)


def parts(part, kinds):
    """Settings of one of the kinds, some of them standard, and only such as go together."""

    def build(kind, settings):
        if settings.get("output", "linear") != "linear":
            settings["residual"] = False
        if kind is Strided and "channels" in settings:
            settings["channels"] = (settings["channels"] * 3)[:3]
        if kind is DRUNet:
            count = len(settings.setdefault("channels", DRUNet().channels))
            settings["blocks"] = tuple(range(count))
        if kind is SGD and settings.get("momentum") == 0:
            settings["nesterov"] = False
        return kind(**settings)

    def drawn(kind):
        names = [field.name for field in fields(kind) if field.name != "kind"]
        known = {name: SETTINGS[part][name] for name in names}
        if kind is Gaussian:
            known["sigma"] = above | ranges
        if kind is PoissonGaussian:
            known["read"] = above | ranges
        return st.fixed_dictionaries({}, optional=known).map(partial(build, kind))

    return st.one_of([drawn(kind) for kind in kinds])


single = parts("noise", [kind for kind in NOISES.values() if kind not in (Sequence, Either)])
several = st.lists(single, min_size=2, max_size=4).map(tuple)
same_size = several.filter(lambda noises: all(noise.shrinks == 1 for noise in noises))
noises = single | several.map(Sequence) | same_size.map(Either)
measures = st.lists(
    st.sampled_from(["l2", "rmse", "l1", "l0", "bce", "ssim", "ms_ssim"]), unique=True
)
weights = st.just(1.0) | st.floats(1e-9, 1e9)
losses = measures.filter(len).flatmap(
    lambda names: st.tuples(*(weights for _ in names)).map(
        lambda each: " + ".join(f"{w!r}*{name}" for w, name in zip(each, names, strict=True))
    )
)
common = {
    "network": parts("network", NETWORKS.values()),
    "init": parts("init", INITS.values()),
    "loss": losses,
    "optimizer": parts("optimizer", OPTIMIZERS.values()),
    "lr": st.floats(1e-9, 10),
    "schedule": st.sampled_from(["constant", "cosine", "rampdown", "warmup"]),
    "ema": unit,
    "batch": st.none() | st.integers(1, 65536),
    "crop": st.none() | st.integers(1, 8192),
    "validations": st.integers(1, 10_000),
    "augment": st.lists(st.sampled_from(["exchange", "pixels", "flips", "turns"]), unique=True).map(
        tuple
    ),
    "blur": st.floats(0, 10),
    "extra_noise": st.floats(0, 1),
    "input_noise": st.floats(0, 1),
    "input_share": st.floats(0.01, 1),
    "clip": st.floats(0, 1e9),
    "holdout": unit,
    "seed": st.integers(0, 2**32 - 1),
    "pairs": st.sampled_from(
        ["shots", "neighbor2neighbor", "noise2void", "zero-shot", "recorrupted"]
    ),
}
lengths = (
    st.just({})
    | st.fixed_dictionaries({"steps": st.integers(1, 10**12)})
    | st.fixed_dictionaries({"budget": times})
    | st.fixed_dictionaries({"epochs": times})
)
computed = st.fixed_dictionaries(
    {}, optional={"precision": st.sampled_from(["auto", "float32", "bfloat16"])}
) | st.fixed_dictionaries(
    {"engine": st.just("plain")}, optional={"precision": st.sampled_from(["auto", "float32"])}
)
made = {"noise": noises, "target": st.sampled_from(["shot", "others", "clean"])}
spoilt = (
    st.just({})
    | st.just({"target": "others"})
    | st.fixed_dictionaries(made, optional={"shots": st.integers(2, 64)})
    | st.fixed_dictionaries(
        {"noise": noises.filter(lambda noise: noise.shrinks == 1), "fresh_noise": st.just(True)},
        optional={"target": st.sampled_from(["shot", "clean"])},
    )
)


# What `Recipe` is called with; it is called in the test, since its checks of types draw at random.
def page_of(*each):
    """All lines together, but for what mixes shots where the target is none, or speaks of two."""
    page = {name: value for one in each for name, value in one.items()}
    if page.get("pairs", "shots") != "shots":
        for name in (
            "target",
            "shots",
            "fresh_noise",
            "blur",
            "extra_noise",
            "input_noise",
            "loss",
        ):
            page.pop(name, None)
        page["augment"] = tuple(a for a in page.get("augment", ()) if a != "pixels")
    if page.get("target", "shot") != "shot":
        page.pop("blur", None)
        page["augment"] = tuple(a for a in page.get("augment", ()) if a != "pixels")
    return page


pages = st.builds(
    page_of,
    st.fixed_dictionaries({}, optional=common),
    lengths,
    computed,
    spoilt,
)


def test_every_line_is_drawn():
    drawn = {*common, *LENGTHS, *made, "shots", "fresh_noise", "engine", "precision", "version"}
    drawn |= {f"{part}.{name}" for part, known in SETTINGS.items() for name in known}
    assert drawn | {"noise.steps", "noise.noises"} == set(LINES)


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


@given(pages)
def test_nested_lines_bring_a_recipe_back(page):
    recipe = Recipe(**page)
    assert Recipe.of(recipe.lines()) == recipe


@given(pages)
def test_the_text_of_a_command_line_brings_a_recipe_back(page):
    recipe = Recipe(**page)
    assert Recipe.of(dict(flat(recipe))) == recipe
    assert Recipe.read(None, dict(flat(recipe))) == recipe


@given(pages)
def test_a_file_brings_a_recipe_back(tmp_path_factory, page):
    recipe = Recipe(**page)
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(recipe.toml(), encoding="utf-8")
    assert Recipe.read(path) == recipe
    assert hash(Recipe.read(path)) == hash(recipe)


@given(pages)
def test_a_recipe_can_be_read_aloud_and_nothing_is_left_out(page):
    recipe = Recipe(**page)
    said = recipe.sentence()
    names = dict(flat(recipe))
    assert all(f"{name} " in said for name in names)
    assert "\n" not in said


@given(pages)
def test_a_recipe_says_its_loss_in_one_way(page):
    recipe = Recipe(**page)
    assert Recipe(loss=recipe.loss).loss == recipe.loss
    assert not re.search(r"(^| )1\*", recipe.loss), "a weight of 1 is not written"
    assert Recipe.of({"loss": recipe.loss.replace(" ", "")}).loss == recipe.loss


@given(pages, pages)
def test_only_equal_recipes_have_equal_files(one, two):
    one, two = Recipe(**one), Recipe(**two)
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
    assert Recipe.of({"init.uniform": "true"}).init == Kaiming(uniform=True)
    assert Recipe.of({"init": "xavier", "init.uniform": "false"}).init == Xavier(uniform=False)
    assert Recipe.of({"augment": "pixels,turns"}).augment == ("pixels", "turns")
    assert Recipe.of({"network.head": "8"}).network.head == (8,)
    assert Recipe.of({"network.norm": "none"}).network.norm is None
    assert Recipe.of({"epochs": "1/2"}).epochs == 0.5
    assert Recipe.of({"extra-noise": "5/255", "blur": "1"}) == Recipe(extra_noise=5 / 255, blur=1)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("l2", "l2"),
        ("1*l2", "l2"),
        (" .8 * l1+.20*ssim ", "0.8*l1 + 0.2*ssim"),
        ("1e3*l1 + l2", "1000*l1 + l2"),
        ("1e-3*bce", "0.001*bce"),
    ],
)
def test_a_loss_is_kept_in_one_form_however_it_is_written(text, meant):
    assert Recipe.of({"loss": text}).loss == meant == Recipe(loss=text).loss
    assert Recipe(loss=text) == Recipe(loss=meant)


@pytest.mark.parametrize("text", ["0,50/255", "0:50/255", "[0, 50/255]", " 0 : 50/255 "])
def test_a_noise_between_two_strengths_has_these_forms(text):
    recipe = Recipe.of({"noise": "gaussian", "noise.sigma": text})
    assert recipe.noise == Gaussian((0.0, 50 / 255))
    assert recipe.lines()["noise"]["sigma"] == [0.0, 50 / 255]


@pytest.mark.parametrize(
    "text",
    [
        "poisson peak=20,gaussian sigma=0:25/255",
        "poisson peak=20 , gaussian sigma = 0 : 25/255",
        "[poisson peak=20, gaussian sigma=0:25/255]",
        ["poisson peak=20", "gaussian sigma=0:25/255"],
        [{"kind": "poisson", "peak": 20}, {"kind": "gaussian", "sigma": [0, 25 / 255]}],
    ],
)
def test_noises_one_after_another_have_these_forms(text):
    recipe = Recipe.of({"noise": "sequence", "noise.steps": text})
    assert recipe.noise == Sequence((Poisson(20), Gaussian((0, 25 / 255))))
    assert recipe.lines()["noise"]["steps"] == [
        "poisson peak=20.0",
        f"gaussian sigma=0.0:{25 / 255}",
    ]


# — networks with a name —


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_network_may_be_given_by_its_name(name, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(f'network = "{name}"\n', encoding="utf-8")
    nested = {"network": {"kind": name}}
    found = [Recipe.of({"network": name}), Recipe.of(nested), Recipe.read(path)]
    assert {recipe.network for recipe in found} == {PRESETS[name]}
    written = found[0].lines()["network"]["kind"]
    assert written in NETWORKS, "what is written does not depend on what names mean"
    assert Recipe.of(found[0].lines()) == found[0]


def test_a_named_network_may_be_changed_in_some_settings():
    recipe = Recipe.of({"network": "noise2noise", "network.slope": "0", "network.norm": "batch"})
    assert recipe.network == replace(NOISE2NOISE, slope=0, norm="batch")
    plainer = Recipe.of({"network": "small-unet", "network.channels": "4,8"})
    assert plainer.network == replace(PRESETS["small-unet"], channels=(4, 8))
    assert NOISE2NOISE.slope == 0.1, "the name means what it meant"


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
    assert (Recipe().budget, Recipe().steps, Recipe().epochs) == (BUDGET, None, None)
    assert BUDGET == 600
    assert (Recipe(epochs=2).budget, Recipe(epochs=2).epochs) == (None, 2)
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


def test_a_named_network_takes_the_place_of_settings_and_is_replaced_by_them(read):
    kept = "lr = 0.01\n[network]\nchannels = [8, 8]\nskips = false\n"
    assert read(kept, network="noise2noise").network == NOISE2NOISE
    assert read(kept, network="noise2noise").lr == 0.01
    assert read(kept, network="unet").network == UNet(channels=(8, 8), skips=False)
    assert read(kept, network="dncnn", network__depth="5").network == DnCNN(depth=5)
    named = 'lr = 0.01\nnetwork = "noise2noise"\n'
    assert read(named, network__slope="0").network == replace(NOISE2NOISE, slope=0)
    assert read(named, network="unet").network == UNet()
    assert read(named, network="small-unet").network == PRESETS["small-unet"]
    both = '[network]\nkind = "noise2noise"\nslope = 0\n'
    assert read(both).network == replace(NOISE2NOISE, slope=0)
    assert read(both, network="noise2noise").network == replace(NOISE2NOISE, slope=0)
    assert read(both, network="autoencoder").network == PRESETS["autoencoder"]


def test_what_a_run_wrote_of_a_named_network_can_be_exchanged_for_another(read):
    written = Recipe.of({"network": "small-unet", "steps": 5}).toml()
    assert read(written).network == PRESETS["small-unet"]
    assert read(written, network="noise2noise") == Recipe(network=NOISE2NOISE, steps=5)


def test_another_init_and_another_noise_bring_their_own_settings(read):
    text = '[init]\nkind = "sparse"\nstd = 0.5\n[noise]\nkind = "point"\ncell = 4\n'
    assert (read(text).init, read(text).noise) == (Sparse(std=0.5), PointSampling(4))
    assert read(text, init="kaiming").init == Kaiming()
    assert read(text, init__sparsity="0.5").init == Sparse(std=0.5, sparsity=0.5)
    steps = "poisson,gaussian"
    found = read(text, noise="sequence", noise__steps=steps).noise
    assert found == Sequence((Poisson(), Gaussian()))
    assert read(text, noise__cell="16").noise == PointSampling(16)


def test_one_length_takes_the_place_of_another(read):
    for text, known in {
        "steps = 7": "steps",
        "epochs = 7": "epochs",
        "budget = 7": "budget",
    }.items():
        for name in LENGTHS:
            found = read(f"{text}\n", **{name: "9"})
            assert found == Recipe(**{name: 9}), (known, name)
            assert Recipe(**{known: 7}).resolved(**{name: 9}) == Recipe(**{name: 9})
    assert read("epochs = 100\n", epochs="none") == Recipe()
    assert Recipe(epochs=3).resolved(seed=1) == Recipe(epochs=3, seed=1)
    assert Recipe().resolved(steps=5, crop=32) == Recipe(steps=5, crop=32)
    assert Recipe(steps=5).resolved(epochs=None, crop=32) == Recipe(steps=5, crop=32)


def test_steps_and_budget_take_each_others_place(read):
    assert read("steps = 100\n", budget="10s") == Recipe(budget=10.0)
    assert read('budget = "10s"\n', steps="100") == Recipe(steps=100)
    assert read("steps = 100\n", steps="200") == Recipe(steps=200)
    assert read("steps = 100\n", steps="none") == Recipe()
    assert read("steps = 100\n", lr="0.1") == Recipe(steps=100, lr=0.1)


# — refusals —


JARGON = r"\b(Input|Tuple|validation|discriminator|instance|dictionary|unable|boolean|None|True)\b"


def reads_well(said):
    """A sentence or more, without doubled marks or words of the validator."""
    doubled = re.search(r"[.,:;?!] ?[.,:;?!](?!\d)|  |\n|: it it|Meaning: \w+(, \w+)*: \w+:", said)
    return said.endswith((".", "?")) and not doubled and not re.search(JARGON, said)


def test_what_reads_badly_would_be_found():
    assert reads_well("lr=0 is not possible: it should be greater than 0. Meaning: learning rate.")
    for said in (
        "It is wrong..", "It is wrong.?", "Give lr", "Input should be 5.", "Wrong,  very.",
        "It should have 1 item after validation, not 0.", "lr=None is wrong.", "Give a: b:: c.",
    ):  # fmt: skip
        assert not reads_well(said), said


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"lrr": 1}, r"Unknown recipe line 'lrr'\. Available: .* Did you mean 'lr'\?"),
        ({"network.chanels": 1}, r"Did you mean 'network\.channels'\?"),
        ({"network": {"deep": 3}}, r"Unknown recipe line 'network\.deep'"),
        (
            {"optimizer": "adma"},
            r"Unknown optimizer 'adma'\. Available: adadelta, .*, sgd\. Did you mean 'adam'",
        ),
        ({"network": "none"}, r"Unknown network 'none'\. Available: .*, unet, unet-16\."),
        ({"network": "noise2nois"}, r"Unknown network .* Did you mean 'noise2noise'\?"),
        ({"network": {"kind": "Unet"}}, r"Unknown network 'Unet'\. .* Did you mean 'unet'\?"),
        ({"init": "he"}, r"Unknown init 'he'\. Available: constant, kaiming, normal, orth"),
        ({"noise": "gauss"}, r"Unknown noise 'gauss'\. .* Did you mean 'gaussian'\?"),
        ({"loss": "l11"}, r"Unknown loss 'l11'\. Available: bce, .* Did you mean 'l1'\?"),
        ({"loss": "l1 + 2*"}, r"Unknown loss ''\. Available: bce"),
        ({"loss": "l1+l1"}, r"The loss 'l1\+l1' names l1 twice\. Give it one weight\."),
        ({"loss": "-1*l1"}, r"The weight '-1' of l1 is not a number above zero\. Write it as"),
        ({"loss": ""}, r"The loss is empty\. Give one of bce, l0, l1"),
        ({"loss": "l1,l2"}, r"loss=\['l1', 'l2'\] is not possible: it should be text\."),
        ({"loss": 2}, r"loss=2 is not possible: it should be text\."),
        ({"loss": "none"}, r"loss=none is not possible: it should be text\."),
        ({"target": "others", "blur": 1}, r"^blur mixes or blurs two noisy shots, and target=oth"),
        ({"target": "others", "augment": "pixels"}, r"^pixels in augment mixes .* Leave pixels in"),
        ({"target": "mean"}, r"target='mean' .* should be 'shot', 'others' or 'clean'\. Meaning"),
        ({"target": "clean"}, r"^target=clean is for clean pictures with made noise\. Give noise"),
        ({"shots": 3}, r"^shots=\d+ is for clean .* Give noise, or leave shots out\.$"),
        ({"noise": "gaussian", "shots": 1}, r"shots=1 is not .*: it should be greater than or eq"),
        ({"noise": "gaussian", "shots": 65}, r"shots=65 is not .*: it should be less than or eq"),
        ({"ema": 1}, r"ema=1 is not possible: it should be less than 1\. Meaning: memory of"),
        ({"blur": -1}, r"blur=-1 is not possible: it should be greater than or equal to 0"),
        ({"extra_noise": 25}, r"extra_noise=25 is not possible: .* in picture units"),
        ({"validations": 0}, r"validations=0 is not possible: it should be greater than or equal"),
        ({"epochs": 0}, r"epochs=0 is not possible: it should be greater than 0\. Meaning: length"),
        ({"epochs": "inf"}, r"epochs=inf is not possible: it should be a finite number"),
        ({"engine": "jax"}, r"engine='jax' is not possible: it should be 'torch', 'plain' or 's"),
        (
            {"engine": "plain", "precision": "bfloat16"},
            r"^engine=plain computes in float32\. Leave precision out\.$",
        ),
        ({"network.form": "v"}, r"network\.form='v' .* should be 'classic' or 'noise2noise'\."),
        ({"network.convs": 3}, r"network\.convs=3 is not possible: it should be 1 or 2\."),
        ({"network.skips": "maybe"}, r"network\.skips='maybe' .* should be true or false\. Meani"),
        ({"network.norm": "group"}, r"network\.norm='group' .* Meaning: none, or batch: shift"),
        ({"network.dropout": 1}, r"network\.dropout=1 is not possible: it should be less than 1"),
        ({"network.output": "sigmoid"}, r"^network\.output=sigmoid bounds a picture, and .*linear"),
        ({"network": "noise2noise", "network.depth": 3}, r"network\.depth does not go with this"),
        ({"network": "dncnn", "network.norm": "x"}, r"Meaning: after all convolutions but the fi"),
        ({"init.std": 1}, r"^init\.std does not go with this init: it has no setting 'std'\. Lea"),
        ({"init": "normal", "init.std": 0}, r"init\.std=0 is not possible: it should be greater"),
        ({"init.uniform": 7}, r"init\.uniform=7 is not possible: it should be true or false\."),
        (
            {"optimizer": "sgd", "optimizer.momentum": 0},
            r"^nesterov=true looks ahead along the momentum, and momentum is 0\. Give",
        ),
        ({"schedule": "linear"}, r"should be 'constant', 'cosine', 'rampdown' or 'warmup'\. Me"),
        ({"lr": -1.0}, r"lr=-1\.0 is not possible: it should be greater than 0\. Meaning: learn"),
        ({"lr": "fast"}, r"lr='fast' is not possible: it should be a valid number\. Meaning: lea"),
        ({"lr": "none"}, r"^lr=none is not possible: it should be a valid number\. Meaning"),
        ({"lr": "nan"}, r"lr=nan is not possible"),
        ({"lr": {"x": 1}}, r"lr=\{'x': 1\} is not possible"),
        ({"steps": 0}, r"steps=0 is not possible: it should be greater than or equal to 1"),
        (
            {"steps": 1.5},
            r"steps=1\.5 is not possible: it should be a valid integer\. Meaning: leng",
        ),
        ({"budget": "banana"}, r"budget='banana' is not possible: it should be a time such as"),
        ({"budget": "1.2.3h"}, r"budget='1\.2\.3h' is not possible: it should be a time such as"),
        ({"budget": "0s"}, r"budget=.0s. is not possible: it should be greater than 0"),
        ({"budget": "-5"}, r"budget=-5 is not possible: it should be greater than 0"),
        ({"budget": "inf"}, r"budget=inf is not possible: it should be a finite number"),
        ({"steps": 5, "budget": "10m"}, r"steps=5 and budget=10m both say how long a run is\. Gi"),
        ({"steps": 1234567, "epochs": 0.1}, r"^steps=1234567 and epochs=0\.1 both say how long a"),
        ({"epochs": 2.5, "budget": 90}, r"^budget=1m30s and epochs=2\.5 both say how long a run"),
        (
            {"steps": 5, "epochs": 2, "budget": "10m"},
            r"^steps=5, budget=10m and epochs=2\.0 all say how long a run is\. Give one of them\.$",
        ),
        ({"batch": 0}, r"batch=0 is not possible"),
        ({"crop": 0}, r"crop=0 is not possible"),
        ({"holdout": 1.0}, r"holdout=1\.0 is not possible: it should be less than 1"),
        ({"seed": -1}, r"seed=-1 is not possible"),
        ({"seed": 2**32}, r"seed=4294967296 is not possible: it should be less than 4294967296"),
        ({"precision": "half"}, r"should be 'auto', 'float32' or 'bfloat16'"),
        ({"augment": "zoom"}, r"augment='zoom' is not possible: it should be 'exchange', 'pixels"),
        ({"augment": "flips,none"}, r"augment=none is not possible: it should be 'exchange', 'pi"),
        ({"network.channels": "16,0"}, r"network\.channels=0 is not possible"),
        (
            {"network.channels": "none"},
            r"network\.channels=\[\] is not possible: it should have at least 1 of",
        ),
        (
            {"network.head": "none"},
            r"network\.head=\[\] .* should have at least 1 of them, and has 0\.",
        ),
        (
            {"network.head": "4,4,4,4,4"},
            r"it should have at most 4 of them, and has 5\. Meaning: ch",
        ),
        ({"noise.sigma": 25}, r"noise\.sigma=25 is not possible: .* write 25/255"),
        (
            {"noise.sigma": "0.2:0.1"},
            r"noise\.sigma=\[0\.2, 0\.1\] .* two such numbers, the lowest fi",
        ),
        ({"noise.sigma": "0:1:2"}, r"noise\.sigma='0:1:2' is not possible: it should be above 0 a"),
        (
            {"noise": "speckle", "noise.sigma": "0:0.2"},
            r"should be a valid number\. Meaning: standard deviation as a share of the pixel's",
        ),
        ({"noise": "point", "noise.cell": 1}, r"noise\.cell=1 is not possible: it should be grea"),
        ({"noise.steps": "point,text"}, r"noise\.steps does not go with this noise: it has no"),
        (
            {"noise": "sequence", "noise.steps": "text"},
            r"at least 2 of them, and has 1\. Meaning: n",
        ),
        (
            {"noise": "sequence", "noise.steps": "text,gauss"},
            r"steps='gauss' .* should begin with o",
        ),
        ({"noise": "sequence", "noise.steps": "text,5"}, r"noise\.steps=5 .* it should be text\."),
        (
            {"noise": "sequence", "noise.steps": "text,poisson pek=3"},
            r"steps='poisson pek=3' is not possible: it should give, each once, settings of pois",
        ),
        (
            {"noise": "sequence", "noise.steps": "poisson peak=-1,text"},
            r"^noise\.steps: poisson peak=-1\.0 is not possible: it should be greater than 0\. Mea",
        ),
        (
            {"noise": "sequence", "noise.steps": "text,gaussian sigma=2"},
            r"^noise\.steps: gaussian sigma=2\.0 is not possible: it should be above 0 and at most",
        ),
        ({"fresh_noise": "true"}, r"^fresh_noise is for clean .* or leave fresh_noise out\.$"),
        ({"noise": "gaussian", "fresh_noise": "x"}, r"fresh_noise='x' .* should be true or false"),
        (
            {"noise": "point", "fresh_noise": "true"},
            r"^fresh_noise draws noise on crops, and point noise makes pictures 8 times smaller\.",
        ),
        (
            {"noise": "gaussian", "fresh_noise": "true", "target": "others"},
            r"^fresh_noise makes two shots a step\. Leave target=others out\.$",
        ),
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
    assert reads_well(str(refused.value))


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


@given(
    st.dictionaries(
        st.sampled_from(sorted(LINES)),
        st.none()
        | st.booleans()
        | st.integers(-3, 10)
        | st.floats(-2, 2)
        | st.sampled_from(sorted({*NOISES, *INITS, *NETWORKS, *OPTIMIZERS, *PRESETS}))
        | st.sampled_from(["none", "true", "0:0.1", "1,2", "text,point", "l1+l2", "classic", "[]"])
        | st.lists(st.integers(-1, 5), max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "sigma", "x"]), st.integers(0, 3), max_size=2),
        max_size=4,
    )
)
def test_any_value_in_any_line_is_a_recipe_or_a_sentence_that_reads_well(lines):
    said = "A recipe."
    try:
        assert isinstance(Recipe.of(lines), Recipe)
    except InputError as refused:
        said = str(refused)
    assert reads_well(re.sub(r"'[^']*'|\{.*?\}|\[.*?\]", "x", said)), said


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
        assert not meaning.endswith("."), name
        if "." not in name:
            changed = {"budget": {"steps": "none"}}.get(name, {})
            assert Recipe.of({name: default, **changed}) == Recipe(), name


SETTINGS_OF = [
    (part, kind, field.name, getattr(owner(), field.name))
    for part, kinds in PARTS.items()
    for kind, owner in kinds.items()
    for field in fields(owner)
    if field.name != "kind"
]


@pytest.mark.parametrize(("part", "kind", "setting", "standard"), SETTINGS_OF)
def test_every_setting_names_its_kinds_and_the_default_of_each(part, kind, setting, standard):
    meaning, default = LINES[f"{part}.{setting}"]
    own_words = " ".join(PARTS[part][kind].__pydantic_fields__[setting].description.split())
    named = re.findall(rf"(?:^|\. )([\w, ]+): {re.escape(own_words)}(?:\. |$)", meaning)
    assert kind in ", ".join(named).split(", "), "a kind stands before its own words"
    own = re.search(rf"(?:^|, ){kind} ([^ ]+?)(?=, \w+ |$)", default)
    typed = own[1] if own else default
    assert getattr(Recipe.of({part: kind, f"{part}.{setting}": typed}), part) == PARTS[part][kind]()
    assert getattr(PARTS[part][kind](), setting) == standard


def test_the_network_line_names_kinds_and_presets():
    meaning, _ = LINES["network"]
    assert {*NETWORKS, *PRESETS} <= set(re.findall(r"[\w-]+", meaning))


# — the command —


def options():
    """The options of `noisepair train` for recipe lines: dashed name to help."""
    known = inspect.signature(training.train).parameters.values()
    each = [
        one.annotation.__metadata__[0]
        for one in known
        if "Recipe(" not in str(one.annotation) and getattr(one.annotation, "__metadata__", None)
    ]
    return {one.name[0]: one.help for one in each if one.group and one.name}


def test_the_command_has_an_option_for_every_line_with_kinds_meaning_and_default():
    found = options()
    for name, (meaning, default) in LINES.items():
        if name != "version":  # --version is the program's
            assert found[f"--{name.replace('_', '-')}"] == f"{meaning} [default: {default}]"
    assert len(found) == len(LINES) - 1


def test_the_help_page_shows_every_option_and_its_kinds(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "900")
    assert main(["train", "--help"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    for name, (meaning, _) in LINES.items():
        if name != "version":
            assert f"--{name.replace('_', '-')}" in page
            assert " ".join(meaning.split())[:60] in page, name


def recipe_of(monkeypatch, *words):
    """The recipe that a command comes to."""
    seen = []

    def stop(*_, recipe, **__):
        seen.append(recipe)
        raise InputError("seen")

    monkeypatch.setattr(training, "train_model", stop)
    assert main(["train", "shots", "--out", "model", *words]) == 2
    return seen[0] if seen else None


def test_the_command_reads_what_a_file_reads(monkeypatch):
    words = """--network small-unet --network.slope 0.2 --network.skips false --noise sequence
        --noise.steps poisson,gaussian --shots 3 --target shot --loss 0.8*l1+0.2*l2
        --init xavier --init.uniform false --epochs 1/2 --augment pixels,flips --engine plain
        --ema 0.9 --extra-noise 5/255 --validations 3 --blur 1"""
    assert recipe_of(monkeypatch, *words.split()) == Recipe(
        network=replace(PRESETS["small-unet"], slope=0.2, skips=False),
        noise=Sequence((Poisson(), Gaussian())),
        shots=3, target="shot", loss="0.8*l1 + 0.2*l2", init=Xavier(uniform=False), epochs=0.5,
        augment=("pixels", "flips"), engine="plain", ema=0.9, extra_noise=5 / 255, validations=3,
        blur=1,
    )  # fmt: skip


def test_the_command_takes_a_range_of_noise(monkeypatch):
    for text in ("0:50/255", "0,50/255"):
        found = recipe_of(monkeypatch, "--noise", "gaussian", "--noise.sigma", text)
        assert found == Recipe(noise=Gaussian((0.0, 50 / 255)))
