"""Figures of the BEAM search: kernel times, the search itself, and its break-even."""

import math

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel, Table
from dashboard.figures.common import control_band, points
from dashboard.theme import layout, log_axis, style

MAX_CALLS = 1_000_000  # upper end of the axis
STEPS = 80  # points of a line of cumulative time


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Kernel time against size, where there are several sizes."""
    timed = rows[rows["kernel_ms"].notna()]
    return [_by_size(timed)] if timed["size"].nunique() > 1 else []


def point_panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """For one size: kernel time and speedup by variant, the searches, and their break-even."""
    timed = rows[rows["kernel_ms"].notna()]
    drawn = [_kernel_time(timed)] if not timed.empty else []
    if timed["speedup"].notna().any():
        drawn.append(_speedup(timed))
    candidates = details.get("candidates", pd.DataFrame())
    if not candidates.empty and candidates["candidate_ms"].notna().any():
        drawn.append(_search(candidates, timed))
    if (timed["first_call_ms"].notna() | timed["search_s"].notna()).any():
        drawn.append(_cumulative(timed))
    return drawn


def point_tables(rows: pd.DataFrame, details: Details) -> list[Table]:
    """The optimizations of each variant for one size, in words."""
    described = rows[rows["in_words"].notna()]
    if described.empty:
        return []
    chosen = described.set_index("variant")["in_words"].map(_by_kernel).rename_axis(None)
    return [Table("Optimizations in words", chosen.to_frame("optimizations applied to the kernels, in order"))]


def _by_kernel(words: str) -> str:
    kernels = words.split(" | ")
    return words if len(kernels) == 1 else " ".join(f"Kernel {n}: {one}." for n, one in enumerate(kernels, start=1))


def _by_size(timed: pd.DataFrame) -> Panel:
    figure = go.Figure()
    for variant in dict.fromkeys(timed["variant"]):
        chosen = timed[timed["variant"] == variant]
        points(figure, chosen, "size", "kernel_ms", "kernel_lo_ms", "kernel_hi_ms", variant, "ms")
    layout(figure, "Size n [1]", "Time of the kernels [ms]")
    log_axis(figure, "x", timed["size"], timed["size"])
    log_axis(figure, "y", timed["kernel_ms"])
    caption = "Kernels of one call on the device, median and 95% interval; both axes logarithmic. Lower is faster."
    return Panel("Kernel time by size", figure, caption)


def _kernel_time(timed: pd.DataFrame) -> Panel:
    figure = go.Figure()
    for _, row in timed.iterrows():
        _one(figure, row, "kernel_ms", "kernel_lo_ms", "kernel_hi_ms", "ms")
    layout(figure, "Variant", "Time of the kernels [ms]")
    log_axis(figure, "y", pd.concat([timed["kernel_ms"], timed["kernel_lo_ms"], timed["kernel_hi_ms"]]))
    _named(figure, timed)
    caption = (
        "Kernels of one call on the device, all variants timed side by side; median and 95% interval. Logarithmic. "
        "Lower is faster."
    )
    return Panel("Kernel time", figure, caption)


def _speedup(timed: pd.DataFrame) -> Panel:
    figure = go.Figure()
    compared = timed[timed["speedup"].notna()]
    for _, row in compared.iterrows():
        _one(figure, row, "speedup", "speedup_lo", "speedup_hi", "x")
    control_band(figure, timed, named_at="outside bottom left")  # the unoptimized kernel is far away
    layout(figure, "Variant", "Speedup over the heuristic [x]")
    _named(figure, compared)
    figure.update_yaxes(rangemode="tozero")
    caption = (
        "Ratio heuristic/variant of whole calls within blocks, 95% interval. Above the gray control band a "
        "variant is faster, below it slower."
    )
    return Panel("Speedup", figure, caption)


def _one(figure: go.Figure, row: pd.Series, value: str, low: str, high: str, unit: str) -> None:
    """One variant's point with its interval, at its name on the x axis."""
    look = style(row["variant"])
    middle = float(row[value])
    lo, hi = (float(row[end]) if pd.notna(row[end]) else middle for end in (low, high))
    figure.add_trace(
        go.Scatter(
            name=row["variant"],
            x=[_label(row)],
            y=[middle],
            error_y={"type": "data", "symmetric": False, "array": [hi - middle], "arrayminus": [middle - lo]},
            mode="markers+text",
            text=[f"{middle:.3g}"],
            textposition="middle right",
            marker={"color": look.color, "symbol": look.symbol, "size": 11},
            hovertemplate=f"%{{y:.4g}} {unit}, 95% CI {lo:.4g} to {hi:.4g}<extra>{row['variant']}</extra>",
        )
    )


