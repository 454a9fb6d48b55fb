"""One self-contained file that alone restores a model: its length is what `size_bytes` says.

The file: 8 bytes magic, uint16 length of the header, the header (compressed JSON: network and spec), the layers one
after the other, and a CRC-32 of all before it; little-endian. A layer: where its weights are integers the grid
(lowest and highest integer), the grid of its input where that is fixed, float32 scales, zero points where they are
not all 0 by definition; then the weights at their true bit width and the bias, each in a storage of `storage`. A bias
has 4 bytes: int32 for the scheme `static`, whose sums it is added to, else float32; float16 weights have float16
biases.
"""

import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.format.header import read_header, write_header
from experiments.models.format.storage import ArrayLayout, ByteReader, Storage, decode_array, encode_array, write_length
from experiments.models.sequential.network import Conv, LayerNode, Network
from experiments.models.techniques.quantization.affine import MIN_SCALE, QParams
from experiments.models.techniques.quantization.description import (
    BadDescription,
    describe_network,
    network_from_json,
    quant_spec_from_json,
)
from experiments.models.techniques.quantization.post_training import (
    FLOAT_BITS,
    QuantizedLayer,
    QuantizedNetwork,
    QuantSpec,
    check_sums,
)

VERSION = 1  # raise it when the same model is packed into other bytes


MAGIC = b"tinylab\x02"  # the last byte is the version
LENGTH = struct.Struct("<H")
MAX_WEIGHTS = 2**25  # a file may ask for: few bytes can stand for many zeros
MAX_CODED, MAX_LINES = 2**20, 2**13  # weights and inputs of a network that is entropy-coded: seconds at worst
FIRST = "layers.0"
ENDS = struct.Struct("<hh")  # lowest and highest integer of a grid
INPUT = struct.Struct("<fhhh")  # the input's scale, zero point and ends


class DamagedModel(ValueError):
    """Bytes that are no packed model, or a damaged one: one line, and no model."""


def pack(quantized: QuantizedNetwork, storage: Storage = "dense") -> bytes:
    """The file of a quantized or float model; `unpack` gives back the same integers, scales and biases, bit for bit.

    `storage` is how weights and biases are laid out; `smallest` chooses for each array. ValueError where a network
    is too large to be entropy-coded (`smallest` then does without) or to be packed at all.
    """
    network, spec = quantized.network, quantized.spec
    coded = _codable(network)
    if storage == "entropy" and not coded:
        raise ValueError(f"{network.name} is too large to be entropy-coded; take smallest")
    if not _restorable(network):
        raise ValueError(f"{network.name} has more than {MAX_WEIGHTS:,} weights")
    header = write_header({"network": describe_network(network), "spec": asdict(spec)})
    parts = [MAGIC, LENGTH.pack(len(header)), header]
    for place, layer in zip(network.walk(), quantized.layers, strict=True):
        parts.append(_pack_layer(place, layer, spec, partial(encode_array, storage=storage, coded=coded)))
    content = b"".join(parts)
    return content + struct.pack("<I", zlib.crc32(content))


def unpack(data: bytes) -> QuantizedNetwork:
    """The model in a file, ready for `integer.logits_numpy` and `integer_kernels.build`.

    DamagedModel where a byte is missing, added or changed, and where the header asks for more than a file may;
    lengths are compared before anything is allocated, and nothing in the file is executed.
    """
    if data[: len(MAGIC) - 1] != MAGIC[:-1]:
        raise DamagedModel("not a packed model of tinygrad lab")
    if data[: len(MAGIC)] != MAGIC:
        raise DamagedModel(f"a packed model of another version: {data[len(MAGIC) - 1 : len(MAGIC)].hex() or 'none'}")
    start = len(MAGIC) + LENGTH.size
    if len(data) < start + 4 or zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        raise DamagedModel("a damaged packed model: its checksum is wrong")
    try:
        reader = ByteReader(data[start:-4])
        network, spec = _header(reader.take(LENGTH.unpack_from(data, len(MAGIC))[0]))
        if not _restorable(network):
            raise DamagedModel(f"a damaged packed model: more than {MAX_WEIGHTS:,} weights")
        fetch = partial(decode_array, reader, coded=_codable(network))
        layers = tuple(_unpack_layer(place, spec, reader, fetch) for place in network.walk())
        reader.finish()
        return QuantizedNetwork(network, spec, layers)
    except DamagedModel:
        raise
    except ValueError as error:
        raise DamagedModel(f"a damaged packed model: {error}") from None


def layer_bytes(place: LayerNode, spec: QuantSpec) -> int:
    """The bytes of one layer in the file where its storage is dense."""
    weight, bias = _form(place, spec), _bias_form(place, spec)
    arrays = sum(1 + len(write_length(form.dense_bytes)) + form.dense_bytes for form in (weight, bias))
    if spec.is_float:
        return arrays
    scales = place.layer.outputs if spec.granularity == "per_channel" else 1
    grids = ENDS.size + (INPUT.size if spec.scheme == "static" else 0)
    return grids + scales * (4 + _has_zeros(spec)) + arrays


def _restorable(network: Network) -> bool:
    return sum(math.prod(place.layer.weight_shape) for place in network.walk()) <= MAX_WEIGHTS


def _codable(network: Network) -> bool:
    """Whether it is small enough for the entropy coder, whose time is that of its inputs and weights."""
    shapes = [place.layer.weight_shape for place in network.walk()]
    lines = sum(math.prod(shape[1:]) for shape in shapes)
    return sum(math.prod(shape) for shape in shapes) <= MAX_CODED and lines <= MAX_LINES


