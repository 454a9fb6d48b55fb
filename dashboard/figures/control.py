"""The A/A control on the dashboard: its figure, and the section of the Method page that measures it."""

from functools import partial

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import links, run_state, services
from dashboard.figures import Details, Panel
from dashboard.safe_render import escape_markdown
from dashboard.submission import submit
from dashboard.theme import BLUE, GREY, RED, layout
from experiments.bench.columns import INCONCLUSIVE, Value, label_of
from experiments.bench.machine.environment import host
from experiments.bench.statistics.intervals import wilson
from experiments.machine.control.answer import cells_of
from experiments.registry import find
from experiments.runs import frames, store

CONTROL = "control"


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """The interval of every comparison of equal calls in order; the shares of each call if there are several."""
    if rows.empty:
        return []
    records = cells_of(rows)
    return [_intervals(rows[rows["planted"].fillna(0) == 0]), *([_shares(records)] if len(records) > 1 else [])]


def _shares(records: list[dict[str, Value]]) -> Panel:
    """False alarms and planted differences that were found, in percent of the comparisons of each call."""
    figure = go.Figure()
    names = [f"{one['call']} {one['number_format']}" for one in records]
    kinds = [("false alarms", "false_alarms", "comparisons", RED), ("5% more work, found", "found", "planted", BLUE)]
    for name, counted, of, color in kinds:
        chosen = [(label, one) for label, one in zip(names, records, strict=True) if one[of]]
        if not chosen:
            continue
        shares = [wilson(int(one[counted] or 0), int(one[of] or 0)) for _, one in chosen]
        figure.add_trace(
            go.Scatter(
                name=name,
                x=[100 * one.median for one in shares],
                y=[label for label, _ in chosen],
                mode="markers",
                marker={"color": color, "size": 8},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [100 * ((one.hi or one.median) - one.median) for one in shares],
                    "arrayminus": [100 * (one.median - (one.lo or 0)) for one in shares],
                },
                customdata=[f"{one[counted]} of {one[of]}" for _, one in chosen],
                hovertemplate="%{y}: %{customdata}, %{x:.1f}%<extra>" + name + "</extra>",
            )
        )
    figure.add_vline(x=5, line={"color": GREY, "dash": "dot"})
    layout(figure, "Share of comparisons [%]", "Call")
    figure.update_yaxes(autorange="reversed")
    caption = (
        "Each call against itself, and 20 calls against 21, with 95% intervals of the shares. At most 5% false alarms "
        "are expected (dotted line); the planted difference should be found in at least 90%."
    )
    return Panel("Each call", figure, caption)


def _intervals(rows: pd.DataFrame) -> Panel:
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
    return Panel("A call compared with itself", figure, caption)


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
