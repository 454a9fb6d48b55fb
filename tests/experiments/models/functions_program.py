"""Run with -m: every function once, compared with its float64 reference; prints what a test compares as JSON."""

import json

import numpy as np

from experiments.bench.session import max_abs_error
from experiments.models.functions import elementwise, layers, matmul_chain


def main():
    seen = {}
    for name, workload, n in (
        ("elementwise", elementwise(), 37),
        ("matmul_chain", matmul_chain(), 64),
        ("mlp3", layers("CPU", [784, 128, 64, 10]), 16),
        ("tiny_layers", layers("CPU", [32] * 13, relu_last=True), 8),
    ):
        arrays, inputs = workload.sample(n), workload.inputs(n, "CPU")
        output, reference = workload.function(*inputs).numpy(), workload.reference(*arrays)
        seen[name] = {
            "error": max_abs_error(output, reference),
            "largest": float(np.max(np.abs(reference))),
            "shape": list(output.shape),
            "types": [str(output.dtype), str(reference.dtype), *{str(array.dtype) for array in arrays}],
            "inputs": [list(one.shape) for one in inputs],
            "negative": bool((output < 0).any()),
            "repeats": bool((workload.function(*workload.inputs(n, "CPU")).numpy() == output).all()),
        }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
