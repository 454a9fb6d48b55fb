"""The bandwidth of memory access patterns, as a fraction of a copy's."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from experiments.bench.arrays import Array
from experiments.bench.columns import COMPILED, Column, Value
from experiments.bench.machine.device import Device
from experiments.bench.profile import REASON
from experiments.bench.rows import Row
from experiments.bench.session import Bench, max_abs_error, timed_row, tolerance
from experiments.bench.spec import MeasuredSpec, Need, experiment
from experiments.bench.timing.measure import Comparison
from experiments.compiler.memory.access_patterns import MATMULS, PATTERNS, PatternName

if TYPE_CHECKING:
    import pandas as pd

COPY: PatternName = "copy"
NOT_COMPARED = ("speedup", "detectable")  # columns of a comparison: the patterns do different work
ATOL, RTOL = 1e-5, 1e-4  # float32 sums against float64, of the largest value
LOW_FRACTION = 0.5  # of the copy's bandwidth: below it the answer gives the reason
CHECKED = 6  # times the largest result: a check holds it twice in float64 and once in float32, with some margin
MAX_NAMED = 4  # the answer names this many of the slowest patterns


class MemorySpec(MeasuredSpec):
    """The shape of a float32 matrix, and the access patterns."""

    rows: int = Field(4096, ge=1, le=65536, title="Rows", description="rows of the matrix")
    columns: list[Annotated[int, Field(ge=1, le=65536)]] = Field(
        [4096],
        min_length=1,
        max_length=16,
        title="Columns",
        description="columns of the matrix: elements of a column are 4 bytes times this apart; matmuls are of "
        "columns x columns",
    )
    patterns: list[PatternName] = Field(
        [name for name in PATTERNS if name not in MATMULS],
        min_length=1,
        max_length=len(PATTERNS),
        title="Patterns",
        description="access patterns; copy, the baseline, is always measured",
    )

    @property
    def names(self) -> list[PatternName]:
        """The patterns, each once, the copy first."""
        return list(dict.fromkeys([COPY, *self.patterns]))

    def need(self) -> Need:
        """The matrix in numpy and on the device, all patterns' inputs and results, and one result in float64."""
        shape = (self.rows, max(self.columns))
        matrix, square = 4 * shape[0] * shape[1], 4 * shape[1] ** 2
        products = [name for name in self.names if name in MATMULS]
        results = sum(PATTERNS[name].useful_bytes(shape) for name in self.names) + 2 * square * len(products)
        checked = CHECKED * max(matrix, square if products else 0)
        parts = {
            "the matrix in numpy and on the device": 2 * matrix,
            "inputs and results": results,
            "a check in float64": checked,
        }
        summed = " + ".join(f"{size / 1e9:.1f} GB {part}" for part, size in parts.items())
        return Need(sum(parts.values()), f"{len(self.names)} patterns over {shape[0]}x{shape[1]} float32 ({summed})")


