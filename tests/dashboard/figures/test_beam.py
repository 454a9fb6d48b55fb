import math

import pytest

from dashboard import figures
from dashboard.figures import beam
from experiments.compiler.beam.experiment import beam as experiment
from experiments.runs import frames


def row(variant, kernel_ms, **changes):
    interval = {"kernel_lo_ms": kernel_ms * 0.9, "kernel_hi_ms": kernel_ms * 1.2}
    same = {"run_id": "r", "experiment": "beam", "device": "CPU", "size": 512, "kernels": 1}
    cost = {"latency_ms": kernel_ms, "first_call_ms": 300.0, "control_lo": 0.99, "control_hi": 1.02}
    return {**same, "variant": variant, "kernel_ms": kernel_ms, **interval, **cost, **changes}


SPEEDUP = {"speedup": 2.0, "speedup_lo": 1.8, "speedup_hi": 2.1}
PAID = {"break_even_calls": 3000, "break_even_calls_lo": 2500, "break_even_calls_hi": 4000}
ROWS = [
    row("noopt", 200.0, speedup=0.05, speedup_lo=0.04, speedup_hi=0.06),
    row("heuristic", 10.0),
    row("beam=2", 5.0, first_call_ms=15_300.0, search_s=15.0, **SPEEDUP, **PAID),
]
TRIED = [
    {"candidate": 1, "kernel": 1, "at_s": 1.0, "candidate_ms": 40.0, "best_ms": 40.0, "opts": "UPCAST(0,4)"},
    {"candidate": 2, "kernel": 1, "at_s": 2.0, "candidate_ms": None, "best_ms": 40.0, "opts": "THREAD(0,2)"},
    {"candidate": 3, "kernel": 1, "at_s": 3.0, "candidate_ms": 50.0, "best_ms": 40.0, "opts": "UNROLL(0,4)"},
    {"candidate": 4, "kernel": 2, "at_s": 4.0, "candidate_ms": 5.0, "best_ms": 5.0, "opts": ""},
]


def frame(made):
    return frames.frame_of(made, (*frames.IDENTITY, *experiment.columns))


def drawn(made=ROWS, tried=TRIED):
    records = [{"run_id": "r", "size": 512, "variant": "beam=2", **one} for one in tried]
    candidates = frames.frame_of(records, (frames.RUN_ID, *experiment.details["candidates"]))
    return {panel.title: panel for panel in beam.point_panels(frame(made), {"candidates": candidates})}


def test_the_module_is_found_by_the_experiments_name():
    found = figures.view_of("beam")
    assert (found.point_panels, found.point_tables) == (beam.point_panels, beam.point_tables)


def test_one_size_has_four_figures():
    assert list(drawn()) == ["Kernel time", "Speedup", "The search", "Break-even of the search"]
    assert beam.panels(frame(ROWS), {}) == []


def test_every_variant_has_its_kernel_time_with_its_interval():
    traces = drawn()["Kernel time"].figure.data
    assert [(one.x, one.y) for one in traces] == [(("noopt",), (200,)), (("heuristic",), (10,)), (("beam=2",), (5,))]
    assert [one.error_y.array[0] for one in traces] == pytest.approx([40, 2, 1])
    assert [one.error_y.arrayminus[0] for one in traces] == pytest.approx([20, 1, 0.5])


def test_the_gain_is_drawn_without_the_baseline_and_with_the_control():
    figure = drawn()["Speedup"].figure
    assert [one.name for one in figure.data] == ["noopt", "beam=2"]
    assert any(shape.type == "rect" and (shape.y0, shape.y1) == (0.99, 1.02) for shape in figure.layout.shapes)


def test_the_search_shows_every_candidate_that_ran_and_the_best_of_each_kernel():
    points, *lines = drawn()["The search"].figure.data
    assert (points.x, points.y) == ((1, 3, 4), (40, 50, 5))
    assert [(line.x, line.y) for line in lines[:2]] == [((1, 3), (40, 40)), ((4,), (5,))]
    assert lines[2].name == "heuristic, timed afterwards"
    assert lines[2].y == (10, 10)


def test_of_several_kernels_the_heuristics_sum_is_no_line_beside_single_candidates():
    several = [{**one, "kernels": 2} for one in ROWS]
    assert all("heuristic" not in one.name for one in drawn(several)["The search"].figure.data)


def test_the_curves_of_cumulative_time_cross_where_the_search_has_paid():
    figure = drawn()["Break-even of the search"].figure
    curves = {one.name: dict(zip(one.x, one.y, strict=True)) for one in figure.data}
    assert curves["heuristic"][1] == pytest.approx(0.3)
    assert curves["beam=2"][1] == pytest.approx(15.3)
    behind = {n: curves["beam=2"][n] - curves["heuristic"][n] for n in curves["beam=2"]}
    assert all((gap <= 0) == (n >= 3001) for n, gap in behind.items())
    assert {(shape.type, shape.x0, shape.x1) for shape in figure.layout.shapes} == {
        ("rect", 2500, 4000),
        ("line", 3000, 3000),
    }


def test_a_search_that_was_ended_starts_at_what_it_has_cost():
    ended = [ROWS[1], row("beam=8", 4.0, first_call_ms=None, search_s=60.0, verdict="timeout")]
    curves = {one.name: one.y for one in drawn(ended)["Break-even of the search"].figure.data}
    assert curves["beam=8"][0] == 60


def test_a_search_that_was_ended_is_marked_as_such():
    ended = [ROWS[1], row("beam=8", 4.0, search_s=60.0, verdict="timeout")]
    assert [one.x for one in drawn(ended)["Kernel time"].figure.data] == [("heuristic",), ("beam=8<br>timeout",)]


def test_the_optimisations_are_a_table_in_words_by_kernel():
    made = [
        {**ROWS[1], "in_words": "4 steps of sum 0 written out"},
        {**ROWS[2], "in_words": "none | tensor cores"},
        {**row("beam=8", 4.0), "in_words": None},
    ]
    (table,) = beam.point_tables(frame(made), {})
    assert table.frame.iloc[:, 0].to_dict() == {
        "heuristic": "4 steps of sum 0 written out",
        "beam=2": "Kernel 1: none. Kernel 2: tensor cores.",
    }
    assert beam.point_tables(frame(ROWS), {}) == []


def test_several_sizes_have_a_figure_of_their_own():
    more = [*ROWS, *({**one, "size": 1024} for one in ROWS)]
    (panel,) = beam.panels(frame(more), {})
    assert [one.x for one in panel.figure.data] == [(512, 1024)] * 3


def test_before_the_first_row_there_is_only_the_search():
    assert list(drawn([])) == ["The search"]


def test_every_axis_has_its_quantity_and_every_figure_its_caption():
    for panel in drawn().values():
        assert panel.figure.layout.xaxis.title.text
        assert "[" in panel.figure.layout.yaxis.title.text
        assert panel.caption.endswith(".")
        low, high = panel.figure.layout.xaxis.range or (0, 1)
        assert math.isfinite(low) < math.isfinite(high) + 1
