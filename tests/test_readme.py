"""What the README shows is run: its Python, its commands, and its files."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisepair.app.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.M | re.S)


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for side in ("shots_a", "shots_b"):
        (tmp_path / side).mkdir()
        for n in range(3):
            noisy = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(noisy).save(tmp_path / side / f"{n}.png")
    [code] = blocks(ROOT / "README.md", "python")
    names = {"noisy": rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)}
    exec(code.replace('budget="10m"', "steps=2, batch=2"), names)
    assert names["clean"].shape == (40, 50, 3)
    assert names["clean"].dtype == np.uint8


@pytest.mark.parametrize(("steps", "gain"), [(60, 3), pytest.param(300, 6, marks=pytest.mark.slow)])
def test_the_lesson_runs_from_its_first_line_to_its_last(capsys, steps, gain):
    """All blocks in one namespace, as a reader types them; its own assertions judge it.

    After a fifth of its steps it has to have learnt half as much.
    """
    code = "\n".join(blocks(ROOT / "docs/scratch/by-hand.md", "python"))
    assert (code.count("300"), code.count("before + 6")) == (3, 2)
    code = code.replace("300", str(steps)).replace("before + 6", f"before + {gain}")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        try:
            exec(code, {})
        finally:
            torch.set_grad_enabled(True)
    assert re.search(r"\d dB denoised", capsys.readouterr().out)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_file_in_the_pages_exists(page):
    text = page.read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
    for line in re.findall(r"^noisepair .*", text, flags=re.M):
        assert shlex.split(line)[1] in COMMANDS, line
    for script in re.findall(r"benchmarks/\w+\.py", text):
        assert (ROOT / script).exists(), script
    for target in re.findall(r"^make ([a-z-]+)", text, flags=re.M):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.M), target
