"""Executes recipes: every model is built once on this machine and cached by its recipe and its techniques' versions.

A quantized model starts from the cached float32 model of the same recipe, so that a grid of variants trains each
network once. Files are written whole, so an interrupted build leaves only complete models behind, and the next build
continues from those.
"""

import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.machine.toolchain import cache_folder
from experiments.models import tensor_file
from experiments.models.data.mnist import SHA256, mnist
from experiments.models.format import packed
from experiments.models.format.packed import pack, unpack
from experiments.models.recipe import TEACHERS, Recipe, apply_quantization, full_network, pruned_network
from experiments.models.sequential.forward import check_weights
from experiments.models.sequential.network import NETWORKS, Network, Weights, parameter_count
from experiments.models.techniques import fine_tuning, prune_units, prune_weights
from experiments.models.techniques.fine_tuning import fine_tune
from experiments.models.techniques.prune_units import select_units, shrink
from experiments.models.techniques.prune_weights import apply_masks, count_nonzero
from experiments.models.techniques.pruning_methods import MaskFunction, unit_mask_function, weight_mask_function
from experiments.models.techniques.quantization import post_training
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.models.techniques.quantization.post_training import QuantizedNetwork
from experiments.models.training import checkpoints, feeding, settings
from experiments.models.training.feeding import Teacher, teacher_logits
from experiments.models.training.settings import TrainingProgress, default_settings

BuildProgress = Callable[[float, str], None]

CALIBRATION_IMAGES = 512
REPORT_EVERY = 50  # training steps
TEMPERATURE, ALPHA = 4.0, 0.7
RELEASE_0_1 = "8f7ca882ad4290ac3497be69a749f96ae872842a2a2df10e504000a07d3379a5"  # its sources, in its cache keys


@dataclass(frozen=True, eq=False)
class BuiltModel:
    """A model: its packed file, and the predictions of the model that the file restores.

    `correct` (test images,): whether each prediction is correct. `seconds`: build time, without that of the float32
    model it starts from. `from_cache`: it was built before. `dense_file`: the same model packed without entropy
    coding, which is faster to unpack.
    """

    recipe: Recipe
    file: bytes
    dense_file: bytes
    correct: Array
    validation_accuracy: float
    seconds: float
    from_cache: bool

    @functools.cached_property
    def restored(self) -> QuantizedNetwork:
        """The model that the file restores."""
        return unpack(self.dense_file)

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return parameter_count(pruned_network(self.recipe))

    @property
    def nonzero(self) -> int:
        """Number of non-zero weights and biases."""
        return count_nonzero(self.restored.float_weights())


def cache_path(recipe: Recipe) -> Path:
    """The file of a recipe's model in this machine's cache, whether it exists or not."""
    key = json.dumps([recipe.json(), SHA256, technique_versions(recipe)])
    return cache_folder() / "models" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.safetensors"


def technique_versions(recipe: Recipe) -> str:
    """The versions of the techniques that build a recipe's model, for cache keys.

    A technique's version is raised when its output changes for the same input: models cached before are then not
    found. Comments and moves of code change nothing. The first versions are those of release 0.1, which put a hash of
    its sources here: with that hash, the models it cached are still found.
    """
    used = {"train": settings.VERSION, "quantize": post_training.VERSION, "pack": packed.VERSION}
    if recipe.distilled:
        used["distill"] = feeding.TEACHER_VERSION
    if recipe.width < 1:
        used["prune units"] = prune_units.VERSION
    if recipe.sparsity:
        used["prune weights"] = prune_weights.VERSION
    if recipe.tune_steps:
        used["fine-tune"] = fine_tuning.VERSION
    return RELEASE_0_1 if set(used.values()) == {1} else json.dumps(used, sort_keys=True)


def build_model(
    recipe: Recipe, device: str = "CPU", progress: BuildProgress = lambda fraction, message: None
) -> BuiltModel:
    """The model of a recipe, from the cache or built now; training, if needed, runs on `device`.

    Raises ValueError with a one-line message if the recipe cannot be executed.
    """
    path = cache_path(recipe)
    if cached := _read(path, recipe):
        return cached
    start = recipe.unquantized
    if start != recipe:
        build_model(start, device, progress)
    began = time.perf_counter()
    weights = _build_weights(recipe, device, progress) if start == recipe else cached_weights(start)
    data = mnist()
    file = pack(apply_quantization(recipe, weights, data.train.first(CALIBRATION_IMAGES).images), "smallest")
    restored = unpack(file)
    correct, valid = (
        logits_numpy(restored, split.images).argmax(axis=1) == split.labels for split in (data.test, data.validation)
    )
    seconds = time.perf_counter() - began
    built = BuiltModel(recipe, file, pack(restored), correct, float(valid.mean()), seconds, from_cache=False)
    _write(path, built)
    return built


def cached_weights(recipe: Recipe) -> Weights:
    """The float32 weights of a cached model; raises KeyError if it is not cached."""
    if (built := _read(cache_path(recipe), recipe)) is None:
        raise KeyError(recipe.hash)
    return built.restored.float_weights()


