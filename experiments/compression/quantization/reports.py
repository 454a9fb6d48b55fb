"""What quantization did, as records for frames: per layer, per observer, and the histograms behind them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.network import Network
from experiments.models.techniques.quantization.affine import QParams
from experiments.models.techniques.quantization.observers import (
    OBSERVERS,
    Histogram,
    QuantizationError,
    choose_range,
    histogram,
    quantization_error,
    sqnr_db,
)
from experiments.models.techniques.quantization.post_training import Calibration, QuantizedNetwork, QuantSpec

Record = dict[str, Any]


def layer_report(
    weights: Mapping[str, Array], quantized: QuantizedNetwork, calibration: Calibration | None = None
) -> list[Record]:
    """One record for each layer's weights, and for its input where the scheme fixes its scale.

    layer, tensor (`weight` or `activation`), bits, scales (how many), scale_min, scale_max, zero_point (None where
    there are several), lo and hi (ends of the widest grid), clipped (share beyond the grid by more than half a step),
    sqnr_db (power of the values over that of the error, None without error). Floats have bits and sqnr_db alone.
    """
    records = []
    for layer in quantized.layers:
        weight = weights[f"{layer.name}.weight"].astype(np.float64)
        error = float(((weight - layer.float_weight(np.float64)) ** 2).mean())
        record = {"layer": layer.name, "tensor": "weight", "bits": layer.bits}
        if layer.weight_qparams:
            record |= _grid_record(layer.weight_qparams) | {"clipped": _clipped(weight, layer.weight_qparams)}
        records.append(record | {"sqnr_db": sqnr_db(float((weight**2).mean()), error)})
        if layer.input_qparams and calibration:
            symmetric = quantized.spec.symmetry == "symmetric"
            bits, seen = quantized.spec.activation_bits or 8, calibration.inputs[layer.name]
            chosen = choose_range(quantized.spec.observer, seen, bits, symmetric, quantized.spec.percentile)
            done = quantization_error(seen, chosen, bits, symmetric)
            record = {"layer": layer.name, "tensor": "activation", "bits": bits, **_grid_record(layer.input_qparams)}
            records.append(record | {"clipped": done.clipped, "sqnr_db": done.sqnr_db})
    return records


def calibration_report(
    network: Network, weights: Mapping[str, Array], spec: QuantSpec, calibration: Calibration
) -> list[Record]:
    """Every observer on the same histograms of each layer's weights (as one tensor) and input.

    layer, tensor, observer, chosen (the one of `spec`), bits, lo, hi, clipped, mse, sqnr_db. Activations are shown at
    8 bits where the scheme leaves them floats.
    """
    records = []
    symmetric = spec.symmetry == "symmetric"
    for name, tensor, seen in _histograms(network, weights, calibration):
        bits = min(spec.bits(name), 8) if tensor == "weight" else spec.activation_bits or 8
        of_spec = spec.weight_observer if tensor == "weight" else spec.observer
        for observer in OBSERVERS:
            done: QuantizationError = quantization_error(
                seen, choose_range(observer, seen, bits, symmetric, spec.percentile), bits, symmetric
            )
            record = {"layer": name, "tensor": tensor, "observer": observer, "chosen": observer == of_spec}
            records.append(record | {"bits": bits, **vars(done)})
    return records


def histogram_report(
    network: Network, weights: Mapping[str, Array], calibration: Calibration, bins: int = 64
) -> list[Record]:
    """The histograms to draw: layer, tensor, bin_lo, bin_hi, count; `bins` (a divisor of 2048) records for each."""
    records = []
    for name, tensor, seen in _histograms(network, weights, calibration):
        coarse = seen.coarser(bins)
        edges = coarse.edges.tolist()
        for lo, hi, count in zip(edges[:-1], edges[1:], coarse.counts.tolist(), strict=True):
            records.append({"layer": name, "tensor": tensor, "bin_lo": lo, "bin_hi": hi, "count": count})
    return records


def _histograms(
    network: Network, weights: Mapping[str, Array], calibration: Calibration
) -> list[tuple[str, str, Histogram]]:
    found = []
    for place in network.walk():
        found.append((place.name, "weight", histogram(place.weight, [weights[place.weight]])))
        found.append((place.name, "activation", calibration.inputs[place.name]))
    return found


def _grid_record(grid: QParams) -> Record:
    lo, hi = grid.scales * (grid.qmin - grid.zero_points), grid.scales * (grid.qmax - grid.zero_points)
    return {
        "scales": len(grid.scales),
        "scale_min": float(grid.scales.min()),
        "scale_max": float(grid.scales.max()),
        "zero_point": grid.zero_point if len(grid.zero_points) == 1 else 0 if not grid.zero_points.any() else None,
        "lo": float(lo.min()),
        "hi": float(hi.max()),
    }


def _clipped(values: Array, grid: QParams) -> float:
    """The share of `values` that lie further than half a step beyond the grid."""
    rows = values.reshape(len(values), -1) if len(grid.scales) > 1 else values.reshape(1, -1)
    steps = rows / grid.scales[:, None] + grid.zero_points[:, None]
    return float(((steps < grid.qmin - 0.5) | (steps > grid.qmax + 0.5)).mean())
