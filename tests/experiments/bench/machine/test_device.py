import pytest

from experiments.bench.machine.device import FAMILIES, Device


@pytest.mark.parametrize(
    ("text", "name", "family", "index", "is_cpu", "on_host"),
    [
        ("CPU", "CPU", "CPU", 0, True, True),
        ("cpu:0", "CPU", "CPU", 0, True, True),
        ("CPU:3", "CPU:3", "CPU", 3, True, True),
        ("PYTHON", "PYTHON", "PYTHON", 0, False, True),
        ("CUDA:12", "CUDA:12", "CUDA", 12, False, False),
    ],
)
def test_a_device_is_its_family_and_its_index(text, name, family, index, is_cpu, on_host):
    device = Device.parse(text)
    assert (device.name, device.family.name, device.index) == (name, family, index)
    assert (device.is_cpu, device.family.on_host) == (is_cpu, on_host)


@pytest.mark.parametrize("text", ["", "auto", "TPU", "CUDA:", "CUDA:64"])
def test_any_other_text_is_no_device(text):
    with pytest.raises(ValueError, match="is not a device"):
        Device.parse(text)


def test_families_stand_in_the_order_of_preference_and_the_emulator_is_last():
    names = list(FAMILIES)
    assert names.index("CUDA") < names.index("CPU") < names.index("PYTHON") == len(names) - 1


def test_only_cuda_has_limited_graphs():
    assert [name for name, family in FAMILIES.items() if family.has_limited_graphs] == ["CUDA"]