def float32_weights(recipe: Recipe, device: str, progress: BuildProgress) -> Weights:
    """The float32 weights of a recipe before quantization, from a cache or built now.

    A network that is only trained is a checkpoint, without a packed file.
    """
    start = recipe.unquantized
    if start.distilled or start.is_pruned:
        return cached_weights(build_model(start, device, progress).recipe)
    return _train(start, device, progress)


def _write(path: Path, built: BuiltModel) -> None:
    metadata = {
        "recipe": built.recipe.json(),
        "digest": _digest(built.file, built.dense_file),
        "validation": repr(built.validation_accuracy),
        "seconds": repr(built.seconds),
    }
    arrays = {
        "file": np.frombuffer(built.file, np.uint8),
        "plain": np.frombuffer(built.dense_file, np.uint8),
        "right": np.packbits(built.correct),
        "images": np.array([len(built.correct)]),
    }
    tensor_file.write(path, arrays, metadata)


def _read(path: Path, recipe: Recipe) -> BuiltModel | None:
    """The cached model; None if there is none or it is damaged, since it can be built again."""
    try:
        arrays, metadata = tensor_file.read(path)
        correct = np.unpackbits(arrays["right"], count=int(arrays["images"][0])).astype(bool)
        file, dense_file = (arrays[name].tobytes() for name in ("file", "plain"))
        if metadata["recipe"] != recipe.json() or metadata["digest"] != _digest(file, dense_file):
            return None
        accuracy, seconds = float(metadata["validation"]), float(metadata["seconds"])
        return BuiltModel(recipe, file, dense_file, correct, accuracy, seconds, from_cache=True)
    except (OSError, ValueError, KeyError):
        return None


def _digest(*files: bytes) -> str:
    return hashlib.sha256(b"".join(files)).hexdigest()


def _build_weights(recipe: Recipe, device: str, progress: BuildProgress) -> Weights:
    """The weights of `pruned_network(recipe)`: trained, and pruned if the recipe does so."""
    return prune(recipe, full_network(recipe), _train(recipe, device, progress), device, progress)


def prune(recipe: Recipe, network: Network, weights: Weights, device: str, progress: BuildProgress) -> Weights:
    """Prunes `weights` of the full `network` as the recipe does: the weights of `pruned_network(recipe)`."""
    if recipe.width < 1:
        units = unit_mask_function(network, "l2")
        weights = _prune_by(units, 1 - recipe.width, recipe, network, weights, device, progress)
        network, weights = shrink(network, weights, select_units(network, weights, recipe.width))
    if recipe.sparsity:
        magnitude = weight_mask_function(network, "magnitude")
        weights = _prune_by(magnitude, recipe.sparsity, recipe, network, weights, device, progress)
    check_weights(pruned_network(recipe), weights)
    return weights


def _prune_by(
    mask_function: MaskFunction,
    amount: float,
    recipe: Recipe,
    network: Network,
    weights: Weights,
    device: str,
    progress: BuildProgress,
) -> Weights:
    """The weights after pruning `amount` of them, gradually during `tune_steps` of training."""
    if not recipe.tune_steps:  # nothing to train: tinygrad is not imported
        return apply_masks(weights, mask_function(weights, amount, {}))
    from experiments.models.training.trainer import shared_trainer

    def report(step: int, steps: int) -> None:
        if step % REPORT_EVERY == 0:
            progress(step / steps, f"pruning and fine-tuning {network.name}: step {step} of {steps}")

    trainer = shared_trainer(network, device, default_settings(recipe.network).batch)
    steps, seed = recipe.tune_steps, recipe.seed
    return fine_tune(trainer, mnist(), weights, mask_function, amount, steps=steps, seed=seed, on_step=report).weights


def _train(recipe: Recipe, device: str, progress: BuildProgress) -> Weights:
    """The full network, trained on the labels, and on a teacher's logits too if the recipe distills."""
    network = full_network(recipe)
    schedule = dataclasses.replace(default_settings(network.name), seed=recipe.seed)
    if not recipe.distilled:
        report = _report(f"training {network.name}", progress)
        return checkpoints.load_checkpoint(network, schedule, device=device, progress=report).weights
    if recipe.is_pruned:
        return cached_weights(build_model(recipe.unpruned, device, progress).recipe)
    from experiments.models.training.trainer import Trainer

    larger = checkpoints.load_checkpoint(NETWORKS[TEACHERS[recipe.network]]())
    progress(0.0, f"distillation: computing the logits of {larger.network.name}")
    data = mnist()
    logits = teacher_logits(larger.network, larger.weights, data.train.images, schedule.shift)
    student = Trainer(network, device, schedule.batch, distill=True)
    report = _report(f"distilling {larger.network.name} into {network.name}", progress)
    return student.fit(data, schedule, teacher=Teacher(logits, TEMPERATURE, ALPHA), progress=report).weights


def _report(what: str, progress: BuildProgress) -> TrainingProgress:
    return lambda fraction, message, record: progress(fraction, f"{what}: {message}")
