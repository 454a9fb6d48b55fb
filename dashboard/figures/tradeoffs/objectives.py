"""The three objectives of a trade-off study as axes, and the Pareto front of two of them with its uncertainty."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.theme import log_axis
from experiments.bench.arrays import Array

MAX_WITH_FULL_BARS = 30  # points of one technique; for more, intervals are hairlines
FAR = 4.0  # range of accuracy in points above which the error axis is logarithmic
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 30, 50, 80, 90)  # errors whose accuracy is labeled
ROOM = 0.07  # margin on each side, as a share of the range
ALONG, MARK = 12, 5  # sample points of a line, weight of a mark


@dataclass(frozen=True)
class Axis:
    """One objective: its column, the ends of its interval, its title, and which direction is better.

    `mirrored`: the column is an error and the axis is labeled with the accuracy, so that up is better.
    """

    column: str
    low: str
    high: str
    title: str
    more_is_better: bool = False
    log: bool = True
    mirrored: bool = False

    def along(self, values: Any) -> Array:
        """Values in axis coordinates."""
        numbers = np.asarray(values, dtype=np.float64)
        return np.log10(numbers) if self.log else numbers

    def draw(self, figure: go.Figure, name: str, shown: pd.DataFrame) -> tuple[float, float]:
        """Sets scale and range of the axis `x` or `y`, with room for every interval; returns the range."""
        columns = dict.fromkeys((self.low, self.column, self.high))
        values = pd.concat([shown[column].astype("float64") for column in columns]).dropna()
        if self.log:
            log_axis(figure, name, values)
        ends = self.along(values)
        room = ROOM * ((ends.max() - ends.min()) or 0.5)
        span = (float(ends.min() - room), float(ends.max() + room))
        if self.mirrored:
            span = span[::-1]
            named = {"tickvals": list(TICKS), "ticktext": [f"{100 - error:g}" for error in TICKS]}
            figure.update_layout({f"{name}axis": named})
        figure.update_layout({f"{name}axis": {"range": span}})
        return span


LATENCY = Axis("latency_ms", "latency_lo_ms", "latency_hi_ms", "Latency of one call [ms]")
BYTES = Axis("size_bytes", "size_bytes", "size_bytes", "Size of the file [bytes]")
ACCURACY = Axis("percent", "percent_lo", "percent_hi", "Test accuracy [%]", more_is_better=True, log=False)
ERROR = Axis("error", "error_lo", "error_hi", "Test accuracy [%]", mirrored=True)


def accuracy_axis(shown: pd.DataFrame) -> Axis:
    """Linear; logarithmic in the error where some variants are far worse than others, so that all stay readable."""
    return ERROR if shown["percent"].max() - shown["percent"].min() > FAR else ACCURACY


def bars(part: pd.DataFrame, axis: Axis) -> dict[str, object]:
    """Error bars; none for an exact objective."""
    if axis.low == axis.column:
        return {"visible": False}
    middle = part[axis.column].astype("float64")
    return {
        "type": "data",
        "symmetric": False,
        "array": (part[axis.high].astype("float64") - middle).fillna(0).tolist(),
        "arrayminus": (middle - part[axis.low].astype("float64")).fillna(0).tolist(),
        "thickness": 1.5 if len(part) <= MAX_WITH_FULL_BARS else 0.4,
        "width": 0,
    }


def band(figure: go.Figure, shown: pd.DataFrame, x: Axis, y: Axis, tint: str, name: str) -> None:
    """The front of two objectives, on a band between the fronts of the better and the worse interval ends."""
    good, bad, middle = (staircase(shown, x, y, which) for which in ("good", "bad", "middle"))
    left = min(good[0][0], bad[0][0])
    right = float(shown[x.high].fillna(shown[x.column]).astype("float64").max())
    for which, (steps, values) in (("good", good), ("bad", bad), ("middle", middle)):
        start = left if which != "middle" else steps[0]
        figure.add_trace(
            go.Scatter(
                x=[start, *steps, right],
                y=[values[0], *values, values[-1]],
                mode="lines",
                line={"shape": "hv", "width": 2 if which == "middle" else 0, "color": f"rgb({tint})"},
                fill="tonexty" if which == "bad" else None,
                fillcolor=f"rgba({tint},0.18)",
                hoverinfo="skip",
                legendgroup=name,
                showlegend=which == "middle",
                name=name,
            )
        )


def staircase(shown: pd.DataFrame, x: Axis, y: Axis, which: str) -> tuple[list[float], list[float]]:
    """The best y for at most each x, with `middle` values or the `good` or `bad` interval ends of all variants."""
    good = which == "good"
    across, up = x.column, y.column
    if which != "middle":
        across, up = (x.low if good else x.high), (y.high if good == y.more_is_better else y.low)
    steps = shown[across].fillna(shown[x.column]).astype("float64").to_numpy()
    heights = shown[up].fillna(shown[y.column]).astype("float64").to_numpy()
    order = np.argsort(steps, kind="stable")
    best = (np.maximum if y.more_is_better else np.minimum).accumulate(heights[order])
    return steps[order].tolist(), best.tolist()


def occupied_points(shown: pd.DataFrame, x: Axis, y: Axis) -> Array:
    """Points (n, 2) in axis coordinates that cover everything drawn: marks, intervals, the front."""
    across, low, high = (axis.along(shown[column]) for axis, column in ((x, x.column), (y, y.low), (y, y.high)))
    low, high = (np.where(np.isnan(end), y.along(shown[y.column]), end) for end in (low, high))
    marks = np.column_stack([across, y.along(shown[y.column])])
    found = [marks] * MARK + [np.column_stack([across, low + at * (high - low)]) for at in np.linspace(0, 1, ALONG)]
    steps, heights = staircase(shown, x, y, "middle")
    along = np.linspace(x.along(steps[0]), x.along(steps[-1]), 3 * ALONG)
    level = y.along(heights)[np.searchsorted(x.along(steps), along, side="right") - 1]
    return np.concatenate([*found, np.column_stack([along, level])])
