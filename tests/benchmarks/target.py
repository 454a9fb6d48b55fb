"""The calls that the benchmarks measure, captured and warm, and what waits for the device."""

from collections.abc import Callable

WIDTHS, BATCH = (64, 32, 16, 10), 16
ROWS, WIDTH = 64, 512

Target = tuple[Callable[[], object], Callable[[], object]]


def layer(device: str) -> Target:
    """A new capture of `(x @ w).relu()`, some 1 ms on the CPU: copies of it differ by where their memory lies."""
    import numpy as np

    from experiments.bench.tinygrad.capture import capture
    from experiments.bench.tinygrad.runtime import normal, synchronizer

    rng = np.random.default_rng(0)
    weights, rows = normal(rng, WIDTH, WIDTH, device=device), normal(rng, ROWS, WIDTH, device=device)
    captured, _ = capture(lambda x: (x @ weights).relu().realize(), rows)
    for _ in range(10):
        captured(rows)
    return (lambda: captured(rows)), synchronizer(device)


def replay(device: str) -> Target:
    """A replay of a captured small network, some 0.1 ms on the CPU."""
    from tinygrad import TinyJit

    from experiments.bench.tinygrad.runtime import synchronizer
    from experiments.models.functions import layers

    workload = layers(device, WIDTHS)
    inputs = workload.inputs(BATCH, device)
    captured = TinyJit(workload.function)
    for _ in range(10):
        captured(*inputs)
    return (lambda: captured(*inputs)), synchronizer(device)
