"""Bundles the smallest files of a record run with the project.

`python -m experiments.compression.record.promote_best FILE ...`.

Takes packed models and zip files that contain some (the bundle of a run). For each network it keeps the smallest file
whose validation error meets the network's goal; test images are not used for the choice. `smallest/records.json` states
the measurements, which a test verifies.
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

BUNDLED = Path(__file__).parent / "smallest"
RECORDS_FILE = BUNDLED / "records.json"
GOALS = {"lenet_300_100": 0.0164, "lenet_5": 0.0080}  # validation errors of Deep Compression's uncompressed networks
MAX_BYTES = 2**17  # larger files are skipped

MeasuredFile = dict[str, Any]


def measure(content: bytes) -> MeasuredFile:
    """Network, structure, sizes and both accuracies of a packed model; DamagedModel if it cannot be read."""
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


def promote(paths: list[Path], folder: Path = BUNDLED) -> list[MeasuredFile]:
    """Compares the models in `paths` with those in `folder` and keeps the best of each network there."""
    folder.mkdir(exist_ok=True)
    best: dict[str, tuple[MeasuredFile, bytes]] = {}
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
    records = [found for _, (found, _) in sorted(best.items())]
    (folder / RECORDS_FILE.name).write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")
    return records


def _contents(paths: list[Path]) -> Iterator[bytes]:
    """The contents of the files and of the members of zip files, without members that are too large."""
    for path in paths:
        if not zipfile.is_zipfile(path):
            yield path.read_bytes()
            continue
        with zipfile.ZipFile(path) as bundle:
            for member in bundle.infolist():
                if not member.is_dir() and member.file_size <= MAX_BYTES:
                    yield bundle.read(member)


if __name__ == "__main__":
    for record in promote([Path(name) for name in sys.argv[1:]]):
        sys.stdout.write(f"{json.dumps(record)}\n")
