"""The sensitivity of each layer, against models with that layer alone quantized."""

import pytest

from experiments.compression.sensitivity.layer_sensitivity import layer_sensitivities
from experiments.models.data.mnist import mnist
from experiments.models.format.packed import pack
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
from experiments.models.techniques.quantization.post_training import quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from tests.experiments.models.small_network import trained

BITS = (8, 6, 4, 3, 2)


@pytest.fixture(scope="module")
def validation():
    return mnist().validation


@pytest.fixture(scope="module")
def found(validation):
    return layer_sensitivities(*trained(), BITS, validation.images, validation.labels)


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
