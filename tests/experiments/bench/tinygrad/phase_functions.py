"""The function whose first call test_phases splits, in helper processes."""

import time


def cold(device, n):
    from experiments.bench.tinygrad.phases import split

    def build():
        from tinygrad import Tensor

        x = Tensor.ones(n, n).contiguous().realize()
        return lambda: ((x @ x).relu().sum(1) + 1).contiguous().sum().realize()

    started = time.perf_counter()
    seconds = split(device, build)
    return {**seconds, "wall": time.perf_counter() - started}
