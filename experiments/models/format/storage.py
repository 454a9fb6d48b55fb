"""Encodings of arrays with many zeros: dense, bit mask, compressed rows with narrow indices, entropy-coded.

Arrays are given as "words": unsigned integers of `width` bits, zero where the weight is zero (the bits of a float, or
an integer weight minus its zero point). Every encoding is lossless. A stored array is a tag, the length of its content
(7 bits a byte), and the content.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.format.entropy import decode_mask, decode_symbols, encode_mask, encode_symbols

Encoding = Literal["dense", "bitmask", "csr", "entropy"]
Storage = Literal["smallest", "dense", "bitmask", "csr", "entropy"]

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
MAX_GAP = 255  # zeros before a non-zero in a byte of compressed rows; the value 255 itself means: 255 more zeros
MAX_TABLE = 256  # distinct values in a table


@dataclass(frozen=True)
class ArrayLayout:
    """Shape of a stored array: `inputs` x `outputs` words of `width` bits (1 to 8, 16 or 32).

    `across`: inputs in one line of an image; 1 if the inputs are not an image.
    """

    inputs: int
    outputs: int
    width: int
    across: int = 1

    @property
    def count(self) -> int:
        """Number of words."""
        return self.inputs * self.outputs

    @property
    def dense_bytes(self) -> int:
        """Bytes of the dense encoding, without tag and length."""
        return _words_size(self.count, self.width)


def encode_array(words: Array, layout: ArrayLayout, storage: Storage, *, coded: bool = True) -> bytes:
    """Words (inputs, outputs) in the given encoding, or in the smallest; `coded` allows `smallest` to entropy-code."""
    allowed = [one for one in ENCODINGS if storage == one or (storage == "smallest" and (coded or one != "entropy"))]
    contents = [(encoding, _ENCODERS[encoding](words, layout)) for encoding in allowed]
    encoding, content = min(contents, key=lambda one: len(one[1]))
    return bytes([ENCODINGS.index(encoding)]) + write_length(len(content)) + content


class ByteReader:
    """Reads the parts of a file in order; raises ValueError if it ends too early."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def left(self) -> int:
        """Bytes that are not read yet."""
        return len(self._content) - self._at

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > self.left:
            raise ValueError(f"{size} bytes are needed, {self.left} are left")
        self._at += size
        return self._content[self._at - size : self._at]

    def length(self) -> int:
        """The next length, as written by `write_length`."""
        value = 0
        for place in range(5):
            byte = self.take(1)[0]
            value |= (byte & 127) << 7 * place
            if byte < 128:
                return value
        raise ValueError("a length is too long")

    def finish(self) -> None:
        """Raises ValueError if bytes are left."""
        if self.left:
            raise ValueError(f"{self.left} bytes are left over")


def write_length(value: int) -> bytes:
    """A length as a variable-length integer: 7 bits a byte, the least significant first."""
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def decode_array(reader: ByteReader, layout: ArrayLayout, *, coded: bool = True) -> Array:
    """The words (inputs, outputs), uint32, of the next stored array; raises ValueError if it is damaged."""
    tag = reader.take(1)[0]
    if tag >= len(ENCODINGS):
        raise ValueError("an array has an unknown encoding")
    encoding, inner = ENCODINGS[tag], ByteReader(reader.take(reader.length()))
    if encoding == "entropy" and not coded:
        raise ValueError("an array of a network this large must not be entropy-coded")
    words = _DECODERS[encoding](inner, layout)
    inner.finish()
    return words


def packed_size(count: int, bits: int) -> int:
    """Bytes of `count` integers of `bits` bits, the last byte padded with zeros. packed_size(3, 3) == 2."""
    return (count * bits + 7) // 8


def pack_bits(values: Array, bits: int) -> bytes:
    """Integers 0 to 2^bits - 1 of any shape as a bit stream, the most significant bit of each first."""
    rows = np.unpackbits(values.astype(np.uint8).reshape(-1, 1), axis=1)[:, 8 - bits :]
    return np.packbits(rows.ravel()).tobytes()


def unpack_bits(data: bytes, count: int, bits: int) -> Array:
    """The `count` integers of `pack_bits`, uint8; raises ValueError if the size is wrong or the padding is not zero."""
    if len(data) != packed_size(count, bits):
        raise ValueError(f"{count} integers of {bits} bits are not {len(data)} bytes")
    stream = np.unpackbits(np.frombuffer(data, np.uint8))
    if stream[count * bits :].any():
        raise ValueError("bits are set after the last integer")
    rows = np.zeros((count, 8), np.uint8)
    rows[:, 8 - bits :] = stream[: count * bits].reshape(count, bits)
    return np.packbits(rows, axis=1).ravel()


def _words_size(count: int, width: int) -> int:
    return packed_size(count, width) if width <= 8 else count * width // 8


def _write_words(words: Array, width: int) -> bytes:
    return pack_bits(words, width) if width <= 8 else words.astype(f"<u{width // 8}").tobytes()


