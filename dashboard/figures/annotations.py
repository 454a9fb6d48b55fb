"""Labels for a few marks, placed where they hide the least, on wide and narrow screens."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dashboard.theme import GREY
from experiments.bench.arrays import Array

PLOTS = np.array([(500.0, 300.0), (380.0, 300.0), (300.0, 280.0)])  # pixels of the plot: wide, laptop, phone
GLYPH, LINE, MARK = 6.2, 15.0, 8.0  # pixels: width of a character, height of a line, half a mark
GAPS = (14.0, 30.0, 50.0, 75.0, 105.0)  # pixels between a mark and its label
SIDES = (-1.0, -0.5, 0.0, 0.5, 1.0)
OUTSIDE, COVERED = 40.0, 400.0  # cost of leaving the plot by one pixel, of covering another label


@dataclass(frozen=True)
class Annotation:
    """A label for the mark at `x`, `y`, in axis coordinates (the logarithm on a logarithmic axis)."""

    x: float
    y: float
    lines: tuple[str, ...]


def annotate(
    figure: go.Figure,
    annotations: Sequence[Annotation],
    marks: Array,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> None:
    """Adds the labels one by one, each where it hides the fewest of `marks` (n, 2) and no other label."""
    corner = np.array([x_range[0], y_range[0]])
    scale = PLOTS[:, None] / (np.array([x_range[1], y_range[1]]) - corner)
    there = (marks - corner) * scale  # (plots, n, 2), pixels from the lower left corner
    taken: list[Array] = []
    for one in annotations:
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
    """Candidate positions of a label's center relative to its mark."""
    return [
        np.array([side, up]) * (size / 2 + gap)
        for gap in GAPS
        for side, up in itertools.product(SIDES, SIDES)
        if max(abs(side), abs(up)) == 1
    ]


def _cost(middle: Array, size: Array, marks: Array, taken: Sequence[Array], offset: Array) -> float:
    """The cost of a label centered at `middle` (plots, 2): hidden marks and labels, pixels outside the plot."""
    low, high = middle - size / 2, middle + size / 2
    inside = (marks > low[:, None] - MARK) & (marks < high[:, None] + MARK)
    cost = float(np.count_nonzero(inside.all(axis=2)))
    cost += OUTSIDE * float(np.maximum(0, -low).sum() + np.maximum(0, high - PLOTS).sum())
    for other in taken:
        cost += COVERED * int(((low < other[:, 2:]) & (high > other[:, :2])).all(axis=1).sum())
    return cost + 0.02 * float(np.hypot(*offset))
