"""Figures of the trade-off study: the front in every pair of objectives, all three at once."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.contributions import contributions, parallel
from dashboard.theme import layout, log_axis, style

FADED = 0.3
CROWD = 30  # points of one technique, above which intervals are drawn as hairlines
SMALLEST, LARGEST = 8, 34  # diameter of a bubble in pixels
SYMBOLS = {"dense": "circle", "weights": "triangle-up", "units": "square", "both": "diamond"}
EXECUTIONS = {"eager": "-open", "jit": "", "beam": "-dot"}
BAND_SAID = (
    "Bars: 95 % intervals. Band: where the front of these two runs, between the bad and the good ends of the "
    "intervals. Faded: off the front of all three objectives."
)
SYMBOLS_SAID = (
    f"{BAND_SAID} Colour: the numbers; shape: circle dense, triangle pruned weights, square removed units, diamond "
    "both; hollow: eager, dotted: BEAM. Select points to filter the table and its CSV."
)
TINTS = ("0,114,178", "213,94,0", "0,158,115")


@dataclass(frozen=True)
class Axis:
    """One objective: its column, the ends of its interval where it has one, its title, and which way is better."""

    column: str
    low: str
    high: str
    title: str
    more_is_better: bool = False


ACCURACY = Axis("percent", "percent_lo", "percent_hi", "Test accuracy [%]", more_is_better=True)
LATENCY = Axis("latency_ms", "latency_lo_ms", "latency_hi_ms", "Latency of one call [ms]")
BYTES = Axis("size_bytes", "size_bytes", "size_bytes", "File that restores the model [bytes]")


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """While the models are made: what they are like so far. Later every grid point has figures of its own."""
    models = details["models"]
    if len(rows) or models.empty:
        return []
    texts = [f"recipe {one['recipe']}<br>{one['text']}" for one in models.to_dict("records")]
    made = go.Scatter(
        x=models["size_bytes"].tolist(),
        y=(models["accuracy"].astype("float64") * 100).tolist(),
        mode="markers",
        marker={"color": style("float32").color, "size": 10},
        customdata=texts,
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure = layout(go.Figure(made), BYTES.title, ACCURACY.title)
    log_axis(figure, "x", models["size_bytes"])
    return [Panel("Models so far", figure, "Each model that has been made; their latency is measured afterwards.")]


def point_panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """All figures of one grid point, of one device or of several."""
    shown = prepared(rows)
    if shown.empty:
        return []
    drawn = [
        _pair(shown, LATENCY, ACCURACY, "Accuracy against latency"),
        _pair(shown, BYTES, ACCURACY, "Accuracy against size"),
        _pair(shown, LATENCY, BYTES, "Size against latency"),
        _three(shown),
    ]
    drawn += [contributions(details["effects"])] if len(details["effects"]) else []
    return [*drawn, parallel(shown)] if len(shown) > 2 else drawn


def prepared(rows: pd.DataFrame) -> pd.DataFrame:
    """The variants that were measured rightly, with accuracy in percent and how they are drawn."""
    shown = rows[rows["p_front"].notna() & rows["latency_ms"].notna()].copy()
    for column, source in (("percent", "accuracy"), ("percent_lo", "accuracy_lo"), ("percent_hi", "accuracy_hi")):
        shown[column] = shown[source].astype("float64") * 100
    shown["technique"] = shown["quantization"].map(_technique)
    shown["thinned"] = shown["pruning"].map(_thinned)
    shown["off"] = ~shown["front"].fillna(True).astype(bool)
    return shown


def _technique(quantization: str) -> str:
    """The name under which the numbers are coloured on all pages: float32, static, weight only."""
    scheme = quantization.split()[0]
    return "float32" if scheme == "none" else scheme.replace("-", " ")


def _thinned(pruning: str) -> str:
    units, weights = pruning.startswith("structured"), "unstructured" in pruning
    return "both" if units and weights else "units" if units else "weights" if weights else "dense"


def _execution(text: str) -> str:
    return "beam" if "beam" in text else text


def _symbols(shown: pd.DataFrame) -> list[str]:
    pairs = zip(shown["thinned"], shown["execution"], strict=True)
    return [SYMBOLS[thinned] + EXECUTIONS[_execution(execution)] for thinned, execution in pairs]


def _pair(shown: pd.DataFrame, x: Axis, y: Axis, title: str) -> Panel:
    """One pair of objectives: the band of the front under the points, one trace for each technique."""
    figure = go.Figure()
    devices = list(dict.fromkeys(shown["device"]))
    for number, device in enumerate(devices):
        _band(figure, shown[shown["device"] == device], x, y, TINTS[number % len(TINTS)], device)
    for number, device in enumerate(devices):
        for technique in dict.fromkeys(shown["technique"]):
            chosen = shown[(shown["device"] == device) & (shown["technique"] == technique)]
            if len(chosen):
                name = technique if len(devices) == 1 else f"{device}: {technique}"
                _points(figure, chosen, x, y, name, style(technique).color, number)
    layout(figure, x.title, y.title)
    log_axis(figure, "x", shown[x.column])
    if not y.more_is_better:
        log_axis(figure, "y", shown[y.column])
    figure.update_layout(dragmode="select", height=420)
    return Panel(title, figure, SYMBOLS_SAID if x is LATENCY and y is ACCURACY else BAND_SAID, selects=True)


def _points(figure: go.Figure, chosen: pd.DataFrame, x: Axis, y: Axis, name: str, color: str, device: int) -> None:
    faded = chosen["off"].to_numpy()
    for off in (True, False):
        part = chosen[faded == off]
        if part.empty:
            continue
        figure.add_trace(
            go.Scatter(
                name=name,
                legendgroup=name,
                showlegend=bool(not off or not (~faded).any()),
                mode="markers",
                x=part[x.column].tolist(),
                y=part[y.column].tolist(),
                error_x=_bars(part, x),
                error_y=_bars(part, y),
                opacity=FADED if off else 1.0,
                marker={
                    "color": color,
                    "symbol": _symbols(part),
                    "size": 10,
                    "line": {"width": 2 if device else 1, "color": "black" if device else color},
                },
                customdata=_told(part),
                hovertemplate="%{customdata[1]}<extra></extra>",
            )
        )


def _bars(part: pd.DataFrame, axis: Axis) -> dict[str, object]:
    """Error bars; an exact objective has none."""
    if axis.low == axis.column:
        return {"visible": False}
    middle = part[axis.column].astype("float64")
    return {
        "type": "data",
        "symmetric": False,
        "array": (part[axis.high].astype("float64") - middle).fillna(0).tolist(),
        "arrayminus": (middle - part[axis.low].astype("float64")).fillna(0).tolist(),
        "thickness": 1 if len(part) <= CROWD else 0.4,
        "width": 0,
    }


def _told(part: pd.DataFrame) -> list[list[str]]:
    """For each point the variant, by which points are selected, and what hovering says of it."""
    told = []
    for row in part.to_dict("records"):
        lines = [
            f"<b>{row['variant']}</b>",
            f"recipe {row['recipe']} on {row['device']}",
            f"accuracy {row['percent']:.2f} % ({row['percent_lo']:.2f} to {row['percent_hi']:.2f})",
            f"{row['size_bytes']:,} bytes, 1/{row['compression']:.3g} of the baseline's float32 numbers",
            f"{row['latency_ms']:.4g} ms{_interval(row['latency_lo_ms'], row['latency_hi_ms'])}",
            f"on the front in {row['p_front']:.0%} of resamples",
        ]
        if row["off"]:
            lines.append(f"off it: dominated by {row['dominated_by']}")
        told.append([row["variant"], "<br>".join(lines)])
    return told


def _interval(low: float, high: float) -> str:
    return "" if pd.isna(low) or pd.isna(high) else f" ({low:.4g} to {high:.4g})"


def _band(figure: go.Figure, shown: pd.DataFrame, x: Axis, y: Axis, tint: str, device: str) -> None:
    """Between the front that the good ends of all intervals make and the one that the bad ends make."""
    good, bad = _staircase(shown, x, y, good=True), _staircase(shown, x, y, good=False)
    left, right = min(good[0][0], bad[0][0]), float(shown[x.high].fillna(shown[x.column]).astype("float64").max())
    for number, (steps, values) in enumerate((good, bad)):
        xs, ys = [left, *steps, right], [values[0], *values, values[-1]]
        figure.add_trace(
            go.Scatter(
                x=xs,
                y=ys,
                mode="lines",
                line={"shape": "hv", "width": 1, "color": f"rgba({tint},0.5)"},
                fill="tonexty" if number else None,
                fillcolor=f"rgba({tint},0.15)",
                hoverinfo="skip",
                showlegend=False,
                name=f"front on {device}",
            )
        )


def _staircase(shown: pd.DataFrame, x: Axis, y: Axis, *, good: bool) -> tuple[list[float], list[float]]:
    """The best y that can be had for at most so much x, where every interval is as good or as bad as it may be."""
    across = shown[x.low if good else x.high].fillna(shown[x.column]).astype("float64").to_numpy()
    up = shown[y.high if good == y.more_is_better else y.low].fillna(shown[y.column]).astype("float64").to_numpy()
    order = np.argsort(across, kind="stable")
    best = np.maximum.accumulate(up[order]) if y.more_is_better else np.minimum.accumulate(up[order])
    return across[order].tolist(), best.tolist()


def _three(shown: pd.DataFrame) -> Panel:
    """Accuracy against size, with the latency as the area of a bubble: small, high and tiny is best."""
    figure = go.Figure()
    logs = np.log10(shown["latency_ms"].astype("float64"))
    low, wide = logs.min(), max(float(logs.max() - logs.min()), 1e-9)
    diameters = SMALLEST + (LARGEST - SMALLEST) * (logs - low) / wide
    devices = shown["device"].nunique()
    for (device, technique), chosen in shown.groupby(["device", "technique"], sort=False):
        figure.add_trace(
            go.Scatter(
                name=technique if devices == 1 else f"{device}: {technique}",
                mode="markers",
                x=chosen["size_bytes"].tolist(),
                y=chosen["percent"].tolist(),
                error_y=_bars(chosen, ACCURACY),
                marker={
                    "color": style(str(technique)).color,
                    "symbol": [SYMBOLS[one] for one in chosen["thinned"]],
                    "size": diameters[chosen.index].tolist(),
                    "opacity": np.where(chosen["off"], FADED, 0.9).tolist(),
                },
                customdata=_told(chosen),
                hovertemplate="%{customdata[1]}<extra></extra>",
            )
        )
    layout(figure, BYTES.title, ACCURACY.title)
    log_axis(figure, "x", shown["size_bytes"])
    figure.update_layout(dragmode="select", height=420)
    caption = (
        f"Up and left is better, and smaller marks are faster: from {shown['latency_ms'].min():.3g} to "
        f"{shown['latency_ms'].max():.3g} ms, logarithmic. Faded: off the front."
    )
    return Panel("All three at once", figure, caption, selects=True)
