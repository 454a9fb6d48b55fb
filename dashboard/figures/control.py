"""The A/A control on the dashboard: its figure, and the section of the Method page that measures it."""

from functools import partial

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import links, run_state, services
from dashboard.figures import Details, Panel
from dashboard.safe_render import escape_markdown
from dashboard.submission import submit
from dashboard.theme import GREY, RED, layout
from experiments.bench.columns import INCONCLUSIVE, label_of
from experiments.bench.machine.environment import host
from experiments.registry import find
from experiments.runs import frames, store

CONTROL = "control"


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """The interval of every comparison in order, with the false alarms marked."""
    if rows.empty:
        return []
    figure = go.Figure()
    ordered = rows.sort_values("speedup").reset_index(drop=True)
    alarm = ordered["verdict"] != INCONCLUSIVE
    kinds = ((label_of(INCONCLUSIVE), ~alarm, GREY, "circle"), ("false alarm", alarm, RED, "x"))
    for name, chosen, color, symbol in kinds:
        part = ordered[chosen]
        figure.add_trace(
            go.Scatter(
                name=f"{name} ({len(part)})",
                x=(part.index + 1).tolist(),
                y=part["speedup"].tolist(),
                mode="markers",
                marker={"color": color, "symbol": symbol, "size": 6},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": (part["speedup_hi"] - part["speedup"]).fillna(0).tolist(),
                    "arrayminus": (part["speedup"] - part["speedup_lo"]).fillna(0).tolist(),
                    "width": 0,
                },
                hovertemplate=f"ratio %{{y:.4f}}<extra>{name}</extra>",
            )
        )
    figure.add_hline(y=1, line={"color": GREY, "dash": "dot"})
    layout(figure, "Comparisons, ordered by ratio", "Ratio of a call to itself [x]")
    figure.update_layout(showlegend=True)  # plotly hides the legend of a single trace
    caption = (
        "Each point is one comparison with its 95% interval. Orange: the interval excludes 1, a false alarm; up to "
        "5% are expected."
    )
    return [Panel("A call compared with itself", figure, caption)]


def method_section() -> None:
    """The latest control of this machine, and a button to measure one."""
    st.subheader("The A/A control of this machine")
    experiment, db = find(CONTROL), services.database()
    latest = store.list_runs(db, limit=1, experiment=CONTROL, host=host(), status="done")
    if latest:
        rows = frames.rows_frame(db, latest[0], experiment)
        st.markdown(f"**{escape_markdown(experiment.answer(rows))}**")
        for panel in panels(rows, {}):
            st.plotly_chart(panel.figure, key=f"control-{panel.title}", alt=f"{panel.title}. {panel.caption}")
            st.caption(panel.caption)
        run_state.show(latest[0])
    else:
        st.info("Not measured on this machine yet: 200 comparisons of a call with itself, under a minute.")
    if st.button("Measure it again" if latest else "Measure the control", icon=":material/play_arrow:"):
        submit(experiment, experiment.preset("standard"), partial(links.open_run, CONTROL))
