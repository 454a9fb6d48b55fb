"""Figures of the multi-device experiment."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.common import points
from dashboard.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, Style, layout

LOOKS = {
    "one device": Style(GREY, "circle", "solid"),
    "replicas": Style(BLUE, "diamond", "dash"),
    "data parallel": Style(GREEN, "square", "dot"),
    "tensor parallel": Style(PURPLE, "triangle-up", "dashdot"),
    "processes": Style(ORANGE, "x", "longdash"),
}


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Speedup of each strategy, scaling with the number of devices if several were measured, and busy cores."""
    if rows.empty:
        return []
    compared = rows[rows["speedup"].notna()]
    drawn = [_bars(compared)] if len(compared) else []
    if compared["devices"].nunique() > 1:
        drawn.insert(0, _scaling(compared))
    return [*drawn, _busy(rows)]


def _one_point(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last batch size, with the first kind of inputs."""
    there = rows[rows["batch"] == rows["batch"].iloc[-1]]
    return there[there["inputs"] == there["inputs"].iloc[0]]


def _point(row: pd.Series) -> str:
    return f"batch {row['batch']}, {row['inputs']}"


def _look(layout_name: object) -> Style:
    return LOOKS.get(str(layout_name), LOOKS["one device"])


def _scaling(rows: pd.DataFrame) -> Panel:
    figure = go.Figure()
    there = _one_point(rows)
    most = int(there["devices"].max())
    ideal = go.Scatter(x=[1, most], y=[1, most], mode="lines", name="ideal", line={"color": GREY, "dash": "dot"})
    figure.add_trace(ideal)
    for name, chosen in there.groupby("layout", sort=False):
        points(figure, chosen, "devices", "speedup", "speedup_lo", "speedup_hi", str(name), "x", _look(name))
    layout(figure, "Devices [1]", "Speedup over one device [x]")
    figure.update_xaxes(dtick=1)
    caption = f"{_point(there.iloc[0])}: speedup with its 95% interval; the gray line is ideal scaling."
    return Panel("Speedup against devices", figure, caption)


def _bars(rows: pd.DataFrame) -> Panel:
    figure = go.Figure()
    for number, (_, chosen) in enumerate(rows.groupby(["batch", "inputs"], sort=False)):
        point = _point(chosen.iloc[0])
        ordered = chosen.iloc[::-1]
        pattern = {"shape": ("", "/", "x", ".", "\\", "+")[number % 6]}
        same = {"name": point, "legendgroup": point, "offsetgroup": point, "orientation": "h"}
        key = go.Bar(x=[None], y=ordered["variant"].tolist()[:1], marker={"color": GREY, "pattern": pattern}, **same)
        figure.add_trace(key)  # a separate legend entry: the bars have the colors of their strategies
        figure.add_trace(
            go.Bar(
                showlegend=False,
                **same,
                y=ordered["variant"].tolist(),
                x=ordered["speedup"].tolist(),
                marker={
                    "color": [_look(one).color for one in ordered["layout"]],
                    "pattern": pattern,
                },
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "color": GREY,
                    "array": (ordered["speedup_hi"] - ordered["speedup"]).fillna(0).tolist(),
                    "arrayminus": (ordered["speedup"] - ordered["speedup_lo"]).fillna(0).tolist(),
                },
                customdata=ordered[["efficiency"]].astype("float64").to_numpy(),
                hovertemplate=f"%{{y}}, {point}: %{{x:.3g}}x, efficiency %{{customdata[0]:.0%}}<extra></extra>",
            )
        )
    figure.add_vline(x=1, line={"color": GREY, "dash": "dot"})
    layout(figure, "Speedup over one device [x]", "")
    groups = rows.groupby(["batch", "inputs"]).ngroups
    figure.update_layout(height=max(280, 120 + 26 * len(rows)), showlegend=groups > 1)
    caption = "Ratio one device/strategy within blocks, with its 95% interval: right of 1 the strategy is faster."
    return Panel("Speedup of each strategy", figure, caption)


def _busy(rows: pd.DataFrame) -> Panel:
    there = _one_point(rows).iloc[::-1]
    figure = go.Figure(
        go.Bar(
            y=there["variant"].tolist(),
            x=there["cpu_per_wall"].tolist(),
            orientation="h",
            marker={"color": [_look(one).color for one in there["layout"]]},
            hovertemplate="%{y}: %{x:.3g} cores<extra></extra>",
        )
    )
    figure.add_vline(x=1, line={"color": GREY, "dash": "dot"})
    layout(figure, "CPU time over wall time [cores]", "")
    figure.update_layout(height=max(280, 120 + 26 * len(there)), showlegend=False)
    caption = (
        f"{_point(there.iloc[0])}: busy cores of this machine. Strategies within one process never use "
        "more than one core on the CPU device; on a GPU this is only the host's share."
    )
    return Panel("Busy cores", figure, caption)
