"""Lists: the published ones come out of their seed, and what is written is read again."""

from itertools import pairwise

import numpy as np
import pytest
from test_hpatches_scores import SPLIT_A

from noisepair.errors import InputError
from noisepair.hpatches import tasks
from noisepair.hpatches.splits import official
from noisepair.hpatches.tasks import make_retrieval, make_verification

COUNTS = {"i_a": 7, "v_b": 5, "i_c": 9}
TEST = official()["a"].test


@pytest.fixture(scope="module")
def published(data):
    folder = data / "hpatches"
    if not folder.is_dir():
        pytest.skip("needs the published lists of split a")
    return tasks.read_retrieval(folder, "a", TEST)


def textured(lists, counts):
    """A patch is known to have structure where a published list holds it."""
    fit = {name: np.zeros(count, bool) for name, count in zip(lists.names, counts, strict=True)}
    for s, i in np.concatenate([lists.queries, lists.distractors]).tolist():
        fit[lists.names[s]][i] = True
    return fit


# — the published lists —


def test_the_published_lists_come_out_of_their_seed(published):
    """30,000 rows in order, from 42, the names, and how many patches each sequence has.

    Which patches are too flat is taken from the lists themselves; their order, which are queries
    and which distractors, and that nothing between them was left out, is not.
    """
    made = make_retrieval(textured(published, SPLIT_A))
    assert np.array_equal(made.queries, published.queries)
    assert np.array_equal(made.distractors, published.distractors)


@pytest.mark.parametrize(("place", "change"), [(9, -1), (9, 40), (0, 40)])
def test_with_another_count_they_would_not(published, place, change):
    fit = textured(published, SPLIT_A)
    name, count = TEST[place], SPLIT_A[place] + change
    fit[name] = np.append(fit[name], np.zeros(abs(change), bool))[:count]
    assert not np.array_equal(make_retrieval(fit).distractors, published.distractors)


def test_a_published_list_is_written_as_it_was(published, data, tmp_path):
    tasks.write_retrieval(tmp_path, "a", published)
    for path in tasks.paths(tmp_path, "a").values():
        if path.exists():
            assert path.read_bytes() == (data / "hpatches" / path.name).read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


# — drawn as numpy's legacy functions draw —


def test_pairs_are_drawn_as_the_benchmark_says():
    """By another road: whole names, and choice(…, replace=False) row by row."""
    lists = make_verification(COUNTS, pairs=400)
    rng = np.random.RandomState(42)
    s = rng.choice(list(COUNTS), 400)
    two = np.array([rng.choice(np.arange(COUNTS[one]), 2, replace=False) for one in s])
    pictures = np.array([rng.choice(np.arange(5), 2, replace=False) for _ in s])
    other = rng.choice(list(COUNTS), 400)
    index = np.array([rng.randint(COUNTS[one]) for one in other])
    names = np.array(list(COUNTS))
    for pairs, sequence, which in (
        (lists.pos, s, two[:, 0]),
        (lists.intra, s, two[:, 1]),
        (lists.inter, other, index),
    ):
        assert (names[pairs.first[:, 0]] == s).all()
        assert (pairs.first[:, 1:] == np.stack([pictures[:, 0], two[:, 0]], 1)).all()
        assert (names[pairs.second[:, 0]] == sequence).all()
        assert (pairs.second[:, 1:] == np.stack([pictures[:, 1], which], 1)).all()
    assert np.array_equal(make_verification(COUNTS, pairs=400).inter.second, lists.inter.second)
    differs = make_verification(COUNTS, pairs=400, seed=43).inter.second
    assert not np.array_equal(differs, lists.inter.second), "control"


def test_the_first_rows_of_split_a_are_the_documented_ones():
    """docs/tasks.md of the benchmark begins with these four sequences."""
    lists = make_verification(dict(zip(TEST, SPLIT_A, strict=True)), pairs=4)
    many = make_retrieval(
        {name: np.ones(count, bool) for name, count in zip(TEST, SPLIT_A, strict=True)},
        queries=4,
        distractors=10,
    )
    first = ["v_birdwoman", "v_strand", "i_salon", "i_zion"]
    assert [TEST[s] for s in lists.pos.first[:, 0]] == first
    assert [TEST[s] for s in many.queries[:, 0]] == first


