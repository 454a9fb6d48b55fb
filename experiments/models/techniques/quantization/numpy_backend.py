"""Quantized networks in numpy: in integers, as the device computes them, and as their float twin.

The integer sums are formed by float products that are exact: no partial sum leaves the integers a float holds.
Source of the fixed-point rescaling: Jacob et al. 2017, section 2.2 (as in gemmlowp and TensorFlow Lite).
"""

import math
from dataclasses import dataclass

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.sequential.network import (
    LayerNode,
    Linear,
    apply_numpy,
    forward_numpy,
    image_chunks,
    pool_numpy,
    product_numpy,
)
from experiments.models.techniques.quantization.affine import QParams
from experiments.models.techniques.quantization.post_training import (
    QuantizedLayer,
    QuantizedNetwork,
    largest_sum,
    pooled_positions,
)
from experiments.models.techniques.quantization.spec import QuantSpec

BATCH = 32  # images that share an activation scale, where it is taken at run time
TOLERANCE = 1e-6  # of the largest logit: twin and static integer path differ by float32 rounding of the logits alone
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


def rescale(place: LayerNode, layer: QuantizedLayer, following: QParams) -> Rescale:
    """The fixed-point form of the step from the sums of `layer` to the grid of the following layer's input."""
    factors = layer.bias_scales / float(following.scale) / pooled_positions(place)
    shift = MULTIPLIER_BITS - math.frexp(float(factors.max()))[1]
    if shift < 1:
        raise ValueError(f"{place.name}: its input scale is too large for the scale of its output")
    shift = min(shift, 2 * MULTIPLIER_BITS)
    return Rescale(np.rint(factors * 2.0**shift).astype(np.int64), shift)


def batch_qparams(x: Array, bits: int) -> QParams:
    """The grid over the values of one batch, 0 included, in float32 step by step as the kernel computes it."""
    lo, hi = np.float32(min(x.min(), 0)), np.float32(max(x.max(), 0))
    high = 2**bits - 1
    scale = np.maximum((hi - lo) * np.float32(1 / high), np.float32(MIN_BATCH_SCALE))
    zero = np.rint(-lo * (np.float32(1) / scale))
    return QParams(np.array([scale], np.float32), np.array([zero], np.int32), 0, high)


def logits_numpy(quantized: QuantizedNetwork, images: Array, batch: int = BATCH) -> Array:
    """Float32 logits (n, classes) of images (n, pixels): integer arithmetic where the scheme has it, else float."""
    if quantized.spec.activation_bits is None:
        return forward_numpy(quantized.network, quantized.float_weights(), images.astype(np.float32))
    return integer_forward_numpy(quantized, images, batch)


def accuracy_numpy(quantized: QuantizedNetwork, images: Array, labels: Array, batch: int = BATCH) -> float:
    """The share of `images` whose largest logit is at their label, 0..1."""
    return float((logits_numpy(quantized, images, batch).argmax(axis=1) == labels).mean())


def integer_forward_numpy(quantized: QuantizedNetwork, images: Array, batch: int = BATCH) -> Array:
    """Float32 logits by integer products and int32 sums; ValueError for a scheme that has none.

    `static`: integers from the first layer's input to the last layer's sums. `dynamic`: each batch of `batch` images
    has its own activation scales, and floats go from layer to layer.
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
    """Float32 logits of the fake-quantized twin: float64 products of the numbers that the integers stand for.

    Rounded to float32 at the end, so that two equal integer sums are a tie here too.
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
    places, layers = quantized.network.walk(), quantized.layers
    q = layers[0].fixed_input_qparams.quantize(images)
    for place, layer, weight, following in zip(places, layers, weights, (*layers[1:], None), strict=True):
        sums = _sums(place, weight, layer.fixed_input_qparams.subtract_zero_point(q, weight.dtype))
        sums += _per_output(layer.bias, sums)
        sums = _pooled_sums(place, np.maximum(sums, 0) if place.layer.relu else sums)
        if following is None:
            break
        step, grid = rescale(place, layer, following.fixed_input_qparams), following.fixed_input_qparams
        scaled = sums.astype(np.int64) * _per_output(step.multipliers, sums)
        q = np.clip((scaled + step.half >> step.shift) + grid.zero_point, grid.qmin, grid.qmax).astype(grid.dtype)
    return np.asarray(sums.astype(np.float32) * _per_output(logit_scales(places[-1], layers[-1]), sums))


