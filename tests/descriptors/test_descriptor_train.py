"""Training descriptors: it learns, repeats, goes on, keeps the best, and says what it cannot do."""

import json
import shutil

import pytest
import torch
from a_patch_set import sheets
from torch.nn import functional as F

from noisepair import checkpoint
from noisepair.checkpoint import Card
from noisepair.descriptors import Descriptor, DescriptorRecipe, train_descriptor
from noisepair.descriptors.descriptor import CARD, read_card
from noisepair.descriptors.learner import Pupil, card_for
from noisepair.descriptors.losses import CourseTriplet
from noisepair.descriptors.matching import Judge
from noisepair.descriptors.networks import Course, Quick
from noisepair.descriptors.views import Places
from noisepair.errors import InputError
from noisepair.models import DnCNN, PatchNet, Scale
from noisepair.noise import Gaussian
from noisepair.optim import SGD, Kaiming
from noisepair.recipe import Recipe
from noisepair.train import Diverged

CPU = torch.device("cpu")
TINY = Quick(half=(8,), quarter=(8,))
DENOISER = DnCNN(depth=3, width=4, norm="batch")


def recipe(**lines):
    usual = {"network": TINY, "steps": 6, "batch": 16, "validations": 2, "precision": "float32"}
    return DescriptorRecipe(**(usual | lines))


@pytest.fixture(scope="module")
def held():
    return sheets(2, 40, seed=9, shift=4)


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory):
    """A model folder, as `noisepair train` leaves one."""
    folder = tmp_path_factory.mktemp("denoiser") / "m"
    network = DENOISER(1)
    Kaiming()(network, torch.Generator().manual_seed(0), 0.0)
    checkpoint.create(folder)
    checkpoint.write_card(folder, Card(Recipe(network=DENOISER), 1, Scale(0.1, 0.8), {}))
    checkpoint.save_tensors(folder / checkpoint.WEIGHTS, network.state_dict(), {})
    return folder


def weights(folder):
    return checkpoint.load_tensors(folder / checkpoint.WEIGHTS)[0]


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[n], two[n]) for n in one)


def history(folder):
    return checkpoint.read_history(folder)


# — it learns —


@pytest.mark.parametrize("noise", [None, Gaussian((0.0, 0.1))], ids=["clean", "blind"])
def test_places_that_were_never_seen_match_better_than_before(tmp_path, held, noise):
    wanted = recipe(steps=40, batch=32, noise=noise)
    train_descriptor(sheets(3, 40, shift=4), out=tmp_path / "m", recipe=wanted, held=held)
    before, *_, after = (line["matching"] for line in history(tmp_path / "m"))
    assert before < 0.6
    assert after > before + 0.25


def test_the_same_steps_on_shuffled_pairs_teach_nothing(tmp_path, held):
    """The control: sheets whose places do not belong together."""
    rng = torch.Generator().manual_seed(0)
    data = sheets(3, 40, shift=4)
    for name, patches in data.items():
        order = [torch.randperm(40, generator=rng).numpy() for _ in range(16)]
        data[name] = torch.stack(
            [torch.from_numpy(sheet[o]) for sheet, o in zip(patches, order, strict=True)]
        ).numpy()
    wanted = recipe(steps=40, batch=32)
    train_descriptor(data, out=tmp_path / "m", recipe=wanted, held=held)
    before, *_, after = (line["matching"] for line in history(tmp_path / "m"))
    assert after < before + 0.1


# — it repeats and goes on —


def test_equal_recipes_give_equal_weights_and_another_seed_others(tmp_path, held):
    lines = {"noise": Gaussian(0.1)}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        wanted = recipe(seed=seed, **lines)
        train_descriptor(sheets(), out=tmp_path / name, recipe=wanted, held=held)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert equal(a, b)
    assert not equal(a, c)


@pytest.mark.parametrize("lines", [{}, {"front": DENOISER, "noise": Gaussian(0.1)}])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, held, lines):
    wanted = recipe(steps=12, validations=3, optimizer=SGD(), lr=0.05, **lines)
    train_descriptor(sheets(), out=tmp_path / "whole", recipe=wanted, held=held)
    stop = {"out": tmp_path / "part", "held": held}
    train_descriptor(sheets(), recipe=wanted, watch=lambda now: now.step == 6, **stop)
    assert not read_card(tmp_path / "part").provenance["result"]["complete"]
    left = tmp_path / "part" / ".descriptor.half.json"
    left.write_text("{")
    train_descriptor(sheets(), resume=True, **stop)
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "part"))
    state = [checkpoint.load_tensors(tmp_path / x / checkpoint.STATE)[0] for x in ("whole", "part")]
    assert equal(*state)
    told = [[(x["step"], x["loss"]) for x in history(tmp_path / n)] for n in ("whole", "part")]
    assert told[0] == told[1]
    assert not left.exists(), "what a kill left behind"


