"""The figures of the trade-off study: intervals, bands, what is faded, what is selected."""

import json

import numpy as np
import pandas as pd
import pytest
from made_studies import STUDY, details, rows

from dashboard.figures.contributions import waterfall
from dashboard.figures.tradeoffs import FADED, panels, point_panels
from experiments.compression.tradeoff.picks import path
from experiments.runs import frames

TITLES = ["Accuracy against latency", "Accuracy against size", "Size against latency", "All three at once"]


def drawn(frame, name):
    return {panel.title: panel for panel in point_panels(frame, details())}[name].figure


def points(figure):
    return [trace for trace in figure.data if trace.mode == "markers"]


def test_a_study_is_drawn_in_every_pair_of_objectives_and_all_at_once():
    panels = point_panels(rows(), details())
    assert [panel.title for panel in panels][:4] == TITLES
    assert [panel.title for panel in panels][4:] == ["What each technique contributes", "From techniques to objectives"]
    assert [panel.selects for panel in panels] == [True] * 4 + [False] * 2
    for panel in panels:
        json.loads(panel.figure.to_json())
        assert panel.caption.endswith(".")
        assert panel.figure.layout.xaxis.title.text.endswith("]")


@pytest.mark.parametrize("title", TITLES)
def test_every_variant_is_a_point_that_carries_its_name(title):
    frame = rows()
    named = [told[0] for trace in points(drawn(frame, title)) for told in trace.customdata]
    assert sorted(named) == sorted(frame["variant"])


def test_points_have_the_intervals_of_what_was_measured():
    frame = rows().set_index("variant")
    for trace in points(drawn(rows(), TITLES[0])):
        for told, x, y, right, up in zip(
            trace.customdata, trace.x, trace.y, trace.error_x.array, trace.error_y.array, strict=True
        ):
            row = frame.loc[told[0]]
            assert x + right == pytest.approx(row["latency_hi_ms"])
            assert y + up == pytest.approx(100 * row["accuracy_hi"])
    exact = points(drawn(rows(), TITLES[1]))[0]
    assert exact.error_x.visible is False


def test_what_is_off_the_front_is_faded_and_never_hidden():
    frame = rows().set_index("variant")
    for trace in points(drawn(rows(), TITLES[0])):
        off = {not frame.loc[told[0], "front"] for told in trace.customdata}
        assert off == {trace.opacity == FADED}
        assert trace.visible is None


def test_the_band_lies_between_the_bad_and_the_good_ends():
    good, bad = (trace for trace in drawn(rows(), TITLES[0]).data if trace.mode == "lines")
    assert bad.fill == "tonexty"
    assert max(good.y) == pytest.approx(100 * rows()["accuracy_hi"].max())
    assert max(bad.y) == pytest.approx(100 * rows()["accuracy_lo"].max())
    assert (np.diff(good.y) >= 0).all()
    assert (np.diff(bad.y) >= 0).all()
    smaller = next(trace for trace in drawn(rows(), TITLES[2]).data if trace.mode == "lines")
    assert (np.diff(smaller.y) <= 0).all()


def test_hovering_tells_recipe_numbers_and_who_dominates():
    told = {one[0]: one[1] for trace in points(drawn(rows(), TITLES[0])) for one in trace.customdata}
    said = told["eager float32 dense"]
    assert "recipe none none 0 on CPU" in said
    assert "407,462 bytes" in said
    assert "dominated by jit int8 static dense" in said


def test_technique_and_combination_have_their_colour_and_symbol():
    traces = {trace.name: trace for trace in points(drawn(rows(), TITLES[0]))}
    assert set(traces) == {"float32", "weight only", "static"}
    assert len({trace.marker.color for trace in traces.values()}) == 3
    symbols = {
        told[0]: symbol
        for trace in points(drawn(rows(), TITLES[0]))
        for told, symbol in zip(trace.customdata, trace.marker.symbol, strict=True)
    }
    assert symbols["eager float32 dense"] == "circle-open"
    assert symbols["jit int8 static 90% pruned"] == "triangle-up"
    assert symbols["jit float32 width 50%"] == "square"


def test_two_devices_are_told_apart_on_one_figure():
    both = pd.concat([rows(), rows(device="CUDA")], ignore_index=True)
    names = {trace.name for trace in points(drawn(both, TITLES[0]))}
    assert {"CPU: static", "CUDA: static"} <= names
    assert sum(trace.mode == "lines" for trace in drawn(both, TITLES[0]).data) == 4


def test_effects_have_their_intervals_and_a_line_at_nothing():
    figure = drawn(rows(), "What each technique contributes")
    accuracy, latency, _ = figure.data
    assert list(accuracy.y)[::-1] == ["jit", "static 8", "90% pruned", "jit x static 8"]
    assert list(accuracy.x) == pytest.approx([-0.3] * 4)
    assert list(latency.error_x.array) == pytest.approx([0.04] * 4)
    assert sorted(line.x0 for line in figure.layout.shapes) == [0, 1, 1]


def test_the_way_to_a_variant_is_one_row_for_each_technique():
    panel = waterfall(path(rows(), "jit int8 static 90% pruned"))
    size, latency, accuracy = panel.figure.data
    assert list(size.y) == ["baseline", "+ 90% pruned", "+ static 8", "+ jit"]
    assert size.x[0] == pytest.approx(407.462)
    assert latency.error_x.array[0] > 0
    assert accuracy.x[0] == pytest.approx(98.44, abs=0.1)


def test_models_are_shown_as_they_are_made_until_there_are_rows():
    records = [{"recipe": "abc", "text": "{}", "size_bytes": 400, "accuracy": 0.98, "kept": False, "seconds": 1.0}]
    made = {**details(), "models": frames.frame_of(records, STUDY.details["models"])}
    (panel,) = panels(rows()[:0], made)
    assert (panel.figure.data[0].x[0], panel.figure.data[0].y[0]) == (400, pytest.approx(98))
    assert panels(rows(), made) == panels(rows()[:0], details()) == []


def test_failed_and_wrong_variants_are_left_out():
    frame = rows()
    frame.loc[3, ["p_front", "latency_ms"]] = None
    named = [told[0] for trace in points(drawn(frame, TITLES[0])) for told in trace.customdata]
    assert len(named) == len(frame) - 1
    assert point_panels(frame.assign(p_front=None), details()) == []
