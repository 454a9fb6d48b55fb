"""From timings to rows: a place on the front for what is right, nothing of the kind for what is wrong."""

import numpy as np
import pytest

from experiments.bench.timing.measure import Comparison, Timing
from experiments.bench.tinygrad.capture import CallWork
from experiments.models.builder import BuiltModel
from experiments.models.recipe import Recipe
from experiments.studies.tradeoffs.calls import Ready
from experiments.studies.tradeoffs.grid import Choice
from experiments.studies.tradeoffs.measuring import rows_of

BASE, JIT, WRONG = Choice(), Choice("jit"), Choice("jit", quantization="static 8")
POINT = {"network": "mlp", "batch": 4, "seed": 0}


def made(size, rights):
    one = BuiltModel(Recipe(), b"x" * size, b"", np.arange(1000) < rights, rights / 1000, 1.0, from_cache=False)
    one.__dict__["restored"] = type("Restored", (), {"float_weights": lambda self: {"w": np.ones(5)}})()
    return one


@pytest.fixture
def told():
    noise = np.random.default_rng(0)
    timings = {
        one.name: Timing(1, (ms / 1e3 * noise.normal(1, 0.01, 12)).tolist(), [ms / 1e3] * 12, 0.1, 0.1)
        for one, ms in ((BASE, 8.0), (JIT, 2.0), (WRONG, 1.0))
    }
    compared = Comparison(BASE.name, timings, timings[BASE.name])
    calls = {one: Ready(lambda: None, CallWork(2, 1000, 500), 0.0, one is WRONG) for one in (BASE, JIT, WRONG)}
    models = {BASE: made(4000, 980), JIT: made(4000, 980), WRONG: made(1000, 979)}
    rows, effects = rows_of(compared, calls, models, BASE, POINT)
    return {row.values["variant"]: row.values for row in rows}, effects


def test_the_right_ones_have_their_place_on_the_front(told):
    rows, _ = told
    assert (rows[JIT.name]["p_front"], rows[JIT.name]["front"]) == (1.0, True)
    assert (rows[BASE.name]["p_front"], rows[BASE.name]["front"]) == (0.0, False)
    assert rows[BASE.name]["dominated_by"] == JIT.name
    assert rows[JIT.name]["speedup"] == pytest.approx(4, rel=0.02)


def test_a_wrong_result_has_neither_a_speedup_nor_a_place_nor_a_part_in_the_effects(told):
    rows, effects = told
    wrong = rows[WRONG.name]
    assert wrong["verdict"] == "wrong"
    assert not {"speedup", "p_front", "front"} & wrong.keys()
    assert {effect["factor"] for effect in effects} == {"execution"}


def test_effects_are_factors_of_latency_and_bytes_and_differences_of_accuracy(told):
    effects = {effect["response"]: effect for effect in told[1]}
    assert effects["latency"]["effect"] == pytest.approx(0.25, rel=0.02)
    assert effects["bytes"]["effect"] == pytest.approx(1)
    assert effects["accuracy"]["effect"] == 0
    assert all(effect["settings"] == 1 for effect in told[1])


def test_losses_and_throughput_follow_from_what_was_measured(told):
    rows, _ = told
    assert rows[WRONG.name]["accuracy_loss"] == pytest.approx(0.001)
    assert rows[JIT.name]["throughput_per_s"] == pytest.approx(4 / 2e-3, rel=0.02)
    assert rows[WRONG.name]["compression"] == pytest.approx(4 * 101_770 / 1000)
