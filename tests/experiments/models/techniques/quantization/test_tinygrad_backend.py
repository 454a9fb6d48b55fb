"""Quantized networks as tinygrad programs, in one child process, against numpy: integers bit for bit."""

import json
import subprocess
import sys

import pytest

from experiments.bench.machine.toolchain import child_environment

pytestmark = pytest.mark.slow  # ten networks are compiled

SCHEMES = {  # each is a program to compile: what the small network has shown of floats is not compiled again
    "small": ("static", "dynamic", "weight_only", "float16", "float32", "float32 lanes"),
    "mixed": ("static", "static asymmetric", "dynamic", "weight_only asymmetric"),
}
NAMES = [f"{network} {scheme}" for network, schemes in SCHEMES.items() for scheme in schemes]


@pytest.fixture(scope="module")
def seen():
    environment = child_environment("CPU")
    command = [
        sys.executable,
        "-m",
        "tests.experiments.models.techniques.quantization.tinygrad_backend_program",
        json.dumps(SCHEMES),
    ]
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