def test_another_recipe_or_other_patches_are_no_run_to_go_on_with(tmp_path, held):
    out = {"out": tmp_path / "m", "held": held}
    train_descriptor(sheets(), recipe=recipe(steps=2), **out)
    with pytest.raises(InputError, match=r"lr differs: 0\.01 there, 0\.1 here\. Leave it out"):
        train_descriptor(sheets(), recipe=recipe(steps=2, lr=0.1), resume=True, **out)
    with pytest.raises(InputError, match="these are not those that the run began with"):
        train_descriptor(sheets(seed=1), resume=True, **out)
    with pytest.raises(InputError, match=r"exists and is not empty\. Choose another folder"):
        train_descriptor(sheets(), recipe=recipe(), **out)


def test_a_budget_ends_a_run(tmp_path):
    wanted = recipe(steps=None, budget=0.5)
    train_descriptor(sheets(), out=tmp_path / "m", recipe=wanted)
    result = read_card(tmp_path / "m").provenance["result"]
    assert result["complete"]
    assert result["steps"] >= 1


# — the best is kept —


def test_what_is_returned_matches_as_well_as_the_best_line_of_the_history(tmp_path, held):
    wanted = recipe(steps=12, validations=6, noise=Gaussian(0.1), lr=0.3)
    found = train_descriptor(sheets(), out=tmp_path / "m", recipe=wanted, held=held)
    lines = history(tmp_path / "m")
    best = max(lines, key=lambda line: line["matching"])
    result = read_card(tmp_path / "m").provenance["result"]
    assert (result["best_step"], result["matching"]) == (best["step"], best["matching"])
    judged = Judge(held, wanted.noise, CPU, seed=wanted.seed).scores(found)
    assert judged["matching"] == pytest.approx(best["matching"], abs=0.02)
    assert len({line["matching"] for line in lines}) > 2, "there was a choice"


def test_without_held_out_sequences_a_share_of_those_given_is_kept_out(tmp_path):
    train_descriptor(sheets(4), out=tmp_path / "a", recipe=recipe(holdout=0.5, steps=2))
    data = read_card(tmp_path / "a").provenance["data"]
    assert (data["sequences"], data["places"], len(data["held_out"])) == (2, 48, 2)
    train_descriptor(sheets(4), out=tmp_path / "b", recipe=recipe(holdout=0, steps=2))
    card = read_card(tmp_path / "b").provenance
    assert card["data"]["held_out"] == []
    assert card["result"]["best_step"] == 2
    assert "matching" not in card["result"]


def test_numbers_that_are_none_any_more_stop_a_run(tmp_path, held):
    loss = CourseTriplet(margin=100, squared=True)
    wanted = recipe(network=Course(), optimizer=SGD(), lr=100.0, steps=4, validations=4, loss=loss)
    with pytest.raises(Diverged, match=r"is (nan|inf) at step \d\. Lower lr \(100 now\)"):
        train_descriptor(sheets(), out=tmp_path / "m", recipe=wanted, held=held)
    assert Descriptor.load(tmp_path / "m").describe(sheets()["v_0"][0]).shape == (24, 128)


# — with a denoiser in front —


def pupil_of(**lines):
    wanted = recipe(**lines)
    return Pupil(wanted, card_for(wanted, {}), CPU)


def test_a_trained_denoiser_stays_as_it_was_unless_it_may_learn(tmp_path, denoiser, held):
    for joint in (False, True):
        lines = {"denoiser": str(denoiser), "joint": joint, "noise": Gaussian(0.1)}
        out = tmp_path / str(joint)
        train_descriptor(sheets(), out=out, recipe=recipe(**lines), held=held)
        inside = {
            name.removeprefix("front.network."): value
            for name, value in weights(out).items()
            if name.startswith("front.")
        }
        assert equal(inside, weights(denoiser)) != joint


def test_the_folder_brings_its_denoiser_along(tmp_path, denoiser, held):
    lines = {"denoiser": str(denoiser), "noise": Gaussian(0.1), "steps": 2}
    train_descriptor(sheets(), out=tmp_path / "m", recipe=recipe(**lines), held=held)
    gone = tmp_path / "copy"
    shutil.copytree(tmp_path / "m", gone)
    found = Descriptor.load(gone)
    patches = torch.rand(3, 1, 32, 32)
    scale = Scale(0.1, 0.8)
    assert found.card.scale == scale
    by_hand = DENOISER(1).eval()
    by_hand.load_state_dict(weights(denoiser))
    with torch.no_grad():
        shown = scale.back(by_hand(scale.into(patches))).clamp(0, 1)
        torch.testing.assert_close(
            found(patches), found.chain.network(shown), rtol=0, atol=0.02
        )  # bfloat16 where the machine has it
        assert (found(patches) - found.chain.network(patches)).abs().max() > 0.05


