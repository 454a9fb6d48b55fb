"""Takes one captured call apart: kernels with times and roofs, one replay in time, memory plan, the reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.bench.columns import Value
from experiments.bench.machine.roofline import Ceilings, Launch, explain
from experiments.bench.tinygrad.capture import CapturedKernel, Launched, kernels, planned_bytes, replay
from experiments.bench.tinygrad.runtime import synchronizer

ROUNDS_S = 0.2  # spent on replays, at least 3 and at most 20
LEAST_ROUNDS, MOST_ROUNDS = 3, 20


@dataclass(frozen=True)
class Inspected:
    """The details of a call by name, and what its reason is computed from."""

    details: Mapping[str, list[dict[str, Value]]]
    launches: list[Launch]
    ceilings: Ceilings | None

    def reason(self, wall_s: float) -> dict[str, Value]:
        """The REASON columns of a variant that takes `wall_s` a call; empty where there is nothing to say."""
        reason = explain(self.launches, wall_s, self.ceilings) if self.ceilings else None
        return reason.values() if reason else {}


def dissect(
    device: str, function: Callable[..., Any], jit: Any, inputs: Sequence[Any], ceilings: Ceilings | None
) -> Inspected:
    """Launches every kernel of a captured TinyJit one by one and lays out what was compiled."""
    found, synchronize = kernels(jit, inputs), synchronizer(device)
    once = sum(one.host_s for one in replay(jit, inputs, synchronize, 1))
    rounds = min(MOST_ROUNDS, max(LEAST_ROUNDS, int(ROUNDS_S / once))) if once else LEAST_ROUNDS
    timed = replay(jit, inputs, synchronize, rounds)
    planned, unplanned = planned_bytes(jit, function, inputs)
    total_s = sum(one.kernel_s for one in timed)
    numbered = list(enumerate(zip(found, timed, strict=True), start=1))
    return Inspected(
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
    number: int, kernel: CapturedKernel, timed: Launched, total_s: float, ceilings: Ceilings | None
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
        values |= {"bound": launch.roof(ceilings), "roof_fraction": fraction}
    return values
