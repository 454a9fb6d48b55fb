"""Figures of the record study."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.common import points
from dashboard.theme import GREY, HEIGHT, layout, log_axis

# How many times smaller than float32, the error in percent, and where it was published.
PUBLISHED = {
    "lenet_300_100": {"Deep Compression": (40, 1.58, "1510.00149")},
    "lenet_5": {
        "Deep Compression": (39, 0.74, "1510.00149"),
        "Variational dropout": (228, 1.0, "1701.05369, size from 1705.08665"),
        "Bayesian compression": (419, 1.0, "1705.08665"),
    },
}
SYMBOLS = ("x-thin", "cross-thin", "asterisk")
STAGES = ("base", "shrunk", "pruned", "codebook", "file")
SPLITS = {
    "Error on the test images": ("accuracy", "accuracy_lo", "accuracy_hi"),
    "Error on the validation images": ("validation_accuracy", "validation_lo", "validation_hi"),
}


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Error against bytes, of the test images and of those on which all was chosen."""
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
    layout(figure, "File that restores the model [bytes]", f"{title} [%]")
    log_axis(figure, "x", pd.concat([shown["size_bytes"], *(one for one, _ in others)]))
    log_axis(figure, "y", pd.concat([shown["error"], *(one for _, one in others)]))
    figure.update_layout(height=HEIGHT + 120)  # the legend has up to eight entries
    caption = (
        "Each stage as its file restores it, with the 95 % Wilson interval; a line joins the stages of one seed. Left "
        "and low is better, both axes logarithmic. "
    )
    caption += "All was chosen on these images." if low != "accuracy_lo" else "Nothing was chosen on these images."
    return Panel(title, figure, caption + _sources(shown))


def _published(figure: go.Figure, rows: pd.DataFrame, network: str) -> list[tuple[pd.Series, pd.Series]]:
    """Adds what others published of a network, as compression of the same float32 numbers; sizes and errors."""
    of = rows[rows["network"] == network].iloc[0]
    found = []
    for symbol, (name, (times, error, source)) in zip(SYMBOLS, PUBLISHED.get(network, {}).items(), strict=False):
        size = float(of["size_bytes"] * of["compression"] / times)
        figure.add_scatter(
            name=name,
            x=[size],
            y=[error],
            mode="markers",
            marker={"symbol": symbol, "size": 12, "line": {"width": 3, "color": GREY}},
            hovertemplate=f"published: {times}x, {error} %<br>arXiv {source}<extra>{name}</extra>",
        )
        found.append((pd.Series([size]), pd.Series([error])))
    return found


def _sources(rows: pd.DataFrame) -> str:
    """Where the published points come from; nothing where there are none."""
    said = [
        f"{name} {times}x at {error} % (arXiv {source})"
        for network in rows["network"].unique()
        for name, (times, error, source) in PUBLISHED.get(str(network), {}).items()
    ]
    return f" Grey crosses, as published: {'; '.join(said)}." if said else ""
