"""The models that pruning and quantization start from: a network with weights, and images to measure it on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.bench.arrays import Array
from experiments.models.sequential.network import NETWORKS, Linear, Network

if TYPE_CHECKING:
    from experiments.bench.session import Bench
    from experiments.models.data.mnist import Split

MATRICES = {"matvec": (4096, 4096), "matrix": (1000, 500)}  # inputs and outputs of one untrained layer
RANDOM_IMAGES = 256


@dataclass(frozen=True)
class OriginalModel:
    """A network with weights, images to calibrate with and to time, and the test set; None if it is untrained."""

    network: Network
    weights: Mapping[str, Array]
    calibration: Array
    images: Array
    test: "Split | None"


def original_model(name: str, batch: int, calibration_images: int, train: bool, bench: "Bench") -> OriginalModel:
    """The network called `name` with its checkpoint, or trained anew; reports progress and the detail `learning`.

    `matvec` and `matrix` are one layer with seeded random weights and images, at least `batch` of them.
    """
    import numpy as np

    from experiments.models.data.mnist import mnist
    from experiments.models.sequential.forward import initial_weights
    from experiments.models.training.checkpoints import load_checkpoint

    if name in MATRICES:
        inputs, outputs = MATRICES[name]
        network = Network(name, (Linear(inputs, outputs),), (inputs,))
        shape = (max(batch, RANDOM_IMAGES), inputs)
        images = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
        return OriginalModel(network, initial_weights(network, 1), images[:RANDOM_IMAGES], images, None)

    def progress(fraction: float, message: str, _: dict[str, Any] | None) -> None:
        bench.progress(fraction / 2, f"training: {message}")

    network, data = NETWORKS[name](), mnist()
    checkpoint = load_checkpoint(network, train=train, device=bench.device, progress=progress)
    bench.detail("learning", checkpoint.curve)
    calibration = data.train.first(calibration_images).images
    return OriginalModel(network, checkpoint.weights, calibration, data.test.images, data.test)


def prunable_units(name: str) -> list[int]:
    """Units of each layer of the network called `name` that can be pruned: all layers but the last, or the only one."""
    if name in MATRICES:
        return [MATRICES[name][1]]
    return [layer.outputs for layer in NETWORKS[name]().layers[:-1]]
