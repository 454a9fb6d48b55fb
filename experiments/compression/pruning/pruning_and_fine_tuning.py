"""Prunes a network by one method to one target, fine-tunes it once per seed, stores, restores and tests it.

How a pruned model is fine-tuned: steps, seeds and schedule come from the experiment's spec; `_fine_tuned` passes them
to `models.techniques.fine_tuning.fine_tune`, which tightens the masks and trains.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.data.mnist import Dataset, Split, mnist
from experiments.models.format.packed import pack, unpack
from experiments.models.format.storage import ENCODINGS
from experiments.models.sequential.forward import accuracy_numpy, forward_tinygrad
from experiments.models.sequential.network import NETWORKS, Network, Weights
from experiments.models.techniques.fine_tuning import FineTuned, fine_tune
from experiments.models.techniques.prune_units import shrink
from experiments.models.techniques.prune_weights import apply_masks
from experiments.models.techniques.pruning_methods import MaskFunction, mask_function
from experiments.models.techniques.pruning_spec import UNIT_SCORES, PruningConfig
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy as quantized_accuracy
from experiments.models.techniques.quantization.post_training import QuantizedNetwork, quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.training.checkpoints import load_checkpoint
from experiments.models.training.feeding import Teacher
from experiments.models.training.settings import default_settings

if TYPE_CHECKING:
    from experiments.models.training.trainer import Trainer


TAYLOR_IMAGES = 1024  # training images whose gradients give a Taylor score
GRADIENT_BATCH = 32  # images
TEMPERATURE, ALPHA = 3.0, 0.7  # of the distillation from the dense network; the course's numbers


@dataclass(frozen=True, eq=False)
class DenseModel:
    """The network to prune with its weights; data, trainer and teacher are None if it cannot be trained."""

    network: Network
    weights: Mapping[str, Array]
    device: str
    data: Dataset | None = None
    trainer: "Trainer | None" = None
    teacher: Teacher | None = None


def dense_model(name: str, device: str, *, distill: bool = False) -> DenseModel:
    """The trained network called `name`; with `distill` its own logits are the teacher of the fine-tuning."""
    from experiments.models.techniques.teacher_logits import cached_teacher_logits
    from experiments.models.training.trainer import Trainer, shared_trainer

    network, data, settings = NETWORKS[name](), mnist(), default_settings(name)
    checkpoint = load_checkpoint(network, device=device)
    weights = checkpoint.weights
    if not distill:
        return DenseModel(network, weights, device, data, shared_trainer(network, device, settings.batch))
    logits = cached_teacher_logits(checkpoint, data.train, settings.shift, device)
    student = Trainer(network, device, settings.batch, distill=True)
    return DenseModel(network, weights, device, data, student, Teacher(logits, TEMPERATURE, ALPHA))


@dataclass(frozen=True, eq=False)
class PrunedModel:
    """The pruned model of the first of `seeds`, and the accuracies of all seeds, 0..1, in their order.

    `weights`: those in the file, in the shapes of the whole network, pruned ones zero. `model`: restored from the
    smallest file, a smaller network where units were pruned; `outputs`: indices of its remaining outputs. `files`: by
    storage. `curve`: of the fine-tuning. `accuracies` of the restored files on the test set and `before` fine-tuning
    are empty where there is no test set.
    """

    seeds: Sequence[int]
    weights: Weights
    model: QuantizedNetwork
    outputs: Array
    files: dict[str, bytes]
    curve: list[dict[str, float]]
    accuracies: list[float]
    before: list[float]

    @property
    def file(self) -> bytes:
        """The smallest file that restores the model."""
        return min(self.files.values(), key=len)


def prune_and_fine_tune(
    dense: DenseModel,
    config: PruningConfig,
    target: float,
    *,
    seeds: Sequence[int],
    steps: int,
    on_step: Callable[[int, int], None] | None = None,
) -> PrunedModel:
    """Prunes `dense` to `target` and fine-tunes it for `steps` steps, once with each of `seeds`.

    A seed sets the order and shifts of the images and what a random method prunes. Where units are pruned, the file
    holds the smaller network. `on_step(step, steps)` counts the steps of all seeds.
    """
    accuracies, before, results = [], [], []
    gradients = None
    if dense.data and UNIT_SCORES.get(config.method) == "taylor":
        gradients = gradients_on(dense.network, dense.data.train.first(TAYLOR_IMAGES), dense.device)
    for number, seed in enumerate(seeds):

        def report(step: int, _: int, done: int = number * steps) -> None:
            if on_step:
                on_step(done + step, len(seeds) * steps)

        masks_at = mask_function(
            dense.network,
            config.method,
            config.scope or "global",
            seed=seed,
            gradients=gradients,
            last=dense.data is None,
        )
        tuned = _fine_tuned(dense, masks_at, config, target, steps=steps, seed=seed, curve=not number, on_step=report)
        results.append(tuned)
        model = _stored(dense.network, tuned, config.removes_units)
        if dense.data:
            restored = unpack(pack(model, "bitmask"))  # the fastest; every storage restores the same numbers
            test = dense.data.test
            accuracies.append(quantized_accuracy(restored, test.images, test.labels))
            at_once = apply_masks(dense.weights, masks_at(dense.weights, target, {}))
            before.append(accuracy_numpy(dense.network, at_once, test.images, test.labels))
    if on_step:
        on_step(len(seeds) * steps, len(seeds) * steps)
    first = _stored(dense.network, results[0], config.removes_units)
    files: dict[str, bytes] = {storage: pack(first, storage) for storage in ENCODINGS}
    model = unpack(min(files.values(), key=len))
    all_outputs = np.ones(dense.network.classes, bool)
    outputs = np.flatnonzero(results[0].masks.get(dense.network.walk()[-1].bias, all_outputs))
    return PrunedModel(seeds, results[0].weights, model, outputs, files, results[0].curve, accuracies, before)


def _fine_tuned(
    dense: DenseModel,
    masks_at: MaskFunction,
    config: PruningConfig,
    target: float,
    *,
    steps: int,
    seed: int,
    curve: bool,
    on_step: Callable[[int, int], None],
) -> FineTuned:
    """The dense model pruned and fine-tuned; only pruned where it cannot be trained."""
    if dense.trainer is None or dense.data is None:
        masks = masks_at(dense.weights, target, {})
        return FineTuned(apply_masks(dense.weights, masks), masks, [])
    return fine_tune(
        dense.trainer,
        dense.data,
        dense.weights,
        masks_at,
        target,
        steps=steps,
        schedule=config.schedule,
        seed=seed,
        teacher=dense.teacher if config.distilled else None,
        curve=curve,
        on_step=on_step,
    )


def _stored(network: Network, tuned: FineTuned, smaller: bool) -> QuantizedNetwork:
    """The float32 model to pack; with `smaller` pruned units are removed from it."""
    if not smaller:
        return quantize(network, tuned.weights, QuantSpec("float32"))
    kept = {place.name: np.flatnonzero(tuned.masks[place.bias]) for place in network.walk()}
    return quantize(*shrink(network, tuned.weights, kept), QuantSpec("float32"))


def gradients_on(network: Network, split: Split, device: str) -> Callable[[Mapping[str, Array]], list[Weights]]:
    """A function from weights to the gradients of the cross-entropy loss, one mapping for each 32 images.

    Images that do not fill a batch are dropped; raises ValueError if none is left. tinygrad compiles it at its first
    call.
    """
    from tinygrad import Tensor, TinyJit

    from experiments.bench.tinygrad.runtime import tensor

    if len(split) < GRADIENT_BATCH:
        raise ValueError(f"{len(split)} images do not fill one batch of {GRADIENT_BATCH}")
    buffers = {name: tensor(np.zeros(shape, np.float32), device) for name, shape in network.shapes().items()}

    def gradients_of(images: Tensor, labels: Tensor) -> list[Tensor]:
        loss = forward_tinygrad(network, buffers, images).sparse_categorical_crossentropy(labels)
        return [gradient.realize() for gradient in loss.gradient(*buffers.values())]

    step = TinyJit(gradients_of)

    def gradients(weights: Mapping[str, Array]) -> list[Weights]:
        for name, buffer in buffers.items():
            buffer.assign(tensor(np.ascontiguousarray(weights[name], np.float32), device)).realize()
        batches = []
        for start in range(0, len(split) - GRADIENT_BATCH + 1, GRADIENT_BATCH):
            images = tensor(split.images[start : start + GRADIENT_BATCH], device)
            labels = tensor(split.labels[start : start + GRADIENT_BATCH].astype(np.int32), device)
            batches.append(dict(zip(buffers, (each.numpy() for each in step(images, labels)), strict=True)))
        return batches

    return gradients
