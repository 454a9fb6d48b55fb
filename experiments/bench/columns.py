"""The columns of all experiments' frames: one name, one unit and one meaning each.

Tidy: one row per variant per grid point. The unit is the end of the name; fractions are 0..1 and have none.
What does not apply is empty, never zero.
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
    """One column of a frame: its name carries the unit, its description says what it means."""

    name: str
    kind: ColumnKind
    description: str
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.unit:
            ending = next((end for end in sorted(UNITS, key=len, reverse=True) if self.name.endswith(end)), "")
            object.__setattr__(self, "unit", UNITS.get(ending, ""))

    def accepts(self, value: Value) -> bool:
        """Whether `value` is empty or of this column's kind (a bool is no integer)."""
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
    Column("variant", "text", "the thing that is compared"),
)
INCONCLUSIVE = "cannot tell"  # as stored in rows and CSV
VERDICTS = ("baseline", "faster", "slower", INCONCLUSIVE, "wrong", "timeout", "failed")
LABELS = {INCONCLUSIVE: "inconclusive"}  # stored values that people see under another name


def label_of(value: str) -> str:
    """The name under which a person sees a stored value."""
    return LABELS.get(value, value)


COMMON: dict[str, Column] = {
    **_columns(
        "number",
        latency_ms="median time of one synchronised call",
        latency_lo_ms="lower end of the 95 % interval of the latency (order statistics)",
        latency_hi_ms="upper end of the 95 % interval of the latency",
        p95_ms="95th percentile of single calls; empty under 20 of them",
        p99_ms="99th percentile of single calls; empty under 100 of them",
        speedup="median of the per-block ratios baseline/variant; above 1 is faster",
        speedup_lo="lower end of the 95 % interval of the speedup",
        speedup_hi="upper end of the 95 % interval of the speedup",
        control_lo="lower end of the A/A control's interval: the baseline against itself at this grid point",
        control_hi="upper end of the A/A control's interval; the point is noisy where it does not hold 1",
        cpu_per_wall="process CPU time over wall time while measuring: 1 is one core busy",
        first_call_ms="first call in a process of its own with an empty cache, compilation included",
        capture_ms="the capturing second call in that process",
        search_s="time that the kernel search took",
        gflops="operations per second achieved",
        gb_s="unique bytes per second achieved",
        max_abs_error="largest absolute difference from the reference",
        accuracy="top-1 accuracy on the test set",
        accuracy_lo="lower end of the 95 % Wilson interval of the accuracy",
        accuracy_hi="upper end of the 95 % Wilson interval of the accuracy",
        compression="float32 bytes over size_bytes",
        kernel_ms="time of the call's kernels on the device, launched one by one",
        launch_share="share of the call in which no kernel does its work: the host prepares, a kernel starts and ends",
        roof_fraction="time at the nearest measured roofs over the time taken: 1 is the ceiling",
        throughput_per_s="samples per second",
    ),
    **_columns(
        "integer",
        samples="timings behind the row, one per block",
        break_even_calls="calls after which what it cost to get there has paid; empty if never",
        kernels="compiled kernels of one call",
        ops="arithmetic operations of one call, as tinygrad counts them",
        bytes="unique bytes that one call must move",
        parameters="numbers in the model",
        nonzero="of these not zero",
        size_bytes="bytes of the file that alone restores the model",
    ),
    **_columns(
        "text",
        baseline="the variant that speedup compares with",
        verdict=f"conclusion from the interval: {', '.join(map(label_of, VERDICTS))}; CSV has `{INCONCLUSIVE}` for "
        f"{LABELS[INCONCLUSIVE]}",
        bound="the nearest roof: memory, compute or launch",
    ),
}

TIMED = (
    *("latency_ms", "latency_lo_ms", "latency_hi_ms", "p95_ms", "p99_ms", "samples", "baseline", "speedup"),
    *("speedup_lo", "speedup_hi", "control_lo", "control_hi", "verdict", "cpu_per_wall"),
)
COMPILED = ("kernels", "ops", "bytes", "gflops", "gb_s")


def resolve(columns: Iterable[str | Column], identity: tuple[Column, ...] = IDENTITY) -> tuple[Column, ...]:
    """Names of common columns and an experiment's own ones, as columns; a name given twice is an error."""
    resolved = tuple(COMMON[column] if isinstance(column, str) else column for column in columns)
    names = [column.name for column in (*identity, *resolved)]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"columns declared twice: {', '.join(sorted(doubled))}")
    return resolved


def check_record(record: dict[str, Value], columns: Iterable[Column]) -> None:
    """Raises ValueError where `record` has a column that was not declared or a value of another kind."""
    declared = {column.name: column for column in columns}
    for name, value in record.items():
        if name not in declared:
            raise ValueError(f"column {name!r} is not declared")
        if not declared[name].accepts(value):
            raise ValueError(f"column {name!r} wants {declared[name].kind}, got {value!r}")
