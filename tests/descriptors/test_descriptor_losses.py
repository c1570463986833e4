"""What makes a descriptor good: by hand on a line, by loops, by slopes, by what must not matter."""

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from noisepair.descriptors import losses
from noisepair.descriptors.losses import (
    LOSSES,
    CourseTriplet,
    Described,
    HardestInBatch,
    Hybrid,
    SecondOrder,
    distances,
    neighbours,
    taught,
)


def on_a_line(anchors, positives, others=(1, 2, 0)):
    """Descriptors of one number each."""
    a, p = (torch.tensor(x, dtype=torch.float64)[:, None] for x in (anchors, positives))
    return Described(a, p, torch.ones(2, len(a), dtype=torch.float64), torch.tensor(others))


def at_random(count=9, seed=0, size=5, unit=True):
    rng = torch.Generator().manual_seed(seed)
    a = torch.randn(count, size, dtype=torch.float64, generator=rng)
    p = a + 0.7 * torch.randn(count, size, dtype=torch.float64, generator=rng)
    lengths = torch.stack([a.norm(dim=1), p.norm(dim=1)])
    if unit:
        a, p = F.normalize(a), F.normalize(p)
    return Described(a, p, lengths, (torch.arange(count) + 2) % count)


LINE = on_a_line([0.0, 3.0, 10.0], [1.0, 5.0, 10.5])
# from a to p      1   5  10.5       among a  0  3 10      among p  0    4   9.5
#                  2   2   7.5                3  0  7               4    0   5.5
#                  9   5   0.5               10  7  0               9.5  5.5 0


# — by hand —


def test_hardnets_by_hand():
    """Pairs are 1, 2, 0.5 apart, the nearest others 2, 2, 5; seen from the anchors 5, 2, 5."""
    assert HardestInBatch(margin=2)(LINE) == pytest.approx((1 + 2 + 0) / 3, abs=1e-5)
    assert HardestInBatch(margin=2, swap=False)(LINE) == pytest.approx((0 + 2 + 0) / 3, abs=1e-5)


def test_the_courses_by_hand():
    """Others of the places are 1, 2, 0: 25, 56.25, 81 away squared."""
    assert CourseTriplet(margin=60)(LINE) == pytest.approx((60 + 1 - 25 + 60 + 4 - 56.25) / 3)
    squared = CourseTriplet(margin=60, squared=True)
    assert squared(LINE) == pytest.approx((36**2 + 7.75**2) / 3)
    assert CourseTriplet()(LINE) == 0


def test_the_courses_divides_by_how_many_numbers_a_descriptor_has():
    wide = Described(*(x.repeat(1, 4) for x in LINE[:2]), LINE.lengths, LINE.others)
    assert CourseTriplet(margin=60)(wide) == pytest.approx(float(CourseTriplet(margin=60)(LINE)))


def test_sosnets_by_hand():
    """The nearest others are 2, 2, 5 again; what is among a and among p differs by 1, 0.5, 1.5."""
    hinge = (1 + 4 + 0) / 3
    order = (1.25**0.5 + 3.25**0.5 + 2.5**0.5) / 3
    both = SecondOrder(margin=2, weight=10)(LINE)
    assert both == pytest.approx(hinge + 10 * order, abs=1e-4)
    assert SecondOrder(margin=2, weight=0)(LINE) == pytest.approx(hinge, abs=1e-4)


def test_hynets_by_hand():
    """s is 2, 6, 0.75 of the pairs and 6, 6, 30 of the nearest others."""
    uneven = LINE._replace(lengths=torch.tensor([[1.0, 2, 3], [1, 4, 6]], dtype=torch.float64))
    hinge = (0 + 1.2 + 0) / 3
    assert Hybrid()(uneven) == pytest.approx(hinge + 0.1 * (0 + 4 + 9) / 3, abs=1e-4)
    assert Hybrid(lengths=0)(uneven) == pytest.approx(hinge, abs=1e-4)
    assert Hybrid(alpha=0)(LINE) == pytest.approx((1.2 + 1 - 2 + 1.2) / 3, abs=1e-4)


def test_only_the_nearest_neighbours_are_compared():
    """On a line with one far place: its neighbours are its neighbours, those of others not it."""
    a = torch.tensor([0.0, 1, 2.5, 100], dtype=torch.float64)[:, None]
    chosen = neighbours(1, distances(a, a))
    assert chosen.tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    assert neighbours(3, distances(a, a)).tolist() == (1 - torch.eye(4)).tolist()


