"""A study is what its file says, and a file that says something else is refused in a sentence."""

import math

import pytest
from a_study import BASE, DATA, written

from noisepair.errors import InputError
from noisepair.study import Study


def read(tmp_path, scale=1.0, **lines):
    return Study.read(written(tmp_path, **lines), scale)


def names(study):
    return [setting.name for setting in study.settings()]


LR = {"lr": [0.1, 0.2]}
NAMED = {"size": {"small": {"network.channels": "2,2"}, "large": {"network.channels": [4, 4]}}}

REFUSED = [
    ({"question": None}, r"the line question is missing\. A study has a question, data\.train and"),
    ({"question": ""}, "question is not possible: "),
    ({"data": None}, r"the line data is missing\."),
    ({"data": {"train": "a"}}, r"the line data\.test is missing\."),
    ({"data": {"test": {"a": "b"}}}, r"the line data\.train is missing\."),
    ({"data": DATA | {"test": {}}}, r"data\.test needs a name"),
    ({"data": DATA | {"tset": "a"}}, r"there is no line data\.tset\. Lines are train, train2, fra"),
    ({"data": {"train": "a", "tset": {"a": "b"}}}, r"there is no line data\.tset\. Lines are"),
    ({"vary": {"loss": ["l2", "l2"]}}, r"The line loss varies over l2 twice"),
    ({"lr": 0.1}, r"there is no line lr\. Lines are question, .*; recipe lines stand under base\."),
    ({"design": "all"}, "design is not possible: .*'grid', 'one' or 'greedy'"),
    ({"seeds": 0}, "seeds is not possible: should be greater than or equal to 1"),
    ({"vary": {}}, r"Nothing varies under vary: .* Write, under vary: loss = \[\"l1\", \"l2\"\]"),
    ({"vary": None}, "Nothing varies under vary"),
    ({"vary": {"loss": []}}, "Nothing varies under loss"),
    ({"vary": {"loss": {}}}, "Nothing varies under loss"),
    ({"vary": {"network": {"slope": []}}}, r"Nothing varies under network\.slope"),
    ({"vary": {"loss": "l1"}}, r"The line loss has one value, 'l1'\. Give a list of values\."),
    ({"vary": {"lr": 0.1}}, r"The line lr has one value, 0\.1\."),
    ({"vary": {"lrr": [1]}}, r"Unknown recipe line 'lrr'\. .* Did you mean 'lr'\?"),
    ({"vary": {"a": {"b": {"lr": 1}, "c": 2}}}, "The factor a mixes tables and values"),
    ({"vary": {"lr": [0.1, -1]}}, r"study\.toml, -1: lr=-1 is not possible"),
    ({"vary": {"a": {"b": {"lrr": 1}}}}, r"study\.toml, b: Unknown recipe line 'lrr'"),
    ({"base": {"lrr": 1}}, r"study\.toml, baseline: Unknown recipe line 'lrr'"),
    ({"base": {"lr": 0}}, r"study\.toml, baseline: lr=0 is not possible"),
    ({"base": {"steps": 3, "epochs": 1}}, "both say how long a run is"),
    ({"base": BASE | {"seed": 3}}, "gives a seed, and a study runs seeds 0, 1"),
    ({"vary": {"seed": [1, 2]}}, "gives a seed"),
    ({"vary": {"a": {"b": {"seed": 1}}}}, "gives a seed"),
    ({"reported": {"l22": 20.0}}, r"Unknown setting under reported of .* 'l22'\. .*Did you mean"),
    ({"orders": ["l1 > l3"]}, r"Unknown setting under orders of .* 'l3'"),
    ({"orders": ["l1 < l2"]}, r"'l1 < l2' is none\. Write: better setting > worse setting"),
    ({"design": "greedy", "reported": {"l3": 1.0}}, "Unknown setting under reported"),
    ({"vary": {"a": {"x": {"lr": 1}}, "b": {"x": {"lr": 2}}}, "design": "one"},
     r"two settings are called 'x'\. Rename a level\."),
    ({"vary": {"a": {"baseline": {"lr": 1}}}, "design": "one"}, "two settings are called"),
    ({"design": "greedy", "vary": {"a": {"x": {"lr": 1}, "x, y": {"lr": 2}},
      "b": {"y": {"lr": 3}}}}, "two settings are called 'x, y'"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "said"), REFUSED)
