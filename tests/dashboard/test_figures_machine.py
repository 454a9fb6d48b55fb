"""The figures of the experiments on the machine itself."""

import re

import pytest

from dashboard.figures import ceilings, control
from experiments.registry import find
from experiments.runs import frames


def frame(name, made):
    same = {"run_id": "r", "experiment": name, "device": "CPU"}
    return frames.frame_of([{**same, **one} for one in made], (*frames.IDENTITY, *find(name).columns))


def comparison(number, speedup, verdict="cannot tell"):
    interval = {"speedup_lo": speedup - 0.02, "speedup_hi": speedup + 0.03}
    return {"comparison": number, "variant": "second", "speedup": speedup, "verdict": verdict, **interval}


def copied(variant, moved_bytes, gb_s):
    interval = {"latency_ms": 2.0, "latency_lo_ms": 1.0, "latency_hi_ms": 4.0}
    return {"what": "copy", "variant": variant, "moved_bytes": moved_bytes, "gb_s": gb_s, **interval}


def multiplied(variant, n, gflops):
    interval = {"latency_ms": 2.0, "latency_lo_ms": 1.6, "latency_hi_ms": 2.5}
    return {"what": "matmul", "variant": variant, "n": n, "gflops": gflops, **interval}


CONTROL = [comparison(1, 1.0), comparison(2, 1.1, "faster"), comparison(3, 0.99), comparison(4, 0.9, "slower")]
CEILINGS = [
    *(copied("tinygrad", 2**27, 10.0), copied("tinygrad", 2**21, 40.0), copied("numpy", 2**21, 30.0)),
    *(multiplied("tinygrad", 600, 20.0), multiplied("numpy", 600, 100.0)),
]


def control_figure(made):
    [panel] = control.panels(frame("control", made), {})
    return panel.figure


def ceilings_figures(made):
    return {panel.title: panel.figure for panel in ceilings.panels(frame("ceilings", made), {})}


def trace(figure, name):
    return next(one for one in figure.data if one.name == name)


# the A/A control


def test_comparisons_are_ordered_by_their_ratio_with_the_false_alarms_marked():
    quiet, alarms = control_figure(CONTROL).data
    assert (quiet.name, quiet.x, quiet.y) == ("cannot tell (2)", (2, 3), (0.99, 1.0))
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


def test_a_machine_without_false_alarms_says_zero_of_them():
    assert [one.name for one in control_figure(CONTROL[:1]).data] == ["cannot tell (1)", "false alarm (0)"]


def test_a_comparison_without_an_interval_yet_is_drawn_as_a_point():
    made = [{**comparison(1, 1.0), "speedup_lo": None, "speedup_hi": None}]
    assert control_figure(made).data[0].error_y.array == (0.0,)


def test_no_comparisons_give_no_figure():
    assert control.panels(frame("control", []), {}) == []


# the ceilings


def test_copies_and_products_have_a_figure_each_with_a_trace_per_maker():
    drawn = ceilings_figures(CEILINGS)
    assert list(drawn) == ["Copy rate", "Product rate"]
    assert {one.name: (one.x, one.y) for one in drawn["Copy rate"].data} == {
        "numpy": ((2**21,), (30.0,)),
        "tinygrad": ((2**21, 2**27), (40.0, 10.0)),
    }
    assert {one.name: (one.x, one.y) for one in drawn["Product rate"].data} == {
        "numpy": ((600,), (100.0,)),
        "tinygrad": ((600,), (20.0,)),
    }


def test_the_interval_of_a_rate_is_that_of_the_latency_turned_round():
    errors = trace(ceilings_figures(CEILINGS)["Copy rate"], "numpy").error_y  # 1 to 4 ms about 2 ms
    assert (errors.array, errors.arrayminus) == ((30.0,), (15.0,))


@pytest.mark.parametrize(
    ("made", "titles"), [(CEILINGS[:3], ["Copy rate"]), (CEILINGS[3:], ["Product rate"]), ([], [])]
)
def test_what_has_not_been_measured_yet_has_no_figure(made, titles):
    assert list(ceilings_figures(made)) == titles


def test_a_rate_without_an_interval_is_drawn_without_an_error_bar():
    made = [{**copied("tinygrad", 2**21, 40.0), "latency_lo_ms": None, "latency_hi_ms": None}]
    errors = ceilings_figures(made)["Copy rate"].data[0].error_y
    assert (errors.array, errors.arrayminus) == ((0.0,), (0.0,))


def test_the_sizes_are_on_a_logarithmic_axis_and_the_rates_begin_at_zero():
    layout = ceilings_figures(CEILINGS)["Copy rate"].layout
    assert layout.xaxis.type == "log"
    assert layout.yaxis.rangemode == "tozero"


# both


def test_every_axis_names_its_quantity_and_unit():
    for figure in (control_figure(CONTROL), *ceilings_figures(CEILINGS).values()):
        assert re.fullmatch(r"[^\[\]]+ \[[^\[\]]+\]", figure.layout.yaxis.title.text)
    for figure in ceilings_figures(CEILINGS).values():
        assert re.fullmatch(r"[^\[\]]+ \[[^\[\]]+\]", figure.layout.xaxis.title.text)
    assert control_figure(CONTROL).layout.xaxis.title.text == "Comparisons, ordered by ratio"


def test_every_panel_says_how_to_read_it():
    panels = [*control.panels(frame("control", CONTROL), {}), *ceilings.panels(frame("ceilings", CEILINGS), {})]
    assert all(panel.caption.endswith(".") for panel in panels)
