"""The trade-off studies on the Overview: the latest of this machine next to the example of a GPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import auth, links, services
from dashboard.figures import Panel
from dashboard.figures.tradeoffs.figures import SELECT, point_panels
from dashboard.links import RUN
from dashboard.safe_render import escape_markdown, try_render
from experiments.bench.machine.environment import host
from experiments.registry import find
from experiments.runs import examples, frames, store
from experiments.runs.clock import format_time
from experiments.runs.comparison import machine
from experiments.runs.examples import Example
from experiments.studies.tradeoffs.recommendation import last_point

STUDY = "tradeoffs"
LATEST = 10


@dataclass(frozen=True)
class ShownStudy:
    """One trade-off study: machine, run and rows; `example` if it is not in the database."""

    whose: str
    run: Any
    rows: pd.DataFrame
    example: Example | None = None


def overview() -> None:
    """Draws the latest study of this machine, else the example of a CPU, next to the example of a GPU."""
    bundled = try_render("The examples", partial(_bundled, STUDY), [])
    shown = [*([own] if (own := _own()) else [one for one in bundled if one.run["device"] == "CPU"][:1])]
    shown += [one for one in bundled if one.run["device"] != "CPU"][:1]
    if not shown:
        return
    st.subheader("Accuracy against speed")
    panels = {one.run["id"]: panel for one in shown if (panel := try_render("The figure", partial(_panel, one), None))}
    _same_axes([one.figure for one in panels.values()])
    for column, study in zip(st.columns(len(shown)), shown, strict=True):
        with column.container(border=True, height="stretch"):
            _card(study, panels.get(study.run["id"]))
    st.caption(next((one.caption.removesuffix(SELECT) for one in panels.values()), ""))
    if len(shown) > 1 and st.button("Compare them (imports the example runs)", icon=":material/compare_arrows:"):
        _compare(shown)


def _own() -> ShownStudy | None:
    """The latest study of this machine, else the latest imported one that is not an example."""
    ids = {one.run_id for one in examples.bundled(STUDY)}
    studies = store.list_runs(services.database(), limit=LATEST, experiment=STUDY, status="done")
    studies = [run for run in studies if run["id"] not in ids]
    here = [run for run in studies if run["host"] == host() and not run["imported"]]
    for run in here or studies:
        rows = frames.rows_frame(services.database(), run, find(STUDY))
        return ShownStudy("This machine" if here else machine(run), run, rows)
    return None


@st.cache_data(show_spinner=False)
def _bundled(experiment: str) -> list[ShownStudy]:
    """The bundled example studies, read from their files."""
    found = []
    for example in examples.bundled(experiment):
        opened = examples.opened(example)
        rows = frames.frame_of_rows(opened.run, [row.values for row in opened.rows], find(experiment))
        found.append(ShownStudy(opened.run["title"], opened.run, rows, example))
    return found


def _card(study: ShownStudy, panel: Panel | None) -> None:
    """A study as one figure with its answer."""
    title = f"**{escape_markdown(study.whose)}** · {study.run['device']} · {format_time(study.run['created'])[:10]}"
    if study.example is None:
        st.page_link(links.experiment_page(STUDY), label=title, query_params={RUN: study.run["id"]})
    else:
        st.markdown(title)
    st.markdown(escape_markdown(try_render("The answer", partial(find(STUDY).answer, study.rows), "")))
    if panel is not None:
        st.plotly_chart(panel.figure, key=f"study-{study.run['id']}", alt=f"{panel.title}. {panel.caption}")


def _panel(study: ShownStudy) -> Panel | None:
    """The study's first figure: accuracy against latency."""
    empty = {name: frames.frame_of([], columns) for name, columns in find(STUDY).details.items()}
    return next(iter(point_panels(last_point(study.rows), empty)), None)


def _same_axes(figures: Sequence[go.Figure]) -> None:
    """Gives side-by-side figures the same ranges where they have the same scale, so that further left is faster."""
    for axis in ("xaxis", "yaxis"):
        scales = [figure.layout[axis] for figure in figures]
        if len({one.type for one in scales}) != 1:
            continue
        starts, ends = zip(*(one.range for one in scales), strict=True)
        mirrored = starts[0] > ends[0]
        span = [max(starts), min(ends)] if mirrored else [min(starts), max(ends)]
        for figure in figures:
            figure.update_layout({axis: {"range": span}})


def _compare(shown: list[ShownStudy]) -> None:
    """Imports the examples among the studies and opens the comparison."""
    if refusal := auth.current_user().refusal_to_run:
        st.error(escape_markdown(refusal), icon=":material/lock:")
        return
    examples.load(services.database(), [one.example for one in shown if one.example])
    query = {"runs": ",".join(one.run["id"] for one in shown), "x": "latency_ms", "y": "accuracy"}
    st.switch_page(links.compare_page(), query_params=query)
