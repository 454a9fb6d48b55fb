"""Figures of the fusion experiment."""

import math

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.common import control_band, points
from dashboard.theme import GREY, layout, log_axis, style
from experiments.compiler.fusion import pays_from

APART = "contiguous every op"
VARIANTS = ("fused", "contiguous once", APART, "realize every op")


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Bytes and time saved at each size, and the time of a call against its bytes."""
    return [_saved(rows), _time_by_bytes(rows)] if not rows.empty else []


def _saved(rows: pd.DataFrame) -> Panel:
    """Both ratios to the unfused chain: bytes as dotted lines, times with intervals."""
    figure = go.Figure()
    most = rows.loc[rows["variant"] == APART].set_index("elements")["traffic"]
    for variant in ("fused", "contiguous once"):
        chosen = rows[rows["variant"] == variant].sort_values("elements")
        points(figure, chosen, "elements", "speedup", "speedup_lo", "speedup_hi", variant, "x")
        fewer = (chosen["elements"].map(most) / chosen["traffic"]).astype("float64")
        figure.add_trace(
            go.Scatter(
                name=f"{variant}: bytes",
                x=chosen["elements"].tolist(),
                y=fewer.tolist(),
                mode="lines",
                line={"color": style(variant).color, "dash": "dot"},
                hovertemplate="%{y:.3g}x fewer bytes<extra>" + variant + "</extra>",
            )
        )
    control_band(figure, rows)
    start = pays_from(rows)
    if start is not None and start > rows["elements"].min():
        figure.add_vline(x=start, line={"color": GREY, "dash": "dash"})
        figure.add_annotation(  # on a logarithmic axis annotations are placed by exponent
            x=math.log10(start),
            y=0,
            text="fused is faster from here",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
        )
    layout(figure, "Elements [1]", "Saved against one kernel per step [x]")
    log_axis(figure, "x", rows["elements"], rows["elements"])
    figure.update_yaxes(rangemode="tozero")
    caption = (
        "Dotted: ratio of the bytes a call moves. Points: speedup with its 95% interval; "
        "fusing is faster above the gray control band; its limit is the dotted line."
    )
    return Panel("Bytes saved and time saved", figure, caption)


def _time_by_bytes(rows: pd.DataFrame) -> Panel:
    figure = go.Figure()
    for variant in VARIANTS:
        chosen = rows[rows["variant"] == variant]
        points(figure, chosen, "bytes", "latency_ms", "latency_lo_ms", "latency_hi_ms", variant, "ms")
    layout(figure, "Unique bytes of one call [bytes]", "Latency of one call [ms]")
    log_axis(figure, "x", rows["bytes"])
    log_axis(figure, "y", rows["latency_ms"])
    caption = (
        "Each point is a size; median with its 95% interval, both axes logarithmic. Where the lines coincide, time "
        "depends on the bytes alone; the flat part on the left is launch overhead."
    )
    return Panel("Time against bytes", figure, caption)
