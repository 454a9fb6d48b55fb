"""Figures of the memory access experiment: access patterns relative to a copy, and the power-of-two effect."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.common import points
from dashboard.theme import GREY, layout, log_axis, style

PATTERN_PX = 30  # height of one pattern
INTERVAL = ("fraction_of_copy_lo", "fraction_of_copy_hi")


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Rates against the number of columns, if several were measured."""
    if rows["columns"].nunique() < 2:
        return []
    drawn = [_against_columns(rows, "gb_s", "Useful bytes per second [GB/s]", "GB/s", "Rate by columns")]
    products = rows[rows["variant"].str.startswith("matmul") & rows["gflops"].notna()]
    if not products.empty:
        drawn.append(_against_columns(products, "gflops", "Operations per second [GFLOP/s]", "GFLOP/s", "Matmul"))
    return drawn


def point_panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """The patterns of one shape as fractions of a copy."""
    measured = rows[rows["fraction_of_copy"].notna()].sort_values("fraction_of_copy")
    if measured.empty:
        return []
    figure = go.Figure()
    for _, row in measured.iterrows():
        look, middle = style(row["variant"]), float(row["fraction_of_copy"])
        low, high = (float(row[end]) if pd.notna(row[end]) else middle for end in INTERVAL)
        figure.add_trace(
            go.Scatter(
                name=row["variant"],
                x=[middle],
                y=[f"{row['variant']} {middle:.2g}x"],
                error_x={"type": "data", "symmetric": False, "array": [high - middle], "arrayminus": [middle - low]},
                mode="markers",
                marker={"color": look.color, "symbol": look.symbol, "size": 11},
                hovertemplate=f"%{{x:.3g}} of the copy's bandwidth, 95% CI {low:.3g} to {high:.3g}"
                f"<br>{row['gb_s']:.4g} GB/s"
                f"<extra>{row['variant']}</extra>",
            )
        )
    figure.add_vline(x=1, line={"color": GREY, "dash": "dot"})
    layout(figure, "Bandwidth relative to the copy [1]", "Pattern")
    log_axis(figure, "x", pd.concat([measured["fraction_of_copy"], *(measured[end] for end in INTERVAL)]))
    figure.update_layout(height=max(260, 90 + PATTERN_PX * len(measured)), showlegend=False)
    caption = (
        "Useful bytes per second of each access pattern relative to the copy, kernels only, with the 95% interval. "
        "Logarithmic: left of the dotted line memory bandwidth is used less efficiently than by a copy."
    )
    return [Panel("Relative to a copy", figure, caption)]


def _against_columns(rows: pd.DataFrame, value: str, axis: str, unit: str, title: str) -> Panel:
    figure = go.Figure()
    rows = rows[rows[value].notna()]
    if value == "gb_s":
        rows = rows[~rows["variant"].str.startswith("matmul")]
    scale = rows[value] * rows["kernel_ms"]  # the work of a call: the interval is that of the time
    rows = rows.assign(lo=scale / rows["kernel_hi_ms"], hi=scale / rows["kernel_lo_ms"])
    for variant in dict.fromkeys(rows["variant"]):
        points(figure, rows[rows["variant"] == variant], "columns", value, "lo", "hi", variant, unit)
    layout(figure, "Columns of the matrix [1]", axis)
    log_axis(figure, "y", rows[value])
    figure.update_xaxes(tickvals=sorted(rows["columns"].unique().tolist()))
    caption = (
        "Work of a call divided by the median time of its kernels, with its 95% interval. A dip at a power of two: "
        "vertically adjacent elements then map to the same few cache sets. Logarithmic."
    )
    return Panel(title, figure, caption)
