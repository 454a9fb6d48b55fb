"""The figure of cold costs: a breakdown of the first call's time."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Panel
from dashboard.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, layout
from experiments.bench.tinygrad.phases import PHASES, STATES

LOOKS = {  # color and hatch of each phase
    "import": (PURPLE, ""),
    "device open": (SKY, "/"),
    "schedule": (GREEN, "."),
    "code generation": (ORANGE, ""),
    "compiler": (RED, "x"),
    "run": (BLUE, ""),
    "other": (GREY, "\\"),
}
ROOM = 1.25  # for the total next to the longest bar


def cold_panel(frame: pd.DataFrame) -> Panel:
    """One stacked bar per state from a frame with the columns of COLD_PHASES, the first state on top."""
    states = [state for state in STATES if (frame["state"] == state).any()]
    figure = go.Figure()
    for phase in PHASES:
        times = frame[frame["phase"] == phase].groupby("state")["phase_ms"].sum().reindex(states).dropna()
        if times.empty:
            continue
        color, hatch = LOOKS[phase]
        figure.add_trace(
            go.Bar(
                name=phase,
                orientation="h",
                y=times.index.tolist(),
                x=times.tolist(),
                text=[short(value) for value in times],
                textposition="inside",
                textangle=0,
                insidetextanchor="middle",
                marker={"color": color, "pattern": {"shape": hatch, "fillmode": "overlay", "solidity": 0.2}},
                hovertemplate="%{y}: %{x:.3g} ms<extra>" + phase + "</extra>",
            )
        )
    totals = frame.groupby("state")["phase_ms"].sum().reindex(states)
    for state, total in totals.items():
        figure.add_annotation(
            y=state, x=total, text=f"{short(total)} ms", showarrow=False, xanchor="left", xshift=4, yanchor="middle"
        )
    layout(figure, "Time of the first call [ms]", "State of the caches")
    figure.update_layout(barmode="stack", uniformtext={"minsize": 9, "mode": "hide"}, legend_traceorder="normal")
    figure.update_yaxes(categoryorder="array", categoryarray=states[::-1])
    if states:
        figure.update_xaxes(range=[0, float(totals.max()) * ROOM])
    caption = (
        "One eager call. Cold: a fresh process with an empty kernel cache; disk cache: a fresh process with the "
        "binaries of an earlier one; warm: a later call in the same process, where code generation is a lookup. "
        "One measurement per state, kernels compiled one after another."
    )
    return Panel("Breakdown of the first call", figure, caption)


def short(value: float) -> str:
    """Three significant digits, more only before the decimal point: `0.25`, `12.3`, `2,130`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
