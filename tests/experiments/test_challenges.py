"""The course's exercises as challenges: met by the rows of a run that does it, by nothing else."""

import pytest

from experiments.registry import find, registered
from experiments.runs import frames

CHALLENGED = ("jit", "quantization", "tradeoffs", "serving")


def met(name, *records):
    experiment = find(name)
    identity = {"run_id": "r", "experiment": name, "device": "CPU"}
    rows = [{**identity, **one} for one in records]
    return experiment.challenge.met(frames.frame_of(rows, (*frames.IDENTITY, *experiment.columns)))


def test_the_exercises_of_the_course_and_the_trade_offs_are_challenges_that_start_from_a_preset():
    assert [one.name for one in registered().values() if one.challenge] == list(CHALLENGED)
    for name in CHALLENGED:
        challenge = find(name).challenge
        assert challenge.start in find(name).presets
        assert challenge.question.endswith("?")


@pytest.mark.parametrize("name", CHALLENGED)
def test_no_rows_meet_no_challenge(name):
    assert met(name) is None


JIT = {
    "variant": "jit", "model": "mlp3", "batch": 128, "speedup": 6.0, "speedup_lo": 5.5, "speedup_hi": 6.5,
    "verdict": "faster", "bound": "launch", "kernel_ms": 0.03, "kernels": 3, "launch_share": 0.9,
}  # fmt: skip


def test_four_times_faster_at_batch_128_is_met_and_its_explanation_names_what_is_left():
    found = met("jit", JIT)
    assert "6x faster (95% CI 5.5 to 6.5) at batch 128" in found.result
    assert "90% of that call is launch overhead: 3 kernels of 10 µs each" in found.explanation


@pytest.mark.parametrize(
    "change",
    [{"speedup_lo": 3.9}, {"batch": 64}, {"model": "tiny_layers"}, {"verdict": "wrong"}, {"variant": "eager"}],
    ids=str,
)
def test_less_than_four_times_or_something_else_is_not_met(change):
    assert met("jit", JIT | change) is None


FLOAT32 = {"variant": "float32", "network": "cnn", "accuracy": 0.98, "compression": 1.0, "size_bytes": 54_000}
SMALL = {
    "variant": "int3 static", "network": "cnn", "accuracy": 0.971, "compression": 9.0, "size_bytes": 6_000,
    "parameters": 13_600, "weight_bits": 3, "verdict": "cannot tell",
}  # fmt: skip


def test_a_cnn_nine_times_smaller_within_a_point_is_met_and_its_explanation_names_the_rest_of_the_file():
    found = met("quantization", FLOAT32, SMALL)
    assert "6,000 bytes, 9x smaller" in found.result
    assert "13,600 parameters of 3 bits are 5,100 bytes; the other 900 " in found.explanation


@pytest.mark.parametrize("change", [{"accuracy": 0.969}, {"compression": 4.9}, {"verdict": "wrong"}], ids=str)
def test_a_cnn_that_lost_more_or_is_larger_is_not_met(change):
    assert met("quantization", FLOAT32, SMALL | change) is None


DENSE = {"network": "cnn", "pruning": "none", "quantization": "none", "accuracy": 0.98, "compression": 1.0}
PRUNED = DENSE | {"pruning": "unstructured 0.7", "accuracy": 0.978, "compression": 3.0}
INT8 = DENSE | {"quantization": "static 8", "accuracy": 0.979, "compression": 3.7}
BOTH = PRUNED | {
    "variant": "jit int8 static 70% pruned", "quantization": "static 8", "accuracy": 0.976, "compression": 9.0,
    "size_bytes": 6_000, "verdict": "faster",
}  # fmt: skip


def test_a_cnn_pruned_and_quantized_is_met_and_its_explanation_gives_the_effect_of_each_alone():
    found = met("tradeoffs", DENSE, PRUNED, INT8, BOTH)
    assert "6,000 bytes, 9x smaller" in found.result
    assert found.explanation.startswith("unstructured 0.7 alone 3x, static 8 alone 3.7x, together 9x")


@pytest.mark.parametrize("change", [{"accuracy": 0.969}, {"compression": 7.9}, {"network": "mlp"}], ids=str)
def test_a_combination_that_lost_more_or_is_larger_or_another_network_is_not_met(change):
    assert met("tradeoffs", DENSE, BOTH | change) is None


SERVED = {
    "variant": "batch 32, drain", "arrival": "open", "rate_per_s": 1000.0, "objective_ms": 10.0, "slo_met": True,
    "in_time": 0.998, "mean_ms": 1.5, "queue_ms": 0.2, "gather_ms": 0.0, "handover_ms": 0.3, "compute_ms": 0.7,
    "transport_ms": 0.2, "unsent_ms": 0.1,
}  # fmt: skip


def test_a_thousand_requests_per_second_in_time_are_met_and_say_where_the_time_goes():
    found = met("serving", SERVED | {"rate_per_s": 600.0}, SERVED)
    assert "99.8% of 1,000 requests/s within 10 ms" in found.result
    assert "The longest part of the mean 1.5 ms is compute: 0.7 ms, computing in the engine." in found.explanation


@pytest.mark.parametrize(
    "change", [{"rate_per_s": 499.0}, {"objective_ms": 25.0}, {"slo_met": False}, {"arrival": "closed"}], ids=str
)
def test_fewer_later_or_closed_requests_are_not_met(change):
    assert met("serving", SERVED | change) is None
