"""Traces tinygrad's kernel search (tinygrad.codegen.opt.search), and applies its results.

`apply_opts` looks `beam_search` up in its module at every call, so replacing it there is enough.
"""

import importlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinygrad import Context
from tinygrad.codegen.opt import Opt, OptOps
from tinygrad.codegen.opt import search as tinygrad_search
from tinygrad.codegen.opt.heuristic import hand_coded_optimizations

from experiments.bench.kernel_search import Opt as Plain
from experiments.bench.kernel_search import Optimization
from experiments.bench.tinygrad.runtime import synchronizer, warm_up_compiler


def first_call(
    device: str, prepare: str, width: int, optimized: bool, trace: str, arguments: str
) -> Callable[[], dict[str, float]]:
    """In a helper process: prepares a call by `prepare`; returns its first run, which searches and writes `trace`."""
    module, _, name = prepare.partition(":")
    synchronize = synchronizer(device)
    warm_up_compiler(device)
    call = getattr(importlib.import_module(module), name)(device, **json.loads(arguments))
    synchronize()

    def measure() -> dict[str, float]:
        _watch(Path(trace))
        began = time.perf_counter()
        with Context(BEAM=width, NOOPT=int(not optimized)):
            call()
            synchronize()
        return {"first_call_s": time.perf_counter() - began}

    return measure


def _watch(trace: Path) -> None:
    """From now on every timed candidate and every choice is appended to `trace` as a line of JSON."""
    began, kernel = time.perf_counter(), [""]
    time_program, beam_search = tinygrad_search._time_program, tinygrad_search.beam_search

    def write(**fields: Any) -> None:
        with trace.open("a") as lines:
            lines.write(json.dumps({"kernel": kernel[0], **fields}) + "\n")

    def timed(program: Any, *given: Any, **named: Any) -> list[float]:
        seconds: float | None = None
        try:
            taken: list[float] = time_program(program, *given, **named)
            seconds = min(taken) if math.isfinite(min(taken)) else None
            return taken
        finally:
            opts = _plain(program.src[0].arg.applied_opts)
            write(at_s=time.perf_counter() - began, opts=opts, seconds=seconds)

    def searched(scheduler: Any, *given: Any, **named: Any) -> Any:
        kernel[0], started = scheduler.ast.key.hex(), time.perf_counter()
        chosen = beam_search(scheduler, *given, **named)
        write(opts=_plain(chosen.applied_opts), searched_s=time.perf_counter() - started)
        return chosen

    tinygrad_search._time_program, tinygrad_search.beam_search = timed, searched


@contextmanager
def applied(variant: Optimization, chosen: Mapping[str, Sequence[Plain]]) -> Iterator[None]:
    """Compiles kernels inside the block as `variant` does, with the `chosen` optimizations instead of a search.

    A kernel without chosen optimizations gets those of the heuristic.
    """

    def instead(scheduler: Any, *given: Any, **named: Any) -> Any:
        opts = chosen.get(scheduler.ast.key.hex())
        if opts is None:
            return hand_coded_optimizations(scheduler)
        result = scheduler.copy()
        for name, axis, amount in opts:
            result.apply_opt(Opt(OptOps[name], axis, amount))
        return result

    beam_search = tinygrad_search.beam_search
    tinygrad_search.beam_search = instead
    try:
        with Context(BEAM=variant.width, NOOPT=int(not variant.optimized)):
            yield
    finally:
        tinygrad_search.beam_search = beam_search


def _plain(opts: Sequence[Any]) -> list[Plain]:
    return [(one.op.name, one.axis, one.arg) for one in opts]
