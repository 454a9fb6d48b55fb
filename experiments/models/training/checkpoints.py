"""Trained networks, each trained once: bundled with the project, else in this machine's cache, else trained now.

A checkpoint is a safetensors file. Its key is the hash of everything that determines the weights, so any change
of these trains again. The page and the command line may read checkpoints: tinygrad is only imported for training.
"""

import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from experiments.bench.machine.toolchain import cache_folder
from experiments.models import tensor_file
from experiments.models.data.mnist import SHA256, mnist
from experiments.models.sequential.forward import accuracy_numpy, check_weights
from experiments.models.sequential.network import NETWORKS, Network, Weights
from experiments.models.training.settings import VERSION as TRAINER_VERSION
from experiments.models.training.settings import EpochRecord, Settings, TrainingProgress, default_settings

BUNDLED = Path(__file__).parents[1] / "pretrained"
SUFFIX = ".safetensors"


class BadCheckpoint(ValueError):
    """The checkpoint is damaged, holds NaN or belongs to another network; one line."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained network: accuracies 0..1, learning curve, wall time of the training in seconds, its device."""

    network: Network
    settings: Settings
    weights: Weights
    curve: list[EpochRecord]
    validation_accuracy: float
    test_accuracy: float
    seconds: float
    device: str


def checkpoint_key(network: Network, settings: Settings) -> str:
    """16 hex digits of the hash of network, settings with seed, data and version of the trainer."""
    described = {
        "network": [network.image, *((type(layer).__name__, dataclasses.asdict(layer)) for layer in network.layers)],
        "settings": dataclasses.asdict(settings),
        "data": SHA256,
        "code": TRAINER_VERSION,
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


def cached_file(network: Network, settings: Settings) -> Path:
    """The file of this checkpoint in this machine's cache, whether it exists or not."""
    return cache_folder() / "checkpoints" / f"{network.name}-{checkpoint_key(network, settings)}{SUFFIX}"


def bundled_file(network: Network, settings: Settings) -> Path | None:
    """The bundled file for exactly this network and these settings, if there is one."""
    file = BUNDLED / f"{network.name}{SUFFIX}"
    return file if settings == default_settings(network.name) and _is_standard(network) and file.exists() else None


def _is_standard(network: Network) -> bool:
    return network.name in NETWORKS and NETWORKS[network.name]() == network


def load_checkpoint(
    network: Network,
    settings: Settings | None = None,
    *,
    train: bool = False,
    device: str = "CPU",
    progress: TrainingProgress | None = None,
) -> Checkpoint:
    """The trained `network`: bundled, else cached, else trained on `device` and cached; `train` always trains.

    If two processes need the same checkpoint, the second waits and loads the file. An interrupted training continues.
    `progress(fraction, message, record)` is called during training, with an EpochRecord after each epoch.
    Raises BadCheckpoint for a damaged file, DamagedData for damaged data.
    """
    settings = settings or default_settings(network.name)
    started = time.time()
    if not train and (file := bundled_file(network, settings)):
        return read_checkpoint(file, network, settings)
    file = cached_file(network, settings)
    if not train and file.exists():
        return read_checkpoint(file, network, settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(file, progress):
        if file.exists() and (not train or file.stat().st_mtime > started):  # another process trained it meanwhile
            return read_checkpoint(file, network, settings)
        trained = _train(network, settings, device, file.with_suffix(".partial"), progress)
        write_checkpoint(file, trained)
    return trained


@contextlib.contextmanager
def _exclusive(file: Path, progress: TrainingProgress | None) -> Iterator[None]:
    lock = FileLock(file.with_suffix(".lock"))
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            if progress:
                progress(0.0, "waiting for another process that trains this network", None)
    try:
        yield
    finally:
        lock.release()


def _train(
    network: Network, settings: Settings, device: str, state: Path, progress: TrainingProgress | None
) -> Checkpoint:
    from experiments.models.training.trainer import shared_trainer

    data = mnist()
    trained = shared_trainer(network, device, settings.batch).fit(data, settings, state=state, progress=progress)
    return Checkpoint(
        network=network,
        settings=settings,
        weights=trained.weights,
        curve=trained.curve,
        validation_accuracy=trained.curve[-1]["validation_accuracy"],
        test_accuracy=accuracy_numpy(network, trained.weights, data.test.images, data.test.labels),
        seconds=trained.seconds,
        device=device,
    )


def write_checkpoint(file: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint whole or not at all; BadCheckpoint if its weights do not fit its network."""
    _check(file, checkpoint.network, checkpoint.weights)
    about = {
        "key": checkpoint_key(checkpoint.network, checkpoint.settings),
        "weights": _digest(checkpoint.weights),
        "curve": json.dumps(checkpoint.curve),
        "validation_accuracy": repr(checkpoint.validation_accuracy),
        "test_accuracy": repr(checkpoint.test_accuracy),
        "seconds": repr(checkpoint.seconds),
        "device": checkpoint.device,
    }
    tensor_file.write(file, checkpoint.weights, about)


def read_checkpoint(file: Path, network: Network, settings: Settings) -> Checkpoint:
    """The checkpoint in `file`; BadCheckpoint if it is damaged or of another network, settings, data or trainer."""
    try:
        weights, about = tensor_file.read(file)
    except ValueError as error:
        raise BadCheckpoint(f"{error}; train=true trains it again") from None
    _check(file, network, weights)
    if about.get("key") != checkpoint_key(network, settings):
        raise BadCheckpoint(f"{file.name}: trained with other settings, other data or another version of the trainer")
    if about.get("weights") != _digest(weights):
        raise BadCheckpoint(
            f"{file.name}: damaged, its weights differ from the stored checksum; train=true trains it again"
        )
    try:
        return Checkpoint(
            network=network,
            settings=settings,
            weights={name: weights[name] for name in network.shapes()},
            curve=json.loads(about["curve"]),
            validation_accuracy=float(about["validation_accuracy"]),
            test_accuracy=float(about["test_accuracy"]),
            seconds=float(about["seconds"]),
            device=about["device"],
        )
    except (KeyError, ValueError):
        raise BadCheckpoint(f"{file.name}: damaged, its metadata cannot be read; train=true trains it again") from None


def _check(file: Path, network: Network, weights: Weights) -> None:
    try:
        check_weights(network, weights)
    except ValueError as error:
        raise BadCheckpoint(f"{file.name}: {error}") from None


def _digest(weights: Weights) -> str:
    return hashlib.sha256(tensor_file.encode(dict(sorted(weights.items())))).hexdigest()
