"""The figures of the JIT experiment."""

import re

import pytest

from dashboard.figures import jit
from tests.dashboard.run_records import first_calls, record, records, rows_frame, timeline_frame

NO_ROWS, NO_CALLS = rows_frame([]), timeline_frame([])


def run_figures(made):
    return {panel.title: panel.figure for panel in jit.panels(rows_frame(made), {"timeline": NO_CALLS})}


def point_figures(made, calls):
    return {p.title: p.figure for p in jit.point_panels(rows_frame(made), {"timeline": timeline_frame(calls)})}


def trace(figure, name):
    return next(one for one in figure.data if one.name == name)


def titles(figure):
    return figure.layout.xaxis.title.text, figure.layout.yaxis.title.text


def test_latency_has_one_trace_per_variant_with_its_points_in_order_of_batch():
    figure = run_figures(records(64, 16))["Latency"]
    assert [one.name for one in figure.data] == ["eager", "jit"]
    assert list(trace(figure, "jit").x) == [16, 64]
    assert list(trace(figure, "eager").y) == [4.0, 4.0]


def test_error_bars_reach_to_the_ends_of_the_intervals():
    latency = trace(run_figures(records(16, 64))["Latency"], "eager").error_y
    assert (latency.array, latency.arrayminus) == ((0.5, 0.5), (0.25, 0.25))
    assert latency.symmetric is False
    speedup = trace(run_figures(records(16))["Speedup against work per call"], "jit").error_y
    assert (speedup.array, speedup.arrayminus) == ((0.25,), (0.5,))


def test_a_row_without_an_interval_is_drawn_without_an_error_bar():
    made = [record("jit", 16, latency_lo_ms=None, latency_hi_ms=None)]
    drawn = trace(run_figures(made)["Latency"], "jit")
    assert (drawn.y, drawn.error_y.array, drawn.error_y.arrayminus) == ((1.0,), (0.0,), (0.0,))


def test_a_row_without_a_latency_is_left_out():
    made = [*records(16), record("jit", 64, latency_ms=None)]
    assert trace(run_figures(made)["Latency"], "jit").x == (16,)


def test_latency_is_drawn_against_the_size_where_the_model_has_no_batch():
    made = [record(variant, None, size=size) for size in (512, 1024) for variant in ("eager", "jit")]
    figure = run_figures(made)["Latency"]
    assert figure.layout.xaxis.title.text == "Matrix size n [1]"
    assert trace(figure, "eager").x == (512, 1024)


def test_speedup_is_drawn_against_millions_of_operations():
    figure = run_figures(records(16, 64))["Speedup against work per call"]
    assert [one.name for one in figure.data] == ["jit"]
    assert list(trace(figure, "jit").x) == [16.0, 64.0]


def test_the_control_band_spans_the_widest_control_and_the_line_is_at_one():
    made = [*records(16), record("jit", 64, control_lo=0.8, control_hi=1.05)]
    shapes = run_figures(made)["Speedup against work per call"].layout.shapes
    assert [(one.type, one.y0, one.y1) for one in shapes] == [("line", 1, 1), ("rect", 0.8, 1.1)]


def test_without_controls_there_is_the_line_and_no_band():
    made = [record("jit", 16, control_lo=None, control_hi=None)]
    shapes = run_figures(made)["Speedup against work per call"].layout.shapes
    assert [one.type for one in shapes] == ["line"]


def test_the_axes_of_latency_are_logarithmic_with_the_batch_sizes_as_ticks():
    layout = run_figures(records(16, 64))["Latency"].layout
    assert (layout.xaxis.type, layout.yaxis.type) == ("log", "log")
    assert layout.xaxis.tickvals == (16, 64)


