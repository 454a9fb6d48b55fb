import math

import pytest

from experiments.compression.quantization.detail_records import calibration_records, histogram_records, layer_records
from experiments.models.techniques.quantization.post_training import calibrate, quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from tests.experiments.models.small_network import held_out, trained


@pytest.fixture(scope="module")
def images():
    return held_out().images


def test_layers_have_their_scales_ranges_and_noise(images):
    network, weights = trained()
    seen = calibrate(network, weights, images[:64])
    records = layer_records(weights, quantize(network, weights, QuantSpec(symmetry="asymmetric"), seen), seen)
    assert [(one["layer"], one["tensor"]) for one in records] == [
        (f"layers.{number}", tensor) for number in range(3) for tensor in ("weight", "activation")
    ]
    first, pixels = records[:2]
    assert (first["scales"], first["zero_point"], first["clipped"], first["bits"]) == (24, None, 0, 8)
    assert (pixels["scales"], pixels["zero_point"], pixels["lo"], pixels["clipped"]) == (1, 0, 0, 0)
    assert pixels["hi"] == pytest.approx(1)
    assert all(30 < one["sqnr_db"] < 70 for one in records)
    floats = layer_records(weights, quantize(network, weights, QuantSpec("float32")))
    assert [(one["bits"], one["sqnr_db"]) for one in floats] == [(32, None)] * 3


def test_one_bit_is_six_decibels():
    network, weights = trained()
    ratios = [
        layer_records(weights, quantize(network, weights, QuantSpec("weight_only", weight_bits=bits)))[0]["sqnr_db"]
        for bits in (7, 8)
    ]
    assert ratios[1] - ratios[0] == pytest.approx(20 * math.log10(127 / 63), abs=0.3)


def test_observers_are_compared_on_the_same_histogram(images):
    network, weights = trained()
    seen, spec = calibrate(network, weights, images[:64]), QuantSpec(activation_bits=4, observer="mse")
    records = calibration_records(network, weights, spec, seen)
    assert len(records) == 3 * 2 * 4
    assert {one["observer"] for one in records if one["chosen"] and one["tensor"] == "activation"} == {"mse"}
    hidden = {one["observer"]: one for one in records if (one["layer"], one["tensor"]) == ("layers.1", "activation")}
    assert hidden["mse"]["sqnr_db"] > hidden["minmax"]["sqnr_db"]
    assert (hidden["minmax"]["clipped"], hidden["percentile"]["clipped"] > 0) == (0, True)


def test_histograms_count_all_values(images):
    network, weights = trained()
    records = histogram_records(network, weights, calibrate(network, weights, images[:64]))
    totals = {}
    for one in records:
        totals[one["layer"], one["tensor"]] = totals.get((one["layer"], one["tensor"]), 0) + one["count"]
    assert len(records) == 3 * 2 * 64
    assert totals["layers.0", "activation"] == 64 * 784
    assert totals["layers.1", "weight"] == 24 * 16
