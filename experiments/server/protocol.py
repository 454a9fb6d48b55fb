"""What the server and its inference process exchange: settings at the start, then framed messages over a socket."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from experiments.server.options import TINYGRAD

HEADER = struct.Struct("<BIII")
SECONDS = struct.Struct("<d")
READY, BATCH, RESULT, FAILED, FATAL = range(5)


@dataclass(frozen=True)
class InferenceSettings:
    """How the inference process computes: the packed model's file, the device, the path (fast or plain).

    `engine` names the function that returns one BatchRunner per batch size; tests replace it.
    """

    model: str
    device: str = "CPU"
    path: str = "fast"
    max_batch: int = 32
    engine: str = TINYGRAD


class FrameHeader(NamedTuple):
    """The kind of the frame, the number of its batch, how many rows it has, and the payload's size in bytes.

    Payloads: READY JSON (how each batch size is computed), BATCH float32 rows, RESULT a float64 (seconds of
    computing) and float32 logits, FAILED and FATAL one line of text.
    """

    kind: int
    number: int
    rows: int
    size: int


def header(kind: int, size: int, number: int = 0, rows: int = 0) -> bytes:
    """The encoded header of a payload of `size` bytes."""
    return HEADER.pack(kind, number, rows, size)


def parse(data: bytes) -> FrameHeader:
    """The header in HEADER.size bytes."""
    return FrameHeader(*HEADER.unpack(data))
