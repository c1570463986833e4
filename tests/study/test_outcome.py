"""What a study found, worked out by hand."""

import math

import pytest

from noisepair.study import Difference, Outcome


def done(seed, psnr, seconds=2.0):
    scores = {"set": {"per_image": psnr, "pooled": psnr - 1, "noisy": {"per_image": 14.0}}}
    return {"status": "done", "seed": seed, "seconds": seconds, "scores": scores}


def none(seed, status):
    return {"status": status, "seed": seed, "scores": {}, "reason": "it burst"}


@pytest.fixture
def found(study):
    """The outcome of these runs, by name of setting."""

    def outcome(runs, **lines):
        page = study(**lines)
        return Outcome(page, tuple(page.settings()), runs)

    return outcome


def test_mean_and_deviation_over_seeds(found):
    runs = {"l2": [done(0, 20.0), done(1, 22.0, 4.0), done(2, 24.0, 6.0)], "l1": [done(0, 25.0)]}
    one, two = found(runs).rows()
    assert (one.mean, one.std, one.seconds) == (22, 2, 4)
    assert one.values == {0: 20, 1: 22, 2: 24}
    assert two.mean == 25
    assert math.isnan(two.std), "one run has none"
    assert found(runs).rows(measure="pooled")[0].mean == 21
    assert found(runs, measure="pooled").rows()[0].mean == 21
    assert found(runs).best().setting.name == "l1"
    assert found(runs).noisy("set", "per_image") == 14


def test_settings_are_compared_seed_by_seed(found):
    """Seeds differ by 10 dB, settings by 0.5: of pairs that is seen, of means it would not be."""
    l1 = [done(0, 10.4), done(1, 20.5), done(2, 30.6)]
    l2 = [done(2, 30.0), done(0, 10.0), done(1, 20.0)]  # whatever their order
    one, two = found({"l2": l2, "l1": l1}).rows()
    difference = two.against(one)
    assert difference.mean == pytest.approx(0.5)
    assert difference.error == pytest.approx(0.1 / math.sqrt(3))
    assert difference.verdict == "better"
    assert one.against(two).verdict == "worse"
    assert one.std > 9, "control"


def test_only_seeds_that_both_have_finished_are_compared(found):
    runs = {"l2": [done(0, 10.0), done(1, 50.0)], "l1": [done(2, 90.0), done(0, 11.0)]}
    one, two = found(runs).rows()
    assert two.against(one) == Difference(1.0, None, 1)
    assert two.against(one).verdict == "one seed"
    apart = found({"l2": [done(0, 10.0)], "l1": [done(1, 11.0)]}).rows()
    assert apart[1].against(apart[0]).verdict == "none"


@pytest.mark.parametrize(
    ("mean", "error", "verdict"),  # over three seeds, for which Student's t is 4.30
    [
        (0.44, 0.1, "better"), (-0.44, 0.1, "worse"), (0.42, 0.1, "within the spread"),
        (-0.42, 0.1, "within the spread"), (1.0, None, "one seed"), (math.nan, None, "none"),
        (0.0, 0.0, "within the spread"), (0.1, 0.0, "better"), (math.inf, 0.1, "none"),
    ],
)  # fmt: skip
def test_verdicts(mean, error, verdict):
    assert Difference(mean, error, 3).verdict == verdict


def test_two_seeds_must_agree_better_than_many():
    assert [Difference(1.0, 0.2, n).verdict for n in (2, 3, 30)] == [
        "within the spread", "better", "better"
    ]  # fmt: skip


def test_two_names_of_one_setting_are_not_told_apart(found):
    runs = [done(0, 20.0), done(1, 21.0)]
    one, two = found({"l2": runs, "l1": runs}).rows()
    assert one.against(two).verdict == "within the spread"


def test_results_that_are_not_all_there_yet(found):
    outcome = found({"l2": [done(0, 20.0)]})
    assert [row.setting.name for row in outcome.rows()] == ["l2", "l1"]
    empty = outcome.rows()[1]
    assert math.isnan(empty.mean)
    assert math.isnan(empty.seconds)
    assert empty.troubles == ""
    assert outcome.best().setting.name == "l2"
    assert found({}).best() is None
    assert math.isnan(found({}).noisy("set", "pooled"))


def test_runs_that_diverged_or_failed_count_as_such_and_not_in_the_mean(found):
    runs = {"l2": [done(0, 20.0), none(1, "diverged"), none(2, "diverged"), none(3, "failed")],
            "l1": [none(0, "diverged")]}  # fmt: skip
    one, two = found(runs).rows()
    assert one.mean == 20
    assert one.troubles == "2 of 4 diverged, 1 of 4 failed"
    assert math.isnan(two.mean)
    assert two.against(one).verdict == "none"
    assert found(runs).best().setting.name == "l2"
    assert found({"l2": [none(0, "diverged")], "l1": [none(0, "failed")]}).best() is None


def test_orders_say_by_how_much_the_first_is_better(found):
    runs = {"l2": [done(0, 20.0), done(1, 22.0)], "l1": [done(0, 21.0), done(1, 24.0)]}
    ((text, difference),) = found(runs, orders=["l1 > l2"]).orders()
    assert text == "l1 > l2"
    assert (difference.mean, difference.error) == (1.5, pytest.approx(0.5))


def test_orders_of_what_a_greedy_study_did_not_come_to_are_not_told(found, study):
    lines = {"design": "greedy", "vary": {"loss": ["l2", "l1"], "lr": [0.1, 0.2]}}
    page = study(orders=["l1 > l2", "l1, 0.1 > l2, 0.1"], **lines)
    settings = next(page.plan())
    outcome = Outcome(page, tuple(settings), {"l2": [done(0, 20.0)], "l1": [done(0, 21.0)]})
    assert [text for text, _ in outcome.orders()] == ["l1 > l2"]
