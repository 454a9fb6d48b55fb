"""Labels of named marks: inside the plot, apart from one another, beside the other marks."""

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.figures.annotations import GLYPH, LINE, PLOTS, Annotation, annotate

RANGE = (0.0, 1.0)


def boxes(annotations, marks, plot):
    """The corners of every label on a plot of so many pixels, left, low, right, high."""
    figure = go.Figure()
    annotate(figure, annotations, np.array(marks, dtype=float).reshape(-1, 2), RANGE, RANGE)
    found = []
    for note in figure.layout.annotations:
        lines = note.text.replace("<b>", "").replace("</b>", "").split("<br>")
        half = np.array([GLYPH * max(map(len, lines)), LINE * len(lines)]) / 2
        middle = np.array([note.x, note.y]) * plot + np.array([note.ax, -note.ay])
        found.append(np.concatenate([middle - half, middle + half]))
    return found


@pytest.mark.parametrize("plot", PLOTS, ids=["a wide page", "a laptop", "a phone"])
def test_labels_stay_in_the_plot_and_apart_even_in_its_corners(plot):
    corners = [Annotation(x, y, ("a long label", "second line")) for x in (0.02, 0.98) for y in (0.02, 0.98)]
    near = [Annotation(0.03, 0.05, ("beside it",))]
    found = boxes([*corners, *near], [(one.x, one.y) for one in corners], plot)
    for number, one in enumerate(found):
        assert (one[:2] >= 0).all()
        assert (one[2:] <= plot).all()
        for other in found[:number]:
            assert (one[:2] >= other[2:]).any() or (other[:2] >= one[2:]).any()


def test_a_label_goes_where_it_hides_no_mark():
    crowd = [(0.5 + dx, y) for dx in np.linspace(0, 0.5, 40) for y in np.linspace(0, 1, 40)]
    [label] = boxes([Annotation(0.5, 0.5, ("label",))], crowd, PLOTS[0])
    assert label[2] < 0.5 * PLOTS[0][0]


def test_without_annotations_there_are_no_labels():
    assert boxes([], [(0.5, 0.5)], PLOTS[0]) == []
