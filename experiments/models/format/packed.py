"""One self-contained file that restores a model: its length is the `size_bytes` of a row.

Layout, little-endian: 8 bytes magic, uint16 length of the header, the header (compressed JSON: network and QuantSpec),
the layers in order, and a CRC-32 of everything before it. A layer: for integer weights their lowest and highest
integer, the quantization parameters of the layer's input if these are fixed, float32 scales, zero points unless all
are 0 by definition; then weights at their true bit width and bias, each encoded as in `storage`. A bias has 4 bytes,
int32 for the scheme `static` (it is added to integer sums), else float32; float16 weights have float16 biases.
"""

import json
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.format.storage import ArrayLayout, ByteReader, Storage, decode_array, encode_array, write_length
from experiments.models.sequential.description import BadDescription, describe_network, network_from_json
from experiments.models.sequential.network import Conv, LayerNode, Network
from experiments.models.techniques.quantization.affine import MIN_SCALE, QParams
from experiments.models.techniques.quantization.post_training import QuantizedLayer, QuantizedNetwork, check_sums
from experiments.models.techniques.quantization.spec import FLOAT_BITS, QuantSpec, quant_spec_from_json

VERSION = 1  # raise it when the same model is packed into other bytes

MAGIC = b"tinylab\x02"  # the last byte is the version of the format
LENGTH = struct.Struct("<H")
MAX_WEIGHTS = 2**25  # a few bytes can encode very many zeros, so the header could demand any amount of memory
MAX_CODED_WEIGHTS, MAX_CODED_INPUTS = 2**20, 2**13  # of a network that is entropy-coded: seconds at worst
FIRST_LAYER = "layers.0"
ENDS = struct.Struct("<hh")  # lowest and highest integer of the weights
INPUT = struct.Struct("<fhhh")  # scale, zero point, lowest and highest integer of the input

MAX_HEADER_BYTES = 2**16  # decompressed
RAW_DEFLATE = -15  # no frame around the compressed bytes: the file has its own checksum
# Text that headers have in common compresses to nothing; changing it changes the version of the format.
DICTIONARY = (
    b'{"network":{"name":"lenet_5","image":[1,28,28],"layers":[{"kind":"conv","inputs":1,"outputs":20,"ker'
    b'nel":5,"stride":1,"padding":0,"relu":true,"pool":"max2"},{"kind":"conv","inputs":20,"outputs":50,"ke'
    b'rnel":5,"stride":1,"padding":0,"relu":true,"pool":"max2"},{"kind":"linear","inputs":800,"outputs":50'
    b'0,"relu":true},{"kind":"linear","inputs":500,"outputs":10,"relu":false}]},"spec":{"scheme":"static",'
    b'"weight_bits":8,"activation_bits":8,"granularity":"per_channel","symmetry":"symmetric","observer":"m'
    b'inmax","weight_observer":"minmax","percentile":0.999,"layer_bits":[]}}{"network":{"name":"lenet_300_'
    b'100","image":[784],"layers":[{"kind":"linear","inputs":784,"outputs":300,"relu":true},{"kind":"linea'
    b'r","inputs":300,"outputs":100,"relu":true},{"kind":"linear","inputs":100,"outputs":10,"relu":false}]'
    b'},"spec":{"scheme":"float16","weight_bits":16,"activation_bits":null,"granularity":"per_channel","sy'
    b'mmetry":"symmetric","observer":"minmax","weight_observer":"minmax","percentile":0.999,"layer_bits":['
    b"]}}"
)


class DamagedModel(ValueError):
    """The bytes are not a packed model, or a damaged one; the message is one line."""


def pack(quantized: QuantizedNetwork, storage: Storage = "dense") -> bytes:
    """The file of a quantized or float model; `unpack` restores the same integers, scales and biases, bit for bit.

    `storage`: the encoding of weights and biases; `smallest` chooses one for each array. Raises ValueError if the
    network is too large for entropy coding (`smallest` then does without) or for packing at all.
    """
    network, spec = quantized.network, quantized.spec
    coded = _may_be_coded(network)
    if storage == "entropy" and not coded:
        raise ValueError(f"{network.name} is too large to be entropy-coded; use smallest")
    if not _may_be_packed(network):
        raise ValueError(f"{network.name} has more than {MAX_WEIGHTS:,} weights")
    header = write_header({"network": describe_network(network), "spec": asdict(spec)})
    parts = [MAGIC, LENGTH.pack(len(header)), header]
    for node, layer in zip(network.walk(), quantized.layers, strict=True):
        parts.append(_pack_layer(node, layer, spec, partial(encode_array, storage=storage, coded=coded)))
    content = b"".join(parts)
    return content + struct.pack("<I", zlib.crc32(content))