def test_a_teacher_by_hand():
    """For length 1 it is twice 1 less the cosine; a turned pupil has all distances right."""
    one = torch.tensor([[1.0, 0], [0, 1]], dtype=torch.float64)
    turned = torch.tensor([[0.0, 1], [-1, 0]], dtype=torch.float64)
    assert taught(one, one) == 0
    assert taught(turned, one) == pytest.approx(2)
    assert taught(turned, one, 1.0) == pytest.approx(2 + 1e-3, abs=1e-6), "√TINY, for its slope"
    assert taught(one / 2, one, 1.0) == pytest.approx(0.25 + 0.5**0.5 / 2**0.5, abs=1e-3)


# — by loops —


def apart(x, y):
    return ((x - y).square().sum() + losses.TINY).sqrt()


def hardest(batch, i, blocks):
    """The nearest other place of i, looked for one by one."""
    a, p = batch.anchors, batch.positives
    ways = {"ap": (a, p), "pa": (p, a), "aa": (a, a), "pp": (p, p)}
    found = [
        apart(ways[way][0][i], ways[way][1][j]) for way in blocks for j in range(len(a)) if j != i
    ]
    return min(d for d in found if d >= losses.CLOSE)


def slowly(loss, batch):
    """The four losses, a pair at a time."""
    a, p, lengths, others = batch
    total = 0.0
    for i in range(len(a)):
        near = apart(a[i], p[i])
        if loss.kind == "course":
            gap = (a[i] - p[i]).square().mean() - (a[i] - p[others[i]]).square().mean()
            one = (gap + loss.margin).clamp(min=0)
            total += one**2 if loss.squared else one
        elif loss.kind == "hardnet":
            far = hardest(batch, i, ("ap", "pa") if loss.swap else ("ap",))
            total += (loss.margin + near - far).clamp(min=0)
        else:
            far = hardest(batch, i, ("ap", "pa", "aa", "pp"))
            if loss.kind == "hynet":
                bent = [d + loss.alpha / 2 * d**2 for d in (near, far)]
                total += (loss.margin + bent[0] - bent[1]).clamp(min=0)
                total += loss.lengths * (lengths[0, i] - lengths[1, i]) ** 2
            else:
                total += (loss.margin + near - far).clamp(min=0) ** 2
                total += loss.weight * order_of(loss, batch, i)
    return total / len(a)


def order_of(loss, batch, i):
    a, p = batch.anchors, batch.positives

    def among(j, k):
        """Whether k is among the nearest of j in any of the ways that distances are taken."""
        for x, y in ((a, a), (p, p), (a, p), (p, a)):
            ranked = sorted((float(apart(x[j], y[m])), m) for m in range(len(a)) if m != j)
            if k in [m for _, m in ranked[: loss.neighbours]]:
                return True
        return False

    terms = [
        (apart(a[i], a[j]) - apart(p[i], p[j])) ** 2
        for j in range(len(a))
        if j != i and (among(i, j) or among(j, i))
    ]
    return (sum(terms) + losses.TINY).sqrt()


EACH = [
    CourseTriplet(), CourseTriplet(squared=True), HardestInBatch(), HardestInBatch(swap=False),
    SecondOrder(neighbours=2), SecondOrder(), Hybrid(),
]  # fmt: skip


