"""The figures of shape specialization."""

import pytest

from dashboard import figures
from dashboard.figures import shapes
from tests.dashboard.frames_of import details_of, rows_of


def axis_titles(panel):
    return panel.figure.layout.xaxis.title.text, panel.figure.layout.yaxis.title.text


def trace(panel, name):
    return next(one for one in panel.figure.data if one.name == name)


def test_the_module_is_found_by_the_experiments_name_and_draws_nothing_from_nothing():
    assert figures.view_of("shapes").panels is shapes.panels
    assert shapes.panels(rows_of("shapes", []), details_of("shapes")) == []


CALLS = [
    {"variant": variant, "call": call, "called_shape": shape, "call_ms": ms, "compiling_ms": compiling}
    | {"captures_so_far": captures, "programs_so_far": 2}
    for variant in ("eager", "one jit per shape")
    for call, shape, ms, compiling, captures in (
        (1, "2x8", 900.0, 800.0, 0),
        (2, "16x8", 600.0, 0.0, 0),
        (3, "2x8", 500.0, 0.0, 1),
    )
]


def timed(shape, variant, ms):
    return {"shape": shape, "variant": variant, "latency_ms": ms, "latency_lo_ms": ms - 1, "latency_hi_ms": ms + 2}


def test_shapes_draws_the_measured_stream_as_cumulative_seconds():
    cumulative, _ = shapes.panels(rows_of("shapes", []), details_of("shapes", stream=CALLS))
    assert axis_titles(cumulative) == ("Number of the call in the stream", "Cumulative time [s]")
    assert trace(cumulative, "eager").y == pytest.approx((0.9, 1.5, 2.0))
    marks = cumulative.figure.data[1]
    assert (marks.x, marks.y) == ((1,), (0.9,))  # only the call that compiled


def test_shapes_draws_further_rounds_faintly_and_below_the_first():
    again = [{**one, "round": 2, "call_ms": 100.0} for one in CALLS]
    stream = [*({**one, "round": 1} for one in CALLS), *again]
    cumulative, growth = shapes.panels(rows_of("shapes", []), details_of("shapes", stream=stream))
    lines = [one for one in cumulative.figure.data if one.mode == "lines"]
    assert [one.y[0] for one in lines] == pytest.approx([0.1, 0.1, 0.9, 0.9])
    assert [one.showlegend for one in lines] == [False, False, True, True]
    assert len(growth.figure.data) == 2


def test_shapes_draws_the_captures_as_they_grow():
    _, growth = shapes.panels(rows_of("shapes", []), details_of("shapes", stream=CALLS))
    assert trace(growth, "one jit per shape").y == (0, 0, 1)
    assert trace(growth, "one jit per shape").line.shape == "hv"


def test_shapes_orders_its_axis_by_size_and_not_by_letters():
    rows = [timed(shape, "eager", 5.0) for shape in ("16x8", "2x8", "2x16")]
    (latency,) = shapes.panels(rows_of("shapes", rows), details_of("shapes"))
    assert latency.figure.layout.xaxis.categoryarray == ("2x8", "2x16", "16x8")
    assert trace(latency, "eager").x == ("2x8", "2x16", "16x8")
    assert trace(latency, "eager").error_y.array == (2.0, 2.0, 2.0)


def test_every_figure_has_a_caption_on_how_to_read_it():
    drawn = shapes.panels(rows_of("shapes", [timed("2x8", "eager", 5.0)]), details_of("shapes", stream=CALLS))
    assert all(panel.caption.endswith(".") for panel in drawn)
