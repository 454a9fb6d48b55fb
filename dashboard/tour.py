"""A guided tour of the pages in the order of the course: what to run, what to look at, what it means."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard import challenges, links, services
from experiments.bench.spec import Experiment
from experiments.registry import find
from experiments.runs import store


@dataclass(frozen=True)
class Stop:
    """One page of the tour with a preset; what to look at, and its meaning."""

    experiment: str
    preset: str
    see: str
    means: str


TOUR = {
    "Part 1: the compiler": (
        Stop(
            "jit", "exercise",
            "Two bars per batch size, and the cumulative times crossing after a few calls.",
            "Without the JIT, Python overhead takes most of a small call. Replaying a capture avoids it; kernels and "
            "their launches remain.",
        ),
        Stop(
            "jit_traps", "course",
            "Expected and actual results: some pitfalls raise an error, most are silent.",
            "A replay repeats the captured kernels only. Side effects of your Python function happen once.",
        ),
        Stop(
            "shapes", "course",
            "The cumulative time of four strategies over a stream of calls whose shapes change.",
            "Every new shape needs a new capture. Buckets or a symbolic batch need one capture for many shapes.",
        ),
        Stop(
            "beam", "course",
            "Kernel time by variant, the search as points over time, and its break-even.",
            "A search costs time once and saves time per call: worth it for a kernel that runs a million times.",
        ),
        Stop(
            "fusion", "course",
            "Bytes and time of one chain, fused and split.",
            "A large elementwise chain is memory-bound: fewer bytes mean fewer milliseconds.",
        ),
        Stop(
            "memory", "course",
            "The bandwidth of each access pattern as a share of a copy's.",
            "The same bytes in another order can take ten times as long: a half-used cache line is loaded in full.",
        ),
        Stop(
            "rewrites", "course",
            "The graph before and after a rule, and whether tinygrad knew the rule already.",
            "tinygrad already applies most algebraic rules. Check before you optimize by hand.",
        ),
    ),
    "Part 2: compression": (
        Stop(
            "quantization", "exercise",
            "Accuracy, bytes and time of each scheme next to float32.",
            "The file always shrinks. Latency shrinks only where memory traffic or arithmetic limited it.",
        ),
        Stop(
            "sensitivity", "mlp",
            "The accuracy loss of each layer at fewer bits, and the mixed-precision assignment for a budget of bytes.",
            "Layers differ in sensitivity: spend bits on the layers that need them.",
        ),
        Stop(
            "pruning", "course",
            "A weight matrix before and after, and the time of masked, gathered and smaller matrix products.",
            "Zeros are not skipped: a masked matrix takes as long as before. Only smaller shapes are faster.",
        ),
        Stop(
            "distillation", "few_labels",
            "The gain over the same student trained alone, with its interval over seeds.",
            "Soft targets carry more information than labels; that helps when labels are few, less when "
            "there are many.",
        ),
        Stop(
            "tradeoffs", "course",
            "Every combination as a point with its intervals, and the Pareto front as a band.",
            "Techniques combine, and not all of them help. Choose the smallest or fastest one that keeps the "
            "accuracy.",
        ),
    ),
    "Part 3: deployment": (
        Stop(
            "serving", "exercise",
            "Latency against load for each batching policy, and the latency breakdown of a request.",
            "Batching increases throughput and delays requests. The best policy depends on your rate and your "
            "latency SLO.",
        ),
        Stop(
            "multi_device", "course",
            "Speedup and efficiency of each parallelism strategy.",
            "tinygrad's CPU devices share one core: no speedup there. Two GPUs scale where the work is large.",
        ),
        Stop(
            "edge", "course",
            "Size, start-up time and latency of the network as one C program, for each target.",
            "Without Python a call can take microseconds. Draw a digit and see it classified in your browser.",
        ),
    ),
}  # fmt: skip


def first_experiment() -> Experiment[Any]:
    """The experiment with which the tour starts."""
    return find(next(iter(TOUR.values()))[0].experiment)


def show() -> None:
    """Draws the tour; a stop is ticked once its experiment was run on this machine."""
    tried = store.experiments_tried(services.database())
    stops = [stop for part in TOUR.values() for stop in part]
    seen = sum(stop.experiment in tried for stop in stops)
    label = f"Tour: {len(stops)} stops in the order of the course ({seen} done)"
    with st.expander(label, icon=":material/map:", expanded=0 < seen < len(stops)):
        st.markdown("Open a stop, press **Run**, look at the figure, and compare it with the text here.")
        number = 0
        for part, those in TOUR.items():
            st.markdown(f"**{part}**")
            for stop in those:
                number += 1
                _stop(number, stop, stop.experiment in tried)


def _stop(number: int, stop: Stop, done: bool) -> None:
    experiment = find(stop.experiment)
    left, right = st.columns([1, 3])
    with left:
        st.page_link(
            links.experiment_page(stop.experiment),
            label=f"{number}. {experiment.title}",
            icon=":material/check_circle:" if done else ":material/radio_button_unchecked:",
            query_params=links.preset_query(experiment, stop.preset),
        )
    with right:
        st.markdown(f"**Look at:** {stop.see} **What it means:** {stop.means}")
        if experiment.challenge is not None:
            solved = challenges.solved(experiment) is not None
            st.caption(f":material/emoji_events: {'Solved: ' if solved else 'Challenge: '}{experiment.challenge.goal}")
