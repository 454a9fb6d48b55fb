"""The A/A control of this machine: a call compared with itself, many times."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from experiments.bench.columns import TIMED, Column
from experiments.bench.rows import Row
from experiments.bench.session import Bench, timed_row
from experiments.bench.spec import MeasuredSpec, experiment
from experiments.bench.statistics.intervals import wilson
from experiments.models.functions import layers

if TYPE_CHECKING:
    import pandas as pd

WIDTHS, BATCH = (64, 32, 16, 10), 16  # a replay of some 0.1 ms: the shortest call that other experiments compare


class ControlSpec(MeasuredSpec):
    """The number of comparisons, and the time for each."""

    comparisons: int = Field(
        200,
        ge=12,
        le=2000,
        title="Comparisons",
        description="comparisons of a call with itself; 200 are enough to distinguish 5% from 10% false alarms",
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
    compares="a call against itself",
    spec=ControlSpec,
    presets={"standard": ControlSpec(), "quick": ControlSpec(comparisons=20, budget_s=0.1)},
    columns=[Column("comparison", "integer", "number of the comparison, from 1"), *TIMED],
    grid=("comparison",),
    summary=("comparison", "variant", "latency_ms", "speedup", "verdict"),
    answer=lambda frame: answer(frame),
)
def control(spec: ControlSpec, bench: Bench) -> Iterator[Row]:
    """Compares a captured small network (64-32-16-10 at batch 16) with itself, as the experiments compare variants.

    Both names are the same call, so every verdict other than inconclusive is a false alarm. With 95% intervals
    at most 5% are expected. More of them mean that other load disturbs this machine in bursts longer than a
    block; the intervals of all experiments are then too narrow.
    Not measured: slow drift, which blocks cancel, and effects that one variant has on another.
    Source: the A/A test of online experiments, applied to timings.
    """
    from experiments.bench.tinygrad.capture import capture

    workload = layers(bench.device, WIDTHS)
    inputs = workload.inputs(BATCH, bench.device)
    replay, _ = capture(workload.function, *inputs)
    for number in range(1, spec.comparisons + 1):
        bench.progress((number - 1) / spec.comparisons, f"comparison {number} of {spec.comparisons}")
        compared = bench.compare({"first": lambda: replay(*inputs), "second": lambda: replay(*inputs)}, "first")
        yield timed_row(compared, "second", comparison=number)


def answer(frame: "pd.DataFrame") -> str:
    """The rate of false alarms with its 95% Wilson interval, and whether it is as expected."""
    if frame.empty:
        return ""
    total, alarms = len(frame), int((frame["verdict"] != "cannot tell").sum())
    share = wilson(alarms, total)
    text = (
        f"On {frame['device'].iloc[0]}, {alarms} of {total} comparisons of a call with itself report a difference: "
        f"{share.median:.1%} false alarms (95% CI {share.lo or 0:.1%} to {share.hi or 0:.1%})"
    )
    if share.lo is not None and share.lo > 0.05:
        return (
            text + ", more than the 5% expected of 95% intervals: other load disturbs this machine, "
            "do not trust small differences."
        )
    return text + ", consistent with the 5% expected of 95% intervals."
