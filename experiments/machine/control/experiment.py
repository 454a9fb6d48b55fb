"""The A/A control of this machine: captures of one call compared with each other, many times."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import Field

from experiments.bench.columns import TIMED, Column, Value
from experiments.bench.rows import Row
from experiments.bench.session import Bench, timed_row
from experiments.bench.spec import MeasuredSpec, experiment
from experiments.machine.control.answer import BY_CALL, SECOND, answer

CallName = Literal[
    "network",
    "lenet_300_100",
    "chain",
    "matmul 64",
    "matmul 128",
    "matmul 256",
    "matmul 512",
    "matmul 700",
    "matmul 1024",
    "matmul 2048",
]
NumberFormat = Literal["float32", "int8"]
FEWER, MORE = 20, 21  # calls of the two sides of a planted difference of 5%
SHORT_CALLS: list[CallName] = [
    *("matmul 64", "matmul 128", "matmul 256", "matmul 512", "matmul 700", "lenet_300_100", "chain"),
]
ALL_CALLS: list[CallName] = [*SHORT_CALLS, "matmul 1024", "matmul 2048"]


class ControlSpec(MeasuredSpec):
    """Which calls are compared, how often, and the time for each comparison."""

    comparisons: int = Field(
        200,
        ge=2,
        le=2000,
        title="Comparisons",
        description="comparisons of each call with itself; 200 are enough to distinguish 5% from 10% false alarms",
    )
    calls: list[CallName] = Field(
        ["network"],
        min_length=1,
        max_length=10,
        title="Calls",
        description="network: 64-32-16-10 units, a replay of some 0.1 ms; lenet_300_100: 784-300-100-10 units; chain: "
        "four elementwise operations on 2^20 numbers; matmul n: 16 rows times n x n weights, then ReLU",
    )
    number_formats: list[NumberFormat] = Field(
        ["float32"], min_length=1, max_length=2, title="Number formats", description="int8: with int32 sums"
    )
    planted: bool = Field(
        False,
        title="Planted difference",
        description=f"also compare {FEWER} calls with {MORE}: a true difference of 5% that should be found",
    )
    budget_s: float = Field(
        0.2,
        ge=0.05,
        le=60,
        title="Budget per comparison [s]",
        description="a comparison ends when its interval is narrow enough or this time is spent",
    )


@experiment(
    section="Machine",
    title="A/A control",
    question="How often do comparisons on this machine report a difference where there is none?",
    compares="two captures of the same call, and 20 calls with 21",
    spec=ControlSpec,
    presets={
        "standard": ControlSpec(),
        "proof": ControlSpec(calls=ALL_CALLS, number_formats=["float32", "int8"], planted=True, budget_s=4),
        "short": ControlSpec(
            comparisons=12, calls=SHORT_CALLS, number_formats=["float32", "int8"], planted=True, budget_s=0.5
        ),
        "quick": ControlSpec(comparisons=20, budget_s=0.1),
    },
    columns=[
        Column("call", "text", "what is called; empty in runs of older versions: the network"),
        Column("number_format", "text", "float32, or int8 with int32 sums"),
        Column("planted", "number", "true relative difference of work: 0, or 0.05 for 21 calls against 20"),
        Column("comparison", "integer", "number of the comparison, from 1"),
        *TIMED,
    ],
    details={"by_call": BY_CALL},
    grid=("comparison",),
    summary=("call", "number_format", "comparison", "variant", "latency_ms", "speedup", "verdict"),
    answer=lambda frame: answer(frame),
)
def control(spec: ControlSpec, bench: Bench) -> Iterator[Row]:
    """Compares two captures of one call with each other, as the experiments compare variants.

    Each capture has its own weights, inputs and outputs, and both compute the same, so every verdict other than
    inconclusive is a false alarm. With 95% intervals at most 5% are expected. More of them mean that other load
    disturbs this machine in bursts longer than a block; the intervals of all experiments are then too narrow. A
    planted difference shows the opposite error: 21 calls against 20 have exactly 5% more work, and a comparison that
    finds nothing is a miss. Comparisons of all calls take turns, so that a run that is ended early is as good for each.
    Not measured: differences between two processes or two days, and effects that one variant has on another.
    Source: the A/A test of online experiments, applied to timings.
    """
    from experiments.machine.control.answer import by_call

    cells = [(call, number_format) for call in spec.calls for number_format in spec.number_formats]
    pairs: dict[tuple[str, str], list[Callable[[], Any]]] = {}
    records: list[dict[str, Value]] = []
    total = spec.comparisons * len(cells)
    for place in range(total):
        number, cell = place // len(cells) + 1, cells[place % len(cells)]
        bench.progress(place / total, f"{' '.join(cell)}: comparison {number} of {spec.comparisons}")
        if cell not in pairs:
            from experiments.machine.control.calls import captured

            pairs[cell] = [captured(*cell, bench.device) for _ in range(2)]
        for row in compared(bench, pairs[cell], spec.planted):
            row.values.update(call=cell[0], number_format=cell[1], comparison=len(records) + 1)
            records.append(row.values)
            yield row
    bench.detail("by_call", by_call(records))


def compared(bench: Bench, pair: list[Callable[[], Any]], planted: bool) -> Iterator[Row]:
    """One comparison of two captures of a call, and one of 20 calls of the first with 21 of the second."""
    from experiments.machine.control.calls import repeated

    first, second = pair
    yield timed_row(bench.compare({"first": first, SECOND: second}, "first"), SECOND, planted=0.0)
    if planted:
        fewer, more = f"{FEWER} calls", f"{MORE} calls"
        found = bench.compare({fewer: repeated(first, FEWER), more: repeated(second, MORE)}, fewer)
        yield timed_row(found, more, planted=MORE / FEWER - 1)
