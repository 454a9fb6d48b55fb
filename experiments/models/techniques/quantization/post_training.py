"""Post-training quantization: a network's float weights to integers, scales and zero points, as a spec says.

Source: Jacob et al. 2017, Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.network import LayerNode, Linear, Network, Weights, check_weights, forward_numpy
from experiments.models.techniques.quantization.affine import QParams, check_bits, qparams_from_range
from experiments.models.techniques.quantization.observers import OBSERVERS, Histogram, Observer, choose_range, histogram

VERSION = 1  # raise it when the same weights and spec give other integers

Scheme = Literal["float32", "float16", "static", "dynamic", "weight_only"]
Granularity = Literal["per_tensor", "per_channel"]
Symmetry = Literal["symmetric", "asymmetric"]

FLOAT_BITS: dict[Scheme, int] = {"float32": 32, "float16": 16}
ALLOWED: dict[str, tuple[str, ...]] = {
    "scheme": get_args(Scheme),
    "granularity": get_args(Granularity),
    "symmetry": get_args(Symmetry),
    "observer": OBSERVERS,
    "weight_observer": OBSERVERS,
}
INT32_LIMIT = 2**31  # what an int32 sum may not reach
BIAS_LIMIT = 2**30  # half of it is left to the products


@dataclass(frozen=True)
class QuantSpec:
    """How to quantize. What a scheme does not use is set aside, so that specs of the same model are equal.

    `static`: integer arithmetic, activation ranges calibrated with `observer`. `dynamic`: integer products, the
    activation range taken from each batch at run time. `weight_only`: integers stored, made float in the kernel.
    `float32` and `float16`: weights stored so, float32 arithmetic. `granularity`: one weight scale for the whole
    layer, or one for each output. `symmetry` and `weight_observer` hold for the weights, `symmetry` also for static
    activations with negative values. `percentile`: the share of values that this observer keeps. `layer_bits`:
    weight bits of single layers by name, instead of `weight_bits`. ValueError with one line where a value is not
    allowed.
    """

    scheme: Scheme = "static"
    weight_bits: int = 8
    activation_bits: int | None = 8
    granularity: Granularity = "per_channel"
    symmetry: Symmetry = "symmetric"
    observer: Observer = "minmax"
    weight_observer: Observer = "minmax"
    percentile: float = 0.999
    layer_bits: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for field, allowed in ALLOWED.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field}: {getattr(self, field)} is not allowed; give one of {', '.join(allowed)}")
        if not 0.5 <= self.percentile <= 1:
            raise ValueError(f"percentile: {self.percentile} is not allowed; give 0.5 to 1")
        object.__setattr__(self, "layer_bits", tuple(sorted(self.layer_bits)))
        if not self.is_float:
            check_bits("weight_bits", self.weight_bits)
            for layer, bits in self.layer_bits:
                check_bits(f"layer_bits of {layer}", bits)
        if self.scheme in ("static", "dynamic"):
            if self.activation_bits is None:
                raise ValueError(f"activation_bits: the scheme {self.scheme} needs 2 to 8")
            check_bits("activation_bits", self.activation_bits)
        for field, value in self._unused().items():
            object.__setattr__(self, field, value)

    @property
    def is_float(self) -> bool:
        """Whether the weights stay floats."""
        return self.scheme in FLOAT_BITS

    def bits(self, layer: str) -> int:
        """The bits of one weight of `layer`."""
        return dict(self.layer_bits).get(layer, self.weight_bits)

    def _unused(self) -> dict[str, Any]:
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        unused: dict[str, Any] = {}
        if self.is_float:
            names = ("granularity", "symmetry", "weight_observer", "layer_bits")
            unused = {name: defaults[name] for name in names} | {"weight_bits": FLOAT_BITS[self.scheme]}
        if self.scheme not in ("static", "dynamic"):
            unused |= {"activation_bits": None}
        if self.scheme != "static":
            unused |= {"observer": defaults["observer"]}
        observers = {name: unused.get(name, getattr(self, name)) for name in ("observer", "weight_observer")}
        if "percentile" not in observers.values():
            unused |= {"percentile": defaults["percentile"]}
        return unused


@dataclass(frozen=True, eq=False)
class Calibration:
    """The histogram of each layer's input, by layer name, over `images` images."""

    inputs: dict[str, Histogram]
    images: int


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """One layer: `weight` as integers on `grid`, or as floats where `grid` is None, shaped as in the network.

    `bias` is int32, in steps of input scale times weight scale, where `activation`, the grid of the layer's input,
    is fixed (static); else it is float of the weights' or float32 precision.
    """

    name: str
    bits: int
    weight: Array
    bias: Array
    weight_qparams: QParams | None
    input_qparams: QParams | None

    @property
    def bias_scales(self) -> Array:
        """What one step of the integer bias and of the integer sums is worth, float64: one for each output, or one."""
        return self.integer_qparams.scales.astype(np.float64) * float(self.fixed_input_qparams.scale)

    @property
    def integer_qparams(self) -> QParams:
        """The grid of the weights; ValueError where they are floats."""
        if self.weight_qparams is None:
            raise ValueError(f"the weights of {self.name} are floats")
        return self.weight_qparams

    @property
    def fixed_input_qparams(self) -> QParams:
        """The fixed grid of the layer's input; ValueError where it has none."""
        if self.input_qparams is None:
            raise ValueError(f"the input of {self.name} has no fixed scale")
        return self.input_qparams

    def float_weight(self, dtype: Any = np.float32) -> Array:
        """The weights that the integers stand for, as floats."""
        return (
            self.weight.astype(dtype)
            if self.weight_qparams is None
            else self.weight_qparams.dequantize(self.weight, dtype)
        )

    def float_bias(self, dtype: Any = np.float32) -> Array:
        """The bias as floats."""
        return (self.bias * self.bias_scales if self.input_qparams else self.bias).astype(dtype)


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A network with quantized weights: all that is needed to run it, and what is packed into a file."""

    network: Network
    spec: QuantSpec
    layers: tuple[QuantizedLayer, ...]

    def float_weights(self) -> Weights:
        """Float32 weights and biases that the integers stand for, named as the network's."""
        named: Weights = {}
        for layer in self.layers:
            named |= {f"{layer.name}.weight": layer.float_weight(), f"{layer.name}.bias": layer.float_bias()}
        return named


