"""What a device can do at most: copies and products as tinygrad runs them, and on a CPU numpy on one thread.

The copy reads and writes every element once (y = x + 1), float32. The product is square, float32, of a size that
is no power of two: those fall into the same cache sets, which is a lesson of its own and no ceiling.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from experiments.bench.columns import Value
from experiments.bench.measure import Budget, Call, Comparison, compare
from experiments.bench.runtime import synchronizer, tensor

TINYGRAD, NUMPY = "tinygrad", "numpy"
QUICK = Budget(half_width=0.05, seconds=0.3)
QUICK_COPIES = {"CPU": (2**21, 2**27), "": (2**21, 2**31)}  # bytes moved: in cache and far beyond
QUICK_MATMUL = {"CPU": 600, "": 4000}


def copy_calls(device: str, moved_bytes: int) -> dict[str, Call]:
    """y = x + 1 over arrays of half of `moved_bytes` each, by name of who does it."""
    from tinygrad import TinyJit

    x = np.random.default_rng(1).standard_normal(max(1, moved_bytes // 8), dtype=np.float32)
    on_device, out = tensor(x, device), np.empty_like(x)
    replay = TinyJit(lambda one: (one + 1).realize())
    calls: dict[str, Call] = {TINYGRAD: lambda: replay(on_device)}
    if is_cpu(device):
        calls[NUMPY] = lambda: np.add(x, 1, out=out)
    return _captured(calls)


def matmul_calls(device: str, n: int) -> dict[str, Call]:
    """A product of two n x n matrices, by name of who does it."""
    from tinygrad import TinyJit

    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))
    on_device = tensor(a, device), tensor(b, device)
    replay = TinyJit(lambda one, other: (one @ other).realize())
    calls: dict[str, Call] = {TINYGRAD: lambda: replay(*on_device)}
    if is_cpu(device):
        out = np.empty_like(a)
        calls[NUMPY] = lambda: np.matmul(a, b, out=out)
    return _captured(calls)


def is_cpu(device: str) -> bool:
    """Whether numpy runs on the same hardware as this device."""
    return device.split(":")[0] == "CPU"


def _captured(calls: dict[str, Call]) -> dict[str, Call]:
    for _ in range(3):
        calls[TINYGRAD]()
    return calls


def record(what: str, by: str, size: int, measured: Comparison) -> dict[str, Value]:
    """One ceiling as a record of the detail `ceilings`; `size` is bytes moved or the matrix size."""
    seconds = measured.latency(by).median
    values: dict[str, Value] = {"what": what, "by": by, "measured": time.strftime("%Y-%m-%d %H:%M", time.gmtime())}
    if what == "copy":
        return values | {"moved_bytes": size, "gb_s": size / seconds / 1e9}
    return values | {"n": size, "gflops": 2 * size**3 / seconds / 1e9}


def quick(device: str) -> Iterator[dict[str, Value]]:
    """The few ceilings that a roofline needs, in some seconds."""
    kind = "CPU" if is_cpu(device) else ""
    points: list[tuple[str, int, Any]] = [("copy", size, copy_calls) for size in QUICK_COPIES[kind]]
    points.append(("matmul", QUICK_MATMUL[kind], matmul_calls))
    for what, size, make in points:
        calls: Mapping[str, Call] = make(device, size)
        measured = compare(calls, TINYGRAD, synchronizer(device), QUICK)
        yield from (record(what, by, size, measured) for by in calls)
