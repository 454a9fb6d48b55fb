"""The fingerprint of the measuring machine: its key is stable across reboots; volatile readings are separate."""

import hashlib
import json
import os
import platform
import socket
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from experiments.bench.machine.device import Device
from experiments.bench.machine.toolchain import compiler

Fingerprint = dict[str, str | int]

VECTOR_INSTRUCTIONS = (
    *("avx", "avx2", "fma", "f16c", "avx512f", "avx512_fp16", "avx512_bf16", "avx_vnni", "avx512_vnni", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "sve"),
)  # as /proc/cpuinfo writes them, on x86 and on Arm: floats by width, halves, integer dot products


def fingerprint(device: str) -> Fingerprint:
    """Facts that decide the speed of `device`: hardware, system, and versions of the compiling software."""
    facts: Fingerprint = {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(logical=True) or 0,
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "os": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "tinygrad": _package("tinygrad"),
        "numpy": _package("numpy"),
        "device": device,
    }
    parsed = Device.parse(device)
    if parsed.family.on_host:
        used = compiler()
        facts["compiler"] = used.version if used else "none"
        facts["instructions"] = _instructions()
    return facts | parsed.facts()


def key(facts: Fingerprint) -> str:
    """Twelve hexadecimal digits, equal for equal facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def volatile() -> dict[str, float | str]:
    """Readings that change by the minute: stored with a run, not part of the key."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    free = psutil.virtual_memory().available / 2**30
    return {"load_average": round(load, 2), "free_memory_gib": round(free, 2), "time": time.time()}


def host() -> str:
    """The name under which runs of this machine are queued: `TINYLAB_HOST`, or the host name."""
    return os.environ.get("TINYLAB_HOST", "") or socket.gethostname() or "localhost"


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _cpu_model() -> str:
    """The processor's name from /proc, else from the platform."""
    return _cpuinfo("model name", "hardware") or platform.processor() or platform.machine()


def _instructions() -> str:
    """The processor's vector instructions, which affect its speed; the model name may not identify the generation."""
    supported = _cpuinfo("flags", "features").split()
    return " ".join(name for name in VECTOR_INSTRUCTIONS if name in supported) or "unknown"


def _cpuinfo(*names: str) -> str:
    """The value of the first line of /proc/cpuinfo that begins with one of these names; empty without one."""
    info = Path("/proc/cpuinfo")
    if sys.platform.startswith("linux") and info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.lower().startswith(names):
                return line.partition(":")[2].strip()
    return ""