def test_a_denoiser_that_learnt_in_front_of_one_descriptor_stands_in_front_of_another(tmp_path):
    lines = {"front": DENOISER, "noise": Gaussian(0.1), "steps": 2}
    train_descriptor(sheets(), out=tmp_path / "a", recipe=recipe(**lines))
    lines = {"denoiser": str(tmp_path / "a"), "noise": Gaussian(0.1), "steps": 2, "seed": 1}
    train_descriptor(sheets(), out=tmp_path / "b", recipe=recipe(**lines))
    one, two = weights(tmp_path / "a"), weights(tmp_path / "b")
    fronts = [{n: x for n, x in part.items() if n.startswith("front.")} for part in (one, two)]
    assert equal(*fronts)
    assert not equal(one, two)
    train_descriptor(sheets(), out=tmp_path / "c", recipe=recipe(steps=2))
    with pytest.raises(InputError, match="has no denoiser in front"):
        train_descriptor(sheets(), out=tmp_path / "d", recipe=recipe(denoiser=str(tmp_path / "c")))


def test_frozen_noise_is_denoised_once_and_it_is_the_same_as_at_every_step(denoiser):
    lines = {"denoiser": str(denoiser), "noise": Gaussian(0.1), "fresh_noise": False}
    lines["loss"] = {"kind": "course"}
    once, each = pupil_of(**lines), pupil_of(**lines)
    places = [Places(sheets(), once.recipe, CPU) for _ in range(2)]
    once.denoise_once(places[0])
    assert once.denoised
    found = [
        float(pupil.loss(next(where.batches())).detach())
        for pupil, where in zip((once, each), places, strict=True)
    ]
    assert found[0] == pytest.approx(found[1], rel=0.02), "but for 8 bits"
    assert not torch.equal(places[0].seen, places[1].seen)
    fresh = pupil_of(denoiser=str(denoiser), noise=Gaussian(0.1))
    fresh.denoise_once(Places(sheets(), fresh.recipe, CPU))
    assert not fresh.denoised


@pytest.mark.parametrize("target", ["clean", "noisy"])
def test_a_denoiser_learns_from_clean_patches_or_from_noisy_pairs_alone(tmp_path, target):
    """With no weight on triplets it is a denoiser's training, and clean patches only judge it."""
    front = DnCNN(depth=3, width=8)
    lines = {"front": front, "noise": Gaussian(0.2), "triplet": 0.0, "lr": 0.01}
    wanted = recipe(steps=60, target=target, pixel_loss="l2", **lines)
    found = train_descriptor(sheets(), out=tmp_path / "m", recipe=wanted)
    levels = [line["mae"] for line in history(tmp_path / "m")]
    assert levels[-1] < 0.7 * 255 * 0.2 * (2 / torch.pi) ** 0.5, "of noise, σ·√(2/π) is the mean"
    assert read_card(tmp_path / "m").provenance["result"]["mae"] == min(levels)
    clean = torch.from_numpy(sheets(1, 40, seed=5)["v_0"][0]).float()[:, None] / 255
    noisy = clean + 0.2 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    before = (noisy.clamp(0, 1) - clean).square().mean()
    with torch.no_grad():
        after = (found.chain.front(noisy) - clean).square().mean()
    assert after < 0.5 * before


def test_the_terms_of_a_joint_run_add_up(denoiser):
    lines = {"denoiser": str(denoiser), "noise": Gaussian(0.1), "pixel_loss": "0.5*l1 + l2"}
    parts = {
        "frozen": {"triplet": 1.0, "joint": False},
        "pixels": {"triplet": 0.0, "joint": True, "pixels": 1.0},
        "both": {"triplet": 2.0, "joint": True, "pixels": 3.0},
    }
    found = {}
    for name, part in parts.items():
        pupil = pupil_of(**lines, **part)
        pupil.chain.eval()  # no dropout
        views = next(Places(sheets(), pupil.recipe, CPU).batches())
        found[name] = float(pupil.loss(views).detach())
    assert found["both"] == pytest.approx(2 * found["frozen"] + 3 * found["pixels"], rel=1e-5)


# — with a teacher —


@pytest.mark.parametrize("relational", [0.0, 0.5])
def test_a_pupil_comes_to_answer_to_noisy_patches_as_its_teacher_to_clean_ones(
    tmp_path, held, relational
):
    data = sheets(3, 40)
    train_descriptor(data, out=tmp_path / "t", recipe=recipe(steps=10), held=held)
    teacher = Descriptor.load(tmp_path / "t", precision="float32")
    wanted = recipe(
        teacher=str(tmp_path / "t"), triplet=0.0, noise=Gaussian(0.05), steps=60, lr=0.01,
        relational=relational, seed=1, holdout=0,
    )  # fmt: skip
    pupil = Pupil(wanted, card_for(wanted, {}), CPU)
    clean = torch.from_numpy(held["v_0"][0]).float()[:, None] / 255

    def likeness():
        return float(F.cosine_similarity(pupil.describe(clean), teacher(clean).detach()).mean())

    before = likeness()
    for number, views in zip(range(60), Places(data, wanted, CPU).batches(), strict=False):
        pupil.step(views, number / 60, number)
    assert likeness() > before + 0.3


