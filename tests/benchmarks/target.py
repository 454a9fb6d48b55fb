"""The call that the benchmarks measure: a replay of a captured small network, some 0.1 ms on the CPU."""

from collections.abc import Callable

WIDTHS, BATCH = (64, 32, 16, 10), 16


def replay(device: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """The call, captured and warm, and what waits for the device."""
    from tinygrad import TinyJit

    from experiments.bench.tinygrad.runtime import synchronizer
    from experiments.models.functions import layers

    workload = layers(device, WIDTHS)
    inputs = workload.inputs(BATCH, device)
    captured = TinyJit(workload.function)
    for _ in range(10):
        captured(*inputs)
    return (lambda: captured(*inputs)), synchronizer(device)
