"""Trains the bundled cnn with batch normalization: `python -m experiments.models.training.train_batch_norm`."""

import dataclasses
import os
import sys

from experiments.bench.machine.toolchain import child_environment
from experiments.models.data.mnist import mnist
from experiments.models.format import tensor_file
from experiments.models.sequential.batch_norm import NAME, SETTINGS, forward_normed_numpy, train_normed
from experiments.models.sequential.network import cnn
from experiments.models.training.checkpoints import BUNDLED

INSIDE = "TINYLAB_TRAINS"  # set where compiler and caches are the right ones


def main() -> None:
    """Trains, says the accuracies, writes."""
    if INSIDE not in os.environ:  # tinygrad reads its environment once, at its import: begin again in the right one
        command = [sys.executable, "-m", "experiments.models.training.train_batch_norm"]
        os.execve(sys.executable, command, child_environment("CPU") | {INSIDE: "1"})  # noqa: S606
    network, data = dataclasses.replace(cnn(), name=NAME), mnist()
    weights = train_normed(network, data, SETTINGS, "CPU")
    for name, split in (("validation", data.validation), ("test", data.test)):
        said = forward_normed_numpy(network, weights, split.images).argmax(axis=1)
        sys.stdout.write(f"{name} {(said == split.labels).mean():.2%}\n")
    tensor_file.write(BUNDLED / f"{NAME}.safetensors", weights, {"settings": str(dataclasses.asdict(SETTINGS))})


if __name__ == "__main__":
    main()
