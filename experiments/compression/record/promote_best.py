"""Keeps the best files of a record study in the project.

`python -m experiments.compression.record.promote_best FILE …`.

Takes packed models and zip files that hold some (the bundle of a run). Of each network the smallest file stays whose
validation error is at most that which the network's goal allows; the test images only tell its error. What was
measured is written beside the files to `smallest/records.json`, which a test holds them to.
"""

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.models.data.mnist import mnist
from experiments.models.format.packed import DamagedModel, unpack
from experiments.models.sequential.network import NETWORKS, parameter_count
from experiments.models.techniques.prune_units import layer_widths
from experiments.models.techniques.prune_weights import count_nonzero
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy

CARRIED = Path(__file__).parent / "smallest"
STATED = CARRIED / "records.json"
GOALS = {"lenet_300_100": 0.0164, "lenet_5": 0.0080}  # the errors that Deep Compression began with
MOST_BYTES = 2**17  # no record is larger

Stated = dict[str, Any]


def measure(content: bytes) -> Stated:
    """What a packed model holds: network, structure, sizes and both accuracies; DamagedModel where it is none."""
    model, data = unpack(content), mnist()
    name = model.network.name
    return {
        "network": name,
        "structure": layer_widths(model.network),
        "nonzero": count_nonzero(model.float_weights()),
        "size_bytes": len(content),
        "compression": round(4 * parameter_count(NETWORKS[name]()) / len(content), 2),
        "validation_accuracy": accuracy_numpy(model, data.validation.images, data.validation.labels),
        "accuracy": accuracy_numpy(model, data.test.images, data.test.labels),
    }


def carry(paths: list[Path], folder: Path = CARRIED) -> list[Stated]:
    """Compares the models in `paths` with those carried in `folder` and keeps the best of each network there."""
    folder.mkdir(exist_ok=True)
    best: dict[str, tuple[Stated, bytes]] = {}
    for content in _contents([*paths, *sorted(folder.glob("*.tinylab"))]):
        try:
            network = unpack(content).network.name
        except DamagedModel:
            continue
        if network not in GOALS or (network in best and len(best[network][1]) <= len(content)):
            continue
        found = measure(content)
        if found["validation_accuracy"] >= 1 - GOALS[network]:
            best[network] = found, content
    for network, (_, content) in best.items():
        (folder / f"{network}.tinylab").write_bytes(content)
    stated = [found for _, (found, _) in sorted(best.items())]
    (folder / STATED.name).write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
    return stated


def _contents(paths: list[Path]) -> Iterator[bytes]:
    """The files, and what is in zip files, each where it is small enough for a record."""
    for path in paths:
        if not zipfile.is_zipfile(path):
            yield path.read_bytes()
            continue
        with zipfile.ZipFile(path) as bundle:
            for member in bundle.infolist():
                if not member.is_dir() and member.file_size <= MOST_BYTES:
                    yield bundle.read(member)


if __name__ == "__main__":
    for line in carry([Path(name) for name in sys.argv[1:]]):
        sys.stdout.write(f"{json.dumps(line)}\n")
