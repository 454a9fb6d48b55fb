"""Calls the runtime and prints what test_runtime checks, as JSON."""

import json

import numpy as np

from experiments.bench.tinygrad.runtime import Counted, PerShapeJit, normal, synchronizer, tensor, warm_up_compiler

seen, entered = {}, []


def double(x):
    entered.append(x.shape)
    return (x * 2).realize()


synchronizer("CPU")()
warm_up_compiler("CPU")
jitted = PerShapeJit(double)
small, large = tensor(np.arange(3, dtype=np.float32), "CPU"), tensor(np.ones((4, 5), np.float32), "CPU")
outputs = [jitted(small) for _ in range(4)]
seen["entered"] = len(entered)
seen["captures"] = [jitted.captures]
jitted(large)
seen["captures"].append(jitted.captures)
jitted(large)
seen["captures"].append(jitted.captures)
seen["same"] = outputs[2] is outputs[3]
seen["values"] = outputs[3].tolist()
seen["of"] = [jitted.of(small) is jitted.of(small), jitted.of(small) is jitted.of(large)]
other = tensor(np.arange(3, dtype=np.int32), "CPU")
seen["by_type"] = jitted.of(small) is jitted.of(other)
with Counted() as nothing:
    pass
with Counted() as two:
    double(small), double(large)
seen["counted"] = [nothing.work.kernels, two.work.kernels]
fixed = np.arange(3, dtype=np.float32)
fixed.flags.writeable = False
seen["read_only"] = tensor(fixed, "CPU").tolist()
draws = [normal(np.random.default_rng(7), 2, 3, device="CPU", scale=0.5) for _ in range(2)]
seen["normal"] = [draws[0].tolist() == draws[1].tolist(), list(draws[0].shape), str(draws[0].dtype), draws[0].device]
print(json.dumps(seen))
