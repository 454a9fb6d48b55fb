"""Carries recipes out: every model is made once on this machine and kept by the hash of its recipe.

The order: train (distilled or not), take away units and train on, take away weights and train on, quantize, pack. A
quantized model starts from the kept float32 one of the same recipe, so that the trainings of a grid are done once. A
process that is ended in between leaves whole files alone, and whoever asks again gets those.
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
from experiments.models.data.mnist import SHA256, mnist
from experiments.models.format import packed, tensor_file
from experiments.models.format.packed import pack, unpack
from experiments.models.recipe import TEACHERS, Recipe, apply_quantization, full_network, pruned_network
from experiments.models.sequential.network import NETWORKS, Network, Weights, check_weights, parameter_count
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
from experiments.models.training.settings import default_settings

BuildProgress = Callable[[float, str], None]

CALIBRATION_IMAGES = 512
REPORT_EVERY = 50  # steps
TEMPERATURE, ALPHA = 4.0, 0.7
RELEASE_0_1 = "8f7ca882ad4290ac3497be69a749f96ae872842a2a2df10e504000a07d3379a5"  # its sources, in its cache keys


@dataclass(frozen=True, eq=False)
class BuiltModel:
    """A model: its file, and what the model that the file restores says.

    `right` (test images,): whether it classifies each of them rightly. `seconds` it took to make, of that what came
    before the float32 model left out; `kept`: it had been made before. `plain`: the model that the file restores,
    packed without entropy coding, which is quick to restore.
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
        """Weights and biases of the model."""
        return parameter_count(pruned_network(self.recipe))

    @property
    def nonzero(self) -> int:
        """How many of them are not zero."""
        return count_nonzero(self.restored.float_weights())


def cache_path(recipe: Recipe) -> Path:
    """Where the model of a recipe is kept on this machine, made or not."""
    stands_for = json.dumps([recipe.json(), SHA256, technique_versions(recipe)])
    return cache_folder() / "models" / f"{hashlib.sha256(stands_for.encode()).hexdigest()[:24]}.safetensors"


