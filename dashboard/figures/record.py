"""Figures of the smallest-file experiment."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.annotations import Annotation, annotate
from dashboard.figures.common import points
from dashboard.theme import GREY, HEIGHT, layout, log_axis
from experiments.bench.arrays import Array

# Compression against float32, error in percent, and source.
PUBLISHED = {
    "lenet_300_100": {"Deep Compression": (40, 1.58, "1510.00149")},
    "lenet_5": {
        "Deep Compression": (39, 0.74, "1510.00149"),
        "Variational dropout": (228, 1.0, "1701.05369, size from 1705.08665"),
        "Bayesian compression": (419, 1.0, "1705.08665"),
    },
}
TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70)  # labeled errors in percent
SYMBOLS = ("x-thin", "cross-thin", "asterisk")
STAGES = ("base", "shrunk", "pruned", "codebook", "file")
SPLITS = {
    "Error on the test images": ("accuracy", "accuracy_lo", "accuracy_hi"),
    "Error on the validation images": ("validation_accuracy", "validation_lo", "validation_hi"),
}


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Error against bytes, on the test images and on the validation images that guided every choice."""
    return [_errors(rows, title, *columns) for title, columns in SPLITS.items()] if len(rows) else []


def _errors(rows: pd.DataFrame, title: str, right: str, low: str, high: str) -> Panel:
    shown = rows.assign(error=100 - 100 * rows[right], low=100 - 100 * rows[high], high=100 - 100 * rows[low])
    figure = go.Figure()
    for _, chain in shown.groupby(["network", "seed"]):
        path = {"x": chain["size_bytes"].tolist(), "y": chain["error"].tolist(), "mode": "lines"}
        figure.add_scatter(**path, line={"color": GREY, "width": 1}, showlegend=False, hoverinfo="skip")
    for stage in STAGES:
        chosen = shown[shown["variant"] == stage]
        points(figure, chosen, "size_bytes", "error", "low", "high", stage, "%")
        if len(chosen):
            figure.data[-1].mode = "markers"
    others = [one for network in shown["network"].unique() for one in _published(figure, shown, str(network))]
    layout(figure, "← better · Size of the file [bytes]", f"← better · {title} [%]")
    sizes = pd.concat([shown["size_bytes"].astype("float64"), *(one for one, _ in others)])
    errors = pd.concat([shown[["low", "error", "high"]].astype("float64").stack(), *(one for _, one in others)])
    log_axis(figure, "x", sizes)
    log_axis(figure, "y", errors)
    logs = _log(sizes), _log(errors)
    if logs[0].size and logs[1].size:
        spans = _span(logs[0]), _span(logs[1])
        figure.update_xaxes(range=spans[0])
        figure.update_yaxes(range=spans[1], tickvals=list(TICKS), ticktext=[f"{one:g}" for one in TICKS])
        annotate(figure, _median(shown), _marks(shown, others), *spans)
    figure.update_layout(height=HEIGHT + 120)  # the legend has up to eight entries
    caption = (
        "Each stage, restored from its file, with the 95% Wilson interval; a line connects the stages of one seed. "
        "Left and low is better, both axes logarithmic. "
    )
    caption += (
        "Every choice was made on these images." if low != "accuracy_lo" else "No choice was made on these images."
    )
    return Panel(title, figure, caption + _sources(shown))


def _published(figure: go.Figure, rows: pd.DataFrame, network: str) -> list[tuple[pd.Series, pd.Series]]:
    """Adds published results for this network, as compression of the same float32 weights; returns sizes and errors."""
    of = rows[rows["network"] == network].iloc[0]
    found = []
    for symbol, (name, (times, error, source)) in zip(SYMBOLS, PUBLISHED.get(network, {}).items(), strict=False):
        size = float(of["size_bytes"] * of["compression"] / times)
        figure.add_scatter(
            name=name,
            x=[size],
            y=[error],
            mode="markers+text",
            text=[f"{times}x"],
            textposition="bottom center",  # a label stands above the mark, if anywhere
            marker={"symbol": symbol, "size": 12, "line": {"width": 3, "color": GREY}},
            hovertemplate=f"published: {times}x, {error}%<br>arXiv {source}<extra>{name}</extra>",
        )
        found.append((pd.Series([size]), pd.Series([error])))
    return found


def _median(shown: pd.DataFrame) -> list[Annotation]:
    """Labels the median of the seeds' files with its compression, bytes and error; none where it cannot be drawn."""
    times, size, error = shown.loc[shown["variant"] == "file", ["compression", "size_bytes", "error"]].median()
    if not (size > 0 and error > 0):
        return []
    title = "median" if shown["seed"].nunique() > 1 else "file"
    lines = (f"{title}: {times:.0f}x smaller", f"{size:,.0f} bytes, {error:.2f}%")
    return [Annotation(float(np.log10(size)), float(np.log10(error)), lines)]


def _marks(shown: pd.DataFrame, others: list[tuple[pd.Series, pd.Series]]) -> Array:
    """What a label shall not cover, (n, 2) as logarithms: points along each interval, and the published results."""
    size, low, high = (shown[name].to_numpy("float64", na_value=np.nan) for name in ("size_bytes", "low", "high"))
    along = [np.stack([size, low + share * (high - low)], axis=1) for share in np.linspace(0, 1, 9)]
    published = [np.array([[size.iloc[0], error.iloc[0]]]) for size, error in others]
    marks = np.concatenate([*along, *published])
    return np.log10(marks[(np.isfinite(marks) & (marks > 0)).all(axis=1)])


def _log(values: pd.Series) -> Array:
    """The logarithms of the values that a logarithmic axis can show: an error of 0% is not among them."""
    numbers = values.to_numpy("float64", na_value=np.nan)
    return np.log10(numbers[np.isfinite(numbers) & (numbers > 0)])


def _span(logs: Array) -> tuple[float, float]:
    """The range of a logarithmic axis with a margin."""
    low, high = float(logs.min()), float(logs.max())
    room = 0.08 * ((high - low) or 1)
    return low - room, high + room


def _sources(rows: pd.DataFrame) -> str:
    """The sources of the published points; empty without any."""
    sources = [
        f"{name} {times}x at {error}% (arXiv {source})"
        for network in rows["network"].unique()
        for name, (times, error, source) in PUBLISHED.get(str(network), {}).items()
    ]
    return f" Gray crosses, as published: {'; '.join(sources)}." if sources else ""
