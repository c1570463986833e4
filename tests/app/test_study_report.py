"""A study's tables, against numbers worked out by hand; its page and figures, for what they say."""

import csv
import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisepair.app import sheets, study_figures, study_report, study_tables, study_words
from noisepair.app.sheets import LATEX, Seconds, Sheet, Spread, escaped, said
from noisepair.study import LOSSES, Outcome, Study

MACHINE = {"device": "cpu", "name": "CPU", "cores": 2, "threads": 1, "torch": "2", "python": "3",
           "system": "Linux"}  # fmt: skip
HEAD = """
question = "Which?"
source = "a paper, Table 1: on a GPU"
{page}
[data]
train = "train.pkl"
test = {{ val = "val.pkl" }}
[base]
steps = 4
{vary}
"""


def study(folder, vary='[vary]\nloss = ["l2", "l1"]', page=""):
    path = folder / "which.toml"
    path.write_text(HEAD.format(page=page, vary=vary), encoding="utf-8")
    return Study.read(path)


def run(seed, psnr, folder="nowhere", **more):
    """A finished run of this PSNR, pooled 1 dB lower; the noisy pictures have 20 dB."""
    psnr = float(psnr)
    noisy = {"per_image": 20.0, "pooled": 19.0}
    scores = {"per_image": psnr, "pooled": psnr - 1, "noisy": noisy, "each": [psnr - 1, psnr + 1]}
    return {"status": "done", "scores": {"val": scores}, "seed": seed, "steps": 4, "seconds": 12.0,
            "folder": str(folder), "machine": MACHINE, "noisepair": "0", "commit": "abc",
            "finished": "2026-01-02T03:04:05+00:00"} | more  # fmt: skip


def diverged(seed):
    return {"status": "diverged", "reason": "It diverged.", "scores": {}, "seed": seed, "steps": 2,
            "folder": "nowhere"}  # fmt: skip


def outcome(asked, **values):
    """Values by setting (… for a blank in its name): a list of PSNRs, None for a diverged run."""
    settings, plan = [], asked.plan()
    for trial in [next(plan)]:
        settings += trial
    names = {name.replace("…", " "): found for name, found in values.items()}
    runs = {
        name: [diverged(n) if psnr is None else run(n, psnr) for n, psnr in enumerate(found)]
        for name, found in names.items()
    }
    return Outcome(asked, tuple(settings), runs)


def column(sheet, name):
    return [row[list(sheet.header).index(name)] for row in sheet.words]


# ---- the main table


def test_mean_deviation_and_difference_are_those_worked_out_by_hand(tmp_path):
    """l2 25, 26, 27 and l1 20.5, 20, 20.5: differences 4.5, 6, 6.5, mean 17/3, s/√3 = 0.6009."""
    main = study_tables.main(outcome(study(tmp_path), l2=[25, 26, 27], l1=[20.5, 20.0, 20.5]))
    assert column(main, "setting") == ["noisy", "l2", "l1"]
    assert column(main, "val, dB") == ["20.00", "26.00 ± 1.00", "20.33 ± 0.29"]
    assert column(main, "val pooled, dB") == ["19.00", "25.00 ± 1.00", "19.33 ± 0.29"]
    assert column(main, "to the best, dB") == ["–", "–", "−5.67 ± 0.60"]
    assert column(main, "verdict") == ["–", "best", "worse"]
    assert column(main, "a run") == ["–", "12 s", "12 s"]


def test_a_difference_within_the_spread_is_called_so(tmp_path):
    main = study_tables.main(outcome(study(tmp_path), l2=[25, 26, 27], l1=[26, 25, 26.5]))
    assert column(main, "verdict")[1:] == ["best", "within the spread"]


def test_pooled_comes_first_where_the_study_measures_pooled(tmp_path):
    asked = study(tmp_path, page='measure = "pooled"')
    main = study_tables.main(outcome(asked, l2=[25, 26], l1=[24, 24]))
    assert "pooled" in main.title
    assert column(main, "val, dB")[1] == "24.50 ± 0.71"
    assert column(main, "val per image, dB")[1] == "25.50 ± 0.71"


