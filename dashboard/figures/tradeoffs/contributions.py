"""Contributions of the techniques of a trade-off study: effects, parallel coordinates, the waterfall to one variant."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import Panel
from dashboard.theme import GREY, OTHERS, layout, log_axis, style, tick_label
from experiments.studies.tradeoffs.grid import FACTORS, pruning_label

MAX_EFFECTS = 12
MAX_LEVELS = 12  # labeled levels of one factor


def contributions(effects: pd.DataFrame) -> Panel:
    """Main effects first, then the largest interactions, one column per response."""
    named = effects.assign(
        label=[_label(row) for row in effects.to_dict("records")], strength=effects.apply(_strength, axis=1)
    )
    alone = named["with_factor"].isna()
    order = named.groupby("label", sort=False)["strength"].max()
    together = order[list(dict.fromkeys(named.loc[~alone, "label"]))].sort_values(ascending=False)
    labels = [*dict.fromkeys(named.loc[alone, "label"]), *together.index][:MAX_EFFECTS][::-1]
    responses = (("accuracy", "Accuracy<br>[points]"), ("latency", "Latency<br>[x]"), ("bytes", "Bytes<br>[x]"))
    figure = make_subplots(rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.03)
    for place, (response, title) in enumerate(responses, start=1):
        chosen = named[(named["response"] == response) & named["label"].isin(labels)].set_index("label")
        chosen = chosen.loc[[label for label in labels if label in chosen.index]]
        factor = 100.0 if response == "accuracy" else 1.0
        middle, low, high = (chosen[name].astype("float64") * factor for name in ("effect", "effect_lo", "effect_hi"))
        mark = go.Scatter(
            x=middle.tolist(),
            y=chosen.index.tolist(),
            mode="markers+text",
            text=[f"{one:+.2f}" if response == "accuracy" else f"{one:.2g}x" for one in middle],
            textposition="top center",
            textfont={"size": 10},
            cliponaxis=False,
            marker={"color": OTHERS[place - 1].color, "symbol": OTHERS[place - 1].symbol, "size": 9},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (high - middle).tolist(),
                "arrayminus": (middle - low).tolist(),
            },
            customdata=np.column_stack([low, high]),
            hovertemplate="%{y}: %{x:.3g} (%{customdata[0]:.3g} to %{customdata[1]:.3g})<extra></extra>",
            showlegend=False,
        )
        figure.add_trace(mark, row=1, col=place)
        neutral = 0 if response == "accuracy" else 1
        figure.add_vline(x=neutral, line={"color": GREY, "dash": "dot"}, row=1, col=place)
        figure.update_xaxes(title=title, automargin=True, nticks=4, tickangle=0, row=1, col=place)
        if response != "accuracy":
            _factors(figure, f"x{place}", pd.concat([low, high, pd.Series([1.0])]))
    figure.update_yaxes(automargin=True, range=[-0.5, len(labels) - 0.3])
    figure.update_layout(height=150 + 38 * len(labels), margin={"l": 10, "r": 10, "t": 30, "b": 10})
    caption = (
        "Main effect of each technique, averaged over all settings of the others, with its 95% interval; dotted: no "
        "effect. With x: interaction of two techniques. Latency and bytes are factors: left of 1 is faster or smaller."
    )
    return Panel("Effects of the techniques", figure, caption)


def _factors(figure: go.Figure, axis: str, values: pd.Series) -> None:
    """A narrow logarithmic axis of factors: room for the text at its ends, and few ticks."""
    log_axis(figure, axis, values)
    low, high = math.log10(values.min()), math.log10(values.max())
    room, powers = 0.3 * (high - low or 1), range(math.floor(low), math.ceil(high) + 1)
    steps = (1,) if high - low > 1.5 else (1, 3)
    ticks = [step * 10.0**power for power in powers for step in steps]
    shown = {"tickvals": ticks, "ticktext": [tick_label(one) for one in ticks], "range": [low - room, high + room]}
    figure.update_layout({f"{axis[0]}axis{axis[1:]}": shown})


def _label(row: dict[str, str]) -> str:
    first = _level(row["factor"], row["level"])
    return first if pd.isna(row["with_factor"]) else f"{first} x {_level(row['with_factor'], row['with_level'])}"


def _level(factor: str, level: str) -> str:
    labels: dict[str, Callable[[str], str]] = {
        "distilled": lambda _: "distilled",
        "hidden": lambda width: f"{width} hidden",
        "quantization": lambda scheme: scheme if scheme != "none" else "float32",
        "pruning": pruning_label,
    }
    return labels.get(factor, str)(level)


def _short(level: str) -> str:
    """A level that fits between two axes: `90%`, `w50% 70%`."""
    return level.removesuffix(" pruned").replace("width ", "w")


def _strength(row: pd.Series) -> float:
    """The size of an effect for sorting: points of accuracy, or doublings."""
    return abs(row["effect"]) * 100 if row["response"] == "accuracy" else abs(np.log2(row["effect"]))


def parallel(shown: pd.DataFrame) -> Panel:
    """Parallel coordinates, one line per variant; drag along an axis to filter."""
    dimensions = []
    for factor in ("execution", "pruning", "quantization", "distilled", "hidden"):
        named = [_short(_level(factor, one)) for one in shown[factor].astype(str)]
        levels = list(dict.fromkeys(named))
        if len(levels) > 1:
            values = [levels.index(one) for one in named]
            shown_at = range(0, len(levels), -(-len(levels) // MAX_LEVELS))
            ticks = {"tickvals": list(shown_at), "ticktext": [levels[at] for at in shown_at]}
            dimensions.append({"label": factor, "values": values, **ticks})
    for label, column in (("bytes", "size_bytes"), ("latency [ms]", "latency_ms")):
        logs = np.log10(shown[column].astype("float64"))
        ends = [float(logs.min()), float(logs.max())]
        ticks = {"tickvals": ends, "ticktext": [tick_label(float(f"{10**end:.3g}")) for end in ends]}
        dimensions.append({"label": label, "values": logs.tolist(), **ticks})
    ends = [float(shown["percent"].min()), float(shown["percent"].max())]
    accuracy = {"label": "accuracy [%]", "values": shown["percent"].tolist(), "tickvals": ends}
    dimensions.append({**accuracy, "ticktext": [f"{end:.2f}" for end in ends]})
    figure = go.Figure(
        go.Parcoords(
            dimensions=dimensions,
            line={
                "color": shown["p_front"].astype("float64").tolist(),
                "cmin": 0,
                "cmax": 1,
                "colorscale": [[0, "#C8C8C8"], [1, style("jit").color]],
            },
            labelangle=-15,
        )
    )
    layout(figure, "Factors and objectives [1]", "")
    figure.update_layout(height=380, margin={"l": 50, "r": 60, "t": 70, "b": 20})
    caption = (
        "One line per variant, from its techniques (w: remaining width, %: pruned weights) to the objectives; the "
        "bluer, the higher its probability of being on the front. Bytes and latency are logarithmic; each axis spans "
        "its smallest to its largest value. Drag along an axis to filter the lines."
    )
    return Panel("From techniques to objectives", figure, caption)


def waterfall(steps: pd.DataFrame) -> Panel:
    """From the baseline to the selected variant, one more technique in each row: bytes, latency, accuracy."""
    labels = ["baseline", *(_step(before, after) for before, after in itertools.pairwise(steps.to_dict("records")))]
    figure = make_subplots(rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.05)
    percent = (steps[name].astype("float64") * 100 for name in ("accuracy", "accuracy_lo", "accuracy_hi"))
    times = (steps[name].astype("float64") for name in ("latency_ms", "latency_lo_ms", "latency_hi_ms"))
    bars = (
        ("Bytes<br>[kB]", steps["size_bytes"].astype("float64") / 1000, None, None, ",.4g"),
        ("Latency<br>[ms]", *times, ".3g"),
        ("Accuracy<br>[%]", *percent, ".2f"),
    )
    for place, (title, middle, low, high, shape) in enumerate(bars, start=1):
        errors = {"visible": False}
        if low is not None and high is not None:
            array, minus = (high - middle).fillna(0).tolist(), (middle - low).fillna(0).tolist()
            errors = {"type": "data", "symmetric": False, "array": array, "arrayminus": minus, "width": 3}
        mark = {
            "x": middle.tolist(),
            "y": labels,
            "error_x": errors,
            "text": [f"{one:{shape}}" for one in middle],
            "hovertemplate": "%{y}: %{text}<extra></extra>",
            "showlegend": False,
        }
        color = OTHERS[place - 1].color
        if place == len(bars):  # far from 0: a bar would mislead
            look = {"mode": "markers+text", "textposition": "top center", "marker": {"color": color, "size": 9}}
            figure.add_trace(go.Scatter(**look, **mark), row=1, col=place)
        else:
            bar = go.Bar(orientation="h", marker={"color": color}, textposition="outside", **mark)
            figure.add_trace(bar, row=1, col=place)
            figure.update_xaxes(range=[0, 1.6 * float(middle.max())], row=1, col=place)  # room for the text
        figure.update_xaxes(title=title, automargin=True, nticks=4, row=1, col=place)
    figure.update_yaxes(range=[len(labels) - 0.4, -0.7], automargin=True)
    figure.update_layout(height=150 + 40 * len(labels), margin={"l": 10, "r": 10, "t": 20, "b": 10})
    caption = "One technique after another, in the order of building the model; bars: 95% intervals."
    return Panel("From the baseline to this variant", figure, caption)


def _step(before: dict[str, str], after: dict[str, str]) -> str:
    changed = [factor for factor in FACTORS if before[factor] != after[factor]]
    return "+ " + ", ".join(_level(factor, str(after[factor])) for factor in changed)
