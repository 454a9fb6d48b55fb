"""Figures of the pruning experiment."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import Details, Panel
from dashboard.figures.common import points, speedups
from dashboard.theme import BLUE, ORANGE, OTHERS, Style, distinct, layout, log_axis

DENSE = "dense"
TICKS = (0, 25, 50, 75, 80, 90, 95, 98, 99)  # % pruned
MIN_ERROR = 0.05  # % error; intervals may reach below, a logarithmic axis cannot
FEW, MANY = (1, 2, 5), (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 8)  # ticks of a decade of errors
WIDE = 8  # ratio of the largest to the smallest error, above which fewer ticks are drawn
Looks = Mapping[str, Style]
TILES, GAP = 4, 2  # of the heat maps, and columns between them


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Accuracy against sparsity and bytes, latency, storage formats, layers, weight heat maps, fine-tuning curves."""
    if rows.empty:
        return []
    rows = rows.assign(left=1 - rows["sparsity"], target_left=1 - rows["target"])
    looks = distinct(rows["variant"])
    once = rows[rows["form"] != "gather"]
    tested = once[once["seed_accuracy"].notna()]
    drawn = [_sparsity(tested, looks), _bytes(tested, looks)] if len(tested) else []
    if (tested["fine_tune_steps"] > 0).any():
        drawn.append(_before(tested, looks))
    if rows["latency_ms"].notna().any():
        drawn.append(_latency(rows, looks))
    target = _pictured(details["picture"])
    makers = (
        ("storage", lambda: _storage(details["storage"], once)),
        ("layers", lambda: _layers(details["layers"], target, looks)),
        ("sensitivity", lambda: _sensitivity(details["sensitivity"])),
        ("picture", lambda: _picture(details["picture"])),
        ("fine_tuning", lambda: _fine_tuning(details["fine_tuning"], target, looks)),
    )
    return drawn + [panel for name, make in makers if len(details[name]) and (panel := make())]


def point_panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """The speedup of each variant at one target."""
    figure = speedups(rows, "the dense network")
    caption = (
        "Ratio dense/variant within blocks, with its 95% interval: right of 1 the variant is faster. Zeros that are "
        "multiplied like other numbers take just as long; only smaller tensors or skipped weights save time."
    )
    return [Panel("Speedup at this target", figure, caption)] if figure else []


def _sparsity_axis(figure: go.Figure, what: str, left: Sequence[float]) -> None:
    """A logarithmic, reversed x axis of the remaining share, with ticks for the pruned share."""
    low = min([share for share in left if share > 0], default=1.0)
    ticks = [tick for tick in TICKS if 1 - tick / 100 >= low * 0.95]
    figure.update_xaxes(
        title=f"{what} [%]",
        type="log",
        autorange="reversed",
        tickmode="array",
        tickvals=[1 - tick / 100 for tick in ticks],
        ticktext=[str(tick) for tick in ticks],
    )


def _sparsity(tested: pd.DataFrame, looks: Looks) -> Panel:
    figure = _accuracies(tested, looks, "left", "seed_accuracy")
    _sparsity_axis(figure, "Pruned weights", tested["left"].tolist())
    caption = (
        "Mean over the seeds of the fine-tuned networks, each restored from its file, with its 95% interval; the "
        "dense network was fine-tuned for as many steps. The accuracy axis is logarithmic in the error."
    )
    return Panel("Accuracy against sparsity", figure, caption)


def _bytes(tested: pd.DataFrame, looks: Looks) -> Panel:
    figure = _accuracies(tested, looks, "size_bytes", "seed_accuracy")
    figure.update_xaxes(title="Smallest file that restores the model [bytes]")
    log_axis(figure, "x", tested["size_bytes"])
    caption = "The same accuracies against the smallest file from which the network can be restored."
    return Panel("Accuracy against size", figure, caption)


def _before(tested: pd.DataFrame, looks: Looks) -> Panel:
    figure = _accuracies(tested, looks, "left", "accuracy_before_fine_tune")
    _sparsity_axis(figure, "Pruned weights", tested["left"].tolist())
    caption = (
        "First seed, pruned at once and not fine-tuned: the loss that fine-tuning has to recover. Its result is "
        "in the figure of accuracy against sparsity."
    )
    return Panel("Without fine-tuning", figure, caption)


