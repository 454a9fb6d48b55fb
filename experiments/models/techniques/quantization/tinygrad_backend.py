"""Quantized networks in tinygrad 0.14.0; static schemes give the same bits as `numpy_backend`.

Integer products are always written `a.cast(int32) @ b.cast(int32)`: tinygrad multiplies bytes as bytes, and even
`dot(dtype=int32)` widens only after the product. Weights stay [out, in], whose rows are contiguous.
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
    """The network as a function of a realized float32 tensor (n, pixels) on `device` to realized logits (n, classes).

    Its weights are realized on `device` once, in their stored type. Wrap it in a TinyJit to replay it. The scheme
    `dynamic` computes the activation scales from all n images of a call.

    `lanes` > 1 splits the float sums of linear layers whose inputs it divides into that many partial sums: the C
    compiler must not reorder a float sum, unlike an integer sum, so this enables vector instructions for floats.
    """
    nodes = quantized.network.walk()
    match quantized.spec.scheme:
        case "static":
            followers = [*(layer.fixed_input_qparams for layer in quantized.layers[1:]), None]
            triples = zip(nodes, quantized.layers, followers, strict=True)
            stages = [
                _first(quantized.layers[0].fixed_input_qparams),
                *(_static(*triple, device) for triple in triples),
            ]
        case "dynamic":
            bits = quantized.spec.activation_bits or 8
            rectified = [False, *(node.layer.relu for node in nodes[:-1])]
            with_signs = zip(nodes, quantized.layers, rectified, strict=True)
            stages = [_dynamic(*triple, bits, device) for triple in with_signs]
        case _:
            stages = [_float(*pair, device, lanes) for pair in zip(nodes, quantized.layers, strict=True)]

    def network(x: Any) -> Any:
        for stage in stages:
            x = stage(x)
        return x.realize()

    return network


def _first(qparams: QParams) -> LayerForward:
    inverse = float(qparams.inverse_scales.item())
    return lambda x: _quantized(x, inverse, qparams.zero_point, qparams)


def _static(node: LayerNode, layer: QuantizedLayer, following: QParams | None, device: str) -> LayerForward:
    """Integers in, integers out; the last layer returns float32 logits."""
    from tinygrad import dtypes

    products, bias = _products(node.layer, layer, device), _per_output(layer.bias, node.layer, device)
    zero = layer.fixed_input_qparams.zero_point
    step = rescale(node, layer, following) if following else None
    factors = step.multipliers if step else logit_scales(node, layer)
    factors_on_device = _per_output(factors, node.layer, device, pooled=pooled_positions(node) > 1)

    def stage(q: Any) -> Any:
        sums = _shaped(node, q).cast(dtypes.int32)
        sums = _pooled(node, products(sums - zero if zero else sums) + bias, whole=True)
        if step is None or following is None:
            return sums.cast(dtypes.float32) * factors_on_device
        scaled = ((sums.cast(dtypes.int64) * factors_on_device + step.half) >> step.shift) + following.zero_point
        return scaled.clip(following.qmin, following.qmax).cast(_type(following)).contiguous()

    return stage


def _dynamic(node: LayerNode, layer: QuantizedLayer, rectified: bool, bits: int, device: str) -> LayerForward:
    """Floats in and out; the program computes the scale and zero point of the input.

    A `rectified` input has no negative values: its zero point is 0, and its minimum is not computed.
    """
    from tinygrad import dtypes

    products, bias = _products(node.layer, layer, device), _per_output(layer.bias, node.layer, device)
    scales = _per_output(layer.integer_qparams.scales, node.layer, device)
    high = 2**bits - 1
    qparams = QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0, high)

    def stage(x: Any) -> Any:
        lo: Any = 0 if rectified else x.min().minimum(0)
        scale = ((x.max().maximum(0) - lo) * float(np.float32(1 / high))).maximum(MIN_BATCH_SCALE).contiguous()
        inverse = scale.reciprocal().contiguous()
        zero: Any = 0 if rectified else (-lo * inverse).round().contiguous()
        q = _shaped(node, _quantized(x, inverse, zero, qparams)).cast(dtypes.int32)
        sums = products(q if rectified else q - zero.cast(dtypes.int32))
        return _pooled(node, sums.cast(dtypes.float32) * (scales * scale) + bias, whole=False)

    return stage


def _float(node: LayerNode, layer: QuantizedLayer, device: str, lanes: int) -> LayerForward:
    """Float products; integer or float16 weights are converted to float32 in the kernel that multiplies them.

    The weights' scale is factored out of the sum: one multiplication per output instead of one per weight.
    """
    from tinygrad import dtypes

    weight, bias = _on_device(layer.weight, device), _per_output(layer.bias, node.layer, device)
    zeros = scales = None
    if layer.weight_qparams:
        scales = _per_output(layer.weight_qparams.scales, node.layer, device)
        zeros = _weight_zeros(layer.weight_qparams, node.layer, device)

    def stage(x: Any) -> Any:
        real = weight.cast(dtypes.float32)
        sums = _product(node.layer, _shaped(node, x), real if zeros is None else real - zeros, lanes)
        sums = sums if scales is None else sums * scales
        return _pooled(node, sums + bias.cast(dtypes.float32), whole=False)

    return stage


def _products(layer: Layer, quantized: QuantizedLayer, device: str) -> LayerForward:
    """The int32 sums of products of centered int32 inputs and the layer's weights, which are stored as bytes."""
    from tinygrad import dtypes

    weight, zeros = _on_device(quantized.weight, device), _weight_zeros(quantized.integer_qparams, layer, device)

    def products(centered: Any) -> Any:
        wide = weight.cast(dtypes.int32)
        return _product(layer, centered, wide if zeros is None else wide - zeros)

    return products


