"""Figures of the edge experiment: size, latency and accuracy of every program, and the effect of each step."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import Details, Panel
from dashboard.theme import BLUE, GREEN, GREY, ORANGE, RED, layout, log_axis
from experiments.runs.frames import displayed

LOOKS = {"ran": (GREEN, ""), "built, not run": (GREY, "/"), "failed": (RED, "x"), "no compiler": (RED, "x")}
OTHER = (GREY, "")
ROW_HEIGHT = 34


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """The programs by size, latency and accuracy, and the steps that lead to the smallest one."""
    drawn = [_sizes(rows)] if rows["binary_bytes"].notna().any() else []
    if rows["latency_ms"].notna().any():
        drawn.append(_latency(rows[rows["latency_ms"].notna()]))
    if rows["accuracy"].notna().any():
        drawn.append(_accuracy(rows[rows["accuracy"].notna()]))
    steps = details["steps"]
    return [*drawn, _steps(steps)] if steps["weights_bytes"].notna().any() else drawn


def _sizes(rows: pd.DataFrame) -> Panel:
    figure = go.Figure()
    chosen = rows[rows["binary_bytes"].notna()]
    for ran, of_kind in chosen.groupby("ran", sort=False):
        color, pattern = LOOKS.get(str(ran), OTHER)
        figure.add_trace(
            go.Bar(
                name=str(ran),
                y=of_kind["variant"].tolist(),
                x=of_kind["binary_bytes"].tolist(),
                orientation="h",
                texttemplate="%{x:,}",
                textposition="outside",
                marker={"color": color, "pattern": {"shape": pattern}},
                customdata=of_kind[["flags", "weights_bytes"]].astype(str).to_numpy(),
                hovertemplate="%{y}: %{x:,} bytes, of these %{customdata[1]} of constants<br>%{customdata[0]}"
                "<extra></extra>",
            )
        )
    weights = chosen["weights_bytes"].max()
    figure.add_vline(x=int(chosen["weights_bytes"].min()), line={"color": ORANGE, "dash": "dot"})
    layout(figure, "Program [bytes]", "")
    _lines(figure, chosen["variant"])
    figure.update_xaxes(range=[0, max(weights, chosen["binary_bytes"].max()) * 1.25])  # room for the labels
    caption = (
        "Stripped programs; Linux and Windows targets include their C library. Dotted: the smallest constants. "
        "Hatched: built here, but not executable on this machine."
    )
    return Panel("Size", figure, caption)


def _latency(rows: pd.DataFrame) -> Panel:
    figure = go.Figure()
    parts = (
        ("a call from Python", "diamond", BLUE, *(rows[f"latency{end}_ms"] * 1000 for end in ("", "_lo", "_hi"))),
        (
            "inside C, to the 99th percentile",
            "square",
            GREEN,
            rows["inside_us"],
            rows["inside_us"],
            rows["inside_p99_us"],
        ),
    )
    for name, symbol, color, middle, low, high in parts:
        there = middle.notna()
        figure.add_trace(
            go.Scatter(
                name=name,
                y=rows.loc[there, "variant"].tolist(),
                x=middle[there].tolist(),
                mode="markers",
                marker={"color": color, "symbol": symbol, "size": 10},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": (high - middle)[there].tolist(),
                    "arrayminus": (middle - low)[there].tolist(),
                },
                hovertemplate="%{y}: %{x:.3g} µs<extra></extra>",
            )
        )
    layout(figure, "Time of one image [µs]", "")
    log_axis(figure, "x", pd.concat([rows["latency_ms"] * 1000, rows["inside_us"], rows["inside_p99_us"]]))
    _lines(figure, rows["variant"])
    caption = (
        "Diamonds: median of a call from Python with its 95% interval, all measured side by side. Squares: median of "
        "single calls timed in C; their line ends at the 99th percentile. Logarithmic."
    )
    return Panel("Latency at batch 1", figure, caption)


def _accuracy(rows: pd.DataFrame) -> Panel:
    figure = go.Figure(
        go.Scatter(
            y=rows["variant"].tolist(),
            x=(rows["accuracy"] * 100).tolist(),
            mode="markers",
            marker={"color": GREEN, "symbol": "circle", "size": 10},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": ((rows["accuracy_hi"] - rows["accuracy"]) * 100).tolist(),
                "arrayminus": ((rows["accuracy"] - rows["accuracy_lo"]) * 100).tolist(),
            },
            hovertemplate="%{y}: %{x:.2f}%<extra></extra>",
        )
    )
    layout(figure, "Test accuracy [%]", "")
    _lines(figure, rows["variant"])
    caption = "Accuracy of each program on the 10,000 test images, with the 95% Wilson interval."
    return Panel("Accuracy of the program", figure, caption)


def _steps(every: pd.DataFrame) -> Panel:
    """Bars for the steps that change the network; the caption lists all steps."""
    every = displayed(every)
    steps = every[every["weights_bytes"].notna()]
    names = steps["step"].tolist()
    figure = make_subplots(rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.04)
    parts = (
        ("Constants<br>[bytes]", steps["weights_bytes"], ORANGE, "%{x:.3s}"),
        ("Time in C<br>[µs]", steps["inside_us"], BLUE, "%{x:.3g}"),
        ("Accuracy<br>[%]", steps["accuracy"] * 100, GREEN, "%{x:.2f}"),
    )
    for place, (title, values, color, hover) in enumerate(parts, start=1):
        drawn: dict[str, Any] = {"x": values.tolist(), "y": names, "marker_color": color, "texttemplate": hover}
        drawn["hovertemplate"] = f"%{{y}}: {hover}<extra></extra>"
        last = place == len(parts)  # accuracies are close together: points need no zero
        bars = go.Bar(**drawn, orientation="h", textposition="outside", textangle=0)
        points = go.Scatter(**drawn, mode="markers+text", textposition="top center", marker_size=10)
        figure.add_trace(points if last else bars, row=1, col=place)
        figure.update_xaxes(title=title, row=1, col=place, nticks=3)
        if not last:
            figure.update_xaxes(range=[0, float(values.max()) * 2], row=1, col=place)  # room for the labels
    reach = max(0.5, float(np.ptp(steps["accuracy"] * 100)))
    middle = float((steps["accuracy"].max() + steps["accuracy"].min()) * 50)
    figure.update_xaxes(range=[middle - reach, middle + reach], row=1, col=len(parts))
    layout(figure, parts[0][0], "")
    figure.update_layout(showlegend=False, height=120 + 56 * len(steps))
    figure.update_yaxes(autorange="reversed")
    caption = " ".join(f"{one['step'].capitalize()}: {one['what']}." for _, one in every.iterrows())
    return Panel("The effect of each step", figure, caption)


def _lines(figure: go.Figure, variants: Sequence[str]) -> None:
    """One line per variant, the first on top."""
    names = list(dict.fromkeys(variants))
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], title=None)
    figure.update_layout(height=max(220, 110 + ROW_HEIGHT * len(names)))