def test_a_diverged_setting_shows_no_number(tmp_path):
    found = outcome(study(tmp_path), l2=[25, 26], l1=[None, None])
    main = study_tables.main(found)
    assert column(main, "val, dB")[2] == "2 of 2 diverged"
    assert column(main, "to the best, dB")[2] == "–"
    [trouble] = study_tables.troubles(found).rows[:1]
    assert trouble == ["l1", 0, "diverged", "It diverged."]


def test_a_number_of_the_runs_that_are_left_says_which_are_not(tmp_path):
    main = study_tables.main(outcome(study(tmp_path), l2=[25, 26, None], l1=[24, 24, 24]))
    assert column(main, "val, dB")[1] == "25.50 ± 0.71 (1 of 3 diverged)"
    assert column(main, "seeds")[1:] == ["2", "3"]


def test_one_seed_has_no_deviation_and_is_an_anecdote(tmp_path):
    main = study_tables.main(outcome(study(tmp_path), l2=[25], l1=[24]))
    assert column(main, "val, dB")[1] == "25.00 ± –"
    assert column(main, "verdict")[2] == "one seed"
    assert study_tables.ANECDOTE in main.notes
    two = study_tables.main(outcome(study(tmp_path), l2=[25, 26], l1=[24, 24]))
    assert study_tables.ANECDOTE not in two.notes


def test_reported_figures_stand_under_their_source(tmp_path):
    asked = study(tmp_path, '[vary]\nloss = ["l2", "l1"]\n[reported]\nl2 = [24.1, 24.5]\nl1 = "−"')
    main = study_tables.main(outcome(asked, l2=[25, 26], l1=[24, 24]))
    assert column(main, "a paper, Table 1") == ["–", "24.50", "−"]


def test_settings_of_different_noise_have_their_own_noisy_figure(tmp_path):
    found = outcome(study(tmp_path), l2=[25], l1=[24])
    found.runs["l1"][0]["scores"]["val"]["noisy"]["per_image"] = 15.0
    main = study_tables.main(found)
    assert column(main, "setting") == ["l2", "l1"]
    assert column(main, "noisy, dB") == ["20.00", "15.00"]


def test_a_study_without_a_run_has_a_table_all_the_same(tmp_path):
    main = study_tables.main(outcome(study(tmp_path)))
    assert column(main, "val, dB") == ["–", "–", "–"]


# ---- the other tables


def test_a_grid_of_two_factors_is_drawn_in_two_directions(tmp_path):
    vary = '[vary]\nloss = ["l2", "l1"]\nlr = [0.1, 0.2, 0.3]\n[reported]\n"l2, 0.2" = 24.9'
    runs = {"l2,…0.1": [25, 26], "l2,…0.2": [24, 24], "l1,…0.3": [None, None]}
    sheet = study_tables.by_two(outcome(study(tmp_path, vary), **runs))
    assert sheet.header[1:] == ["0.1", "0.2", "0.3"]
    assert sheet.words == [
        ["l2", "25.50 ± 0.71", "24.00 ± 0.00 (24.90)", "–"],
        ["l1", "–", "–", "2 of 2 diverged"],
    ]


def test_one_factor_makes_no_grid(tmp_path):
    assert not study_tables.by_two(outcome(study(tmp_path), l2=[25])).rows


def greedy(folder):
    vary = '[vary]\nloss = ["l2", "l1"]\nlr = [0.1, 0.2]'
    asked = study(folder, vary, 'design = "greedy"')
    plan = asked.plan()
    settings = [*next(plan), *plan.send({"l2": 24.0, "l1": 25.0})]
    runs = {"l2": [24], "l1": [25], "l1, 0.1": [26], "l1, 0.2": [25.5]}
    runs = {name: [run(n, psnr) for n, psnr in enumerate(one)] for name, one in runs.items()}
    return Outcome(asked, tuple(settings), runs)


def test_the_greedy_path_says_what_was_kept_and_by_how_much(tmp_path):
    sheet = study_tables.path(greedy(tmp_path))
    assert [line[:2] + line[3:5] for line in sheet.words] == [
        ["loss", "l1", "l2", "+1.00 ± –"],
        ["lr", "0.1", "0.2", "+0.50 ± –"],
    ]


def test_the_path_ends_where_the_runs_do(tmp_path):
    whole = greedy(tmp_path)
    part = Outcome(whole.study, whole.settings[:2], {"l2": whole.runs["l2"]})
    assert column(study_tables.path(part), "kept") == ["l2"]


