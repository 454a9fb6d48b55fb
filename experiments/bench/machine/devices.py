"""Which devices this machine has: names, probes in child processes with a time limit, free memory.

Nothing here imports tinygrad: a device is tried in a process of its own, since a failed or hanging driver
must not take the page along.
"""

import functools
import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from experiments.bench.machine.toolchain import NO_COMPILER, child_environment, compiler

AUTO = "auto"
KNOWN = ("CUDA", "METAL", "AMD", "CL", "CPU", "NV", "WEBGPU", "QCOM", "PYTHON")  # in the order of preference
DRIVER_TRACES = {  # what spares `auto` a probe of a second for each driver that is not there
    "CUDA": ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg"),
    "METAL": ("/System/Library/Frameworks/Metal.framework",),
    "AMD": ("/dev/kfd",),
}
MOST_INDEX = 63
PROBE_TIMEOUT_S = 40


@dataclass(frozen=True)
class Probe:
    """What became of one small sum on one device."""

    device: str
    works: bool
    what: str  # the renderer and its target, or the one-line cause
    count: int = 1
    seconds: float = 0.0


def check_name(name: str) -> str:
    """`name` in tinygrad's spelling, or ValueError that says what is allowed."""
    if name.lower() == AUTO:
        return AUTO
    match = re.fullmatch(r"([A-Z]+)(?::([0-9]{1,3}))?", name.upper())
    index = int(match[2] or 0) if match else 0
    if not match or match[1] not in KNOWN or index > MOST_INDEX:
        shown = name if len(name) <= 40 else name[:37] + "…"
        raise ValueError(f"{shown!r} is not allowed; give {AUTO}, {', '.join(KNOWN)}, or a card as in CUDA:1")
    return f"{match[1]}:{index}" if index else match[1]


def probe(device: str) -> Probe:
    """Tries `device` in a child process (1 to 3 s; at most 40 s)."""
    if device.split(":")[0] == "CPU" and compiler() is None:
        return Probe(device, False, NO_COMPILER)
    command = [sys.executable, "-m", "experiments.bench.machine.probe", device]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, env=child_environment(device), check=False
        )
        return Probe(**json.loads(done.stdout.strip().splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return Probe(device, False, f"did not answer within {PROBE_TIMEOUT_S} s")
    except OSError as error:
        return Probe(device, False, f"the probe did not start: {error}")
    except (IndexError, ValueError, TypeError):
        return Probe(device, False, f"the probe died with exit code {done.returncode}")


@functools.cache
def probed(device: str) -> Probe:
    """`probe`, remembered for the life of this process."""
    return probe(device)


def forget_probes() -> None:
    """Makes the next look at the devices try them again."""
    probed.cache_clear()


def all_probes() -> list[Probe]:
    """Every known device tried once, with all cards of a kind that works."""
    return with_cards([probed(device) for device in KNOWN])


def with_cards(first: list[Probe]) -> list[Probe]:
    """The first card of each kind and after it the others, each tried too."""
    return [
        card
        for one in first
        for card in (one, *(probed(f"{one.device}:{n}") for n in range(1, min(one.count, MOST_INDEX + 1)) if one.works))
    ]


def candidates() -> list[Probe]:
    """The CPU, and the GPUs whose driver left a trace on this machine with all their cards; each tried once."""
    traced = [name for name, trace in DRIVER_TRACES.items() if any(Path(path).exists() for path in trace)]
    return with_cards([probed(name) for name in (*traced, "CPU")])


def first_working() -> Probe:
    """The first of the candidates that works, or the CPU's failure where none does."""
    tried = candidates()
    return next((one for one in tried if one.works), tried[-1])


def on_one_core(device: str) -> bool:
    """Whether kernels run here, one work item after the other, in this machine's memory."""
    return device.split(":")[0] in ("CPU", "PYTHON")


def free_memory(device: str) -> int | None:
    """Bytes free on `device` now; None where nobody says."""
    if on_one_core(device):
        return int(psutil.virtual_memory().available)
    if device.split(":")[0] in ("CUDA", "NV"):
        index = int(device.partition(":")[2] or 0)
        values = nvidia_smi("memory.free")
        return int(values[index]) * 2**20 if index < len(values) and values[index].isdigit() else None
    return None


def nvidia_smi(query: str) -> list[str]:
    """One value per NVIDIA card of this machine; empty where there is no driver."""
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def as_record(one: Probe) -> dict[str, str | bool | int | float]:
    """A probe as one line of JSON."""
    return asdict(one)
