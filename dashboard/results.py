"""The results of a run: answer, figures, table, downloads, link, method."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import inspector, links, report, run_state, services, sharing
from dashboard.figures import Details, Panel, Table, none, view_of
from dashboard.safe_render import escape_markdown, try_render
from experiments.bench.columns import IDENTITY, Column
from experiments.bench.spec import Experiment
from experiments.runs import bundle, frames, remarks, store

RATES = {"gb_s": "rate", "gflops": "rate"}  # columns whose name is only their unit
MAX_REPORTED = 8  # grid points with figures in a report


def show(experiment: Experiment[Any], run: Any, rows: pd.DataFrame, details: Details) -> None:
    """Draws a run from its frames; a run that ended early shows the reason first."""
    run_state.show(run)
    _ending(run, len(rows))
    if sentence := try_render("The answer", partial(experiment.answer, rows), ""):
        st.markdown(f"#### {escape_markdown(sentence)}")
    _noise(experiment, rows)
    _remarks(run)
    note_on_version_1(rows)
    _figures(experiment, run, rows, details)
    view = view_of(experiment.name)
    try_render("The section of this experiment", partial(view.sections, run, rows, details), None)
    _listed(experiment, run, rows, details)
    method(experiment, run)


def _noise(experiment: Experiment[Any], rows: pd.DataFrame) -> None:
    """Warns if the A/A control's interval does not contain 1 at some grid points: the machine may have been disturbed.

    On an undisturbed machine this happens at 5% of the points, since the intervals are 95% intervals.
    """
    if "control_lo" not in rows:
        return
    controlled = rows[rows["control_lo"].notna()]
    noisy = controlled[(controlled["control_lo"] > 1) | (controlled["control_hi"] < 1)]
    if noisy.empty:
        return
    points, of = (len(frames.points_of(one, experiment.grid)) for one in (noisy, controlled))
    st.warning(
        f"At {points:,} of {of:,} grid points the A/A control does not contain 1; by chance this happens at 5% of "
        "them. Other load may have disturbed the machine: run again before you rely on these results.",
        icon=":material/graphic_eq:",
    )


def _row_count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _remarks(run: Any) -> None:
    """Shows what was stored with the run and affects its answer."""
    if told := remarks.neighbors(run["environment"]):
        st.warning(escape_markdown(told), icon=":material/group:")
    if told := remarks.set_aside(run["environment"]):
        st.info(escape_markdown(told), icon=":material/tune:")


def note_on_version_1(rows: pd.DataFrame) -> None:
    """Says what the intervals of rows that were measured before the harness drew fresh memory do not hold."""
    if not {"harness", "latency_ms"} <= set(rows):
        return
    if old := int((rows["latency_ms"].notna() & rows["harness"].isna()).sum()):
        st.caption(
            f"{_row_count(old)} measured by version 1 of the harness, whose intervals leave out where the memory "
            "of a variant happened to lie: up to 1.3x on a CPU. Do not rely on differences of a few percent."
        )


def _ending(run: Any, rows: int) -> None:
    if run["status"] in ("done", store.QUEUED, store.RUNNING):
        return
    kept = f" {_row_count(rows)} had been measured before; see below." if rows else " No rows were measured."
    text = f"{run['status'].capitalize()}: {escape_markdown(run['message']).rstrip('.')}.{kept}"
    st.error(text, icon=":material/error:")
    if run["traceback"]:
        with st.expander("Details"):
            st.code(run["traceback"], language="python")


def _figures(experiment: Experiment[Any], run: Any, rows: pd.DataFrame, details: Details) -> None:
    view = view_of(experiment.name)
    selects = partial(_select, run["id"])
    draw_panels(try_render("The figures", partial(view.panels, rows, details), []), f"{run['id']}-run", selects)
    choices = grid_points(experiment, details)
    if not choices or (view.point_panels is none and "kernels" not in details):
        return
    labels = list(choices)
    chosen = labels[0]
    if len(labels) > 1:
        chosen = st.segmented_control("Grid point", labels, default=labels[0], required=True, key=f"{run['id']}-point")
    point = choices[chosen]
    there = {name: _at(frame, point) for name, frame in details.items()}
    of_point = try_render("The figures of this point", partial(view.point_panels, _at(rows, point), there), [])
    draw_panels(of_point, f"{run['id']}-pt", selects)
    for one in try_render("The tables of this point", partial(view.point_tables, _at(rows, point), there), []):
        st.markdown(f"**{one.title}**")
        st.table(frames.displayed(one.frame))
    try_render("The section of this point", partial(view.point_sections, run, _at(rows, point), there), None)
    inspector.show(run, there, draw_panels)


def grid_points(experiment: Experiment[Any], details: Details) -> dict[str, dict[str, Any]]:
    """The grid points in the details by label (`batch 16`), in order of appearance."""
    found: dict[str, dict[str, Any]] = {}
    for frame in details.values():
        axes = [name for name in experiment.grid if name in frame]
        for values in frame[axes].drop_duplicates().to_dict("records") if axes else []:
            point = {str(name): value for name, value in values.items() if pd.notna(value)}
            found.setdefault(", ".join(f"{name} {value}" for name, value in point.items()) or "all", point)
    return found


def _at(frame: pd.DataFrame, point: Mapping[str, Any]) -> pd.DataFrame:
    for name, value in point.items():
        if name in frame:
            frame = frame[frame[name] == value]
    return frame


def draw_panels(panels: Sequence[Panel], key: str, selects: Callable[[str], None] | None = None) -> None:
    """Draws figures in two columns, a single one across the page; a narrow screen stacks them.

    `selects` is called with the key of a chart in which points were selected.
    """
    for start in range(0, len(panels), 2):
        for column, panel in zip(st.columns(min(2, len(panels))), panels[start : start + 2], strict=False):
            with column:
                st.markdown(f"**{panel.title}**")
                chart = f"{key}-{panel.title}"
                chosen: Any = partial(selects, chart) if panel.selects and selects else "ignore"
                st.plotly_chart(panel.figure, key=chart, on_select=chosen, alt=f"{panel.title}. {panel.caption}")
                st.caption(panel.caption)
                if panel.code:
                    st.code(panel.code, language="python", wrap_lines=True)


def _select(run_id: str, chart: str) -> None:
    """Stores the variants of the selected points and redraws only the table."""
    points = st.session_state[chart]["selection"]["points"]
    variants = [point["customdata"][0] for point in points if point.get("customdata")]
    st.session_state[_selected(run_id)] = list(dict.fromkeys(variants))
    st.rerun(_list(run_id))


def _selected(run_id: str) -> str:
    return f"{run_id}-selected"


def _list(run_id: str) -> str:
    return f"{run_id}-list"


def _listed(experiment: Experiment[Any], run: Any, rows: pd.DataFrame, details: Details) -> None:
    """The table and the downloads as a fragment, so that selecting points redraws nothing else."""

    @st.fragment(key=_list(run["id"]))
    def listed() -> None:
        chosen = st.session_state.get(_selected(run["id"])) or []
        there = rows[rows["variant"].isin(chosen)] if chosen else rows
        if chosen:
            st.info(
                f"{len(there)} of {len(rows)} rows: the {len(chosen)} variants selected in the figure. Double-click "
                "the figure to show all.",
                icon=":material/filter_alt:",
            )
        if not there.empty:
            table(experiment, run, there)
        _downloads(experiment, run, there, details)

    listed()


def table(experiment: Experiment[Any], run: Any, rows: pd.DataFrame) -> None:
    """The rows in the summary's columns, or in all columns."""
    everything = st.toggle("All columns", key=f"{run['id']}-all")
    columns = {column.name: column for column in (*IDENTITY, *experiment.columns)}
    shown = list(columns) if everything else [name for name in summary_columns(experiment) if rows[name].notna().any()]
    st.dataframe(
        frames.displayed(rows[shown]),
        hide_index=True,
        placeholder="",
        key=f"{run['id']}-table",
        column_config={name: _column(columns[name]) for name in shown},
        alt=f"Rows of run {run['id']}",
    )


