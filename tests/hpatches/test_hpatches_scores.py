"""The three tasks: equal to the plain program, lawful, and not to be fooled."""

import numpy as np
import pytest
from a_benchmark import (
    LEVELS,
    constant,
    made,
    noisy,
    plain_matching,
    plain_retrieval,
    plain_verification,
    some_pairs,
    some_queries,
)

from noisepair.errors import InputError
from noisepair.hpatches import matching as matching_page
from noisepair.hpatches._near import Ruler
from noisepair.hpatches.described import Described
from noisepair.hpatches.layout import SHEETS, parts
from noisepair.hpatches.matching import judge, match
from noisepair.hpatches.precision import TIES, by_counts, of_group
from noisepair.hpatches.retrieval import retrieve
from noisepair.hpatches.scores import evaluate
from noisepair.hpatches.tasks import Pairs, Retrieval, Verification
from noisepair.hpatches.verification import verify

COUNTS = (23, 30, 17)
# Patches in each test sequence of split a: the fewest with which the published lists of retrieval
# come out of their seed (test_hpatches_tasks.py).
SPLIT_A = (
    853, 1682, 2000, 298, 345, 471, 409, 1998, 1998, 635, 474, 1982, 1949, 1987, 1101, 1091, 1002,
    1708, 726, 1999, 1506, 1993, 1891, 1998, 1048, 1991, 2000, 1991, 1816, 1810, 1617, 1592, 2000,
    1643, 713, 1529, 1656, 1994, 2000, 2000,
)  # fmt: skip


def verified(described, lists, ties="official"):
    """{(level, kind): (average precision, area under ROC)} of all pairs."""
    found = verify(described, lists, parts=parts(described.names), ties=ties)
    return {key: (one["all"].precision, one["all"].roc) for key, one in found.curves.items()}


# — the plain program —


def far_from_zero():
    """Two numbers that differ and 126 that do not, near a million, where float32 counts in
    sixteenths: sums of 128 squares take more digits than float64 has."""
    near = noisy(COUNTS, dims=2, noise=0.5, seed=2)
    values = np.random.default_rng(3).uniform(9e5, 1e6, 128).astype(np.float32)
    values = np.tile(values, (len(near.values), 1))
    values[:, :2] += near.values
    return Described(values, near.counts, near.starts)


KINDS_OF_DATA = {
    "no ties": noisy(COUNTS),
    "many ties": noisy(COUNTS, dims=3, grid=0.8),
    "far from zero": far_from_zero(),
}


@pytest.mark.parametrize("described", KINDS_OF_DATA.values(), ids=KINDS_OF_DATA)
def test_verification_is_the_plain_programs(described):
    lists = some_pairs(COUNTS, 300)
    found = verified(described, lists)
    plain = plain_verification(described, lists)
    assert found.keys() == plain.keys()
    for key in plain:
        assert found[key] == pytest.approx(plain[key], abs=1e-12)


@pytest.mark.parametrize("described", KINDS_OF_DATA.values(), ids=KINDS_OF_DATA)
def test_matching_is_the_plain_programs(described):
    found, plain = match(described), plain_matching(described)
    np.testing.assert_allclose(found.precision, plain[0], atol=1e-12)
    np.testing.assert_allclose(found.right, plain[1], atol=1e-12)


@pytest.mark.parametrize("described", KINDS_OF_DATA.values(), ids=KINDS_OF_DATA)
def test_retrieval_is_the_plain_programs(described, monkeypatch):
    pools = (7, 20, 38)
    monkeypatch.setattr("noisepair.hpatches.retrieval.POOLS", (*pools, 1000))
    lists = some_queries(COUNTS, 25, 38)
    found = retrieve(described, lists)
    assert found.pools == pools, "what the list is too short for is left out"
    np.testing.assert_allclose(
        found.precision, plain_retrieval(described, lists, pools), atol=1e-12
    )


def test_products_in_float32_alone_would_match_wrongly(monkeypatch):
    """Control: without the second look, patches whose vectors differ by little are mistaken."""
    close = noisy((60,), dims=64, noise=1e-3, seed=4)
    close.values[:] = close.values[:1] + close.values / 1e4
    plain = plain_matching(close)[1]
    np.testing.assert_allclose(match(close).right, plain)
    nearest = matching_page._nearest
    monkeypatch.setattr(
        matching_page, "_nearest", lambda a, b: (nearest(a, b)[0], np.ones(len(a), bool))
    )
    monkeypatch.setattr(
        matching_page.Ruler, "of", classmethod(lambda cls, d: cls(np.zeros(64, np.float32), 0.0))
    )
    assert np.abs(match(close).right - plain).max() > 0.05


