"""Another runtime is torch, only faster: the same pictures, and torch where that cannot be had."""

import inspect
import os
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from a_runtime import NETWORKS, Misread, built, picture, saved
from noisepair import hardware, runtimes
from noisepair.denoise import Denoiser
from noisepair.errors import InputError
from noisepair.hardware import fast_in_bfloat16
from noisepair.models import Scale
from noisepair.runtimes import SIZES, Torch, Unable, _choose, _openvino, carry, check, farthest

CPU = torch.device("cpu")
UNET = NETWORKS["unet"]


@pytest.fixture
def openvino():
    if find_spec("openvino") is None:
        pytest.skip("needs the extra fast: pip install 'noisepair[fast]'")
    return _openvino.package()


@pytest.fixture
def here(monkeypatch, openvino):
    """As on a CPU that OpenVINO is known to be faster on."""
    monkeypatch.setattr(_choose.platform, "machine", lambda: "x86_64")


def difference(one, other):
    return np.abs(one.astype(float) - other.astype(float)).max()


# — the same pictures —


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("planes", [1, 3])
def test_openvino_gives_what_torch_gives_at_every_size(openvino, name, planes):
    network = built(NETWORKS[name], planes)
    runtime = runtimes.OpenVINO.of(network, planes)
    assert check(runtime, network, planes, SIZES) < 1e-5
    assert farthest(runtime, built(NETWORKS[name], planes, seed=1), planes, SIZES[0]) > 1e-3
    assert (runtime.radius, runtime.multiple) == (network.radius, network.multiple)


class Altered:
    """A runtime that gives `change` of what torch gives."""

    name, note, radius, multiple, bytes_a_pixel = "torch", "", 1, 1, 100

    def __init__(self, network, change):
        self.network, self.change = network, change

    def __call__(self, noisy, precision):
        return self.change(self.network(noisy))

    def precision(self, asked, dtype):
        return "float32"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x + 2e-4, r"differs from torch's by 0\.0002 for 1 pictures of 64×96 pixels"),
        (lambda x: x * float("nan"), "differs from torch's by nan"),
        (lambda x: x if x.shape[-1] % 2 == 0 else x + 1, "by 1 for 2 pictures of 37×111"),
        (lambda x: x[..., :-1], r"it makes \(1, 1, 64, 95\) of a batch \(1, 1, 64, 96\)"),
    ],
)
def test_a_runtime_that_is_off_is_found(change, words):
    network = nn.Identity()
    assert check(Altered(network, lambda x: x + 2e-6), network, 1, SIZES) < 1e-5
    with pytest.raises(Unable, match=words):
        check(Altered(network, change), network, 1, SIZES)


def test_a_difference_counts_as_a_share_of_large_values():
    large = nn.Conv2d(1, 1, 1)
    large.weight.data.fill_(1e4)
    assert farthest(Altered(large, lambda x: x + 1), large, 1, SIZES[0]) == pytest.approx(
        1e-4, rel=0.2
    )


def test_a_network_that_the_converter_gets_wrong_is_not_carried_out(openvino):
    with pytest.raises(Unable, match=r"\w"):
        runtimes.OpenVINO.of(Misread(), 1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("tile", [None, 24])
def test_a_folder_gives_the_same_pictures_by_openvino(openvino, tmp_path, dtype, tile):
    scale = Scale() if dtype == "uint8" else Scale(0.1, 0.5)
    folder = saved(tmp_path / "m", NETWORKS["drunet"], scale=scale)
    ours, theirs = (Denoiser.load(folder, runtime=name) for name in ("openvino", "torch"))
    assert (ours.runtime.name, theirs.runtime.name) == ("openvino", "torch")
    noisy = picture(61, 83, dtype=dtype)
    results = [one(noisy, channel_axis=-1, tile=tile) for one in (ours, theirs)]
    most = 1 if np.dtype(dtype).kind == "u" else 1e-4  # of values up to 10
    assert difference(*results) <= most
    assert difference(results[0], noisy) > 0.05, "control: it does something"
    assert difference(ours(noisy[..., 0]), theirs(noisy[..., 0])) <= most


def test_a_new_size_is_no_new_compilation(openvino):
    runtime = runtimes.OpenVINO.of(built(UNET), 3)
    for side in range(20, 40):
        runtime(torch.zeros(1, 3, side, 2 * side), "float32")
    assert len(runtime.compiled) == 1


def test_a_runtime_takes_as_many_threads_as_torch_has(openvino):
    before = torch.get_num_threads()
    runtime = runtimes.OpenVINO.of(built(UNET), 3)
    try:
        torch.set_num_threads(before + 1)
        runtime(torch.zeros(1, 3, 32, 32), "float32")
    finally:
        torch.set_num_threads(before)
    assert list(runtime.compiled) == [("f32", before), ("f32", before + 1)]
    for one in runtime.compiled.values():
        assert not one.get_property("ENABLE_CPU_PINNING"), "others use these cores too"


def test_several_threads_may_denoise_at_once(openvino):
    runtime = runtimes.OpenVINO.of(built(UNET), 3)
    noisy = [torch.from_numpy(picture(3, 60, 50, n, "float32"))[None] for n in range(8)]
    noisy = [one.permute(0, 1, 3, 2) for one in noisy]
    alone = [runtime(one, "float32") for one in noisy]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: runtime(one, "float32"), noisy * 4))
    for one, other in zip(together, alone * 4, strict=True):
        assert torch.equal(one, other)


