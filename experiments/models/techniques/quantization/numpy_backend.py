"""Quantized networks in numpy: in integers, as the device computes them, and as fake-quantized float models.

The integer sums are formed by float products that are exact: no partial sum leaves the integers a float holds.
Source of the fixed-point rescaling: Jacob et al. 2017, section 2.2 (as in gemmlowp and TensorFlow Lite).
"""

import math
from dataclasses import dataclass

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.forward import apply_numpy, forward_numpy, image_chunks, pool_numpy, product_numpy
from experiments.models.sequential.network import LayerNode, Linear
from experiments.models.techniques.quantization.affine import QParams
from experiments.models.techniques.quantization.post_training import (
    QuantizedLayer,
    QuantizedNetwork,
    largest_sum,
    pooled_positions,
)
from experiments.models.techniques.quantization.spec import QuantSpec

BATCH = 32  # images that share an activation scale, where it is taken at run time
MIN_BATCH_SCALE = 2.0**-100  # of a batch of zeros; its reciprocal is still float32
MULTIPLIER_BITS = 31
FLOAT32_INTEGERS = 2**24  # below it float32 holds every integer


@dataclass(frozen=True, eq=False)
class Rescale:
    """q = (sum * multipliers + half) >> shift + zero: integer sums to the next layer's integers, in int64.

    `multipliers` has one entry, or one for each output; below 2^31 each, so that with int32 sums nothing overflows.
    """

    multipliers: Array
    shift: int

    @property
    def half(self) -> int:
        """Added before the shift, so that it rounds to the nearest, halves up."""
        return 1 << (self.shift - 1)


def rescale(node: LayerNode, layer: QuantizedLayer, following: QParams) -> Rescale:
    """The fixed-point rescaling from the sums of `layer` to the integers of the following layer's input."""
    factors = layer.bias_scales / float(following.scale) / pooled_positions(node)
    shift = MULTIPLIER_BITS - math.frexp(float(factors.max()))[1]
    if shift < 1:
        raise ValueError(f"{node.name}: its input scale is too large for the scale of its output")
    shift = min(shift, 2 * MULTIPLIER_BITS)
    return Rescale(np.rint(factors * 2.0**shift).astype(np.int64), shift)


def batch_qparams(x: Array, bits: int) -> QParams:
    """The parameters for the values of one batch, including 0, computed in float32 in the same steps as the kernel."""
    lo, hi = np.float32(min(x.min(), 0)), np.float32(max(x.max(), 0))
    high = 2**bits - 1
    scale = np.maximum((hi - lo) * np.float32(1 / high), np.float32(MIN_BATCH_SCALE))
    zero = np.rint(-lo * (np.float32(1) / scale))
    return QParams(np.array([scale], np.float32), np.array([zero], np.int32), 0, high)


def logits_numpy(quantized: QuantizedNetwork, images: Array, batch: int = BATCH) -> Array:
    """Float32 logits (n, classes) of images (n, pixels): integer arithmetic if the scheme has it, otherwise float."""
    if quantized.spec.activation_bits is None:
        return forward_numpy(quantized.network, quantized.float_weights(), images.astype(np.float32))
    return integer_forward_numpy(quantized, images, batch)


def accuracy_numpy(quantized: QuantizedNetwork, images: Array, labels: Array, batch: int = BATCH) -> float:
    """The share of `images` whose largest logit is that of their label, 0..1."""
    return float((logits_numpy(quantized, images, batch).argmax(axis=1) == labels).mean())


def integer_forward_numpy(quantized: QuantizedNetwork, images: Array, batch: int = BATCH) -> Array:
    """Float32 logits by integer products and int32 sums; raises ValueError for a float scheme.

    `static`: integers from the first layer's input to the last layer's sums. `dynamic`: each batch of `batch` images
    has its own activation scales, and activations between layers are floats.
    """
    images, forward = images.astype(np.float32), _static
    match quantized.spec.scheme:
        case "static":
            parts = image_chunks(quantized.network, images)
        case "dynamic":
            parts, forward = _batches(images, batch), _dynamic
        case other:
            raise ValueError(f"the scheme {other} has no integer arithmetic")
    weights = [_exact_weight(layer, quantized.spec) for layer in quantized.layers]
    return np.concatenate([forward(quantized, weights, part) for part in parts])


def fake_quantized_forward_numpy(quantized: QuantizedNetwork, images: Array, batch: int = BATCH) -> Array:
    """Float32 logits of the fake-quantized model: float64 products of the dequantized numbers.

    Rounded to float32 at the end, so that equal integer sums are a tie here too.
    """
    images, forward = images.astype(np.float32), _static_fake_quantized
    match quantized.spec.scheme:
        case "static":
            parts = image_chunks(quantized.network, images)
        case "dynamic":
            parts, forward = _batches(images, batch), _dynamic_fake_quantized
        case _:
            named = {name: values.astype(np.float64) for name, values in quantized.float_weights().items()}
            return forward_numpy(quantized.network, named, images.astype(np.float64)).astype(np.float32)
    weights = [layer.float_weight(np.float64) for layer in quantized.layers]
    return np.concatenate([forward(quantized, weights, part).astype(np.float32) for part in parts])