@pytest.mark.parametrize(
    ("l2", "l1", "answer"),
    [
        ([25, 26, 27], [24, 25, 26.1], "holds"),
        ([24, 25, 26.1], [25, 26, 27], "does not hold"),
        ([25, 26, 27], [26, 25, 26.5], "within the spread"),
        ([25], [24], "holds in one seed"),
        ([24], [25], "does not hold in one seed"),
        ([25], [None], "holds: l1 has no finished run"),
        ([None], [25], "does not hold: l2 has no finished run"),
        ([None], [None], "not known"),
        ([25], [], "not known"),
    ],
)
def test_an_order_holds_or_does_not_or_cannot_be_told(tmp_path, l2, l1, answer):
    asked = study(tmp_path, page='orders = ["l2 > l1"]')
    sheet = study_tables.orders(outcome(asked, l2=l2, l1=l1))
    assert column(sheet, "") == [answer]


def with_history(folder, psnrs):
    """A run folder with validations at epochs 0, 1, 2 …, of these PSNRs."""
    folder.mkdir(parents=True)
    lines = [
        {"step": 2 * n, "epoch": float(n), "mean_loss": 0.1 / (n + 1), "held_out": 0.2 / (n + 1),
         "scores": {"per_image": float(psnr), "pooled": psnr - 1.0}}
        for n, psnr in enumerate(psnrs)
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "history.jsonl").write_text(text)
    np.save(folder / LOSSES, np.geomspace(1, 0.01, 50).astype(np.float32))
    return folder


def along(folder):
    vary = '[vary]\nloss = ["l2", "l1"]\n[reported]\nl2 = [1.0, 2.0]'
    asked = study(folder, vary, "along = true")
    paths = [with_history(folder / f"r{n}", [5, 20 + n, 22 + n]) for n in range(2)]
    short = with_history(folder / "short", [5, 30])
    runs = {
        "l2": [run(n, 22 + n, path) for n, path in enumerate(paths)],
        "l1": [run(0, 30, short)],
    }
    return Outcome(asked, tuple(next(asked.plan())), runs)


def test_psnr_along_the_run_is_a_mean_over_seeds_beside_the_reported_one(tmp_path):
    sheet = study_tables.along(along(tmp_path))
    assert list(sheet.header) == ["epoch", "l2", "l2, reported", "l1"]
    assert sheet.words == [["1", "20.50", "1.00", "30.00"], ["2", "22.50", "2.00", "–"]]


def test_no_table_along_the_run_unless_the_study_asks(tmp_path):
    assert not study_tables.along(outcome(study(tmp_path), l2=[25])).rows


# ---- how tables are written

SPECIAL = st.text("".join(LATEX) + "'`- ab1", max_size=20)
BACK = {tex: letter for letter, tex in LATEX.items()}


def set_by_latex(text):
    """The letters that LaTeX would set: the other road back."""
    by_length = sorted(BACK, key=len, reverse=True)
    pattern = "|".join(map(re.escape, by_length)) + r"|\{\}"
    return re.sub(pattern, lambda found: BACK.get(found.group(), ""), text)


@given(SPECIAL)
def test_latex_sets_every_special_character_as_it_stands(text):
    assert set_by_latex(escaped(text)) == text


@given(SPECIAL)
def test_no_character_of_a_cell_is_a_command_of_latex(text):
    left = re.sub("|".join(map(re.escape, sorted(BACK, key=len, reverse=True))), "", escaped(text))
    assert not set(left.replace("{}", "")) & set("\\&%$#_{}~^[]*")
    assert not re.search(r"--|''|``", escaped(text))


def test_the_test_above_can_fail():
    assert set_by_latex("50% & more".replace("&", r"\&")) == "50% & more"
    assert "%" in re.sub("|".join(map(re.escape, BACK)), "", "50%")


def test_a_latex_row_has_as_many_cells_as_the_header(tmp_path):
    sheet = Sheet("a & b", ["x", "y & z"], [["1 & 2", Spread(3.0, 1.0)]])
    lines = sheets.as_latex([sheet], "q").splitlines()
    rows = [line for line in lines if line.endswith(r"\\")]
    assert [len(re.split(r"(?<!\\)&", row)) for row in rows] == [2, 2]
    assert r"1 \& 2 & 3.00 $\pm$ 1.00 \\" in rows