def _label(row: pd.Series) -> str:
    """The variant, marked if its search timed out."""
    return f"{row['variant']}<br>timeout" if str(row["verdict"]) == "timeout" else str(row["variant"])


def _named(figure: go.Figure, rows: pd.DataFrame) -> None:
    """Names the variants on the axis, with room for the last label."""
    figure.update_layout(showlegend=False)
    figure.update_xaxes(range=[-0.5, len(rows) - 0.3])


def _search(candidates: pd.DataFrame, timed: pd.DataFrame) -> Panel:
    figure = go.Figure()
    for variant in dict.fromkeys(candidates["variant"]):
        tried = candidates[(candidates["variant"] == variant) & candidates["candidate_ms"].notna()]
        look = style(variant)
        figure.add_trace(
            go.Scatter(
                name=variant,
                legendgroup=variant,
                x=tried["at_s"].tolist(),
                y=tried["candidate_ms"].tolist(),
                customdata=tried[["candidate", "opts"]].to_numpy(),
                mode="markers",
                opacity=0.6,
                marker={"color": look.color, "symbol": look.symbol, "size": 6},
                hovertemplate="candidate %{customdata[0]} after %{x:.3g} s: %{y:.4g} ms<br>%{customdata[1]}"
                f"<extra>{variant}</extra>",
            )
        )
        for _, of_kernel in tried.groupby("kernel", sort=True):
            figure.add_trace(
                go.Scatter(
                    name=f"{variant}, best so far",
                    legendgroup=variant,
                    showlegend=False,
                    x=of_kernel["at_s"].tolist(),
                    y=of_kernel["best_ms"].tolist(),
                    mode="lines",
                    line={"color": look.color, "dash": look.dash, "shape": "hv"},
                    hoverinfo="skip",
                )
            )
    heuristic = timed[(timed["variant"] == "heuristic") & (timed["kernels"] == 1)]
    if not heuristic.empty:
        look, level = style("heuristic"), float(heuristic["kernel_ms"].iloc[0])
        figure.add_trace(
            go.Scatter(
                name="heuristic, timed afterwards",
                x=[0.0, float(candidates["at_s"].max())],
                y=[level, level],
                mode="lines",
                line={"color": look.color, "dash": look.dash},
                hovertemplate="%{y:.4g} ms<extra>heuristic</extra>",
            )
        )
    layout(figure, "Time since the start of the search [s]", "Time of a candidate kernel [ms]")
    log_axis(figure, "y", candidates["candidate_ms"])
    caption = (
        "Each point is one candidate as timed by the search; the line is the best of its kernel so far. Each search "
        "runs alone in its own process."
    )
    return Panel("The search", figure, caption)


def _cumulative(timed: pd.DataFrame) -> Panel:
    figure = go.Figure()
    paid = timed[timed["break_even_calls"].notna()]
    last = min(MAX_CALLS, 10 * int(paid["break_even_calls"].max()) if len(paid) else 10_000)
    calls = sorted({max(1, round(10 ** (math.log10(last) * step / STEPS))) for step in range(STEPS + 1)})
    drawn: list[float] = []
    for _, row in timed.iterrows():
        first_s = float(row["first_call_ms"]) / 1e3 if pd.notna(row["first_call_ms"]) else row["search_s"]
        if pd.isna(first_s):
            continue
        look, steady_s = style(row["variant"]), float(row["latency_ms"]) / 1e3
        seconds = [float(first_s) + (number - 1) * steady_s for number in calls]
        drawn += seconds
        figure.add_trace(
            go.Scatter(
                name=row["variant"],
                x=calls,
                y=seconds,
                mode="lines",
                line={"color": look.color, "dash": look.dash},
                hovertemplate="%{y:.4g} s after %{x:,} calls<extra>" + row["variant"] + "</extra>",
            )
        )
    for _, row in paid.iterrows():
        lo, hi = row["break_even_calls_lo"], row["break_even_calls_hi"]
        if pd.notna(lo) and pd.notna(hi):
            figure.add_vrect(x0=int(lo), x1=int(hi), fillcolor=style(row["variant"]).color, opacity=0.15, line_width=0)
        figure.add_vline(x=int(row["break_even_calls"]), line={"color": style(row["variant"]).color, "dash": "dot"})
    layout(figure, "Number of calls", "Cumulative time [s]")
    log_axis(figure, "x", pd.Series([1, last]))
    log_axis(figure, "y", pd.Series(drawn, dtype="float64"))
    caption = (
        "First call (compilation, for BEAM the search), then the steady-state latency. Dotted: break-even; shaded: its "
        "95% interval. Both axes logarithmic."
    )
    return Panel("Break-even of the search", figure, caption)
