"""A float32 network as it would be deployed: one file, restored, compiled for one batch and checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.session import max_abs_error, tolerance
from experiments.models.networks import Array, Network, forward_numpy, parameters
from experiments.models.packing import pack, unpack
from experiments.models.quantizing import QuantSpec, quantize

ATOL, RTOL = 1e-4, 1e-3  # the compiled network against numpy, of the largest logit


@dataclass(frozen=True)
class Program:
    """The file, the function of images (n, pixels) that was captured, its TinyJit, its input on the device.

    `max_abs_error` is against numpy with the weights that were packed; `wrong` where it exceeds the tolerance.
    """

    network: Network
    file: bytes
    function: Callable[[Any], Any]
    jit: Any
    inputs: Any
    max_abs_error: float
    wrong: bool

    def call(self) -> Any:
        """One replay."""
        return self.jit(self.inputs)

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return parameters(self.network)


def program_of(network: Network, weights: Mapping[str, Array], images: Array, device: str) -> Program:
    """Packs and restores a network, captures it for `images` (n, pixels) on `device` and compares its logits."""
    from tinygrad import TinyJit

    from experiments.bench.runtime import tensor
    from experiments.models.integer_kernels import build

    file = pack(quantize(network, weights, QuantSpec("float32")))
    function, inputs = build(unpack(file), device), tensor(np.ascontiguousarray(images, dtype=np.float32), device)
    jit = TinyJit(function)
    seen = [jit(inputs).numpy() for _ in range(3)][-1]
    reference = forward_numpy(network, weights, images)
    error = max_abs_error(seen, reference)
    return Program(network, file, function, jit, inputs, error, error > tolerance(reference, ATOL, RTOL))