def test_csv_has_two_columns_for_a_mean_and_its_deviation(tmp_path):
    found = outcome(study(tmp_path), l2=[25, 26], l1=[None, 24])
    rows = list(csv.DictReader(io.StringIO(sheets.as_csv(study_tables.main(found)))))
    assert [row["val, dB"] for row in rows] == ["20", "25.5", "24"]
    assert [row["val, dB ±"] for row in rows] == ["", "0.707107", ""]
    assert [row["a run"] for row in rows] == ["", "12", "12"]


def test_markdown_keeps_its_columns_whatever_a_name_holds():
    text = sheets.as_markdown([Sheet("t", ["a|b", "c"], [["x\ny|*", None]])], "q")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3, 3, 3]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (Spread(25.0, 1.0), "25.00 ± 1.00"),
        (Spread(0.5, None, signed=True), "+0.50 ± –"),
        (Spread(-0.001, 0.1, signed=True), "0.00 ± 0.10"),
        (Spread(math.nan, None, "1 of 1 failed"), "1 of 1 failed"),
        (Spread(math.nan), "–"),
        (Seconds(0.25), "0.2 s"),
        (Seconds(75.0), "1 min 15 s"),
        (Seconds(math.nan), "–"),
        (24.0, "24.00"),
    ],
)
def test_a_cell_in_words(cell, words):
    assert said(cell) == words


# ---- the answer


ALL = study_words.Asked(2, "noisepair study which.toml")


@pytest.mark.parametrize(
    ("l2", "l1", "words"),
    [
        ([25, 26, 27], [24, 25, 26.1], "0.97 ± 0.03 dB ahead of “l1”, more than the spread"),
        ([25, 26, 27], [26, 25, 26.5], "0.17 ± 0.60 dB ahead of “l1”, within the spread"),
        ([25], [24], "1.00 ± – dB ahead of “l1”, from one seed, which is an anecdote"),
        ([25], [None], "nothing to compare it with"),
        ([None], [None], "No setting has come to a number"),
        ([25], [], "1 of 2 runs so far. Best: “l2”"),
        ([], [], "0 of 2 runs so far. No setting"),
    ],
)
def test_the_page_opens_with_the_answer(tmp_path, l2, l1, words):
    assert words in study_words.answer(outcome(study(tmp_path), l2=l2, l1=l1), ALL)


def test_the_object_for_programs_holds_no_nan(tmp_path):
    found = outcome(study(tmp_path, page='orders = ["l2 > l1"]'), l2=[25], l1=[None])
    written = study_report.Written(tmp_path / "report.html", [])
    plain = study_report.as_json(found, written, ALL)
    text = json.dumps(plain, allow_nan=False)
    one, two = json.loads(text)["rows"]
    assert (one["mean"], one["std"], one["verdict"], one["values"]) == (25.0, None, "best", [25.0])
    assert (two["mean"], two["troubles"]) == (None, "1 of 1 diverged")
    assert plain["orders"][0]["verdict"] == "holds: l1 has no finished run"


def test_the_protocol_says_what_a_figure_must_be_read_with(tmp_path):
    found = outcome(study(tmp_path), l2=[25, 26], l1=[24, 24])
    words = " ".join(one.text for one in study_report.how(found, ALL))
    for part in ("train.pkl", "val 20.00 dB per image, 19.00 dB pooled", "neither clipped",
                 "4 steps", "2 seeds (0, 1)", "1 thread,", "commit abc", "2026-01-02",
                 "noisepair study which.toml"):  # fmt: skip
        assert part in words


# ---- pictures and figures


@given(st.lists(st.floats(0, 50), min_size=1, max_size=60))
def test_examples_are_the_best_the_worst_and_some_between(scores):
    found = study_report.examples(scores)
    by_kind = {kind: [scores[n] for n in found if found[n] == kind] for kind in found.values()}
    assert min(scores) in by_kind["worst"]
    if len(scores) > 1:
        assert max(scores) in by_kind["simple"]
    if len(scores) >= 6:
        assert [len(by_kind[kind]) for kind in ("simple", "hard", "worst")] == [2, 2, 2]


def test_hard_pictures_are_around_the_tenth_percentile():
    found = study_report.examples([float(n) for n in range(100)])
    assert found == {99: "simple", 98: "simple", 10: "hard", 11: "hard", 0: "worst", 1: "worst"}


