"""The fast path gives the plain path's answers, and any doubt keeps the plain one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.bench.machine.toolchain import child_environment
from experiments.server.runner import buckets

ROOT = Path(__file__).parents[3]
CODE = """
import json, sys
import numpy as np
from experiments.bench.tinygrad import direct_replay as direct
from experiments.server.runner import TinygradRunner
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.models.techniques.quantization.tinygrad_backend import build_forward
from experiments.models.sequential.network import cnn, initial_weights, mlp
from experiments.models.techniques.quantization.post_training import QuantSpec, calibrate, quantize

images = np.random.default_rng(0).random((8, 784), dtype=np.float32)
seen = []
for network, scheme in ((mlp(), "float32"), (mlp(), "static"), (cnn(), "float32")):
    weights = initial_weights(network, 1)
    model = quantize(network, weights, QuantSpec(scheme), calibrate(network, weights, images))
    for fast in (True, False):
        runner = TinygradRunner(build_forward(model, "CPU"), 3, 784, "CPU", fast)
        errors = []
        for start in (0, 3):
            runner.input[:] = images[start : start + 3]
            errors.append(float(np.abs(runner.run() - logits_numpy(model, images[start : start + 3])).max()))
        seen.append([runner.path, runner.why, max(errors)])

def answers_wrongly(self):
    self.output[:] = 1.0

def raises(*_):
    raise AttributeError("no such thing")

kept = []
for name, broken in (("__call__", answers_wrongly), ("__init__", raises)):
    whole = getattr(direct.DirectReplay, name)
    setattr(direct.DirectReplay, name, broken)
    runner = TinygradRunner(build_forward(model, "CPU"), 2, 784, "CPU")
    runner.input[:] = images[:2]
    kept.append([runner.path, runner.why, float(np.abs(runner.run() - logits_numpy(model, images[:2])).max())])
    setattr(direct.DirectReplay, name, whole)
print(json.dumps([seen, kept]))
"""


@pytest.fixture(scope="module")
def results():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=child_environment("CPU"),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_both_paths_give_the_twins_answers_for_every_input(results):
    seen, _ = results
    assert [path for path, _, _ in seen] == ["fast", "plain"] * 3
    assert all(error < 1e-4 for _, _, error in seen)
    assert [why for _, why, _ in seen] == ["", "asked for"] * 3


def test_a_fast_path_that_is_wrong_or_cannot_be_built_is_not_taken_and_says_why(results):
    _, kept = results
    assert [(path, why) for path, why, _ in kept] == [
        ("plain", "its answers differed from the plain path's"),
        ("plain", "AttributeError: no such thing"),
    ]
    assert all(error < 1e-4 for _, _, error in kept)


@pytest.mark.parametrize(
    ("most", "sizes"), [(1, [1]), (2, [1, 2]), (24, [1, 2, 4, 8, 16, 24]), (32, [1, 2, 4, 8, 16, 32])]
)
def test_buckets_are_powers_of_two_and_the_largest_batch(most, sizes):
    assert buckets(most) == sizes
