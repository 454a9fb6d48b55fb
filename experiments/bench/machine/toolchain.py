"""The C compiler of tinygrad's CPU device: clang if installed, else ziglang from requirements.txt.

tinygrad calls `$CC -c -x c … --target=ARCH-none-unknown-elf -march=native - -o -`. gcc has no
`--target`, so a user's `CC=gcc` must never reach the child. zig's clang accepts the call after a small
translation by the shim below.
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

from experiments.bench.machine import variables
from experiments.bench.machine.device import Device

NO_COMPILER = "no C compiler for the CPU device: neither clang nor ziglang is installed; run `pip install ziglang`"

# zig supports neither standard input nor tinygrad's bare-metal target, and by default adds run-time checks and
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
    """The folder of shims and caches, created if missing."""
    folder = user_cache_path("tinygrad-lab")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def compiler() -> Compiler | None:
    """The compiler of the CPU device; None without one."""
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
    """The cache file of compiled kernels, one per compiler version."""
    used = compiler()
    name = used.version if used else "none"
    return cache_folder() / f"kernels-{''.join(c if c.isalnum() else '-' for c in name)[:60]}.db"


def child_environment(device: str) -> dict[str, str]:
    """The environment of a process that runs tinygrad on `device`: device, compiler and caches are set.

    Of this process's own variables only those reach it that `variables` allows.
    """
    environment = variables.inherited()
    if used := compiler():
        environment["CC"] = used.program
    family = Device.parse(device).family.name
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # nvidia-smi's, so that a card's facts and lock are of that card
    return environment | order | {"DEV": family, "CACHEDB": str(kernel_cache()), "OPENBLAS_NUM_THREADS": "1"}


def _version(command: list[str]) -> str | None:
    """The first line that a command prints; None if it fails or prints nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else None


def _write_shim(zig: Path) -> Path:
    """Writes the shim atomically, under a name that depends on its text."""
    cache = cache_folder()
    text = SHIM.replace("@ZIG@", str(zig)).replace("@CACHE@", str(cache / "zig"))
    shim = cache / f"cc-{zlib.crc32(text.encode()):08x}"
    if not shim.exists():
        draft = shim.with_suffix(f".{os.getpid()}")
        draft.write_text(text)
        draft.chmod(draft.stat().st_mode | stat.S_IXUSR)
        draft.replace(shim)
    return shim