def _product(layer: Layer, x: Any, weight: Any, lanes: int = 1) -> Any:
    if isinstance(layer, Linear):
        return x @ weight.transpose() if lanes == 1 or layer.inputs % lanes else _in_lanes(x, weight, lanes)
    return x.conv2d(weight, stride=layer.stride, padding=layer.padding)


def _in_lanes(x: Any, weight: Any, lanes: int) -> Any:
    """x @ weight.T in `lanes` interleaved partial sums, which a second kernel adds up."""
    from experiments.bench.tinygrad.runtime import contiguous_upcast

    rows, (outputs, inputs) = x.shape[0], weight.shape
    shape = (inputs // lanes, lanes)
    sums = (x.reshape(rows, 1, *shape) * weight.reshape(1, outputs, *shape)).sum(2)
    axis = sum(size > 1 for size in (rows, outputs))  # axes of one element are removed before the kernel is optimized
    return contiguous_upcast(sums, axis, lanes).sum(-1)


def _pooled(node: LayerNode, x: Any, whole: bool) -> Any:
    """ReLU and pooling; `whole` numbers are summed instead of averaged."""
    layer = node.layer
    x = x.relu() if layer.relu else x
    if isinstance(layer, Linear) or layer.pool == "none":
        return x if whole else x.contiguous()
    x = x.contiguous()  # otherwise every pooled value computes its convolution again
    if layer.pool == "max2":
        return x.max_pool2d(2).contiguous()
    return (x.sum((2, 3)) if whole else x.mean((2, 3))).contiguous()


def _quantized(x: Any, inverse: Any, zero: Any, qparams: QParams) -> Any:
    # contiguous: otherwise every product that reads an input quantizes it again
    return ((x * inverse).round() + zero).clip(qparams.qmin, qparams.qmax).cast(_type(qparams)).contiguous()


def _type(qparams: QParams) -> Any:
    from tinygrad import dtypes

    return dtypes.int8 if qparams.qmin < 0 else dtypes.uint8


def _shaped(node: LayerNode, x: Any) -> Any:
    return x.reshape(x.shape[0], *((-1,) if isinstance(node.layer, Linear) else node.input_shape))


def _per_output(values: Array, layer: Layer, device: str, pooled: bool = False) -> Any:
    """Values on `device`, one per output or one for all, shaped to broadcast over the layer's result."""
    return _on_device(values.reshape((1, -1) if isinstance(layer, Linear) or pooled else (1, -1, 1, 1)), device)


def _weight_zeros(qparams: QParams, layer: Layer, device: str) -> Any:
    """Zero points shaped to broadcast over the weights; None if all are 0."""
    if not qparams.zero_points.any():
        return None
    return _on_device(qparams.zero_points.reshape(-1, *[1] * (len(layer.weight_shape) - 1)).astype(np.int32), device)


def _on_device(values: Array, device: str) -> Any:
    from experiments.bench.tinygrad.runtime import tensor

    return tensor(np.ascontiguousarray(values), device)