# — precision —


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_every_runtime_means_the_same_by_auto(monkeypatch, openvino, fast, name):
    monkeypatch.setattr(hardware, "fast_in_bfloat16", lambda device: fast)
    runtime = carry(built(UNET), 3, CPU, name)
    chosen = {t: runtime.precision("auto", np.dtype(t)) for t in ("uint8", "uint16", "float32")}
    assert chosen == {
        "uint8": "bfloat16" if fast else "float32", "uint16": "float32", "float32": "float32"
    }  # fmt: skip
    assert runtime.precision("float32", np.dtype("uint8")) == "float32"


@pytest.mark.skipif(not fast_in_bfloat16(CPU), reason="needs a CPU that is fast in bfloat16")
def test_bfloat16_costs_an_8_bit_picture_next_to_nothing_here_too(openvino):
    network = built(NETWORKS["drunet"])
    network.leave.weight.data *= 0.02  # a residual as small as trained networks give it
    noisy = torch.from_numpy(picture(3, 64, 48, dtype="float32"))[None].permute(0, 1, 3, 2)
    runtime = runtimes.OpenVINO.of(network, 3)
    step = 255 * (runtime(noisy, "bfloat16") - runtime(noisy, "float32")).abs()
    assert step.max() < 2
    assert step.max() > 0, "control: it was another precision"


class Edges(nn.Module):
    """How much brighter a pixel is than the one on its left: a small number of two large ones."""

    radius, multiple, bytes_a_pixel = 1, 1, 100

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, (1, 3), padding=(0, 1), bias=False)
        self.conv.weight.data = torch.tensor([-1.0, 1.0, 0.0]).view(1, 1, 1, 3)

    def forward(self, noisy):
        return self.conv(noisy)


@pytest.mark.skipif(not fast_in_bfloat16(CPU), reason="needs a CPU that is fast in bfloat16")
def test_bfloat16_does_not_round_an_8_bit_picture(monkeypatch, openvino):
    """Around 127/255, from where on bfloat16 has half as many numbers; weights it does round."""
    rng = np.random.default_rng(0)
    levels = rng.integers(124, 132, (1, 1, 30, 40)).astype(np.float32)

    def error():
        runtime = runtimes.OpenVINO.of(Edges(), 1)
        edges = [runtime(torch.from_numpy(levels / 255), p) for p in ("float32", "bfloat16")]
        return float(255 * (edges[0] - edges[1])[..., 1:].abs().max())

    assert error() < 8 / 256, "in grey levels"
    monkeypatch.setattr(_openvino, "exact_for_8_bits", lambda graph, ops: 0)
    assert error() > 0.3, "control: the picture was rounded"


@pytest.mark.parametrize(
    ("name", "reading"),
    [("unet", 1), ("noise2noise", 2), ("drunet", 1), ("dncnn", 1), ("strided", 1), ("ffdnet", 0)],
)
def test_the_convolutions_that_read_the_picture_are_found(monkeypatch, openvino, name, reading):
    """FFDNet's reads the noise level beside the picture, so it is left as it is."""
    counts = []
    whole = _openvino.exact_for_8_bits
    monkeypatch.setattr(_openvino, "exact_for_8_bits", lambda *given: counts.append(whole(*given)))
    runtimes.OpenVINO.of(built(NETWORKS[name]), 3)
    assert counts == [reading]


# — chosen by itself —


@pytest.mark.usefixtures("here")
def test_a_folder_on_a_cpu_is_carried_out_by_openvino(tmp_path):
    denoiser = Denoiser.load(saved(tmp_path / "m", UNET))
    assert (denoiser.runtime.name, denoiser.runtime.note) == ("openvino", "")
    assert denoiser.network.radius == denoiser.runtime.radius, "the torch network is there still"


def test_without_openvino_torch_does_it_and_nothing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    runtime = carry(built(UNET), 3, CPU)
    assert (runtime.name, runtime.note) == ("torch", "")


