"""What reaches a process that measures is listed; what would have changed a measurement is told."""

import pytest

from experiments.bench.machine.variables import inherited, set_aside

NEEDED = {"PATH": "/bin", "HOME": "/root", "CUDA_VISIBLE_DEVICES": "1", "XDG_CACHE_HOME": "/home/c", "LC_ALL": "C"}


def test_what_finds_programs_folders_and_cards_is_inherited():
    assert inherited(NEEDED) == NEEDED
    assert set_aside(NEEDED) == []


def test_variables_of_the_lab_and_of_user_defined_experiments_are_inherited():
    assert inherited({"TINYLAB_EXPERIMENTS": "here", "TINYLAB_MINE": "1"}).keys() == {
        "TINYLAB_EXPERIMENTS",
        "TINYLAB_MINE",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("PROFILE", "BEAM", "JITBEAM", "NOOPT", "JIT", "DEBUG", "VIZ", "DEV", "CC", "CPU", "CUDA_NVRTC"),
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LD_PRELOAD", "MALLOC_ARENA_MAX"),
        *("CUDA_LAUNCH_BLOCKING", "PYTHONOPTIMIZE", "PYTHONMALLOC"),
    ],
)
def test_what_would_change_a_measurement_is_not_inherited_and_told(name):
    assert inherited({name: "1"}) == {}
    assert set_aside({**NEEDED, name: "1"}) == [name]


@pytest.mark.parametrize("name", ["EDITOR", "AWS_SECRET_ACCESS_KEY", "DBUS_SESSION_BUS_ADDRESS", "NV_CUDA_LIB_VERSION"])
def test_what_would_change_nothing_is_not_inherited_and_not_told(name):
    assert inherited({name: "1"}) == {}
    assert set_aside({name: "1"}) == []


def test_what_is_told_is_sorted():
    assert set_aside({"VIZ": "1", "BEAM": "2", "OMP_NUM_THREADS": "3"}) == ["BEAM", "OMP_NUM_THREADS", "VIZ"]