def test_the_imbalanced_right_pairs_are_the_first_of_the_file():
    """And not the first in any other order: the pairs behind them change the ROC alone."""
    described, lists = noisy(COUNTS, noise=1.5), some_pairs(COUNTS, 300)
    few, rest = slice(0, 60), slice(60, 300)
    turned = [
        np.concatenate([side[few], side[rest][::-1] if side.ndim else side])
        for side in (lists.pos.first, lists.pos.second)
    ]
    other = Verification(Pairs(lists.pos.names, *turned), lists.intra, lists.inter)
    assert verified(described, other) == verified(described, lists)
    last = [side[::-1].copy() for side in (lists.pos.first, lists.pos.second)]
    other = Verification(Pairs(lists.pos.names, *last), lists.intra, lists.inter)
    before, after = (verified(described, one) for one in (lists, other))
    assert [one[0] for one in before.values()] != [one[0] for one in after.values()], "control"
    assert [one[1] for one in before.values()] == [one[1] for one in after.values()]


# — not to be fooled —


def test_a_constant_descriptor_has_the_triple_that_was_handed_in_as_a_result():
    """0.088392, 0.000921 and 1.000000 with the sequences of split a: the seed's row of ResNet-50.

    A tenth of the pairs: the figure depends on one right to five wrong, far below its digits. All
    fifteen sheets of a sequence are alike, so one is matched.
    """
    starts = np.concatenate([[0], 16 * np.cumsum(SPLIT_A)])
    names = [f"{'iv'[n % 2]}_{n}" for n in range(40)]
    values = np.full((starts[-1], 2), 0.1, np.float32)
    described = Described(values, dict(zip(names, SPLIT_A, strict=True)), starts[:-1])
    queries = some_queries(SPLIT_A, 300, 20_000)
    found = evaluate(described, some_pairs(SPLIT_A, 100_000), queries, matching=False)
    course = {name: task.course["all"].value for name, task in found.tasks.items()}
    ruler = Ruler.of(described)
    each = [sheet_of(described, s, ruler) for s in range(40)]
    course["matching"] = np.mean(each)
    assert {name: f"{value:.6f}" for name, value in course.items()} == {
        "verification": "0.088392",
        "matching": "0.000921",
        "retrieval": "1.000000",
    }
    assert course["matching"] == pytest.approx(np.mean(1 / np.array(SPLIT_A)))
    assert "Collapsed" in found.warnings()[0]
    assert found.collapse.spread == 0
    assert {name: task.tied for name, task in found.tasks.items()} == dict.fromkeys(found.tasks, 1)


def sheet_of(described, s, ruler):
    ref, sheet = described.sheets(s)[:2]
    nearest = np.zeros(len(ref), int)
    return judge(ref, sheet, nearest, np.zeros(len(ref), bool), ruler, "official")[0]


def test_a_constant_is_worth_guessing_if_its_ties_are_averaged_over():
    described, pairs = constant(COUNTS), some_pairs(COUNTS, 1000)
    queries = some_queries(COUNTS, 25, 40)
    found = evaluate(described, pairs, queries, ties="expected")
    assert found.tasks["verification"].course["all"].value == pytest.approx(200 / 1200, abs=0.003)
    pool = retrieve(described, queries).pools[0] - 5
    some = [np.sum(queries.distractors[:, 0] != s) for s in range(3)]
    group = [
        of_group(*(np.array([float(v)]) for v in (0, 0, 5, 5, 5 + min(pool, n))))[0] / 5
        for n in some
    ]
    share = [np.mean(queries.queries[:, 0] == s) for s in range(3)]
    assert found.tasks["retrieval"].course["all"].value == pytest.approx(np.dot(group, share))
    assert found.tasks["matching"].course["all"].value == pytest.approx(
        np.mean([guessed(n) for n in COUNTS])
    )


def guessed(count):
    """Mean average precision of N answers in random order, each right with chance 1 / N."""
    ranks = np.arange(1, count + 1)
    p = 1 / count
    after = p * (1 + (ranks - 1) * p) / ranks
    before = np.where(ranks > 1, p * p, p)  # precision before the first is 1
    return (after + before).sum() / 2 / count


def test_pessimism_leaves_a_constant_nothing():
    described, queries = constant(COUNTS), some_queries(COUNTS, 25, 40)
    assert match(described, ties="pessimistic").precision.max() == 0
    worst = by_counts(np.full(5, 35))
    found = retrieve(described, queries, ties="pessimistic").precision
    assert found.max() < 2.1 * worst < 0.3