def test_what_is_no_study_is_refused_in_a_sentence(tmp_path, lines, said):
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path, **lines)
    text = str(caught.value)
    assert "\n" not in text
    assert "study.toml" in text or "order" in said or "is none" in text, "which file it was"
    assert list(tmp_path.iterdir()) == [tmp_path / "study.toml"]


def test_a_study_that_is_none_of_those_is_taken(tmp_path):
    """Control."""
    assert read(tmp_path, orders=["l1 > l2"], reported={"l2": 25.0, "l1": [25.0, 0.1]})


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"Cannot read the study .*: No such file .* TOML file\."):
        Study.read(tmp_path / "nothing.toml")
    with pytest.raises(InputError, match=r"Cannot read the study .*: Is a directory"):
        Study.read(tmp_path)
    for content in (b"question = ", b"\xff\xfe", b"a b"):
        (tmp_path / "a.toml").write_bytes(content)
        with pytest.raises(InputError, match=r"The study .*a\.toml is not TOML: "):
            Study.read(tmp_path / "a.toml")


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_length_that_is_none_is_refused(tmp_path, scale):
    with pytest.raises(InputError, match="times as long cannot be"):
        read(tmp_path, scale)


# — designs —

TWO = {"loss": ["l2", "l1"], "lr": [0.1, 0.2, 0.3]}


def test_a_grid_is_every_combination_in_the_order_written(tmp_path):
    study = read(tmp_path, vary=TWO)
    assert names(study) == [
        "l2, 0.1", "l2, 0.2", "l2, 0.3", "l1, 0.1", "l1, 0.2", "l1, 0.3"
    ]  # fmt: skip
    fourth = study.settings()[3]
    assert fourth.levels == {"loss": "l1", "lr": "0.1"}
    assert fourth.lines == {"loss": "l1", "lr": 0.1}
    recipe = study.recipe(fourth, seed=5)
    assert (recipe.loss, recipe.lr, recipe.seed, recipe.crop) == ("l1", 0.1, 5, 16)


def test_one_change_at_a_time_begins_with_the_base(tmp_path):
    study = read(tmp_path, vary=TWO, design="one")
    assert names(study) == ["baseline", "l2", "l1", "0.1", "0.2", "0.3"]
    assert [study.recipe(s).lr for s in study.settings()] == [0.02, 0.02, 0.02, 0.1, 0.2, 0.3]
    assert [study.recipe(s).loss for s in study.settings()] == ["l2", "l2", "l1", "l2", "l2", "l2"]


def walked(study, scores):
    """The lists of names that a plan gives, where settings score so."""
    plan, lists = study.plan(), []
    settings = next(plan)
    while True:
        lists.append([setting.name for setting in settings])
        try:
            settings = plan.send({n: scores[n] for n in lists[-1] if n in scores})
        except StopIteration:
            return lists


def test_greedy_keeps_the_best_of_each_factor(tmp_path):
    study = read(tmp_path, vary=TWO | {"batch": [2, 3]}, design="greedy")
    scores = {"l2": 20.0, "l1": 21.0, "l1, 0.1": 22.0, "l1, 0.2": 25.0, "l1, 0.3": 24.0}
    assert walked(study, scores) == [
        ["l2", "l1"],
        ["l1, 0.1", "l1, 0.2", "l1, 0.3"],
        ["l1, 0.2, 2", "l1, 0.2, 3"],
    ]


def test_greedy_passes_over_what_has_no_score(tmp_path):
    """All runs of a level diverged: it is not sent. Where none has a score, the first is kept."""
    study = read(tmp_path, vary=TWO, design="greedy")
    assert walked(study, {"l1": -3.0})[1][0] == "l1, 0.1"
    assert walked(study, {})[1][0] == "l2, 0.1"
    assert walked(study, {"l2": 20.0, "l1": 20.0})[1][0] == "l2, 0.1", "of equals the first"


