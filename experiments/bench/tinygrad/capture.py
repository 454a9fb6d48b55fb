"""Captures functions with TinyJit and reads what was captured (tinygrad.engine.jit and tinygrad.engine.realize)."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tinygrad import TinyJit, dtypes
from tinygrad.engine.jit import JitError as JitError
from tinygrad.engine.realize import ExecContext, estimate_uop, pm_exec
from tinygrad.helpers import Context, ansistrip
from tinygrad.uop.ops import Ops, sym_infer

from experiments.bench.columns import Value


def first_calls(call: Callable[..., Any], *inputs: Any) -> Iterator[Any]:
    """The results of a TinyJit's eager first call, its capturing second call and a replay.

    A later call may overwrite an earlier result: read each one before the next.
    """
    return (call(*inputs) for _ in range(3))


def replayed(call: Callable[..., Any], *inputs: Any) -> Any:
    """The result of a replay, after the eager and the capturing call."""
    *_, result = first_calls(call, *inputs)
    return result


def capture(function: Callable[..., Any], *inputs: Any) -> tuple[Any, Any]:
    """A TinyJit that has captured `function` for the shapes of `inputs`, and the result of a replay."""
    jit = TinyJit(function)
    return jit, replayed(jit, *inputs)


@dataclass(frozen=True)
class CallWork:
    """Work of one call as the compiler counts it: kernels, arithmetic operations, unique bytes."""

    kernels: int
    ops: int
    bytes: int

    @property
    def counts(self) -> dict[str, Value]:
        """The counted work as columns of a row."""
        return {"kernels": self.kernels, "ops": self.ops, "bytes": self.bytes}

    def rates(self, latency_s: float) -> dict[str, Value]:
        """The rates that a call of `latency_s` seconds achieves, as columns of a row."""
        return {"gflops": self.ops / latency_s / 1e9, "gb_s": self.bytes / latency_s / 1e9}

    def columns(self, latency_s: float) -> dict[str, Value]:
        """Counted work and achieved rates as columns of a row."""
        return {**self.counts, **self.rates(latency_s)}


@dataclass(frozen=True)
class CapturedKernel:
    """One captured kernel or copy, as compiled; `batched` if a replay launches it as part of a graph."""

    name: str
    device: str
    renderer: str
    global_size: str
    local_size: str
    ops: int
    bytes: int
    loaded_bytes: int
    opts: str
    uops: int
    binary_bytes: int
    source: str
    batched: bool


@dataclass(frozen=True)
class KernelTiming:
    """One kernel of a replay in seconds: its start, the host's time for it, the device's time for it."""

    start_s: float
    host_s: float
    kernel_s: float


def calls(jit: Any) -> Iterator[tuple[Any, bool]]:
    """Every call of a captured TinyJit, and whether it is part of a graph; graphs are expanded."""
    for call in jit.captured._linear.src:
        program = call.src[0]
        if program.op is Ops.CUSTOM_FUNCTION and program.arg == "graph":
            yield from ((inner, True) for inner in program.src[0].src)
        else:
            yield call, False


def captured_work(jit: Any, inputs: Sequence[Any] = ()) -> CallWork:
    """Kernels, operations and unique bytes of one replay; symbolic inputs set the size."""
    found = kernels(jit, inputs)
    compiled = [one for one in found if one.uops]
    return CallWork(len(compiled), sum(one.ops for one in found), sum(one.bytes for one in found))


def kernels(jit: Any, inputs: Sequence[Any] = ()) -> list[CapturedKernel]:
    """All kernels and copies of one replay in order; `inputs` set the size of a capture with symbolic shapes."""
    sizes = bound_sizes(inputs)
    return [_kernel(call, batched, sizes) for call, batched in calls(jit)]


def bound_sizes(inputs: Sequence[Any]) -> dict[str, int]:
    """The values of the variables in the shapes of `inputs`, by name; empty where all shapes are fixed."""
    return {variable.expr: value for one in inputs for variable, value in one.uop.unbind_all()[1].items()}


def _kernel(call: Any, batched: bool, sizes: Mapping[str, int]) -> CapturedKernel:
    program, estimates = call.src[0], estimate_uop(call)
    counted = (estimates.ops, estimates.mem, estimates.lds)
    ops, unique, loaded = (int(sym_infer(one, dict(sizes))) for one in counted)
    where = call.src[1].device
    device = where if isinstance(where, str) else ",".join(where)
    if program.op is not Ops.PROGRAM:
        return CapturedKernel(program.op.name, device, "", "", "", ops, unique, loaded, "", 0, 0, "", batched)
    sink, linear, source, binary = program.src
    global_size, local_size = program.arg.launch_dims({"core_id": 0, **sizes})
    return CapturedKernel(
        name=ansistrip(program.arg.name),
        device=device,
        renderer=str(program.arg.target),
        global_size=_dimensions(global_size),
        local_size=_dimensions(local_size),
        ops=ops,
        bytes=unique,
        loaded_bytes=loaded,
        opts=" ".join(f"{one.op.name}({one.axis},{one.arg})" for one in sink.arg.applied_opts),
        uops=len(linear.src),
        binary_bytes=len(binary.arg),
        source=source.arg,
        batched=batched,
    )


def _dimensions(size: Sequence[int] | None) -> str:
    return "x".join(str(one) for one in size) if size else ""


def replay(jit: Any, inputs: Sequence[Any], synchronize: Callable[[], object], rounds: int) -> list[KernelTiming]:
    """Launches each kernel of a replay and waits for it; medians over `rounds` replays.

    A batched kernel is launched outside its graph, so its host time is not that of the graph's replay.
    """
    buffers = tuple(one.uop.base for one in inputs)
    context = ExecContext(bound_sizes(inputs), buffers, update_stats=False, jit=True, wait=True)
    launches = [call for call, _ in calls(jit)]
    seen: list[list[KernelTiming]] = [[] for _ in launches]
    for _ in range(rounds):
        synchronize()
        began = time.perf_counter()
        for place, call in enumerate(launches):
            start = time.perf_counter()
            on_device = pm_exec.rewrite(call, context)
            synchronize()
            host_s = time.perf_counter() - start
            timed = [one for one in on_device or [] if one is not None]
            seen[place].append(KernelTiming(start - began, host_s, sum(timed) if timed else host_s))
    return [
        KernelTiming(*(median([getattr(one, name) for one in of_kernel]) for name in ("start_s", "host_s", "kernel_s")))
        for of_kernel in seen
    ]


def planned_bytes(jit: Any, function: Callable[..., Any], inputs: Sequence[Any]) -> tuple[int, int]:
    """Bytes of the intermediate buffers of a captured call, with the memory planner's arena and without it."""
    unplanned_jit = TinyJit(function)
    unplanned_jit.cnt = 1  # skips the eager first call: captures at once
    with Context(NO_MEMORY_PLANNER=1):
        unplanned_jit(*inputs)
    arena, held = _buffers(jit)
    own_int8, separate = _buffers(unplanned_jit)
    return arena - own_int8, max(0, separate - held)


def _buffers(jit: Any) -> tuple[int, int]:
    """Bytes of the int8 buffers of a captured call (the planner's arena is one), and of all its other buffers."""
    found = {
        node: node.max_numel() * node.dtype.itemsize
        for call, _ in calls(jit)
        for argument in call.src[1:]
        for node in argument.toposort()
        if node.op is Ops.BUFFER
    }
    arena = sum(size for node, size in found.items() if node.dtype is dtypes.int8)
    return arena, sum(found.values()) - arena