@experiment(
    section="Compiler",
    title="Memory access",
    question="What fraction of a copy's bandwidth does each memory access pattern reach, and why?",
    compares="copy, sums, transpose, flip, strided reads, gathers, matmuls",
    spec=MemorySpec,
    presets={
        "course": MemorySpec(rows=1024, columns=[1024]),
        "beyond_caches": MemorySpec(rows=4096, columns=[4096, 4112]),
        "power_of_two": MemorySpec(
            rows=1024,
            columns=[1000, 1008, 1024, 1040],
            patterns=["copy", "row_sum", "column_sum", "transpose", "matmul", "matmul_transposed"],
        ),
        "gpu": MemorySpec(rows=8192, columns=[8192]),
        "quick": MemorySpec(
            rows=2048, columns=[2048], patterns=["copy", "row_sum", "column_sum", "transpose"], budget_s=0.4
        ),
    },
    columns=[
        Column("rows", "integer", "rows of the float32 matrix"),
        Column("columns", "integer", "columns of the float32 matrix; matmuls are of columns x columns"),
        *("latency_ms", "latency_lo_ms", "latency_hi_ms", "p95_ms", "p99_ms", "samples", "baseline"),
        *("control_lo", "control_hi", "verdict", "cpu_per_wall", "instances", "harness"),
        Column(
            "useful_bytes",
            "integer",
            "bytes of the required input, read once, and of the result, written once",
        ),
        *COMPILED,
        Column("fraction_of_copy", "number", "gb_s divided by that of the copy at the same point; empty for matmuls"),
        Column(
            "fraction_of_copy_lo",
            "number",
            "lower end of the 95% interval of fraction_of_copy, from ratios within blocks",
        ),
        Column("fraction_of_copy_hi", "number", "upper end of the 95% interval of fraction_of_copy"),
        *REASON,
        Column("kernel_lo_ms", "number", "lower end of the 95% interval of kernel_ms"),
        Column("kernel_hi_ms", "number", "upper end of the 95% interval of kernel_ms"),
        "max_abs_error",
        Column("why", "text", "how this access pattern uses the caches"),
    ],
    grid=("rows", "columns"),
    summary=("columns", "variant", "kernel_ms", "gb_s", "fraction_of_copy", "gflops", "verdict", "why"),
    inspects=True,
    answer=lambda frame: answer(frame),
)
def memory(spec: MemorySpec, bench: Bench) -> Iterator[Row]:
    """Reads a float32 matrix with several access patterns and compares the useful bytes per second with a copy's.

    Useful bytes are the input bytes that the result depends on, read once, and those of the result, written once
    (an index counts as read): a row sum of r x c elements has 4(rc + r), a copy 8rc, one of every 16th column 8rc/16,
    a gather 12 per element (index, element, result), a matmul 12 n^2. gb_s is of useful bytes, gflops of a matmul's
    operations, both over the kernel time on the device, without launches; latency is that of the whole call. The
    copy is y = x + 1. The fraction is the median of ratios within blocks in which every pattern was timed. There is no
    speedup, as the work differs. The access order of a kernel is visible in its source, in the inspector.
    Not measured: cache contents and misses, kernels optimized by BEAM, number formats other than float32.
    Results are compared with numpy in float64, atol 1e-5 + rtol 1e-4 of the largest value, eager and replayed.
    Source: the memory part of the tinygrad course, which realized the same tensor again and so measured nothing.
    """
    points = list(dict.fromkeys(spec.columns))
    for number, columns in enumerate(points):
        bench.progress(number / len(points), f"{spec.rows}x{columns}: {len(spec.names)} patterns")
        yield from _measure(spec, bench, (spec.rows, columns))


def _measure(spec: MemorySpec, bench: Bench, shape: tuple[int, int]) -> Iterator[Row]:
    from tinygrad import TinyJit

    from experiments.bench.tinygrad.capture import captured_work, first_calls
    from experiments.bench.tinygrad.runtime import tensor

    on_device: dict[int, tuple[Array, Any]] = {}  # by id of the array, held here: all patterns share the matrix
    captured: dict[str, tuple[Any, tuple[Any, ...]]] = {}
    errors, wrong = {}, {}
    for name in spec.names:
        pattern = PATTERNS[name]
        arrays = pattern.sample(shape)
        for array in arrays:
            if id(array) not in on_device:
                on_device[id(array)] = array, tensor(array, bench.device)
        inputs = tuple(on_device[id(array)][1] for array in arrays)
        jit, reference = TinyJit(pattern.function), pattern.reference(*arrays)
        errors[name] = max(max_abs_error(result.numpy(), reference) for result in first_calls(jit, *inputs))
        wrong[name] = errors[name] > tolerance(reference, ATOL, RTOL)
        captured[name] = (jit, inputs)
    comparison = bench.compare({name: partial(jit, *inputs) for name, (jit, inputs) in captured.items()}, COPY)
    alone = bench.compare_kernels(captured, COPY)
    for name in spec.names:
        jit, inputs = captured[name]
        pattern, work = PATTERNS[name], captured_work(jit)
        latency_s = comparison.latency(name).median
        point: dict[str, Value] = {"rows": shape[0], "columns": shape[1]}
        reason = bench.inspect({_shown(name): latency_s}, pattern.function, jit, inputs, **point)[_shown(name)]
        row = timed_row(
            comparison,
            name,
            wrong=wrong[name],
            **point,
            useful_bytes=pattern.useful_bytes(shape),
            **work.counts,
            **reason,
            max_abs_error=errors[name],
            why=pattern.reason(shape, gpu=not Device.parse(bench.device).family.on_host),
        )
        values = {column: value for column, value in row.values.items() if not column.startswith(NOT_COMPARED)}
        values |= {"variant": _shown(name), "verdict": "wrong" if wrong[name] else "baseline" if name == COPY else None}
        yield Row(values | _rates(alone, name, shape, work.ops, wrong[name]), row.samples)


