"""Figures of the shapes experiment."""

from collections.abc import Iterator

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.common import points
from dashboard.theme import layout, log_axis, style

FAINT = 0.35  # opacity of the rounds after the first
VARIANTS = ("eager", "one jit per shape", "symbolic batch", "pad to bucket")


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """The cold stream of shapes, the growth of the caches, and the steady-state latency of each shape."""
    stream = details["stream"]
    drawn = [_cumulative(stream), _growth(stream)] if not stream.empty else []
    return [*drawn, _latency(rows)] if not rows.empty else drawn


def _cumulative(stream: pd.DataFrame) -> Panel:
    figure = go.Figure()
    for variant, number, calls in _streams(stream):
        look, first = style(variant), number == 1
        figure.add_trace(
            go.Scatter(
                name=variant,
                legendgroup=variant,
                showlegend=first,
                opacity=1 if first else FAINT,
                x=calls["call"].tolist(),
                y=(calls["call_ms"].astype("float64").cumsum() / 1e3).tolist(),
                customdata=calls[["called_shape", "call_ms"]].to_numpy(),
                mode="lines",
                line={"color": look.color, "dash": look.dash},
                hovertemplate="call %{x}, %{customdata[0]}: %{customdata[1]:.3g} ms, %{y:.3g} s so far<extra>"
                f"{variant}, round {number}</extra>",
            )
        )
        if first:
            _mark_compiling(figure, calls, look.color, look.symbol)
    layout(figure, "Number of the call in the stream", "Cumulative time [s]")
    figure.update_yaxes(rangemode="tozero")
    caption = (
        "Every strategy ran the same stream of shapes in a fresh process with an empty kernel cache. "
        "Marks: calls that compiled something. The lowest line is the fastest up to that call. Faint: further rounds."
    )
    return Panel("Cold stream of shapes", figure, caption)


def _streams(stream: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """The calls of every strategy and round; the first round comes last, so that it is drawn on top."""
    for number in sorted(stream["round"].fillna(1).unique(), reverse=True):
        in_round = stream[stream["round"].fillna(1) == number]
        for variant in VARIANTS:
            calls = in_round[in_round["variant"] == variant].sort_values("call")
            if not calls.empty:
                yield variant, int(number), calls


def _mark_compiling(figure: go.Figure, calls: pd.DataFrame, color: str, symbol: str) -> None:
    so_far = calls["call_ms"].astype("float64").cumsum() / 1e3
    compiled = calls["compiling_ms"] > 0
    marks = go.Scatter(
        x=calls.loc[compiled, "call"].tolist(),
        y=so_far[compiled].tolist(),
        mode="markers",
        marker={"color": color, "symbol": symbol, "size": 8},
        showlegend=False,
        hoverinfo="skip",
    )
    figure.add_trace(marks)


def _growth(stream: pd.DataFrame) -> Panel:
    """Number of captured programs over the calls."""
    figure = go.Figure()
    for variant, number, calls in _streams(stream):
        if number > 1:  # further rounds capture the same
            continue
        look = style(variant)
        figure.add_trace(
            go.Scatter(
                name=variant,
                x=calls["call"].tolist(),
                y=calls["captures_so_far"].tolist(),
                customdata=calls[["called_shape", "programs_so_far"]].to_numpy(),
                mode="lines",
                line={"color": look.color, "dash": look.dash, "shape": "hv"},
                hovertemplate="call %{x}, %{customdata[0]}: %{y} captured, %{customdata[1]} kernels compiled<extra>"
                + variant
                + "</extra>",
            )
        )
    layout(figure, "Number of the call in the stream", "Programs captured so far [1]")
    figure.update_yaxes(rangemode="tozero")
    caption = (
        "A program is captured at the second call of its shape, bucket or symbolic size; eager calls capture none. "
        "A flat line: everything is compiled."
    )
    return Panel("Growth of the cache", figure, caption)


def _latency(rows: pd.DataFrame) -> Panel:
    figure = go.Figure()
    shown = rows.assign(shape=pd.Categorical(rows["shape"], _ordered(rows["shape"]), ordered=True))
    for variant in VARIANTS:
        chosen = shown[shown["variant"] == variant]
        points(figure, chosen, "shape", "latency_ms", "latency_lo_ms", "latency_hi_ms", variant, "ms")
    layout(figure, "Shape of the input [1]", "Latency of one call [ms]")
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=_ordered(rows["shape"]))
    log_axis(figure, "y", rows["latency_ms"])
    caption = (
        "Once everything is compiled: median of one synchronized call with its 95% interval, logarithmic. A symbolic "
        "batch runs one kernel for every size; a padded batch computes unused rows."
    )
    return Panel("Latency by shape, once compiled", figure, caption)


def _ordered(shapes: pd.Series) -> list[str]:
    """The distinct shapes in order of their sizes: 2x64 before 16x64."""
    return sorted(dict.fromkeys(shapes.astype(str)), key=lambda text: [int(part) for part in _sizes(text)])


def _sizes(text: str) -> list[str]:
    return [part for part in text.split("x") if part.isdecimal()]
