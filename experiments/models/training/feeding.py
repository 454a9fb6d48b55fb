"""What training is fed: shuffled, shifted images in chunks of steps, the same for the same seed and epoch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.data.mnist import Split
from experiments.models.sequential.network import Network, Weights, forward_numpy
from experiments.models.training.settings import Settings

TEACHER_VERSION = 1  # raise it when a teacher gives a student other logits or another loss


@dataclass(frozen=True)
class Teacher:
    """Logits to learn from beside the labels.

    `logits` holds them for every shift of every training image, shaped ((2 shift + 1)^2, n, classes): no teacher has
    to run while a student learns. The loss is (1 - alpha) cross entropy with the labels + alpha temperature^2
    cross entropy with the teacher's probabilities at `temperature`, whose gradient is that of the divergence from
    them. `squared` false leaves temperature^2 out: the soft part's gradient then shrinks with temperature^2.
    Source: Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network.
    """

    logits: Array
    temperature: float
    alpha: float
    squared: bool = True

    @property
    def soft_weight(self) -> float:
        """The factor before the cross entropy with the teacher's probabilities."""
        return self.alpha * (self.temperature**2 if self.squared else 1.0)


@dataclass(frozen=True)
class Chunk:
    """Images (steps, batch, pixels), labels (steps, batch), teacher's logits (steps, batch, classes) or None."""

    images: Array
    labels: Array
    logits: Array | None


class Feeder:
    """All images of a split, ready to be drawn shifted; images that are no square cannot be shifted (ValueError)."""

    def __init__(self, split: Split, settings: Settings, teacher: Teacher | None = None) -> None:
        if len(split) < settings.batch:
            raise ValueError(f"{len(split)} training images do not fill one batch of {settings.batch}")
        self.steps = len(split) // settings.batch
        self._labels, self._settings = split.labels, settings
        self._windows = shifted_views(split.images, settings.shift)
        self._table = teacher.logits if teacher else None
        shifts = (2 * settings.shift + 1) ** 2
        if self._table is not None and self._table.shape[:2] != (shifts, len(split)):
            raise ValueError(f"a teacher's table {self._table.shape} for {shifts} shifts of {len(split)} images")

    def epoch(self, number: int, most: int) -> Iterator[Chunk]:
        """The batches of epoch `number`, at most `most` in a chunk; images that fill no batch are left out."""
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
                None if self._table is None else self._table[rows * side + columns, chosen].reshape(steps, batch, -1),
            )


def shifted_views(images: Array, shift: int) -> Array:
    """A view [n, row, column, y, x] of images (n, pixels): each moved by -shift..shift pixels, edges filled with 0."""
    side = math.isqrt(images.shape[1]) if shift else 0
    if not shift:
        return images.reshape(len(images), 1, 1, 1, -1)
    if side * side != images.shape[1]:
        raise ValueError(f"images of {images.shape[1]} pixels are no squares and cannot be shifted")
    edge = (shift, shift)
    padded = np.pad(images.reshape(-1, side, side), ((0, 0), edge, edge))
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))


def teacher_logits(network: Network, weights: Weights, images: Array, shift: int) -> Array:
    """The logits of a trained network for every shift of `images`, float16, as `Teacher.logits` holds them."""
    moved = shifted_views(images, shift)
    places = np.ndindex(moved.shape[1:3])
    shifts = [forward_numpy(network, weights, moved[:, row, column].reshape(len(images), -1)) for row, column in places]
    return np.stack(shifts).astype(np.float16)
