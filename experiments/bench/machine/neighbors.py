"""How much of the processor others used while a run measured: a busy neighbor makes calls slower.

From Linux's counters; on other systems the time of ended processes is not counted with their parents, so nothing is
known there.
"""

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

OTHERS, STOLEN = "other_processes_cpu", "stolen_cpu"  # keys in a run's environment: shares of all processors' time
MIN_SECONDS = 1.0  # of all processors: the counters advance in steps of 10 ms


@dataclass(frozen=True)
class CpuReading:
    """Seconds of all processors since the machine's start: in all, busy, withheld by a hypervisor, used by the run."""

    total: float
    busy: float
    stolen: float
    own: float


ReadCpu = Callable[[Sequence[psutil.Process]], CpuReading | None]


def read_cpu(family: Sequence[psutil.Process]) -> CpuReading | None:
    """The counters now; `family` are the run's processes, which count with those that have ended below them."""
    if not sys.platform.startswith("linux"):
        return None
    own = 0.0
    for process in family:
        with contextlib.suppress(psutil.Error):
            own += sum(process.cpu_times()[:4])  # user, system, and both of the children that it has waited for
    times = psutil.cpu_times()
    busy = times.user + times.nice + times.system + times.irq + times.softirq
    return CpuReading(busy + times.idle + times.iowait + times.steal, busy, times.steal, own)


class NeighborWatch:
    """The difference between the first and the last reading of a run."""

    def __init__(self, read: ReadCpu = read_cpu) -> None:
        self._read = read
        self._first: CpuReading | None = None
        self._last: CpuReading | None = None
        self._own = 0.0

    def update(self, family: Sequence[psutil.Process]) -> None:
        """Reads the counters."""
        self._last = self._read(family)
        self._first = self._first or self._last
        if self._last:  # the time of a process that was not waited for is lost at its end
            self._own = max(self._own, self._last.own)

    def facts(self) -> dict[str, float]:
        """The shares of all processors' time that others used and that a hypervisor withheld; empty if unknown."""
        if self._first is None or self._last is None:
            return {}
        total = self._last.total - self._first.total
        busy, own = self._last.busy - self._first.busy, self._own - self._first.own
        if total < MIN_SECONDS or busy <= 0:
            return {}
        stolen = self._last.stolen - self._first.stolen
        return {OTHERS: _share(busy - own, total), STOLEN: _share(stolen, total)}


def _share(part: float, total: float) -> float:
    return round(min(1.0, max(0.0, part / total)), 3)
