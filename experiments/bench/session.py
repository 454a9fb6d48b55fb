"""The `Bench` passed to a run function: measure, check, report progress, store details and artifacts."""

import hashlib
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.bench.arrays import Array
from experiments.bench.columns import Value
from experiments.bench.events import ArtifactEvent, DetailEvent, Emit, ProgressEvent
from experiments.bench.machine.roofline import Ceilings
from experiments.bench.rows import Row, Sample
from experiments.bench.statistics.intervals import Interval
from experiments.bench.timing.measure import HARNESS, Budget, Call, Comparison, Redraw, compare

if TYPE_CHECKING:
    from experiments.bench.timing.helper_process import HelperProcess

MAX_ARTIFACT_BYTES = 64 * 2**20


class Bench:
    """Measures on one device for one run. `emit` is called with one event at a time."""

    def __init__(
        self,
        device: str,
        emit: Emit,
        seed: int = 0,
        budget: Budget | None = None,
        ceilings: Sequence[Mapping[str, Value]] = (),
    ) -> None:
        self.device = device
        self._known_ceilings = ceilings
        self._ceilings: Ceilings | None = None
        self.budget = budget or Budget()
        self._emit = emit
        self._rng = random.Random(seed)  # noqa: S311 - an order, not a secret

    def progress(self, fraction: float, message: str) -> None:
        """Reports the fraction of the run that is done (0 to 1) and the step that starts now."""
        self._emit(ProgressEvent(min(1.0, max(0.0, fraction)), message))

    def detail(self, name: str, records: Sequence[Mapping[str, Value]]) -> None:
        """Appends records to the declared detail frame `name`."""
        self._emit(DetailEvent(name, [dict(record) for record in records]))

    def artifact(self, name: str, content: bytes) -> str:
        """Stores a file of the run; returns its SHA-256."""
        if len(content) > MAX_ARTIFACT_BYTES:
            raise ValueError(f"artifact {name} has {len(content)} bytes; at most {MAX_ARTIFACT_BYTES} are allowed")
        digest = hashlib.sha256(content).hexdigest()
        self._emit(ArtifactEvent(name, digest, content))
        return digest

    def compare(
        self,
        variants: Mapping[str, Call],
        baseline: str,
        budget: Budget | None = None,
        movers: Mapping[str, Call] | None = None,
        synchronize: Call | None = None,
    ) -> Comparison:
        """Paired, interleaved timings of `variants` on this device, each sample in fresh memory, with the A/A control.

        `movers` give variants new memory that is not tinygrad's, such as arrays of numpy. A variant whose memory cannot
        be moved gets an interval and no verdict. `synchronize` waits for a call; by default for this device.
        """
        from experiments.bench.tinygrad.runtime import synchronizer

        wait = synchronize or synchronizer(self.device)
        with _fresh_memory(variants, movers or {}) as redraw:
            return compare(variants, baseline, wait, budget or self.budget, self._rng, redraw=redraw)

    def compare_kernels(
        self, captured: Mapping[str, tuple[Any, Sequence[Any]]], baseline: str, budget: Budget | None = None
    ) -> Comparison:
        """The same for kernel times on the device: a variant is a captured TinyJit and its inputs."""
        from experiments.bench.timing.kernel_timing import compare_kernels

        calls = {name: partial(jit, *inputs) for name, (jit, inputs) in captured.items()}
        with _fresh_memory(calls, {}) as redraw:
            return compare_kernels(self.device, captured, baseline, budget or self.budget, self._rng, redraw)

    def ceilings(self) -> Ceilings | None:
        """This device's ceilings: stored ones, else measured now; recorded as a detail of the run."""
        if self._ceilings is None:
            from tinygrad import Context

            from experiments.bench.machine.ceilings import quick_ceilings

            records = list(self._known_ceilings)
            if Ceilings.of(records) is None:
                with Context(NOOPT=0, BEAM=0):  # a profiled variant may be compiled with other options
                    records = list(quick_ceilings(self.device))
            self.detail("ceilings", records)
            self._ceilings = Ceilings.of(records)
        return self._ceilings

    def inspect(
        self,
        latencies_s: Mapping[str, float],
        function: Callable[..., Any],
        jit: Any,
        inputs: Sequence[Any],
        **point: Value,
    ) -> dict[str, dict[str, Value]]:
        """Profiles a captured TinyJit: emits the details kernels, replay and memory; returns REASON columns by variant.

        `latencies_s` are the wall times of the variants that launch these kernels; details are of the first one.
        """
        from experiments.bench.profile import profile_call

        found = profile_call(self.device, function, jit, inputs, self.ceilings())
        first = next(iter(latencies_s))
        for name, records in found.details.items():
            self.detail(name, [{"variant": first, **point, **record} for record in records])
        return {name: found.reason(wall_s) for name, wall_s in latencies_s.items()}

    @contextmanager
    def cold_starts(
        self, function: str, each: Mapping[str, Mapping[str, Value]]
    ) -> Iterator[dict[str, "HelperProcess"]]:
        """Helper processes of `module:function` by name, which prepare in parallel, each with an empty kernel cache.

        Wait until all are ready, then request their measurements one after another.
        """
        from experiments.bench.timing.helper_process import HelperProcess

        with tempfile.TemporaryDirectory(prefix="tinylab-cold-") as folder:
            processes = {
                name: HelperProcess(self.device, function, Path(folder) / f"{number}.db", **arguments)
                for number, (name, arguments) in enumerate(each.items())
            }
            try:
                yield processes
            finally:
                for process in processes.values():
                    process.close()


