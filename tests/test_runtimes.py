"""Another runtime is torch, only faster: the same pictures, and torch where that cannot be had."""

import ctypes
import gc
import inspect
import json
import os
import signal
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

import noisepair
from a_runtime import NETWORKS, Misread, built, picture, saved
from noisepair import adapt, blind, hardware, runtimes
from noisepair.app import denoising
from noisepair.app.cli import main
from noisepair.denoise import Denoiser
from noisepair.errors import InputError
from noisepair.export import export
from noisepair.hardware import fast_in_bfloat16
from noisepair.models import Scale
from noisepair.runtimes import (
    SIZES,
    Auto,
    Torch,
    Unable,
    _auto,
    _choose,
    _openvino,
    _signals,
    carry,
    check,
    farthest,
)

CPU = torch.device("cpu")
UNET = NETWORKS["unet"]


@pytest.fixture
def openvino():
    if find_spec("openvino") is None:
        pytest.skip("needs the extra fast: pip install 'noisepair[fast]'")
    return _openvino.package()


@pytest.fixture
def here(monkeypatch, openvino):
    """As on a CPU that OpenVINO is known to be faster on, its start worth it from 5,000 pixels."""
    monkeypatch.setattr(_choose.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(_auto, "WORTH", 5000)


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
def test_a_folder_on_a_cpu_is_carried_out_by_torch_and_by_openvino_once_that_pays(tmp_path):
    """Each picture by one of them throughout, bit for bit as where that one was asked for."""
    folder = saved(tmp_path / "m", NETWORKS["drunet"])
    denoiser = Denoiser.load(folder)
    asked = {name: Denoiser.load(folder, runtime=name) for name in ("torch", "openvino")}
    noisy = picture(49, 51)  # two are 4998 pixels
    for expected in ("torch", "torch", "openvino", "openvino"):
        results = {
            name: one.pages(noisy[None].astype(np.float32) / 255, tile=24)
            for name, one in asked.items()
        }
        assert difference(*results.values()) > 0, "control: they round otherwise"
        found = denoiser.pages(noisy[None].astype(np.float32) / 255, tile=24)
        assert np.array_equal(found, results[expected])
        assert (denoiser.runtime.name, denoiser.runtime.note) == (expected, "")
    assert denoiser.network.radius == denoiser.runtime.radius, "the torch network is there still"
    assert denoiser.runtime.bytes_a_pixel > denoiser.network.bytes_a_pixel, "tiles fit it now"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("shape", "average", "expected"),
    [((1, 70, 71, 3), False, "torch"), ((2, 50, 50, 3), False, "openvino"),
     ((1, 25, 25, 3), False, "torch"), ((1, 25, 25, 3), True, "openvino")],
)  # fmt: skip
def test_all_pixels_that_are_carried_out_count(tmp_path, shape, average, expected):
    denoiser = Denoiser.load(saved(tmp_path / "m", UNET), average=average)
    denoiser.pages(np.zeros(shape, np.uint8))
    assert denoiser.runtime.name == expected


@pytest.mark.usefixtures("here")
def test_the_bundled_weights_are_carried_out_by_what_is_asked_for():
    noisy = picture(80, 80, dtype="float32")
    found = {name: noisepair.denoise(noisy, -1, runtime=name) for name in ("torch", "openvino")}
    assert 0 < difference(*found.values()) < 1e-4
    assert blind.bundled("colour", "cpu", "openvino").runtime.name == "openvino"
    assert blind.bundled("colour", "cpu", "torch").runtime.name == "torch"


def test_a_small_picture_does_not_wait_for_openvino(openvino, tmp_path):
    folder = saved(tmp_path / "m", UNET)
    code = f"""
import sys
import numpy as np
from noisepair.denoise import Denoiser
denoiser = Denoiser.load({str(folder)!r})
denoiser(np.zeros((321, 481, 3), np.uint8), channel_axis=-1)
print(denoiser.runtime.name, "openvino" in sys.modules)
"""
    assert alone(code) == "torch False"


