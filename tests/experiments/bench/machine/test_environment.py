from pathlib import Path

import pytest

from experiments.bench.machine import device, environment
from experiments.bench.machine.environment import fingerprint, key, volatile

FACTS = {"cpu": "one", "cores": 2, "device": "CPU"}


def test_the_same_facts_have_the_same_key_in_any_order():
    assert key(FACTS) == key(dict(reversed(FACTS.items())))
    assert len(key(FACTS)) == 12
    assert int(key(FACTS), 16) >= 0


@pytest.mark.parametrize("change", [{"cpu": "two"}, {"cores": 4}, {"device": "CUDA"}, {"tinygrad": "0.15.0"}])
def test_another_machine_has_another_key(change):
    assert key(FACTS | change) != key(FACTS)


def test_the_key_of_this_machine_is_stable():
    assert key(fingerprint("CPU")) == key(fingerprint("CPU"))


def test_what_changes_by_the_minute_is_not_in_the_fingerprint():
    assert volatile().keys() == {"load_average", "free_memory_gib", "time"}
    assert not volatile().keys() & fingerprint("CPU").keys()


def test_the_fingerprint_of_the_processor_names_what_decides_its_speed():
    facts = fingerprint("CPU")
    assert facts.keys() >= {"cpu", "cores", "memory_gib", "os", "python", "tinygrad", "numpy", "compiler"}
    assert all(facts.values())


def test_a_missing_compiler_is_in_the_fingerprint(monkeypatch):
    monkeypatch.setattr(environment, "compiler", lambda: None)
    assert fingerprint("CPU")["compiler"] == "none"


@pytest.mark.parametrize(("name", "gpu"), [("CUDA", "H200"), ("CUDA:1", "A100"), ("CUDA:2", "unknown")])
def test_a_card_is_named_with_its_driver(monkeypatch, name, gpu):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    said = {"name": ["H200", "A100"], "driver_version": ["580.1", "580.1"]}
    monkeypatch.setattr(device, "nvidia_smi", lambda query: said[query])
    facts = fingerprint(name)
    assert (facts["gpu"], facts["driver"], facts["device"]) == (gpu, "580.1", name)
    assert "compiler" not in facts


@pytest.mark.parametrize(
    ("visible", "name", "gpu"),
    [("1,0", "CUDA", "A100"), ("1,0", "CUDA:1", "H200"), ("GPU-b", "CUDA", "A100"), ("MIG-c", "CUDA", "unknown")],
)
def test_a_card_is_the_one_that_cuda_is_told_to_see(monkeypatch, visible, name, gpu):
    said = {"name": ["H200", "A100"], "driver_version": ["580.1", "580.1"], "uuid": ["GPU-a", "GPU-b"]}
    monkeypatch.setattr(device, "nvidia_smi", lambda query: said[query])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert fingerprint(name)["gpu"] == gpu


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model name\t: AMD EPYC\nflags\t\t: fpu sse2 f16c avx2 avx512_vnni\n", "avx2 f16c avx512_vnni"),
        ("Features\t: fp asimd asimddp\n", "asimd asimddp"),
        ("flags\t\t: fpu\n", "unknown"),
    ],
)
def test_processors_of_one_name_differ_in_their_instructions(monkeypatch, text, words):
    monkeypatch.setattr(Path, "read_text", lambda path, errors: text)
    monkeypatch.setattr(Path, "exists", lambda path: True)
    monkeypatch.setattr("sys.platform", "linux")
    assert environment._instructions() == words