def _form(place: LayerNode, spec: QuantSpec) -> ArrayLayout:
    outputs, *inputs = place.layer.weight_shape
    return ArrayLayout(math.prod(inputs), outputs, spec.bits(place.name), _across(place))


def _across(place: LayerNode) -> int:
    """Inputs in one line of the image, or of the kernel; 1 where they are no image."""
    if isinstance(place.layer, Conv):
        return place.layer.kernel
    if len(place.input_shape) == 3:
        return place.input_shape[2]
    side = math.isqrt(place.layer.inputs)
    return side if place.name == FIRST and side * side == place.layer.inputs else 1


def _bias_form(place: LayerNode, spec: QuantSpec) -> ArrayLayout:
    return ArrayLayout(1, place.layer.outputs, 16 if spec.scheme == "float16" else 32)


def _header(content: bytes) -> tuple[Network, QuantSpec]:
    header = read_header(content)
    if not isinstance(header, dict) or header.keys() != {"network", "spec"}:
        raise BadDescription("the header is not network and spec")
    return network_from_json(header["network"]), quant_spec_from_json(header["spec"])


def _has_zeros(spec: QuantSpec) -> bool:
    return spec.symmetry == "asymmetric"


def _pack_layer(
    place: LayerNode, layer: QuantizedLayer, spec: QuantSpec, keep: Callable[[Array, ArrayLayout], bytes]
) -> bytes:
    form, parts = _form(place, spec), []
    rows = layer.weight.reshape(form.outputs, form.inputs)
    if layer.weight_qparams is None:
        words = _bits_of(rows)
    else:
        grid = layer.weight_qparams
        parts.append(ENDS.pack(grid.qmin, grid.qmax))
        if ends := layer.input_qparams:
            parts.append(INPUT.pack(ends.scale, ends.zero_point, ends.qmin, ends.qmax))
        parts.append(_little(grid.scales))
        if _has_zeros(spec):
            parts.append(grid.zero_points.astype(np.uint8).tobytes())
        words = (rows - grid.zero_points.reshape(-1, 1)).astype(np.uint32) % 2**form.width
    return b"".join([*parts, keep(words.T, form), keep(_bits_of(layer.bias).reshape(1, -1), _bias_form(place, spec))])


def _bits_of(values: Array) -> Array:
    """The bits of floats or int32 as unsigned integers: 0 is 0, and so is the -0.0 that a masked weight becomes."""
    return np.ascontiguousarray(values + values.dtype.type(0)).view(f"u{values.itemsize}")


def _little(values: Array) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _numbers(kind: str, count: int, reader: ByteReader) -> Array:
    """`count` numbers in native byte order; ValueError where one is not finite."""
    kept = np.dtype(kind)
    return _finite(np.frombuffer(reader.take(count * kept.itemsize), kept).astype(kept.newbyteorder("=")))


def _finite(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise ValueError("a number is not finite")
    return values


def _unpack_layer(
    place: LayerNode, spec: QuantSpec, reader: ByteReader, fetch: Callable[[ArrayLayout], Array]
) -> QuantizedLayer:
    shape, bits, form, bias_form = (
        place.layer.weight_shape,
        spec.bits(place.name),
        _form(place, spec),
        _bias_form(place, spec),
    )
    if spec.is_float:
        kind = np.float16 if FLOAT_BITS[spec.scheme] == 16 else np.float32
        weight, bias = (_finite(_floats(fetch(one), kind)) for one in (form, bias_form))
        return QuantizedLayer(place.name, bits, weight.reshape(shape), bias.ravel(), None, None)
    low, high = ENDS.unpack(reader.take(ENDS.size))
    activation = None
    if spec.scheme == "static":
        scale, zero, *ends = INPUT.unpack(reader.take(INPUT.size))
        activation = _grid(np.array([scale], np.float32), np.array([zero]), ends[0], ends[1], spec.activation_bits or 8)
    scales = _numbers("<f4", form.outputs if spec.granularity == "per_channel" else 1, reader)
    zeros = _numbers("<u1", len(scales), reader) if _has_zeros(spec) else np.zeros(len(scales))
    grid = _grid(scales, zeros, low, high, bits)
    codes = (fetch(form).T.astype(np.int64) + grid.zero_points.reshape(-1, 1) - low) % 2**bits
    if codes.max() > high - low:
        raise ValueError("a weight is beyond its grid")
    weight = (codes + low).astype(grid.dtype).reshape(shape)
    words = fetch(bias_form).ravel()
    bias = words.view(np.int32) if spec.scheme == "static" else _finite(_floats(words, np.float32))
    layer = QuantizedLayer(place.name, bits, weight, bias, grid, activation)
    check_sums(place, layer, spec)
    return layer


def _floats(words: Array, kind: type[np.floating[Any]]) -> Array:
    """Floats (outputs, inputs) of words (inputs, outputs) that hold their bits."""
    return np.ascontiguousarray(words.T.astype(f"u{np.dtype(kind).itemsize}")).view(kind)


def _grid(scales: Array, zeros: Array, low: int, high: int, bits: int) -> QParams:
    """A grid from a file; ValueError where it is none of `bits` bits with finite positive scales."""
    inside = 0 < high - low < 2**bits and -128 <= low <= 0 and ((zeros >= low) & (zeros <= high)).all()
    if not inside or not (np.isfinite(scales) & (scales >= MIN_SCALE)).all():
        raise ValueError("a grid is not one of its bits")
    return QParams(scales, zeros.astype(np.int32), low, high)
