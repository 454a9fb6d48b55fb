"""The figures of knowledge distillation."""

import pytest

from dashboard.figures import distillation
from experiments.registry import find
from experiments.runs import frames


def frame(made):
    same = {"run_id": "r", "experiment": "distillation", "device": "CPU"}
    return frames.frame_of([{**same, **one} for one in made], (*frames.IDENTITY, *find("distillation").columns))


def details(**records):
    declared = find("distillation").details
    return {name: frames.frame_of(records.get(name, []), columns) for name, columns in declared.items()}


def model(variant, accuracy, size, **values):
    known = {"accuracy_lo": accuracy - 0.01, "accuracy_hi": accuracy + 0.01, "validation_accuracy": accuracy}
    return {"variant": variant, "accuracy": accuracy, **known, "size_bytes": size, **values}


def taught(temperature, alpha, gain, verdict="better", form="squared"):
    name = f"distilled T={temperature:g} α={alpha:g}" + ("" if form == "squared" else " without T²")
    interval = {"gain": gain, "gain_lo": gain - 0.002, "gain_hi": gain + 0.004, "gain_verdict": verdict}
    return model(name, 0.95 + gain, 400_000, temperature=temperature, alpha=alpha, form=form, **interval)


BASE = [model("teacher", 0.98, 2_000_000), model("student alone", 0.95, 400_000)]
ONE = [*BASE, taught(3.0, 0.7, 0.01)]
GRID = [*ONE, taught(8.0, 0.7, 0.001, "cannot tell"), taught(3.0, 0.9, 0.012), taught(8.0, 0.9, 0.015)]
SEEDS = [
    {"variant": "distilled T=3 α=0.7", "seed": n, "accuracy": 0.96, "gain": g} for n, g in enumerate((0.009, 0.011))
]
LEARNING = [
    {"variant": variant, "seed": seed, "step": step, "validation_accuracy": 0.5 + step / 100 + seed / 100}
    for variant in ("student alone", *(one["variant"] for one in GRID[2:]))
    for seed in (0, 1)
    for step in (10, 20)
]
CONFUSION = [
    {"variant": variant, "label": label, "said": said, "count": 98 if label == said else 2}
    for variant in ("student alone", "distilled T=3 α=0.7")
    for label in (0, 1)
    for said in (0, 1)
]
TARGETS = [
    {"digit": 1, "label": 0, "temperature": temperature, "said": said, "probability": 0.5}
    for temperature in (1.0, 3.0)
    for said in (0, 1)
]
DIGITS = [
    {"digit": 1, "label": 0, "row": row, "column": column, "brightness": row / 2} for row in (0, 1) for column in (0, 1)
]


def by_title(rows, **records):
    return {panel.title: panel for panel in distillation.panels(frame(rows), details(**records))}


def test_the_gain_of_each_treatment_has_its_interval_and_its_seeds():
    figure = by_title(ONE, seeds=SEEDS)["What the teacher adds"].figure
    seeds, means = figure.data
    assert seeds.x == pytest.approx((0.9, 1.1))
    assert means.x == pytest.approx((1.0,))
    assert means.error_x.array == pytest.approx((0.4,))
    assert means.error_x.arrayminus == pytest.approx((0.2,))
    assert figure.layout.xaxis.title.text == "Gain [percentage points]"


def test_the_form_without_the_square_looks_different():
    rows = [*ONE, taught(3.0, 0.7, 0.002, form="unsquared")]
    first, second = by_title(rows)["What the teacher adds"].figure.data
    assert first.marker.symbol != second.marker.symbol
    assert first.marker.color != second.marker.color


def test_a_map_is_drawn_only_where_there_are_several_treatments():
    assert "Gain by temperature and alpha" not in by_title(ONE)
    assert {"Accuracy by temperature and alpha", "Gain by temperature and alpha"} <= set(by_title(GRID))


def test_the_map_marks_what_is_inconclusive():
    [cells] = by_title(GRID)["Gain by temperature and alpha"].figure.data
    assert cells.x == ("3", "8")
    assert cells.y == ("0.7", "0.9")
    assert [list(line) for line in cells.text] == [["+1.00", "+0.10?"], ["+1.20", "+1.50"]]


def test_the_two_forms_have_a_map_each():
    both = [*GRID, *(taught(one["temperature"], one["alpha"], 0.001, form="unsquared") for one in GRID[2:])]
    figure = by_title(both)["Accuracy by temperature and alpha"].figure
    assert len(figure.data) == 2
    assert [note.text for note in figure.layout.annotations] == ["with T²", "without T²"]


def test_learning_curves_are_means_with_the_range_of_the_seeds_and_of_the_best_alone():
    figure = by_title(GRID, learning=LEARNING)["Learning curves"].figure
    assert [trace.name for trace in figure.data] == ["student alone", "distilled T=8 α=0.9"]
    assert figure.data[0].x == (10, 20)
    assert figure.data[0].y == pytest.approx((60.5, 70.5))
    assert figure.data[0].error_y.array == pytest.approx((0.5, 0.5))


def test_right_answers_are_left_out_of_the_confusions():
    figure = by_title(ONE, confusion=CONFUSION)["Which digits are confused"].figure
    assert len(figure.data) == 2
    assert [list(line) for line in figure.data[0].z] == [[None, 100.0], [100.0, None]]  # 2 of 200 is 100 of 10,000


def test_each_digit_stands_beside_its_soft_targets():
    figure = by_title(ONE, targets=TARGETS, digits=DIGITS)["Dark knowledge: the teacher's soft targets"].figure
    image, plain, softened = figure.data
    assert [list(line) for line in image.z] == [[0.0, 0.0], [0.5, 0.5]]
    assert (plain.name, softened.name) == ("T = 1", "T = 3")
    assert plain.y == (0.5, 0.5)


def test_size_and_accuracy_of_teacher_student_and_best_are_shown():
    figure = by_title(GRID)["Accuracy against size"].figure
    assert [trace.name for trace in figure.data] == ["teacher", "student alone", "distilled T=8 α=0.9"]
    assert figure.data[0].x == (2000.0,)


def test_before_a_student_was_taught_there_is_what_there_is():
    assert set(by_title(BASE, learning=LEARNING[:4])) == {"Learning curves"}
    assert by_title([]) == {}
