"""A network as it would be deployed: compiled for one batch, checked, ready to be timed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.session import max_abs_error, tolerance
from experiments.models.format.packed import pack, unpack
from experiments.models.sequential.network import Network, forward_numpy, parameters
from experiments.models.techniques.quantization.post_training import QuantSpec, quantize

ATOL, RTOL = 1e-4, 1e-3  # the compiled network against numpy, of the largest logit


@dataclass(frozen=True)
class Program:
    """The function of images (n, pixels) that was captured, its TinyJit, its input on the device.

    `max_abs_error` is against numpy; `wrong` where it exceeds the tolerance.
    """

    function: Callable[[Any], Any]
    jit: Any
    inputs: Any
    max_abs_error: float
    wrong: bool

    @property
    def call(self) -> Callable[[], Any]:
        """One replay."""
        return partial(self.jit, self.inputs)


def captured(function: Callable[[Any], Any], images: Array, reference: Array, device: str) -> Program:
    """Captures `function` for `images` (n, pixels) on `device` and compares a replay with `reference`."""
    from experiments.bench.tinygrad.capture import capture
    from experiments.bench.tinygrad.runtime import tensor

    inputs = tensor(np.ascontiguousarray(images, dtype=np.float32), device)
    jit, result = capture(function, inputs)
    error = max_abs_error(result.numpy(), reference)
    return Program(function, jit, inputs, error, error > tolerance(reference, ATOL, RTOL))


@dataclass(frozen=True)
class Deployed:
    """A float32 network, the file that restores it, and what was compiled of that file."""

    network: Network
    file: bytes
    program: Program

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return parameters(self.network)


def deployed(network: Network, weights: Mapping[str, Array], images: Array, device: str) -> Deployed:
    """Packs and restores a network, captures it for `images` (n, pixels) on `device` and compares its logits."""
    from experiments.models.techniques.quantization.tinygrad_backend import build

    file = pack(quantize(network, weights, QuantSpec("float32")))
    reference = forward_numpy(network, weights, images)
    return Deployed(network, file, captured(build(unpack(file), device), images, reference, device))
