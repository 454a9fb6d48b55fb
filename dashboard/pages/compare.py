"""The Compare page: runs in one figure on selected axes, their differences, and the ratio of two."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import report, services, sharing
from dashboard.figures import Panel, view_of
from dashboard.figures import compare as figure
from dashboard.results import draw_panels, note_on_version_1
from dashboard.safe_render import escape_markdown, try_render
from experiments.bench.columns import Column
from experiments.bench.errors import BadInput
from experiments.registry import registered
from experiments.runs import comparison, frames, ratios, remarks, store
from experiments.runs.clock import format_time

OFFERED = 200  # newest runs in the list
FIRST_Y = ("latency_ms", "speedup", "accuracy", "size_bytes")


def show() -> None:
    """Draws the comparison given by the URL: `?runs=a,b,c&x=batch&y=latency_ms`."""
    st.title("Compare")
    db = services.database()
    runs = _choose(db)
    if not runs:
        st.info("Select runs above, or tick them on the Runs page.", icon=":material/compare_arrows:")
        return
    names = run_names(runs)
    rows = comparison.rows_frame(db, runs)
    note_on_version_1(rows)
    own = _own_panels(runs, rows, names)
    draw_panels(own, "compare-own")
    x, y = _axes(runs, rows)
    if x is None or y is None:
        st.warning("These runs share no numeric column.", icon=":material/join_inner:")
    else:
        _write_url(runs, x.name, y.name)
        grid = registered()[runs[0]["experiment"]].grid
        panels = try_render("The figure", lambda: figure.panels(frames.displayed(rows), x, y, names, grid), [])
        if len(panels) > 1:
            st.caption("Runs of different machines are drawn separately, on the same axes, and never pooled.")
        draw_panels(panels, "compare")
        _downloads(runs, rows, names, [*own, *panels])
    _differences(runs, names)
    _ratio(db, runs, names)


def _own_panels(runs: Sequence[Any], rows: pd.DataFrame, names: dict[str, str]) -> list[Panel]:
    """The experiment's own figures for several of its runs."""
    if len({run["experiment"] for run in runs}) > 1:
        return []
    draw = view_of(runs[0]["experiment"]).compared_panels
    return try_render("The figures of these runs together", partial(draw, rows, names), [])


def run_names(runs: Sequence[Any]) -> dict[str, str]:
    """The name of each run: title or experiment, machine if there are several, and id."""
    several = len({run["host"] for run in runs}) > 1
    return {run["id"]: _name(run) + (f" @ {run['host']}" if several else "") + f" {run['id'][:6]}" for run in runs}


def _name(run: Any) -> str:
    return str(run["title"] or registered()[run["experiment"]].title)


def _choose(db: Any) -> list[Any]:
    """The runs in the URL; the selection and the URL follow each other."""
    named = [one for one in st.query_params.get("runs", "").split(",") if one]
    runs, problems = comparison.chosen_runs(db, named)
    for problem in problems:
        st.error(escape_markdown(problem), icon=":material/link_off:")
    newest = [run for run in store.list_runs(db, limit=OFFERED) if run["experiment"] in registered()]
    offered = {run["id"]: run for run in (*runs, *newest)}
    if st.session_state.get("compare:url") != st.query_params.get("runs", ""):
        st.session_state["compare:runs"] = [run["id"] for run in runs]
    chosen = st.multiselect(
        "Runs",
        list(offered),
        key="compare:runs",
        format_func=lambda run_id: _label(offered[run_id]),
        max_selections=comparison.MAX_RUNS,
    )
    text = ",".join(chosen)
    st.session_state["compare:url"] = text
    if text != st.query_params.get("runs", ""):
        st.query_params["runs"] = text
    return [offered[run_id] for run_id in chosen]


def _label(run: Any) -> str:
    return f"{_name(run)} · {run['device']} · {run['host']} · {format_time(run['created'])} · {run['id']}"


def _axes(runs: Sequence[Any], rows: pd.DataFrame) -> tuple[Column | None, Column | None]:
    """The selected axes among the non-empty columns that all runs share."""
    shared = {one.name: one for one in comparison.shared_columns(runs) if rows[one.name].notna().any()}
    numbers = [name for name, one in shared.items() if one.kind in ("number", "integer")]
    grid = [name for name in registered()[runs[0]["experiment"]].grid if name in numbers and rows[name].nunique() > 1]
    variant = Column("variant", "text", "the compared variant")
    across = {"variant": variant} | shared
    if not numbers:
        return None, None
    left, right = st.columns(2)
    x = _axis(left, "x", list(across), next(iter(grid), "variant"))
    y = _axis(right, "y", numbers, next((name for name in FIRST_Y if name in numbers), numbers[0]))
    return across[x], shared[y]


