"""The adapter to what the JIT has captured (tinygrad 0.14.0, engine.jit and engine.realize)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tinygrad.engine.realize import estimate_uop
from tinygrad.uop.ops import Ops, sym_infer


@dataclass(frozen=True)
class Work:
    """What one call does, as the compiler counts it: kernels, arithmetic operations, unique bytes."""

    kernels: int
    ops: int
    bytes: int


def calls(jit: Any) -> Iterator[Any]:
    """Every call of a captured TinyJit; those that a GPU replays as one graph are taken out of it."""
    for call in jit.captured._linear.src:
        program = call.src[0]
        if program.op is Ops.CUSTOM_FUNCTION and program.arg == "graph":
            yield from program.src[0].src
        else:
            yield call


def captured_work(jit: Any) -> Work:
    """Kernels, operations and unique bytes of one replay."""
    estimates = [estimate_uop(call) for call in calls(jit)]
    kernels = sum(call.src[0].op is Ops.PROGRAM for call in calls(jit))
    return Work(
        kernels=kernels,
        ops=int(sum(sym_infer(one.ops, {}) for one in estimates)),
        bytes=int(sum(sym_infer(one.mem, {}) for one in estimates)),
    )
