"""The phases of a first call: import, device, schedule, code generation, compiler, run (private names of tinygrad).

Does not import tinygrad: its import is the first phase.
"""

import importlib
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.bench.columns import Column, Value

if TYPE_CHECKING:
    from experiments.bench.session import Bench

STATES = ("cold", "disk cache", "warm")
PHASES = ("import", "device open", "schedule", "code generation", "compiler", "run", "other")
COLD_PHASES = (
    Column("state", "text", "cold: no kernel compiled yet; disk cache: by an earlier process; warm: in this process"),
    Column("phase", "text", "part of the call: " + ", ".join(PHASES)),
    Column("phase_ms", "number", "time of this phase alone; the phases of a state add up to its total time"),
)
OUTSIDE = "outside"
WARM_CALLS = 5
STAGES = (  # phase, module, name: looked up there at every call, so replacing it there is enough
    ("schedule", "tinygrad.tensor", "Tensor.linear_with_vars"),
    ("code generation", "tinygrad.engine.realize", "compile_linear"),
    ("code generation", "tinygrad.engine.jit", "compile_linear"),
    ("compiler", "tinygrad.device", "Compiler.compile_cached"),
    ("run", "tinygrad.tensor", "run_linear"),
    ("run", "tinygrad.engine.jit", "run_linear"),
)


class Stopwatch:
    """Adds up seconds per phase; an inner phase pauses the outer one, so that no time counts twice."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._clock, self._open, self._since = clock, [OUTSIDE], clock()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times the block, excluding phases opened inside it."""
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def timed(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, its calls timed as `phase`."""

        def call(*given: Any, **named: Any) -> Any:
            with self.phase(phase):
                return function(*given, **named)

        return call

    def take(self) -> dict[str, float]:
        """The seconds per phase so far, in order; resets the watch."""
        taken = {name: self.seconds[name] for name in PHASES if name in self.seconds}
        self.seconds.clear()
        return taken

    def _charge(self) -> None:
        now = self._clock()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now


def split(device: str, build: Callable[[], Callable[[], object]]) -> dict[str, dict[str, float]]:
    """In a helper process: seconds per phase of the `first` call of `build`'s function, and of a `warm` one.

    The first call includes the import of tinygrad and the opening of the device, but not `build` itself (weights,
    inputs). Opening the CPU device compiles helper kernels, which count as opening. `code generation` is tinygrad's
    lowering with its lookups; `compiler` turns source into a binary (clang, NVRTC …) or finds it in the cache on
    disk; `run` loads the binary and runs it to the end; `other` is the rest, such as building the expression.
    Kernels are compiled one after another, where tinygrad would start a pool of processes, so that time can be
    attributed. `warm` is the call of median duration out of five. Raises RuntimeError if tinygrad was imported before.
    """
    if "tinygrad" in sys.modules:
        raise RuntimeError("tinygrad was imported before its import could be timed")
    watch = Stopwatch()
    with watch.phase("import"):
        tinygrad = importlib.import_module("tinygrad")
    with watch.phase("device open"):
        opened = tinygrad.Device[device]
    function = build()
    opened.synchronize()
    watch_stages(watch)

    def call() -> dict[str, float]:
        with tinygrad.Context(PARALLEL=0), watch.phase("other"):
            function()
            with watch.phase("run"):
                opened.synchronize()
        return watch.take()

    first = call()
    warm = sorted((call() for _ in range(WARM_CALLS)), key=lambda phases: sum(phases.values()))
    return {"first": first, "warm": warm[WARM_CALLS // 2]}


def watch_stages(watch: Stopwatch) -> None:
    """From now on `watch` times the stages of every call in this process."""
    for phase, module, path in STAGES:
        owner: Any = importlib.import_module(module)
        *holders, name = path.split(".")
        for holder in holders:
            owner = getattr(owner, holder)
        setattr(owner, name, watch.timed(phase, getattr(owner, name)))


def phases_records(bench: "Bench", function: str, **arguments: Value) -> list[dict[str, Value]]:
    """Records of COLD_PHASES for `module:function`, which gets `device` and the arguments and returns its `split`.

    Two helper processes, one after the other, share a kernel cache that is empty at first: the first is `cold`, the
    second finds the cache on disk filled, and its later calls are `warm`. Files of Python and tinygrad stay in the
    system's page cache, so no state is that of a machine just started.
    """
    from experiments.bench.timing.helper_process import run_in_process

    with tempfile.TemporaryDirectory(prefix="tinylab-phases-") as folder:
        cache = Path(folder) / "kernels.db"
        cold, cached = (run_in_process(bench.device, function, cache, **arguments) for _ in range(2))
    seconds = dict(zip(STATES, (cold["first"], cached["first"], cached["warm"]), strict=True))
    return [
        {"state": state, "phase": phase, "phase_ms": value * 1e3}
        for state, phases in seconds.items()
        for phase, value in phases.items()
    ]
