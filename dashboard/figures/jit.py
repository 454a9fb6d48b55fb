"""Figures of the JIT experiment."""

import math

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.cold import cold_panel
from dashboard.figures.common import control_band, points
from dashboard.theme import GREY, layout, log_axis, style

VARIANTS = ("eager", "jit")
PHASES = ("eager", "capture", "replay")
HATCHES = {("jit", "eager"): "/", ("jit", "capture"): "x"}  # next to the color


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Latency against batch or size, and speedup against the work of a call."""
    return [_latency(rows), _speedup(rows)] if not rows.empty else []


def point_panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """The first calls of one grid point, and the capture's break-even."""
    timeline = details["timeline"]
    drawn = [] if timeline.empty else [_first_calls(timeline)]
    if not rows.empty and not timeline.empty:
        drawn.append(_cumulative(rows, timeline))
    cold = details.get("cold_phases", pd.DataFrame())
    return drawn if cold.empty else [*drawn, cold_panel(cold)]


def _latency(rows: pd.DataFrame) -> Panel:
    axis, title = ("batch", "Batch size [rows]") if rows["batch"].notna().any() else ("size", "Matrix size n [1]")
    figure = go.Figure()
    for variant in VARIANTS:
        chosen = rows[rows["variant"] == variant]
        points(figure, chosen, axis, "latency_ms", "latency_lo_ms", "latency_hi_ms", variant, "ms")
    layout(figure, title, "Latency of one call [ms]")
    log_axis(figure, "x", rows[axis], rows[axis])
    log_axis(figure, "y", rows["latency_ms"])
    caption = "Median of one synchronized call with its 95% interval; both axes logarithmic. Lower is faster."
    return Panel("Latency", figure, caption)


def _speedup(rows: pd.DataFrame) -> Panel:
    figure = go.Figure()
    chosen = rows[(rows["variant"] == "jit") & rows["speedup"].notna()].assign(
        mflop=rows["ops"].astype("Float64") / 1e6
    )
    points(figure, chosen, "mflop", "speedup", "speedup_lo", "speedup_hi", "jit", "x")
    control_band(figure, rows)
    layout(figure, "Work of one call [million operations]", "Speedup over eager [x]")
    log_axis(figure, "x", chosen["mflop"])
    figure.update_yaxes(rangemode="tozero")
    caption = "Ratio eager/jit within blocks, with its 95% interval. Above the gray control band the JIT is faster."
    return Panel("Speedup against work per call", figure, caption)


def _first_calls(timeline: pd.DataFrame) -> Panel:
    figure = go.Figure()
    for variant, phase in (("eager", "eager"), *(("jit", phase) for phase in PHASES)):
        calls = timeline[(timeline["variant"] == variant) & (timeline["phase"] == phase)]
        look = style(phase)
        figure.add_trace(
            go.Bar(
                name="eager" if variant == "eager" else f"jit: {phase}" + (" call" if phase == "eager" else ""),
                x=calls["call"].tolist(),
                y=calls["call_ms"].tolist(),
                offsetgroup=variant,
                marker={
                    "color": look.color,
                    "pattern": {"shape": HATCHES.get((variant, phase), ""), "fillmode": "overlay", "solidity": 0.2},
                },
                hovertemplate="call %{x}: %{y:.3g} ms<extra>" + f"{variant}, {phase}</extra>",
            )
        )
    layout(figure, "Number of the call in a fresh process", "Time of the call [ms]")
    log_axis(figure, "y", timeline["call_ms"])
    if (least := timeline["call_ms"].min()) > 0:  # the shortest bar must be visible
        figure.update_yaxes(range=[math.log10(least / 2), math.log10(timeline["call_ms"].max() * 1.5)])
    figure.update_xaxes(dtick=1 if timeline["call"].max() <= 20 else None)
    caption = (
        "Each variant in a fresh process with an empty kernel cache: the first call compiles, the second call of the "
        "JIT captures, later calls replay. Logarithmic."
    )
    return Panel("The first calls", figure, caption)


def _cumulative(rows: pd.DataFrame, timeline: pd.DataFrame) -> Panel:
    figure = go.Figure()
    paid = rows.loc[rows["variant"] == "jit", "break_even_calls"].dropna()
    last = max(20, 3 * int(paid.iloc[0])) if len(paid) else 20
    for variant in VARIANTS:
        calls = timeline[timeline["variant"] == variant].sort_values("call")["call_ms"].astype("float64").tolist()[1:]
        steady = rows.loc[rows["variant"] == variant, "latency_ms"]
        if not calls or steady.empty:
            continue
        times = (calls + [float(steady.iloc[0])] * last)[: last - 1]
        look = style(variant)
        figure.add_trace(
            go.Scatter(
                name=variant,
                x=list(range(1, last + 1)),
                y=[0.0, *pd.Series(times).cumsum().tolist()],
                mode="lines+markers" if last <= 60 else "lines",
                line={"color": look.color, "dash": look.dash},
                marker={"symbol": look.symbol, "size": 6},
                hovertemplate="%{y:.4g} ms after call %{x}<extra>" + variant + "</extra>",
            )
        )
    if len(paid):
        figure.add_vline(
            x=int(paid.iloc[0]),
            line={"color": GREY, "dash": "dot"},
            annotation_text=f"break-even after call {int(paid.iloc[0])}",
            annotation_position="top right",
        )
    layout(figure, "Number of calls", "Cumulative time after the first call [ms]")
    caption = (
        "Measured first calls, then the steady-state latency. The first call is left out: the first call of a TinyJit "
        "is an eager call."
    )
    return Panel("Break-even of the capture", figure, caption)
