"""The exported int8 program beside onnxruntime float32 on the same network, one thread, called from Python.

Run by hand where onnx and onnxruntime are installed: `pip install onnx onnxruntime`, then
`python tests/benchmarks/edge_peers.py [width]`. Prints medians of interleaved calls and their ratios.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from experiments.bench.machine.toolchain import child_environment

INSIDE = "TINYLAB_BENCHMARKS"


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
    done = steps(ExportSpec(width=width), "CPU", lambda *_: None)
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
            inside = np.median(library.seconds(row, 20_000)) * 1e6
            reads = np.median(library.read_seconds(exported.program.weights_bytes, 20_000)) * 1e6
            print(f"{name:<28} {inside:8.2f} µs inside C, {inside / reads:5.1f} times reading its constants")
            jits[name] = exported
    last = jits[f"c int8 {' '.join(['-O3', *native])}"]
    calls["python jit int8"] = lambda: last.jit(last.input)
    made, output = session(done[-2].network, done[-2].weights)
    wanted, seen = done[-2].logits(row), made.run([output], {"input": row})[0]
    assert np.abs(wanted - seen).max() < 1e-3 * np.abs(wanted).max()
    calls["onnxruntime float32"] = lambda: made.run([output], {"input": row})
    calls["onnxruntime float32, bound"] = bound(made, output, row)
    best = next(name for name in calls if name.startswith("c int8"))
    measured = compare(calls, best, lambda: None, Budget(seconds=20))
    for name in calls:
        latency, ratio = measured.latency(name), measured.speedup(name)
        print(
            f"{name:<28} {latency.median * 1e6:8.2f} µs from Python [{latency.lo * 1e6:.2f}, {latency.hi * 1e6:.2f}], "
            f"{1 / ratio.median:6.2f} times {best}"
        )


if __name__ == "__main__":
    if INSIDE not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], child_environment("CPU") | {INSIDE: "1"})  # noqa: S606
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.5)
