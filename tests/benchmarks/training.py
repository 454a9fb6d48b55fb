"""Seconds to the accuracy that issue 5 asks for: `python -m tests.benchmarks.training [NETWORK ...]`.

Each network is trained in a process of its own with an empty kernel cache, once, to the end of its schedule: a
training's error is only good there. Start of Python and compiling are in the time. The error is the test set's.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from experiments.bench.machine.toolchain import child_environment
from tests.benchmarks.sizes import size

ROOT = Path(__file__).parents[2]
GOALS = {"mlp": (2.5, 60), "lenet_300_100": (1.64, 60), "cnn": (3.0, 360), "lenet_5": (0.8, 360)}  # error %, seconds


def train(name: str) -> None:
    """In a process of its own: trains one network and prints its error on the test set, in percent."""
    from experiments.models.data.mnist import mnist
    from experiments.models.sequential.forward import accuracy_numpy
    from experiments.models.sequential.network import NETWORKS
    from experiments.models.training.settings import default_settings
    from experiments.models.training.trainer import shared_trainer

    network, settings, data = NETWORKS[name](), default_settings(name), mnist()
    steps = size(None, 20)
    weights = shared_trainer(network, "CPU", settings.batch).fit(data, settings, steps=steps).weights
    print(100 - 100 * accuracy_numpy(network, weights, data.test.images, data.test.labels))


def main(names: list[str]) -> None:
    print("network          error %  goal  seconds  goal  load  most MB of any so far")
    for name in names or GOALS:
        with tempfile.TemporaryDirectory() as folder:
            environment = child_environment("CPU") | {"CACHEDB": str(Path(folder) / "kernels.db")}
            began = time.perf_counter()
            command = [sys.executable, "-m", "tests.benchmarks.training", "--train", name]
            done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
            seconds = time.perf_counter() - began
        error, (most_error, most_seconds) = float(done.stdout), GOALS[name]
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(
            f"{name:16} {error:7.2f} {most_error:5.2f} {seconds:8.0f} {most_seconds:5} "
            f"{psutil.getloadavg()[0]:5.1f}/{os.cpu_count()} {memory:8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(sys.argv[2])
    else:
        main(sys.argv[1:])
