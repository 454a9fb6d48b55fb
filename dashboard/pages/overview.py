"""The first page: what one can find out here, and the latest runs."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from dashboard import links, people, services
from dashboard.attempt import attempt
from dashboard.figures import drawings
from dashboard.links import RUN
from dashboard.pages.experiment import submit
from dashboard.text import plain
from experiments.bench.environment import host
from experiments.compression.tradeoff.picks import last_point
from experiments.registry import find, registered
from experiments.runs import examples, frames, store
from experiments.runs.comparing import machine
from experiments.runs.terminal import when

LATEST = 10
STUDY = "tradeoffs"
FIRST = ("jit", "quick")  # the run that a newcomer is offered


def show() -> None:
    """Draws the overview; with no runs yet it says what to do."""
    st.title("tinygrad lab")
    st.markdown("What the JIT and its companions really buy on your machine: measured side by side, with error bars.")
    for probe in [] if services.dispatcher() else services.candidates():
        if not probe.works and probe.device == "CPU":
            st.error(f"The CPU device does not work: {probe.what}", icon=":material/build:")
    _latest_study()
    runs = store.list_runs(services.database(), limit=LATEST)
    if not runs:
        st.info(
            "No runs yet. The quick JIT preset takes some seconds and shows what every experiment page shows.",
            icon=":material/lightbulb:",
        )
    if st.button("Run the quick JIT preset", icon=":material/play_arrow:", type="secondary" if runs else "primary"):
        name, preset = FIRST
        submit(find(name), find(name).preset(preset), partial(links.open_run, name))
    _examples(runs)
    if runs:
        st.subheader("Latest runs")
        for run in runs:
            _run(run)
    st.subheader("Experiments")
    for start in range(0, len(registered()), 3):
        names = list(registered())[start : start + 3]
        for column, name in zip(st.columns(3), names, strict=False):
            with column.container(border=True):
                st.page_link(links.experiment_page(name), label=f"**{find(name).title}**")
                st.caption(find(name).question)


def _examples(runs: Sequence[Any]) -> None:
    """Offers the carried runs to who has none of their own, and their removal to who has them."""
    db = services.database()
    if not runs and (carried := examples.carried()):
        machines = ", ".join(sorted({one.machine for one in carried}))
        label = f"Show example results ({len(carried)} runs from {machines})"
        if st.button(label, icon=":material/auto_stories:", disabled=bool(people.known().refusal_to_run)):
            examples.load(db, carried)
            st.rerun()
    elif (
        runs
        and examples.loaded(db)
        and st.button(
            "Remove the example results", icon=":material/delete_sweep:", disabled=bool(people.known().refusal_to_run)
        )
    ):
        examples.remove(db)
        st.rerun()


def _latest_study() -> None:
    """The latest trade-offs of this machine, else of another, named as such: what all techniques give."""
    studies = store.list_runs(services.database(), limit=LATEST, experiment=STUDY, status="done")
    own = [run for run in studies if run["host"] == host() and not run["imported"]]
    if not studies:
        return
    run, experiment = (own or studies)[0], find(STUDY)
    where = "this machine" if own else machine(run)
    rows = frames.rows_frame(services.database(), run, experiment)
    empty = {name: frames.frame_of([], columns) for name, columns in experiment.details.items()}
    panels = attempt("The figures", lambda: drawings(STUDY).point_panels(last_point(rows), empty)[:2], [])
    if not panels:
        return
    with st.container(border=True):
        st.page_link(
            links.experiment_page(STUDY),
            label=f"**What it buys on {plain(where)}** · {run['device']} · {when(run['created'])}",
            query_params={RUN: run["id"]},
        )
        for column, panel in zip(st.columns(2), panels, strict=False):
            with column:
                st.plotly_chart(panel.figure, key=f"study-{panel.title}", alt=f"{panel.title}. {panel.caption}")
        st.caption(plain(attempt("The answer", partial(experiment.answer, rows), "")))


def _run(run: Any) -> None:
    """One run as a card: what, where, when, and its answer or its end."""
    if run["experiment"] not in registered():
        return
    experiment = find(run["experiment"])
    with st.container(border=True):
        said = run["message"]
        if run["status"] == "done":
            rows = frames.rows_frame(services.database(), run, experiment)
            said = attempt("The answer", partial(experiment.answer, rows), "") or "done"
        st.page_link(
            links.experiment_page(run["experiment"]),
            label=f"**{experiment.title}** · {run['device']} · {run['status']} · {when(run['created'])}",
            query_params={RUN: run["id"]},
        )
        st.caption(plain(said))
