"""The figure of the A/A control."""

import re

import pytest

from dashboard.figures import control
from tests.dashboard.frames_of import rows_of


def comparison(number, speedup, verdict="cannot tell"):
    interval = {"speedup_lo": speedup - 0.02, "speedup_hi": speedup + 0.03}
    return {"comparison": number, "variant": "second", "speedup": speedup, "verdict": verdict, **interval}


CONTROL = [comparison(1, 1.0), comparison(2, 1.1, "faster"), comparison(3, 0.99), comparison(4, 0.9, "slower")]


def control_figure(made):
    [panel] = control.panels(rows_of("control", made), {})
    return panel.figure


def test_comparisons_are_ordered_by_their_ratio_with_the_false_alarms_marked():
    quiet, alarms = control_figure(CONTROL).data
    assert (quiet.name, quiet.x, quiet.y) == ("inconclusive (2)", (2, 3), (0.99, 1.0))
    assert (alarms.name, alarms.x, alarms.y) == ("false alarm (2)", (1, 4), (0.9, 1.1))


def test_false_alarms_differ_in_colour_and_symbol():
    quiet, alarms = control_figure(CONTROL).data
    assert quiet.marker.color != alarms.marker.color
    assert quiet.marker.symbol != alarms.marker.symbol


def test_error_bars_of_a_comparison_reach_to_the_ends_of_its_interval():
    errors = control_figure(CONTROL).data[0].error_y
    assert errors.array == pytest.approx((0.03, 0.03))
    assert errors.arrayminus == pytest.approx((0.02, 0.02))


def test_a_line_stands_at_one_where_the_truth_is():
    assert [(one.type, one.y0, one.y1) for one in control_figure(CONTROL).layout.shapes] == [("line", 1, 1)]


def test_a_machine_without_false_alarms_reports_zero_of_them():
    assert [one.name for one in control_figure(CONTROL[:1]).data] == ["inconclusive (1)", "false alarm (0)"]


def test_a_comparison_without_an_interval_yet_is_drawn_as_a_point():
    made = [{**comparison(1, 1.0), "speedup_lo": None, "speedup_hi": None}]
    assert control_figure(made).data[0].error_y.array == (0.0,)


def test_no_comparisons_give_no_figure():
    assert control.panels(rows_of("control", []), {}) == []


def test_every_axis_names_its_quantity_and_unit():
    layout = control_figure(CONTROL).layout
    assert layout.xaxis.title.text == "Comparisons, ordered by ratio"
    assert re.fullmatch(r"[^\[\]]+ \[[^\[\]]+\]", layout.yaxis.title.text)


def test_the_panel_has_a_caption_on_how_to_read_it():
    assert all(panel.caption.endswith(".") for panel in control.panels(rows_of("control", CONTROL), {}))


CELLS = [
    {**comparison(number, speedup, verdict), "call": call, "number_format": "float32", "planted": planted}
    for number, call, speedup, verdict, planted in [
        (1, "chain", 1.0, "cannot tell", 0.0),
        (1, "chain", 0.95, "slower", 0.05),
        (1, "matmul 64", 1.1, "faster", 0.0),
        (1, "matmul 64", 0.97, "cannot tell", 0.05),
    ]
]


def test_several_calls_have_their_shares_of_false_alarms_and_of_found_differences():
    _, shares = control.panels(rows_of("control", CELLS), {})
    alarms, found = shares.figure.data
    assert (alarms.y, alarms.x) == (("chain float32", "matmul 64 float32"), (0, 100))
    assert (found.y, found.x) == (("chain float32", "matmul 64 float32"), (100, 0))
    assert alarms.customdata == ("0 of 1", "1 of 1")


def test_planted_differences_are_not_among_the_comparisons_of_a_call_with_itself():
    intervals, _ = control.panels(rows_of("control", CELLS), {})
    assert [one.name for one in intervals.figure.data] == ["inconclusive (1)", "false alarm (1)"]
