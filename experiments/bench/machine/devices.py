"""The devices of this machine: probes in helper processes with a time limit, free memory.

No module-level import of tinygrad: a device is tried in a helper process, so that a failing or hanging driver
cannot take the page down.
"""

import functools
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from experiments.bench.errors import one_line
from experiments.bench.machine.device import FAMILIES, KNOWN, MAX_INDEX, Device
from experiments.bench.machine.toolchain import NO_COMPILER, compiler
from experiments.bench.timing.helper_process import HelperFailed, HelperProcess

# `auto` spares itself a probe of a second for each family whose driver is not installed
DRIVER_TRACES = {name: family.driver_traces for name, family in FAMILIES.items() if family.driver_traces}
PROBE_TIMEOUT_S = 40


@dataclass(frozen=True)
class Probe:
    """The result of one small sum on one device."""

    device: str
    works: bool
    what: str  # the renderer and its target, or the one-line cause
    count: int = 1
    seconds: float = 0.0


def probe(device: str) -> Probe:
    """Tries `device` in a helper process (1 to 3 s; at most 40 s)."""
    if Device.parse(device).family.needs_compiler and compiler() is None:
        return Probe(device, False, NO_COMPILER)
    try:
        process = HelperProcess(device, f"{__name__}:try_device")
        process.wait_until_ready(PROBE_TIMEOUT_S)
        return Probe(**process.ask_and_close())
    except HelperFailed as error:
        return Probe(device, False, f"the probe failed: {error.cause}")
    except OSError as error:
        return Probe(device, False, f"the probe did not start: {error}")


def try_device(device: str) -> dict[str, str | bool | int | float]:
    """In a helper process: compiles and runs 2 * [1, 2, 3] and reads it back; the fields of a Probe."""
    started = time.perf_counter()
    try:
        import tinygrad

        seen = (tinygrad.Tensor([1.0, 2.0, 3.0], device=device) * 2).tolist()
        if seen != [2.0, 4.0, 6.0]:
            return asdict(Probe(device, False, f"computed {seen} instead of [2.0, 4.0, 6.0]"))
        opened = tinygrad.Device[device]
        what = f"{type(opened.renderer).__name__.removesuffix('Renderer')} {opened.renderer.target}"
        return asdict(Probe(device, True, what, card_count(device) or 1, time.perf_counter() - started))
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is the result
        return asdict(Probe(device, False, one_line(error), 0, time.perf_counter() - started))


def card_count(device: str) -> int | None:
    """Cards of a device's family, by tinygrad's driver; None if it cannot count them.

    Virtual devices of the processor are unlimited and run one after another, so they are not counted.
    """
    import tinygrad

    parsed = Device.parse(device)
    cards = getattr(tinygrad.Device[parsed.family.name], "count", None)
    return int(cards()) if callable(cards) and not parsed.family.on_host else None


@functools.cache
def probed(device: str) -> Probe:
    """`probe`, cached for the life of this process."""
    return probe(device)


def forget_probes() -> None:
    """Clears the cache of probes."""
    probed.cache_clear()


def all_probes() -> list[Probe]:
    """A probe of every known family, and of all cards of a family that works."""
    return with_cards([probed(device) for device in KNOWN])


def with_cards(first: list[Probe]) -> list[Probe]:
    """The first card of each family, followed by probes of its further cards."""
    return [
        card
        for one in first
        for card in (one, *(probed(f"{one.device}:{n}") for n in range(1, min(one.count, MAX_INDEX + 1)) if one.works))
    ]


def candidates() -> list[Probe]:
    """Probes of all cards whose driver is installed, and last of the CPU."""
    installed = [name for name, traces in DRIVER_TRACES.items() if any(Path(path).exists() for path in traces)]
    return with_cards([probed(name) for name in (*installed, "CPU")])


def first_working() -> Probe:
    """The first candidate that works, or the CPU's failure where none does."""
    tried = candidates()
    return next((one for one in tried if one.works), tried[-1])


def free_memory(device: str) -> int | None:
    """Bytes free on `device` now; None if this cannot be read."""
    return Device.parse(device).free_memory()
