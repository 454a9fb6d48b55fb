"""Knowledge distillation: networks by name or widths, what a student is given to learn from, and its training.

The teacher runs once, over the images that are used; students then learn from its stored logits. Temperature, weight
and logits are buffers of the student's step, which is compiled once for a whole sweep.
Source: Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network; Beyer et al. 2022, A good teacher is
patient and consistent (the teacher sees the very image that the student sees, shifted alike).
"""

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from experiments.bench.arrays import Array
from experiments.models.data.mnist import Dataset, Split
from experiments.models.sequential.network import NETWORKS, Network, Weights, accuracy_numpy, dense
from experiments.models.training.feeding import Teacher, teacher_logits
from experiments.models.training.settings import Settings, default_settings

if TYPE_CHECKING:
    from experiments.models.training.trainer import Trainer

PIXELS, CLASSES, TRAIN_IMAGES = 784, 10, 55_000
BATCH = Settings().batch
MOST_WIDTH, MOST_LAYERS = 2048, 4
LOOKS = 10  # points of a learning curve, evenly over the steps
WIDTHS = re.compile(r"\d{1,5}(-\d{1,5})*")

OnStep = Callable[[int, int, int], None]


def network_called(text: str) -> Network:
    """A network by its name or by its widths: `512-256`, the hidden layers alone, or `784-512-256-10`.

    Widths of a network that has a name give that one. ValueError with one line where there is none.
    """
    if text in NETWORKS:
        return NETWORKS[text]()
    if not WIDTHS.fullmatch(text):
        raise ValueError(f"{text!r} is no network; give one of {', '.join(NETWORKS)}, or hidden widths as 512-256")
    widths = tuple(int(width) for width in text.split("-"))
    if len(widths) > 2 and (widths[0], widths[-1]) == (PIXELS, CLASSES):
        widths = widths[1:-1]
    if len(widths) > MOST_LAYERS or not all(1 <= width <= MOST_WIDTH for width in widths):
        raise ValueError(f"{text}: at most {MOST_LAYERS} hidden layers of 1 to {MOST_WIDTH} units are allowed")
    made = dense("-".join(str(width) for width in (PIXELS, *widths, CLASSES)), (PIXELS, *widths, CLASSES))
    named = (build() for build in NETWORKS.values())
    return next((one for one in named if one.layers == made.layers), made)


def images_of(fraction: float, batch: int = BATCH, count: int = TRAIN_IMAGES) -> int:
    """How many of `count` training images a fraction is; ValueError with one line where they do not fill one batch."""
    images = round(count * fraction)
    if images < batch:
        least = math.ceil(batch / count * 1e5) / 1e5
        raise ValueError(
            f"{fraction:g} leaves {images} of {count:,} training images, which do not fill one batch of {batch}; "
            f"give at least {least:g}"
        )
    return images


def subset(count: int, fraction: float, seed: int) -> Array:
    """Which of `count` images a student of this seed gets, in order; a smaller fraction is part of a larger one."""
    chosen = np.random.default_rng([seed, 1]).permutation(count)[: round(count * fraction)]
    return np.sort(chosen)


def with_label_noise(split: Split, share: float, seed: int) -> Split:
    """The split with exactly `share` of its labels (to the nearest image) replaced by one of the other nine."""
    rng = np.random.default_rng([seed, 2])
    wrong = rng.permutation(len(split))[: round(len(split) * share)]
    labels = split.labels.copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, CLASSES, len(wrong))) % CLASSES
    return Split(split.images, labels)


