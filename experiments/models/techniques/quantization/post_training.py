"""Post-training quantization: float weights to integers, scales and zero points, as a QuantSpec describes.

Source: Jacob et al. 2017, Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.forward import check_weights, forward_numpy
from experiments.models.sequential.network import LayerNode, Linear, Network, Weights
from experiments.models.techniques.quantization.affine import QParams, qparams_from_range
from experiments.models.techniques.quantization.observers import Histogram, choose_range, histogram
from experiments.models.techniques.quantization.spec import QuantSpec

VERSION = 1  # raise it when the same weights and spec give other integers

INT32_LIMIT = 2**31  # an int32 sum must stay below it in magnitude
BIAS_LIMIT = 2**30  # half of that range is left to the products


@dataclass(frozen=True, eq=False)
class Calibration:
    """The histogram of each layer's input, by layer name; `images`: the number of calibration images."""

    inputs: dict[str, Histogram]
    images: int


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """One layer: `weight` as integers with `weight_qparams`, or as floats without, shaped as in the network.

    `bias` is int32 in units of input scale times weight scale if the layer's input has fixed `input_qparams`
    (static); otherwise it is float16 with float16 weights and float32 with others.
    """

    name: str
    bits: int
    weight: Array
    bias: Array
    weight_qparams: QParams | None
    input_qparams: QParams | None

    @property
    def bias_scales(self) -> Array:
        """Value of 1 in the integer bias and the integer sums, float64: one per output, or one for the layer."""
        return self.integer_qparams.scales.astype(np.float64) * float(self.fixed_input_qparams.scale)

    @property
    def integer_qparams(self) -> QParams:
        """`weight_qparams`; raises ValueError if the weights are floats."""
        if self.weight_qparams is None:
            raise ValueError(f"the weights of {self.name} are floats")
        return self.weight_qparams

    @property
    def fixed_input_qparams(self) -> QParams:
        """`input_qparams`; raises ValueError if the layer has none."""
        if self.input_qparams is None:
            raise ValueError(f"the input of {self.name} has no fixed scale")
        return self.input_qparams

    def float_weight(self, dtype: Any = np.float32) -> Array:
        """The dequantized weights."""
        qparams = self.weight_qparams
        return self.weight.astype(dtype) if qparams is None else qparams.dequantize(self.weight, dtype)

    def float_bias(self, dtype: Any = np.float32) -> Array:
        """The dequantized bias."""
        return (self.bias * self.bias_scales if self.input_qparams else self.bias).astype(dtype)


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A network with quantized weights: the content of a packed file."""

    network: Network
    spec: QuantSpec
    layers: tuple[QuantizedLayer, ...]

    def float_weights(self) -> Weights:
        """The dequantized weights and biases, float32, by their names in the network."""
        named: Weights = {}
        for layer in self.layers:
            named |= {f"{layer.name}.weight": layer.float_weight(), f"{layer.name}.bias": layer.float_bias()}
        return named


def calibrate(network: Network, weights: Mapping[str, Array], images: Array) -> Calibration:
    """Runs `images` (n, pixels) through the float network and returns the histogram of each layer's input.

    Raises ValueError if there are no images, or if an input contains NaN or infinity or is 0 for all images; another
    constant is fine, since every range includes 0.
    """
    check_weights(network, weights)
    if not len(images):
        raise ValueError("calibration needs at least one image")
    extremes: dict[str, tuple[float, float]] = {}
    parts: dict[str, list[Array]] = {}

    def observe(name: str, x: Array) -> Array:
        lo, hi = extremes.get(name, (np.inf, -np.inf))
        # np.minimum, unlike min, propagates NaN
        extremes[name] = float(np.minimum(lo, x.min())), float(np.maximum(hi, x.max()))
        parts.setdefault(name, []).append(x)
        return x

    forward_numpy(network, weights, images.astype(np.float32), observe)
    return Calibration(
        {name: histogram(f"the input of {name}", parts[name], extremes[name]) for name in extremes}, len(images)
    )


def quantize(
    network: Network, weights: Mapping[str, Array], spec: QuantSpec, calibration: Calibration | None = None
) -> QuantizedNetwork:
    """The network with its weights quantized by `spec`; the scheme `static` needs a calibration.

    Raises ValueError if weights are not finite or belong to another network, if `layer_bits` names a layer that the
    network lacks, and if int32 sums could overflow.
    """
    check_weights(network, weights)
    nodes = network.walk()
    if unknown := sorted({layer for layer, _ in spec.layer_bits} - {node.name for node in nodes}):
        raise ValueError(f"layer_bits: {network.name} has no layer {unknown[0]}")
    if spec.scheme == "static" and calibration is None:
        raise ValueError("the scheme static needs a calibration")
    layers = []
    for node in nodes:
        weight, bias = weights[node.weight], weights[node.bias]
        layers.append(_quantize_layer(node, weight, bias, spec, calibration))
    return QuantizedNetwork(network, spec, tuple(layers))


def activation_qparams(seen: Histogram, spec: QuantSpec) -> QParams:
    """The quantization parameters of activations with this histogram."""
    bits, symmetric = spec.activation_bits or 8, spec.symmetry == "symmetric"
    lo, hi = choose_range(spec.observer, seen, bits, symmetric, spec.percentile)
    return qparams_from_range(lo, hi, bits, symmetric)


def weight_qparams(name: str, weight: Array, spec: QuantSpec) -> QParams:
    """The quantization parameters of the weights [out, ...] of the layer `name`."""
    bits, symmetric = spec.bits(name), spec.symmetry == "symmetric"
    rows = weight.reshape(len(weight), -1) if spec.granularity == "per_channel" else weight.reshape(1, -1)
    ranges = np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1).astype(np.float64)
    if spec.weight_observer != "minmax":
        for row, values in enumerate(rows):
            if values.any():  # the range of an output whose weights are all 0 stays empty
                seen = histogram(f"{name}.weight", [values])
                ranges[row] = choose_range(spec.weight_observer, seen, bits, symmetric, spec.percentile)
    return qparams_from_range(ranges[:, 0], ranges[:, 1], bits, symmetric)


def _quantize_layer(
    node: LayerNode, weight: Array, bias: Array, spec: QuantSpec, calibration: Calibration | None
) -> QuantizedLayer:
    if spec.is_float:
        kind = np.float16 if spec.scheme == "float16" else np.float32
        return QuantizedLayer(node.name, spec.weight_bits, weight.astype(kind), bias.astype(kind), None, None)
    qparams, bits = weight_qparams(node.name, weight, spec), spec.bits(node.name)
    if spec.scheme != "static" or calibration is None:
        layer = QuantizedLayer(node.name, bits, qparams.quantize(weight), bias.astype(np.float32), qparams, None)
    else:
        given = activation_qparams(calibration.inputs[node.name], spec)
        input_scale = float(given.scale)
        # outputs with tiny weights but a bias: a larger weight scale, so that the integer bias does not overflow
        smallest = np.abs(bias).astype(np.float64) / (input_scale * BIAS_LIMIT)
        smallest = smallest.max(keepdims=True) if len(qparams.scales) == 1 else smallest
        qparams = dataclasses.replace(qparams, scales=np.maximum(qparams.scales, smallest.astype(np.float32)))
        integer_bias = np.rint(bias / (qparams.scales.astype(np.float64) * input_scale)).astype(np.int32)
        layer = QuantizedLayer(node.name, bits, qparams.quantize(weight), integer_bias, qparams, given)
    check_sums(node, layer, spec)
    return layer


def check_sums(node: LayerNode, layer: QuantizedLayer, spec: QuantSpec) -> None:
    """Raises ValueError if an int32 sum of the layer could overflow."""
    if largest_sum(layer, spec) * pooled_positions(node) >= INT32_LIMIT:
        raise ValueError(f"{node.name} has too many inputs: its sums could overflow int32; use fewer bits")


def pooled_positions(node: LayerNode) -> int:
    """Positions that the layer's average pooling adds up before it divides; 1 without average pooling."""
    layer = node.layer
    if isinstance(layer, Linear) or layer.pool != "average":
        return 1
    return math.prod(layer.positions(node.input_shape))


def largest_sum(layer: QuantizedLayer, spec: QuantSpec) -> int:
    """Upper bound of the magnitude of the integer sums of `layer`, its integer bias included."""
    if layer.weight_qparams is None or spec.activation_bits is None:
        return 0
    given = layer.input_qparams
    largest_input = 2**spec.activation_bits - 1
    if given is not None:
        largest_input = max(given.qmax - given.zero_point, given.zero_point - given.qmin)
    centered = layer.weight_qparams.subtract_zero_point(layer.weight, np.int64)
    per_output = np.abs(centered).reshape(len(layer.weight), -1).sum(axis=1)
    bias = np.abs(layer.bias.astype(np.int64)) if given is not None else np.zeros(1, np.int64)
    return int((per_output * largest_input + bias).max())