def test_a_grid_and_single_changes_are_one_list(tmp_path):
    for design in ("grid", "one"):
        study = read(tmp_path, design=design)
        assert walked(study, {}) == [names(study)]


def test_levels_by_name_hold_lines_of_any_kind(tmp_path):
    study = read(tmp_path, vary=NAMED)
    assert names(study) == ["small", "large"]
    assert [study.recipe(s).network.channels for s in study.settings()] == [(2, 2), (4, 4)]


def test_settings_of_a_part_vary_by_their_dotted_name(tmp_path):
    study = read(tmp_path, vary={"network": {"slope": [0.0, 0.5], "channels": [[2], [3, 3]]}})
    assert list(study.factors) == ["network.slope", "network.channels"]
    assert names(study) == ["0.0, 2", "0.0, 3,3", "0.5, 2", "0.5, 3,3"]
    recipe = study.recipe(study.settings()[3])
    assert (recipe.network.slope, recipe.network.channels) == (0.5, (3, 3))
    assert recipe.network.head == (4, 4), "the rest is the base's"


def test_another_kind_of_part_leaves_the_bases_settings_behind(tmp_path):
    base = BASE | {"optimizer": {"kind": "sgd", "momentum": 0.5}}
    study = read(tmp_path, base=base, vary={"optimizer": ["adagrad", "sgd"]})
    adagrad, sgd = (study.recipe(setting).optimizer for setting in study.settings())
    assert adagrad.kind == "adagrad"
    assert sgd.momentum == 0.9, "named, it is the kind with its own defaults"


def test_another_length_takes_the_place_of_the_bases(tmp_path):
    study = read(tmp_path, vary={"epochs": [1, 2]})
    assert [study.recipe(s).epochs for s in study.settings()] == [1, 2]
    assert [study.recipe(s).steps for s in study.settings()] == [None, None]


@pytest.mark.parametrize(
    ("length", "scale", "expected"),
    [
        ({"steps": 10}, 0.25, {"steps": 2}),
        ({"steps": 10}, 0.01, {"steps": 1}),
        ({"steps": 10}, 3.0, {"steps": 30}),
        ({"epochs": 5}, 0.1, {"epochs": 0.5}),
        ({"budget": "10m"}, 0.5, {"budget": 300.0}),
        ({}, 0.5, {"budget": 300.0}),
    ],
)
def test_all_runs_are_scaled_alike(tmp_path, length, scale, expected):
    base = {name: value for name, value in BASE.items() if name != "steps"} | length
    study = read(tmp_path, scale, base=base)
    for setting in study.settings():
        recipe = study.recipe(setting)
        found = {n: getattr(recipe, n) for n in ("steps", "epochs", "budget")}
        assert {n: v for n, v in found.items() if v is not None} == expected


# — lines put over others, worked out by hand —


@pytest.mark.parametrize(
    ("lines", "more", "expected"),
    [
        ({"lr": 1}, {"lr": 2}, {"lr": 2}),
        ({"lr": 1}, {"loss": "l1"}, {"lr": 1, "loss": "l1"}),
        ({"network": "unet", "network.slope": 0}, {"network": "dncnn"}, {"network": "dncnn"}),
        ({"network.slope": 0}, {"network.norm": "batch"},
         {"network.slope": 0, "network.norm": "batch"}),
        ({"network.slope": 0}, {"network": "unet", "network.norm": "batch"},
         {"network": "unet", "network.norm": "batch"}),
        ({"networks.slope": 0}, {"network": "unet"}, {"networks.slope": 0, "network": "unet"}),
        ({"steps": 5, "lr": 1}, {"budget": 3}, {"budget": 3, "lr": 1}),
        ({"steps": 5}, {"steps": 6}, {"steps": 6}),
        ({"steps": 5}, {}, {"steps": 5}),
    ],
)  # fmt: skip
def test_lines_replace_what_they_are_put_over(lines, more, expected):
    from noisepair.study._file import merged

    before = dict(lines)
    assert merged(lines, more) == expected
    assert lines == before
