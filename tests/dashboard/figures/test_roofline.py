"""Kernels under the roofs that were measured."""

import plotly.io
import pytest

from dashboard.figures.roofline import roofline
from tests.dashboard.kernel_records import CACHE_GB_S, CEILINGS, COPY_GB_S, MATMUL_GFLOPS, copy, detail_frame, kernel


def drawn(runs, ceilings=None):
    named = {name: detail_frame("kernels", made) for name, made in runs.items()}
    roofs = dict.fromkeys(runs, CEILINGS) if ceilings is None else ceilings
    panel = roofline(named, {name: detail_frame("ceilings", made) for name, made in roofs.items()})
    return panel and panel.figure


def points(figure):
    return [one for one in figure.data if one.mode == "markers"]


def roofs(figure):
    return {one.name: one for one in figure.data if one.mode == "lines"}


def test_a_kernel_is_drawn_at_its_operations_per_byte_and_its_rate():
    [trace] = points(drawn({"mine": [kernel(1), kernel(2, ops=10**6, bytes=10**7, gflops=3.0)]}))
    assert (trace.x, trace.y) == ((2.0, 0.1), (20.0, 3.0))
    assert trace.name == "mine"


def test_a_kernel_that_takes_more_of_the_time_is_larger_and_its_bound_has_its_own_symbol():
    made = [kernel(1, share=0.75), kernel(2, share=0.25, bound="compute"), kernel(3, share=0.0, bound=None)]
    [trace] = points(drawn({"mine": made}))
    assert trace.marker.size == (20, 12, 8)
    assert trace.marker.symbol == ("circle", "diamond", "x")


def test_the_roofs_stand_at_the_measured_ceilings():
    found = roofs(drawn({"mine": [kernel()]}))
    assert list(found) == ["memory 10 GB/s", "cache 40 GB/s", "matmul 100 GFLOP/s"]
    for name, gb_s in (("memory 10 GB/s", COPY_GB_S), ("cache 40 GB/s", CACHE_GB_S)):
        for x, y in zip(found[name].x, found[name].y, strict=True):
            assert y == pytest.approx(x * gb_s)
        assert found[name].x[1] == MATMUL_GFLOPS / gb_s  # the ridge: there copying meets multiplying
        assert found[name].y[1] == MATMUL_GFLOPS
    assert set(found["matmul 100 GFLOP/s"].y) == {MATMUL_GFLOPS}
    assert found["matmul 100 GFLOP/s"].x[0] == MATMUL_GFLOPS / CACHE_GB_S


@pytest.mark.parametrize("made", [kernel(ops=1, bytes=10**6), kernel(ops=10**9, bytes=10), kernel()])
def test_the_roofs_reach_over_all_kernels(made):
    figure = drawn({"mine": [made]})
    sloped, flat = roofs(figure)["memory 10 GB/s"], roofs(figure)["matmul 100 GFLOP/s"]
    intensity = made["ops"] / made["bytes"]
    assert sloped.x[0] < intensity < flat.x[1]
    assert sloped.x[0] < sloped.x[1]
    assert flat.x[0] <= flat.x[1]


def test_a_device_that_copies_well_and_multiplies_badly_has_roofs_that_rise():
    slow = [*CEILINGS[:2], {**CEILINGS[2], "gflops": 0.01}]
    figure = drawn({"mine": [kernel()]}, {"mine": slow})
    assert "matmul 0.01 GFLOP/s" in roofs(figure)
    for one in roofs(figure).values():
        assert one.x[0] <= one.x[1]
        assert one.y[0] <= one.y[1]


def test_several_runs_share_the_axes_each_with_its_colour_and_its_own_roofs():
    faster = [{**one, "gb_s": 900.0} if "gb_s" in one else {**one, "gflops": 40_000.0} for one in CEILINGS]
    figure = drawn({"mine": [kernel()], "other": [kernel(gflops=90.0)]}, {"mine": CEILINGS, "other": faster})
    mine, other = points(figure)
    assert mine.marker.color != other.marker.color
    found = roofs(figure)
    assert {"mine memory 10 GB/s", "other memory 900 GB/s", "other matmul 40,000 GFLOP/s"} <= set(found)
    assert found["mine memory 10 GB/s"].line.color == mine.marker.color
    assert found["other memory 900 GB/s"].line.color == other.marker.color


def test_variants_of_one_run_share_its_grey_roofs():
    made = {"eager": [kernel()], "jit": [kernel()], "other run": [kernel()]}
    figure = drawn(made, {"mine": CEILINGS})
    assert list(roofs(figure)) == ["memory 10 GB/s", "cache 40 GB/s", "matmul 100 GFLOP/s"]
    figure = drawn(made, {"mine": CEILINGS, "other run": CEILINGS})
    colors = {one.name: one.marker.color for one in points(figure)}
    assert roofs(figure)["other run memory 10 GB/s"].line.color == colors["other run"]
    assert roofs(figure)["mine memory 10 GB/s"].line.color not in colors.values()


def test_kernels_without_operations_bytes_or_time_are_left_out():
    made = [copy(1), kernel(2, bytes=0), kernel(3, gflops=None, kernel_ms=None), kernel(4)]
    [trace] = points(drawn({"mine": made}))
    assert len(trace.x) == 1


@pytest.mark.parametrize("made", [[], [copy(1)], [kernel(gflops=None)]])
def test_without_a_timed_kernel_there_is_no_figure(made):
    assert drawn({"mine": made}) is None


def test_a_run_that_only_copies_does_not_hide_another():
    assert [one.name for one in points(drawn({"mine": [copy(1)], "other": [kernel()]}))] == ["other"]


@pytest.mark.parametrize("ceilings", [[], CEILINGS[:2], CEILINGS[2:]])
def test_without_ceilings_the_kernels_are_drawn_alone(ceilings):
    figure = drawn({"mine": [kernel(bound=None, roof_fraction=None)]}, {"mine": ceilings})
    assert len(points(figure)) == 1
    assert roofs(figure) == {}
    assert plotly.io.to_json(figure)


def test_the_axes_are_logarithmic_and_name_quantity_and_unit():
    layout = drawn({"mine": [kernel()]}).layout
    assert (layout.xaxis.type, layout.yaxis.type) == ("log", "log")
    assert layout.xaxis.title.text == "Arithmetic intensity [operations/byte]"
    assert layout.yaxis.title.text == "Achieved throughput [GFLOP/s]"


def test_markup_in_the_title_of_a_run_is_text():
    figure = drawn({'<a href="//evil">x</a>': [kernel()], "other": [kernel()]})
    assert not any("<a" in one.name for one in figure.data)
