"""Specs, calibration and quantized weights; the integer path against its float twin."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from experiments.models.sequential.forward import forward_numpy, initial_weights
from experiments.models.sequential.network import Linear, Network, mlp
from experiments.models.techniques.quantization.numpy_backend import (
    accuracy_numpy,
    fake_quantized_forward_numpy,
    integer_forward_numpy,
    logits_numpy,
    rescale,
)
from experiments.models.techniques.quantization.post_training import calibrate, quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from tests.experiments.models.small_network import MIXED, held_out, mixed, trained

TOLERANCE = 1e-6  # of the largest logit: both differ by the float32 rounding of the logits alone
FLOAT = QuantSpec("float32")
STATIC = [
    QuantSpec(),
    QuantSpec(symmetry="asymmetric"),
    QuantSpec(granularity="per_tensor", weight_bits=6, activation_bits=6),
    QuantSpec(weight_bits=4, activation_bits=4, observer="mse", weight_observer="mse"),
    QuantSpec(weight_bits=3, activation_bits=8, observer="entropy", symmetry="asymmetric"),
    QuantSpec(weight_bits=2, activation_bits=2, observer="percentile", granularity="per_tensor"),
]


@pytest.fixture(scope="module")
def images():
    return held_out().images


@pytest.fixture(scope="module")
def labels():
    return held_out().labels


@pytest.fixture(scope="module", params=[pytest.param("trained", marks=pytest.mark.slow), "mixed"])
def model(request, images):
    network, weights = trained() if request.param == "trained" else mixed()
    inputs = images[:500]
    if request.param == "mixed":
        inputs = images[:500] - np.float32(0.3)  # negative inputs: the first grid is signed
    return network, weights, calibrate(network, weights, inputs[:128]), inputs


@pytest.mark.parametrize("spec", STATIC, ids=str)
def test_integer_and_fake_quantized_logits_are_equal(model, spec):
    network, weights, calibration, inputs = model
    quantized = quantize(network, weights, spec, calibration)
    integer, twin = integer_forward_numpy(quantized, inputs), fake_quantized_forward_numpy(quantized, inputs)
    assert np.abs(integer - twin).max() <= TOLERANCE * np.abs(twin).max()
    assert (integer.argmax(axis=1) == twin.argmax(axis=1)).all()


def test_integer_and_fake_quantized_predictions_are_equal_on_all_test_images():
    network, weights = trained()
    data = held_out(10_000)
    quantized = quantize(network, weights, QuantSpec(), calibrate(network, weights, data.images[:256]))
    integer, twin = (
        one(quantized, data.images).argmax(axis=1) for one in (integer_forward_numpy, fake_quantized_forward_numpy)
    )
    assert (integer == twin).all()


@pytest.mark.parametrize("symmetry", ["symmetric", "asymmetric"])
def test_dynamic_equals_its_fake_quantized_model_except_for_rare_steps(model, symmetry):
    network, weights, _, inputs = model
    quantized = quantize(network, weights, QuantSpec("dynamic", symmetry=symmetry))
    integer, twin = integer_forward_numpy(quantized, inputs), fake_quantized_forward_numpy(quantized, inputs)
    assert np.abs(integer - twin).max() <= 0.02 * np.abs(twin).max()
    assert (integer.argmax(axis=1) == twin.argmax(axis=1)).mean() >= 0.998


def test_dynamic_scales_belong_to_the_batch():
    network, weights = trained()
    images = held_out(64).images * np.linspace(0.2, 1, 64, dtype=np.float32)[:, None]
    quantized = quantize(network, weights, QuantSpec("dynamic", activation_bits=3))
    whole, halves = logits_numpy(quantized, images, 64), logits_numpy(quantized, images, 32)
    assert not np.array_equal(whole, halves)
    assert np.array_equal(logits_numpy(quantized, images[:32], 32), halves[:32])
    dark = logits_numpy(quantized, np.zeros((2, 784), np.float32))
    assert np.isfinite(dark).all()


def test_accuracy_falls_with_the_bits_and_channels_save_it(images, labels):
    network, weights = trained()
    seen = calibrate(network, weights, images[:256])

    def accuracy(**fields):
        return accuracy_numpy(quantize(network, weights, QuantSpec(**fields), seen), images, labels)

    base = accuracy(scheme="float32")
    assert base > 0.9
    assert accuracy(scheme="float16") == pytest.approx(base, abs=0.001)
    for scheme in ("static", "dynamic", "weight_only"):
        assert accuracy(scheme=scheme) == pytest.approx(base, abs=0.005)
    assert accuracy(weight_bits=2) < 0.7 * base


def test_channels_of_unequal_size_need_their_own_scales(images, labels):
    network, weights = trained()
    unequal = weights | {"layers.0.weight": weights["layers.0.weight"].copy()}
    # the same function: ReLU lets a factor through to the next layer
    unequal["layers.0.weight"][0] *= 8
    unequal["layers.0.bias"] = weights["layers.0.bias"] * np.array([8, *[1] * 23], np.float32)
    unequal["layers.1.weight"] = weights["layers.1.weight"] / np.array([8, *[1] * 23], np.float32)
    accuracies = {
        granularity: accuracy_numpy(
            quantize(network, unequal, QuantSpec("weight_only", 3, granularity=granularity)), images, labels
        )
        for granularity in ("per_channel", "per_tensor")
    }
    assert accuracies["per_channel"] > 0.8 > accuracies["per_tensor"] + 0.2


def test_weights_quantized_by_hand():
    network = Network("two", (Linear(2, 2),), (2,))
    weights = {"layers.0.weight": np.array([[1, -2], [0.5, 0]], np.float32), "layers.0.bias": np.ones(2, np.float32)}
    seen = calibrate(network, weights, np.array([[0, 2.55]], np.float32))
    layer = quantize(network, weights, QuantSpec(), seen).layers[0]
    assert layer.weight.tolist() == [[64, -127], [127, 0]]
    assert layer.input_qparams.scale == np.float32(0.01)
    # steps of 0.01 * 2/127 and 0.01 * 0.5/127
    assert layer.bias.tolist() == [6350, 25400]
    # input 100 and 50: 64*100 - 127*50 + 6350 = 6400 and 127*100 + 25400 = 38100, times the steps
    logits = integer_forward_numpy(quantize(network, weights, QuantSpec(), seen), np.array([[1, 0.5]], np.float32))
    assert logits[0] == pytest.approx([6400 * 0.02 / 127, 38100 * 0.005 / 127], rel=1e-6)


def test_the_multiplier_is_exact_to_31_bits():
    network, weights = trained()
    quantized = quantize(network, weights, QuantSpec(), calibrate(network, weights, held_out(64).images))
    place, layer, following = network.walk()[0], quantized.layers[0], quantized.layers[1].fixed_input_qparams
    step = rescale(place, layer, following)
    wanted = layer.bias_scales / float(following.scale)
    assert 2**30 <= step.multipliers.max() <= 2**31
    assert np.abs(step.multipliers * 2.0**-step.shift - wanted).max() <= wanted.max() * 2.0**-31


def test_an_output_with_a_bias_but_next_to_no_weights_keeps_its_bias(images):
    network, weights = trained()
    weights = {name: values.copy() for name, values in weights.items()}
    weights["layers.2.weight"][3], weights["layers.2.bias"][3] = 1e-9, 0.7
    weights["layers.2.weight"][4], weights["layers.2.bias"][4] = 0, -0.4
    quantized = quantize(network, weights, QuantSpec(), calibrate(network, weights, images[:64]))
    assert integer_forward_numpy(quantized, images[:5])[:, 3:5] == pytest.approx(np.array([[0.7, -0.4]] * 5), abs=2e-3)


def test_mixed_precision_keeps_bits_by_layer():
    network, weights = trained()
    spec = QuantSpec("weight_only", weight_bits=8, layer_bits=(("layers.1", 3),))
    layers = quantize(network, weights, spec).layers
    assert [layer.bits for layer in layers] == [8, 3, 8]
    assert np.abs(layers[1].weight).max() == 3


def test_what_a_scheme_does_not_use_is_set_aside():
    assert QuantSpec("weight_only", activation_bits=4, observer="mse") == QuantSpec("weight_only", activation_bits=8)
    assert QuantSpec("float16", weight_bits=3, granularity="per_tensor") == QuantSpec("float16")
    assert QuantSpec("float16").bits("layers.0") == 16
    assert QuantSpec(percentile=0.9) == QuantSpec()
    assert QuantSpec(observer="percentile", percentile=0.9) != QuantSpec(observer="percentile")
    assert QuantSpec(layer_bits=(("b", 2), ("a", 3))).layer_bits == (("a", 3), ("b", 2))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"weight_bits": 1}, "weight_bits: 1 is not allowed; give 2 to 8"),
        ({"activation_bits": 1}, "activation_bits: 1 is not allowed; give 2 to 8"),
        ({"activation_bits": None}, "activation_bits: the scheme static needs 2 to 8"),
        ({"layer_bits": (("layers.0", 9),)}, "layer_bits of layers.0: 9 is not allowed; give 2 to 8"),
        ({"scheme": "int8"}, "scheme: int8 is not allowed; give one of float32, float16, static, dynamic, weight_only"),
        ({"observer": "kl"}, "observer: kl is not allowed; give one of minmax, percentile, mse, entropy"),
        ({"percentile": 0.1}, "percentile: 0.1 is not allowed; give 0.5 to 1"),
    ],
)
def test_bad_specs_are_refused_in_one_line(fields, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        QuantSpec(**fields)


def broken(name: str, value: float) -> dict[str, np.ndarray]:
    weights = {key: values.copy() for key, values in trained()[1].items()}
    weights[name].flat[0] = value
    return weights


def test_bad_input_is_refused_in_one_line(images):
    network, weights = trained()
    seen = calibrate(network, weights, images[:8])
    dead = weights | {"layers.0.weight": weights["layers.0.weight"] * 0, "layers.0.bias": np.full(24, -1, np.float32)}
    wide = Network("wide", (Linear(70_000, 1),), (70_000,))
    ones = {"layers.0.weight": np.ones((1, 70_000), np.float32), "layers.0.bias": np.zeros(1, np.float32)}
    nan = images[:2].copy()
    nan[1, 5] = np.nan
    for said, wrong in {
        "calibration needs at least one image": lambda: calibrate(network, weights, images[:0]),
        "the input of layers.0 is 0 everywhere": lambda: calibrate(network, weights, images[:3] * 0),
        "the input of layers.1 is 0 everywhere": lambda: calibrate(network, dead, images[:3]),
        "the input of layers.0 contains NaN or infinity": lambda: calibrate(network, weights, nan),
        "layers.1.weight contains NaN": lambda: quantize(network, broken("layers.1.weight", np.nan), FLOAT),
        "layers.1.bias contains NaN": lambda: calibrate(network, broken("layers.1.bias", np.inf), images),
        "weights of another network": lambda: quantize(mlp(), weights, QuantSpec(), seen),
        "the scheme static needs a calibration": lambda: quantize(network, weights, QuantSpec()),
        "layer_bits: small has no layer layers.9": lambda: quantize(
            network, weights, QuantSpec(layer_bits=(("layers.9", 4),)), seen
        ),
        "layers.0 has too many inputs": lambda: quantize(wide, ones, QuantSpec("dynamic")),
        "the scheme weight_only has no integer": lambda: integer_forward_numpy(
            quantize(network, weights, QuantSpec("weight_only")), images
        ),
    }.items():
        with pytest.raises(ValueError, match=said) as raised:
            wrong()
        assert "\n" not in str(raised.value)


def test_float_schemes_are_the_network_itself(images):
    network, weights = mixed()
    assert np.array_equal(
        logits_numpy(quantize(network, weights, FLOAT), images[:9]), forward_numpy(network, weights, images[:9])
    )


def test_everything_comes_out_the_same_again(images):
    first, second = (
        quantize(MIXED, initial_weights(MIXED, 3), spec, calibrate(MIXED, initial_weights(MIXED, 3), images[:32]))
        for spec in (STATIC[3], dataclasses.replace(STATIC[3]))
    )
    assert np.array_equal(logits_numpy(first, images[:16]), logits_numpy(second, images[:16]))


def test_none_of_it_imports_tinygrad():
    models, compression = "experiments.models", "experiments.compression"
    names = (
        f"{models}.builder, {models}.techniques.quantization.tinygrad_backend, "
        f"{compression}.quantization.detail_records, "
        f"{compression}.sensitivity.layer_sensitivity, {compression}.sensitivity.mixed_precision"
    )
    code = f"import sys, {names}; sys.exit('tinygrad' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