@pytest.mark.parametrize("seed", range(3))
def test_the_official_rules_favour_ties_in_retrieval_and_punish_them_in_verification(seed):
    described = noisy(COUNTS, dims=2, noise=1.5, grid=1.0, seed=seed)
    queries, pairs = some_queries(COUNTS, 25, 40), some_pairs(COUNTS, 300)
    official, expected, worst = (
        retrieve(described, queries, ties=ties).precision.mean() for ties in TIES
    )
    assert official > expected > worst
    official, expected, worst = (
        np.mean([one for one, _ in verified(described, pairs, ties).values()]) for ties in TIES
    )
    assert expected > official == worst


def test_without_ties_the_rules_do_not_matter():
    """Against wrong pairs of one sequence: a pair of any two may be one patch, and tie with it."""
    described, queries, pairs = noisy(COUNTS), some_queries(COUNTS, 25, 40), some_pairs(COUNTS, 300)
    for other in ("expected", "pessimistic"):
        np.testing.assert_allclose(
            match(described, ties=other).precision, match(described).precision
        )
        np.testing.assert_allclose(
            retrieve(described, queries, ties=other).precision,
            retrieve(described, queries).precision,
        )
        before, after = (verified(described, pairs, ties) for ties in ("official", other))
        for level in LEVELS:
            assert after[level, "intra"] == pytest.approx(before[level, "intra"])


def test_equal_answers_of_matching_share_the_chance():
    """Two patches, both nearest to both: each answer is right in one of two cases."""
    same = made((2,), lambda s, sheet: np.zeros((2, 3)))
    assert match(same, ties="expected").right.tolist() == np.full((1, 3, 5), 0.5).tolist()
    assert match(same).right.tolist() == np.full((1, 3, 5), 0.5).tolist(), "the first is taken"
    assert match(same, ties="pessimistic").right.max() == 0
    assert match(same).tied.min() == 1


# — laws —


def course(described, counts=COUNTS):
    found = evaluate(described, some_pairs(counts, 400), some_queries(counts, 25, 40))
    return [task.course["all"].value for task in found.tasks.values()]


def test_views_that_are_copies_are_all_found():
    perfect, pairs = noisy(COUNTS, noise=0.0), some_pairs(COUNTS, 400)
    assert course(perfect)[1:] == [1.0, 1.0]
    assert course(noisy(COUNTS))[1] < 0.99, "control"
    found = verified(perfect, pairs)
    for level in LEVELS:
        assert found[level, "intra"] == pytest.approx((1.0, 1.0))
        assert found[level, "inter"][0] < 0.99, "a few wrong pairs are of one patch, and tie"


def test_what_keeps_distances_keeps_scores():
    """Another order of the dimensions, another origin, a turn, another unit: powers of two, so
    that rounding is the same."""
    described = noisy(COUNTS, dims=8)
    before = course(described)
    values, order = described.values, np.random.default_rng(0).permutation(8)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0].astype(np.float32)
    for changed in (values[:, order], values + 4.0, values @ turn, 8 * values):
        same = Described(
            np.ascontiguousarray(changed, np.float32), described.counts, described.starts
        )
        assert course(same) == pytest.approx(before, abs=2e-3)
    other = Described(values**3, described.counts, described.starts)
    assert course(other) != pytest.approx(before, abs=2e-3), "control"


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_numbers_whose_squares_float32_does_not_hold_are_matched_too(unit):
    described = noisy(COUNTS, dims=8)
    values = (described.values.astype(np.float64) * unit).astype(np.float32)
    other = Described(values, described.counts, described.starts)
    np.testing.assert_allclose(match(other).precision, match(described).precision, atol=0.05)
    np.testing.assert_allclose(match(other).right, plain_matching(other)[1])


def test_random_descriptors_are_at_chance():
    rng = np.random.default_rng(0)
    counts = (40,) * 12
    random = made(counts, lambda s, sheet: rng.normal(size=(40, 16)))
    found = evaluate(random, some_pairs(counts, 4000), some_queries(counts, 200, 250))
    chance = {
        "verification": 800 / 4800,
        "matching": guessed(40),
        "retrieval": of_group(*(np.array([float(v)]) for v in (0, 0, 5, 5, 100)))[0] / 5,
    }
    for name, value in chance.items():
        estimate = found.tasks[name].course["all"]
        error = (estimate.high - estimate.low) / 4
        assert abs(estimate.value - value) < 4 * error, name
    better = evaluate(noisy(counts), some_pairs(counts, 4000))
    assert better.tasks["matching"].course["all"].low > 5 * guessed(40), "control"


