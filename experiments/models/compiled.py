"""A network as deployed: packed, restored, captured for one batch and checked against numpy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.session import max_abs_error, tolerance
from experiments.models.format.packed import pack, unpack
from experiments.models.sequential.forward import forward_numpy
from experiments.models.sequential.network import Network, parameter_count
from experiments.models.techniques.quantization.post_training import quantize
from experiments.models.techniques.quantization.spec import QuantSpec

ATOL, RTOL = 1e-4, 1e-3  # of the captured network against numpy, relative to the largest logit


@dataclass(frozen=True)
class CapturedNetwork:
    """A captured function of images (n, pixels), its TinyJit and its input on the device.

    `max_abs_error`: of a replay against numpy. `wrong`: whether it exceeds the tolerance.
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


def capture_network(function: Callable[[Any], Any], images: Array, reference: Array, device: str) -> CapturedNetwork:
    """Captures `function` for `images` (n, pixels) on `device` and compares a replay with `reference`."""
    from experiments.bench.tinygrad.capture import capture
    from experiments.bench.tinygrad.runtime import tensor

    inputs = tensor(np.ascontiguousarray(images, dtype=np.float32), device)
    jit, result = capture(function, inputs)
    error = max_abs_error(result.numpy(), reference)
    return CapturedNetwork(function, jit, inputs, error, error > tolerance(reference, ATOL, RTOL))


@dataclass(frozen=True)
class DeployedNetwork:
    """A float32 network, its packed file, and the captured network that the file restores."""

    network: Network
    file: bytes
    program: CapturedNetwork

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return parameter_count(self.network)


def deploy(network: Network, weights: Mapping[str, Array], images: Array, device: str) -> DeployedNetwork:
    """Packs and restores a network, captures it for `images` (n, pixels) on `device` and compares its logits."""
    from experiments.models.techniques.quantization.tinygrad_backend import build_forward

    file = pack(quantize(network, weights, QuantSpec("float32")))
    reference = forward_numpy(network, weights, images)
    return DeployedNetwork(
        network, file, capture_network(build_forward(unpack(file), device), images, reference, device)
    )
