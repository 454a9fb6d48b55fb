"""Figures of the layer sensitivity experiment."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.common import points
from dashboard.theme import ORANGE, RED, layout, log_axis
from experiments.bench.columns import label_of

MIXTURES = {"greedy mixture": ("star", RED), "best mixture": ("circle-open", ORANGE)}


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Accuracy against the bits of each layer, and the mixed-precision assignments by accuracy and size."""
    alone = rows[rows["layer"].notna()].copy()
    if alone.empty:
        return []
    alone["layer_bits"] = alone["bits"].astype("Int64")
    for name in ("accuracy", "accuracy_lo", "accuracy_hi"):
        alone[name] = alone[name] * 100
    figure = go.Figure()
    for layer, chosen in alone.groupby("layer"):
        points(figure, chosen, "layer_bits", "accuracy", "accuracy_lo", "accuracy_hi", str(layer), "%")
    layout(figure, "Bits of this layer's weights, the others float32 [1]", "Validation accuracy [%]")
    figure.update_xaxes(dtick=1)
    caption = "Each layer quantized alone, with the 95% Wilson interval: the first layer to drop is the most sensitive."
    return [Panel("One layer at a time", figure, caption), _bytes(rows, alone)]


def _bytes(rows: pd.DataFrame, alone: pd.DataFrame) -> Panel:
    figure = go.Figure()
    for layer, chosen in alone.groupby("layer"):
        points(figure, chosen, "weight_bytes", "accuracy", "accuracy_lo", "accuracy_hi", str(layer), "%")
        figure.data[-1].mode = "markers"
    for variant, (symbol, color) in MIXTURES.items():
        name, mixture = label_of(variant), rows[rows["variant"] == variant]
        if mixture.empty:
            continue
        figure.add_trace(
            go.Scatter(
                name=f"{name}: {mixture['bits'].iloc[0]} bits",
                x=mixture["weight_bytes"].tolist(),
                y=(mixture["accuracy"] * 100).tolist(),
                mode="markers",
                marker={"symbol": symbol, "color": color, "size": 15, "line": {"width": 2}},
                hovertemplate="%{x:,} bytes, %{y:.2f}%<extra>" + name + "</extra>",
            )
        )
    layout(figure, "Bytes of all layers [bytes]", "Validation accuracy [%]")
    log_axis(figure, "x", rows["weight_bytes"])
    caption = "Size and accuracy of each single-layer step, and the mixed-precision assignments built from them."
    return Panel("Mixed precision", figure, caption)
