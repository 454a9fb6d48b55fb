"""Training batches: shuffled, shifted images in chunks of steps, the same for the same seed and epoch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.data.mnist import Split
from experiments.models.sequential.forward import forward_numpy
from experiments.models.sequential.network import Network, Weights
from experiments.models.training.settings import Settings

TEACHER_VERSION = 1  # raise it when a teacher's logits or the distillation loss change


@dataclass(frozen=True)
class Teacher:
    """Logits of a teacher, to learn from in addition to the labels.

    `logits`: for every shift of every training image, shaped ((2 shift + 1)^2, n, classes), so that the teacher does
    not run during training. The loss is (1 - alpha) cross entropy with the labels + alpha temperature^2
    cross entropy with the teacher's probabilities at `temperature`, whose gradient equals that of the KL
    divergence. Without `squared` the factor temperature^2 is 1, and the soft gradient shrinks with temperature^2.
    Source: Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network.
    """

    logits: Array
    temperature: float
    alpha: float
    squared: bool = True

    @property
    def soft_weight(self) -> float:
        """The factor of the cross entropy with the teacher's probabilities."""
        return self.alpha * (self.temperature**2 if self.squared else 1.0)


@dataclass(frozen=True)
class Chunk:
    """Images (steps, batch, pixels), labels (steps, batch), teacher logits (steps, batch, classes) or None."""

    images: Array
    labels: Array
    logits: Array | None


class Feeder:
    """Samples shifted batches of a split; images that are not square cannot be shifted (ValueError)."""

    def __init__(self, split: Split, settings: Settings, teacher: Teacher | None = None) -> None:
        if len(split) < settings.batch:
            raise ValueError(f"{len(split)} training images do not fill one batch of {settings.batch}")
        self.steps = len(split) // settings.batch
        self._labels, self._settings = split.labels, settings
        self._windows = shifted_views(split.images, settings.shift)
        self._logits = teacher.logits if teacher else None
        shifts = (2 * settings.shift + 1) ** 2
        if self._logits is not None and self._logits.shape[:2] != (shifts, len(split)):
            raise ValueError(f"teacher logits of shape {self._logits.shape} for {shifts} shifts of {len(split)} images")

    def epoch(self, number: int, most: int) -> Iterator[Chunk]:
        """The batches of epoch `number`, at most `most` per chunk; a last incomplete batch is dropped."""
        batch, side = self._settings.batch, 2 * self._settings.shift + 1
        rng = np.random.default_rng([self._settings.seed, number])
        order = rng.permutation(len(self._labels))
        moves = rng.integers(0, side, (2, len(order)))
        for start in range(0, self.steps, most):
            steps = min(most, self.steps - start)
            part = slice(start * batch, (start + steps) * batch)
            chosen, rows, columns = order[part], *moves[:, part]
            yield Chunk(
                self._windows[chosen, rows, columns].reshape(steps, batch, -1),
                self._labels[chosen].reshape(steps, batch),
                None if self._logits is None else self._logits[rows * side + columns, chosen].reshape(steps, batch, -1),
            )


def shifted_views(images: Array, shift: int) -> Array:
    """A view [n, row, column, y, x] of images (n, pixels): each moved by -shift..shift pixels, edges filled with 0."""
    side = math.isqrt(images.shape[1]) if shift else 0
    if not shift:
        return images.reshape(len(images), 1, 1, 1, -1)
    if side * side != images.shape[1]:
        raise ValueError(f"images of {images.shape[1]} pixels are not square and cannot be shifted")
    edge = (shift, shift)
    padded = np.pad(images.reshape(-1, side, side), ((0, 0), edge, edge))
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))


def teacher_logits(network: Network, weights: Weights, images: Array, shift: int) -> Array:
    """The logits of a trained network for every shift of `images`, float16, as `Teacher.logits` holds them."""
    moved = shifted_views(images, shift)
    places = np.ndindex(moved.shape[1:3])
    shifts = [forward_numpy(network, weights, moved[:, row, column].reshape(len(images), -1)) for row, column in places]
    return np.stack(shifts).astype(np.float16)
