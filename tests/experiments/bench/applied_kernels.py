"""Applies a searched kernel and prints what test_kernel_search checks, as JSON."""

import json
import sys

from tinygrad import TinyJit

from experiments.bench.kernel_search import Optimization
from experiments.bench.tinygrad.capture import kernels
from experiments.bench.tinygrad.kernel_search import applied
from tests.experiments.bench.searched_functions import row_sum

kernel, chosen = json.loads(sys.argv[1])
seen = []
for variant, given in (
    (Optimization(optimized=False), {}),
    (Optimization(), {}),
    (Optimization(2), {}),
    (Optimization(1), {kernel: chosen}),
):
    jit = TinyJit(row_sum("CPU", 64))
    with applied(variant, given):
        for _ in range(3):
            result = jit()
    seen.append([kernels(jit)[0].opts, bool((result.numpy() == 64).all())])
print(json.dumps(seen))
