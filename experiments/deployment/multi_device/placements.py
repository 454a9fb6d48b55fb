"""The layouts within one process, as TinyJit captures them (tinygrad 0.14.0)."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.deployment.multi_device.workload import MultiDeviceWorkload, padded, round_up
from experiments.models.sequential.network import forward_tinygrad

Place = Callable[[Array], Any]


class Placement:
    """One layout, captured: `call` computes every batch and returns when all its devices are done."""

    def __init__(self, devices: Sequence[str], inputs: list[Any], jits: list[Any], shape: tuple[int, int]) -> None:
        from experiments.bench.tinygrad.capture import replayed
        from experiments.bench.tinygrad.runtime import synchronizer

        self._first, self._inputs, self._jits, self._shape = devices[0], inputs, jits, shape
        self._synchronizers = [synchronizer(device) for device in devices]
        replayed(self.call)

    def call(self) -> None:
        """Every batch once."""
        for jit, x in zip(self._jits, self._inputs, strict=True):
            jit(x)
        for synchronize in self._synchronizers:
            synchronize()

    def results(self) -> Array:
        """The logits of all batches one under the other, without what was added to make the parts even.

        Parts are put together on the first device: left to itself, numpy() does so on the CPU device, which wants a
        compiler that a GPU box may not have.
        """
        rows, classes = self._shape
        pairs = zip(self._jits, self._inputs, strict=True)
        return np.concatenate([jit(x).to(self._first).numpy()[:rows, :classes] for jit, x in pairs])

    def counted(self) -> tuple[int, int]:
        """Kernels of one call, and the bytes that it copies between devices."""
        from experiments.bench.tinygrad.capture import kernels

        found = [one for jit in self._jits for one in kernels(jit)]
        return sum(one.uops > 0 for one in found), sum(one.bytes for one in found if one.name == "COPY")


def names(base: str, count: int) -> list[str]:
    """The first `count` devices of a kind: CUDA, CUDA:1, …"""
    return [base, *(f"{base}:{number}" for number in range(1, count))]


def replicas(work: MultiDeviceWorkload, devices: Sequence[str], resident: bool) -> Placement:
    """The whole network on each device; batch i goes to device i modulo their number. One device is the baseline."""
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
    """The weights on every device, each batch cut into as many parts by its rows."""
    held = {name: _sharded(weight, devices, None) for name, weight in work.weights.items()}
    rows = round_up(len(work.batches[0]), len(devices))
    even = [np.pad(one, ((0, rows - len(one)), (0, 0))) for one in work.batches]
    return _cut(work, devices, resident, even, 0, lambda x: forward_tinygrad(work.network, held, x))


def tensor_parallel(work: MultiDeviceWorkload, devices: Sequence[str], resident: bool) -> Placement:
    """Every batch on every device, the weights cut: one layer by its outputs, the next by its inputs, and so on.

    The second of such a pair takes the cut activations as they are; its sums are added up over all devices.
    Source: Shoeybi et al. 2019 (Megatron-LM).
    """
    network, weights = padded(work.network, work.weights, len(devices))
    held = {}
    for number, place in enumerate(network.walk()):
        by_outputs = number % 2 == 0
        held[place.weight] = _sharded(weights[place.weight], devices, 0 if by_outputs else 1)
        held[place.bias] = _sharded(weights[place.bias], devices, 0 if by_outputs else None)
    return _cut(work, devices, resident, work.batches, None, lambda x: forward_tinygrad(network, held, x))


def _cut(
    work: MultiDeviceWorkload,
    devices: Sequence[str],
    resident: bool,
    batches: list[Array],
    axis: int | None,
    function: Callable[[Any], Any],
) -> Placement:
    """A layout whose batches are spread over all devices, along `axis` or whole."""
    from tinygrad import TinyJit

    from experiments.bench.tinygrad.runtime import tensor, without_cuda_graph

    many, first = tuple(devices), devices[0]
    if resident:
        jit, inputs = TinyJit(lambda x: function(x).realize()), [_sharded(one, devices, axis) for one in batches]
    else:
        jit = TinyJit(lambda x: function(x.shard(many, axis)).to(first).realize())
        inputs = [tensor(one, first) for one in batches]
    copied_whole = axis is None and not resident
    with without_cuda_graph(first) if copied_whole else nullcontext():
        return Placement(devices, inputs, [jit] * len(inputs), _shape(work))


def _shape(work: MultiDeviceWorkload) -> tuple[int, int]:
    return len(work.batches[0]), work.network.classes


def _sharded(array: Array, devices: Sequence[str], axis: int | None) -> Any:
    from tinygrad import Tensor

    return Tensor(np.ascontiguousarray(array), device=devices[0]).shard(tuple(devices), axis).realize()
