"""Quantized networks as tinygrad programs (0.14.0), bit for bit what `integer` computes where it is all integers.

Integer products are always written `a.cast(int32) @ b.cast(int32)`: tinygrad multiplies bytes as bytes, and even
`dot(dtype=int32)` widens only after the product. Weights stay [out, in], where a row is read in one go.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.network import Layer, LayerNode, Linear
from experiments.models.techniques.quantization.affine import QParams
from experiments.models.techniques.quantization.numpy_backend import MIN_BATCH_SCALE, logit_scales, rescale
from experiments.models.techniques.quantization.post_training import QuantizedLayer, QuantizedNetwork, pooled_positions

Forward = Callable[[Any], Any]
LayerForward = Callable[[Any], Any]


def build_forward(quantized: QuantizedNetwork, device: str, lanes: int = 1) -> Forward:
    """The network as a function of a realised float32 tensor (n, pixels) on `device` to realised logits (n, classes).

    Its weights are realised on `device` once, in the type they are stored in. Wrap it in a JIT to replay it. The
    scheme `dynamic` takes the activation scales over all n images of a call.

    `lanes` > 1, a divisor of the inputs of every linear layer it is to reach, splits the float sums of linear layers
    into that many: the C compiler may not reorder a float sum, as it may an integer one, so that this gives float
    kernels the same chance of vector instructions.
    """
    places = quantized.network.walk()
    match quantized.spec.scheme:
        case "static":
            followers = [*(layer.fixed_input_qparams for layer in quantized.layers[1:]), None]
            triples = zip(places, quantized.layers, followers, strict=True)
            stages = [
                _first(quantized.layers[0].fixed_input_qparams),
                *(_static(*triple, device) for triple in triples),
            ]
        case "dynamic":
            bits = quantized.spec.activation_bits or 8
            rectified = [False, *(place.layer.relu for place in places[:-1])]
            with_signs = zip(places, quantized.layers, rectified, strict=True)
            stages = [_dynamic(*triple, bits, device) for triple in with_signs]
        case _:
            stages = [_float(*pair, device, lanes) for pair in zip(places, quantized.layers, strict=True)]

    def network(x: Any) -> Any:
        for stage in stages:
            x = stage(x)
        return x.realize()

    return network


def _first(grid: QParams) -> LayerForward:
    inverse = float(grid.inverse_scales.item())
    return lambda x: _quantized(x, inverse, grid.zero_point, grid)


def _static(place: LayerNode, layer: QuantizedLayer, following: QParams | None, device: str) -> LayerForward:
    """Integers in, integers out; the last layer gives float32 logits."""
    from tinygrad import dtypes

    products, bias = _products(place.layer, layer, device), _per_output(layer.bias, place.layer, device)
    zero = layer.fixed_input_qparams.zero_point
    step = rescale(place, layer, following) if following else None
    factors = step.multipliers if step else logit_scales(place, layer)
    factors_held = _per_output(factors, place.layer, device, pooled=pooled_positions(place) > 1)

    def stage(q: Any) -> Any:
        sums = _shaped(place, q).cast(dtypes.int32)
        sums = _pooled(place, products(sums - zero if zero else sums) + bias, whole=True)
        if step is None or following is None:
            return sums.cast(dtypes.float32) * factors_held
        scaled = ((sums.cast(dtypes.int64) * factors_held + step.half) >> step.shift) + following.zero_point
        return scaled.clip(following.qmin, following.qmax).cast(_type(following)).contiguous()

    return stage


def _dynamic(place: LayerNode, layer: QuantizedLayer, rectified: bool, bits: int, device: str) -> LayerForward:
    """Floats in and out; the input's scale and zero point are computed in the program.

    A `rectified` input has no negative values: its zero point is 0, and nobody looks for its minimum.
    """
    from tinygrad import dtypes

    products, bias = _products(place.layer, layer, device), _per_output(layer.bias, place.layer, device)
    scales = _per_output(layer.integer_qparams.scales, place.layer, device)
    high = 2**bits - 1
    grid = QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0, high)

    def stage(x: Any) -> Any:
        lo: Any = 0 if rectified else x.min().minimum(0)
        scale = ((x.max().maximum(0) - lo) * float(np.float32(1 / high))).maximum(MIN_BATCH_SCALE).contiguous()
        inverse = scale.reciprocal().contiguous()
        zero: Any = 0 if rectified else (-lo * inverse).round().contiguous()
        q = _shaped(place, _quantized(x, inverse, zero, grid)).cast(dtypes.int32)
        sums = products(q if rectified else q - zero.cast(dtypes.int32))
        return _pooled(place, sums.cast(dtypes.float32) * (scales * scale) + bias, whole=False)

    return stage


def _float(place: LayerNode, layer: QuantizedLayer, device: str, lanes: int) -> LayerForward:
    """Float products; stored integers or float16 become float32 in the kernel that multiplies them.

    The weights' scale is taken out of the sum: one multiplication for each output instead of one for each weight.
    """
    from tinygrad import dtypes

    weight, bias = _held(layer.weight, device), _per_output(layer.bias, place.layer, device)
    zeros = scales = None
    if layer.weight_qparams:
        scales = _per_output(layer.weight_qparams.scales, place.layer, device)
        zeros = _weight_zeros(layer.weight_qparams, place.layer, device)

    def stage(x: Any) -> Any:
        real = weight.cast(dtypes.float32)
        sums = _product(place.layer, _shaped(place, x), real if zeros is None else real - zeros, lanes)
        sums = sums if scales is None else sums * scales
        return _pooled(place, sums + bias.cast(dtypes.float32), whole=False)

    return stage


def _products(layer: Layer, quantized: QuantizedLayer, device: str) -> LayerForward:
    """The int32 sums of centred int32 inputs with the layer's weights, held as bytes."""
    from tinygrad import dtypes

    weight, zeros = _held(quantized.weight, device), _weight_zeros(quantized.integer_qparams, layer, device)

    def products(centred: Any) -> Any:
        wide = weight.cast(dtypes.int32)
        return _product(layer, centred, wide if zeros is None else wide - zeros)

    return products


