"""No clean picture is within reach of the loss when the bundled weights are made."""

import functools
import gc
import importlib.util
import sys
import types
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisepair import checkpoint, images, sources
from noisepair.descriptors.networks import Quick
from noisepair.models import DRUNet, Scale, UNet
from noisepair.recipe import Recipe
from noisepair.sources import _noise as making
from noisepair.train import train

ROOT = Path(__file__).parents[1]
SIDE, SIGMA = 48, 0.1


def photographs(seed=0, count=2, side=100):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)]


@pytest.fixture
def script(tmp_path, monkeypatch):
    """training/make_weights.py, on two small photographs, with a recipe of one strength."""
    spec = importlib.util.spec_from_file_location("make_weights", ROOT / "training/make_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SIDE", SIDE)
    (tmp_path / "photos").mkdir()
    for n, photo in enumerate(photographs()):
        Image.fromarray(photo).save(tmp_path / "photos" / f"{n}.png")
    noise = f'noise = {{ kind = "gaussian", sigma = {SIGMA} }}'
    (tmp_path / "recipe.toml").write_text(noise)
    return module


class Handed:
    """What `train` is given, and which arrays of photographs are still there at that moment."""

    def __init__(self, module, monkeypatch, kind, folder):
        self.held = []
        read, tiles = images.read, module.tiles

        def watched_read(path):
            image = read(path)
            self.watch(image.pixels)
            return image

        def watched_tiles(*arguments):
            for name, square in tiles(*arguments):
                self.watch(square)
                yield name, square

        monkeypatch.setattr(module.images, "read", watched_read)
        monkeypatch.setattr(module, "tiles", watched_tiles)
        monkeypatch.setattr(module, "train", self.train)
        words = [kind, "--photos", folder / "photos", "--recipe", folder / "recipe.toml"]
        monkeypatch.setattr(sys, "argv", ["make_weights.py", *map(str, words)])
        monkeypatch.chdir(folder)
        module.main()

    def watch(self, array):
        """Remember it without keeping it, and all that it is a view of."""
        while isinstance(array, np.ndarray):
            self.held.append(weakref.ref(array))
            array = array.base

    def train(self, *given, **named):
        gc.collect()
        self.alive = sum(ref() is not None for ref in self.held)
        self.given = given, named
        self.arrays = arrays_within((given, named))


def arrays_within(root):
    """Every array and tensor that can be reached from an object, through closures too."""
    found, seen, rest = [], set(), [root]
    while rest:
        one = rest.pop()
        if id(one) in seen or isinstance(one, type | types.ModuleType):
            continue
        seen.add(id(one))
        if isinstance(one, torch.Tensor):
            found.append(one.numpy())
        elif isinstance(one, np.ndarray):
            found.append(one)
            rest.append(one.base)
        elif isinstance(one, types.FunctionType):  # not its globals: those are the whole program
            rest += [one.__closure__, one.__defaults__, one.__kwdefaults__]
        else:
            rest += gc.get_referents(one)
    return found


def clean_tiles(module, kind, folder):
    """The same squares in picture units, read again."""
    every = module.tiles([folder / "photos"], 3 if kind == "colour" else 1)
    return [images.to_unit(square) for _, square in every]


def place(array):
    """Where in memory its values lie."""
    return array.__array_interface__["data"][0]


def nearest(arrays, clean):
    """How far the nearest of all arrays is from a clean tile, root mean square; inf for none."""
    far = [
        float(np.sqrt(np.square(images.to_unit(one).reshape(tile.shape) - tile).mean()))
        for tile in clean for one in arrays if one.size == tile.size
    ]  # fmt: skip
    return min(far, default=np.inf)


# — what the script hands on —