@pytest.mark.parametrize("loss", EACH, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_loss_is_what_loops_over_all_places_find(loss, seed):
    batch = at_random(seed=seed)
    assert loss(batch) == pytest.approx(float(slowly(loss, batch)), rel=1e-9)
    assert loss(batch) != pytest.approx(float(slowly(loss, at_random(seed=seed + 2))), rel=1e-3)


def test_distances_are_euclidean_and_never_nan():
    a, p, *_ = at_random(unit=False)
    torch.testing.assert_close(distances(a, p), torch.cdist(a, p), rtol=0, atol=1e-5)
    single = torch.randn(50, 128) * 100
    assert distances(single, single).isfinite().all()


# — slopes —


def numeric(f, x, eps=1e-6):
    slopes = torch.empty_like(x)
    for i, kept in enumerate(x.flatten().tolist()):
        x.view(-1)[i] = kept + eps
        above = float(f())
        x.view(-1)[i] = kept - eps
        slopes.view(-1)[i] = (above - float(f())) / (2 * eps)
        x.view(-1)[i] = kept
    return slopes


@pytest.mark.parametrize("loss", EACH, ids=str)
def test_slopes_are_those_of_finite_differences(loss):
    batch = at_random(count=6)
    learnt = batch._replace(anchors=batch.anchors.clone().requires_grad_())
    loss(learnt).backward()
    expected = numeric(lambda: loss(batch), batch.anchors)
    torch.testing.assert_close(learnt.anchors.grad, expected, rtol=1e-5, atol=1e-8)
    assert expected.abs().max() > 1e-3


def test_the_slope_of_a_teacher_is_that_of_finite_differences():
    pupil, teacher, *_ = at_random(count=5)
    learnt = pupil.clone().requires_grad_()
    taught(learnt, teacher, 0.7).backward()
    expected = numeric(lambda: taught(pupil, teacher, 0.7), pupil)
    torch.testing.assert_close(learnt.grad, expected, rtol=1e-5, atol=1e-8)


# — the same place twice —


def test_a_place_that_is_in_the_batch_twice_is_no_other():
    """Two places that look alike to the last bit: without the rule they would be pushed apart."""
    batch = at_random(count=6)
    twice = batch._replace(
        anchors=batch.anchors[[0, 0, 1, 2, 3, 4]], positives=batch.positives[[0, 0, 1, 2, 3, 4]]
    )
    expected = float(slowly(HardestInBatch(), twice))
    assert HardestInBatch()(twice) == pytest.approx(expected, rel=1e-9)
    same = twice._replace(positives=twice.anchors)
    alone = same._replace(anchors=same.anchors[1:], positives=same.positives[1:])
    each = [float(HardestInBatch()(x)) * len(x.anchors) for x in (same, alone)]
    own = float(1 - hardest(same, 0, ("ap",)) + losses.TINY**0.5)
    assert each[0] - each[1] == pytest.approx(max(0, own), abs=1e-6), "its double does not count"


def test_without_that_rule_the_test_above_would_fail(monkeypatch):
    batch = at_random(count=3)
    same = batch._replace(anchors=batch.anchors[[0, 0, 1]], positives=batch.anchors[[0, 0, 1]])
    lenient = float(HardestInBatch()(same))
    monkeypatch.setattr(losses, "CLOSE", 0.0)
    assert float(HardestInBatch()(same)) > lenient + 0.1


@pytest.mark.parametrize("kind", ["hardnet", "sosnet", "hynet"])
def test_where_all_places_look_alike_nothing_is_learnt_and_nothing_breaks(kind):
    """What the published rule implies: a collapsed network has a slope of zero, not of nan."""
    ones = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    batch = Described(ones, ones + 0.0, torch.ones(2, 4, dtype=torch.float64), torch.arange(4))
    loss = LOSSES[kind]()(batch)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=2e-3)
    assert ones.grad.abs().max() < 1e-9


# — what must not matter, and what must —


@pytest.mark.parametrize("kind", ["hardnet", "sosnet", "hynet"])
def test_the_order_of_places_and_a_turn_of_all_descriptors_do_not_matter(kind):
    loss, batch = LOSSES[kind](), at_random(count=8)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    turn, _ = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))
    moved = Described(
        (batch.anchors @ turn)[order], (batch.positives @ turn)[order],
        batch.lengths[:, order], batch.others,
    )  # fmt: skip
    assert loss(moved) == pytest.approx(float(loss(batch)), rel=1e-9)
    exchanged = batch._replace(positives=batch.positives.flip(0))
    assert loss(exchanged) > float(loss(batch)) + 0.1, "wrong pairs cost more"


@pytest.mark.parametrize("kind", LOSSES)
def test_descriptors_that_learn_by_a_loss_come_to_match(kind):
    """Free points, moved by the loss alone: at the end each is nearest to its own."""
    torch.manual_seed(0)
    free = torch.randn(2, 12, 8, dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=0.05)
    for step in range(150):
        raw = free if kind == "course" else F.normalize(free, dim=-1)
        others = (torch.arange(12) + 1 + step % 11) % 12
        loss = LOSSES[kind]()(Described(raw[0], raw[1], free.norm(dim=-1), others))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.cdist(raw[0], raw[1]).argmin(1).tolist() == list(range(12))


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (CourseTriplet, {"margin": 0}), (HardestInBatch, {"margin": -1}),
        (SecondOrder, {"neighbours": 0}), (Hybrid, {"alpha": -1}), (Hybrid, {"swap": True}),
    ],
)  # fmt: skip
def test_settings_that_no_loss_can_have_are_refused(kind, wrong):
    with pytest.raises(ValidationError):
        kind(**wrong)
