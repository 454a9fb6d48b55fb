"""What front and inference process send one another over their socket: a small header, then the payload."""

import struct
from typing import NamedTuple

HEADER = struct.Struct("<BIII")
READY, BATCH, RESULT, FAILED, FATAL = range(5)


class Header(NamedTuple):
    """What follows: kind, number of the batch, rows of it, bytes of the payload.

    READY carries JSON (how each bucket is computed), BATCH float32 rows, RESULT a float64 (seconds of computing)
    and float32 logits, FAILED and FATAL one line of text.
    """

    kind: int
    number: int
    rows: int
    size: int


def header(kind: int, size: int, number: int = 0, rows: int = 0) -> bytes:
    """The bytes before a payload of `size` bytes."""
    return HEADER.pack(kind, number, rows, size)


def parse(data: bytes) -> Header:
    """The header in HEADER.size bytes."""
    return Header(*HEADER.unpack(data))
