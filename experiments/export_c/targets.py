"""Targets of an exported program: cross-compiled with zig, run here if an emulator of the target is installed."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.bench.machine.toolchain import cache_folder

BUILD_TIMEOUT_S, RUN_TIMEOUT_S = 600, 120  # the first build for a target also compiles its C library, which takes 35 s
NO_ZIG = "no compiler for this target: run `pip install ziglang`"
WARNINGS = ("-Wall", "-Wextra", "-Werror")
STATIC = ("-O2", "-s", "-static")
WASM = ("-O3", "-msimd128", "-s", "-nostdlib", "-DMODEL_NO_MAIN", "-Wl,--no-entry", "-Wl,-z,stack-size=65536")
EXPORTS = ("-Wl,--export=predict", "-Wl,--export=__heap_base")


class ProgramError(RuntimeError):
    """A program could not be built or run: the cause in one line."""


@dataclass(frozen=True)
class Target:
    """A target machine: zig's name for it, compiler flags, and the emulator that runs its programs here."""

    triple: str
    flags: tuple[str, ...]
    emulator: str = ""

    @property
    def is_wasm(self) -> bool:
        """Whether it is a WebAssembly module, which has no `main`."""
        return self.triple.startswith("wasm32")

    @property
    def is_host(self) -> bool:
        """Whether this machine runs its programs without an emulator."""
        return self.triple.startswith(f"{platform.machine()}-linux") and sys.platform == "linux"


TARGETS = {
    "x86_64": Target("x86_64-linux-musl", STATIC, "qemu-x86_64"),
    "aarch64": Target("aarch64-linux-musl", STATIC, "qemu-aarch64"),
    "arm": Target("arm-linux-musleabihf", STATIC, "qemu-arm"),
    "riscv64": Target("riscv64-linux-musl", STATIC, "qemu-riscv64"),
    "wasm32": Target("wasm32-freestanding", (*WASM, *EXPORTS)),
    "windows": Target("x86_64-windows-gnu", ("-O2", "-s")),
}


def zig() -> list[str] | None:
    """The command of zig's C compiler; None if ziglang is not installed."""
    package = importlib.util.find_spec("ziglang")
    if package is None or not package.submodule_search_locations:
        return None
    return [str(Path(package.submodule_search_locations[0]) / "zig"), "cc", "-fno-sanitize=all"]


def host_compiler() -> tuple[list[str], tuple[str, ...]] | None:
    """A C compiler and its flags for this machine's instruction set: zig, else the system's; None if there is none."""
    if found := zig():
        return found, ("-mcpu=native",)
    name = next((one for one in ("clang", "gcc", "cc") if shutil.which(one)), None)
    return ([name], ("-march=native",)) if name else None


def build(target: Target, source: Path, output: Path) -> None:
    """Compiles `source` to `output` for `target`, warnings are errors; raises ProgramError if that fails."""
    compiler = zig()
    if compiler is None:
        raise ProgramError(NO_ZIG)
    compile_c([*compiler, "-target", target.triple, *target.flags, *WARNINGS], [source], output)


def compile_c(command: Sequence[str], sources: Sequence[Path], output: Path) -> None:
    """Runs a compiler; raises ProgramError with its first error line if it fails."""
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(cache_folder() / "zig")}
    call = [*command, *map(str, sources), "-o", str(output), *([] if "-nostdlib" in command else ["-lm"])]
    try:
        done = subprocess.run(
            call,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            env=environment,
            cwd=output.parent,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProgramError(f"the compiler took longer than {BUILD_TIMEOUT_S} s") from None
    except OSError as error:
        raise ProgramError(f"the compiler did not start: {error}") from None
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), "no error message")
        raise ProgramError(f"the compiler failed: {reason.strip()[:200]}")


def runner(target: Target) -> list[str] | None:
    """The command prefix that runs programs for `target` on this machine; None if it cannot run them."""
    if target.is_host:
        return []
    for name in (f"{target.emulator}-static", target.emulator) if target.emulator else ():
        if found := shutil.which(name):
            return [found]
    return None


def has_wasm() -> bool:
    """Whether wasmtime, which runs WebAssembly modules, is installed."""
    return importlib.util.find_spec("wasmtime") is not None


def run(command: Sequence[str], rows: bytes, timeout_s: float = RUN_TIMEOUT_S) -> bytes:
    """The standard output of an exported program for `rows` on its standard input; raises ProgramError if it fails."""
    try:
        done = subprocess.run(list(command), input=rows, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise ProgramError(f"the program took longer than {timeout_s:g} s") from None
    except OSError as error:
        raise ProgramError(f"the program did not start: {error}") from None
    if done.returncode:
        raise ProgramError(
            f"the program exited with {done.returncode}: {done.stderr.decode(errors='replace').strip()[:200]}"
        )
    return done.stdout


def run_wasm(module: bytes, rows: bytes, inputs: int, outputs: int) -> bytes:
    """The logits of an exported WebAssembly module for `rows`, computed by wasmtime row by row."""
    import wasmtime

    store = wasmtime.Store()
    exports = wasmtime.Instance(store, wasmtime.Module(store.engine, module), []).exports(store)
    memory: Any = exports["memory"]
    predict: Any = exports["predict"]
    base: Any = exports["__heap_base"]
    input_at = base.value(store)
    output_at = input_at + 4 * inputs
    memory.grow(store, 1 + (4 * (inputs + outputs)) // 65536)
    logits = []
    for start in range(0, len(rows), 4 * inputs):
        memory.write(store, rows[start : start + 4 * inputs], input_at)
        predict(store, input_at, output_at)
        logits.append(bytes(memory.read(store, output_at, output_at + 4 * outputs)))
    return b"".join(logits)