def _accuracies(tested: pd.DataFrame, looks: Looks, x: str, column: str) -> go.Figure:
    """Accuracies by method on a logarithmic error axis, so that 98.6 and 98.8% are distinguishable."""
    names = [name for name in (column, f"{column}_lo", f"{column}_hi") if name in tested]
    percent = tested[names].astype("float64") * 100
    wrong = (100 - percent).clip(lower=MIN_ERROR)
    figure = go.Figure()
    for variant, chosen in tested.groupby("variant", sort=False):
        chosen = chosen.sort_values(x)
        height = wrong.loc[chosen.index]
        bars = {}
        if len(names) > 1:  # a higher accuracy is a lower error: the ends of the interval swap
            bars = {
                "type": "data",
                "symmetric": False,
                "array": (height[names[1]] - height[column]).fillna(0).tolist(),
                "arrayminus": (height[column] - height[names[2]]).fillna(0).tolist(),
                "thickness": 1.5,
                "width": 5,
            }
        look = looks[str(variant)]
        value = "%{customdata[0]:.2f}%" + (", 95% CI %{customdata[1]:.2f} to %{customdata[2]:.2f}" if bars else "")
        figure.add_trace(
            go.Scatter(
                name=str(variant),
                x=chosen[x].astype("float64").tolist(),
                y=height[column].tolist(),
                error_y=bars or None,
                customdata=percent.loc[chosen.index].to_numpy(),
                mode="lines+markers",
                line={"color": look.color, "dash": look.dash},
                marker={"color": look.color, "symbol": look.symbol, "size": 9},
                hovertemplate=f"{value}<br>{x} %{{x}}<extra>{variant}</extra>",
            )
        )
    layout(figure, "", "Test accuracy [%]")
    _accuracy_axis(figure, float(np.nanmin(wrong)), float(np.nanmax(wrong)))
    return figure


def _accuracy_axis(figure: go.Figure, low: float, high: float) -> None:
    """A logarithmic, reversed y axis of errors from `low` to `high` %, with ticks for the accuracy."""
    ticks = [mantissa * 10.0**decade for decade in (-2, -1, 0, 1) for mantissa in (FEW if high > WIDE * low else MANY)]
    figure.update_yaxes(
        type="log",
        range=[np.log10(high * 1.1), np.log10(low / 1.1)],
        tickmode="array",
        tickvals=ticks,
        ticktext=[f"{100 - tick:.4g}" for tick in ticks],
    )


def _latency(rows: pd.DataFrame, looks: Looks) -> Panel:
    """The smaller networks, and the first network of unchanged size with its gather."""
    figure = go.Figure()
    same = rows[(rows["form"] == DENSE) & (rows["variant"] != DENSE)]["variant"]
    shown = [DENSE, *rows.loc[rows["form"] == "smaller", "variant"].unique()]
    shown += [same.iloc[0], f"{same.iloc[0]} gather"] if len(same) else []
    chosen = rows[rows["variant"].isin(shown)]
    for variant, one in chosen.groupby("variant", sort=False):
        look = looks[str(variant)]
        points(figure, one, "target_left", "latency_ms", "latency_lo_ms", "latency_hi_ms", str(variant), "ms", look)
    layout(figure, "", "Latency of one call [ms]")
    _sparsity_axis(figure, "Pruned share of the weights, or of the hidden units", chosen["target_left"].tolist())
    figure.update_yaxes(rangemode="tozero")
    caption = (
        "Median of one replay with its 95% interval. Zeros in a tensor of the same size change nothing: the kernels "
        "multiply them. A gather fetches only the remaining weights. Networks without the pruned units are smaller, "
        "but a width that the compiler cannot tile well may be slower than the dense network."
    )
    return Panel("Latency against width", figure, caption)


def _storage(sizes: pd.DataFrame, once: pd.DataFrame) -> Panel | None:
    """The files of the first method that keeps the tensors' sizes."""
    same = once[(once["form"] == DENSE) & (once["variant"] != DENSE)]
    if same.empty:
        return None
    variant = same["variant"].iloc[0]
    figure = go.Figure()
    chosen = sizes[sizes["variant"].isin([DENSE, variant])].assign(left=1 - sizes["target"])
    for number, (storage, one) in enumerate(chosen.groupby("storage", sort=False)):
        ordered, look = one.sort_values("left"), OTHERS[number % len(OTHERS)]
        figure.add_trace(
            go.Scatter(
                name=str(storage),
                x=ordered["left"].tolist(),
                y=ordered["size_bytes"].tolist(),
                mode="lines+markers",
                line={"color": look.color, "dash": look.dash},
                marker={"color": look.color, "symbol": look.symbol, "size": 9},
                hovertemplate="%{y:,} bytes<extra>" + str(storage) + "</extra>",
            )
        )
    layout(figure, "", "File [bytes]")
    _sparsity_axis(figure, "Pruned weights", chosen["left"].tolist())
    log_axis(figure, "y", chosen["size_bytes"])
    caption = (
        f"Files of {variant}: all weights; a bitmask and the remaining weights; the gaps between them as narrow "
        "integers; entropy-coded. The smallest file is used."
    )
    return Panel("Size by storage", figure, caption)


def _pictured(picture: pd.DataFrame) -> dict[str, float]:
    """The target at which each method is drawn layer by layer."""
    return {str(variant): float(one["target"].iloc[0]) for variant, one in picture.groupby("variant", sort=False)}


def _at(records: pd.DataFrame, target: dict[str, float]) -> pd.DataFrame:
    """The records of each method at the target at which it is drawn."""
    return records[[target.get(row.variant) == row.target for row in records.itertuples()]]


