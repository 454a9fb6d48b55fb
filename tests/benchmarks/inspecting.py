"""How long it takes to inspect a captured network of 100 kernels, and how much of it goes to the page.

Run by hand: `python -m tests.benchmarks.inspecting`. Goals: under 1 s, and under 5 MB.
"""

import json
import subprocess
import sys
import time

import pandas as pd

from experiments.bench.machine.toolchain import child_environment
from tests.benchmarks.sizes import size

LAYERS = size(100, 5)


def profile() -> None:
    """In a process of its own: profiles a captured network of small layers and prints what came of it as JSON."""
    from tinygrad import TinyJit

    from experiments.bench.machine.roofline import Ceilings
    from experiments.bench.profile import profile_call
    from experiments.models.functions import layers

    workload = layers("CPU", [32] * (LAYERS + 1), relu_last=True)
    inputs = workload.inputs(8, "CPU")
    jit = TinyJit(workload.function)
    calls = []
    for _ in range(4):
        start = time.perf_counter()
        jit(*inputs)
        calls.append(time.perf_counter() - start)
    start = time.perf_counter()
    found = profile_call("CPU", workload.function, jit, inputs, Ceilings(((2**20, 50.0),), 100.0))
    print(json.dumps({"seconds": time.perf_counter() - start, "calls": calls, "details": dict(found.details)}))


def main() -> None:
    """Prints seconds and bytes, each beside its goal."""
    command = [sys.executable, "-m", "tests.benchmarks.inspecting", "--profile"]
    done = subprocess.run(command, env=child_environment("CPU"), capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout.splitlines()[-1])
    from dashboard.figures.kernel_timeline import kernel_timeline
    from dashboard.figures.roofline import roofline
    from dashboard.inspector import SHOWN

    kernels = pd.DataFrame(seen["details"]["kernels"]).assign(variant="jit")
    ceilings = pd.DataFrame([{"moved_bytes": 2**20, "gb_s": 50.0, "gflops": None}, {"gflops": 100.0}])
    panels = [roofline({"run": kernels}, {"run": ceilings}), kernel_timeline(pd.DataFrame(seen["details"]["replay"]))]
    sent = sum(len(panel.figure.to_json()) for panel in panels if panel) + len(kernels[list(SHOWN)].to_csv())
    first, capture, *replays = seen["calls"]
    steady_ms = min(replays) * 1e3
    print(f"{len(kernels)} kernels; first call {first:.2f} s, capture {capture:.2f} s, replay {steady_ms:.1f} ms")
    print(f"inspected in {seen['seconds']:.2f} s: {seen['seconds'] / 1.0:.2f} of the goal of 1 s")
    print(f"sent to the page {sent / 1e6:.2f} MB: {sent / 5e6:.3f} of the goal of 5 MB")


if __name__ == "__main__":
    if sys.argv[1:] == ["--profile"]:
        profile()
    else:
        main()
