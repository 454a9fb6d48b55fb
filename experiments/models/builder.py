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
from experiments.models.recipe import TEACHERS, Recipe, apply, build, whole
from experiments.models.sequential.network import NETWORKS, Network, Weights, check, parameters
from experiments.models.techniques import fine_tuning, prune_units, prune_weights
from experiments.models.techniques.fine_tuning import fine_tune
from experiments.models.techniques.prune_units import keep_units, shrink
from experiments.models.techniques.prune_weights import masked, nonzero
from experiments.models.techniques.pruning_methods import Plan, unit_plan, weight_plan
from experiments.models.techniques.quantization import post_training
from experiments.models.techniques.quantization.numpy_backend import logits_numpy
from experiments.models.techniques.quantization.post_training import Quantized
from experiments.models.training import checkpoints, feeding, settings
from experiments.models.training.feeding import Teacher, teacher_table
from experiments.models.training.settings import default_settings

Progress = Callable[[float, str], None]

CALIBRATION_IMAGES = 512
SAY_EVERY = 50  # steps
TEMPERATURE, ALPHA = 4.0, 0.7
RELEASE_0_1 = "8f7ca882ad4290ac3497be69a749f96ae872842a2a2df10e504000a07d3379a5"  # its sources, in its cache keys


@dataclass(frozen=True, eq=False)
class Made:
    """A model: its file, and what the model that the file restores says.

    `right` (test images,): whether it classifies each of them rightly. `seconds` it took to make, of that what came
    before the float32 model left out; `kept`: it had been made before. `plain`: the model that the file restores,
    packed without entropy coding, which is quick to restore.
    """

    recipe: Recipe
    file: bytes
    plain: bytes
    right: Array
    validation_accuracy: float
    seconds: float
    kept: bool

    @functools.cached_property
    def restored(self) -> Quantized:
        """The model that the file restores."""
        return unpack(self.plain)

    @property
    def parameters(self) -> int:
        """Weights and biases of the model."""
        return parameters(build(self.recipe))

    @property
    def nonzero(self) -> int:
        """How many of them are not zero."""
        return nonzero(self.restored.real_weights())


def path_of(recipe: Recipe) -> Path:
    """Where the model of a recipe is kept on this machine, made or not."""
    stands_for = json.dumps([recipe.json(), SHA256, versions_of(recipe)])
    return cache_folder() / "models" / f"{hashlib.sha256(stands_for.encode()).hexdigest()[:24]}.safetensors"


def versions_of(recipe: Recipe) -> str:
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


def make(recipe: Recipe, device: str = "CPU", progress: Progress = lambda fraction, message: None) -> Made:
    """The model of a recipe: the kept one, else made now, on `device` where it needs training, and kept.

    ValueError with one line where the recipe cannot be carried out.
    """
    path = path_of(recipe)
    if kept := _read(path, recipe):
        return kept
    start = recipe.unquantized
    if start != recipe:
        make(start, device, progress)
    began = time.perf_counter()
    weights = _weights(recipe, device, progress) if start == recipe else kept_weights(start)
    data = mnist()
    file = pack(apply(recipe, weights, data.train.first(CALIBRATION_IMAGES).images), "smallest")
    restored = unpack(file)
    right, valid = (
        logits_numpy(restored, split.images).argmax(axis=1) == split.labels for split in (data.test, data.validation)
    )
    seconds = time.perf_counter() - began
    made = Made(recipe, file, pack(restored), right, float(valid.mean()), seconds, kept=False)
    about = {
        "recipe": recipe.json(),
        "digest": _digest(made.file, made.plain),
        "validation": repr(made.validation_accuracy),
        "seconds": repr(made.seconds),
    }
    arrays = {name: np.frombuffer(getattr(made, name), np.uint8) for name in ("file", "plain")}
    arrays |= {"right": np.packbits(right), "images": np.array([len(right)])}
    tensor_file.write(path, arrays, about)
    return made


def kept_weights(recipe: Recipe) -> Weights:
    """The float32 weights of a model that has been made; KeyError where it has not."""
    if (made := _read(path_of(recipe), recipe)) is None:
        raise KeyError(recipe.hash)
    return made.restored.real_weights()