def _layers(layers: pd.DataFrame, target: dict[str, float], looks: Looks) -> Panel:
    figure = go.Figure()
    shown = _at(layers, target)
    for variant, one in shown[shown["variant"] != DENSE].groupby("variant", sort=False):
        figure.add_trace(
            go.Bar(
                name=f"{variant}, {one['target'].iloc[0]:.0%}",
                x=one["layer"].tolist(),
                y=(one["sparsity"] * 100).tolist(),
                marker={"color": looks[str(variant)].color},
                customdata=one[["nonzero", "weights", "units"]].astype("int64").to_numpy(),
                hovertemplate="%{y:.2f}% pruned, %{customdata[0]:,} of %{customdata[1]:,} weights remain, "
                "%{customdata[2]:,} units",
            )
        )
    layout(figure, "Layer [name]", "Pruned weights [%]")
    caption = "Which layers each method prunes: global magnitude spares small layers, LAMP also the last layer."
    return Panel("Sparsity of each layer", figure, caption)


def _sensitivity(records: pd.DataFrame) -> Panel:
    figure = go.Figure()
    shown = records.assign(left=1 - records["sparsity"])
    for name in ("accuracy", "accuracy_lo", "accuracy_hi"):
        shown[name] = shown[name] * 100
    for layer, one in shown.groupby("layer", sort=False):
        points(figure, one, "left", "accuracy", "accuracy_lo", "accuracy_hi", str(layer), "%")
    layout(figure, "", "Validation accuracy [%]")
    _sparsity_axis(figure, "Pruned share of this layer, by magnitude", shown["left"].tolist())
    caption = (
        "One layer at a time, without fine-tuning, on 2,000 validation images with the 95% Wilson interval: the "
        "layer whose accuracy drops first is the most sensitive."
    )
    return Panel("Sensitivity of each layer", figure, caption)


def _picture(picture: pd.DataFrame) -> Panel:
    """Heat maps side by side: before, and after each of the first two methods that prune anything; zeros are blank."""
    ways = [way for way in picture["variant"].unique() if way != DENSE] or [DENSE]
    first = picture[picture["variant"] == ways[0]]
    bands = [("before", first, "before")]
    bands += [
        (f"{way} {one['target'].iloc[0]:.0%}", one, "after")
        for way in ways[:2] + ways[-1:] * (len(ways) > 2)
        if len(one := picture[picture["variant"] == way])
    ]
    stitched = [_band(one, column) for _, one, column in bands]
    height = stitched[0].shape[0]
    gap = np.full((GAP, stitched[0].shape[1]), np.nan)
    image = np.concatenate([part for band in stitched for part in (band, gap)][:-1])
    most = float(np.nanmax(np.abs(image))) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=image,
            zmin=-most,
            zmax=most,
            colorscale=[[0, BLUE], [0.5, "#D9D9D9"], [1, ORANGE]],
            colorbar={"title": "Weight [1]"},
            hovertemplate="%{z:.3g}<extra></extra>",
        )
    )
    layout(figure, "Weights of the first layer, unit by unit [column]", "")
    figure.update_xaxes(showticklabels=False, showgrid=False, constrain="domain")
    figure.update_yaxes(
        autorange="reversed",
        showgrid=False,
        zeroline=False,
        tickmode="array",
        tickvals=[number * (height + GAP) + height / 2 for number in range(len(bands))],
        ticktext=[name for name, _, _ in bands],
    )
    figure.update_layout(height=120 + 110 * len(bands))
    caption = (
        "The filters (or the input weights of the neurons) with the largest norm, before and after pruning; of a "
        "matrix, some units, one per row. Zeros are blank: single weights are pruned where images carry no information."
    )
    return Panel("The weights before and after", figure, caption)


def _band(one: pd.DataFrame, column: str) -> "np.ndarray":
    tiles = []
    for _, tile in list(one.groupby("tile"))[:TILES]:
        values = tile.pivot(index="row", columns="column", values=column).to_numpy(dtype=float)
        values[values == 0] = np.nan
        tiles += [values, np.full((values.shape[0], GAP), np.nan)]
    return np.concatenate(tiles[:-1], axis=1)


def _fine_tuning(curve: pd.DataFrame, target: dict[str, float], looks: Looks) -> Panel:
    figure = go.Figure()
    for variant, one in _at(curve, target).groupby("variant", sort=False):
        look = looks[str(variant)]
        figure.add_trace(
            go.Scatter(
                name=f"{variant}, {one['target'].iloc[0]:.0%}",
                x=one["step"].tolist(),
                y=(one["validation_accuracy"] * 100).tolist(),
                mode="lines+markers",
                line={"color": look.color, "dash": look.dash},
                marker={"symbol": look.symbol},
                customdata=(one[["sparsity"]] * 100).astype("float64").to_numpy(),
                hovertemplate="step %{x}: %{y:.2f}%, %{customdata[0]:.0f}% pruned",
            )
        )
    layout(figure, "Step of the fine-tuning [1]", "Validation accuracy [%]")
    caption = "First seed. A gradual schedule prunes in the first 60% of the steps; the others recover accuracy."
    return Panel("Accuracy during gradual pruning", figure, caption)
