"""Bits assigned to layers under a budget, against the exhaustive search."""

import pytest

from experiments.compression.sensitivity.layer_sensitivity import LayerSensitivity, layer_sensitivities
from experiments.compression.sensitivity.mixed_precision import assign_bits, search_assignments
from experiments.models.data.mnist import mnist
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
from experiments.models.techniques.quantization.post_training import quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from tests.experiments.models.small_network import held_out, trained

BITS = (8, 6, 4, 3, 2)


@pytest.fixture(scope="module")
def validation():
    return mnist().validation


@pytest.fixture(scope="module")
def found(validation):
    return layer_sensitivities(*trained(), BITS, validation.images, validation.labels)


@pytest.mark.parametrize("share", [0.45, 0.5, 0.6, 0.7, 0.9])
def test_the_greedy_assignment_is_near_the_best_within_a_budget(found, validation, share):
    network, weights = trained()
    budget = int(share * sum(one.bytes for one in found if one.bits == 8))
    greedy = assign_bits(found, budget_bytes=budget)
    best = search_assignments(network, weights, BITS, validation.images, validation.labels, budget_bytes=budget)
    model = quantize(network, weights, QuantSpec("weight_only", layer_bits=greedy.bits))
    assert greedy.bytes <= budget
    assert accuracy_numpy(model, validation.images, validation.labels) >= best.accuracy - 0.002


def test_the_greedy_assignment_meets_the_minimum_accuracy(found, validation):
    network, weights = trained()
    least = found[0].accuracy - 0.01
    greedy = assign_bits(found, min_accuracy=least)
    best = search_assignments(network, weights, BITS, validation.images, validation.labels, min_accuracy=least)
    model = quantize(network, weights, QuantSpec("weight_only", layer_bits=greedy.bits))
    assert accuracy_numpy(model, validation.images, validation.labels) >= least - 0.005
    assert best.accuracy >= least
    assert greedy.bytes <= 1.1 * best.bytes


def test_the_accuracy_of_the_search_is_that_of_the_quantized_model(validation):
    network, weights = trained()
    data = validation.first(1000)
    best = search_assignments(network, weights, (8, 3), data.images, data.labels, budget_bytes=8000)
    model = quantize(network, weights, QuantSpec("weight_only", layer_bits=best.bits))
    assert best.accuracy == accuracy_numpy(model, data.images, data.labels)


def test_a_greedy_assignment_worked_out_by_hand():
    found = [
        LayerSensitivity("a", 8, 0.90, 0.00, 0.0, 100, 300),
        LayerSensitivity("a", 4, 0.89, 0.01, 0.1, 50, 350),  # 0.1 nats for 50 bytes
        LayerSensitivity("b", 8, 0.90, 0.00, 0.0, 40, 120),
        LayerSensitivity("b", 4, 0.88, 0.02, 0.2, 20, 140),  # 0.2 nats for 20
    ]
    assert assign_bits(found, budget_bytes=100).bits == (("a", 4), ("b", 8))
    assert assign_bits(found, budget_bytes=75).bits == (("a", 4), ("b", 4))
    assert assign_bits(found, min_accuracy=0.885).bits == (("a", 4), ("b", 8))
    assert assign_bits(found, min_accuracy=0.86).accuracy == pytest.approx(0.87)


def test_limits_that_cannot_be_met_are_refused_in_one_line(found):
    network, weights = trained()
    data = held_out(20)
    for message, refused in {
        "give either budget_bytes or min_accuracy": lambda: assign_bits(found),
        "give either budget_bytes": lambda: assign_bits(found, 10, 0.5),
        "budget_bytes: 10 is too small; the fewest bits need 5265": lambda: assign_bits(found, 10),
        "min_accuracy: even the most bits have a predicted accuracy below": lambda: assign_bits(
            found, min_accuracy=0.999
        ),
        "no assignment of these bits": lambda: search_assignments(network, weights, (8,), data.images, data.labels, 10),
        "more than 4096 assignments": lambda: search_assignments(
            network, weights, range(2, 19), data.images, data.labels, 10
        ),
    }.items():
        with pytest.raises(ValueError, match=message):
            refused()
