import os
import shutil
import subprocess

import pytest

from experiments.bench.machine import toolchain
from experiments.bench.machine.toolchain import child_environment, compiler, kernel_cache
from experiments.bench.timing.helper_process import run_in_process

KERNEL = "void kernel(float* restrict a, int n) { for (int i = 0; i < n; i++) a[i] = __builtin_sqrtf(a[i]) * 2; }"
CLANG = "clang version 14.0.6\nTarget: x86_64-pc-linux-gnu"
AS_TINYGRAD_CALLS = (
    *("-c", "-x", "c", "-O2", "-fPIC", "-ffreestanding", "-fno-math-errno", "-nostdlib", "-fno-ident"),
    *("--target=x86_64-none-unknown-elf", "-march=native", "-", "-o", "-"),
)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A folder that alone is the PATH, with what a shell script needs and no compiler."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat", "mktemp", "rm"):
        (folder / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(folder))
    compiler.cache_clear()
    yield folder
    compiler.cache_clear()


def program(folder, name, says, code=0):
    (folder / name).write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {code}\n")
    (folder / name).chmod(0o755)
    return str(folder / name)


def without_zig(monkeypatch):
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)


def test_a_real_clang_is_preferred(tools):
    clang = program(tools, "clang", CLANG)
    assert compiler() == toolchain.Compiler(clang, "clang version 14.0.6")
    assert child_environment("CPU")["CC"] == clang


def test_a_clang_that_is_really_gcc_is_not_taken(tools):
    program(tools, "clang", "gcc (Debian 12.2.0) 12.2.0")
    assert compiler().version.startswith("zig cc ")


def test_a_clang_that_does_not_start_is_not_taken(tools):
    program(tools, "clang", CLANG, code=1)
    assert compiler().version.startswith("zig cc ")


def test_a_clang_without_output_is_not_used(tools):
    program(tools, "clang", "")
    assert compiler().version.startswith("zig cc ")


def test_without_any_compiler_there_is_none(tools, monkeypatch):
    without_zig(monkeypatch)
    assert compiler() is None
    assert "CC" not in child_environment("CPU")


def test_a_zig_that_does_not_start_is_no_compiler(tools, monkeypatch, tmp_path):
    package = type("Package", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: package)
    assert compiler() is None


@pytest.mark.parametrize("name", ["CC", "BEAM", "JITBEAM", "NOOPT", "JIT", "DEBUG", "PROFILE", "OMP_NUM_THREADS"])
def test_what_would_change_the_measurement_never_reaches_the_child(tools, monkeypatch, name):
    without_zig(monkeypatch)
    monkeypatch.setenv(name, "4")
    assert name not in child_environment("CPU")


def test_the_child_gets_the_kind_of_its_device_and_a_cache_of_its_compiler(tools):
    environment = child_environment("CUDA:1")
    assert environment["DEV"] == "CUDA"
    assert environment["CACHEDB"] == str(kernel_cache())
    assert environment["PATH"] == os.environ["PATH"]


def test_two_compilers_never_share_compiled_kernels(tools):
    by_zig = kernel_cache()
    program(tools, "clang", CLANG)
    compiler.cache_clear()
    assert kernel_cache() != by_zig


def test_the_shim_compiles_a_kernel_as_tinygrad_asks_for_it(tools, monkeypatch):
    monkeypatch.setenv("CC", "gcc")
    environment = child_environment("CPU")
    command = [environment["CC"], *AS_TINYGRAD_CALLS]
    done = subprocess.run(command, input=KERNEL.encode(), capture_output=True, env=environment, check=True)
    assert done.stdout.startswith(b"\x7fELF")
    assert b"kernel" in done.stdout


def test_the_shim_passes_on_compile_errors(tools):
    environment = child_environment("CPU")
    command = [environment["CC"], *AS_TINYGRAD_CALLS]
    done = subprocess.run(command, input=b"void kernel( {", capture_output=True, env=environment, check=False)
    assert done.returncode != 0
    assert b"error: expected" in done.stderr
    assert done.stdout == b""


def test_the_shim_leaves_nothing_behind(tools, monkeypatch, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = child_environment("CPU") | {"TMPDIR": str(scratch)}
    command = [environment["CC"], *AS_TINYGRAD_CALLS]
    subprocess.run(command, input=KERNEL.encode(), capture_output=True, env=environment, check=True)
    assert list(scratch.iterdir()) == []


def test_tinygrad_runs_through_the_shim_though_gcc_is_asked_for(tools, monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "gcc")
    tried = run_in_process("CPU", "experiments.bench.machine.devices:try_device", tmp_path / "kernels.db")
    assert tried["works"]
