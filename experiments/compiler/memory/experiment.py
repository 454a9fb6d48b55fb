"""How much of a copy's bandwidth other ways through the same memory reach."""

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
ATOL, RTOL = 1e-5, 1e-4  # float32 sums against float64, of the largest value
POOR = 0.5  # below this fraction of a copy the answer gives the reason
CHECKED = 6  # a check holds the largest result twice in float64 and once more in float32, with some room
MAX_NAMED = 4  # patterns, the poorest, that the answer names


class MemorySpec(MeasuredSpec):
    """The shape of a float32 matrix, and the ways through it."""

    rows: int = Field(4096, ge=1, le=65536, title="Rows", description="of the matrix")
    columns: list[Annotated[int, Field(ge=1, le=65536)]] = Field(
        [4096],
        min_length=1,
        max_length=16,
        title="Columns",
        description="of the matrix: 4 bytes times this lie between the numbers of a column; the matmuls are of "
        "columns x columns",
    )
    patterns: list[PatternName] = Field(
        [name for name in PATTERNS if name not in MATMULS],
        min_length=1,
        max_length=len(PATTERNS),
        title="Patterns",
        description="ways through the matrix; copy, the yardstick, is measured in any case",
    )

    @property
    def names(self) -> list[PatternName]:
        """The patterns, each once, the yardstick first."""
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
        told = " + ".join(f"{size / 1e9:.1f} GB {what}" for what, size in parts.items())
        return Need(sum(parts.values()), f"{len(self.names)} patterns over {shape[0]}x{shape[1]} float32 ({told})")


@experiment(
    section="Compiler",
    title="Memory access",
    question="How much of a copy's bandwidth do other ways through the same memory reach, and why?",
    compares="copy, sums, transpose, flip, strides, gathers, matmul by strides",
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
        Column("rows", "integer", "of the float32 matrix"),
        Column("columns", "integer", "of the float32 matrix; the matmuls are of columns x columns"),
        *("latency_ms", "latency_lo_ms", "latency_hi_ms", "p95_ms", "p99_ms", "samples", "baseline"),
        *("control_lo", "control_hi", "verdict", "cpu_per_wall"),
        Column("useful_bytes", "integer", "that the result needs, read once, and those of the result, written once"),
        *COMPILED,
        Column("fraction_of_copy", "number", "gb_s over that of the copy beside it; empty for matmuls"),
        Column("fraction_of_copy_lo", "number", "lower end of its 95 % interval, from ratios within blocks"),
        Column("fraction_of_copy_hi", "number", "upper end of its 95 % interval"),
        *REASON,
        Column("kernel_lo_ms", "number", "lower end of the 95 % interval of kernel_ms"),
        Column("kernel_hi_ms", "number", "upper end of the 95 % interval of kernel_ms"),
        "max_abs_error",
        Column("why", "text", "what this order does to caches"),
    ],
    grid=("rows", "columns"),
    summary=("columns", "variant", "kernel_ms", "gb_s", "fraction_of_copy", "gflops", "verdict", "why"),
    inspects=True,
    answer=lambda frame: answer(frame),
)
def memory(spec: MemorySpec, bench: Bench) -> Iterator[Row]:
    """Walks through a float32 matrix in several orders and compares the useful bytes per second with a copy's.

    Useful bytes are those that the result needs, read once, and those of the result, written once (an index counts
    as read): a row sum of r x c numbers has 4(rc + r), a copy 8rc, one of every 16th column 8rc/16, a gather 12 per
    number (place, number, result), a matmul 12 n^2. gb_s is of useful bytes, gflops of a matmul's operations, both over
    the time of the kernels on the device, without their launches; latency is that of the whole call. The copy is
    y = x + 1. The fraction is the median of ratios within blocks in which every pattern was timed. There is no
    speedup, as the work differs. The order in which a kernel walks stands in its source, in the inspector.
    Not measured: what the caches hold and how often they miss, kernels improved by BEAM, other numbers than float32.
    Results are compared with numpy in float64, atol 1e-5 + rtol 1e-4 of the largest value, eager and replayed.
    Source: the memory part of the tinygrad course, which realised the same tensor again and so measured nothing.
    """
    points = list(dict.fromkeys(spec.columns))
    for number, columns in enumerate(points):
        bench.progress(number / len(points), f"{spec.rows}x{columns}: {len(spec.names)} patterns")
        yield from _measure(spec, bench, (spec.rows, columns))