@contextmanager
def _fresh_memory(variants: Mapping[str, Call], movers: Mapping[str, Call]) -> Iterator[Redraw]:
    """Moves a variant's buffers of tinygrad and then calls its mover."""
    from experiments.bench.tinygrad.redraw import Memory

    memory = Memory(variants)

    def redraw(name: str) -> bool:
        moved = memory.redraw(name)
        if name in movers:
            movers[name]()
        return moved or name in movers

    try:
        yield redraw
    finally:
        memory.release()


def max_abs_error(result: Array, reference: Array) -> float:
    """Largest absolute difference; infinite if shapes differ or either contains a NaN."""
    import numpy as np

    if result.shape != reference.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):  # infinity minus infinity is a NaN, handled below
        difference = np.asarray(np.subtract(result, reference, dtype=np.float64))  # the only copy
        error = float(np.max(np.abs(difference, out=difference), initial=0.0))
    return error if np.isfinite(error) else float("inf")


def tolerance(reference: Array, absolute: float, relative: float) -> float:
    """The allowed `max_abs_error`: absolute + relative times the largest absolute reference value."""
    import numpy as np

    lowest, highest = float(np.min(reference, initial=0.0)), float(np.max(reference, initial=0.0))
    return absolute + relative * max(-lowest, highest)


def timed_row(measured: Comparison, variant: str, /, *, wrong: bool = False, **values: Value) -> Row:
    """A row with the timed columns of `variant`; a wrong result has a latency but no speedup."""
    timing, latency = measured.timings[variant], measured.latency(variant)
    speedup, control = measured.speedup(variant), measured.control_ratio()
    has_ratio = not wrong and variant != measured.baseline
    row: dict[str, Value] = {
        "variant": variant,
        **values,
        **_interval("latency", latency, "_ms", 1e3),
        "p95_ms": _ms(measured.percentile_s(variant, 0.95)),
        "p99_ms": _ms(measured.percentile_s(variant, 0.99)),
        "samples": len(timing.blocks),
        "instances": measured.instances(variant),
        "baseline": measured.baseline,
        **(_interval("speedup", speedup) if has_ratio else {}),
        "control_lo": control.lo,
        "control_hi": control.hi,
        "detectable": measured.detectable(variant) if has_ratio else None,
        "verdict": "wrong" if wrong else measured.verdict(variant),
        "cpu_per_wall": timing.cpu_s / timing.wall_s if timing.wall_s else None,
        "harness": HARNESS,
    }
    samples = [Sample("block", timing.inner, timing.blocks), Sample("single", 1, timing.singles)]
    if variant == measured.baseline:
        samples.append(Sample("control", timing.inner, measured.control.blocks))
    return Row(row, samples)


def _interval(name: str, interval: Interval, unit: str = "", factor: float = 1.0) -> dict[str, Value]:
    scaled = {"": interval.median, "_lo": interval.lo, "_hi": interval.hi}
    return {f"{name}{end}{unit}": None if value is None else value * factor for end, value in scaled.items()}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3
