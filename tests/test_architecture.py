"""What holds for the whole house: who imports whom, what is never loaded, what every page has."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src/noisepair").rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "src"))


def python(code: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `code` in an interpreter of its own, on the sources of `folder`."""
    setting = f"import sys; sys.path.insert(0, {str(folder / 'src')!r}); "
    command = [sys.executable, "-c", setting + code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


# — floors —


def floors(folder: Path) -> tuple[bool, str]:
    """Whether the sources of `folder` keep the contract of pyproject.toml; the linter's words."""
    linter = "from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    run = python(linter, folder)
    return run.returncode == 0, " ".join((run.stdout + run.stderr).split())


@pytest.fixture
def house(tmp_path):
    """A copy of the package that may be damaged."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_imports_go_down():
    kept, words = floors(ROOT)
    assert kept, words
    assert "2 kept, 0 broken" in words


def test_an_import_that_goes_up_is_found(house):
    with (house / "src/noisepair/errors.py").open("a") as page:
        page.write("\nfrom . import recipe\n")
    kept, words = floors(house)
    assert not kept
    assert "noisepair.errors -> noisepair.recipe" in words


def test_every_floor_may_be_broken_and_is_found(house):
    """A folder counts as a file does; two of the parts on one floor may not meet either."""
    broken = [
        ("evaluate/__init__", "study"), ("train", "study"), ("study/__init__", "app"),
        ("models/__init__", "recipe"), ("noise/__init__", "sources"), ("losses", "models"),
    ]  # fmt: skip
    for low, high in broken:
        dots = ".." if "/" in low else "."
        with (house / f"src/noisepair/{low}.py").open("a") as page:
            page.write(f"\nfrom {dots} import {high}\n")
    kept, words = floors(house)
    assert not kept
    for low, high in broken:
        room = low.split("/")[0]
        assert f"noisepair.{room} is not allowed to import noisepair.{high}:" in words
        assert f"noisepair.{room} -> noisepair.{high} (l." in words


def test_studies_stand_on_evaluation():
    """What the order of floors says, and that a downward import is let through."""
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    order = layers["contracts"][0]["layers"]
    assert order.index("app") < order.index("study") < order.index("evaluate")
    rooms = {room.strip() for floor in order for room in floor.split("|")}
    held = {path.stem for path in (ROOT / "src/noisepair").glob("*.py")} - {"__init__"}
    held |= {path.parent.name for path in (ROOT / "src/noisepair").glob("*/__init__.py")}
    assert rooms == held


def test_a_room_on_no_floor_is_found(house):
    (house / "src/noisepair/attic.py").write_text('"""Nobody knows which floor."""\n')
    kept, words = floors(house)
    assert not kept
    assert "noisepair.attic" in words


# — scratch: from scratch, proved —

SCRATCH = [path for path in SOURCES if "scratch" in path.parts and "check" not in path.parts]
# Of torch a page of scratch may take types, these three, fold and unfold; else Tensor's methods.
ALLOWED = {"Tensor", "Generator", "Size", "device", "dtype", "float32", "float64"}
ALLOWED |= {"empty", "cat", "arange", "no_grad", "inference_mode"}


def borrowed(source: str) -> list[str]:
    """What a page takes from torch that it should do itself, and every sign of a graph."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] == "torch"]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            names = {alias.name for alias in node.names}
            fine = {"fold", "unfold"} if node.module == "torch.nn.functional" else ALLOWED
            if node.module not in ("torch", "torch.nn.functional") or not names <= fine:
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Attribute) and node.attr in (
            "requires_grad", "requires_grad_", "grad", "grad_fn", "autograd"
        ):  # fmt: skip
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Name) and node.id == "autograd":
            found.append(node.id)
    return found


@pytest.mark.parametrize("path", SCRATCH, ids=name)
def test_scratch_takes_no_gradient_from_torch(path):
    assert borrowed(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import torch",
        "import torch.nn as nn",
        "from torch import nn",
        "from torch.nn import Conv2d",
        "from torch.nn.functional import conv2d",
        "from torch.optim import SGD",
        "from torch import autograd",
        "loss.requires_grad_()",
        "d_w = w.grad",
    ],
)
def test_a_gradient_from_torch_would_be_found(source):
    assert borrowed(source)


def test_scratch_stands_on_itself(house):
    with (house / "src/noisepair/scratch/conv.py").open("a") as page:
        page.write("\nfrom .. import files\n")
    kept, words = floors(house)
    assert not kept
    assert "scratch stands on itself BROKEN" in words


