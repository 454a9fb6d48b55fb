"""Figures of the quantization experiment."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import Details, Panel
from dashboard.figures.common import points, speedups
from dashboard.theme import GREY, OTHERS, layout, log_axis

MAX_LAYERS = 4
INTEGERS = ("static", "dynamic", "weight_only")


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Accuracy against size and against bits, latency against batch, and the calibrated ranges."""
    if rows.empty:
        return []
    once = rows.drop_duplicates("variant").assign(
        percent=rows["accuracy"] * 100, low=rows["accuracy_lo"] * 100, high=rows["accuracy_hi"] * 100
    )
    tested = once[once["accuracy"].notna()]
    drawn = [_size(tested)] if len(tested) else []
    if tested.loc[tested["scheme"].isin(INTEGERS), "weight_bits"].nunique() > 1:
        drawn.append(_bits(tested))
    if rows["batch"].nunique() > 1:
        drawn.append(_latency(rows))
    drawn += [
        _ranges(details, tensor)
        for tensor in ("activation", "weight")
        if (details["histograms"]["tensor"] == tensor).any()
    ]
    return [*drawn, _learning(details["learning"])] if len(details["learning"]) else drawn


def point_panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """The speedup of each variant at one batch size."""
    figure = speedups(rows, "float32")
    if figure is None:
        return []
    caption = "Ratio float32/variant within blocks, with its 95% interval: right of 1 the variant is faster."
    return [Panel("Speedup at this batch", figure, caption)]


def _series(rows: pd.DataFrame) -> pd.Series:
    """The scheme of each row, with the granularity where there are several: the name of a line of variants."""
    scheme = rows["scheme"].str.replace("_", " ")
    if rows["granularity"].nunique() < 2:
        return scheme
    return scheme + rows["granularity"].map(lambda one: "" if pd.isna(one) else f" {one.replace('_', ' ')}")


def _size(once: pd.DataFrame) -> Panel:
    figure = go.Figure()
    for name, chosen in once.groupby(_series(once), sort=False):
        points(figure, chosen, "size_bytes", "percent", "low", "high", str(name), "%")
        _mark_per_tensor(figure, str(name))
    layout(figure, "File that restores the model [bytes]", "Test accuracy [%]")
    log_axis(figure, "x", once["size_bytes"])
    caption = "Each variant, restored from its file, on all 10,000 test images, with the 95% Wilson interval."
    return Panel("Accuracy against size", figure, caption)


def _mark_per_tensor(figure: go.Figure, name: str) -> None:
    """Draws variants with one scale per tensor with crosses and dots in the scheme's color."""
    if name.endswith("per tensor"):
        figure.data[-1].line.dash = "dot"
        figure.data[-1].marker.symbol = "x"


def _bits(once: pd.DataFrame) -> Panel:
    figure = go.Figure()
    integers = once[once["scheme"].isin(INTEGERS)]
    for name, chosen in integers.groupby(_series(integers), sort=False):
        points(figure, chosen, "weight_bits", "percent", "low", "high", str(name), "%")
        _mark_per_tensor(figure, str(name))
    layout(figure, "Weight bits [1]", "Test accuracy [%]")
    figure.update_xaxes(dtick=1)
    caption = "How the accuracy drops with fewer bits; crosses and dots: one scale for the whole tensor."
    return Panel("Accuracy against bits", figure, caption)


def _latency(rows: pd.DataFrame) -> Panel:
    figure = go.Figure()
    widest = rows.groupby("scheme")["weight_bits"].transform("max")  # fewer bits only save storage
    shown = rows[rows["weight_bits"] == widest].drop_duplicates(["scheme", "batch"])
    for variant, chosen in shown.groupby("variant", sort=False):
        points(figure, chosen, "batch", "latency_ms", "latency_lo_ms", "latency_hi_ms", str(variant), "ms")
    layout(figure, "Batch size [images]", "Latency of one call [ms]")
    log_axis(figure, "x", rows["batch"], rows["batch"])
    log_axis(figure, "y", rows["latency_ms"])
    caption = "Median of one replay with its 95% interval, one variant of each scheme; both axes logarithmic."
    return Panel("Latency", figure, caption)


def _ranges(details: Details, tensor: str) -> Panel:
    """Histograms of each layer's weights or input activations, with the range that each observer chooses."""
    bins, chosen = (details[name][details[name]["tensor"] == tensor] for name in ("histograms", "calibration"))
    layers = list(dict.fromkeys(bins["layer"]))[:MAX_LAYERS]
    figure = make_subplots(rows=1, cols=len(layers), subplot_titles=layers)
    for place, layer in enumerate(layers, start=1):
        shown = bins[(bins["layer"] == layer) & (bins["count"] > 0)]
        middle = ((shown["bin_lo"] + shown["bin_hi"]) / 2).astype("float64").tolist()
        bars = go.Bar(x=middle, y=shown["count"].tolist(), marker={"color": GREY}, name="values", showlegend=place == 1)
        figure.add_trace(bars, row=1, col=place)
        for number, (_, one) in enumerate(chosen[chosen["layer"] == layer].iterrows()):
            look = OTHERS[number % len(OTHERS)]
            line = go.Scatter(
                x=[one["hi"], one["hi"]],
                y=[1, int(shown["count"].max())],
                mode="lines",
                name=f"{one['observer']}: upper end",
                line={"color": look.color, "dash": look.dash},
                showlegend=place == 1,
                hovertemplate=f"{one['observer']}: up to {one['hi']:.3g}, {one['clipped']:.2%} clipped<extra></extra>",
            )
            figure.add_trace(line, row=1, col=place)
    layout(figure, f"{tensor.capitalize()} [1]", "Values [count]")
    figure.update_yaxes(type="log")
    figure.update_layout(margin={"t": 80}, legend={"y": 1.15})
    what = (
        "Input activations of each layer on the calibration images"
        if tensor == "activation"
        else "Weights of each layer"
    )
    caption = f"{what}, logarithmic; an observer clips beyond its line. Errors and clipped shares: CSV `calibration`."
    return Panel(f"Calibration: {tensor}s", figure, caption)


def _learning(curve: pd.DataFrame) -> Panel:
    """Validation accuracy by epoch of the training that gave the checkpoint."""
    figure = go.Figure(
        go.Scatter(
            x=curve["epoch"].tolist(),
            y=(curve["validation_accuracy"] * 100).tolist(),
            mode="lines+markers",
            line={"color": OTHERS[0].color},
            customdata=curve[["train_loss"]].astype("float64").to_numpy(),
            hovertemplate="epoch %{x}: %{y:.2f}%, training loss %{customdata[0]:.3g}<extra></extra>",
        )
    )
    layout(figure, "Epoch [1]", "Validation accuracy [%]")
    return Panel("Learning curve", figure, "The training of this checkpoint, on the 5,000 validation images.")
