"""The speedup of BEAM search over tinygrad's heuristic, its cost, and its break-even."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from experiments.bench.answers import describe_speedup
from experiments.bench.columns import COMPILED, TIMED, Column, Value
from experiments.bench.kernel_search import SearchResult, search
from experiments.bench.profile import REASON
from experiments.bench.rows import Row
from experiments.bench.session import Bench, max_abs_error, timed_row, tolerance
from experiments.bench.spec import experiment
from experiments.bench.statistics.intervals import Interval, break_even
from experiments.bench.statistics.series import series_interval
from experiments.bench.timing.measure import Comparison
from experiments.compiler.beam.optimizations import in_words
from experiments.compiler.beam.spec import HEURISTIC, KERNELS, NOOPT, BeamSpec, NumberFormat

if TYPE_CHECKING:
    import pandas as pd

    from experiments.bench.tinygrad.capture import CallWork
    from experiments.models.functions import FunctionModel

PREPARE = f"{__name__}:prepare"
BASELINE = HEURISTIC.name
ATOL = 1e-5
RTOL: dict[NumberFormat, float] = {"float32": 1e-4, "float16": 2e-3}  # against float64, of the largest value


@experiment(
    section="Compiler",
    title="BEAM search",
    question="How much faster are BEAM's kernels than the heuristic's, and when has the search paid off?",
    compares="noopt, heuristic, beam=1 to 8",
    spec=BeamSpec,
    presets={
        "course": BeamSpec(kernel="products", size=[512], widths=[1, 2, 4]),
        "course_outer_product": BeamSpec(kernel="outer_product", size=[2048], widths=[1, 2, 4]),
        "matmul": BeamSpec(size=[512], widths=[1, 2, 4, 8]),
        "convolution": BeamSpec(kernel="conv2d", size=[32], widths=[1, 2]),
        "reductions": BeamSpec(kernel="row_reduce", size=[2048], widths=[1, 2, 4]),
        "tensor_cores": BeamSpec(size=[1024, 4096], widths=[1, 2, 4], dtype="float16"),
        "quick": BeamSpec(kernel="row_reduce", size=[64], widths=[1], search_budget_s=20, budget_s=0.4),
    },
    columns=[
        Column("kernel", "text", "the computed function"),
        Column("size", "integer", "n of the n x n matrices, or width and height of an image in pixels"),
        Column("dtype", "text", "number format"),
        *TIMED,
        *("first_call_ms", "search_s"),
        Column("candidates", "integer", "kernels that the search compiled and timed"),
        Column("applied_opts", "text", "optimizations of the timed kernels, in order; kernels separated by |"),
        Column("in_words", "text", "the optimizations in words"),
        "break_even_calls",
        Column("break_even_calls_lo", "integer", "break-even at the upper end of the gain's 95% interval"),
        Column("break_even_calls_hi", "integer", "break-even at the lower end of the gain's 95% interval"),
        *COMPILED,
        *REASON,
        Column("kernel_lo_ms", "number", "lower end of the 95% interval of kernel_ms"),
        Column("kernel_hi_ms", "number", "upper end of the 95% interval of kernel_ms"),
        "max_abs_error",
        Column("note", "text", "why there is no time"),
    ],
    details={
        "candidates": [
            Column("size", "integer", "n of the n x n matrices, or width and height of an image in pixels"),
            Column("variant", "text", "name of the search"),
            Column("kernel", "integer", "number of the searched kernel, from 1"),
            Column("candidate", "integer", "number of the candidate in this search, from 1"),
            Column("at_s", "number", "time since the start of the search at which it was timed"),
            Column("opts", "text", "optimizations of the candidate"),
            Column("candidate_ms", "number", "kernel time measured by the search; empty if it did not run"),
            Column("best_ms", "number", "time of the best candidate of this kernel so far"),
        ]
    },
    grid=("size",),
    summary=(
        *("size", "variant", "kernel_ms", "speedup", "verdict", "search_s", "candidates", "break_even_calls"),
        *("gflops", "in_words", "note"),
    ),
    inspects=True,
    answer=lambda frame: answer(frame),
)
def beam(spec: BeamSpec, bench: Bench) -> Iterator[Row]:
    """Compares a function's kernels unoptimized, by tinygrad's heuristic, and by BEAM searches of several widths.

    Each variant's first call runs in a fresh process with an empty cache and a time limit: search_s includes the
    start of compiling processes, but not that of Python and of the device. A search that exceeds its budget is
    killed; its verdict is `timeout`, and the best kernel found so far is timed. A variant without a search whose
    first call exceeds the budget is a `timeout` too, and is not timed. All others are then timed interleaved in this
    process, which applies the optimizations found and never searches: kernels timed in the process that searched
    them are slower. Latency and speedup are of the whole call; kernel_ms, gflops and gb_s of its kernels alone.
    Break-even compares first call and steady-state latency with the heuristic's; its interval is that of the gain per
    call. A candidate's time is measured by the search: few runs, of a part of a large kernel.
    Not measured: searches of several kernels at once, the variation between searches (a search is not
    deterministic), kernels of other shapes (each needs its own search).
    Results of every variant, eager, captured and replayed, are compared with numpy in float64; atol 1e-5 + rtol
    1e-4 (float16: 2e-3) of the largest value. Source: the BEAM part of the tinygrad course.
    """
    points = [(size, variant) for size in dict.fromkeys(spec.size) for variant in spec.variants]
    found: dict[str, SearchResult] = {}
    for number, (size, variant) in enumerate(points):
        done = number / len(points)
        where = f"{KERNELS[spec.kernel]} {size}, {variant.name}"

        def look(candidates: int, done: float = done, where: str = where) -> None:
            bench.progress(done, f"{where}: {candidates} candidates timed")

        look(0)
        one = search(bench.device, PREPARE, variant, spec.search_budget_s, look, spec=spec.model_dump_json(), n=size)
        bench.detail("candidates", _candidates(one, size))
        found[variant.name] = one
        if variant == spec.variants[-1]:
            bench.progress(done + 0.5 / len(points), f"size {size}: timing all variants, interleaved")
            yield from _measure(spec, bench, size, found)


def prepare(device: str, spec: str, n: int) -> Callable[[], object]:
    """In a fresh process: a call of the function on new inputs."""
    workload = _workload(BeamSpec.model_validate_json(spec))
    inputs = workload.inputs(n, device)
    return lambda: workload.function(*inputs)


def _workload(spec: BeamSpec) -> "FunctionModel":
    from experiments.compiler.beam.workloads import build

    return build(spec.kernel, spec.dtype, spec.images, spec.channels, spec.filters)


def _candidates(found: SearchResult, size: int) -> list[dict[str, Value]]:
    kernels = {kernel: number for number, kernel in enumerate(dict.fromkeys(one.kernel for one in found.candidates), 1)}
    best: dict[str, float] = {}
    records: list[dict[str, Value]] = []
    for number, one in enumerate(found.candidates, start=1):
        if one.seconds is not None:
            best[one.kernel] = min(one.seconds, best.get(one.kernel, one.seconds))
        records.append(
            {
                "size": size,
                "variant": found.variant.name,
                "kernel": kernels[one.kernel],
                "candidate": number,
                "at_s": one.at_s,
                "opts": one.text,
                "candidate_ms": None if one.seconds is None else one.seconds * 1e3,
                "best_ms": best[one.kernel] * 1e3 if one.kernel in best else None,
            }
        )
    return records


def _measure(spec: BeamSpec, bench: Bench, size: int, found: dict[str, SearchResult]) -> Iterator[Row]:
    from tinygrad import TinyJit

    from experiments.bench.tinygrad.capture import captured_work, first_calls
    from experiments.bench.tinygrad.kernel_search import applied

    timed = {name: one for name, one in found.items() if one.ended == "done" or one.chosen}
    if BASELINE not in timed:
        yield from (_untimed(spec, size, one) for one in found.values())
        return
    workload = _workload(spec)
    arrays = workload.sample(size)
    reference, inputs = workload.reference(*arrays), workload.inputs(size, bench.device)
    jits = {name: TinyJit(workload.function) for name in timed}
    errors = {}
    for name, one in timed.items():
        with applied(one.variant, one.chosen):
            results = first_calls(jits[name], *inputs)
            errors[name] = max(max_abs_error(result.numpy(), reference) for result in results)
    comparison = bench.compare({name: partial(jit, *inputs) for name, jit in jits.items()}, BASELINE)
    alone = bench.compare_kernels({name: (jit, inputs) for name, jit in jits.items()}, BASELINE)
    work = captured_work(jits[BASELINE])  # the same for all: repeated reads of a variant do not count as work
    for name, one in found.items():
        if name not in timed:
            yield _untimed(spec, size, one)
            continue
        with applied(one.variant, one.chosen):
            latency_s = comparison.latency(name).median
            reason = bench.inspect({name: latency_s}, workload.function, jits[name], inputs, size=size)[name]
        wrong = errors[name] > tolerance(reference, ATOL, RTOL[spec.dtype])
        values = _cost(spec, size, one) | {
            **_optimizations(jits[name]),
            **work.counts,
            **reason,
            **_kernel_time(alone.latency(name), work),
            "max_abs_error": errors[name],
        }
        if not wrong and comparison.verdict(name) == "faster":
            values |= _break_even(comparison, one, found[BASELINE])
        row = timed_row(comparison, name, wrong=wrong, **values)
        ended_early = one.ended != "done" and not wrong
        yield Row(row.values | {"verdict": one.ended, "note": one.cause or None}, row.samples) if ended_early else row


def _cost(spec: BeamSpec, size: int, found: SearchResult) -> dict[str, Value]:
    """The columns known before a variant is timed: the point, its first call, its search."""
    return {
        "kernel": KERNELS[spec.kernel],
        "size": size,
        "dtype": spec.dtype,
        "first_call_ms": None if found.first_call_s is None else found.first_call_s * 1e3,
        "search_s": found.seconds if found.variant.width else None,
        "candidates": len(found.candidates) if found.variant.width else None,
    }


def _untimed(spec: BeamSpec, size: int, found: SearchResult) -> Row:
    """The row of a variant without a time, with the reason."""
    what = "no candidate had been timed" if found.variant.width else "the first call had not ended"
    note = found.cause or f"{what} after {found.seconds:.0f} s"
    if found.ended == "done" or found.chosen:
        note = "the heuristic has no time to be compared with"
    verdict = None if found.ended == "done" else found.ended
    return Row({"variant": found.variant.name, **_cost(spec, size, found), "verdict": verdict, "note": note})


def _optimizations(jit: Any) -> dict[str, Value]:
    """The optimizations of the captured kernels, as tinygrad names them and in words."""
    from experiments.bench.tinygrad.capture import kernels

    opts = [kernel.opts for kernel in kernels(jit) if kernel.uops]
    return {"applied_opts": " | ".join(opts), "in_words": " | ".join(in_words(each) for each in opts)}


def _kernel_time(seconds: Interval, work: "CallWork") -> dict[str, Value]:
    """The kernel time with its interval, and the rates derived from it."""
    return {
        **work.rates(seconds.median),
        "kernel_ms": seconds.median * 1e3,
        "kernel_lo_ms": None if seconds.lo is None else seconds.lo * 1e3,
        "kernel_hi_ms": None if seconds.hi is None else seconds.hi * 1e3,
    }


def _break_even(comparison: Comparison, found: SearchResult, heuristic: SearchResult) -> dict[str, Value]:
    """Calls until the gain per call has paid for the search, with an interval from that of the gain."""
    base = comparison.timings[BASELINE].blocks
    searched = comparison.timings[found.variant.name].blocks
    gain = series_interval([a - b for a, b in zip(base, searched, strict=True)])
    steady = comparison.latency(BASELINE).median
    first = heuristic.first_call_s or 0.0
    cost = found.seconds if found.first_call_s is None else found.first_call_s

    def calls(gained: float | None) -> int | None:
        return None if gained is None else break_even([first], steady, [cost], steady - gained)

    return {
        "break_even_calls": calls(gain.median),
        "break_even_calls_lo": calls(gain.hi),
        "break_even_calls_hi": calls(gain.lo),
    }


def answer(frame: "pd.DataFrame") -> str:
    """The slowdown without optimizations and the speedup of each search over the heuristic, at the last size."""
    timed = frame[frame["latency_ms"].notna()]
    slow = frame[(frame["variant"] == BASELINE) & (frame["verdict"] == "timeout")]
    if timed.empty and len(slow):
        one = slow.iloc[-1]
        return (
            f"On {one['device']}, {one['kernel']} at size {one['size']} exceeds the budget: even the heuristic's "
            "first call did not finish."
        )
    if timed.empty or BASELINE not in set(timed["variant"]):
        return ""
    last = frame[frame["size"] == timed["size"].iloc[-1]]
    first = last.iloc[0]
    sentences = [f"On {first['device']}, {first['kernel']} at size {first['size']}:"]
    for _, row in last[last["variant"] != BASELINE].iterrows():
        sentences.append(_without_optimizations(row) if row["variant"] == NOOPT.name else _searched(row))
    return " ".join(sentences)


def _without_optimizations(row: Any) -> str:
    if row["verdict"] == "slower":
        slower = _slower(row)
        return f"without optimizations it is {slower} than with tinygrad's heuristic."
    if not row["latency_ms"] > 0:
        return "without optimizations its first call did not finish within the budget."
    return f"disabling optimizations {describe_speedup(row, 'it')}."


def _searched(row: Any) -> str:
    name, took = str(row["variant"]).upper(), f"{row['search_s']:.3g} s"
    if row["verdict"] == "failed":
        return f"The search {name} failed."
    if row["verdict"] == "wrong":
        return f"{name} gives wrong results."
    if not row["latency_ms"] > 0:
        return f"{name} found no kernel within {took}."
    ended = row["verdict"] == "timeout"
    subject = f"The best kernel that {name} found within {took}" if ended else name
    if row["speedup_lo"] > 1:
        interval = f"95% CI {row['speedup_lo']:.3g} to {row['speedup_hi']:.3g}"
        return f"{subject} is {row['speedup']:.3g}x faster than the heuristic ({interval}){_paid(row, ended)}."
    if row["speedup_hi"] < 1:
        return f"{subject} is {_slower(row)} than the heuristic here{'' if ended else f', and its search took {took}'}."
    interval = f"ratio {row['speedup']:.3g}, 95% CI {row['speedup_lo']:.3g} to {row['speedup_hi']:.3g}"
    inconclusive = f"{subject} is not significantly faster or slower than the heuristic ({interval})"
    return f"{inconclusive}{'' if ended else f', after a search of {took}'}."


def _slower(row: Any) -> str:
    slower, lo, hi = 1 / row["speedup"], 1 / row["speedup_hi"], 1 / row["speedup_lo"]
    return f"{slower:.3g}x slower (95% CI {lo:.3g} to {hi:.3g})"


def _paid(row: Any, ended: bool) -> str:
    known = row[["break_even_calls", "break_even_calls_lo", "break_even_calls_hi"]].dropna()
    if "break_even_calls" not in known:
        return "" if ended else f"; its search of {row['search_s']:.3g} s has not paid off"
    calls, *ends = (f"{int(value):,}" for value in known)
    search = "the search" if ended else f"its search of {row['search_s']:.3g} s"
    return f"; {search} has paid off after {calls} calls" + (f" ({' to '.join(ends)})" if len(ends) == 2 else "")
