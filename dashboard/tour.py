"""A guided path through the pages in the order of the course: what to press, what to see, what it means."""

from dataclasses import dataclass

import streamlit as st

from dashboard import challenges, links, services
from experiments.registry import find
from experiments.runs import store


@dataclass(frozen=True)
class Stop:
    """One page of the tour, opened with a preset filled in."""

    experiment: str
    preset: str
    see: str
    means: str


TOUR = {
    "Part 1: the compiler": (
        Stop(
            "jit", "exercise",
            "Two bars per batch size, and the cumulative times crossing after a few calls.",
            "Without the JIT most of a small call is Python preparing it. The capture removes that once and for all; "
            "what is left are kernels and their launches.",
        ),
        Stop(
            "jit_traps", "course",
            "What was expected beside what came: some traps raise, most are silent.",
            "A captured program replays what it saw. Whatever else your function did that day does not happen again.",
        ),
        Stop(
            "shapes", "course",
            "The cumulative time of four strategies over a stream of calls whose shapes change.",
            "Every new shape is a new capture. Buckets or a symbolic batch pay one capture for many shapes.",
        ),
        Stop(
            "beam", "course",
            "Kernel time by variant, the search as points over time, and where it has paid.",
            "A search is bought once and paid back per call: worth it for a kernel that runs a million times.",
        ),
        Stop(
            "fusion", "course",
            "Bytes and time of one chain, fused and cut apart.",
            "An elementwise chain is bound by memory, so that fewer bytes are fewer milliseconds, once it is large.",
        ),
        Stop(
            "memory", "course",
            "The bandwidth of each access pattern as a share of a copy's.",
            "The same bytes in another order can cost ten times as much: a cache line that is half used is paid whole.",
        ),
        Stop(
            "rewrites", "course",
            "The graph before and after a rule, and whether tinygrad knew the rule already.",
            "Most of the algebra is done for you. Look before you optimise by hand.",
        ),
    ),
    "Part 2: compression": (
        Stop(
            "quantization", "exercise",
            "Accuracy, bytes and time of each scheme beside float32.",
            "Bytes always shrink. Time shrinks only where bytes or arithmetic were what took it.",
        ),
        Stop(
            "sensitivity", "mlp",
            "What each layer loses at fewer bits, and the mixture that fits a budget of bytes.",
            "Layers are not equal: give bits to those that miss them.",
        ),
        Stop(
            "pruning", "course",
            "A weight matrix before and after, and the time of masked, gathered and really smaller products.",
            "Zeros are not skipped: a masked matrix costs what it cost. Only smaller shapes are faster.",
        ),
        Stop(
            "distillation", "few_labels",
            "The gain over the same student alone, with its interval over seeds.",
            "Soft answers carry more than labels do; that helps when labels are few, and may not when there are many.",
        ),
        Stop(
            "tradeoffs", "course",
            "Every combination as a point with its intervals, and the front as a band.",
            "Techniques add up, and not all of them pay. Pick the smallest or the fastest that keeps the accuracy.",
        ),
    ),
    "Part 3: deployment": (
        Stop(
            "serving", "exercise",
            "Latency against load for each batching policy, and where a request spends its time.",
            "Batching buys throughput with waiting. The right policy depends on your rate and your objective.",
        ),
        Stop(
            "multi_device", "course",
            "Speedup and efficiency of each layout.",
            "CPU devices of tinygrad share one core: nothing to gain there. Two GPUs scale where the work is large.",
        ),
        Stop(
            "edge", "course",
            "Size, start and latency of the network as one C program, for each target.",
            "Without Python a call of microseconds is possible. Draw a digit and see it answered in your browser.",
        ),
    ),
}  # fmt: skip


def show() -> None:
    """Draws the tour; a stop is ticked when a run of its experiment was done here."""
    tried = store.experiments_tried(services.database())
    stops = [stop for part in TOUR.values() for stop in part]
    seen = sum(stop.experiment in tried for stop in stops)
    label = f"Tour: {len(stops)} stops in the order of the course ({seen} done)"
    with st.expander(label, icon=":material/map:", expanded=0 < seen < len(stops)):
        st.markdown("Open a stop, press **Run** there, look at the figure, and compare with what is said here.")
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
        st.markdown(f"**See** {stop.see} **It means:** {stop.means}")
        if experiment.challenge is not None:
            solved = challenges.solved(experiment) is not None
            st.caption(f":material/emoji_events: {'Solved: ' if solved else 'Challenge: '}{experiment.challenge.goal}")