@pytest.mark.parametrize("kind", ["colour", "grey"])
def test_when_training_begins_the_photographs_are_gone(script, monkeypatch, tmp_path, kind):
    """No array of them is left in the whole process, and what is handed on is shots alone."""
    clean = clean_tiles(script, kind, tmp_path)
    handed = Handed(script, monkeypatch, kind, tmp_path)
    assert len(clean) == 8
    assert len(handed.held) >= 10, "two photographs and eight tiles were seen"
    assert handed.alive == 0
    [shots], _ = handed.given
    places = {place(shot) for scene in shots.scenes for shot in scene.shots}
    assert len(places) == 16, "two shots of each"
    assert {place(one) for one in handed.arrays} == places, "and nothing else"
    assert nearest(handed.arrays, clean) == pytest.approx(SIGMA, rel=0.1), "no array is cleaner"


def test_a_clean_picture_that_is_kept_beside_the_shots_is_found(script, monkeypatch, tmp_path):
    """The control of the test above: a source for `target = "clean"`."""
    clean = clean_tiles(script, "grey", tmp_path)
    keeping = functools.partial(sources.open_source, keep_clean=True)
    monkeypatch.setattr(script.sources, "open_source", keeping)
    handed = Handed(script, monkeypatch, "grey", tmp_path)
    assert nearest(handed.arrays, clean) < 1e-6


def test_a_photograph_that_is_still_there_is_found(script, monkeypatch, tmp_path):
    """Another control: noise that is drawn in training needs the photographs, and keeps them."""

    def fresh(squares, noise, seed):
        return sources.open_source(squares, noise=noise, seed=seed, fresh_noise=True)

    monkeypatch.setattr(script, "sources", types.SimpleNamespace(open_source=fresh))
    handed = Handed(script, monkeypatch, "colour", tmp_path)
    assert handed.alive > 0


def test_a_photograph_in_a_closure_is_found():
    clean = np.zeros((4, 4))

    def watch(progress, kept=clean):
        return clean.sum() + kept.sum()

    assert [id(one) for one in arrays_within({"watch": watch})] == [id(clean)]
    assert arrays_within({"watch": clean_tiles}) == []


# — a larger network that begins with what a smaller one learnt —

SMALL = DRUNet(channels=(4, 6, 8), blocks=(1, 0, 1))
LARGER = {
    "wider": DRUNet(channels=(6, 6, 12), blocks=(1, 0, 1)),
    "deeper": DRUNet(channels=(4, 6, 8), blocks=(2, 1, 3)),
    "both": DRUNet(channels=(8, 10, 12), blocks=(2, 2, 2)),
}


@pytest.fixture
def learnt(tmp_path):
    """A small network that denoises a little, and a picture for it."""
    clean = {str(n): photo for n, photo in enumerate(photographs(side=32))}
    recipe = Recipe.of(
        {"noise": "gaussian", "steps": 3, "batch": 2, "crop": 16, "lr": 0.01, "holdout": 0}
    ).resolved(network=SMALL)
    train(clean, recipe=recipe, out=tmp_path / "small")
    return tmp_path / "small"


def said(folder, picture):
    card = checkpoint.read_card(folder)
    network = card.recipe.network(card.planes)
    network.load_state_dict(checkpoint.load_tensors(folder / checkpoint.WEIGHTS)[0])
    with torch.no_grad():
        return network(picture)


@pytest.mark.parametrize("larger", LARGER.values(), ids=LARGER)
def test_a_grown_network_says_what_the_smaller_one_said(script, learnt, tmp_path, larger):
    script.grow(learnt, Recipe().resolved(network=larger), tmp_path / "large")
    picture = torch.rand((1, 3, 32, 40), generator=torch.Generator().manual_seed(0))
    before, after = said(learnt, picture), said(tmp_path / "large", picture)
    assert (before - picture).abs().max() > 1e-3, "it does something"
    assert torch.allclose(before, after, atol=1e-6)


