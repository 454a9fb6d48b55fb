"""One batch from numpy to numpy by the plain path, its parts, and the fast path."""

from typing import Any

import numpy as np

from experiments.bench.columns import Value
from experiments.bench.session import Bench
from experiments.bench.timing.measure import Budget, compare
from experiments.models.techniques.quantization.post_training import QuantizedNetwork
from experiments.models.techniques.quantization.tinygrad_backend import build_forward
from experiments.server.runner import TinygradRunner


def timed_paths(quantized: QuantizedNetwork, rows: int, bench: Bench, seconds: float) -> list[dict[str, Value]]:
    """Records of the detail `paths`, measured together in this process; without the fast path if it cannot be used."""
    from experiments.bench.tinygrad.capture import capture
    from experiments.bench.tinygrad.runtime import synchronizer, tensor

    pixels = int(np.prod(quantized.network.image))
    forward = build_forward(quantized, bench.device)
    runners = {name: TinygradRunner(forward, rows, pixels, bench.device, name == "fast") for name in ("plain", "fast")}
    images = np.random.default_rng(0).random((rows, pixels), dtype=np.float32)
    held = tensor(images, bench.device)
    jit, result = capture(forward, held)

    def run(name: str) -> Any:
        runners[name].input[:] = images
        return runners[name].run()

    calls = {
        ("plain", "all of it"): lambda: run("plain"),
        ("plain", "numpy to tensor"): lambda: tensor(images, bench.device),
        ("plain", "replay"): lambda: jit(held),
        ("plain", "tensor to numpy"): lambda: result.numpy(),
    }
    if runners["fast"].path == "fast":
        calls["fast", "all of it"] = lambda: run("fast")
    named = {" ".join(key): call for key, call in calls.items()}
    budget = Budget(seconds=seconds)
    compared = compare(named, "plain all of it", synchronizer(bench.device), budget)  # the fast path cannot be moved
    records: list[dict[str, Value]] = []
    for path, part in calls:
        interval = compared.latency(f"{path} {part}")
        ends = {"latency_lo_ms": interval.lo, "latency_hi_ms": interval.hi}
        scaled = {name: value * 1e3 if value is not None else None for name, value in ends.items()}
        records.append({"rows": rows, "path": path, "part": part, "latency_ms": interval.median * 1e3, **scaled})
    return records
