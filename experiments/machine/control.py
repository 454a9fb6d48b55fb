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

WIDTHS, BATCH = (64, 32, 16, 10), 16  # a replay of some 0.1 ms: the smallest thing that the other pages compare


class ControlSpec(MeasuredSpec):
    """How many comparisons, each by the rule that all experiments use."""

    comparisons: int = Field(
        200,
        ge=12,
        le=2000,
        title="Comparisons",
        description="of a call with itself; 200 tell 5 % from 10 % false alarms",
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
    question="How often does this machine see a difference where there is none?",
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

    Both names stand for the same call, so every verdict but `cannot tell` is a false alarm. Of intervals that
    hold the truth in 95 % of cases at most 5 % may be one. More of them mean that something disturbs this
    machine in bursts longer than a block; the intervals of all pages are then too narrow by as much.
    Not measured: a slow drift, which blocks cancel, and differences that another variant brings with it.
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
    """The share of false alarms with its 95 % Wilson interval, and what follows."""
    if frame.empty:
        return ""
    total, alarms = len(frame), int((frame["verdict"] != "cannot tell").sum())
    share = wilson(alarms, total)
    said = (
        f"On {frame['device'].iloc[0]} {alarms} of {total} comparisons of a call with itself saw a difference: "
        f"{share.median:.1%} false alarms (95 % {share.lo or 0:.1%} to {share.hi or 0:.1%})"
    )
    if share.lo is not None and share.lo > 0.05:
        return (
            said
            + ", more than the 5 % that a 95 % interval allows: this machine is disturbed, doubt small differences."
        )
    return said + ", which agrees with the 5 % that a 95 % interval allows."
