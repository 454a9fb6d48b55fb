"""Layers quantized alone, and bits shared out under a budget, against the search of all assignments."""

import pytest

from experiments.compression.sensitivity.layer_sensitivity import Sensitivity, sensitivity
from experiments.compression.sensitivity.mixed_precision import choose_bits, search_bits
from experiments.models.data.mnist import mnist
from experiments.models.format.packed import pack
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
from experiments.models.techniques.quantization.post_training import QuantSpec, calibrate, quantize
from tests.experiments.models.small_network import held_out, mixed, trained

BITS = (8, 6, 4, 3, 2)


@pytest.fixture(scope="module")
def validation():
    return mnist().validation


@pytest.fixture(scope="module")
def found(validation):
    return sensitivity(*trained(), BITS, validation.images, validation.labels)


def test_each_layer_alone_has_the_accuracy_of_that_model(found, validation):
    network, weights = trained()
    for one in found[::4]:
        quantized = quantize(network, weights, QuantSpec("weight_only", weight_bits=one.bits))
        alone = {name: values.copy() for name, values in weights.items()}
        alone[f"{one.layer}.weight"] = quantized.float_weights()[f"{one.layer}.weight"]
        model = quantize(network, alone, QuantSpec("float32"))
        assert one.accuracy == accuracy_numpy(model, validation.images, validation.labels)
    assert len({one.accuracy + one.drop for one in found}) == 1


def test_bytes_are_those_of_the_file(found):
    network, weights = trained()
    file = pack(quantize(network, weights, QuantSpec("weight_only", weight_bits=4)))
    header = int.from_bytes(file[8:10], "little") + 14
    assert len(file) - header == sum(one.bytes for one in found if one.bits == 4)
    first = found[0]
    assert first.bytes + first.saved_bytes == 4 * (784 * 24 + 24) + 6  # two arrays, each a tag and its length


def test_two_bits_cost_more_than_eight(found):
    for layer in ("layers.0", "layers.1", "layers.2"):
        eight, two = (next(one for one in found if (one.layer, one.bits) == (layer, bits)) for bits in (8, 2))
        assert abs(eight.drop) < 0.005 < 0.03 < two.drop
        assert abs(eight.loss_rise) < 0.01 < 0.1 < two.loss_rise


def test_a_static_spec_quantizes_the_input_too(validation):
    network, weights = mixed()
    images, labels = validation.images[:200], validation.labels[:200]
    seen = calibrate(network, weights, images)
    rises = [
        sensitivity(network, weights, (8,), images, labels, spec, seen)[1].loss_rise
        for spec in (QuantSpec("weight_only"), QuantSpec("static", activation_bits=2))
    ]
    assert abs(rises[1]) > 2 * abs(rises[0])


@pytest.mark.parametrize("share", [0.45, 0.5, 0.6, 0.7, 0.9])
def test_the_greedy_choice_is_near_the_best_within_a_budget(found, validation, share):
    network, weights = trained()
    budget = int(share * sum(one.bytes for one in found if one.bits == 8))
    greedy = choose_bits(found, budget_bytes=budget)
    best = search_bits(network, weights, BITS, validation.images, validation.labels, budget_bytes=budget)
    model = quantize(network, weights, QuantSpec("weight_only", layer_bits=greedy.bits))
    assert greedy.bytes <= budget
    assert accuracy_numpy(model, validation.images, validation.labels) >= best.accuracy - 0.002


def test_the_greedy_choice_keeps_the_floor(found, validation):
    network, weights = trained()
    floor = found[0].accuracy - 0.01
    greedy = choose_bits(found, floor=floor)
    best = search_bits(network, weights, BITS, validation.images, validation.labels, floor=floor)
    model = quantize(network, weights, QuantSpec("weight_only", layer_bits=greedy.bits))
    assert accuracy_numpy(model, validation.images, validation.labels) >= floor - 0.005
    assert best.accuracy >= floor
    assert greedy.bytes <= 1.1 * best.bytes


def test_the_search_measures_what_it_says(validation):
    network, weights = trained()
    data = validation.first(1000)
    best = search_bits(network, weights, (8, 3), data.images, data.labels, budget_bytes=8000)
    model = quantize(network, weights, QuantSpec("weight_only", layer_bits=best.bits))
    assert best.accuracy == accuracy_numpy(model, data.images, data.labels)


def test_a_choice_worked_out_by_hand():
    found = [
        Sensitivity("a", 8, 0.90, 0.00, 0.0, 100, 300),
        Sensitivity("a", 4, 0.89, 0.01, 0.1, 50, 350),  # 0.1 nats for 50 bytes
        Sensitivity("b", 8, 0.90, 0.00, 0.0, 40, 120),
        Sensitivity("b", 4, 0.88, 0.02, 0.2, 20, 140),  # 0.2 nats for 20
    ]
    assert choose_bits(found, budget_bytes=100).bits == (("a", 4), ("b", 8))
    assert choose_bits(found, budget_bytes=75).bits == (("a", 4), ("b", 4))
    assert choose_bits(found, floor=0.885).bits == (("a", 4), ("b", 8))
    assert choose_bits(found, floor=0.86).accuracy == pytest.approx(0.87)


def test_budgets_that_cannot_be_met_are_refused_in_one_line(found):
    network, weights = trained()
    data = held_out(20)
    for said, wrong in {
        "give either budget_bytes or floor": lambda: choose_bits(found),
        "give either budget_bytes": lambda: choose_bits(found, 10, 0.5),
        "budget_bytes: 10 is too little; the fewest bits take 5265": lambda: choose_bits(found, 10),
        "floor: even the most bits are predicted below": lambda: choose_bits(found, floor=0.999),
        "no assignment of these bits": lambda: search_bits(network, weights, (8,), data.images, data.labels, 10),
        "more than 4096 cases": lambda: search_bits(network, weights, range(2, 19), data.images, data.labels, 10),
        "scheme: dynamic cannot be tried": lambda: sensitivity(
            network, weights, (8,), data.images, data.labels, QuantSpec("dynamic")
        ),
    }.items():
        with pytest.raises(ValueError, match=said):
            wrong()
