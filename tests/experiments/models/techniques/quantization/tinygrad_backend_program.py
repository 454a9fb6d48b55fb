"""Run with -m and schemes by network as JSON: tinygrad's logits against numpy's; prints the comparison as JSON."""

import json
import sys

import numpy as np
from tinygrad import TinyJit

from experiments.bench.tinygrad.runtime import tensor
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.models.techniques.quantization.post_training import calibrate, quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.techniques.quantization.tinygrad_backend import build_forward
from tests.experiments.models.small_network import held_out, mixed, trained


def main():
    specs = {
        "static": QuantSpec(),
        "static asymmetric": QuantSpec("static", 4, 6, "per_tensor", "asymmetric"),
        "dynamic": QuantSpec("dynamic", symmetry="asymmetric"),
        "weight_only": QuantSpec("weight_only", 3),
        "weight_only asymmetric": QuantSpec("weight_only", 4, granularity="per_tensor", symmetry="asymmetric"),
        "float16": QuantSpec("float16"),
        "float32": QuantSpec("float32"),
    }
    images = held_out(48).images
    seen = {}
    for network, weights, shift in ((*trained(), 0), (*mixed(), 0.3)):
        x = images - np.float32(shift)  # the mixed network gets negative inputs
        calibration = calibrate(network, weights, x)
        for name in json.loads(sys.argv[1])[network.name]:
            spec = specs[name.removesuffix(" lanes")]
            quantized = quantize(network, weights, spec, calibration)
            run, given = TinyJit(build_forward(quantized, "CPU", 8 if "lanes" in name else 1)), tensor(x, "CPU")
            outputs = [run(given).numpy() for _ in range(3)]
            wanted = logits_numpy(quantized, x, len(x))
            seen[f"{network.name} {name}"] = {
                "equal": bool((outputs[0] == wanted).all()),
                "replays": bool((outputs[0] == outputs[2]).all()),
                "error": float(np.abs(outputs[0] - wanted).max() / np.abs(wanted).max()),
                "agreement": float((outputs[0].argmax(axis=1) == wanted.argmax(axis=1)).mean()),
                "type": str(outputs[0].dtype),
            }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
