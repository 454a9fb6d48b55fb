"""The columns of all experiments' frames: each name has one unit and one meaning.

Tidy: one row per variant per grid point. The name ends with the unit; fractions (0 to 1) have none.
Values that do not apply are empty, never zero.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

ColumnKind = Literal["text", "integer", "number", "boolean"]
Value = str | int | float | bool | None

UNITS = {
    "_ms": "ms",
    "_us": "µs",
    "_s": "s",
    "_bytes": "bytes",
    "_gflops": "GFLOP/s",
    "gflops": "GFLOP/s",
    "_gb_s": "GB/s",
    "gb_s": "GB/s",
    "_per_s": "1/s",
}
PYTHON_TYPES: dict[ColumnKind, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


@dataclass(frozen=True)
class Column:
    """One column of a frame: its name ends with the unit, its description is its meaning.

    `label` heads the column in tables on the page, where the name itself would not explain it.
    """

    name: str
    kind: ColumnKind
    description: str
    unit: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        if not self.unit:
            ending = next((end for end in sorted(UNITS, key=len, reverse=True) if self.name.endswith(end)), "")
            object.__setattr__(self, "unit", UNITS.get(ending, ""))

    def accepts(self, value: Value) -> bool:
        """Whether `value` is empty or of this column's kind (a bool is not an integer)."""
        if value is None:
            return True
        if isinstance(value, bool):
            return self.kind == "boolean"
        return isinstance(value, PYTHON_TYPES[self.kind])


def _columns(kind: ColumnKind, **descriptions: str) -> dict[str, Column]:
    return {name: Column(name, kind, description) for name, description in descriptions.items()}


RUN_ID = Column("run_id", "text", "the run that measured this row")
IDENTITY = (
    RUN_ID,
    Column("experiment", "text", "the experiment"),
    Column("device", "text", "the device, as tinygrad names it"),
    Column("variant", "text", "the alternative that this row measures"),
)
INCONCLUSIVE = "cannot tell"  # as stored in rows and CSV
VERDICTS = ("baseline", "faster", "slower", INCONCLUSIVE, "wrong", "timeout", "failed")
LABELS = {  # stored values that users see under another name
    INCONCLUSIVE: "inconclusive",
    "greedy mixture": "greedy mixed precision",
    "best mixture": "best mixed precision",
    "quantise": "quantize",
    "unrealised_inputs": "unrealized_inputs",
    "unsynchronised": "unsynchronized",
}


def label_of(value: str) -> str:
    """The label under which users see a stored value."""
    return LABELS.get(value, value)


COMMON: dict[str, Column] = {
    **_columns(
        "number",
        latency_ms="median time of one synchronized call",
        latency_lo_ms="lower end of the 95% interval of the latency (order statistics)",
        latency_hi_ms="upper end of the 95% interval of the latency",
        p95_ms="95th percentile of single calls; empty for fewer than 20",
        p99_ms="99th percentile of single calls; empty for fewer than 100",
        speedup="median of the per-block ratios baseline/variant; above 1 is faster",
        speedup_lo="lower end of the 95% interval of the speedup",
        speedup_hi="upper end of the 95% interval of the speedup",
        control_lo="lower end of the A/A control's interval: the baseline against itself in other memory",
        control_hi="upper end of the A/A control's interval; the point is noisy if it does not contain 1",
        detectable="relative difference from the baseline that nine of ten such measurements would have found",
        cpu_per_wall="process CPU time over wall time while measuring: 1 is one busy core",
        first_call_ms="first call in a fresh process with an empty cache, including compilation",
        capture_ms="second call in the same fresh process, which captures",
        search_s="duration of the kernel search",
        gflops="achieved operations per second",
        gb_s="achieved unique bytes per second",
        max_abs_error="largest absolute difference from the reference",
        accuracy="top-1 accuracy on the test set",
        accuracy_lo="lower end of the 95% Wilson interval of the accuracy",
        accuracy_hi="upper end of the 95% Wilson interval of the accuracy",
        compression="float32 bytes over size_bytes",
        kernel_ms="time of the call's kernels on the device, launched one by one",
        launch_share="share of the call in which no kernel computes: host work, kernel start and end",
        roof_fraction="time at the measured ceilings over the actual time: 1 is the ceiling",
        throughput_per_s="inputs (images or rows) computed per second",
    ),
    **_columns(
        "integer",
        samples="number of timings that the row is computed from, one per block",
        instances="placements in memory in which each side of the speedup was measured; below 6 there is no verdict",
        harness="version of the measuring method; empty: 1, whose intervals ignore the placement in memory",
        break_even_calls="calls after which the cost of the capture or search is recovered; empty if never",
        kernels="number of compiled kernels of one call",
        ops="arithmetic operations of one call, as tinygrad counts them",
        bytes="unique bytes that one call must move",
        parameters="number of weights and biases of the model",
        nonzero="number of nonzero weights and biases",
        size_bytes="bytes of the self-contained model file",
    ),
    **_columns(
        "text",
        baseline="the variant that speedup compares with",
        verdict=f"conclusion, corrected for the number of variants of the grid point: "
        f"{', '.join(map(label_of, VERDICTS))}; CSV has `{INCONCLUSIVE}` for {LABELS[INCONCLUSIVE]}",
        bound="what limits the call: memory, compute or launch",
    ),
}

TIMED = (
    *("latency_ms", "latency_lo_ms", "latency_hi_ms", "p95_ms", "p99_ms", "samples", "baseline", "speedup"),
    *("speedup_lo", "speedup_hi", "control_lo", "control_hi", "verdict", "cpu_per_wall"),
    *("instances", "detectable", "harness"),
)
COMPILED = ("kernels", "ops", "bytes", "gflops", "gb_s")


def resolve(columns: Iterable[str | Column], identity: tuple[Column, ...] = IDENTITY) -> tuple[Column, ...]:
    """Common columns by name and an experiment's further columns, as columns.

    Raises ValueError for a duplicate name.
    """
    resolved = tuple(COMMON[column] if isinstance(column, str) else column for column in columns)
    names = [column.name for column in (*identity, *resolved)]
    if duplicates := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"columns declared twice: {', '.join(sorted(duplicates))}")
    return resolved


def check_record(record: dict[str, Value], columns: Iterable[Column]) -> None:
    """Raises ValueError for an undeclared column or a value of another kind."""
    declared = {column.name: column for column in columns}
    for name, value in record.items():
        if name not in declared:
            raise ValueError(f"column {name!r} is not declared")
        if not declared[name].accepts(value):
            raise ValueError(f"column {name!r} has kind {declared[name].kind}, got {value!r}")