# — recipes —


def test_a_recipe_is_written_as_a_person_would_and_reads_back():
    lines = {
        "network": "quick", "network.half": [16, 32], "loss": "hynet", "loss.margin": 1.5,
        "optimizer": "sgd", "optimizer.nesterov": "false", "lr": "1e-2", "noise": "gaussian",
        "noise.sigma": [0.0, 0.2], "augment": "flips", "front": "shallow-unet", "budget": "2m",
    }  # fmt: skip
    found = DescriptorRecipe.of(lines)
    assert found.network == Quick(half=(16, 32))
    assert found.front == PatchNet("shallow")
    assert (found.joint, found.budget, found.augment) == (True, 120.0, ("flips",))
    assert found.noise == Gaussian((0.0, 0.2))
    assert DescriptorRecipe.of(json.loads(json.dumps(found.lines()))) == found


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"netwrok": "quick"}, r"Unknown recipe line 'netwrok'\. .* Did you mean 'network'\?"),
        ({"network": "hardnets"}, r"Unknown network 'hardnets'\. .* Did you mean 'hardnet'\?"),
        ({"network.haalf": 3}, r"network\.haalf=3 is not possible"),
        ({"batch": 1}, r"batch=1 is not possible: should be greater than or equal to 2\."),
        ({"budget": "soon"}, r"budget='soon' is not possible: it should be a time such as 90s"),
        ({"steps": 3, "budget": 4}, r"steps=3 and budget=4\.0 both say how long a run is"),
        ({"joint": True}, r"joint lets a denoiser learn, and there is none"),
        ({"denoiser": "m", "front": "unet"}, r"and one stands in front\. Give one of them"),
        ({"target": "noisy"}, r"target=noisy compares with the same patch under other noise"),
        ({"front": "dncnn", "pixel_loss": "l3"}, r"Unknown loss 'l3'\. Available: bce, l0, l1"),
        ({"grain": 2}, r"grain=2 enlarges noise that is drawn anew at every step"),
        ({"grain": 2, "noise": "gaussian", "fresh_noise": False}, r"grain=2 enlarges noise"),
        ({"triplet": 0}, r"triplet=0 leaves nothing to learn from\. Give a teacher"),
        ({"network": "quick", "network.quarter": [], "network.eighth": [8]}, r"reached by way of"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_in_a_sentence(lines, said):
    with pytest.raises(InputError, match=said):
        DescriptorRecipe.of(lines)


def test_what_cannot_be_put_together_is_said_before_anything_is_written(tmp_path, denoiser):
    colour = tmp_path / "colour"
    shutil.copytree(denoiser, colour)
    card = json.loads((colour / checkpoint.CARD).read_text())
    (colour / checkpoint.CARD).write_text(json.dumps(card | {"planes": 3}))
    cases = [
        ({"denoiser": str(colour)}, "denoises pictures of 3 planes, and patches are grey"),
        ({"denoiser": str(tmp_path / "none")}, "is not a model: it has no model"),
        ({"teacher": str(tmp_path / "none")}, "There is no descriptor .*none"),
        ({"batch": 4096}, "There are 24 places, and batch=4096"),
    ]
    for lines, said in cases:
        with pytest.raises(InputError, match=said):
            train_descriptor(sheets(), out=tmp_path / "m", recipe=recipe(**lines))
        assert not (tmp_path / "m").exists()
    with pytest.raises(InputError, match="There are noisy patches, and none of v_1"):
        train_descriptor(sheets(), noisy=sheets(1), out=tmp_path / "m", recipe=recipe())
    with pytest.raises(InputError, match="the data bring noisy patches of their own"):
        train_descriptor(
            sheets(), noisy=sheets(), out=tmp_path / "m", recipe=recipe(noise=Gaussian())
        )


def test_the_card_says_what_the_weights_come_from(tmp_path):
    wanted = recipe(noise=Gaussian(0.1), steps=2)
    train_descriptor(sheets(), out=tmp_path / "m", recipe=wanted)
    page = json.loads((tmp_path / "m" / CARD).read_text())["provenance"]
    assert DescriptorRecipe.of(page["recipe"]) == wanted
    assert {"noisepair", "created", "machine", "precision", "data", "result"} <= page.keys()
    assert page["data"]["places"] == 24
