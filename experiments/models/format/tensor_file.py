"""The safetensors format with numpy alone: named arrays and a little text in one file that is never executed.

Eight bytes give the length of a JSON header, the header gives each array's type, shape and place, then come the
bytes. Written here, since the page and the command line read such files too and must not import tinygrad; no
package is needed for it. Source: https://github.com/huggingface/safetensors, section Format.
"""

import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.bench.arrays import Array

TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
NAMES = {np.dtype(value): name for name, value in TYPES.items()}
MAX_HEADER_BYTES = 2**20


def encode(arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> bytes:
    """The arrays and the text as the bytes of a safetensors file; the same input gives the same bytes."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    parts, end = [], 0
    for name, array in arrays.items():
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)
        if little.dtype not in NAMES:
            raise ValueError(f"{name}: a safetensors file cannot hold {array.dtype}")
        parts.append(little.tobytes())
        start, end = end, end + little.nbytes
        header[name] = {"dtype": NAMES[little.dtype], "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # readers map the file: the arrays start on a multiple of 8
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def decode(content: bytes) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the text of a safetensors file; ValueError with one line where it is none or is damaged."""
    header, data = _header(content)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("not a safetensors file: its metadata is no text")
    arrays, used = {}, 0
    for name, entry in header.items():
        try:
            kind, shape, (start, end) = np.dtype(TYPES[entry["dtype"]]), tuple(entry["shape"]), entry["data_offsets"]
            fits = 0 <= start <= end <= len(data) and end - start == math.prod(shape) * kind.itemsize
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"damaged: the header's entry {name[:60]!r} cannot be read") from None
        if not fits or not all(isinstance(size, int) and size >= 0 for size in shape):
            raise ValueError(f"damaged: {name[:60]!r} does not fit the {len(data)} bytes of data")
        arrays[name] = np.frombuffer(data[start:end], kind).reshape(shape).copy()
        used += end - start
    if used != len(data):
        raise ValueError(f"damaged: {len(data)} bytes of data where the header names {used}")
    return arrays, metadata


def _header(content: bytes) -> tuple[dict[str, Any], memoryview]:
    size = struct.unpack_from("<Q", content)[0] if len(content) >= 8 else 0
    if not 2 <= size <= min(MAX_HEADER_BYTES, len(content) - 8):
        raise ValueError("not a safetensors file, or cut short")
    try:
        header = json.loads(content[8 : 8 + size])
    except (UnicodeDecodeError, ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ValueError("not a safetensors file: its header is no JSON object")
    return header, memoryview(content)[8 + size :]


def write(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Writes the file whole or not at all: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.write_bytes(encode(arrays, metadata))
    draft.replace(path)


def read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the text in `path`; ValueError with one line where it is damaged, OSError where it is not."""
    try:
        return decode(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