def _static_fake_quantized(quantized: QuantizedNetwork, weights: list[Array], images: Array) -> Array:
    places, layers = quantized.network.walk(), quantized.layers
    x = layers[0].fixed_input_qparams.dequantize(layers[0].fixed_input_qparams.quantize(images), np.float64)
    for place, layer, weight, following in zip(places, layers, weights, (*layers[1:], None), strict=True):
        x = apply_numpy(place.layer, weight, layer.float_bias(np.float64), _shaped(place, x))
        if following is None:
            break
        step, grid = rescale(place, layer, following.fixed_input_qparams), following.fixed_input_qparams
        # 1 / scale of the next grid as the fixed-point multiplier has it, to 31 bits: both round at the same places
        inverse = step.multipliers * 2.0**-step.shift / layer.bias_scales * pooled_positions(place)
        q = np.floor(x * _per_output(inverse, x) + 0.5) + grid.zero_point
        x = (np.clip(q, grid.qmin, grid.qmax) - grid.zero_point) * float(grid.scale)
    return x


def _dynamic(quantized: QuantizedNetwork, weights: list[Array], images: Array) -> Array:
    x = images
    for place, layer, weight in zip(quantized.network.walk(), quantized.layers, weights, strict=True):
        grid = batch_qparams(x, quantized.spec.activation_bits or 8)
        sums = _sums(place, weight, grid.subtract_zero_point(grid.quantize(x), weight.dtype))
        scales = layer.integer_qparams.scales * grid.scale
        x = sums.astype(np.float32) * _per_output(scales, sums) + _per_output(layer.bias, sums)
        x = pool_numpy(place.layer, np.maximum(x, 0) if place.layer.relu else x)
    return x


def _dynamic_fake_quantized(quantized: QuantizedNetwork, weights: list[Array], images: Array) -> Array:
    x = images.astype(np.float64)
    for place, layer, weight in zip(quantized.network.walk(), quantized.layers, weights, strict=True):
        narrow = x.astype(np.float32)
        grid = batch_qparams(narrow, quantized.spec.activation_bits or 8)
        x = grid.dequantize(grid.quantize(narrow), np.float64)
        x = apply_numpy(place.layer, weight, layer.float_bias(np.float64), _shaped(place, x))
    return x


def logit_scales(last: LayerNode, layer: QuantizedLayer) -> Array:
    """What the sums of the last layer are multiplied by to be logits, float32."""
    return np.asarray((layer.bias_scales / pooled_positions(last)).astype(np.float32))


def _exact_weight(layer: QuantizedLayer, spec: QuantSpec) -> Array:
    """The centred integers of the weights in the narrowest float that holds all their sums exactly."""
    exact = np.float32 if largest_sum(layer, spec) < FLOAT32_INTEGERS else np.float64
    return layer.integer_qparams.subtract_zero_point(layer.weight, exact)


def _sums(place: LayerNode, weight: Array, centred: Array) -> Array:
    return np.asarray(product_numpy(place.layer, weight, _shaped(place, centred)).astype(np.int32))


def _pooled_sums(place: LayerNode, sums: Array) -> Array:
    """The pooling of integer sums; an average stays a sum, its division is part of the rescaling."""
    return (
        np.asarray(sums.sum(axis=(2, 3), dtype=np.int32))
        if pooled_positions(place) > 1
        else pool_numpy(place.layer, sums)
    )


def _shaped(place: LayerNode, x: Array) -> Array:
    return x.reshape(len(x), *((-1,) if isinstance(place.layer, Linear) else place.input_shape))


def _per_output(values: Array, x: Array) -> Array:
    return values.reshape(-1, *[1] * (x.ndim - 2))


def _batches(images: Array, batch: int) -> list[Array]:
    return [images[start : start + batch] for start in range(0, len(images), batch)] or [images]
