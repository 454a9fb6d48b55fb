"""The figure of a device's ceilings."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.common import points
from dashboard.theme import layout, log_axis


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Copy rate by bytes moved, and product rate by matrix size."""
    drawn = []
    for what, axis, rate, title in (
        ("copy", "moved_bytes", "gb_s", ("Bytes moved [bytes]", "Copy rate [GB/s]")),
        ("matmul", "n", "gflops", ("Matrix size n [1]", "Product rate [GFLOP/s]")),
    ):
        chosen = rows[(rows["what"] == what) & rows[rate].notna()].copy()
        if chosen.empty:
            continue
        # The interval of a rate is that of the latency turned round.
        chosen["low"] = chosen[rate] * chosen["latency_ms"] / chosen["latency_hi_ms"]
        chosen["high"] = chosen[rate] * chosen["latency_ms"] / chosen["latency_lo_ms"]
        figure = go.Figure()
        for variant, of_variant in chosen.groupby("variant"):
            points(figure, of_variant, axis, rate, "low", "high", str(variant), title[1].partition("[")[2].rstrip("]"))
        layout(figure, *title)
        log_axis(figure, "x", chosen[axis], chosen[axis])
        figure.update_yaxes(rangemode="tozero")
        caption = "numpy runs on one thread, as tinygrad's CPU device does. Higher is faster; 95 % intervals."
        drawn.append(Panel(title[1].partition(" [")[0], figure, caption))
    return drawn
