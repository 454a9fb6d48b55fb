"""Training with tinygrad: one compiled step per architecture, reused for a whole sweep.

Only processes that train import this module; the page and the command line never do.
"""

import functools
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tinygrad import Tensor, TinyJit, Variable, dtypes

from experiments.bench.arrays import Array
from experiments.models import tensor_file
from experiments.models.data.mnist import Dataset
from experiments.models.sequential.forward import (
    LayerHook,
    accuracy_numpy,
    check_weights,
    forward_tinygrad,
    initial_weights,
)
from experiments.models.sequential.network import Network, Weights
from experiments.models.training.feeding import Chunk, Feeder, Teacher
from experiments.models.training.padding import pad, padded, unpad
from experiments.models.training.settings import EpochRecord, Settings, TrainingProgress

StepCallback = Callable[["Trainer", int, int], None]
Evaluate = Callable[[Weights], float]

CHUNK_STEPS = 32  # images are copied to the device this many steps at a time: 13 MB at batch 128
MOMENT, SQUARE, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Trained:
    """Weights after training, and per epoch: epoch, train_loss, validation_accuracy (0..1), learning_rate."""

    weights: Weights
    curve: list[EpochRecord]
    seconds: float


class Trainer:
    """Network, weights, moments and masks on a device, and the compiled step over them.

    Create one per architecture and call `fit` repeatedly: weights, masks, teacher and learning rate are
    buffers of the one compiled step. What changes the step itself is given here: `weight(name, w)` replaces a weight
    or bias in the forward pass (codebooks; it receives the padded shapes, and the tensors it closes over may be
    assigned later), `distill` adds the teacher's part of the loss.
    """

    def __init__(
        self,
        network: Network,
        device: str = "CPU",
        batch: int = 128,
        *,
        weight: LayerHook | None = None,
        distill: bool = False,
    ) -> None:
        self.network, self.padded = network, padded(network)
        self.device, self.batch = device, batch
        self._weight, self._distill = weight, distill
        shapes = self.padded.shapes()
        self._weights, self._first, self._second, self._masks = (
            {name: self._zeros(*shape) for name, shape in shapes.items()} for _ in range(4)
        )
        pixels = math.prod(network.image)
        self._images = self._zeros(CHUNK_STEPS, batch, pixels)
        self._labels = self._zeros(CHUNK_STEPS, batch, dtype=dtypes.int32)
        self._logits = self._zeros(CHUNK_STEPS, batch, network.classes)
        self._rates, self._loss = self._zeros(CHUNK_STEPS), self._zeros(1)
        self._temperature, self._hard, self._soft = (self._zeros(1) for _ in range(3))
        self._number = Variable("step", 0, CHUNK_STEPS - 1)
        self._step = TinyJit(self._one_step)

    def weights(self) -> Weights:
        """The current weights, in the network's shapes."""
        return self._read(self._weights)

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Replaces the weights.

        Raises ValueError if they belong to another network. Masks apply from the next step on.
        """
        check_weights(self.network, weights)
        self._assign(self._weights, weights)

    def set_masks(self, masks: Mapping[str, Array]) -> None:
        """From now on, zeros in a mask keep a weight at exactly zero; weights without a mask are not masked."""
        ones: Weights = {name: np.ones(shape, np.float32) for name, shape in self.network.shapes().items()}
        if unknown := masks.keys() - ones.keys():
            raise ValueError(f"a mask for {min(unknown)}, which {self.network.name} does not have")
        chosen = ones | {name: (mask != 0).astype(np.float32) for name, mask in masks.items()}
        self._assign(self._masks, chosen)
        weights = self.weights()
        self._assign(self._weights, {name: weights[name] * mask for name, mask in chosen.items()})

    def fit(
        self,
        data: Dataset,
        settings: Settings,
        *,
        steps: int | None = None,
        start: Mapping[str, Array] | None = None,
        masks: Mapping[str, Array] | None = None,
        teacher: Teacher | None = None,
        on_step: StepCallback | None = None,
        evaluate: Evaluate | None = None,
        state: Path | None = None,
        progress: TrainingProgress | None = None,
    ) -> Trained:
        """Trains from `start` (default: seeded initial weights), and evaluates the validation images after each epoch.

        `steps`: their number instead of the epochs of the settings; the last epoch may then be incomplete.
        `on_step(trainer, step, steps)` runs before every step and may set masks or weights. `evaluate` replaces the
        validation accuracy of the float network. `state` is a file that is written after every epoch and removed at
        the end; if it exists, training continues from it, with the same result as without the interruption.
        Raises ValueError if the loss is not finite.
        """
        began = time.perf_counter()
        if steps is not None and steps < 1:
            raise ValueError(f"steps: {steps} is not allowed; give 1 or more")
        if settings.batch != self.batch:
            raise ValueError(f"this step was compiled for batch {self.batch}, not {settings.batch}")
        feeder = Feeder(data.train, settings, teacher)
        last = settings.epochs * feeder.steps if steps is None else steps
        epochs = math.ceil(last / feeder.steps)
        self._set_teacher(teacher)
        report = progress or (lambda *_: None)
        evaluation = evaluate or (lambda now: accuracy_numpy(self.network, now, *_pair(data)))
        curve = self._resume(state) if state and state.exists() else []
        if not curve:
            self._restart(initial_weights(self.network, settings.seed) if start is None else start, masks or {})
        for record in curve:
            report(record["epoch"] / epochs, "continued", record)
        for epoch in range(len(curve), epochs):
            where = _where(epoch, feeder, last)
            loss = self._epoch(feeder, epoch, last, settings.rate, on_step, report)
            if not math.isfinite(loss):
                raise ValueError(f"training of {self.network.name} diverged in {where}; lower the learning rate")
            curve.append(
                {
                    "epoch": epoch + 1,
                    "train_loss": loss,
                    "validation_accuracy": evaluation(self.weights()),
                    "learning_rate": settings.rate * (1 - min(1.0, (epoch + 1) * feeder.steps / last)),
                }
            )
            if state:
                self._save(state, curve)
            report((epoch + 1) / epochs, where, curve[-1])
        if state:
            state.unlink(missing_ok=True)
        return Trained(self.weights(), curve, time.perf_counter() - began)

    def _epoch(
        self, feeder: Feeder, epoch: int, last: int, rate: float, on_step: StepCallback | None, report: TrainingProgress
    ) -> float:
        """The mean loss of one epoch, which ends after `last` steps in total."""
        first = total = epoch * feeder.steps
        self._fill(self._loss, np.zeros(1))
        for chunk in feeder.epoch(epoch, CHUNK_STEPS):
            count = min(len(chunk.labels), last - total)
            if not count:
                break
            self._feed(chunk, np.arange(total, total + len(chunk.labels)), last, rate)
            for number in range(count):
                if on_step:
                    on_step(self, total, last)
                self._step(self._number.bind(number))
                total += 1
            report(total / last, _where(epoch, feeder, last), None)
        return float(self._loss.item()) / (total - first)

    def _one_step(self, number: Any) -> None:
        """Forward, backward and Adam for batch `number` of the chunk on the device."""
        used = {name: self._weight(name, one) if self._weight else one for name, one in self._weights.items()}
        logits = forward_tinygrad(self.padded, used, self._images[number])[:, : self.network.classes]
        loss = logits.sparse_categorical_crossentropy(self._labels[number])
        if self._distill:
            wanted = (self._logits[number] / self._temperature).softmax()
            soft = -(wanted * (logits / self._temperature).log_softmax()).sum(1).mean()
            loss = (self._hard * loss + self._soft * soft).sum()
        gradients = loss.gradient(*self._weights.values())
        updated = [self._loss.assign(self._loss + loss.detach())]
        for (name, weight), gradient in zip(self._weights.items(), gradients, strict=True):
            first = self._first[name].assign(MOMENT * self._first[name] + (1 - MOMENT) * gradient)
            second = self._second[name].assign(SQUARE * self._second[name] + (1 - SQUARE) * gradient.square())
            moved = weight.detach() - self._rates[number] * first / (second.sqrt() + EPSILON)
            updated += [first, second, weight.assign(self._masked(name, moved))]
        Tensor.realize(*updated)

    def _masked(self, name: str, moved: Any) -> Any:
        return moved * self._masks[name]

    def _feed(self, chunk: Chunk, steps: Array, of: int, rate: float) -> None:
        """Copies a chunk to the device; the rates include Adam's bias corrections (Kingma & Ba 2015, section 2)."""
        corrected = np.sqrt(1 - SQUARE ** (steps + 1.0)) / (1 - MOMENT ** (steps + 1.0))
        self._fill(self._rates, rate * (1 - steps / of) * corrected)
        self._fill(self._images, chunk.images)
        self._fill(self._labels, chunk.labels)
        if chunk.logits is not None:
            self._fill(self._logits, chunk.logits)

    def _set_teacher(self, teacher: Teacher | None) -> None:
        if teacher and not self._distill:
            raise ValueError("this step was compiled without a teacher")
        self._fill(self._temperature, np.array([teacher.temperature if teacher else 1.0]))
        self._fill(self._hard, np.array([1 - teacher.alpha if teacher else 1.0]))
        self._fill(self._soft, np.array([teacher.soft_weight if teacher else 0.0]))

    def _restart(self, weights: Mapping[str, Array], masks: Mapping[str, Array]) -> None:
        nothing = {name: np.zeros(shape, np.float32) for name, shape in self.network.shapes().items()}
        self._assign(self._first, nothing)
        self._assign(self._second, nothing)
        self.set_weights(weights)
        self.set_masks(masks)

    def _save(self, state: Path, curve: list[EpochRecord]) -> None:
        parts = {part: self._read(tensors) for part, tensors in self._state().items()}
        arrays = {f"{part}/{name}": one for part, named in parts.items() for name, one in named.items()}
        tensor_file.write(state, arrays, {"curve": json.dumps(curve)})

    def _resume(self, state: Path) -> list[EpochRecord]:
        """The curve so far; empty if the state is damaged, since training can start again."""
        try:
            arrays, metadata = tensor_file.read(state)
            found = {part: _under(part, arrays) for part in self._state()}
            for own in found.values():
                check_weights(self.network, own)
            curve: list[EpochRecord] = json.loads(metadata["curve"])
        except (OSError, ValueError, KeyError):
            return []
        for part, tensors in self._state().items():
            self._assign(tensors, found[part])
        return curve

    def _state(self) -> dict[str, dict[str, Any]]:
        """Everything that training changes, by its name in a state file."""
        return {"weights": self._weights, "first": self._first, "second": self._second, "masks": self._masks}

    def _zeros(self, *shape: int, dtype: Any = dtypes.float32) -> Any:
        return Tensor.zeros(*shape, dtype=dtype, device=self.device).contiguous().realize()

    def _tensor(self, array: Array) -> Any:
        return Tensor(array, device=self.device)

    def _fill(self, buffer: Any, values: Array) -> None:
        """Overwrites a buffer's first entries; the rest, which is not read, becomes zero."""
        kind = np.int32 if buffer.dtype == dtypes.int32 else np.float32
        whole = np.zeros(buffer.shape, kind)
        whole[: len(values)] = values
        buffer.assign(self._tensor(whole)).realize()

    def _assign(self, tensors: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        wide = pad(self.network, arrays)
        Tensor.realize(*(one.assign(self._tensor(wide[name])) for name, one in tensors.items()))

    def _read(self, tensors: Mapping[str, Any]) -> Weights:
        return unpad(self.network, {name: one.numpy() for name, one in tensors.items()})


def _where(epoch: int, feeder: Feeder, last: int) -> str:
    return f"epoch {epoch + 1} of {math.ceil(last / feeder.steps)}"


def _under(part: str, arrays: Mapping[str, Array]) -> Weights:
    return {name.removeprefix(f"{part}/"): one for name, one in arrays.items() if name.startswith(f"{part}/")}


def _pair(data: Dataset) -> tuple[Array, Array]:
    return data.validation.images, data.validation.labels


@functools.lru_cache(maxsize=4)
def shared_trainer(network: Network, device: str, batch: int) -> Trainer:
    """The trainer of an architecture without hooks, compiled once per process for all seeds."""
    return Trainer(network, device, batch)
