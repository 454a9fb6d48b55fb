"""The lock is of the hardware, under whatever name; it is exclusive, and is released when its holder dies."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from filelock import Timeout

from experiments.bench.machine import device
from experiments.runs import locks
from experiments.runs.locks import hardware_locks, lock_folder
from tests.experiments.runs.lab_tools import holding, wait_for
from tests.processes import module_process

CARDS = {"uuid": ["GPU-0aa", "GPU-1bb", "GPU-2cc"]}


def free(device: str) -> bool:
    with contextlib.suppress(Timeout), holding(device):
        return True
    return False


@pytest.fixture
def three_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "nvidia_smi", lambda query: CARDS[query])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_hardware_is_held_once_and_other_hardware_stays_free() -> None:
    with holding("CPU"):
        assert not free("CPU")
        assert free("CUDA")
        assert free("CUDA:1")
    assert free("CPU")


@pytest.mark.parametrize("other", ["CPU:1", "CPU:63", "PYTHON"])
def test_the_processor_is_one_under_all_its_names(other: str) -> None:
    with holding(other):
        assert not free("CPU")
    with holding("CPU"):
        assert not free(other)


def test_cards_of_one_kind_have_locks_of_their_own() -> None:
    with holding("CUDA:1"):
        assert free("CUDA:2")
        assert not free("CUDA:1")


@pytest.mark.usefixtures("three_cards")
def test_a_card_is_one_through_every_driver() -> None:
    with holding("CUDA:1"):
        assert not free("NV:1")
        assert free("NV")


@pytest.mark.usefixtures("three_cards")
@pytest.mark.parametrize(("visible", "same"), [("2,0", "NV:2"), ("GPU-1b", "NV:1"), ("", "NV:0")])
def test_cards_are_counted_as_cuda_is_told_to_see_them(
    monkeypatch: pytest.MonkeyPatch, visible: str, same: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with holding("CUDA"):
        assert [name for name in ("NV", "NV:1", "NV:2") if not free(name)] == [device.Device.parse(same).name]


@pytest.mark.usefixtures("three_cards")
@pytest.mark.parametrize("other", ["CPU", "CUDA:2", "AMD:1", "METAL"])
def test_an_interface_that_does_not_say_on_what_it_computes_has_all_hardware_for_itself(other: str) -> None:
    with holding("CL"):
        assert not free(other)
    with holding(other):
        assert not free("WEBGPU")


@pytest.mark.usefixtures("three_cards")
def test_several_devices_are_locked_in_one_order_whatever_the_order_of_their_names() -> None:
    names = [[lock.lock_file for lock in hardware_locks(devices)] for devices in (("CUDA:2", "CPU"), ("CPU", "NV:2"))]
    assert names[0] == names[1] == sorted(names[0])
    assert len(names[0]) == 2


def test_a_killed_holder_frees_the_device() -> None:
    with module_process("tests.experiments.runs.hold_device", "CUDA:1") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert not free("CUDA:1")
        holder.kill()
    wait_for(lambda: free("CUDA:1"))


def test_the_locks_are_in_one_place_wherever_the_temporary_folder_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TINYLAB_LOCKS")
    monkeypatch.setattr(locks, "SHARED", tmp_path / "of all")
    (tmp_path / "of all").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "of a user"))
    assert lock_folder() == tmp_path / "of all" / "tinylab-locks"


def test_where_that_place_cannot_be_written_the_locks_are_in_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TINYLAB_LOCKS")
    monkeypatch.setattr(locks, "SHARED", tmp_path / "missing")
    assert lock_folder() == tmp_path / "tinylab-locks"


def test_every_user_may_take_a_lock_that_another_made() -> None:
    with holding("CPU"):
        (file,) = lock_folder().iterdir()
        assert lock_folder().stat().st_mode & 0o1777 == 0o777
        assert file.stat().st_mode & 0o777 == 0o666


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "auto"])
def test_what_is_no_device_has_no_lock(name: str) -> None:
    with pytest.raises(ValueError, match="is not a device"):
        hardware_locks([name])


def test_no_name_of_hardware_leads_out_of_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "../../etc/passwd")
    (lock,) = hardware_locks(["CUDA"])
    assert Path(lock.lock_file).parent == lock_folder()
