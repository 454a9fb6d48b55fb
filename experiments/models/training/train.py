"""Trains networks from the command line: `python -m experiments.models.training.train mlp lenet_5`.

The results go to this machine's cache; with `--bundle` they replace the checkpoints bundled with the project, and the
row for the table in pretrained/README.md is printed. `cnn_normed`, the cnn with batch normalization, is only bundled.
"""

import argparse
import dataclasses
import os
import sys
from datetime import UTC, datetime

import psutil

from experiments.bench.machine.toolchain import child_environment
from experiments.models import tensor_file
from experiments.models.data.mnist import mnist
from experiments.models.sequential import batch_norm
from experiments.models.sequential.network import NETWORKS, NORMED, parameter_count
from experiments.models.training import checkpoints
from experiments.models.training.batch_norm import FILE, SETTINGS, train_normed
from experiments.models.training.settings import EpochRecord

INTERRUPTED = 130
INSIDE = "TINYLAB_TRAINS"  # set in the process that has the environment of compiler and caches
NAMES = [*NETWORKS, NORMED]


def main(arguments: list[str]) -> int:
    """Trains the named networks one after the other; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.models.training.train", description=__doc__)
    parser.add_argument("networks", nargs="+", choices=NAMES, metavar="NETWORK", help=", ".join(NAMES))
    parser.add_argument("--device", default="CPU", help="as tinygrad names it")
    parser.add_argument(
        "--bundle", "--carry", action="store_true", help="replace the checkpoint bundled with the project"
    )
    given = parser.parse_args(arguments)
    if NORMED in given.networks and not given.bundle:
        parser.error(f"{NORMED} is only bundled: add --bundle")
    if INSIDE not in os.environ:  # tinygrad reads the environment when it is imported: restart with the right one
        command = [sys.executable, "-m", "experiments.models.training.train", *arguments]
        os.execve(sys.executable, command, child_environment(given.device) | {INSIDE: "1"})  # noqa: S606
    try:
        for name in given.networks:
            if name == NORMED:
                _train_normed(given.device)
            else:
                _train(name, given.device, given.bundle)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command continues after the last whole epoch\n")
        return INTERRUPTED
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _train(name: str, device: str, bundle: bool) -> None:
    network = NETWORKS[name]()

    def report(fraction: float, message: str, record: EpochRecord | None) -> None:
        if record:
            numbers = ", ".join(f"{key} {value:.4g}" for key, value in record.items() if key != "epoch")
            _print(f"{name}: {fraction:4.0%} {message}: {numbers}")

    trained = checkpoints.load_checkpoint(network, train=True, device=device, progress=report)
    if bundle:
        checkpoints.write_checkpoint(checkpoints.BUNDLED / f"{name}{checkpoints.SUFFIX}", trained)
    settings, load = trained.settings, psutil.getloadavg()[0]
    _print(
        f"| {name} | {parameter_count(network):,} | {settings.epochs} | {settings.rate:g} | "
        f"{trained.validation_accuracy:.2%} | {trained.test_accuracy:.2%} | {trained.seconds:.0f} | "
        f"{load:.1f} | {datetime.now(UTC):%Y-%m-%d} |"
    )


def _train_normed(device: str) -> None:
    network, data = batch_norm.cnn_with_batch_norm(), mnist()
    weights = train_normed(network, data, SETTINGS, device)
    for name, split in (("validation", data.validation), ("test", data.test)):
        predictions = batch_norm.forward_normed_numpy(network, weights, split.images).argmax(axis=1)
        _print(f"{network.name}: {name} {(predictions == split.labels).mean():.2%}")
    tensor_file.write(FILE, weights, {"settings": str(dataclasses.asdict(SETTINGS))})


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