def test_without_openvino_torch_does_it_and_nothing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    runtime = carry(built(UNET), 3, CPU)
    assert (type(runtime), runtime.name, runtime.note) == (Torch, "torch", "")


@pytest.mark.usefixtures("here")
def test_what_is_not_known_to_be_faster_is_left_alone(monkeypatch):
    assert isinstance(carry(built(UNET), 3, CPU), Auto), "control"
    assert isinstance(carry(built(UNET), 3, torch.device("meta")), Torch), "another device"
    monkeypatch.setattr(_choose.platform, "machine", lambda: "riscv64")
    assert isinstance(carry(built(UNET), 3, CPU), Torch)


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
    tries, of = [], runtimes.OpenVINO.of
    counted = staticmethod(lambda *given: tries.append(given) or of(*given))
    monkeypatch.setattr(runtimes.OpenVINO, "of", counted)
    runtime = carry(network, 3, CPU)
    for _ in range(2):
        runtime.expect(5000)
    assert len(tries) == 1, "it is not tried again"
    assert runtime.name == "torch"
    assert runtime.note.startswith("OpenVINO is installed and cannot carry this model out: ")
    assert runtime.note.endswith(". torch does.")
    noisy = torch.rand(1, 3, 20, 20)
    assert torch.equal(runtime(noisy, "float32"), Torch(network, CPU)(noisy, "float32"))
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


# — the command —


@pytest.fixture
def ran(capsys, tmp_path):
    """`noisepair denoise` of a picture of 60×80 and one of 50×70, with these words."""

    def run(*words, code=0):
        (tmp_path / "in").mkdir(exist_ok=True)
        for name, shape in (("a", (60, 80)), ("b", (50, 70))):
            np.save(tmp_path / "in" / f"{name}.npy", picture(*shape))
        command = ["denoise", tmp_path / "in", "--out", tmp_path / "out", "--overwrite", *words]
        assert main([str(word) for word in command]) == code
        return capsys.readouterr()

    return run


@pytest.mark.usefixtures("here")
def test_the_command_says_by_what_each_picture_was_denoised(ran, tmp_path):
    folder = saved(tmp_path / "m", UNET)
    found = {}
    for asked, used in (
        ("auto", ["torch", "openvino"]), ("torch", ["torch"] * 2), ("openvino", ["openvino"] * 2)
    ):  # fmt: skip
        words = ["--runtime", asked] if asked != "auto" else []
        written = json.loads(ran("--model", folder, *words, "--json").out)["written"]
        assert [line["runtime"] for line in written] == used
        found[asked] = np.load(tmp_path / "out" / "b.npy")
    assert difference(found["torch"], found["openvino"]) <= 1
    assert np.array_equal(found["auto"], found["openvino"])


def test_the_command_takes_the_runtime_of_a_file(monkeypatch, openvino, ran, tmp_path):
    """On the CPU, if no device is named, and a GPU is there."""
    export(saved(tmp_path / "m", UNET), openvino=tmp_path / "m.xml")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for words in (["--model", tmp_path / "m.xml"], ["--runtime", "openvino"]):
        written = json.loads(ran(*words, "--json").out)["written"]
        assert [line["runtime"] for line in written] == ["openvino"] * 2