def test_every_axis_names_its_quantity_and_unit():
    drawn = {**run_figures(records(16, 64)), **point_figures(records(16), first_calls(16))}
    said = {title: titles(figure) for title, figure in drawn.items()}
    assert said.pop("The first calls") == ("Number of the call in a fresh process", "Time of the call [ms]")
    assert said.pop("Break-even of the capture") == ("Number of calls", "Cumulative time after the first call [ms]")
    assert len(said) == 2
    for x, y in said.values():
        assert re.fullmatch(r"[^\[\]]+ \[[^\[\]]+\]", x)
        assert re.fullmatch(r"[^\[\]]+ \[[^\[\]]+\]", y)


def test_the_first_calls_show_each_phase_of_the_jit_beside_eager():
    figure = point_figures(records(16), first_calls(16))["The first calls"]
    assert {one.name: (one.x, one.y) for one in figure.data} == {
        "eager": ((1, 2, 3), (30.0, 5.0, 5.0)),
        "jit: eager call": ((1,), (30.0,)),
        "jit: capture": ((2,), (8.0,)),
        "jit: replay": ((3,), (2.0,)),
    }


def test_bars_of_one_colour_differ_in_their_hatch():
    bars = point_figures(records(16), first_calls(16))["The first calls"].data
    looks = {(one.marker.color, one.marker.pattern.shape) for one in bars}
    assert len(looks) == len(bars) == 4


def test_the_shortest_first_call_is_seen_above_the_axis():
    axis = point_figures(records(16), first_calls(16))["The first calls"].layout.yaxis
    assert axis.type == "log"
    assert 10 ** axis.range[0] == pytest.approx(1.0)  # half of the least, 2 ms


def test_cumulative_time_is_what_was_measured_and_then_the_steady_latency():
    figure = point_figures(records(16), first_calls(16))["Break-even of the capture"]
    assert list(trace(figure, "eager").y)[:5] == [0, 5, 10, 14, 18]
    assert list(trace(figure, "jit").y)[:5] == [0, 8, 10, 11, 12]
    assert list(trace(figure, "jit").x)[:3] == [1, 2, 3]


def test_break_even_is_marked_where_the_curves_cross():
    figure = point_figures(records(16), first_calls(16))["Break-even of the capture"]
    assert [(one.type, one.x0) for one in figure.layout.shapes] == [("line", 3)]
    assert [one.text for one in figure.layout.annotations] == ["break-even after call 3"]
    eager, captured = trace(figure, "eager"), trace(figure, "jit")
    place = list(captured.x).index(3)
    assert captured.y[place] <= eager.y[place]
    assert captured.y[place - 1] > eager.y[place - 1]


def test_a_capture_that_never_pays_has_no_mark():
    made = [record("eager", 16), record("jit", 16, break_even_calls=None)]
    assert not point_figures(made, first_calls(16))["Break-even of the capture"].layout.shapes


def test_a_late_break_even_is_still_inside_the_figure():
    made = [record("eager", 16), record("jit", 16, break_even_calls=100)]
    figure = point_figures(made, first_calls(16))["Break-even of the capture"]
    assert max(trace(figure, "jit").x) == 300


def test_no_rows_give_no_figures():
    assert jit.panels(NO_ROWS, {"timeline": NO_CALLS}) == []
    assert jit.point_panels(NO_ROWS, {"timeline": NO_CALLS}) == []


def test_first_calls_without_a_row_yet_give_their_figure_alone():
    assert list(point_figures([], first_calls(16))) == ["The first calls"]


@pytest.mark.parametrize("variant", ["eager", "jit"])
def test_a_single_row_is_drawn(variant):
    drawn = run_figures([record(variant, 16)])
    assert [one.name for one in drawn["Latency"].data] == [variant]


def test_every_panel_has_a_caption_on_how_to_read_it():
    details = {"timeline": timeline_frame(first_calls(16))}
    panels = [*jit.panels(rows_frame(records(16)), details), *jit.point_panels(rows_frame(records(16)), details)]
    assert len({panel.title for panel in panels}) == 4
    assert all(panel.caption.endswith(".") for panel in panels)
