"""All runs: filter, open, describe, cancel, delete. Filtered and paged in the database."""

import math
from typing import Any

import streamlit as st

from dashboard import links, services
from dashboard.controls import RUN
from dashboard.results import STATES
from dashboard.text import plain
from experiments.registry import registered
from experiments.runs import store
from experiments.runs.terminal import when

PER_PAGE = 20
ANY = "any"
FILTERS = {"experiment": "Experiment", "device": "Device", "host": "Machine", "status": "Status"}


def show() -> None:
    """Draws the page; filters and page number are in the URL."""
    st.title("Runs")
    db = services.database()
    wanted = _filters(db)
    total = store.count_runs(db, **wanted)
    if not total:
        st.info("No run matches." if any(wanted.values()) else "No runs yet. Start one on an experiment's page.")
        return
    pages = math.ceil(total / PER_PAGE)
    page = _page(pages)
    first = (page - 1) * PER_PAGE
    found = store.list_runs(db, limit=PER_PAGE, offset=first, **wanted)
    st.caption(f"{first + 1:,} to {first + len(found):,} of {total:,} runs, newest first")
    for run in found:
        _row(run)


def _filters(db: Any) -> dict[str, str]:
    wanted = {}
    columns = st.columns(5)
    for column, (name, title) in zip(columns, FILTERS.items(), strict=False):
        values = [ANY, *store.distinct(db, name)]
        chosen = column.selectbox(title, values, key=name, bind="query-params")
        wanted[name] = "" if chosen == ANY else str(chosen)
    text = columns[4].text_input(
        "Text", key="text", bind="query-params", max_chars=100, help="In id, title, note, tags or message."
    )
    return {**wanted, "text": text or ""}


def _page(pages: int) -> int:
    if pages == 1:
        return 1
    return min(
        pages, int(st.number_input(f"Page, of {pages:,}", 1, None, 1, key="page", bind="query-params", width=180))
    )


def _row(run: Any) -> None:
    color, icon = STATES[run["status"]]
    known = registered().get(run["experiment"])
    label = f"{known.title if known else run['experiment']} · {run['title'] or run['id']}"
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        if known:
            st.page_link(links.experiment_page(run["experiment"]), label=plain(label), query_params={RUN: run["id"]})
        else:
            st.text(f"{label} (this experiment is not installed here)")
        st.badge(run["status"], icon=icon, color=color)
        st.caption(_facts(run))
        if run["status"] not in store.ENDED and st.button(
            "Cancel", key=f"cancel-{run['id']}", icon=":material/stop_circle:", disabled=run["cancel"]
        ):
            store.ask_to_cancel(services.database(), run["id"])
            st.rerun()
        if st.button("Edit", key=f"edit-{run['id']}", icon=":material/edit:", help="Title, note, tags; delete."):
            _describe(run)


def _facts(run: Any) -> str:
    facts = [run["device"], run["host"], when(run["created"])]
    if run["finished"] and run["started"]:
        facts.append(f"{run['finished'] - run['started']:.0f} s")
    if run["tags"]:
        facts.append(f"tags: {run['tags']}")
    if run["status"] not in ("done", store.QUEUED):
        facts.append(run["message"])
    return plain(" · ".join(fact for fact in facts if fact))


@st.dialog("Run", on_dismiss="rerun")  # forgets what was typed or ticked and not saved
def _describe(run: Any) -> None:
    edit(run)


def edit(run: Any) -> None:
    """What people say about the run, and its deletion, which asks once more."""
    db, key = services.database(), f"edit-{run['id']}"  # keys of its own: no run takes over what was typed for another
    with st.form(f"{key}-form"):
        title = st.text_input("Title", run["title"], max_chars=255, key=f"{key}-title")
        note = st.text_area("Note", run["note"], max_chars=10_000, key=f"{key}-note")
        tags = st.text_input("Tags", run["tags"], max_chars=255, help="Separated by commas.", key=f"{key}-tags")
        if st.form_submit_button("Save", type="primary"):
            store.describe(db, run["id"], title, note, tags)
            st.rerun()
    if run["status"] in store.ENDED:
        what = f"Delete run {run['id']} with its rows, samples and artifacts for good"
        sure = st.checkbox(what, key=f"{key}-sure")
        if st.button("Delete", icon=":material/delete:", disabled=not sure, key=f"{key}-delete"):
            store.delete_run(db, run["id"])
            st.rerun()
