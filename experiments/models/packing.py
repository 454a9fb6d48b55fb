"""One self-contained file that alone restores a model: its length is what `size_bytes` says.

The file: 8 bytes magic, uint32 length of the header, the header (JSON: network and spec), the layers one after the
other, and a CRC-32 of all before it; little-endian. A layer with integer weights: the grid (lowest and highest
integer), the grid of its input where that is fixed, float32 scales, zero points where they are not all 0 by
definition, the weights at their true bit width, the bias. Biases take 4 bytes either way: int32 for the scheme
`static`, whose sums they are added to, else float32; float16 weights come with float16 biases.
"""

import json
import math
import struct
import zlib
from dataclasses import asdict
from typing import Any

import numpy as np

from experiments.models.bits import pack_bits, packed_size, unpack_bits
from experiments.models.descriptions import BadDescription, describe, network_of, spec_of
from experiments.models.grids import SMALLEST, Grid
from experiments.models.networks import Network, Placed
from experiments.models.quantizing import FLOAT_BITS, Quantized, QuantizedLayer, QuantSpec, check_sums

Array = np.ndarray[Any, Any]

MAGIC = b"tinylab\x01"  # the last byte is the version
HEADER_LIMIT = 2**16
ENDS = struct.Struct("<hh")  # lowest and highest integer of a grid
INPUT = struct.Struct("<fhhh")  # the input's scale, zero point and ends


class DamagedModel(ValueError):  # noqa: N818 - it is about the file, not an error of the program
    """Bytes that are no packed model, or a damaged one: one line, and no model."""


def pack(quantized: Quantized) -> bytes:
    """The file of a quantized or float model; `unpack` gives back the same integers, scales and biases, bit for bit."""
    header = {"network": describe(quantized.network), "spec": asdict(quantized.spec)}
    text = json.dumps(header, separators=(",", ":")).encode()
    parts = [MAGIC, struct.pack("<I", len(text)), text]
    parts += [_pack_layer(layer, quantized.spec) for layer in quantized.layers]
    content = b"".join(parts)
    return content + struct.pack("<I", zlib.crc32(content))


def unpack(data: bytes) -> Quantized:
    """The model in a file, ready for `integer.logits_numpy` and `integer_kernels.build`.

    DamagedModel where a byte is missing, added or changed, and where the header asks for more than the file holds;
    lengths are compared before anything is allocated, and nothing in the file is executed.
    """
    if data[: len(MAGIC) - 1] != MAGIC[:-1]:
        raise DamagedModel("not a packed model of tinygrad lab")
    if data[: len(MAGIC)] != MAGIC:
        raise DamagedModel(f"a packed model of another version: {data[len(MAGIC) - 1 : len(MAGIC)].hex() or 'none'}")
    start = len(MAGIC) + 4
    if len(data) < start + 4 or zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        raise DamagedModel("a damaged packed model: its checksum is wrong")
    length = struct.unpack_from("<I", data, len(MAGIC))[0]
    if length > min(HEADER_LIMIT, len(data) - start - 4):
        raise DamagedModel(f"a damaged packed model: a header of {length} bytes does not fit")
    try:
        network, spec = _header(data[start : start + length])
        body = data[start + length : -4]
        wanted = sum(layer_bytes(place, spec) for place in network.walk())
        if len(body) != wanted:
            raise DamagedModel(f"a damaged packed model: its layers need {wanted} bytes, it has {len(body)}")
        reader = _Reader(body)
        return Quantized(network, spec, tuple(_unpack_layer(place, spec, reader) for place in network.walk()))
    except DamagedModel:
        raise
    except ValueError as error:
        raise DamagedModel(f"a damaged packed model: {error}") from None


def layer_bytes(place: Placed, spec: QuantSpec) -> int:
    """The bytes of one layer in the file."""
    count, outputs = math.prod(place.layer.weight_shape), place.layer.outputs
    if spec.is_float:
        return (count + outputs) * spec.weight_bits // 8
    scales = outputs if spec.granularity == "per_channel" else 1
    grids = ENDS.size + (INPUT.size if spec.scheme == "static" else 0)
    return grids + scales * (4 + _has_zeros(spec)) + packed_size(count, spec.bits(place.name)) + 4 * outputs


