"""Layout of a graph of operations as an expression tree: the result on top, operands below each operation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import plotly.graph_objects as go

from dashboard.theme import BLUE, GREY

NODE_SIZE = 21
KINDS = {"input": (BLUE, "square"), "constant": ("#6B6B6B", "circle"), "operation": ("#B35900", "circle")}
INPUTS = ("x", "y", "z")


@dataclass
class DrawnNode:
    """One drawn node: an operation, or one use of an input or constant, with its position (column and layer)."""

    label: str
    kind: str
    column: float
    layer: float
    below: list["DrawnNode"] = field(default_factory=list)


@dataclass
class GraphLayout:
    """The drawn nodes of a graph and the number of columns."""

    spots: list[DrawnNode]
    columns: float


def arrange(nodes: pd.DataFrame, edges: pd.DataFrame) -> GraphLayout:
    """One drawn node per operation and per use of an input or constant, without overlaps.

    An operation is above its operands. In a chain the next operation is directly above the previous one, with the
    other operand on the right; two longer operands are side by side in separate columns.
    """
    labels = dict(zip(nodes["node"], nodes["label"], strict=True))
    layers = dict(zip(nodes["node"], nodes["layer"], strict=True))
    operands: dict[int, list[int]] = edges.groupby("node")["operand"].apply(list).to_dict()
    root = max(labels, key=lambda node: layers[node])
    placed: dict[int, DrawnNode] = {}
    spots: list[DrawnNode] = []
    columns = _place(root, 0.0, labels, layers, operands, placed, spots)
    return GraphLayout(spots, columns)


def _place(
    node: int,
    left: float,
    labels: Mapping[int, str],
    layers: Mapping[int, int],
    operands: Mapping[int, Sequence[int]],
    placed: dict[int, DrawnNode],
    spots: list[DrawnNode],
) -> float:
    """Places an operation and its operands in the columns from `left`; returns the number of columns used."""
    leaves = [one for one in operands.get(node, ()) if one not in operands]
    width, below = 0.0, []
    for one in dict.fromkeys(one for one in operands.get(node, ()) if one in operands):
        if one not in placed:
            width += _place(one, left + width, labels, layers, operands, placed, spots)
        below.append(placed[one])
    middle = sum(spot.column for spot in below) / len(below) if below else left + (len(leaves) - 1) / 2
    for number, leaf in enumerate(leaves):
        column = left + number if not below else middle + 1 + number
        kind = "input" if labels[leaf] in INPUTS else "constant"
        below.append(DrawnNode(labels[leaf], kind, column, layers[node] - 1))
        spots.append(below[-1])
        width = max(width, column - left + 1)
    placed[node] = DrawnNode(labels[node], "operation", middle, layers[node], below)
    spots.append(placed[node])
    return max(width, 1.0)


def draw(figure: go.Figure, arranged: GraphLayout, subplot: int) -> None:
    """Adds lines and marks of a graph to one of the figure's subplots, its columns on an axis from 0 to 1."""
    places = [(spot.column + 0.5) / arranged.columns for spot in arranged.spots]
    lines_x: list[float | None] = []
    lines_y: list[float | None] = []
    for spot, place in zip(arranged.spots, places, strict=True):
        for operand in spot.below:
            lines_x += [place, (operand.column + 0.5) / arranged.columns, None]
            lines_y += [spot.layer, operand.layer, None]
    lines = go.Scatter(x=lines_x, y=lines_y, mode="lines", line={"color": GREY, "width": 1.5}, hoverinfo="skip")
    figure.add_trace(lines, row=1, col=subplot)
    kinds = [spot.kind for spot in arranged.spots]
    marks = go.Scatter(
        x=places,
        y=[spot.layer for spot in arranged.spots],
        mode="markers+text",
        text=[spot.label for spot in arranged.spots],
        textfont={"color": "white", "size": 11},
        marker={
            "size": NODE_SIZE,
            "color": [KINDS[kind][0] for kind in kinds],
            "symbol": [KINDS[kind][1] for kind in kinds],
        },
        customdata=kinds,
        hovertemplate="%{customdata} %{text}<extra></extra>",
    )
    figure.add_trace(marks, row=1, col=subplot)