def test_of_many_settings_the_four_best_and_the_four_worst_are_drawn(tmp_path):
    levels = ", ".join(f"{n / 100}" for n in range(1, 13))
    asked = study(tmp_path, f"[vary]\nlr = [{levels}]")
    names = [setting.name for setting in next(asked.plan())]
    values = dict(zip(names, [30, 1, 29, 2, 28, 3, 27, 4, 15, 16, 17, 18], strict=True))
    rows = outcome(asked, **{name: [value] for name, value in values.items()}).rows()
    assert [row.setting.name for row in study_figures.picked(rows)] == names[:8]


def test_smoothing_is_the_mean_of_a_window_and_keeps_a_line():
    values = np.arange(300.0)
    np.testing.assert_allclose(study_figures.smoothed(values), values)
    spike = np.zeros(120)
    spike[60] = 5.0
    smooth = study_figures.smoothed(spike)  # a reach of 2: five steps share it
    np.testing.assert_allclose(smooth[57:64], [0, 1, 1, 1, 1, 1, 0], atol=1e-12)


def test_losses_end_before_the_first_that_is_no_number(tmp_path):
    folder = with_history(tmp_path / "r", [1, 2])
    np.save(folder / LOSSES, np.array([3, 2, np.nan, 1], np.float32))
    [row, _] = outcome(study(tmp_path), l2=[25]).rows()
    row.runs[0]["folder"] = str(folder)
    assert study_figures.first_losses(row).tolist() == [3, 2]


NASTY = ["$x_1$", "_under", "50% & {more}", "<b>bold</b>", "頁" * 5, "long " * 20]


def test_names_of_any_kind_are_drawn_as_they_stand(tmp_path):
    levels = "\n".join(
        f"{json.dumps(name)} = {{ lr = 0.0{n + 1} }}" for n, name in enumerate(NASTY)
    )
    asked = study(tmp_path, f"[vary.change]\n{levels}")
    settings = tuple(next(asked.plan()))
    runs = {
        one.name: [run(0, 25, with_history(tmp_path / f"r{n}", [1, 20, 25]))]
        for n, one in enumerate(settings)
    }
    found = Outcome(asked, settings, runs)
    drawn = study_report.drawings(found)
    assert list(drawn) == ["curves", "losses", "boxes"]
    for name, (figure, caption) in drawn.items():
        _, one = study_report.drawing(tmp_path, name, figure, caption)
        assert "$x_1$" in one.svg
        assert "&lt;b&gt;" in one.svg
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_ids_of_two_figures_on_a_page_differ(tmp_path):
    drawn = study_report.drawings(along(tmp_path))
    ids = []
    for name, one in drawn.items():
        _, made = study_report.drawing(tmp_path, name, *one)
        mine = re.findall(r' id="([^"]*)"', made.svg)
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', made.svg)) <= set(mine)
        ids += mine
    assert len(ids) == len(set(ids))
    assert ids


def test_no_figure_is_drawn_of_nothing(tmp_path):
    assert study_report.drawings(outcome(study(tmp_path), l2=[None], l1=[None])) == {}


def test_a_run_that_went_astray_does_not_squeeze_the_others():
    from noisepair.app.figures import canvas

    _, (axes,) = canvas(3.0, 3.0, 1)
    axes.plot([25.0, 24.0, -266.0])
    study_figures.deep(axes, [25.0, 24.0, -266.0])
    assert axes.get_ylim()[0] == 25.0 - study_figures.DEEP
    study_figures.in_decades(axes, np.array([0.01, 0.012, 1e9]))
    assert axes.get_ylim()[1] < 1


def test_a_run_that_left_nothing_is_drawn_as_nothing(tmp_path):
    [row, _] = outcome(study(tmp_path), l2=[25]).rows()
    assert study_tables.track(row, lambda line: line["held_out"]) == []
    assert study_figures.first_losses(row).size == 0
    assert not Path("nowhere").exists()


def test_runs_of_a_time_budget_are_laid_side_by_side_by_seconds():
    from noisepair.study import Row

    row = Row.__new__(Row)
    assert study_tables.clocked([]) == "epoch"
    for recipe, by in (({"budget": 40.0}, "seconds"), ({"steps": 40}, "epoch")):
        object.__setattr__(row, "runs", [{"recipe": recipe, "folder": "x"}])
        assert study_tables.clocked([row]) == by
