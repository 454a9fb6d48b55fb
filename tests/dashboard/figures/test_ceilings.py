"""The figures of a device's ceilings."""

import re

import pytest

from dashboard.figures import ceilings
from tests.dashboard.frames_of import rows_of


def copied(variant, moved_bytes, gb_s):
    interval = {"latency_ms": 2.0, "latency_lo_ms": 1.0, "latency_hi_ms": 4.0}
    return {"what": "copy", "variant": variant, "moved_bytes": moved_bytes, "gb_s": gb_s, **interval}


def multiplied(variant, n, gflops):
    interval = {"latency_ms": 2.0, "latency_lo_ms": 1.6, "latency_hi_ms": 2.5}
    return {"what": "matmul", "variant": variant, "n": n, "gflops": gflops, **interval}


CEILINGS = [
    *(copied("tinygrad", 2**27, 10.0), copied("tinygrad", 2**21, 40.0), copied("numpy", 2**21, 30.0)),
    *(multiplied("tinygrad", 600, 20.0), multiplied("numpy", 600, 100.0)),
]


def ceilings_figures(made):
    return {panel.title: panel.figure for panel in ceilings.panels(rows_of("ceilings", made), {})}


def trace(figure, name):
    return next(one for one in figure.data if one.name == name)


def test_copies_and_products_have_a_figure_each_with_a_trace_per_maker():
    drawn = ceilings_figures(CEILINGS)
    assert list(drawn) == ["Copy bandwidth", "Matmul throughput"]
    assert {one.name: (one.x, one.y) for one in drawn["Copy bandwidth"].data} == {
        "numpy": ((2**21,), (30.0,)),
        "tinygrad": ((2**21, 2**27), (40.0, 10.0)),
    }
    assert {one.name: (one.x, one.y) for one in drawn["Matmul throughput"].data} == {
        "numpy": ((600,), (100.0,)),
        "tinygrad": ((600,), (20.0,)),
    }


def test_the_interval_of_a_rate_is_that_of_the_latency_turned_round():
    errors = trace(ceilings_figures(CEILINGS)["Copy bandwidth"], "numpy").error_y  # 1 to 4 ms about 2 ms
    assert (errors.array, errors.arrayminus) == ((30.0,), (15.0,))


@pytest.mark.parametrize(
    ("made", "titles"), [(CEILINGS[:3], ["Copy bandwidth"]), (CEILINGS[3:], ["Matmul throughput"]), ([], [])]
)
def test_what_has_not_been_measured_yet_has_no_figure(made, titles):
    assert list(ceilings_figures(made)) == titles


def test_a_rate_without_an_interval_is_drawn_without_an_error_bar():
    made = [{**copied("tinygrad", 2**21, 40.0), "latency_lo_ms": None, "latency_hi_ms": None}]
    errors = ceilings_figures(made)["Copy bandwidth"].data[0].error_y
    assert (errors.array, errors.arrayminus) == ((0.0,), (0.0,))


def test_the_sizes_are_on_a_logarithmic_axis_and_the_rates_begin_at_zero():
    layout = ceilings_figures(CEILINGS)["Copy bandwidth"].layout
    assert layout.xaxis.type == "log"
    assert layout.yaxis.rangemode == "tozero"


def test_every_axis_names_its_quantity_and_unit():
    for figure in ceilings_figures(CEILINGS).values():
        for axis in (figure.layout.xaxis, figure.layout.yaxis):
            assert re.fullmatch(r"[^\[\]]+ \[[^\[\]]+\]", axis.title.text)


def test_every_panel_has_a_caption_on_how_to_read_it():
    assert all(panel.caption.endswith(".") for panel in ceilings.panels(rows_of("ceilings", CEILINGS), {}))