def test_scratch_trains_with_gradients_off():
    """Globally, in a process of its own, with autograd's engine taken away."""
    code = """
import torch
torch.set_grad_enabled(False)
torch.manual_seed(0)
from noisepair import scratch
torch.Tensor.backward = torch.autograd.backward = torch.autograd.grad = None
net = scratch.Sequential(
    scratch.Conv2d(3, 8, 3, 2, 1), scratch.ReLU(), scratch.Upsampling(8, 3, 3, 2, 1),
    scratch.Residual(scratch.Conv2d(3, 3, 3, padding=1)), scratch.Sigmoid())
x, loss = torch.rand(4, 3, 16, 16), scratch.MSE()
optimizer = scratch.Adam(net.param(), 0.01)
losses = []
for _ in range(60):
    optimizer.zero_grad()
    losses.append(float(loss(net(x), x)))
    net.backward(loss.backward())
    optimizer.step()
assert losses[-1] < 0.7 * losses[0], losses
assert not any(value.requires_grad for value, _ in net.param())
print("trained")
"""
    assert python(code).stdout.strip() == "trained"


# — nothing is loaded that could run —

LOADERS = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
ERRORS = {"PickleError", "UnpicklingError"}  # what torch.load(weights_only=True) raises


def risky_imports(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in LOADERS for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        if (node.module or "").split(".")[0] in LOADERS:
            return not names <= ERRORS
        return bool(names & {"load", *LOADERS})  # a bare `load` would hide whose it is
    return False


def risky_call(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    options = {word.arg: ast.unparse(word.value) for word in node.keywords}
    return (
        called in {"eval", "exec", "__import__"}
        or (called == "torch.load" and options.get("weights_only") != "True")
        or options.get("allow_pickle", "False") != "False"
    )


def risks(source: str) -> list[str]:
    """Every place where reading a file could run what is in it."""
    nodes = ast.walk(ast.parse(source))
    return [ast.unparse(node) for node in nodes if risky_imports(node) or risky_call(node)]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_file_is_unpickled(path):
    assert risks(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import UnpicklingError, loads",
        "from torch import load",
        "def f():\n    import joblib.memory",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=trust)",
        "np.load(path, allow_pickle=True)",
        "numpy.savez(path, allow_pickle=trust)",
        "eval(text)",
    ],
)
def test_unpickling_would_be_found(source):
    assert risks(source)


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, weights_only=True)",
        "from pickle import UnpicklingError",
        "np.load(path)",
        "np.load(path, allow_pickle=False)",
        "from safetensors.torch import load_file",
        "model.eval()",
    ],
)
def test_what_is_harmless_is_let_through(source):
    assert risks(source) == []


# — every page says what it is —


def has_head(source: str) -> bool:
    return bool((ast.get_docstring(ast.parse(source)) or "").strip())


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_every_file_opens_with_what_it_does(path):
    assert has_head(path.read_text(encoding="utf-8"))


def test_a_file_without_a_head_would_be_found():
    assert has_head('"""A stage."""\nx = 1')
    assert not has_head('x = 1\n"""Too late."""')
    assert not has_head("# only a comment\nx = 1")
    assert not has_head("")


# — quick to start: torch is imported when it is needed —


WATCHED = """
import os
class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            print("torch loaded: True", flush=True)
            os._exit(0)  # that it would be found is known, and takes seconds
sys.meta_path.insert(0, Watch())
"""


def loads_torch(code: str) -> bool:
    run = python(f"{WATCHED}{code}\nprint('torch loaded: False')")
    found = re.search(r"^torch loaded: (True|False)$", run.stdout, flags=re.MULTILINE)
    assert found, run.stderr
    return found[1] == "True"


def command(words: str) -> str:
    return f"""
from noisepair.app.cli import main
sys.argv = ["noisepair", *{words.split()!r}]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code"""


@pytest.mark.parametrize(
    "code",
    [
        "import noisepair",
        "import noisepair; noisepair.__version__; dir(noisepair)",
        command("--help"),
        command("--version"),
    ],
    ids=["import", "names", "help", "version"],
)
def test_what_needs_no_torch_loads_none(code):
    assert not loads_torch(code)


def test_a_stage_does_load_torch():
    assert loads_torch("import noisepair.shapes")
    assert loads_torch("import noisepair; noisepair.Recipe")
