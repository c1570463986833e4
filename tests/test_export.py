"""A model as one file: the same denoiser of the file alone, or a sentence and no file."""

import json
import shutil
from copy import deepcopy
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from a_runtime import NETWORKS, Misread, picture, saved
from noisepair import checkpoint, runtimes
from noisepair import export as exported
from noisepair.app.cli import main
from noisepair.checkpoint import Card
from noisepair.denoise import Denoiser
from noisepair.errors import InputError
from noisepair.export import export
from noisepair.models import Scale
from noisepair.recipe import Recipe
from noisepair.runtimes import ONNX, SIZES, OpenVINO

EXTRAS = {"onnx": ("onnx", "onnxruntime", "onnxscript"), "openvino": ("openvino",)}
ENDINGS = {"onnx": ".onnx", "openvino": ".xml"}


def needs(*formats):
    for package in (package for name in formats for package in EXTRAS[name]):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install 'noisepair[fast,onnx]'")


@pytest.fixture(params=EXTRAS)
def form(request):
    """Each format that is installed."""
    needs(request.param)
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model folder, its pictures of faint light."""
    scale = Scale(0.1, 0.5)
    return saved(tmp_path_factory.mktemp("model") / "m", NETWORKS["dncnn"], scale=scale)


@pytest.fixture(scope="module")
def both(folder, tmp_path_factory):
    """What was exported of it."""
    needs("onnx", "openvino")
    out = tmp_path_factory.mktemp("exported")
    export(folder, onnx=out / "m.onnx", openvino=out / "m.xml")
    return out


@pytest.fixture(scope="module")
def graph(folder):
    """What torch's exporter makes of it."""
    needs("onnx")
    return exported.proto_of(Denoiser.load(folder, runtime="torch").network, 3)


@pytest.fixture
def once(request, form, monkeypatch):
    """The exporter, which takes seconds, is not asked again for what it made of this model."""
    if form == "onnx":
        made = request.getfixturevalue("graph")
        monkeypatch.setattr(exported, "proto_of", lambda network, planes: deepcopy(made))


@pytest.fixture
def files(both, tmp_path):
    """A copy of it that may be damaged."""
    return shutil.copytree(both, tmp_path / "files")


def refused(capsys, *arguments):
    """The one sentence with which these arguments are refused."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err.strip().splitlines()[-1]


# — the same denoiser —


# torch's exporter takes seconds a network, and OpenVINO's graphs of all networks are compared in
# test_runtimes.py, so most wait for `make test-all`.
QUICK = {"onnx": ("unet", "drunet"), "openvino": ("unet, every option", "ffdnet", "drunet")}
WRITTEN = [
    pytest.param(form, name, marks=[] if name in quick else pytest.mark.slow)
    for form, quick in QUICK.items()
    for name in NETWORKS
]


@pytest.mark.parametrize(("form", "name"), WRITTEN)
def test_every_network_can_be_written_and_is_the_same(tmp_path, form, name):
    """At sizes that its example, 37×53, says nothing of."""
    needs(form)
    model = saved(tmp_path / "m", NETWORKS[name])
    path = tmp_path / f"m{ENDINGS[form]}"
    [done] = export(model, **{form: path})
    assert done.path == path
    assert done.difference < 1e-5
    by_torch, by_file = Denoiser.load(model, runtime="torch"), Denoiser.load(path)
    assert by_file.runtime.name == form
    for height, width in ((64, 96), (37, 111), (1, 1), (15, 16), (130, 33)):
        noisy = picture(height, width, dtype="float32")
        expected = by_torch(noisy, channel_axis=-1)
        assert by_file(noisy, channel_axis=-1) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("tile", [None, 24])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_file_alone_is_the_denoiser(both, folder, form, dtype, tile):
    by_file = Denoiser.load(both / f"m{ENDINGS[form]}")
    by_torch = Denoiser.load(folder, runtime="torch")
    assert by_file.card == by_torch.card
    assert by_file.card.scale == Scale(0.1, 0.5)
    assert by_file.runtime.radius == by_torch.runtime.radius
    assert by_file.runtime.bytes_a_pixel >= by_torch.runtime.bytes_a_pixel
    noisy = picture(61, 83, dtype=dtype)
    ours, theirs = (one(noisy, -1, tile=tile).astype(float) for one in (by_file, by_torch))
    assert np.abs(ours - theirs).max() <= (1e-4 if dtype == "float32" else 1)
    assert np.abs(ours - noisy).max() > 0.05, "control: it does something"


def test_precision_is_that_of_the_card(both):
    assert Denoiser.load(both / "m.xml").precision(np.dtype("uint8")) == "float32"
    assert Denoiser.load(both / "m.onnx").precision(np.dtype("uint8")) == "float32"


def test_other_programs_find_names_and_free_sizes(both):
    import onnx
    import onnxruntime

    proto = onnx.load(both / "m.onnx")
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(both / "m.onnx")
    [noisy], [denoised] = session.get_inputs(), session.get_outputs()
    assert (noisy.name, noisy.shape) == ("noisy", ["batch", 3, "height", "width"])
    assert (denoised.name, denoised.shape) == ("denoised", ["batch", 3, "height", "width"])
    card = json.loads(session.get_modelmeta().custom_metadata_map["noisepair"])
    assert card["normalisation"] == {"offset": 0.1, "scale": 0.5}
    (found,) = session.run(None, {"noisy": np.zeros((2, 3, 19, 7), np.float32)})
    assert found.shape == (2, 3, 19, 7)


def test_a_file_says_nothing_of_the_machine_that_wrote_it(both):
    places = [str(path).encode() for path in (both, torch.__path__[0], exported.__file__)]
    for path in both.iterdir():
        content = path.read_bytes()
        assert not any(place in content or place[:12] in content for place in places), path.name


# — proved before it is put in place —


def misread():
    """A denoiser whose network the converters get wrong."""
    return Denoiser(Misread(), Card(Recipe(steps=1), 1, Scale(), {}))


def test_a_network_that_a_converter_gets_wrong_is_not_written(form, tmp_path):
    """ONNX's takes it, and computes a mean in place of a sum."""
    path = tmp_path / f"m{ENDINGS[form]}"
    write = {"onnx": exported.to_onnx, "openvino": exported.to_openvino}[form]
    words = "differs from torch's by" if form == "onnx" else r"avg_pool2d"
    with pytest.raises(InputError, match=rf"{path.name} is not written, because .*{words}"):
        write(misread(), path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("once")
def test_a_file_that_was_there_stays_when_its_successor_is_wrong(folder, files, form, monkeypatch):
    before = {path: path.read_bytes() for path in files.iterdir()}
    runtime = {"onnx": ONNX, "openvino": OpenVINO}[form]
    whole = runtime.__call__
    path = files / f"m{ENDINGS[form]}"
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "__call__", lambda *given: whole(*given) + 2e-4)
        with pytest.raises(InputError, match=r"differs from torch's by 0\.000"):
            export(folder, **{form: path}, overwrite=True)
    assert {path: path.read_bytes() for path in files.iterdir()} == before
    export(folder, **{form: path}, overwrite=True)
    assert {path.name for path in files.iterdir()} == {path.name for path in before}