def calibrate(network: Network, weights: Mapping[str, Array], images: Array) -> Calibration:
    """Runs `images` (n, pixels) through the float network and keeps the histogram of each layer's input.

    ValueError where there are no images, where an input holds NaN or infinity, or where it is 0 for all images; a
    constant other than 0 is fine, since every range holds 0.
    """
    check_weights(network, weights)
    if not len(images):
        raise ValueError("calibration needs at least one image")
    extremes: dict[str, tuple[float, float]] = {}
    parts: dict[str, list[Array]] = {}

    def look(name: str, x: Array) -> Array:
        lo, hi = extremes.get(name, (np.inf, -np.inf))
        # np.minimum, unlike min, carries NaN on
        extremes[name] = float(np.minimum(lo, x.min())), float(np.maximum(hi, x.max()))
        parts.setdefault(name, []).append(x)
        return x

    forward_numpy(network, weights, images.astype(np.float32), look)
    return Calibration(
        {name: histogram(f"the input of {name}", parts[name], extremes[name]) for name in extremes}, len(images)
    )


def quantize(
    network: Network, weights: Mapping[str, Array], spec: QuantSpec, calibration: Calibration | None = None
) -> QuantizedNetwork:
    """The network with weights of `spec`; the scheme `static` needs a calibration.

    ValueError where weights are not finite or of another network, where `layer_bits` names no layer of it, and where
    int32 sums could overflow.
    """
    check_weights(network, weights)
    places = network.walk()
    if unknown := sorted({layer for layer, _ in spec.layer_bits} - {place.name for place in places}):
        raise ValueError(f"layer_bits: {network.name} has no layer {unknown[0]}")
    if spec.scheme == "static" and calibration is None:
        raise ValueError("the scheme static needs a calibration")
    layers = []
    for place in places:
        weight, bias = weights[place.weight], weights[place.bias]
        layers.append(_quantize_layer(place, weight, bias, spec, calibration))
    return QuantizedNetwork(network, spec, tuple(layers))


