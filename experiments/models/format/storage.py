"""Ways to store an array whose zeros are many: dense, bit mask, compressed rows with narrow indices, entropy-coded.

Arrays come as "words": unsigned integers of `width` bits, zero where the weight is zero (the bits of a float, or a
code less that of zero). Every way gives the same words back. A stored array is a tag, the length of what follows
(7 bits a byte), and that.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.format.bits import pack_bits, packed_size, unpack_bits
from experiments.models.format.sparse import decode_mask, decode_symbols, encode_mask, encode_symbols

Encoding = Literal["dense", "bitmask", "csr", "entropy"]
Storage = Literal["smallest", "dense", "bitmask", "csr", "entropy"]

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
STORAGES: tuple[Storage, ...] = get_args(Storage)
LARGEST_GAP = 255  # zeros between two others in a byte of compressed rows; this one says: go on, no weight here
MAX_TABLE = 256  # values in a table


@dataclass(frozen=True)
class ArrayLayout:
    """What is known of a stored array beforehand: `inputs` x `outputs` words of `width` bits (1 to 8, 16 or 32).

    `across`: inputs that stand side by side in one line of an image; 1 where there is no image.
    """

    inputs: int
    outputs: int
    width: int
    across: int = 1

    @property
    def count(self) -> int:
        """Words in all."""
        return self.inputs * self.outputs

    @property
    def dense_bytes(self) -> int:
        """Bytes of `dense`, tag and length not among them."""
        return _words_size(self.count, self.width)


def encode_array(words: Array, form: ArrayLayout, storage: Storage, *, coded: bool = True) -> bytes:
    """Words (inputs, outputs) in the way that is asked for, or in the smallest; `coded` allows the entropy coder."""
    ways = [way for way in ENCODINGS if storage == way or (storage == "smallest" and (coded or way != "entropy"))]
    contents = [(way, _WRITERS[way](words, form)) for way in ways]
    way, content = min(contents, key=lambda one: len(one[1]))
    return bytes([ENCODINGS.index(way)]) + write_length(len(content)) + content


class ByteReader:
    """Takes the parts of a file in order; ValueError where it ends too early."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self._content) - self._at

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > self.left:
            raise ValueError(f"{size} bytes are asked for, {self.left} are left")
        self._at += size
        return self._content[self._at - size : self._at]

    def length(self) -> int:
        """A length as `write_length` wrote it."""
        value = 0
        for place in range(5):
            byte = self.take(1)[0]
            value |= (byte & 127) << 7 * place
            if byte < 128:
                return value
        raise ValueError("a length is too long")

    def finish(self) -> None:
        """ValueError where something is left."""
        if self.left:
            raise ValueError(f"{self.left} bytes are left over")


def write_length(value: int) -> bytes:
    """A length in as few bytes as it needs, 7 bits in each, the lowest first."""
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def decode_array(reader: ByteReader, form: ArrayLayout, *, coded: bool = True) -> Array:
    """The words (inputs, outputs), uint32, of the next stored array; ValueError where it is damaged."""
    tag = reader.take(1)[0]
    if tag >= len(ENCODINGS):
        raise ValueError("an array is stored in an unknown way")
    way, inner = ENCODINGS[tag], ByteReader(reader.take(reader.length()))
    if way == "entropy" and not coded:
        raise ValueError("more is entropy-coded than is allowed")
    words = _READERS[way](inner, form)
    inner.finish()
    return words


def _words_size(count: int, width: int) -> int:
    return packed_size(count, width) if width <= 8 else count * width // 8


def _write_words(words: Array, width: int) -> bytes:
    return pack_bits(words, width) if width <= 8 else words.astype(f"<u{width // 8}").tobytes()


def _read_words(reader: ByteReader, count: int, width: int) -> Array:
    content = reader.take(_words_size(count, width))
    found = unpack_bits(content, count, width) if width <= 8 else np.frombuffer(content, f"<u{width // 8}")
    return found.astype(np.uint32)


def _write_dense(words: Array, form: ArrayLayout) -> bytes:
    return _write_words(words.T.ravel(), form.width)


def _read_dense(reader: ByteReader, form: ArrayLayout) -> Array:
    return _read_words(reader, form.count, form.width).reshape(form.outputs, form.inputs).T


