"""What each student of a seed is trained on: its images, noisy labels, settings, and cached teacher logits.

The teacher runs once, over all images that are used.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.bench.arrays import Array
from experiments.compression.distillation.spec import CLASSES, images_of
from experiments.models.data.mnist import Dataset, Split
from experiments.models.sequential.network import Network, Weights
from experiments.models.training.feeding import teacher_logits
from experiments.models.training.settings import Settings, default_settings


@dataclass(frozen=True)
class TrainingSet:
    """The data and settings of all students of one seed; `logits`: the teacher's, as `feeding.Teacher.table`."""

    seed: int
    data: Dataset
    settings: Settings
    logits: Array

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.settings.epochs * (len(self.data.train) // self.settings.batch)


def training_sets(
    teacher: tuple[Network, Weights],
    student: Network,
    data: Dataset,
    seeds: Sequence[int],
    *,
    steps: int,
    fraction: float = 1.0,
    noise: float = 0.0,
    shift: int = 1,
) -> list[TrainingSet]:
    """One training set per seed, which sets images, wrong labels, order and shifts.

    `fraction` of the training images, `noise` of their labels wrong; validation and test set are complete and clean.
    `steps` is rounded to whole epochs, at least one; `shift` as in `Settings`. Raises ValueError if the images do not
    fill one batch.
    """
    chosen = [subset(len(data.train), fraction, seed) for seed in seeds]
    used = np.unique(np.concatenate(chosen))
    base = dataclasses.replace(default_settings(student.name), shift=shift)
    images_of(fraction, base.batch, len(data.train))
    logits = teacher_logits(*teacher, data.train.images[used], base.shift)
    sets = []
    for seed, images in zip(seeds, chosen, strict=True):
        settings = dataclasses.replace(base, seed=seed, epochs=max(1, round(steps / (len(images) // base.batch))))
        split = with_label_noise(Split(data.train.images[images], data.train.labels[images]), noise, seed)
        own_data = dataclasses.replace(data, train=split)
        sets.append(TrainingSet(seed, own_data, settings, logits[:, np.searchsorted(used, images)]))
    return sets


def subset(count: int, fraction: float, seed: int) -> Array:
    """Ascending indices of the images that a seed uses; a smaller fraction is a subset of a larger one."""
    chosen = np.random.default_rng([seed, 1]).permutation(count)[: round(count * fraction)]
    return np.sort(chosen)


def with_label_noise(split: Split, share: float, seed: int) -> Split:
    """The split with `share` of its labels (rounded to whole images) replaced by one of the other nine classes."""
    rng = np.random.default_rng([seed, 2])
    wrong = rng.permutation(len(split))[: round(len(split) * share)]
    labels = split.labels.copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, CLASSES, len(wrong))) % CLASSES
    return Split(split.images, labels)