def activation_qparams(seen: Histogram, spec: QuantSpec) -> QParams:
    """The grid that `spec` gives activations with this histogram."""
    bits, symmetric = spec.activation_bits or 8, spec.symmetry == "symmetric"
    lo, hi = choose_range(spec.observer, seen, bits, symmetric, spec.percentile)
    return qparams_from_range(lo, hi, bits, symmetric)


def weight_qparams(name: str, weight: Array, spec: QuantSpec) -> QParams:
    """The grid that `spec` gives the weights [out, ...] of the layer `name`."""
    bits, symmetric = spec.bits(name), spec.symmetry == "symmetric"
    rows = weight.reshape(len(weight), -1) if spec.granularity == "per_channel" else weight.reshape(1, -1)
    ranges = np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1).astype(np.float64)
    if spec.weight_observer != "minmax":
        for row, values in enumerate(rows):
            if values.any():  # an output whose weights are all 0 keeps the empty range
                seen = histogram(f"{name}.weight", [values])
                ranges[row] = choose_range(spec.weight_observer, seen, bits, symmetric, spec.percentile)
    return qparams_from_range(ranges[:, 0], ranges[:, 1], bits, symmetric)


def _quantize_layer(
    place: LayerNode, weight: Array, bias: Array, spec: QuantSpec, calibration: Calibration | None
) -> QuantizedLayer:
    if spec.is_float:
        kind = np.float16 if spec.scheme == "float16" else np.float32
        return QuantizedLayer(place.name, spec.weight_bits, weight.astype(kind), bias.astype(kind), None, None)
    grid = weight_qparams(place.name, weight, spec)
    bits, activation = spec.bits(place.name), None
    if spec.scheme != "static" or calibration is None:
        layer = QuantizedLayer(place.name, bits, grid.quantize(weight), bias.astype(np.float32), grid, None)
    else:
        activation = activation_qparams(calibration.inputs[place.name], spec)
        # outputs with next to no weights but a bias: coarser weight steps, so that the bias fits its integer
        least = np.abs(bias).astype(np.float64) / (float(activation.scale) * BIAS_LIMIT)
        least = least.max(keepdims=True) if len(grid.scales) == 1 else least
        grid = dataclasses.replace(grid, scales=np.maximum(grid.scales, least.astype(np.float32)))
        steps = np.rint(bias / (grid.scales.astype(np.float64) * float(activation.scale))).astype(np.int32)
        layer = QuantizedLayer(place.name, bits, grid.quantize(weight), steps, grid, activation)
    check_sums(place, layer, spec)
    return layer


def check_sums(place: LayerNode, layer: QuantizedLayer, spec: QuantSpec) -> None:
    """ValueError where an int32 sum of the layer could overflow."""
    if largest_sum(layer, spec) * pooled_positions(place) >= INT32_LIMIT:
        raise ValueError(f"{place.name} has too many inputs: its sums could overflow int32; take fewer bits")


def pooled_positions(place: LayerNode) -> int:
    """How many positions the layer's pooling averages over; their integer sums are added up before the division."""
    layer = place.layer
    if isinstance(layer, Linear) or layer.pool != "average":
        return 1
    return math.prod(layer.positions(place.input_shape))


def largest_sum(layer: QuantizedLayer, spec: QuantSpec) -> int:
    """What no integer sum of products of `layer`, its integer bias included, exceeds in magnitude."""
    if layer.weight_qparams is None or spec.activation_bits is None:
        return 0
    grid = layer.input_qparams
    largest_input = 2**spec.activation_bits - 1
    if grid is not None:
        largest_input = max(grid.qmax - grid.zero_point, grid.zero_point - grid.qmin)
    per_output = (
        np.abs(layer.weight_qparams.subtract_zero_point(layer.weight, np.int64))
        .reshape(len(layer.weight), -1)
        .sum(axis=1)
    )
    steps = np.abs(layer.bias.astype(np.int64)) if grid is not None else np.zeros(1, np.int64)
    return int((per_output * largest_input + steps).max())
