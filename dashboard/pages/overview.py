"""The Overview: sections of experiments, the tour, the latest runs, and all experiments."""

from functools import partial
from typing import Any

import streamlit as st

from dashboard import auth, links, services, tour
from dashboard.figures import views
from dashboard.links import RUN
from dashboard.safe_render import escape_markdown, try_render
from dashboard.submission import submit
from experiments.bench.machine.device import Device
from experiments.registry import find, registered
from experiments.runs import examples, frames, store
from experiments.runs.clock import format_time

LATEST = 6
QUICK = "quick"  # the preset of the first run


def show() -> None:
    """Draws the page; without runs it suggests a first one."""
    st.title("tinygrad lab")
    st.markdown("Measure what JIT, BEAM, quantization and pruning gain on your machine: side by side, with error bars.")
    for probe in [] if services.dispatcher() else services.candidates():
        if not probe.works and Device.parse(probe.device).is_cpu:
            st.error(f"The CPU device does not work: {probe.what}", icon=":material/build:")
    first = tour.first_experiment()
    bundled = {one.run_id for one in examples.bundled()}
    latest = store.list_runs(services.database(), limit=LATEST + len(bundled))
    own = [run for run in latest if run["id"] not in bundled][:LATEST]
    if not own:
        st.info(
            f"No runs of your own yet. The quick {first.title} preset takes seconds and shows what an experiment page "
            "contains.",
            icon=":material/lightbulb:",
        )
    with st.container(horizontal=True):
        label = f"Run the quick {first.title} preset"
        if st.button(label, icon=":material/play_arrow:", type="secondary" if own else "primary"):
            submit(first, first.preset(QUICK), partial(links.open_run, first.name))
        _examples()
    for name, view in views().items():
        try_render(f"The section of {name}", view.overview, None)
    tour.show()
    if own:
        st.subheader("Latest runs")
        for run in own:
            _run(run)
    if loaded := [run for run in latest if run["id"] in bundled]:
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
    """Buttons to import the example runs (for users who may run) and to remove them (admins: they have no owner)."""
    db, loaded, bundled = services.database(), examples.loaded(services.database()), examples.bundled()
    user = auth.current_user()
    refused = bool(user.refusal_to_run)
    if len(loaded) < len(bundled):
        machines = ", ".join(dict.fromkeys(one.measured_on for one in bundled))
        label = f"Show example results ({len(bundled)} runs: {escape_markdown(machines)})"
        if st.button(label, icon=":material/auto_stories:", disabled=refused) and not refused:
            examples.load(db, bundled)
            st.rerun()
    if loaded and user.role == "admin" and st.button("Remove the example results", icon=":material/delete_sweep:"):
        examples.remove(db)
        st.rerun()


def _run(run: Any) -> None:
    """One run as a card: experiment, device, date, and its answer or final message."""
    if run["experiment"] not in registered():
        return
    experiment = find(run["experiment"])
    with st.container(border=True):
        text = run["message"]
        if run["status"] == "done":
            rows = frames.rows_frame(services.database(), run, experiment)
            text = try_render("The answer", partial(experiment.answer, rows), "") or "done"
        called = f"**{experiment.title}**" + (f" · {escape_markdown(run['title'])}" if run["title"] else "")
        st.page_link(
            links.experiment_page(run["experiment"]),
            label=f"{called} · {run['device']} · {run['status']} · {format_time(run['created'])}",
            query_params={RUN: run["id"]},
        )
        st.caption(escape_markdown(text))
