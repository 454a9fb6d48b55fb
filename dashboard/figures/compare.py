"""The figure of the Compare page: rows of several runs on chosen axes, one panel for each machine."""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Panel
from dashboard.theme import MARKERS, layout, log_axis, style
from experiments.bench.columns import Column

MOST_NAMED = 12  # traces; of more the legend would fill the page, and hovering names them
TALL = 480  # room for a legend of several lines
WIDE = 30  # largest over smallest value from which an axis is logarithmic


def panels(rows: pd.DataFrame, x: Column, y: Column, names: Mapping[str, str], grid: Sequence[str] = ()) -> list[Panel]:
    """`y` against `x` for every run, by `names` of the runs; machines apart, all with the same axes.

    Points are joined where they differ in `x` alone: the other columns of the `grid` are the same.
    """
    drawn = rows.dropna(subset=[x.name, y.name])
    series = ["run_id", "variant", *(name for name in grid if name in drawn and name != x.name)]
    symbols = {run_id: MARKERS[number % len(MARKERS)] for number, run_id in enumerate(names)}
    return [
        Panel(machine, _figure(of_machine, drawn, x, y, names, symbols, series), _caption(y, of_machine, series))
        for machine, of_machine in drawn.groupby("machine", sort=False)
    ]


def _caption(y: Column, rows: pd.DataFrame, series: Sequence[str]) -> str:
    unnamed = " Point at a mark for its name." if rows.groupby(list(series), dropna=False).ngroups > MOST_NAMED else ""
    interval = " with its 95 % interval" if interval_of(y.name, rows) else ""
    return (
        f"{y.description[:1].upper()}{y.description[1:]}{interval}. Colour is the technique, symbol the run.{unnamed}"
    )


def _figure(
    rows: pd.DataFrame,
    everything: pd.DataFrame,
    x: Column,
    y: Column,
    names: Mapping[str, str],
    symbols: Mapping[str, str],
    series: Sequence[str],
) -> go.Figure:
    figure = go.Figure()
    numeric = x.kind in ("number", "integer")
    groups = list(rows.groupby(list(series), sort=False, dropna=False))
    for (run_id, variant, *point), points in groups:
        points = points.sort_values(x.name) if numeric else points
        look = style(str(variant))
        where = [f"{axis} {value}" for axis, value in zip(series[2:], point, strict=True) if rows[axis].nunique() > 1]
        name = " · ".join([str(variant), *where, names[str(run_id)]])
        figure.add_trace(
            go.Scatter(
                name=name,
                x=points[x.name].tolist(),
                y=points[y.name].tolist(),
                error_x=_bars(points, x.name),
                error_y=_bars(points, y.name),
                mode="lines+markers" if numeric and not interval_of(x.name, rows) else "markers",
                line={"color": look.color, "dash": look.dash},
                marker={"color": look.color, "symbol": symbols[str(run_id)], "size": 9},
                hovertemplate=f"{x.name} %{{x}}<br>{y.name} %{{y:.4g}}<extra>{name}</extra>",
                showlegend=len(groups) <= MOST_NAMED,
            )
        )
    layout(figure, title(x), title(y))
    figure.update_layout(height=TALL)
    for axis, column in (("x", x), ("y", y)):
        _same_axis(figure, axis, column, everything)
    return figure


def title(column: Column) -> str:
    """`Latency [ms]`: what stands on an axis; text has no unit."""
    if column.kind == "text":
        return column.name.replace("_", " ").capitalize()
    text = column.name.removesuffix(f"_{column.unit}").replace("_", " ") if column.unit else column.name
    return f"{text.replace('_', ' ').capitalize()} [{column.unit or '1'}]"


def interval_of(name: str, rows: pd.DataFrame) -> tuple[str, str] | None:
    """The columns of a column's 95 % interval, where the rows have them: latency_lo_ms, latency_hi_ms."""
    stem, unit = (name.removesuffix("_ms"), "_ms") if name.endswith("_ms") else (name, "")
    low, high = f"{stem}_lo{unit}", f"{stem}_hi{unit}"
    return (low, high) if low in rows and high in rows else None


def _bars(points: pd.DataFrame, name: str) -> dict[str, object] | None:
    found = interval_of(name, points)
    if found is None:
        return None
    low, high = (points[one] for one in found)
    return {
        "type": "data",
        "symmetric": False,
        "array": (high - points[name]).fillna(0).tolist(),
        "arrayminus": (points[name] - low).fillna(0).tolist(),
        "thickness": 1.5,
        "width": 4,
    }


def _same_axis(figure: go.Figure, axis: str, column: Column, rows: pd.DataFrame) -> None:
    """Panels of unlike machines have the same range, with room for every interval, to be read against each other."""
    if column.kind not in ("number", "integer") or rows.empty:
        return
    names = [column.name, *(interval_of(column.name, rows) or ())]
    values = rows[names].astype("float64").stack()
    if values.min() > 0 and values.max() / values.min() > WIDE:
        log_axis(figure, axis, values)
    else:
        room = 0.05 * ((values.max() - values.min()) or abs(values.max()) or 1)
        figure.update_layout({f"{axis}axis": {"range": [float(values.min() - room), float(values.max() + room)]}})
