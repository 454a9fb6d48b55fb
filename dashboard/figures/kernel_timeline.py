"""The timeline of one replay: when each kernel was launched and how long it ran."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Panel
from dashboard.theme import BLUE, GREY, layout

MAX_KERNELS = 200  # bars that remain distinguishable


def kernel_timeline(frame: pd.DataFrame) -> Panel | None:
    """One bar per kernel: host time gray, kernel time blue. None for a replay without kernels."""
    shown = frame.sort_values("number").head(MAX_KERNELS)
    if shown.empty:
        return None
    labels = [f"{number} {name}" for number, name in zip(shown["number"], shown["name"], strict=True)]
    kernel_us = (shown["kernel_ms"].astype("float64") * 1e3).tolist()
    host_us = ((shown["host_ms"] - shown["kernel_ms"]).astype("float64").clip(lower=0) * 1e3).tolist()
    starts = (shown["start_ms"].astype("float64") * 1e3).tolist()
    figure = go.Figure()
    parts = (("host: launch and wait", starts, host_us, GREY, "/"), ("kernel", None, kernel_us, BLUE, ""))
    for name, base, lengths, color, hatch in parts:
        begins = base or [start + host for start, host in zip(starts, host_us, strict=True)]
        figure.add_trace(
            go.Bar(
                name=name,
                y=labels,
                x=lengths,
                base=begins,
                orientation="h",
                marker={"color": color, "pattern": {"shape": hatch}},
                hovertemplate="%{y}: %{x:.3g} µs<extra>" + name + "</extra>",
            )
        )
    layout(figure, "Time since the start of the replay [µs]", "")
    figure.update_layout(barmode="overlay", height=max(220, min(1200, 120 + 22 * len(shown))))
    figure.update_yaxes(autorange="reversed", showticklabels=len(shown) <= 60)
    first = f"The first {MAX_KERNELS} of {len(frame)} kernels. " if len(frame) > MAX_KERNELS else ""
    caption = f"{first}Kernels are launched and synchronized one by one; a replay on a GPU launches them as a graph."
    return Panel("Kernel timeline", figure, caption)
