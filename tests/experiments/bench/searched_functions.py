"""Functions whose kernels test_kernel_search searches, in helper processes."""

import time

import numpy as np

from experiments.bench.tinygrad.runtime import tensor


def row_sum(device, n):
    x = tensor(np.ones((n, n), dtype=np.float32), device)
    return lambda: x.sum(1).realize()


def hangs_at_the_third_candidate(device, n):
    import signal

    from tinygrad.codegen.opt import search

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time_program, timed = search._time_program, []

    def hanging(*given, **named):
        timed.append(1)
        while len(timed) > 2:
            time.sleep(1)
        return time_program(*given, **named)

    search._time_program = hanging
    return row_sum(device, n)


def raises(device, n):
    raise MemoryError("no room")
