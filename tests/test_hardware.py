"""The machine: what it is fast in, what is free, how it is named, how many threads pay."""

import io
import platform
from types import SimpleNamespace

import psutil
import pytest
import torch

from noisepair import hardware

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


# — precision —


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus_multiply_bfloat16_from_ampere_on(monkeypatch, capability, fast):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert hardware.fast_in_bfloat16(CUDA) is fast
    assert hardware.resolve("auto", CUDA) == ("bfloat16" if fast else "float32")


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("units", [True, False])
def test_cpus_need_the_units_and_the_library_that_uses_them(monkeypatch, onednn, units):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: onednn)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: units)
    assert hardware.fast_in_bfloat16(CPU) is (onednn and units)


def test_the_question_can_be_asked_of_the_torch_that_is_here():
    """torch keeps it under a private name; this fails on the day that it moves."""
    assert isinstance(hardware.fast_in_bfloat16(CPU), bool)


def test_other_devices_stay_in_float32():
    assert hardware.resolve("auto", MPS) == "float32"


@pytest.mark.parametrize("fast", [True, False])
def test_what_was_asked_for_is_not_second_guessed(monkeypatch, fast):
    monkeypatch.setattr(hardware, "fast_in_bfloat16", lambda device: fast)
    assert hardware.resolve("float32", CPU) == "float32"
    assert hardware.resolve("bfloat16", CPU) == "bfloat16"
    assert hardware.resolve("auto", CPU) == ("bfloat16" if fast else "float32")


def test_autocast_changes_products_and_only_where_asked():
    conv, x = torch.nn.Conv2d(1, 1, 3), torch.rand(1, 1, 8, 8)
    with hardware.autocast("bfloat16", CPU):
        assert conv(x).dtype == torch.bfloat16
    with hardware.autocast("float32", CPU):
        assert conv(x).dtype == torch.float32
    assert conv.weight.dtype == torch.float32


# — what is free, what it is called —


def test_free_memory_is_what_the_system_says(monkeypatch):
    there = psutil.virtual_memory()
    assert 0 < hardware.free_memory(CPU) < there.total
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=12345))
    assert hardware.free_memory(CPU) == 12345
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (678, 999))
    assert hardware.free_memory(CUDA) == 678, "free, not total"


def test_a_machine_is_described_by_what_a_figure_depends_on():
    told = hardware.describe(CPU)
    assert told["device"] == "cpu"
    assert told["torch"] == torch.__version__
    assert told["python"] == platform.python_version()
    assert told["threads"] == torch.get_num_threads()
    assert told["cores"] >= 1
    assert told["name"]
    assert told["system"] == platform.system()


def test_a_gpu_is_called_by_its_own_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    assert hardware.describe(CUDA)["name"] == "A GPU"


def test_the_processors_name_is_read_where_the_system_tells_it(monkeypatch):
    def told(path):
        return io.StringIO("processor\t: 0\nmodel name\t: Some CPU: fast @ 2 GHz\nflags\t: x\n")

    monkeypatch.setattr(hardware, "open", told, raising=False)
    assert hardware.processor() == "Some CPU: fast @ 2 GHz"

    def missing(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(hardware, "open", missing)
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert hardware.processor() == "arm"
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert hardware.processor() == platform.machine()


# — threads —


class Machine:
    """A step takes `cost[threads]` seconds of a time that is told, not waited for."""

    def __init__(self, patch, threads, cost):
        self.now, self.threads, self.cost, self.used = 0.0, threads, cost, []
        patch.setattr(hardware, "time", SimpleNamespace(perf_counter=lambda: self.now))
        patch.setattr(torch, "get_num_threads", lambda: self.threads)
        patch.setattr(torch, "set_num_threads", self.set)

    def set(self, count):
        self.threads = count

    def run(self, tuner, steps, between=0.0, ready=True):
        for _ in range(steps):
            if ready:
                tuner.start()
            self.used.append(self.threads)
            self.now += self.cost[self.threads]
            tuner.stepped()
            self.now += between


def test_the_fastest_thread_count_is_kept(monkeypatch):
    machine = Machine(monkeypatch, 8, {8: 1.8, 7: 0.05, 4: 0.08})
    tuner = hardware.Threads()
    machine.run(tuner, 50)
    assert set(machine.used[:12]) == {8, 7, 4}
    assert set(machine.used[12:]) == {7}


def test_the_first_step_of_a_count_which_makes_ready_says_nothing(monkeypatch):
    """Else the first step of all, many times slower, would speak against all threads."""
    machine = Machine(monkeypatch, 2, {2: 1.0, 1: 2.0})
    tuner = hardware.Threads()
    machine.now += 10.0
    machine.run(tuner, 1, ready=False)
    machine.run(tuner, 20)
    assert set(machine.used[8:]) == {2}


def test_where_all_threads_pay_all_are_used(monkeypatch):
    machine = Machine(monkeypatch, 8, {8: 0.01, 7: 0.02, 4: 0.03})
    machine.run(hardware.Threads(), 50)
    assert set(machine.used[12:]) == {8}


def test_what_lies_between_steps_is_not_counted(monkeypatch):
    """A validation of ten seconds says nothing of the thread count that was being tried."""
    machine = Machine(monkeypatch, 2, {2: 1.0, 1: 2.0})
    tuner = hardware.Threads()
    machine.run(tuner, 1, between=10.0)
    machine.run(tuner, 20)
    assert set(machine.used[8:]) == {2}


def test_a_machine_that_became_free_is_noticed_and_trying_is_cheap(monkeypatch):
    machine = Machine(monkeypatch, 2, {2: 1.0, 1: 0.1})
    tuner = hardware.Threads()
    machine.run(tuner, 100)
    assert machine.threads == 1
    machine.cost = {2: 0.06, 1: 0.1}
    machine.used.clear()
    machine.run(tuner, 3000)
    assert machine.threads == 2, "the other program is gone"
    assert machine.used.count(1) < 1000


def test_one_thread_is_left_alone(monkeypatch):
    machine = Machine(monkeypatch, 1, {1: 1.0})
    machine.run(hardware.Threads(), 100)
    assert set(machine.used) == {1}


def test_afterwards_the_threads_are_what_they_were(monkeypatch):
    machine = Machine(monkeypatch, 4, {4: 1.0, 3: 0.5, 2: 0.1})
    tuner = hardware.Threads()
    machine.run(tuner, 20)
    assert machine.threads == 2
    tuner.restore()
    assert machine.threads == 4
