"""The figure of the Compare page: rows of several runs on chosen axes, one panel for each machine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Panel
from dashboard.theme import MARKERS, layout, log_axis, style
from experiments.bench.columns import Column

MAX_NAMED = 12  # series in the legend; more are drawn as one trace per variant and named on hover
TALL = 480  # room for a legend of several lines
WIDE = 30  # ratio of the largest to the smallest value above which an axis is logarithmic
ROOM = 0.05  # margin of an axis, as a share of its span


@dataclass(frozen=True)
class Series:
    """Points that differ in `x` alone: one variant of one run at one point of the rest of the grid."""

    name: str
    variant: str
    symbol: str
    points: pd.DataFrame


def panels(rows: pd.DataFrame, x: Column, y: Column, names: Mapping[str, str], grid: Sequence[str] = ()) -> list[Panel]:
    """`y` against `x` for every run, with `names` by run id: one panel per machine, all with the same axes.

    Points that differ only in `x`, not in the other columns of the `grid`, are connected.
    """
    drawn = _finite(_finite(rows, x), y)
    by = ["run_id", "variant", *(name for name in grid if name in drawn and name != x.name)]
    found = []
    for machine, of_machine in drawn.groupby("machine", sort=False):
        series = _series(of_machine, x, y, names, by)
        found.append(Panel(str(machine), _figure(series, drawn, x, y), _caption(y, of_machine, series)))
    return found


def _finite(rows: pd.DataFrame, column: Column) -> pd.DataFrame:
    """The rows with a finite value in the column, or any text."""
    there = rows.dropna(subset=[column.name])
    if column.kind == "text":
        return there
    return there[np.isfinite(there[column.name].to_numpy("float64"))]


def _series(rows: pd.DataFrame, x: Column, y: Column, names: Mapping[str, str], by: Sequence[str]) -> list[Series]:
    symbols = {run_id: MARKERS[number % len(MARKERS)] for number, run_id in enumerate(names)}
    swept = [name for name in by[2:] if rows[name].nunique() > 1]
    found = []
    drawn = [*(interval_of(x.name, rows) or ()), *(interval_of(y.name, rows) or ())]
    narrow = rows[list(dict.fromkeys([*by, x.name, y.name, *drawn]))]
    for (run_id, variant, *point), points in narrow.groupby(list(by), sort=False, dropna=False):
        where = [f"{axis} {value}" for axis, value in zip(by[2:], point, strict=True) if axis in swept]
        name = " · ".join([str(variant), *where, names[str(run_id)]])
        ordered = points.sort_values(x.name) if x.kind in ("number", "integer") else points
        found.append(Series(name, str(variant), symbols[str(run_id)], ordered))
    return found


def _caption(y: Column, rows: pd.DataFrame, series: Sequence[Series]) -> str:
    interval = " with its 95% interval" if interval_of(y.name, rows) else ""
    runs = "symbol: run" if len(series) <= MAX_NAMED else "hover over a mark for its run"
    return f"{y.description[:1].upper()}{y.description[1:]}{interval}. Color: technique; {runs}."


def _figure(series: Sequence[Series], everything: pd.DataFrame, x: Column, y: Column) -> go.Figure:
    figure = go.Figure()
    if len(series) <= MAX_NAMED:
        traces = {one.name: [one] for one in series}
    else:
        traces = {one.variant: [each for each in series if each.variant == one.variant] for one in series}
    for name, together in traces.items():
        figure.add_trace(_trace(name, together, x, y, named=len(traces) <= MAX_NAMED))
    layout(figure, title(x), title(y))
    figure.update_layout(height=TALL)
    for axis, column in (("x", x), ("y", y)):
        _same_axis(figure, axis, column, everything)
    return figure


def _trace(name: str, series: Sequence[Series], x: Column, y: Column, named: bool) -> go.Scatter:
    """Series of one technique as one trace with gaps: hundreds of traces would take seconds to draw."""

    def cells(of: Callable[[Series], Sequence[object]], gap: object = None) -> list[object]:
        return [cell for one in series for cell in (*of(one), gap)][:-1]

    def bars(column: Column) -> dict[str, object] | None:
        found = interval_of(column.name, series[0].points)
        if found is None:
            return None
        low, high = found
        above = cells(lambda one: (one.points[high] - one.points[column.name]).fillna(0).tolist())
        below = cells(lambda one: (one.points[column.name] - one.points[low]).fillna(0).tolist())
        return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.5, "width": 4}

    look = style(series[0].variant)
    symbols = cells(lambda one: [one.symbol] * len(one.points), gap=MARKERS[0])
    joined = x.kind in ("number", "integer") and not interval_of(x.name, series[0].points)
    return go.Scatter(
        name=name,
        x=cells(lambda one: one.points[x.name].tolist()),
        y=cells(lambda one: one.points[y.name].tolist()),
        text=cells(lambda one: [one.name] * len(one.points)),
        error_x=bars(x),
        error_y=bars(y),
        mode="lines+markers" if joined else "markers",
        line={"color": look.color, "dash": look.dash},
        marker={"color": look.color, "symbol": symbols, "size": 9},
        hovertemplate=f"{x.name} %{{x}}<br>{y.name} %{{y:.4g}}<extra>%{{text}}</extra>",
        showlegend=named,
    )


def title(column: Column) -> str:
    """The axis title `Latency [ms]`; text has no unit."""
    if column.kind == "text":
        return column.name.replace("_", " ").capitalize()
    text = column.name.removesuffix(f"_{column.unit}").replace("_", " ") if column.unit else column.name
    return f"{text.replace('_', ' ').capitalize()} [{column.unit or '1'}]"


def interval_of(name: str, rows: pd.DataFrame) -> tuple[str, str] | None:
    """The columns of a column's 95% interval, such as latency_lo_ms and latency_hi_ms; None if absent."""
    stem, unit = (name.removesuffix("_ms"), "_ms") if name.endswith("_ms") else (name, "")
    low, high = f"{stem}_lo{unit}", f"{stem}_hi{unit}"
    return (low, high) if low in rows and high in rows else None


def _same_axis(figure: go.Figure, axis: str, column: Column, rows: pd.DataFrame) -> None:
    """Gives the panels of all machines the same range, with room for every interval."""
    if column.kind not in ("number", "integer") or rows.empty:
        return
    values = rows[[column.name, *(interval_of(column.name, rows) or ())]].to_numpy("float64", na_value=np.nan)
    values = values[np.isfinite(values)]
    logarithmic = values.min() > 0 and values.max() / values.min() > WIDE
    if logarithmic:
        log_axis(figure, axis, pd.Series(values), rows[column.name] if axis == "x" else None)
        values = np.log10(values)
    room = ROOM * ((values.max() - values.min()) or abs(values.max()) or 1)
    figure.update_layout({f"{axis}axis": {"range": [float(values.min() - room), float(values.max() + room)]}})
