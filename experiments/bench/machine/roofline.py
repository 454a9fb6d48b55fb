"""What bounds a call, from counted work, measured times and measured ceilings (a roofline). Pure.

The rule: a call is bound by `launch` if its kernels, each less the time of an empty kernel, fill less than half of its
wall time; otherwise by the ceiling (`memory` or `compute`) that is nearest for most of its kernel time.
Source: Williams, Waterman and Patterson, Roofline, 2009, with the launch overhead that an interpreter-driven runtime
adds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.bench.columns import Column, Value

LAUNCH_BELOW = 0.5  # fraction of the wall time filled by kernels

CEILINGS = (
    Column("what", "text", "copy: y = x + 1 over an array; matmul: a square float32 product; empty: one addition"),
    Column("by", "text", "implementation that reached the rate: tinygrad, or numpy on one thread"),
    Column("n", "integer", "matrix size; empty for copies"),
    Column("moved_bytes", "integer", "bytes read and written; empty for products"),
    Column("gb_s", "number", "bandwidth of the copy"),
    Column("gflops", "number", "throughput of the product"),
    Column("floor_us", "number", "time of an empty kernel on the device"),
    Column("measured", "text", "time of the measurement, in UTC"),
)


@dataclass(frozen=True)
class Ceilings:
    """The best measured rates of a device: GB/s by bytes moved, GFLOP/s; and the seconds of an empty kernel."""

    copies: tuple[tuple[int, float], ...]
    gflops: float
    floor_s: float = 0.0

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Value]]) -> "Ceilings | None":
        """The best rate of every measured point; None without a copy or a product."""
        copies: dict[int, float] = {}
        gflops = floor_s = 0.0
        for record in records:
            moved, gb_s, rate = record.get("moved_bytes"), record.get("gb_s"), record.get("gflops")
            if isinstance(moved, int) and isinstance(gb_s, (int, float)):
                copies[moved] = max(copies.get(moved, 0.0), float(gb_s))
            elif isinstance(rate, (int, float)):
                gflops = max(gflops, float(rate))
            elif isinstance(floor_us := record.get("floor_us"), (int, float)):
                floor_s = float(floor_us) / 1e6
        return cls(tuple(sorted(copies.items())), gflops, floor_s) if copies and gflops else None

    def gb_s(self, moved_bytes: int) -> float:
        """The copy rate at the measured size nearest to `moved_bytes`: cache for small, memory for large."""
        _, rate = min(self.copies, key=lambda copy: abs(math.log(copy[0] / max(moved_bytes, 1))))
        return rate


@dataclass(frozen=True)
class Launch:
    """One kernel of a replay: counted work, and seconds on the device."""

    ops: int
    bytes: int
    seconds: float

    def ideal_s(self, ceilings: Ceilings) -> tuple[float, float]:
        """Seconds at the memory ceiling alone and at the compute ceiling alone."""
        return self.bytes / (ceilings.gb_s(self.bytes) * 1e9), self.ops / (ceilings.gflops * 1e9)

    def nearest_ceiling(self, ceilings: Ceilings) -> str:
        """The nearest ceiling of this kernel."""
        memory_s, compute_s = self.ideal_s(ceilings)
        return "memory" if memory_s >= compute_s else "compute"


@dataclass(frozen=True)
class Reason:
    """What bounds a call, its fraction of the ceiling, and the share of it in which no kernel computes."""

    bound: str
    roof_fraction: float
    launch_share: float
    kernel_ms: float

    def values(self) -> dict[str, Value]:
        """The reason as columns of a row."""
        return dict(vars(self))


def explain(launches: Sequence[Launch], wall_s: float, ceilings: Ceilings) -> Reason | None:
    """What bounds a call of `wall_s` seconds with these kernels; None for a call without kernels.

    Two kernels of 3 us in a call of 60 us: launch_share 0.9, bound `launch`.
    """
    if not launches or wall_s <= 0:
        return None
    kernel_s = sum(one.seconds for one in launches)
    busy_s = sum(max(0.0, one.seconds - ceilings.floor_s) for one in launches)
    by_ceiling = {"memory": 0.0, "compute": 0.0}
    for one in launches:
        by_ceiling[one.nearest_ceiling(ceilings)] += one.seconds
    bound = "launch" if busy_s < LAUNCH_BELOW * wall_s else max(by_ceiling, key=lambda ceiling: by_ceiling[ceiling])
    ideal_s = sum(max(one.ideal_s(ceilings)) for one in launches)
    return Reason(bound, ideal_s / wall_s, max(0.0, 1 - busy_s / wall_s), kernel_s * 1e3)
