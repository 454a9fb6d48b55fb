"""The model that is served: a carried checkpoint, a recipe, or what has to be trained first, as one packed file.

`python -m experiments.server.packed_model RECIPE FILE` writes it in a process that may train (and then says so).
"""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

from experiments.bench.machine.toolchain import child_environment
from experiments.models.builder import build_model
from experiments.models.data.mnist import mnist
from experiments.models.format.packed import pack
from experiments.models.recipe import Recipe, apply_quantization, from_json, pruned_network
from experiments.models.training import checkpoints
from experiments.models.training.settings import default_settings

CALIBRATION_IMAGES = 512


def packed(recipe: Recipe, device: str = "CPU", progress: checkpoints.TrainingProgress | None = None) -> bytes:
    """The packed model of a recipe; its network is trained on `device` where no checkpoint of it exists."""
    if recipe.is_pruned or recipe.distilled:
        told = progress or (lambda fraction, message, record: None)
        return build_model(recipe, device, lambda fraction, message: told(fraction, message, None)).dense_file
    network = pruned_network(recipe)
    settings = dataclasses.replace(default_settings(recipe.network), seed=recipe.seed)
    checkpoint = checkpoints.load_checkpoint(network, settings, device=device, progress=progress)
    return pack(apply_quantization(recipe, checkpoint.weights, mnist().train.first(CALIBRATION_IMAGES).images))


def write(recipe: Recipe, device: str, file: Path) -> bool:
    """Writes the packed model in a process of its own, which says on standard error how a training goes.

    False where that failed; the process has then said why.
    """
    command = [sys.executable, "-m", "experiments.server.packed_model", recipe.json(), str(file)]
    environment = child_environment(device) | {"TINYLAB_MODEL_DEVICE": device}
    return subprocess.run(command, env=environment, check=False, stdin=subprocess.DEVNULL).returncode == 0


def main(recipe: str, file: str) -> int:
    """Writes the model; 1 and one line where it cannot be made."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which ends this process
    said = set()

    def say(fraction: float, message: str, record: checkpoints.EpochRecord | None) -> None:
        """One line when something begins, one when an epoch is over."""
        if record or message not in said:
            right = f", {record['validation_accuracy']:.2%} right" if record else ""
            sys.stderr.write(f"no model yet, training: {fraction:.0%}, {message}{right}\n")
        said.add(message)

    try:
        Path(file).write_bytes(packed(from_json(recipe), os.environ["TINYLAB_MODEL_DEVICE"], say))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{str(error).splitlines()[0]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
