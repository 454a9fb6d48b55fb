"""The roofline: kernels of one run or several, with the measured ceilings."""

import html
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Panel
from dashboard.theme import GREY, OTHERS, layout, log_axis, tick_label
from experiments.bench.columns import Value
from experiments.bench.machine.roofline import Ceilings

SYMBOLS = {"memory": "circle", "compute": "diamond"}


def roofline(kernels: Mapping[str, pd.DataFrame], ceilings: Mapping[str, pd.DataFrame]) -> Panel | None:
    """Every kernel by arithmetic intensity and achieved rate; one color and one set of ceilings per named run.

    None if no kernel has both operations and a time.
    """
    figure, drawn = go.Figure(), []
    colors = {name: OTHERS[number % len(OTHERS)].color for number, name in enumerate(kernels)}
    for name, frame in kernels.items():
        timed = frame[(frame["ops"] > 0) & (frame["bytes"] > 0) & frame["gflops"].notna()]
        if timed.empty:
            continue
        intensity = timed["ops"].astype("float64") / timed["bytes"].astype("float64")
        drawn.append((intensity, timed["gflops"].astype("float64")))
        _points(figure, html.escape(name), timed, intensity, colors[name])
    if not drawn:
        return None
    intensities, rates = (pd.concat(list(parts)) for parts in zip(*drawn, strict=True))
    reach = pd.Series([min(intensities.min(), 0.1) / 2, max(intensities.max(), 10.0) * 2])
    tops = []
    for run, frame in ceilings.items():
        known = Ceilings.of(
            [{str(key): _plain(value) for key, value in row.items()} for row in frame.to_dict("records")]
        )
        if known:
            named = html.escape(run) if len(ceilings) > 1 else ""
            tops += _roofs(figure, named, known, reach, colors.get(run, GREY) if named else GREY)
    layout(figure, "Arithmetic intensity [operations/byte]", "Achieved throughput [GFLOP/s]")
    log_axis(figure, "x", reach)
    log_axis(figure, "y", pd.concat([rates, pd.Series(tops, dtype="float64")]))
    caption = (
        "Each point is a kernel; the lines are the measured ceilings of this device: sloped for copies (dotted from "
        "cache, solid from memory), flat for matrix products. A kernel far below every line is too small to fill the "
        "device. Both axes logarithmic."
    )
    return Panel("Roofline", figure, caption)


def _points(figure: go.Figure, name: str, timed: pd.DataFrame, intensity: pd.Series, color: str) -> None:
    figure.add_trace(
        go.Scatter(
            name=name,
            x=intensity.tolist(),
            y=timed["gflops"].tolist(),
            mode="markers",
            marker={
                "color": color,
                "size": (8 + 16 * timed["share"].fillna(0).astype("float64")).tolist(),
                "symbol": [SYMBOLS.get(str(bound), "x") for bound in timed["bound"]],
                "line": {"width": 1, "color": GREY},
            },
            customdata=timed[["name", "kernel_ms", "share", "bound", "roof_fraction"]].to_numpy(),
            hovertemplate="%{customdata[0]}<br>%{y:.3g} GFLOP/s at %{x:.3g} operations/byte, %{customdata[1]:.3g} ms, "
            "%{customdata[2]:.0%} of the kernels' time<br>%{customdata[3]}-bound, %{customdata[4]:.0%} of that ceiling"
            f"<extra>{name}</extra>",
        )
    )


def _roofs(figure: go.Figure, name: str, known: Ceilings, reach: pd.Series, color: str) -> list[float]:
    """Draws one device's ceilings; returns their outer rates for the axis."""
    rates = {"memory": known.copies[-1][1], "cache": max(rate for _, rate in known.copies)}
    for kind, gb_s in rates.items():
        ridge = known.gflops / gb_s
        start = min(reach[0], ridge / 2)
        figure.add_trace(
            go.Scatter(
                name=f"{name} {kind} {_rate(gb_s)} GB/s".strip(),
                x=[start, ridge],
                y=[start * gb_s, known.gflops],
                mode="lines",
                line={"color": color, "dash": "dot" if kind == "cache" else "solid"},
                hoverinfo="skip",
            )
        )
    start = known.gflops / max(rates.values())
    figure.add_trace(
        go.Scatter(
            name=f"{name} matmul {_rate(known.gflops)} GFLOP/s".strip(),
            x=[min(start, reach[1]), max(reach[1], start)],
            y=[known.gflops, known.gflops],
            mode="lines",
            line={"color": color, "dash": "dash"},
            hoverinfo="skip",
        )
    )
    return [known.gflops, reach[0] * rates["memory"]]


def _rate(value: float) -> str:
    """Three significant digits: neither 0 for a slow device nor an exponent for a fast one."""
    return tick_label(float(f"{value:.3g}"))


def _plain(value: Any) -> Value:
    """A cell of a frame as a plain Python value; None if empty."""
    return None if pd.isna(value) else value
