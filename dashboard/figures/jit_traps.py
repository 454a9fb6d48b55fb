"""The figure of the JIT's traps: what a trapped clock claims against the truth."""

import math

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.cold import short
from dashboard.theme import BLUE, ORANGE, layout, log_axis

CLOCKS = (("claimed_ms", "trapped clock", ORANGE, "/"), ("true_ms", "true time", BLUE, ""))


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Claimed against true time of every trap that has a clock; the other traps are told by the table alone."""
    timed = rows.dropna(subset=["claimed_ms", "true_ms"])
    return [_clocks(timed)] if not timed.empty else []


def _clocks(timed: pd.DataFrame) -> Panel:
    figure = go.Figure()
    names = [name.replace("_", " ") for name in timed["variant"]]
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
    layout(figure, "Trap", "Time of one call [ms]")
    times = pd.concat([timed["claimed_ms"], timed["true_ms"]])
    log_axis(figure, "y", times)
    if (least := times.min()) > 0:  # the shortest bar must be seen, and the number above the longest
        figure.update_yaxes(range=[math.log10(least / 2), math.log10(times.max() * 3)])
    caption = (
        "What the trapped clock says of one call, and how long the call takes. Equal bars: the trap does no harm on "
        "this device. Logarithmic; the least of five rounds, not an interval."
    )
    return Panel("What the clock claims", figure, caption)