def unpack(data: bytes) -> QuantizedNetwork:
    """The model in a file, ready for `numpy_backend.logits_numpy` and `tinygrad_backend.build_forward`.

    DamagedModel if a byte is missing, added or changed, and if the header exceeds the limits; sizes are checked before
    memory is allocated, and nothing in the file is executed.
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
        network, spec = _parse_header(reader.take(LENGTH.unpack_from(data, len(MAGIC))[0]))
        if not _may_be_packed(network):
            raise ValueError(f"more than {MAX_WEIGHTS:,} weights")
        decode = partial(decode_array, reader, coded=_may_be_coded(network))
        layers = tuple(_unpack_layer(node, spec, reader, decode) for node in network.walk())
        reader.finish()
        return QuantizedNetwork(network, spec, layers)
    except ValueError as error:
        raise DamagedModel(f"a damaged packed model: {error}") from None


def layer_bytes(node: LayerNode, spec: QuantSpec) -> int:
    """The size of one layer in a file with dense storage."""
    layouts = (_weight_layout(node, spec), _bias_layout(node, spec))
    arrays = sum(1 + len(write_length(one.dense_bytes)) + one.dense_bytes for one in layouts)
    if spec.is_float:
        return arrays
    scales = node.layer.outputs if spec.granularity == "per_channel" else 1
    ends = ENDS.size + (INPUT.size if spec.scheme == "static" else 0)
    return ends + scales * (4 + _has_zero_points(spec)) + arrays


def write_header(header: Any) -> bytes:
    """JSON values, compressed; raises ValueError if they are too long."""
    text = json.dumps(header, separators=(",", ":")).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {len(text)} bytes; at most {MAX_HEADER_BYTES} are allowed")
    compressor = zlib.compressobj(9, wbits=RAW_DEFLATE, zdict=DICTIONARY)
    return compressor.compress(text) + compressor.flush()


def read_header(content: bytes) -> Any:
    """The JSON values of `write_header`.

    Raises ValueError if they are damaged or too long, before more is decompressed.
    """
    decompressor = zlib.decompressobj(RAW_DEFLATE, zdict=DICTIONARY)
    try:
        text = decompressor.decompress(content, MAX_HEADER_BYTES)
        if not decompressor.eof or decompressor.unused_data:
            raise ValueError("its header is truncated or followed by other bytes")
        return json.loads(text)
    except (zlib.error, RecursionError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError("its header is not JSON") from None


def _parse_header(content: bytes) -> tuple[Network, QuantSpec]:
    header = read_header(content)
    if not isinstance(header, dict) or header.keys() != {"network", "spec"}:
        raise BadDescription("the header is not network and spec")
    return network_from_json(header["network"]), quant_spec_from_json(header["spec"])


def _may_be_packed(network: Network) -> bool:
    return sum(math.prod(node.layer.weight_shape) for node in network.walk()) <= MAX_WEIGHTS


def _may_be_coded(network: Network) -> bool:
    """Whether the network is small enough for the entropy coder, whose time grows with inputs and weights."""
    shapes = [node.layer.weight_shape for node in network.walk()]
    inputs = sum(math.prod(shape[1:]) for shape in shapes)
    return sum(math.prod(shape) for shape in shapes) <= MAX_CODED_WEIGHTS and inputs <= MAX_CODED_INPUTS


def _weight_layout(node: LayerNode, spec: QuantSpec) -> ArrayLayout:
    outputs, *inputs = node.layer.weight_shape
    return ArrayLayout(math.prod(inputs), outputs, spec.bits(node.name), _across(node))


def _across(node: LayerNode) -> int:
    """Inputs in one line of the image or of the kernel; 1 if the inputs are not an image."""
    if isinstance(node.layer, Conv):
        return node.layer.kernel
    if len(node.input_shape) == 3:
        return node.input_shape[2]
    side = math.isqrt(node.layer.inputs)
    return side if node.name == FIRST_LAYER and side * side == node.layer.inputs else 1


def _bias_layout(node: LayerNode, spec: QuantSpec) -> ArrayLayout:
    return ArrayLayout(1, node.layer.outputs, 16 if spec.scheme == "float16" else 32)


def _has_zero_points(spec: QuantSpec) -> bool:
    return spec.symmetry == "asymmetric"


def _pack_layer(
    node: LayerNode, layer: QuantizedLayer, spec: QuantSpec, encode: Callable[[Array, ArrayLayout], bytes]
) -> bytes:
    layout, parts = _weight_layout(node, spec), []
    rows = layer.weight.reshape(layout.outputs, layout.inputs)
    if (qparams := layer.weight_qparams) is None:
        words = _bits_of(rows)
    else:
        parts.append(ENDS.pack(qparams.qmin, qparams.qmax))
        if given := layer.input_qparams:
            parts.append(INPUT.pack(given.scale, given.zero_point, given.qmin, given.qmax))
        parts.append(_little_endian(qparams.scales))
        if _has_zero_points(spec):
            parts.append(qparams.zero_points.astype(np.uint8).tobytes())
        words = (rows - qparams.zero_points.reshape(-1, 1)).astype(np.uint32) % 2**layout.width
    bias = encode(_bits_of(layer.bias).reshape(1, -1), _bias_layout(node, spec))
    return b"".join([*parts, encode(words.T, layout), bias])


def _bits_of(values: Array) -> Array:
    """The bits of floats or int32 as unsigned integers; -0.0, which a masked weight may be, becomes 0."""
    return np.ascontiguousarray(values + values.dtype.type(0)).view(f"u{values.itemsize}")


def _little_endian(values: Array) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _unpack_layer(
    node: LayerNode, spec: QuantSpec, reader: ByteReader, decode: Callable[[ArrayLayout], Array]
) -> QuantizedLayer:
    bits, layout, bias_layout = spec.bits(node.name), _weight_layout(node, spec), _bias_layout(node, spec)
    if spec.is_float:
        kind = np.float16 if FLOAT_BITS[spec.scheme] == 16 else np.float32
        weight, bias = (_finite(_floats(decode(one), kind)) for one in (layout, bias_layout))
        return QuantizedLayer(node.name, bits, weight.reshape(node.layer.weight_shape), bias.ravel(), None, None)
    low, high = ENDS.unpack(reader.take(ENDS.size))
    given = _unpack_input(spec, reader) if spec.scheme == "static" else None
    scales = _numbers("<f4", layout.outputs if spec.granularity == "per_channel" else 1, reader)
    zero_points = _numbers("<u1", len(scales), reader) if _has_zero_points(spec) else np.zeros(len(scales))
    qparams = _qparams(scales, zero_points, low, high, bits)
    codes = (decode(layout).T.astype(np.int64) + qparams.zero_points.reshape(-1, 1) - low) % 2**bits
    if codes.max() > high - low:
        raise ValueError("a weight exceeds its range of integers")
    weight = (codes + low).astype(qparams.dtype).reshape(node.layer.weight_shape)
    words = decode(bias_layout).ravel()
    bias = words.view(np.int32) if spec.scheme == "static" else _finite(_floats(words, np.float32))
    layer = QuantizedLayer(node.name, bits, weight, bias, qparams, given)
    check_sums(node, layer, spec)
    return layer


def _unpack_input(spec: QuantSpec, reader: ByteReader) -> QParams:
    scale, zero_point, low, high = INPUT.unpack(reader.take(INPUT.size))
    return _qparams(np.array([scale], np.float32), np.array([zero_point]), low, high, spec.activation_bits or 8)


def _numbers(kind: str, count: int, reader: ByteReader) -> Array:
    """`count` numbers in native byte order; raises ValueError if one is not finite."""
    stored = np.dtype(kind)
    return _finite(np.frombuffer(reader.take(count * stored.itemsize), stored).astype(stored.newbyteorder("=")))


def _finite(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise ValueError("a number is not finite")
    return values


def _floats(words: Array, kind: type[np.floating[Any]]) -> Array:
    """Floats (outputs, inputs) from words (inputs, outputs) that hold their bits."""
    return np.ascontiguousarray(words.T.astype(f"u{np.dtype(kind).itemsize}")).view(kind)


def _qparams(scales: Array, zero_points: Array, low: int, high: int, bits: int) -> QParams:
    """Quantization parameters from a file.

    Raises ValueError if they are not of `bits` bits with finite positive scales.
    """
    inside = 0 < high - low < 2**bits and -128 <= low <= 0 and ((zero_points >= low) & (zero_points <= high)).all()
    if not inside or not (np.isfinite(scales) & (scales >= MIN_SCALE)).all():
        raise ValueError("quantization parameters are not possible")
    return QParams(scales, zero_points.astype(np.int32), low, high)
