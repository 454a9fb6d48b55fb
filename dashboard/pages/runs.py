"""The Runs page: filter, open, compare, edit, cancel, delete, import. Filtered and paged in the database."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import streamlit as st

from dashboard import auth, links, services
from dashboard.links import RUN
from dashboard.run_state import STATES
from dashboard.safe_render import escape_markdown
from experiments.bench.errors import BadInput
from experiments.registry import registered
from experiments.runs import bulk_export, bundle, store
from experiments.runs.clock import format_time

PER_PAGE = 20
ANY = "any"
TICKED = "runs:ticked"  # ids of the runs to compare, in this session
FILTERS = {"experiment": "Experiment", "device": "Device", "host": "Machine", "status": "Status"}


def show() -> None:
    """Draws the page; filters and page number are in the URL."""
    st.title("Runs")
    db = services.database()
    wanted = _filters(db)
    total = store.count_runs(db, **wanted)
    _tools(db, wanted, total)
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


def _tools(db: Any, wanted: dict[str, str], total: int) -> None:
    """Actions on several runs: compare the ticked ones, download all matching ones, import bundles."""
    ticked: list[str] = st.session_state.setdefault(TICKED, [])
    with st.container(horizontal=True, vertical_alignment="center"):
        if ticked:
            links.compare_link(f"Compare {len(ticked)} ticked", ticked)
            if st.button("Untick all", icon=":material/remove_done:"):
                st.session_state[TICKED] = []
                st.rerun()
        if total:
            _csv("rows", partial(bulk_export.rows_csv, db, **wanted))
            _csv("samples", partial(bulk_export.samples_csv, db, **wanted))
    with st.expander("Import bundles", icon=":material/upload:"):
        _import(db)


def _csv(what: str, parts: Callable[[], Iterable[str]]) -> None:
    st.download_button(
        f"CSV: {what} of all matching runs",
        lambda: "".join(parts()),
        f"tinylab-{what}.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        key=f"everything-{what}",
    )


def _import(db: Any) -> None:
    """Imports uploaded bundles, each completely or not at all, with one message per file."""
    with st.form("import", clear_on_submit=True, border=False):
        files = st.file_uploader("Exported runs (`.zip`)", type="zip", accept_multiple_files=True, key="bundles")
        pressed = st.form_submit_button("Import", icon=":material/upload:")
    refusal = auth.current_user().refusal_to_run
    if pressed and refusal:
        st.error(escape_markdown(refusal), icon=":material/lock:")
    for file in files if pressed and not refusal else []:
        try:
            run_id, new = bundle.import_run(db, file.getvalue(), imported_by=auth.current_user().name)
        except BadInput as refused:
            st.error(escape_markdown(f"{file.name}: {refused}"), icon=":material/error:")
            continue
        run = store.get_run(db, run_id)
        if new and run and run["experiment"] in registered():
            page = links.experiment_page(run["experiment"])
            st.page_link(page, label=f"Imported {run_id}", icon=":material/check:", query_params={RUN: run_id})
        else:
            st.info(
                escape_markdown(
                    f"{file.name}: run {run_id} {'is imported' if new else 'already exists; nothing was changed'}"
                )
            )


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
        pages, int(st.number_input(f"Page (of {pages:,})", 1, None, 1, key="page", bind="query-params", width=180))
    )


def _row(run: Any) -> None:
    color, icon = STATES[run["status"]]
    known = registered().get(run["experiment"])
    label = f"{known.title if known else run['experiment']} · {run['title'] or run['id']}"
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        if known:
            _tick(run["id"])
            st.page_link(
                links.experiment_page(run["experiment"]), label=escape_markdown(label), query_params={RUN: run["id"]}
            )
        else:
            st.text(f"{label} (this experiment is not installed here)")
        st.badge(run["status"], icon=icon, color=color)
        if run["imported"]:
            st.badge("imported", icon=":material/upload:", color="gray")
        st.caption(_facts(run))
        if auth.current_user().refusal_to_change(run):
            return
        if run["status"] not in store.ENDED and st.button(
            "Cancel", key=f"cancel-{run['id']}", icon=":material/stop_circle:", disabled=run["cancel"]
        ):
            store.request_cancel(services.database(), run["id"])
            st.rerun()
        if st.button("Edit", key=f"edit-{run['id']}", icon=":material/edit:", help="Title, note, tags; delete."):
            _describe(run)


def _tick(run_id: str) -> None:
    """A check box that selects the run for comparison; ticks persist across filters and pages."""
    ticked: list[str] = st.session_state[TICKED]
    key = f"tick-{run_id}"
    st.session_state[key] = run_id in ticked

    def turn() -> None:
        others = [one for one in ticked if one != run_id]
        st.session_state[TICKED] = [*others, run_id] if st.session_state[key] else others

    st.checkbox("Compare", key=key, on_change=turn, label_visibility="collapsed", width="content")


def _facts(run: Any) -> str:
    facts = [run["device"], run["host"], format_time(run["created"]), run["owner"] and f"by {run['owner']}"]
    if run["finished"] and run["started"]:
        facts.append(f"{run['finished'] - run['started']:.0f} s")
    if run["tags"]:
        facts.append(f"tags: {run['tags']}")
    if run["status"] not in ("done", store.QUEUED):
        facts.append(run["message"])
    return escape_markdown(" · ".join(fact for fact in facts if fact))


@st.dialog("Run", on_dismiss="rerun")  # discards unsaved input
def _describe(run: Any) -> None:
    with services.database_errors():
        edit(run)


def edit(run: Any) -> None:
    """Title, note and tags of the run, and its deletion with confirmation; for its owner and admins only."""
    if refusal := auth.current_user().refusal_to_change(run):
        st.error(escape_markdown(refusal), icon=":material/lock:")
        return
    db, key = services.database(), f"edit-{run['id']}"  # keys per run: no run shows what was typed for another
    with st.form(f"{key}-form"):
        title = st.text_input("Title", run["title"], max_chars=255, key=f"{key}-title")
        note = st.text_area("Note", run["note"], max_chars=10_000, key=f"{key}-note")
        tags = st.text_input("Tags", run["tags"], max_chars=255, help="Separated by commas.", key=f"{key}-tags")
        if st.form_submit_button("Save", type="primary"):
            store.describe(db, run["id"], title, note, tags)
            st.rerun()
    if run["status"] in store.ENDED:
        what = f"Permanently delete run {run['id']} with its rows, samples and artifacts"
        sure = st.checkbox(what, key=f"{key}-sure")
        if st.button("Delete", icon=":material/delete:", disabled=not sure, key=f"{key}-delete"):
            store.delete_run(db, run["id"])
            st.rerun()
