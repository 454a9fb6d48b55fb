"""Profiles captured calls and prints what test_profile checks, as JSON."""

import json
import time
from statistics import median
from types import SimpleNamespace

import numpy as np

from experiments.bench import profile
from experiments.bench.machine.roofline import Ceilings
from experiments.bench.tinygrad import capture
from experiments.bench.tinygrad.runtime import tensor
from experiments.models.functions import layers

CEILINGS = Ceilings(((2**21, 20.0), (2**27, 10.0)), 50.0)  # CACHE, MEMORY and MATMUL of test_profile


def seconds(jit, inputs):
    start = time.perf_counter()
    jit(*inputs)
    return time.perf_counter() - start


def look(function, jit, inputs, wall_s, ceilings=CEILINGS):
    found = profile.profile_call("CPU", function, jit, inputs, ceilings)
    return {"wall_s": wall_s, "reason": found.reason(wall_s), **found.details}


seen = {}
ones = tensor(np.ones((1000, 1000), np.float32), "CPU")
network = layers("CPU", [32] * 13, relu_last=True)
calls = {
    "layers": (network.function, network.inputs(8, "CPU"), 20),
    "product": (lambda x, y: (x @ y).realize(), (ones, tensor(2 * np.ones((1000, 1000), np.float32), "CPU")), 3),
    "copy": (lambda x: x.to("PYTHON").realize(), (ones,), 3),
}
for name, (function, inputs, times) in calls.items():
    jit, _ = capture.capture(function, *inputs)
    seen[name] = look(function, jit, inputs, median([seconds(jit, inputs) for _ in range(times)]))

function, inputs, _ = calls["layers"]
jit, _ = capture.capture(function, *inputs)
seen["without ceilings"] = look(function, jit, inputs, 1.0, None)
nothing = SimpleNamespace(captured=SimpleNamespace(_linear=SimpleNamespace(src=())))
seen["nothing"] = look(function, nothing, inputs, 1.0)

true = capture.pm_exec
for name, times in {"untimed": [None], "silent": None}.items():
    capture.pm_exec = SimpleNamespace(rewrite=lambda call, context, times=times: true.rewrite(call, context) and times)
    seen[name] = look(function, jit, inputs, 1.0)
print(json.dumps(seen))
