"""The figure of the A/A control."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.theme import GREY, RED, layout


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Every comparison's interval, ordered, with the false alarms marked."""
    if rows.empty:
        return []
    figure = go.Figure()
    ordered = rows.sort_values("speedup").reset_index(drop=True)
    alarm = ordered["verdict"] != "cannot tell"
    for name, chosen, color, symbol in (("cannot tell", ~alarm, GREY, "circle"), ("false alarm", alarm, RED, "x")):
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
    figure.update_layout(showlegend=True)  # a single trace would have none
    caption = "Each point is one comparison with its 95 % interval. Red ones do not hold 1: at most 5 % may be red."
    return [Panel("A call against itself", figure, caption)]