def _measure(spec: MemorySpec, bench: Bench, shape: tuple[int, int]) -> Iterator[Row]:
    from tinygrad import TinyJit

    from experiments.bench.tinygrad.capture import captured_work, first_calls
    from experiments.bench.tinygrad.runtime import tensor

    held: dict[int, tuple[Array, Any]] = {}  # by id, an array's own while it is held: all patterns share the matrix
    captured: dict[str, tuple[Any, tuple[Any, ...]]] = {}
    errors, wrong = {}, {}
    for name in spec.names:
        pattern = PATTERNS[name]
        arrays = pattern.sample(shape)
        for array in arrays:
            if id(array) not in held:
                held[id(array)] = array, tensor(array, bench.device)
        inputs = tuple(held[id(array)][1] for array in arrays)
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
        values = {column: value for column, value in row.values.items() if not column.startswith("speedup")}
        values |= {"variant": _shown(name), "verdict": "wrong" if wrong[name] else "baseline" if name == COPY else None}
        yield Row(values | _rates(alone, name, shape, work.ops, wrong[name]), row.samples)


def _rates(alone: Comparison, name: PatternName, shape: tuple[int, int], ops: int, wrong: bool) -> dict[str, Value]:
    """The kernels' time with its interval and what follows from it; a wrong result has no rates."""
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
    """The copy's rate, what the poorest patterns reach of it with intervals, why the poorest is poor; the trap."""
    copies = frame[(frame["variant"] == COPY) & frame["gb_s"].notna()]
    if copies.empty:
        return ""
    copy = copies.sort_values("gb_s").iloc[-1]
    shape = f"{copy['rows']}x{copy['columns']}"
    said = f"On {copy['device']} a copy of {shape} float32 moves {copy['gb_s']:.3g} GB/s."
    others = frame[frame["fraction_of_copy"].notna() & (frame["variant"] != COPY)].sort_values("fraction_of_copy")
    if len(others):
        patterns = list(dict.fromkeys(others["variant"]))
        parts = [_poorest(others[others["variant"] == pattern]) for pattern in patterns[:MAX_NAMED]]
        if more := patterns[MAX_NAMED:]:
            rest = others.loc[others["variant"].isin(more), "fraction_of_copy"]
            parts.append(f"{len(more)} others reach {_percent(rest.min())} to {_percent(rest.max())} %")
        said += f" Of that rate {', '.join(parts)}."
    wrong = dict.fromkeys(frame.loc[frame["verdict"] == "wrong", "variant"])
    said += "".join(f" {variant} computes something else." for variant in wrong)
    if len(others) and others["fraction_of_copy"].iloc[0] < POOR:
        said += f" Why {others['variant'].iloc[0]}: {others['why'].iloc[0]}."
    return said + _trap(frame)


def _poorest(rows: "pd.DataFrame") -> str:
    """One pattern at its poorest, and where that was if several shapes were measured; the figure shows the others."""
    poorest = rows.iloc[0]
    where = f" at {poorest['columns']} columns" if len(rows) > 1 else ""
    middle, lo, hi = (poorest[f"fraction_of_copy{end}"] for end in ("", "_lo", "_hi"))
    interval = f" (95 % interval {_percent(lo)} to {_percent(hi)} %)" if lo > 0 else ""
    return f"{poorest['variant']} reaches {_percent(middle)} %{interval}{where}"


def _percent(fraction: float) -> str:
    """Two digits, and no power of ten: 5.8, 12, 110."""
    return f"{100 * fraction:.2g}" if fraction < 1 else f"{100 * fraction:.0f}"


def _trap(frame: "pd.DataFrame") -> str:
    """The matmul's slowest and fastest width, where several were measured."""
    products = frame[(frame["variant"] == "matmul") & frame["gflops"].notna()]
    if len(products) < 2:
        return ""
    ordered = products.sort_values("gflops")
    slow, fast = ordered.iloc[0], ordered.iloc[-1]
    said = (
        f" The matmul reaches {fast['gflops']:.3g} GFLOP/s at {fast['columns']} columns and {slow['gflops']:.3g} at "
        f"{slow['columns']}"
    )
    same = frame[(frame["variant"] == "matmul transposed") & (frame["columns"] == slow["columns"])]
    if len(same) and same["gflops"].notna().all():
        said += f", there with its second operand transposed {same['gflops'].iloc[0]:.3g}"
    return said + "."
