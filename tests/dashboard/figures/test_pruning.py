import numpy as np
import pytest

from dashboard.figures import pruning
from experiments.registry import find
from experiments.runs import frames


def frame(made):
    same = {"run_id": "r", "experiment": "pruning", "device": "CPU"}
    return frames.frame_of([{**same, **one} for one in made], (*frames.IDENTITY, *find("pruning").columns))


def details(**records):
    declared = find("pruning").details
    return {name: frames.frame_of(records.get(name, []), columns) for name, columns in declared.items()}


def row(variant, form, target, accuracy, size, speedup=None):
    interval = {"speedup_lo": speedup - 0.1, "speedup_hi": speedup + 0.1} if speedup else {}
    return {
        "variant": variant,
        "form": form,
        "target": target,
        "sparsity": target,
        "fine_tune_steps": 0,
        "accuracy_before_fine_tune": accuracy,
        "seed_accuracy": accuracy,
        "seed_accuracy_lo": None if accuracy is None else accuracy - 0.001,
        "seed_accuracy_hi": None if accuracy is None else accuracy + 0.001,
        "size_bytes": size,
        "latency_ms": 2.0,
        "latency_lo_ms": 1.0,
        "latency_hi_ms": 3.0,
        "speedup": speedup,
        **interval,
    }


ROWS = [
    row("dense", "dense", 0.0, 0.98, 400_000),
    row("magnitude", "dense", 0.9, 0.97, 40_000, 1.0),
    row("magnitude gather", "gather", 0.9, 0.97, 40_000, 1.5),
    row("magnitude", "dense", 0.5, 0.98, 200_000, 1.0),
    row("random", "dense", 0.9, 0.6, 40_000, 1.0),
    row("l2 units", "smaller", 0.9, 0.95, 40_000, 2.0),
]


def titles(panels):
    return [panel.title for panel in panels]


def trace(panel, name):
    return next(one for one in panel.figure.data if one.name == name)


def test_accuracy_is_drawn_against_what_is_left_with_the_interval_over_the_seeds():
    sparsity, size, _ = pruning.panels(frame(ROWS), details())
    magnitude = trace(sparsity, "magnitude")
    assert magnitude.x == pytest.approx((0.1, 0.5))
    assert magnitude.y == pytest.approx((3.0, 2.0))
    assert magnitude.customdata[0] == pytest.approx((97.0, 96.9, 97.1))
    assert magnitude.error_y.array == pytest.approx((0.1, 0.1))
    assert magnitude.error_y.arrayminus == pytest.approx((0.1, 0.1))
    assert sparsity.figure.layout.xaxis.ticktext[:2] == ("0", "25")
    assert sparsity.figure.layout.xaxis.title.text == "Pruned weights [%]"
    assert trace(size, "magnitude").x == (40_000, 200_000)


def test_accuracies_stand_at_the_logarithm_of_the_errors_with_ticks_that_name_them():
    axis = pruning.panels(frame(ROWS), details())[0].figure.layout.yaxis
    assert axis.type == "log"
    assert axis.range == pytest.approx((np.log10(40.1 * 1.1), np.log10(1.9 / 1.1)))
    assert dict(zip(axis.tickvals, axis.ticktext, strict=True))[2] == "98"
    assert axis.title.text == "Test accuracy [%]"


def test_an_interval_beyond_every_right_answer_ends_where_the_axis_can_show_it():
    perfect = row("magnitude", "dense", 0.9, 0.9995, 40_000) | {"seed_accuracy_hi": 1.01}
    sparsity = pruning.panels(frame([ROWS[0], perfect]), details())[0]
    assert trace(sparsity, "magnitude").error_y.arrayminus == pytest.approx((0.0,), abs=1e-9)


def test_what_fine_tuning_has_to_bring_back_is_shown_where_there_was_any():
    tuned = [{**one, "fine_tune_steps": 300, "accuracy_before_fine_tune": 0.5} for one in ROWS]
    panel = pruning.panels(frame(tuned), details())[2]
    assert panel.title == "Without fine-tuning"
    assert trace(panel, "magnitude").y == pytest.approx((50.0, 50.0))


