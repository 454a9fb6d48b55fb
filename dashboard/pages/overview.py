"""The first page: what it buys in one figure, the tour, the latest runs, and all experiments."""

from functools import partial
from typing import Any

import streamlit as st

from dashboard import links, people, services, study, tour
from dashboard.attempt import attempt
from dashboard.links import RUN
from dashboard.pages.experiment import submit
from dashboard.text import plain
from experiments.registry import find, registered
from experiments.runs import examples, frames, store
from experiments.runs.clock import format_time

LATEST = 6
FIRST = ("jit", "quick")  # the run that a newcomer is offered


def show() -> None:
    """Draws the overview; with no runs yet it says what to do."""
    st.title("tinygrad lab")
    st.markdown("What the JIT and its companions really buy on your machine: measured side by side, with error bars.")
    for probe in [] if services.dispatcher() else services.candidates():
        if not probe.works and probe.device == "CPU":
            st.error(f"The CPU device does not work: {probe.what}", icon=":material/build:")
    carried = {one.run_id for one in examples.bundled()}
    latest = store.list_runs(services.database(), limit=LATEST + len(carried))
    own = [run for run in latest if run["id"] not in carried][:LATEST]
    if not own:
        st.info(
            "No runs of your own yet. The quick JIT preset takes seconds and shows what every experiment page shows.",
            icon=":material/lightbulb:",
        )
    with st.container(horizontal=True):
        if st.button("Run the quick JIT preset", icon=":material/play_arrow:", type="secondary" if own else "primary"):
            name, preset = FIRST
            submit(find(name), find(name).preset(preset), partial(links.open_run, name))
        _examples()
    study.show()
    tour.show()
    if own:
        st.subheader("Latest runs")
        for run in own:
            _run(run)
    if loaded := [run for run in latest if run["id"] in carried]:
        with st.expander(
            f"Example results, measured on other machines ({len(loaded)})", icon=":material/auto_stories:"
        ):
            for run in loaded:
                _run(run)
    st.subheader("Experiments")
    for start in range(0, len(registered()), 3):
        names = list(registered())[start : start + 3]
        for column, name in zip(st.columns(3), names, strict=False):
            with column.container(border=True):
                st.page_link(links.experiment_page(name), label=f"**{find(name).title}**")
                st.caption(find(name).question)


def _examples() -> None:
    """Offers the carried runs, and their removal; with sign-in to runners and, as nobody owns them, to admins."""
    db, loaded, carried = services.database(), examples.loaded(services.database()), examples.bundled()
    person = people.known()
    refused = bool(person.refusal_to_run)
    if len(loaded) < len(carried):
        machines = ", ".join(dict.fromkeys(one.measured_on for one in carried))
        label = f"Show example results ({len(carried)} runs: {plain(machines)})"
        if st.button(label, icon=":material/auto_stories:", disabled=refused) and not refused:
            examples.load(db, carried)
            st.rerun()
    if loaded and person.role == "admin" and st.button("Remove the example results", icon=":material/delete_sweep:"):
        examples.remove(db)
        st.rerun()


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
        called = f"**{experiment.title}**" + (f" · {plain(run['title'])}" if run["title"] else "")
        st.page_link(
            links.experiment_page(run["experiment"]),
            label=f"{called} · {run['device']} · {run['status']} · {format_time(run['created'])}",
            query_params={RUN: run["id"]},
        )
        st.caption(plain(said))
