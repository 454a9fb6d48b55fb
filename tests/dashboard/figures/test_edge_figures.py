"""The figures of the edge experiment."""

import pytest

from dashboard.figures.edge import figures as edge
from experiments.registry import find
from experiments.runs import frames


def frame(*made):
    same = {"run_id": "r", "experiment": "edge", "device": "CPU", "network": "784-64-10"}
    columns = (*frames.IDENTITY, *find("edge").columns)
    return frames.frame_of([{**same, **one} for one in made], columns)


def details(*steps):
    return {"steps": frames.frame_of(list(steps), find("edge").details["steps"])}


ACCURATE = {"accuracy": 0.98, "accuracy_lo": 0.977, "accuracy_hi": 0.983}
PYTHON = {"variant": "python jit", "ran": "ran", "latency_ms": 0.1, "latency_lo_ms": 0.09, "latency_hi_ms": 0.12}
HERE = {
    "variant": "c int8",
    "ran": "ran",
    "binary_bytes": 60_000,
    "weights_bytes": 51_664,
    "latency_ms": 0.002,
    "latency_lo_ms": 0.0019,
    "latency_hi_ms": 0.0022,
    "inside_us": 1.5,
    "inside_p99_us": 2.5,
    **ACCURATE,
}
BUILT = {"variant": "c int8 windows", "ran": "built, not run", "binary_bytes": 130_000, "weights_bytes": 51_664}
TRAIN = {"step": "train", "what": "float32", "weights_bytes": 407_080, "inside_us": 20.0, "accuracy": 0.984}


def panels(*rows):
    return {panel.title: panel.figure for panel in edge.panels(frame(*rows), details())}


def test_targets_that_were_only_built_are_marked():
    figure = panels(PYTHON, HERE, BUILT)["Size"]
    assert [(trace.name, trace.y, trace.x) for trace in figure.data] == [
        ("ran", ("c int8",), (60_000,)),
        ("built, not run", ("c int8 windows",), (130_000,)),
    ]
    assert [trace.marker.pattern.shape for trace in figure.data] == ["", "/"]


def test_the_latency_has_both_clocks_with_their_intervals():
    figure = panels(PYTHON, HERE, BUILT)["Latency at batch 1"]
    python, inside = figure.data
    assert python.x == pytest.approx((100.0, 2.0))
    assert python.error_x.array == pytest.approx((20.0, 0.2))
    assert (inside.y, inside.x, inside.error_x.array) == (("c int8",), (1.5,), (1.0,))
    assert figure.layout.xaxis.title.text.endswith("[µs]")


def test_only_programs_that_ran_have_an_accuracy():
    figure = panels(PYTHON, HERE, BUILT)["Accuracy of the program"]
    assert figure.data[0].y == ("c int8",)
    assert figure.data[0].x == pytest.approx((98.0,))
    assert figure.data[0].error_x.array == pytest.approx((0.3,))


def test_each_step_shows_bytes_time_and_accuracy_and_the_export_has_its_note():
    export = {"step": "export", "what": "60,000 bytes of program"}
    drawn = edge.panels(frame(PYTHON, HERE), details(TRAIN, export))[-1]
    assert [trace.x for trace in drawn.figure.data] == [(407_080,), (20.0,), pytest.approx((98.4,))]
    assert drawn.caption == "Train: float32. Export: 60,000 bytes of program."


def test_no_rows_give_no_figures():
    assert panels() == {}