def summary_columns(experiment: Experiment[Any]) -> list[str]:
    """The summary's columns, each followed by its interval."""
    names = {column.name for column in experiment.columns}
    wide = []
    for name in experiment.summary:
        stem, unit = (name.removesuffix("_ms"), "_ms") if name.endswith("_ms") else (name, "")
        wide += [name, *(one for one in (f"{stem}_lo{unit}", f"{stem}_hi{unit}") if one in names)]
    return wide


def _column(column: Column) -> Any:
    name = column.label or RATES.get(column.name) or column.name.removesuffix(f"_{column.unit}")
    label = name.replace("_", " ")
    label = f"{label} [{column.unit}]" if column.unit else label
    if column.kind in ("number", "integer"):
        shape = "%d" if column.kind == "integer" else "%.4g"
        return st.column_config.NumberColumn(label, help=column.description, format=shape)
    if column.kind == "boolean":
        return st.column_config.CheckboxColumn(label, help=column.description)
    return st.column_config.TextColumn(label, help=column.description)


def _downloads(experiment: Experiment[Any], run: Any, rows: pd.DataFrame, details: Details) -> None:
    """CSV of rows, raw samples and details, and the run's files, created or read when clicked; the link to this run."""
    name = f"{experiment.name}-{run['id']}"
    db = services.database()
    files: dict[str, Any] = {"rows": lambda: frames.to_csv(rows), "samples": partial(_samples_csv, db, run)}
    files |= {detail: partial(frames.to_csv, frame) for detail, frame in details.items() if not frame.empty}
    with st.container(horizontal=True, vertical_alignment="center"):
        for what, make in files.items():
            st.download_button(
                f"CSV: {what}",
                make,
                f"{name}-{what}.csv",
                "text/csv",
                on_click="ignore",
                icon=":material/download:",
                key=f"{run['id']}-csv-{what}",
            )
    if run["status"] in store.ENDED:
        _share(experiment, run, rows, details)
    _files(db, run)
    sharing.show_link("this run", sharing.permalink(run["id"]))