@dataclass(frozen=True)
class Lesson:
    """What every student of one seed is given: images and labels, settings, the teacher's logits for the images."""

    seed: int
    data: Dataset
    settings: Settings
    table: Array

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.settings.epochs * (len(self.data.train) // self.settings.batch)


def lessons(
    teacher: tuple[Network, Weights],
    student: Network,
    data: Dataset,
    seeds: Sequence[int],
    *,
    steps: int,
    fraction: float = 1.0,
    noise: float = 0.0,
    shift: int = 1,
) -> list[Lesson]:
    """One lesson for each seed, with images, wrong labels, order and shifts of its own.

    `fraction` of the training images, `noise` of their labels wrong; validation and test stay whole and right. `steps`
    is rounded to whole passes over the images, at least one; `shift` as in `Settings`. The teacher's table is made
    once for all seeds. ValueError where the images do not fill one batch.
    """
    chosen = [subset(len(data.train), fraction, seed) for seed in seeds]
    used = np.unique(np.concatenate(chosen))
    base = dataclasses.replace(default_settings(student.name), shift=shift)
    images_of(fraction, base.batch, len(data.train))
    table = teacher_logits(*teacher, data.train.images[used], base.shift)
    made = []
    for seed, own in zip(seeds, chosen, strict=True):
        settings = dataclasses.replace(base, seed=seed, epochs=max(1, round(steps / (len(own) // base.batch))))
        split = with_label_noise(Split(data.train.images[own], data.train.labels[own]), noise, seed)
        given = dataclasses.replace(data, train=split)
        made.append(Lesson(seed, given, settings, table[:, np.searchsorted(used, own)]))
    return made


@dataclass(frozen=True)
class Treatment:
    """How a student is taught: the loss of `feeding.Teacher`. Alpha 0 is the student alone, whatever the rest says."""

    temperature: float = 1.0
    alpha: float = 0.0
    squared: bool = True


ALONE = Treatment()


@dataclass(frozen=True)
class Student:
    """A trained student: weights, and (step, validation accuracy 0..1) along its training, the end being last."""

    seed: int
    weights: Weights
    curve: list[tuple[int, float]]

    @property
    def validation_accuracy(self) -> float:
        """Of the trained student."""
        return self.curve[-1][1]


def student_of(trainer: "Trainer", lesson: Lesson, treatment: Treatment, on_step: OnStep) -> Student:
    """Trains one student with a `Trainer` that has `distill=True`; `on_step(seed, step, steps)` before each step.

    Students of one lesson start with the same weights and see the same batches, however they are taught: differences
    between treatments may be taken lesson by lesson.
    """
    curve: list[tuple[int, float]] = []
    every = max(1, lesson.steps // LOOKS)

    def judge(weights: Weights) -> float:
        validation = lesson.data.validation
        return accuracy_numpy(trainer.network, weights, validation.images, validation.labels)

    def look(now: "Trainer", step: int, steps: int) -> None:
        on_step(lesson.seed, step, steps)
        if step and step % every == 0 and step + every <= steps:  # the end is a point of its own
            curve.append((step, judge(now.weights())))

    teacher = Teacher(lesson.table, treatment.temperature, treatment.alpha, treatment.squared)
    last = trainer.fit(
        lesson.data,
        lesson.settings,
        teacher=teacher,
        on_step=look,
        evaluate=lambda _: math.nan,  # the looks replace the judgement after each pass
    ).weights
    return Student(lesson.seed, last, [*curve, (lesson.steps, judge(last))])


@dataclass(frozen=True)
class Taught:
    """The students of one treatment, what each says of every test image (seeds, n), and the images' labels (n)."""

    name: str
    treatment: Treatment
    students: list[Student]
    said: Array
    labels: Array

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy of each seed, 0..1."""
        return [float(accuracy) for accuracy in (self.said == self.labels).mean(axis=1)]

    @property
    def validation_accuracy(self) -> float:
        """The mean of the seeds, 0..1."""
        return float(np.mean([one.validation_accuracy for one in self.students]))

    def gains(self, alone: "Taught") -> list[float]:
        """Test accuracy of each seed above that of the student alone with the same seed."""
        return [mine - other for mine, other in zip(self.accuracies, alone.accuracies, strict=True)]
