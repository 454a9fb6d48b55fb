import pandas as pd
import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.compression.sensitivity.answer import BEST, GREEDY, answer
from experiments.compression.sensitivity.experiment import SensitivitySpec, sensitivity


@pytest.fixture(scope="module")
def rows(shared_database):
    return experiments.run("sensitivity", preset="quick", device="CPU", time_limit_s=150)


def test_every_layer_is_tried_at_every_number_of_bits_and_two_assignments_follow(rows):
    spec = sensitivity.presets["quick"]
    alone = [f"layers.{layer} int{bits}" for layer in (0, 1) for bits in spec.bits]
    assert rows["variant"].tolist() == [*alone, GREEDY, BEST]


def test_eight_bits_cost_next_to_nothing_and_two_bits_cost_much(rows):
    by_bits = rows[rows["layer"].notna()].groupby("bits")["drop"]
    assert by_bits.max()["8"] <= 0.005
    assert by_bits.min()["2"] >= 0.05


def test_fewer_bits_save_more_bytes(rows):
    for _, layer in rows[rows["layer"].notna()].groupby("layer"):
        assert layer["saved_bytes"].is_monotonic_increasing
        assert (layer["weight_bytes"] + layer["saved_bytes"] == 4 * 101_770).all()


def test_the_greedy_assignment_is_within_a_fifth_of_a_point_of_the_best(rows):
    greedy, best = (rows[rows["variant"] == name].iloc[0] for name in (GREEDY, BEST))
    assert abs(greedy["accuracy"] - best["accuracy"]) <= 0.002
    assert best["weight_bytes"] <= greedy["weight_bytes"]
    assert best["kept"]


def test_bad_input_is_refused_in_one_line():
    with pytest.raises(BadInput) as refused:
        parse(SensitivitySpec, {"bits": "9", "loss": "2"})
    assert [problem.partition(";")[0] for problem in refused.value.problems] == [
        "bits: 9 is not allowed",
        "loss: 2 is not allowed",
    ]


def test_there_is_no_answer_before_mixed_precision_was_measured():
    columns = ["variant", "layer"]
    assert answer(pd.DataFrame([("layers.0 int8", "layers.0")], columns=columns)) == ""


def test_the_answer_names_the_assignment_and_the_most_sensitive_layer(rows):
    sentence = answer(rows)
    assert sentence.startswith(f"With {rows.iloc[-2]['bits']} bits for its layers, mlp takes ")
    assert f"and loses {100 * rows.iloc[-2]['drop']:.2f} percentage points of validation accuracy" in sentence
    worst = rows[rows["layer"].notna()].nlargest(1, "drop").iloc[0]
    assert f"the most sensitive layer is {worst['layer']}: {worst['bits']} bits there alone cost " in sentence
    assert sentence.endswith(f"{100 * worst['drop']:.2f} points.")


def test_every_layer_is_timed_alone(rows):
    alone = rows[rows["layer"].notna()]
    assert (alone["layer_speedup_lo"] <= alone["layer_speedup"]).all()
    assert (alone["layer_speedup"] <= alone["layer_speedup_hi"]).all()
    assert alone.groupby("layer")["layer_speedup"].nunique().tolist() == [1, 1]


def test_both_assignments_stay_within_a_budget_of_bytes(shared_database):
    given = {"device": "CPU", "budget_bytes": 50_000, "images": 500, "time_limit_s": 150}
    found = experiments.run("sensitivity", preset="quick", **given)
    assigned = found[found["variant"].isin([GREEDY, BEST])]
    assert (assigned["weight_bytes"] <= 50_000).all()
    assert assigned["kept"].all()
