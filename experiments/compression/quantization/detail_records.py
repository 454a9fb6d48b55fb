"""Fills the detail frames of a quantization run: layers, observers on the same histograms, and the histograms."""

from collections.abc import Mapping

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.columns import Value
from experiments.models.sequential.network import Network
from experiments.models.techniques.quantization.affine import QParams
from experiments.models.techniques.quantization.observers import (
    Histogram,
    choose_range,
    histogram,
    quantization_error,
    sqnr_db,
)
from experiments.models.techniques.quantization.post_training import Calibration, QuantizedNetwork
from experiments.models.techniques.quantization.spec import OBSERVERS, QuantSpec

BINS = 64  # of a drawn histogram; a divisor of the observers' 2048


def layer_records(
    weights: Mapping[str, Array], quantized: QuantizedNetwork, calibration: Calibration | None = None
) -> list[dict[str, Value]]:
    """One record for each layer's weights, and for its input where the scheme fixes its scale (detail `layers`).

    `zero_point` is None if there are several; `lo` and `hi` are the ends of the widest range; `clipped` is the share
    beyond the range by more than half a step; `sqnr_db` is None without error. Floats have bits and sqnr_db only.
    """
    records: list[dict[str, Value]] = []
    for layer in quantized.layers:
        weight = weights[f"{layer.name}.weight"].astype(np.float64)
        mse = float(((weight - layer.float_weight(np.float64)) ** 2).mean())
        record: dict[str, Value] = {"layer": layer.name, "tensor": "weight", "bits": layer.bits}
        if layer.weight_qparams:
            record |= _range_columns(layer.weight_qparams) | {"clipped": _clipped(weight, layer.weight_qparams)}
        records.append(record | {"sqnr_db": sqnr_db(float((weight**2).mean()), mse)})
        if layer.input_qparams and calibration:
            symmetric = quantized.spec.symmetry == "symmetric"
            bits, seen = quantized.spec.activation_bits or 8, calibration.inputs[layer.name]
            limits = choose_range(quantized.spec.observer, seen, bits, symmetric, quantized.spec.percentile)
            error = quantization_error(seen, limits, bits, symmetric)
            record = {"layer": layer.name, "tensor": "activation", "bits": bits, **_range_columns(layer.input_qparams)}
            records.append(record | {"clipped": error.clipped, "sqnr_db": error.sqnr_db})
    return records


def calibration_records(
    network: Network, weights: Mapping[str, Array], spec: QuantSpec, calibration: Calibration
) -> list[dict[str, Value]]:
    """Every observer on the same histograms of each layer's weights (as one tensor) and input (detail `calibration`).

    `chosen` marks the observer of `spec`. Activations that the scheme leaves float are evaluated at 8 bits.
    """
    records: list[dict[str, Value]] = []
    symmetric = spec.symmetry == "symmetric"
    for name, tensor, seen in _histograms(network, weights, calibration):
        bits = min(spec.bits(name), 8) if tensor == "weight" else spec.activation_bits or 8
        of_spec = spec.weight_observer if tensor == "weight" else spec.observer
        for observer in OBSERVERS:
            limits = choose_range(observer, seen, bits, symmetric, spec.percentile)
            error = quantization_error(seen, limits, bits, symmetric)
            chosen = {"observer": observer, "chosen": observer == of_spec}
            records.append({"layer": name, "tensor": tensor, **chosen, "bits": bits, **vars(error)})
    return records


def histogram_records(
    network: Network, weights: Mapping[str, Array], calibration: Calibration
) -> list[dict[str, Value]]:
    """The histograms of weights and activations, 64 bins each (detail `histograms`)."""
    records: list[dict[str, Value]] = []
    for name, tensor, seen in _histograms(network, weights, calibration):
        coarse = seen.coarser(BINS)
        edges = coarse.edges.tolist()
        for lo, hi, count in zip(edges[:-1], edges[1:], coarse.counts.tolist(), strict=True):
            records.append({"layer": name, "tensor": tensor, "bin_lo": lo, "bin_hi": hi, "count": count})
    return records


def _histograms(
    network: Network, weights: Mapping[str, Array], calibration: Calibration
) -> list[tuple[str, str, Histogram]]:
    """Layer, tensor and histogram of all weights and activations."""
    found = []
    for place in network.walk():
        found.append((place.name, "weight", histogram(place.weight, [weights[place.weight]])))
        found.append((place.name, "activation", calibration.inputs[place.name]))
    return found


def _range_columns(qparams: QParams) -> dict[str, Value]:
    scales, zero_points = qparams.scales, qparams.zero_points
    lo, hi = scales * (qparams.qmin - zero_points), scales * (qparams.qmax - zero_points)
    zero_point = 0 if not zero_points.any() else None
    return {
        "scales": len(scales),
        "scale_min": float(scales.min()),
        "scale_max": float(scales.max()),
        "zero_point": qparams.zero_point if len(zero_points) == 1 else zero_point,
        "lo": float(lo.min()),
        "hi": float(hi.max()),
    }


def _clipped(values: Array, qparams: QParams) -> float:
    """The share of `values` more than half a step beyond the range."""
    rows = values.reshape(len(values), -1) if len(qparams.scales) > 1 else values.reshape(1, -1)
    steps = rows / qparams.scales[:, None] + qparams.zero_points[:, None]
    return float(((steps < qparams.qmin - 0.5) | (steps > qparams.qmax + 0.5)).mean())
