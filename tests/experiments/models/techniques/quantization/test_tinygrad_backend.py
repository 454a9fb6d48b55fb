"""Quantized networks as tinygrad programs, in one child process, against numpy: integers bit for bit."""

import json
import subprocess
import sys

import pytest

from experiments.bench.machine.toolchain import child_environment

SCHEMES = {  # each is a program to compile: what the small network has shown of floats is not compiled again
    "small": ("static", "dynamic", "weight_only", "float16", "float32", "float32 lanes"),
    "mixed": ("static", "static asymmetric", "dynamic", "weight_only asymmetric"),
}
NAMES = [f"{network} {scheme}" for network, schemes in SCHEMES.items() for scheme in schemes]
LOOK = """
import json
import sys
import numpy as np
from tests.experiments.models.small_network import held_out, mixed, trained
from tinygrad import TinyJit
from experiments.bench.tinygrad.runtime import tensor
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.models.techniques.quantization.tinygrad_backend import build_forward
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.techniques.quantization.post_training import calibrate, quantize

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
"""


@pytest.fixture(scope="module")
def seen():
    environment = child_environment("CPU")
    command = [sys.executable, "-c", LOOK, json.dumps(SCHEMES)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", [name for name in NAMES if "static" in name])
def test_integer_programs_are_equal_bit_for_bit(seen, name):
    assert seen[name]["equal"]


@pytest.mark.parametrize("name", [name for name in NAMES if "static" not in name])
def test_float_programs_differ_by_rounding_alone(seen, name):
    # a dynamic activation that lies between two integers may go either way
    assert seen[name]["error"] <= (0.02 if "dynamic" in name else 2e-6)
    assert seen[name]["agreement"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_replay_repeats_the_logits(seen, name):
    assert (seen[name]["replays"], seen[name]["type"]) == (True, "float32")
