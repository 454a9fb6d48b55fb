"""Trains networks from the command line: `python -m experiments.models.training.train mlp lenet_5`.

Without `--carry` the results go to this machine's cache; with it they become the checkpoints that the project
carries, and a line for the README beside them is printed.
"""

import argparse
import os
import sys
from datetime import UTC, datetime

import psutil

from experiments.bench.machine.toolchain import child_environment
from experiments.models.sequential.network import NETWORKS, parameter_count
from experiments.models.training import checkpoints

INTERRUPTED = 130
INSIDE = "TINYLAB_TRAINS"  # set where compiler and caches are the right ones


def main(arguments: list[str]) -> int:
    """Trains what is named, one after the other; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.models.training.train", description=__doc__)
    parser.add_argument("networks", nargs="+", choices=list(NETWORKS), metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--device", default="CPU", help="as tinygrad names it")
    parser.add_argument("--carry", action="store_true", help="store as the checkpoint that the project carries")
    given = parser.parse_args(arguments)
    if INSIDE not in os.environ:  # tinygrad reads its environment once, at its import: begin again in the right one
        command = [sys.executable, "-m", "experiments.models.training.train", *arguments]
        os.execve(sys.executable, command, child_environment(given.device) | {INSIDE: "1"})  # noqa: S606
    try:
        for name in given.networks:
            _one(name, given.device, given.carry)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command continues after the last whole epoch\n")
        return INTERRUPTED
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _one(name: str, device: str, carry: bool) -> None:
    network = NETWORKS[name]()

    def say(fraction: float, message: str, record: checkpoints.EpochRecord | None) -> None:
        if record:
            numbers = ", ".join(f"{what} {value:.4g}" for what, value in record.items() if what != "epoch")
            _say(f"{name}: {fraction:4.0%} {message}: {numbers}")

    made = checkpoints.load_checkpoint(network, train=True, device=device, progress=say)
    if carry:
        checkpoints.write_checkpoint(checkpoints.BUNDLED / f"{name}{checkpoints.SUFFIX}", made)
    settings, load = made.settings, psutil.getloadavg()[0]
    _say(
        f"| {name} | {parameter_count(network):,} | {settings.epochs} | {settings.rate:g} | "
        f"{made.validation_accuracy:.2%} | {made.test_accuracy:.2%} | {made.seconds:.0f} | "
        f"{load:.1f} | {datetime.now(UTC):%Y-%m-%d} |"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
