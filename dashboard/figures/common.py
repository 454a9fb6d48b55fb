"""Elements that several figures share: points with intervals, the control band, speedup bars."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.theme import GREY, Style, layout, style


def points(
    figure: go.Figure,
    rows: pd.DataFrame,
    x: str,
    y: str,
    low: str,
    high: str,
    variant: str,
    unit: str,
    look: Style | None = None,
) -> None:
    """Adds one variant's measured points with their 95% intervals, connected by a line in order of x.

    `look` replaces the technique's style where several variants would share it.
    """
    rows = rows.dropna(subset=[x, y]).sort_values(x)
    if rows.empty:
        return
    look = look or style(variant)
    figure.add_trace(
        go.Scatter(
            name=variant,
            x=rows[x].tolist(),
            y=rows[y].tolist(),
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (rows[high] - rows[y]).fillna(0).tolist(),
                "arrayminus": (rows[y] - rows[low]).fillna(0).tolist(),
                "thickness": 1.5,
                "width": 5,
            },
            customdata=rows[[low, high]].astype("float64").to_numpy(),
            mode="lines+markers",
            line={"color": look.color, "dash": look.dash},
            marker={"color": look.color, "symbol": look.symbol, "size": 9},
            hovertemplate=f"%{{y:.4g}} {unit}, 95% CI %{{customdata[0]:.4g}} to %{{customdata[1]:.4g}}"
            f"<br>{x} %{{x}}<extra>{variant}</extra>",
        )
    )


def control_band(figure: go.Figure, rows: pd.DataFrame, named_at: str = "outside top right") -> None:
    """A line at 1 and the widest A/A control around it: the range in which identical variants were measured."""
    figure.add_hline(y=1, line={"color": GREY, "dash": "dot"})
    low, high = rows["control_lo"].min(), rows["control_hi"].max()
    if pd.notna(low) and pd.notna(high):
        figure.add_hrect(
            y0=float(low),
            y1=float(high),
            fillcolor=GREY,
            opacity=0.25,
            line_width=0,
            annotation_text="A/A control",
            annotation_position=named_at,
        )


def speedups(rows: pd.DataFrame, baseline: str) -> go.Figure | None:
    """A bar with its 95% interval for the speedup of each row over `baseline`; None if no row has a speedup."""
    chosen = rows[rows["speedup"].notna()].sort_values("speedup")
    if chosen.empty:
        return None
    figure = go.Figure(
        go.Bar(
            y=chosen["variant"].tolist(),
            x=chosen["speedup"].tolist(),
            orientation="h",
            marker={"color": [style(str(variant)).color for variant in chosen["variant"]]},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (chosen["speedup_hi"] - chosen["speedup"]).tolist(),
                "arrayminus": (chosen["speedup"] - chosen["speedup_lo"]).tolist(),
            },
            hovertemplate="%{y}: %{x:.3g}x<extra></extra>",
        )
    )
    figure.add_vline(x=1, line={"color": GREY, "dash": "dot"})
    layout(figure, f"Speedup over {baseline} [x]", "")
    figure.update_layout(height=max(240, 90 + 28 * len(chosen)), showlegend=False)
    return figure
