"""Live view of a run: progress, rows as they arrive, Cancel. Reloads, other tabs and other users see the same."""

from typing import Any

import streamlit as st

from dashboard import auth, results, services
from dashboard.safe_render import escape_markdown
from experiments.bench.spec import Experiment
from experiments.runs import frames, store

POLL_S = 1.0


def follow(experiment: Experiment[Any], run_id: str) -> None:
    """Draws the run's answer and results, refreshed every second until it has ended."""
    run = store.get_run(services.database(), run_id)
    if run is None:
        st.info("This run was deleted.")
        return
    live = run["status"] not in store.ENDED

    @st.fragment(run_every=POLL_S if live else None)
    def watched() -> None:
        with services.database_errors():
            now = store.get_run(services.database(), run_id)
            if live and (now is None or now["status"] in store.ENDED):
                st.rerun()  # once: the page then stops polling
            _draw(experiment, now)

    watched()


def _draw(experiment: Experiment[Any], run: Any) -> None:
    db = services.database()
    rows = frames.rows_frame(db, run, experiment)
    details = {name: frames.detail_frame(db, run, experiment, name) for name in experiment.details}
    if run["status"] not in store.ENDED:
        _running(run, len(rows))
    results.show(experiment, run, rows, details)


def _running(run: Any, rows: int) -> None:
    with st.container(border=True):
        waiting = run["status"] == store.QUEUED
        text = run["message"] or (services.waits_for(run["device"], run["host"]) if waiting else "starting")
        st.progress(float(run["progress"]), text=f"{run['status']}: {escape_markdown(text)} ({rows} rows so far)")
        if run["cancel"]:
            st.caption("Cancelling…")
        elif not auth.current_user().refusal_to_change(run) and st.button(
            "Cancel", icon=":material/stop_circle:", key=f"cancel-{run['id']}"
        ):
            store.request_cancel(services.database(), run["id"])
            st.toast("Cancelling")