def _rates(alone: Comparison, name: PatternName, shape: tuple[int, int], ops: int, wrong: bool) -> dict[str, Value]:
    """The kernel time with its interval, and the rates derived from it; a wrong result has no rates."""
    kernel, ratio = alone.latency(name), alone.speedup(name)
    control = alone.control_ratio()
    values: dict[str, Value] = {
        "kernel_ms": kernel.median * 1e3,
        "kernel_lo_ms": None if kernel.lo is None else kernel.lo * 1e3,
        "kernel_hi_ms": None if kernel.hi is None else kernel.hi * 1e3,
        "control_lo": control.lo,
        "control_hi": control.hi,
    }
    if wrong:
        return values
    useful = PATTERNS[name].useful_bytes(shape)
    values["gb_s"] = useful / kernel.median / 1e9
    if name in MATMULS:
        return values | {"gflops": ops / kernel.median / 1e9}
    more = useful / PATTERNS[COPY].useful_bytes(shape)
    if name == COPY:
        return values | {"fraction_of_copy": 1.0}
    return values | {
        "fraction_of_copy": more * ratio.median,
        "fraction_of_copy_lo": None if ratio.lo is None else more * ratio.lo,
        "fraction_of_copy_hi": None if ratio.hi is None else more * ratio.hi,
    }


def _shown(name: str) -> str:
    return name.replace("_", " ")


def answer(frame: "pd.DataFrame") -> str:
    """The copy's bandwidth, the slowest patterns with the reason of the slowest, and the matmul's throughput."""
    copies = frame[(frame["variant"] == COPY) & frame["gb_s"].notna()]
    if copies.empty:
        return ""
    copy = copies.sort_values("gb_s").iloc[-1]
    shape = f"{copy['rows']}x{copy['columns']}"
    text = f"On {copy['device']}, a copy of {shape} float32 moves {copy['gb_s']:.3g} GB/s."
    others = frame[frame["fraction_of_copy"].notna() & (frame["variant"] != COPY)].sort_values("fraction_of_copy")
    if len(others):
        patterns = list(dict.fromkeys(others["variant"]))
        parts = [_lowest(others[others["variant"] == pattern]) for pattern in patterns[:MAX_NAMED]]
        if more := patterns[MAX_NAMED:]:
            rest = others.loc[others["variant"].isin(more), "fraction_of_copy"]
            parts.append(f"{len(more)} others reach {_percent(rest.min())} to {_percent(rest.max())}%")
        text += f" Relative to that, {', '.join(parts)}."
    wrong = dict.fromkeys(frame.loc[frame["verdict"] == "wrong", "variant"])
    text += "".join(f" {variant} gives wrong results." for variant in wrong)
    if len(others) and others["fraction_of_copy"].iloc[0] < LOW_FRACTION:
        text += f" Reason for {others['variant'].iloc[0]}: {others['why'].iloc[0]}."
    return text + _matmul_rates(frame)


def _lowest(rows: "pd.DataFrame") -> str:
    """The lowest fraction of one pattern, and its shape if several were measured."""
    lowest = rows.iloc[0]
    where = f" at {lowest['columns']} columns" if len(rows) > 1 else ""
    middle, lo, hi = (lowest[f"fraction_of_copy{end}"] for end in ("", "_lo", "_hi"))
    interval = f" (95% interval {_percent(lo)} to {_percent(hi)}%)" if lo > 0 else ""
    return f"{lowest['variant']} reaches {_percent(middle)}%{interval}{where}"


def _percent(fraction: float) -> str:
    """Two digits without an exponent: 5.8, 12, 110."""
    return f"{100 * fraction:.2g}" if fraction < 1 else f"{100 * fraction:.0f}"


def _matmul_rates(frame: "pd.DataFrame") -> str:
    """The matmul's slowest and fastest number of columns, if several were measured."""
    products = frame[(frame["variant"] == "matmul") & frame["gflops"].notna()]
    if len(products) < 2:
        return ""
    ordered = products.sort_values("gflops")
    slow, fast = ordered.iloc[0], ordered.iloc[-1]
    text = (
        f" The matmul reaches {fast['gflops']:.3g} GFLOP/s at {fast['columns']} columns and {slow['gflops']:.3g} at "
        f"{slow['columns']}"
    )
    same = frame[(frame["variant"] == "matmul transposed") & (frame["columns"] == slow["columns"])]
    if len(same) and same["gflops"].notna().all():
        text += f" ({same['gflops'].iloc[0]:.3g} with its second operand transposed)"
    return text + "."
