"""Figures of the trade-off study: the front in every pair of objectives, all three at once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.annotations import Annotation, annotate
from dashboard.figures.tradeoffs.contributions import contributions, parallel
from dashboard.figures.tradeoffs.objectives import (
    BYTES,
    LATENCY,
    MAX_WITH_FULL_BARS,
    Axis,
    accuracy_axis,
    band,
    bars,
    occupied_points,
)
from dashboard.theme import GREY, layout, log_axis, style
from experiments.studies.tradeoffs.recommendation import NO_EVIDENCE, Criterion, last_point, recommend

Labeled = list[tuple[str, Any]]  # labels of variants, and their rows

FADED = 0.5
HEIGHT = 460
SMALLEST, LARGEST = 7, 30  # diameter of a bubble in pixels
SYMBOLS = {"dense": "circle", "weights": "triangle-up", "units": "square", "both": "diamond"}
KINDS = {"dense": "dense", "weights": "pruned weights", "units": "fewer units", "both": "fewer units and weights"}
EXECUTIONS = {"eager": "-open", "jit": "", "beam": "-dot"}
RUNNING = {"eager": "hollow: eager", "jit": "filled: JIT", "beam": "dotted: BEAM"}
BASELINE = "baseline"
WINNERS: tuple[Criterion, ...] = ("smallest", "fastest")  # within 1 point of the baseline
HOW_TO_READ = (
    "Bars: 95% intervals (for accuracy, of the paired difference from the baseline). Line: the Pareto front of the "
    "two axes; band: the fronts of the better and of the worse interval ends. Faded: dominated in accuracy, size and "
    "latency. Labeled: the smallest and the fastest within 1 percentage point of the baseline."
)
SELECT = " Select points to filter the table and its CSV."
COMPARED = (
    "Line and border: the Pareto front and the points of one study. Faded: dominated in accuracy, size and latency."
)
AS_BEFORE = "Bars, line, band and symbols as in the figure of accuracy against latency."
TINTS = ("0,114,178", "213,94,0", "0,158,115", "204,121,167")


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """The models built so far, while there are no rows; later each grid point has its own figures."""
    models = details["models"]
    if len(rows) or models.empty:
        return []
    texts = [f"recipe {one['recipe']}<br>{one['text']}" for one in models.to_dict("records")]
    built = go.Scatter(
        x=models["size_bytes"].tolist(),
        y=(models["accuracy"].astype("float64") * 100).tolist(),
        mode="markers",
        marker={"color": style("float32").color, "size": 10},
        customdata=texts,
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure = layout(go.Figure(built), BYTES.title, "Test accuracy [%]")
    log_axis(figure, "x", models["size_bytes"])
    return [Panel("Models so far", figure, "The models built so far; their latency is measured afterwards.")]


def point_panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """All figures of one grid point."""
    shown = prepared(rows)
    if shown.empty:
        return []
    labeled = _winners(shown)
    drawn = [*_pairs(shown, labeled), _three(shown, labeled)]
    drawn += [contributions(details["effects"])] if len(details["effects"]) else []
    return [*drawn, parallel(shown)] if len(shown) > 2 else drawn


def compared_panels(rows: pd.DataFrame, names: Mapping[str, str]) -> list[Panel]:
    """Several studies in one figure at the last grid point that all share, each with its own front."""
    shown = prepared(rows.assign(device=rows["run_id"].map(lambda run: names[str(run)])))
    points = [set(map(tuple, of[["network", "batch", "seed"]].to_numpy())) for _, of in shown.groupby("run_id")]
    shared = sorted(set.intersection(*points)) if points else []
    if len(points) < 2 or not shared:
        return []
    network, batch, seed = shared[-1]
    there = shown[(shown["network"] == network) & (shown["batch"] == batch) & (shown["seed"] == seed)]
    where = f"{network}, batch {batch}, seed {seed}"
    return [replace(one, title=f"{one.title}: {where}") for one in _pairs(there, [])]


def prepared(rows: pd.DataFrame) -> pd.DataFrame:
    """The correct variants that have a latency, with accuracy in percent and columns for drawing.

    Accuracy intervals are those of the paired difference from the baseline: all variants of a study are tested on the
    same images, so the paired intervals are narrower than those of each variant alone.
    """
    shown = rows[rows["p_front"].notna() & rows["latency_ms"].notna()].copy()
    numbers = shown[["accuracy", "accuracy_loss", "accuracy_loss_lo", "accuracy_loss_hi"]].astype("float64") * 100
    baseline = numbers["accuracy"] + numbers["accuracy_loss"]
    shown["percent"] = numbers["accuracy"]
    shown["percent_lo"] = baseline - numbers["accuracy_loss_hi"]
    shown["percent_hi"] = baseline - numbers["accuracy_loss_lo"]
    for column, source in (("error", "percent"), ("error_lo", "percent_hi"), ("error_hi", "percent_lo")):
        shown[column] = (100 - shown[source]).clip(lower=0.005)  # half an image, for the logarithmic axis
    shown["technique"] = shown["quantization"].map(_technique)
    shown["pruned"] = shown["pruning"].map(_pruned)
    shown["off"] = ~shown["front"].fillna(True).astype(bool)
    shown["hover"] = [_hover(row) for row in shown.to_dict("records")]
    return shown


def _technique(quantization: str) -> str:
    """The name of the quantization scheme by which points are colored on all pages: float32, static, weight only."""
    scheme = quantization.split()[0]
    return "float32" if scheme == "none" else scheme.replace("-", " ")


def _pruned(pruning: str) -> str:
    units, weights = pruning.startswith("structured"), "unstructured" in pruning
    return "both" if units and weights else "units" if units else "weights" if weights else "dense"


def _execution(text: str) -> str:
    return "beam" if "beam" in text else text


def _pairs(shown: pd.DataFrame, labeled: Labeled) -> list[Panel]:
    """The front in every pair of objectives, of prepared rows."""
    accuracy = accuracy_axis(shown)
    return [
        _pair(shown, LATENCY, accuracy, "Accuracy against latency", labeled),
        _pair(shown, BYTES, accuracy, "Accuracy against size", labeled),
        _pair(shown, LATENCY, BYTES, "Size against latency", labeled),
    ]


def _pair(shown: pd.DataFrame, x: Axis, y: Axis, title: str, labeled: Labeled) -> Panel:
    """One pair of objectives: the band of the front under the points, one trace for each technique."""
    figure = go.Figure()
    devices = list(dict.fromkeys(shown["device"]))
    tints = {device: TINTS[number % len(TINTS)] for number, device in enumerate(devices)}
    for device, tint in tints.items():
        name = "front" if len(devices) == 1 else f"front: {device}"
        band(figure, shown[shown["device"] == device], x, y, tint, name)
    for technique in dict.fromkeys(shown["technique"]):
        for number, device in enumerate(devices):
            chosen = shown[(shown["device"] == device) & (shown["technique"] == technique)]
            _points(figure, chosen, x, y, technique, f"rgb({tints[device]})" if number else style(technique).color)
    _keys(figure, shown, executions=True)
    _finish(figure, shown, x, y, labeled)
    caption = COMPARED if len(devices) > 1 else HOW_TO_READ + SELECT if x is LATENCY and y is not BYTES else AS_BEFORE
    return Panel(title, figure, caption, selects=len(devices) == 1)


def _points(figure: go.Figure, chosen: pd.DataFrame, x: Axis, y: Axis, technique: str, border: str) -> None:
    faded = chosen["off"].to_numpy()
    for off in (True, False):
        part = chosen[faded == off]
        if part.empty:
            continue
        execution = part["execution"].map(_execution)
        figure.add_trace(
            go.Scatter(
                name=technique,
                legendgroup=technique,
                showlegend=False,
                mode="markers",
                x=part[x.column].tolist(),
                y=part[y.column].tolist(),
                error_x=bars(part, x),
                error_y=bars(part, y),
                opacity=FADED if off else 1.0,
                marker={
                    "color": style(technique).color,
                    "symbol": [
                        SYMBOLS[one] + EXECUTIONS[how] for one, how in zip(part["pruned"], execution, strict=True)
                    ],
                    "size": 11 if len(chosen) <= MAX_WITH_FULL_BARS else 8,
                    "line": {"width": 2, "color": border},
                },
                customdata=part[["variant", "hover"]].to_numpy().tolist(),
                hovertemplate="%{customdata[1]}<extra></extra>",
            )
        )


def _keys(figure: go.Figure, shown: pd.DataFrame, *, executions: bool) -> None:
    """Legend entries for colors and symbols."""
    for technique in dict.fromkeys(shown["technique"]):
        _key(figure, technique, "circle", style(technique).color, legendgroup=technique)
    kinds, running = set(shown["pruned"]), set(shown["execution"].map(_execution))
    entries = [(KINDS[kind], SYMBOLS[kind]) for kind in SYMBOLS if kind in kinds and len(kinds) > 1]
    if executions and len(running) > 1:
        entries += [(RUNNING[how], f"circle{EXECUTIONS[how]}") for how in EXECUTIONS if how in running]
    for name, symbol in entries:
        _key(figure, name, symbol, "rgba(140,140,140,0.35)")


def _key(figure: go.Figure, name: str, symbol: str, color: str, **group: str) -> None:
    border = GREY if "open" in symbol or not group else color
    look = {"symbol": symbol, "color": color, "size": 10, "line": {"width": 2, "color": border}}
    figure.add_scatter(x=[None], y=[None], mode="markers", name=name, marker=look, hoverinfo="skip", **group)


def _finish(
    figure: go.Figure, shown: pd.DataFrame, x: Axis, y: Axis, labeled: Labeled, *, numbers: bool = False
) -> None:
    """Axes with room for every interval and the better direction, and the labels."""
    layout(figure, f"← better · {x.title}", f"{y.title} · better →" if y is not BYTES else f"← better · {y.title}")
    ranges = {name: axis.draw(figure, name, shown) for name, axis in (("x", x), ("y", y))}
    figure.update_layout(dragmode="select", height=HEIGHT, legend={"font": {"size": 11}})
    annotations = []
    for title, row in labeled:
        lines = [title, *([] if title == BASELINE else [row["variant"]]), *([_numbers(row)] if numbers else [])]
        annotations.append(Annotation(float(x.along(row[x.column])), float(y.along(row[y.column])), tuple(lines)))
    annotate(figure, annotations, occupied_points(shown, x, y), ranges["x"], ranges["y"])


def _winners(shown: pd.DataFrame) -> Labeled:
    """The baseline and the variants recommended within 1 percentage point of it, each once with its labels."""
    rows = last_point(shown)
    if rows.empty:
        return []
    found = {rows.loc[rows["verdict"] == BASELINE, "variant"].iloc[0]: [BASELINE]}
    for question in WINNERS:
        if picked := recommend(question, rows, NO_EVIDENCE):
            found.setdefault(picked.winner, []).append(question)
    titles = {
        name: BASELINE if BASELINE in labels else " and ".join(labels).capitalize() for name, labels in found.items()
    }
    return [(title, rows[rows["variant"] == name].iloc[0]) for name, title in titles.items()]


def _numbers(row: Mapping[str, Any]) -> str:
    return f"{row['percent']:.2f}%, {row['size_bytes'] / 1000:.3g} kB, {row['latency_ms']:.2g} ms"


def _hover(row: Mapping[str, Any]) -> str:
    """The hover text of a variant."""
    alone = f"{100 * row['accuracy_lo']:.2f} to {100 * row['accuracy_hi']:.2f} alone"
    paired = f"{row['percent_lo']:.2f} to {row['percent_hi']:.2f} against the baseline"
    lines = [
        f"<b>{row['variant']}</b>",
        f"recipe {row['recipe']} on {row['device']}",
        f"accuracy {row['percent']:.2f}% ({alone}, {paired})",
        f"{row['size_bytes']:,} bytes, 1/{row['compression']:.3g} of the baseline's float32 weights",
        f"{row['latency_ms']:.4g} ms{_interval(row['latency_lo_ms'], row['latency_hi_ms'])}",
        f"on the front in {row['p_front']:.0%} of resamples",
    ]
    return "<br>".join([*lines, f"dominated by {row['dominated_by']}"] if row["off"] else lines)


def _interval(low: float, high: float) -> str:
    return "" if pd.isna(low) or pd.isna(high) else f" ({low:.4g} to {high:.4g})"


def _three(shown: pd.DataFrame, labeled: Labeled) -> Panel:
    """Accuracy against size, with the speed as the size of a mark."""
    figure, accuracy = go.Figure(), accuracy_axis(shown)
    logs = np.log10(shown["latency_ms"].astype("float64"))
    diameters = SMALLEST + (LARGEST - SMALLEST) * (logs.max() - logs) / max(float(logs.max() - logs.min()), 1e-9)
    for technique, chosen in shown.groupby("technique", sort=False):
        figure.add_trace(
            go.Scatter(
                name=str(technique),
                legendgroup=str(technique),
                showlegend=False,
                mode="markers",
                x=chosen["size_bytes"].tolist(),
                y=chosen[accuracy.column].tolist(),
                error_y=bars(chosen, accuracy),
                marker={
                    "color": style(str(technique)).color,
                    "symbol": [SYMBOLS[one] for one in chosen["pruned"]],
                    "size": diameters[chosen.index].tolist(),
                    "opacity": np.where(chosen["off"], FADED, 0.85).tolist(),
                },
                customdata=chosen[["variant", "hover"]].to_numpy().tolist(),
                hovertemplate="%{customdata[1]}<extra></extra>",
            )
        )
    _keys(figure, shown, executions=False)
    _finish(figure, shown, BYTES, accuracy, labeled, numbers=True)
    caption = (
        f"The larger a mark, the faster: from {shown['latency_ms'].max():.3g} ms to {shown['latency_ms'].min():.3g} "
        "ms, logarithmic. Up, left and large is best. Faded: dominated in all three."
    )
    return Panel("All three at once", figure, caption, selects=True)