@pytest.mark.usefixtures("once")
def test_a_card_that_comes_back_changed_is_found(folder, form, tmp_path, monkeypatch):
    texts = iter(["one", "another"])
    monkeypatch.setattr(exported, "text_of", lambda denoiser: next(texts))
    with pytest.raises(InputError, match="its card comes back changed"):
        export(folder, **{form: tmp_path / f"m{ENDINGS[form]}"})
    assert list(tmp_path.iterdir()) == []


def test_what_the_exporter_says_to_its_developers_is_not_passed_on(folder, tmp_path, capfd):
    needs("onnx")
    export(folder, onnx=tmp_path / "m.onnx")
    assert capfd.readouterr() == ("", "")


# — the command —


@pytest.mark.usefixtures("once")
def test_the_command_writes_and_the_file_denoises(folder, form, tmp_path, capsys):
    from PIL import Image

    path = tmp_path / f"m{ENDINGS[form]}"
    assert main(["export", str(folder), f"--{form}", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"{path} written" in said
    assert "MB: the same as torch within " in said
    assert main(["export", str(folder), f"--{form}", str(path), "--overwrite", "--json"]) == 0
    [one] = json.loads(capsys.readouterr().out)["written"]
    assert one["file"] == str(path)
    assert one["bytes"] >= path.stat().st_size
    assert 0 <= one["difference"] < 1e-5
    Image.fromarray(picture(20, 30)).save(tmp_path / "noisy.png")
    command = ["denoise", tmp_path / "noisy.png", "--model", path, "--out", tmp_path / "out"]
    assert main([str(word) for word in command]) == 0
    assert (tmp_path / "out" / "noisy.png").exists()


def test_refusals_of_the_command(folder, form, tmp_path, capsys):
    ending = ENDINGS[form]
    path = tmp_path / f"m{ending}"
    assert "Name one: --onnx FILE.onnx, --openvino" in refused(capsys, "export", folder)
    words = refused(capsys, "export", folder, f"--{form}", tmp_path / "m.bin")
    assert f"m.bin does not end in {ending}" in words
    assert f"Name it m{ending}." in words
    path.touch()
    words = refused(capsys, "export", folder, f"--{form}", path)
    assert f"{path} exists. Choose another name, or pass --overwrite." in words
    words = refused(capsys, "export", folder, f"--{form}", tmp_path / "none" / f"m{ending}")
    assert "No such file or directory. Make the folder first." in words
    words = refused(capsys, "export", tmp_path / "none", f"--{form}", path, "--overwrite")
    assert "is not a model" in words
    words = refused(capsys, "export", path, f"--{form}", tmp_path / f"n{ending}")
    assert "was exported already. Give the model folder" in words
    path.unlink()
    path.mkdir()
    words = refused(capsys, "export", folder, f"--{form}", path, "--overwrite")
    assert f"{path} is a folder. Choose the name of a file." in words
    assert {path.name for path in tmp_path.iterdir()} == {path.name}


def test_weights_that_would_be_overwritten_are_seen(folder, tmp_path, capsys):
    needs("openvino")
    (tmp_path / "m.bin").touch()
    words = refused(capsys, "export", folder, "--openvino", tmp_path / "m.xml")
    assert f"{tmp_path / 'm.bin'} exists" in words


@pytest.mark.parametrize(
    ("form", "package", "extra"),
    [("onnx", "onnx", "onnx"), ("onnx", "onnxscript", "onnx"), ("onnx", "onnxruntime", "onnx"),
     ("openvino", "openvino", "fast")],
)  # fmt: skip
def test_a_package_that_is_missing_is_named_with_the_line_to_type(
    folder, form, package, extra, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(
        runtimes._choose, "find_spec", lambda name: None if name == package else object()
    )
    words = refused(capsys, "export", folder, f"--{form}", tmp_path / f"m{ENDINGS[form]}")
    assert f"the package {package}, which is not installed" in words
    assert f"pip install 'noisepair[{extra}]'" in words


# — files that cannot be used —


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("name", ["m.onnx", "m.xml", "m.bin"])
def test_a_file_that_was_cut_short_is_refused(files, name, share):
    content = (files / name).read_bytes()
    (files / name).write_bytes(content[: int(share * len(content))])
    path = files / name.replace(".bin", ".xml")
    with pytest.raises(InputError, match=r"is damaged .* Write it again with `noisepair export"):
        Denoiser.load(path)


def test_weights_of_another_model_are_refused(files, tmp_path):
    """The same network, other weights: the graph would take them."""
    content = bytearray((files / "m.bin").read_bytes())
    content[len(content) // 2] ^= 1
    (files / "m.bin").write_bytes(content)
    with pytest.raises(InputError, match=r"m\.bin is damaged or another model's: .* m\.xml knows"):
        Denoiser.load(files / "m.xml")
    (files / "m.bin").unlink()
    with pytest.raises(InputError, match=r"no file .*m\.bin, and a model of OpenVINO is two"):
        Denoiser.load(files / "m.xml")


@pytest.mark.parametrize("name", ["none.onnx", "none.xml"])
def test_a_file_that_is_not_there_is_refused(both, tmp_path, name):
    with pytest.raises(InputError, match=f"There is no file .*{name}"):
        Denoiser.load(tmp_path / name)


def altered(path, change):
    """An ONNX file whose card went through `change`."""
    import onnx

    proto = onnx.load(path)
    [entry] = proto.metadata_props
    entry.value = change(entry.value)
    onnx.save(proto, path)
    return path


def lines(**changes):
    return lambda text: json.dumps(json.loads(text) | changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-9], r"m\.onnx is damaged or not noisepair's"),
        (lambda text: "[]", r"m\.onnx is damaged or not noisepair's"),
        (lines(format=checkpoint.FORMAT + 1), r"m\.onnx has model format .* Upgrade noisepair"),
        (lines(planes=1), r"m\.onnx is damaged: its card says 1 colour planes"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(files, change, words):
    with pytest.raises(InputError, match=words):
        Denoiser.load(altered(files / "m.onnx", change))


def test_the_model_of_another_program_is_refused(files):
    import onnx

    proto = onnx.load(files / "m.onnx")
    del proto.metadata_props[:]
    onnx.save(proto, files / "m.onnx")
    with pytest.raises(InputError, match=r"m\.onnx has no card of noisepair's in it"):
        Denoiser.load(files / "m.onnx")
    openvino = runtimes._openvino.package()
    graph = openvino.Core().read_model(files / "m.onnx")
    openvino.serialize(graph, files / "n.xml", files / "n.bin")
    with pytest.raises(InputError, match=r"n\.xml has no card of noisepair's in it"):
        Denoiser.load(files / "n.xml")


@pytest.mark.parametrize(
    ("name", "asked", "device", "words"),
    [
        ("m.onnx", "openvino", "cpu", "for the runtime onnx, and openvino was asked for. Leave"),
        ("m.xml", "torch", "cpu", "for the runtime openvino, and torch was asked for. Leave"),
        ("m.xml", "auto", "meta", "runs on the CPU, and device meta was asked for"),
        ("m.onnx", "onnx", "meta", "runs on the CPU, and device meta was asked for"),
    ],
)
def test_a_file_by_another_runtime_or_device_is_refused(both, name, asked, device, words):
    with pytest.raises(InputError, match=words):
        Denoiser.load(both / name, device, runtime=asked)


def test_the_sizes_that_are_tried_hold_what_has_gone_wrong():
    """Odd sides, sides below every grid of pooling, more pictures than the example has, one."""
    assert {count for count, _, _ in SIZES} >= {1, 3}
    assert any(height % 2 and width % 2 and height > 32 for _, height, width in SIZES)
    assert (1, 1, 1) in SIZES
