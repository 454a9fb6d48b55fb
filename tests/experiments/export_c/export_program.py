"""Exports small networks to the folder given as argument; prints as JSON what is refused and why."""

import json
import sys
from pathlib import Path

import numpy as np
from tinygrad import TinyJit, Variable

from experiments.bench.tinygrad.c_kernels import export, program_of
from experiments.bench.tinygrad.c_program import NotExportable
from experiments.bench.tinygrad.runtime import tensor
from experiments.export_c.source import header, source
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.models.techniques.quantization.post_training import calibrate, quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.techniques.quantization.tinygrad_backend import build_forward
from tests.experiments.models.small_network import held_out, mixed, trained


def export_networks(folder):
    """Writes the source of every network twice, with its expected logits."""
    images = held_out(20).images
    images.tofile(folder / "rows")
    for network, weights in (trained(), mixed()):
        calibration = calibrate(network, weights, images)
        for scheme in ("static", "weight_only", "float32"):
            if (network.name, scheme) == ("mixed", "weight_only"):
                continue
            quantized = quantize(network, weights, QuantSpec(scheme), calibration)
            target = folder / f"{network.name} {scheme}"
            target.mkdir()
            for name in ("model.c", "again.c"):
                lanes = 1 if scheme == "static" else 16
                row = tensor(images[:1].copy(), "CPU")
                _, program = export(build_forward(quantized, "CPU", lanes), row, noopt=scheme == "static")
                (target / name).write_text(source(program, "a test", "0.14.0"))
            (target / "model.h").write_text(header(program, "a test"))
            logits_numpy(quantized, images).tofile(target / "logits")


def refusal(export_it):
    try:
        export_it()
    except NotExportable as refused:
        return str(refused)
    return ""


def captured(function, *inputs):
    jit = TinyJit(function)
    for _ in range(2):
        result = jit(*inputs)
    return program_of(jit, 4, result)


def refusals():
    """The error of each function that cannot be exported."""
    four, ones = (tensor(np.ones((1, 4), np.float32), "CPU") for _ in range(2))
    size = Variable("size", 1, 4).bind(2)
    with_nan = tensor(np.array([1, np.nan, 1, 1], np.float32), "CPU")
    return {
        "symbolic": refusal(lambda: captured(lambda x, n: (x[:, :n] + 1).sum().realize(), four, size)),
        "copy": refusal(lambda: captured(lambda x: ((x + 1).to("CPU:1") * 2).realize(), four)),
        "half": refusal(lambda: captured(lambda x: (x.half() * 3).float().realize(), four)),
        "nan": refusal(lambda: captured(lambda x: (x * with_nan).realize(), four)),
        "two": refusal(lambda: captured(lambda x, y: (x * y).realize(), four, ones)),
        "none": refusal(lambda: program_of(TinyJit(lambda x: x), 4, four)),
    }


if __name__ == "__main__":
    export_networks(Path(sys.argv[1]))
    print(json.dumps(refusals()))