def _product(layer: Layer, x: Any, weight: Any, lanes: int = 1) -> Any:
    if isinstance(layer, Linear):
        return x @ weight.transpose() if lanes == 1 or layer.inputs % lanes else _in_lanes(x, weight, lanes)
    return x.conv2d(weight, stride=layer.stride, padding=layer.padding)


def _in_lanes(x: Any, weight: Any, lanes: int) -> Any:
    """x @ weight.T with every `lanes`-th product in a sum of its own, the lanes added up by a second kernel."""
    from experiments.bench.tinygrad.runtime import contiguous_upcast

    rows, (outputs, inputs) = x.shape[0], weight.shape
    shape = (inputs // lanes, lanes)
    sums = (x.reshape(rows, 1, *shape) * weight.reshape(1, outputs, *shape)).sum(2)
    axis = sum(size > 1 for size in (rows, outputs))  # axes of one element are gone when the kernel is optimised
    return contiguous_upcast(sums, axis, lanes).sum(-1)


def _pooled(place: LayerNode, x: Any, whole: bool) -> Any:
    """ReLU and pooling; `whole` numbers are not divided by the positions they are averaged over."""
    layer = place.layer
    x = x.relu() if layer.relu else x
    if isinstance(layer, Linear) or layer.pool == "none":
        return x if whole else x.contiguous()
    x = x.contiguous()  # else every pooled value computes its convolution again
    if layer.pool == "max2":
        return x.max_pool2d(2).contiguous()
    return (x.sum((2, 3)) if whole else x.mean((2, 3))).contiguous()


def _quantized(x: Any, inverse: Any, zero: Any, grid: QParams) -> Any:
    # contiguous: else every product that reads an input quantizes it again
    return ((x * inverse).round() + zero).clip(grid.qmin, grid.qmax).cast(_type(grid)).contiguous()


def _type(grid: QParams) -> Any:
    from tinygrad import dtypes

    return dtypes.int8 if grid.qmin < 0 else dtypes.uint8


def _shaped(place: LayerNode, x: Any) -> Any:
    return x.reshape(x.shape[0], *((-1,) if isinstance(place.layer, Linear) else place.input_shape))


def _per_output(values: Array, layer: Layer, device: str, pooled: bool = False) -> Any:
    """Held values, one for each output or one for all, shaped to broadcast over the layer's result."""
    return _held(values.reshape((1, -1) if isinstance(layer, Linear) or pooled else (1, -1, 1, 1)), device)


def _weight_zeros(grid: QParams, layer: Layer, device: str) -> Any:
    """Zero points shaped to broadcast over the weights; None where all are 0."""
    if not grid.zero_points.any():
        return None
    return _held(grid.zero_points.reshape(-1, *[1] * (len(layer.weight_shape) - 1)).astype(np.int32), device)


def _held(values: Array, device: str) -> Any:
    from experiments.bench.tinygrad.runtime import tensor

    return tensor(np.ascontiguousarray(values), device)
