"""Captures calls and prints what test_capture checks, as JSON."""

import json
from dataclasses import asdict

from experiments.bench.tinygrad.capture import CallWork, calls, captured_work, first_calls
from experiments.bench.tinygrad.runtime import Counted, PerShapeJit
from experiments.models.functions import elementwise, layers, matmul_chain

seen = {}
for name, workload in {
    "elementwise": elementwise(),
    "matmul_chain": matmul_chain(),
    "layers": layers("CPU", [64] * 4),
}.items():
    inputs, jitted = workload.inputs(64, "CPU"), PerShapeJit(workload.function)
    results = [result.numpy().tolist() for result in first_calls(jitted, *inputs)]
    with Counted() as counted:
        workload.function(*inputs)
    jit = jitted.of(*inputs)
    seen[name] = {
        "captured": asdict(captured_work(jit)),
        "counted": asdict(counted.work),
        "calls": len(list(calls(jit))),
        "results": results,
        "captures": jitted.captures,
    }
work = CallWork(kernels=2, ops=2 * 10**9, bytes=10**9)
print(json.dumps(seen | {"columns": work.columns(0.5)}))
