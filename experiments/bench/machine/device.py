"""Devices and their families: what measuring needs to know about kinds of devices. A new kind of device is one class.

Imports no tinygrad.
"""

import os
import re
from dataclasses import dataclass
from typing import ClassVar

AUTO = "auto"  # the first device that works
MAX_INDEX = 63
MAX_CARDS = 8  # of one kind in a host: what a device that may be any of them keeps from other runs
PROCESSOR = "processor"  # the hardware of every device that computes on the host
FAMILIES: "dict[str, DeviceFamily]" = {}  # by name, in the order in which they are defined: `auto` prefers the first


class DeviceFamily:
    """One kind of device. A subclass registers itself and overrides what differs from a GPU without special support."""

    name: ClassVar[str]
    driver_traces: ClassVar[tuple[str, ...]] = ()  # files of an installed driver; `auto` probes only if one exists
    on_host: ClassVar[bool] = False  # kernels run on this machine's processor, one work item after another
    emulated: ClassVar[bool] = False  # too slow to have ceilings
    needs_compiler: ClassVar[bool] = False  # tinygrad calls a C compiler for its kernels
    has_limited_graphs: ClassVar[bool] = False  # see runtime.without_cuda_graph
    quick_copy_bytes: ClassVar[tuple[int, int]] = (2**21, 2**31)  # copies for a quick roofline: in cache and far beyond
    quick_matmul_size: ClassVar[int] = 4000

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls):
            FAMILIES[cls.name] = cls()

    def free_memory(self, index: int) -> int | None:
        """Bytes free on card `index` now; None if this cannot be read."""
        return None

    def facts(self, index: int) -> dict[str, str]:
        """Facts of card `index` that decide its speed, for the machine's fingerprint."""
        return {}

    def hardware(self, index: int) -> tuple[str, ...]:
        """Names of the hardware that card `index` is, the same under every name of the device."""
        return (f"{self.name}-{index}",)


class _Nvidia(DeviceFamily):
    def card(self, index: int) -> str:
        """Card `index` as a place in the list of nvidia-smi, or as the beginning of a UUID."""
        return str(index)

    def free_memory(self, index: int) -> int | None:
        value = self._read("memory.free", index)
        return int(value) * 2**20 if value.isdigit() else None

    def facts(self, index: int) -> dict[str, str]:
        return {
            "gpu": self._read("name", index) or "unknown",
            "driver": (nvidia_smi("driver_version") or ["unknown"])[0],
        }

    def hardware(self, index: int) -> tuple[str, ...]:
        return (self._read("uuid", index) or f"NVIDIA-{self.card(index)}",)

    def _read(self, query: str, index: int) -> str:
        """What nvidia-smi reports of card `index`; empty where there is no such card."""
        card = self.card(index)
        if not card.isdigit():
            card = next((str(place) for place, uuid in enumerate(nvidia_smi("uuid")) if uuid.startswith(card)), "")
        values = nvidia_smi(query)
        return values[int(card)] if card and int(card) < len(values) else ""


class Cuda(_Nvidia):
    """NVIDIA GPUs through the CUDA driver."""

    name = "CUDA"
    driver_traces = ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg")
    has_limited_graphs = True

    def card(self, index: int) -> str:
        """As CUDA_VISIBLE_DEVICES numbers the cards; the order is nvidia-smi's, see `toolchain.child_environment`."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        cards = [card.strip() for card in visible.split(",") if card.strip()]
        return cards[index] if index < len(cards) else str(index)


class Metal(DeviceFamily):
    """Apple GPUs."""

    name = "METAL"
    driver_traces = ("/System/Library/Frameworks/Metal.framework",)


class Amd(DeviceFamily):
    """AMD GPUs."""

    name = "AMD"
    driver_traces = ("/dev/kfd",)


class _AnyHardware(DeviceFamily):
    """An interface to hardware of any kind, which does not say which: it keeps all of it from other runs."""

    def hardware(self, index: int) -> tuple[str, ...]:
        others = (f"{name}-{card}" for name in ("AMD", "METAL", "QCOM") for card in range(MAX_CARDS))
        return (PROCESSOR, *nvidia_smi("uuid"), *others)


class OpenCl(_AnyHardware):
    """OpenCL devices."""

    name = "CL"


class _Host(DeviceFamily):
    on_host = True

    def hardware(self, index: int) -> tuple[str, ...]:
        return (PROCESSOR,)

    def free_memory(self, index: int) -> int | None:
        import psutil

        return int(psutil.virtual_memory().available)


class Cpu(_Host):
    """This machine's processor, through C."""

    name = "CPU"
    needs_compiler = True
    quick_copy_bytes = (2**21, 2**27)
    quick_matmul_size = 600


class Nv(_Nvidia):
    """NVIDIA GPUs through tinygrad's own driver."""

    name = "NV"


class WebGpu(_AnyHardware):
    """WebGPU devices."""

    name = "WEBGPU"


class Qcom(DeviceFamily):
    """Qualcomm GPUs."""

    name = "QCOM"


class Python(_Host):
    """tinygrad's emulator in Python, which takes microseconds per operation."""

    name = "PYTHON"
    emulated = True
    quick_copy_bytes = (2**10, 2**14)
    quick_matmul_size = 8


@dataclass(frozen=True)
class Device:
    """One device: its family, and its index among the devices of the family."""

    family: DeviceFamily
    index: int = 0

    @classmethod
    def parse(cls, name: str) -> "Device":
        """The device that tinygrad calls `name`, in any case: `CUDA`, `cuda:1`.

        Raises ValueError for any other text.
        """
        match = re.fullmatch(r"([A-Z]+)(?::([0-9]{1,3}))?", name.upper())
        index = int(match[2] or 0) if match else 0
        if not match or match[1] not in FAMILIES or index > MAX_INDEX:
            raise ValueError(f"{name[:40]!r} is not a device")
        return cls(FAMILIES[match[1]], index)

    @property
    def name(self) -> str:
        """As tinygrad spells it; the first device of a family has no index."""
        return f"{self.family.name}:{self.index}" if self.index else self.family.name

    @property
    def is_cpu(self) -> bool:
        """Whether kernels run compiled on the processor, as numpy's do."""
        return isinstance(self.family, Cpu)

    def free_memory(self) -> int | None:
        """Bytes free now; None if this cannot be read."""
        return self.family.free_memory(self.index)

    def facts(self) -> dict[str, str]:
        """Facts that decide this device's speed, for the machine's fingerprint."""
        return self.family.facts(self.index)

    def hardware(self) -> tuple[str, ...]:
        """Names of the hardware on which it computes: two runs that share a name would disturb each other."""
        return self.family.hardware(self.index)


KNOWN = tuple(FAMILIES)  # in order of preference


def check_name(name: str) -> str:
    """`name` in tinygrad's spelling, or ValueError that lists what is allowed."""
    if name.lower() == AUTO:
        return AUTO
    try:
        return Device.parse(name).name
    except ValueError:
        shown = name if len(name) <= 40 else name[:37] + "…"
        allowed = f"give {AUTO}, {', '.join(KNOWN)}, or one of several devices, such as CUDA:1"
        raise ValueError(f"{shown!r} is not allowed; {allowed}") from None


def nvidia_smi(query: str) -> list[str]:
    """One value per NVIDIA GPU of this machine; empty where there is no driver."""
    import subprocess

    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
