"""From timings to rows: only variants with a correct output are on or off the front and in the effects."""

import numpy as np
import pytest

from experiments.bench.timing.measure import Comparison, Timing
from experiments.bench.tinygrad.capture import CallWork
from experiments.models.builder import BuiltModel
from experiments.models.recipe import Recipe
from experiments.studies.tradeoffs.analysis import rows_and_effects
from experiments.studies.tradeoffs.checked_calls import CheckedCall
from experiments.studies.tradeoffs.grid import Combination

BASE, JIT, WRONG = Combination(), Combination("jit"), Combination("jit", quantization="static 8")
POINT = {"network": "mlp", "batch": 4, "seed": 0}


def made(size, correct):
    one = BuiltModel(Recipe(), b"x" * size, b"", np.arange(1000) < correct, correct / 1000, 1.0, from_cache=False)
    one.__dict__["restored"] = type("Restored", (), {"float_weights": lambda self: {"w": np.ones(5)}})()
    return one


@pytest.fixture
def analyzed():
    noise = np.random.default_rng(0)
    timings = {
        one.name: Timing(1, (ms / 1e3 * noise.normal(1, 0.01, 12)).tolist(), [ms / 1e3] * 12, 0.1, 0.1)
        for one, ms in ((BASE, 8.0), (JIT, 2.0), (WRONG, 1.0))
    }
    compared = Comparison(BASE.name, timings, timings[BASE.name])
    calls = {one: CheckedCall(lambda: None, CallWork(2, 1000, 500), 0.0, one is WRONG) for one in (BASE, JIT, WRONG)}
    models = {BASE: made(4000, 980), JIT: made(4000, 980), WRONG: made(1000, 979)}
    rows, effects = rows_and_effects(compared, calls, models, BASE, POINT)
    return {row.values["variant"]: row.values for row in rows}, effects


def test_correct_variants_are_on_or_off_the_front(analyzed):
    rows, _ = analyzed
    assert (rows[JIT.name]["p_front"], rows[JIT.name]["front"]) == (1.0, True)
    assert (rows[BASE.name]["p_front"], rows[BASE.name]["front"]) == (0.0, False)
    assert rows[BASE.name]["dominated_by"] == JIT.name
    assert rows[JIT.name]["speedup"] == pytest.approx(4, rel=0.02)


def test_a_wrong_output_has_no_speedup_no_place_on_the_front_and_no_part_in_the_effects(analyzed):
    rows, effects = analyzed
    wrong = rows[WRONG.name]
    assert wrong["verdict"] == "wrong"
    assert not {"speedup", "p_front", "front"} & wrong.keys()
    assert {effect["factor"] for effect in effects} == {"execution"}


def test_effects_are_factors_of_latency_and_bytes_and_differences_of_accuracy(analyzed):
    effects = {effect["response"]: effect for effect in analyzed[1]}
    assert effects["latency"]["effect"] == pytest.approx(0.25, rel=0.02)
    assert effects["bytes"]["effect"] == pytest.approx(1)
    assert effects["accuracy"]["effect"] == 0
    assert all(effect["settings"] == 1 for effect in analyzed[1])


def test_losses_and_throughput_are_computed_from_the_measurements(analyzed):
    rows, _ = analyzed
    assert rows[WRONG.name]["accuracy_loss"] == pytest.approx(0.001)
    assert rows[JIT.name]["throughput_per_s"] == pytest.approx(4 / 2e-3, rel=0.02)
    assert rows[WRONG.name]["compression"] == pytest.approx(4 * 101_770 / 1000)
