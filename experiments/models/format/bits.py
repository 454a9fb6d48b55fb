"""Integers of 1 to 8 bits side by side in bytes, the most significant bit first."""

import numpy as np

from experiments.bench.arrays import Array


def packed_size(count: int, bits: int) -> int:
    """Bytes of `count` integers of `bits` bits; the last byte is filled up with zeros. packed_size(3, 3) == 2."""
    return (count * bits + 7) // 8


def pack_bits(values: Array, bits: int) -> bytes:
    """Integers 0 to 2^bits - 1, uint8 and of any shape, in `packed_size` bytes."""
    rows = np.unpackbits(values.astype(np.uint8).reshape(-1, 1), axis=1)[:, 8 - bits :]
    return np.packbits(rows.ravel()).tobytes()


def unpack_bits(data: bytes, count: int, bits: int) -> Array:
    """The `count` integers of `pack_bits`, uint8; ValueError where `data` is not their size or its filling not zero."""
    if len(data) != packed_size(count, bits):
        raise ValueError(f"{count} integers of {bits} bits are not {len(data)} bytes")
    stream = np.unpackbits(np.frombuffer(data, np.uint8))
    if stream[count * bits :].any():
        raise ValueError("bits are set behind the last integer")
    rows = np.zeros((count, 8), np.uint8)
    rows[:, 8 - bits :] = stream[: count * bits].reshape(count, bits)
    return np.packbits(rows, axis=1).ravel()