def _axis(place: Any, name: str, options: list[str], first: str) -> str:
    """One axis; a column from the URL that these runs do not have falls back to the default."""
    key, wanted = f"compare:{name}", st.query_params.get(name, "")
    if st.session_state.get(f"{key}:url") != wanted or st.session_state.get(key) not in options:
        st.session_state[key] = wanted if wanted in options else first
    chosen: str = place.selectbox(f"{name} axis", options, key=key)
    return chosen


def _write_url(runs: Sequence[Any], x: str, y: str) -> None:
    """Writes runs and axes to the URL in full, so that a link keeps its meaning when defaults change."""
    for name, value in (("x", x), ("y", y)):
        st.session_state[f"compare:{name}:url"] = value
        if st.query_params.get(name) != value:
            st.query_params[name] = value


def _downloads(runs: Sequence[Any], rows: pd.DataFrame, names: dict[str, str], panels: Sequence[Any]) -> None:
    """The rows as CSV, the comparison as one HTML file, and the link."""
    with st.container(horizontal=True):
        st.download_button(
            "CSV: rows", lambda: frames.to_csv(rows), "comparison.csv", "text/csv", on_click="ignore",
            icon=":material/download:", key="compare-csv",
        )  # fmt: skip
        st.download_button(
            "Report (HTML)", lambda: report.of_comparison(runs, names, rows, panels), "comparison.html", "text/html",
            on_click="ignore", icon=":material/description:", key="compare-report",
        )  # fmt: skip
    query = {name: st.query_params[name] for name in ("runs", "x", "y")}
    sharing.show_link("this comparison", sharing.link(**query))


def _differences(runs: Sequence[Any], names: dict[str, str]) -> None:
    """Specs and environments side by side; facts that all runs share are collapsed."""
    if len(runs) < 2:
        return
    st.subheader("What differs")
    for where, title in (("spec", "Parameters"), ("environment", "Machine and versions")):
        unlike, like = comparison.differences(runs, where)
        st.markdown(f"**{title}**: {len(unlike)} differ, {len(like)} are the same")
        if len(unlike):
            st.dataframe(
                unlike.rename(columns=names), placeholder="", key=f"unlike-{where}", alt=f"{title} that differ"
            )
        if len(like):
            with st.expander(f"The same in all runs ({len(like)})"):
                same = like.iloc[:, :1].set_axis(["all runs"], axis=1)
                st.dataframe(same, placeholder="", key=f"like-{where}", alt=f"{title} that are the same")


def _ratio(db: Any, runs: Sequence[Any], names: dict[str, str]) -> None:
    """The unpaired ratio of two runs of one experiment."""
    pairs = [one["id"] for one in runs if sum(other["experiment"] == one["experiment"] for other in runs) > 1]
    if not pairs:
        return
    st.subheader("Ratio of two runs")
    left, right = st.columns(2)
    one = left.selectbox("First run", pairs, format_func=names.get, key="ratio-one")
    other = right.selectbox("Second run", pairs, 1, format_func=names.get, key="ratio-other")
    by_id = {run["id"]: run for run in runs}
    try:
        table = ratios.compare(db, by_id[one], by_id[other])
    except BadInput as refused:
        st.info(escape_markdown(str(refused)))
        return
    if table.empty:
        st.info("These runs share no timed variant and grid point.")
        return
    st.markdown(f"**{ratios.answer(table)}**")
    st.info(ratios.basis(table), icon=":material/link_off:")
    for run_id in dict.fromkeys((one, other)):
        if told := remarks.neighbors(by_id[run_id]["environment"]):
            st.warning(escape_markdown(f"{names[run_id]}: {told}"), icon=":material/group:")
    if unlike := ratios.unlike_parameters(by_id[one], by_id[other]):
        st.warning(f"These runs differ in {', '.join(unlike)}: their rows may not be comparable.")
    labels = {
        column.name: st.column_config.Column(figure.title(column), help=column.description) for column in ratios.MATCHED
    }
    st.dataframe(
        frames.displayed(table),
        hide_index=True,
        placeholder="",
        key="ratios",
        column_config=labels,
        alt="Ratio of two runs",
    )