def _read_words(reader: ByteReader, count: int, width: int) -> Array:
    content = reader.take(_words_size(count, width))
    found = unpack_bits(content, count, width) if width <= 8 else np.frombuffer(content, f"<u{width // 8}")
    return found.astype(np.uint32)


def _write_dense(words: Array, layout: ArrayLayout) -> bytes:
    return _write_words(words.T.ravel(), layout.width)


def _read_dense(reader: ByteReader, layout: ArrayLayout) -> Array:
    return _read_words(reader, layout.count, layout.width).reshape(layout.outputs, layout.inputs).T


def _write_bitmask(words: Array, layout: ArrayLayout) -> bytes:
    return np.packbits(words.ravel() != 0).tobytes() + _write_words(words[words != 0], layout.width)


def _read_bitmask(reader: ByteReader, layout: ArrayLayout) -> Array:
    mask = unpack_bits(reader.take(packed_size(layout.count, 1)), layout.count, 1) != 0
    return _filled(mask, _read_words(reader, int(mask.sum()), layout.width), layout)


def _write_csr(words: Array, layout: ArrayLayout) -> bytes:
    """The number of zeros before each non-zero, a byte each; the matrix is one long row, so no row pointers."""
    places = np.flatnonzero(words)
    gaps = np.diff(places, prepend=-1) - 1
    skips = gaps // MAX_GAP
    codes = np.full(len(gaps) + int(skips.sum()), MAX_GAP, np.uint8)
    codes[np.cumsum(skips + 1) - 1] = gaps % MAX_GAP
    return write_length(len(codes)) + codes.tobytes() + _write_words(words.ravel()[places], layout.width)


def _read_csr(reader: ByteReader, layout: ArrayLayout) -> Array:
    codes = np.frombuffer(reader.take(reader.length()), np.uint8).astype(np.int64)
    ends = codes < MAX_GAP
    places = (np.cumsum(codes + ends) - 1)[ends]
    if len(codes) and (not ends[-1] or places[-1] >= layout.count):
        raise ValueError("compressed rows go beyond their matrix")
    mask = np.zeros(layout.count, bool)
    mask[places] = True
    return _filled(mask, _read_words(reader, len(places), layout.width), layout)


def _write_entropy(words: Array, layout: ArrayLayout) -> bytes:
    """Mask, symbols, value table.

    Where a table would not save bytes, the symbols are the upper bytes of the words, and the lower bytes follow.
    """
    mask = words != 0
    values = words[mask].astype(np.uint32)
    coded_mask = encode_mask(mask, layout.across)
    table, symbols = np.unique(values, return_inverse=True)
    if layout.width > 8 and 0 < len(table) <= min(MAX_TABLE, len(values) // 2):
        bits = max(1, (len(table) - 1).bit_length())
        rest = write_length(len(table)) + _write_words(table, layout.width)
    else:
        low = max(layout.width - 8, 0)
        symbols, bits = values >> low, min(layout.width, 8)
        rest = write_length(0) + _write_low_bits(values, low)
    coded = encode_symbols(symbols, mask, bits, layout.across)
    return b"".join(write_length(len(part)) + part for part in (coded_mask, coded)) + rest


def _read_entropy(reader: ByteReader, layout: ArrayLayout) -> Array:
    coded_mask, coded = (reader.take(reader.length()) for _ in range(2))
    mask = decode_mask(coded_mask, (layout.inputs, layout.outputs), layout.across)
    count, size = int(mask.sum()), reader.length()
    if size > MAX_TABLE:
        raise ValueError("a table of values is too long")
    if size:
        table = _read_words(reader, size, layout.width)
        symbols = decode_symbols(coded, mask, max(1, (size - 1).bit_length()), layout.across)
        if symbols.max(initial=0) >= size:
            raise ValueError("a value is beyond its table")
        return _filled(mask, table[symbols], layout)
    low = max(layout.width - 8, 0)
    upper = decode_symbols(coded, mask, min(layout.width, 8), layout.across).astype(np.uint32)
    return _filled(mask, upper << low | _read_low_bits(reader, count, low), layout)


def _write_low_bits(values: Array, low: int) -> bytes:
    """The lower `low` bits, 0, 8 or 24, byte by byte: first all lowest bytes, then the next."""
    return b"".join((values >> place & 255).astype(np.uint8).tobytes() for place in range(0, low, 8))


def _read_low_bits(reader: ByteReader, count: int, low: int) -> Array:
    values = np.zeros(count, np.uint32)
    for place in range(0, low, 8):
        values |= np.frombuffer(reader.take(count), np.uint8).astype(np.uint32) << place
    return values


def _filled(mask: Array, values: Array, layout: ArrayLayout) -> Array:
    words = np.zeros(layout.count, np.uint32)
    words[mask.ravel()] = values
    return words.reshape(layout.inputs, layout.outputs)


_ENCODERS = {"dense": _write_dense, "bitmask": _write_bitmask, "csr": _write_csr, "entropy": _write_entropy}
_DECODERS = {"dense": _read_dense, "bitmask": _read_bitmask, "csr": _read_csr, "entropy": _read_entropy}
