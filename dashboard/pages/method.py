"""How the numbers come about, in words, and the A/A control of this machine, measured on demand."""

from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from dashboard import links, results, services
from dashboard.figures import drawings
from dashboard.pages.experiment import submit
from dashboard.text import plain
from experiments.bench.columns import COMMON
from experiments.bench.machine.environment import host
from experiments.registry import find
from experiments.runs import frames, store

TEXT = Path(__file__).with_name("method.md")
CONTROL = "control"


def show() -> None:
    """Draws the page."""
    st.title("Method")
    st.markdown("**Why should one believe these numbers, and what does `cannot tell` mean?**")
    st.markdown(TEXT.read_text(encoding="utf-8"))
    st.subheader("The A/A control of this machine")
    _control()
    st.subheader("Columns that all experiments share")
    columns = [{"column": one.name, "unit": one.unit, "meaning": one.description} for one in COMMON.values()]
    st.dataframe(pd.DataFrame(columns), hide_index=True, alt="The common columns with unit and meaning")


def _control() -> None:
    """The latest control of this machine, or the offer to measure one."""
    experiment, db = find(CONTROL), services.database()
    latest = store.list_runs(db, limit=1, experiment=CONTROL, host=host(), status="done")
    if latest:
        rows = frames.rows_frame(db, latest[0], experiment)
        st.markdown(f"**{plain(experiment.answer(rows))}**")
        for panel in drawings(CONTROL).panels(rows, {}):
            st.plotly_chart(panel.figure, key=f"control-{panel.title}", alt=f"{panel.title}. {panel.caption}")
            st.caption(panel.caption)
        results.state(latest[0])
    else:
        st.info("Not measured on this machine yet: 200 comparisons of a call with itself, under a minute.")
    if st.button("Measure it again" if latest else "Measure the control", icon=":material/play_arrow:"):
        submit(experiment, experiment.preset("standard"), partial(links.open_run, CONTROL))
