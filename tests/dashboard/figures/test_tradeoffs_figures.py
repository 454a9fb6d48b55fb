"""The figures of the trade-off study: intervals, bands, what is faded, what is selected."""

import json

import numpy as np
import pandas as pd
import pytest

from dashboard.figures.tradeoffs.contributions import waterfall
from dashboard.figures.tradeoffs.figures import FADED, compared_panels, panels, point_panels
from experiments.runs import frames
from experiments.studies.tradeoffs.recommendation import technique_path
from tests.dashboard.study_records import STUDY, details, rows

TITLES = ["Accuracy against latency", "Accuracy against size", "Size against latency", "All three at once"]


def drawn(frame, name):
    return {panel.title: panel for panel in point_panels(frame, details())}[name].figure


def points(figure):
    return [trace for trace in figure.data if trace.mode == "markers" and trace.customdata is not None]


def legend(figure):
    return [trace.name for trace in figure.data if trace.showlegend is not False]


def labels(figure):
    return {note.text for note in figure.layout.annotations}


def test_a_study_is_drawn_in_every_pair_of_objectives_and_all_at_once():
    panels = point_panels(rows(), details())
    assert [panel.title for panel in panels][:4] == TITLES
    assert [panel.title for panel in panels][4:] == ["Effects of the techniques", "From techniques to objectives"]
    assert [panel.selects for panel in panels] == [True] * 4 + [False] * 2
    for panel in panels:
        json.loads(panel.figure.to_json())
        assert panel.caption.endswith(".")
        assert panel.figure.layout.xaxis.title.text.endswith("]")


def test_the_axes_say_which_way_is_better():
    titles = [(figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) for figure in map_drawn(TITLES)]
    assert all(x.startswith("← better") for x, _ in titles)
    assert [y.endswith("better →") for _, y in titles] == [True, True, False, True]
    assert titles[2][1].startswith("← better")


def map_drawn(titles):
    return [drawn(rows(), title) for title in titles]


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
            paired = row["accuracy"] + row["accuracy_loss"] - row["accuracy_loss_lo"]  # not that of it alone
            assert y + up == pytest.approx(100 * paired)
    exact = points(drawn(rows(), TITLES[1]))[0]
    assert exact.error_x.visible is False


def test_what_is_off_the_front_is_faded_and_never_hidden():
    frame = rows().set_index("variant")
    for trace in points(drawn(rows(), TITLES[0])):
        off = {not frame.loc[told[0], "front"] for told in trace.customdata}
        assert off == {trace.opacity == FADED}
        assert trace.visible is None


def test_the_front_lies_on_a_band_between_the_bad_and_the_good_ends():
    good, bad, middle = (trace for trace in drawn(rows(), TITLES[0]).data if trace.mode == "lines")
    assert (good.fill, bad.fill, middle.fill) == (None, "tonexty", None)
    frame = rows()
    baseline = frame["accuracy"] + frame["accuracy_loss"]
    assert max(good.y) == pytest.approx(100 * (baseline - frame["accuracy_loss_lo"]).max())
    assert max(bad.y) == pytest.approx(100 * (baseline - frame["accuracy_loss_hi"]).max())
    assert max(middle.y) == pytest.approx(100 * frame["accuracy"].max())
    for line in (good, bad, middle):
        assert (np.diff(line.y) >= 0).all()
    smaller = next(trace for trace in drawn(rows(), TITLES[2]).data if trace.mode == "lines")
    assert (np.diff(smaller.y) <= 0).all()


def test_the_baseline_and_the_winners_are_named_in_the_figure():
    said = labels(drawn(rows(), TITLES[0]))
    assert "<b>baseline</b>" in said
    assert any(text.startswith("<b>Smallest</b><br>jit int8") for text in said)
    assert any(text.startswith("<b>Fastest</b><br>jit int8 static") for text in said)
    assert any("kB" in text and " ms" in text for text in labels(drawn(rows(), TITLES[3])))


def test_far_worse_variants_do_not_flatten_the_others():
    frame = rows()
    frame.loc[5, ["accuracy", "accuracy_loss", "accuracy_loss_lo", "accuracy_loss_hi"]] = [0.4, 0.58, 0.57, 0.6]
    figure = drawn(frame, TITLES[0])
    low, high = figure.layout.yaxis.range
    assert figure.layout.yaxis.type == "log"
    assert low > high  # an error, mirrored: better is up
    shown = dict(zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True))
    assert shown[2] == "98"
    named = {told[0]: y for trace in points(figure) for told, y in zip(trace.customdata, trace.y, strict=True)}
    assert named[frame["variant"][5]] == pytest.approx(60)


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
    shapes = ["dense", "pruned weights", "fewer units", "hollow: eager", "filled: JIT"]
    assert legend(drawn(rows(), TITLES[0])) == ["front", "float32", "weight only", "static", *shapes]
    symbols = {
        told[0]: symbol
        for trace in points(drawn(rows(), TITLES[0]))
        for told, symbol in zip(trace.customdata, trace.marker.symbol, strict=True)
    }
    assert symbols["eager float32 dense"] == "circle-open"
    assert symbols["jit int8 static 90% pruned"] == "triangle-up"
    assert symbols["jit float32 width 50%"] == "square"


def test_two_devices_are_compared_on_one_figure_each_with_its_front():
    runs = [rows(), rows(device="CUDA").assign(run_id="s")]
    panels = compared_panels(pd.concat(runs, ignore_index=True), {"r": "mine", "s": "theirs"})
    assert [panel.title for panel in panels] == [f"{title}: mlp, batch 32, seed 0" for title in TITLES[:3]]
    assert not any(panel.selects for panel in panels)
    figure = panels[0].figure
    assert legend(figure)[:2] == ["front: mine", "front: theirs"]
    borders = {trace.marker.line.color for trace in points(figure) if trace.name == "static"}
    assert len(borders) == 2
    assert len({told[0] for trace in points(figure) for told in trace.customdata}) == len(rows())


@pytest.mark.parametrize(
    "other", [{"batch": 1}, {"network": "cnn"}, {"p_front": None}], ids=lambda one: next(iter(one))
)
def test_studies_without_a_point_in_common_are_not_drawn_together(other):
    both = pd.concat([rows(), rows().assign(run_id="s", **other)], ignore_index=True)
    assert compared_panels(both, {"r": "mine", "s": "theirs"}) == []
    assert compared_panels(rows(), {"r": "mine"}) == []


def test_effects_have_their_intervals_and_a_line_at_nothing():
    figure = drawn(rows(), "Effects of the techniques")
    accuracy, latency, _ = figure.data
    assert list(accuracy.y)[::-1] == ["jit", "static 8", "90% pruned", "jit x static 8"]
    assert list(accuracy.x) == pytest.approx([-0.3] * 4)
    assert list(latency.error_x.array) == pytest.approx([0.04] * 4)
    assert sorted(line.x0 for line in figure.layout.shapes) == [0, 1, 1]
    assert list(latency.text) == ["0.4x"] * 4


def test_the_way_to_a_variant_is_one_row_for_each_technique():
    panel = waterfall(technique_path(rows(), "jit int8 static 90% pruned"))
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