def float_weights(recipe: Recipe, device: str, progress: Progress) -> Weights:
    """The float32 weights of a recipe before they are quantized, made where they have not been.

    A training on the labels has a file of its own: nothing is packed for it.
    """
    start = recipe.unquantized
    if start.distilled or start.is_pruned:
        return kept_weights(make(start, device, progress).recipe)
    return _trained(start, device, progress)


def _read(path: Path, recipe: Recipe) -> Made | None:
    """What is kept; a file that cannot be read is as good as none, since it can be made again."""
    try:
        arrays, about = tensor_file.read(path)
        right = np.unpackbits(arrays["right"], count=int(arrays["images"][0])).astype(bool)
        file, plain = (arrays[name].tobytes() for name in ("file", "plain"))
        if about["recipe"] != recipe.json() or about["digest"] != _digest(file, plain):
            return None
        return Made(recipe, file, plain, right, float(about["validation"]), float(about["seconds"]), kept=True)
    except (OSError, ValueError, KeyError):
        return None


def _digest(*files: bytes) -> str:
    return hashlib.sha256(b"".join(files)).hexdigest()


def _weights(recipe: Recipe, device: str, progress: Progress) -> Weights:
    """Trained, and thinned out where the recipe says so: the weights of `build(recipe)`."""
    return thinned(recipe, whole(recipe), _trained(recipe, device, progress), device, progress)


def thinned(recipe: Recipe, network: Network, weights: Weights, device: str, progress: Progress) -> Weights:
    """`weights` of the whole `network` after what the recipe takes away: the weights of `build(recipe)`."""
    if recipe.width < 1:
        weights = _thinned(recipe, network, weights, unit_plan(network, "l2"), 1 - recipe.width, device, progress)
        network, weights = shrink(network, weights, keep_units(network, weights, recipe.width))
    if recipe.sparsity:
        plan = weight_plan(network, "magnitude")
        weights = _thinned(recipe, network, weights, plan, recipe.sparsity, device, progress)
    check(build(recipe), weights)
    return weights


def _trained(recipe: Recipe, device: str, progress: Progress) -> Weights:
    """The whole network, trained on the labels or on a teacher's answers as well."""
    network = whole(recipe)
    schedule = dataclasses.replace(default_settings(network.name), seed=recipe.seed)
    if not recipe.distilled:
        told = _telling(f"training {network.name}", progress)
        return checkpoints.load(network, schedule, device=device, progress=told).weights
    if recipe.is_pruned:
        return kept_weights(make(plain(recipe), device, progress).recipe)
    from experiments.models.training.trainer import Trainer

    larger = checkpoints.load(NETWORKS[TEACHERS[recipe.network]]())
    progress(0.0, f"distilling: asking {larger.network.name}")
    data = mnist()
    table = teacher_table(larger.network, larger.weights, data.train.images, schedule.shift)
    student = Trainer(network, device, schedule.batch, distil=True)
    told = _telling(f"distilling {larger.network.name} into {network.name}", progress)
    return student.fit(data, schedule, teacher=Teacher(table, TEMPERATURE, ALPHA), progress=told).weights


def plain(recipe: Recipe) -> Recipe:
    """The float32 recipe before anything is taken away."""
    return dataclasses.replace(recipe.unquantized, width=1.0, sparsity=0.0)


def _thinned(
    recipe: Recipe, network: Network, weights: Weights, plan: Plan, share: float, device: str, progress: Progress
) -> Weights:
    """The weights with `share` taken away by `plan`, gradually while they are trained on."""
    if not recipe.tune_steps:  # no tinygrad for what needs no training
        return masked(weights, plan(weights, share, {}))
    from experiments.models.training.trainer import trainer

    def say(step: int, steps: int) -> None:
        if step % SAY_EVERY == 0:
            progress(step / steps, f"pruning {network.name} and training it on: step {step} of {steps}")

    student = trainer(network, device, default_settings(recipe.network).batch)
    steps, seed = recipe.tune_steps, recipe.seed
    return fine_tune(student, mnist(), weights, plan, share, steps=steps, seed=seed, on_step=say).weights


def _telling(what: str, progress: Progress) -> checkpoints.Progress:
    return lambda fraction, message, record: progress(fraction, f"{what}: {message}")
