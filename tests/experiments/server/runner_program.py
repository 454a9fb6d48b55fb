"""Runs `TinygradRunner` on both paths, then with a broken fast path; prints what each did as JSON."""

import json

import numpy as np

from experiments.bench.tinygrad.direct_replay import DirectReplay
from experiments.models.sequential.forward import initial_weights
from experiments.models.sequential.network import cnn, mlp
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.models.techniques.quantization.post_training import calibrate, quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.techniques.quantization.tinygrad_backend import build_forward
from experiments.server.runner import TinygradRunner

IMAGES = np.random.default_rng(0).random((8, 784), dtype=np.float32)


def quantized(network, scheme):
    weights = initial_weights(network, 1)
    return quantize(network, weights, QuantSpec(scheme), calibrate(network, weights, IMAGES))


def observed(model, batch, fast=True):
    """Path, reason and largest error of a runner on two batches."""
    runner = TinygradRunner(build_forward(model, "CPU"), batch, 784, "CPU", fast)
    errors = []
    for start in (0, batch):
        rows = IMAGES[start : start + batch]
        runner.input[:] = rows
        errors.append(float(np.abs(runner.run() - logits_numpy(model, rows)).max()))
    return runner.path, runner.why, max(errors)


def wrong_call(self):
    self.output[:] = 1.0


def failing_init(*_):
    raise AttributeError("no such thing")


def with_broken(name, replacement, model):
    """As `observed`, while one method of DirectReplay is replaced."""
    original = getattr(DirectReplay, name)
    setattr(DirectReplay, name, replacement)
    try:
        return observed(model, 2)
    finally:
        setattr(DirectReplay, name, original)


def main():
    models = [quantized(mlp(), "float32"), quantized(mlp(), "static"), quantized(cnn(), "float32")]
    working = [observed(model, 3, fast) for model in models for fast in (True, False)]
    broken = [
        with_broken("__call__", wrong_call, models[0]),
        with_broken("__init__", failing_init, models[0]),
    ]
    print(json.dumps({"working": working, "broken": broken}))


if __name__ == "__main__":
    main()
