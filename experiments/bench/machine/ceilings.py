"""Measured ceilings of a device: copies and matrix products by tinygrad, and on a CPU by numpy on one thread.

The copy reads and writes every element once (y = x + 1), float32. The product is square, float32, of a size that
is not a power of two: those map to the same cache sets and stay below the ceiling.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.columns import Value
from experiments.bench.machine.device import Device
from experiments.bench.timing.measure import Budget, Call, Comparison, compare
from experiments.bench.tinygrad.capture import capture, replay
from experiments.bench.tinygrad.redraw import MAX_BUFFER_BYTES, QUARANTINE_BYTES
from experiments.bench.tinygrad.runtime import synchronizer, tensor

TINYGRAD, NUMPY = "tinygrad", "numpy"
ROUNDS = 20  # replays whose median kernel time is the ceiling
QUICK = Budget(half_width=0.05, seconds=0.3)


@dataclass(frozen=True)
class Peak:
    """One workload for a ceiling: calls by implementation (tinygrad, numpy), and tinygrad's capture of it.

    `movers` give an implementation's arrays fresh memory where tinygrad does not hold them.
    """

    what: str
    size: int
    calls: Mapping[str, Call]
    movers: Mapping[str, Call]
    jit: Any
    inputs: tuple[Any, ...]

    def seconds(self, by: str, measured: Comparison, synchronize: Call) -> float:
        """Seconds of tinygrad's kernel on the device, without its launch, or of numpy's timed call."""
        if by != TINYGRAD:
            return measured.latency(by).median
        return sum(one.kernel_s for one in replay(self.jit, self.inputs, synchronize, ROUNDS))

    def record(self, by: str, seconds: float) -> dict[str, Value]:
        """One ceiling as a record of the detail `ceilings`."""
        values = _stamp(self.what, by)
        if self.what == "copy":
            return values | {"moved_bytes": self.size, "gb_s": self.size / seconds / 1e9}
        return values | {"n": self.size, "gflops": 2 * self.size**3 / seconds / 1e9}


class NumpyCall:
    """A call of numpy on arrays that can move to fresh memory, the result's array among them."""

    def __init__(self, function: Callable[..., object], arrays: Sequence[Array]) -> None:
        self._function, self._arrays = function, [*arrays, np.empty_like(arrays[0])]
        self._left: deque[Array] = deque()

    def __call__(self) -> None:
        """Computes the result."""
        *arrays, out = self._arrays
        self._function(*arrays, out=out)

    def move(self) -> None:
        """Copies the arrays but for those that are too large; keeps the old memory for a while, as tinygrad's."""
        for place, one in enumerate(self._arrays):
            if one.nbytes > MAX_BUFFER_BYTES:
                continue
            self._arrays[place] = one.copy()
            self._left.append(one)
            while sum(left.nbytes for left in self._left) > QUARANTINE_BYTES:
                self._left.popleft()


def copy(device: str, moved_bytes: int) -> Peak:
    """y = x + 1 over arrays of half of `moved_bytes` each."""
    x = np.random.default_rng(1).standard_normal(max(1, moved_bytes // 8), dtype=np.float32)
    in_numpy = NumpyCall(lambda one, out: np.add(one, 1, out=out), [x])
    return _peak("copy", moved_bytes, device, lambda one: (one + 1).realize(), (x,), in_numpy)


def matmul(device: str, n: int) -> Peak:
    """A product of two n x n matrices."""
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))
    return _peak("matmul", n, device, lambda x, y: (x @ y).realize(), (a, b), NumpyCall(np.matmul, [a, b]))


def _peak(
    what: str, size: int, device: str, function: Callable[..., Any], arrays: tuple[Any, ...], in_numpy: NumpyCall
) -> Peak:
    inputs = tuple(tensor(array, device) for array in arrays)
    jit, _ = capture(function, *inputs)
    calls: dict[str, Call] = {TINYGRAD: lambda: jit(*inputs)}
    movers: dict[str, Call] = {}
    if Device.parse(device).is_cpu:
        calls[NUMPY], movers[NUMPY] = in_numpy, in_numpy.move
    return Peak(what, size, calls, movers, jit, inputs)


def launch_floor(device: str) -> dict[str, Value]:
    """The time of an almost empty kernel, as a record of the detail `ceilings`."""
    synchronize = synchronizer(device)
    peak = copy(device, 8)
    seconds = sum(one.kernel_s for one in replay(peak.jit, peak.inputs, synchronize, ROUNDS))
    return _stamp("empty", TINYGRAD) | {"floor_us": seconds * 1e6}


def _stamp(what: str, by: str) -> dict[str, Value]:
    return {"what": what, "by": by, "measured": time.strftime("%Y-%m-%d %H:%M", time.gmtime())}


def quick_ceilings(device: str) -> Iterator[dict[str, Value]]:
    """The few ceilings that a roofline needs, within seconds."""
    family, synchronize = Device.parse(device).family, synchronizer(device)
    yield launch_floor(device)
    points = [(copy, size) for size in family.quick_copy_bytes] + [(matmul, family.quick_matmul_size)]
    for make, size in points:
        peak = make(device, size)
        measured = compare(peak.calls, TINYGRAD, synchronize, QUICK)
        yield from (peak.record(by, peak.seconds(by, measured, synchronize)) for by in peak.calls)
