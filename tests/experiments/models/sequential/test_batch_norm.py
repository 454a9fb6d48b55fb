"""Batch normalisation: folding changes nothing that is computed."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from experiments.bench.machine.toolchain import child_environment
from experiments.models.data.mnist import mnist
from experiments.models.sequential.batch_norm import PARTS, convolutions, fold, forward_normed_numpy
from experiments.models.sequential.forward import accuracy_numpy, forward_numpy, initial_weights
from experiments.models.sequential.network import Conv, Linear, Network
from experiments.models.training.batch_norm import load_normed

NETWORK = Network(
    "two convolutions",
    (
        Conv(1, 3, 3, relu=True, pool="max2"),
        Conv(3, 4, 3, padding=1, pool="average"),
        Linear(4, 5),
    ),
    (1, 8, 8),
)


def weights():
    rng, made = np.random.default_rng(1), initial_weights(NETWORK, 1)
    for layer, channels in convolutions(NETWORK).items():
        made[f"{layer}.bias"] = rng.normal(size=channels).astype(np.float32)
        for part in PARTS:
            made[f"{layer}.norm.{part}"] = rng.uniform(0.5, 2, channels).astype(np.float32)
    return made


def test_the_folded_network_computes_the_same_without_a_normalisation():
    images = np.random.default_rng(2).random((20, 64), np.float32)
    normed, folded = forward_normed_numpy(NETWORK, weights(), images), fold(NETWORK, weights())
    assert folded.keys() == NETWORK.shapes().keys()
    assert np.abs(forward_numpy(NETWORK, folded, images) - normed).max() < 1e-5 * np.abs(normed).max()


def test_a_channel_that_never_varied_can_be_folded():
    made = weights() | {"layers.0.norm.variance": np.zeros(3, np.float32)}
    assert np.isfinite(fold(NETWORK, made)["layers.0.weight"]).all()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.ones(2, np.float32), "layers.0.norm.variance is not 3 finite numbers"),
        (np.full(3, np.nan, np.float32), "layers.0.norm.variance is not 3 finite numbers"),
        (np.full(3, -1, np.float32), "layers.0.norm.variance contains a negative variance"),
    ],
)
def test_numbers_that_are_no_normalisation_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        fold(NETWORK, weights() | {"layers.0.norm.variance": values})


def test_the_bundled_network_classifies_and_folding_loses_nothing():
    network, carried = load_normed()
    test = mnist().test.first(2000)
    said = forward_normed_numpy(network, carried, test.images).argmax(axis=1)
    assert (said == test.labels).mean() > 0.97
    plain = dataclasses.replace(network)
    assert accuracy_numpy(plain, fold(network, carried), test.images, test.labels) == (said == test.labels).mean()


@pytest.mark.slow
def test_training_learns_and_keeps_running_statistics():
    command = [sys.executable, "-m", "tests.experiments.models.training.batch_norm_program"]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("CPU"), check=False)
    assert done.returncode == 0, done.stderr
    accuracy, smallest_mean, spread = map(float, done.stdout.split())
    assert accuracy > 0.8
    assert smallest_mean > 0  # it began at 0
    assert spread > 0  # it began at 1 for all
