"""The exported int8 program beside onnxruntime float32 on the same network, one thread, called from Python.

Run by hand; onnxruntime is left out where onnx and onnxruntime are not installed (`pip install onnx onnxruntime`):
`python -m tests.benchmarks.edge_peers [width]`. Prints medians of interleaved calls and their ratios.
"""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from experiments.bench.machine.toolchain import child_environment
from tests.benchmarks.sizes import size

INSIDE = "TINYLAB_EDGE_PEERS"
CALLS = size(20_000, 100)


def session(network, weights):
    """The float32 network in onnxruntime, on one thread."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, last = [], "input"
    for number, layer in enumerate(network.layers):
        names = [f"layers.{number}.weight", f"layers.{number}.bias"]
        nodes.append(helper.make_node("Gemm", [last, *names], [f"sum{number}"], transB=1))
        last = f"sum{number}"
        if layer.relu:
            nodes.append(helper.make_node("Relu", [last], [f"relu{number}"]))
            last = f"relu{number}"
    ends = [("input", network.layers[0].inputs), (last, network.layers[-1].outputs)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in ends]
    held = [numpy_helper.from_array(one, name) for name, one in weights.items()]
    graph = helper.make_graph(nodes, "network", values[:1], values[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]), last


def bound(made, output, row):
    """A call without a copy on the way in or out."""
    binding = made.io_binding()
    binding.bind_cpu_input("input", row)
    binding.bind_output(output)
    return lambda: made.run_with_iobinding(binding)


def peers(step, row):
    """onnxruntime on the same network: as usual, and with its input and output bound."""
    made, output = session(step.network, step.weights)
    wanted, seen = step.logits(row), made.run([output], {"input": row})[0]
    assert np.abs(wanted - seen).max() < 1e-3 * np.abs(wanted).max()
    return {
        "onnxruntime float32": lambda: made.run([output], {"input": row}),
        "onnxruntime float32, bound": bound(made, output, row),
    }


def main(width):
    """Exports, builds, calls, compares."""
    from experiments.bench.timing.measure import Budget, compare
    from experiments.deployment.edge.native import NativeLibrary
    from experiments.export_c.export import ExportedProgram
    from experiments.export_c.spec import ExportSpec
    from experiments.export_c.steps import steps
    from experiments.export_c.targets import host_compiler
    from experiments.models.data.mnist import mnist

    row = mnist().test.images[:1]
    done = steps(ExportSpec(width=width, **size({}, {"fine_tune_steps": 0})), "CPU", lambda *_: None)
    compiler, native = host_compiler()
    calls, jits = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for step, flags in ((done[-2], ["-O3", *native]), (done[-1], ["-O3", *native]), (done[-1], ["-O2"])):
            exported = ExportedProgram.of(step, step.description, row[0])
            name = f"c {'float32' if step.is_float else 'int8'} {' '.join(flags)}"
            source = Path(folder) / str(len(calls)) / "model.c"
            source.parent.mkdir()
            source.write_text(exported.texts["model.c"])
            generic = ["-mcpu=baseline"] if flags == ["-O2"] and "zig" in compiler[0] else []
            library = NativeLibrary([*compiler, *flags, *generic], source, exported.program.outputs)
            calls[name] = library.caller(row[0])
            inside = np.median(library.seconds(row, CALLS)) * 1e6
            reads = np.median(library.read_seconds(exported.program.weights_bytes, CALLS)) * 1e6
            print(f"{name:<28} {inside:8.2f} µs inside C, {inside / reads:5.1f} times reading its constants")
            jits[name] = exported
    last = jits[f"c int8 {' '.join(['-O3', *native])}"]
    calls["python jit int8"] = lambda: last.jit(last.input)
    if all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")):
        calls |= peers(done[-2], row)
    else:
        print("onnx and onnxruntime are not installed and are left out")
    best = next(name for name in calls if name.startswith("c int8"))
    measured = compare(calls, best, lambda: None, Budget(seconds=size(20, 1)))
    for name in calls:
        latency, ratio = measured.latency(name), measured.speedup(name)
        print(
            f"{name:<28} {latency.median * 1e6:8.2f} µs from Python [{latency.lo * 1e6:.2f}, {latency.hi * 1e6:.2f}], "
            f"{1 / ratio.median:6.2f} times {best}"
        )


if __name__ == "__main__":
    if INSIDE not in os.environ:
        command = [sys.executable, "-m", "tests.benchmarks.edge_peers", *sys.argv[1:]]
        os.execve(sys.executable, command, child_environment("CPU") | {INSIDE: "1"})  # noqa: S606
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.5)
