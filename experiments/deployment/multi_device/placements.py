"""The parallelism strategies within one process, captured by TinyJit (tinygrad 0.14.0)."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.deployment.multi_device.workload import MultiDeviceWorkload, padded, round_up
from experiments.models.sequential.forward import forward_tinygrad


class Placement:
    """A captured strategy: `call` computes every batch and waits for all devices."""

    def __init__(self, devices: Sequence[str], inputs: list[Any], jits: list[Any], shape: tuple[int, int]) -> None:
        from experiments.bench.tinygrad.capture import replayed
        from experiments.bench.tinygrad.runtime import synchronizer

        self._first, self._inputs, self._jits, self._shape = devices[0], inputs, jits, shape
        self._synchronizers = [synchronizer(device) for device in devices]
        replayed(self.call)

    def call(self) -> None:
        """Computes every batch once."""
        for jit, x in zip(self._jits, self._inputs, strict=True):
            jit(x)
        for synchronize in self._synchronizers:
            synchronize()

    def results(self) -> Array:
        """The concatenated logits of all batches, without padding.

        Shards are joined on the first device: numpy() alone would join them on the CPU device, which needs a compiler
        that a GPU machine may not have.
        """
        rows, classes = self._shape
        pairs = zip(self._jits, self._inputs, strict=True)
        return np.concatenate([jit(x).to(self._first).numpy()[:rows, :classes] for jit, x in pairs])

    def kernels_and_transfers(self) -> tuple[int, int]:
        """The number of kernels of one call, and the bytes that it copies between devices."""
        from experiments.bench.tinygrad.capture import kernels

        found = [one for jit in self._jits for one in kernels(jit)]
        return sum(one.uops > 0 for one in found), sum(one.bytes for one in found if one.name == "COPY")


def device_names(base: str, count: int) -> list[str]:
    """The names of the first `count` devices of a family: CUDA, CUDA:1, …"""
    return [base, *(f"{base}:{number}" for number in range(1, count))]


def replicas(work: MultiDeviceWorkload, devices: Sequence[str], resident: bool) -> Placement:
    """The whole network on each device; batch i runs on device i modulo their number. One device is the baseline."""
    from tinygrad import TinyJit

    from experiments.bench.tinygrad.runtime import tensor

    jits = [TinyJit(_forward(work, device, devices[0], resident)) for device in devices]
    places = [number % len(devices) for number in range(len(work.batches))]
    inputs = [
        tensor(batch, devices[place] if resident else devices[0])
        for batch, place in zip(work.batches, places, strict=True)
    ]
    return Placement(devices, inputs, [jits[place] for place in places], _shape(work))


def _forward(work: MultiDeviceWorkload, device: str, first: str, resident: bool) -> Callable[[Any], Any]:
    from experiments.bench.tinygrad.runtime import tensor

    held = {name: tensor(weight, device) for name, weight in work.weights.items()}
    if resident or device == first:
        return lambda x: forward_tinygrad(work.network, held, x).realize()
    return lambda x: forward_tinygrad(work.network, held, x.to(device)).to(first).realize()


def data_parallel(work: MultiDeviceWorkload, devices: Sequence[str], resident: bool) -> Placement:
    """The weights on every device, each batch split by rows."""
    held = {name: _sharded(weight, devices, None) for name, weight in work.weights.items()}
    rows = round_up(len(work.batches[0]), len(devices))
    even = [np.pad(one, ((0, rows - len(one)), (0, 0))) for one in work.batches]
    return _sharded_placement(work, devices, resident, even, 0, lambda x: forward_tinygrad(work.network, held, x))


def tensor_parallel(work: MultiDeviceWorkload, devices: Sequence[str], resident: bool) -> Placement:
    """Every batch on every device, the weights split: alternately by the outputs and by the inputs of a layer.

    The second layer of a pair uses the split activations without communication; its partial sums are all-reduced.
    Source: Shoeybi et al. 2019 (Megatron-LM).
    """
    network, weights = padded(work.network, work.weights, len(devices))
    held = {}
    for number, place in enumerate(network.walk()):
        by_outputs = number % 2 == 0
        held[place.weight] = _sharded(weights[place.weight], devices, 0 if by_outputs else 1)
        held[place.bias] = _sharded(weights[place.bias], devices, 0 if by_outputs else None)
    return _sharded_placement(work, devices, resident, work.batches, None, lambda x: forward_tinygrad(network, held, x))


def _sharded_placement(
    work: MultiDeviceWorkload,
    devices: Sequence[str],
    resident: bool,
    batches: list[Array],
    axis: int | None,
    function: Callable[[Any], Any],
) -> Placement:
    """A strategy with every batch on all devices, split along `axis` or replicated (None)."""
    from tinygrad import TinyJit

    from experiments.bench.tinygrad.runtime import tensor, without_cuda_graph

    many, first = tuple(devices), devices[0]
    if resident:
        jit, inputs = TinyJit(lambda x: function(x).realize()), [_sharded(one, devices, axis) for one in batches]
    else:
        jit = TinyJit(lambda x: function(x.shard(many, axis)).to(first).realize())
        inputs = [tensor(one, first) for one in batches]
    replicated = axis is None and not resident
    with without_cuda_graph(first) if replicated else nullcontext():
        return Placement(devices, inputs, [jit] * len(inputs), _shape(work))


def _shape(work: MultiDeviceWorkload) -> tuple[int, int]:
    return len(work.batches[0]), work.network.classes


def _sharded(array: Array, devices: Sequence[str], axis: int | None) -> Any:
    from tinygrad import Tensor

    return Tensor(np.ascontiguousarray(array), device=devices[0]).shard(tuple(devices), axis).realize()
