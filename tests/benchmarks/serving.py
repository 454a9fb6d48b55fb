"""The model server's speed: `python -m tests.benchmarks.serving [SECONDS]`, 784-128-10 in float32 on the CPU device.

32 closed-loop clients on this machine, with batching and without, server by server in turn, three rounds. Goals: more
than 5,000 requests per second and p99 under 15 ms with batching, which gives at least three times what none gives. The
same server with onnxruntime (one thread) as its engine stands beside where onnx and onnxruntime are installed. Then a
burst of 10,000 requests on 200 connections: each is answered or refused, none is lost. Last an open load over which the
inference process is stopped for 200 ms: p99 must show it.
"""

import importlib.util
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from experiments.deployment.serving.generator import generate
from experiments.deployment.serving.loads import LoadPlan
from experiments.deployment.serving.results import summary
from experiments.models.format.packed import unpack
from experiments.models.recipe import Recipe
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.server.engines import BatchRunner
from experiments.server.launch import ServerProcess
from experiments.server.packed_model import packed
from experiments.server.protocol import InferenceSettings
from tests.benchmarks.sizes import size

CLIENTS, ROUNDS, LIMIT = size(32, 2), size(3, 1), 1e-3
SECONDS, BURST = size(3.0, 0.3), size(10_000, 200)
RATE, STALL_S = 500, 0.2
SERVERS = {
    "batch 32, wait 2 ms": ("--max-batch", "32", "--max-wait-ms", "2"),
    "batch 32, drain": ("--max-batch", "32", "--max-wait-ms", "0"),
    "no batching": ("--max-batch", "1"),
    "plain path, batch 32": ("--max-batch", "32", "--path", "plain"),
    "plain path, no batching": ("--max-batch", "1", "--path", "plain"),
    "onnxruntime, batch 32": ("--max-batch", "32", "--engine", "tests.benchmarks.serving:onnx_engine"),
}


class Onnx:
    """The network in onnxruntime with one thread, for one batch size."""

    path, why = "onnxruntime", ""

    def __init__(self, session: Any, batch: int, pixels: int) -> None:
        self.batch = batch
        self.input = np.zeros((batch, pixels), np.float32)
        self.run: Callable[[], Any] = lambda: session.run(None, {"x": self.input})[0]


def onnx_engine(inference: InferenceSettings) -> Sequence[BatchRunner]:
    """A float32 network of linear layers as onnxruntime computes it; the server's `--engine`."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    from experiments.server.runner import buckets

    model = unpack(Path(inference.model).read_bytes())
    nodes, held, name = [], [], "x"
    for number, layer in enumerate(model.layers):
        weight, bias, out = f"w{number}", f"b{number}", f"y{number}"
        held += [numpy_helper.from_array(layer.weight, weight), numpy_helper.from_array(layer.bias, bias)]
        nodes.append(helper.make_node("Gemm", [name, weight, bias], [out], transB=1))
        name = out
        if model.network.layers[number].relu:
            name = f"r{number}"
            nodes.append(helper.make_node("Relu", [out], [name]))
    pixels = model.network.image[0]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, pixels])
    y = helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, model.network.classes])
    graph = helper.make_graph(nodes, "network", [x], [y], held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [Onnx(session, size, pixels) for size in buckets(inference.max_batch)]


def main(seconds: float) -> None:
    chosen = dict(SERVERS)
    if not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")):
        print("onnx and onnxruntime are not installed and are left out")
        del chosen["onnxruntime, batch 32"]
    with tempfile.TemporaryDirectory() as folder:
        model, payload = Path(folder) / "model.tinylab", Path(folder) / "payload.npz"
        model.write_bytes(packed(Recipe("mlp", quant=QuantSpec("float32"))))
        images = np.random.default_rng(0).random((1024, 784), dtype=np.float32)
        np.savez(payload, images=images, logits=logits_numpy(unpack(model.read_bytes()), images))
        servers = {name: ServerProcess(model, "--device", "CPU", *options) for name, options in chosen.items()}
        try:
            ports = {name: server.wait() for name, server in servers.items()}
            _compare(ports, payload, seconds)
            _burst(ports["batch 32, drain"], payload)
            _stall(ports["batch 32, drain"], payload, seconds)
        finally:
            for server in servers.values():
                server.stop()


def _compare(ports: dict[str, int], payload: Path, seconds: float) -> None:
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in ports}
    for _ in range(ROUNDS):
        for name, port in ports.items():
            records = generate(LoadPlan(port, "closed", CLIENTS, seconds=seconds), payload)
            seen[name].append(summary(records, 15, LIMIT))
    load = f"load {psutil.getloadavg()[0]:.1f}/{os.cpu_count()}"
    print(f"{CLIENTS} closed-loop clients, {ROUNDS} rounds of {seconds:g} s; {load}")
    print(f"{'server':24} {'requests/s':>26}  p50 ms  p99 ms  batch  errors")
    for name, rounds in seen.items():
        rates = [one["achieved_per_s"] for one in rounds]
        middle = [_median([one[column] for one in rounds]) for column in ("p50_ms", "p99_ms", "mean_batch")]
        errors = sum(one["errors"] + one["rejected"] for one in rounds)
        span = f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"
        print(f"{name:24} {span:>26} {middle[0]:7.2f} {middle[1]:7.2f} {middle[2]:6.1f} {errors:7}")
    _ratio(seen, "batch 32, wait 2 ms", "no batching", "goal 3")
    _ratio(seen, "plain path, batch 32", "plain path, no batching", "the same without the fast path")
    if "onnxruntime, batch 32" in seen:
        _ratio(seen, "batch 32, wait 2 ms", "onnxruntime, batch 32", "1 is as fast")


def _median(values: Sequence[float | None]) -> float:
    """nan where a round had too few answers for a percentile."""
    return float("nan") if None in values else statistics.median(values)


def _ratio(seen: dict[str, list[dict[str, Any]]], name: str, other: str, what: str) -> None:
    pairs = zip(seen[name], seen[other], strict=True)
    ratios = sorted(one["achieved_per_s"] / two["achieved_per_s"] for one, two in pairs)
    print(f"{name} over {other}: {statistics.median(ratios):.2f}x ({ratios[0]:.2f} to {ratios[-1]:.2f}); {what}")


def _burst(port: int, payload: Path) -> None:
    records = generate(LoadPlan(port, "offline", clients=200, requests=BURST, timeout_s=60), payload)
    found = summary(records, 1e9, LIMIT)
    print(
        f"burst of {len(records):,} requests on 200 connections: {(records['status'] == 200).sum():,} answered, "
        f"{found['rejected']} refused, {found['errors']} lost or wrong, in {np.nanmax(records['finished_s']):.1f} s"
    )


def _stall(port: int, payload: Path, seconds: float) -> None:
    """The same open load twice; over the second one the inference process is stopped for a while."""

    def stop() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready") as answer:
            process = json.load(answer)["pid"]
        os.kill(process, signal.SIGSTOP)
        time.sleep(STALL_S)
        os.kill(process, signal.SIGCONT)

    plan, seen = LoadPlan(port, "open", clients=64, rate_per_s=RATE, seconds=seconds), []
    for disturbance in (None, threading.Timer(1 + seconds / 2, stop)):
        if disturbance:
            disturbance.start()
        seen.append(summary(generate(plan, payload), 15, LIMIT)["p99_ms"])
    print(f"open loop at {RATE}/s: p99 {seen[0]:.2f} ms, with a stall of {STALL_S * 1e3:g} ms {seen[1]:.1f} ms")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
