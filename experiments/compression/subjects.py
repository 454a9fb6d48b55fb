"""What an experiment on smaller models starts from: a network with its weights, and images to try it on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.data.mnist import Split, mnist
from experiments.models.sequential.network import NETWORKS, Linear, Network, initial_weights
from experiments.models.training.checkpoints import load_checkpoint

if TYPE_CHECKING:
    from experiments.bench.session import Bench

MATRICES = {"matvec": (4096, 4096), "matrix": (1000, 500)}  # inputs and outputs of one untrained layer
RANDOM_IMAGES = 256


@dataclass(frozen=True)
class Subject:
    """A network with weights, images to calibrate with and to time it with, and a test set, or none if untrained."""

    network: Network
    weights: Mapping[str, Array]
    calibration: Array
    images: Array
    test: Split | None


def subject_of(name: str, batch: int, calibration_images: int, train: bool, bench: "Bench") -> Subject:
    """The network called `name` with its checkpoint, or trained anew with progress and the detail `learning`.

    `matvec` and `matrix` are one layer with seeded random weights and images, at least `batch` of them.
    """
    if name in MATRICES:
        inputs, outputs = MATRICES[name]
        network = Network(name, (Linear(inputs, outputs),), (inputs,))
        shape = (max(batch, RANDOM_IMAGES), inputs)
        images = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
        return Subject(network, initial_weights(network, 1), images[:RANDOM_IMAGES], images, None)

    def progress(fraction: float, message: str, record: dict[str, Any] | None) -> None:
        bench.progress(fraction / 2, f"training: {message}")

    network, data = NETWORKS[name](), mnist()
    checkpoint = load_checkpoint(network, train=train, device=bench.device, progress=progress)
    bench.detail("learning", checkpoint.curve)
    calibration = data.train.first(calibration_images).images
    return Subject(network, checkpoint.weights, calibration, data.test.images, data.test)


def units_of(name: str) -> list[int]:
    """The units of each layer of the network called `name` that may lose some: all but the last, or the only one."""
    if name in MATRICES:
        return [MATRICES[name][1]]
    return [layer.outputs for layer in NETWORKS[name]().layers[:-1]]
