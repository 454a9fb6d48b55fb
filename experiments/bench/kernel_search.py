"""BEAM search in a helper process with a time limit: its candidates, its duration, and its choices.

tinygrad's search has no time limit, and a hanging candidate hangs it. So it runs in a helper process with an empty
cache, records every candidate as soon as it is timed, and is killed with its children when its budget is spent. Its
choices, or the best candidates so far, are applied in another process with `tinygrad.kernel_search.applied`: a kernel
timed in the searching process appears slower than it is.
"""

import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from experiments.bench.columns import Value

Opt = tuple[str, int | None, Any]  # name, axis, amount, as tinygrad's Opt has them
POLL_S = 0.2  # between two reads of the trace


@dataclass(frozen=True)
class Optimization:
    """How kernels are optimized: by a BEAM search of `width`, at width 0 by the heuristic, or not at all."""

    width: int = 0
    optimized: bool = True

    @property
    def name(self) -> str:
        """`noopt`, `heuristic` or `beam=2`."""
        return f"beam={self.width}" if self.width else "heuristic" if self.optimized else "noopt"


@dataclass(frozen=True)
class Candidate:
    """One candidate: `at_s` seconds after the search started; `seconds` of the kernel, None if it failed."""

    kernel: str
    at_s: float
    opts: tuple[Opt, ...]
    seconds: float | None

    @property
    def text(self) -> str:
        """`UPCAST(0,4) UNROLL(0,4)`."""
        return " ".join(f"{name}({axis},{amount})" for name, axis, amount in self.opts)


@dataclass(frozen=True)
class SearchResult:
    """A first call with its search: how it ended, its duration, its candidates, and its choices by kernel."""

    variant: Optimization
    ended: Literal["done", "timeout", "failed"]
    seconds: float
    first_call_s: float | None
    candidates: tuple[Candidate, ...]
    chosen: dict[str, tuple[Opt, ...]]
    cause: str = ""


def search(
    device: str,
    prepare: str,
    variant: Optimization,
    budget_s: float,
    on_progress: Callable[[int], None] = lambda candidates: None,
    **arguments: Value,
) -> SearchResult:
    """The first call of a function, its kernels optimized as `variant` asks, within `budget_s` seconds.

    `prepare` is a `module:function` that gets `device` and the arguments in a helper process with an empty kernel
    cache, and returns a call that realizes its result. Its preparation and the start of the process do not count.
    `on_progress` is called with the number of timed candidates whenever it has grown.
    """
    from experiments.bench.timing.helper_process import HelperProcess

    with tempfile.TemporaryDirectory(prefix="tinylab-beam-") as folder:
        trace = Path(folder) / "trace.jsonl"
        process = HelperProcess(
            device,
            "experiments.bench.tinygrad.kernel_search:first_call",
            Path(folder) / "kernels.db",
            prepare=prepare,
            width=variant.width,
            optimized=variant.optimized,
            trace=str(trace),
            arguments=json.dumps(arguments),
        )
        took, answer, cause = 0.0, None, ""
        try:
            process.wait_until_ready()
            began = time.monotonic()
            process.request()
            known = 0
            while not (answered := process.answered(POLL_S)) and time.monotonic() - began < budget_s:
                if (timed := len(read(trace)[0])) > known:
                    known = timed
                    on_progress(known)
            took = time.monotonic() - began
            answer = process.response() if answered else None
        except RuntimeError as error:
            cause = str(error)
        finally:
            process.close()
        candidates, chosen, searched_s = read(trace)
    if answer is not None:
        return SearchResult(variant, "done", searched_s, answer["first_call_s"], candidates, chosen)
    return SearchResult(variant, "failed" if cause else "timeout", took, None, candidates, chosen, cause)


def read(trace: Path) -> tuple[tuple[Candidate, ...], dict[str, tuple[Opt, ...]], float]:
    """The candidates of a trace, the choice (or the best so far) for each kernel, and the seconds of searching.

    An incomplete last line, as of a killed process, is ignored.
    """
    lines = trace.read_text().splitlines(keepends=True) if trace.exists() else []
    records = [json.loads(line) for line in lines if line.endswith("\n")]
    candidates = tuple(
        Candidate(one["kernel"], one["at_s"], _opts(one["opts"]), one["seconds"]) for one in records if "seconds" in one
    )
    best: dict[str, float] = {}
    chosen: dict[str, tuple[Opt, ...]] = {}
    for one in candidates:
        if one.seconds is not None and one.seconds < best.get(one.kernel, math.inf):
            best[one.kernel], chosen[one.kernel] = one.seconds, one.opts
    ends = [one for one in records if "searched_s" in one]
    chosen |= {one["kernel"]: _opts(one["opts"]) for one in ends}
    return candidates, chosen, sum(one["searched_s"] for one in ends)


def _opts(recorded: list[list[Any]]) -> tuple[Opt, ...]:
    """The optimizations with JSON's lists turned back into tuples."""
    return tuple((name, axis, tuple(amount) if isinstance(amount, list) else amount) for name, axis, amount in recorded)