def test_ways_that_differ_in_scope_or_schedule_alone_look_different():
    names = ("magnitude global cubic", "magnitude layer cubic", "magnitude global one shot", "random")
    made = frame([ROWS[0], *(row(name, "dense", 0.9, 0.97, 40_000, 1.0) for name in names)])
    marks = [one.marker for one in pruning.panels(made, details())[0].figure.data]
    assert len({mark.color for mark in marks}) == len({mark.symbol for mark in marks}) == 5


def test_latency_shows_the_smaller_the_same_and_the_gathered_network():
    latency = pruning.panels(frame(ROWS), details())[2]
    assert latency.title == "Latency against width"
    assert [one.name for one in latency.figure.data] == ["dense", "magnitude", "magnitude gather", "l2 units"]


def test_an_untested_matrix_has_latency_alone():
    untested = [row(one["variant"], one["form"], one["target"], None, 1000, one["speedup"]) for one in ROWS]
    assert titles(pruning.panels(frame(untested), details())) == ["Latency against width"]


def picture(variant, target, after):
    tiles = ((tile, row, column) for tile in range(2) for row in range(3) for column in range(3))
    same = {"variant": variant, "target": target, "before": 1.0, "after": after}
    return [{**same, "tile": tile, "row": row, "column": column} for tile, row, column in tiles]


def test_the_picture_shows_before_and_after_and_leaves_zeros_empty():
    made = details(picture=[*picture("magnitude", 0.9, 0.0), *picture("l2 units", 0.9, 2.0)])
    panel = pruning.panels(frame(ROWS), made)[-1]
    assert panel.title == "The weights before and after"
    [heat] = panel.figure.data
    assert panel.figure.layout.yaxis.ticktext == ("before", "magnitude 90%", "l2 units 90%")
    image = np.array(heat.z, float)
    assert image.shape == (3 * 3 + 2 * 2, 2 * 3 + 2)
    assert (image[:3, :3] == 1).all()
    assert np.isnan(image[5:8]).all()
    assert (image[10:, :3] == 2).all()


def test_storages_layers_sensitivity_and_fine_tuning_are_drawn_where_there_are_any():
    which = {"variant": "magnitude", "target": 0.9}
    made = details(
        storage=[{**which, "storage": name, "size_bytes": size} for name, size in (("dense", 400), ("csr", 50))],
        layers=[{**which, "layer": "layers.0", "weights": 100, "nonzero": 10, "sparsity": 0.9, "units": 5}],
        sensitivity=[{"layer": "layers.0", "sparsity": 0.9, "accuracy": 0.5, "accuracy_lo": 0.4, "accuracy_hi": 0.6}],
        picture=picture("magnitude", 0.9, 0.0),
        fine_tuning=[{**which, "step": step, "sparsity": 0.9, "validation_accuracy": 0.9} for step in (0, 10)],
    )
    panels = pruning.panels(frame(ROWS), made)
    assert titles(panels)[3:] == [
        "Size by storage",
        "Sparsity of each layer",
        "Sensitivity of each layer",
        "The weights before and after",
        "Accuracy during gradual pruning",
    ]
    storage, layers, sensitivity, _, fine_tuning = panels[3:]
    assert [one.name for one in storage.figure.data] == ["dense", "csr"]
    assert layers.figure.data[0].y == pytest.approx((90.0,))
    assert sensitivity.figure.data[0].y == pytest.approx((50.0,))
    assert fine_tuning.figure.data[0].x == (0, 10)


def test_every_axis_title_has_quantity_and_unit():
    for panel in pruning.panels(frame(ROWS), details()):
        for axis in (panel.figure.layout.xaxis, panel.figure.layout.yaxis):
            assert axis.title.text.endswith("]")


def test_the_speedup_at_one_target_has_a_bar_for_each_program():
    [panel] = pruning.point_panels(frame(ROWS[1:3]), details())
    assert panel.figure.data[0].y == ("magnitude", "magnitude gather")
    assert panel.figure.data[0].error_x.array == pytest.approx((0.1, 0.1))


def test_no_rows_give_no_figures():
    assert pruning.panels(frame([]), details()) == []
    assert pruning.point_panels(frame([]), details()) == []