def _share(experiment: Experiment[Any], run: Any, rows: pd.DataFrame, details: Details) -> None:
    """The run as a bundle for another database and as an HTML report, and a link to Compare."""
    name = f"{experiment.name}-{run['id']}"
    files = {
        "Bundle": (partial(bundle.export, services.database(), run["id"]), "zip", "application/zip"),
        "Report (HTML)": (partial(_report, experiment, run, rows, details), "html", "text/html"),
    }
    with st.container(horizontal=True, vertical_alignment="center"):
        for what, (make, ending, kind) in files.items():
            st.download_button(
                what,
                make,
                f"{name}.{ending}",
                kind,
                on_click="ignore",
                icon=":material/ios_share:",
                key=f"{run['id']}-{ending}",
            )
        links.compare_link("Compare with other runs", [run["id"]])


def _report(experiment: Experiment[Any], run: Any, rows: pd.DataFrame, details: Details) -> str:
    view = view_of(experiment.name)
    parts: list[Panel | Table] = list(view.panels(rows, details))
    for label, point in list(grid_points(experiment, details).items())[:MAX_REPORTED]:
        there = {name: _at(frame, point) for name, frame in details.items()}
        of_point = (*view.point_panels(_at(rows, point), there), *view.point_tables(_at(rows, point), there))
        parts += [replace(part, title=f"{part.title}: {label}") for part in of_point]
    return report.of_run(experiment, run, rows, parts)


def _files(db: Any, run: Any) -> None:
    """The run's artifacts by name and size; the content is read when clicked."""
    names = store.artifact_names(db, run["id"])
    if not names:
        return
    with (
        st.expander(f"Files of this run ({len(names)})", icon=":material/draft:"),
        st.container(horizontal=True),
    ):
        for artifact, size in names.items():
            st.download_button(
                f"{escape_markdown(artifact)} ({size:,} bytes)",
                partial(store.read_artifact, db, run["id"], artifact),
                artifact,
                "application/octet-stream",
                on_click="ignore",
                key=f"{run['id']}-file-{artifact}",
            )


def _samples_csv(db: Any, run: Any) -> str:
    return frames.to_csv(frames.samples_frame(db, run))


def method(experiment: Experiment[Any], run: Any) -> None:
    """The method: the experiment's description, the spec, the machine."""
    with st.expander("How it is measured" if run is None else "How it was measured", icon=":material/straighten:"):
        st.markdown(experiment.description)
        if run is None:
            return
        left, right = st.columns(2)
        left.markdown("**Spec**")
        left.json(run["spec"], expanded=True)
        right.markdown(f"**Machine** (fingerprint `{run['fingerprint'] or 'none yet'}`)")
        right.json(run["environment"] or {}, expanded=True)
