"""Profiles one captured call: each kernel with its time and ceiling, the kernel timeline, the memory plan, the bound.

Importable without tinygrad: experiments declare the columns below.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.bench.columns import Column, Value
from experiments.bench.machine.roofline import Ceilings, Launch, explain

if TYPE_CHECKING:
    from experiments.bench.tinygrad.capture import CapturedKernel, KernelTiming

REPLAYS_S = 0.2  # for replays: at least 3, at most 20
MIN_REPLAYS, MAX_REPLAYS = 3, 20

REASON = ("bound", "roof_fraction", "launch_share", "kernel_ms")  # columns of a row that Bench.inspect fills

KERNELS = (
    Column("variant", "text", "the profiled variant"),
    Column("number", "integer", "position of the kernel in the call, from 1"),
    Column("name", "text", "tinygrad's name of the kernel; a copy is called COPY"),
    Column("device", "text", "the device that runs it"),
    Column("renderer", "text", "tinygrad's target: renderer and architecture"),
    Column("global_size", "text", "work groups"),
    Column("local_size", "text", "work items per group"),
    Column("ops", "integer", "arithmetic operations, as tinygrad counts them"),
    Column("bytes", "integer", "unique bytes: the minimum that must move"),
    Column("loaded_bytes", "integer", "bytes of all loads and stores, cached or not"),
    Column("opts", "text", "applied optimizations"),
    Column("uops", "integer", "instructions of tinygrad's intermediate representation"),
    Column("binary_bytes", "integer", "size of the compiled kernel"),
    Column("kernel_ms", "number", "time on the device, median over replays"),
    Column("host_us", "number", "host time around the kernel: its launch", "µs"),
    Column("gflops", "number", "achieved operations per second"),
    Column("gb_s", "number", "achieved unique bytes per second"),
    Column("share", "number", "share of the time of all kernels of the call"),
    Column("bound", "text", "the nearest ceiling: memory or compute"),
    Column("roof_fraction", "number", "fraction of that ceiling reached"),
    Column(
        "batched",
        "boolean",
        "whether a replay launches it as part of a graph (such as a CUDA graph); timed here one by one",
    ),
    Column("source", "text", "the compiled source code"),
)
REPLAY = (
    Column("variant", "text", "the profiled variant"),
    Column("number", "integer", "position of the kernel in the call"),
    Column("name", "text", "the kernel"),
    Column("start_ms", "number", "time since the start of the replay"),
    Column("host_ms", "number", "host time from launch to return, including the wait for the kernel"),
    Column("kernel_ms", "number", "part of host_ms in which the kernel ran on the device"),
)
MEMORY = (
    Column("variant", "text", "the profiled variant"),
    Column("planned_bytes", "integer", "intermediate buffers in the arena of the memory planner"),
    Column("unplanned_bytes", "integer", "intermediate buffers without the memory planner, each separate"),
)


@dataclass(frozen=True)
class CallProfile:
    """The detail frames of a call by name, and the inputs of its bound."""

    details: Mapping[str, list[dict[str, Value]]]
    launches: list[Launch]
    ceilings: Ceilings | None

    def reason(self, wall_s: float) -> dict[str, Value]:
        """The REASON columns of a variant whose call takes `wall_s`; empty without kernels or ceilings."""
        reason = explain(self.launches, wall_s, self.ceilings) if self.ceilings else None
        return reason.values() if reason else {}


def profile_call(
    device: str, function: Callable[..., Any], jit: Any, inputs: Sequence[Any], ceilings: Ceilings | None
) -> CallProfile:
    """Launches every kernel of a captured TinyJit one by one and reads what was compiled."""
    from experiments.bench.tinygrad.capture import kernels, planned_bytes, replay
    from experiments.bench.tinygrad.runtime import synchronizer

    found, synchronize = kernels(jit, inputs), synchronizer(device)
    once = sum(one.host_s for one in replay(jit, inputs, synchronize, 1))
    replays = min(MAX_REPLAYS, max(MIN_REPLAYS, int(REPLAYS_S / once))) if once else MIN_REPLAYS
    timed = replay(jit, inputs, synchronize, replays)
    planned, unplanned = planned_bytes(jit, function, inputs)
    total_s = sum(one.kernel_s for one in timed)
    numbered = list(enumerate(zip(found, timed, strict=True), start=1))
    return CallProfile(
        details={
            "kernels": [_kernel(number, kernel, one, total_s, ceilings) for number, (kernel, one) in numbered],
            "replay": [
                {
                    "number": number,
                    "name": kernel.name,
                    "start_ms": one.start_s * 1e3,
                    "host_ms": one.host_s * 1e3,
                    "kernel_ms": one.kernel_s * 1e3,
                }
                for number, (kernel, one) in numbered
            ],
            "memory": [{"planned_bytes": planned, "unplanned_bytes": unplanned}],
        },
        launches=[Launch(kernel.ops, kernel.bytes, one.kernel_s) for kernel, one in zip(found, timed, strict=True)],
        ceilings=ceilings,
    )


def _kernel(
    number: int, kernel: "CapturedKernel", timed: "KernelTiming", total_s: float, ceilings: Ceilings | None
) -> dict[str, Value]:
    seconds = timed.kernel_s
    launch = Launch(kernel.ops, kernel.bytes, seconds)
    values: dict[str, Value] = {
        "number": number,
        **vars(kernel),
        "kernel_ms": seconds * 1e3,
        "host_us": (timed.host_s - seconds) * 1e6,
        "share": seconds / total_s if total_s else None,
    }
    if seconds:
        values |= {"gflops": kernel.ops / seconds / 1e9, "gb_s": kernel.bytes / seconds / 1e9}
    if ceilings and seconds:
        fraction = max(launch.ideal_s(ceilings)) / seconds
        values |= {"bound": launch.nearest_ceiling(ceilings), "roof_fraction": fraction}
    return values
