"""One way of pruning at one target, over several seeds: trained, stored in a file, restored and tested."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from experiments.bench.arrays import Array
from experiments.compression.pruning.gradients import gradients_on
from experiments.models.data.mnist import Dataset, mnist
from experiments.models.format.packed import pack, unpack
from experiments.models.format.storage import ENCODINGS
from experiments.models.sequential.network import NETWORKS, Network, Weights, accuracy_numpy
from experiments.models.techniques.fine_tuning import FineTuned, fine_tune
from experiments.models.techniques.prune_units import shrink
from experiments.models.techniques.prune_weights import apply_masks
from experiments.models.techniques.pruning_methods import UNIT_SCORES, MaskFunction, PruningConfig, mask_function
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy as quantized_accuracy
from experiments.models.techniques.quantization.post_training import QuantizedNetwork, QuantSpec, quantize
from experiments.models.training.checkpoints import load_checkpoint
from experiments.models.training.feeding import Teacher
from experiments.models.training.settings import default_settings

if TYPE_CHECKING:
    from experiments.models.training.trainer import Trainer


CALIBRATION = 1024  # training images behind a Taylor score
TEMPERATURE, ALPHA = 3.0, 0.7  # of the distillation from the dense network; the course's numbers


@dataclass(frozen=True, eq=False)
class Base:
    """What is pruned: a network with its weights, what trains it on and tests it; None where it is untrained."""

    network: Network
    weights: Mapping[str, Array]
    device: str
    data: Dataset | None = None
    trainer: "Trainer | None" = None
    teacher: Teacher | None = None


def base_of(name: str, device: str, *, distill: bool = False) -> Base:
    """The trained network called `name`, to be pruned on MNIST; with `distill` it teaches its own pruned forms."""
    from experiments.models.techniques.teacher_logits import cached_teacher_logits
    from experiments.models.training.trainer import Trainer, shared_trainer

    network, data, settings = NETWORKS[name](), mnist(), default_settings(name)
    checkpoint = load_checkpoint(network, device=device)
    weights = checkpoint.weights
    if not distill:
        return Base(network, weights, device, data, shared_trainer(network, device, settings.batch))
    table = cached_teacher_logits(checkpoint, data.train, settings.shift, device)
    student = Trainer(network, device, settings.batch, distill=True)
    return Base(network, weights, device, data, student, Teacher(table, TEMPERATURE, ALPHA))


@dataclass(frozen=True, eq=False)
class Pruned:
    """The result of the first of `seeds`, and the accuracies of all, 0..1, in their order.

    `weights`: those of the file, in the shapes of the whole network, zero where something is gone. `model`: what the
    smallest file restores, smaller where units are gone; `outputs`: those that it has left. `files`: by storage.
    `curve`: of the fine-tuning. `accuracies` of the restored files on the test set, `before` any fine-tuning; empty
    where there is no test set.
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


def prune(
    base: Base,
    way: PruningConfig,
    target: float,
    *,
    seeds: Sequence[int],
    steps: int,
    on_step: Callable[[int, int], None] | None = None,
) -> Pruned:
    """Prunes `base` in one way to `target` and trains it for `steps` more steps, with each of `seeds`.

    A seed orders and shifts the images and draws what a random method removes. Where units go, the file holds the
    smaller network. `on_step(step, steps)` counts the steps of all seeds.
    """
    accuracies, before, results = [], [], []
    gradients = None
    if base.data and UNIT_SCORES.get(way.method) == "taylor":
        gradients = gradients_on(base.network, base.data.train.first(CALIBRATION), base.device)
    for number, seed in enumerate(seeds):

        def tell(step: int, _: int, done: int = number * steps) -> None:
            if on_step:
                on_step(done + step, len(seeds) * steps)

        plan = mask_function(
            base.network, way.method, way.scope or "global", seed=seed, gradients=gradients, last=base.data is None
        )
        tuned = _tuned(base, plan, way, target, steps=steps, seed=seed, curve=not number, on_step=tell)
        results.append(tuned)
        model = stored(base.network, tuned, way.removes_units)
        if base.data:
            restored = unpack(pack(model, "bitmask"))  # the quickest; every storage restores the same numbers
            test = base.data.test
            accuracies.append(quantized_accuracy(restored, test.images, test.labels))
            at_once = apply_masks(base.weights, plan(base.weights, target, {}))
            before.append(accuracy_numpy(base.network, at_once, test.images, test.labels))
    if on_step:
        on_step(len(seeds) * steps, len(seeds) * steps)
    first = stored(base.network, results[0], way.removes_units)
    files: dict[str, bytes] = {storage: pack(first, storage) for storage in ENCODINGS}
    model = unpack(min(files.values(), key=len))
    whole = np.ones(base.network.classes, bool)
    outputs = np.flatnonzero(results[0].masks.get(base.network.walk()[-1].bias, whole))
    return Pruned(seeds, results[0].weights, model, outputs, files, results[0].curve, accuracies, before)


def stored(network: Network, tuned: FineTuned, smaller: bool) -> QuantizedNetwork:
    """The float32 model that is packed; physically smaller where units are gone."""
    if not smaller:
        return quantize(network, tuned.weights, QuantSpec("float32"))
    kept = {place.name: np.flatnonzero(tuned.masks[place.bias]) for place in network.walk()}
    return quantize(*shrink(network, tuned.weights, kept), QuantSpec("float32"))


def _tuned(
    base: Base,
    plan: MaskFunction,
    way: PruningConfig,
    target: float,
    *,
    steps: int,
    seed: int,
    curve: bool,
    on_step: Callable[[int, int], None],
) -> FineTuned:
    if base.trainer is None or base.data is None:
        masks = plan(base.weights, target, {})
        return FineTuned(apply_masks(base.weights, masks), masks, [])
    return fine_tune(
        base.trainer,
        base.data,
        base.weights,
        plan,
        target,
        steps=steps,
        schedule=way.schedule,
        seed=seed,
        teacher=base.teacher if way.distilled else None,
        curve=curve,
        on_step=on_step,
    )