def _static(quantized: QuantizedNetwork, weights: list[Array], images: Array) -> Array:
    nodes, layers = quantized.network.walk(), quantized.layers
    q = layers[0].fixed_input_qparams.quantize(images)
    for node, layer, weight, following in zip(nodes, layers, weights, (*layers[1:], None), strict=True):
        sums = _sums(node, weight, layer.fixed_input_qparams.subtract_zero_point(q, weight.dtype))
        sums += _per_output(layer.bias, sums)
        sums = _pooled_sums(node, np.maximum(sums, 0) if node.layer.relu else sums)
        if following is None:
            break
        step, qparams = rescale(node, layer, following.fixed_input_qparams), following.fixed_input_qparams
        scaled = sums.astype(np.int64) * _per_output(step.multipliers, sums)
        q = np.clip((scaled + step.half >> step.shift) + qparams.zero_point, qparams.qmin, qparams.qmax).astype(
            qparams.dtype
        )
    return np.asarray(sums.astype(np.float32) * _per_output(logit_scales(nodes[-1], layers[-1]), sums))


def _static_fake_quantized(quantized: QuantizedNetwork, weights: list[Array], images: Array) -> Array:
    nodes, layers = quantized.network.walk(), quantized.layers
    x = layers[0].fixed_input_qparams.dequantize(layers[0].fixed_input_qparams.quantize(images), np.float64)
    for node, layer, weight, following in zip(nodes, layers, weights, (*layers[1:], None), strict=True):
        x = apply_numpy(node.layer, weight, layer.float_bias(np.float64), _shaped(node, x))
        if following is None:
            break
        step, qparams = rescale(node, layer, following.fixed_input_qparams), following.fixed_input_qparams
        # 1 / scale of the next input, to the 31 bits of the fixed-point multiplier: both round at the same values
        inverse = step.multipliers * 2.0**-step.shift / layer.bias_scales * pooled_positions(node)
        q = np.floor(x * _per_output(inverse, x) + 0.5) + qparams.zero_point
        x = (np.clip(q, qparams.qmin, qparams.qmax) - qparams.zero_point) * float(qparams.scale)
    return x


def _dynamic(quantized: QuantizedNetwork, weights: list[Array], images: Array) -> Array:
    x = images
    for node, layer, weight in zip(quantized.network.walk(), quantized.layers, weights, strict=True):
        qparams = batch_qparams(x, quantized.spec.activation_bits or 8)
        sums = _sums(node, weight, qparams.subtract_zero_point(qparams.quantize(x), weight.dtype))
        scales = layer.integer_qparams.scales * qparams.scale
        x = sums.astype(np.float32) * _per_output(scales, sums) + _per_output(layer.bias, sums)
        x = pool_numpy(node.layer, np.maximum(x, 0) if node.layer.relu else x)
    return x


def _dynamic_fake_quantized(quantized: QuantizedNetwork, weights: list[Array], images: Array) -> Array:
    x = images.astype(np.float64)
    for node, layer, weight in zip(quantized.network.walk(), quantized.layers, weights, strict=True):
        narrow = x.astype(np.float32)
        qparams = batch_qparams(narrow, quantized.spec.activation_bits or 8)
        x = qparams.dequantize(qparams.quantize(narrow), np.float64)
        x = apply_numpy(node.layer, weight, layer.float_bias(np.float64), _shaped(node, x))
    return x


def logit_scales(last: LayerNode, layer: QuantizedLayer) -> Array:
    """The factors from the sums of the last layer to logits, float32."""
    return np.asarray((layer.bias_scales / pooled_positions(last)).astype(np.float32))


def _exact_weight(layer: QuantizedLayer, spec: QuantSpec) -> Array:
    """The centered integer weights in the narrowest float type that holds all their sums exactly."""
    exact = np.float32 if largest_sum(layer, spec) < FLOAT32_INTEGERS else np.float64
    return layer.integer_qparams.subtract_zero_point(layer.weight, exact)


def _sums(node: LayerNode, weight: Array, centered: Array) -> Array:
    return np.asarray(product_numpy(node.layer, weight, _shaped(node, centered)).astype(np.int32))


def _pooled_sums(node: LayerNode, sums: Array) -> Array:
    """The pooling of integer sums; for an average, the sum: the division is part of the rescaling."""
    return (
        np.asarray(sums.sum(axis=(2, 3), dtype=np.int32))
        if pooled_positions(node) > 1
        else pool_numpy(node.layer, sums)
    )


def _shaped(node: LayerNode, x: Array) -> Array:
    return x.reshape(len(x), *((-1,) if isinstance(node.layer, Linear) else node.input_shape))


def _per_output(values: Array, x: Array) -> Array:
    return values.reshape(-1, *[1] * (x.ndim - 2))


def _batches(images: Array, batch: int) -> list[Array]:
    return [images[start : start + batch] for start in range(0, len(images), batch)] or [images]
