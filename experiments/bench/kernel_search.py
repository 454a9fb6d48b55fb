"""BEAM search in a process that can be killed: what it tried, how long it took, and what it chose.

tinygrad's search has no time limit of its own, and a candidate that hangs hangs it. So it runs in a fresh process
with an empty cache, writes every candidate down as soon as it is timed, and is ended with all that it has started
when its budget is spent. What it chose, or the best that it had timed by then, is applied elsewhere with
`beam_adapter.applied`: a kernel that is timed where it was searched reads slow.
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
from experiments.bench.timing.helper_process import HelperProcess

Opt = tuple[str, int | None, Any]  # name, axis, amount, as tinygrad's Opt has them
LOOK_S = 0.2  # between two looks at what the search has written


@dataclass(frozen=True)
class Optimization:
    """How kernels are optimized: by a BEAM search of this width; at width 0 by the heuristic, or not at all."""

    width: int = 0
    optimized: bool = True

    @property
    def name(self) -> str:
        """`noopt`, `heuristic` or `beam=2`."""
        return f"beam={self.width}" if self.width else "heuristic" if self.optimized else "noopt"


@dataclass(frozen=True)
class Candidate:
    """One candidate as the search saw it: seconds since its start, and of the kernel, empty where that failed."""

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
    """A first call with its search: how it ended, what it cost in seconds, what it tried, what it chose by kernel."""

    variant: Optimization
    ended: Literal["done", "timeout", "failed"]
    seconds: float
    first_call_s: float | None
    candidates: tuple[Candidate, ...]
    chosen: dict[str, tuple[Opt, ...]]
    cause: str = ""


def search(
    device: str,
    make: str,
    variant: Optimization,
    budget_s: float,
    look: Callable[[int], None] = lambda candidates: None,
    **arguments: Value,
) -> SearchResult:
    """The first call of what `make` prepares, its kernels searched for as `variant` says, within `budget_s` seconds.

    `make` is a `module:function` that gets `device` and the arguments in a fresh process with an empty kernel cache,
    and returns a call that realises its result. Neither its preparation nor the start of the process counts.
    `look` is told how many candidates have been timed, when there are more.
    """
    with tempfile.TemporaryDirectory(prefix="tinylab-beam-") as folder:
        trace = Path(folder) / "trace.jsonl"
        process = HelperProcess(
            device,
            "experiments.bench.tinygrad.kernel_search:first_call",
            Path(folder) / "kernels.db",
            make=make,
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
            while not (answered := process.answered(LOOK_S)) and time.monotonic() - began < budget_s:
                if (timed := len(read(trace)[0])) > known:
                    known = timed
                    look(known)
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
    """The candidates of a trace, what was chosen for each kernel or was best so far, and the seconds of searching.

    The last line of a killed process may be half a line, which is left out.
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


def _opts(said: list[list[Any]]) -> tuple[Opt, ...]:
    """As they were before JSON made lists of tuples."""
    return tuple((name, axis, tuple(amount) if isinstance(amount, list) else amount) for name, axis, amount in said)
