import pytest

from experiments.bench.machine.device import FAMILIES, Device, check_name


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


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("CPU", "CPU"),
        ("cpu", "CPU"),
        ("CPU:0", "CPU"),
        ("cuda:1", "CUDA:1"),
        ("CUDA:63", "CUDA:63"),
        ("Auto", "auto"),
        ("CUDA:00", "CUDA"),  # one card has one name: a second would have a lock of its own
        ("CUDA:01", "CUDA:1"),
    ],
)
def test_a_name_is_spelled_as_tinygrad_spells_it(given, name):
    assert check_name(given) == name


@pytest.mark.parametrize(
    "given",
    [
        "",
        "TPU",
        "CPU:",
        "CPU:64",
        "CPU:-1",
        "CUDA:1:2",
        "CUDA 1",
        "CPU\n",
        "CUDA:٣",
        "../CPU",
        "auto:1",
        "CPU;",
        "DISK",
    ],
)
def test_a_name_that_is_no_device_is_refused_with_those_that_are(given):
    with pytest.raises(
        ValueError, match=r"not allowed; give auto, CUDA, .*, or one of several devices, such as CUDA:1"
    ) as refused:
        check_name(given)
    assert "\n" not in str(refused.value)


def test_an_endless_name_is_cut():
    with pytest.raises(ValueError, match="…") as refused:
        check_name("X" * 10_000)
    assert len(str(refused.value)) < 200


def test_families_stand_in_the_order_of_preference_and_the_emulator_is_last():
    names = list(FAMILIES)
    assert names.index("CUDA") < names.index("CPU") < names.index("PYTHON") == len(names) - 1


def test_only_cuda_has_limited_graphs():
    assert [name for name, family in FAMILIES.items() if family.has_limited_graphs] == ["CUDA"]