def _header(text: bytes) -> tuple[Network, QuantSpec]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise DamagedModel("a damaged packed model: its header is no JSON") from None
    if not isinstance(header, dict) or header.keys() != {"network", "spec"}:
        raise BadDescription("the header is not network and spec")
    return network_of(header["network"]), spec_of(header["spec"])


def _has_zeros(spec: QuantSpec) -> bool:
    return spec.symmetry == "asymmetric"


def _pack_layer(layer: QuantizedLayer, spec: QuantSpec) -> bytes:
    if layer.grid is None:
        return _little(layer.weight) + _little(layer.bias)
    grid, parts = layer.grid, [ENDS.pack(layer.grid.low, layer.grid.high)]
    if layer.activation:
        ends = layer.activation
        parts.append(INPUT.pack(ends.scale, ends.zero, ends.low, ends.high))
    parts.append(_little(grid.scales))
    if _has_zeros(spec):
        parts.append(grid.zeros.astype(np.uint8).tobytes())
    parts += [pack_bits(layer.weight.astype(np.int16) - grid.low, layer.bits), _little(layer.bias)]
    return b"".join(parts)


def _little(values: Array) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


class _Reader:
    """Takes the parts of a body whose length is known to be right, in order."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    def take(self, size: int) -> bytes:
        self._at += size
        return self._body[self._at - size : self._at]

    def numbers(self, kind: str, count: int) -> Array:
        """`count` numbers in native byte order; ValueError where one is not finite."""
        kept = np.dtype(kind)
        values = np.frombuffer(self.take(count * kept.itemsize), kept).astype(kept.newbyteorder("="))
        if not np.isfinite(values).all():
            raise ValueError("a number is not finite")
        return values


def _unpack_layer(place: Placed, spec: QuantSpec, reader: _Reader) -> QuantizedLayer:
    shape, outputs, bits = place.layer.weight_shape, place.layer.outputs, spec.bits(place.name)
    count = math.prod(shape)
    if spec.is_float:
        kind = "<f2" if FLOAT_BITS[spec.scheme] == 16 else "<f4"
        weight, bias = reader.numbers(kind, count).reshape(shape), reader.numbers(kind, outputs)
        return QuantizedLayer(place.name, bits, weight, bias, None, None)
    low, high = ENDS.unpack(reader.take(ENDS.size))
    activation = None
    if spec.scheme == "static":
        scale, zero, *ends = INPUT.unpack(reader.take(INPUT.size))
        activation = _grid(np.array([scale], np.float32), np.array([zero]), ends[0], ends[1], spec.activation_bits or 8)
    scales = reader.numbers("<f4", outputs if spec.granularity == "per_channel" else 1)
    zeros = reader.numbers("<u1", len(scales)) if _has_zeros(spec) else np.zeros(len(scales))
    grid = _grid(scales, zeros, low, high, bits)
    codes = unpack_bits(reader.take(packed_size(count, bits)), count, bits).reshape(shape)
    if codes.max() > high - low:
        raise ValueError("a weight is beyond its grid")
    weight = (codes.astype(np.int16) + low).astype(grid.dtype)
    bias = reader.numbers("<i4" if spec.scheme == "static" else "<f4", outputs)
    layer = QuantizedLayer(place.name, bits, weight, bias, grid, activation)
    check_sums(place, layer, spec)
    return layer


def _grid(scales: Array, zeros: Array, low: int, high: int, bits: int) -> Grid:
    """A grid from a file; ValueError where it is none of `bits` bits with finite positive scales."""
    inside = 0 < high - low < 2**bits and -128 <= low <= 0 and ((zeros >= low) & (zeros <= high)).all()
    if not inside or not (np.isfinite(scales) & (scales >= SMALLEST)).all():
        raise ValueError("a grid is not one of its bits")
    return Grid(scales, zeros.astype(np.int32), low, high)