def technique_versions(recipe: Recipe) -> str:
    """The versions of the techniques that build a recipe's model, for cache keys.

    A technique's number goes up when its output changes for the same input: models cached by the old one are then not
    found. Comments and moves of code change nothing. The first versions are those of release 0.1, which put a hash of
    its sources here: with that hash its cached models are still found.
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
    """The model of a recipe: the kept one, else made now, on `device` where it needs training, and kept.

    ValueError with one line where the recipe cannot be carried out.
    """
    path = cache_path(recipe)
    if kept := _read(path, recipe):
        return kept
    start = recipe.unquantized
    if start != recipe:
        build_model(start, device, progress)
    began = time.perf_counter()
    weights = _build_weights(recipe, device, progress) if start == recipe else cached_weights(start)
    data = mnist()
    file = pack(apply_quantization(recipe, weights, data.train.first(CALIBRATION_IMAGES).images), "smallest")
    restored = unpack(file)
    right, valid = (
        logits_numpy(restored, split.images).argmax(axis=1) == split.labels for split in (data.test, data.validation)
    )
    seconds = time.perf_counter() - began
    made = BuiltModel(recipe, file, pack(restored), right, float(valid.mean()), seconds, from_cache=False)
    about = {
        "recipe": recipe.json(),
        "digest": _digest(made.file, made.dense_file),
        "validation": repr(made.validation_accuracy),
        "seconds": repr(made.seconds),
    }
    arrays = {"file": np.frombuffer(made.file, np.uint8), "plain": np.frombuffer(made.dense_file, np.uint8)}
    arrays |= {"right": np.packbits(right), "images": np.array([len(right)])}
    tensor_file.write(path, arrays, about)
    return made


def cached_weights(recipe: Recipe) -> Weights:
    """The float32 weights of a model that has been made; KeyError where it has not."""
    if (made := _read(cache_path(recipe), recipe)) is None:
        raise KeyError(recipe.hash)
    return made.restored.float_weights()


def float32_weights(recipe: Recipe, device: str, progress: BuildProgress) -> Weights:
    """The float32 weights of a recipe before they are quantized, made where they have not been.

    A training on the labels has a file of its own: nothing is packed for it.
    """
    start = recipe.unquantized
    if start.distilled or start.is_pruned:
        return cached_weights(build_model(start, device, progress).recipe)
    return _train(start, device, progress)


def _read(path: Path, recipe: Recipe) -> BuiltModel | None:
    """What is kept; a file that cannot be read is as good as none, since it can be made again."""
    try:
        arrays, about = tensor_file.read(path)
        right = np.unpackbits(arrays["right"], count=int(arrays["images"][0])).astype(bool)
        file, plain = (arrays[name].tobytes() for name in ("file", "plain"))
        if about["recipe"] != recipe.json() or about["digest"] != _digest(file, plain):
            return None
        return BuiltModel(
            recipe, file, plain, right, float(about["validation"]), float(about["seconds"]), from_cache=True
        )
    except (OSError, ValueError, KeyError):
        return None


def _digest(*files: bytes) -> str:
    return hashlib.sha256(b"".join(files)).hexdigest()


def _build_weights(recipe: Recipe, device: str, progress: BuildProgress) -> Weights:
    """Trained, and thinned out where the recipe says so: the weights of `build(recipe)`."""
    return prune(recipe, full_network(recipe), _train(recipe, device, progress), device, progress)


def prune(recipe: Recipe, network: Network, weights: Weights, device: str, progress: BuildProgress) -> Weights:
    """`weights` of the whole `network` after what the recipe takes away: the weights of `build(recipe)`."""
    if recipe.width < 1:
        weights = _prune_step(
            recipe, network, weights, unit_mask_function(network, "l2"), 1 - recipe.width, device, progress
        )
        network, weights = shrink(network, weights, select_units(network, weights, recipe.width))
    if recipe.sparsity:
        plan = weight_mask_function(network, "magnitude")
        weights = _prune_step(recipe, network, weights, plan, recipe.sparsity, device, progress)
    check_weights(pruned_network(recipe), weights)
    return weights


def _train(recipe: Recipe, device: str, progress: BuildProgress) -> Weights:
    """The whole network, trained on the labels or on a teacher's answers as well."""
    network = full_network(recipe)
    schedule = dataclasses.replace(default_settings(network.name), seed=recipe.seed)
    if not recipe.distilled:
        told = _reporting(f"training {network.name}", progress)
        return checkpoints.load_checkpoint(network, schedule, device=device, progress=told).weights
    if recipe.is_pruned:
        return cached_weights(build_model(unpruned(recipe), device, progress).recipe)
    from experiments.models.training.trainer import Trainer

    larger = checkpoints.load_checkpoint(NETWORKS[TEACHERS[recipe.network]]())
    progress(0.0, f"distilling: asking {larger.network.name}")
    data = mnist()
    table = teacher_logits(larger.network, larger.weights, data.train.images, schedule.shift)
    student = Trainer(network, device, schedule.batch, distill=True)
    told = _reporting(f"distilling {larger.network.name} into {network.name}", progress)
    return student.fit(data, schedule, teacher=Teacher(table, TEMPERATURE, ALPHA), progress=told).weights


def unpruned(recipe: Recipe) -> Recipe:
    """The float32 recipe before anything is taken away."""
    return dataclasses.replace(recipe.unquantized, width=1.0, sparsity=0.0)


def _prune_step(
    recipe: Recipe,
    network: Network,
    weights: Weights,
    plan: MaskFunction,
    share: float,
    device: str,
    progress: BuildProgress,
) -> Weights:
    """The weights with `share` taken away by `plan`, gradually while they are trained on."""
    if not recipe.tune_steps:  # no tinygrad for what needs no training
        return apply_masks(weights, plan(weights, share, {}))
    from experiments.models.training.trainer import shared_trainer

    def say(step: int, steps: int) -> None:
        if step % REPORT_EVERY == 0:
            progress(step / steps, f"pruning {network.name} and training it on: step {step} of {steps}")

    student = shared_trainer(network, device, default_settings(recipe.network).batch)
    steps, seed = recipe.tune_steps, recipe.seed
    return fine_tune(student, mnist(), weights, plan, share, steps=steps, seed=seed, on_step=say).weights


def _reporting(what: str, progress: BuildProgress) -> checkpoints.TrainingProgress:
    return lambda fraction, message, record: progress(fraction, f"{what}: {message}")
