import sys

import pytest

from experiments.bench.errors import one_line
from experiments.bench.machine import device, devices
from experiments.bench.machine.device import KNOWN
from experiments.bench.machine.devices import (
    Probe,
    first_working,
    free_memory,
    probe,
    with_cards,
)
from experiments.bench.machine.toolchain import NO_COMPILER


def test_the_processor_works():
    assert (probe("CPU").works, probe("CPU").count) == (True, 1)


def test_a_card_beyond_all_cards_fails_with_its_cause_in_one_line():
    tried = probe("CUDA:63")
    assert not tried.works
    assert tried.what
    assert "\n" not in tried.what


def test_a_probe_that_dies_is_a_failure_with_its_exit_code(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert probe("PYTHON") == Probe("PYTHON", False, "the probe failed: exit code 1")


def test_a_probe_that_cannot_start_is_a_failure_with_its_cause(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    tried = probe("PYTHON")
    assert not tried.works
    assert tried.what.startswith("the probe did not start: ")


def test_a_probe_that_hangs_is_a_failure_after_the_time_limit(monkeypatch):
    monkeypatch.setattr(devices, "PROBE_TIMEOUT_S", 0.01)
    assert probe("PYTHON") == Probe("PYTHON", False, "the probe failed: no answer within 0.01 s")


def test_without_a_compiler_the_probe_names_what_to_install(monkeypatch):
    monkeypatch.setattr(devices, "compiler", lambda: None)
    assert probe("CPU") == Probe("CPU", False, NO_COMPILER)
    assert "pip install ziglang" in NO_COMPILER


def test_the_emulator_works():
    tried = probe("PYTHON")
    assert (tried.device, tried.works, tried.count) == ("PYTHON", True, 1)


def test_causes_of_several_interfaces_are_one_line():
    error = ExceptionGroup("no interface", [OSError("no /dev/kfd\nsecond line"), ValueError("x"), ValueError("x")])
    assert one_line(error) == "OSError: no /dev/kfd / ValueError: x"
    assert len(one_line(RuntimeError("x" * 1000))) == 300


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with the CPU, and the devices that are added to it as name: count."""
    cards = {"CPU": 1}
    trace = tmp_path / "driver"
    trace.touch()

    def look(name):
        kind, _, index = name.partition(":")
        works = int(index or 0) < cards.get(kind, 0)
        return Probe(name, works, "", cards.get(kind, 0))

    monkeypatch.setattr(devices, "probe", look)
    monkeypatch.setattr(devices, "DRIVER_TRACES", {"CUDA": (str(trace),), "AMD": (str(tmp_path / "absent"),)})
    devices.forget_probes()
    yield cards
    devices.forget_probes()


def test_the_first_device_is_a_card_that_works(machine):
    machine["CUDA"] = 2
    assert first_working().device == "CUDA"


def test_a_driver_without_a_working_card_leaves_the_processor(machine):
    assert first_working().device == "CPU"


def test_a_card_without_a_trace_of_its_driver_is_not_tried(machine):
    machine["AMD"] = 1
    assert first_working().device == "CPU"


def test_where_nothing_works_the_first_device_is_the_processors_failure(machine):
    machine["CPU"] = 0
    assert (first_working().device, first_working().works) == ("CPU", False)


def test_every_card_of_a_kind_is_listed_after_its_first(machine):
    machine["CUDA"] = 3
    listed = with_cards([devices.probed("CUDA"), devices.probed("METAL"), devices.probed("CPU")])
    assert [one.device for one in listed] == ["CUDA", "CUDA:1", "CUDA:2", "METAL", "CPU"]


def test_all_known_devices_are_tried(machine):
    machine["CUDA"] = 2
    assert {one.device for one in devices.all_probes()} == {*KNOWN, "CUDA:1"}


def test_probes_are_remembered_until_they_are_forgotten(machine):
    assert not devices.probed("CUDA").works
    machine["CUDA"] = 1
    assert not devices.probed("CUDA").works
    devices.forget_probes()
    assert devices.probed("CUDA").works


def test_free_memory_is_known_for_the_processor_and_unknown_for_webgpu():
    assert free_memory("CPU") > 0
    assert free_memory("WEBGPU") is None


def test_a_cards_memory_is_its_own(monkeypatch):
    monkeypatch.setattr(device, "nvidia_smi", lambda query: ["100", "[N/A]"])
    assert [free_memory(name) for name in ("CUDA", "CUDA:1", "NV:2")] == [100 * 2**20, None, None]


def test_no_driver_is_an_empty_list_of_cards(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device.nvidia_smi("name") == []