def _write_bitmask(words: Array, form: ArrayLayout) -> bytes:
    return np.packbits(words.ravel() != 0).tobytes() + _write_words(words[words != 0], form.width)


def _read_bitmask(reader: ByteReader, form: ArrayLayout) -> Array:
    mask = unpack_bits(reader.take(packed_size(form.count, 1)), form.count, 1) != 0
    return _filled(mask, _read_words(reader, int(mask.sum()), form.width), form)


def _write_csr(words: Array, form: ArrayLayout) -> bytes:
    """The zeros before each other word, a byte each; the matrix is one long row, so that no row needs a pointer."""
    places = np.flatnonzero(words)
    gaps = np.diff(places, prepend=-1) - 1
    skips = gaps // LARGEST_GAP
    codes = np.full(len(gaps) + int(skips.sum()), LARGEST_GAP, np.uint8)
    codes[np.cumsum(skips + 1) - 1] = gaps % LARGEST_GAP
    return write_length(len(codes)) + codes.tobytes() + _write_words(words.ravel()[places], form.width)


def _read_csr(reader: ByteReader, form: ArrayLayout) -> Array:
    codes = np.frombuffer(reader.take(reader.length()), np.uint8).astype(np.int64)
    ends = codes < LARGEST_GAP
    places = (np.cumsum(codes + ends) - 1)[ends]
    if len(codes) and (not ends[-1] or places[-1] >= form.count):
        raise ValueError("compressed rows go beyond their matrix")
    mask = np.zeros(form.count, bool)
    mask[places] = True
    return _filled(mask, _read_words(reader, len(places), form.width), form)


def _write_entropy(words: Array, form: ArrayLayout) -> bytes:
    """Mask, table of values, symbols; many different values: their upper bytes are the symbols, the rest follows."""
    mask = words != 0
    values = words[mask].astype(np.uint32)
    coded_mask = encode_mask(mask, form.across)
    table, symbols = np.unique(values, return_inverse=True)
    if form.width > 8 and 0 < len(table) <= min(MAX_TABLE, len(values) // 2):
        bits = max(1, (len(table) - 1).bit_length())
        rest = write_length(len(table)) + _write_words(table, form.width)
    else:
        low = max(form.width - 8, 0)
        symbols, bits = values >> low, min(form.width, 8)
        rest = write_length(0) + _write_rest(values, low)
    coded = encode_symbols(symbols, mask, bits, form.across)
    return b"".join(write_length(len(part)) + part for part in (coded_mask, coded)) + rest


def _read_entropy(reader: ByteReader, form: ArrayLayout) -> Array:
    coded_mask, coded = (reader.take(reader.length()) for _ in range(2))
    mask = decode_mask(coded_mask, (form.inputs, form.outputs), form.across)
    count, size = int(mask.sum()), reader.length()
    if size > MAX_TABLE:
        raise ValueError("a table of values is too long")
    if size:
        table = _read_words(reader, size, form.width)
        symbols = decode_symbols(coded, mask, max(1, (size - 1).bit_length()), form.across)
        if symbols.max(initial=0) >= size:
            raise ValueError("a value is beyond its table")
        return _filled(mask, table[symbols], form)
    low = max(form.width - 8, 0)
    upper = decode_symbols(coded, mask, min(form.width, 8), form.across).astype(np.uint32)
    return _filled(mask, upper << low | _read_rest(reader, count, low), form)


def _write_rest(values: Array, low: int) -> bytes:
    """The lower `low` bits, 0, 8 or 24, byte by byte: first all lowest bytes, then all next."""
    return b"".join((values >> place & 255).astype(np.uint8).tobytes() for place in range(0, low, 8))


def _read_rest(reader: ByteReader, count: int, low: int) -> Array:
    values = np.zeros(count, np.uint32)
    for place in range(0, low, 8):
        values |= np.frombuffer(reader.take(count), np.uint8).astype(np.uint32) << place
    return values


def _filled(mask: Array, values: Array, form: ArrayLayout) -> Array:
    words = np.zeros(form.count, np.uint32)
    words[mask.ravel()] = values
    return words.reshape(form.inputs, form.outputs)


_WRITERS = {"dense": _write_dense, "bitmask": _write_bitmask, "csr": _write_csr, "entropy": _write_entropy}
_READERS = {"dense": _read_dense, "bitmask": _read_bitmask, "csr": _read_csr, "entropy": _read_entropy}
