"""The lock of a device is exclusive, and is released when its holder dies."""

import pytest
from filelock import Timeout

from experiments.runs.locks import device_lock, lock_folder
from tests.experiments.runs.lab_tools import wait_for
from tests.processes import module_process


def free(device: str) -> bool:
    try:
        device_lock(device).acquire(timeout=0).lock.release()
    except Timeout:
        return False
    return True


def test_a_device_is_held_once_and_others_stay_free() -> None:
    with device_lock("CPU"):
        assert not free("CPU")
        assert free("CUDA")
        assert free("CUDA:1")
    assert free("CPU")


def test_cards_of_one_kind_have_locks_of_their_own() -> None:
    with device_lock("CUDA:1"):
        assert free("CUDA:2")
        assert not free("CUDA:1")


def test_a_killed_holder_frees_the_device() -> None:
    with module_process("tests.experiments.runs.hold_device", "CUDA:1") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert not free("CUDA:1")
        holder.kill()
    wait_for(lambda: free("CUDA:1"))


@pytest.mark.parametrize("device", ["../../etc/passwd", "a/b", "CPU:1"])
def test_no_device_leads_out_of_the_folder(device: str) -> None:
    with device_lock(device):
        files = [path.name for path in lock_folder().iterdir()]
    assert len(files) == 1
    assert "/" not in files[0]