@pytest.mark.usefixtures("here")
def test_the_command_says_once_that_openvino_could_not(monkeypatch, ran, tmp_path):
    monkeypatch.setattr(_openvino, "core", lambda: types.SimpleNamespace())
    came = ran("--model", saved(tmp_path / "m", UNET), "--json")
    assert [line["runtime"] for line in json.loads(came.out)["written"]] == ["torch"] * 2
    assert came.err.count("OpenVINO is installed and cannot carry this model out: Attr") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--runtime", "onnx"], "The runtime onnx is for a .onnx file, and this is a model folder"),
        (
            ["--runtime", "openvin"],
            '"openvin" for --runtime. Choose from: "auto", "torch", "onnx", "openvino"',
        ),
        (["--runtime", "openvino"], "needs the package openvino, which is not installed. Run: pip"),
        (["--model", "m.xml", "--runtime", "onnx"], "m.xml is for the runtime openvino, and onnx"),
    ],
)
def test_the_command_refuses_a_runtime_in_a_sentence(monkeypatch, ran, tmp_path, words, sentence):
    monkeypatch.setitem(sys.modules, "openvino", None)
    model = [] if "--model" in words else ["--model", saved(tmp_path / "m", UNET)]
    came = ran(*model, *words, code=2)
    assert sentence in came.err
    assert "Traceback" not in came.err
    assert came.out == ""


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_weights_that_learnt_from_a_picture_are_carried_out_by_what_was_asked_for(
    monkeypatch, openvino, runtime
):
    """Learning is torch's; what learnt is loaded like any model."""
    trained = Denoiser.load("colour")
    came = adapt.Adapted(trained, "adapted")
    monkeypatch.setattr(adapt, "adapt", lambda *given, **named: came)
    own = blind.Blind(Denoiser.load("colour", runtime=runtime))
    noisy = picture(40, 40)[None]
    found, said = denoising.adapted(own, noisy, 4.0, lambda part: None, runtime)
    assert (found.denoiser, found.denoiser.runtime.name, said) == (trained, runtime, "adapted")


# — manners —


def process(code, **environment):
    """`code` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def alone(code, **environment):
    """What it prints there."""
    run = process(code, **environment)
    assert run.returncode == 0, run.stderr or run.returncode
    return run.stdout.strip()


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it brings no such stack")

# Cores, each with a stack for signals, that come and go; then Ctrl-C, for the thread `whose`.
GOING = {
    "in the order in which they came": """
cores = [loaded(kept) for _ in range(2)]
while cores:
    cores.pop(0)
    gc.collect()
""",
    "another program's before ours": """
theirs, ours = loaded(contextlib.nullcontext), loaded(kept)
del theirs
del ours
""",
    "in another thread than it came": """
cores, came, gone = [], threading.Event(), threading.Event()
def work():
    cores.append(loaded(kept))
    came.set()
    gone.wait()
other = threading.Thread(target=work, daemon=True)
other.start()
came.wait()
cores.clear()
whose = other.ident
""",
}


@LINUX
@pytest.mark.parametrize("going", GOING)
@pytest.mark.parametrize("kept", [True, False])
def test_openvino_that_went_leaves_ctrl_c_as_it_was(openvino, going, kept):
    """Control: left to itself it leaves signals a stack that is none."""
    code = f"""
import contextlib, gc, runpy, signal, sys, threading, time
sys.modules["openvino_telemetry"] = None
import openvino
ours = runpy.run_path({_signals.__file__!r})["signal_stack_kept"]
kept, whose = ours if {kept} else contextlib.nullcontext, threading.get_ident()
def loaded(keep):
    core = openvino.Core()
    with keep():
        core.get_property("CPU", "FULL_DEVICE_NAME")
    return core
{GOING[going]}
gc.collect()
try:
    signal.pthread_kill(whose, signal.SIGINT)
    time.sleep(9)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
    run = process(code)
    expected = (0, "stopped\n") if kept else (-signal.SIGSEGV, "")
    assert (run.returncode, run.stdout) == expected, run.stderr


@LINUX
def test_openvino_loaded_leaves_signals_the_stack_that_they_had(openvino):
    """pytest's faulthandler has given them one."""

    def stack():
        found = _signals.Stack()
        assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found)) == 0
        return found.start, found.flags, found.size

    before = stack()
    ours = _openvino.core.__wrapped__()
    assert stack() == before
    theirs = openvino.Core()
    theirs.get_property("CPU", "FULL_DEVICE_NAME")
    assert stack() != before, "control"
    del ours, theirs
    gc.collect()
    assert stack() == before


def test_a_process_that_denoised_can_be_interrupted(openvino, tmp_path):
    folder = saved(tmp_path / "m", UNET)
    code = f"""
import gc, os, signal, time
from noisepair.denoise import Denoiser
denoisers = [Denoiser.load({str(folder)!r}, runtime="openvino") for _ in range(2)]
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