def test_right_pairs_are_right_and_wrong_ones_wrong():
    lists = make_verification(COUNTS, pairs=500)
    for name, pairs in (("pos", lists.pos), ("intra", lists.intra)):
        assert (pairs.first[:, 0] == pairs.second[:, 0]).all()
        assert (pairs.first[:, 1] != pairs.second[:, 1]).all()
        assert ((pairs.first[:, 2] == pairs.second[:, 2]) == (name == "pos")).all()
    assert (lists.inter.first[:, 0] != lists.inter.second[:, 0]).any()
    assert max(pairs.first[:, 1].max() for pairs in vars(lists).values()) == 4, "never the fifth"


def test_queries_and_distractors_are_different_and_not_flat():
    rng = np.random.default_rng(0)
    fit = {name: rng.random(300) > 0.3 for name in COUNTS}
    lists = make_retrieval(fit, queries=50, distractors=200)
    places = [tuple(row) for row in np.concatenate([lists.queries, lists.distractors]).tolist()]
    assert len(places) == len(set(places)) == 250
    assert all(list(fit.values())[s][i] for s, i in places)


def test_structure_is_a_deviation_above_ten_grey_levels():
    flat = np.zeros((1, 65, 65), np.uint8)
    half = flat.copy()
    half[:, :, :33] = 20
    assert tasks.textured(np.concatenate([flat, half, half + half // 10])).tolist() == [
        False,
        False,
        True,
    ]


# — read and written —


def test_pairs_that_are_written_are_read_again(tmp_path):
    lists = make_verification(COUNTS, pairs=60)
    assert tasks.read_verification(tmp_path, "x", list(COUNTS)) is None
    tasks.write_verification(tmp_path, "x", lists)
    found = tasks.read_verification(tmp_path, "x", list(COUNTS))
    for kind in tasks.KINDS:
        for side in ("first", "second"):
            assert np.array_equal(
                getattr(getattr(found, kind), side), getattr(getattr(lists, kind), side)
            )
    turned = tasks.read_verification(tmp_path, "x", list(COUNTS)[::-1])
    assert np.array_equal(2 - turned.pos.first[:, 0], lists.pos.first[:, 0]), "names, not places"
    first = (tmp_path / "verif_pos_split-x.csv").read_text().splitlines()[:2]
    s, t, i = lists.pos.first[0].tolist()
    assert first[0] == "s1,t1,idx1,s2,t2,idx2"
    assert first[1].startswith(f"{list(COUNTS)[s]},{t},{i},")


DAMAGES = {
    "no header": (lambda text: text.partition("\n")[2], "begins with"),
    "another header": (lambda text: text.replace("s,idx", "idx,s"), "begins with"),
    "a word for a number": (lambda text: text.replace(",1\n", ",one\n"), "holds a row"),
    "a column too few": (lambda text: text + "i_a\n", "holds a row"),
    "no rows": (lambda text: "s,idx\n", "no rows"),
    "a strange sequence": (lambda text: text + "i_x,0\n", "i_x, which is no test sequence"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_list_is_refused_in_a_sentence(tmp_path, damage, words):
    fit = {name: np.ones(count, bool) for name, count in COUNTS.items()}
    tasks.write_retrieval(tmp_path, "x", make_retrieval(fit, queries=5, distractors=9))
    path = tmp_path / "retr_distractors_split-x.csv"
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=words) as refusal:
        tasks.read_retrieval(tmp_path, "x", list(COUNTS))
    assert str(path) in str(refusal.value)


def test_half_of_the_lists_is_not_enough(tmp_path):
    fit = {name: np.ones(count, bool) for name, count in COUNTS.items()}
    tasks.write_retrieval(tmp_path, "x", make_retrieval(fit, queries=5, distractors=9))
    (tmp_path / "retr_queries_split-x.csv").unlink()
    with pytest.raises(InputError, match=r"retr_queries_split-x\.csv is missing beside"):
        tasks.read_retrieval(tmp_path, "x", list(COUNTS))


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(InputError, match=r"v_b has 1 patch"):
        make_verification({**COUNTS, "v_b": 1})
    with pytest.raises(InputError, match="too few have structure"):
        make_retrieval({name: np.zeros(count, bool) for name, count in COUNTS.items()})


def test_the_time_left_of_drawing_can_be_told():
    shares = []
    make_verification(COUNTS, pairs=30_000, watch=shares.append)
    assert shares == sorted(shares)
    assert all(later - sooner < 0.5 for sooner, later in pairwise(shares))
