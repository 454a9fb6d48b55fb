"""Builds the packed model to serve from a recipe: from a bundled checkpoint, or trained first.

`python -m experiments.server.packed_model RECIPE FILE` writes it; as a separate process, because it may train.
"""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

from experiments.bench.errors import first_line
from experiments.bench.machine.toolchain import child_environment
from experiments.models.builder import CALIBRATION_IMAGES, build_model
from experiments.models.data.mnist import mnist
from experiments.models.format.packed import pack
from experiments.models.recipe import Recipe, apply_quantization, from_json, pruned_network
from experiments.models.training import checkpoints
from experiments.models.training.settings import EpochRecord, TrainingProgress, default_settings


def packed(recipe: Recipe, device: str = "CPU", progress: TrainingProgress | None = None) -> bytes:
    """The packed model of a recipe; its network is trained on `device` if it has no checkpoint."""
    if recipe.is_pruned or recipe.distilled:
        report = progress or (lambda fraction, message, record: None)
        return build_model(recipe, device, lambda fraction, message: report(fraction, message, None)).dense_file
    network = pruned_network(recipe)
    settings = dataclasses.replace(default_settings(recipe.network), seed=recipe.seed)
    checkpoint = checkpoints.load_checkpoint(network, settings, device=device, progress=progress)
    return pack(apply_quantization(recipe, checkpoint.weights, mnist().train.first(CALIBRATION_IMAGES).images))


def write(recipe: Recipe, device: str, file: Path) -> bool:
    """Writes the packed model in a child process, which reports the progress of a training on standard error.

    False if that failed; the process has then written the reason.
    """
    command = [sys.executable, "-m", "experiments.server.packed_model", recipe.json(), str(file)]
    environment = child_environment(device) | {"TINYLAB_MODEL_DEVICE": device}
    return subprocess.run(command, env=environment, check=False, stdin=subprocess.DEVNULL).returncode == 0


def main(recipe: str, file: str) -> int:
    """Exit status 0, or 1 with one line on standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles Ctrl-C and ends this process
    reported = set()

    def report(fraction: float, message: str, record: EpochRecord | None) -> None:
        """One line at the start of each phase and at the end of each epoch."""
        if record or message not in reported:
            correct = f", {record['validation_accuracy']:.2%} correct" if record else ""
            sys.stderr.write(f"no model yet, training: {fraction:.0%}, {message}{correct}\n")
        reported.add(message)

    try:
        Path(file).write_bytes(packed(from_json(recipe), os.environ["TINYLAB_MODEL_DEVICE"], report))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{first_line(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