def test_tables_and_sequences_average_to_the_one_number():
    described = noisy(COUNTS)
    found = evaluate(described, some_pairs(COUNTS, 300), some_queries(COUNTS, 25, 40))
    for name, measure in (
        ("verification", "average precision, imbalanced"),
        ("matching", "average precision"),
        ("retrieval", "mean average precision"),
    ):
        task = found.tasks[name]
        for part, estimate in task.course.items():
            every = [
                one.estimate.value
                for one in task.figures
                if (one.measure, one.part) == (measure, part)
            ]
            assert np.mean(every) == pytest.approx(estimate.value)
        assert set(task.sequences) == set(described.names)
    matching = found.tasks["matching"]
    assert np.mean(list(matching.sequences.values())) == pytest.approx(matching.course["all"].value)
    light = [value for name, value in matching.sequences.items() if name.startswith("i_")]
    assert np.mean(light) == pytest.approx(matching.course["illumination"].value)


def test_a_sequence_alone_scores_what_it_scores_among_others():
    described, lists = noisy(COUNTS), some_pairs(COUNTS, 900)
    found = verify(described, lists, parts=parts(described.names))
    mine = np.arange(3) == 1
    alone = verify(described, lists, parts={"all": mine})
    for key in found.sequences:
        assert found.sequences[key][1] == pytest.approx(alone.curves[key]["all"].precision)
        assert found.sequences[key][0] != found.sequences[key][1], "control"


def test_only_what_is_asked_is_scored():
    described = noisy(COUNTS)
    assert list(evaluate(described).tasks) == ["matching"]
    shares = []
    only = evaluate(
        described, some_pairs(COUNTS, 50), matching=False, watch=lambda done: shares.append(done)
    )
    assert list(only.tasks) == ["verification"]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_lists_of_other_patches_are_refused():
    described = noisy(COUNTS)
    far = Retrieval(described.names, np.array([[0, 23]], np.int32), np.array([[1, 0]], np.int32))
    with pytest.raises(InputError, match=r"list of queries, row 1: patch 23 of picture 0 of i_0"):
        retrieve(described, far)
    lists = some_pairs(COUNTS, 10)
    lists.inter.second[3] = (2, 6, 0)
    with pytest.raises(InputError, match=r"inter pairs, second patches, row 4: patch 0 of picture"):
        verified(described, lists)
    turned = Retrieval(described.names[::-1], far.queries, far.distractors)
    with pytest.raises(InputError, match=r"is of 3 sequences, the first i_2, and the descriptors"):
        retrieve(described, turned)


def test_distractors_of_the_querys_own_sequence_alone_are_none():
    described = noisy((9,))
    with pytest.raises(InputError, match="All distractors are patches of i_0"):
        retrieve(described, some_queries((9,), 2, 5))


def test_what_a_short_list_leaves_open_is_unknown():
    """Pairs of one sequence say nothing of the others, nor of changes of viewpoint."""
    described, lists = noisy(COUNTS), some_pairs(COUNTS, 300)
    mine = [pairs.first[:, 0] == 0 for pairs in vars(lists).values()]
    short = Verification(*(
        Pairs(pairs.names, pairs.first[kept], pairs.second[kept])
        for pairs, kept in zip(vars(lists).values(), mine, strict=True)
    ))  # fmt: skip
    told = evaluate(described, short, matching=False).as_json()["verification"]
    assert told["course"]["viewpoint"] == {"value": None, "low": None, "high": None}
    assert told["course"]["illumination"]["value"] == told["course"]["all"]["value"]
    assert [value is None for value in told["sequences"].values()] == [False, True, True]
    with pytest.raises(InputError, match="The list of right pairs has 4"):
        evaluate(described, some_pairs(COUNTS, 4))


def test_levels_read_their_own_sheets():
    """Each sheet holds its own number: a distance tells which two were compared."""
    told = made((2, 2), lambda s, sheet: np.full((2, 1), float(sheet)))
    assert told.sheets(1)[:, 0, 0].tolist() == list(range(len(SHEETS)))
    places = np.array([[1, 0, 0], [1, 1, 1], [0, 5, 0]], np.int32)
    for level in range(len(LEVELS)):
        values = told.values[told.rows(places, level), 0]
        assert values.tolist() == [0, 5 * level + 1, 5 * level + 5]
