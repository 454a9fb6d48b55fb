"""One hash of a network's weights that depends on no code of the project."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def weights_digest(weights: Mapping[str, Any]) -> str:
    """SHA-256 of the arrays in the order of their names: name, type, shape, bytes."""
    digest = hashlib.sha256()
    for name, array in sorted(weights.items()):
        whole = np.ascontiguousarray(array)
        digest.update(f"{name} {whole.dtype.str} {list(whole.shape)}\n".encode())
        digest.update(whole.tobytes())
    return digest.hexdigest()
