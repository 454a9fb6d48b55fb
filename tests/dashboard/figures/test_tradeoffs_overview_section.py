"""Figures that stand side by side are read against each other."""

import plotly.graph_objects as go

from dashboard.figures.tradeoffs.overview_section import _same_axes


def figure(x, y, scale="linear"):
    return go.Figure(layout={"xaxis": {"type": "log", "range": x}, "yaxis": {"type": scale, "range": y}})


def test_figures_side_by_side_have_the_same_ranges():
    first, second = figure([0, 1], [97, 98]), figure([-1, 0.5], [96, 97.5])
    _same_axes([first, second])
    assert first.layout.xaxis.range == second.layout.xaxis.range == (-1, 1)
    assert first.layout.yaxis.range == second.layout.yaxis.range == (96, 98)


def test_a_mirrored_axis_stays_mirrored_and_unlike_scales_stay_apart():
    first, second = figure([0, 1], [1.5, 0.2], "log"), figure([0, 1], [2.0, 0.5], "log")
    _same_axes([first, second])
    assert first.layout.yaxis.range == second.layout.yaxis.range == (2.0, 0.2)
    far, near = figure([0, 1], [1.5, 0.2], "log"), figure([0, 1], [97, 98])
    _same_axes([far, near])
    assert (far.layout.yaxis.range, near.layout.yaxis.range) == ((1.5, 0.2), (97, 98))
    _same_axes([])
