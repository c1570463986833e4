"""What a user installs: the wheel, far from the checkout, and what it asks for."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WHERE = "import noisepair; print(noisepair.__file__)"


def python(*words: str | Path, folder: Path, before: Path | None = None) -> str:
    """What another interpreter prints, started in `folder`, which looks in `before` first."""
    path = {"PYTHONPATH": str(before)} if before else {}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=os.environ | path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, folder=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """The wheel, unpacked by pip where only PYTHONPATH finds it: what it needs is here already."""
    folder = tmp_path_factory.mktemp("site")
    pip = ["-m", "pip", "install", "--no-index", "--no-deps", "--target", folder]
    python(*pip, wheel, folder=folder)
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    sources = ROOT / "src"
    files = [path for path in sources.glob("noisepair/**/*") if path.is_file()]
    package = {path.relative_to(sources).as_posix() for path in files if path.suffix != ".pyc"}
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {path for path in held if ".dist-info/" not in path} == package
    assert "noisepair/py.typed" in held
    assert any(path.endswith(".dist-info/licenses/LICENSE") for path in held)


def test_the_wheel_runs_in_an_empty_folder(site, tmp_path):
    assert Path(python("-c", WHERE, folder=tmp_path, before=site)).is_relative_to(site)
    version = python("-c", "import noisepair; print(noisepair.__version__)", folder=ROOT)
    assert version in python("-m", "noisepair", "--version", folder=tmp_path, before=site)
    assert list(tmp_path.iterdir()) == []


def test_without_the_wheel_the_checkout_would_have_run(tmp_path):
    assert Path(python("-c", WHERE, folder=tmp_path)).is_relative_to(ROOT)


def test_the_wheel_does_the_main_job(site, tmp_path):
    job = ["-m", "noisepair", "demo", "--budget", "1s", "--out", "demo"]
    python(*job, folder=tmp_path, before=site)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert (tmp_path / "demo" / "report.html").exists()
    assert any((tmp_path / "demo").rglob("*.safetensors"))


# — what it asks for —


def requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (page,) = (path for path in archive.namelist() if path.endswith(".dist-info/METADATA"))
        lines = archive.read(page).decode().splitlines()
    mark = "Requires-Dist: "
    return [line.removeprefix(mark) for line in lines if line.startswith(mark)]


def only_a_lower_bound(requirement: str) -> bool:
    return bool(re.fullmatch(r"[\w.-]+>=[\d.]+(; extra == '\w+')?", requirement))


def test_the_user_decides_the_versions(wheel):
    asked = requirements(wheel)
    assert "torch>=2.9" in asked
    assert "torchmetrics>=1.4; extra == 'ssim'" in asked
    assert [line for line in asked if not only_a_lower_bound(line)] == []


@pytest.mark.parametrize(
    "requirement",
    [
        "torch",
        "torch==2.13.0",
        "torch~=2.9",
        "numpy<3,>=1.26",
        "torch>=2.9,!=2.10",
        "torch==2.13; extra == 'ssim'",
    ],
)
def test_another_bound_would_be_found(requirement):
    assert not only_a_lower_bound(requirement)
