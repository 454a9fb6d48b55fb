"""The style of all figures: Okabe-Ito colors; one color, symbol and dash per technique on all pages."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

BLUE, ORANGE, GREEN, PURPLE, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
GREY = "#8C8C8C"
HEIGHT = 360
MAX_TICKS = 12


@dataclass(frozen=True)
class Style:
    """The look of one technique; color is never the only difference."""

    color: str
    symbol: str
    dash: str


STYLES = {
    "eager": Style(ORANGE, "circle", "solid"),
    "jit": Style(BLUE, "diamond", "dash"),
    "capture": Style(PURPLE, "square", "dot"),
    "replay": Style(BLUE, "diamond", "dash"),
    "float32": Style(GREY, "circle", "solid"),
    "float16": Style(SKY, "triangle-down", "dot"),
    "static": Style(GREEN, "square", "dash"),
    "dynamic": Style(RED, "diamond-tall", "dashdot"),
    "weight only": Style(PURPLE, "hexagram", "longdash"),
    "base": Style(GREY, "circle", "solid"),
    "shrunk": Style(SKY, "triangle-down", "dot"),
    "pruned": Style(ORANGE, "square", "dash"),
    "codebook": Style(PURPLE, "triangle-up", "dashdot"),
    "file": Style(BLUE, "star", "longdash"),
    "dense": Style(GREY, "circle", "solid"),
    "dense distilled": Style(GREY, "circle-open", "dot"),
    "gather": Style(SKY, "triangle-up", "dot"),
    "l1 units": Style(PURPLE, "square", "dot"),
    "l2 units": Style(ORANGE, "square", "dash"),
    "taylor units": Style(GREEN, "star", "dashdot"),
    "random units": Style(RED, "x", "dot"),
    "magnitude": Style(BLUE, "diamond", "solid"),
    "lamp": Style(GREEN, "triangle-up", "dash"),
    "random": Style(RED, "cross", "dot"),
    "teacher": Style(GREY, "star", "dot"),
    "alone": Style(ORANGE, "circle", "solid"),
    "without T²": Style(SKY, "triangle-left", "dot"),
    "distilled": Style(BLUE, "star-diamond", "dashdot"),
    "fused": Style(BLUE, "diamond", "solid"),
    "contiguous once": Style(GREEN, "triangle-up", "dash"),
    "contiguous every op": Style(ORANGE, "circle", "solid"),
    "realize every op": Style(PURPLE, "x", "dot"),
    "symbolic batch": Style(GREEN, "pentagon", "dashdot"),
    "pad to bucket": Style(PURPLE, "hourglass", "dot"),
    "noopt": Style(GREY, "circle", "solid"),
    "heuristic": Style(ORANGE, "circle", "solid"),
    "beam=1": Style(SKY, "diamond", "dot"),
    "beam=2": Style(BLUE, "diamond", "dash"),
    "beam=4": Style(GREEN, "square", "dashdot"),
    "beam=8": Style(PURPLE, "hexagram", "longdash"),
    "copy": Style(GREY, "circle", "solid"),
    "row sum": Style(BLUE, "triangle-right", "dash"),
    "column sum": Style(RED, "triangle-down", "dash"),
    "full sum": Style(SKY, "square", "dot"),
    "transpose": Style(ORANGE, "triangle-up", "dashdot"),
    "flip": Style(GREEN, "triangle-left", "dot"),
    "strided rows": Style(PURPLE, "square", "dashdot"),
    "strided columns": Style(PURPLE, "square-open", "dot"),
    "gather sequential": Style(GREEN, "cross", "longdash"),
    "gather random": Style(RED, "x", "longdash"),
    "matmul transposed": Style(BLUE, "diamond", "dash"),
    "matmul": Style(ORANGE, "circle", "solid"),
}
COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon", "triangle-down", "pentagon")
OTHERS = (
    Style(GREEN, "triangle-up", "dashdot"),
    Style(SKY, "x", "dot"),
    Style(RED, "cross", "longdash"),
    Style(PURPLE, "square", "longdashdot"),
)


def style(technique: str) -> Style:
    """The style of a technique, found by its name within a variant such as `int8 static`; unknown names get a fallback.

    The longest name wins: `gather random` is not drawn as `random`.
    """
    named = [name for name in STYLES if f" {name} " in f" {technique} "]
    return STYLES[max(named, key=len)] if named else OTHERS[sum(technique.encode()) % len(OTHERS)]


def distinct(techniques: Iterable[str]) -> dict[str, Style]:
    """The style of each technique in one figure. If several share one, the first keeps it, the others get new ones."""
    found: dict[str, Style] = {}
    names = list(dict.fromkeys(techniques))
    taken = [style(name) for name in names]
    for name in names:
        look = style(name)
        if look in found.values():
            color = next((one for one in COLORS if one not in {other.color for other in taken}), look.color)
            symbol = next((one for one in MARKERS if one not in {other.symbol for other in taken}), look.symbol)
            dash = next((one for one in DASHES if one not in {other.dash for other in taken}), look.dash)
            look = Style(color, symbol, dash)
            taken.append(look)
        found[name] = look
    return found


def layout(figure: go.Figure, x: str, y: str) -> go.Figure:
    """Axis titles as `Quantity [unit]` and the legend above the plot."""
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
        xaxis={"title": x, "automargin": True},
        yaxis={"title": y, "automargin": True},
    )
    return figure


def log_axis(figure: go.Figure, axis: str, values: pd.Series, ticks: pd.Series | None = None) -> None:
    """Makes one axis (`x`, `y` or `x2`) logarithmic, with ticks at 1, 2 and 5 (or powers of ten over a wide range)."""
    positive = values.dropna().astype("float64")
    positive = positive[positive > 0]
    if positive.empty:
        return
    if ticks is not None and ticks.nunique() <= MAX_TICKS:
        shown = sorted(ticks.dropna().unique().tolist())
    else:
        low, high = math.floor(math.log10(positive.min())), math.ceil(math.log10(positive.max()))
        steps = (1, 2, 5) if high - low <= 3 else (1,)
        shown = [step * 10.0**power for power in range(low, high + 1) for step in steps]
    update = {"type": "log", "tickmode": "array", "tickvals": shown, "ticktext": [tick_label(tick) for tick in shown]}
    figure.update_layout({f"{axis[0]}axis{axis[1:]}": update})


def tick_label(value: float) -> str:
    """A short label: 0.05, 1,000, 20M, 4G."""
    for unit, letter in ((1e9, "G"), (1e6, "M")):
        if value >= unit:
            return f"{value / unit:.4g}{letter}"
    return f"{value:,.6g}"