@pytest.mark.usefixtures("here")
def test_what_is_not_known_to_be_faster_is_left_alone(monkeypatch):
    assert carry(built(UNET), 3, torch.device("meta")).name == "torch", "another device"
    monkeypatch.setattr(_choose.platform, "machine", lambda: "riscv64")
    assert carry(built(UNET), 3, CPU).name == "torch"


@pytest.mark.parametrize("damage", ["import", "convert", "compile", "result", "network"])
def test_whatever_is_wrong_with_openvino_torch_does_it_and_says_so(
    monkeypatch, openvino, here, damage
):
    network = Misread() if damage == "network" else built(UNET)
    if damage == "import":
        broken = types.ModuleType("openvino")
        broken.__spec__ = openvino.__spec__
        monkeypatch.setitem(sys.modules, "openvino", broken)
        monkeypatch.setitem(sys.modules, "openvino.frontend", None)
    elif damage == "convert":
        monkeypatch.delattr(torch.jit, "trace")  # as some future torch will have it
    elif damage == "compile":
        monkeypatch.setattr(_openvino, "core", lambda: types.SimpleNamespace())
    elif damage == "result":
        whole = runtimes.OpenVINO.__call__
        off = lambda self, noisy, precision: whole(self, noisy, precision) + 1  # noqa: E731
        monkeypatch.setattr(runtimes.OpenVINO, "__call__", off)
    runtime = carry(network, 3, CPU)
    assert isinstance(runtime, Torch)
    assert runtime.note.startswith("OpenVINO is installed and cannot carry this model out: ")
    assert runtime.note.endswith(". torch does.")
    with pytest.raises(InputError, match=r"OpenVINO cannot carry this model out: .* Leave the"):
        carry(network, 3, CPU, "openvino")


# — asked for —


def test_a_runtime_that_is_not_installed_is_refused_with_the_line_to_type(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"openvino, which is not .* install 'noisepair\[fast\]'"):
        carry(built(UNET), 3, CPU, "openvino")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"onnxruntime, .* install 'noisepair\[onnx\]'"):
        Denoiser.load(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("asked", "device", "words"),
    [
        ("openvino", "meta", "The runtime openvino runs on the CPU, and device meta was asked"),
        ("onnx", "cpu", r"for a \.onnx file, and this is a model folder\. Write the file with"),
    ],
)
def test_a_runtime_that_does_not_fit_is_refused(openvino, tmp_path, asked, device, words):
    folder = saved(tmp_path / "m", UNET)
    with pytest.raises(InputError, match=words):
        Denoiser.load(folder, device, runtime=asked)


def test_a_runtime_of_another_name_is_refused():
    """The tests' own guard of types would stop it before."""
    with pytest.raises(InputError, match=r"Unknown runtime 'openvin'\..* Did you mean 'openvino'"):
        inspect.unwrap(carry)(built(UNET), 3, CPU, "openvin")


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [("m", "auto", False), ("m", "torch", False), ("m", "openvino", True), ("m", "onnx", True),
     ("m.onnx", "auto", True), (Path("m.xml"), "auto", True)],
)  # fmt: skip
def test_what_runs_on_the_cpu_alone_is_known_before_it_is_loaded(model, asked, expected):
    assert runtimes.only_cpu(model, asked) == expected


# — manners —


def alone(code, **environment):
    """What `code` prints in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr or run.returncode
    return run.stdout.strip()


def test_a_process_that_denoised_can_be_interrupted(openvino, tmp_path):
    """Models that went in the order in which they came left signals no stack to run on."""
    folder = saved(tmp_path / "m", UNET)
    code = f"""
import gc, os, signal, time
from noisepair.denoise import Denoiser
import numpy as np
denoisers = [Denoiser.load({str(folder)!r}, runtime="openvino") for _ in range(3)]
while denoisers:
    denoisers.pop(0)
    gc.collect()
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(9)
except KeyboardInterrupt:
    print("stopped")
"""
    assert alone(code) == "stopped"


def test_nothing_is_sent_and_nothing_is_left_in_the_home_folder(openvino, tmp_path):
    """`import openvino` alone does both where its telemetry is not kept out."""
    home, folder = tmp_path / "home", saved(tmp_path / "m", UNET)
    home.mkdir()
    code = f"""
import sys
from noisepair.denoise import Denoiser
import numpy as np
denoiser = Denoiser.load({str(folder)!r}, runtime="openvino")
denoiser(np.zeros((20, 20, 3), np.uint8), channel_axis=-1)
print([name for name in sys.modules if name.startswith("openvino_telemetry")])
"""
    assert alone(code, HOME=str(home), CI="") == "[]"
    assert list(home.rglob("*")) == []