def test_what_grew_can_learn(script, learnt, tmp_path):
    """Every weight that is new has a slope, or is read by one that has: none is dead."""
    script.grow(learnt, Recipe().resolved(network=LARGER["both"]), tmp_path / "large")
    network = LARGER["both"](3)
    network.load_state_dict(checkpoint.load_tensors(tmp_path / "large" / checkpoint.WEIGHTS)[0])
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    noise = torch.randn((1, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        loss = (network(noise) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, value in network.state_dict().items():
        assert not torch.equal(value, before[name]), name


# — into the package —


def test_what_is_installed_is_what_was_trained(script, learnt, tmp_path, monkeypatch):
    """A denoiser of colour goes to `colour`; of its weights at most 2^-11 each is lost."""
    monkeypatch.setattr(script.checkpoint, "located", lambda name: tmp_path / "package" / name)
    script.install([learnt])
    picture = torch.rand((1, 3, 32, 40), generator=torch.Generator().manual_seed(0))
    before, after = said(learnt, picture), said(tmp_path / "package" / "colour", picture)
    assert torch.allclose(before, after, atol=2e-3)
    assert not torch.equal(before, after), "16 bits each"


def test_a_descriptor_that_is_installed_is_known_by_its_name(script, tmp_path, monkeypatch):
    module = script.descriptor
    card = module.DescriptorCard(Quick(half=(4,), quarter=(8,)), None, Scale(), {"recipe": {}})
    chain = module.Chain(card)
    module.write_descriptor(tmp_path / "trained", chain, card)
    monkeypatch.setattr(module, "BUNDLED", tmp_path / "package")
    script.install([tmp_path / "trained"])
    assert module.bundled() == ["noisy"]
    patches = torch.rand((3, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    one, two = (module.Descriptor.load(name, precision="float32")(patches)
                for name in (tmp_path / "trained", "noisy"))  # fmt: skip
    assert torch.allclose(one, two, atol=0.01)


# — what training makes of it —


def weights(clean, target, keep=False):
    """Of a short training, with made noise and this target; the clean pictures kept beside it."""
    recipe = Recipe.of(
        {"noise": "gaussian", "noise.sigma": SIGMA, "target": target, "steps": 3, "batch": 2,
         "crop": 16, "lr": 0.01, "precision": "float32"}
    )  # fmt: skip
    network = UNet(channels=(4, 4), head=(4,))
    if keep:
        clean = sources.open_source(clean, noise=recipe.noise, keep_clean=True)
    denoiser = train(clean, recipe=recipe.resolved(network=network))
    return list(denoiser.network.state_dict().values())


@pytest.mark.parametrize(
    ("target", "keep", "same"),
    [("shot", False, True), ("shot", True, True), ("clean", True, False)],
)
def test_pictures_that_came_to_the_same_shots_come_to_the_same_weights(
    monkeypatch, target, keep, same
):
    """Training is a function of the shots: bit for bit, whatever they were made of, and even where
    the clean pictures lie beside them. The control is a run that has these for its target."""

    def shots_of(clean, noise, seed, number, count=2):
        rng = np.random.default_rng([seed, number])
        return tuple(rng.random(clean.shape, np.float32) for _ in range(count))

    monkeypatch.setattr(making, "made_shots", shots_of)
    one, other = (
        weights([photo[:32, :32] for photo in photographs(seed, 4, 32)], target, keep)
        for seed in (0, 1)
    )
    equal = all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert equal is same


def test_both_bundled_networks_together_weigh_no_more_than_promised():
    files = [checkpoint.located(name) / checkpoint.WEIGHTS for name in checkpoint.BUNDLED]
    assert sum(file.stat().st_size for file in files) <= 8_000_000


def test_the_recipe_and_the_cards_of_the_bundled_weights_ask_for_noisy_targets(script):
    recipes = [script.recipe_in(None, planes) for planes in (1, 3)]
    recipes += [
        checkpoint.read_card(checkpoint.located(name)).recipe for name in checkpoint.BUNDLED
    ]
    for recipe in recipes:
        assert (recipe.target, recipe.pairs, recipe.fresh_noise) == ("shot", "shots", False)
        assert recipe.noise.zero_mean
