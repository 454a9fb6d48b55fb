"""Trains the carried cnn with batch normalisation: `python -m experiments.models.train_normed` writes its file."""

import dataclasses
import os
import sys

from experiments.bench.toolchain import child_environment
from experiments.models import tensorfile
from experiments.models.checkpoints import CARRIED
from experiments.models.datasets import mnist
from experiments.models.networks import cnn
from experiments.models.normed import NAME, SETTINGS, forward_normed_numpy, train_normed

INSIDE = "TINYLAB_TRAINS"  # set where compiler and caches are the right ones


def main() -> None:
    """Trains, says the accuracies, writes."""
    if INSIDE not in os.environ:  # tinygrad reads its environment once, at its import: begin again in the right one
        command = [sys.executable, "-m", "experiments.models.train_normed"]
        os.execve(sys.executable, command, child_environment("CPU") | {INSIDE: "1"})  # noqa: S606
    network, data = dataclasses.replace(cnn(), name=NAME), mnist()
    weights = train_normed(network, data, SETTINGS, "CPU")
    for name, split in (("validation", data.validation), ("test", data.test)):
        said = forward_normed_numpy(network, weights, split.images).argmax(axis=1)
        sys.stdout.write(f"{name} {(said == split.labels).mean():.2%}\n")
    tensorfile.write(CARRIED / f"{NAME}.safetensors", weights, {"settings": str(dataclasses.asdict(SETTINGS))})


if __name__ == "__main__":
    main()
