"""Callouts: a few named marks among many, each with its label where that hides least, on wide and narrow screens."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dashboard.theme import GREY
from experiments.bench.arrays import Array

PLOTS = np.array([(500.0, 300.0), (300.0, 280.0)])  # pixels of the plotting area: a wide page, a phone
GLYPH, LINE, MARK = 6.2, 15.0, 8.0  # pixels: width of a letter, height of a line, half of a mark
GAPS = (14.0, 30.0, 50.0, 75.0, 105.0)  # pixels between a mark and its label
SIDES = (-1.0, -0.5, 0.0, 0.5, 1.0)
BESIDE, COVERED = 40.0, 400.0  # what it costs to leave the plot by one pixel, to cover another label


@dataclass(frozen=True)
class Callout:
    """A label of some lines for the mark at `x`, `y`, in the coordinates of the axes (the logarithm on such a one)."""

    x: float
    y: float
    lines: tuple[str, ...]


def call_out(
    figure: go.Figure,
    callouts: Sequence[Callout],
    marks: Array,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> None:
    """Adds the labels, one after the other, each where it hides the fewest of `marks` (n, 2) and leaves others free."""
    corner = np.array([x_range[0], y_range[0]])
    scale = PLOTS[:, None] / (np.array([x_range[1], y_range[1]]) - corner)
    there = (marks - corner) * scale  # (plots, n, 2), pixels from the lower left corner
    taken: list[Array] = []
    for one in callouts:
        size = np.array([GLYPH * max(map(len, one.lines)), LINE * len(one.lines)])
        head = (np.array([one.x, one.y]) - corner) * scale[:, 0]
        offset = min(_offsets(size), key=lambda at: _cost(head + at, size, there, taken, at))
        taken.append(np.concatenate([head + offset - size / 2, head + offset + size / 2], axis=1))
        figure.add_annotation(
            x=one.x,
            y=one.y,
            ax=float(offset[0]),
            ay=float(-offset[1]),
            text="<br>".join((f"<b>{one.lines[0]}</b>", *one.lines[1:])),
            font={"size": 11},
            align="left",
            arrowcolor=GREY,
            arrowwidth=1,
            arrowhead=0,
            standoff=6,
        )


def _offsets(size: Array) -> list[Array]:
    """Where the middle of a label may be, as seen from its mark."""
    return [
        np.array([side, up]) * (size / 2 + gap)
        for gap in GAPS
        for side, up in itertools.product(SIDES, SIDES)
        if max(abs(side), abs(up)) == 1
    ]


def _cost(middle: Array, size: Array, marks: Array, taken: Sequence[Array], offset: Array) -> float:
    """How bad a label is whose middle is at `middle` (plots, 2): marks and labels that it hides, what is cut off."""
    low, high = middle - size / 2, middle + size / 2
    inside = (marks > low[:, None] - MARK) & (marks < high[:, None] + MARK)
    cost = float(np.count_nonzero(inside.all(axis=2)))
    cost += BESIDE * float(np.maximum(0, -low).sum() + np.maximum(0, high - PLOTS).sum())
    for other in taken:
        cost += COVERED * int(((low < other[:, 2:]) & (high > other[:, :2])).all(axis=1).sum())
    return cost + 0.02 * float(np.hypot(*offset))
