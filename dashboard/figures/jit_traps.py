"""The figure of the JIT's timing pitfalls: the time that a wrong timer reports against the true time."""

import math

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.cold import short
from dashboard.theme import BLUE, ORANGE, layout, log_axis
from experiments.bench.columns import label_of

CLOCKS = (("claimed_ms", "wrong timer", ORANGE, "/"), ("true_ms", "true time", BLUE, ""))


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Reported and true time of every timing pitfall; the other pitfalls are only in the table."""
    timed = rows.dropna(subset=["claimed_ms", "true_ms"])
    return [_clocks(timed)] if not timed.empty else []


def _clocks(timed: pd.DataFrame) -> Panel:
    figure = go.Figure()
    names = [label_of(name).replace("_", " ") for name in timed["variant"]]
    for column, name, color, hatch in CLOCKS:
        figure.add_trace(
            go.Bar(
                name=name,
                x=names,
                y=timed[column].tolist(),
                text=[short(value) for value in timed[column]],
                textposition="outside",
                cliponaxis=False,
                marker={"color": color, "pattern": {"shape": hatch, "fillmode": "overlay", "solidity": 0.2}},
                hovertemplate=f"%{{x}}: %{{y:.3g}} ms<extra>{name}</extra>",
            )
        )
    layout(figure, "Pitfall", "Time of one call [ms]")
    times = pd.concat([timed["claimed_ms"], timed["true_ms"]])
    log_axis(figure, "y", times)
    if (least := times.min()) > 0:  # the shortest bar and the label above the longest must be visible
        figure.update_yaxes(range=[math.log10(least / 2), math.log10(times.max() * 3)])
    caption = (
        "The time of one call that the wrong timer reports, and the true time. Equal bars: the pitfall is harmless on "
        "this device. Logarithmic; minimum of five rounds, no interval."
    )
    return Panel("Reported and true time", figure, caption)
