"""Safetensors files: named arrays and a little text. Written whole or not at all; errors are one line."""

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from experiments.bench.arrays import Array


def encode(arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> bytes:
    """The content of a safetensors file; raises ValueError if the format has no such type.

    Equal arrays give equal bytes, so that the digests in checkpoints and cache keys hold; metadata of several entries
    may be in any order.
    """
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    try:
        return save(contiguous, dict(metadata) if metadata else None)
    except (SafetensorError, ValueError) as error:
        types = ", ".join(sorted({str(array.dtype) for array in arrays.values()}))
        raise ValueError(f"a safetensors file cannot hold these arrays ({types}): {_line(error)}") from None


def decode(content: bytes) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the metadata of a safetensors file; raises ValueError if it is damaged."""
    try:
        arrays = load(content)
    except (SafetensorError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"damaged, or not a safetensors file: {_line(error)}") from None
    (size,) = struct.unpack_from("<Q", content)
    return arrays, json.loads(content[8 : 8 + size]).get("__metadata__", {})


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def write(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Writes the file whole or not at all: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.write_bytes(encode(arrays, metadata))
    draft.replace(path)


def read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the metadata in `path`; raises ValueError if it is damaged, OSError if it cannot be read."""
    try:
        return decode(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
