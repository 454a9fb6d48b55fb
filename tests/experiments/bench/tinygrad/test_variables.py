"""The list of variables is that of the installed tinygrad."""

import importlib.util
import re
from pathlib import Path

import pytest

from experiments.bench.tinygrad.variables import VARIABLES, is_read_by_tinygrad

READ = re.compile(r"""(?:getenv|ContextVar|environ(?:\.\w+)?)[\[(]\s*["']([A-Za-z_0-9]+)["']""")
HARMLESS = {"BROWSER", "NO_COLOR", "PORT", "PYTEST_XDIST_WORKER_COUNT"}  # none changes what is compiled or run
LOCATIONS = {"CUDA_PATH", "LD_LIBRARY_PATH", "PATH", "ROCM_PATH", "XDG_CACHE_HOME"}  # where things are


def test_every_variable_that_the_installed_tinygrad_reads_is_listed():
    (folder,) = importlib.util.find_spec("tinygrad").submodule_search_locations
    found = {name for path in Path(folder).rglob("*.py") for name in READ.findall(path.read_text(errors="replace"))}
    assert found - HARMLESS - LOCATIONS == VARIABLES


@pytest.mark.parametrize("name", ["PROFILE", "CPU", "CUDA", "CPU_CC", "NV_IFACE", "CUDA_NVRTC", "AMD_LLVM"])
def test_what_changes_tinygrad_is_recognized_with_the_names_made_of_a_device(name):
    assert is_read_by_tinygrad(name)


@pytest.mark.parametrize("name", ["CUDA_VISIBLE_DEVICES", "CPUS", "NV_CUDA_LIB_VERSION", "CUDA_PATH", "profile"])
def test_other_names_are_not(name):
    assert not is_read_by_tinygrad(name)
