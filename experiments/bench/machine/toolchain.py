"""The C compiler of tinygrad's CPU device: a real clang where there is one, else the one from requirements.txt.

tinygrad calls `$CC -c -x c … --target=ARCH-none-unknown-elf -march=native - -o -`. gcc knows no
`--target`, so a foreign `CC=gcc` must never reach the child. zig's clang understands the call after a small
translation, which the shim below makes.
"""

import functools
import importlib.util
import os
import shutil
import stat
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from experiments.bench.machine.device import Device

OURS = ("CC", "BEAM", "JITBEAM", "NOOPT", "JIT", "DEBUG")  # set by an experiment, or they would change what is measured
NO_COMPILER = "no C compiler for the CPU device: neither clang nor ziglang is installed; run `pip install ziglang`"

# zig takes neither standard input nor tinygrad's bare-metal target, and by default adds run-time checks and
# unwind tables, which tinygrad's loader cannot relocate.
SHIM = """#!/bin/sh
# Written by tinygrad lab: translates tinygrad's call of clang for `zig cc`.
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
for argument; do
  shift
  case $argument in
    - | -o) ;;
    --target=x86_64-*) set -- "$@" -target x86_64-linux-musl ;;
    --target=arm64-*) set -- "$@" -target aarch64-linux-musl ;;
    -march=native | -mcpu=native) set -- "$@" -mcpu=native ;;
    *) set -- "$@" "$argument" ;;
  esac
done
cat > "$folder/kernel.c"
ZIG_GLOBAL_CACHE_DIR=${ZIG_GLOBAL_CACHE_DIR:-@CACHE@} ZIG_LOCAL_CACHE_DIR=$folder \\
  "@ZIG@" cc "$@" -fno-sanitize=all -g0 -fno-asynchronous-unwind-tables \\
  "$folder/kernel.c" -o "$folder/kernel.o" && cat "$folder/kernel.o"
"""


@dataclass(frozen=True)
class Compiler:
    """A compiler for the CPU device: the program to set as CC, and what it is."""

    program: str
    version: str


def cache_folder() -> Path:
    """Where shims and tinygrad's compiled kernels are kept; made when it is missing."""
    folder = user_cache_path("tinygrad-lab")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def compiler() -> Compiler | None:
    """The compiler that the CPU device will use, None where there is none."""
    clang = shutil.which("clang")
    if clang and (version := _version([clang, "--version"])) and "clang version" in version:
        return Compiler(clang, version)
    package = importlib.util.find_spec("ziglang")
    if package is None or not package.submodule_search_locations:
        return None
    zig = Path(package.submodule_search_locations[0]) / "zig"
    version = _version([str(zig), "version"])
    return Compiler(str(_write_shim(zig)), f"zig cc {version}") if version else None


def kernel_cache() -> Path:
    """The file of tinygrad's compiled kernels for this compiler: one compiler never serves another's."""
    used = compiler()
    name = used.version if used else "none"
    return cache_folder() / f"kernels-{''.join(c if c.isalnum() else '-' for c in name)[:60]}.db"


def child_environment(device: str) -> dict[str, str]:
    """The environment of a process that runs tinygrad on `device`: device, compiler and caches set, CC ours."""
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    if used := compiler():
        environment["CC"] = used.program
    family = Device.parse(device).family.name
    return environment | {"DEV": family, "CACHEDB": str(kernel_cache()), "OPENBLAS_NUM_THREADS": "1"}


def _version(command: list[str]) -> str | None:
    """The first line that a compiler says of itself, None where it does not start."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else None


def _write_shim(zig: Path) -> Path:
    """Writes the shim beside its siblings under a name that changes with its text, whole or not at all."""
    cache = cache_folder()
    text = SHIM.replace("@ZIG@", str(zig)).replace("@CACHE@", str(cache / "zig"))
    shim = cache / f"cc-{zlib.crc32(text.encode()):08x}"
    if not shim.exists():
        draft = shim.with_suffix(f".{os.getpid()}")
        draft.write_text(text)
        draft.chmod(draft.stat().st_mode | stat.S_IXUSR)
        draft.replace(shim)
    return shim
